"""Functions at the other end of a line: values, gradients and errors come through, and nothing that could lie."""

import math
import os
import struct
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad, functional
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

from odelib.course.errors import StudentEndedError, StudentError
from odelib.course.remote import Peer
from odelib.course.student import without_tracing
from odelib.course.wire import Line


class Lies:
    """Says yes to everything."""

    shape = (3,)

    def __eq__(self, other):
        return True

    def __bool__(self):
        return True

    def __len__(self):
        return 7

    __hash__ = None


def euler(f, x, h, steps):
    for n in range(steps):
        x = x + h * f(n * h, x)
    return x


def overwrite(x, numbers):
    x.zero_()
    return numbers


def weights(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def fail(kind):
    raise kind("a reason\nand more")


OFFERED = {
    "derivatives": lambda f, x: derivatives(f, x),
    "wave": lambda x: torch.sin(x) * x.sum(),
    "echo": lambda value: value,
    "euler": euler,
    "square": lambda x: x * x,
    "halves": lambda x: (x / 2, {"sum": x.sum()}),
    "overwrite": overwrite,
    "weights": weights,
    "fail": fail,
    "stop": lambda: fail(SystemExit),
    "lies": Lies(),
    "Lies": Lies,
    "layer": torch.nn.Linear(2, 3),
    "numbers": [1, 2.5, (3, "four")],
    "endless_list": (lambda: (value := [], value.append(value))[0])(),
}


@pytest.fixture
def ends():
    """Both ends of a line, and what closes the tests' one."""
    there, back = os.pipe(), os.pipe()
    left = {*there, *back}

    def close(descriptor):
        left.discard(descriptor)
        os.close(descriptor)

    yield Line(back[0], there[1]), Line(there[0], back[1]), lambda: close(there[1])
    for descriptor in tuple(left):
        close(descriptor)


@pytest.fixture
def student(ends):
    """Gives what the submission's end offers, by name."""
    tests, submission = (Peer(line, trusting=trusting) for line, trusting in zip(ends[:2], (False, True), strict=True))
    submission.offer(OFFERED)
    thread = threading.Thread(target=submission.serve)
    thread.start()
    yield lambda name: tests.ask({"do": "name"}, (name,))
    ends[2]()
    thread.join()


VALUES = [None, True, 3, 10**300, 2.5, math.inf, "text", "\ud800", b"bytes", 1 + 2j, [1, [2]], (1, (2.5,))]
VALUES += [{1: "a", "b": ()}, {1, 2}, slice(1, None), range(3, 9, 2), ..., torch.float64, torch.device("cpu")]


def test_plain_values_come_back_as_they_went(student):
    echo = student("echo")
    for value in VALUES:
        got = echo(value)
        assert got == value
        assert type(got) is type(value)
    assert echo({Fraction(1, 4): Fraction(1, 2)}) == {0.25: 0.5}


def test_tensors_and_arrays_come_back_as_they_went(student):
    echo = student("echo")
    kinds = torch.float64, torch.float32, torch.bfloat16, torch.complex64, torch.int64, torch.uint8, torch.bool
    for dtype in kinds:
        for shape in ((), (0,), (2, 3), (1, 0, 4)):
            value = (10 * torch.rand(shape)).to(dtype)
            value = value.transpose(0, -1) if value.ndim > 1 else value
            got = echo(value)
            assert torch.equal(got, value)
            assert got.dtype == dtype
    array = echo(np.ones((2, 3), dtype=np.float32))
    assert isinstance(array, np.ndarray)
    assert (array.shape, array.dtype) == ((2, 3), np.float32)


def test_a_function_of_the_tests_is_called_back(student):
    asked = []

    def field(t, x):
        asked.append(t)
        return -x

    x = torch.ones(2, dtype=torch.float64)
    assert torch.allclose(student("euler")(field, x, 0.25, 3), x * 0.75**3)
    assert asked == [0.0, 0.25, 0.5]


def test_gradients_pass_through_calls_in_both_directions(student):
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)

    def field(t, x):
        return -rate * x * x

    remote = torch.autograd.grad(student("euler")(field, x, 0.25, 2).sum(), (x, rate), allow_unused=True)
    local = torch.autograd.grad(euler(field, x, 0.25, 2).sum(), (x, rate))
    assert torch.allclose(remote[0], local[0])
    assert remote[1] is None  # it is none of the call's arguments
    halves, sums = student("halves")(x)
    (got,) = torch.autograd.grad(halves.sum() + 3 * sums["sum"], x)
    assert torch.equal(got, torch.full_like(x, 3.5))
    jacobian = torch.autograd.functional.jacobian(student("square"), x.detach())
    assert torch.equal(jacobian, torch.diag(2 * x.detach()))


def derivatives(f, x):
    """What a student may compute with a field, by each way that torch has."""

    def energy(x):
        return f(x).pow(2).sum()

    v = torch.ones_like(x)
    return [
        *(jvp(f, (x,), (v,))[1], vjp(f, x)[1](v)[0], jacrev(f)(x), jacfwd(f)(x), grad(energy)(x), hessian(energy)(x)),
        *(vmap(f)(torch.stack([x, 2 * x])), jvp(lambda x: f(f(x)), (x,), (v,))[1]),
        *(functional.jvp(f, x, v)[1], functional.hessian(energy, x), along(f, x, v), torch.func.linearize(f, x)[1](v)),
    ]


