"""Submissions that are broken or mean harm: more than a hundred and fifty, of more than thirty kinds.

Each is the right answer and something else. It says how many of the six points it gets, and what a reader is told.
``answer`` is worth one point where it is 42: an attack sets it to 42 if it succeeds.
"""

import gzip
import io
import json
import os
import socket
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EULER = """
def euler(f, x, h, steps):
    for n in range(steps):
        x = x + h * f(n * h, x)
    return x
"""
RIGHT = EULER + "answer = 42\n"
CLOSED = EULER + "answer = 0\n"


@dataclass(frozen=True)
class Hostile:
    """One submission: its kind and name, how to write it, its points, and a pattern that its reason or feedback has."""

    kind: str
    name: str
    write: Callable[[Path], None]
    points: float | None  # None: it depends on the machine
    says: str = ""
    outcome: str = "graded"
    suffix: str = ".ipynb"


def notebook(*sources: str) -> bytes:
    """A notebook with code cells of these sources."""
    cells = [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
        for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def _raw(kind: str, name: str, content: bytes, says: str, **more: object) -> Hostile:
    return Hostile(kind, name, lambda path: path.write_bytes(content), 0, says, "refused", **more)


def _cells(kind: str, name: str, points: float | None, says: str, *sources: str, outcome: str = "graded") -> Hostile:
    return Hostile(kind, name, lambda path: path.write_bytes(notebook(*sources)), points, says, outcome)


def _bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("submission.ipynb", b"0" * 50_000_000)
    return buffer.getvalue()


def _sparse(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(2**40)


FILES = [
    _raw("truncated JSON", "half", notebook(RIGHT)[:150], "not JSON"),
    _raw("truncated JSON", "comma", notebook(RIGHT)[:-1] + b",", "not JSON"),
    _raw("empty file", "nothing", b"", "not JSON"),
    _raw("empty file", "spaces", b" \n", "not JSON"),
    _raw("no notebook", "python", RIGHT.encode(), "not JSON"),
    _raw("no notebook", "html", b"<html>Sign in</html>", "not JSON"),
    _raw("no notebook", "a-list", b"[1, 2]", "no list of cells"),
    _raw("no notebook", "a-number", b"12", "no list of cells"),
    _raw("no notebook", "format-3", b'{"worksheets": [], "nbformat": 3}', "format 3"),
    _raw("missing cells", "no-cells", b'{"cells": [], "nbformat": 4}', "no code"),
    _raw("missing cells", "cells-null", b'{"cells": null, "nbformat": 4}', "no list of cells"),
    _raw(
        "missing cells", "strange-cells", b'{"cells": [1, null, {"cell_type": "code", "source": {"a": 1}}]}', "no code"
    ),
    _raw("deep JSON", "lists", b"[" * 200_000, "nested too deep|not JSON"),
    _raw("deep JSON", "objects", b'{"cells":' * 200_000, "nested too deep|not JSON"),
    _raw("not UTF-8", "latin", notebook(RIGHT).replace(b"answer", b"\xe4nswer"), "UTF-8"),
    _raw("not UTF-8", "utf-16", notebook(RIGHT).decode().encode("utf-16"), "UTF-8"),
    _raw("zip bomb", "zip-inside", _bomb(), "UTF-8|not JSON"),
    _raw("zip bomb", "gzip-inside", gzip.compress(b"0" * 50_000_000), "UTF-8"),
    _raw("zip bomb", "zip", _bomb(), "no notebook", suffix=".zip"),
    Hostile("huge file", "a-terabyte", _sparse, 0, "expected at most", "refused"),
    _raw("huge file", "many-cells", notebook(*["1"] * 2000), "2000 code cells"),
    Hostile("symlink", "to-passwd", lambda path: path.symlink_to("/etc/passwd"), 0, "link", "refused"),
    Hostile("symlink", "to-nothing", lambda path: path.symlink_to("nowhere"), 0, "link", "refused"),
    Hostile("symlink", "to-itself", lambda path: path.symlink_to(path.name), 0, "link", "refused"),
    Hostile("symlink", "to-another", lambda path: path.symlink_to("good-first.ipynb"), 0, "link", "refused"),
    Hostile("no file", "a-pipe", lambda path: os.mkfifo(path), 0, "no file", "refused"),
    Hostile("no file", "a-folder", lambda path: path.mkdir(), 0, "folder", "refused"),
    _raw("wrong name", "text", RIGHT.encode(), "no notebook", suffix=".py"),
    _raw("wrong name", "=cmd()", b"12", "no list of cells"),
]

LOOPS = [
    _cells("endless loop", "in-a-cell", 6, "did not end within", "while True: pass", RIGHT),
    _cells(
        "endless loop", "caught", 6, "did not end within", "try:\n    while True: pass\nexcept Exception: pass", RIGHT
    ),
    _cells(
        *("endless loop", "catches-all", 0, "has not answered in time, while its code cell 2 ran", RIGHT),
        "def on():\n    while True:\n        try: on()\n        except BaseException: pass\non()",
        outcome="refused",
    ),
    _cells("endless loop", "in-c", 0, "cell 2", RIGHT, "sum(iter(int, 1))", outcome="refused"),
    _cells("endless loop", "sleeps", 6, "did not end within", RIGHT, "import time; time.sleep(1000)"),
    _cells("endless loop", "many", 0, "and 3 more", *["while True: pass"] * 5, RIGHT),
    _cells("endless loop", "in-the-answer", 1, "did not end", RIGHT + "def euler(*a):\n    while True: pass"),
    _cells("endless loop", "asks-for-ever", 1, "did not end", RIGHT + "def euler(f, x, *a):\n    while True: f(0, x)"),
    _cells("endless loop", "recursion", 1, "RecursionError", RIGHT + "def euler(*a): return euler(*a)"),
    _cells(
        *("endless loop", "number", 1, "did not end|has not answered|cannot be asked"),
        RIGHT + "def euler(*a): return 9 ** 9 ** 9 ** 9",
    ),
    _cells(
        "stops itself",
        "sigstop",
        6,
        "did not end",
        RIGHT,
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)\nwhile True: pass",
    ),
    _cells("stops itself", "sigkill", 6, "", RIGHT, "import os; os.kill(os.getpid(), 9)"),
    _cells(
        "stops itself",
        "masks-alarms",
        0,
        "not answered",
        RIGHT,
        "import signal\nsignal.signal(14, signal.SIG_IGN)\nwhile True: pass",
        outcome="refused",
    ),
    _cells(
        "threads",
        "endless",
        None,
        "",
        RIGHT
        + "import threading, itertools\nfor n in range(8): threading.Thread(target=lambda: [0 for _ in itertools.count()]).start()",
    ),
    _cells(
        "threads",
        "too-many",
        None,
        "",
        RIGHT,
        "import threading, time\nfor n in range(100_000): threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
    ),
    _cells(
        "threads",
        "bomb",
        None,
        "|ended",
        RIGHT,
        "import threading\ndef more():\n    while True: threading.Thread(target=more).start()\nmore()",
    ),
]

MEMORY = [
    _cells("memory", "10-gigabytes", 6, "MemoryError", "x = bytearray(10 * 2**30)", RIGHT),
    _cells("memory", "tensor", 6, "RuntimeError|MemoryError", "import torch; x = torch.ones(2**32)", RIGHT),
    _cells("memory", "list", None, "MemoryError", "x = []\nwhile True: x.append(bytearray(2**24))", RIGHT),
    _cells("memory", "shared-map", 6, "", "import mmap; x = [mmap.mmap(-1, 2**28) for _ in range(40)]", RIGHT),
    _cells(
        "memory",
        "memfd",
        6,
        "PermissionError",
        "import os\nfor n in range(200): os.ftruncate(os.memfd_create('a'), 2**26)",
        RIGHT,
    ),
    _cells(
        "memory", "in-the-answer", 1, "MemoryError|RuntimeError", RIGHT + "def euler(*a): return bytearray(10 * 2**30)"
    ),
    _cells("memory", "big-result", 1, "", RIGHT + "import torch\ndef euler(*a): return torch.zeros(90_000_000)"),
    _cells("memory", "expanded", 1, "", RIGHT + "import torch\ndef euler(*a): return torch.zeros(1).expand(10**12)"),
    _cells("processes", "fork-bomb", 6, "PermissionError", "import os\nwhile True: os.fork()", RIGHT),
    _cells(
        "processes",
        "fork-bomb-caught",
        6,
        "did not end",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
        RIGHT,
    ),
    _cells("processes", "shell", 6, "PermissionError", "import subprocess; subprocess.run(['ls'])", RIGHT),
    _cells("processes", "system", 6, "", "import os; os.system('sleep 1000 &')", RIGHT),
    _cells(
        "processes", "pool", 6, "PermissionError", "import multiprocessing as m; m.Process(target=print).start()", RIGHT
    ),
    _cells("processes", "exec", 6, "PermissionError", "import os; os.execv('/bin/sleep', ['sleep', '1000'])", RIGHT),
    _cells(
        "processes",
        "raw-clone",
        6,
        "",
        "import ctypes\nassert ctypes.CDLL(None).syscall(56, 17, 0, 0, 0, 0) == -1",
        RIGHT,
    ),
]

OUTPUT = [
    _cells("output", "print-a-gigabyte", 6, "", RIGHT, "for n in range(1000): print('x' * 1_000_000)"),
    _cells("output", "stderr", 6, "", RIGHT, "import sys\nfor n in range(1000): sys.stderr.write('x' * 1_000_000)"),
    _cells("output", "one-big-file", 6, "File too large", RIGHT, "open('/tmp/x', 'wb').write(bytes(100 * 2**20))"),
    _cells(
        "output",
        "many-files",
        6,
        "No space left",
        RIGHT,
        "for n in range(10): open(f'/tmp/{n}', 'wb').write(bytes(50 * 2**20))",
    ),
    _cells("output", "elsewhere", 5, "Read-only|Permission", CLOSED, "open('/x', 'w').write('x')\nanswer = 42"),
    _cells("output", "long-error", 6, "ValueError: xxx", RIGHT, "raise ValueError('x' * 10**8)"),
    _cells("output", "control-characters", 6, "ValueError", RIGHT, "raise ValueError('\\x1b[2J\\x07\\x00,\\\"=1+1')"),
    _cells(
        "output",
        "writes-to-the-graders-line",
        0,
        "",
        CLOSED,
        "import os\nfor n in range(3, 60):\n    try: os.write(n, b'\\xff' * 4096)\n    except OSError: pass",
        outcome="refused",
    ),
]

EXITS = [
    _cells("exits", "sys-exit", 6, "ends the program", RIGHT, "import sys; sys.exit(0)"),
    _cells("exits", "sys-exit-first", 6, "ends the program", "exit()", RIGHT),
    _cells("exits", "os-exit", 0, "ended while its code cell 2", RIGHT, "import os; os._exit(0)", outcome="refused"),
    _cells("exits", "in-the-answer", 1, "SystemExit", RIGHT + "def euler(*a): raise SystemExit(0)"),
    _cells("exits", "os-exit-in-the-answer", 0, "cannot be asked", RIGHT + "import os\ndef euler(*a): os._exit(0)"),
    _cells(
        "exits",
        "segfault",
        0,
        "ended while its code cell 2",
        RIGHT,
        "import ctypes; ctypes.string_at(0)",
        outcome="refused",
    ),
    _cells("exits", "abort", 0, "ended while its code cell 2", RIGHT, "import os; os.abort()", outcome="refused"),
    _cells(
        "exits",
        "atexit",
        6,
        "",
        RIGHT,
        "import atexit; atexit.register(lambda: open('/tmp/points.csv', 'w').write('6'))",
    ),
    _cells("exits", "keyboard-interrupt", 6, "KeyboardInterrupt", RIGHT, "raise KeyboardInterrupt"),
    _cells(
        "exits", "odd-errors", 6, "Bad", RIGHT, "class Bad(BaseException):\n    def __str__(self): raise Bad\nraise Bad"
    ),
]

WRONG = [
    _cells("renamed", "another-name", 1, "KeyError", RIGHT.replace("euler", "forward_euler")),
    _cells("renamed", "no-function", 1, "", RIGHT, "euler = 3"),
    _cells("renamed", "overwritten", 0, "KeyError", RIGHT, "del euler, answer"),
    _cells("renamed", "other-arguments", 1, "TypeError", RIGHT + "def euler(f): return 1"),
    _cells("unfinished", "placeholder", 0, "", "def euler(f, x, h, steps): ...\nanswer = ..."),
    _cells("unfinished", "syntax", 6, "SyntaxError", "def (:", RIGHT),
    _cells("unfinished", "error-first", 6, "ZeroDivisionError", "1 / 0", RIGHT),
    _cells("unfinished", "missing-module", 6, "ModuleNotFoundError", "import no_such_module", RIGHT),
    _cells("unfinished", "null-bytes", 6, "Error", "x = '\x00'", RIGHT),
    _cells(
        "unfinished",
        "magics",
        6,
        "",
        "%pip install torch\n!ls\nfiles = !ls\nprint?",
        "%%bash\nrm -rf /",
        "%%time\n" + RIGHT,
    ),
    _cells(
        "odd values",
        "lying-equal",
        5,
        "not 42|AssertionError",
        CLOSED + "class L:\n    def __eq__(self, other): return True\n    __hash__ = None\nanswer = L()",
    ),
    _cells(
        "odd values",
        "lying-number",
        5,
        "not 42",
        CLOSED + "class L(int):\n    def __eq__(self, other): return True\n    __hash__ = None\nanswer = L(7)",
    ),
    _cells(
        "odd values",
        "lying-tensor",
        1,
        "",
        RIGHT
        + "import torch\nclass L(torch.Tensor):\n    @classmethod\n    def __torch_function__(cls, *a, **k): return True\ndef euler(*a): return torch.zeros(2).as_subclass(L)",
    ),
    _cells("odd values", "huge-integer", 5, "", CLOSED + "answer = 1 << 10**6"),
    _cells("odd values", "deep-list", 5, "", CLOSED + "answer = []\nfor n in range(10_000): answer = [answer]"),
    _cells("odd values", "own-list", 5, "", CLOSED + "answer = []\nanswer.append(answer)"),
    _cells("odd values", "surrogates", 5, "not 42", CLOSED + "answer = '\\ud800' * 10"),
    _cells("odd values", "nan", 1, "the end is not", RIGHT + "def euler(f, x, h, n): return x * float('nan')"),
    _cells("odd values", "sparse", 1, "", RIGHT + "import torch\ndef euler(f, x, h, n): return x.detach().to_sparse()"),
    _cells(
        "odd values",
        "reduce",
        5,
        "",
        CLOSED
        + "import os\nclass R:\n    def __reduce__(self): return (os.system, ('touch /tmp/forged',))\nanswer = R()",
    ),
]
TRIED = "\ntry:\n    {}\n    answer = 42\nexcept BaseException: pass\n"


def _attempt(kind: str, name: str, code: str, says: str = "", points: float = 5) -> Hostile:
    """Code that leaves 42 if it goes through; it may not, and the rest of the points stay."""
    return _cells(kind, name, points, says, CLOSED + TRIED.format(code.replace("\n", "\n    ")))


READING = [
    _attempt("reads the tests", "path", "assert 'grade' in open('/tests/tests.py').read()"),
    _attempt(
        *("reads the tests", "search"),
        "import os\nfound = [os.path.join(a, f) for a, _, c in os.walk('/') for f in c if f in ('assignment.json', 'points.csv')]\n"
        "assert [path for path in found if not path.startswith('/proc')]",
    ),
    _attempt(
        "reads the tests", "gc", "import gc\nassert [o for o in gc.get_objects() if type(o) is dict and 'grade' in o]"
    ),
    _attempt(
        "reads the tests",
        "stack",
        "import sys\nf = sys._getframe()\nwhile f and 'grade' not in f.f_globals: f = f.f_back\nassert f",
    ),
    _attempt(
        "reads the tests",
        "modules",
        "import sys\nassert [m for m in sys.modules.values() if callable(vars(m).get('grade'))]",
    ),
    _attempt(
        "reads proc",
        "other-processes",
        "import os\nassert [p for p in os.listdir('/proc') if p.isdigit() and p != str(os.getpid())]",
    ),
    _attempt("reads proc", "environment", "assert b'SECRET' in open('/proc/1/environ', 'rb').read()"),
    _attempt("reads proc", "root", "import os\nassert set(os.listdir('/proc/1/root/')) & {'var', 'boot', 'srv'}"),
    _attempt("reads proc", "own-memory", "open('/proc/self/mem', 'r+b')"),
    _attempt("reads files", "shadow", "open('/etc/shadow').read()"),
    _attempt("reads files", "home", "import os, glob\nassert glob.glob('/home/*/*') + glob.glob('/root/.ssh/*')"),
    _attempt("reads files", "other-submissions", "import glob\nassert glob.glob('/**/good-*.ipynb', recursive=True)"),
    _attempt("deletes files", "tree", "import shutil\nshutil.rmtree('/usr/bin')"),
    _attempt("deletes files", "own-notebook", "import os\nos.remove('/submission.ipynb')"),
    _attempt("deletes files", "library", "import odelib\nopen(odelib.__file__, 'w').write('x')"),
    _attempt(
        "deletes files",
        "rights",
        "import os, stat\nos.chmod('/dev/null', 0)\nassert not stat.S_IMODE(os.stat('/dev/null').st_mode)",
    ),
    _attempt("network", "internet", "import socket\nsocket.create_connection(('1.1.1.1', 53), 1)"),
    _attempt("network", "own-machine", "import socket\nsocket.create_connection(('127.0.0.1', 22), 1)"),
    _attempt("network", "names", "import socket\nsocket.getaddrinfo('example.org', 80)"),
    _attempt("network", "download", "import urllib.request\nurllib.request.urlopen('http://example.org', timeout=1)"),
    _attempt("kernel", "settings", "open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/true')"),
    _attempt("kernel", "limits", "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))"),
    _attempt("kernel", "kill-others", "import os\nos.kill(-1, 9)"),
    _attempt("kernel", "namespaces", "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0"),
]

FORGING = [
    _cells(
        "patched torch",
        "allclose",
        1,
        "the end is not|AssertionError",
        RIGHT
        + "import torch\ntorch.allclose = lambda *a, **k: True\ntorch.equal = torch.allclose\ndef euler(f, x, h, n): return x",
    ),
    _cells(
        "patched torch",
        "tensor-methods",
        1,
        "",
        RIGHT
        + "import torch\ntorch.Tensor.__eq__ = lambda *a: True\ntorch.Tensor.numpy = lambda *a: 0\ndef euler(f, x, h, n): return x",
    ),
    _cells("patched torch", "autograd", 3, "", RIGHT + "import torch\ntorch.autograd.grad = lambda *a, **k: 1 / 0"),
    _cells(
        "patched builtins",
        "names",
        0,
        "no message",
        CLOSED + "import builtins\nbuiltins.len = lambda *a: 3\nbuiltins.abs = lambda *a: 0",
        outcome="refused",
    ),
    _cells(
        "patched builtins",
        "isinstance",
        0,
        "",
        CLOSED,
        "import builtins\nbuiltins.isinstance = lambda *a: True",
        outcome="refused",
    ),
    _cells(
        "patched json",
        "dumps",
        0,
        "",
        CLOSED,
        "import json\njson.dumps = lambda *a, **k: '{\"scores\": 6}'",
        outcome="refused",
    ),
    _cells("patched json", "os-write", 0, "", CLOSED, "import os\nos.write = lambda *a: 10**6", outcome="refused"),
    _cells(
        *("forged results", "own-frames", 5, "", CLOSED),
        "import os, json, struct\ntext = json.dumps({'value': {'scores': 6}, 'tensors': [], 'sizes': [0]}).encode()\n"
        "frame = struct.pack('>IQ', len(text), 0) + text\nfor n in range(3, 30):\n    try: os.write(n, frame)\n    except OSError: pass",
    ),
    _cells(
        *("forged results", "names-of-its-own", 0, "", CLOSED),
        "import os, json, struct\nheader = {'names': ['answer'], 'failed': [], 'tensors': [], 'sizes': [0]}\n"
        "text = json.dumps(header).encode()\nfor n in range(3, 30):\n"
        "    try: os.write(n, struct.pack('>IQ', len(text), 0) + text)\n    except OSError: pass\nos._exit(0)",
    ),
    _cells(
        "forged results",
        "module-grade",
        6,
        "",
        RIGHT + "def grade(*a): return [{'question': 'essay', 'points': 5}]\nscores = 100",
    ),
    _cells(
        "forged results",
        "patched-peer",
        5,
        "",
        CLOSED
        + "import odelib.course.remote as r\nr.Peer.note = print\nr.described = None\nimport odelib.course.results as g\ng.scores_of = None",
    ),
    _cells(
        "forged results",
        "raises-the-graders-error",
        1,
        "",
        RIGHT + "from odelib.course.errors import StudentError\ndef euler(*a): raise StudentError('6 points')",
    ),
    _cells("forged results", "stop-iteration", 1, "StopIteration", RIGHT + "def euler(*a): raise StopIteration(6)"),
    _cells(
        "forged results",
        "pickle-from-the-answer",
        0,
        "",
        RIGHT
        + "import odelib.course.remote as r\nr.Peer._refer = lambda *a: {'t': 'pickle', 'v': '80049529'}\nclass R: pass\ndef euler(*a): return R()",
    ),
    _cells(
        "forged results", "writes-into-arguments", 1, "", RIGHT + "def euler(f, x, h, n):\n    x.zero_()\n    return x"
    ),
]

STRANGE = [
    _attempt("system calls", "io-uring", "import ctypes\nassert ctypes.CDLL(None).syscall(425, 8, 0) >= 0"),
    _attempt("system calls", "other-numbers", "import ctypes\nassert ctypes.CDLL(None).syscall(0x40000000 + 57) > 0"),
    _attempt(
        "system calls",
        "clone3",
        "import ctypes, struct\nflags = ctypes.create_string_buffer(struct.pack('8Q', 0, 0, 0, 0, 17, 0, 0, 0))\nassert ctypes.CDLL(None).syscall(435, flags, 64) > 0",
    ),
    _cells(
        *("system calls", "of-32-bits", None, "", CLOSED),
        "import mmap, ctypes\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes([0xB8, 2, 0, 0, 0, 0xCD, 0x80, 0xC3]))\n"
        "answer = 42 * (ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))() > 0)",
        outcome="refused",
    ),
    _attempt(
        "system calls", "descriptor-of-another", "import ctypes\nassert ctypes.CDLL(None).syscall(434, 1, 0) >= 0"
    ),
    _attempt(
        "system calls", "mount", "import ctypes\nassert ctypes.CDLL(None).mount(b'none', b'/', b'', 32, None) == 0"
    ),
    _attempt("system calls", "chroot", "import os\nos.chroot('/tmp')"),
    _attempt("system calls", "setuid", "import os\nos.setuid(0)"),
    _attempt(
        "devices",
        "a-disk",
        "import os\nos.mknod('/tmp/disk', 0o60600, os.makedev(8, 0))\nopen('/tmp/disk', 'rb').read(1)",
    ),
    _attempt("devices", "null", "import os\nos.unlink('/dev/null')"),
    _attempt("devices", "gpu", "open('/dev/nvidia0')"),
    _attempt(
        "devices",
        "leaked-files",
        "import os\nopen_files = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.lexists(f'/proc/self/fd/{n}')]\nassert [name for name in open_files if name.startswith('/') and not name.startswith(('/proc', '/dev/null'))]",
    ),
    _attempt("network", "abstract-socket", "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0/tmp/dbus')"),
    _cells(
        "output",
        "inodes",
        6,
        "",
        RIGHT,
        "import os\ntry:\n    for n in range(400_000): open(f'/tmp/{n}', 'w').close()\nexcept OSError: pass",
    ),
    _cells(
        "output",
        "pipes",
        6,
        "",
        RIGHT,
        "import os\nkept = []\ntry:\n    while True: kept.append(os.pipe())\nexcept OSError: pass\nfor a, b in kept[:100]: os.close(a), os.close(b)",
    ),
    _cells(
        "callbacks",
        "flood",
        4,
        "asked 3003 times",
        RIGHT + "own = euler\ndef euler(f, x, h, n):\n    for _ in range(3000): f(0, x)\n    return own(f, x, h, n)",
    ),
    _cells(
        "callbacks",
        "huge",
        1,
        "",
        RIGHT
        + "import torch\ndef euler(f, x, h, n): return f(0, torch.ones(30_000_000, dtype=torch.float64)) and f(0, 10**200_000)",
    ),
    _cells(
        "callbacks",
        "of-another-question",
        3,
        "the gradient is another",
        RIGHT + "kept, own = [], euler\ndef euler(f, x, h, n):\n    kept.append(f)\n    return own(kept[0], x, h, n)",
    ),
    _cells(
        "forged results",
        "a-thread-on-the-line",
        None,
        "",
        CLOSED,
        "import threading, os, time\ndef go():\n    time.sleep(0.5)\n    for n in 400 * [3, 4, 5, 6, 7, 8]:\n        try: os.write(n, bytes([0, 0, 0, 2, *bytes(8)]) + b'{}')\n        except OSError: pass\n        time.sleep(0.001)\nthreading.Thread(target=go, daemon=True).start()",
    ),
    # It may answer what it likes: as many points as for writing `answer = 42`.
    _cells(
        *("forged results", "speaks-for-itself", 1, "not callable", CLOSED),
        "import os, struct, json\ndef send(header):\n    text = json.dumps({**header, 'tensors': [], 'sizes': [0]}).encode()\n"
        "    os.write(w, struct.pack('>IQ', len(text), 0) + text)\ndef read(n):\n    got = b''\n"
        "    while len(got) < n: got += os.read(r, n - len(got))\nr, w = [n for n in range(3, 20) if os.path.lexists(f'/proc/self/fd/{n}') and 'pipe' in os.readlink(f'/proc/self/fd/{n}')][:2]\n"
        "send({'names': ['euler', 'answer'], 'failed': []})\nwhile True:\n    lengths = b''\n"
        "    while len(lengths) < 12: lengths += os.read(r, 12 - len(lengths))\n    a, b = struct.unpack('>IQ', lengths)\n    read(a), read(b)\n    send({'value': 42})",
    ),
]


def _socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # the whole path may be longer than a socket's name
    socket.socket(socket.AF_UNIX).bind(path.name)
    os.chdir(before)


def _with(**parts: object) -> bytes:
    return json.dumps({**json.loads(notebook(RIGHT)), **parts}).encode()


def _whole(kind: str, name: str, content: bytes) -> Hostile:
    return Hostile(kind, name, lambda path: path.write_bytes(content), 6)


TRICKS = [
    Hostile("no file", "a-socket", _socket, 0, "cannot be read", "refused"),
    _raw("huge file", "fifty-thousand-cells", notebook(*["1"] * 50_000), "50000 code cells"),
    _whole("huge metadata", "forty-megabytes", _with(metadata={"widgets": "x" * 40_000_000})),
    _whole(
        *("huge metadata", "fifty-thousand-texts"),
        _with(cells=[{"cell_type": "markdown", "source": "a"}] * 50_000 + json.loads(notebook(RIGHT))["cells"]),
    ),
    _raw("odd JSON", "cells-twice", notebook(RIGHT)[:-1] + b', "cells": [], "x": NaN, "y": 1e999}', "no code"),
    _raw("odd JSON", "long-integer", notebook(RIGHT)[:-1] + b', "x": ' + b"4" * 10_000 + b"}", "not JSON"),
    _cells("compiler", "long-sum", 6, "RecursionError|MemoryError", RIGHT, f"x = {'1+' * 200_000}1"),
    _cells("compiler", "parentheses", 6, "SyntaxError", RIGHT, f"x = {'(' * 100_000}{')' * 100_000}"),
    _cells("compiler", "constant-power", 6, "did not end", RIGHT, "x = 9 ** 9 ** 9 ** 9"),
    _cells("compiler", "coding", 6, "", RIGHT, "# -*- coding: utf-16 -*-"),
    _cells("signals", "parent", 6, "PermissionError", RIGHT, "import os; os.kill(os.getppid(), 9)"),
    _cells("signals", "group", 6, "PermissionError", RIGHT, "import os; os.killpg(0, 9)"),
    _cells(
        *("signals", "alarm-off", 0, "has not answered in time, while its code cell 2", RIGHT),
        "import signal; signal.setitimer(signal.ITIMER_REAL, 0)\nwhile True: pass",
        outcome="refused",
    ),
    _cells(
        "hooks", "profile", 6, "ends the program", RIGHT, "import sys\ndef t(*a): raise SystemExit\nsys.setprofile(t)"
    ),
    _cells(
        *("hooks", "trace", 0, "ended while its code cell 2", RIGHT),
        "import sys\ndef t(frame, *a):\n    frame.f_locals.clear()\n    return t\nsys.settrace(t)",
        outcome="refused",
    ),
    _cells("hooks", "audit", None, "", RIGHT, "import sys; sys.addaudithook(lambda *a: 1 / 0)"),
    _cells(
        *("hooks", "deleted-for-ever", 6, ""),
        RIGHT + "class D:\n    def __del__(self):\n        while True: pass\nx = D()\ndel x",
    ),
    _cells("odd names", "no-texts", 6, "", RIGHT, "globals().update({1: 1, None: 2, '': 3, 'a\\nb': 4, '\\ud800': 5})"),
    _cells(
        *("odd names", "lying-text", 6, "", RIGHT),
        "class S(str):\n    def startswith(self, *a): raise SystemExit\n    def __hash__(self): return 1\nglobals()[S('x')] = 1",
    ),
    _cells(
        *("odd names", "a-million", 0, "ended", RIGHT, "globals().update({f'name_{n}': n for n in range(10**6)})"),
        outcome="refused",
    ),
    _cells("descriptors", "closes-all", 0, "ended", RIGHT, "import os; os.closerange(0, 256)", outcome="refused"),
    _cells(
        *("descriptors", "by-proc", 0, "", CLOSED),
        "for n in range(3, 20):\n    try: open(f'/proc/self/fd/{n}', 'wb', 0).write(b'x' * 100)\n    except OSError: pass",
        outcome="refused",
    ),
    _cells("patched builtins", "gone", 6, "len", RIGHT, "__builtins__ = {}", "x = len('a')"),
    _cells(
        *("processes", "daemon", 6, "PermissionError", RIGHT),
        "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass",
    ),
    _cells(
        *("threads", "outlives", 6, "", RIGHT),
        "import threading, time\ndef go():\n    while True: time.sleep(0.01)\nthreading.Thread(target=go).start()",
    ),
    _cells("kernel", "inotify", 6, "", RIGHT, "import ctypes\nwhile ctypes.CDLL(None).inotify_init() >= 0: pass"),
    _attempt("kernel", "priority", "import os\nos.setpriority(os.PRIO_PROCESS, 0, -20)"),
    _attempt("kernel", "spared-of-memory", "open('/proc/self/oom_score_adj', 'w').write('-1000')"),
    _attempt("reads proc", "mounts", "assert '/secret' in open('/proc/self/mountinfo').read()"),
]

HOSTILE = [*FILES, *LOOPS, *MEMORY, *OUTPUT, *EXITS, *WRONG, *READING, *FORGING, *STRANGE, *TRICKS]
