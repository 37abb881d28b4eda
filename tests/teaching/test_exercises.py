"""Every exercise check accepts its right answers and answers each wrong one with the hint that fits."""

import contextlib
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from odelib.teaching.exercises import Exercise, NotYet, check, exercises, expect_close, judge


def _load(name):
    """RIGHT and WRONG of every file in answers/, merged."""
    merged = {}
    for path in sorted((Path(__file__).parent / "answers").glob("[a-z]*.py")):
        spec = importlib.util.spec_from_file_location(f"answers_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        merged.update(getattr(module, name))
    return merged


RIGHT, WRONG = _load("RIGHT"), _load("WRONG")


@pytest.mark.parametrize("name", exercises())
def test_every_exercise_has_enough_answers(name):
    assert len(RIGHT.get(name, ())) >= 2, f"{name} needs two forms of a right answer in tests/teaching/answers"
    assert len(WRONG.get(name, ())) >= 5, f"{name} needs five wrong answers in tests/teaching/answers"
    assert len({label for label, _, _ in WRONG[name]}) == len(WRONG[name])


def test_answers_belong_to_exercises():
    assert set(RIGHT) == set(WRONG) == set(exercises())


@pytest.mark.parametrize("exercise", exercises().values(), ids=exercises())
def test_exercise_is_described(exercise):
    assert exercise.title
    assert 1 <= exercise.minutes <= 60
    assert exercise.difficulty in ("easy", "medium", "hard")


@pytest.mark.parametrize(("name", "index"), [(name, i) for name in RIGHT for i in range(len(RIGHT[name]))])
def test_right_answer_passes(name, index):
    verdict = judge(name, RIGHT[name][index])
    assert verdict.passed, verdict.line
    assert verdict.line == f"{name}: correct"


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [pytest.param(name, answer, hint, id=f"{name}-{label}") for name in WRONG for label, answer, hint in WRONG[name]],
)
def test_wrong_answer_gets_the_hint_for_its_symptom(name, answer, hint):
    verdict = judge(name, answer)
    assert verdict.answered, verdict.line
    assert not verdict.passed
    assert hint in verdict.line


def _returns_ellipsis(*args, **kwargs):
    return ...


def _returns_nothing(*args, **kwargs): ...


def _half_done(f, x, h, steps):
    return x + h * ...


@pytest.mark.parametrize("name", exercises())
@pytest.mark.parametrize("placeholder", [..., None, (1.0, ...), [None]])
def test_placeholder_is_no_answer(name, placeholder, capsys):
    check(name, placeholder)
    assert "not answered yet" in capsys.readouterr().out


@pytest.mark.parametrize("unfinished", [_returns_ellipsis, _returns_nothing, _half_done])
def test_unfinished_function_is_no_answer(unfinished, capsys):
    check("euler-step", unfinished)
    assert "not answered yet" in capsys.readouterr().out


def test_check_prints_one_line_and_does_not_raise(capsys):
    check("euler-step", WRONG["euler-step"][0][1])
    out = capsys.readouterr().out
    assert out.startswith("euler-step: not yet: with dx/dt = 3")
    assert out.count("\n") == 1


def test_unknown_exercise_names_the_nearest():
    with pytest.raises(ValueError, match="euler-step"):
        check("euler-stop", 1)


def test_doubled_name_is_refused(monkeypatch):
    from odelib.teaching.checks import residual_euler

    twin = Exercise("euler-step", "Again", 1, "easy", lambda answer: None)
    monkeypatch.setattr(residual_euler, "EXERCISES", (*residual_euler.EXERCISES, twin))
    exercises.cache_clear()
    with pytest.raises(ValueError, match="two exercises are called 'euler-step'"):
        exercises()
    monkeypatch.undo()
    exercises.cache_clear()
    assert "euler-step" in exercises()


