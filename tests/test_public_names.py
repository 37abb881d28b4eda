import subprocess
import sys

import pytest

import odelib


def test_every_public_name_is_there():
    for name in odelib.__all__:
        assert getattr(odelib, name).__name__ == name
    assert set(odelib.__all__) <= set(dir(odelib))


def test_rooms_are_there_without_being_imported():
    assert odelib.solvers.solve is odelib.solve
    assert odelib.models.ViT is odelib.ViT


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no attribute .solver..*solve, step_rule"):
        odelib.solver  # noqa: B018 - reading it is the test


def test_the_import_loads_nothing_heavy():
    code = "import sys, odelib; print([m for m in ('torch', 'matplotlib', 'torchvision', 'scipy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


@pytest.mark.slow
def test_with_all_names_nothing_is_loaded_that_few_need():
    code = (
        "import sys, torch; before = set(sys.modules); from odelib import *; "
        "print([m for m in ('matplotlib', 'torchvision', 'torchdiffeq', 'scipy', 'tokenizers') "
        "if m in sys.modules and m not in before])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
