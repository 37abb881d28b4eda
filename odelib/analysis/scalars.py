"""Frozen weights and a few scalars: how long each step of a network is, and how much of the last one it keeps."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.analysis.depth import depth_of
from odelib.analysis.surgery import Model, Surgery, count_layers, operate, with_depth
from odelib.layers import Context, DepthBlock, DepthSchedule
from odelib.layers.context import EMPTY


class ScalarSteps(DepthBlock):
    """Steps x_{n+1} = x_n + a_n F_n(x_n) + b_n F_{n-1}(x_{n-1}) along the fields of a network's layers.

    With a = 1 and b = 0 they are the layers; b makes a two-step method of them, as Adams and Bashforth's is with
    a = 3/2 and b = -1/2. Input and output: (batch, tokens, dim), or whatever the fields take.

    Args:
        fields: One per step, each the field of a whole layer.
        size: What every a begins with.
        memory: Whether there is a b for each step but the first; else all are 0.

    Raises:
        ValueError: There is no field.
    """

    def __init__(self, fields: Sequence[nn.Module], size: float = 1.0, *, memory: bool = False) -> None:
        super().__init__(fields, "euler", DepthSchedule(len(fields)))
        self.a = nn.Parameter(torch.full((len(fields),), size))
        self.b = nn.Parameter(torch.zeros(len(fields) - 1)) if memory else None

    def forward(
        self, x: Float[Tensor, "batch *shape"], record: list[Tensor] | None = None, *, context: Context | None = None
    ) -> Float[Tensor, "batch *shape"]:
        """Return the state after the last step; ``record`` and ``context`` as in `DepthBlock`."""
        last: Tensor | None = None
        for i in range(len(self.fields)):
            change = self.field_over(i, EMPTY if context is None else context)(float(i), x)
            x = x + self.a[i] * change
            if self.b is not None and last is not None:
                x = x + self.b[i - 1] * last
            last = change
            if record is not None:
                record.append(x)
        return x

    @property
    def scalars(self) -> list[nn.Parameter]:
        """What can be fitted: a, and b where there is one."""
        return [self.a] if self.b is None else [self.a, self.b]


def with_scalars(model: Model, *, skip: Sequence[int] = (), memory: bool = False) -> tuple[Model, ScalarSteps]:
    """Return a network that takes its layers by steps of sizes of their own, and its depth, which has them.

    The network itself stays as it is; the two share their weights. The steps begin equally long, and together as long
    as the network.

    Args:
        model: As in `operate`.
        skip: Layers that are left out, counted from 0.
        memory: Whether each step adds something of what the last one changed.

    Raises:
        ValueError: As in `operate`.
    """
    cut = operate(model, Surgery(skip=tuple(skip)))
    fields = list(depth_of(cut).fields)
    depth = ScalarSteps(fields, count_layers(model) / len(fields), memory=memory)
    return with_depth(cut, depth), depth
