"""Your own data: every item in one split, alike on every machine, and one sentence for what cannot be used."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from odelib.data import DataError, ImageData, checksum, is_own, load_data, load_folder, load_table, load_text
from odelib.data.own import held_out
from odelib.data.pictures import PictureError, measure_picture, read_picture


def paint(path: Path, colour: tuple[int, int, int] | int, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Twelve red and twelve blue pictures, of several sizes and kinds."""
    for k in range(12):
        paint(tmp_path / f"pets/cat/{k}.png", (200 + k, 10, 10), (40 + k, 30))
        paint(tmp_path / f"pets/dog/{k}.jpg", (10, 10, 200 + k), (20, 30 + k))
    return tmp_path / "pets"


def test_each_picture_is_in_one_split_with_its_class(pets: Path) -> None:
    data = load_folder(pets)
    assert data.classes == ("cat", "dog")
    assert data.train_images.shape == (20, 3, 24, 24)  # the median of the shorter sides is 25
    assert len(data.test_labels) == len(data.validation_labels) == 2
    for images, labels in (
        (data.train_images, data.train_labels),
        (data.validation_images, data.validation_labels),
        (data.test_images, data.test_labels),
    ):
        red, blue = images[:, 0].float().mean(dim=(1, 2)), images[:, 2].float().mean(dim=(1, 2))
        assert torch.equal(labels, (blue > red).long())
    shades = torch.cat([data.train_images, data.validation_images, data.test_images])[:, 0, 12, 12]
    assert set(range(200, 212)) <= set(shades.tolist())


def test_a_split_depends_on_nothing_but_the_names(pets: Path) -> None:
    first = checksum(load_folder(pets))
    assert checksum(load_folder(pets)) == first
    assert checksum(load_folder(pets, 16)) != first
    paint(pets / "cat/3.png", (0, 0, 0))
    assert checksum(load_folder(pets)) != first


def test_folders_of_splits_are_taken_as_they_are(pets: Path) -> None:
    (pets / "train").mkdir()
    for name in ("cat", "dog"):
        (pets / name).rename(pets / "train" / name)
        paint(pets / f"test/{name}/x.png", (9, 9, 9))
    data = load_folder(pets)
    assert (len(data.train_labels), len(data.validation_labels), len(data.test_labels)) == (22, 2, 2)
    assert (data.test_images == 9).all()


