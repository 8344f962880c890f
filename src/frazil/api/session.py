"""`Session`: one evaluation with its store, as Python programs use it.

In: expressions, files, flakes. Out: plain values, and views of all others (`frazil.api.values`). The settings are
those of the command line: `nix.conf`, `frazil.conf`, `NIX_CONFIG`, then what `Session` is given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from frazil.api.convert import bytes_of, text_of, to_nix, to_python
from frazil.api.values import Derivation, Output
from frazil.api.worker import Worker
from frazil.errors import FrazilError

if TYPE_CHECKING:
    from frazil.cli.context import Context
    from frazil.flake.tree import Trees
    from frazil.instantiate.session import Session as Instantiation
    from frazil.lang.evaluator import Evaluator

T = TypeVar("T")
Setting = str | int | bool | Sequence[str]


class Session:
    """Evaluates, and remembers what it evaluated: a file or flake is read once.

    `store`: as `--store`. `pure`: without the environment, the current time and files that are in no flake.
    `search_path`: what `<name>` finds, before `NIX_PATH`. `settings`: by their names in `nix.conf`.

    Any number of threads may use a session and its values; they take turns. Python functions that the evaluation calls
    must not wait for another thread that uses the same session. Values that refer to themselves, as most of a package
    set does, are freed with the process: programs that run for long should evaluate in processes of their own.
    """

    def __init__(
        self,
        *,
        store: str | os.PathLike[str] | None = None,
        pure: bool = False,
        search_path: Mapping[str, str | os.PathLike[str]] | None = None,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        given = dict(settings or {})
        if store is not None:
            given["store"] = os.fspath(store)
        self._pure = pure
        self._search_path = [f"{name}={os.fspath(path)}" for name, path in (search_path or {}).items()]
        self._worker = Worker(self.interrupt)
        self._context = self._make_context(given)
        self._made: Instantiation | None = None

    def __repr__(self) -> str:
        store = self._context.settings.text("store")
        return f"<Session of store '{store}'{', pure' if self._pure else ''}>"

    def _make_context(self, settings: Mapping[str, Setting]) -> Context:
        from frazil.activity import Verbosity
        from frazil.cli.context import Context
        from frazil.cli.options import Arguments

        context = Context("frazil", legacy=False)
        context.verbosity = int(Verbosity.NOTICE)
        context.shows_evaluation = False
        context.settings.load()
        for name, value in settings.items():
            if isinstance(value, bool):
                text = "true" if value else "false"
            else:
                text = value if isinstance(value, str) else str(value) if isinstance(value, int) else " ".join(value)
            context.settings.set(name, text)
        context.apply_globals(Arguments("frazil"))
        return context

    # -- evaluating ----------------------------------------------------------------------------------------------

    def evaluate(
        self,
        expression: str | bytes,
        *,
        scope: Mapping[str, Any] | None = None,
        directory: str | os.PathLike[str] = ".",
    ) -> Any:
        """The value of an expression.

        `scope`: Python values by the names that the expression may use for them. `directory`: where relative paths
        begin. Raises ParseError and EvalError.
        """
        text = expression.encode("utf-8", "surrogateescape") if isinstance(expression, str) else expression
        base = os.fsencode(os.path.abspath(directory)).decode("latin-1")

        def run() -> Any:
            if scope:
                for name in scope:
                    _check_name(name)
                table = {bytes_of(name): to_nix(self, value) for name, value in scope.items()}
                parsed = self.evaluator.parse_with_scope(text, base, table)
                return to_python(self, self.evaluator.evaluate(parsed))
            return to_python(self, self.evaluator.eval_string(text, base))

        return self._run(run)

    def evaluate_file(
        self, path: str | os.PathLike[str], attribute: str = "", *, arguments: Mapping[str, Any] | None = None
    ) -> Any:
        """The value of a file (or of `default.nix` in a folder), or of an attribute as `-A` finds it.

        `arguments`: for functions on the way, as `--arg`.
        """
        place = os.fsencode(os.path.abspath(path)).decode("latin-1")

        def run() -> Any:
            given = {bytes_of(name): to_nix(self, value) for name, value in (arguments or {}).items()}
            value = self.evaluator.eval_file(place)
            found = self.evaluator.select(value, _attribute_path(attribute), given)
            return to_python(self, self.evaluator.auto_call(found, given))

        return self._run(run)

    def get_flake(
        self,
        reference: str | os.PathLike[str] = ".",
        *,
        overrides: Mapping[str, str | os.PathLike[str]] | None = None,
        write_lock_file: bool = False,
    ) -> Any:
        """The outputs of a flake, with `inputs`, `outPath` and the like beside them, as `builtins.getFlake` gives.

        `overrides`: flake references by the input they stand in for, as `--override-input`.
        """

        def run() -> Any:
            from frazil.cli.flake_options import input_path, lock_flags, parse_reference
            from frazil.flake.call import flake_of_reference

            flags = lock_flags(self._context, self._arguments(), self._trees).with_(
                write_lock_file=write_lock_file and not overrides,
                input_overrides={
                    input_path(name, "an override"): parse_reference(
                        self._context, self._trees, _reference(text), allow_missing=True
                    )
                    for name, text in (overrides or {}).items()
                },
            )
            wanted = parse_reference(self._context, self._trees, _reference(reference))
            return to_python(self, flake_of_reference(self._trees, wanted, flags))

        return self._run(run)

    def realise(self, *derivations: Derivation) -> list[dict[str, Output]]:
        """The outputs of each derivation by name, built together where the store lacks them. Raises BuildFailed."""
        from frazil.build.scheduler import realise
        from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

        paths = [self._store_path(derivation.drv_path) for derivation in derivations]
        store = self._context.store
        targets = [DerivedPath(path, ALL_OUTPUTS) for path in dict.fromkeys(paths)]
        # In the caller's thread: an interrupt there ends the builders.
        results = realise(store, targets, self._context.build_settings, self._context.reporter)
        found = {result.path.base: result.outputs for result in results}
        return [
            {name: Output(name, store.show(path), Path(store.real_path(path))) for name, path in found[path].items()}
            for path in paths
        ]

    def interrupt(self) -> None:
        """Ends what another thread evaluates: that one gets a KeyboardInterrupt. Nothing is spoilt by it."""
        if self._made is not None:
            self._made.evaluator.interrupt()

    def to_nix(self, value: Any) -> str:
        """An expression for a Python value."""
        return self._run(lambda: self._print(to_nix(self, value), evaluate=True))

    @property
    def evaluator(self) -> Evaluator:
        """What does the work. Its values are those of the language, and it is to be used in the session's thread."""
        return self._instantiation.evaluator

    def close(self) -> None:
        """Lets go of the store and the thread. Views of this session can be looked at no longer."""
        self._worker.close()
        self._context.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- what views ask for ----------------------------------------------------------------------------------------

    def _run(self, function: Callable[[], T]) -> T:
        try:
            return self._worker.call(function)
        except FrazilError as error:
            if not getattr(error, "__notes__", None):
                from frazil.cli.display import clean

                # Python shows notes below the message: place, source line and the way there.
                error.add_note(clean(self._context.show_error(error)))
                _complete(error)
            # Where in frazil it was raised says nothing about the program that was evaluated.
            raise error.with_traceback(None) from error.__cause__

    def _view(self, value: Any) -> Any:
        if type(value) in (int, float, bool) or value is None:
            return value
        return self._run(lambda: to_python(self, self.evaluator.force(value)))

    def _attribute(self, attrs: Any, name: str) -> Any:
        def run() -> Any:
            from frazil.lang.values import MISSING

            if not isinstance(name, str):
                raise KeyError(name)
            found = attrs.lookup(bytes_of(name))
            if found is MISSING:
                raise KeyError(_missing(name, attrs))
            return to_python(self, self.evaluator.force(found))

        return self._run(run)

    def _has(self, attrs: Any, name: str) -> bool:
        return self._run(lambda: bool(attrs.has(bytes_of(name))))

    def _names(self, attrs: Any) -> list[str]:
        return self._run(lambda: [text_of(name) for name in attrs.names()])

    def _select(self, attrs: Any, path: str) -> Any:
        return self._run(lambda: to_python(self, self.evaluator.select(attrs, _attribute_path(path))))

    def _call(self, function: Any, arguments: Sequence[Any]) -> Any:
        def run() -> Any:
            given = [to_nix(self, argument) for argument in arguments]
            return to_python(self, self.evaluator.call(function, *given))

        return self._run(run)

    def _formals(self, function: Any) -> dict[str, bool] | None:
        def run() -> dict[str, bool] | None:
            found = self.evaluator.formals(function)
            return None if found is None else {text_of(name): optional for name, optional, _ in found}

        return self._run(run)

    def _json(self, value: Any) -> str:
        from frazil.lang.json_writer import to_json_text

        return self._run(lambda: text_of(to_json_text(self.evaluator, value, set(), copy_to_store=True)))

    def _printed(self, value: Any, *, evaluate: bool = False) -> str:
        return self._run(lambda: self._print(value, evaluate=evaluate))

    def _print(self, value: Any, *, evaluate: bool) -> str:
        from frazil.lang.error_text import shorten
        from frazil.lang.printer import print_value

        return text_of(print_value(self.evaluator, value, evaluate=True) if evaluate else shorten(value))

    def _shown(self, attrs: Any, name: str) -> str:
        from frazil.lang.error_text import shorten

        return self._run(lambda: text_of(shorten(attrs.lookup(bytes_of(name)))))

    def _shown_items(self, items: Sequence[Any]) -> list[str]:
        from frazil.lang.error_text import shorten

        return self._run(lambda: [text_of(shorten(item)) for item in items])

    def _derivation_path(self, derivation: Derivation) -> str:
        def run() -> str:
            path = str(derivation["drvPath"])
            self._instantiation.flush()
            return path

        return self._run(run)

    def _show_derivation(self, derivation: Derivation) -> dict[str, Any]:
        from frazil.store.derivation_json import to_json

        path = self._store_path(derivation.drv_path)
        return to_json(self._context.store.read_derivation(path))

    # -- inside ------------------------------------------------------------------------------------------------------

    @property
    def _instantiation(self) -> Instantiation:
        if self._made is None:
            self._made = self._context.session(self._arguments(), pure=self._pure)
        return self._made

    @property
    def _trees(self) -> Trees:
        from frazil.cli.flake_options import open_trees

        return open_trees(self._context, self._arguments(), self._instantiation)

    def _arguments(self) -> Any:
        """What the command line would have said."""
        from frazil.cli.options import Arguments

        arguments = Arguments("frazil")
        arguments.values["include"] = self._search_path
        arguments.values["impure"] = not self._pure
        return arguments

    def _store_path(self, text: str) -> Any:
        return self._context.store.parse(text)


