"""What the first cells of a chapter need."""

from __future__ import annotations

import os
import time

import torch

from odelib.install import REPOSITORY
from odelib.teaching.claims import report
from odelib.teaching.figures import use_style

_BEGAN = time.perf_counter()  # a chapter imports this module in its first cells

FIRST_CELL = f"""\
try:
    import odelib
except ModuleNotFoundError:  # in Colab; torch and numpy stay as they are
    %pip install -q git+{REPOSITORY}
    import odelib
"""
"""The first code cell of every chapter."""


def start(seed: int = 0, threads: int | None = None) -> None:
    """Make a chapter repeatable: seed torch, set the figure style and how tensors print; say so in one line.

    Args:
        seed: for torch's default generator on every device.
        threads: CPU threads that torch may use; ``None`` leaves the number as it is.

    Raises:
        ValueError: ``threads`` is less than 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    torch.manual_seed(seed)
    torch.set_printoptions(precision=4, sci_mode=False, linewidth=100)  # type: ignore[no-untyped-call]
    if threads is not None:
        torch.set_num_threads(threads)
    use_style()
    print(f"Ready: random seed {seed}.")


def finish() -> None:
    """Glue how long the chapter took (``run-time``) and on how many CPU cores (``cores``); for its last cell."""
    seconds = time.perf_counter() - _BEGAN
    unit = "seconds" if seconds < 100 else "minutes"
    report("run-time", round(seconds) if seconds < 100 else round(seconds / 60, 1), digits=2, unit=unit)
    report("cores", os.cpu_count() or 1)
