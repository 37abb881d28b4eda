import pytest
import torch

from odelib.solvers import Adaptive, RandomField, solve
from odelib.solvers.randomness import Draws


class Noise(RandomField):
    def draw(self, y):
        value = torch.randn_like(y)
        return lambda t, y: value

    def __call__(self, t, y):
        raise AssertionError("a field that draws must not be called undrawn")


def test_the_same_field_is_drawn_again_for_a_step():
    draws, y = Draws(Noise(), record=True), torch.zeros(3)
    first = [draws.next(y)(0.0, y) for _ in range(4)]
    between = torch.get_rng_state()
    for step in (2, 0, 3, 1):
        with draws.again(step, y) as field:
            assert torch.equal(field(0.0, y), first[step])
    assert torch.equal(torch.get_rng_state(), between)
    assert not torch.equal(first[0], first[1])


def test_what_was_not_recorded_cannot_be_drawn_again():
    draws = Draws(Noise())
    draws.next(torch.zeros(1))
    with pytest.raises(ValueError, match="these draws were not recorded: make them with record=True"):
        draws.again(0, torch.zeros(1)).__enter__()


def test_a_field_without_randomness_is_always_the_same():
    draws = Draws(torch.neg, record=True)
    assert draws.next(torch.zeros(1)) is torch.neg
    with draws.again(0, torch.zeros(1)) as field:
        assert field is torch.neg


def test_a_rejected_step_is_tried_again_with_the_same_draw():
    drawn = []

    class Counted(Noise):
        def draw(self, y):
            drawn.append(1)
            rate = 1.0 + torch.rand(())
            return lambda t, y: -40 * rate * y

    steps = Adaptive(first_step=1.0, rtol=1e-4, atol=1e-6)
    stats = solve(Counted(), torch.ones(2), (0.0, 0.5), rule="dopri5", steps=steps).stats
    assert stats.rejected > 0
    assert len(drawn) == stats.accepted
