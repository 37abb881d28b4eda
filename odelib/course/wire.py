"""How values travel between the tests and a submission: as JSON and raw numbers, never as programs.

A frame is two lengths, a header in JSON, then the bytes that the header speaks of. Numbers, texts, lists, tuples,
dictionaries, tensors and arrays go by value; anything else stays where it is, and a number that stands for it goes.
"""

import json
import os
import select
import struct
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

HEADER_BYTES = 8 * 2**20
"""The longest header that is read."""
BODY_BYTES = 256 * 2**20
"""The most bytes of tensors in one frame."""
DEPTH = 50
"""How deep lists may lie in lists."""

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex128, torch.complex64),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    )
}
_LENGTHS = struct.Struct(">IQ")
_AT_ONCE = select.PIPE_BUF  # what a pipe takes without waiting, if it takes anything
_MOST_DIGITS = 4000  # Python reads no longer integer from text


class Garbled(ValueError):  # noqa: N818 - what happened
    """What came is no frame, or holds no value."""


class Ended(Exception):  # noqa: N818 - what happened
    """The other side is gone, or has not answered in time."""


class Packer:
    """Turns values into what a header may hold, and keeps tensors beside it.

    Args:
        reference: Gives the JSON that stands for what cannot go by value.
    """

    def __init__(self, reference: Callable[[Any], Any]) -> None:
        self.tensors: list[Tensor] = []
        self._reference = reference

    def pack(self, value: Any, depth: int = 0) -> Any:
        """The JSON of a value.

        Raises:
            Garbled: Lists lie too deep in one another, or the value cannot go.
        """
        if depth > DEPTH:
            raise Garbled(f"lists lie more than {DEPTH} deep in one another")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int) and value.bit_length() < 3 * _MOST_DIGITS:
            return int(value)
        if isinstance(value, float | Fraction):
            return float(value)
        if isinstance(value, str):
            return str(value)
        if type(value) is list:
            return [self.pack(part, depth + 1) for part in value]
        if isinstance(value, Tensor) and _name(value.dtype) in _DTYPES:
            self.tensors.append(value)
            return {"t": "tensor", "v": len(self.tensors) - 1}
        if isinstance(value, np.ndarray | np.generic) and str(value.dtype) in _DTYPES:
            self.tensors.append(torch.from_numpy(np.array(value)))
            return {"t": "array" if isinstance(value, np.ndarray) else "scalar", "v": len(self.tensors) - 1}
        for kind, plain in _PLAIN.items():
            if isinstance(value, plain[0]) and (kind not in ("tuple", "set") or type(value) in plain[0]):
                return {"t": kind, "v": self.pack(plain[1](value), depth + 1)}
        return self._reference(value)


def unpack(node: Any, tensors: list[Tensor], referred: Callable[[str, Any], Any]) -> Any:
    """The value of JSON that ``Packer.pack`` made, whoever wrote it.

    Args:
        node: The JSON.
        tensors: Those that came with it.
        referred: Gives the value of a reference, from its kind and its number.

    Raises:
        Garbled: It is no such JSON.
    """
    if node is None or isinstance(node, bool | int | float | str):
        return node
    if isinstance(node, list):
        return [unpack(part, tensors, referred) for part in node]
    if not isinstance(node, dict) or set(node) != {"t", "v"}:
        raise Garbled("a value is of no kind")
    kind, held = node["t"], node["v"]
    if kind in ("tensor", "array", "scalar"):
        if type(held) is not int or not 0 <= held < len(tensors):
            raise Garbled("a tensor is missing")
        numbers = tensors[held]
        if kind == "tensor":
            return numbers
        return numbers.detach().numpy() if kind == "array" else numbers.detach().numpy()[()]
    if isinstance(kind, str) and kind in _PLAIN:
        try:
            return _PLAIN[kind][2](unpack(held, tensors, referred))
        except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
            raise Garbled(f"a value is no {kind}") from error
    return referred(kind, held)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _real_dtype(name: str) -> torch.dtype:
    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise TypeError(f"{name!r} is no dtype")
    return found


# kind: (types, to plainer values, back)
_PLAIN: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "ellipsis": (type(...), lambda _: None, lambda _: ...),
    "complex": (complex, lambda z: [z.real, z.imag], lambda parts: complex(*parts)),
    "bytes": ((bytes, bytearray), lambda b: bytes(b).hex(), bytes.fromhex),
    "tuple": ((tuple, torch.Size), list, tuple),
    "set": ((set, frozenset), list, set),
    "dict": (dict, lambda d: [[key, value] for key, value in dict.items(d)], dict),
    "range": (range, lambda r: [r.start, r.stop, r.step], lambda parts: range(*parts)),
    "slice": (slice, lambda s: [s.start, s.stop, s.step], lambda parts: slice(*parts)),
    "dtype": (torch.dtype, _name, _real_dtype),
    "device": (torch.device, str, torch.device),
}


