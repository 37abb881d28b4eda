"""For all tests: shapes and types checked at run time, few CPU threads, GPU tests where there is a GPU.

``make test`` runs them in two processes, and ``make check`` leaves out those marked ``slow``, which are all that need
the chapters executed or the book built.
"""

import os
import re
from pathlib import Path

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

# Before the first import of odelib. An int passes where a float is expected, as it does for mypy.
install_import_hook("odelib", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

import torch  # noqa: E402

BOOK = "tests/book/"
SEED = int(os.environ.get("ODELIB_TEST_SEED", 0))  # `make nightly` sets another each day


settings.register_profile("unhurried", deadline=None)  # how long an example takes tells of the machine, not of the code
settings.load_profile("unhurried")


def pytest_report_header():
    return f"seeds are moved by {SEED} (ODELIB_TEST_SEED)" if SEED else None


def pytest_configure():
    if SEED:
        seed_as_it_is = torch.manual_seed
        torch.manual_seed = lambda seed: seed_as_it_is(seed + SEED)
    torch.set_num_threads(1 if os.environ.get("PYTEST_XDIST_WORKER") else min(2, torch.get_num_threads()))


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what -m does not name
def pytest_collection_modifyitems(items):
    for item in items:
        if re.search(r" at 0x[0-9a-f]+>", item.nodeid):  # another one in each process, which then agree on no tests
            raise pytest.UsageError(f"{item.nodeid} has an address in its name: give the parameter an id of its own")
        if {"chapter", "html"} & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and torch finds none"))
    items.sort(key=turn)


def turn(item):
    """Chapters come first, since the book is built from what they left; then the pages; then what takes long."""
    return "chapter" not in item.fixturenames, BOOK not in item.nodeid, item.get_closest_marker("slow") is None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give each process the tests of a whole file, or of the whole book, or one chapter: what sets up things once."""
    from xdist.scheduler import LoadScopeScheduling

    class Shares(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.split("::")[0]
            return nodeid if file.endswith("test_chapters.py") else BOOK if BOOK in file else file

    return Shares(config, log)


@pytest.fixture(autouse=True)
def single_precision():
    """Refuse a test that leaves torch with another default dtype: tests after it would measure something else."""
    yield
    left = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    assert left is torch.float32, f"this test leaves {left} as torch's default"


@pytest.fixture(scope="session")
def data_beside() -> Path | None:
    """The folder with data for offline tests: $ODELIB_DATA, else ../shared/data beside the repository, if it exists."""
    folder = Path(os.environ.get("ODELIB_DATA") or Path(__file__).parents[2] / "shared" / "data")
    return folder.absolute() if folder.is_dir() else None


@pytest.fixture(scope="session")
def real_data(data_beside: Path | None) -> Path:
    """The same folder; a test that asks for it is skipped where there is none."""
    if data_beside is None:
        pytest.skip("no real data: there is no ../shared/data, and ODELIB_DATA names no folder; it can name one")
    return data_beside


@pytest.fixture(scope="session")
def attention_on_fake_cuda():
    """Skip where this torch asks the driver of a device that there is not before it chooses the attention kernel."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    try:
        with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
            torch.nn.functional.scaled_dot_product_attention(*(torch.ones(1, 1, 2, 4) for _ in range(3)))
    except RuntimeError as error:
        # torch 2.6 does; later versions do not, and there a failure is one.
        if torch.cuda.is_available() or torch.__version__ >= (2, 7):
            raise
        pytest.skip(f"torch {torch.__version__} chooses attention on fake cuda only with a driver: {error}")
