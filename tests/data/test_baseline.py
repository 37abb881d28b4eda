import pytest
import torch

from odelib.data import DataError, IntentData
from odelib.data.baseline import check_baseline, tf_idf_accuracy

WORDS = ("red", "green", "blue")


def requests(words_tell: bool) -> IntentData:
    """Texts with a word that tells the class, or with one that does not."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (300,), generator=generator)
    told = labels if words_tell else torch.randint(3, (300,), generator=generator)
    texts = tuple(f"please make it {WORDS[k]} now" for k in told.tolist())
    parts = (texts[:150], labels[:150], texts[150:200], labels[150:200], texts[200:], labels[200:])
    return IntentData("colours", *parts, classes=WORDS, out_of_scope=())


def test_words_that_tell_the_class_are_found_and_chance_is_not_beaten() -> None:
    assert tf_idf_accuracy(requests(words_tell=True)) == 1.0
    assert tf_idf_accuracy(requests(words_tell=False)) < 0.5


def test_a_missing_package_is_named_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    check_baseline()
    monkeypatch.setattr("odelib.data.baseline.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"needs the package scikit-learn.*pip install '\.\[text\]'"):
        check_baseline()