def numbers_of(tensor: Tensor) -> tuple[list[Any], bytes]:
    """A tensor as ``[dtype, shape, wants gradient]`` and its bytes.

    Raises:
        Garbled: It is too large.
    """
    if tensor.numel() * tensor.element_size() > BODY_BYTES:
        raise Garbled("a tensor is too large to be handed over")
    plain = tensor.detach().cpu().to_dense().resolve_conj().resolve_neg().contiguous()
    raw = plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return [_name(plain.dtype), list(plain.shape), tensor.requires_grad], raw


def tensor_of(described: Any, raw: bytes) -> Tensor:
    """The tensor of a description and its bytes.

    Raises:
        Garbled: They do not belong together.
    """
    if not isinstance(described, list) or len(described) != 3:
        raise Garbled("a tensor is not described")
    name, shape, _ = described
    if not isinstance(name, str) or name not in _DTYPES or not isinstance(shape, list) or len(shape) > 64:
        raise Garbled("a tensor is of no known type")
    count = 1
    for size in shape:
        if type(size) is not int or not 0 <= size <= BODY_BYTES:
            raise Garbled("a tensor has no shape")
        count *= size
    dtype = _DTYPES[name]
    if count * dtype.itemsize != len(raw):
        raise Garbled("a tensor is cut")
    flat = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    if dtype is torch.bool:  # a byte that is neither 0 nor 1 is no truth value
        flat = flat.view(torch.uint8) != 0
    return flat.clone().reshape(shape)


class Line:
    """Frames over two file descriptors; what comes is judged before it is used."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing

    def send(
        self, header: dict[str, Any], tensors: list[Tensor], raw: bytes = b"", deadline: float | None = None
    ) -> None:
        """Send a header with tensors and, last, plain bytes.

        Raises:
            Garbled: It is too long.
            Ended: The other side is gone, or reads nothing until the deadline.
        """
        described = [numbers_of(tensor) for tensor in tensors]
        parts = [*(held for _, held in described), raw]
        header = {**header, "tensors": [about for about, _ in described], "sizes": [len(part) for part in parts]}
        text = json.dumps(header).encode()
        if len(text) > HEADER_BYTES or sum(map(len, parts)) > BODY_BYTES:
            raise Garbled("the value is too large to be handed over")
        for part in (_LENGTHS.pack(len(text), sum(map(len, parts))), text, *parts):
            view = memoryview(part)
            while view:
                self._wait([], [self._writing], deadline)
                try:
                    view = view[os.write(self._writing, view[:_AT_ONCE]) :]
                except OSError as error:
                    raise Ended("it has ended") from error

    def receive(self, deadline: float | None = None) -> tuple[dict[str, Any], list[Tensor], bytes]:
        """The next frame: header, tensors, plain bytes.

        Args:
            deadline: On the clock ``time.monotonic``; None waits without end.

        Raises:
            Garbled: What came is no frame.
            Ended: The other side is gone, or silent until the deadline.
        """
        size, rest = _LENGTHS.unpack(self._read(_LENGTHS.size, deadline))
        if size > HEADER_BYTES or rest > BODY_BYTES:
            raise Garbled("a message is too long")
        try:
            header = json.loads(self._read(size, deadline))
            described, sizes = header["tensors"], header["sizes"]
            whole = all(type(count) is int and count >= 0 for count in sizes) and sum(sizes) == rest
            if not whole or len(sizes) != len(described) + 1:
                raise Garbled("a message does not add up")
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise Garbled("a message is no message") from error
        *parts, raw = (self._read(count, deadline) for count in sizes)
        return header, [tensor_of(about, part) for about, part in zip(described, parts, strict=True)], raw

    def _wait(self, reading: list[int], writing: list[int], deadline: float | None) -> None:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and (left <= 0 or not any(select.select(reading, writing, [], left))):
            raise Ended("it has not answered in time")

    def _read(self, count: int, deadline: float | None) -> bytes:
        got = bytearray()
        while len(got) < count:
            self._wait([self._reading], [], deadline)
            try:
                part = os.read(self._reading, min(count - len(got), 2**20))
            except OSError as error:
                raise Ended("it has ended") from error
            if not part:
                raise Ended("it has ended")
            got += part
        return bytes(got)
