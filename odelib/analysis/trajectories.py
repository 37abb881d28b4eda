"""The shape of paths: length, turning, curvature, kinetic energy, and a plane in which to see them.

A path is a stack of states, (points, ..., dim): its space is the last dimension, so each token of each sample has a
path of its own. For one path per sample in the space of all its tokens, pass ``states.flatten(2)``.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def path_length(states: Float[Tensor, "points *paths dim"]) -> Float[Tensor, "*paths"]:
    """Return the length of each path of straight pieces; the distance of its ends divided by it is 1 on a line."""
    _check_points(states, 2)
    return states.diff(dim=0).norm(dim=-1).sum(dim=0)  # type: ignore[no-any-return]


def turning_angles(states: Float[Tensor, "points *paths dim"]) -> Float[Tensor, "points-2 *paths"]:
    """Return the angle in radians, 0 to pi, by which each path turns at each inner point.

    0 where a step goes on as the one before it, pi/2 where it goes off at a right angle, as two random directions
    of a space of many dimensions nearly do. Where a step has no length there is no angle: NaN.

    Raises:
        ValueError: There are fewer than three points.
    """
    along, across, _ = _turns(states)
    return torch.atan2(across, along).where((along != 0) | (across != 0), math.nan)


def curvature(states: Float[Tensor, "points *paths dim"]) -> Float[Tensor, "points-2 *paths"]:
    """Return Menger's curvature at each inner point: 1 / the radius of the circle through it and its two neighbours.

    Unit: one over the unit of the states. Exact on circles, 0 on straight lines, and free of the speed; it tends to
    the curvature of a smooth path as the points come together. Where a step has no length, or the path comes back to
    where it was two points before, there is no circle: NaN.

    Raises:
        ValueError: There are fewer than three points.
    """
    _, across, lengths = _turns(states)
    chord = (states[2:] - states[:-2]).norm(dim=-1)
    sine = across / (lengths[:-1] * lengths[1:])  # of the turning angle; 0/0 is NaN
    return torch.where(chord > 0, 2.0 * sine / chord, math.nan)


def _turns(states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return u.v and |u x v| for neighbouring steps u, v of each path, (points-2, ...), and the steps' lengths."""
    _check_points(states, 3)
    steps = states.diff(dim=0)
    u, v = steps[:-1], steps[1:]
    along = (u * v).sum(dim=-1)
    square = u.square().sum(dim=-1)
    across = v - (along / square.where(square > 0, 1.0)).unsqueeze(-1) * u  # what of v is orthogonal to u
    return along, across.norm(dim=-1) * square.sqrt(), steps.norm(dim=-1)


def kinetic_energy(
    times: Float[Tensor, " times"], states: Float[Tensor, "points *paths dim"]
) -> Float[Tensor, "points-1 *paths"]:
    """Return ``|velocity|^2 / 2`` in each step of each path; the velocity is the step divided by its time.

    Raises:
        ValueError: There are fewer than two points, or not one time for each.
    """
    _check_times(times, states)
    gaps = times.diff().view(-1, *[1] * (states.ndim - 1))
    return 0.5 * (states.diff(dim=0) / gaps).square().sum(dim=-1)


def action(times: Float[Tensor, " times"], states: Float[Tensor, "points *paths dim"]) -> Float[Tensor, "*paths"]:
    """Return the kinetic energy integrated over time, for each path.

    Finlay et al. (2020, arXiv 2002.02798) train neural ODEs to straight paths with a penalty proportional to it.
    It is at least ``|x(T) - x(0)|^2 / (2 T)``, and equal to that for a straight path at constant speed only.

    Raises:
        ValueError: There are fewer than two points, or not one time for each.
    """
    return torch.einsum("p...,p->...", kinetic_energy(times, states), times.diff())


def principal_plane(
    states: Float[Tensor, "points *paths dim"],
) -> tuple[Float[Tensor, "points *paths 2"], Float[Tensor, ""]]:
    """Return all states in their first two principal components, and the share of the variance that lies in these.

    Near 1 the picture shows almost all there is; what is far apart in it is far apart in any case.

    Raises:
        ValueError: The states have fewer than two numbers each.
    """
    if states.shape[-1] < 2:
        raise ValueError(f"the states have {states.shape[-1]} number each: a plane needs two or more")
    rows = states.flatten(0, -2)
    centred = rows - rows.mean(dim=0)
    _, lengths, axes = torch.linalg.svd(centred, full_matrices=False)
    # An axis has no sign of its own: point it to where its largest entry is positive, so that pictures do not flip.
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    plane = centred @ (axes * largest.sign())[:2].T
    squares = lengths.square()
    return plane.unflatten(0, states.shape[:-1]), squares[:2].sum() / squares.sum()


def _check_points(states: Tensor, least: int) -> None:
    if len(states) < least:
        raise ValueError(f"{len(states)} points came: this needs at least {least} states along each path")


def _check_times(times: Tensor, states: Tensor) -> None:
    _check_points(states, 2)
    if len(times) != len(states):
        raise ValueError(f"{len(times)} times and {len(states)} states came: give one time for each state")
