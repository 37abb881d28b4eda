"""The first cells of a chapter."""

import re

import matplotlib as mpl
import pytest
import torch

from odelib.teaching import finish, start
from odelib.teaching.notebook import FIRST_CELL


@pytest.fixture(autouse=True)
def restored():
    threads = torch.get_num_threads()
    with mpl.rc_context():
        yield
    torch.set_num_threads(threads)
    torch.set_printoptions(profile="default")


def test_start_repeats_random_numbers_and_says_so_in_one_line(capsys):
    start(seed=3)
    first = torch.randn(4)
    start(seed=3)
    assert torch.equal(torch.randn(4), first)
    assert capsys.readouterr().out == "Ready: random seed 3.\n" * 2


def test_start_sets_the_style_and_the_threads():
    start(threads=1)
    assert mpl.rcParams["svg.hashsalt"] == "odelib"
    assert torch.get_num_threads() == 1


def test_start_refuses_no_threads():
    with pytest.raises(ValueError, match="at least 1"):
        start(threads=0)


def test_first_cell_runs_where_odelib_is_installed():
    code = FIRST_CELL.replace("    %pip", "    raise SystemExit #")
    space = {}
    exec(compile(code, "first cell", "exec"), space)
    assert space["odelib"].__name__ == "odelib"


def test_finish_reports_run_time_and_cores(capsys):
    finish()
    time_line, cores_line = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"run-time: [\d.]+ (seconds|minutes)", time_line)
    assert re.fullmatch(r"cores: [1-9]\d*", cores_line)
