"""From an image or a text to vectors: the initial state of the differential equation."""

from itertools import pairwise

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from odelib.names import choose

STEMS = ("patch", "conv")


def check_patches(image_size: int, patch_size: int, stem: str) -> None:
    """Refuse patches that do not fill the image, a stem that there is not, or one that cannot make such patches.

    Raises:
        ValueError: It is so.
    """
    if patch_size < 1 or image_size % patch_size:
        raise ValueError(
            f"image_size {image_size} is not divisible by patch_size {patch_size}: choose a patch_size that divides it"
        )
    if choose(stem, STEMS, "stem") == "conv" and (patch_size < 2 or patch_size.bit_count() != 1):
        raise ValueError(
            f"patch_size is {patch_size} with stem='conv', which halves the image: choose 2, 4, 8 or another power of "
            "2, or stem='patch'"
        )


def convolutional_stem(in_channels: int, dim: int, patch_size: int) -> nn.Sequential:
    """Return convolutions that halve the image until a pixel stands for a patch, then a linear map per pixel.

    3x3 convolutions of stride 2 with doubling channels, and one of 1x1 (Xiao et al. 2021, Early Convolutions Help
    Transformers See Better, arXiv 2106.14881), here with GELU and without batch normalisation.

    Input: (batch, in_channels, side, side). Output: (batch, dim, side / patch_size, side / patch_size).

    Args:
        in_channels: Channels of the image.
        dim: Width of a token.
        patch_size: Side of a patch in pixels, a power of 2.
    """
    halvings = patch_size.bit_length() - 1
    widths = [in_channels, *(max(dim // 2**left, 1) for left in reversed(range(halvings)))]
    parts: list[nn.Module] = []
    for before, after in pairwise(widths):
        parts += [nn.Conv2d(before, after, kernel_size=3, stride=2, padding=1), nn.GELU()]
    return nn.Sequential(*parts, nn.Conv2d(dim, dim, kernel_size=1))


class PatchEmbedding(nn.Module):
    """Cut an image into patches, project each to a token, add positions (Dosovitskiy et al. 2021, section 3.1).

    Input: (batch, channels, image_size, image_size). Output: (batch, tokens, dim), where tokens is
    (image_size / patch_size)^2, and one more, in front, with a class token.

    Args:
        image_size: Side of the square image in pixels; a multiple of ``patch_size``.
        patch_size: Side of a patch in pixels.
        in_channels: Channels of the image.
        dim: Width of a token.
        class_token: Whether a learned token that belongs to no patch is put in front.
        stem: "patch": one linear map of each patch. "conv": a `convolutional_stem`.

    Raises:
        ValueError: ``image_size`` is not a multiple of ``patch_size``, or that is no power of 2 with the stem "conv".
    """

    def __init__(
        self, image_size: int, patch_size: int, in_channels: int, dim: int, class_token: bool, stem: str = "patch"
    ) -> None:
        super().__init__()
        check_patches(image_size, patch_size, stem)
        self.shape = (in_channels, image_size, image_size)
        self.tokens = (image_size // patch_size) ** 2 + class_token
        self.patch = (
            convolutional_stem(in_channels, dim, patch_size)
            if stem == "conv"
            else nn.Conv2d(in_channels, dim, kernel_size=patch_size, stride=patch_size)
        )
        self.class_token = nn.Parameter(torch.empty(1, 1, dim)) if class_token else None
        self.position = nn.Parameter(torch.empty(1, self.tokens, dim))
        nn.init.trunc_normal_(self.position, std=0.3)  # of the size of the tokens, so that places differ from the start
        if self.class_token is not None:
            nn.init.normal_(self.class_token, std=1e-6)

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch tokens dim"]:
        """Return the tokens.

        Raises:
            ValueError: The images are not of the size that the module was made for.
        """
        if images.shape[1:] != self.shape:
            raise ValueError(
                f"images of shape {tuple(images.shape[1:])} came, the model was made for {self.shape}: "
                "resize the images, or make the model with their image_size and in_channels"
            )
        x = self.patch(images).flatten(2).transpose(1, 2)  # (batch, patches, dim)
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        return x + self.position  # type: ignore[no-any-return]


class TokenEmbedding(nn.Module):
    """A vector per token, and one per place (Vaswani et al. 2017, sections 3.4 and 3.5; learned as in GPT-2).

    Input: (batch, tokens), integers from 0 to vocab_size - 1. Output: (batch, tokens, dim).

    Args:
        vocab_size: Number of different tokens.
        dim: Width of a token.
        max_tokens: Longest sequence.
        positions: Whether a vector per place is added; not where positions enter otherwise.
    """

    def __init__(self, vocab_size: int, dim: int, max_tokens: int, positions: bool = True) -> None:
        super().__init__()
        self.max_tokens = max_tokens
        self.token = nn.Embedding(vocab_size, dim)
        self.position = nn.Parameter(torch.empty(max_tokens, dim)) if positions else None
        # So that logits of about unit size come from a head of the same weight.
        nn.init.normal_(self.token.weight, std=dim**-0.5)
        if self.position is not None:
            nn.init.normal_(self.position, std=dim**-0.5)

    def forward(self, tokens: Shaped[Tensor, "batch tokens"], start: int = 0) -> Float[Tensor, "batch tokens dim"]:
        """Return the vectors of tokens whose first stands at place ``start``.

        Raises:
            TypeError: The tokens are not integers.
            ValueError: The sequence is longer than the positions.
        """
        if tokens.dtype not in (torch.int64, torch.int32):
            raise TypeError(f"tokens of dtype {tokens.dtype} came, expected torch.int64: write tokens.long()")
        end = start + tokens.shape[1]
        if end > self.max_tokens:
            raise ValueError(
                f"a sequence of {end} tokens came, the model has positions for {self.max_tokens}: "
                "shorten it, or make the model with a larger max_tokens"
            )
        x: Tensor = self.token(tokens)
        return x if self.position is None else x + self.position[start:end]
