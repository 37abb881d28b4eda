"""Products with a Jacobian that is never formed."""

import warnings
from collections.abc import Callable

from torch import Tensor
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel


def push(function: Callable[[Tensor], Tensor], x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return function(x) and its derivative at ``x`` in the direction ``v``."""
    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():  # fused attention has no forward derivative
        # Where forward derivatives are first used, torch loads a part of itself that it warns about.
        warnings.filterwarnings("ignore", ".*torch.jit.script.* is deprecated", FutureWarning)
        both = jvp(function, (x,), (v,))
    return both[0], both[1]
