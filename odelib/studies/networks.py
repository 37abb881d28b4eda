"""What a pretrained network is measured by: requests, hidden tokens, next tokens. Nothing is refitted after surgery."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from odelib.data import DataError, IntentData, Vocabulary, buckets, pad, windows
from odelib.models import CausalLM, Encoder

_BATCH = 100
_RIDGE = 1.0
_TEMPERATURE = 0.05
HIDDEN = 0.15
"""Share of the tokens of a text that are hidden, as in BERT's training."""


@dataclass(frozen=True)
class Reading:
    """What a network made of each test item.

    Attributes:
        sums: By name, the sum over the places of each item: hits, or losses in nats; shape (items,).
        answers: Its answer at each place, one item after the other.
    """

    sums: dict[str, Float[np.ndarray, " items"]]
    answers: Shaped[np.ndarray, " all_places"]


class Task:
    """Test items, and a way to read a network's answers off.

    Attributes:
        places: How many answers there are to each item, (items,).
        tokens: The tokens of each item.
    """

    places: Float[np.ndarray, " items"]
    tokens: list[list[int]]

    def read(self, model: nn.Module) -> Reading:
        """Measure a network, the one that the task was made for or one that has been operated on."""
        raise NotImplementedError(
            f"{type(self).__name__} measures nothing: define read(model), which returns a Reading"
        )

    def loss(self, model: nn.Module, items: Sequence[int]) -> Float[Tensor, ""]:
        """Return the mean loss over the places of some items, by which scalars can be fitted: it has gradients."""
        raise NotImplementedError(f"{type(self).__name__} has no loss: define loss(model, items), a scalar")

    def sample(self, items: int) -> Tensor:
        """Return the inputs of a few items of one length, the commonest, so that none is padded."""
        common = Counter(map(len, self.tokens)).most_common(1)[0][0]
        return torch.tensor([row for row in self.tokens if len(row) == common][:items])


class Requests(Task):
    """Intents of requests, read off the normalised mean of an encoder's states by what was fitted to it as trained.

    Readings: "class mean", the nearest mean of the training requests of an intent; "probe", a linear map (ridge
    regression on the intents); "neighbour", the intent of the nearest training request.

    Args:
        model: The network as trained.
        vocabulary: Its vocabulary.
        data: The requests.
        items: How many test requests, drawn with a fixed seed; None: all.
        train: How many training requests of each intent the readings are fitted to, from the first on; None: all.

    Raises:
        DataError: The requests are not of the vocabulary.
    """

    def __init__(
        self,
        model: Encoder,
        vocabulary: Vocabulary,
        data: IntentData,
        items: int | None = None,
        train: int | None = None,
    ) -> None:
        self._pad, longest = vocabulary.pad, model.config.max_tokens
        chosen = _draw(len(data.test_texts), items)
        self.tokens = vocabulary.encode([data.test_texts[i] for i in chosen], longest)
        self._labels = data.test_labels[torch.tensor(chosen)]
        self.places = np.ones(len(chosen))
        counts = [0] * len(data.classes)
        kept = []
        for i, label in enumerate(data.train_labels.tolist()):
            counts[label] += 1
            if train is None or counts[label] <= train:
                kept.append(i)
        self._train_labels = data.train_labels[torch.tensor(kept)]
        x = self._embed(model, vocabulary.encode([data.train_texts[i] for i in kept], longest))
        one_hot = F.one_hot(self._train_labels, len(data.classes)).to(x.dtype)
        self._means = F.normalize(one_hot.T @ x, dim=1)
        self._known = x
        with_one = F.pad(x, (0, 1), value=1.0)
        gram = with_one.T @ with_one + _RIDGE * torch.eye(with_one.shape[1])
        self._probe = torch.linalg.solve(gram, with_one.T @ one_hot)

    def read(self, model: nn.Module) -> Reading:
        """Measure a network."""
        x = self._embed(model, self.tokens)
        given = {
            "class mean": (x @ self._means.T).argmax(dim=1),
            "probe": (x @ self._probe[:-1] + self._probe[-1]).argmax(dim=1),
            "neighbour": self._train_labels[(x @ self._known.T).argmax(dim=1)],
        }
        sums = {name: (answers == self._labels).numpy().astype(np.float64) for name, answers in given.items()}
        return Reading(sums, given["class mean"].numpy())

    def loss(self, model: nn.Module, items: Sequence[int]) -> Float[Tensor, ""]:
        """Return the cross-entropy of the cosines to the class means, at a temperature of 0.05."""
        x = _pooled(model, *_padded([self.tokens[i] for i in items], self._pad))
        return F.cross_entropy(x @ self._means.T / _TEMPERATURE, self._labels[torch.tensor(items)])

    @torch.inference_mode()
    def _embed(self, model: nn.Module, tokens: list[list[int]]) -> Float[Tensor, "items dim"]:
        means: dict[int, Tensor] = {}
        for part, batch, mask in _batches(tokens, self._pad):
            means |= dict(zip(part, _pooled(model, batch, mask), strict=True))
        return torch.stack([means[i] for i in range(len(tokens))])


