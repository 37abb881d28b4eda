"""The two-layer perceptron that acts on each token alone."""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from odelib.names import choose


def _swiglu(hidden: Tensor) -> Tensor:
    gate, value = hidden.chunk(2, dim=-1)
    return F.silu(gate) * value


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu-tanh": partial(F.gelu, approximate="tanh"),  # GPT-2's
    "swiglu": _swiglu,  # Shazeer 2020, arXiv 2002.05202: half of fc1's outputs open or close the other half
}


class MLP(nn.Module):
    """fc2(activation(fc1(x))), the same map for every token (Vaswani et al. 2017, section 3.3, with GELU as in ViT).

    Input and output: (batch, tokens, dim).

    Args:
        dim: Width of the state.
        hidden: Width of the hidden layer.
        activation: "gelu", "gelu-tanh" (its approximation by tanh) or "swiglu" (fc1 has two outputs per hidden unit).

    Raises:
        ValueError: ``hidden`` is less than 1, or the activation is unknown.
    """

    def __init__(self, dim: int, hidden: int, activation: str = "gelu") -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"the MLP's hidden width is {hidden}: it must be at least 1, so raise mlp_ratio or dim")
        self.activation = ACTIVATIONS[choose(activation, ACTIVATIONS, "activation")]
        self.fc1 = nn.Linear(dim, 2 * hidden if activation == "swiglu" else hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the MLP's output, before any residual sum."""
        return self.fc2(self.activation(self.fc1(x)))  # type: ignore[no-any-return]
