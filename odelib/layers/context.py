"""What a field reads besides t and x: masks, the tokens of another sequence, the tokens of earlier calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from odelib.solvers import Field

Module = TypeVar("Module", bound=nn.Module)


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
    """What a field reads besides t and x; it is the same at all depths.

    Attributes:
        mask: (batch, tokens), boolean, False where a token is padding. None: nothing is padded.
        memory: (batch, memory tokens, dim), the tokens of another sequence, which cross-attention reads.
        memory_mask: (batch, memory tokens), boolean, False where a token of the memory is padding.
        cache: Keys and values of the earlier tokens, and of the memory.

    Raises:
        TypeError: A mask is not boolean.
        ValueError: A mask has not two dimensions.
    """

    mask: Tensor | None = None
    memory: Tensor | None = None
    memory_mask: Tensor | None = None
    cache: KeyValueCache | None = None

    def __post_init__(self) -> None:
        for name, mask in (("mask", self.mask), ("memory_mask", self.memory_mask)):
            if mask is not None and mask.dtype != torch.bool:
                raise TypeError(
                    f"the {name} is of dtype {mask.dtype}, expected torch.bool, True where there is a token: "
                    "write mask.bool(), or tokens != pad"
                )
            if mask is not None and mask.ndim != 2:
                raise ValueError(
                    f"the {name} has shape {tuple(mask.shape)}, expected (batch, tokens): "
                    "give one entry per token; the mask of a causal model is made by the model itself"
                )


EMPTY = Context()
"""The context of a field that reads t and x alone."""


class ContextField:
    """To be inherited from by a field that reads more than t and x: it has ``bind``.

    The context is bound before a solve, so that all that a solver sees is a function of (t, x).

    Attributes:
        reads: Which entries of a `Context` the field reads; others are refused, since they would have no effect.
    """

    reads: tuple[str, ...] = ()

    def bind(self, context: Context) -> Field:
        """Return the field with its context fixed; what it makes of the weights here, it makes once per interval."""
        raise NotImplementedError(f"{type(self).__name__} is a ContextField: define bind(context) -> f(t, x)")


def check_reads(field: object, context: Context) -> None:
    """Refuse a context that has what a field does not read.

    Raises:
        ValueError: It is so; the sentence names the entry.
    """
    reads = field.reads if isinstance(field, ContextField) else ()
    for name in ("mask", "memory", "memory_mask", "cache"):
        if getattr(context, name) is not None and name not in reads:
            raise ValueError(
                f"a {name} came for a field that reads none, {type(field).__name__}: pass no {name}, or take a "
                f"ContextField with {name!r} among its reads"
            )


def variant(module: Module, **changes: object) -> Module:
    """Return a module with the parameters, parts and hooks of another one, in which some attributes are others.

    It costs no more than a dictionary, compiles, and what is set in it is not set in the other.

    Raises:
        TypeError: The module's ``forward`` was replaced; as that of the other one, it would know of no change.
    """
    if "forward" in module.__dict__:
        what = f"forward of this {type(module).__name__} was replaced on the object"
        raise TypeError(f"{what}, so that what is bound or drawn would have no effect: use a hook or another module")
    twin: Module = object.__new__(type(module))
    twin.__dict__.update(module.__dict__)
    twin.__dict__.update({"_compiled_call_impl": None, **changes})  # compiled was the other one, without the changes
    return twin


def with_parts(module: Module, **parts: nn.Module) -> Module:
    """Return a `variant` in which some parts are others; parameters that the new parts do not have stay."""
    return variant(module, _modules={**module._modules, **parts})
