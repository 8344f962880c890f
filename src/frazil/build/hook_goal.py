"""A build that the build hook has taken: followed to its end, its outputs checked.

What a `BuildGoal` does where another machine works for it. Source of truth: libstore's derivation building goal.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType
from frazil.build.errors import BuildError, DerivationFailed, Failure
from frazil.build.goals import Child, EndOfFile, Event, Output, TimedOut, Wait
from frazil.build.hook import Hook, Messages, log_text
from frazil.build.local_build import BuilderFailed
from frazil.build.log import BuildLog, LogFile

if TYPE_CHECKING:
    from frazil.build.build_goal import BuildGoal
    from frazil.store.path import StorePath


class HookBuild:
    """`goal` holds the locks of the outputs."""

    def __init__(self, goal: BuildGoal, hook: Hook) -> None:
        self.goal, self.hook = goal, hook
        self.worker, self.settings, self.store = goal.worker, goal.settings, goal.store
        self.size = 0

    def run(self) -> Generator[Wait, Event | None, dict[str, StorePath]]:
        """The outputs. Raises DerivationFailed."""
        worker = self.worker
        worker.counts.running += 1
        try:
            return (yield from self._run())
        except DerivationFailed:
            worker.counts.failed += 1
            raise
        finally:
            self.hook.close(self.settings.build_hook_kill_timeout / 1000)
            worker.counts.running -= 1
            worker.update_progress()

    def _run(self) -> Generator[Wait, Event | None, dict[str, StorePath]]:
        goal, show = self.goal, self.store.show
        machine = yield from self.hook.machine()
        known = goal._known()
        missing = [name for name in goal.drv.outputs if name not in known or not known[name][1]]
        try:
            self.hook.accept([show(path) for path in sorted(goal.closure)], sorted(missing))
        except BrokenPipeError:
            pass  # it has ended, and says why
        logs = self.store.config.log_dir if self.settings.keep_build_log else None
        file = LogFile(logs, goal.path.base, compress=self.settings.compress_build_log)
        title = f"building '{goal.text}' on '{machine}'"
        fields = (goal.text, machine, 1, 1)
        with Activity(self.worker.reporter, ActivityType.BUILD, title, fields=fields) as activity:
            self.worker.update_progress()
            log = BuildLog(activity, self.settings.log_lines)
            messages = Messages(self.worker.reporter, activity)
            try:
                yield from self._follow(log, file, messages)
            finally:
                messages.close()
                log.close()
                file.close()
            status = self.hook.wait(max(1.0, self.settings.build_hook_kill_timeout / 1000))
            if status:
                wait_status = -status if status < 0 else status << 8
                failed = BuilderFailed(wait_status, Failure.MISC_FAILURE, "")
                raise DerivationFailed(failed.failure, goal._builder_message(failed, log))
        return self._outputs()

    def _follow(self, log: BuildLog, file: LogFile, messages: Messages) -> Generator[Wait, Event | None, None]:
        """Reads what the hook reports and what the builder writes, until both have ended."""
        hook, settings = self.hook, self.settings
        open_ones = {hook.messages, hook.log}
        heard = started = time.monotonic()
        self._handle(hook.take_lines(), file, messages)
        while open_ones:
            first, *rest = sorted(open_ones)
            child = Child(first, settings.timeout, settings.max_silent_time, second=rest[0] if rest else -1)
            child.started, child.heard = started, heard
            event = yield child
            heard = child.heard
            match event:
                case Output(data, descriptor) if descriptor == hook.log:
                    self._count(len(data))
                    log.feed(data)
                    file.write(data)
                case Output(data, _):
                    self._handle(hook.lines(data), file, messages)
                case EndOfFile(descriptor):
                    open_ones.discard(descriptor)
                case TimedOut(seconds):
                    raise DerivationFailed(
                        Failure.TIMED_OUT, f"building derivation '{self.goal.text}' timed out after {seconds} seconds"
                    )

    def _count(self, size: int) -> None:
        self.size += size
        limit = self.settings.max_build_log_size
        if limit and self.size > limit:
            raise DerivationFailed(
                Failure.LOG_LIMIT_EXCEEDED,
                f"building derivation '{self.goal.text}' killed after writing more than {limit} bytes of log output",
            )

    def _handle(self, lines: list[bytes], file: LogFile, messages: Messages) -> None:
        for line in lines:
            message = messages.handle(line)
            text = None if message is None else log_text(message)
            if text is not None:
                self._count(len(text))
                file.write(text)

    def _outputs(self) -> dict[str, StorePath]:
        known = self.goal._known()
        if len(known) < len(self.goal.drv.outputs) or not all(valid for _, valid in known.values()):
            raise BuildError("some outputs are unexpectedly invalid")
        return {name: path for name, (path, _) in known.items()}
