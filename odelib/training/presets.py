"""Recipes by name, as plain values: what a command line, a YAML file or a study starts from."""

from collections.abc import Mapping
from copy import deepcopy
from types import MappingProxyType
from typing import Any

from odelib.names import choose

_TEXT = {"shift": 0, "flip": False}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "fashion-micro": {},
        "cifar10-micro": {
            "data": "cifar10",
            "train_images": 10_000,
            "epochs": 30,
            "warmup_epochs": 2.0,
            "shift": 3,
            "model": {
                "stem": "conv",
                "patch_size": 4,
                "dim": 64,
                "num_heads": 4,
                "mlp_ratio": 2.0,
                "intervals": 6,
            },
        },
        # DeiT's recipe (Touvron et al. 2021, arXiv 2012.12877, table 9) at batches of 512, so its rule gives this
        # learning rate; images stay at 32 pixels, a shift stands for the random crop, and none is shown repeatedly.
        "cifar100-deit-ti": {
            "data": "cifar100",
            "epochs": 300,
            "batch_size": 512,
            "lr": 5e-4,
            "warmup_epochs": 5.0,
            "weight_decay": 0.05,
            "clip_norm": None,
            "label_smoothing": 0.1,
            "average": 0.9998,
            "shift": 4,
            "flip": True,
            "rand_augment": 9,
            "erasing": 0.25,
            "mixup": 0.8,
            "cutmix": 1.0,
            "checkpoint_every": 5,
            "model": {
                "step_rule": "lie-trotter",
                "patch_size": 4,
                "dim": 192,
                "num_heads": 3,
                "intervals": 12,
                "pool": "class",
                "drop_path": 0.1,
            },
        },
        "shakespeare-char": {
            **_TEXT,
            "data": "tiny-shakespeare",
            "epochs": 5,
            "batch_size": 16,
            "eval_batch_size": 64,
            "warmup_epochs": 0.2,
            "weight_decay": 0.1,
            "label_smoothing": 0.0,
            "model": {"dim": 128, "num_heads": 4, "intervals": 4, "max_tokens": 128},
        },
        "clinc150": {
            **_TEXT,
            "data": "clinc150",
            "subwords": 2000,
            "epochs": 20,
            "model": {"dim": 128, "num_heads": 4, "mlp_ratio": 2.0, "intervals": 2, "dropout": 0.3},
        },
        "multi30k-de-en": {
            **_TEXT,
            "data": "multi30k",
            "subwords": 6000,
            "epochs": 12,
            "eval_batch_size": 100,
            "model": {"dim": 128, "num_heads": 4, "mlp_ratio": 2.0, "intervals": 3, "dropout": 0.1},
        },
    }
)
"""Name of each preset, and the options of ``TrainConfig`` in which it differs from the default."""


def preset(name: str) -> dict[str, Any]:
    """The options of a preset, as plain values to change at will.

    Raises:
        ValueError: The name is unknown; the sentence gives the nearest valid one.
    """
    return deepcopy(dict(PRESETS[choose(name, PRESETS, "preset")]))


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Lay options over one another, the last on top; those of the model one by one."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
            merged[name] = merge(merged[name], value) if both else value
    return merged
