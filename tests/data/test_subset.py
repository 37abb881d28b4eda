"""The bundled Fashion-MNIST subset, and the script that makes it."""

import gzip
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from odelib.data import DataError, ImageData, fashion_mnist, images, load_images, make_subset
from tests.disks import largest_file

FILES = tuple(fashion_mnist.FASHION_MNIST_SHA256)


@pytest.fixture(scope="module")
def subset() -> ImageData:
    return load_images("fashion-mnist-subset")


def test_shapes_types_and_stratification(subset: ImageData) -> None:
    assert subset.train_images.shape == (6000, 1, 28, 28)
    assert subset.test_images.shape == (1000, 1, 28, 28)
    assert subset.train_images.dtype == subset.test_images.dtype == torch.uint8
    assert subset.train_labels.dtype == subset.test_labels.dtype == torch.int64
    assert subset.train_labels.bincount().tolist() == [600] * 10
    assert subset.test_labels.bincount().tolist() == [100] * 10
    assert subset.classes[0] == "T-shirt/top"
    assert subset.classes[9] == "Ankle boot"
    assert subset.note.startswith("subset: ")


def test_statistics_are_those_of_the_train_images_in_unit_range(subset: ImageData) -> None:
    pixels = subset.train_images.double() / 255
    assert subset.mean == pytest.approx((pixels.mean().item(),), abs=1e-10)
    assert subset.std == pytest.approx((pixels.std(correction=0).item(),), abs=1e-10)


def test_statistics_are_per_channel() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (5, 3, 4, 2), dtype=torch.uint8, generator=generator)
    mean, std = images.channel_statistics(pixels)
    unit = pixels.double() / 255
    assert mean == pytest.approx(unit.mean((0, 2, 3)).tolist(), abs=1e-14)
    assert std == pytest.approx(unit.std((0, 2, 3), correction=0).tolist(), abs=1e-14)


def test_equals_the_first_images_of_each_class_of_the_real_data(subset: ImageData, real_data: Path) -> None:
    path = real_data / "fashion_mnist" / "fashion_mnist_14k.npz"
    if not path.is_file():
        pytest.skip(f"{path} does not exist")
    with np.load(path) as real:
        for split, count in (("train", 600), ("test", 100)):
            x, y = real[f"x_{split}"], real[f"y_{split}"]
            kept = np.sort(np.concatenate([np.flatnonzero(y == k)[:count] for k in range(10)]))
            assert np.array_equal(getattr(subset, f"{split}_images")[:, 0].numpy(), x[kept])
            assert np.array_equal(getattr(subset, f"{split}_labels").numpy(), y[kept])


def test_is_what_the_script_makes_of_the_original_files(
    subset: ImageData,
    original_fashion_mnist: Path,
) -> None:
    train_images, train_labels = make_subset.first_of_each_class(
        *fashion_mnist.read_fashion_mnist(original_fashion_mnist, "train"), 600
    )
    test_images, test_labels = make_subset.first_of_each_class(
        *fashion_mnist.read_fashion_mnist(original_fashion_mnist, "t10k"), 100
    )
    assert np.array_equal(subset.train_images[:, 0].numpy(), train_images)
    assert np.array_equal(subset.train_labels.numpy(), train_labels)
    assert np.array_equal(subset.test_images[:, 0].numpy(), test_images)
    assert np.array_equal(subset.test_labels.numpy(), test_labels)


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(1, 4))
def test_first_of_each_class_keeps_order_and_count(labels: list[int], count: int) -> None:
    numbered = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1)
    kept, kept_labels = make_subset.first_of_each_class(numbered, np.array(labels, dtype=np.uint8), count)
    seen: list[int] = []
    expected = []
    for i, label in enumerate(labels):
        if seen.count(label) < count:
            expected.append(i)
        seen.append(label)
    assert kept.flatten().tolist() == expected
    assert kept_labels.tolist() == [labels[i] for i in expected]


