"""From your own data to answers: the run keeps what it needs, refuses other data, is exported, goes on, begins anew."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from odelib import ViT
from odelib.cli import main
from odelib.data import ImageData, load_folder
from odelib.data.pictures import PictureError
from odelib.training import CheckpointError, TrainConfig, load, load_run, read_metrics, train
from odelib.training.checkpoint import CHECKPOINT

SMALL = "--device cpu --dim 16 --num-heads 2 --mlp-ratio 2 --intervals 1 --batch-size 8 --warmup-epochs 0"


def draw(path: Path, shape: str, k: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (24, 24), (0, 0, 0))
    box = (2 + k % 5, 2 + k % 3, 18 + k % 5, 18 + k % 3)
    pen = ImageDraw.Draw(image)
    (pen.rectangle if shape == "square" else pen.ellipse)(
        box, fill=(255, 40 * (k % 4), 0) if shape == "square" else (0, 40, 255)
    )
    image.save(path)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures and the run that learned from them."""
    here = tmp_path_factory.mktemp("shapes")
    for k in range(20):
        for shape in ("square", "disc"):
            draw(here / "data" / shape / f"{k}.png", shape, k)
    options = f"train --data {here}/data {SMALL} --epochs 6 --keep-best --out {here}/run"
    assert main(options.split()) == 0
    return here


