"""Lighthouse's performance score of the pages, on a phone with a slow connection.

    make book && make test    # the second installs Lighthouse in .cache/npm
    python benchmarks/pages.py [--phone low] [_build/html]

The bound is 0.9, on a phone of the middle. How much slower than this machine a phone is follows from Lighthouse's own
measure of processors, its `benchmarkIndex`: 1000 for a phone of the middle (Pixel 5) and 264 for a slow one (Moto G
Power 2022), as Chrome's DevTools have them (`CalibrationController.ts`). Lighthouse reckons with the time that the
machine takes, so nothing else should run beside it, and of three visits to a page the middle one counts.
"""

import argparse
import functools
import gzip
import http.server
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote

from explorables import Quiet

ROOT = Path(__file__).parents[1]
PACKAGES = ROOT / ".cache/npm/node_modules"
BOUND = 0.9
PHONES = {"middle": 1000, "low": 264}


class Compressed(Quiet):
    """A server that compresses what it sends, as hosts of static sites do; it has the CDN's files too."""

    def translate_path(self, path: str) -> str:
        """Return the file of an address."""
        inside = path.removeprefix("/_npm/")
        return super().translate_path(path) if inside == path else str(PACKAGES / unquote(inside))

    def do_GET(self) -> None:  # noqa: N802 - as http.server calls it
        """Send a file."""
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return super().do_GET()
        body = gzip.compress(path.read_bytes())
        self.send_response(200)
        for name, value in (("Type", self.guess_type(str(path))), ("Encoding", "gzip"), ("Length", str(len(body)))):
            self.send_header(f"Content-{name}", value)
        self.send_header("Access-Control-Allow-Origin", "*")  # fonts of the CDN
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Print a table; exit with 1 if a page is below the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "_build/html")
    parser.add_argument("--phone", choices=PHONES, default="middle")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Compressed, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chapters = sorted(f"book/{path.stem}" for path in (folder / "book").glob("[0-9][0-9]-*.html"))
    written = [name for name in chapters if (ROOT / f"{name}.ipynb").exists()]
    job = {
        "browser": next(filter(None, map(shutil.which, ("google-chrome", "chromium", "chromium-browser")))),
        "packages": str(PACKAGES),
        "site": f"http://127.0.0.1:{server.server_port}",
        "pages": ["book/index", "book/preface", *written, "book/reference/solvers"],
        "index": PHONES[asked.phone],
    }
    node = subprocess.Popen(
        ["node", str(Path(__file__).with_name("pages.mjs"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert node.stdin is not None
    assert node.stdout is not None
    node.stdin.write(json.dumps(job))
    node.stdin.close()
    missed = False
    print(f"{'page':32}{'slower':>7}{'score':>7}{'first paint':>13}{'largest':>9}{'blocked':>9}{'shift':>8}")
    for line in node.stdout:
        page = json.loads(line)
        times = "".join(f"{page[key]:{width}.1f} s" for key, width in (("painted", 11), ("largest", 7), ("blocked", 7)))
        print(f"{page['name']:32}{page['slowdown']:7.1f}{page['score']:7.2f}{times}{page['shift']:8.3f}", flush=True)
        missed |= page["score"] < BOUND
    server.shutdown()
    sys.exit(node.wait() or missed)


if __name__ == "__main__":
    main()
