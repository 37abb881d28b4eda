"""Answers to the exercises of the chapter on a neural ODE that classifies."""

import math

import torch
from torch.nn import functional


def _augment(x, extra):
    return torch.cat([x, x.new_zeros(len(x), extra)], dim=1)


def _augment_pad(x, extra):
    return functional.pad(x, (0, extra))


def _augment_into(x, extra):
    result = torch.zeros(len(x), x.shape[1] + extra, dtype=x.dtype)
    result[:, : x.shape[1]] = x
    return result


def _augment_nothing(x, extra):
    return x


def _augment_rows(x, extra):
    return torch.cat([x, x.new_zeros(extra, x.shape[1])], dim=0)


def _augment_in_front(x, extra):
    return functional.pad(x, (extra, 0))


def _augment_ones(x, extra):
    return torch.cat([x, x.new_ones(len(x), extra)], dim=1)


def _augment_again(x, extra):
    return torch.cat([x, x], dim=1)


def _augment_zeros_only(x, extra):
    return x.new_zeros(len(x), extra)


def _augment_one(x, extra):
    return functional.pad(x, (0, 1))


def _augment_noise(x, extra):
    return torch.cat([x, torch.randn(len(x), extra, dtype=x.dtype)], dim=1)


def _augment_float64(x, extra):
    return torch.cat([x, torch.zeros(len(x), extra, dtype=torch.float64)], dim=1)


def _augment_in_place(x, extra):
    result = _augment(x, extra)
    x.zero_()
    return result


def _energy(field):
    def both(t, state):
        dx = field(t, state[0])
        return dx, dx.square().sum(dim=1) / 2

    return both


def _energy_einsum(field):
    def both(t, pair):
        x, _ = pair
        velocity = field(t, x)
        return [velocity, 0.5 * torch.einsum("nd,nd->n", velocity, velocity)]

    return both


class _EnergyModule(torch.nn.Module):
    def __init__(self, field):
        super().__init__()
        self.field = field

    def forward(self, t, state):
        dx = self.field(t, state[0])
        return dx, dx.norm(dim=1) ** 2 / 2


def _energy_without_gradient(field):
    return torch.no_grad()(_energy(field))


def _energy_detached(field):
    both = _energy(field)

    def detached(t, state):
        dx, rate = both(t, state)
        return dx, rate.detach()

    return detached


def _energy_in_place(field):
    def both(t, state):
        x, e = state
        dx = field(t, x)
        e += dx.detach().square().sum(dim=1)
        return dx, dx.square().sum(dim=1) / 2

    return both


def _energy_as(rate):
    """A field whose energy grows at ``rate(dx, x, e)``."""

    def with_energy(field):
        def both(t, state):
            dx = field(t, state[0])
            return dx, rate(dx, *state)

        return both

    return with_energy


def _energy_moves(field):
    def both(t, state):
        dx = field(t, state[0])
        state[0].add_(dx.detach())
        return dx, dx.square().sum(dim=1) / 2

    return both


def _energy_exchanged(field):
    both = _energy(field)
    return lambda t, state: both(t, state)[::-1]


def _energy_time_zero(field):
    both = _energy(field)
    return lambda t, state: both(0.0, state)


def _energy_of_the_place(field):
    return lambda t, state: (state[0], field(t, state[0]).square().sum(dim=1) / 2)


def _energy_step(field):
    both = _energy(field)
    return lambda t, state: (state[0] + both(t, state)[0], both(t, state)[1])


def _energy_alone(field):
    return lambda t, state: field(t, state[0]).square().sum(dim=1) / 2


def _energy_evaluated(field):
    return field(0.0, torch.zeros(1, 3, dtype=torch.float64))


def _count(d, width):
    return (2 * d + 2) * width + d


