import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.models import ViT, ViTConfig, from_timm, to_timm

SMALL = ViTConfig(dim=16, num_heads=2, mlp_ratio=2.0, intervals=2)


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(scope="module")
def deit():
    """timm's DeiT-Ti with random weights and ours with the same ones."""
    import timm

    torch.manual_seed(0)
    theirs = timm.create_model("deit_tiny_patch16_224", pretrained=False).eval()
    with torch.no_grad():  # timm starts biases and shifts at zero: random ones test them too
        for parameter in theirs.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    ours = ViT(ViTConfig.deit_tiny()).eval()
    ours.load_state_dict(from_timm(theirs.state_dict()))
    return theirs, ours


def test_the_usual_configuration_is_timms_deit_tiny(deit):
    theirs, ours = deit
    assert count(ours) == count(theirs)
    images = torch.randn(2, 3, 224, 224)
    labels = torch.tensor([3, 500])
    for model in deit:
        model.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-5)
    gradients = to_timm({name: p.grad for name, p in ours.named_parameters()})
    assert gradients.keys() == dict(theirs.named_parameters()).keys()
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(
            gradients[name], parameter.grad, rtol=0, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_weights_go_to_timm_and_back(deit):
    theirs, ours = deit
    theirs.load_state_dict(to_timm(ours.state_dict()))
    again = from_timm(theirs.state_dict())
    assert all(torch.equal(again[name], value) for name, value in ours.state_dict().items())


def test_a_part_without_counterpart_is_named():
    with pytest.raises(ValueError, match=r"'dist_token' has no counterpart.*distillation token"):
        from_timm({"dist_token": torch.zeros(1)})
    with pytest.raises(ValueError, match="expected a state dict of an odelib ViT"):
        to_timm({"blocks.0.norm1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"'embed.patch.0.weight' has no counterpart.*convolutional stem"):
        to_timm(ViT(replace(SMALL, patch_size=4, stem="conv")).state_dict())


@pytest.mark.parametrize(
    "changes",
    [
        {"step_rule": "lie-trotter"},
        {"step_rule": "euler"},
        {"step_rule": "strang"},
        {"step_rule": "strang(midpoint)"},
        {"step_rule": "rk4", "intervals": 1, "steps": 2},
        {"step_rule": "midpoint", "pool": "class"},
        {"step_rule": "heun", "step_size": 0.5, "dropout": 0.1, "drop_path": 0.1},
        {"step_rule": "euler", "patch_size": 4, "stem": "conv"},
    ],
    ids=str,
)
def test_every_configuration_trains(changes):
    torch.manual_seed(0)
    model = ViT(replace(SMALL, **changes))
    images, labels = torch.randn(32, 1, 28, 28), torch.arange(32) % 10
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_sharing_divides_the_parameters_of_depth():
    whole = ViT(replace(SMALL, intervals=4))
    shared = ViT(replace(SMALL, intervals=1, steps=4))
    assert count(whole.depth) == 4 * count(shared.depth)
    assert whole.nfe == shared.nfe == 4


def test_same_weights_for_usual_and_parallel():
    usual, parallel = ViT(replace(SMALL, step_rule="lie-trotter")), ViT(replace(SMALL, step_rule="euler"))
    parallel.load_state_dict(usual.state_dict())
    assert count(usual) == count(parallel)
    assert usual.nfe == parallel.nfe


def test_record_starts_with_the_embedding():
    model = ViT(SMALL)
    record = []
    images = torch.randn(1, 1, 28, 28)
    model(images, record)
    assert len(record) == 3
    torch.testing.assert_close(record[0], model.embed(images))


@pytest.mark.parametrize("patch", [2, 4, 8, 16])
def test_a_convolutional_stem_makes_as_many_tokens_and_looks_beyond_the_patch(patch):
    config = replace(SMALL, image_size=32, patch_size=patch, stem="conv")
    stem = ViT(config).embed
    images = torch.zeros(1, 1, 32, 32)
    other = images.clone()
    other[0, 0, patch - 1, patch - 1] = 1.0  # the last pixel of the first patch
    change = (stem(other) - stem(images))[0].abs().sum(1).view(32 // patch, 32 // patch) > 0
    assert change[0, 0]
    assert change[0, 1]
    assert change[1, 0]
    assert int(change.sum()) == 4


def test_drop_path_grows_with_depth():
    model = ViT(replace(SMALL, intervals=3, drop_path=0.2))
    assert [field.attention.drop_path for field in model.depth.fields] == pytest.approx([0.0, 0.1, 0.2])
    assert ViT(replace(SMALL, intervals=1, drop_path=0.2)).depth.fields[0].mlp.drop_path == 0.2


def test_config_goes_to_a_dict_and_back():
    config = replace(SMALL, step_rule="rk4", pool="class")
    assert ViTConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"step_rule": "rk5"}, "nearest valid name is 'rk4'"),
        ({"image_size": 30}, "image_size 30 is not divisible by patch_size 7"),
        ({"dim": 18, "num_heads": 4}, "dim 18 is not divisible by num_heads 4"),
        ({"intervals": 0}, "intervals is 0"),
        ({"step_size": -1.0}, "step_size is -1.0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"mlp_ratio": 0.01}, "no hidden unit"),
        ({"patch_size": 0}, "patch_size is 0"),
        ({"stem": "conv"}, "patch_size is 7 with stem='conv', which halves the image: choose 2, 4, 8"),
        ({"stem": "conv", "patch_size": 1}, "patch_size is 1 with stem='conv'"),
    ],
)
def test_bad_configurations_are_refused(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(SMALL, **changes)


def test_unknown_keys_are_refused():
    with pytest.raises(ValueError, match="unknown ViTConfig field 'step_rul': the nearest valid name is 'step_rule'"):
        ViTConfig.from_dict({"step_rul": "rk4"})


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"images of shape \(3, 28, 28\) came, the model was made for \(1, 28, 28\)"):
        ViT(SMALL)(torch.zeros(2, 3, 28, 28))


@pytest.mark.usefixtures("attention_on_fake_cuda")
def test_forward_on_cuda_without_a_cuda_device(monkeypatch):
    # torch's own initialisation reads values back; which values a fake tensor starts from is no matter.
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda tensor, std: tensor)
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        logits = ViT(replace(SMALL, pool="class", step_rule="rk4"))(torch.zeros(2, 1, 28, 28))
    assert logits.device.type == "cuda"


COMPILE = """
import torch
from odelib import ViT, ViTConfig

for rule in ("euler", "lie-trotter", "rk4"):
    torch.manual_seed(0)
    model = ViT(ViTConfig(dim=16, num_heads=2, mlp_ratio=2.0, intervals=2, step_rule=rule)).eval()
    images = torch.randn(2, 1, 28, 28)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(images), model(images))
"""


@pytest.mark.slow
def test_compiles_without_a_graph_break():
    # In a process of its own: the run-time type checks of the tests cannot be traced.
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
