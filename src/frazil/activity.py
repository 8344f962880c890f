"""How rooms report what they are doing. Leaf: imported by every room.

The numbers are those of Nix's `--log-format internal-json`, so that every renderer, ours or a peer's, can read them.
Only `cli` renders.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, ClassVar, Self

Field = int | str


class _Numbered(int):
    """One of a few numbers with names. Raises ValueError for any other number.

    No `enum`: importing it takes longer than a small evaluation.
    """

    __slots__ = ()
    members: ClassVar[dict[int, Any]]

    def __new__(cls, number: int) -> Self:
        found: Self | None = cls.members.get(number)
        if found is None:
            raise ValueError(f"{number} is no {cls.__name__}")
        return found

    def __init_subclass__(cls) -> None:
        cls.members = {}
        for name, number in list(vars(cls).items()):
            if name.isupper():
                member = int.__new__(cls, number)
                cls.members[number] = member
                setattr(cls, name, member)


class Verbosity(_Numbered):
    __slots__ = ()
    ERROR: ClassVar[Verbosity] = 0  # type: ignore[assignment]
    WARN: ClassVar[Verbosity] = 1  # type: ignore[assignment]
    NOTICE: ClassVar[Verbosity] = 2  # type: ignore[assignment]
    INFO: ClassVar[Verbosity] = 3  # type: ignore[assignment]
    TALKATIVE: ClassVar[Verbosity] = 4  # type: ignore[assignment]
    CHATTY: ClassVar[Verbosity] = 5  # type: ignore[assignment]
    DEBUG: ClassVar[Verbosity] = 6  # type: ignore[assignment]
    VOMIT: ClassVar[Verbosity] = 7  # type: ignore[assignment]


class ActivityType(_Numbered):
    __slots__ = ()
    UNKNOWN: ClassVar[ActivityType] = 0  # type: ignore[assignment]
    COPY_PATH: ClassVar[ActivityType] = 100  # type: ignore[assignment]
    FILE_TRANSFER: ClassVar[ActivityType] = 101  # type: ignore[assignment]
    REALISE: ClassVar[ActivityType] = 102  # type: ignore[assignment]
    COPY_PATHS: ClassVar[ActivityType] = 103  # type: ignore[assignment]
    BUILDS: ClassVar[ActivityType] = 104  # type: ignore[assignment]
    BUILD: ClassVar[ActivityType] = 105  # type: ignore[assignment]
    OPTIMISE_STORE: ClassVar[ActivityType] = 106  # type: ignore[assignment]
    VERIFY_PATHS: ClassVar[ActivityType] = 107  # type: ignore[assignment]
    SUBSTITUTE: ClassVar[ActivityType] = 108  # type: ignore[assignment]
    QUERY_PATH_INFO: ClassVar[ActivityType] = 109  # type: ignore[assignment]
    POST_BUILD_HOOK: ClassVar[ActivityType] = 110  # type: ignore[assignment]
    BUILD_WAITING: ClassVar[ActivityType] = 111  # type: ignore[assignment]
    FETCH_TREE: ClassVar[ActivityType] = 112  # type: ignore[assignment]


class ResultType(_Numbered):
    __slots__ = ()
    FILE_LINKED: ClassVar[ResultType] = 100  # type: ignore[assignment]
    BUILD_LOG_LINE: ClassVar[ResultType] = 101  # type: ignore[assignment]
    UNTRUSTED_PATH: ClassVar[ResultType] = 102  # type: ignore[assignment]
    CORRUPTED_PATH: ClassVar[ResultType] = 103  # type: ignore[assignment]
    SET_PHASE: ClassVar[ResultType] = 104  # type: ignore[assignment]
    PROGRESS: ClassVar[ResultType] = 105  # type: ignore[assignment]
    SET_EXPECTED: ClassVar[ResultType] = 106  # type: ignore[assignment]
    POST_BUILD_LOG_LINE: ClassVar[ResultType] = 107  # type: ignore[assignment]
    FETCH_STATUS: ClassVar[ResultType] = 108  # type: ignore[assignment]


class Started:
    """An activity as it begins. `parent`: the identifier of the one it is a part of, or 0."""

    __slots__ = ("fields", "identifier", "kind", "level", "parent", "text")

    def __init__(
        self, identifier: int, level: Verbosity, kind: ActivityType, text: str, fields: tuple[Field, ...], parent: int
    ) -> None:
        self.identifier = identifier
        self.level = level
        self.kind = kind
        self.text = text
        self.fields = fields
        self.parent = parent

    def record(self) -> dict[str, object]:
        """As in Nix's internal-json."""
        record: dict[str, object] = {
            "action": "start",
            "id": self.identifier,
            "level": int(self.level),
            "type": int(self.kind),
            "text": self.text,
            "parent": self.parent,
        }
        return {**record, "fields": list(self.fields)} if self.fields else record


class Reporter:
    """Where events go; this one drops them all. Identifiers are unique within a process; every start has one stop."""

    def log(self, level: Verbosity, text: str) -> None:
        pass

    def start(self, activity: Started) -> None:
        pass

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        pass

    def stop(self, identifier: int) -> None:
        pass

    def estimate(self, seconds: float) -> None:
        """How long what is left may take, by what it took before."""


class LateReporter(Reporter):
    """Makes the reporter that it stands for when there is something to report: most evaluations say nothing."""

    def __init__(self, make: Callable[[], Reporter], verbosity: Callable[[], int] | None = None) -> None:
        """`verbosity`: that of the reporter, where it is known without making one."""
        self._make = make
        self._verbosity = verbosity

    @property
    def verbosity(self) -> int:
        return getattr(self._make(), "verbosity", 0) if self._verbosity is None else self._verbosity()

    def log(self, level: Verbosity, text: str) -> None:
        self._make().log(level, text)

    def start(self, activity: Started) -> None:
        self._make().start(activity)

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        self._make().result(identifier, kind, fields)

    def stop(self, identifier: int) -> None:
        self._make().stop(identifier)

    def estimate(self, seconds: float) -> None:
        self._make().estimate(seconds)


class SilentReporter(Reporter):
    """For tests and library use."""


_last_identifier = 0


def next_identifier() -> int:
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
        self.identifier = next_identifier()
        self.reporter = reporter
        self._start = Started(self.identifier, level, kind, text, tuple(fields), parent.identifier if parent else 0)

    def __enter__(self) -> Activity:
        self.reporter.start(self._start)
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


def is_main_thread() -> bool:
    """Whether this is the thread in which signals are handled. `threading` takes the one that imports it first for
    that, which need not be so here."""
    import _thread
    import os

    return _thread.get_native_id() == os.getpid()
