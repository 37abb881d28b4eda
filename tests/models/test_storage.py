import errno
import hashlib
import json
from dataclasses import replace

import pytest
import torch
import yaml
from safetensors.torch import load_file

from odelib.models import (
    CausalLM,
    CausalLMConfig,
    EncoderDecoder,
    EncoderDecoderConfig,
    TextClassifier,
    TextClassifierConfig,
    ViT,
    ViTConfig,
    load_pretrained,
    save_pretrained,
    storage,
)
from odelib.solvers import Adaptive, Checkpoint, Reversible, Step, StepRule, Tableau, step_rule
from tests.disks import largest_file

TINY = {"dim": 16, "num_heads": 2, "mlp_ratio": 2.0, "intervals": 2}
TEXT = {**TINY, "vocab_size": 11, "max_tokens": 12}
IMAGES = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(11, (2, 7), generator=torch.Generator().manual_seed(0))

CASES = [
    (ViT, ViTConfig(**TINY), (IMAGES,)),
    (ViT, ViTConfig(**TINY, pool="class", norm_place="shared", step_rule="rk4", qkv_bias=False), (IMAGES,)),
    (CausalLM, CausalLMConfig(**TEXT, weights="linear", learn_step_size=True), (TOKENS,)),
    (CausalLM, CausalLMConfig(**TEXT, weights="fourier", tied=False, positions="rotary", norm="rms"), (TOKENS,)),
    (CausalLM, CausalLMConfig(**TEXT, positions="rotary", rotary_dim=4, rotary_base=500.0, head_bias=True), (TOKENS,)),
    (CausalLM, CausalLMConfig(**TEXT, tied=False, head_bias=True, qkv_bias=False, proj_bias=False), (TOKENS,)),
    (TextClassifier, TextClassifierConfig(**TEXT, activation="swiglu", qk_norm=True), (TOKENS,)),
    (EncoderDecoder, EncoderDecoderConfig(**TEXT, step_rule="strang(midpoint)", step_size=0.5), (TOKENS, TOKENS)),
]


def make(kind, config):
    torch.manual_seed(0)
    return kind(config).eval()


