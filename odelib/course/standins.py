"""What the tests hold in place of a submission's functions and objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from odelib.course.errors import StudentError

if TYPE_CHECKING:
    from odelib.course.remote import Peer


class Remote:
    """An object of the other side. Its attributes, items and length can be asked for; it equals nothing but itself."""

    def __init__(self, peer: Peer, number: int, name: str) -> None:
        self._peer, self._number, self._kind = peer, number, name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{name} of a student's object cannot be asked for")
        return self._peer.ask({"do": "attribute", "on": self._number}, (name,))

    def __getitem__(self, key: Any) -> Any:
        return self._peer.ask({"do": "item", "on": self._number}, (key,))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._peer.ask({"do": "parts", "on": self._number}))

    def __len__(self) -> int:
        length = self._peer.ask({"do": "length", "on": self._number})
        if type(length) is not int or length < 0:
            raise StudentError(f"the length of a student's {self._kind} is {str(length)[:50]}")
        return length

    def __bool__(self) -> bool:
        raise TypeError(f"the answer is an object, a {self._kind}, which is neither true nor false")

    def __repr__(self) -> str:
        return f"<{self._kind} of the submission>"


class RemoteFunction(Remote):
    """A function, a class, or anything that can be called, of the other side."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there."""
        return self._peer.ask({"do": "call", "on": self._number}, args, kwargs)

    def __bool__(self) -> bool:
        return True

    @property
    def __name__(self) -> str:
        return self._kind
