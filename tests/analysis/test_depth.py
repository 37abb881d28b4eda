import pytest
import torch
from torch import nn

from odelib import ViT, ViTConfig
from odelib.analysis import steps_of, swapped, trajectory
from odelib.layers import DepthSchedule
from odelib.solvers import step_rule


def test_the_steps_by_hand_are_the_network(depth, x):
    times, states = trajectory(depth, x)
    assert times.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert torch.equal(states[0], x)
    y = x
    for (field, t, h), time, state in zip(steps_of(depth), times[:-1], states[1:], strict=True):
        assert (t, h) == (float(time), 0.5)
        y, _, _ = depth.rule.step(field, t, h, y, None)
        torch.testing.assert_close(y, state)
    torch.testing.assert_close(states[-1], depth(x))


def test_a_trajectory_keeps_no_graph(depth, x):
    assert not trajectory(depth, x.requires_grad_()).states.requires_grad


def test_a_swap_ends_with_its_block_also_after_an_error(depth, x):
    before, rule, schedule = depth(x), depth.rule, depth.schedule
    depth.train()
    with swapped(depth, "rk4", refine=3):
        assert depth.rule == step_rule("rk4")
        assert depth.schedule == DepthSchedule(3, steps=6, step_size=0.5 / 3)
        assert not depth.training
    with pytest.raises(ValueError, match="nearest valid name is 'euler'"), swapped(depth, "eulr"):
        pass
    with pytest.raises(ZeroDivisionError), swapped(depth):
        1 / 0  # noqa: B018
    assert (depth.rule, depth.schedule, depth.training) == (rule, schedule, True)
    assert torch.equal(depth.eval()(x), before)


def test_every_depth_of_a_model_is_swapped():
    pair = nn.ModuleList(ViT(ViTConfig(dim=16, num_heads=2, intervals=n)) for n in (1, 2))
    with swapped(pair, "heun", refine=2):
        assert [(vit.depth.rule.name, vit.depth.schedule.steps) for vit in pair] == [("heun", 2)] * 2


def test_a_model_without_depth_is_refused():
    with pytest.raises(ValueError, match="Linear has no DepthBlock inside"), swapped(nn.Linear(2, 2)):
        pass


def test_on_cuda_without_a_cuda_device(on_fake_cuda):
    with on_fake_cuda() as (depth, x):
        times, states = trajectory(depth, x)
    assert times.device.type == states.device.type == "cuda"
    assert states.shape == (7, 2, 5, 16)
