"""Which sandbox is taken, what is said where there is none, and what it must not show."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import odelib
from odelib.course import confine, sandbox
from odelib.course.sandbox import Sandbox, find, keep_out

LIMITED = """
import importlib.util, os, socket, subprocess, sys, threading
spec = importlib.util.spec_from_file_location("confine", sys.argv[1])
confine = importlib.util.module_from_spec(spec)
spec.loader.exec_module(confine)
confine.confine(300, 20)
heard = []
thread = threading.Thread(target=heard.append, args=("a thread",))
thread.start(), thread.join()
for name, refused in {
    "fork": os.fork,
    "a program": lambda: subprocess.run(["/bin/true"]),
    "the network": socket.socket,
    "memory": lambda: bytearray(1000 * 2**20),
    "another process": lambda: os.kill(os.getppid(), 0),
    "a file in memory": lambda: os.memfd_create("a"),
    "a large file": lambda: open(sys.argv[2], "wb").write(bytes(100 * 2**20)),
    "more limits": lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_CORE, (9, 9)),
}.items():
    try:
        refused()
        heard.append(f"not refused: {name}")
    except (OSError, MemoryError, ValueError):
        pass
os.kill(os.getpid(), 0)
len(bytearray(50 * 2**20))
print(heard)
"""


@pytest.mark.skipif(not confine.can_filter(), reason="the system calls of this machine are not known")
def test_a_process_cannot_do_what_it_gave_up(tmp_path):
    command = [sys.executable, "-c", LIMITED, confine.__file__, str(tmp_path / "large")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "['a thread']\n"


def test_without_a_sandbox_one_sentence_says_what_that_means(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda kind: None)
    monkeypatch.setattr(sandbox, "can_filter", lambda: True)
    with pytest.raises(ValueError, match="can read and delete what you can") as caught:
        find()
    for part in ("bwrap is not installed", "docker is not installed", "apt-get install bubblewrap", "--unsafe"):
        assert part in str(caught.value)
    assert find(unsafe=True) == Sandbox("none")
    with pytest.raises(ValueError, match="podman is not installed"):
        find("podman", unsafe=True)


def test_a_sandbox_that_does_not_start_is_not_taken(monkeypatch, tmp_path):
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho first >&2\necho 'no permission' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sandbox.shutil, "which", lambda kind: str(broken) if kind == "bwrap" else None)
    monkeypatch.setattr(sandbox, "can_filter", lambda: True)
    with pytest.raises(ValueError, match=r"bwrap does not work here \(no permission\)"):
        find()


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_what_is_shown_can_lie_in_the_folder_for_scratch(tmp_path):
    shown = {"/tmp/shown": tmp_path}
    (tmp_path / "file").write_text("here")
    command, environment = Sandbox("bwrap", shutil.which("bwrap"))._command("a-name", shown)
    done = subprocess.run([*command, "/bin/cat", "/tmp/shown/file"], env=environment, capture_output=True, text=True)
    if "namespace" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout == "here"


def test_what_submissions_could_read_is_refused(tmp_path):
    keep_out([tmp_path])
    for path in (Path(odelib.__file__).parent / "data", Path(sys.prefix) / "secret"):
        with pytest.raises(ValueError, match="which submissions can read: move it elsewhere"):
            keep_out([tmp_path, path])
