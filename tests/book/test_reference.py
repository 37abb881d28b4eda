"""The examples of the reference run as they stand."""

import re
from pathlib import Path

import pytest
import torch

REFERENCE = Path(__file__).parents[2] / "book/reference"


@pytest.mark.parametrize("page", sorted(path.name for path in REFERENCE.glob("*.md")))
def test_the_examples_of_a_page_run_one_after_the_other(page):
    names: dict[str, object] = {}
    for example in re.findall(r"^```python\n(.*?)^```", (REFERENCE / page).read_text(), re.M | re.S):
        exec(compile(example, page, "exec"), names)
    if page == "solvers.md":
        ys = names["ys"]
        assert isinstance(ys, torch.Tensor)
        assert ys.isfinite().all()
