"""What attention reads besides the state: masks, the tokens of another sequence, the tokens of earlier calls."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


class KeyValueCache:
    """Keys and values of the tokens that a causal model has read, so that the next token costs one token's work.

    Entry n belongs to the n-th evaluation of attention in a forward pass. A method on a fixed grid evaluates its
    stages in the same order in every pass, so this serves all fixed-step rules, shared weights and parallel layers
    alike; a method that chooses its steps from the state has no such order.

    Args:
        capacity: The most tokens that will be stored.

    Raises:
        ValueError: ``capacity`` is less than 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"the cache's capacity is {capacity}: it must hold at least 1 token")
        self.capacity = capacity
        self.length = 0
        self._entries: list[tuple[Tensor, Tensor]] = []
        self._turn = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new tokens' (batch, heads, new, head_dim) and return all tokens' (batch, heads, length, head_dim).

        Raises:
            ValueError: There is no room for the new tokens.
        """
        end = self.length + keys.shape[2]
        if end > self.capacity:
            raise ValueError(
                f"the cache has room for {self.capacity} tokens and {end} came: make it with a larger capacity"
            )
        if self._turn == len(self._entries):
            shape = (*keys.shape[:2], self.capacity, keys.shape[3])
            self._entries.append((keys.new_empty(shape), values.new_empty(shape)))
        entry = self._next()
        for stored, new in zip(entry, (keys, values), strict=True):
            stored[:, :, self.length : end] = new
        return entry[0][:, :, :end], entry[1][:, :, :end]

    def once(self, make: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return keys and values that do not change from call to call, made in the first one."""
        if self._turn == len(self._entries):
            self._entries.append(make())
        return self._next()

    def _next(self) -> tuple[Tensor, Tensor]:
        self._turn += 1
        return self._entries[self._turn - 1]

    def advance(self, tokens: int) -> None:
        """End a forward pass that has read ``tokens`` new tokens."""
        self.length += tokens
        self._turn = 0

    def select(self, rows: Tensor) -> None:
        """Make row ``rows[i]`` of the batch its row i, as beam search does when it drops some and doubles others."""
        self._entries = [(keys[rows], values[rows]) for keys, values in self._entries]


@dataclass(frozen=True)
class Context:
    """What attention reads besides the state; it is the same at all depths.

    Attributes:
        mask: (batch, keys), boolean, False where a key is padding. None: nothing is padded.
        memory: (batch, keys, dim), the tokens to attend to. None: the state attends to itself.
        cache: Keys and values of the earlier tokens.

    Raises:
        TypeError: The mask is not boolean.
        ValueError: The mask has not two dimensions.
    """

    mask: Tensor | None = None
    memory: Tensor | None = None
    cache: KeyValueCache | None = None

    def __post_init__(self) -> None:
        if self.mask is not None and self.mask.dtype != torch.bool:
            raise TypeError(
                f"the mask is of dtype {self.mask.dtype}, expected torch.bool, True where there is a token: "
                "write mask.bool(), or tokens != pad"
            )
        if self.mask is not None and self.mask.ndim != 2:
            raise ValueError(
                f"the mask has shape {tuple(self.mask.shape)}, expected (batch, tokens): "
                "give one entry per token; the mask of a causal model is made by the model itself"
            )

    def keys_to_read(self, q: Tensor, k: Tensor, causal: bool) -> Tensor | bool:
        """Return which of the keys k each query in q reads: all (False), the causal triangle (True), or by a mask.

        The last query belongs to the last key, so that earlier tokens may come from a cache.

        Raises:
            ValueError: The mask is not of the shape (batch, keys).
        """
        queries, keys = q.shape[2], k.shape[2]
        if self.mask is not None and self.mask.shape != (len(k), keys):
            raise ValueError(
                f"the mask has shape {tuple(self.mask.shape)} where {(len(k), keys)} was expected: "
                "give it a row per sequence and a column per token"
            )
        if self.mask is None and (not causal or queries in (1, keys)):
            return causal and queries > 1
        allowed = torch.ones((), dtype=torch.bool, device=k.device) if self.mask is None else self.mask[:, None, None]
        if causal and queries > 1:
            allowed = allowed & torch.ones(queries, keys, dtype=torch.bool, device=k.device).tril(keys - queries)
        return allowed
