"""The two-layer perceptron that acts on each token alone."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class MLP(nn.Module):
    """fc2(GELU(fc1(x))), the same map for every token (Vaswani et al. 2017, section 3.3, with GELU as in ViT).

    Input and output: (batch, tokens, dim).

    Args:
        dim: Width of the state.
        hidden: Width of the hidden layer.

    Raises:
        ValueError: ``hidden`` is less than 1.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"the MLP's hidden width is {hidden}: it must be at least 1, so raise mlp_ratio or dim")
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the MLP's output, before any residual sum."""
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]
