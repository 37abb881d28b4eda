"""Characters and subwords: there and back, learned once, kept."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odelib.data import END, PAD, START, Characters, DataError, Subwords, kept_subwords

TEXTS = ("the cat sat on the mat", "the dog sat on the cat", "ein Hund saß auf der Matte <end> ", "")


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    return Subwords.train(TEXTS, 280)


@given(st.text())
def test_characters_there_and_back(text: str) -> None:
    vocabulary = Characters.of(text)
    assert vocabulary.size == len(set(text))
    numbers = vocabulary.encode(text)
    assert set(numbers.tolist()) == set(range(vocabulary.size))
    assert vocabulary.decode(numbers) == vocabulary.decode(numbers.tolist()) == text
    assert Characters.of(text[::-1]) == vocabulary


def test_an_unknown_character_is_named() -> None:
    with pytest.raises(ValueError, match=r"the character 'z' is not in the vocabulary of 3: remove it"):
        Characters.of("abc").encode("abz")


def test_a_character_with_two_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="one occurs twice"):
        Characters("aba")


@given(st.text())
def test_subwords_there_and_back_with_any_text(subwords: Subwords, text: str) -> None:
    (numbers,) = subwords.encode([text])
    assert all(len((PAD, START, END)) <= number < subwords.size for number in numbers)
    assert subwords.decode(numbers) == text
    assert subwords.decode([START, *numbers, END, PAD, *numbers]) == text


def test_what_is_frequent_becomes_one_subword(subwords: Subwords) -> None:
    assert subwords.size == 280
    (numbers,) = subwords.encode([" sat on the"])
    assert len(numbers) < 6
    assert len(subwords.encode(["zqzq"])[0]) == 4


def test_the_same_texts_give_the_same_subwords(subwords: Subwords) -> None:
    assert Subwords.train(TEXTS, 280).tokenizer.to_str() == subwords.tokenizer.to_str()


def test_marks_in_a_text_are_text(subwords: Subwords) -> None:
    assert END not in subwords.encode(["<end>"])[0]


@pytest.mark.parametrize("size", [0, 258])
def test_too_few_subwords_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size is {size}, expected at least 259"):
        Subwords.train(TEXTS, size)


def test_saved_and_loaded(subwords: Subwords, tmp_path: Path) -> None:
    path = tmp_path / "new" / "subwords.json"
    subwords.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["subwords.json"]
    again = Subwords.load(path)
    assert again.encode(TEXTS) == subwords.encode(TEXTS)
    assert [again.decode(numbers) for numbers in again.encode(TEXTS)] == list(TEXTS)


@pytest.mark.parametrize("content", ["", "{}", "not JSON", "half"])
def test_a_damaged_file_is_refused(subwords: Subwords, tmp_path: Path, content: str) -> None:
    path = tmp_path / "subwords.json"
    subwords.save(path)
    path.write_text(path.read_text()[:1000] if content == "half" else content)
    with pytest.raises(DataError, match=r"subwords\.json holds no subwords \(.*\): remove it, and they are learned"):
        Subwords.load(path)
    with pytest.raises(DataError, match="holds no subwords"):
        Subwords.load(tmp_path / "absent.json")


def test_learned_once_for_the_same_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = kept_subwords(TEXTS, 270, "cats")
    (path,) = (tmp_path / "odelib" / "subwords").iterdir()
    assert path.name.startswith("cats-270-")
    kept_subwords(TEXTS[:2], 270, "cats")
    kept_subwords(TEXTS, 271, "cats")
    assert len(list(path.parent.iterdir())) == 3
    monkeypatch.setattr(Subwords, "train", lambda *_: pytest.fail("they were learned again"))
    assert kept_subwords(TEXTS, 270, "cats").encode(TEXTS) == first.encode(TEXTS)


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "odelib").write_text("a file where a folder must be")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept_subwords(TEXTS, 270, "cats").size == 270


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DataError, match=r"tokenizers, which is not installed: pip install '\.\[text\]'"):
        Subwords.train(TEXTS, 300)
    with pytest.raises(DataError, match="not installed"):
        Subwords.load(tmp_path / "any.json")
