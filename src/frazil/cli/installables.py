"""Installables of a command line: the session they are evaluated in, their values, what to build for them."""

from __future__ import annotations

import os

from frazil.cli.base_directory import base_directory
from frazil.cli.evaluation import auto_arguments, can_be_remembered, read_input, root_value
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from frazil.cli.context import Context
    from frazil.cli.doorstep import Doorstep
    from frazil.cli.options import Arguments
    from frazil.cli.remembered import Remembered
    from frazil.evalcache.recorder import Recorder
    from frazil.flake.locking import LockFlags
    from frazil.flake.outputs import Installable, Source, Target
    from frazil.flake.tree import Trees
    from frazil.instantiate.session import Session
    from frazil.store.derived_path import DerivedPath


class Opened:
    """A command's session, with its arguments read as installables when they are first asked for."""

    def __init__(
        self, context: Context, arguments: Arguments, *, command: str = "build", read_only: bool = False
    ) -> None:
        self.context = context
        self.arguments = arguments
        self.command = command
        self._take_default_file()
        self.from_expression = arguments.has("file") or arguments.has("expr")
        settings = context.settings
        if arguments.has("file") and settings.from_command_line("pure-eval") and settings.boolean("pure-eval"):
            raise UsageError("'--file' is not compatible with '--pure-eval'")
        # As in Nix: only `--file` sees the system; flakes and `--expr` are pure.
        self.pure = not arguments.has("file")
        self.read_only = read_only
        self.remembered = self._open_remembered()
        self._doorsteps: dict[str, Doorstep | None] = {}
        self._heard: list[tuple[int, str]] = []
        self._session: Session | None = None
        self._source: Source | None = None
        self._parsed: dict[tuple[str, ...], list[Installable]] = {}
        self._trees: Trees | None = None

    def _open_remembered(self) -> Remembered | None:
        """Earlier answers about `--file` or `--expr`."""
        if not self.from_expression:
            return None
        file, expression = self.arguments.value("file"), self.arguments.value("expr")
        read_only = self.read_only or self.context.read_only
        if not can_be_remembered(self.context, self.arguments, file, expression):
            return None
        from frazil.cli.ahead import before_remembering

        before_remembering()
        from frazil.cli.remembered import open_remembered

        return open_remembered(self.context, self.arguments, file, expression, pure=self.pure, read_only=read_only)

    # -- flakes that need not be opened ------------------------------------------------------------------------

    def doorstep(self, reference: str) -> Doorstep | None:
        """Earlier answers about a local flake, where its tree is as it was."""
        if self.from_expression:
            return None
        if reference not in self._doorsteps:
            from frazil.cli.doorstep import open_doorstep

            self._doorsteps[reference] = open_doorstep(
                self.context, self.arguments, reference, command=self.command, read_only=self.read_only
            )
        return self._doorsteps[reference]

    def recall(
        self,
        kind: str,
        text: str,
        is_good: Callable[[Mapping[str, Any]], bool],
        detail: Mapping[str, Any] | None = None,
    ) -> tuple[Doorstep, Mapping[str, Any]] | None:
        """What was found out about an installable, where nothing has to be opened to know it."""
        from frazil.cli.doorstep import read_installable

        wanted = read_installable(text)
        doorstep = None if wanted is None else self.doorstep(wanted.reference)
        if wanted is None or doorstep is None:
            return None
        answer = doorstep.ask({"kind": kind, **(detail or {}), "paths": doorstep.paths(wanted)}, is_good)
        return None if answer is None else (doorstep, answer)

    def recall_targets(self, texts: Sequence[str]) -> list[DerivedPath] | None:
        """What installables stand for, where all of them are remembered."""
        from frazil.cli.recalled import derived_path, is_target, note_outputs

        found = []
        for text in texts:
            recalled = self.recall("target", text, lambda answer: is_target(self.context, answer))
            if recalled is None:
                return None
            found.append((text, *recalled))
        for _, doorstep, answer in found:
            doorstep.say([answer])
            note_outputs(self.context, answer)
        return [derived_path(self.context, text, answer) for text, _, answer in found]

    def recall_program(self, text: str) -> tuple[str, Sequence[object]] | None:
        """What `run` starts, and what it needs."""
        from frazil.cli.recalled import context_paths, is_program, note_outputs

        recalled = self.recall("program", text, lambda answer: is_program(self.context, answer))
        if recalled is None:
            return None
        doorstep, answer = recalled
        doorstep.say([answer])
        note_outputs(self.context, answer)
        program = str(answer["program"]).encode("latin-1").decode("utf-8", "surrogateescape")
        return program, context_paths(self.context, answer["needs"])

    def note_locks(self) -> None:
        """How flakes were locked is kept, so that the next run need not open them."""
        if self._trees is None:
            return
        memory = self._trees.first_memory()
        if memory is None:
            return
        for doorstep in self._doorsteps.values():
            if doorstep is not None and doorstep.is_about(memory):
                doorstep.keep(memory)

    @property
    def session(self) -> Session:
        """Made when first asked for: what is remembered needs none."""
        if self._session is None:
            if self._doorsteps:
                from frazil.cli.reporter import overhear

                self._heard = overhear(self.context.reporter)
            self._session = self.context.session(
                self.arguments, pure=self.pure, read_only=self.read_only, recorder=self._recorder()
            )
            remembered = self.remembered
            if remembered is not None and self._session.effects.recorder is not remembered.recorder:
                remembered.recorder.refuse("the evaluation began before, and nobody took down what it read")
        return self._session

    def _recorder(self) -> Recorder | None:
        from frazil.cli.evaluation import wants_evaluation

        if self.remembered is not None:
            return self.remembered.recorder
        if self.from_expression or wants_evaluation(self.context, self.arguments):
            return None
        from frazil.evalcache.recorder import Recorder

        return Recorder(None, self.context.store_config.store_dir)

    @property
    def trees(self) -> Trees:
        if self._trees is None:
            from frazil.cli.flake_options import open_trees

            self._trees = open_trees(self.context, self.arguments, self.session)
            self._trees.heard = self._heard
        return self._trees

    @property
    def flags(self) -> LockFlags:
        from frazil.cli.flake_options import lock_flags

        return lock_flags(self.context, self.arguments, self.trees)

    def flags_without_overrides(self) -> LockFlags:
        """For flakes other than the one asked for."""
        return self.flags.with_(input_overrides={}, input_updates=frozenset(), apply_config=None)

    @property
    def source(self) -> Source:
        if self._source is None:
            from frazil.flake.outputs import Source

            self._source = Source(
                self.trees,
                base_directory(),
                self.session.settings.system,
                self.flags,
                self.command,
                (lambda: root_value(self.session, self.arguments)) if self.from_expression else None,
                auto_arguments(self.session, self.arguments),
            )
        return self._source

    def forget(self) -> None:
        """Arguments are read anew when they are asked for next: files and flakes may have changed."""
        self._source = None
        self._parsed.clear()
        if self._trees is not None:
            self._trees.forget_all()

    def value(self) -> Any:
        """The value of the only installable. Expressions without a flake need no flakes."""
        texts = self.texts()
        if len(texts) != 1:
            raise UsageError("exactly one installable is expected here")
        if self.from_expression and texts[0] in {"", "."} and not self.arguments.has("attr"):
            auto_arguments(self.session, self.arguments)  # for what is wrong in them: a value alone takes none
            evaluator = self.session.evaluator
            return evaluator.force(root_value(self.session, self.arguments))
        from frazil.flake.outputs import ValueInstallable

        installable = self.parse(texts)[0]
        if not isinstance(installable, ValueInstallable):
            raise UsageError(f"'{texts[0]}' is a store path, not something to evaluate")
        return installable.value()

    def texts(self, default: str = ".") -> list[str]:
        """What was asked for: arguments, `-A`, and (with --stdin) standard input."""
        texts = [*self.arguments.positional, *self.arguments.all("attr")]
        if self.arguments.flag("stdin"):
            return texts + read_input("-").decode("utf-8", "surrogateescape").split()
        return texts or [default]

    def _take_default_file(self) -> None:
        """`-A` alone means the same as for nix-build: an attribute of ./default.nix."""
        given = self.arguments.has("file") or self.arguments.has("expr")
        if self.arguments.has("attr") and not given and os.path.exists("default.nix"):
            self.arguments.values["file"] = "default.nix"

    def parse(self, texts: Sequence[str]) -> list[Installable]:
        from frazil.cli.context import require_feature
        from frazil.flake.installable import FlakeInstallable
        from frazil.flake.outputs import parse_installables

        key = tuple(texts)
        if key not in self._parsed:
            parsed = parse_installables(texts, self.source)
            if any(isinstance(item, FlakeInstallable) for item in parsed):
                require_feature(self.context, "flakes")
            self._parsed[key] = parsed
        return self._parsed[key]

    def targets(self, texts: Sequence[str] | None = None) -> list[Target]:
        """All that the arguments stand for, instantiated and written."""
        wanted = self.texts() if texts is None else texts
        if self.remembered is not None:
            return self._remembered_targets(self.remembered, wanted)
        items = self.parse(wanted)
        if len(items) > 1:
            self._tell_apart(items)
        found = [target for item in items for target in item.targets()]
        self.session.flush()
        self.note_locks()
        return found

    def _tell_apart(self, items: Sequence[Installable]) -> None:
        """What each output of a flake rests on is taken down once the flake is locked."""
        from frazil.flake.outputs import FlakeInstallable

        if isinstance(items[0], FlakeInstallable) and items[0].memory() is not None:
            self.session.effects.mark_reads()

    def _remembered_targets(self, remembered: Remembered, texts: Sequence[str]) -> list[Target]:
        """Of an expression's attributes; those that nothing is known about are evaluated."""
        from frazil.cli.remembered import ask_targets, keep_targets

        found = []
        known = {text: ask_targets(remembered, text) for text in texts}
        unknown = sum(targets is None for targets in known.values())
        if unknown > 1:
            remembered.tell_apart(self.session)
        for text in texts:
            targets = known[text]
            if targets is None:
                remembered.begin_answer()
                (item,) = self.parse([text])
                targets = item.targets()
                keep_targets(remembered, text, targets, alone=unknown == 1)
            found += targets
        if unknown:
            self.session.flush()
            remembered.flush()
        return found
