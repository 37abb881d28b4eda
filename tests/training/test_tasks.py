"""Tasks as batches: what they show, that they are trained by the one loop, and that they are measured right."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from odelib.data import END, PAD, START, CharacterData, Characters, ImageData, IntentData, Subwords, TranslationData
from odelib.training import (
    IGNORED,
    Batch,
    Runtime,
    Task,
    TrainConfig,
    character_task,
    evaluate,
    image_task,
    intent_task,
    load_checkpoint,
    loop,
    measure,
    read_metrics,
    translation_task,
    translations,
)
from odelib.training.run import fit_task
from odelib.training.tasks import TrainingSet, hits_of, loss_of

CPU = Runtime.choose("cpu")
NOUNS = {"Hund": "dog", "Katze": "cat", "Maus": "mouse", "Kuh": "cow"}
PAIRS = [("die " * times + de, "the " * times + en) for times in range(1, 7) for de, en in NOUNS.items()]


@pytest.fixture(scope="module")
def subwords() -> Subwords:
    return Subwords.train([text for pair in PAIRS for text in pair], 275)


@pytest.fixture
def recipe() -> TrainConfig:
    return TrainConfig(
        data="made up", epochs=3, batch_size=5, eval_batch_size=4, lr=1e-2, label_smoothing=0.0, device="cpu"
    )


@pytest.fixture
def characters() -> CharacterData:
    vocabulary = Characters("abcdefg")
    numbers = vocabulary.encode("abcdefg" * 60)
    return CharacterData("alphabet", vocabulary, numbers[:300], numbers[300:360], numbers[360:])


@pytest.fixture
def intents() -> IntentData:
    labels = torch.arange(len(PAIRS)) % len(NOUNS)
    texts = tuple(de for de, _ in PAIRS)
    return IntentData("nouns", texts, labels, texts[:5], labels[:5], texts[5:16], labels[5:16], tuple(NOUNS), ())


@pytest.fixture
def translation() -> TranslationData:
    source, target = (tuple(side) for side in zip(*PAIRS, strict=True))
    return TranslationData("nouns", ("de", "en"), source, target, source[:5], target[:5], source[5:16], target[5:16])


class Successor(nn.Module):
    """Guesses the character after each from that character alone."""

    nfe = 1

    def __init__(self, size: int) -> None:
        super().__init__()
        self.table = nn.Embedding(size, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x)


class Bag(nn.Module):
    """Guesses the class from the subwords that are not masked, in any order."""

    nfe = 1

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.table = nn.Embedding(size, classes)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return F.dropout(self.table(tokens) * mask[..., None], 0.1, self.training).sum(1)


class Glossary(nn.Module):
    """Guesses the next subword from the one before and from all of the source."""

    nfe = 1

    def __init__(self, size: int) -> None:
        super().__init__()
        self.source, self.target = nn.Embedding(size, size), nn.Embedding(size, size)

    def forward(self, source: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        return self.target(target) + (self.source(source) * mask[..., None]).sum(1, keepdim=True)


def same_batch(a: Batch, b: Batch) -> bool:
    return all(map(torch.equal, (*a.inputs, a.targets), (*b.inputs, b.targets))) and a.count == b.count


def consistent(task: Task) -> bool:
    """Whether what the task says of its batches is true of them."""
    batches = list(task.epoch(0))
    return (
        len(batches) == task.steps
        and sum(batch.count for batch in batches) == task.count
        and all(batch.count == (batch.targets != IGNORED).sum() for batch in [*batches, *task.test()])
        and all(map(same_batch, task.epoch(1), task.epoch(1)))
        and not all(map(same_batch, task.epoch(0), task.epoch(1)))
        and all(map(same_batch, task.test(), task.test()))
    )


# Loss and hits


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.floats(0, 0.5))
def test_only_places_with_a_target_count(wanted: list[bool], smoothing: float) -> None:
    generator = torch.Generator().manual_seed(len(wanted))
    logits = torch.randn(1, len(wanted), 5, generator=generator, requires_grad=True)
    classes = torch.randint(5, (1, len(wanted)), generator=generator)
    keep = torch.tensor([wanted])
    targets = classes.masked_fill(~keep, IGNORED)
    assert hits_of(logits, targets) == (logits.argmax(-1) == classes)[keep].sum()
    total = loss_of(logits, targets, label_smoothing=smoothing, reduction="sum")
    probabilities = F.one_hot(classes, 5) * (1 - smoothing) + smoothing / 5
    by_hand = -(probabilities * logits.log_softmax(-1)).sum(-1)[keep]
    torch.testing.assert_close(total, by_hand.sum(), atol=1e-5, rtol=1e-5)
    total.backward()
    assert (logits.grad[~keep] == 0).all()
    if any(wanted):
        torch.testing.assert_close(loss_of(logits, targets, label_smoothing=smoothing), by_hand.mean())


# Batches


def test_images_come_as_from_the_training_set(data: ImageData, config: TrainConfig) -> None:
    task = image_task(data, config, CPU)
    assert consistent(task)
    assert (task.unit, task.count, task.steps) == ("images", 48, 5)
    for batch, (images, labels) in zip(task.epoch(1), TrainingSet(data, config, CPU).epoch(1), strict=True):
        assert same_batch(batch, Batch((images,), labels, len(labels)))
    assert task.sizes == {"image_size": 8, "in_channels": 1, "num_classes": 3}


@pytest.mark.parametrize("width", [1, 7, 30])
def test_characters_are_shown_once_and_followed_by_the_next(
    characters: CharacterData, recipe: TrainConfig, width: int
) -> None:
    # A text of different numbers, so that each place is known by what stands there.
    many = Characters("".join(map(chr, range(300))))
    data = dataclasses.replace(characters, vocabulary=many, train=torch.arange(300), test=torch.arange(61))
    task = character_task(data, recipe, CPU, width=width)
    assert task.count > 300 - 2 * width
    for number in range(3):
        batches = list(task.epoch(number))
        shown = torch.cat([batch.inputs[0] for batch in batches])
        assert shown.shape[1] == width
        assert len(shown.unique()) == shown.numel() == task.count
        assert all(torch.equal(batch.targets, batch.inputs[0] + 1) for batch in batches)
    assert torch.cat([batch.inputs[0].flatten() for batch in task.test()]).tolist() == list(range(60 // width * width))
    starts = {int(next(task.epoch(number)).inputs[0].min() % width) for number in range(40)}
    assert len(starts) > 0.6 * width


def test_character_task(characters: CharacterData, recipe: TrainConfig) -> None:
    task = character_task(characters, recipe, CPU, width=10)
    assert consistent(task)
    assert task.sizes == {"vocab_size": 7, "max_tokens": 10}
    assert task.validation is None
    validated = character_task(characters, replace(recipe, keep_best=True), CPU, width=10)
    assert sum(batch.count for batch in validated.validation()) == 50
    few = character_task(characters, replace(recipe, train_images=100), CPU, width=10)
    assert few.count == 90
    sentence = "max_tokens is 10, but alphabet has 9 characters to learn from, 60 of the test split: give a longer text"
    with pytest.raises(ValueError, match=rf"{sentence}, or windows of at most 4 \(--max-tokens 4\)"):
        character_task(characters, replace(recipe, train_images=9), CPU, width=10)
    with pytest.raises(ValueError, match=r"or windows of at most 59 \(--max-tokens 59\)"):
        character_task(characters, recipe, CPU, width=60)
    assert character_task(characters, recipe, CPU, width=59).count > 0


def test_each_request_is_shown_once_with_its_class(
    intents: IntentData, subwords: Subwords, recipe: TrainConfig
) -> None:
    task = intent_task(intents, subwords, recipe, CPU)
    assert consistent(task)
    assert (task.unit, task.count) == ("requests", 24)
    for batches, texts, labels in (
        (task.epoch(0), intents.train_texts, intents.train_labels),
        (task.test(), intents.test_texts, intents.test_labels),
    ):
        shown = []
        for batch in batches:
            tokens, mask = batch.inputs
            assert torch.equal(mask, tokens != PAD)
            assert mask.any(0).all()  # no column of padding alone
            assert (tokens == END).sum(1).tolist() == [1] * len(tokens)
            shown += [(subwords.decode(row), k) for row, k in zip(tokens.tolist(), batch.targets.tolist(), strict=True)]
        assert sorted(shown) == sorted(zip(texts, labels.tolist(), strict=True))
    assert task.sizes["num_classes"] == 4
    assert task.sizes["max_tokens"] == max(len(numbers) + 1 for numbers in subwords.encode(intents.train_texts))


def test_each_pair_is_shown_once_with_the_target_moved_on_by_one(
    translation: TranslationData, subwords: Subwords, recipe: TrainConfig
) -> None:
    task = translation_task(translation, subwords, recipe, CPU)
    assert consistent(task)
    for batches, pairs in (
        (task.epoch(0), zip(translation.train_source, translation.train_target, strict=True)),
        (task.test(), zip(translation.test_source, translation.test_target, strict=True)),
    ):
        shown = []
        for batch in batches:
            source, target, mask = batch.inputs
            assert torch.equal(mask, source != PAD)
            assert (target[:, 0] == START).all()
            wanted = batch.targets != IGNORED
            assert torch.equal(target[:, 1:][wanted[:, 1:]], batch.targets[:, :-1][wanted[:, 1:]])
            assert (batch.targets == END).sum(1).tolist() == [1] * len(target)
            rows = zip(source.tolist(), batch.targets.tolist(), strict=True)
            shown += [(subwords.decode(a), subwords.decode([n for n in b if n != IGNORED])) for a, b in rows]
        assert sorted(shown) == sorted(pairs)
    spread = [batch.targets.ne(IGNORED).sum(1).tolist() for batch in task.epoch(0)]
    assert sum(max(row) * len(row) for row in spread) < 1.2 * task.count
    assert task.sizes == {
        "vocab_size": 275,
        "max_tokens": max(len(n) + 1 for n in subwords.encode(translation.train_source)),
    }


@pytest.mark.parametrize("make", [intent_task, translation_task])
def test_more_items_than_there_are_is_refused(
    intents: IntentData,
    translation: TranslationData,
    subwords: Subwords,
    recipe: TrainConfig,
    make: Callable[..., Task],
) -> None:
    data = intents if make is intent_task else translation
    assert make(data, subwords, replace(recipe, train_images=6), CPU).steps == 2
    with pytest.raises(ValueError, match="train_images is 25, but nouns has 24: ask for at most so many"):
        make(data, subwords, replace(recipe, train_images=25), CPU)


@pytest.mark.gpu
def test_batches_do_not_depend_on_the_device(
    characters: CharacterData,
    intents: IntentData,
    translation: TranslationData,
    subwords: Subwords,
    recipe: TrainConfig,
) -> None:
    cuda = Runtime.choose("cuda")
    for make in (
        lambda runtime: character_task(characters, recipe, runtime, width=10),
        lambda runtime: intent_task(intents, subwords, recipe, runtime),
        lambda runtime: translation_task(translation, subwords, recipe, runtime),
    ):
        for there, here in zip(make(cuda).epoch(0), make(CPU).epoch(0), strict=True):
            tensors = (*there.inputs, there.targets)
            assert all(tensor.is_cuda for tensor in tensors)
            assert all(map(torch.equal, [tensor.cpu() for tensor in tensors], (*here.inputs, here.targets)))
            assert there.count == here.count


# Training and measuring


@pytest.fixture
def runs(
    characters: CharacterData,
    intents: IntentData,
    translation: TranslationData,
    subwords: Subwords,
    recipe: TrainConfig,
) -> dict[str, tuple[Task, Callable[[], nn.Module]]]:
    """A task of each kind, and a model that can learn it."""
    return {
        "characters": (character_task(characters, recipe, CPU, width=10), lambda: Successor(7)),
        "intents": (intent_task(intents, subwords, recipe, CPU), lambda: Bag(subwords.size, 4)),
        "translation": (translation_task(translation, subwords, recipe, CPU), lambda: Glossary(subwords.size)),
    }


KINDS = ("characters", "intents", "translation")


@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_learns_each_kind(
    runs: dict[str, tuple[Task, Callable[[], nn.Module]]], recipe: TrainConfig, tmp_path: Path, kind: str
) -> None:
    task, build = runs[kind]
    result = fit_task(
        replace(recipe, epochs=30, lr=0.1, checkpoint_every=30), task, build, tmp_path, runtime=CPU, progress=False
    )
    first, last = result.history[0], result.history[-1]
    assert last.train_loss < 0.5 * first.train_loss
    assert last.test_accuracy > 0.85
    assert last.step == 30 * task.steps
    assert measure(result.model, task.test(), runtime=CPU) == (last.test_loss, last.test_accuracy)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_run_of_each_kind_resumes_bit_for_bit(
    runs: dict[str, tuple[Task, Callable[[], nn.Module]]],
    recipe: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    task, build = runs[kind]
    straight = fit_task(recipe, task, build, tmp_path / "straight", runtime=CPU, progress=False)
    calls = iter(range(1, 100))

    def interrupted(*args: object, **options: object) -> object:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return measure(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "measure", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_task(recipe, task, build, tmp_path / "stopped", runtime=CPU, progress=False)
    assert load_checkpoint(tmp_path / "stopped").epoch == 1
    resumed = fit_task(recipe, task, build, tmp_path / "stopped", runtime=CPU, resume=True, progress=False)
    for a, b in zip(resumed.model.parameters(), straight.model.parameters(), strict=True):
        assert torch.equal(a, b)
    clock = {"seconds": 0.0, "images_per_second": 0.0}
    again, once = (read_metrics(tmp_path / name)[1] for name in ("stopped", "straight"))
    assert [replace(epoch, **clock) for epoch in again] == [replace(epoch, **clock) for epoch in once]


def test_the_progress_line_names_the_unit(
    runs: dict[str, tuple[Task, Callable[[], nn.Module]]],
    recipe: TrainConfig,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task, build = runs["characters"]
    fit_task(recipe, task, build, tmp_path, runtime=CPU)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.endswith(" characters/s") for line in lines)


def test_measuring_is_the_mean_over_all_targets_and_keeps_the_mode(
    runs: dict[str, tuple[Task, Callable[[], nn.Module]]],
) -> None:
    task, build = runs["translation"]
    model = build().train()
    loss, accuracy = measure(model, task.test(), runtime=CPU)
    assert model.training
    losses, hits = [], []
    for batch in task.test():
        logits = model(*batch.inputs)
        keep = batch.targets != IGNORED
        losses.append(F.cross_entropy(logits[keep], batch.targets[keep], reduction="none"))
        hits.append(logits[keep].argmax(-1) == batch.targets[keep])
    assert loss == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)
    assert accuracy == pytest.approx(torch.cat(hits).double().mean().item())


def test_translations_come_in_the_order_of_the_sentences(subwords: Subwords) -> None:
    sizes = []

    def repeat(tokens: Tensor, mask: Tensor) -> Tensor:
        """Write START, the source itself, END, and then what must not be read."""
        sizes.append(len(tokens))
        assert torch.equal(mask, tokens != PAD)
        start = torch.full_like(tokens[:, :1], START)
        return torch.cat((start, tokens.masked_fill(~mask, END), torch.full_like(start, 17)), dim=1)

    sentences = [de for de, _ in PAIRS] + ["", "Öl"]
    assert translations(repeat, sentences, subwords, CPU, batch_size=7) == sentences
    assert sizes == [7, 7, 7, 5]


def test_evaluate_measures_the_task_of_the_images(data: ImageData, config: TrainConfig) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    task = image_task(data, replace(config, eval_batch_size=7), CPU)
    assert evaluate(model, data, runtime=CPU, batch_size=7) == measure(model, task.test(), runtime=CPU)
