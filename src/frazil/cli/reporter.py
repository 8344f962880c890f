"""Progress and messages on standard error, in one of Nix's log formats.

`raw` (and `raw-with-logs`), `bar`, `bar-with-logs`, `internal-json`. Events come from all rooms, also from threads.
Source: Nix's manual, `command-ref/opt-common` (`--log-format`) and `protocols/json/…` for internal-json.
"""

from __future__ import annotations

import os
from _thread import RLock

from frazil.activity import ActivityType, Reporter, ResultType, Verbosity
from frazil.cli.display import Palette, clean, readable, terminal_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frazil.activity import Field, Started
    from frazil.errors import FrazilError
    from frazil.position import Position

FORMATS = ("raw", "raw-with-logs", "bar", "bar-with-logs", "internal-json", "multiline", "multiline-with-logs")


def write_stderr(text: str) -> None:
    """Unbuffered; whoever closed standard error does not want to hear."""
    data = text.encode("utf-8", "surrogateescape")
    while data:
        try:
            data = data[os.write(2, data) :]
        except OSError:
            return


def with_prefix(text: str, palette: Palette) -> str:
    """A warning as it is shown; `builtins.warn` brings its own words."""
    text = readable(text.removeprefix("warning: "))
    prefix = "evaluation warning:"
    if text.startswith(prefix):
        return f"{palette.warning}{prefix}{palette.normal}{text[len(prefix) :]}"
    return f"{palette.warning}warning:{palette.normal} {text}"


def overhear(reporter: Reporter) -> list[tuple[int, str]]:
    """A list that every message to the reporter is added to from now on."""
    heard: list[tuple[int, str]] = []
    say = reporter.log

    def log(level: Verbosity, text: str) -> None:
        heard.append((int(level), text))
        say(level, text)

    reporter.log = log  # type: ignore[method-assign]
    return heard


class LineReporter(Reporter):
    """One line for each event; no cursor movements."""

    def __init__(
        self,
        verbosity: int = Verbosity.INFO,
        *,
        build_logs: bool = False,
        prefix_logs: bool = True,
        colours: bool = False,
        write: Callable[[str], None] = write_stderr,
    ) -> None:
        self.verbosity = verbosity
        self.build_logs = build_logs
        self.prefix_logs = prefix_logs
        self.palette = Palette(colours)
        self.colours = colours
        self.write = write
        self.lock = RLock()
        self.names: dict[int, str] = {}

    def line(self, text: str) -> None:
        with self.lock:
            self.write(text + "\n")

    def log(self, level: Verbosity, text: str) -> None:
        if level > self.verbosity:
            return
        shown = with_prefix(text, self.palette) if level == Verbosity.WARN else readable(text)
        self.line(terminal_text(shown, self.colours))

    def start(self, activity: Started) -> None:
        if activity.kind in (ActivityType.BUILD, ActivityType.POST_BUILD_HOOK) and activity.fields:
            self.names[activity.identifier] = without_version(build_name(str(activity.fields[0])))
        if self.prefix_logs and activity.kind is ActivityType.BUILD_WAITING:
            return
        if activity.text and activity.level <= self.verbosity:
            self.line(readable(activity.text) + "...")

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        if kind in (ResultType.BUILD_LOG_LINE, ResultType.POST_BUILD_LOG_LINE) and self.build_logs and fields:
            name = self.names.get(identifier, "")
            line = readable(str(fields[0]))
            after = kind is ResultType.POST_BUILD_LOG_LINE
            if self.prefix_logs and name:
                name += " (post)" if after else ""
                self.line(f"{self.palette.faint}{name}>{self.palette.normal} {line}")
            else:
                self.line(f"post-build-hook: {line}" if after else line)

    def stop(self, identifier: int) -> None:
        self.names.pop(identifier, None)

    def finish(self) -> None:
        """Leaves the terminal as it was."""


def build_name(path: str) -> str:
    """`/nix/store/<hash>-hello.drv` -> `hello`."""
    base = path.rpartition("/")[2]
    if len(base) > 33 and base[32] == "-":
        base = base[33:]
    return base.removesuffix(".drv")


def without_version(name: str) -> str:
    """`hello-2.12` -> `hello`: before the first dash that no letter follows, as `builtins.parseDrvName`."""
    for at in range(len(name) - 1):
        if name[at] == "-" and not (name[at + 1].isascii() and name[at + 1].isalpha()):
            return name[:at]
    return name


