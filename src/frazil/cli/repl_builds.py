"""Commands of `repl` that need the store or another program: building, shells, logs, editing."""

from __future__ import annotations

import os
import sys

from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.cli.repl import Repl
    from frazil.store.path import StorePath

SHELL_OF = 'drv: (import <nixpkgs> {}).runCommand "shell" { buildInputs = [ drv ]; } ""'


def derivation(repl: Repl, value: Any) -> StorePath:
    """What a value says it is, instantiated and written."""
    from frazil.cli.legacy_instantiate import derivations_of
    from frazil.lang.values import Attrs

    if not isinstance(value, Attrs):
        raise FrazilError("expression does not evaluate to a derivation, so I can't build it")

    def work() -> Any:
        kind = repl.evaluator.get_attr(value, "type")
        if kind != "derivation":
            raise FrazilError("expression does not evaluate to a derivation, so I can't build it")
        return derivations_of(repl.session, value, {})

    found = repl.on_deep_stack(work)
    if len(found) != 1:
        raise FrazilError("expression did not evaluate to a valid derivation (no 'drvPath' attribute)")
    repl.session.flush()
    path: StorePath = found[0][0]
    if not repl.context.store.is_valid(path):
        raise FrazilError(f"expression evaluated to invalid derivation '{repl.context.store.show(path)}'")
    return path


def build(repl: Repl, rest: str, word: str) -> None:
    from frazil.cli.build_command import build_paths, outputs_of
    from frazil.cli.result_links import add_result_link
    from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

    context = repl.context
    path = DerivedPath(derivation(repl, repl.evaluate(rest)), ALL_OUTPUTS)
    build_paths(context, [path], announce=False)
    context.print("\nThis derivation produced the following outputs:")
    for name, output in sorted(outputs_of(context, path)):
        if word == ":bl":
            link = f"repl-result-{name}"
            add_result_link(context.store, output, link)
            context.print(f"  ./{link} -> {context.store.show(output)}")
        else:
            context.print(f"  {name} -> {context.store.show(output)}")


def show_log(repl: Repl, rest: str, word: str) -> None:
    path = derivation(repl, repl.evaluate(rest))
    found = repl.context.store.build_log(path)
    if found is None:
        raise FrazilError(f"build log of '{repl.context.store.show(path)}' is not available")
    repl.context.print_bytes(found + b"\n")


def install(repl: Repl, rest: str, word: str) -> None:
    path = derivation(repl, repl.evaluate(rest))
    run_program(repl, "nix-env", ["-i", repl.context.store.show(path)])


def shell(repl: Repl, rest: str, word: str) -> None:
    path = derivation(repl, repl.evaluate(rest))
    run_program(repl, "nix-shell", [repl.context.store.show(path)])


def use(repl: Repl, rest: str, word: str) -> None:
    value = repl.evaluate(rest)

    def work() -> Any:
        evaluator = repl.evaluator
        wrapped = evaluator.evaluate(repl.parse(SHELL_OF))
        return evaluator.force(evaluator.call(wrapped, value))

    path = derivation(repl, repl.on_deep_stack(work))
    run_program(repl, "nix-shell", [repl.context.store.show(path)])


def run_program(repl: Repl, name: str, words: list[str]) -> None:
    """One of Nix's other programs, in a process of its own, with the settings that we were started with."""
    settings = repl.context.settings
    given = [word for key, value in settings.overridden.items() for word in ("--option", key, value)]
    repl.context.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            from frazil.cli.program import run

            status = run([name, *given, *words])
        finally:
            sys.stdout.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        how = f"failed with exit code {status}" if status > 0 else f"was killed by signal {-status}"
        raise FrazilError(f"program '{name}' {how}")


# -- editing -------------------------------------------------------------------------------------------------------


def edit(repl: Repl, rest: str, word: str) -> None:
    from frazil.cli.edit_command import editor

    value = repl.evaluate(rest)
    internal = _internal_source(repl, value)
    if internal is not None:
        import tempfile

        with tempfile.NamedTemporaryFile(prefix="nix-internal-", suffix=".nix") as file:
            file.write(internal[0])
            file.flush()
            os.fchmod(file.fileno(), 0o400)
            _run_editor(repl, editor(os.environ.get("EDITOR", ""), file.name, internal[1]))
        return
    path, line = repl.on_deep_stack(lambda: _place(repl, value, rest))
    real = os.fsdecode(repl.session.effects.real(path))
    _run_editor(repl, editor(os.environ.get("EDITOR", ""), real, line))
    repl.reload()


def _run_editor(repl: Repl, argv: list[str]) -> None:
    repl.context.flush()
    try:
        child = os.posix_spawnp(argv[0], argv, os.environ)
    except OSError as error:
        raise FrazilError(f"cannot run the editor '{argv[0]}': {error.strerror}") from error
    os.waitpid(child, 0)


def _internal_source(repl: Repl, value: Any) -> tuple[bytes, int] | None:
    """(text, line) of a function of the evaluator's own, which is in no file."""
    from frazil.lang.values import Lambda

    if not isinstance(value, Lambda):
        return None
    positions = repl.evaluator.positions
    place = positions.file_line_column(value.expr.pos)
    text = positions.text_at(value.expr.pos) if place is not None and "nix-internal" in place[0] else None
    return None if place is None or text is None else (text, place[2])


def _place(repl: Repl, value: Any, text: str) -> tuple[str, int]:
    """(path of the language, line) of what a value comes from."""
    from frazil.lang.runtime import coerce_to_path
    from frazil.lang.values import ContextString, Lambda, PathValue

    if isinstance(value, str | ContextString | PathValue):
        return coerce_to_path(repl.evaluator, value, set(), "while evaluating the filename to edit"), 0
    if isinstance(value, Lambda):
        found = repl.evaluator.positions.file_line_column(value.expr.pos)
        if found is None or not found[1]:
            raise FrazilError(f"'{value.expr.position()}' cannot be shown in an editor")
        return found[0], found[2]
    return _package_place(repl, value, text)


def _package_place(repl: Repl, value: Any, text: str) -> tuple[str, int]:
    from frazil.cli.edit_command import split_position

    try:
        position = repl.evaluator.force(repl.evaluator.select(value, ["meta", "position"]))
    except FrazilError as error:
        raise FrazilError(f"package '{text}' has no source location information") from error
    file, line = split_position(position if isinstance(position, str) else str(getattr(position, "text", "")))
    return os.fsencode(file).decode("latin-1"), line
