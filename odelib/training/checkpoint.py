"""Checkpoints: written whole or not at all, and refused when they belong to something else."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from odelib.data import DATA_SETS
from odelib.errors import CheckpointError
from odelib.files import reason_of, replacing
from odelib.training.config import TrainConfig

CHECKPOINT, BEST = "checkpoint.pt", "best.pt"
FORMAT = 1

# These change neither the weights nor the metrics of a run, so it may go on with other values of them.
_FREE = ("device", "shard", "eval_batch_size", "checkpoint_every", "checkpoint_minutes", "init")


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped."""

    config: dict[str, Any]
    """The run's configuration as plain values."""
    model: dict[str, Any]
    """The model's ``state_dict``."""
    optimizer: dict[str, Any]
    """The optimiser's ``state_dict``."""
    epoch: int
    """Epochs done."""
    step: int
    """Optimiser steps done."""
    rng: dict[str, Tensor]
    """Torch's random states, per kind of device."""
    metrics_bytes: int
    """Size of the metrics file when the checkpoint was taken."""
    average: dict[str, Any] | None = None
    """The averaged model's ``state_dict``, where the run has one."""
    sums: Tensor | None = None
    """Within an epoch: loss and hits of each of its batches so far, (2, batches); else None."""


def save_checkpoint(checkpoint: Checkpoint, folder: Path, name: str = CHECKPOINT) -> None:
    """Write ``checkpoint`` into ``folder``, replacing the one before only when it is safely on the disk.

    Raises:
        CheckpointError: The disk is full or the folder cannot be written; the checkpoint before is untouched.
    """
    path = folder / name
    # Not asdict: it would copy every tensor.
    state = {"format": FORMAT, **{key: value for key, value in vars(checkpoint).items() if value is not None}}
    try:
        with replacing(path) as partial, open(partial, "wb") as file:
            torch.save(state, file)
    except (OSError, RuntimeError) as error:  # torch's archive writer reports a full disk as a RuntimeError
        kept = "the checkpoint before it is untouched" if path.exists() else "there is none before it"
        raise CheckpointError(
            f"cannot write {path} ({reason_of(error)}); {kept}: free some space or make the folder writable, "
            "then resume"
        ) from error


def load_checkpoint(folder: Path, name: str = CHECKPOINT) -> Checkpoint:
    """Read the checkpoint of a run folder; tensors come to the CPU, and no code in the file is run.

    Raises:
        CheckpointError: There is none, or it is truncated, damaged (by its checksums) or of another format.
    """
    path = folder / name
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}: check the folder's name")
    try:
        file = open(path, "rb")  # noqa: SIM115  apart from its use: only here is an OSError about permissions
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({error.strerror}): check its permissions") from error
    try:
        with file:
            damaged = zipfile.ZipFile(file).testzip()  # torch writes checksums but does not look at them
            file.seek(0)
            state = None if damaged else torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and zipfile raise many kinds for a damaged archive
        raise CheckpointError(_DAMAGED.format(path)) from error
    if damaged:
        raise CheckpointError(_DAMAGED.format(path))
    if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of format {FORMAT}: use the odelib version that wrote it, or train anew"
        )
    try:
        return Checkpoint(**state)
    except TypeError as error:
        raise CheckpointError(f"{path} lacks entries or has unknown ones ({error}): train anew") from error


_DAMAGED = "{} is corrupt or cut short: restore it from a copy, or train anew in another folder"


def check_same_run(checkpoint: Checkpoint, config: TrainConfig, folder: Path, *, moved: bool = False) -> None:
    """Refuse to go on with another configuration than the one that the checkpoint was written with.

    More epochs are no other configuration once those of the checkpoint are done: the run goes on, and its learning
    rate from there on is that of the longer run.

    Args:
        checkpoint: The checkpoint.
        config: What the run is to go on with.
        folder: The run folder, for the sentence.
        moved: Whether the data are known to be those of the run: then your own may lie elsewhere than they did.

    Raises:
        CheckpointError: They differ; the sentence names the first fields that do, with both values.
    """
    try:  # through the class, so that what is newer than the checkpoint takes its default
        stored, asked = flat(TrainConfig.from_dict(checkpoint.config).to_dict()), flat(config.to_dict())
    except ValueError as error:
        raise CheckpointError(
            f"the checkpoint in {folder} holds a configuration that this version of odelib cannot read ({error}): "
            "use the version that wrote it, or train in another folder"
        ) from error
    longer = asked["epochs"] > stored["epochs"] <= checkpoint.epoch
    elsewhere = moved and DATA_SETS.keys().isdisjoint({stored["data"], asked["data"]})
    free = (*_FREE, *["epochs"] * longer, *["data"] * elsewhere)
    names = [name for name in {**stored, **asked} if name not in free and stored.get(name) != asked.get(name)]
    if names:
        shown = ", ".join(f"{name} is {stored.get(name)!r} there and {asked.get(name)!r} here" for name in names[:3])
        more = f", and {len(names) - 3} more" if len(names) > 3 else ""
        raise CheckpointError(
            f"the checkpoint in {folder} is of another configuration ({shown}{more}): "
            "resume with its values, or train in another folder"
        )


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options as one level with dotted names; tuples as lists, as they come back from a file."""
    level: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            level |= flat(value, f"{prefix}{name}.")
        else:
            level[prefix + name] = list(value) if isinstance(value, tuple) else value
    return level
