import pytest
import torch

from odelib.training import Runtime


def pretend(monkeypatch: pytest.MonkeyPatch, *, devices: int, bfloat16: bool = True) -> None:
    """Let torch report CUDA devices that need not be there."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: devices > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: devices)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bfloat16)


def test_auto_without_cuda_is_plain_float32_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, devices=0)
    assert Runtime.choose() == Runtime(torch.device("cpu"), torch.float32, fused=False)


def test_auto_with_cuda_is_bfloat16_with_fused_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, devices=1)
    assert Runtime.choose() == Runtime(torch.device("cuda", 0), torch.bfloat16, fused=True)


def test_auto_on_a_device_without_bfloat16_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, devices=1, bfloat16=False)
    assert Runtime.choose() == Runtime(torch.device("cuda", 0), torch.float32, fused=True)


def test_what_is_asked_for_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, devices=2)
    assert Runtime.choose("cuda:1", "float32") == Runtime(torch.device("cuda", 1), torch.float32, fused=True)
    assert Runtime.choose("cpu") == Runtime(torch.device("cpu"), torch.float32, fused=False)


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("cuda", "'cuda' was asked for, but torch finds no CUDA device here: use cpu or auto"),
        ("gpu", "unknown device 'gpu': the nearest valid name is"),
        ("cuda:x", "unknown device 'cuda:x': expected auto, cpu, cuda, cuda:<index> or mps"),
        ("cpu:1", "unknown device 'cpu:1'"),
    ],
)
def test_a_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch, device: str, sentence: str) -> None:
    pretend(monkeypatch, devices=0)
    with pytest.raises(ValueError, match=sentence):
        Runtime.choose(device)


def test_an_index_beyond_the_last_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, devices=2)
    with pytest.raises(ValueError, match="'cuda:2' was asked for, but there are 2: use cuda:0 to cuda:1"):
        Runtime.choose("cuda:2")


def test_autocast_gives_matrix_products_the_chosen_format() -> None:
    x = torch.ones(2, 2)
    with Runtime(torch.device("cpu"), torch.bfloat16, fused=False).autocast():
        assert (x @ x).dtype == torch.bfloat16
    with Runtime(torch.device("cpu"), torch.float32, fused=False).autocast():
        assert (x @ x).dtype == torch.float32


def test_seed_and_state_repeat_the_draws_and_the_caller_notices_nothing() -> None:
    runtime = Runtime.choose("cpu")
    before = torch.get_rng_state()
    with runtime.fork_rng():
        runtime.seed(5)
        torch.rand(3)
        state = runtime.rng_state()
        first = torch.rand(4)
        runtime.set_rng_state(state)
        assert torch.equal(torch.rand(4), first)
    assert torch.equal(torch.get_rng_state(), before)