@pytest.mark.parametrize(("kind", "config", "inputs"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_a_saved_model_comes_back(kind, config, inputs, tmp_path):
    model = make(kind, config)
    save_pretrained(model, tmp_path / "new" / "folder", {"data": "none", "accuracy": 0.1})
    state = torch.get_rng_state()
    again = load_pretrained(tmp_path / "new" / "folder")
    assert torch.equal(torch.get_rng_state(), state)
    assert type(again) is kind
    assert again.config == config
    assert not again.training
    assert torch.equal(again(*inputs), model(*inputs))
    head = json.loads((tmp_path / "new" / "folder" / "config.json").read_text())
    assert head["parameters"] == sum(p.numel() for p in model.parameters())
    assert head["card"] == {"data": "none", "accuracy": 0.1}
    assert head["versions"]["torch"] == torch.__version__


def same_files(one, other):
    heads = [json.loads((folder / "config.json").read_text()) for folder in (one, other)]
    for head in heads:
        del head["sha256"]  # safetensors writes its metadata in any order
    assert heads[0] == heads[1]
    weights, others = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def without_checksum(folder):
    """As older versions wrote it."""
    head = json.loads((folder / "config.json").read_text())
    del head["sha256"]
    (folder / "config.json").write_text(json.dumps(head))


def average(model):
    return torch.optim.swa_utils.AveragedModel(model)


@pytest.mark.parametrize(
    "wrap",
    [
        torch.compile,
        torch.nn.DataParallel,
        average,
        lambda model: torch.compile(torch.nn.DataParallel(model)),
        lambda model: torch.nn.DataParallel(torch.compile(model)),
    ],
)
@pytest.mark.parametrize("tied", [True, False])
def test_a_wrapped_model_is_saved_as_the_model(wrap, tied, tmp_path):
    model = make(CausalLM, CausalLMConfig(**TEXT, tied=tied, norm_place="shared"))
    save_pretrained(model, tmp_path / "plain")
    save_pretrained(wrap(model), tmp_path / "wrapped")
    same_files(tmp_path / "plain", tmp_path / "wrapped")
    assert torch.equal(load_pretrained(tmp_path / "wrapped")(TOKENS), model(TOKENS))


def test_a_model_with_compiled_parts_is_saved_as_the_model(tmp_path):
    model = make(ViT, ViTConfig(**TINY))
    expected = model(IMAGES)
    save_pretrained(model, tmp_path / "plain")
    for i, field in enumerate(model.depth.fields):
        model.depth.fields[i] = torch.compile(field)
    model.head = torch.compile(model.head)
    save_pretrained(model, tmp_path / "parts")
    same_files(tmp_path / "plain", tmp_path / "parts")
    assert torch.equal(load_pretrained(tmp_path / "parts")(IMAGES), expected)


def test_weights_under_the_names_of_a_wrapper_are_read(tmp_path):
    model = make(ViT, ViTConfig(**TINY))
    save_pretrained(model, tmp_path)
    state = {f"_orig_mod.{name}": tensor for name, tensor in model.state_dict().items()}
    storage.save_file(state, tmp_path / "model.safetensors")
    without_checksum(tmp_path)
    assert torch.equal(load_pretrained(tmp_path)(IMAGES), model(IMAGES))


def test_shapes_are_checked_against_the_model_in_a_wrapper():
    model = torch.compile(make(ViT, ViTConfig(**TINY)))
    shapes = {name: tuple(tensor.shape) for name, tensor in model._orig_mod.state_dict().items()}
    storage.check_shapes(shapes, model, "here")
    with pytest.raises(ValueError, match="num_classes is 7 in the weights and 10"):
        storage.check_shapes({**shapes, "head.weight": (7, 16), "head.bias": (7,)}, model, "here")


@pytest.mark.parametrize("config", [config for _, config, _ in CASES], ids=lambda config: type(config).__name__)
def test_configurations_go_to_json_and_yaml_and_back(config):
    for write, read in ((json.dumps, json.loads), (yaml.safe_dump, yaml.safe_load)):
        assert type(config).from_dict(read(write(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dim": 32}, "dim is 16 in the weights and 32 in the configuration, so change that"),
        ({"mlp_ratio": 4.0}, r"fc1.weight is \(32, 16\), expected \(64, 16\).*mlp_ratio is 2.0 in the weights and 4.0"),
        ({"intervals": 3}, "intervals is 2 in the weights and 3 in the configuration"),
        ({"num_classes": 7}, r"\(head.weight is \(10, 16\), expected \(7, 16\), head.bias.*num_classes is 10"),
        ({"patch_size": 14}, "patch_size is 7 in the weights and 14"),
        ({"image_size": 14}, "image_size is 28 in the weights and 14"),
        ({"in_channels": 3}, "in_channels is 1 in the weights and 3"),
        ({"patch_size": 4, "stem": "conv"}, "stem is patch in the weights and conv"),
        ({"pool": "class"}, "pool is mean in the weights and class"),
        ({"qkv_bias": False}, "qkv_bias is True in the weights and False"),
        ({"proj_bias": False}, "proj_bias is True in the weights and False"),
        ({"qk_norm": True}, "qk_norm is False in the weights and True"),
        ({"learn_step_size": True}, "depth.log_scale is absent.*learn_step_size is False in the weights and True"),
        ({"norm": "rms"}, r"norm.bias is \(16,\), expected absent.*another architecture"),
    ],
    ids=str,
)
def test_weights_of_another_configuration_are_refused(changes, sentence, tmp_path):
    config = ViTConfig(**TINY)
    save_pretrained(make(ViT, config), tmp_path)
    path = tmp_path / "config.json"
    head = json.loads(path.read_text())
    path.write_text(json.dumps({**head, "config": replace(config, **changes).to_dict()}))
    with pytest.raises(ValueError, match=sentence):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"vocab_size": 12}, "vocab_size is 11 in the weights and 12"),
        ({"max_tokens": 13}, "max_tokens is 12 in the weights and 13"),
        ({"positions": "rotary"}, "positions is learned in the weights and rotary"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [CausalLM, EncoderDecoder])
def test_weights_of_another_text_model_are_refused(kind, changes, sentence, tmp_path):
    config = {CausalLM: CausalLMConfig, EncoderDecoder: EncoderDecoderConfig}[kind](**TEXT)
    save_pretrained(make(kind, config), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "config": replace(config, **changes).to_dict()}))
    with pytest.raises(ValueError, match=sentence):
        load_pretrained(tmp_path)


def test_another_step_rule_is_another_reading_of_the_same_weights(tmp_path):
    model = make(ViT, ViTConfig(**TINY))
    save_pretrained(model, tmp_path)
    path = tmp_path / "config.json"
    head = json.loads(path.read_text())
    path.write_text(json.dumps({**head, "config": {**head["config"], "step_rule": "rk4"}}))
    model.depth.swap("rk4")
    assert torch.equal(load_pretrained(tmp_path)(IMAGES), model(IMAGES))


class Own(StepRule):
    order = 1

    def evaluations(self, terms):
        return 1.0

    def step(self, field, t, h, y, carry):
        return Step(y + h * field(t, y))


def test_a_swapped_model_is_saved_as_it_is_solved(tmp_path):
    model, images = ViT(ViTConfig.preset("micro")).eval(), torch.ones(2, 1, 28, 28)
    for changes in (
        {"rule": "strang(midpoint)", "refine": 2},
        {"rule": Reversible(step_rule("rk4")), "gradient": "reversible"},
        {"rule": "tsit5", "steps": Adaptive(1e-3, 1e-3)},
        {"rule": "heun", "steps": 3, "gradient": "backprop"},
    ):
        model.depth.swap(**changes)
        model.save_pretrained(tmp_path)
        assert torch.equal(ViT.from_pretrained(tmp_path)(images), model(images))


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": Own()},
        {"rule": Reversible(step_rule("rk4"), coupling=0.5)},
        {"rule": Tableau("heun", 2, ((), (0.5,)), (0.0, 1.0), (0.0, 0.5))},
        {"gradient": Checkpoint("sqrt")},
        {"rule": "tsit5", "steps": Adaptive(1e-3, 1e-4)},
    ],
    ids=["own-rule", "coupling", "tableau", "segments", "tolerances"],
)
def test_what_a_configuration_cannot_name_is_not_saved_as_something_else(changes, tmp_path):
    model = ViT(ViTConfig.preset("micro"))
    model.depth.swap(**changes)
    model(torch.ones(2, 1, 28, 28)).sum().backward()
    with pytest.raises(ValueError, match=r"depth was swapped to .*, which a configuration cannot name: swap to a rule"):
        model.save_pretrained(tmp_path)


