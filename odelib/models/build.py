"""What all models share: their depth, and the weights that training starts from."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from odelib.layers import DepthBlock, FusedTransformerField, TransformerField
from odelib.layers.field import NORMS
from odelib.models.config import TransformerConfig
from odelib.models.fields import make_field, register_field
from odelib.solvers import Adaptive

Kind = TypeVar("Kind", bound="Model")


def make_depth(config: TransformerConfig, **needs: bool) -> DepthBlock:
    """Return the depth block of a configuration.

    Args:
        config: The configuration.
        **needs: What the kind of model needs of the field: ``causal``, ``cross``.

    Raises:
        ValueError: The field lacks it.
    """
    needs["rotary"] = getattr(config, "positions", None) == "rotary"
    count = config.schedule.weight_sets
    # A single weight set takes the whole rate: there is no depth over which it could grow.
    rates = [config.drop_path * (i / (count - 1) if count > 1 else 1.0) for i in range(count)]
    return DepthBlock(
        [make_field(config.field, config, dropout=config.dropout, drop_path=rate, **needs) for rate in rates],
        config.step_rule,
        config.schedule,
        learn_step_size=config.learn_step_size,
        steps=None if config.tolerance is None else Adaptive(rtol=config.tolerance, atol=config.tolerance),
        gradient=config.gradient,
    )


def transformer_field(
    config: TransformerConfig,
    form: type[TransformerField] = TransformerField,
    *,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    causal: bool = False,
    rotary: bool = False,
    cross: bool = False,
) -> TransformerField:
    """Return the package's own field, in one of its forms."""
    same = ("qkv_bias", "proj_bias", "qk_norm", "norm", "norm_place", "norm_eps", "activation")
    names = same + (("rotary_dim", "rotary_base") if rotary else ())  # the last two of models of text alone
    options: dict[str, Any] = {name: getattr(config, name) for name in names}
    options |= {"dropout": dropout, "drop_path": drop_path, "causal": causal, "rotary": rotary, "cross": cross}
    return form(config.dim, config.num_heads, config.mlp_ratio, **options)


register_field("transformer", transformer_field)
register_field("fused", partial(transformer_field, form=FusedTransformerField))


class Model(nn.Module):
    """What all models have: a depth or two, and a folder of ``config.json`` and ``model.safetensors`` to be kept in."""

    @classmethod
    def from_pretrained(cls: type[Kind], folder: str | Path) -> Kind:
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

        save_pretrained(self, folder, card)

    @property
    def nfe(self) -> float:
        """Field evaluations per forward pass; of both halves together, where there are two."""
        return sum(part.nfe for part in self.children() if isinstance(part, DepthBlock))


def make_norm(config: TransformerConfig) -> nn.Module:
    """Return the norm before the head."""
    return NORMS[config.norm](config.dim, eps=config.norm_eps)


def initialise(model: nn.Module) -> None:
    """Draw the weights that training starts from.

    A variance of 1 / inputs keeps the size of the signal at every width; DeiT's 0.02 is too small for the narrow
    models here, which then learn more slowly. It matters at the start only: weights from elsewhere replace it. Fields
    that are not the package's own keep what they were made with.
    """
    blocks = [module for module in model.modules() if isinstance(module, DepthBlock)]
    others = [field for block in blocks for field in block.fields if not isinstance(field, TransformerField)]
    skipped = {part for field in others for part in field.modules()}
    for module in model.modules():
        if isinstance(module, nn.Linear) and module not in skipped:
            nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for block in blocks:
        block.make_constant()
