"""Tiny Shakespeare, CLINC150 and Multi30k: the real files, downloads of made-up ones, and BLEU."""

import dataclasses
import gzip
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from odelib.data import (
    DATA_SETS,
    TEXT_SETS,
    DataError,
    bleu,
    bleu_counts,
    bleu_from,
    load_clinc150,
    load_multi30k,
    load_tiny_shakespeare,
    text,
    translation,
)
from odelib.data.downloads import Source
from odelib.data.fetch import Remote

LOADERS: dict[str, Callable[..., Any]] = {
    "tiny-shakespeare": load_tiny_shakespeare,
    "clinc150": load_clinc150,
    "multi30k": lambda root, download: load_multi30k(root=root, download=download),
}
SOURCES = {"tiny-shakespeare": text.TINY_SHAKESPEARE, "clinc150": text.CLINC150, "multi30k": translation.MULTI30K}


def present(real_data: Path, name: str) -> Path:
    if not (real_data / SOURCES[name].place).is_dir():
        pytest.skip(f"{real_data / SOURCES[name].place} does not exist")
    return real_data


# The real files, which are the original ones up to compression


def test_tiny_shakespeare(real_data: Path) -> None:
    data = load_tiny_shakespeare(present(real_data, "tiny-shakespeare"), download=False)
    assert (len(data.train), len(data.validation), len(data.test)) == (1_003_854, 55_770, 55_770)
    assert data.vocabulary.size == 65
    assert data.vocabulary.decode(data.train[:14]) == "First Citizen:"
    whole = data.vocabulary.decode(torch.cat([data.train, data.validation, data.test]))
    assert hashlib.sha256(whole.encode()).hexdigest() == text._SHAKESPEARE_SHA256


def test_clinc150(real_data: Path) -> None:
    data = load_clinc150(present(real_data, "clinc150"), download=False)
    assert len(data.classes) == 150
    assert list(data.classes) == sorted(data.classes)
    for split, count in (("train", 100), ("validation", 20), ("test", 30)):
        labels = getattr(data, f"{split}_labels")
        assert labels.bincount().tolist() == [count] * 150
        assert len(getattr(data, f"{split}_texts")) == len(labels)
    assert len(data.out_of_scope) == 1000
    assert data.train_texts[0] == "what expression would i use to say i love you if i were an italian"
    assert data.classes[data.train_labels[0]] == "translate"
    assert len(set(data.test_texts) & set(data.train_texts)) == 2


def test_multi30k(real_data: Path) -> None:
    data = load_multi30k(root=present(real_data, "multi30k"), download=False)
    assert data.languages == ("de", "en")
    for split, count in (("train", 29_000), ("validation", 1_014), ("test", 1_000)):
        sides = getattr(data, f"{split}_source"), getattr(data, f"{split}_target")
        assert [len(side) for side in sides] == [count, count]
        assert all(sentence == sentence.strip() != "" for side in sides for sentence in side)
    assert data.train_source[0] == "Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche."
    assert data.train_target[0] == "Two young, White males are outside near many bushes."
    back = load_multi30k("en", "de", root=real_data, download=False)
    assert back.train_source == data.train_target
    assert back.test_target == data.test_source


@pytest.mark.parametrize("name", SOURCES)
def test_the_checksums_of_downloads_are_those_of_the_original_files(real_data: Path, name: str) -> None:
    folder = present(real_data, name) / SOURCES[name].place
    for remote in SOURCES[name].files:
        path = folder / remote.name
        content = path.read_bytes() if path.is_file() else gzip.decompress((folder / f"{remote.name}.gz").read_bytes())
        assert remote.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_addresses_name_a_commit_of_the_authors_repository() -> None:
    for name, source in SOURCES.items():
        owner = DATA_SETS[name].url.removeprefix("https://github.com/")
        for remote in source.files:
            assert remote.url.startswith(f"https://raw.githubusercontent.com/{owner}/")
            commit = remote.url.split("/")[5]
            assert len(commit) == 40
            assert set(commit) <= set("0123456789abcdef")


