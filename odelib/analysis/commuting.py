"""How much the order of a network's layers matters, and how near each is to the edge of its own stability."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from odelib.analysis._products import push
from odelib.analysis.depth import depth_of, steps_of
from odelib.analysis.jacobian import extend
from odelib.analysis.splitting import commutator
from odelib.layers import DepthBlock, WholeLayer
from odelib.solvers import Field, Sum
from odelib.solvers.field import is_split


class Commuting(NamedTuple):
    """Sizes by layer and token, along the network's own states; Euclidean norms over the width of the state.

    Attributes:
        update: What the layer changes, F_i(x) = Phi_i(x) - x; (layers, batch, tokens).
        terms: [A, M](x) of the layer's own two terms; NaN where it has none; (layers, batch, tokens).
        layers: [F_i, F_{i+1}](x) of the layer and the next one; (layers - 1, batch, tokens).
        exchange: Phi_{i+1}(Phi_i(x)) - Phi_i(Phi_{i+1}(x)), what the exchange of the two changes at once, to which the
            commutator is the term of second order in the step; (layers - 1, batch, tokens).
    """

    update: Float[Tensor, "layers batch tokens"]
    terms: Float[Tensor, "layers batch tokens"]
    layers: Float[Tensor, "pairs batch tokens"]
    exchange: Float[Tensor, "pairs batch tokens"]


@torch.no_grad()
def commuting(model: nn.Module, *inputs: Any, depth: DepthBlock | None = None) -> Commuting:
    """Measure how little the terms of each layer, and neighbouring layers, commute.

    Args:
        model: A model, or the depth of one, as in `steps_of`, with piecewise constant weights and steps of size 1; use
            float64 where digits matter.
        *inputs: What the model is called with; without padding, which would be measured too.
        depth: As in `steps_of`.

    Raises:
        ValueError: The model has no depth, or several and none is named; or its steps are of another size, or its
            weights change within an interval.
    """
    steps = steps_of(model, *inputs, depth=depth)
    schedule = (depth_of(model) if depth is None else depth).schedule
    if schedule.weights != "piecewise":
        raise ValueError(f"the network has {schedule.weights} weights: layers are compared where they are constant")
    if any(step.h != 1.0 for step in steps):
        raise ValueError(f"the network's steps are of size {steps[0].h}: a layer as a whole is a step of size 1")
    fields = [WholeLayer(step.field, step.rule) for step in steps]  # type: ignore[arg-type]
    update, terms, layers, exchange = [], [], [], []
    for i, (step, first) in enumerate(zip(steps, fields, strict=True)):
        x = step.before
        update.append(_sizes(step.after - x))
        split = is_split(step.field)
        terms.append(_sizes(commutator(step.field, x)) if split else torch.full_like(update[-1], torch.nan))
        if i + 1 < len(fields):
            second = fields[i + 1]
            layers.append(_sizes(commutator(Sum(first, second), x)))
            other = x + second(0.0, x)
            exchange.append(_sizes(steps[i + 1].after - other - first(0.0, other)))
    none = update[0].new_zeros(0, *update[0].shape)
    pairs = [torch.stack(part) if part else none for part in (layers, exchange)]
    return Commuting(torch.stack(update), torch.stack(terms), *pairs)


def _sizes(x: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens"]:
    return x.norm(dim=-1)  # type: ignore[no-any-return]


@torch.no_grad()
def critical_steps(
    field: Field, x: Float[Tensor, "batch *shape"], *, iterations: int = 40, t: float = 0.0, seed: int = 0
) -> Float[Tensor, " batch"]:
    """Return, for each sample, the step beyond which Euler's method lets the fastest decay of a field grow instead.

    The field is made linear at ``x``. Of its Jacobian's eigenvalues the one with the least real part, z, decays
    fastest, and a step h multiplies it by 1 + hz: the limit is -2 Re z / abs(z)^2. Slower eigenvalues near the
    imaginary axis have smaller limits, since any step of Euler's lets an oscillation grow, but little grows there in a
    step; they are not counted. The eigenvalue is that of Arnoldi's method (Arnoldi 1951, doi 10.1090/qam/42792) from
    a random start, which finds extreme ones first, and is exact once ``iterations`` reaches the size of a state.

    Args:
        field: A field that treats the samples of a batch independently, such as a `WholeLayer`; smooth at ``x``.
        x: The states; use float64.
        iterations: Products with the Jacobian; no more than a state has numbers are made.
        t: Time.
        seed: Seed of the random start.

    Returns:
        The critical steps; infinite where nothing decays.

    Raises:
        ValueError: ``iterations`` is less than 1.
    """
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}: make 1 product with the Jacobian or more")
    size = x[0].numel()
    most, generator = min(iterations, size), torch.Generator().manual_seed(seed)

    def draw() -> Tensor:  # drawn on the CPU: the same start on every device
        return torch.randn(len(x), size, dtype=x.dtype, generator=generator).to(x.device)

    basis, projected = x.new_zeros(len(x), most + 1, size), x.new_zeros(len(x), most, most)
    basis[:, 0] = torch.nn.functional.normalize(draw(), dim=1)
    for k in range(most):
        image = push(lambda y: field(t, y), x, basis[:, k].view_as(x))[1].flatten(1)
        basis[:, k + 1] = extend(basis[:, : k + 1], image, draw())[1]
        projected[:, : k + 1, k] = torch.einsum("brs,bs->br", basis[:, : k + 1], image)
        if k + 1 < most:
            projected[:, k + 1, k] = torch.einsum("bs,bs->b", basis[:, k + 1], image)
    values = torch.linalg.eigvals(projected)
    fastest = values.gather(1, values.real.argmin(dim=1, keepdim=True))[:, 0]
    limits: Tensor = -2 * fastest.real / fastest.abs().square()
    return limits.where(fastest.real < 0, torch.inf)
