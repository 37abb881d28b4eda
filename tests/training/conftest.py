"""A run that takes a moment: 8 by 8 pixels, two tokens wide, every kind of randomness switched on."""

from dataclasses import replace

import pytest
import torch

from odelib.data import ImageData
from odelib.models import ViTConfig
from odelib.training import TrainConfig


@pytest.fixture(scope="session")
def data() -> ImageData:
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(60) % 3
    images = torch.randint(0, 120, (60, 1, 8, 8), generator=generator, dtype=torch.uint8)
    for label in range(3):  # class k has two bright rows
        images[labels == label, :, 2 * label + 1 : 2 * label + 3] += 120
    return ImageData(
        name="stripes",
        train_images=images[:48],
        train_labels=labels[:48],
        test_images=images[48:],
        test_labels=labels[48:],
        classes=("top", "middle", "bottom"),
        mean=(0.4,),
        std=(0.2,),
        note="made for the tests",
    )


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    model = ViTConfig(
        image_size=8,
        patch_size=4,
        num_classes=3,
        dim=8,
        num_heads=2,
        intervals=2,
        dropout=0.1,
        drop_path=0.2,
    )
    return TrainConfig(data="stripes", model=model, epochs=4, batch_size=10, lr=1e-2, shift=1, device="cpu")


@pytest.fixture
def still(config: TrainConfig) -> TrainConfig:
    """The same run for a single epoch."""
    return replace(config, epochs=1, warmup_epochs=0.0)
