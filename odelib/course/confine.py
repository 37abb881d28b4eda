"""What a process takes away from itself, for good, before it runs a student's code.

Limits of the kernel on memory, files and time, and a filter of system calls that refuses to start processes, to open
network connections and to keep memory where no limit counts it. Threads stay allowed, since torch needs them. With one
process only, the limits of a process are those of the whole submission, and a fork bomb has nothing to grow with.
"""

import ctypes
import errno
import os
import platform
import resource
import struct
from pathlib import Path

MEGABYTE = 2**20
FILE_MB = 64
"""The largest file that a submission may write."""
OPEN_FILES = 256

# Numbers of the system calls, from the kernel's tables for x86-64 and 64-bit ARM (where some do not exist).
_REFUSED = {
    **{"fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281)},
    **{"ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271)},
    **{"memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "msgget": (68, 186)},
    **{"mq_open": (240, 180), "io_uring_setup": (425, 425), "userfaultfd": (323, 282), "bpf": (321, 280)},
    **{"perf_event_open": (298, 241), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    **{"unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "pidfd_open": (434, 434)},
    **{"pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "rt_sigqueueinfo": (129, 138)},
    **{"rt_tgsigqueueinfo": (297, 240), "tkill": (200, 130), "setrlimit": (160, 164)},
}
# These seem to work and do nothing: a process that root started owns the machine's own devices.
_FEIGNED = {
    **{"chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)},
    **{"chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54)},
    **{"setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7)},
}
_SOCKET, _CLONE, _CLONE3, _KILL, _TGKILL = (41, 198), (56, 220), (435, 435), (62, 129), (234, 131)
_PRLIMIT, _SECCOMP = (302, 261), (317, 277)
_MACHINES = {"x86_64": 0, "aarch64": 1}
_ARCHITECTURES = (0xC000003E, 0xC00000B7)  # AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64
_CLONE_THREAD = 0x10000
_ALLOW, _ERROR, _KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of the filter


def can_filter() -> bool:
    """Whether this machine's system calls are known here, so that ``confine`` can refuse some of them."""
    return platform.system() == "Linux" and platform.machine() in _MACHINES


def confine(memory_mb: int, seconds: float) -> None:
    """Limit this process, and all threads of it, for the rest of its life.

    Args:
        memory_mb: What it may take beyond the memory that it has mapped by now, in MiB.
        seconds: What it may compute, in seconds of the processor.

    Raises:
        OSError: The kernel refuses.
    """
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if _linux() else 0
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: FILE_MB * MEGABYTE,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CPU: int(seconds) + 1,
    }
    if _linux():  # elsewhere the limit exists and means nothing
        limits[resource.RLIMIT_AS] = mapped + memory_mb * MEGABYTE
    for limit, most in limits.items():
        resource.setrlimit(limit, (most, most))
    if can_filter():
        _filter(_MACHINES[platform.machine()])


def _linux() -> bool:
    return platform.system() == "Linux"


def _program(machine: int) -> list[tuple[int, int, int, int]]:
    """The filter, as instructions (code, jump if true, jump if false, constant), in the order in which they run."""
    refuse, absent = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL_PROCESS)]
    program += [(_LOAD, 0, 0, 0)]
    if machine == _MACHINES["x86_64"]:  # the same calls under other numbers, for 32-bit pointers
        program += [(_AT_LEAST, 0, 1, 0x40000000), (_RETURN, 0, 0, refuse)]
    # The C library makes threads with clone where there is no clone3, whose flags lie out of a filter's sight.
    answers = [(_REFUSED.values(), refuse), (_FEIGNED.values(), _ERROR), ([_CLONE3], absent)]
    for number, answer in ((numbers[machine], answer) for calls, answer in answers for numbers in calls):
        if number is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    program += [(_EQUAL, 0, 4, _CLONE[machine]), (_LOAD, 0, 0, 16), (_ANY_BIT, 0, 1, _CLONE_THREAD)]
    program += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, refuse)]
    own = os.getpid()
    only = ((_SOCKET, 16, 1), (_KILL, 16, own), (_TGKILL, 16, own), (_PRLIMIT, 32, 0))  # AF_UNIX; itself; no new limit
    for numbers, offset, wanted in only:
        program += [(_EQUAL, 0, 6, numbers[machine]), (_LOAD, 0, 0, offset), (_EQUAL, 0, 3, wanted)]
        program += [(_LOAD, 0, 0, offset + 4), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, refuse)]
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _filter(machine: int) -> None:
    program = _program(machine)
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    kept = ctypes.create_string_buffer(code, len(code))
    libc = ctypes.CDLL(None, use_errno=True)
    described = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program), ctypes.addressof(kept)))
    set_no_new_privileges, filter_mode, for_all_threads = 38, 1, 1
    if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) or libc.syscall(
        _SECCOMP[machine], filter_mode, for_all_threads, described
    ):
        number = ctypes.get_errno()
        raise OSError(number, f"the kernel takes no filter of system calls ({os.strerror(number)})")
