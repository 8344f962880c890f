"""A job in a process of its own, to which something happens."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from frazil.errors import FrazilError
from frazil.store.path import StorePath

from .ground import Ground
from .jobs import Job

REFUSED, FAILED = 3, 4
LONGEST = 120.0


@dataclass
class Report:
    """`status`: 0, REFUSED (an error of ours, as it should be), FAILED (any other), or minus the deadly signal."""

    status: int = 0
    finished: list[StorePath] = field(default_factory=list)
    words: str = ""
    seconds: float = 0.0


class Child:
    """Started by its constructor; `wait` gives its report. `before` runs in it first."""

    def __init__(self, job: Job, ground: Ground, seed: str, before: Callable[[], None] = lambda: None) -> None:
        self.started = time.monotonic()
        self._read, write = os.pipe2(os.O_CLOEXEC)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = FAILED
            try:
                os.setpgid(0, 0)
                os.close(self._read)
                status = _run(job, ground, seed, before, write)
            finally:
                os._exit(status)
        os.close(write)
        try:
            os.setpgid(self.pid, self.pid)  # as the child does itself: whoever comes first
        except OSError:
            pass

    def kill(self, *, group: bool) -> None:
        """`group`: with all that it started."""
        (os.killpg if group else os.kill)(self.pid, signal.SIGKILL)

    def wait(self) -> Report:
        """Kills what does not end."""
        report = Report()
        pieces: list[bytes] = []
        while True:
            left = self.started + LONGEST - time.monotonic()
            if left <= 0:
                self.kill(group=True)
                report.words = "did not end\n"
                break
            if select.select([self._read], [], [], left)[0]:
                data = os.read(self._read, 1 << 16)
                if not data:
                    break
                pieces.append(data)
        os.close(self._read)
        report.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        report.seconds = time.monotonic() - self.started
        for line in b"".join(pieces).decode("utf-8", "replace").splitlines(keepends=True):
            if line.startswith("done ") and line.endswith("\n"):
                report.finished.append(StorePath.from_base(line[5:-1]))
            else:
                report.words += line
        return report


def _run(job: Job, ground: Ground, seed: str, before: Callable[[], None], write: int) -> int:
    def say(text: str) -> None:
        os.write(write, text.encode("utf-8", "replace"))

    try:
        before()
        job.run(ground, seed, lambda path: say(f"done {path.base}\n"))
    except FrazilError as error:
        say(f"{type(error).__name__}: {error.message}\n")
        return REFUSED
    except BaseException:
        say(traceback.format_exc())
        return FAILED
    return 0


def limit_file_size(size: int) -> Callable[[], None]:
    """Writing further into a file is an error (EFBIG)."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def limit_open_files(count: int) -> Callable[[], None]:
    """Opening more is an error (EMFILE)."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))

    return limit


# -- a disk that fails -------------------------------------------------------------------------------------------------

_CALLS = {
    # AUDIT_ARCH, seccomp, and what changes a file system: pwrite64, pwritev, fsync, fdatasync, ftruncate, fallocate,
    # mkdirat, unlinkat, renameat, renameat2, linkat, symlinkat, fchmod, fchmodat, utimensat (and their older forms).
    "x86_64": (
        0xC000003E,
        317,
        (18, 296, 74, 75, 77, 285, 258, 263, 264, 316, 265, 266, 91, 268, 280, 82, 83, 84, 86, 87, 88, 90),
    ),
    "aarch64": (0xC00000B7, 277, (68, 70, 82, 83, 46, 47, 34, 35, 38, 276, 37, 36, 52, 53, 88)),
}


def failing_disk_is_possible() -> bool:
    return os.uname().machine in _CALLS


def fail_disk_after(seconds: float) -> Callable[[], None]:
    """From then on the kernel answers with an I/O error to whatever would change a file system, in all threads.

    Plain `write` goes on: pipes and sockets are written by it, too, and they do not fail when a disk does.
    """

    def arrange() -> None:
        signal.signal(signal.SIGALRM, lambda *_: _fail_disk())
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-4))

    return arrange


def _fail_disk() -> None:
    import ctypes
    import errno
    import struct

    architecture, seccomp, calls = _CALLS[os.uname().machine]

    def instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    program = [instruction(0x20, 4), instruction(0x15, architecture, 1, 0), instruction(0x06, 0x7FFF0000)]
    program.append(instruction(0x20, 0))
    for number in calls:
        program += [instruction(0x15, number, 0, 1), instruction(0x06, 0x00050000 | errno.EIO)]
    program.append(instruction(0x06, 0x7FFF0000))
    code = ctypes.create_string_buffer(b"".join(program))
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_no_new_privs, mode_filter, all_threads = 38, 1, 1
    libc.prctl(pr_set_no_new_privs, 1, 0, 0, 0)

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    argument = Program(len(program), ctypes.cast(code, ctypes.c_void_p))
    if libc.syscall(ctypes.c_long(seccomp), mode_filter, all_threads, ctypes.byref(argument)):
        raise OSError(ctypes.get_errno(), "the filter that makes the disk fail was refused")