def test_halves_that_are_solved_in_two_ways_are_not_saved(tmp_path):
    model = EncoderDecoder(EncoderDecoderConfig(dim=16, intervals=1, max_tokens=8))
    model.decoder.swap("heun")
    with pytest.raises(ValueError, match="encoder and decoder are solved in two ways, and a configuration has one"):
        model.save_pretrained(tmp_path)
    model.encoder.swap("heun")
    model.save_pretrained(tmp_path)
    assert EncoderDecoder.from_pretrained(tmp_path).config.step_rule == "heun"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
@pytest.mark.parametrize("harm", [lambda b: b[: len(b) // 2], lambda b: b"\0" * len(b), lambda b: b""])
def test_corrupt_files_are_refused(name, harm, tmp_path):
    save_pretrained(make(ViT, ViTConfig(**TINY)), tmp_path)
    path = tmp_path / name
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ValueError, match=f"{name} is corrupt"):
        load_pretrained(tmp_path)


def test_weights_that_are_not_what_was_saved_are_refused(tmp_path):
    save_pretrained(make(ViT, ViTConfig(**TINY)), tmp_path)
    path = tmp_path / "model.safetensors"
    saved = path.read_bytes()
    digest = hashlib.sha256(saved).hexdigest()
    assert json.loads((tmp_path / "config.json").read_text())["sha256"] == digest
    path.write_bytes(saved[:-100] + bytes(255 - byte for byte in saved[-100:]))
    with pytest.raises(ValueError, match=rf"is not what was saved with .*, expected {digest[:12]}\.\.\.\): restore it"):
        ViT.from_pretrained(tmp_path)
    without_checksum(tmp_path)
    assert isinstance(load_pretrained(tmp_path), ViT)  # nothing to compare with
    path.write_bytes(saved)
    assert isinstance(load_pretrained(tmp_path), ViT)


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*config.json"):
        load_pretrained(tmp_path)
    save_pretrained(make(ViT, ViTConfig(**TINY)), tmp_path)
    head = json.loads((tmp_path / "config.json").read_text())
    for changes, sentence in (
        ({"format": 2}, "is of format 2, expected 1"),
        ({"model": "VIT"}, "unknown kind of model 'VIT': the nearest valid name is 'ViT'"),
        ({"config": {"dmi": 16}}, "unknown ViTConfig field 'dmi': the nearest valid name is 'dim'"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**head, **changes}))
        with pytest.raises(ValueError, match=sentence):
            load_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no .*model.safetensors"):
        load_pretrained(tmp_path)


def test_a_full_disk_leaves_the_model_before(tmp_path, monkeypatch):
    model = make(ViT, ViTConfig(**TINY))
    save_pretrained(model, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "save_file", full)
    with pytest.raises(
        OSError, match=r"cannot write .*No space left.*the model before it is untouched: free some space"
    ):
        save_pretrained(make(ViT, ViTConfig(**TINY, num_classes=3)), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("size", "card", "name"), [(2_000, {}, "model.safetensors"), (100_000, {"note": "long " * 30_000}, "config.json")]
)
def test_the_kernels_reason_is_told_and_both_files_stay(size, card, name, tmp_path):
    save_pretrained(make(ViT, ViTConfig(**TINY)), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with largest_file(size), pytest.raises(OSError, match="cannot write") as caught:
        save_pretrained(make(ViT, ViTConfig(**TINY, num_classes=3)), tmp_path, card)
    assert str(caught.value) == (
        f"cannot write {tmp_path / name} (File too large); the model before it is untouched: free some space or make "
        "the folder writable, then save again"
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_modules_and_cards_are_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown kind of model 'Linear'"):
        save_pretrained(torch.nn.Linear(1, 1), tmp_path)
    with pytest.raises(ValueError, match="unknown kind of model 'Linear'"):
        save_pretrained(torch.compile(torch.nn.Linear(1, 1)), tmp_path)
    with pytest.raises(ValueError, match=r"this ViT has no configuration of odelib\.models"):
        save_pretrained(type("ViT", (torch.nn.Linear,), {})(1, 1), tmp_path)
    with pytest.raises(ValueError, match="the card cannot be written as JSON"):
        save_pretrained(make(ViT, ViTConfig(**TINY)), tmp_path, {"data": torch.ones(1)})
    assert list(tmp_path.iterdir()) == []
