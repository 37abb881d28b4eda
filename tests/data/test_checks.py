"""Data that a caller has made are checked as they are made, in one sentence."""

import math
from typing import Any

import jaxtyping
import pytest
import torch

from odelib.data import CharacterData, Characters, ImageData, IntentData, processor_of

IMAGES, LABELS = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1])


@pytest.fixture
def without_type_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user: what the tests' own type checks would refuse first comes through."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train_labels": torch.tensor([0, 10])}, r"train_labels are from 0 to 10, expected 0 to 1"),
        ({"test_images": torch.zeros(0, 1, 8, 8, dtype=torch.uint8), "test_labels": torch.zeros(0, dtype=torch.int64)},
         r"test_labels are 0 labels for 0 images: give one label for each, and at least one"),
        ({"train_labels": torch.tensor([0.0, 1.0])}, "train_labels are torch.float32, expected torch.int64"),
        ({"test_labels": torch.tensor([0, 1], dtype=torch.int32)}, "test_labels are torch.int32, expected torch.int64"),
        ({"train_labels": torch.tensor([[0], [1]])}, r"train_labels have the shape \(2, 1\), expected \(2,\)"),
        ({"train_labels": [0, 1]}, "train_labels came as list, expected a torch.Tensor"),
        ({"train_images": IMAGES / 1.0}, "train_images are torch.float32, expected torch.uint8: raw pixels"),
        ({"train_images": IMAGES.numpy()}, "train_images came as ndarray, expected a torch.Tensor"),
        ({"train_images": IMAGES[:, 0]},
         r"train_images have the shape \(2, 8, 8\), expected \(images, channels, height, width\): grey images"),
        ({"train_images": IMAGES[..., :6]}, "train_images have 8 x 6 pixels, expected squares"),
        ({"test_images": IMAGES[..., :4, :4]},
         r"test_images have 1 channel\(s\) of 4 x 4 pixels, expected those of train_images, 1 channel\(s\) of 8 x 8"),
        ({"validation_images": IMAGES.repeat(1, 3, 1, 1), "validation_labels": LABELS},
         r"validation_images have 3 channel\(s\) of 8 x 8 pixels, expected those of train_images, 1 channel"),
        ({"validation_images": IMAGES}, "validation_images or validation_labels came alone"),
        ({"classes": ("a", "a")}, "classes has 'a' twice: give each class a name of its own"),
        ({"classes": (0, 1)}, r"classes is \(0, 1\), expected a tuple of names"),
        ({"mean": (math.nan,)}, r"mean is \(nan,\), expected 1 finite number"),
        ({"mean": (0.5, 0.5)}, r"mean is \(0.5, 0.5\), expected 1 finite number"),
        ({"mean": 0.5}, "mean is 0.5, expected 1 finite number"),
        ({"std": (0.0,)}, r"std is \(0.0,\), expected 1 finite positive number"),
        ({"std": (math.inf,)}, r"std is \(inf,\), expected 1 finite positive number"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("without_type_checks")
def test_images_of_your_own_are_checked_when_they_are_made(change: dict[str, Any], sentence: str) -> None:
    parts = {"train_images": IMAGES, "train_labels": LABELS, "test_images": IMAGES, "test_labels": LABELS}
    about = {"classes": ("a", "b"), "mean": (0.5,), "std": (0.5,), "note": ""}
    assert ImageData("mine", **parts, **about).classes == ("a", "b")
    with pytest.raises(ValueError, match=sentence):
        ImageData("mine", **{**parts, **about, **change})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train_labels": torch.tensor([0.0, 1.0])}, "train_labels are torch.float32, expected torch.int64"),
        ({"test_labels": torch.tensor([0, 2])}, "test_labels are from 0 to 2, expected 0 to 1"),
        ({"validation_labels": torch.tensor([0])}, "validation_labels are 1 labels for 2 texts: give one label for"),
        ({"classes": ("a", "a")}, "classes has 'a' twice"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_texts_of_your_own_are_checked_when_they_are_made(change: dict[str, Any], sentence: str) -> None:
    parts = {f"{split}_{what}": each for split in ("train", "validation", "test")
             for what, each in (("texts", ("x", "y")), ("labels", LABELS))}  # fmt: skip
    with pytest.raises(ValueError, match=sentence):
        IntentData("mine", **{**parts, "classes": ("a", "b"), "out_of_scope": (), **change})


@pytest.mark.usefixtures("without_type_checks")
def test_a_text_of_your_own_is_checked_when_it_is_made() -> None:
    letters = Characters("ab")
    for numbers, sentence in (
        (torch.tensor([0.0]), "train are torch.float32, expected torch.int64: numbers of characters"),
        (torch.tensor([[0]]), r"train has the shape \(1, 1\), expected \(length,\)"),
        (torch.tensor([0, 2]), "train has numbers from 0 to 2, expected 0 to 1"),
    ):
        with pytest.raises(ValueError, match=sentence):
            CharacterData("mine", letters, numbers, LABELS, LABELS)


def test_too_few_subwords_are_refused_by_the_name_of_the_option() -> None:
    data = IntentData("mine", *(("x", "y"), LABELS) * 3, ("a", "b"), ())
    with pytest.raises(ValueError, match=r"subwords is 80, expected at least 259, .* for mine: .* \(--subwords\)"):
        processor_of(data, 80)
