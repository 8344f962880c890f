"""Programs of images in containers of Podman or Docker: started, told of signals, ended for good.

In: an engine's command line, an image's ID. Out: the exit status of what ran. Signals that would end us go to the
engine, which hands them to the program; one that does not end of it in time is killed with its container, as by `docker
stop`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from frazil.activity import is_main_thread
from frazil.image.errors import ImageError

GRACE = 10.0
"""Seconds that a program has to end after it was told to, as Docker gives it."""
_AFTER_KILL = 5.0
_LONGEST_ID = 200
Note = Callable[[str], object]


def run(
    engine: Sequence[str],
    identity: str,
    options: Sequence[str],
    arguments: Sequence[str],
    note: Note = lambda _: None,
) -> int:
    """The program's exit status; the container is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="frazil-container-") as folder:
        place = _container_file(options) or os.path.join(folder, "id")
        command = [*engine, "run", "--rm", "-it" if os.isatty(0) and os.isatty(1) else "-i"]
        command += ["--cidfile", place, *options, identity.partition(":")[2], *arguments]
        with _signals(engine, place, note) as started:
            try:
                process = subprocess.Popen(command)
            except OSError as error:
                raise ImageError(f"'{engine[0]}' cannot be started: {error.strerror}") from error
            started(process)
            status = process.wait()
    return status if status >= 0 else 128 - status


def _container_file(options: Sequence[str]) -> str | None:
    """Where the engine writes the container's ID, if somebody asked for it."""
    found = None
    for number, option in enumerate(options):
        if option == "--cidfile" and number + 1 < len(options):
            found = options[number + 1]
        elif option.startswith("--cidfile="):
            found = option.partition("=")[2]
    return found


@contextmanager
def _signals(engine: Sequence[str], place: str, note: Note) -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """What is handed out gets the engine's process. Signals that come before it wait for it."""
    if not is_main_thread():
        yield lambda _: None
        return
    ending = _Ending(engine, place, note)
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]  # not by `nohup`'s programs
    before = {number: signal.signal(number, ending.take) for number in heard}
    try:
        yield ending.start
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ending.stop()


class _Ending:
    """Hands signals on and watches over what becomes of them, in a thread of its own."""

    def __init__(self, engine: Sequence[str], place: str, note: Note) -> None:
        self._engine, self._place, self._note = engine, place, note
        self._grace = GRACE
        self._received: SimpleQueue[int | None] = SimpleQueue()
        self._had_terminal = _foreground() is not None
        self._thread: threading.Thread | None = None

    def take(self, number: int, _: object) -> None:
        self._received.put(number)

    def start(self, process: subprocess.Popen[bytes]) -> None:
        self._thread = threading.Thread(target=self._watch, args=(process,), name="container", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._received.put(None)
        if self._thread is not None:
            self._thread.join()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        deadline: float | None = None
        interrupts = 0
        while True:
            try:
                number = self._received.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
            except Empty:
                self._kill(process)
                return
            if number is None:
                return
            interrupts += number == signal.SIGINT
            if interrupts > 1:
                deadline = time.monotonic()
            elif self._hand_on(process, number) and deadline is None:
                deadline = time.monotonic() + self._grace

    def _hand_on(self, process: subprocess.Popen[bytes], number: int) -> bool:
        """Whether the program must end of it. An interrupt from the keyboard reaches the engine by itself; SIGHUP has
        other meanings as long as the terminal is there."""
        foreground = _foreground()
        if number != signal.SIGINT or not foreground:
            process.send_signal(number)
        return number != signal.SIGHUP or (self._had_terminal and foreground is None)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        container = self._container()
        if container is not None:
            for verb in (["kill"], ["rm", "-f"]):
                try:
                    done = subprocess.run([*self._engine, *verb, container], capture_output=True, timeout=GRACE)
                except subprocess.TimeoutExpired:
                    continue
                if not done.returncode:
                    break
            self._note("the program did not end when it was told to: its container was killed")
            if self._ended_within(_AFTER_KILL):
                return
        process.kill()
        self._note(f"'{self._engine[0]}' did not end when it was told to, and was killed")

    def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        try:
            while self._received.get(timeout=max(0.0, deadline - time.monotonic())) is not None:
                pass
        except Empty:
            return False
        return True

    def _container(self) -> str | None:
        try:
            with open(self._place, encoding="ascii") as file:
                found = file.read(_LONGEST_ID).strip()
        except (OSError, UnicodeDecodeError):
            return None
        return found if found.isalnum() else None


def _foreground() -> bool | None:
    """Whether the keyboard's interrupts come to us and the engine; None without a terminal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return None
    finally:
        os.close(terminal)
