"""The two-layer perceptron that acts on each token alone."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from odelib.names import choose


class SwiGLU(nn.Module):
    """silu(g) * v, where g is the first half of the hidden units and v the second (Shazeer 2020, arXiv 2002.05202).

    Input: (batch, tokens, 2 hidden). Output: (batch, tokens, hidden).
    """

    def forward(self, hidden: Float[Tensor, "batch tokens two_hidden"]) -> Float[Tensor, "batch tokens hidden"]:
        """Return the values, each opened or closed by its gate."""
        gate, value = hidden.chunk(2, dim=-1)
        return F.silu(gate) * value


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "gelu-tanh": partial(nn.GELU, approximate="tanh"),  # GPT-2's
    "swiglu": SwiGLU,
}


class MLP(nn.Sequential):
    """fc2(activation(fc1(x))), the same map for every token (Vaswani et al. 2017, section 3.3, with GELU as in ViT).

    Input and output: (batch, tokens, dim); the output is that before any residual sum.

    Args:
        dim: Width of the state.
        hidden: Width of the hidden layer.
        activation: "gelu", "gelu-tanh" (its approximation by tanh) or "swiglu" (fc1 has two outputs per hidden unit).

    Raises:
        ValueError: ``hidden`` is less than 1, or the activation is unknown.
    """

    fc1: nn.Linear
    activation: nn.Module
    fc2: nn.Linear

    def __init__(self, dim: int, hidden: int, activation: str = "gelu") -> None:
        if hidden < 1:
            raise ValueError(f"the MLP's hidden width is {hidden}: it must be at least 1, so raise mlp_ratio or dim")
        make_activation = ACTIVATIONS[choose(activation, ACTIVATIONS, "activation")]
        fc1 = nn.Linear(dim, 2 * hidden if activation == "swiglu" else hidden)
        fc2 = nn.Linear(hidden, dim)
        super().__init__(OrderedDict(fc1=fc1, activation=make_activation(), fc2=fc2))
