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
    for i, (step, time) in enumerate(zip(steps_of(depth, x), times[:-1], strict=True)):
        assert (step.t, step.h, step.field) == (float(time), 0.5, depth.fields[i // 2])
        assert torch.equal(step.before, states[i])
        assert torch.equal(step.after, states[i + 1])
        y = step.map(y)
        torch.testing.assert_close(y, states[i + 1])
    torch.testing.assert_close(states[-1], depth(x))


def test_to_watch_a_network_leaves_it_as_it_was(depth, x):
    rule = depth.rule
    steps_of(depth, x)
    assert depth.rule is rule
    with pytest.raises(RuntimeError, match="shape"):
        steps_of(depth, x[..., :3])
    assert depth.rule is rule


def test_a_whole_model_is_watched_through_its_embedding():
    vit = ViT(ViTConfig(dim=16, num_heads=2, intervals=3)).eval()
    images, record = torch.randn(2, 1, 28, 28), []
    vit(images, record)
    states = trajectory(vit, images).states
    assert torch.equal(states, torch.stack(record))
    assert torch.equal(trajectory(vit.depth, vit.embed(images)).states, states)


class Two(nn.Module):
    """An encoder and a decoder, as far as watching them goes."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = (ViT(ViTConfig(dim=16, num_heads=2, intervals=n)).depth for n in (2, 3))

    def forward(self, x):
        return self.decoder(self.encoder(x))


def test_of_several_depths_one_is_named():
    two, x = Two().eval(), torch.randn(1, 4, 16)
    with pytest.raises(ValueError, match="Two has 2 depths: name the one"):
        steps_of(two, x)
    encoder, decoder = (trajectory(two, x, depth=part).states for part in (two.encoder, two.decoder))
    assert (len(encoder), len(decoder)) == (3, 4)
    assert torch.equal(encoder[-1], decoder[0])
    assert torch.equal(decoder[-1], two(x))


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
