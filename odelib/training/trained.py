"""Trained models: brought back from a folder, asked for answers, begun from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from odelib.data import END, PAD, START, DataError
from odelib.data.load import load_data
from odelib.data.pictures import PictureError, listed, pictures_in, refusal
from odelib.data.processors import (
    CharacterProcessor,
    ImageProcessor,
    Processor,
    TextProcessor,
    from_dict,
    processor_of,
)
from odelib.errors import CheckpointError
from odelib.layers import DepthBlock
from odelib.models.storage import load_pretrained
from odelib.training.checkpoint import BEST, load_checkpoint
from odelib.training.config import TrainConfig, build_model

DATA = "data.json"
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Prediction:
    """What a model answers to one input."""

    input: str
    """The path, or the text."""
    answer: str
    """The class, the continued text, or the translation."""
    probabilities: dict[str, float]
    """Probability of each class, the largest first; empty where there are no classes."""


@dataclass(frozen=True)
class Trained:
    """A trained model with what it needs to answer raw inputs."""

    config: TrainConfig
    """The run that it comes from."""
    model: nn.Module
    """The model, in evaluation mode."""
    folder: Path
    """Its run folder."""
    data: dict[str, Any]
    """What the folder keeps of the data: name, checksum, note and processor; empty for a run of version 0.1."""

    @cached_property
    def processor(self) -> Processor:
        """How raw inputs become the model's; a run of version 0.1 has none, and its data are loaded for it."""
        if self.data:
            return from_dict(self.data["processor"])
        return processor_of(load_data(self.config.data), self.config.subwords)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; empty where there are none."""
        return tuple(getattr(self.processor, "classes", ()))

    def predict(
        self,
        inputs: str | Path | Sequence[str | Path],
        *,
        length: int = 200,
        temperature: float = 0.0,
        seed: int = 0,
        skipped: list[PictureError] | None = None,
    ) -> list[Prediction]:
        """Answer raw inputs.

        Args:
            inputs: Paths of pictures or of folders of such, for a model of images; for one of texts, texts, each a str.
            length: Most characters to continue a text by.
            temperature: Of the continuation: 0 takes the most probable character each time.
            seed: Of the continuation's draws.
            skipped: Gets the error of each picture that cannot be read, and it is left out; None: it is refused.

        Returns:
            One prediction per picture or text, in their order.

        Raises:
            ValueError: An input is of the wrong kind, or longer than the model's positions.
            DataError: A picture cannot be read, or none can.
        """
        given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
        if not given:
            raise ValueError("there is no input: give a picture, a folder or a text")
        if isinstance(self.processor, ImageProcessor):
            return self._pictures(given, self.processor, skipped)
        texts = [_text(each) for each in given]
        if isinstance(self.processor, CharacterProcessor):
            return [self._continued(text, self.processor, length, temperature, seed) for text in texts]
        limit = int(cast(Any, self.config.model).max_tokens)
        tokens = self.processor.encode(texts, limit).to(self.device)
        if isinstance(self.processor, TextProcessor):
            with torch.inference_mode():
                return self._classified(texts, self.model(tokens, tokens != PAD))
        model: Any = self.model
        with torch.inference_mode():
            written, _ = model.translate(tokens, tokens != PAD, start=START, end=END)
        return [
            Prediction(text, self.processor.subwords.decode(row), {})
            for text, row in zip(texts, written.tolist(), strict=True)
        ]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def _pictures(
        self, given: Sequence[str | Path], processor: ImageProcessor, skipped: list[PictureError] | None
    ) -> list[Prediction]:
        paths = [path for each in given for path in _picture_files(Path(each))]
        found: list[Prediction] = []
        bad: list[PictureError] = []
        for start in range(0, len(paths), 256):
            images = []
            for path in paths[start : start + 256]:
                try:
                    images.append((str(path), processor.read(path)))
                except PictureError as error:
                    bad.append(error)
            if not images or (bad and skipped is None):  # all that are bad are named, but none is answered any more
                continue
            names, pixels = zip(*images, strict=True)
            with torch.inference_mode():
                found += self._classified(names, self.model(processor.encode(torch.stack(pixels).to(self.device))))
        if bad and skipped is None:
            raise refusal(bad)
        if not found:
            raise DataError(f"there is no picture that can be read, but {listed(bad)}: give others")
        if skipped is not None:
            skipped += bad
        return found

    def _classified(self, names: Sequence[str], logits: Tensor) -> list[Prediction]:
        answers = []
        for name, row in zip(names, logits.float().softmax(dim=-1).cpu(), strict=True):
            order = row.argsort(descending=True).tolist()
            shares = {self.classes[k]: float(row[k]) for k in order}
            answers.append(Prediction(name, self.classes[order[0]], shares))
        return answers

    def _continued(
        self, text: str, processor: CharacterProcessor, length: int, temperature: float, seed: int
    ) -> Prediction:
        model: Any = self.model
        prompt = processor.vocabulary.encode(text)[None].to(self.device)
        room = int(model.config.max_tokens) - prompt.shape[1]
        if room < 1:
            raise ValueError(
                f"the text has {prompt.shape[1]} characters and the model has positions for {model.config.max_tokens}: "
                "shorten it"
            )
        generator = torch.Generator(self.device).manual_seed(seed)
        written = model.generate(prompt, min(length, room), temperature=temperature, generator=generator)
        return Prediction(text, processor.vocabulary.decode(written[0].cpu()), {})


def _text(given: str | Path) -> str:
    if isinstance(given, Path):
        raise ValueError(
            f"{str(given)!r} is a {'folder' if given.is_dir() else 'file'}, and this model reads texts: give the text "
            f'itself, that of a file by "$(cat FILE)", or, if {str(given)!r} is the text, put a space behind it'
        )
    if not given.strip():
        raise ValueError("a text is empty: write some words")
    return given


def _picture_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"{str(path)!r} is no picture and no folder: this model reads pictures, so give their paths")
    files = pictures_in(path)
    if not files:
        raise ValueError(f"the folder {path} has no pictures: give another one")
    return files


def load(folder: str | Path) -> Trained:
    """Bring back a trained model from its run folder, on the CPU, ready to predict.

    Raises:
        CheckpointError: The folder has no checkpoint, or one that cannot be used.
    """
    folder = Path(folder)
    config, model = load_run(folder)
    return Trained(config, model, folder, read_data(folder))


def load_run(folder: str | Path) -> tuple[TrainConfig, nn.Module]:
    """Bring back the model of a run folder as its last checkpoint has it, on the CPU, in evaluation mode.

    Where the run averages its weights, it is the averaged model, which the metrics are of; where it keeps the best
    epoch, the model of that.

    Raises:
        CheckpointError: The folder has no checkpoint, or one that cannot be used.
    """
    folder = Path(folder)
    last = load_checkpoint(folder)
    checkpoint = load_checkpoint(folder, BEST) if (folder / BEST).is_file() else last
    config = TrainConfig.from_dict(last.config)  # of the best epoch it may be older: shorter, or before the data moved
    with torch.random.fork_rng(devices=[]):  # the initial weights, drawn only to be replaced
        model = build_model(config.model)
    model.load_state_dict(checkpoint.model if checkpoint.average is None else averaged(checkpoint.average))
    return config, model.eval()


def read_data(folder: Path) -> dict[str, Any]:
    """What a run folder keeps of its data; empty for a run of version 0.1, which kept nothing.

    Raises:
        CheckpointError: It is damaged.
    """
    import json

    path = folder / DATA
    if not path.is_file():
        return {}
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        from_dict(values["processor"])
        return {key: values[key] for key in ("name", "checksum", "note", "processor")}
    except (ValueError, KeyError, TypeError, AttributeError, DataError) as error:
        raise CheckpointError(f"{path} is damaged ({error}): restore it from a copy, or train anew") from error


def averaged(state: Mapping[str, Any]) -> dict[str, Any]:
    """The model's own state in that of an ``AveragedModel`` around it."""
    prefix = "module."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def begin_from(model: Model, folder: str | None, *, tell: bool = False) -> Model:
    """Give a new model the weights of a trained one (fine-tuning); what has another shape or name stays as it is.

    Args:
        model: The new model; it is changed.
        folder: A run folder, or one of exported weights; None: nothing is done.
        tell: Print how many tensors fit.

    Raises:
        CheckpointError: The folder has no weights, or none of those along depth fit.
    """
    if folder is None:
        return model
    path = Path(folder)
    if (path / "checkpoint.pt").is_file():
        stored = load_run(path)[1].state_dict()
    else:
        try:
            stored = load_pretrained(path).state_dict()
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{folder} has no weights to begin from ({error}): give a run folder") from error
    own = model.state_dict()
    fitting = {name: tensor for name, tensor in stored.items() if name in own and own[name].shape == tensor.shape}
    fields = tuple(f"{name}.fields." for name, part in model.named_modules() if isinstance(part, DepthBlock))
    if not any(name.startswith(fields) for name in fitting):
        raise CheckpointError(
            f"no weight along depth in {folder} fits this model: give the model the kind and the sizes of that one "
            "(--dim, --mlp-ratio)"
        )
    if tell:
        anew = "" if len(fitting) == len(own) else ", the others anew"
        print(f"{len(fitting)} of the {len(own)} tensors of the model begin as in {folder}{anew}", flush=True)
    model.load_state_dict({**own, **fitting})
    return model
