"""Augmentation and normalisation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from odelib.data import augment, normalise

DTYPES = [torch.float32, torch.float64, torch.uint8]


def numbered(
    batch: int,
    channels: int,
    height: int,
    width: int,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Images in which every pixel of an image differs from the others and from zero."""
    pixels = torch.arange(1, channels * height * width + 1).reshape(1, channels, height, width)
    return pixels.repeat(batch, 1, 1, 1).to(dtype)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def translated(image: Tensor, down: int, right: int) -> Tensor:
    """One image moved pixel by pixel: slow, and plain to see."""
    result = torch.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[:, row, column] = image[:, row - down, column - right]
    return result


shapes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
seeds = st.integers(0, 2**32)


@given(shapes, st.integers(0, 2), st.booleans(), seeds, st.sampled_from(DTYPES))
def test_each_image_is_a_translation_of_itself_or_of_its_mirror_image(
    shape: tuple[int, int, int, int], shift: int, flip: bool, seed: int, dtype: torch.dtype
) -> None:
    images = numbered(*shape, dtype)
    out = augment(images, shift=shift, flip=flip, generator=seeded(seed))
    assert out.shape == images.shape
    assert out.dtype == dtype
    offsets = range(-shift, shift + 1)
    for before, after in zip(images, out, strict=True):
        origins = [before, before.flip(-1)] if flip else [before]
        assert any(
            torch.equal(after, translated(origin, down, right))
            for origin in origins
            for down in offsets
            for right in offsets
        )


@given(shapes, seeds)
def test_no_shift_and_no_flip_is_the_identity(shape: tuple[int, int, int, int], seed: int) -> None:
    images = numbered(*shape)
    assert torch.equal(augment(images, shift=0, flip=False, generator=seeded(seed)), images)


@given(seeds)
def test_same_seed_same_result_and_the_generator_advances(seed: int) -> None:
    images = numbered(64, 1, 6, 6)
    generator = seeded(seed)
    first = augment(images, shift=2, flip=True, generator=generator)
    assert torch.equal(first, augment(images, shift=2, flip=True, generator=seeded(seed)))
    assert not torch.equal(first, augment(images, shift=2, flip=True, generator=generator))


def test_every_offset_occurs_equally_often_and_independently_in_each_image() -> None:
    images = torch.zeros(5000, 1, 5, 5)
    images[:, :, 2, 2] = 1
    places = augment(images, shift=2, flip=False, generator=seeded())
    assert torch.equal(places.sum((1, 2, 3)), torch.ones(5000))
    # 25 places with 200 images expected in each and a standard deviation of 14: five of them either way.
    counts = places.sum((0, 1))
    assert 130 < counts.min() <= counts.max() < 270


def test_half_of_the_images_are_mirrored() -> None:
    images = numbered(5000, 1, 1, 2)
    mirrored = augment(images, shift=0, flip=True, generator=seeded())[:, 0, 0, 0] == 2
    assert 2300 < mirrored.sum() < 2700


def test_flip_leaves_the_offsets_as_they_were() -> None:
    images = numbered(50, 2, 6, 6)
    symmetric = images + images.flip(-1)
    without = augment(symmetric, shift=2, flip=False, generator=seeded())
    assert torch.equal(augment(symmetric, shift=2, flip=True, generator=seeded()), without)


def test_shift_beyond_the_image_gives_zeros_not_errors() -> None:
    out = augment(numbered(200, 1, 2, 2), shift=50, flip=True, generator=seeded())
    assert out[out.sum((1, 2, 3)) == 0].shape[0] > 150


def test_input_is_left_alone_and_gradients_flow() -> None:
    images = numbered(3, 1, 4, 4, torch.float64).requires_grad_()
    before = images.detach().clone()
    out = augment(images, shift=1, flip=True, generator=seeded())
    out.sum().backward()
    assert torch.equal(images.detach(), before)
    # Each input pixel is shown once or has left the picture.
    assert set(images.grad.unique().tolist()) <= {0.0, 1.0}
    assert images.grad.sum() == (out != 0).sum()


def test_nothing_is_read_back_from_the_device() -> None:
    # A tensor on the meta device has no values: reading any raises.
    out = augment(torch.empty(8, 3, 5, 4, device="meta"), shift=2, flip=True, generator=seeded())
    assert out.device.type == "meta"
    assert out.shape == (8, 3, 5, 4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_result_does_not_depend_on_the_device() -> None:
    images = numbered(32, 3, 8, 8)
    on_cpu = augment(images, shift=2, flip=True, generator=seeded())
    assert torch.equal(augment(images.cuda(), shift=2, flip=True, generator=seeded()).cpu(), on_cpu)


def test_negative_shift_is_refused() -> None:
    with pytest.raises(ValueError, match="shift must be 0 or a positive number of pixels, got -1"):
        augment(numbered(1, 1, 2, 2), shift=-1, flip=False, generator=seeded())


@given(shapes, seeds)
def test_normalise_is_the_formula(shape: tuple[int, int, int, int], seed: int) -> None:
    images = torch.randint(0, 256, shape, generator=seeded(seed), dtype=torch.uint8)
    channels = shape[1]
    mean, std = [0.1 * (c + 1) for c in range(channels)], [0.2 + 0.1 * c for c in range(channels)]
    out = normalise(images, mean, std)
    assert out.dtype == torch.float32
    for channel in range(channels):
        expected = (images[:, channel].double() / 255 - mean[channel]) / std[channel]
        torch.testing.assert_close(out[:, channel].double(), expected, atol=1e-6, rtol=1e-6)


def test_normalise_refuses_statistics_of_other_channels() -> None:
    with pytest.raises(ValueError, match=r"one value for each of the 3 channel\(s\) .*, got 1 and 1"):
        normalise(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), (0.5,), (0.5,))


def test_normalise_refuses_a_constant_channel() -> None:
    with pytest.raises(ValueError, match=r"std must be positive, got \(0\.0,\)"):
        normalise(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), (0.5,), (0.0,))
