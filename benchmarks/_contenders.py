"""The solvers that are compared: odelib, loops written by hand, and the peers that can be imported."""

import importlib
import warnings
from typing import Any

import torch
import torchdiffeq
from _fields import Run
from torch import Tensor, nn

import odelib
from odelib.solvers import TABLEAUS

# To have the two optional peers: pip install torchode torchdyn
# (or, to leave torch as it is: pip install --no-deps torchode torchdyn torchtyping 'typeguard<3' torchcde torchsde
# trampoline).


def _optional(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError:
        return None


torchode = _optional("torchode")
torchdyn = _optional("torchdyn.numerics")


def peers() -> str:
    """Return which peers take part and which are absent."""
    from importlib.metadata import PackageNotFoundError, version

    parts = []
    for name, module in (("torchdiffeq", torchdiffeq), ("torchode", torchode), ("torchdyn", torchdyn)):
        try:
            parts.append(f"{name} {version(name)}" if module is not None else f"{name} absent (pip install {name})")
        except PackageNotFoundError:
            parts.append(name)
    return ", ".join(parts)


def ours_fixed(rule: str, steps: int, end: float = 1.0, gradient: Any = "backprop") -> Run:
    """`odelib.solve` on a fixed grid."""
    return lambda f, y: odelib.solve(f, y, (0.0, end), rule=rule, steps=steps, gradient=gradient).ys[-1]


def ours_adaptive(rule: str, rtol: float, atol: float, end: float = 1.0, gradient: Any = "backprop") -> Run:
    """`odelib.solve` with adaptive steps."""
    control = odelib.Adaptive(rtol, atol)
    return lambda f, y: odelib.solve(f, y, (0.0, end), rule=rule, steps=control, gradient=gradient).ys[-1]


def door(module: Any, method: str, end: float = 1.0, adjoint: bool = False, **arguments: Any) -> Run:
    """``odeint`` or ``odeint_adjoint`` of torchdiffeq, or odelib's of the same signature."""
    solve = module.odeint_adjoint if adjoint else module.odeint
    return lambda f, y: solve(f, y, torch.tensor([0.0, end], device=y.device), method=method, **arguments)[-1]


def torchdyn_run(method: str, end: float = 1.0, steps: int = 1, **arguments: Any) -> Run:
    """Torchdyn's ``odeint``."""

    def run(f: Any, y: Tensor) -> Any:
        times = torch.linspace(0.0, end, steps + 1, device=y.device, dtype=y.dtype)
        return torchdyn.odeint(f, y, times, solver=method, **arguments)[1][-1]

    return run


def torchode_run(method: str, rtol: float, atol: float, end: float = 1.0) -> Run:
    """Torchode's solve of a batch, each sample with its own steps."""
    rule = {"dopri5": "Dopri5", "tsit5": "Tsit5"}[method]

    def run(f: Any, y: Tensor) -> Any:
        flat = y.reshape(y.shape[0], -1)
        term = torchode.ODETerm(lambda t, x: f(t, x.view(y.shape)).reshape(flat.shape))
        controller = torchode.IntegralController(atol=atol, rtol=rtol, term=term)
        solver = torchode.AutoDiffAdjoint(getattr(torchode, rule)(term=term), controller).to(y.device)
        begin = torch.zeros(len(flat), dtype=y.dtype, device=y.device)
        problem = torchode.InitialValueProblem(y0=flat, t_start=begin, t_end=begin + end, t_eval=None)
        return solver.solve(problem).ys[:, -1].view(y.shape)

    return run


def hand_fixed(rule: str, steps: int, end: float = 1.0) -> Run:
    """Return the loop that one writes for this one rule."""
    step = {"euler": _euler, "midpoint": _midpoint, "rk4": _rk4, "lie-trotter": _lie_trotter, "strang": _strang}[rule]
    h = end / steps

    def run(f: Any, y: Tensor) -> Any:
        for i in range(steps):
            y = step(f, i * h, h, y)
        return y

    return run


def _euler(f: Any, t: float, h: float, y: Tensor) -> Any:
    return y + h * f(t, y)


def _midpoint(f: Any, t: float, h: float, y: Tensor) -> Any:
    return y + h * f(t + h / 2, y + h / 2 * f(t, y))


def _rk4(f: Any, t: float, h: float, y: Tensor) -> Any:
    k1 = f(t, y)
    k2 = f(t + h / 2, y.add(k1, alpha=h / 2))
    k3 = f(t + h / 2, y.add(k2, alpha=h / 2))
    k4 = f(t + h, y.add(k3, alpha=h))
    return y + (h / 6) * (k1 + 2 * (k2 + k3) + k4)


def _lie_trotter(f: Any, t: float, h: float, y: Tensor) -> Any:
    first, second = f.terms
    y = y + h * first(t, y)
    return y + h * second(t, y)


def _strang(f: Any, t: float, h: float, y: Tensor) -> Any:
    first, second = f.terms
    y = y + h / 2 * second(t, y)
    y = y + h * first(t, y)
    return y + h / 2 * second(t + h / 2, y)


def hand_dopri5(rtol: float, atol: float, end: float = 1.0) -> Run:
    """Return the adaptive loop that one writes for dopri5: Hairer's first step, the classic controller."""
    dopri5 = TABLEAUS["dopri5"]
    rows, error_row, nodes = [*dopri5.a[1:]], dopri5.b_error or (), dopri5.c[1:]

    def norm(x: Tensor, scale: Tensor) -> float:
        return float((x / scale).square().mean().sqrt())

    def run(f: Any, y: Tensor) -> Any:
        t, k1 = 0.0, f(0.0, y)
        with torch.no_grad():
            scale = atol + rtol * y.abs()
            d0, d1 = norm(y, scale), norm(k1, scale)
            h0 = 0.01 * d0 / d1
            d2 = norm(f(h0, y + h0 * k1) - k1, scale) / h0
            h = min(100 * h0, (0.01 / max(d1, d2)) ** 0.2)
        while t < end:
            h = min(h, end - t)
            k, z = [k1], y
            for row, c in zip(rows, nodes, strict=True):
                z = y
                for weight, slope in zip(row, k, strict=True):
                    if weight:
                        z = z.add(slope, alpha=h * weight)
                k.append(f(t + c * h, z))
            with torch.no_grad():
                error = sum(h * weight * slope for weight, slope in zip(error_row, k, strict=True) if weight)
                size = norm(error, atol + rtol * torch.maximum(y.abs(), z.abs()))
            if size <= 1.0:
                t, y, k1 = (end if t + h >= end else t + h), z, k[-1]
            h *= min(10.0, max(0.2, 0.9 * max(size, 1e-10) ** -0.2))
        return y

    return run


class _HandAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, f: nn.Module, steps: int, end: float, y: Tensor, *parameters: Tensor) -> Tensor:
        ctx.field, ctx.steps, ctx.end, ctx.count = f, steps, end, len(parameters)
        y = hand_fixed("rk4", steps, end)(f, y)
        ctx.save_for_backward(y, *parameters)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        y, *parameters = ctx.saved_tensors
        h, a = -ctx.end / ctx.steps, grad
        totals = [torch.zeros_like(p) for p in parameters]
        for i in range(ctx.steps):
            t = ctx.end + i * h
            ky: list[Tensor] = []
            ka: list[Tensor] = []
            slope, back = y, a
            for c, b in ((0.0, 1 / 6), (0.5, 1 / 3), (0.5, 1 / 3), (1.0, 1 / 6)):
                z = (y + c * h * slope if ky else y).detach().requires_grad_()
                with torch.enable_grad():
                    out = ctx.field(t + c * h, z)
                back, *by_parameter = torch.autograd.grad(
                    out, [z, *parameters], a + c * h * back if ka else a, allow_unused=True
                )
                back, slope = -back, out.detach()
                for total, part in zip(totals, by_parameter, strict=True):
                    if part is not None:
                        total.add_(part, alpha=-h * b)
                ky.append(b * slope)
                ka.append(b * back)
            y, a = y + h * sum(ky), a + h * sum(ka)
        return None, None, None, a, *totals


def hand_adjoint(steps: int, end: float = 1.0) -> Run:
    """Return the adjoint method with rk4 that one writes, parameters summed up on the way."""

    def run(f: Any, y: Tensor) -> Any:
        return _HandAdjoint.apply(f, steps, end, y, *f.parameters())

    return run


def compiled(run: Run) -> Run:
    """Return the whole solve compiled without a break."""
    return torch.compile(run, fullgraph=True, dynamic=False)
