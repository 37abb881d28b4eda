"""Lyapunov exponents: how fast neighbouring states part or meet, per unit of time."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from odelib.analysis._products import push
from odelib.analysis.jacobian import singular_values
from odelib.solvers import Field, StepRule, integrate, step_rule


@torch.no_grad()
def lyapunov_exponents(
    field: Field,
    y0: Float[Tensor, "batch *shape"],
    *,
    h: float,
    steps: int,
    count: int = 1,
    rule: str | StepRule = "rk4",
    discard: int = 0,
    t: float = 0.0,
    seed: int = 0,
) -> Float[Tensor, "batch {count}"]:
    """Return the ``count`` largest Lyapunov exponents along the path from each sample, largest first (in the limit).

    The method of Benettin et al. (1980, doi 10.1007/BF02128237; surveyed by Skokos 2010, arXiv 0811.0882): tangent
    vectors are carried along by the derivative of each step and made orthonormal again after it; the exponents are the
    mean logarithms of what that took away, per unit of time. They are those of the numerical method: its own damping
    or growth is in them.

    Args:
        field: A field that treats the samples of a batch independently; a weight-shared network is one such field.
        y0: Initial states; use float64.
        h: Step size.
        steps: Steps over which the mean is taken. Its error falls as one over time, on chaotic paths as one over the
            square root of time and samples.
        count: How many exponents.
        rule: Step rule or its name. Every step starts without a carry.
        discard: Steps taken before the mean begins, in which the path comes to the attractor and the tangent vectors
            find their directions.
        t: Initial time.
        seed: Seed of the random tangent vectors.

    Raises:
        ValueError: ``count`` or ``steps`` is out of range, or ``h`` is not positive.
    """
    size = y0[0].numel()
    if not 1 <= count <= size:
        raise ValueError(f"count is {count}: a state of {size} numbers has 1 to {size} exponents")
    if steps < 1 or discard < 0 or not h > 0.0:
        raise ValueError(
            f"steps is {steps}, discard is {discard}, h is {h}: take at least 1 step of a size greater than 0, "
            "and discard 0 or more before"
        )
    method = step_rule(rule)
    drawn = torch.randn(len(y0), size, count, dtype=y0.dtype, generator=torch.Generator().manual_seed(seed))
    tangents = torch.linalg.qr(drawn.to(y0.device)).Q  # (batch, size, count), orthonormal columns
    y, growth = y0, y0.new_zeros(len(y0), count)
    for i in range(discard + steps):
        y, pushed = _push_all(partial(integrate, field, method, t=t + i * h, h=h, steps=1), y, tangents)
        tangents, r = torch.linalg.qr(pushed)
        if i >= discard:
            growth = growth + r.diagonal(dim1=1, dim2=2).abs().log()
    return growth / (steps * h)


def _push_all(
    step: Callable[[Tensor], Tensor], y: Float[Tensor, "batch *shape"], tangents: Float[Tensor, "batch size count"]
) -> tuple[Float[Tensor, "batch *shape"], Float[Tensor, "batch size count"]]:
    """Return step(y) and the derivative of ``step`` at ``y`` applied to every column of ``tangents``."""
    columns = tangents.movedim(2, 0).reshape(-1, *y.shape)  # (count, batch, *shape)
    end, pushed = vmap(lambda v: push(step, y, v), out_dims=(None, 0))(columns)  # type: ignore[arg-type]
    return end, pushed.flatten(2).movedim(0, 2)


def finite_time_exponents(
    function: Callable[[Tensor], Tensor],
    x: Float[Tensor, "batch *shape"],
    duration: float,
    count: int = 1,
    *,
    iterations: int | None = None,
    seed: int = 0,
) -> Float[Tensor, "batch {count}"]:
    """Return log(singular value) / duration for the largest singular values of the Jacobian of a map, largest first.

    A network of finite depth has no limit in time; these are the growth rates over its depth, the exponents' own
    definition before the limit. The largest is the fastest at which a change of ``x`` can grow.

    Args:
        function: The map over the whole time, such as ``vit.depth``; it treats samples independently.
        x: The states at which it begins; use float64.
        duration: The time that the map takes, such as ``vit.depth.schedule.depth``.
        count: How many exponents per sample.
        iterations: As in `singular_values`.
        seed: As in `singular_values`.

    Raises:
        ValueError: ``duration`` is not positive, or ``count`` or ``iterations`` is out of range.
    """
    if not duration > 0.0:
        raise ValueError(f"duration is {duration}: give the time that the map takes, greater than 0")
    return singular_values(function, x, count, iterations=iterations, seed=seed).log() / duration
