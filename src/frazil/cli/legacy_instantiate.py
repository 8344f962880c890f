"""`nix-instantiate`: derivations (or, with --eval, values) of files. Source: its manual page."""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.common_options import EVALUATION
from frazil.cli.context import Context
from frazil.cli.evaluation import (
    auto_arguments,
    file_argument,
    find_file,
    make_session,
    read_input,
    with_deep_stack,
    working_directory,
)
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.instantiate.session import Session
    from frazil.store.path import StorePath

STDIN = "«stdin»".encode().decode("latin-1")


def run_instantiate(context: Context, arguments: Arguments) -> None:
    found = with_deep_stack(lambda: _run(context, arguments))
    _add_roots(context, arguments, found)


def _run(context: Context, arguments: Arguments) -> list[tuple[StorePath, str]]:
    parse_only = arguments.flag("parse")
    eval_only = arguments.flag("eval") or parse_only
    read_only = arguments.flag("dry-run") or (eval_only and not arguments.flag("read-write-mode"))
    found: list[tuple[StorePath, str]] = []
    with make_session(context, arguments, pure=False, read_only=read_only or context.read_only) as session:
        given = auto_arguments(session, arguments)
        if arguments.flag("find-file"):
            for name in arguments.positional:
                path = find_file(session, os.fsencode(name).decode("latin-1"))
                context.print_byte_string(session.effects.real(path).decode("latin-1"))
            return []
        for parsed in _parsed(session, arguments):
            if parse_only:
                context.print_byte_string(parsed.show())
                continue
            root = session.evaluator.evaluate(parsed)
            for text in arguments.all("attr") or [""]:
                value = select_path(session, root, text, given)
                if eval_only:
                    _show(context, arguments, session, value, given)
                else:
                    found += derivations_of(session, value, given)
    return found


def _parsed(session: Session, arguments: Arguments) -> list[Any]:
    """Parsed one after the other, so that what the first prints comes before the error of the second."""
    evaluator = session.evaluator
    names = [name for name in arguments.positional if name != "-"]
    if len(names) < len(arguments.positional):
        return [evaluator.parse_string(read_input("-"), working_directory(), STDIN)]
    if arguments.flag("expr"):
        return [evaluator.parse_string(os.fsencode(name), working_directory()) for name in names]
    return [evaluator.parse_file(file_argument(session, name)) for name in names or ["./default.nix"]]


def select_path(session: Session, root: Any, text: str, given: dict[str, Any]) -> Any:
    """`-A`'s rule: functions on the way are called with --arg's values."""
    from frazil.flake.cursor import parse_attribute_path
    from frazil.flake.selection import select

    names = parse_attribute_path(os.fsencode(text).decode("latin-1"))
    return session.evaluator.force(select(session.evaluator, root, names, given))


def derivations_of(session: Session, value: Any, given: dict[str, Any]) -> list[tuple[StorePath, str]]:
    """(derivation, output) of every derivation that a value holds."""
    from frazil.flake.derivations import find_derivations

    directory = session.effects.directory
    found = []
    for package in find_derivations(session.evaluator, value, directory, given):
        path = package.drv_path
        if path is None:
            raise FrazilError(f"'{package.name}' does not have a derivation")
        output = package.output_name
        if not output:
            raise FrazilError(f"derivation '{directory.show(path)}' lacks an 'outputName' attribute")
        found.append((path, output))
    return found


def _show(context: Context, arguments: Arguments, session: Session, value: Any, given: dict[str, Any]) -> None:
    from frazil.cli import values

    strict = arguments.flag("strict")
    if given:
        value = session.evaluator.auto_call(value, given)
    if arguments.flag("raw"):
        text = values.raw_text(session, value, "while generating the nix-instantiate output")
        context.print_byte_string(text, end="")
    elif arguments.flag("xml"):
        location = not arguments.flag("no-location")
        context.print_byte_string(values.xml_text(session, value, strict=strict, location=location), end="")
    elif arguments.flag("json"):
        context.print_byte_string(values.json_text(session, value))
    else:
        context.print_byte_string(values.plain_text(session, value, strict=strict))


def _add_roots(context: Context, arguments: Arguments, found: list[tuple[StorePath, str]]) -> None:
    root = arguments.value("add-root")
    if found and root is None and not arguments.flag("no-gc-warning"):
        context.note(
            "you did not specify '--add-root'; the result might be removed by the garbage collector", Verbosity.WARN
        )
    directory = context.store.directory if found else None
    for number, (path, output) in enumerate(found, 1):
        assert directory is not None
        shown = directory.show(path)
        if root is not None:
            link = os.path.abspath(root) + (f"-{number}" if number > 1 else "")
            shown = context.store.add_permanent_root(path, link)
        context.print(shown + (f"!{output}" if output != "out" else ""))


PROGRAMS = {
    "nix-instantiate": Command(
        run_instantiate,
        "instantiate store derivations from Nix expressions",
        (
            Option("--expr -E", "The arguments are expressions, not files."),
            Option("--attr -A", "Instantiate the attribute *path*.", "path", kind=APPEND),
            Option("--eval --eval-only", "Evaluate and print instead of instantiating."),
            Option("--parse --parse-only", "Parse and print only."),
            Option("--find-file", "Print where `<…>` finds the arguments."),
            Option("--strict", "With --eval: evaluate everything."),
            Option("--json", "With --eval: print JSON."),
            Option("--xml", "With --eval: print XML."),
            Option("--raw", "With --eval: print a string as it is."),
            Option("--no-location", "With --xml: leave positions out."),
            Option("--read-write-mode", "With --eval: write derivations to the store."),
            Option("--dry-run", "Do not write to the store."),
            Option("--add-root", "Make *path* a link to the result, and a root.", "path"),
            Option("--indirect", "No longer means anything.", hidden=True),
        ),
        EVALUATION,
        positional="files…",
        at_most=None,
        examples=[
            ("Instantiate a package", "nix-instantiate . -A hello"),
            ("Evaluate an expression", "nix-instantiate --eval -E '1 + 2'"),
        ],
    )
}
