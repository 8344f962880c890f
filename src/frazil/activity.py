"""How rooms report what they are doing. Leaf: imported by every room.

The numbers are those of Nix's `--log-format internal-json`, so that every renderer, ours or a peer's, can read them.
Only `cli` renders.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from types import TracebackType
from typing import Protocol


class Verbosity(IntEnum):
    ERROR = 0
    WARN = 1
    NOTICE = 2
    INFO = 3
    TALKATIVE = 4
    CHATTY = 5
    DEBUG = 6
    VOMIT = 7


class ActivityType(IntEnum):
    UNKNOWN = 0
    COPY_PATH = 100
    FILE_TRANSFER = 101
    REALISE = 102
    COPY_PATHS = 103
    BUILDS = 104
    BUILD = 105
    OPTIMISE_STORE = 106
    VERIFY_PATHS = 107
    SUBSTITUTE = 108
    QUERY_PATH_INFO = 109
    POST_BUILD_HOOK = 110
    BUILD_WAITING = 111
    FETCH_TREE = 112


class ResultType(IntEnum):
    FILE_LINKED = 100
    BUILD_LOG_LINE = 101
    UNTRUSTED_PATH = 102
    CORRUPTED_PATH = 103
    SET_PHASE = 104
    PROGRESS = 105
    SET_EXPECTED = 106
    POST_BUILD_LOG_LINE = 107
    FETCH_STATUS = 108


Field = int | str


class Reporter(Protocol):
    """Where events go. Identifiers are unique within a process; every start is followed by one stop."""

    def log(self, level: Verbosity, text: str) -> None: ...

    def start(
        self,
        identifier: int,
        level: Verbosity,
        kind: ActivityType,
        text: str,
        fields: Sequence[Field],
        parent: int,
    ) -> None: ...

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None: ...

    def stop(self, identifier: int) -> None: ...


class SilentReporter:
    """Drops everything: tests and library use."""

    def log(self, level: Verbosity, text: str) -> None:
        pass

    def start(
        self,
        identifier: int,
        level: Verbosity,
        kind: ActivityType,
        text: str,
        fields: Sequence[Field],
        parent: int,
    ) -> None:
        pass

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        pass

    def stop(self, identifier: int) -> None:
        pass


_last_identifier = 0


def _next_identifier() -> int:
    global _last_identifier
    _last_identifier += 1
    return _last_identifier


class Activity:
    """A running activity as a context manager.

    with Activity(reporter, ActivityType.BUILD, "building 'x.drv'", fields=[...]) as activity:
        activity.progress(done=3, expected=10)
    """

    def __init__(
        self,
        reporter: Reporter,
        kind: ActivityType,
        text: str,
        *,
        fields: Sequence[Field] = (),
        level: Verbosity = Verbosity.INFO,
        parent: Activity | None = None,
    ) -> None:
        self.identifier = _next_identifier()
        self.reporter = reporter
        self._start = (level, kind, text, tuple(fields), parent.identifier if parent else 0)

    def __enter__(self) -> Activity:
        level, kind, text, fields, parent = self._start
        self.reporter.start(self.identifier, level, kind, text, fields, parent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reporter.stop(self.identifier)

    def progress(self, done: int, expected: int, running: int = 0, failed: int = 0) -> None:
        self.reporter.result(self.identifier, ResultType.PROGRESS, (done, expected, running, failed))

    def log_line(self, line: str) -> None:
        self.reporter.result(self.identifier, ResultType.BUILD_LOG_LINE, (line,))

    def set_phase(self, phase: str) -> None:
        self.reporter.result(self.identifier, ResultType.SET_PHASE, (phase,))
