"""The tests of the assignments say the same of functions in another process as of functions beside them."""

import os
import threading
from contextlib import contextmanager

import pytest
from test_masters import MASTERS, answers, grader, parameters, solved

from odelib.course.build import default_dtype
from odelib.course.examiner import Names
from odelib.course.remote import Peer
from odelib.course.wire import Line


@contextmanager
def other_end(names):
    """Names as the tests see those of another process."""
    there, back = os.pipe(), os.pipe()
    tests, submission = Peer(Line(back[0], there[1]), trusting=False), Peer(Line(there[0], back[1]), trusting=True)
    submission.offer(names)
    thread = threading.Thread(target=submission.serve)
    thread.start()
    yield Names(tests, list(names))
    os.close(there[1])
    thread.join()
    for descriptor in (there[0], *back):
        os.close(descriptor)


@pytest.mark.nightly
@pytest.mark.parametrize("name", MASTERS)
def test_each_answer_gets_the_points_that_it_gets_beside_the_tests(name):
    differ, grade = [], grader(name)["grade"]
    solution, dtype = solved(name)
    for question, kind, label, code in answers(name):
        namespace = dict(solution)
        with default_dtype(dtype):
            exec(compile(code, question, "exec"), namespace)
            beside = {one["question"]: one["points"] for one in grade(namespace, parameters(name))}
            with other_end({key: value for key, value in namespace.items() if not key.startswith("_")}) as names:
                apart = {one["question"]: one for one in grade(names, parameters(name))}
        if apart[question]["points"] != beside[question]:
            differ.append(
                (question, kind, label, beside[question], apart[question]["points"], apart[question]["message"])
            )
    assert differ == []
