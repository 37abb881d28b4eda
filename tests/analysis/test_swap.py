from dataclasses import replace

import pytest
import torch

from odelib import ViT, ViTConfig
from odelib.analysis import swap_study

SMALL = ViTConfig(dim=16, num_heads=2, mlp_ratio=2.0, intervals=2, step_rule="lie-trotter")


@pytest.fixture
def vit():
    torch.manual_seed(0)
    return ViT(SMALL)


def test_it_measures_what_models_built_that_way_answer(vit):
    images, labels = torch.randn(30, 1, 28, 28), torch.arange(30) % 10
    study = swap_study(vit, images, labels, rules=("lie-trotter", "euler", "rk4"), refine=(1, 4), batch_size=7)
    own = vit.eval()(images).argmax(dim=1)
    assert study.as_it_is == pytest.approx(float((own == labels).double().mean()))
    for i, rule in enumerate(("lie-trotter", "euler", "rk4")):
        for j, times in enumerate((1, 4)):
            other = ViT(replace(SMALL, step_rule=rule, steps=times, step_size=1 / times)).eval()
            other.load_state_dict(vit.state_dict())
            answers = other(images).argmax(dim=1)
            assert float(study.accuracy[i, j]) == pytest.approx(float((answers == labels).double().mean()))
            assert float(study.agreement[i, j]) == pytest.approx(float((answers == own).double().mean()))
    assert float(study.agreement[0, 0]) == 1.0
    assert float(study.agreement[1, 0]) < 1.0


def test_the_model_comes_back_as_it_was(vit):
    before = (vit.depth.rule, vit.depth.schedule, vit.training)
    swap_study(vit, torch.randn(2, 1, 28, 28), torch.tensor([0, 1]), rules=("rk4",), refine=(2,))
    assert (vit.depth.rule, vit.depth.schedule, vit.training) == before


def test_accurate_solvers_agree_with_each_other(vit):
    images = torch.randn(50, 1, 28, 28)
    with torch.no_grad():
        vit.depth.swap("rk4", refine=16)
        labels = vit.eval()(images).argmax(dim=1)
        vit.depth.swap("lie-trotter")
    study = swap_study(vit, images, labels, rules=("midpoint", "rk4"), refine=(1, 2))
    assert (study.accuracy > 0.95).all()


@pytest.mark.usefixtures("attention_on_fake_cuda")
def test_on_cuda_without_a_cuda_device(monkeypatch):
    from torch._subclasses.fake_tensor import FakeTensorMode

    monkeypatch.setattr(torch.nn.init, "trunc_normal_", lambda tensor, std: tensor)
    with FakeTensorMode(allow_non_fake_inputs=False), torch.device("cuda"):
        from odelib.analysis.swap import _answers

        answers = _answers(ViT(SMALL), torch.zeros(3, 1, 28, 28), 2, "rk4", 2)
    assert (answers.device.type, answers.shape) == ("cuda", (3,))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rules": ("rk5",)}, "nearest valid name is 'rk4'"),
        ({"rules": ("rk4",), "refine": (0,)}, "refine is 0"),
        ({"rules": ()}, "rules is empty"),
        ({"rules": ("rk4",), "refine": ()}, "refine is empty"),
    ],
)
def test_bad_options_are_refused(vit, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        swap_study(vit, torch.zeros(1, 1, 28, 28), torch.tensor([0]), **options)
