"""Strong augmentation: the operations are Pillow's at timm's strengths, and nothing is read back from the device."""

import math
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from odelib.data import Rows, augment, erase, mix, normalise, rand_augment
from odelib.data import augment_strongly as strongly
from odelib.data.operations import MOVES, OPERATIONS, RECOLOURED, apply

TIMM = {
    "auto contrast": "AutoContrast",
    "equalize": "Equalize",
    "invert": "Invert",
    "rotate": "Rotate",
    "posterize": "PosterizeIncreasing",
    "solarize": "SolarizeIncreasing",
    "solarize add": "SolarizeAdd",
    "colour": "ColorIncreasing",
    "contrast": "ContrastIncreasing",
    "brightness": "BrightnessIncreasing",
    "sharpness": "SharpnessIncreasing",
    "shear x": "ShearX",
    "shear y": "ShearY",
    "translate x": "TranslateXRel",
    "translate y": "TranslateYRel",
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(batch: int = 6, channels: int = 3, size: int = 32) -> Tensor:
    """Smooth pictures, of which a small error of a place is a small error of a colour."""
    coarse = torch.rand(batch, channels, 5, 5, generator=seeded(1)) * 200 + 20
    return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 255).to(torch.uint8)


def by_timm(name: str, image: Tensor, magnitude: float, side: float, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    timm = pytest.importorskip("timm.data.auto_augment")
    monkeypatch.setattr(random, "random", lambda: 0.75 if side < 0 else 0.25)  # above 1/2 timm takes the negative
    extra = {"img_mean": (128, 128, 128), "interpolation": Image.Resampling.BILINEAR, "translate_pct": 0.45}
    operation = timm.AugmentOp(TIMM[name], prob=1.0, magnitude=magnitude, hparams=extra)
    picture = operation(Image.fromarray(image.permute(1, 2, 0).numpy()))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("magnitude", [2.0, 9.0])
@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_is_timms(name: str, magnitude: float, side: float, monkeypatch: pytest.MonkeyPatch) -> None:
    images, chosen = pictures(), torch.full((1, 6), OPERATIONS.index(name))
    level, sides = torch.full((1, 6), magnitude / 10), torch.full((1, 6), side)
    ours = apply(images, chosen, level, sides, torch.full((3, 1, 1), 128.0))
    theirs = torch.stack([by_timm(name, image, magnitude, side, monkeypatch) for image in images])
    apart = (ours.int() - theirs.int()).abs()
    if name in MOVES:  # Pillow rounds places, and does not interpolate into the border
        assert apart.float().mean() < 4.0
        assert apart[..., 8:24, 8:24].float().mean() < 2.0
    else:
        assert apart.max() <= (0 if name in RECOLOURED else 1)


def test_each_image_undergoes_its_own_operation_whatever_the_others_undergo() -> None:
    images, fill = pictures(60), torch.full((3, 1, 1), 128.0)
    chosen = torch.randint(-1, len(OPERATIONS), (2, 60), generator=seeded())
    draws = torch.rand(2, 60, generator=seeded()), torch.tensor([1.0, -1.0]).repeat(2, 30)
    together = apply(images, chosen, *draws, fill)
    for layer in range(2):  # of each image by itself, one layer after the other
        rows = [[each[layer : layer + 1, i : i + 1] for each in (chosen, *draws)] for i in range(60)]
        images = torch.cat([apply(images[i : i + 1], *row, fill) for i, row in enumerate(rows)])
    assert ((together.int() - images.int()).abs() > 1).double().mean() < 1e-3  # another order of sums, and solarize
    assert torch.equal(together[(chosen < 0).all(0)], pictures(60)[(chosen < 0).all(0)])


def test_all_operations_occur_equally_often_and_half_of_them_are_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = torch.zeros(1 + len(OPERATIONS), dtype=torch.int64)

    def counted(images: Tensor, chosen: Tensor, *_: Tensor) -> Tensor:
        seen.add_(torch.bincount(chosen.flatten() + 1, minlength=len(seen)))
        return images

    monkeypatch.setattr(strongly, "apply", counted)
    rand_augment(torch.zeros(6000, 1, 2, 2, dtype=torch.uint8), 9, generator=seeded())
    assert seen[1:].sum().item() == pytest.approx(6000, rel=0.05)  # two operations, each with probability 1/2
    assert seen[1:].max() < 1.4 * seen[1:].min()


def test_the_same_seed_gives_the_same_images_and_some_rows_are_those_of_the_batch() -> None:
    images, labels = pictures(40), torch.arange(40) % 3
    whole = rand_augment(images, 9, generator=seeded())
    assert torch.equal(whole, rand_augment(images, 9, generator=seeded()))
    assert not torch.equal(whole, rand_augment(images, 9, generator=seeded(1)))
    erased = erase(whole.float(), 0.5, generator=seeded(2))
    for chosen in (torch.arange(7), torch.tensor([39, 3, 20])):
        rows, one, other = Rows(chosen, 40), seeded(), seeded(2)
        assert torch.equal(rand_augment(images[chosen], 9, generator=one, rows=rows), whole[chosen])
        assert torch.equal(erase(whole[chosen].float(), 0.5, generator=other, rows=rows), erased[chosen])
    mixed, shares = mix(erased, labels, 3, mixup=0.8, cutmix=1.0, generator=seeded())
    torch.testing.assert_close(shares.sum(1), torch.ones(40))
    assert mixed.shape == erased.shape


def test_grey_images_and_magnitudes_out_of_range() -> None:
    assert rand_augment(pictures(20, 1, 9), 5, generator=seeded()).shape == (20, 1, 9, 9)
    for magnitude in (0, 11):
        with pytest.raises(ValueError, match=f"magnitude is {magnitude}, expected a number above 0 and up to 10"):
            rand_augment(pictures(), magnitude, generator=seeded())


def test_erasing_puts_noise_into_rectangles_of_some_images() -> None:
    images = torch.full((2000, 1, 20, 20), 7.0)
    erased = erase(images, 0.25, generator=seeded())
    changed = erased != 7.0
    hit = changed.flatten(1).any(1)
    assert hit.double().mean() == pytest.approx(0.25, abs=0.04)
    noise = erased[changed]
    assert noise.mean().abs() < 0.02
    assert noise.std() == pytest.approx(1.0, abs=0.02)
    shares = changed[hit].flatten(1).double().mean(1)
    assert 0.01 < shares.min() < 0.05
    assert 0.25 < shares.max() < 0.37
    for picture in changed[hit][:50, 0]:
        lines, columns = picture.any(1).nonzero().flatten(), picture.any(0).nonzero().flatten()
        assert picture.sum() == (lines[-1] - lines[0] + 1) * (columns[-1] - columns[0] + 1)
        assert 0.15 < len(lines) / len(columns) < 6.7


def test_a_mixture_has_the_shares_that_it_says() -> None:
    labels = torch.arange(8)
    images = torch.eye(8)[:, :, None, None].expand(8, 8, 10, 10)
    for options in ({"mixup": 0.8, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}):
        for seed in range(20):
            mixed, shares = mix(images.clone(), labels, 8, **options, generator=seeded(seed))
            torch.testing.assert_close(mixed.mean(dim=(2, 3)), shares, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="mixup is 0 and cutmix is 0"):
        mix(images, labels, 8, mixup=0, cutmix=0, generator=seeded())


def test_shares_of_mixup_are_drawn_from_a_beta_distribution() -> None:
    images = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
    own = [
        mix(images, torch.arange(2), 2, mixup=0.8, cutmix=0, generator=seeded(k))[1][0, 0].item() for k in range(800)
    ]
    assert np.mean(own) == pytest.approx(0.5, abs=0.04)
    assert np.var(own) == pytest.approx(0.25 / (2 * 0.8 + 1), abs=0.015)


def test_nothing_is_read_back_from_the_device() -> None:
    # A fake tensor has no values: what reads any, or needs one for a shape, raises.
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        images = mode.from_tensor(torch.zeros(64, 3, 32, 32, dtype=torch.uint8))
        labels = mode.from_tensor(torch.zeros(64, dtype=torch.int64))
    moved = augment(images, shift=4, flip=True, generator=seeded())
    strong = rand_augment(moved, 9, generator=seeded(), fill=(0.5, 0.5, 0.5))
    erased = erase(normalise(strong, (0.5,) * 3, (0.2,) * 3), 0.5, generator=seeded())
    mixed, shares = mix(erased, labels, 100, mixup=0.8, cutmix=1.0, generator=seeded())
    assert (mixed.shape, shares.shape) == ((64, 3, 32, 32), (64, 100))
    with pytest.raises(DataDependentOutputException):
        float(mixed.sum())


@pytest.mark.gpu
def test_the_device_changes_nothing_but_rounding() -> None:
    images = pictures(64)
    here, there = (rand_augment(each, 9, generator=seeded()) for each in (images, images.cuda()))
    assert ((here.int() - there.cpu().int()).abs() > 1).double().mean() < 1e-3
    assert math.isclose(here.float().mean(), there.float().mean().cpu(), rel_tol=1e-4)
