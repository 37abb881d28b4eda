"""A learner's function gets clones, and is told when it changes them."""

import math

import pytest
import torch

from odelib.teaching.exercises import NotYet
from odelib.teaching.handed_out import call_with_clones, expect_formula, expect_without


def test_inputs_stay_what_they_were():
    x = torch.ones(3)
    with pytest.raises(NotYet, match="changes its argument number 2"):
        call_with_clones(lambda h, x: x.mul_(h), 2.0, x)
    assert torch.equal(x, torch.ones(3))


def test_a_function_that_changes_nothing_gives_its_result():
    x = torch.ones(3)
    result = call_with_clones(lambda h, x: h * x, 2.0, x)
    assert torch.equal(result, torch.full((3,), 2.0))


def test_a_list_is_handed_out_as_a_copy_too():
    scores = [2.0, 1.0]
    with pytest.raises(NotYet, match=r"changes its argument number 1.*sorted"):
        call_with_clones(lambda scores: scores.sort(), scores)
    assert scores == [2.0, 1.0]


def test_what_is_to_be_done_without_is_found_in_the_code():
    def nested(x):
        return (lambda y: torch.func.grad(torch.sin)(y))(x)

    with pytest.raises(NotYet, match=r"uses grad\. .* write out"):
        expect_without(nested, "jvp", "grad")
    expect_without(nested, "jvp")
    expect_without(torch.nn.ReLU(), "grad")  # has no code of its own


@pytest.mark.parametrize("given", [torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.float, list])
def test_a_formula_gives_all_digits_that_its_dtype_holds(given):
    want = 1e-8 * torch.tensor([1 / 3, 2.0, -5.0], dtype=torch.float64)
    expect_formula(given(want), want, "it", "Derive it.")


@pytest.mark.parametrize("off", [1e-11, -1e-9, math.nan])
def test_a_difference_quotient_does_not(off):
    want = 1e-8 * torch.tensor([1 / 3, 2.0, -5.0], dtype=torch.float64)
    with pytest.raises(NotYet, match=r"is off by .* Derive it"):
        expect_formula(want * (1 + off), want, "it", "Derive it.")
    with pytest.raises(NotYet, match="of its size"):
        expect_formula((want * (1 + 1e-3)).float(), want, "it", "Derive it.")
