import math

import pytest
import torch

from odelib.solvers import Splitting, Sum, solve, step_rule


def sequence(name, terms=2):
    return step_rule(name).sequence(terms)


@pytest.mark.parametrize("terms", [1, 2, 3])
@pytest.mark.parametrize("name", ["lie-trotter", "strang", "yoshida4", "suzuki4"])
def test_every_term_is_integrated_over_the_whole_step(name, terms):
    for term in range(terms):
        assert math.fsum(part for index, part in sequence(name, terms) if index == term) == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["strang", "yoshida4", "suzuki4"])
@pytest.mark.parametrize("terms", [2, 3])
def test_symmetric_schemes_read_the_same_from_both_ends(name, terms):
    parts = sequence(name, terms)
    assert [index for index, _ in parts] == [index for index, _ in reversed(parts)]
    assert [part for _, part in parts] == pytest.approx([part for _, part in reversed(parts)])


def test_the_sequences_are_those_of_the_papers():
    assert sequence("lie-trotter") == [(0, 1.0), (1, 1.0)]
    assert sequence("strang") == [(1, 0.5), (0, 1.0), (1, 0.5)]
    y = 1 / (2 - 2 ** (1 / 3))
    whole = [(0, y), (0, 1 - 2 * y), (0, y)]
    assert [pair for pair in sequence("yoshida4") if pair[0] == 0] == whole
    assert len(sequence("suzuki4")) == 11, "five Strang steps, whose neighbouring halves are one sub-step"


def test_each_term_has_a_clock_of_its_own():
    seen = {"a": [], "b": []}
    field = Sum(lambda t, y: seen["a"].append(t) or y, lambda t, y: seen["b"].append(t) or y)
    solve(field, torch.ones(1), (1.0, 2.0), rule="strang")
    assert seen == {"a": [1.0], "b": [1.0, 1.5]}


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="unknown splitting 'strand': the nearest valid name is 'strang'"):
        Splitting("strand", step_rule("rk4"))
