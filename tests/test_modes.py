"""Whatever puts a model into evaluation mode for a while gives each of its parts its own mode back."""

import pytest
import torch

from odelib.analysis import cost_of, swapped
from odelib.models import CausalLM, CausalLMConfig, EncoderDecoder, EncoderDecoderConfig
from odelib.modes import evaluation
from odelib.training.evaluate import measure
from odelib.training.runtime import Runtime
from odelib.training.tasks import Batch

TEXT = {"dim": 16, "num_heads": 2, "mlp_ratio": 2.0, "intervals": 2, "vocab_size": 11, "max_tokens": 12, "dropout": 0.5}
TOKENS = torch.zeros(1, 3, dtype=torch.long)


def language():
    return CausalLM(CausalLMConfig(**TEXT))


def translator():
    return EncoderDecoder(EncoderDecoderConfig(**TEXT))


def swap_badly(model):
    with swapped(model, "rk5"):
        pass


def swap(model):
    with swapped(model, "rk4"):
        assert not any(part.training for part in model.modules())


def stop(model):
    with evaluation(model):
        raise KeyboardInterrupt


BATCH = Batch((TOKENS,), torch.zeros(1, 3, dtype=torch.long), count=3)
BAD_BATCH = Batch((TOKENS.float(),), torch.zeros(1, 3, dtype=torch.long), count=3)
RUNTIME = Runtime.choose("cpu", "float32")
PLACES = [
    (language, lambda model: model.generate(TOKENS, 3), None),
    (language, lambda model: model.generate(TOKENS, 3, temperature=-1.0), ValueError),
    (language, lambda model: model.generate(TOKENS.float(), 3), TypeError),
    (translator, lambda model: model.translate(TOKENS, start=0, end=1, max_tokens=4), None),
    (translator, lambda model: model.translate(TOKENS, start=0, end=1, beams=0), ValueError),
    (language, lambda model: cost_of(model, *BATCH.inputs), None),
    (language, lambda model: cost_of(model, *BAD_BATCH.inputs), TypeError),
    (language, lambda model: measure(model, [BATCH], runtime=RUNTIME), None),
    (language, lambda model: measure(model, [BAD_BATCH], runtime=RUNTIME), TypeError),
    (language, swap, None),
    (language, swap_badly, ValueError),
    (language, stop, KeyboardInterrupt),
]


@pytest.mark.parametrize("frozen", ["", "embed", "norm"])
@pytest.mark.parametrize(("make", "use", "error"), PLACES)
def test_each_part_has_its_own_mode_again(make, use, error, frozen):
    model = make().train()
    block = model.decoder if isinstance(model, EncoderDecoder) else model.depth
    block.fields[1].eval()
    model.get_submodule(frozen).eval()  # "" is the whole model
    before = {name: part.training for name, part in model.named_modules()}
    if error is None:
        use(model)
    else:
        with pytest.raises(error):
            use(model)
    assert {name: part.training for name, part in model.named_modules()} == before


def test_all_parts_are_in_evaluation_mode_meanwhile():
    model = language().train()
    model.depth.eval()
    with evaluation(model):
        assert not any(part.training for part in model.modules())
    assert model.training
    assert not model.depth.training
