"""Exercises of the chapter on a neural ODE that classifies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from odelib.solvers import Adaptive, solve
from odelib.teaching.exercises import Exercise, NotYet, expect_close, expect_function
from odelib.teaching.handed_out import call_with_clones


def _augment(augment: Any) -> None:
    """The answer is ``augment(x, extra)``, the state with ``extra`` coordinates that start at zero."""
    expect_function(augment, "augment(...)")
    x = torch.tensor([[3.0, -1.0], [0.5, 2.0], [4.0, 5.0]], dtype=torch.float64)
    extra = 2
    zeros = x.new_zeros(3, extra)
    expect_close(
        call_with_clones(augment, x, extra),
        torch.cat([x, zeros], dim=1),
        "for three states of two coordinates, extra = 2, the result",
        [
            (x, "Nothing was added: the result has extra more columns."),
            (torch.cat([x, x.new_zeros(extra, 2)]), "Those are new images, not coordinates: dim=0 is the batch."),
            (torch.cat([zeros, x], dim=1), "The zeros stand in front: the chapter puts them behind the image."),
            (torch.cat([x, zeros + 1], dim=1), "The new coordinates start at zero."),
            (torch.cat([x, x], dim=1), "That is the state twice: the new coordinates start at zero."),
            (zeros, "The image is gone: put the zeros behind it."),
            (torch.cat([x, x.new_zeros(3, 1)], dim=1), "One coordinate was added, and two were asked for."),
        ],
        "New coordinates are columns; they start at zero.",
    )
    half = x[:2].half()
    single = call_with_clones(augment, half, 1)
    if not isinstance(single, Tensor):
        raise NotYet(f"the result is a {type(single).__name__}", "Return a tensor: torch.cat or pad.")
    if single.dtype != torch.float16:
        raise NotYet(f"a state in float16 comes back as {single.dtype}", "Make the zeros with x.new_zeros.")
    what = "for two states of two coordinates, extra = 1, the result"
    expect_close(single, torch.cat([half, half.new_zeros(2, 1)], dim=1), what, otherwise="Use extra as it is given.")


def _some_field(t: float, x: Tensor) -> Tensor:
    return torch.stack([x[:, 1] + t, -2 * x[:, 0], x[:, 2]], dim=1)


def _with_energy(with_energy: Any) -> None:
    """The answer is ``with_energy(field)``, a field for the pair of the state and its energy so far."""
    expect_function(with_energy, "with_energy(...)")
    both = with_energy(_some_field)
    if not callable(both):
        raise NotYet(f"with_energy returns a {type(both).__name__}", "Return a function of t and the pair (x, e).")
    x = torch.tensor([[3.0, -1.0, 2.0], [0.5, 2.0, -1.0]], dtype=torch.float64)
    e, t = torch.tensor([7.0, 8.0], dtype=torch.float64), 2.0
    handed = (x.clone().requires_grad_() * 1, e.clone())  # no leaf, so that it can be written into
    result = both(t, handed)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise NotYet(f"the field returns a {type(result).__name__}", "Return two velocities: that of x and that of e.")
    if not torch.equal(handed[0], x) or not torch.equal(handed[1], e):
        raise NotYet("the state that was passed in has changed", "Return new tensors; write into none.")
    dx = _some_field(t, x)
    size = dx.square().sum(dim=1)
    rate = size / 2
    where = "for the field (x2 + t, -2 x1, x3) at t = 2 and two states, the velocity of"
    expect_close(
        result[0],
        dx,
        f"{where} x",
        [
            (x, "That is the state itself: evaluate the field."),
            (_some_field(0.0, x), "The field sees t = 0: pass t on."),
            (rate, "The two are exchanged: x comes first."),
            (x + dx, "That is a step: return the velocity alone."),
        ],
        "The state moves as before: pass t and x to the field.",
    )
    expect_close(
        result[1],
        rate,
        f"{where} the energy",
        [
            (size, "The factor 1/2 is missing."),
            (size.sqrt(), "That is the speed: the energy has its square."),
            (size.sqrt() / 2, "That is half the speed: the energy has its square."),
            (dx.square().mean(dim=1) / 2, "Sum over the coordinates: a mean makes wide states cheap."),
            (dx.square().mean(dim=1), "Sum over the coordinates and halve: a mean makes wide states cheap."),
            (rate.sum(), "Keep one energy for each image: sum over dim=1 only."),
            (rate.mean(), "Keep one energy for each image: average over the batch later."),
            (size.sum() / 2, "Keep one energy for each image: sum over dim=1 only."),
            (x.square().sum(dim=1) / 2, "That is the place, not the velocity: square what the field returns."),
            (e + rate, "The solver adds up the energy: return its velocity alone."),
            (dx.square() / 2, "Sum over the coordinates of each image."),
        ],
        "Half the squared length of the velocity, one number for each image.",
    )
    for velocity, of in zip(result, ("x", "the energy"), strict=True):
        if not isinstance(velocity, Tensor) or not velocity.requires_grad:
            raise NotYet(
                f"the velocity of {of} has no gradient, so a price on it trains nothing",
                "Leave out no_grad, detach, item and NumPy: training differentiates the energy.",
            )
    wide = torch.arange(20.0, dtype=torch.float64).view(4, 5)
    expect_close(
        with_energy(lambda t, x: t * x)(0.5, (wide, wide[:, 0]))[1],
        wide.square().sum(dim=1) / 8,
        "for the field t x at t = 0.5 and four states of five coordinates, the velocity of the energy",
        otherwise="Take any number of images and coordinates.",
    )


_SIZES = ((49, 64, 20), (5, 30, 7), (2, 100, 9), (9, 40, 4), (3, 50, 6), (49, 64, 3), (2, 14, 5), (2, 21, 4))


def _fair(d: int, width: int, blocks: int) -> int:
    """The largest width at which ``blocks`` blocks have no more parameters than the one."""
    return int((_size(d, width) / blocks - d) // (2 * d + 2))


def _size(d: int, width: int) -> int:
    return (d + 1) * width + width + width * d + d


_UNFAIR: tuple[tuple[Callable[[int, int, int], float], str], ...] = (
    (lambda d, w, n: w, "That is the width of the one block: divide its parameters among the blocks."),
    (lambda d, w, n: (_size(d, w) / n - d) / (2 * d + 2), "A width is a whole number: round down."),
    (lambda d, w, n: w // n, "The d biases of the output do not shrink with the width: count a whole block."),
    (lambda d, w, n: (_size(d, w) // n - d) // (2 * d + 1), "A hidden unit has d + 1 weights in, d out, and a bias."),
    (lambda d, w, n: (_size(d, w) // n - d) // (2 * d), "A hidden unit also has a weight for the time and a bias."),
    (lambda d, w, n: _size(d, w) // n // (2 * d), "Count a block: (d + 1) width + width + width d + d."),
    (
        lambda d, w, n: round((_size(d, w) / n - d) / (2 * d + 2)),
        "That is the nearest width: round down, or the blocks may have more parameters than the one.",
    ),
    (
        lambda d, w, n: ((_size(d, w) - 1) // n - d) // (2 * d + 2),
        "The blocks may have as many parameters as the one, just not more.",
    ),
    (
        lambda d, w, n: math.ceil((_size(d, w) / n - d) / (2 * d + 2)),
        "Round down: together the blocks have more parameters than the one.",
    ),
    (lambda d, w, n: _fair(d, w, n) + 1, "Round down: together the blocks have more parameters than the one."),
)


def _fair_width(fair_width: Any) -> None:
    """The answer is ``fair_width(d, width, blocks)``, the largest width at which the blocks have no more parameters."""
    expect_function(fair_width, "fair_width(...)")
    got = [fair_width(*sizes) for sizes in _SIZES]
    for sizes, width in zip(_SIZES, got, strict=True):
        known = [(mistake(*sizes), hint) for mistake, hint in _UNFAIR if got == [mistake(*each) for each in _SIZES]]
        expect_close(
            width,
            float(_fair(*sizes)),
            "for d = {}, width = {}, blocks = {} the width".format(*sizes),
            known,
            "Solve blocks ((2 d + 2) w + d) <= parameters of the one block for w.",
        )


def _worst_image(worst: Any) -> None:
    """The answer is ``worst(e)`` for ``Adaptive(norm=worst)``: the largest root mean square of a row of ``e``."""
    expect_function(worst, "worst(...)")
    e = torch.tensor([[0.5, -1.0, 2.0], [3.0, 2.0, -6.0], [1.0, 1.0, 1.5]], dtype=torch.float64)
    found, sizes = call_with_clones(worst, e), e.square().mean(dim=1).sqrt()
    if isinstance(found, float):
        raise NotYet("worst(e) returns a float", "The solver wants a tensor: leave out item() and float().")
    if isinstance(found, tuple):
        raise NotYet("worst(e) returns several tensors", "max(dim=...) gives values and indices: take max().")
    if isinstance(found, bool) or (isinstance(found, Tensor) and found.dtype == torch.bool):
        raise NotYet("worst(e) returns true or false", "Return the number itself; the solver compares it with 1.")
    rows = e.square().mean(dim=0).sqrt()
    expect_close(
        found,
        sizes.max(),
        "worst(e) for the errors (0.5, -1, 2), (3, 2, -6) and (1, 1, 1.5) of three images",
        [
            (e.square().mean().sqrt(), "That is what the solver takes by itself: one image hides among the others."),
            (sizes.mean(), "That is the mean over images: the worst one counts."),
            (sizes.sum(), "That is the sum over images: the worst one counts."),
            (sizes.max() ** 2, "That is the mean square: take its root."),
            (e.norm(dim=1).max(), "That is the length: divide by the number of coordinates, then take the root."),
            (e.square().sum(dim=1).max(), "That is the sum of squares: take the mean, then the root."),
            (e.abs().max(), "That is the largest coordinate: take the root mean square over those of an image."),
            (e.max(), "That is the largest coordinate: square first, take the mean, then the root."),
            (e.abs().mean(dim=1).max(), "That is the mean of the sizes: square first, take the mean, then the root."),
            (e.mean(dim=1).abs().max(), "That is the size of a mean: square first, take the mean, then the root."),
            (e.std(dim=1).max(), "That is a standard deviation, which takes the mean away: errors count from 0."),
            (sizes.min(), "That is the best image: the worst one counts."),
            (sizes[-1], "That is the last image: the worst one counts."),
            (sizes[0], "That is the first image: the worst one counts."),
            (sizes, "That is a number for each image: the solver wants the largest."),
            (rows.max(), "The mean goes over images (dim=0): take it over the coordinates, dim=1."),
            (rows.mean(), "The mean goes over images (dim=0): take it over the coordinates, dim=1."),
        ],
        "One number, as a tensor without dimensions: square, mean over an image's coordinates, root, largest image.",
    )
    other = torch.linspace(-9.0, 11.0, 24, dtype=torch.float64)[torch.arange(24) * 7 % 24].reshape(6, 4)
    other = other[other.square().mean(dim=1).argsort()][[0, 2, 4, 5, 3, 1]]  # the worst is the fourth
    for errors, which in ((other, "large"), (other / 40, "small")):
        want = errors.square().mean(dim=1).sqrt().max()
        expect_close(
            call_with_clones(worst, errors), want, f"worst(e) for six images of four coordinates, {which} errors,"
        )
    rates = torch.tensor([[60.0], [1.0]], dtype=torch.float64)
    solve(lambda t, x: -rates * x, torch.ones(2, 3, dtype=torch.float64), (0.0, 1.0), steps=Adaptive(norm=worst))


EXERCISES = (
    Exercise("augment-state", "Room for a state", 5, "easy", _augment),
    Exercise("worst-image", "No image left behind", 10, "medium", _worst_image),
    Exercise("with-energy", "A field that keeps accounts", 10, "medium", _with_energy),
    Exercise("fair-width", "Equal parameters", 15, "medium", _fair_width),
)