def refused(argv: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(argv.split()) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line.removeprefix("odelib: error: ")


def test_pictures_are_told_apart_and_the_answers_are_words(shapes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw(shapes / "new" / "a.png", "square", 3)
    draw(shapes / "new" / "b.png", "disc", 2)
    assert main(f"predict {shapes}/run {shapes}/new --device cpu".split()) == 0
    first, second = capsys.readouterr().out.strip().splitlines()
    assert first.startswith(f"{shapes}/new/a.png: square 0.")
    assert second.startswith(f"{shapes}/new/b.png: disc 0.")
    assert main(f"predict {shapes}/run {shapes}/new/a.png --json --device cpu".split()) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["answer"] == "square"
    assert list(answer["probabilities"]) == ["square", "disc"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    (again,) = load(shapes / "run").predict(shapes / "new" / "a.png")
    assert again.probabilities == pytest.approx(answer["probabilities"])


def test_the_best_epoch_by_validation_is_kept(shapes: Path) -> None:
    _, history = read_metrics(shapes / "run")
    best = min(history, key=lambda epoch: epoch.validation_loss)
    run = load(shapes / "run")
    assert run.data["name"] == "data"
    assert (shapes / "run" / "best.pt").is_file()
    data = load_folder(shapes / "data")
    with torch.inference_mode():
        logits = run.model(run.processor.encode(data.validation_images))
    loss = torch.nn.functional.cross_entropy(logits, data.validation_labels).item()
    assert loss == pytest.approx(best.validation_loss, rel=1e-4)


def test_evaluate_takes_the_runs_own_data_and_no_others(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"evaluate {shapes}/run --device cpu".split()) == 0
    assert "on 4 images; step rule euler" in capsys.readouterr().out
    moved = tmp_path / "moved"
    for k in range(20):
        for shape in ("square", "disc"):
            draw(moved / shape / f"{k}.png", shape, k)
    assert main(f"evaluate {shapes}/run --data {moved} --device cpu".split()) == 0
    draw(moved / "disc" / "0.png", "square", 1)
    capsys.readouterr()
    assert "are not those of the run (data, " in refused(f"evaluate {shapes}/run --data {moved}", capsys)
    (moved / "disc").rename(moved / "ring")
    sentence = refused(f"evaluate {shapes}/run --data {moved}", capsys)
    assert "the label 'ring', which the run does not know (its labels: disc, square)" in sentence
    assert "learned from" not in sentence


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [("some-text", "'some-text' is no picture and no folder: this model reads pictures"), ("{}", "has no pictures")],
)
def test_inputs_of_the_wrong_kind_are_refused(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], inputs: str, sentence: str
) -> None:
    assert sentence in refused(f"predict {shapes}/run {inputs.format(tmp_path)}", capsys)
    (tmp_path / "x.png").write_text("no picture")
    assert "cannot be read" in refused(f"predict {shapes}/run {tmp_path}/x.png", capsys)


def test_pictures_that_cannot_be_read_are_all_named_or_left_out(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(7):
        (tmp_path / f"{k}.png").write_text("no picture")
    assert "there is no picture that can be read, " in refused(f"predict {shapes}/run {tmp_path} --skip-bad", capsys)
    draw(tmp_path / "x.png", "square", 3)
    sentence = refused(f"predict {shapes}/run {tmp_path}", capsys)
    assert f"{tmp_path}/4.png (it is damaged or no picture) and 2 more; replace" in sentence
    assert main(f"predict {shapes}/run {tmp_path} --skip-bad --device cpu".split()) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{tmp_path}/x.png: square 0.")
    assert told.out.count("\n") == 1
    assert f"left out, since they cannot be read: {tmp_path}/0.png (it is damaged" in told.err
    skipped: list[PictureError] = []
    assert len(load(shapes / "run").predict(tmp_path, skipped=skipped)) == 1
    assert [error.path.name for error in skipped] == [f"{k}.png" for k in range(7)]
    (tmp_path / "link.png").symlink_to("gone.png")
    (tmp_path / "a.heic").write_bytes(b"no picture")
    skipped.clear()
    load(shapes / "run").predict(tmp_path, skipped=skipped)
    assert [error.path.name for error in skipped[7:]] == ["a.heic", "link.png"]
    assert [error.reason[:20] for error in skipped[7:]] == ["pictures in .heic ar", "it is a link to gone"]
    assert len(load(shapes / "run").predict([tmp_path / "x.png"] * 2)) == 2


def test_a_run_goes_on_beyond_its_end_with_its_own_options(shapes: Path, tmp_path: Path) -> None:
    options = f"train --data {shapes}/data {SMALL} --epochs 2 --out {tmp_path}/run"
    assert main(options.split()) == 0
    assert main(f"train --resume {tmp_path}/run --epochs 4".split()) == 0
    head, history = read_metrics(tmp_path / "run")
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4]
    assert head["config"]["epochs"] == 4
    assert load_run(tmp_path / "run")[0].model.dim == 16
    assert main(f"train --resume {tmp_path}/run".split()) == 0  # it is at its end


def test_a_run_begins_from_the_weights_of_another(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = f"train --data {shapes}/data {SMALL} --epochs 1 --lr 1e-9 --weights {shapes}/run --out {tmp_path}/run"
    assert main(options.split()) == 0
    (old, new) = (load_run(folder)[1].state_dict() for folder in (shapes / "run", tmp_path / "run"))
    assert all(torch.allclose(old[name], new[name], atol=1e-6) for name in old)
    assert load_run(tmp_path / "run")[0].init == f"{shapes}/run"
    assert f"\n{len(new)} of the {len(new)} tensors of the model begin as in {shapes}/run\n" in capsys.readouterr().out


def test_what_fits_only_partly_is_counted_once(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "book.txt").write_text("abcdefghij" * 200)
    options = f"train --data {tmp_path}/book.txt {SMALL} --max-tokens 20 --epochs 1 --lr 1e-9 --keep-best"
    assert main(f"{options} --weights {shapes}/run --out {tmp_path}/run".split()) == 0
    (old, new) = (load_run(folder)[1].state_dict() for folder in (shapes / "run", tmp_path / "run"))
    fitting = [name for name in new if name in old and old[name].shape == new[name].shape]
    assert 0 < len(fitting) < len(new)
    assert all(torch.allclose(old[name], new[name], atol=1e-6) for name in fitting)
    told = f"{len(fitting)} of the {len(new)} tensors of the model begin as in {shapes}/run, the others anew\n"
    assert capsys.readouterr().out.count(told) == 1


def test_weights_that_do_not_fit_or_are_not_there(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = f"train --data {shapes}/data {SMALL} --out {tmp_path}/run"
    assert "has no weights to begin from" in refused(f"{base} --weights {tmp_path}/nowhere", capsys)
    sentence = refused(f"{base} --weights {shapes}/run --dim 8", capsys)
    assert f"no weight along depth in {shapes}/run fits this model: give the model the kind and the sizes" in sentence
    assert not (tmp_path / "run").exists()
    assert "keep_best needs a validation split" in refused(f"train --keep-best {SMALL} --out {tmp_path}/run", capsys)
    assert "there is no run in" in refused(f"train --resume {tmp_path}/nowhere", capsys)
    assert not (tmp_path / "nowhere").exists()


def test_weights_are_exported_and_come_back(shapes: Path, tmp_path: Path) -> None:
    assert main(f"export {shapes}/run --out {tmp_path}/out".split()) == 0
    run, model = load(shapes / "run"), ViT.from_pretrained(tmp_path / "out")
    images = torch.rand(3, 3, 24, 24)
    with torch.inference_mode():
        assert torch.equal(model(images), run.model(images))
    card = (tmp_path / "out" / "README.md").read_text()
    for words in ("library_name: odelib", "disc, square", run.data["checksum"], "ViT.from_pretrained", "chosen by the"):
        assert words in card


def test_the_whole_computation_is_exported_for_any_batch(shapes: Path, tmp_path: Path) -> None:
    assert main(f"export {shapes}/run --to torch --out {tmp_path}/out".split()) == 0
    images = torch.rand(5, 3, 24, 24)
    with torch.no_grad():
        found = torch.export.load(tmp_path / "out" / "model.pt2").module()(images)
        torch.testing.assert_close(found, load(shapes / "run").model(images))


@pytest.mark.slow
def test_onnx_gives_the_same_numbers(shapes: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    assert main(f"export {shapes}/run --to onnx --out {tmp_path}/out".split()) == 0
    images = torch.rand(5, 3, 24, 24)
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    (found,) = session.run(None, {"inputs": images.numpy()})
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(found), load(shapes / "run").model(images), atol=1e-4, rtol=1e-4)


def test_steps_chosen_by_the_error_cannot_be_exported(
    shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = f"train --data {shapes}/data {SMALL} --epochs 1 --step-rule tsit5 --tolerance 0.1 --out {tmp_path}/run"
    assert main(options.split()) == 0
    capsys.readouterr()
    assert "chooses its steps by the error" in refused(f"export {tmp_path}/run --to torch", capsys)
    assert "unknown format 'onx': the nearest valid name is 'onnx'" in refused(
        f"export {tmp_path}/run --to onx", capsys
    )


def test_the_report_of_a_run_has_curves_and_a_confusion_matrix(
    shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"report {shapes}/run".split()) == 0
    text = (shapes / "run" / "report" / "report.md").read_text()
    assert "which the validation split chose" in text
    for name in ("loss.svg", "accuracy.svg", "confusion.svg"):
        assert name in text
        assert (shapes / "run" / "report" / name).stat().st_size > 1000


def test_data_given_in_python_are_recorded_as_what_they_are(
    data: ImageData, still: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(replace(still, data="fashion-mnist-subset"), tmp_path, data=data, progress=False)
    run = load(tmp_path)
    assert run.config.data == run.data["name"] == "stripes"
    assert run.classes == data.classes
    assert "the data 'stripes' of the run in" in refused(f"evaluate {tmp_path}", capsys)


def test_a_run_without_kept_data_still_loads(tmp_path: Path) -> None:
    tiny = "train --train-images 60 --epochs 1 --warmup-epochs 0 --dim 8 --num-heads 2 --intervals 1 --device cpu"
    assert main([*tiny.split(), "--out", str(tmp_path / "run")]) == 0
    (tmp_path / "run" / "data.json").unlink()  # as version 0.1 left it
    assert load(tmp_path / "run").classes[0] == "T-shirt/top"
    assert main(["evaluate", str(tmp_path / "run"), "--device", "cpu"]) == 0


def test_damage_is_found_wherever_it_is(shapes: Path, tmp_path: Path) -> None:
    whole = bytearray((shapes / "run" / CHECKPOINT).read_bytes())
    middle = len(whole) // 2
    for k in range(middle, middle + 100):
        whole[k] ^= 0xFF
    (tmp_path / CHECKPOINT).write_bytes(whole)
    with pytest.raises(CheckpointError, match="is corrupt or cut short"):
        load(tmp_path)
    (tmp_path / CHECKPOINT).write_bytes((shapes / "run" / CHECKPOINT).read_bytes())
    (tmp_path / "data.json").write_text('{"name": "x"}')
    with pytest.raises(CheckpointError, match=r"data.json is damaged"):
        load(tmp_path)


def test_texts_are_classified_and_a_book_is_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tokenizers")
    rows = [f"I {word} it {k},{label}\n" for word, label in (("love", "good"), ("hate", "bad")) for k in range(20)]
    (tmp_path / "table.csv").write_text("text,label\n" + "".join(rows))
    options = f"train --data {tmp_path}/table.csv --subwords 270 {SMALL} --epochs 10 --out {tmp_path}/texts"
    assert main(options.split()) == 0
    assert "training on table (own texts with labels); run folder" in capsys.readouterr().out
    assert main(f"export {tmp_path}/texts --out {tmp_path}/out".split()) == 0
    assert "**Data**: table (own texts with labels), SHA-256" in (tmp_path / "out/README.md").read_text()
    assert str(tmp_path) not in (tmp_path / "out/README.md").read_text() + (tmp_path / "out/config.json").read_text()
    capsys.readouterr()
    assert main(["predict", f"{tmp_path}/texts", "I love it", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("I love it: good 0.")
    assert "and the model has positions for" in refused(f"predict {tmp_path}/texts {'love' * 50}", capsys)
    for path, what in ((tmp_path, "folder"), (tmp_path / "table.csv", "file")):
        sentence = refused(f"predict {tmp_path}/texts {path}", capsys)
        assert f"'{path}' is a {what}, and this model reads texts: give the text itself" in sentence
    with pytest.raises(ValueError, match="and this model reads texts"):
        load(tmp_path / "texts").predict([tmp_path])
    monkeypatch.chdir(tmp_path)  # the name of a folder is a text nevertheless, if it is said to be
    Path("it").mkdir()
    assert "if 'it' is the text, put a space behind it" in refused("predict texts it", capsys)
    assert main(["predict", "texts", "it ", "--device", "cpu"]) == 0
    assert load("texts").predict("it")[0].input == "it"
    (tmp_path / "book.txt").write_text("abcdefghij" * 200)
    sentence = refused(f"train --data {tmp_path}/book.txt {SMALL} --out {tmp_path}/long", capsys)
    assert sentence.endswith("give a longer text, or windows of at most 99 (--max-tokens 99)")
    options = f"train --data {tmp_path}/book.txt {SMALL} --max-tokens 20 --epochs 10 --lr 1e-2 --out {tmp_path}/book"
    assert main(options.split()) == 0
    capsys.readouterr()
    assert main(["predict", f"{tmp_path}/book", "abc", "--length", "7", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.strip() == "abcdefghij"
    assert "is not in the vocabulary" in refused(f"predict {tmp_path}/book ABC", capsys)
    assert "this model reads texts" in refused(f"predict {tmp_path}/book {tmp_path}/book.txt", capsys)
    assert load(tmp_path / "book").data["note"] == "own text"


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("odelib 0.")
