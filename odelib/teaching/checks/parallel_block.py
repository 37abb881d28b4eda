"""Exercises of the chapter on the parallel block."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from odelib.models import ViT, ViTConfig
from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones

_TWELVE = ViTConfig(step_rule="lie-trotter", intervals=12)


def _a(x: Tensor) -> Tensor:
    return x.flip(-1)


def _m(x: Tensor) -> Tensor:
    return x * x


def _usual_step(usual: Any) -> None:
    """The answer is ``usual(A, M, x, h)``."""
    expect_function(usual, "usual(A, M, x, h)")
    for numbers, h in (([1.0, -2.0], 0.5), ([[0.5, 3.0], [-1.0, 2.0]], 0.25)):
        x = torch.tensor(numbers, dtype=torch.float64)
        y = x + h * _a(x)
        expect_close(
            call_with_clones(usual, _a, _m, x, h),
            y + h * _m(y),
            f"with A a swap of the two numbers, M the square, x = {numbers}, h = {h:g}, the layer",
            [
                (x + h * _a(x) + h * _m(x), "That is the parallel layer: M must see what attention has written, Y."),
                (x + h * _m(y), "The second residual starts at X: it starts at Y, where attention arrived."),
                (h * _m(y), "The second residual is missing: the MLP's step is added to Y."),
                (y + _m(y), "The step size is missing in the second half: add h M(Y)."),
                (x + _a(x) + _m(x + _a(x)), "The step size is missing: each half step adds h times its term."),
                (x + h * _m(x) + h * _a(x + h * _m(x)), "The order is exchanged: attention comes first."),
                (y, "Only attention acts: the MLP's step from Y is missing."),
            ],
        )


def _shared_rk4(config: Any) -> None:
    """The answer is a ``ViTConfig``."""
    if not isinstance(config, ViTConfig):
        raise NotYet(f"the answer is a {type(config).__name__}", "Pass a ViTConfig, made with replace(usual, ...).")
    if config.step_rule != "rk4":
        raise NotYet(f"the step rule is {config.step_rule!r}", 'The method asked for is "rk4".')
    if config.intervals != 1:
        hint = "One weight set for the whole depth means intervals=1."
        raise NotYet(f"there are {config.intervals} weight sets", hint)
    with torch.device("meta"):
        evaluations = ViT(config).nfe
    if evaluations != 12:
        hint = "One step of RK4 evaluates the field four times: count the steps accordingly."
        raise NotYet(f"a forward pass takes {evaluations:g} field evaluations instead of 12", hint)
    if config.schedule.depth != 12.0:
        hint = "The 12 usual layers cover t = 0 to 12: three steps must cover it too, so choose step_size."
        raise NotYet(f"the time interval has length {config.schedule.depth:g} instead of 12", hint)
    if replace(config, step_rule="lie-trotter", intervals=12, steps=1, step_size=1.0) != _TWELVE:
        raise NotYet("something else has changed too", "Use replace(twelve, ...), which keeps the other values.")


def _fold_norm(fold: Any) -> None:
    """The answer is ``fold(gain, shift, weight, bias)``, returning the weight and bias of one linear map."""
    expect_function(fold, "fold(gain, shift, weight, bias)")
    weight = torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 2.0], [2.0, 1.0, -1.0]], dtype=torch.float64)
    bias = torch.tensor([0.5, 1.0, 0.0], dtype=torch.float64)
    gain = torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64)
    shift = torch.tensor([1.0, -2.0, 2.0], dtype=torch.float64)
    result = _pair(call_with_clones(fold, gain, shift, weight, bias))

    def centred(matrix: torch.Tensor, dim: int = 1) -> torch.Tensor:
        return matrix - matrix.mean(dim=dim, keepdim=True)

    expect_close(
        result[0],
        centred(weight * gain),
        "with gain [2, 3, 1], the new weight",
        [
            (weight * gain, "The mean is still there: this is right for inputs of mean zero alone."),
            (centred(weight) * gain, "Centred too early: x is centred first and scaled by the gain then, W diag(g) C."),
            (centred(weight * gain, dim=0), "The columns are centred: W' must turn a constant input into zero."),
            (weight * gain - (weight * gain).mean(), "From each row its own mean goes, not the mean of all entries."),
            (centred(gain[:, None] * weight), "The gain multiplies the inputs: it scales columns of W, not its rows."),
            (centred(weight), "The gain is missing: W (gain * z) = (W diag(gain)) z."),
            (centred(weight / gain), "The gain is divided out: the normalised state is multiplied by it."),
            (centred(weight * gain).T, "This is the transpose: torch's linear layer keeps W as (out, in)."),
        ],
    )
    expect_close(
        result[1],
        bias + weight @ shift,
        "with shift [1, -2, 2], the new bias",
        [
            (bias, "The shift is missing: W shift is a constant that joins the bias."),
            (bias + shift, "The shift passes through W before it reaches the bias: add W shift."),
            (weight @ shift, "The old bias is lost: add W shift to it."),
            (bias + (weight * gain) @ shift, "The gain does not act on the shift: it multiplies z alone."),
            (bias + centred(weight * gain) @ shift, "The shift joins after the centring: map it by W itself."),
            (bias + shift @ weight, "W is transposed: y = W x + b, so the bias gains W shift."),
        ],
    )
    wide, four = torch.stack([weight[0], weight[1]]).repeat(1, 2)[:, :4], gain.repeat(2)[:4]
    wide = wide + torch.eye(2, 4, dtype=torch.float64)
    result = _pair(call_with_clones(fold, four, four - 3, wide, bias[:2]))
    wanted = (centred(wide * four), bias[:2] + wide @ (four - 3))
    for got, want, name in zip(result, wanted, ("weight", "bias"), strict=True):
        hint = "Not every map is square: the means have as many entries as the map has inputs, weight.shape[1]."
        expect_close(got, want, f"for a map from 4 to 2 numbers, the new {name}", otherwise=hint)


def _pair(result: Any) -> Any:
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotYet(f"the answer returns a {type(result).__name__}", "Return two tensors: the new weight and bias.")
    return result


EXERCISES = (
    Exercise("usual-step", "The usual layer from its two terms", 5, "easy", _usual_step),
    Exercise("shared-rk4", "Twelve evaluations, one weight set", 10, "medium", _shared_rk4),
    Exercise("fold-norm", "All of a norm but its scale", 15, "hard", _fold_norm),
)