class HiddenTokens(Task):
    """Tokens of texts that are hidden from an encoder with a head, which guesses them from the rest.

    Readings: "accuracy" and "loss" (nats), over the hidden tokens.

    Args:
        model: The network as trained.
        vocabulary: Its vocabulary.
        texts: The texts.
        items: How many, drawn with a fixed seed; None: all.

    Raises:
        DataError: The network cannot guess, or the texts are not of the vocabulary.
    """

    def __init__(self, model: Encoder, vocabulary: Vocabulary, texts: Sequence[str], items: int | None = None) -> None:
        if model.head is None:
            raise DataError("this network has no head that guesses hidden tokens: measure it on data of another kind")
        self._pad, generator = vocabulary.pad, torch.Generator().manual_seed(0)
        self.tokens = vocabulary.encode([texts[i] for i in _draw(len(texts), items)], model.config.max_tokens)
        self._hidden: list[Int64[Tensor, " hidden"]] = []
        self._shown: list[list[int]] = []
        for row in self.tokens:
            count = max(1, round(HIDDEN * (len(row) - 2)))
            hidden = torch.randperm(len(row) - 2, generator=generator)[:count].sort().values + 1
            self._hidden.append(hidden)
            self._shown.append([vocabulary.mask if i in set(hidden.tolist()) else n for i, n in enumerate(row)])
        self.places = np.array([len(hidden) for hidden in self._hidden], dtype=np.float64)

    @torch.inference_mode()
    def read(self, model: nn.Module) -> Reading:
        """Measure a network."""
        count = len(self.tokens)
        hits, losses, answers = np.zeros(count), np.zeros(count), [np.zeros(0)] * count
        for part, batch, mask in _batches(self._shown, self._pad):
            states = model(batch, mask)
            for row, i in enumerate(part):
                logits = model.logits(states[row : row + 1, self._hidden[i]])[0]  # type: ignore[operator]
                right = torch.tensor(self.tokens[i])[self._hidden[i]]
                hits[i], losses[i], answers[i] = _score(logits, right)
        return Reading({"accuracy": hits, "loss": losses}, np.concatenate(answers))

    def loss(self, model: nn.Module, items: Sequence[int]) -> Float[Tensor, ""]:
        """Return the mean loss over the hidden tokens of some texts, in nats."""
        states = model(*_padded([self._shown[i] for i in items], self._pad))
        hidden = torch.cat([states[row, self._hidden[i]] for row, i in enumerate(items)])
        right = torch.cat([torch.tensor(self.tokens[i])[self._hidden[i]] for i in items])
        return F.cross_entropy(model.logits(hidden[None])[0], right)  # type: ignore[operator]


class NextTokens(Task):
    """The next token of a text at each place, by a causal model; an item is a window of the text.

    Readings: "accuracy" and "loss" (nats).

    Args:
        model: The network as trained.
        numbers: The text as tokens.
        items: How many windows, drawn with a fixed seed; None: all.

    Raises:
        ValueError: The text is shorter than a window.
    """

    def __init__(self, model: CausalLM, numbers: Int64[Tensor, " length"], items: int | None = None) -> None:
        inputs, targets = windows(numbers, min(model.config.max_tokens, 128))
        chosen = torch.tensor(_draw(len(inputs), items))
        self._inputs, self._targets = inputs[chosen], targets[chosen]
        self.tokens = self._inputs.tolist()
        self.places = np.full(len(chosen), float(inputs.shape[1]))

    @torch.inference_mode()
    def read(self, model: nn.Module) -> Reading:
        """Measure a network."""
        scored = []
        for part, right in zip(torch.split(self._inputs, _BATCH), torch.split(self._targets, _BATCH), strict=True):
            scored += [_score(one, other) for one, other in zip(model(part), right, strict=True)]
        hits, losses, answers = zip(*scored, strict=True)
        return Reading({"accuracy": np.array(hits), "loss": np.array(losses)}, np.concatenate(answers))

    def loss(self, model: nn.Module, items: Sequence[int]) -> Float[Tensor, ""]:
        """Return the mean loss over the tokens of some windows, in nats."""
        chosen = torch.tensor(items)
        return F.cross_entropy(model(self._inputs[chosen]).flatten(0, 1), self._targets[chosen].flatten())


def _score(
    logits: Float[Tensor, "places vocab"], right: Int64[Tensor, " places"]
) -> tuple[float, float, Shaped[np.ndarray, " places"]]:
    answers = logits.argmax(dim=1)
    loss = F.cross_entropy(logits.double(), right, reduction="sum")
    return float((answers == right).sum()), float(loss), answers.numpy()


def _draw(count: int, items: int | None) -> list[int]:
    """Which of ``count`` items are measured: fewer ones are among more."""
    order: list[int] = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    return order[:items]


def _batches(
    tokens: Sequence[Sequence[int]], value: int
) -> Iterator[tuple[list[int], Int64[Tensor, "batch longest"], Shaped[Tensor, "batch longest"]]]:
    """Batches of texts of nearly equal length: which they are, their tokens, and where a token is no padding."""
    for part in buckets(torch.tensor([[len(row)] for row in tokens]), _BATCH):
        yield part.tolist(), *_padded([tokens[i] for i in part.tolist()], value)


def _padded(
    rows: Sequence[Sequence[int]], value: int
) -> tuple[Int64[Tensor, "batch longest"], Shaped[Tensor, "batch longest"]]:
    return pad(rows, value), torch.arange(max(map(len, rows))) < torch.tensor([[len(row)] for row in rows])


def _pooled(
    model: nn.Module, batch: Int64[Tensor, "batch longest"], mask: Shaped[Tensor, "batch longest"]
) -> Float[Tensor, "batch dim"]:
    """The normalised mean of an encoder's states."""
    x = model(batch, mask)
    return F.normalize((x * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True), dim=1)
