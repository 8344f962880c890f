"""What a builder writes: its lines to the reporter, its bytes to a compressed file.

In: bytes from the builder's terminal. Lines `@nix {…}` are messages to Nix, not text. Out: events of the build's
activity, the last lines for an error message, and `LOG/drvs/ab/cdef….drv.bz2` as Nix keeps it.
Source of truth: the manual's `nix log` and "build logs" of stdenv; libutil's logging for the messages.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping

from frazil.activity import Activity, ActivityType, Reporter, ResultType, Verbosity
from frazil.errors import FrazilError

_MARK = b"@nix "
MAXIMUM_LINE = 1 << 20
"""A builder that writes no line ends: a line is cut here, so that memory stays bounded."""


class LogFile:
    """Written while the build runs; what is there survives a kill. Without `directory` nothing is kept."""

    def __init__(self, directory: str | None, derivation_base: str, *, compress: bool) -> None:
        self._file = None
        self._compressor = None
        if directory is None:
            return
        folder = f"{directory}/drvs/{derivation_base[:2]}"
        path = f"{folder}/{derivation_base[2:]}{'.bz2' if compress else ''}"
        try:
            os.makedirs(folder, exist_ok=True)
            self._file = open(path, "wb")  # noqa: SIM115
        except OSError as error:
            raise FrazilError(f"creating log file '{path}': {error.strerror}") from error
        if compress:
            import bz2

            self._compressor = bz2.BZ2Compressor()

    def write(self, data: bytes) -> None:
        if self._file is None:
            return
        try:
            self._file.write(self._compressor.compress(data) if self._compressor else data)
        except OSError:
            self._abandon()  # a full disk must not fail a build that needs none

    def close(self) -> None:
        if self._file is None:
            return
        try:
            if self._compressor:
                self._file.write(self._compressor.flush())
            self._file.close()
        except OSError:
            self._abandon()
        self._file = None

    def _abandon(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                pass


def log_path(log_directory: str, derivation_base: str) -> str | None:
    """The kept log of a derivation, compressed or not; None where there is none."""
    stem = f"{log_directory}/drvs/{derivation_base[:2]}/{derivation_base[2:]}"
    return next((stem + end for end in ("", ".bz2") if os.path.exists(stem + end)), None)


def read_log(log_directory: str, derivation_base: str) -> bytes | None:
    """Also of a build that runs or was killed: as much as has been written."""
    path = log_path(log_directory, derivation_base)
    if path is None:
        return None
    with open(path, "rb") as file:
        data = file.read()
    if not path.endswith(".bz2"):
        return data
    import bz2

    try:
        return bz2.BZ2Decompressor().decompress(data)
    except (OSError, EOFError) as error:
        raise FrazilError(f"the log file '{path}' is corrupt: {error}") from error


_READY = b"\2"


class BuildLog:
    """Turns the byte stream into lines. A carriage return starts the line anew, as a terminal shows it."""

    def __init__(self, activity: Activity, tail_lines: int, *, tells_ready: bool = False) -> None:
        """`tells_ready`: one line that begins with the byte 2 says only that the builder is about to run."""
        self.activity = activity
        self._tells_ready = tells_ready
        self.tail: deque[str] = deque(maxlen=tail_lines)
        self._pending = b""
        self._children: dict[int, Activity] = {}

    def feed(self, data: bytes) -> None:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._pending) > MAXIMUM_LINE:
            self.flush()

    def flush(self) -> None:
        """At the end of the build: a last line without its end, and activities left open."""
        if self._pending:
            line, self._pending = self._pending, b""
            self._line(line)

    def close(self) -> None:
        self.flush()
        for child in self._children.values():
            child.__exit__(None, None, None)
        self._children.clear()

    def _line(self, raw: bytes) -> None:
        line = _as_shown(raw)
        if self._tells_ready and line.startswith(_READY):
            self._tells_ready = False
            return
        if line.startswith(_MARK) and self._message(line[len(_MARK) :]):
            return
        text = line.decode("utf-8", "replace")
        self.activity.log_line(text)
        self.tail.append(text)

    def _message(self, payload: bytes) -> bool:
        """Whether the line was a message. The builder is not trusted: only transfers may become activities."""
        import json

        try:
            message = json.loads(payload)
        except (ValueError, RecursionError):
            self._complain("it is not JSON")
            return False
        if not isinstance(message, dict) or not isinstance(message.get("action"), str):
            self._complain("it has no action")
            return False
        try:
            self._act(message)
        except (KeyError, TypeError, ValueError) as error:
            self._complain(str(error))
            return False
        return True

    def _complain(self, reason: str) -> None:
        text = f"Unable to handle a JSON message from the derivation builder: {reason}"
        self.activity.reporter.log(Verbosity.WARN, text)

    def _act(self, message: Mapping[str, object]) -> None:
        reporter: Reporter = self.activity.reporter
        match message["action"]:
            case "setPhase":
                self.activity.set_phase(_text(message["phase"]))
            case "msg":
                level = min(max(_number(message["level"]), 0), 7)
                reporter.log(Verbosity(level), _text(message["msg"]))
            case "start":
                if _number(message["type"]) == ActivityType.FILE_TRANSFER and len(self._children) < 1000:
                    child = Activity(
                        reporter,
                        ActivityType.FILE_TRANSFER,
                        _text(message["text"]),
                        fields=_fields(message.get("fields", [])),
                        level=Verbosity(min(max(_number(message["level"]), 0), 7)),
                        parent=self.activity,
                    )
                    child.__enter__()
                    self._children[_number(message["id"])] = child
            case "stop":
                done = self._children.pop(_number(message["id"]), None)
                if done is not None:
                    done.__exit__(None, None, None)
            case "result":
                running = self._children.get(_number(message["id"]))
                if running is not None:
                    kind = ResultType(_number(message["type"]))
                    reporter.result(running.identifier, kind, _fields(message.get("fields", [])))


def _as_shown(raw: bytes) -> bytes:
    return raw.removesuffix(b"\r").rpartition(b"\r")[2]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is needed")
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a number is needed")
    return value


def _fields(value: object) -> list[int | str]:
    if not isinstance(value, list):
        raise TypeError("a list is needed")
    return [item if isinstance(item, str) else _number(item) for item in value]
