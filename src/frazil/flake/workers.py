"""Parts of an evaluation in several processes: `flake check` and `flake show` of several systems.

In: keys, in the order in which they will be asked for, each with the group it belongs to (a system: what one system
needs is mostly shared, and evaluated once by the process that has it), and a function that evaluates a key. Out: its
results, as JSON, by key, and (for the recorder, if there is one) what was read to find them; None where the asker has
to evaluate it himself: where it fails, says something, or its process died. So errors, warnings and their order are
those of one process.
"""

from __future__ import annotations

import json
import os
import select
import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from frazil.activity import SilentReporter, Verbosity

if TYPE_CHECKING:
    from types import TracebackType

    from frazil.instantiate.recording import ReadRecorder

_MEMORY_EACH = 2 << 30
_CHUNK = 1 << 16
Key = tuple[str, ...]
"""An attribute path."""
Evaluate = Callable[[Key], Any]


class Listening(SilentReporter):
    """A worker's reporter: only whether something was said."""

    def __init__(self, verbosity: int) -> None:
        self.verbosity = verbosity
        self.heard = False

    def log(self, level: Verbosity, text: str) -> None:
        self.heard = self.heard or level <= self.verbosity


def worker_count(groups: int) -> int:
    """How many processes are worth it: as many as there are processors and memory for; 0 for less than two."""
    count = min(groups, len(os.sched_getaffinity(0)), _available_memory() // _MEMORY_EACH)
    return count if count > 1 else 0


def _available_memory() -> int:
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(b"MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


class _Worker:
    """One process and what has come from it. `died`: how it ended, where it did not finish."""

    def __init__(self, keys: Sequence[Key], recorder: ReadRecorder | None) -> None:
        self.recorder = recorder
        self.waiting = set(keys)
        self.results: dict[Key, Any] = {}
        self.rest = b""
        self.pipe, self.process = -1, 0
        self.died: str | None = None

    def read(self) -> None:
        """Some of what it says; at its end the process is gone."""
        data = os.read(self.pipe, _CHUNK)
        if not data:
            self.stop()
            return
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            path, result, reads = json.loads(line)
            if self.recorder is not None:
                self.recorder.absorb(reads)
            self.results[tuple(path)] = result
            self.waiting.discard(tuple(path))

    def stop(self, *, kill: bool = False) -> None:
        if self.pipe < 0:
            return
        os.close(self.pipe)
        self.pipe = -1
        if kill:
            os.kill(self.process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        if status != 0 and not kill:
            self.died = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


class Workers:
    """A context manager: at its end no process is left."""

    def __init__(
        self,
        groups: Mapping[Key, str],
        evaluate: Evaluate,
        warn: Callable[[str], None],
        recorder: ReadRecorder | None = None,
        finish: Callable[[], None] | None = None,
    ) -> None:
        """`groups`: the group of each key; `evaluate` is called in another process, and `finish` after the last."""
        self._recorder = recorder
        self._finish = finish
        self._warn = warn
        self._workers: list[_Worker] = []
        self._of_key: dict[Key, _Worker] = {}
        names = list(dict.fromkeys(groups.values()))
        count = worker_count(len(names))
        for number in range(count):
            own = set(names[number::count])
            self._start([key for key, group in groups.items() if group in own], evaluate)

    def _start(self, keys: list[Key], evaluate: Evaluate) -> None:
        worker = _Worker(keys, self._recorder)
        worker.pipe, out = os.pipe()
        parent = os.getpid()
        try:
            with warnings.catch_warnings():
                # What other threads hold is not used in the worker.
                warnings.simplefilter("ignore", DeprecationWarning)
                worker.process = os.fork()
        except OSError:
            os.close(worker.pipe)
            os.close(out)
            return
        if worker.process == 0:
            _be_worker(parent, out, keys, evaluate, self._recorder, self._finish)
        os.close(out)
        self._workers.append(worker)
        self._of_key.update(dict.fromkeys(keys, worker))

    def result(self, key: Key) -> Any:
        """What a worker found, None where there is none or it found nothing to rely on."""
        worker = self._of_key.get(key)
        if worker is None:
            return None
        while key in worker.waiting and worker.pipe >= 0:
            running = {each.pipe: each for each in self._workers if each.pipe >= 0}
            waiting = select.poll()  # unlike select, for descriptors of any number
            for pipe in running:
                waiting.register(pipe, select.POLLIN)
            for pipe, _ in waiting.poll(500):
                running[pipe].read()
        if worker.died is not None and worker.waiting:
            self._warn(f"a process that evaluates {worker.died}; its part is evaluated once more")
            worker.waiting.clear()
        return worker.results.pop(key, None)

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.stop(kill=True)


def _be_worker(
    parent: int,
    out: int,
    keys: list[Key],
    evaluate: Evaluate,
    recorder: ReadRecorder | None,
    finish: Callable[[], None] | None,
) -> None:
    """Never returns, and leaves nothing behind: no clean-up of the parent's is run a second time."""
    status = 1
    try:
        _end_with_parent(parent)
        if recorder is not None:
            recorder.news()
        for key in keys:
            result = _try(evaluate, key)
            if finish is not None and key == keys[-1]:
                finish()  # who has the last result ends this process
            reads = None if recorder is None else recorder.news()
            view = memoryview(json.dumps([key, result, reads]).encode() + b"\n")
            while view:
                view = view[os.write(out, view) :]
        status = 0
    finally:
        os._exit(status)


def _try(evaluate: Evaluate, key: Key) -> Any:
    try:
        return evaluate(key)
    except (Exception, RecursionError):
        return None  # the parent evaluates it again, and shows what is wrong


def _end_with_parent(parent: int) -> None:
    """Signals have their usual effect here; the death of the parent ends this process too."""
    import ctypes

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)
