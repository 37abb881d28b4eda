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


def _energy_as(rate):
    """A field whose energy grows at ``rate(dx, x, e)``."""

    def with_energy(field):
        def both(t, state):
            dx = field(t, state[0])
            return dx, rate(dx, *state)

        return both

    return with_energy


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
    "stricter": [(200, 602), [200.0, 602.0]],
    "straight-price": [(12.5, 25), [25 / 2, 25.0]],
    "hidden-error": [(0.5, 10), [math.sqrt(25 / 100), 10.0]],
    "with-energy": [_energy, _energy_einsum],
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
        ("caller's x changed", _augment_in_place, "has changed"),
        ("no function", 3.0, "Pass the function itself"),
    ],
    "stricter": [
        ("order one", (20_000, 60_002), "would be order 1"),
        ("square root", (20 * math.sqrt(1000), 1899), "square root"),
        ("fourth root", (20 * 1000**0.25, 340), "fourth root"),
        ("fewer steps", (2, 8), "more steps, not fewer"),
        ("three times", (60, 182), "take the cube root"),
        ("unchanged", (20, 62), "old tolerance"),
        ("no start", (200, 600), "twice before its first step"),
        ("one at the start", (200, 601), "two evaluations"),
        ("four stages", (200, 802), "fourth stage"),
        ("one stage", (200, 200), "more than one evaluation"),
        ("two stages", (200, 400), "three evaluations"),
        ("one number", 200, "Give two numbers"),
    ],
    "straight-price": [
        ("no half", (25, 50), "factor 1/2"),
        ("length", (5, 10), "length of the way"),
        ("half the length", (2.5, 5), "square it first"),
        ("sum of the sides", (24.5, 49), "length is the root"),
        ("sum of the sides, no half", (49, 98), "factor 1/2 is missing"),
        ("half twice", (6.25, 12.5), "One factor 1/2"),
        ("rest is free", (12.5, 12.5), "twice the speed"),
        ("all the time", (12.5, 50), "only for half of the time"),
        ("slower", (12.5, 6.25), "speed doubles"),
        ("neither half", (12.5, 100), "half of the time"),
    ],
    "hidden-error": [
        ("largest", (5, 1), "That is the largest error"),
        ("mean", (0.05, 100), "That is the mean"),
        ("mean square", (0.25, 10), "mean square"),
        ("sum over root", (50, 10), "root of 100 divides"),
        ("square", (25, 10), "square of the one error"),
        ("error of the batch", (0.5, 1), "whole batch"),
        ("mean, second part", (0.5, 100), "squares are averaged"),
        ("same as given", (0.5, 5), "not just so"),
        ("factor", (0.5, 2), "may still grow"),
        ("inverse", (0.5, 0.1), "not less"),
        ("one number", 0.5, "Give two numbers"),
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
        ("evaluated at once", _energy_evaluated, "Return a function"),
    ],
    "fair-width": [
        ("fraction", _width_fraction, "whole number"),
        ("rounded up", _width_up, "Round down"),
        ("one more", _width_one_more, "Round down"),
        ("width divided", _width_divided, "do not shrink with the width"),
        ("no output bias", _width_no_output_bias, "do not shrink with the width"),
        ("no time", _width_no_time, "d + 1 weights in"),
        ("no biases", _width_no_bias_at_all, "Count a block"),
        ("unchanged", _width_of_one_block, "width of the one block"),
        ("no function", 21, "Pass the function itself"),
    ],
}
