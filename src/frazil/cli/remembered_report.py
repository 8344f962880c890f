"""Remembered reports about a whole flake: what `flake show` and `flake check` found.

In: a command's arguments and what decides its report. Out: the report of an earlier run, where everything that it rests
on is as it was; else a session whose reads are taken down, and a place to keep what is found.
"""

from __future__ import annotations

from frazil.cli.doorstep import open_doorstep
from frazil.cli.evaluation import wants_evaluation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from frazil.activity import Verbosity
    from frazil.cli.context import Context
    from frazil.cli.options import Arguments
    from frazil.evalcache.recorder import Recorder
    from frazil.flake.locking import LockedFlake
    from frazil.flake.parts import Parts
    from frazil.flake.tree import Trees

    Check = Callable[[Mapping[str, Any]], bool]


class Report:
    """`detail`: what decides the report, besides settings. `title` will name the locked flake."""

    def __init__(self, context: Context, arguments: Arguments, text: str, detail: Mapping[str, Any]) -> None:
        self.context, self.arguments = context, arguments
        self.detail = {**detail, "paths": [""]}
        self.title = ""
        self._doorstep = open_doorstep(context, arguments, text)
        self._recorder: Recorder | None = None
        self._trees: Trees | None = None
        self._locked: LockedFlake | None = None

    def recall(self, is_good: Check) -> Mapping[str, Any] | None:
        """Without opening the flake."""
        if self._doorstep is None:
            return None
        found = self._doorstep.ask(self.detail, is_good)
        if found is not None:
            self.title = self._doorstep.title()
            self._doorstep.say([found])
        return found

    def open(self) -> Trees:
        """The session's trees, to lock the flake with."""
        from frazil.cli.flake_options import open_trees
        from frazil.cli.reporter import overhear

        if not wants_evaluation(self.context, self.arguments):
            from frazil.evalcache.recorder import Recorder

            self._recorder = Recorder(None, self.context.store_config.store_dir)
        session = self.context.session(self.arguments, pure=True, recorder=self._recorder)
        self._trees = open_trees(self.context, self.arguments, session)
        self._trees.heard = overhear(self.context.reporter)
        return self._trees

    def recall_locked(self, locked: LockedFlake, is_good: Check) -> Mapping[str, Any] | None:
        """The same, of a flake that is locked now."""
        assert self._trees is not None
        self._locked, self.title = locked, str(locked.flake.locked)
        memory = self._trees.memory(locked)
        if memory is None:
            return None
        found = memory.ask(self.detail, is_good)
        if found is not None and self._doorstep is not None:
            self._doorstep.keep(memory)
        return found

    def parts(self, common: Mapping[str, Any]) -> AbstractContextManager[Parts | None]:
        """For what is remembered in parts. `common`: what decides each of them, besides its place."""
        from contextlib import nullcontext

        from frazil.flake.parts import Parts

        assert self._trees is not None and self._locked is not None
        memory = self._trees.memory(self._locked)
        return nullcontext() if memory is None else Parts(memory, common)

    def said(self, level: Verbosity, text: str) -> None:
        """Something that the command itself says belongs to the report."""
        if self._recorder is not None:
            self._recorder.say(int(level), text)
        self.context.reporter.log(level, text)

    def keep(self, answer: Mapping[str, Any], *texts: bytes) -> None:
        assert self._trees is not None and self._locked is not None
        memory = self._trees.memory(self._locked)
        if memory is not None:
            memory.keep(self.detail, answer, *texts, whole=True)
            if self._doorstep is not None:
                self._doorstep.keep(memory)
