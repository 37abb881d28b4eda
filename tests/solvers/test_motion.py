import pytest
import torch

from odelib.solvers.motion import first_order, moved, slopes_at


def test_a_shift_of_zero_changes_the_gradient_and_not_the_value():
    t = torch.tensor(2.0, requires_grad=True)
    y = torch.tensor([1.0, 3.0])
    result = moved(y, slopes_at(lambda t, y: t * y, 2.0, y), t - t.detach())
    assert torch.equal(result, y)
    result.sum().backward()
    assert t.grad == 2.0 * 4.0


def test_each_leaf_keeps_its_dtype():
    y = torch.ones(2, dtype=torch.bfloat16), torch.ones(1, dtype=torch.complex64)
    result = moved(y, y, torch.tensor(0.5, dtype=torch.float64))
    assert [leaf.dtype for leaf in result] == [torch.bfloat16, torch.complex64]


def test_a_second_derivative_is_refused_before_it_can_be_wrong():
    t = torch.tensor(2.0, requires_grad=True)
    with pytest.raises(RuntimeError, match="differentiate once, or take a number of steps"):
        torch.autograd.grad(first_order(t) ** 2, t, create_graph=True)