def along(f, x, v):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(x, v))).tangent


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.func's own, on loading its forward mode
def test_each_derivative_of_torch_passes_from_one_process_to_the_other(student, monkeypatch):
    monkeypatch.setattr(torch.func, "linearize", None)
    without_tracing()
    x = torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64)
    matrix = torch.arange(9.0, dtype=torch.float64).reshape(3, 3) / 9

    def field(x):
        return torch.tanh(matrix @ x) + x**2

    there, here = student("derivatives")(field, x), derivatives(field, x)
    assert [torch.allclose(a, b) for a, b in zip(there, here, strict=True)] == [True] * 12
    assert all(map(torch.allclose, derivatives(student("wave"), x), derivatives(OFFERED["wave"], x)))


def test_a_module_goes_as_a_copy_and_an_answer_can_be_a_module(student):
    module = torch.nn.Linear(2, 2)
    assert all(map(torch.equal, student("weights")(module), module.parameters()))
    layer = student("layer")
    assert layer(torch.ones(5, 2)).shape == (5, 3)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 9
    assert torch.equal(layer.weight, OFFERED["layer"].weight)


def test_what_a_function_does_to_its_arguments_is_seen(student):
    x = torch.ones(3)
    assert student("overwrite")(x, [1, 2]) == [1, 2]
    assert torch.equal(x, torch.zeros(3))


def test_an_object_equals_nothing_and_is_not_true(student):
    for lies in (student("lies"), student("Lies")()):
        assert (lies == 42) is False
        assert lies != 42
        with pytest.raises(TypeError, match="neither true nor false"):
            assert lies
        with pytest.raises(TypeError):
            torch.allclose(lies, torch.ones(3))
        with pytest.raises(TypeError):
            abs(lies - 42)
        assert not isinstance(lies, torch.Tensor)
        assert not hasattr(lies, "__globals__")
        assert len(lies) == 7
    assert student("numbers") == [1, 2.5, (3, "four")]


@pytest.mark.parametrize("kind", [ValueError, KeyError, ZeroDivisionError, AssertionError])
def test_errors_are_of_their_kind_and_on_one_line(student, kind):
    with pytest.raises(kind) as caught:
        student("fail")(kind)
    assert isinstance(caught.value, StudentError)
    assert "a reason" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_would_steer_the_tests_is_a_plain_error(student):
    with pytest.raises(StudentError, match="SystemExit"):
        student("stop")()
    with pytest.raises(StudentError, match="StopIteration") as caught:
        student("fail")(StopIteration)
    assert not isinstance(caught.value, StopIteration)
    with pytest.raises(ValueError, match="deep in one another"):
        student("endless_list")
    with pytest.raises(KeyError):
        student("nothing")


def test_an_error_of_the_tests_own_function_reaches_them_again(student):
    with pytest.raises(ZeroDivisionError):
        student("euler")(lambda t, x: 1 / 0, torch.ones(1), 0.1, 1)


def frame(text, rest=b""):
    return struct.pack(">IQ", len(text), len(rest)) + text + rest


NOTES = b'{"tensors": [], "sizes": [0], '
FRAMES = {
    "noise": b"\xff" * 64,
    "no JSON": struct.pack(">IQ", 3, 0) + b"abc",
    "a list": struct.pack(">IQ", 2, 0) + b"[]",
    "deep": struct.pack(">IQ", 200_000, 0) + b"[" * 200_000,
    "sizes": frame(b'{"tensors": [], "sizes": [5]}'),
    "shape": frame(b'{"tensors": [["float64", [-1], 0]], "sizes": [8, 0]}', bytes(8)),
    "dtype": frame(b'{"tensors": [["object", [1], 0]], "sizes": [8, 0]}', bytes(8)),
    "cut": frame(b'{"tensors": [["float64", [2], 0]], "sizes": [8, 0]}', bytes(8)),
    "pickle": frame(NOTES + b'"value": {"t": "pickle", "v": "80049529"}}'),
    "attribute": frame(NOTES + b'"value": {"t": "dtype", "v": "load"}}'),
    "a tensor too few": frame(NOTES + b'"value": {"t": "tensor", "v": 0}}'),
    "negative": frame(NOTES + b'"value": {"t": "yours", "v": -1}}'),
    "changed": frame(NOTES + b'"value": 1, "changed": [[99, 0]]}'),
    "long": struct.pack(">IQ", 10, 2**62),
    "unhashable": frame(NOTES + b'"value": {"t": "dict", "v": [[[1], 2]]}}'),
}


@pytest.mark.parametrize("name", FRAMES)
def test_what_makes_no_sense_ends_the_conversation_and_nothing_else(ends, name):
    tests = Peer(ends[0], trusting=False, seconds=5)
    writer = threading.Thread(target=os.write, args=(ends[1]._writing, FRAMES[name]))
    writer.start()
    with pytest.raises(StudentEndedError):
        tests.ask({"do": "call", "on": 0}, (torch.ones(2),))
    writer.join()
    with pytest.raises(StudentEndedError):
        tests.ask({"do": "call", "on": 0})


def test_the_submission_can_only_call_what_it_was_given(ends):
    tests = Peer(ends[0], trusting=False, seconds=5)
    for request in ({"do": "attribute", "on": 0}, {"do": "name"}, {"do": "call", "on": 3}, {"do": "item", "on": 0}):
        ends[1].send({**request, "args": ["__globals__"], "kwargs": {"t": "dict", "v": []}}, [])
    ends[1].send({"value": 6}, [])
    assert tests.ask({"do": "call", "on": 0}, (lambda: 1,)) == 6
    ends[1].receive(time.monotonic() + 5)
    said = [ends[1].receive(time.monotonic() + 5)[0]["raised"]["message"] for _ in range(4)]
    assert said == ["the tests are only to be called"] * 2 + ["nothing has this number"] + [said[0]]


def test_silence_ends_in_time(ends):
    tests = Peer(ends[0], trusting=False, seconds=0.05)
    with pytest.raises(StudentEndedError, match="in time"):
        tests.ask({"do": "call", "on": 0})
