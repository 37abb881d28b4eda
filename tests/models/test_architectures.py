"""Every row of the table of architectures is a configuration: built, trained, saved, reloaded, integrated otherwise."""

import subprocess
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from odelib.models import ViT, ViTConfig, load_pretrained, save_pretrained

TINY = {"dim": 16, "num_heads": 2, "mlp_ratio": 2.0, "intervals": 2}
TABLE = {
    "usual, pre-norm": {"step_rule": "lie-trotter"},
    "usual, post-norm": {"step_rule": "lie-trotter", "norm_place": "post"},
    "parallel": {"step_rule": "euler"},
    "parallel, GPT-J": {"step_rule": "euler", "norm_place": "shared"},
    "parallel, ViT-22B": {"step_rule": "euler", "norm_place": "shared", "qk_norm": True, "qkv_bias": False},
    "Macaron": {"step_rule": "strang"},
    "Runge-Kutta": {"step_rule": "rk4"},
    "shared weights": {"step_rule": "euler", "intervals": 1, "steps": 4},
    "shared weights, usual": {"step_rule": "lie-trotter", "intervals": 1, "steps": 4},
    "continuous depth": {"step_rule": "dopri5", "intervals": 1, "tolerance": 1e-3},
    "adjoint": {"step_rule": "rk4", "intervals": 1, "steps": 2, "gradient": "adjoint"},
    "reversible": {"step_rule": "midpoint", "intervals": 1, "steps": 4, "gradient": "reversible"},
    "checkpointed": {"step_rule": "euler", "steps": 2, "gradient": "checkpoint", "dropout": 0.1, "drop_path": 0.1},
    "interpolated weights": {"step_rule": "midpoint", "weights": "linear", "learn_step_size": True},
    "generated weights": {"step_rule": "midpoint", "weights": "fourier", "intervals": 3},
    "RMSNorm and SwiGLU": {"step_rule": "euler", "norm": "rms", "activation": "swiglu", "pool": "class"},
}


@pytest.mark.parametrize("name", TABLE)
def test_built_trained_saved_reloaded_and_swapped(name, tmp_path):
    torch.manual_seed(0)
    model = ViT(ViTConfig(**{**TINY, **TABLE[name]}))
    images, labels = torch.randn(16, 1, 28, 28), torch.arange(16) % 4
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(15):
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    save_pretrained(model, tmp_path)
    again = load_pretrained(tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(again(images), model.eval()(images), rtol=0, atol=0)
        assert model.nfe == again.nfe > 0
        state = {name: value.clone() for name, value in again.state_dict().items()}
        again.depth.swap("rk4", steps=3, gradient="backprop")
        assert again(images).isfinite().all()
    assert again.depth.schedule.depth == pytest.approx(model.depth.schedule.depth)
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())


FIXED = [name for name in TABLE if "tolerance" not in TABLE[name]]


@pytest.mark.parametrize("name", [name for name in FIXED if "gradient" not in TABLE[name]])
def test_a_training_step_reads_no_values(name):
    # A tensor on "meta" has no values: whatever needed one would raise.
    with torch.device("meta"):
        model = ViT(ViTConfig(**{**TINY, **TABLE[name]}))
        optimiser = torch.optim.AdamW(model.parameters())
        model(torch.ones(2, 1, 28, 28)).sum().backward()
    optimiser.step()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.depth.fields[0].parameters())


@pytest.mark.usefixtures("attention_on_fake_cuda")
@pytest.mark.parametrize("name", FIXED)
def test_forward_on_cuda_without_a_cuda_device(name, monkeypatch):
    # torch's own initialisation reads values back; which values a fake tensor starts from is no matter.
    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda tensor, std: tensor)
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        assert ViT(ViTConfig(**{**TINY, **TABLE[name]}))(torch.ones(2, 1, 28, 28)).device.type == "cuda"


COMPILE = """
import sys
import torch
from odelib.models import CausalLM, CausalLMConfig, EncoderDecoder, EncoderDecoderConfig, TextClassifier
from odelib.models import TextClassifierConfig, ViT, ViTConfig

tiny = dict(dim=16, num_heads=2, mlp_ratio=2.0, intervals=2)
text = dict(**tiny, vocab_size=11, max_tokens=8)
tokens, images = torch.randint(11, (2, 7)), torch.randn(2, 1, 28, 28)
mask = torch.arange(7) < torch.tensor([[7], [4]])
image_configs = [dict(step_rule=rule) for rule in ("euler", "lie-trotter", "strang(midpoint)", "rk4")] + [
    dict(step_rule="euler", norm_place="shared", qk_norm=True, steps=2),
    dict(step_rule="heun", weights="linear", learn_step_size=True),
    dict(step_rule="euler", weights="fourier", norm="rms", activation="swiglu"),
    dict(step_rule="lie-trotter", norm_place="post"),
    dict(step_rule="rk4", dropout=0.1, drop_path=0.1),
    dict(step_rule="midpoint", weights="linear", dropout=0.1),
    dict(step_rule="rk4", field="fused", dropout=0.1),
]
cases = [(ViT(ViTConfig(**{**tiny, **changes})), (images,)) for changes in image_configs]
cases += [
    (CausalLM(CausalLMConfig(**text, positions="rotary")), (tokens,)),
    (TextClassifier(TextClassifierConfig(**text)), (tokens, mask)),
    (EncoderDecoder(EncoderDecoderConfig(**text, step_rule="lie-trotter")), (tokens, tokens, mask)),
]
for model, inputs in cases:
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    compiled(*inputs).sum().backward()  # with dropout, where there is any
    model.eval()
    torch.testing.assert_close(compiled(*inputs), model(*inputs))
"""


@pytest.mark.slow
@pytest.mark.skipif(torch.__version__ < (2, 7), reason="torch 2.6 cannot trace re and dataclasses.replace")
def test_every_fixed_step_configuration_compiles_without_a_graph_break():
    # In a process of its own: the run-time type checks of the tests cannot be traced.
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
