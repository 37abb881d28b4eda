"""Calls between two processes: that of the tests, and that of a submission, which may be up to anything.

The tests hold a stand-in for each function and object of the submission. To call one sends its arguments and waits for
the result; a function among the arguments stays with the tests, and the submission calls it back. Gradients pass
through calls in both directions. What comes from the submission is data, whose types are Python's and torch's own: no
``==`` of a student's making is ever asked.
"""

import pickle
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from odelib.course.cells import interruptible
from odelib.course.errors import StudentEndedError, described, error_of
from odelib.course.standins import Remote, RemoteFunction
from odelib.course.through import Call, has_tangent, pull_back, push_forward, transforming
from odelib.course.wire import Ended, Garbled, Line, Packer, numbers_of, unpack

KEPT_CALLS = 2000
"""Of how many calls, the last ones, gradients can still be asked for."""
MOST_PARTS = 100_000


class Peer:
    """One end of a line: makes calls, and serves those of the other side while it waits.

    Args:
        line: Frames.
        trusting: Whether the other side may send pickled objects and look at attributes: the submission's end trusts.
        seconds: How long one call may take; None takes any time.
        around: Runs a served call, such as with a time limit.
    """

    def __init__(
        self,
        line: Line,
        *,
        trusting: bool,
        seconds: float | None = None,
        around: Callable[[Callable[[], Any]], Any] = lambda call: call(),
    ) -> None:
        self.seconds = seconds
        self.until: float | None = None
        """The end of all calls, on the clock ``time.monotonic``."""
        self.noted: list[Any] = []
        self._line, self._trusting, self._around = line, trusting, around
        self._held: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._calls: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        self._made = 0
        self._dead: str | None = None
        self._names: dict[str, Any] = {}

    # What this side asks for.

    def ask(self, what: dict[str, Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Send a request and give the value of its answer.

        Raises:
            StudentError: The other side's code raised something.
            StudentEndedError: No answer comes, or none that makes sense.
        """
        packer = Packer(self._refer)
        request = {**what, "args": packer.pack(list(args)), "kwargs": packer.pack(kwargs or {})}
        mapped = transforming() or any(map(has_tangent, packer.tensors))
        request["wanting"] = mapped  # then a tensor does not say itself whether it wants a gradient
        call = Call(self._exchange, request)
        if mapped or (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in packer.tensors)):
            results = call.through(packer.tensors)
        else:
            results = self._exchange(request, packer.tensors, call.box)
        reply = call.box["reply"]
        try:
            for place, changed in reply.get("changed", []) if not mapped else []:
                mine, theirs = packer.tensors[place], results[changed]
                if mine.shape == theirs.shape and mine.dtype == theirs.dtype:
                    with torch.no_grad():
                        mine.copy_(theirs)
            return unpack(reply.get("value"), results, self._referred)
        except (Garbled, RecursionError, TypeError, ValueError, LookupError, AttributeError) as error:
            raise self._die(f"it answered with what is no value ({error})") from error

    def note(self, values: dict[str, Any]) -> None:
        """Tell the other side something that needs no answer."""
        self._line.send({"do": "note", "values": values}, [])

    def _exchange(self, request: dict[str, Any], tensors: list[Tensor], box: dict[str, Any]) -> list[Tensor]:
        if self._dead:
            raise StudentEndedError(self._dead)
        with interruptible(False):
            return self._converse(request, tensors, box)

    def _converse(self, request: dict[str, Any], tensors: list[Tensor], box: dict[str, Any]) -> list[Tensor]:
        limits = [self.until] if self.until is not None else []
        if self.seconds is not None:
            limits.append(time.monotonic() + self.seconds)
        try:
            deadline = min(limits, default=None)
            self._line.send(request, tensors, deadline=deadline)
            while True:
                header, got, raw = self._line.receive(deadline)
                if header.get("do") == "note":
                    self.noted = [*self.noted[-9:], header.get("values")]
                elif "do" in header:
                    self._serve(header, got, raw, deadline)
                else:
                    break
        except (Ended, Garbled) as error:
            raise self._die(str(error)) from error
        if "raised" in header:
            raise error_of(header["raised"])
        box["reply"] = header
        return got

    def _die(self, why: str) -> StudentEndedError:
        self._dead = f"the submission cannot be asked any more: {why}"
        return StudentEndedError(self._dead)

    # What the other side asks for.

    def serve(self) -> None:
        """Answer until the other side is gone."""
        while True:
            try:
                self._serve(*self._line.receive())
            except Ended:
                return

    def _serve(self, header: dict[str, Any], tensors: list[Tensor], raw: bytes, deadline: float | None = None) -> None:
        packer = Packer(self._refer)
        try:
            with interruptible(True):
                answer = self._around(lambda: self._answer(header, tensors, raw, packer))
        except BaseException as error:  # also what a student's code ends a program with
            packer.tensors.clear()
            answer = {"raised": described(error)}
        try:
            self._line.send(answer, packer.tensors, deadline=deadline)
        except (Garbled, MemoryError, RuntimeError) as error:  # nothing is sent of what cannot be
            self._line.send({"raised": described(error)}, [], deadline=deadline)

    def _answer(self, header: dict[str, Any], tensors: list[Tensor], raw: bytes, packer: Packer) -> dict[str, Any]:
        do, on = header.get("do"), header.get("on")
        for tensor, (_, _, wanted) in zip(tensors, header["tensors"], strict=True):
            wanted = wanted or header.get("wanting")
            tensor.requires_grad_(bool(wanted) and (tensor.is_floating_point() or tensor.is_complex()))
        if do in ("backward", "forward"):
            return self._differentiate(do, on, tensors, bool(header.get("wanting")), packer)
        before = [numbers_of(tensor) for tensor in tensors] if self._trusting else []
        args = unpack(header.get("args"), tensors, self._referred)
        kwargs = unpack(header.get("kwargs"), tensors, self._referred)
        with torch.enable_grad():  # this may be in the middle of a call of our own, where torch records nothing
            value = self._do(do, on, args, kwargs)
        answer: dict[str, Any] = {"value": packer.pack(value)}
        wanting = [tensor for tensor in packer.tensors if tensor.requires_grad]
        if wanting and any(tensor.requires_grad for tensor in tensors):
            answer["call"] = self._keep(tensors, packer.tensors)
        answer["changed"] = []
        for place, (was, now) in enumerate(zip(before, tensors, strict=bool(before))):
            if was != numbers_of(now):
                answer["changed"].append([place, len(packer.tensors)])
                packer.tensors.append(now.detach())
        return answer

    def _do(self, do: Any, on: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        if do == "call":
            return self._mine(on)(*args, **kwargs)
        if not self._trusting:
            raise Garbled("the tests are only to be called")
        if do == "name":
            return self._names[args[0]]
        if do == "attribute":
            return getattr(self._mine(on), args[0])
        if do == "item":
            return self._mine(on)[args[0]]
        if do == "length":
            return len(self._mine(on))
        parts = []
        for part in self._mine(on):
            parts.append(part)
            if len(parts) > MOST_PARTS:
                raise Garbled(f"it has more than {MOST_PARTS} parts")
        return parts

    def _differentiate(self, do: str, call: Any, given: list[Tensor], again: bool, packer: Packer) -> dict[str, Any]:
        if call not in self._calls:
            raise Garbled("the derivative of a call that nobody made")
        inputs, outputs = self._calls[call]
        given = given[: len(outputs if do == "backward" else inputs)]
        with torch.enable_grad():
            packer.tensors += (pull_back if do == "backward" else push_forward)(inputs, outputs, given, again)
        return {"call": self._keep([*given, *inputs], packer.tensors)} if again else {}

    def _keep(self, inputs: list[Tensor], outputs: list[Tensor]) -> int:
        self._made += 1
        self._calls[self._made] = list(inputs), list(outputs)
        self._calls.pop(self._made - KEPT_CALLS, None)
        return self._made

    def offer(self, names: dict[str, Any]) -> None:
        """Let the other side ask for these by name."""
        self._names = names

    # References.

    def _refer(self, value: Any) -> dict[str, Any]:
        if isinstance(value, Remote):
            return {"t": "yours", "v": value._number}
        if not self._trusting:
            sent = _pickled(value)
            if sent is not None:
                return {"t": "pickle", "v": sent.hex()}
            if not callable(value):
                raise TypeError(
                    f"the tests hand over a {type(value).__name__}, which cannot be sent: "
                    "hand over numbers, tensors, functions, or objects of classes that can be imported"
                )
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._held)
            self._held.append(value)  # kept, so that its id stays its own
        name = str(getattr(value, "__name__", type(value).__name__))[:80]
        return {"t": "function" if callable(value) else "object", "v": [number, name]}

    def _referred(self, kind: str, held: Any) -> Any:
        if kind == "yours":
            return self._mine(held)
        if kind == "pickle" and self._trusting:
            return pickle.loads(bytes.fromhex(held))
        if kind in ("function", "object") and isinstance(held, list) and len(held) == 2 and type(held[0]) is int:
            return (RemoteFunction if kind == "function" else Remote)(self, held[0], str(held[1])[:80])
        raise Garbled("a value is of no kind")

    def _mine(self, number: Any) -> Any:
        if type(number) is not int or not 0 <= number < len(self._held):
            raise Garbled("nothing has this number")
        return self._held[number]


def _pickled(value: Any) -> bytes | None:
    try:
        return pickle.dumps(value)
    except Exception:  # pickle raises what it likes; what it cannot do stays here and is called
        return None
