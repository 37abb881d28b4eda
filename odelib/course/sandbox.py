"""Where a submission runs: a process that sees an interpreter, the library and its own notebook, and nothing else.

Bubblewrap, podman or docker give it namespaces of its own: no network, no other process, a file system that is
read-only but for a small folder in memory. What the process takes away from itself is in ``odelib.course.confine``.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import odelib
from odelib.course.confine import can_filter

KINDS = ("bwrap", "podman", "docker")
SCRATCH_MB = 128
"""The folder in memory that a submission may write to, in MiB."""
LIBRARY = Path("/library")
"""Where ``odelib`` lies in a sandbox."""
DATA = Path("/data")
"""Where full data sets lie in a sandbox that shows them."""
IMAGE = "odelib-empty"
"""The image of podman and docker: empty, since what is needed is shown of this machine."""
_ROOTS = ("bin", "sbin", "lib", "lib32", "lib64")
_SYSTEM = ("/usr", "/nix/store", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime")
_ENVIRONMENT = {
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "2",  # else each thread maps 64 MiB that it does not use
    "MPLBACKEND": "agg",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "OMP_NUM_THREADS": "1",
    "PATH": "/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
    "USER": "student",
}
CANNOT_STOP = "without a sandbox a submission can read and delete what you can, the tests and the secret among it"


@dataclass(frozen=True)
class Sandbox:
    """One way to start a process that is shut in.

    Attributes:
        kind: One of ``KINDS``, or ``"none"``.
        program: The path of its program.
    """

    kind: str
    program: str = ""

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        shown: Mapping[str, Path],
        stdin: int,
        stdout: int,
        passed: Sequence[int] = (),
    ) -> "Running":
        """Start a module of Python in it.

        Args:
            module: Its name.
            arguments: Of its command line; a place of ``shown`` is replaced by where it is.
            shown: Places in the sandbox, and what file or folder is to be read there.
            stdin: Descriptor that it reads.
            stdout: Descriptor that it writes.
            passed: Further descriptors; only bubblewrap and no sandbox hand them on.
        """
        name = f"odelib-{uuid.uuid4().hex[:12]}"
        command, environment = self._command(name, shown)
        if self.kind == "none":
            arguments = [str(shown.get(argument, argument)) for argument in arguments]
        process = subprocess.Popen(
            [*command, sys.executable, "-s", "-P", "-m", module, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
            pass_fds=tuple(passed),
            env=environment,
            cwd="/" if self.kind != "none" else None,
            start_new_session=True,  # a Ctrl-C is for the grader, which ends them itself
        )
        return Running(process, [self.program, "kill", name] if self.kind in ("podman", "docker") else [])

    def _command(self, name: str, shown: Mapping[str, Path]) -> tuple[list[str], dict[str, str]]:
        own = {**_ENVIRONMENT, "PYTHONPATH": str(LIBRARY)}
        if self.kind == "none":
            return [], {**os.environ, **_ENVIRONMENT, "PYTHONPATH": str(Path(odelib.__file__).parents[1])}
        places = {str(path): path for path in seen()}
        if str(DATA) in shown:
            own["ODELIB_DATA"] = str(DATA)
        places |= {str(LIBRARY / "odelib"): Path(odelib.__file__).parent, **shown}
        if self.kind == "bwrap":
            return [self.program, *_bubblewrap(places, own)], {"PATH": os.environ.get("PATH", "")}
        return [self.program, *_container(self.kind, name, places, own)], dict(os.environ)


@dataclass(eq=False)
class Running:
    """A process in a sandbox."""

    process: subprocess.Popen[bytes]
    _kill: list[str] = field(default_factory=list)

    def end(self) -> int:
        """End it with all that it started, and return its exit code."""
        if self._kill:
            subprocess.run(self._kill, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        self.process.kill()
        return self.process.wait()


def seen() -> list[Path]:
    """What each sandbox shows of this machine: the system's programs, the interpreter, the installed packages."""
    paths = [Path(path) for path in (*_SYSTEM, sys.prefix, sys.base_prefix)]
    paths += [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    found: list[Path] = []
    for path in sorted({path for path in paths if path.exists()}):
        if path == Path("/"):
            raise ValueError(
                f"the interpreter {sys.executable} is installed at /, so that a sandbox would show the whole disk: "
                "run odelib from a virtual environment"
            )
        if not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return found


def keep_out(paths: Sequence[Path]) -> None:
    """Refuse what every submission would see.

    Raises:
        ValueError: One of the paths lies where the interpreter or the packages are.
    """
    for path in paths:
        for place in (*seen(), Path(odelib.__file__).parent):
            if path.resolve().is_relative_to(place.resolve()):
                raise ValueError(f"{path} lies in {place}, which submissions can read: move it elsewhere")


def find(named: str | None = None, unsafe: bool = False) -> Sandbox:
    """The sandbox to use: the one that is named, or the first that works here.

    Args:
        named: One of ``KINDS``.
        unsafe: Do without where none works.

    Raises:
        ValueError: None works, or the one that is named does not; the sentence says why and what that means.
    """
    reasons = [] if can_filter() else ["the system calls of this machine cannot be filtered"]
    for kind in () if reasons else (named,) if named else KINDS:
        program = shutil.which(kind)
        if program is None:
            reasons.append(f"{kind} is not installed")
            continue
        sandbox = Sandbox(kind, program)
        failure = sandbox_fails(sandbox)
        if failure is None:
            return sandbox
        reasons.append(f"{kind} does not work here ({failure})")
    if unsafe and named is None:
        return Sandbox("none")
    raise ValueError(
        f"{', '.join(reasons)}, and {CANNOT_STOP}: install bubblewrap (apt-get install bubblewrap), "
        "or accept that with --unsafe"
    )


def sandbox_fails(sandbox: Sandbox) -> str | None:
    """Why a sandbox does not start the interpreter here, as the last line of what it says; None if it does."""
    command, environment = sandbox._command(f"odelib-{uuid.uuid4().hex[:12]}", {})
    try:
        if sandbox.kind in ("podman", "docker"):
            _make_image(sandbox.program)
        tried = subprocess.run(
            [*command, sys.executable, "-c", ""],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
        code, stderr = tried.returncode, tried.stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    except subprocess.CalledProcessError as error:
        code, stderr = error.returncode, error.stderr
    lines = stderr.decode(errors="replace").strip().splitlines()
    return None if code == 0 else (lines[-1][:200] if lines else f"exit code {code}")


def _bubblewrap(places: Mapping[str, Path], environment: Mapping[str, str]) -> list[str]:
    options = "--unshare-user --unshare-all --uid 1000 --gid 1000 --die-with-parent --as-pid-1 --clearenv".split()
    for name in _ROOTS:
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    options += ["--proc", "/proc", "--dev", "/dev"]
    for folder, size in (("/dev/shm", 1), ("/tmp", SCRATCH_MB)):
        options += ["--size", str(size * 2**20), "--tmpfs", folder]
    for place, path in places.items():  # after /tmp, where the interpreter may lie
        options += ["--ro-bind", str(path), place]
    # Read-only proc, too: where root starts it, the process owns what lies in /proc/sys.
    options += ["--remount-ro", "/proc", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    for name, value in environment.items():
        options += ["--setenv", name, value]
    return options


def _container(kind: str, name: str, places: Mapping[str, Path], environment: Mapping[str, str]) -> list[str]:
    options = f"run --rm --interactive --name {name} --network none --read-only --cap-drop all --user 1000:1000".split()
    options += "--security-opt no-new-privileges --security-opt label=disable --shm-size 1m --workdir /tmp".split()
    options += [*("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")]  # no more than one may give away
    options += ["--tmpfs", f"/tmp:rw,size={SCRATCH_MB}m,mode=1777"]
    if kind == "podman":
        options += ["--read-only-tmpfs=false"]
    for place, path in places.items():
        options += ["--mount", f"type=bind,source={path},target={place},readonly"]
    for name, value in environment.items():
        options += ["--env", f"{name}={value}"]
    return [*options, IMAGE]


def _make_image(program: str) -> None:
    """Make an image with nothing in it but the links that lead from / to the system's programs, which are shown."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in _ROOTS:
            link = tarfile.TarInfo(name)
            if Path("/", name).is_symlink():
                link.type, link.linkname = tarfile.SYMTYPE, os.readlink(Path("/", name))
                tar.addfile(link)
    subprocess.run(
        [program, "import", "-", IMAGE], input=archive.getvalue(), capture_output=True, check=True, timeout=60
    )
