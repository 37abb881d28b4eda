"""The ways through are short: calls of odelib's own functions on the way of a state through a model."""

import subprocess
import sys

import pytest

# In a process of its own: the run-time type checks of the tests are calls too.
COUNT = """
import os, sys, torch, odelib
from odelib import ViT, ViTConfig

root, calls = os.path.dirname(odelib.__file__) + os.sep, []
model = ViT(ViTConfig(step_rule="rk4", intervals=1, gradient=sys.argv[1]))
images = torch.ones(2, 1, 28, 28)
model(images)  # what the first call alone does is no part of the way

def seen(frame, event, argument):
    if event == "call" and frame.f_code.co_filename.startswith(root):
        calls.append(frame.f_code.co_filename)

sys.setprofile(seen)
model(images)
sys.setprofile(None)
print(len(calls), len(set(calls)))
"""


@pytest.mark.parametrize(("gradient", "most", "files"), [("backprop", 45, 8), ("checkpoint", 120, None)])
def test_four_evaluations_take_few_calls(gradient, most, files):
    done = subprocess.run([sys.executable, "-c", COUNT, gradient], capture_output=True, text=True, check=True)
    calls, entered = map(int, done.stdout.split())
    assert 4 * 6 <= calls <= most
    assert files is None or entered <= files