# Made-up files in the places of the original ones


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def served(server: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A function that puts a small set into the place of the original one, on a server on this machine."""

    def files(name: str) -> dict[str, bytes]:
        if name == "tiny-shakespeare":
            return {"input.txt": b"to be or not to be " * 20}
        if name == "clinc150":
            rows = [[f"request {i}", f"intent {i % 3}"] for i in range(6)]
            splits = {"train": rows, "val": rows, "test": rows, "oos_test": [["?", "oos"]]}
            return {"data_full.json": json.dumps(splits).encode()}
        return {file: f"one {file}\ntwo\u2028 \n".encode() for file in translation._SHA256}

    def serve(name: str) -> None:
        source, remotes = SOURCES[name], []
        for file, content in files(name).items():
            sent, end = (gzip.compress(content), ".gz") if name == "multi30k" else (content, "")
            remotes.append(server.remote(file + end, sent))
            if name == "multi30k":
                monkeypatch.setitem(translation._SHA256, file, (digest(sent), digest(content)))
            else:
                constant = {"tiny-shakespeare": "_SHAKESPEARE_SHA256", "clinc150": "_CLINC150_SHA256"}[name]
                monkeypatch.setattr(text, constant, digest(content))
        module, attribute = {
            "tiny-shakespeare": (text, "TINY_SHAKESPEARE"),
            "clinc150": (text, "CLINC150"),
            "multi30k": (translation, "MULTI30K"),
        }[name]
        monkeypatch.setattr(module, attribute, dataclasses.replace(source, files=tuple(remotes)))

    return serve


@pytest.mark.parametrize("name", SOURCES)
def test_downloaded_through_cuts_and_found_again(
    server: Any, served: Callable[[str], None], tmp_path: Path, name: str
) -> None:
    served(name)
    server.cuts = [10, 0, 10]
    first = LOADERS[name](tmp_path, True)
    asked = len(server.asked)
    assert asked == len(server.files) + 3
    assert str(LOADERS[name](tmp_path, False)) == str(first)
    assert len(server.asked) == asked
    assert {path.name for path in (tmp_path / SOURCES[name].place).iterdir()} == set(server.files)


@pytest.mark.parametrize("name", SOURCES)
def test_corrupt_downloads_are_refused(server: Any, served: Callable[[str], None], tmp_path: Path, name: str) -> None:
    served(name)
    for file, content in server.files.items():
        server.files[file] = content[:-1] + b"?"
    with pytest.raises(DataError, match=rf"{TEXT_SETS[name].title} is not in .* arrived damaged or changed"):
        LOADERS[name](tmp_path, True)
    assert not (tmp_path / SOURCES[name].place).exists()


@pytest.mark.parametrize("name", SOURCES)
def test_absent_and_no_network(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"{TEXT_SETS[name].title} is not in {tmp_path} and downloading it was not"):
        LOADERS[name](tmp_path, False)
    with pytest.raises(DataError, match=r"could not be downloaded from https://raw\.git.*no network.*by hand"):
        LOADERS[name](tmp_path, True)


@pytest.mark.parametrize("name", SOURCES)
def test_a_damaged_file_on_this_machine_is_refused(served: Callable[[str], None], tmp_path: Path, name: str) -> None:
    served(name)
    LOADERS[name](tmp_path, True)
    path = sorted((tmp_path / SOURCES[name].place).iterdir())[0]
    whole = path.read_bytes()
    content = gzip.decompress(whole) if path.suffix == ".gz" else whole
    damaged = content.replace(b"o", b"0", 1)
    path.write_bytes(gzip.compress(damaged) if path.suffix == ".gz" else damaged)
    with pytest.raises(DataError, match=rf"{path.name} is damaged or not the official one .*: get it again from http"):
        LOADERS[name](tmp_path, True)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"{path.name} (is damaged|cannot be read)"):
        LOADERS[name](tmp_path, True)


def test_a_missing_file_is_named(served: Callable[[str], None], tmp_path: Path) -> None:
    served("multi30k")
    load_multi30k(root=tmp_path)
    (tmp_path / "multi30k" / "val.en.gz").unlink()
    with pytest.raises(DataError, match=r"the Multi30k file .*val\.en\.gz does not exist: get it again"):
        load_multi30k(root=tmp_path)


def test_lines_are_cut_at_line_feeds_alone(served: Callable[[str], None], tmp_path: Path) -> None:
    served("multi30k")
    assert load_multi30k(root=tmp_path).train_source == ("one train.de", "two")


def test_other_languages_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot translate from 'de' to 'de': choose 'de' and 'en'"):
        load_multi30k("de", "de")


# BLEU


def test_bleu_is_sacrebleu_with_its_defaults() -> None:
    import sacrebleu

    hypotheses = ["A man rides a red bike .", "Two dogs run on the beach."]
    references = ["A man rides a red bicycle.", "Two dogs are running on the beach."]
    measured = bleu(hypotheses, references)
    assert measured.score == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references]).score)
    assert 20 < measured.score < 90
    assert "tok:13a" in measured.signature
    assert "case:mixed" in measured.signature
    assert bleu(references, references).score == pytest.approx(100)
    assert bleu(["x"], ["a whole other sentence"]).score < 1


def test_bleu_of_any_sentences_follows_from_their_counts() -> None:
    hypotheses = ["A man rides a red bike .", "Two dogs run on the beach.", "A child", "x y z"]
    references = ["A man rides a red bicycle.", "Two dogs are running on the beach.", "A child sleeps.", "a b c"]
    counts = bleu_counts(hypotheses, references)
    assert counts.shape == (4, 10)
    assert counts[2].tolist() == [2, 1, 0, 0, 2, 1, 0, 0, 2, 4]
    for chosen in ([0, 1, 2, 3], [0, 1], [1, 1, 2], [3]):
        asked = bleu([hypotheses[i] for i in chosen], [references[i] for i in chosen])
        assert bleu_from(counts[chosen].sum(axis=0)) == pytest.approx(asked.score)


@pytest.mark.parametrize(("hypotheses", "references"), [(["a"], []), ([], []), (["a", "b"], ["a"])])
def test_bleu_of_unequal_numbers_is_refused(hypotheses: list[str], references: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{len(hypotheses)} hypotheses and {len(references)} references"):
        bleu(hypotheses, references)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics.bleu", None)
    with pytest.raises(DataError, match=r"sacrebleu, which is not installed: pip install '\.\[text\]'"):
        bleu(["a"], ["a"])


def test_every_source_is_known() -> None:
    assert SOURCES.keys() == TEXT_SETS.keys()
    assert all(isinstance(source, Source) and source.name == name for name, source in SOURCES.items())
    assert all(isinstance(remote, Remote) for source in SOURCES.values() for remote in source.files)
