"""The pages judged by Lighthouse and axe-core, and the extension that mends what they found."""

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AUDIT = Path(__file__).with_name("audit.mjs")

_spec = importlib.util.spec_from_file_location("accessible", ROOT / "book/_extensions/accessible.py")
accessible = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(accessible)


KINDS = {
    "front": "book/index",
    "text": "book/preface",
    "chapter": "book/07-parallel-block",
    "reference": "book/reference/solvers",
}


@pytest.fixture(scope="module")
def audit(browser, debugger, cdn, site):
    """What axe says of pages, and Lighthouse of some of them, all opened in the one browser."""

    def of(names, scored):
        job = {"browser": debugger, "packages": str(cdn), "site": site, "pages": names, "scored": scored}
        command = [shutil.which("node"), str(AUDIT)]
        run = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True)
        assert run.returncode == 0, run.stderr[-3000:]
        return {page["name"]: page for page in map(json.loads, run.stdout.splitlines())}

    return of


@pytest.fixture(scope="module")
def audited(audit, page_names):
    return audit(page_names, list(KINDS.values()))


def test_every_page_is_of_a_kind_that_lighthouse_sees(page_names):
    assert set(KINDS.values()) <= set(page_names)
    kinds = {"chapter" if (ROOT / f"{name}.ipynb").exists() else str(Path(name).parent) for name in page_names}
    assert len(kinds) + 1 == len(KINDS)  # the front page is a text, and more


@pytest.mark.parametrize("kind", KINDS)
def test_lighthouse_gives_the_full_score(audited, kind):
    page = audited[KINDS[kind]]
    assert page["score"] == 1, "\n".join(page["faults"])


def test_axe_finds_nothing_of_any_impact(audited, page_name):
    assert audited[page_name]["violations"] == []


def test_the_audit_finds_a_planted_fault(audit, html):
    planted = (html / "book/index.html").read_text().replace("<article", '<img src="x.png"><article', 1)
    head, article, body = planted.partition("<article")
    planted = head + article + body.replace("<p>", '<p style="color: #999; background: #fff">', 1)
    (html / "planted.html").write_text(planted)
    try:
        found = audit(["planted"], ["planted"])["planted"]
    finally:
        (html / "planted.html").unlink()
    assert found["score"] < 1
    assert any(fault.startswith("image-alt") for fault in found["faults"])
    assert any("image-alt" in fault for fault in found["violations"])
    assert any("color-contrast" in fault for fault in found["violations"])


def test_a_signature_of_many_lines_is_no_definition_list():
    signature = '<dl class="py"><dt class="sig"><span>f</span>(<dl>\n<dd>x</dd>\n</dl>\n)</dt><dd>Text</dd></dl>'
    mended = accessible.mend(signature)
    assert mended.count("<dl") == mended.count("</dl") == 1
    assert mended.count("<dd") == mended.count("</dd") == 1
    assert mended.count("<span") == mended.count("</span") == 3


def test_a_folded_cell_is_called_what_it_says():
    summary = '<summary aria-label="Toggle hidden content"><p>Show code cell source</p></summary>'
    assert accessible.mend(summary) == "<summary><p>Show code cell source</p></summary>"


def test_works_are_items_of_their_list():
    work = '<div role="list"><div class="citation" role="doc-biblioentry">W</div></div>'
    assert accessible.mend(work) == '<div role="list"><div class="citation" role="listitem">W</div></div>'


def test_an_empty_head_of_a_table_is_no_head():
    row = '<tr><th class="head"><p></p></th><th class="head"><p>A</p></th></tr>'
    assert accessible.mend(row) == '<tr><td></td><th class="head"><p>A</p></th></tr>'
