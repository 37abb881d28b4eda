"""The cheat sheet says of each rule what the library does."""

import math
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from odelib import Sum, solve

sys.path.insert(0, str(Path(__file__).parents[2] / "book/_extensions"))
cheat_sheet = import_module("cheat_sheet")


class Terms:
    """Two terms that do not commute, and how often each was asked."""

    def __init__(self):
        self.calls = [0, 0]

    def attention(self, t, x):
        self.calls[0] += 1
        return torch.stack([-x[1], x[0]]) * (1 + 0.2 * x[0])

    def mlp(self, t, x):
        self.calls[1] += 1
        return torch.stack([0.3 - 0.5 * x[1], torch.sin(x[0])])

    def end(self, rule, steps):
        start = torch.tensor([1.0, 0.2], dtype=torch.float64)
        return solve(Sum(self.attention, self.mlp), start, (0.0, 1.0), rule=rule, steps=steps).ys[-1]


@pytest.mark.parametrize("rule", cheat_sheet.RULES, ids=lambda rule: rule.name)
def test_order_and_cost_are_what_is_measured(rule):
    terms = Terms()
    exact = terms.end("dopri8", 40)
    coarse, fine = ((terms.end(rule.name, steps) - exact).norm().item() for steps in (40, 80))
    order = int(re.search(r"<dt>Order</dt><dd>(\d)</dd>", cheat_sheet.card(rule))[1])
    assert math.log2(coarse / fine) == pytest.approx(order, abs=0.25)
    terms.calls[:] = [0, 0]
    terms.end(rule.name, 10)
    assert tuple(count / 10 for count in terms.calls) == cheat_sheet.cost(rule.name)


@pytest.mark.parametrize("rule", cheat_sheet.RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("term", [0, 1])
def test_a_step_is_stable_to_its_bound_and_no_further(rule, term):
    bound = cheat_sheet.stable(rule.name)[term]

    def grows(rate):
        terms = [lambda t, x: 0 * x, lambda t, x: 0 * x]
        terms[term] = lambda t, x: -rate * x
        return (
            solve(Sum(*terms), torch.ones(1, dtype=torch.float64), (0.0, 1.0), rule=rule.name, steps=1).ys[-1].abs() > 1
        )

    assert not grows(0.999 * bound)
    assert grows(1.001 * bound)


def test_the_drawing_shows_each_evaluation():
    for rule in cheat_sheet.RULES:
        drawing = cheat_sheet.picture(rule)
        boxes = re.findall(r">(?:½ )?([AM])</text>", drawing)
        assert drawing.count("<rect") == len(boxes)
        substep = 2 if rule.name == "strang(midpoint)" else 1
        assert tuple(boxes.count(term) * substep for term in "AM") == cheat_sheet.cost(rule.name)


def test_numbers_are_written_as_in_a_tableau():
    assert [cheat_sheet.time_of(x) for x in (0.0, 1.0, 0.5, 1 / 3)] == ["t", "t + h", "t + ½h", "t + 1/3h"]
    assert [cheat_sheet.written(x) for x in (1 / 6, -0.2, 0.75)] == ["1/6", "−1/5", "¾"]
