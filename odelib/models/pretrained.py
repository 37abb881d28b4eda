"""What every model of this package offers: to be saved into a folder and brought back from one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import nn

Model = TypeVar("Model", bound="Pretrained")


class Pretrained:
    """A model that is kept as a folder of ``config.json`` and ``model.safetensors``."""

    @classmethod
    def from_pretrained(cls: type[Model], folder: str | Path) -> Model:
        """Bring back a model that ``save_pretrained`` or ``odelib export`` wrote, on the CPU, in evaluation mode.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: A file is damaged, or the folder holds a model of another kind.
        """
        from odelib.models.storage import load_pretrained  # which knows all models

        model = load_pretrained(folder)
        if not isinstance(model, cls):
            kind = type(model).__name__
            raise ValueError(f"{folder} holds a {kind}, not a {cls.__name__}: call {kind}.from_pretrained")
        return model

    def save_pretrained(self, folder: str | Path, card: Mapping[str, Any] | None = None) -> None:
        """Write the model into a folder, made if absent; ``card`` is what a reader should know of it."""
        from odelib.models.storage import save_pretrained

        save_pretrained(cast(nn.Module, self), folder, card)
