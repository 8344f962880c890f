"""The build hook: a program that is offered each build and may have another machine do it.

In: derivations about to be built. Out: whether the hook takes one, and what becomes of it then. The hook is a process
of its own, which copies what is needed there and the outputs back; while it works, others go on. Its protocol is C++
Nix's, so either program's hook serves the other. Source of truth: libstore's hook instance; the manual's
`command-ref/conf-file` (build-hook).
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Reporter, ResultType, Verbosity
from frazil.build.errors import BuildError
from frazil.build.goals import A_WHILE, Child, Event, Output, Wait
from frazil.build.log import MAXIMUM_LINE
from frazil.protocol.wire import Output as Pipe
from frazil.protocol.wire import Writer

if TYPE_CHECKING:
    import subprocess

    from frazil.build.settings import BuildSettings

ACCEPT, DECLINE, POSTPONE = "accept", "decline", "postpone"
_FOR_GOOD = "decline-permanently"
_LOG_DESCRIPTOR, _ECHO_DESCRIPTOR = 4, 5
_MAXIMUM_ACTIVITIES = 1 << 16
_WARNING = re.compile("^(\x1b\\[[0-9;]*m)*warning:(\x1b\\[[0-9;]*m)* ?")
"""Whoever shows a warning says that it is one; what is none, though as important, remains as it is."""


class Hook:
    """A running hook. `messages`: where it reports; `log`: what builders there write."""

    def __init__(self, command: Sequence[str], verbosity: int, settings: Mapping[str, str]) -> None:
        self.messages, messages = os.pipe2(os.O_CLOEXEC)
        self.log, log = os.pipe2(os.O_CLOEXEC)
        try:
            self.process = self._start([*command, str(verbosity)], messages, log)
        except OSError as error:
            os.close(self.messages)
            os.close(self.log)
            raise BuildError(f"cannot run the build hook '{command[0]}': {error.strerror}") from error
        finally:
            os.close(messages)
            os.close(log)
        assert self.process.stdin is not None
        self._writer = Writer(Pipe(self.process.stdin.fileno()))
        self._pending = b""
        self.ended = False
        for name, value in settings.items():
            self._writer.number(1)
            self._writer.text(name)
            self._writer.text(value)
        self._writer.number(0)

    def _start(self, command: list[str], messages: int, log: int) -> subprocess.Popen[bytes]:
        import subprocess

        echo = self.log

        def prepare() -> None:
            # Moved out of the way of the numbers that the hook expects them at.
            import fcntl

            high_log = fcntl.fcntl(log, fcntl.F_DUPFD, 10)
            high_echo = fcntl.fcntl(echo, fcntl.F_DUPFD, 10)
            os.dup2(high_log, _LOG_DESCRIPTOR)
            os.dup2(high_echo, _ECHO_DESCRIPTOR)
            os.close(high_log)
            os.close(high_echo)

        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=messages,
            stderr=messages,
            close_fds=False,
            bufsize=0,
            cwd="/",
            start_new_session=True,
            preexec_fn=prepare,
        )

    def offer(self, *, willing: bool, platform: str, derivation: str, features: Sequence[str]) -> None:
        """`willing`: whether it could be built here at once, too."""
        self._writer.text("try")
        self._writer.number(int(willing))
        self._writer.text(platform)
        self._writer.text(derivation)
        self._writer.texts(sorted(features))
        self._writer.flush()

    def accept(self, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Tells what has to be there, and what to bring back."""
        self._writer.texts(inputs)
        self._writer.texts(outputs)
        self._writer.flush()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def lines(self, data: bytes) -> list[bytes]:
        """Whole lines of what the hook reports."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > MAXIMUM_LINE:
            lines.append(self._pending)
            self._pending = b""
        return lines

    def give_back(self, lines: Sequence[bytes]) -> None:
        """Lines that somebody else is to read."""
        self._pending = b"".join([line + b"\n" for line in lines]) + self._pending

    def take_lines(self) -> list[bytes]:
        return self.lines(b"")

    def machine(self) -> Generator[Wait, Event | None, str]:
        """Who does it: the line after the acceptance."""
        lines = self.take_lines()
        while not lines:
            event = yield Child(self.messages)
            if not isinstance(event, Output):
                raise BuildError("the build hook ended before it named the machine")
            lines = self.lines(event.data)
        self.give_back(lines[1:])
        return lines[0].decode("utf-8", "replace")

    def wait(self, patience: float) -> int:
        """Its exit status. One that does not end is killed."""
        import subprocess

        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self._kill(patience)
        self.ended = True
        return self.process.returncode

    def _kill(self, patience: float) -> None:
        import subprocess

        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                pass
            try:
                self.process.wait(max(0.5, patience))
                return
            except subprocess.TimeoutExpired:
                continue

    def close(self, patience: float = 0.0) -> None:
        """Ends it, whatever it does."""
        stdin = self.process.stdin
        if stdin is not None and not stdin.closed:
            try:
                stdin.close()
            except OSError:
                pass  # the hook is gone already
        if self.process.poll() is None:
            self._kill(patience)
        for descriptor in (self.messages, self.log):
            if descriptor >= 0:
                os.close(descriptor)
        self.messages = self.log = -1


@dataclass(slots=True)
class Hooks:
    """The hooks of one `realise`. Only one is asked at a time, and it is asked again until it takes a build."""

    settings: BuildSettings
    reporter: Reporter
    command: Sequence[str]
    parent: Activity
    store_address: str
    idle: Hook | None = None
    busy: bool = False
    declined: bool = False

    def ask(
        self, *, willing: bool, platform: str, derivation: str, features: Sequence[str]
    ) -> Generator[Wait, Event | None, tuple[str, Hook | None]]:
        """("accept", the hook that has taken it), or ("decline" | "postpone", None)."""
        while self.busy:
            yield A_WHILE
        if self.declined:
            return DECLINE, None
        self.busy = True
        hook = self.idle
        try:
            if hook is None:
                hook = self._new()
            self.idle = None
            try:
                hook.offer(willing=willing, platform=platform, derivation=derivation, features=features)
                reply = yield from self._reply(hook)
            except BrokenPipeError:
                reply = None
        except BaseException:
            if hook is not None:
                hook.close()
            raise
        finally:
            self.busy = False
        return self._judge(hook, reply)

    def _new(self) -> Hook:
        verbosity = int(getattr(self.reporter, "verbosity", Verbosity.INFO))
        settings = dict(setting_pairs(self.settings))
        settings["store"] = self.store_address
        return Hook(self.command, verbosity, settings)

    def _reply(self, hook: Hook) -> Generator[Wait, Event | None, str | None]:
        """The line that begins with `# `; None where the hook ends without one."""
        messages = Messages(self.reporter, self.parent)
        try:
            lines = hook.take_lines()
            while True:
                for index, line in enumerate(lines):
                    if line.startswith(b"# "):
                        hook.give_back(lines[index + 1 :])
                        return line[2:].decode("utf-8", "replace")
                    if messages.handle(line) is None:
                        self.reporter.log(Verbosity.ERROR, line.decode("utf-8", "replace"))
                event = yield Child(hook.messages)
                if not isinstance(event, Output):
                    return None
                lines = hook.lines(event.data)
        finally:
            messages.close()

    def _judge(self, hook: Hook, reply: str | None) -> tuple[str, Hook | None]:
        if reply == ACCEPT:
            return ACCEPT, hook
        if reply in (DECLINE, POSTPONE):
            self.idle = hook
            return reply, None
        hook.close()
        if reply == _FOR_GOOD:
            self.declined = True
            return DECLINE, None
        if reply is None:
            self.reporter.log(Verbosity.ERROR, "build hook died unexpectedly")
            return DECLINE, None
        raise BuildError(f"bad hook reply '{reply}'")

    def close(self) -> None:
        if self.idle is not None:
            self.idle.close(self.settings.build_hook_kill_timeout / 1000)
            self.idle = None


def setting_pairs(settings: BuildSettings) -> list[tuple[str, str]]:
    """All settings, as `nix.conf` would have them."""
    if settings.configuration is None:
        return []
    pairs = []
    for line in settings.configuration().splitlines():
        name, mark, value = line.partition(" = ")
        if mark:
            pairs.append((name, value))
    return pairs


class Messages:
    """What a hook reports as `@nix {…}` lines, handed on as activities below `parent`. The hook is trusted."""

    def __init__(self, reporter: Reporter, parent: Activity) -> None:
        self._reporter = reporter
        self._parent = parent
        self._activities: dict[int, Activity] = {}

    def handle(self, line: bytes) -> Mapping[str, object] | None:
        """The message; None for a line that is none."""
        if not line.startswith(b"@nix "):
            return None
        try:
            message = json.loads(line[5:])
            if not isinstance(message, dict):
                raise ValueError("it is no object")
            self._act(message)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            self._reporter.log(Verbosity.WARN, f"Unable to handle a JSON message from the build hook: {error}")
            return None
        return message

    def _act(self, message: Mapping[str, object]) -> None:
        match message["action"]:
            case "start":
                self._start(message)
            case "stop":
                done = self._activities.pop(_number(message["id"]), None)
                if done is not None:
                    done.__exit__(None, None, None)
            case "result":
                running = self._activities.get(_number(message["id"]))
                kind = _number(message["type"])
                if running is not None and kind in ResultType.members:
                    self._reporter.result(running.identifier, ResultType(kind), _fields(message.get("fields", [])))
            case "setPhase":
                self._parent.set_phase(_text(message["phase"]))
            case "msg":
                level = _level(message["level"])
                text = _text(message["msg"])
                if level == Verbosity.WARN and not _WARNING.match(text):
                    level = Verbosity.NOTICE
                self._reporter.log(level, _WARNING.sub("", text) if level == Verbosity.WARN else text)

    def _start(self, message: Mapping[str, object]) -> None:
        kind = _number(message["type"])
        if len(self._activities) >= _MAXIMUM_ACTIVITIES:
            raise ValueError("too many activities")
        activity = Activity(
            self._reporter,
            ActivityType(kind if kind in ActivityType.members else int(ActivityType.UNKNOWN)),
            _text(message["text"]),
            fields=_fields(message.get("fields", [])),
            level=_level(message["level"]),
            parent=self._parent,
        )
        self._activities[_number(message["id"])] = activity
        activity.__enter__()

    def close(self) -> None:
        for activity in self._activities.values():
            activity.__exit__(None, None, None)
        self._activities.clear()


def _level(value: object) -> Verbosity:
    return Verbosity(min(max(_number(value), 0), int(Verbosity.VOMIT)))


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError("a number is needed")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is needed")
    return value


def _fields(value: object) -> list[int | str]:
    if not isinstance(value, list):
        raise TypeError("a list is needed")
    return [item if isinstance(item, str) else _number(item) for item in value]


def log_text(message: Mapping[str, object]) -> bytes | None:
    """What of a message belongs into the log of a build: its lines, and its phases as `setPhase` messages."""
    if message.get("action") != "result":
        return None
    fields = message.get("fields")
    first = fields[0] if isinstance(fields, list) and fields and isinstance(fields[0], str) else None
    if message.get("type") == int(ResultType.BUILD_LOG_LINE):
        return (first or "").encode("utf-8", "surrogateescape") + b"\n"
    if message.get("type") == int(ResultType.SET_PHASE) and first is not None:
        phase = json.dumps({"action": "setPhase", "phase": first}, separators=(",", ":"))
        return b"@nix " + phase.encode() + b"\n"
    return None
