"""What students get is searched for solutions, hidden tests and the secret, wherever they may lie."""

import base64
import html
import io
import json
import zipfile
from pathlib import Path

import nbformat
import pytest

from odelib.course.leaks import find_leaks
from odelib.course.masters import read_master

SECRET = b"a secret of the tests, 0123456789"
MASTER = read_master(Path(__file__).parents[2] / "book" / "assignments" / "1-solvers-and-order.ipynb")
SOLUTION = "        x = x + h / 2 * (3 * new - old)"
HIDDEN = "    for what, (a, b, order) in cases.items():\n        got = 1"
HELPER = "k2 = F(t + c2 * h, x + h * c2 * k)"
DERIVED = next(line for line in MASTER.kept if line.startswith("exact, $F("))


def notebook(text="", **places):
    cell = nbformat.v4.new_code_cell("x = 1\n" + text)
    cell.metadata.update(places.get("metadata", {}))
    cell.outputs = places.get("outputs", [])
    whole = nbformat.v4.new_notebook(cells=[cell])
    whole.metadata.update(places.get("whole", {}))
    return nbformat.writes(whole).encode()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def page(text):
    return f"<html><pre><span>{html.escape(text)}</span></pre></html>".encode()


def output(text):
    return [nbformat.v4.new_output("display_data", {"text/html": f"<b>{html.escape(text)}</b>"})]


PLACES = {
    "a cell": lambda text: {"a.ipynb": notebook(text)},
    "metadata of a cell": lambda text: {"a.ipynb": notebook(metadata={"old": {"source": text}})},
    "metadata of the notebook": lambda text: {"a.ipynb": notebook(whole={"otter": {"tests": {"q1": text}}})},
    "an output": lambda text: {"a.ipynb": notebook(outputs=output(text))},
    "a page": lambda text: {"a.html": page(text)},
    "a file without a kind": lambda text: {"deep/in/here": text.encode()},
    "a zip": lambda text: {"a.zip": zipped({"a.ipynb": notebook(text)})},
    "a zip in a zip": lambda text: {"a.zip": zipped({"b.zip": zipped({"a.html": page(text)})})},
    "the name of a file in a zip": lambda text: {"a.zip": zipped({text.strip().replace("\n", " "): b""})},
    "base64": lambda text: {"a.ipynb": notebook(f"blob = '{base64.b64encode(text.encode()).decode()}'")},
    "hexadecimal": lambda text: {"a.txt": text.encode().hex().encode()},
    "other white space": lambda text: {"a.txt": "\n\t ".join(text.split()).encode()},
}


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "text", [SOLUTION, HIDDEN, HELPER, DERIVED], ids=["solution", "hidden", "helper", "derivation"]
)
def test_a_leak_is_found(tmp_path, place, text):
    write(tmp_path, PLACES[place](text))
    (leak, *_) = find_leaks(tmp_path, [MASTER], SECRET)
    assert "of a solution or a hidden test" in leak


@pytest.mark.parametrize(
    "form",
    [
        SECRET.decode(),
        SECRET.hex(),
        SECRET.hex().upper(),
        base64.b64encode(SECRET).decode(),
        base64.b64encode(b"key: " + SECRET).decode(),
        json.dumps({"key": SECRET.decode()}),
    ],
)
@pytest.mark.parametrize("place", ["a cell", "metadata of the notebook", "an output", "a page", "a zip in a zip"])
def test_the_secret_is_found(tmp_path, place, form):
    write(tmp_path, PLACES[place](form))
    assert any(leak.endswith("has the secret") for leak in find_leaks(tmp_path, [MASTER], SECRET))


def test_what_students_see_anyway_is_no_leak(tmp_path):
    write(tmp_path, {"a.txt": MASTER.seen.encode(), "b.ipynb": notebook("def ab2(F, x, t0, t1, steps):\n    return x")})
    assert find_leaks(tmp_path, [MASTER], SECRET) == []


def test_lines_that_are_kept_cover_all_solutions_and_hidden_tests():
    kept = "\n".join(MASTER.kept)
    for question in MASTER.questions:
        assert all(test.name in kept for test in question.tests if test.hidden)
        assert all(test.name not in kept for test in question.tests if not test.hidden)
    assert len(MASTER.kept) > 100