def _reference(reference: str | os.PathLike[str]) -> str:
    """Text is a reference, a path object a folder."""
    return reference if isinstance(reference, str) else f"path:{os.path.abspath(reference)}"


def _check_name(name: Any) -> None:
    from frazil.lang.error_text import KEYWORDS, NAME

    if not isinstance(name, str):
        raise TypeError(f"names of the scope are strings, not '{type(name).__name__}'")
    if not NAME.match(name) or name in KEYWORDS:
        raise ValueError(f"an expression cannot refer to anything by the name {name!r}")


def _complete(error: FrazilError) -> None:
    """`position` and `hint` as the note has them, for programs."""
    from frazil.cli.display import clean
    from frazil.cli.error_advice import advice
    from frazil.cli.error_layout import point_out
    from frazil.lang.errors import EvalBaseError

    if isinstance(error, EvalBaseError) and error.position is None:
        error.settle_position(next((frame.position for frame in reversed(error.trace) if frame.position), None))
    if error.hint is None:
        error.hint = clean("\n".join([*point_out(error, error.position)[1], *advice(error, error.position)])) or None


def _attribute_path(text: str) -> list[str]:
    from frazil.flake.cursor import parse_attribute_path

    return [bytes_of(name) for name in parse_attribute_path(text)] if text else []


def _missing(name: str, attrs: Any) -> str:
    from frazil.cli.error_advice import likely
    from frazil.lang.runtime import suggestions

    near = likely(name, [text_of(word) for word in suggestions(bytes_of(name), attrs.names())])
    return f"{name} (did you mean {' or '.join(near)}?)" if near else name
