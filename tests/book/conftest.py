"""The book as built, served, and opened in a headless browser with the CDN's files at hand."""

import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = Path(__file__).with_name("package.json")
# Chrome first: where both are, as on GitHub's runners, Chromium may have no sandbox that the system lets it use.
BROWSERS = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome")
SANITIZE = Path(__file__).with_name("nbval_sanitize.cfg")


def contents():
    """The pages of the book as their files are named, the front page first."""

    def files(entries):
        for entry in entries:
            yield entry["file"]
            yield from files(entry.get("sections", []))

    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(file for part in toc["parts"] for file in files(part["chapters"]))]


def pytest_generate_tests(metafunc):
    """A test that asks for ``page_name`` is run for each page, one that asks for ``chapter_name`` for each chapter."""
    if "chapter_name" in metafunc.fixturenames:
        chapters = [name for name in contents() if (ROOT / f"{name}.ipynb").exists()]
        metafunc.parametrize("chapter_name", chapters, scope="module")
    if "page_name" in metafunc.fixturenames:
        metafunc.parametrize("page_name", contents(), scope="module")


@pytest.fixture(scope="session")
def plain():
    """A folder for the import path that hides ipywidgets and has the plugin that keeps what nbval has executed."""
    return Path(__file__).with_name("plain")


@pytest.fixture(scope="session")
def nbval():
    """Run nbval over a notebook, as every chapter is checked."""

    def run(notebook, environment):
        """Return the finished process, and the path of the executed notebook, which exists if nothing was found."""
        command = [sys.executable, "-m", "pytest", notebook.name, "--nbval", "--nbval-current-env", "-q", "-p", "keep"]
        command += ["--nbval-sanitize-with", str(SANITIZE), "--nbval-cell-timeout", "300", "-p", "no:cacheprovider"]
        executed = notebook.with_suffix(".executed.ipynb")
        environment = {**environment, "ODELIB_EXECUTED": str(executed)}
        finished = subprocess.run(command, cwd=notebook.parent, env=environment, capture_output=True, text=True)
        return finished, executed

    return run


@pytest.fixture(scope="session")
def page_names():
    return contents()


def missing(what):
    """Skip with a sentence, or fail where nothing may be skipped."""
    if os.environ.get("ODELIB_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{what}, and ODELIB_REQUIRE_BROWSER=1 asks for the tests of the pages", pytrace=False)
    pytest.skip(f"{what}: the tests of the pages need it")


@pytest.fixture(scope="session")
def chromium_path():
    found = os.environ.get("ODELIB_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        missing("no Chromium on the path")
    return found


@pytest.fixture(scope="session")
def cdn():
    """Folder with the npm packages that the pages take from a CDN, and those that audit the pages."""
    npm = shutil.which("npm")
    if not npm:
        missing("no npm on the path")
    folder = ROOT / ".cache/npm"
    wanted = PACKAGES.read_text()
    installed = folder / "package.json"
    if not installed.exists() or installed.read_text() != wanted or not (folder / "node_modules").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        installed.write_text(wanted)
        command = [npm, "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if run.returncode:
            shutil.rmtree(folder)
            missing(f"npm could not install the packages ({run.stderr.strip()[-300:]})")
    return folder / "node_modules"


@pytest.fixture(scope="session")
def html():
    """The folder of the built book, made by the same command that a reader uses."""
    command = ["make", "book", f"PY={sys.executable}"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, f"make book failed:\n{run.stdout[-3000:]}\n{run.stderr[-6000:]}"
    return ROOT / "_build/html"


@pytest.fixture(scope="session")
def site(html):
    """Address of a server of the built book."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(html)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def without_sandbox():
    """Chromium refuses its own sandbox to root, and a CI machine may refuse it to Chromium."""
    return getattr(os, "geteuid", lambda: 1)() == 0 or os.environ.get("CI", "false") != "false"


@pytest.fixture(scope="session")
def debugger():
    """Address at which the one browser can be driven by others than Playwright."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture(scope="session")
def browser(chromium_path, debugger):
    from playwright.sync_api import sync_playwright

    arguments = [f"--remote-debugging-port={urlsplit(debugger).port}"]
    if without_sandbox():
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opening(browser, site):
    """Lend a function that opens pages, and close them: what moves in an open page takes time from the next test."""
    contexts = []

    def open_page(address, *, live=None, **options):
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        contexts.append(context)
        context.set_default_timeout(60_000)
        context.route(lambda url: not url.startswith(site), lambda route: route.abort())
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(f"{site}/{address}", wait_until="load")
        if live:
            section = page.locator(f"section[data-explore={live}]")
            section.scroll_into_view_if_needed()
            page.locator(f"section[data-explore={live}].is-live canvas").first.wait_for()
        return page

    try:
        yield open_page
    finally:
        for context in contexts:
            context.close()


@pytest.fixture
def opened(browser, site):
    """Open a page, without what it takes from elsewhere; ``live`` brings the explorable into view and waits for it."""
    with opening(browser, site) as open_page:
        yield open_page