@pytest.fixture
def small_originals(
    tmp_path: Path,
    write_idx: Callable[[Path, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Fabricated originals with three images per class, taken as the official ones."""
    folder = tmp_path / "originals"
    write_idx(folder, 3)
    for name in FILES:
        content = gzip.decompress((folder / f"{name}.gz").read_bytes())
        monkeypatch.setitem(fashion_mnist.FASHION_MNIST_SHA256, name, hashlib.sha256(content).hexdigest())
    return folder


def test_script_writes_the_same_bytes_each_time(
    small_originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    assert make_subset.main([str(small_originals), "--out", str(first)]) == 0
    # Another day and another order of files on the disk.
    monkeypatch.setattr("time.time", lambda: 2e9)
    for name in reversed(FILES):
        os.utime(small_originals / f"{name}.gz", (0, 0))
    assert make_subset.main([str(small_originals), "--out", str(second)]) == 0
    content = first.read_bytes()
    assert content == second.read_bytes()
    printed = capsys.readouterr().out
    assert f"{first}  {len(content):,} bytes  SHA-256 {hashlib.sha256(content).hexdigest()}" in printed
    assert sorted(p.name for p in tmp_path.iterdir()) == ["first.npz", "originals", "second.npz"]
    with zipfile.ZipFile(first) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_LZMA}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(first) as arrays:
        assert arrays["x_train"].shape == (30, 28, 28)
        assert np.bincount(arrays["y_test"]).tolist() == [3] * 10


def test_script_reads_uncompressed_files_as_well(small_originals: Path) -> None:
    compressed = make_subset.make_subset(small_originals)
    for name in FILES:
        path = small_originals / f"{name}.gz"
        (small_originals / name).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert make_subset.make_subset(small_originals) == compressed


def test_script_refuses_files_with_another_checksum(
    tmp_path: Path, write_idx: Callable[[Path, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_idx(tmp_path, 3)
    out = tmp_path / "out.npz"
    assert make_subset.main([str(tmp_path), "--out", str(out)]) == 2
    message = capsys.readouterr().err
    assert f"file {tmp_path / FILES[0]}.gz is damaged or not the official one" in message
    assert message.count("\n") == 1
    assert not out.exists()


def test_script_refuses_a_truncated_file(small_originals: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_originals / f"{FILES[2]}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    assert make_subset.main([str(small_originals), "--out", str(small_originals / "out.npz")]) == 2
    assert f"{path} cannot be read (" in capsys.readouterr().err


def test_script_names_the_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make_subset.main([str(tmp_path)]) == 2
    assert f"file {tmp_path / FILES[0]}.gz does not exist" in capsys.readouterr().err


def test_script_names_an_output_that_cannot_be_written(
    small_originals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = small_originals / "absent" / "out.npz"
    assert make_subset.main([str(small_originals), "--out", str(out)]) == 2
    assert f"cannot write {out} (No such file or directory): choose another" in capsys.readouterr().err


def test_script_leaves_the_file_before_where_the_disk_is_full(
    small_originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "subset.npz"
    out.parent.mkdir()
    out.write_text("before")
    with largest_file(100):
        assert make_subset.main([str(small_originals), "--out", str(out)]) == 2
    assert f"cannot write {out} (File too large): choose another" in capsys.readouterr().err
    assert [path.read_text() for path in out.parent.iterdir()] == ["before"]


def test_damaged_bundled_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray(images.SUBSET_FILE.read_bytes())
    content[1_000_000] ^= 1
    damaged = tmp_path / "subset.npz"
    damaged.write_bytes(content)
    monkeypatch.setattr(images, "SUBSET_FILE", damaged)
    with pytest.raises(DataError, match=r"subset\.npz is damaged \(SHA-256 .*\): reinstall odelib"):
        load_images("fashion-mnist-subset")


def test_missing_bundled_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "SUBSET_FILE", tmp_path / "subset.npz")
    with pytest.raises(DataError, match=r"cannot be read \(No such file or directory\): reinstall odelib"):
        load_images("fashion-mnist-subset")


def test_python_without_lzma_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "lzma", None)
    with pytest.raises(DataError, match="use a Python with the module lzma"):
        load_images("fashion-mnist-subset")


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"unknown image set 'cifar-10': the nearest .* is 'cifar10'"):
        load_images("cifar-10")


def test_licence_lies_beside_the_file() -> None:
    notice = images.SUBSET_FILE.with_name("LICENSE-fashion-mnist").read_text(encoding="utf-8")
    assert "Copyright © 2017 Zalando SE" in notice
    assert "Permission is hereby granted, free of charge" in notice


def test_import_leaves_what_only_some_sets_need_alone() -> None:
    needed = {"torchvision", "tokenizers", "sacrebleu", "filelock"}
    code = "import sys, torch; before = set(sys.modules); import odelib.data; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert needed & set(loaded) == set()
