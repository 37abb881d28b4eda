from dataclasses import replace

import pytest
import torch

from odelib.data import ImageData
from odelib.training import Runtime, TrainConfig
from odelib.training.tasks import TrainingSet


def batches(data: ImageData, config: TrainConfig, epoch: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*TrainingSet(data, config, Runtime.choose("cpu")).epoch(epoch), strict=True)
    return torch.cat(images), torch.cat(labels)


def test_an_epoch_shows_every_image_once(data: ImageData, config: TrainConfig) -> None:
    images, labels = batches(data, replace(config, shift=0, flip=False), 0)
    pixels = ((images * 0.2 + 0.4) * 255).round().to(torch.uint8)
    assert sorted(p.tobytes() for p in pixels.numpy()) == sorted(p.tobytes() for p in data.train_images.numpy())
    assert torch.bincount(labels).tolist() == [16, 16, 16]
    assert abs(images.mean().item()) < 3


def test_order_and_augmentation_depend_on_seed_and_epoch_alone(data: ImageData, config: TrainConfig) -> None:
    kept = TrainingSet(data, config, Runtime.choose("cpu"))
    list(kept.epoch(0))
    torch.manual_seed(99)
    images = torch.cat([images for images, _ in kept.epoch(2)])
    assert torch.equal(images, batches(data, config, 2)[0])
    assert not torch.equal(images, batches(data, config, 1)[0])
    assert not torch.equal(images, batches(data, replace(config, seed=1), 2)[0])


def test_the_last_batch_may_be_smaller(data: ImageData, config: TrainConfig) -> None:
    training = TrainingSet(data, config, Runtime.choose("cpu"))
    assert training.steps == 5
    assert [len(labels) for _, labels in training.epoch(0)] == [10, 10, 10, 10, 8]


def test_train_images_takes_the_first_ones(data: ImageData, config: TrainConfig) -> None:
    training = TrainingSet(data, replace(config, train_images=7), Runtime.choose("cpu"))
    assert torch.equal(training.images, data.train_images[:7])
    assert training.steps == 1


def test_more_images_than_there_are_is_refused(data: ImageData, config: TrainConfig) -> None:
    with pytest.raises(ValueError, match="train_images is 49, but stripes has 48"):
        TrainingSet(data, replace(config, train_images=49), Runtime.choose("cpu"))
