"""Run the book's Colab edition in an imitation of Colab: ``make nightly-colab``.

Each notebook starts where ``colab.txt`` is installed and odelib is not, in an empty folder, and its first cell installs
odelib. No cell may raise, which a claim that is false does; what is printed is not compared, since another PyTorch
rounds otherwise.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]


class Imitation(KernelManager):
    """A kernel of the interpreter that stands for Colab's."""

    interpreter = ""

    @property
    def kernel_spec(self) -> KernelSpec:
        """Start the interpreter's own kernel."""
        return KernelSpec(argv=[self.interpreter, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


def pip(interpreter: str, *arguments: str | Path) -> None:
    """Run pip of an interpreter."""
    subprocess.run([interpreter, "-m", "pip", "--quiet", *map(str, arguments)], check=True)


def installing(notebook: Any, wheel: Path) -> Any:
    """The notebook, whose first cell installs the wheel in the place of the repository, which no test reaches."""
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code")
    cell.source, installs = re.subn(r"%pip install -q git\+https://\S+", f"%pip install -q {wheel}", cell.source)
    assert installs == 1, f"the first cell does not install odelib from its address: {cell.source}"
    return notebook


def run(path: Path, wheel: Path, interpreter: str) -> str | None:
    """Execute a notebook; return the error that ended it, if one did."""
    pip(interpreter, "uninstall", "--yes", "odelib")
    notebook = installing(nbformat.read(path, as_version=4), wheel)
    Imitation.interpreter = interpreter
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(notebook, timeout=900, resources=resources, kernel_manager_class=Imitation)
        try:
            client.execute()
        except CellExecutionError as error:
            return str(error)
    return None


def main() -> None:
    """Run the notebooks that are named, or all; exit 1 if one of them raises."""
    parser = argparse.ArgumentParser(description="Run the Colab edition in an imitation of Colab.")
    parser.add_argument("interpreter", help="where colab.txt is installed")
    parser.add_argument("chapters", nargs="*", type=Path, help="chapters, such as book/01-residual-euler.ipynb")
    given = parser.parse_args()
    interpreter = str(Path(given.interpreter).absolute())  # kernels start in folders of their own
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "book/_extensions/editions.py", folder + "/editions"]
        subprocess.run(command, cwd=ROOT, check=True)
        address = f"git+file://{ROOT}"  # what is committed, as from the address that readers install from
        pip(sys.executable, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, address)
        (wheel,) = Path(folder).glob("odelib-*.whl")
        editions = sorted(Path(folder, "editions/colab").glob("[0-9]*.ipynb"))
        wanted = {path.stem for path in given.chapters or ROOT.glob("book/*.ipynb")}
        for path in (path for path in editions if path.stem in wanted):
            begun = time.perf_counter()
            error = run(path, wheel, interpreter)
            print(f"{path.stem}: {error or 'runs'} ({time.perf_counter() - begun:.0f} s)", flush=True)
            failed += [path.stem] if error else []
    if failed:
        sys.exit(f"{len(failed)} of the notebooks raise: {', '.join(failed)}")


if __name__ == "__main__":
    main()
