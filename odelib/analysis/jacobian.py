"""Singular values of Jacobians, by products with vectors: the Jacobian itself is never formed."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import vjp
from torch.nn.attention import SDPBackend, sdpa_kernel

from odelib.analysis._products import push
from odelib.analysis.depth import steps_of
from odelib.layers import DepthBlock


@torch.no_grad()
def singular_values(
    function: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *shape"],
    count: int = 1,
    *,
    iterations: int | None = None,
    seed: int = 0,
) -> Float[Tensor, "batch {count}"]:
    """Return the ``count`` largest singular values of the Jacobian of ``function`` at each sample, largest first.

    Golub-Kahan bidiagonalisation (Golub and Kahan 1965, doi 10.1137/0702016) with full reorthogonalisation, from a
    random start; each iteration takes one product with the Jacobian and one with its transpose. What comes back is
    never too large beyond rounding; the largest values are right first, and all of them are once ``iterations``
    reaches the smaller dimension of the Jacobian. Where values lie close together, as those of a residual layer do
    around 1, the inner ones need more iterations.

    Args:
        function: A map that treats the samples of a batch independently, ``(batch, ...)`` to ``(batch, ...)``.
        x: The points at which the Jacobian is taken; use float64 where digits matter.
        count: How many singular values per sample.
        iterations: How many iterations; None takes 4 count + 20, or the smaller dimension if that is less.
        seed: Seed of the random start.

    Raises:
        ValueError: ``count`` or ``iterations`` is out of range.
    """
    with sdpa_kernel(SDPBackend.MATH):
        value, pull = vjp(function, x)[:2]
    inputs, outputs = x[0].numel(), value[0].numel()
    most = min(inputs, outputs)
    if not 1 <= count <= most:
        raise ValueError(f"count is {count}: a Jacobian of {outputs} x {inputs} has 1 to {most} singular values")
    if iterations is None:
        iterations = min(most, 4 * count + 20)
    if not count <= iterations <= most:
        raise ValueError(f"iterations is {iterations}: choose it from count, {count}, to {most}")
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int) -> Tensor:  # drawn on the CPU: the same start on every device
        return torch.randn(len(x), size, dtype=x.dtype, generator=generator).to(x.device)

    left = x.new_zeros(len(x), iterations, outputs)  # the basis of the outputs, one row after the other
    right = x.new_zeros(len(x), iterations + 1, inputs)
    band = x.new_zeros(len(x), iterations, iterations + 1)  # = left J right^T, upper bidiagonal
    right[:, 0] = torch.nn.functional.normalize(draw(inputs), dim=1)
    for k in range(iterations):
        image = push(function, x, right[:, k].view_as(x))[1].flatten(1)
        band[:, k, k], left[:, k] = extend(left, image, draw(outputs))
        back = pull(left[:, k].view_as(value))[0].flatten(1)
        band[:, k, k + 1], right[:, k + 1] = extend(right, back, draw(inputs))
    values: Tensor = torch.linalg.svdvals(band)
    return values[:, :count]


def extend(
    basis: Float[Tensor, "batch rows size"], new: Float[Tensor, "batch size"], spare: Float[Tensor, "batch size"]
) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch size"]]:
    """Return the length and the direction of the part of ``new`` that is orthogonal to the basis.

    Where nothing but rounding is left of it, the length is 0 and the direction is that of ``spare``: a Krylov space
    that closes early is left by a random vector, so that repeated singular values are all found.
    """
    rest, other = _orthogonal(basis, new), _orthogonal(basis, spare)
    length, scale = rest.norm(dim=1), new.norm(dim=1)
    lost = length <= 100 * torch.finfo(new.dtype).eps * scale
    direction = torch.where(lost[:, None], other, rest)
    return length.masked_fill(lost, 0.0), torch.nn.functional.normalize(direction, dim=1, eps=0.0)


def _orthogonal(basis: Float[Tensor, "batch rows size"], v: Float[Tensor, "batch size"]) -> Float[Tensor, "batch size"]:
    """Subtract from ``v`` its part in the span of orthonormal rows; twice, for rounding (rows of zeros do nothing)."""
    for _ in range(2):
        v = v - torch.einsum("brs,br->bs", basis, torch.einsum("brs,bs->br", basis, v))
    return v


def singular_values_by_step(
    model: nn.Module,
    *inputs: Any,
    count: int = 1,
    iterations: int | None = None,
    seed: int = 0,
    depth: DepthBlock | None = None,
) -> Float[Tensor, "steps batch {count}"]:
    """Return the largest singular values of the Jacobian of each step of a network, along its own states.

    A sample's whole state, all its tokens, counts as one vector. All values are 1 for a step that moves states without
    stretching; the products of the largest bound those of the whole depth.

    Args:
        model: A model, or the depth of one, as in `steps_of`.
        *inputs: What the model is called with.
        count: How many singular values per sample and step.
        iterations: As in `singular_values`.
        seed: As in `singular_values`.
        depth: As in `steps_of`.

    Raises:
        ValueError: ``count`` or ``iterations`` is out of range, or the model has no depth, or several and none is
            named.
    """
    steps = steps_of(model, *inputs, depth=depth)
    return torch.stack([singular_values(s.map, s.before, count, iterations=iterations, seed=seed) for s in steps])