def test_expect_close_names_suspect_shape_and_kind():
    want = torch.tensor([1.0, 2.0])
    expect_close([1.0, 2.0], want, "it")
    with pytest.raises(NotYet, match=r"gives \[2\.0000, 4\.0000\] instead of .* Halve it"):
        expect_close([2.0, 4.0], want, "it", [(want * 2, "Halve it.")])
    with pytest.raises(NotYet, match=r"shape \(1, 2\) instead of \(2,\)"):
        expect_close(want[None], want, "it")
    with pytest.raises(NotYet, match="Sum missing"):
        expect_close(3.0, want, "it", [(3.0, "Sum missing.")])
    with pytest.raises(NotYet, match="gives a str"):
        expect_close("x", want, "it")
    with pytest.raises(NotYet, match="nan"):
        expect_close(float("nan"), 1.0, "it")


def test_an_answer_in_float32_is_right_as_far_as_float32_goes():
    third = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0], dtype=torch.float64) / 3
    expect_close(third.float(), third, "it")
    expect_close([float(x) for x in third], third, "it")
    expect_close(list(third), third, "it")
    expect_close([np.float32(x) for x in third], third, "it")
    expect_close(third.numpy(), third, "it")
    with pytest.raises(NotYet, match=r"largest difference, 0\.00100, is at index 2 \(your numbers are float32\)"):
        expect_close((third + 1e-3 * torch.eye(5)[2]).float(), third, "it")
    with pytest.raises(
        NotYet, match="largest difference, 0\\.00100, is at index 4"
    ):  # double is held to its own digits
        expect_close(third + 1e-3 * torch.eye(5)[4], third, "it")
    with pytest.raises(NotYet, match="largest difference"):
        expect_close(third + 1e-6, third, "it")


def test_a_wrong_answer_in_float32_gets_its_hint():
    third = torch.tensor([1.0, 2.0], dtype=torch.float64) / 3
    with pytest.raises(NotYet, match="Halve it"):
        expect_close((2 * third).float(), third, "it", [(2 * third, "Halve it.")])
    with pytest.raises(NotYet, match="Take the mean"):
        expect_close(third.float(), third.mean(), "it", [(third, "Take the mean.")])


def test_complex_numbers_are_right_only_without_an_imaginary_part():
    third = torch.tensor([1.0, 2.0], dtype=torch.float64) / 3
    expect_close(third.to(torch.complex128), third, "it")
    expect_close(third.to(torch.complex64), third, "it")
    with pytest.raises(NotYet, match="it gives complex numbers"):
        expect_close(third + 1j, third, "it")


def test_an_answer_may_be_sparse_or_run_backwards_but_has_numbers():
    third = torch.tensor([1.0, 2.0], dtype=torch.float64) / 3
    expect_close(third.to_sparse(), third, "it")
    expect_close(third.flip(0).numpy()[::-1], third, "it")
    with pytest.raises(NotYet, match="a tensor of numbers"):
        expect_close(third.to("meta"), third, "it")


def test_numbers_that_look_alike_come_with_their_difference():
    with pytest.raises(NotYet, match=r"gives 1\.0000 instead of 1\.0000, and the difference is 1\.00 × 10⁻⁶\."):
        expect_close(torch.tensor(1.000001, dtype=torch.float64), torch.tensor(1.0).double(), "it")
    with pytest.raises(NotYet, match=r"^it gives 2\.0000 instead of 1\.0000\. "):  # Python's floats are not float32
        expect_close(2.0, torch.tensor(1.0).double(), "it")


def test_an_endless_loop_ends_with_a_sentence(monkeypatch):
    def endless(*args):
        while True:
            with contextlib.suppress(Exception):  # as a learner may write it
                time.sleep(0.01)

    monkeypatch.setattr("odelib.teaching.exercises.SECONDS", 0.2)
    verdict = judge("euler-step", endless)
    assert (verdict.passed, verdict.answered) == (False, True)
    assert "no answer after 0.2 seconds. Does a loop in it end?" in verdict.line


def test_an_answer_that_ends_the_program_does_not():
    verdict = judge("euler-step", lambda *args: sys.exit(3))
    assert (verdict.passed, verdict.answered) == (False, True)
    assert "the answer ends the program" in verdict.line
