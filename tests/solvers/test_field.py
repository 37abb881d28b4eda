import pytest
import torch

from odelib.solvers import RandomField, Sum, solve, terms_of
from odelib.solvers.field import InUnitTime, draw
from odelib.solvers.torchdiffeq import WithTensorTime


def test_a_sum_adds_its_terms_also_of_trees():
    field = Sum(lambda t, y: y * t, lambda t, y: y + 1)
    assert torch.equal(field(2.0, torch.ones(2)), torch.full((2,), 4.0))
    tree = Sum(lambda t, y: {"a": y["a"]}, lambda t, y: {"a": 2 * y["a"]})
    assert torch.equal(tree(0.0, {"a": torch.ones(1)})["a"], torch.full((1,), 3.0))


def test_a_sum_of_nothing_is_refused():
    with pytest.raises(ValueError, match="a sum of fields needs at least one term"):
        Sum()


def test_terms_are_found_or_the_remedy_is_named():
    terms = (torch.neg, torch.abs)
    assert terms_of(Sum(*terms)) == terms
    with pytest.raises(TypeError, match=r"has none: wrap its parts in odelib\.solvers\.Sum"):
        terms_of(torch.neg)


def test_unit_time_is_the_same_motion():
    start, span = torch.tensor(0.5, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    inner = InUnitTime(lambda t, y: t * y, start, span, torch.float64)
    assert float(inner(0.25, torch.tensor(3.0, dtype=torch.float64))) == 2.0 * (0.5 + 0.25 * 2.0) * 3.0


def test_wrappers_keep_terms_and_draws():
    class Field(Sum, RandomField):
        def draw(self, y):
            return Sum(lambda t, y: 7 * t)

    wrapped = WithTensorTime(Field(lambda t, y: t), torch.float32, torch.device("cpu"))
    assert terms_of(wrapped)[0](1.0, torch.ones(1)).dtype == torch.float32
    assert float(draw(wrapped, torch.ones(1))(1.0, torch.ones(1))) == 7.0


def test_a_field_that_draws_itself_stays_itself_behind_a_wrapper():
    class Field(RandomField):
        def __call__(self, t, y):
            return y

    wrapped = WithTensorTime(Field(), torch.float32, torch.device("cpu"))
    assert draw(wrapped, torch.ones(1)) is wrapped


def test_a_splitting_of_a_tree_is_solved():
    field = Sum(lambda t, y: {"a": -y["a"]}, lambda t, y: {"a": 0 * y["a"]})
    ys = solve(field, {"a": torch.ones(2)}, (0.0, 1.0), rule="strang(rk4)", steps=4).ys
    torch.testing.assert_close(ys["a"][-1], torch.full((2,), 0.36788), rtol=1e-4, atol=0)
