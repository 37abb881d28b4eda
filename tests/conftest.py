"""For all tests: shapes and types checked at run time, few CPU threads, GPU tests where there is a GPU."""

import pytest
from jaxtyping import install_import_hook

# Before the first import of odelib. An int passes where a float is expected, as it does for mypy.
install_import_hook("odelib", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import torch  # noqa: E402


def pytest_configure():
    torch.set_num_threads(min(2, torch.get_num_threads()))


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and torch finds none"))
