import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odelib.analysis import action, curvature, kinetic_energy, path_length, principal_plane, trajectory, turning_angles

F64 = torch.float64


def rotation(dim, seed):
    return torch.linalg.qr(torch.randn(dim, dim, dtype=F64, generator=torch.Generator().manual_seed(seed))).Q


def circle(angles, radius, dim=5, seed=0):
    """Points of a circle in some plane of a space, away from 0."""
    angles = torch.as_tensor(angles, dtype=F64)
    flat = torch.stack([radius * angles.cos(), radius * angles.sin()], dim=1)
    return flat @ rotation(dim, seed)[:2] + 3.0


@settings(max_examples=50)
@given(
    gaps=st.lists(st.floats(0.05, 0.9), min_size=2, max_size=6),
    radius=st.floats(0.01, 100),
    seed=st.integers(0, 1000),
)
def test_a_circle_has_the_curvature_one_over_its_radius_at_any_speed(gaps, radius, seed):
    path = circle(torch.tensor([0.0, *gaps]).cumsum(0), radius, seed=seed)
    expected = torch.full((len(gaps) - 1,), 1 / radius, dtype=F64)
    torch.testing.assert_close(curvature(path), expected, rtol=1e-6, atol=0)
    halves = torch.tensor([(a + b) / 2 for a, b in itertools.pairwise(gaps)], dtype=F64)
    torch.testing.assert_close(turning_angles(path), halves, rtol=1e-6, atol=0)


def test_a_finely_cut_path_has_the_curvature_of_the_smooth_one():
    """y = x^2 has the curvature 2 / (1 + 4 x^2)^(3/2)."""
    x = torch.linspace(-1, 1, 401, dtype=F64)
    found = curvature(torch.stack([x, x**2], dim=1))
    torch.testing.assert_close(found, 2 / (1 + 4 * x[1:-1] ** 2) ** 1.5, rtol=1e-3, atol=0)


def test_a_straight_line_does_not_turn_and_a_corner_turns_by_its_angle():
    line = torch.tensor([0.0, 1, 3, 4], dtype=F64)[:, None] * torch.ones(3, dtype=F64)
    assert curvature(line).abs().max() < 1e-12
    assert turning_angles(line).abs().max() < 1e-12
    corner = torch.tensor([[0.0, 0], [1, 0], [1, 2], [1, 1]], dtype=F64)
    torch.testing.assert_close(turning_angles(corner), torch.tensor([math.pi / 2, math.pi], dtype=F64))


def test_where_there_is_no_angle_the_answer_is_nan():
    resting = torch.tensor([[0.0, 0], [1, 0], [1, 0], [1, 1]])
    assert turning_angles(resting).isnan().all()
    assert curvature(resting).isnan().all()
    back = torch.tensor([[0.0, 0], [1, 0], [0, 0]])
    assert curvature(back).isnan().all()
    assert turning_angles(back).tolist() == [pytest.approx(math.pi)]


@settings(max_examples=50)
@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 10))
def test_how_the_measures_scale_and_turn(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    path = torch.randn(6, 2, 3, 4, dtype=F64, generator=generator)
    times = torch.rand(6, dtype=F64, generator=generator).add(0.1).cumsum(0)
    moved = scale * path @ rotation(4, seed) + 1.0
    torch.testing.assert_close(curvature(moved), curvature(path) / scale, rtol=1e-6, atol=0)
    torch.testing.assert_close(turning_angles(moved), turning_angles(path), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(path_length(moved), scale * path_length(path))
    torch.testing.assert_close(kinetic_energy(times, moved), scale**2 * kinetic_energy(times, path))
    torch.testing.assert_close(action(2 * times, moved), scale**2 / 2 * action(times, path))
    # The straight path at constant speed has the least action and length of all with the same ends.
    chord = (path[-1] - path[0]).norm(dim=-1)
    assert (action(times, path) >= chord**2 / (2 * (times[-1] - times[0])) - 1e-9).all()
    assert (path_length(path) >= chord - 1e-9).all()


def test_constant_speed_has_the_least_action():
    times = torch.tensor([0.0, 0.5, 2.0], dtype=F64)
    path = times[:, None] * torch.tensor([3.0, 4.0], dtype=F64)
    torch.testing.assert_close(kinetic_energy(times, path), torch.full((2,), 12.5, dtype=F64))
    assert float(action(times, path)) == pytest.approx(10**2 / (2 * 2.0))


def test_the_velocity_of_eulers_method_is_the_field(depth, x):
    from odelib.analysis import steps_of, swapped

    with swapped(depth, "euler"):
        times, states = trajectory(depth, x)
        step = steps_of(depth, x)[4]
    with torch.no_grad():
        expected = 0.5 * step.field(step.t, step.before).square().sum(dim=-1)
    torch.testing.assert_close(kinetic_energy(times, states)[4], expected)
    assert turning_angles(states).shape == (5, 2, 5)
    assert turning_angles(states.flatten(2)).shape == (5, 2)


def test_the_principal_plane_of_a_flat_path_keeps_all_distances():
    path = circle(torch.linspace(0, 4, 9), 2.0).view(3, 3, 5)
    plane, share = principal_plane(path)
    assert plane.shape == (3, 3, 2)
    assert float(share) == pytest.approx(1.0)
    distances = torch.cdist(plane.flatten(0, 1), plane.flatten(0, 1))
    torch.testing.assert_close(distances, torch.cdist(path.flatten(0, 1), path.flatten(0, 1)))


def test_the_principal_plane_tells_what_it_leaves_out():
    cross = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 2, 0], [0, -2, 0], [0, 0, 1], [0, 0, -1]], dtype=F64)
    plane, share = principal_plane(cross)
    assert float(share) == pytest.approx((9 + 4) / (9 + 4 + 1))
    torch.testing.assert_close(plane, cross[:, :2])
    assert torch.equal(principal_plane(cross.flip(0))[0], plane.flip(0))


def test_on_cuda_without_a_cuda_device(on_fake_cuda):
    with on_fake_cuda() as (depth, x):
        times, states = trajectory(depth, x)
        found = (curvature(states), turning_angles(states), action(times, states), *principal_plane(states))
    assert {value.device.type for value in found} == {"cuda"}


@pytest.mark.parametrize(
    ("measure", "sentence"),
    [
        (lambda: curvature(torch.zeros(2, 3)), "2 points came: this needs at least 3"),
        (lambda: turning_angles(torch.zeros(1, 3)), "1 points came"),
        (lambda: path_length(torch.zeros(1, 3)), "at least 2"),
        (lambda: kinetic_energy(torch.zeros(3), torch.zeros(2, 3)), "3 times and 2 states came"),
        (lambda: action(torch.zeros(1), torch.zeros(1, 3)), "at least 2"),
        (lambda: principal_plane(torch.zeros(4, 1)), "the states have 1 number each"),
    ],
)
def test_what_has_no_shape_is_refused(measure, sentence):
    with pytest.raises(ValueError, match=sentence):
        measure()