def test_grey_pictures_have_one_channel_and_a_long_side_is_cut(tmp_path: Path) -> None:
    for name in "ab":
        for k in range(3):
            paint(tmp_path / f"shapes/{name}/{k}.png", 100, (30, 60))
    assert load_folder(tmp_path / "shapes").train_images.shape[1:] == (1, 28, 28)
    stripes = np.zeros((10, 30), dtype=np.uint8)
    stripes[:, 10:20] = 255
    Image.fromarray(stripes).save(tmp_path / "wide.png")
    assert read_picture(tmp_path / "wide.png", 10, 1).eq(255).all()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda pets: [path.unlink() for path in pets.rglob("*.*")], r"pets has no pictures in folders of classes"),
        (
            lambda pets: [path.unlink() for path in (pets / "cat").glob("*") if path.stem != "0"],
            r"the class 'cat' in .*pets has 1 picture: give at least 3",
        ),
        (lambda pets: (pets / "cat").rename(pets.parent / "cat"), r"pets has 1 class\(es\): give at least two"),
        (lambda pets: (pets / "bird").mkdir(), r"the folder .*pets/bird has no pictures: put those of its class there"),
        (lambda pets: paint(pets / "test/cat/x.png", 9) and paint(pets / "train/cat/x.png", 9)
            and (pets / "test/dog").mkdir(), r"the folder .*pets/test/dog has no pictures"),
        (lambda pets: (pets / "cat/3.png").write_bytes(b"no picture"),
            r"1 picture cannot be read: .*/cat/3.png \(it is damaged or no picture\); .*--skip-bad"),
        (lambda pets: [path.write_bytes(b"no picture") for path in (pets / "cat").glob("*")],
            r"12 pictures cannot be read: (.*/cat/\d+.png \([^)]*\),? ){5}and 7 more; replace"),
        (lambda pets: pets.rename(pets.with_name("gone")), r"there is no folder"),
        (lambda pets: pets.rename(pets.with_name("gone")) and paint(pets.parent / "one.png", 9).rename(pets),
            r"pets is a file, expected a folder with one subfolder for each class: give the folder above"),
        (lambda pets: (pets / "cat/x.png").symlink_to("gone.png"),
            r"1 picture cannot be read: .*/cat/x.png \(it is a link to gone.png, which is not there\); .*--skip-bad"),
        (lambda pets: (pets / "cat/x").symlink_to("x"), r"/cat/x \(it is a link to x, which is not there\)"),
        (lambda pets: (pets / "cat/3.png").rename(pets / "cat/3.AVIF"),  # some versions of Pillow can read it
            r"1 picture cannot be read: .*/cat/3.AVIF \(pictures in .avif are not read; save it as .png or .jpg\)"),
        (lambda pets: [(pets / f"dog/{name}").write_bytes(b"") for name in ("a.heic", "a.svg", "a.psd", "a.cr2")],
            r"4 pictures cannot be read: .*/a.cr2 .*/a.heic .*/a.psd .*/a.svg \(pictures in .svg are not read"),
        (lambda pets: Image.new("F", (9, 9)).save(pets / "cat/x.tif"),
            r"cat/x.tif \(its mode is F, floating-point numbers; save it with 8 or 16 bits per pixel\)"),
        (lambda pets: Image.new("I", (9, 9)).save(pets / "cat/x.tif"),
            r"cat/x.tif \(its mode is I, 32-bit whole numbers; save it with 8 or 16 bits per pixel\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(pets: Path, spoil: object, sentence: str) -> None:
    spoil(pets)
    with pytest.raises(DataError, match=sentence):
        load_folder(pets)


def test_bad_pictures_can_be_left_out(pets: Path) -> None:
    whole = (pets / "cat/3.png").read_bytes()
    (pets / "cat/3.png").write_bytes(whole[: len(whole) // 2])
    data = load_folder(pets, skip_bad=True)
    assert len(data.train_labels) + len(data.validation_labels) + len(data.test_labels) == 23
    reason = "it is damaged or no picture"
    assert data.note.endswith(f"; left out, since they cannot be read: cat/3.png ({reason})")
    for path in (pets / "cat").glob("*"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"no picture of the class 'cat' in the train split of .*pets can be read"):
        load_folder(pets, skip_bad=True)


def test_what_leads_nowhere_or_is_not_read_can_be_left_out_too(pets: Path) -> None:
    whole = load_folder(pets)
    for name in (".DS_Store", "Thumbs.db", "about.txt", "all.json", "all.csv", ".a.heic"):
        (pets / "cat" / name).write_bytes(b"no picture")
    (pets / "cat/.#3.png").symlink_to("user@host")  # Emacs locks a file so
    assert checksum(load_folder(pets)) == checksum(whole)
    (pets / "cat/x.png").symlink_to("gone.png")
    Image.new("F", (9, 9)).save(pets / "cat/y.tif")
    (pets / "dog/z.heic").write_bytes(b"")
    data = load_folder(pets, skip_bad=True)
    assert torch.equal(data.train_images, whole.train_images)
    assert [name in data.note for name in ("cat/x.png (", "cat/y.tif (", "dog/z.heic (")] == [True] * 3


RAMP = np.array([[0, 255, 256, 300, 25_700, 57_500, 65_535, 128 << 8]], dtype=np.uint16)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["a.png", "a.tif", "big.tif", "a.pgm"])
def test_sixteen_bits_of_grey_become_eight(tmp_path: Path, name: str, channels: int) -> None:
    path, rows = tmp_path / name, np.repeat(RAMP, 8, axis=0)
    if name == "a.pgm":
        path.write_bytes(b"P5 8 8 65535\n" + rows.astype(">u2").tobytes())
    else:
        mode, kind = ("I;16B", ">u2") if name == "big.tif" else ("I;16", "<u2")
        Image.frombytes(mode, (8, 8), rows.astype(kind).tobytes()).save(path)
    assert measure_picture(path) == (8, True)
    pixels = read_picture(path, 8, channels)
    assert pixels.shape[0] == channels
    assert (pixels == torch.tensor([0, 0, 1, 1, 100, 224, 255, 128])).all()


def test_sixteen_bits_are_turned_upright_first(tmp_path: Path) -> None:
    picture = Image.frombytes("I;16", (8, 8), np.repeat(RAMP, 8, axis=0).tobytes())
    exif = picture.getexif()
    exif[0x0112] = 6  # turn it by a quarter
    picture.save(tmp_path / "a.png", exif=exif)
    assert read_picture(tmp_path / "a.png", 8, 1)[0, :, 0].tolist() == [0, 0, 1, 1, 100, 224, 255, 128]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused_for_an_answer_too(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (9, 9)).save(tmp_path / "a.tif")
    with pytest.raises(PictureError, match=rf"a.tif cannot be read \(its mode is {mode}, .*save it with 8 or 16 bits"):
        read_picture(tmp_path / "a.tif", 8, 3)


@pytest.mark.parametrize("resolution", [-4, 0, 3])
def test_a_resolution_is_refused_before_a_picture_is_read(pets: Path, resolution: int) -> None:
    (pets / "cat/3.png").write_bytes(b"no picture")
    for load in (load_folder, load_data):
        with pytest.raises(ValueError, match=rf"^resolution is {resolution}, expected None or at least 4 pixels"):
            load(Path(pets) if load is load_folder else str(pets), resolution=resolution)


def test_a_picture_beside_you_is_no_unknown_name(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pets / "cat")
    with pytest.raises(DataError, match=r"^3.png is a file, expected a folder with one subfolder for each class"):
        load_data("3.png")


def test_an_unreadable_picture_says_so_in_another_process_too(tmp_path: Path) -> None:
    error = PictureError(tmp_path / "a.png", "it is damaged")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == f"the picture {tmp_path}/a.png cannot be read (it is damaged): replace it, or " \
        "remove it"  # fmt: skip


def table(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_gives_texts_with_labels(tmp_path: Path) -> None:
    rows = [f'"say, {name} {k}",{name},{k}\n' for name in ("yes", "no") for k in range(10)]
    data = load_table(table(tmp_path, "text,label,other\n" + "".join(rows)))
    assert data.classes == ("no", "yes")
    pairs = [
        (text, data.classes[label])
        for split in ("train", "validation", "test")
        for text, label in zip(getattr(data, f"{split}_texts"), getattr(data, f"{split}_labels").tolist(), strict=True)
    ]
    assert sorted(pairs) == sorted((f"say, {name} {k}", name) for name in ("yes", "no") for k in range(10))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("words,label\na,b\n", r"has no column 'text' \(its columns: words, label\)"),
        ("", r"has no column 'text' \(its columns: none\)"),
        ("text,label\na,\n", r"line 2: text or label is empty"),
        ("text,label\na\n", r"line 2: text or label is empty"),
        ("text,label\na,x\nb,x\nc,x\nd,y\n", r"the class 'y' in .* has 1 text: give at least 3"),
        ('text,label\na,x\n"b,x\n' + "c,x\n" * 50_000, r"row that begins on line 3 cannot be read \(field larger than"),
        ('text,label\na,x\n"b,x\nc,y\n', r"row that begins on line 3 cannot be read \(unexpected end of data\): close"),
        (
            'text,label\n"say "yes" twice",x\n',
            r"row that begins on line 2 cannot be read .*write each one within",
        ),
        ('"text,label\n' + "c,x\n" * 50_000, r"row that begins on line 1 cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        load_table(table(tmp_path, text))


def test_lines_end_where_a_file_ends_them_and_nowhere_else(tmp_path: Path) -> None:
    words = ["one\u2028two", "one\x85two", "one\x0btwo", '"one\ntwo"', "plain"]
    rows = "".join(f"{text},{name}\r\n" for name in "ab" for text in words)
    path = tmp_path / "table.csv"
    path.write_bytes(f"text,label\r\n{rows}".encode())
    data = load_table(path)
    texts = [*data.train_texts, *data.validation_texts, *data.test_texts]
    assert sorted(texts) == sorted(2 * [text.strip('"') for text in words])


def test_own_data_are_not_called_official(tmp_path: Path, pets: Path) -> None:
    (tmp_path / "book.txt").write_text("abcdefghij" * 20)
    path = table(tmp_path, "text,label\n" + "".join(f"{k},{name}\n" for name in "ab" for k in range(3)))
    notes = [data.note for data in (load_table(path), load_text(tmp_path / "book.txt"), load_folder(pets))]
    assert notes == ["own texts with labels", "own text", "own pictures at 24 x 24 pixels"]


def test_files_that_are_absent_or_in_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*nowhere.csv"):
        load_table(tmp_path / "nowhere.csv")
    (tmp_path / "book.txt").write_bytes("Grüße".encode("utf-16"))
    with pytest.raises(DataError, match="is not in UTF-8"):
        load_text(tmp_path / "book.txt")
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError, match="has 0 characters"):
        load_text(tmp_path / "empty.txt")


def test_a_text_is_cut_into_three_parts_of_its_own_characters(tmp_path: Path) -> None:
    text = "abcdefghij" * 20
    (tmp_path / "book.txt").write_text(text)
    data = load_text(tmp_path / "book.txt")
    parts = [data.vocabulary.decode(part) for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [180, 10, 10]
    assert "".join(parts) == text


def test_a_name_is_a_set_and_a_path_is_your_own(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pets.parent)
    (pets.parent / "cifar10").mkdir()
    assert [is_own(name) for name in ("cifar10", "pets", "./cifar10", "a.csv", "b.txt", "cifar9")] == [
        *(False, True, True, True, True, False)
    ]
    with pytest.raises(ValueError, match="unknown data set 'cifar9': the nearest valid name is 'cifar"):
        load_data("cifar9")


def test_a_share_of_a_named_set_can_be_kept_for_validation() -> None:
    data = load_data("fashion-mnist-subset", validation=0.1)
    assert isinstance(data, ImageData)
    assert (len(data.train_labels), len(data.validation_labels)) == (5400, 600)
    kept, held = held_out(100, 0.25)
    assert sorted([*kept, *held]) == list(range(100))
    assert len(held) == 25