class JsonReporter(Reporter):
    """`@nix {…}` lines: Nix's internal-json."""

    def __init__(self, verbosity: int = Verbosity.INFO, *, write: Callable[[str], None] = write_stderr) -> None:
        self.verbosity = verbosity
        self.write = write
        self.lock = RLock()

    def emit(self, record: dict[str, object]) -> None:
        import json

        text = clean(json.dumps(record, ensure_ascii=False, separators=(",", ":"), sort_keys=True))
        with self.lock:
            self.write(f"@nix {text}\n")

    def error(self, text: str, error: FrazilError | None, *, show_trace: bool) -> None:
        """What ends the process. `text`: as shown to people."""
        message = clean(error.message) if error is not None else text.removeprefix("error: ")
        place = _place(error.position if error is not None else None)
        record: dict[str, object] = {"action": "msg", "level": 0, "msg": text, "raw_msg": message, **place}
        if show_trace and error is not None and error.trace:
            record["trace"] = [{"raw_msg": clean(f.text), **_place(f.position)} for f in error.trace if f.text]
        self.emit(record)

    def log(self, level: Verbosity, text: str) -> None:
        if level > self.verbosity:
            return
        shown = with_prefix(text, Palette(True)) if level == Verbosity.WARN else clean(text)
        record: dict[str, object] = {"action": "msg", "level": int(level), "msg": shown}
        if level == Verbosity.ERROR and shown.startswith("error:"):  # one of several: what ends the process comes later
            record |= {"raw_msg": shown.removeprefix("error:").strip(), **_place(None)}
        self.emit(record)

    def start(self, activity: Started) -> None:
        self.emit({**activity.record(), "text": clean(activity.text)})

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        self.emit({"action": "result", "id": identifier, "type": int(kind), "fields": list(fields)})

    def stop(self, identifier: int) -> None:
        self.emit({"action": "stop", "id": identifier})

    def finish(self) -> None:
        pass


def _place(position: Position | None) -> dict[str, object]:
    if position is None:
        return {"column": None, "file": None, "line": None}
    return {"column": position.column, "file": clean(position.file), "line": position.line}


class TeeReporter(Reporter):
    """One reporter for people, and all records as JSON lines in a file or unix socket (`json-log-path`)."""

    def __init__(self, shown: LineReporter | JsonReporter, path: str) -> None:
        self.shown = shown
        self.verbosity = shown.verbosity
        self.descriptor = open_log(path)
        self.records = JsonReporter(shown.verbosity, write=self.write)

    def write(self, line: str) -> None:
        data = line.removeprefix("@nix ").encode("utf-8", "surrogateescape")
        while data:
            try:
                data = data[os.write(self.descriptor, data) :]
            except OSError:
                return

    def log(self, level: Verbosity, text: str) -> None:
        self.shown.log(level, text)
        self.records.log(level, text)

    def start(self, activity: Started) -> None:
        self.shown.start(activity)
        self.records.start(activity)

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        self.shown.result(identifier, kind, fields)
        self.records.result(identifier, kind, fields)

    def stop(self, identifier: int) -> None:
        self.shown.stop(identifier)
        self.records.stop(identifier)

    def estimate(self, seconds: float) -> None:
        self.shown.estimate(seconds)

    def finish(self) -> None:
        self.shown.finish()


def open_log(path: str) -> int:
    """Raises UsageError where the file or socket cannot be written."""
    import socket
    import stat

    from frazil.errors import UsageError

    try:
        if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(path)
            return connection.detach()
        return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(f"cannot write the log file '{path}': {error.strerror}") from error


def make_reporter(
    log_format: str, verbosity: int, *, build_logs: bool, colours: bool, json_log: str | None = None
) -> LineReporter | JsonReporter | TeeReporter:
    """Raises FrazilError for an unknown format."""
    reporter = _shown_reporter(log_format, verbosity, build_logs=build_logs, colours=colours)
    return reporter if json_log is None else TeeReporter(reporter, json_log)


def _shown_reporter(log_format: str, verbosity: int, *, build_logs: bool, colours: bool) -> LineReporter | JsonReporter:
    if log_format == "internal-json":
        return JsonReporter(verbosity)
    if log_format in {"raw", "raw-with-logs"}:
        with_logs = build_logs or log_format == "raw-with-logs"
        return LineReporter(verbosity, build_logs=with_logs, prefix_logs=False, colours=colours)
    if log_format in {"bar", "bar-with-logs", "multiline", "multiline-with-logs"}:
        with_logs = build_logs or log_format.endswith("-with-logs")
        if os.isatty(2) and os.environ.get("TERM", "dumb") not in {"", "dumb"}:
            from frazil.cli.bar import BarReporter

            return BarReporter(verbosity, build_logs=with_logs, colours=colours)
        return LineReporter(verbosity, build_logs=with_logs, colours=colours)
    from frazil.cli.suggest import did_you_mean
    from frazil.errors import FrazilError

    raise FrazilError(
        f"option 'log-format' has an invalid value '{log_format}'", hint=did_you_mean(log_format, FORMATS)
    )
