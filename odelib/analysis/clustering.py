"""How tokens gather: as particles that attract each other, they form clusters with depth.

Geshkovski, Letrouit, Polyanskiy and Rigollet (2025, arXiv 2312.10794) prove it for attention on the sphere; a trained
network has an MLP, many heads and few layers, and what it does is measured here. All functions take the tokens of one
or many samples, (..., tokens, dim), and return one number for each, so a whole trajectory can be passed at once.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def mean_cosine(x: Float[Tensor, "*samples tokens dim"]) -> Float[Tensor, "*samples"]:
    """Return the mean cosine of the angle between two different tokens.

    1 where all tokens point the same way (one cluster on the sphere), near 0 for random directions; at least
    -1 / (tokens - 1), which regular simplices reach. A token of length zero counts as orthogonal to all.

    Raises:
        ValueError: There is only one token.
    """
    tokens = _count_tokens(x)
    total = torch.nn.functional.normalize(x, dim=-1, eps=torch.finfo(x.dtype).tiny)
    own = total.square().sum(dim=(-2, -1))  # tokens, if none has length zero
    both: Tensor = total.sum(dim=-2).square().sum(dim=-1)
    return (both - own) / (tokens * (tokens - 1))


def token_spread(x: Float[Tensor, "*samples tokens dim"]) -> Float[Tensor, "*samples"]:
    """Return how far the tokens are from their mean, relative to their size: 0 if all are equal, 1 if the mean is 0.

    It is ``|X - 1 m^T| / |X|`` in the Frobenius norm, with m the mean token: the distance from the nearest matrix of
    equal rows, which attention without skips reaches doubly exponentially fast (Dong et al. 2021, arXiv 2103.03404).

    Raises:
        ValueError: There is only one token.
    """
    _count_tokens(x)
    centred = x - x.mean(dim=-2, keepdim=True)
    return centred.norm(dim=(-2, -1)) / x.norm(dim=(-2, -1))  # type: ignore[no-any-return]


def effective_rank(x: Float[Tensor, "*samples tokens dim"]) -> Float[Tensor, "*samples"]:
    """Return exp(entropy) of the normalised singular values of the token matrix (Roy and Vetterli 2007, EUSIPCO).

    Between 1 (all tokens on one line through 0) and the smaller of tokens and dim (all directions used equally).

    Raises:
        ValueError: There is only one token.
    """
    _count_tokens(x)
    values = torch.linalg.svdvals(x)
    shares = values / values.sum(dim=-1, keepdim=True)
    return torch.special.entr(shares).sum(dim=-1).exp()  # type: ignore[no-any-return]


def _count_tokens(x: Tensor) -> int:
    if x.shape[-2] < 2:
        raise ValueError(f"{x.shape[-2]} token came, of shape {tuple(x.shape)}: clustering needs two tokens or more")
    return x.shape[-2]
