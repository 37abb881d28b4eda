"""The command line: ``odelib train``, ``odelib evaluate`` and ``odelib info``."""

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import tyro

from odelib.data import DATA_SETS, DataError, ImageData, load_images
from odelib.data.describe import describe
from odelib.models import ViTConfig
from odelib.training import Runtime, TrainConfig, TrainingError, evaluate, fit, load_checkpoint, load_run
from odelib.training.loop import claim_folder

_DESCRIPTION = (
    "Transformers as differential equations. "
    "Start with `odelib train`: a parallel vision transformer on bundled images, minutes on a laptop."
)

# The two classes below declare the options that TrainConfig and ViTConfig declare. They differ in one thing:
# nothing is checked while the command line is still being read, since what the images say is not known yet.


@dataclass(frozen=True)
class _Model(ViTConfig):
    """The vision transformer: field, step rule and depth schedule. Image size, channels and classes are the data's."""

    image_size: tyro.conf.Suppress[int] = 0
    in_channels: tyro.conf.Suppress[int] = 0
    num_classes: tyro.conf.Suppress[int] = 0
    patch_size: int = 0
    """Side of a patch, in pixels; divides the image's side. 0: a quarter of that side, so 16 patches."""

    def __post_init__(self) -> None:
        """Leave the checks to ``_config``."""


@dataclass(frozen=True)
class _Run(TrainConfig):
    """Data, recipe and device."""

    model: _Model = field(default_factory=_Model)

    def __post_init__(self) -> None:
        """Leave the checks to ``_config``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; None takes those of the process.

    Returns:
        Exit code: 0 done, 2 bad input (one sentence on stderr), 130 stopped by Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            {"train": _Train, "evaluate": _Evaluate, "info": _Info},
            prog="odelib",
            description=_DESCRIPTION,
            args=arguments,
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except SystemExit as stop:  # tyro has printed help, or what it could not read and the nearest options
        return int(stop.code or 0)
    try:
        command.run(arguments)
    except (ValueError, DataError, TrainingError, OSError) as error:
        print(f"odelib: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"odelib: stopped; {command.after_stop(arguments)}", file=sys.stderr)
        return 130
    return 0


@dataclass(frozen=True)
class _Train:
    """Train an image classifier; prints the test accuracy and leaves a run folder."""

    config: _Run = field(default_factory=_Run)
    out: Path | None = None
    """Run folder. None: runs/<data>-<step rule>-seed<seed>."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on from the last checkpoint in the run folder."""

    @property
    def folder(self) -> Path:
        if self.out is not None:
            return self.out
        rule = re.sub(r"\W+", "-", self.config.model.step_rule).strip("-")
        return Path("runs") / f"{self.config.data}-{rule}-seed{self.config.seed}"

    def run(self, arguments: Sequence[str]) -> None:
        claim_folder(self.folder, resume=self.resume)
        data = load_images(self.config.data)
        config = _config(self.config, data)
        print(f"training on {data.name} ({data.note or 'official set'}); run folder {self.folder}")
        result = fit(config, data, self.folder, resume=self.resume)
        print(
            f"test accuracy {result.test_accuracy:.4f} after {config.epochs} epochs"
            f" in {result.seconds:.0f} seconds; run folder {self.folder}"
        )

    def after_stop(self, arguments: Sequence[str]) -> str:
        try:
            epoch = load_checkpoint(self.folder).epoch
        except TrainingError:
            return "no checkpoint was written yet, so start again"
        command = shlex.join(["odelib", *arguments, *([] if self.resume else ["--resume"])])
        return f"the checkpoint after epoch {epoch} is intact; go on with: {command}"


@dataclass(frozen=True)
class _Evaluate:
    """Measure a trained model on its test images, with its own step rule or another one on the same weights."""

    folder: tyro.conf.Positional[Path]
    """Run folder that `odelib train` left."""
    step_rule: str | None = None
    """Integrate the trained field by this rule instead. None: the rule it was trained with."""
    refine: int = 1
    """Take so many steps in place of each one, each smaller by the same factor."""
    device: str = "auto"
    """Where to compute: cpu, cuda, cuda:1, ..., or auto."""

    def run(self, arguments: Sequence[str]) -> None:
        config, model = load_run(self.folder)
        model.depth.swap(self.step_rule, refine=self.refine)
        runtime = Runtime.choose(self.device, config.precision)
        data = load_images(config.data)
        loss, accuracy = evaluate(model.to(runtime.device), data, runtime=runtime, batch_size=config.eval_batch_size)
        print(
            f"test accuracy {accuracy:.4f}, test loss {loss:.4f} nats on {len(data.test_labels)} images; "
            f"step rule {model.depth.rule.name}, {model.nfe:g} field evaluations"
        )

    def after_stop(self, arguments: Sequence[str]) -> str:
        return "nothing was changed"


@dataclass(frozen=True)
class _Info:
    """Say what there is: for each data set what it is, its sizes, licence, citation, address, and where it is here."""

    topic: tyro.conf.Positional[Literal["data"]]
    """What to tell about."""
    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Data sets, such as cifar10. None named: all of them."""

    def run(self, arguments: Sequence[str]) -> None:
        print("\n\n".join(describe(name) for name in self.names or DATA_SETS))

    def after_stop(self, arguments: Sequence[str]) -> str:
        return "nothing was changed"


def _config(options: _Run, data: ImageData) -> TrainConfig:
    """The checked configuration: what the command line said, and what the images say."""
    _, channels, height, _ = data.train_images.shape
    shape = {"image_size": height, "in_channels": channels, "num_classes": len(data.classes)}
    patch = options.model.patch_size or max(height // 4, 1)
    model = ViTConfig(**{**_values(options.model), **shape, "patch_size": patch})
    return TrainConfig(**{**_values(options), "model": model})


def _values(options: Any) -> dict[str, Any]:
    return {option.name: getattr(options, option.name) for option in fields(options)}
