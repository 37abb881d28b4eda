import math

import pytest
import torch

from odelib.analysis import finite_time_exponents, lyapunov_exponents
from odelib.solvers import integrate, step_rule

F64 = torch.float64


def lorenz(t, y):
    a, b, c = y.unbind(-1)
    return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], dim=-1)


@pytest.mark.slow
def test_a_linear_system_has_the_real_parts_of_its_eigenvalues():
    # Blocks with the eigenvalues 0.2 +- 3i, -0.5 and -1, mixed by a change of basis.
    blocks = torch.tensor([[0.2, 3, 0, 0], [-3, 0.2, 0, 0], [0, 0, -0.5, 1], [0, 0, 0, -1.0]], dtype=F64)
    basis = torch.eye(4, dtype=F64) + 0.3 * torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(0))
    matrix = basis @ blocks @ torch.linalg.inv(basis)
    y0 = torch.randn(2, 4, dtype=F64)
    found = lyapunov_exponents(lambda t, y: y @ matrix.T, y0, h=0.1, steps=500, discard=200, count=4)
    expected = torch.tensor([0.2, 0.2, -0.5, -1.0], dtype=F64).expand(2, 4)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


def test_the_method_is_part_of_the_answer():
    """Euler's method on dy/dt = -y multiplies by 1 - h, so its exponent is log(1 - h) / h."""
    found = lyapunov_exponents(lambda t, y: -y, torch.ones(1, 2, dtype=F64), h=0.5, steps=3, rule="euler", count=2)
    torch.testing.assert_close(found, torch.full((1, 2), 2 * math.log(0.5), dtype=F64))


def test_time_is_passed_on():
    """dy/dt = t y grows by exp(t^2/2): from 1 to 2 the mean rate is 1.5."""
    found = lyapunov_exponents(lambda t, y: t * y, torch.ones(1, 1, dtype=F64), h=0.05, steps=20, t=1.0)
    assert float(found) == pytest.approx(1.5, abs=1e-5)


@pytest.mark.slow
def test_the_lorenz_system():
    """(0.906, 0, -14.572): Sprott, Chaos and Time-Series Analysis (2003), for Lorenz's own parameters."""
    start = torch.randn(256, 3, dtype=F64, generator=torch.Generator().manual_seed(0)) + torch.tensor([1.0, 1.0, 25.0])
    found = lyapunov_exponents(lorenz, start, h=0.02, steps=300, discard=200, count=3)
    mean = found.mean(dim=0).tolist()
    assert mean[0] == pytest.approx(0.906, abs=0.06)
    assert mean[1] == pytest.approx(0.0, abs=0.03)
    assert mean[2] == pytest.approx(-14.572, abs=0.06)
    # Volumes shrink at the constant rate of the field's divergence, on every path.
    torch.testing.assert_close(found.sum(dim=1), torch.full((256,), -10 - 1 - 8 / 3, dtype=F64), rtol=0, atol=0.01)


@pytest.mark.parametrize("rule", ["midpoint", "lie-trotter"])
def test_on_a_transformer_the_sum_is_the_rate_of_volume(field, x, rule):
    """All exponents add up to log|det J| / T, and so do the logarithms of all singular values."""
    small = x[:1, :2]

    def network(y):
        return integrate(field, step_rule(rule), y, t=0.0, h=0.5, steps=2)

    by_steps = lyapunov_exponents(field, small, h=0.5, steps=2, rule=rule, count=32)
    at_once = finite_time_exponents(network, small, 1.0, 32)
    torch.testing.assert_close(by_steps.sum(), at_once.sum(), rtol=1e-6, atol=1e-6)
    assert float(by_steps[0, 0]) <= float(at_once[0, 0]) + 1e-9


def test_no_value_is_read(on_meta):
    depth, x = on_meta
    found = lyapunov_exponents(depth.fields[0], x, h=0.1, steps=2, count=3)
    assert (found.device.type, found.shape) == ("meta", (2, 3))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"count": 0}, "count is 0: a state of 4 numbers has 1 to 4 exponents"),
        ({"count": 5}, "count is 5"),
        ({"steps": 0}, "steps is 0"),
        ({"discard": -1}, "discard is -1"),
        ({"h": 0.0}, r"h is 0\.0"),
        ({"h": math.nan}, "h is nan"),
        ({"rule": "rk5"}, "nearest valid name is 'rk4'"),
    ],
)
def test_bad_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        lyapunov_exponents(lambda t, y: y, torch.ones(1, 4), **({"h": 0.1, "steps": 1} | options))