def _width(d, width, blocks):
    return int((_count(d, width) / blocks - d) // (2 * d + 2))


def _width_by_trying(d, width, blocks):
    narrow = 0
    while blocks * _count(d, narrow + 1) <= _count(d, width):
        narrow += 1
    return narrow


def _width_fraction(d, width, blocks):
    return (_count(d, width) / blocks - d) / (2 * d + 2)


def _width_up(d, width, blocks):
    return math.ceil((_count(d, width) / blocks - d) / (2 * d + 2))


def _width_nearest(d, width, blocks):
    return round((_count(d, width) / blocks - d) / (2 * d + 2))


def _width_divided(d, width, blocks):
    return width // blocks


def _width_no_output_bias(d, width, blocks):
    return _count(d, width) // blocks // (2 * d + 2)


def _width_no_bias_at_all(d, width, blocks):
    return (_count(d, width) // blocks) // (2 * d)


def _width_no_time(d, width, blocks):
    return (_count(d, width) // blocks - d) // (2 * d + 1)


def _width_one_more(d, width, blocks):
    return _width(d, width, blocks) + 1


def _width_of_one_block(d, width, blocks):
    return width


RIGHT = {
    "augment-state": [_augment, _augment_pad, _augment_into],
    "worst-image": [
        lambda e: e.square().mean(dim=1).sqrt().max(),
        lambda e: (e.norm(dim=-1) / e.shape[-1] ** 0.5).amax(),
        lambda e: torch.stack([row.pow(2).mean().sqrt() for row in e]).max(),
    ],
    "with-energy": [_energy, _energy_einsum, _EnergyModule],
    "fair-width": [_width, _width_by_trying],
}

WRONG = {
    "augment-state": [
        ("nothing added", _augment_nothing, "Nothing was added"),
        ("more images", _augment_rows, "new images"),
        ("in front", _augment_in_front, "in front"),
        ("ones", _augment_ones, "start at zero"),
        ("state twice", _augment_again, "state twice"),
        ("zeros only", _augment_zeros_only, "image is gone"),
        ("one only", _augment_one, "two were asked for"),
        ("noise", _augment_noise, "start at zero"),
        ("other dtype", _augment_float64, "float64"),
        ("caller's x changed", _augment_in_place, "changes its argument"),
        ("always two", lambda x, extra: _augment(x, 2), "as it is given"),
        ("zeros in float32", lambda x, extra: torch.cat([x, torch.zeros(len(x), extra)], dim=1), "x.new_zeros"),
        ("as many as there are", lambda x, extra: torch.cat([x, torch.zeros_like(x)], dim=1), "as it is given"),
        ("a list", lambda x, extra: _augment(x, extra).tolist(), "Return a tensor"),
        ("no function", 3.0, "Pass the function itself"),
    ],
    "worst-image": [
        ("as without it", lambda e: e.square().mean().sqrt(), "by itself"),
        ("mean over images", lambda e: e.square().mean(dim=1).sqrt().mean(), "mean over images"),
        ("sum over images", lambda e: e.square().mean(dim=1).sqrt().sum(), "sum over images"),
        ("no root", lambda e: e.square().mean(dim=1).max(), "take its root"),
        ("length", lambda e: e.norm(dim=1).max(), "That is the length"),
        ("largest size", lambda e: e.abs().max(), "largest coordinate"),
        ("largest number", lambda e: e.max(), "largest coordinate"),
        ("mean of sizes", lambda e: e.abs().mean(dim=1).max(), "mean of the sizes"),
        ("best image", lambda e: e.square().mean(dim=1).sqrt().min(), "best image"),
        ("one for each", lambda e: e.square().mean(dim=1).sqrt(), "for each image"),
        ("over images", lambda e: e.square().mean(dim=0).sqrt().max(), "over the coordinates"),
        ("always two coordinates", lambda e: (e.square().sum(dim=1) / 2).sqrt().max(), "One number"),
        ("always three coordinates", lambda e: (e.square().sum(dim=1) / 3).sqrt().max(), "six images"),
        ("first three images", lambda e: e[:3].square().mean(dim=1).sqrt().max(), "six images"),
        ("a Python number", lambda e: float(e.square().mean(dim=1).sqrt().max()), "leave out item()"),
        ("whether it is small", lambda e: (e.square().mean(dim=1).sqrt() <= 1).all(), "true or false"),
        ("values and indices", lambda e: e.square().mean(dim=1).sqrt().max(dim=0), "values and indices"),
        ("negative ones dropped", lambda e: e.clamp(min=0).square().mean(dim=1).sqrt().max(), "One number"),
        ("spread", lambda e: e.std(dim=1).max(), "standard deviation"),
        ("which image", lambda e: e.square().mean(dim=1).argmax(), "One number"),
        ("first and last image", lambda e: e[[0, -1]].square().mean(dim=1).sqrt().max(), "first image"),
        ("never above 5", lambda e: e.square().mean(dim=1).sqrt().max().clamp(max=5), "large errors"),
        ("never below 1", lambda e: e.square().mean(dim=1).sqrt().max().clamp(min=1), "small errors"),
        ("writes into e", lambda e: e.square_().mean(dim=1).sqrt().max(), "changes its argument"),
        ("called instead of passed", 0.5, "Pass the function itself"),
    ],
    "with-energy": [
        ("no half", _energy_as(lambda dx, x, e: dx.square().sum(dim=1)), "factor 1/2 is missing"),
        ("speed", _energy_as(lambda dx, x, e: dx.norm(dim=1)), "That is the speed"),
        ("half speed", _energy_as(lambda dx, x, e: dx.norm(dim=1) / 2), "half the speed"),
        ("mean and half", _energy_as(lambda dx, x, e: dx.square().mean(dim=1) / 2), "a mean makes wide states cheap"),
        ("mean", _energy_as(lambda dx, x, e: dx.square().mean(dim=1)), "a mean"),
        ("one for all", _energy_as(lambda dx, x, e: dx.square().sum() / 2), "one energy for each image"),
        ("mean over the batch", _energy_as(lambda dx, x, e: dx.square().sum(dim=1).mean() / 2), "later"),
        ("place", _energy_as(lambda dx, x, e: x.square().sum(dim=1) / 2), "not the velocity"),
        ("adds up", _energy_as(lambda dx, x, e: e + dx.square().sum(dim=1) / 2), "solver adds up"),
        ("per coordinate", _energy_as(lambda dx, x, e: dx.square() / 2), "Sum over the coordinates"),
        ("exchanged", _energy_exchanged, "exchanged"),
        ("time zero", _energy_time_zero, "sees t = 0"),
        ("state for velocity", _energy_of_the_place, "state itself"),
        ("a step", _energy_step, "velocity alone"),
        ("energy alone", _energy_alone, "Return two velocities"),
        ("no gradient", _energy_without_gradient, "of x has no gradient"),
        ("price detached", _energy_detached, "of the energy has no gradient"),
        ("writes into the state", _energy_in_place, "has changed"),
        ("writes into x", _energy_moves, "has changed"),
        ("three coordinates", _energy_as(lambda dx, x, e: dx[:, :3].square().sum(dim=1) / 2), "images and coordinates"),
        ("evaluated at once", _energy_evaluated, "Return a function"),
    ],
    "fair-width": [
        ("fraction", _width_fraction, "whole number"),
        ("rounded up", _width_up, "Round down"),
        ("nearest", _width_nearest, "That is the nearest width"),
        ("fewer", lambda d, w, n: ((_count(d, w) - 1) // n - d) // (2 * d + 2), "as many parameters"),
        ("one more", _width_one_more, "Round down"),
        ("width divided", _width_divided, "do not shrink with the width"),
        ("no output bias", _width_no_output_bias, "do not shrink with the width"),
        ("no time", _width_no_time, "d + 1 weights in"),
        ("no biases", _width_no_bias_at_all, "Count a block"),
        ("unchanged", _width_of_one_block, "width of the one block"),
        ("no function", 21, "Pass the function itself"),
    ],
}
