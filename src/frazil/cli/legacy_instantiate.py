"""`nix-instantiate`: derivations (or, with --eval, values) of files. Source: its manual page."""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.common_options import EVALUATION
from frazil.cli.context import Context
from frazil.cli.evaluation import (
    auto_arguments,
    can_be_remembered,
    file_argument,
    find_file,
    make_session,
    read_input,
    with_deep_stack,
    working_directory,
)
from frazil.cli.options import APPEND, Arguments, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.cli.remembered import Remembered
    from frazil.instantiate.session import Session
    from frazil.store.path import StorePath

STDIN = "«stdin»".encode().decode("latin-1")


def run_instantiate(context: Context, arguments: Arguments) -> None:
    remembered = open_memory(context, arguments, read_only=_is_read_only(context, arguments))
    if remembered is not None:
        remembered.is_brief = not arguments.has("add-root")
    if remembered is not None and arguments.flag("eval"):
        from frazil.cli.remembered import ask_output

        if not ask_output(remembered, _output_detail(arguments)):
            with_deep_stack(lambda: _run_recorded(context, arguments, remembered))
        return
    attributes = arguments.all("attr") or [""]
    known = {} if remembered is None else recall(remembered, attributes)
    found: list[tuple[StorePath, str]]
    if len(known) == len(set(attributes)):
        found = [pair for text in attributes for pair in known[text]]
    else:
        found = with_deep_stack(lambda: _run(context, arguments, remembered, known))
    _add_roots(context, arguments, found)


def _is_read_only(context: Context, arguments: Arguments) -> bool:
    eval_only = arguments.flag("eval") or arguments.flag("parse")
    return arguments.flag("dry-run") or (eval_only and not arguments.flag("read-write-mode")) or context.read_only


def open_memory(
    context: Context, arguments: Arguments, *, read_only: bool, default_file: str = "./default.nix"
) -> Remembered | None:
    """Of one file or expression; the rest is always evaluated."""
    names = arguments.positional
    if any(arguments.flag(name) for name in ("parse", "find-file")) or len(names) > 1:
        return None
    file = expression = None
    if not arguments.flag("expr") or names == ["-"]:
        file = names[0] if names else default_file
    elif names:
        expression = names[0]
    else:
        return None
    if not can_be_remembered(context, arguments, file, expression):
        return None
    from frazil.cli.ahead import before_remembering

    before_remembering()
    from frazil.cli.remembered import open_remembered

    return open_remembered(context, arguments, file, expression, pure=False, read_only=read_only)


def recall(remembered: Remembered, attributes: list[str]) -> dict[str, list[tuple[StorePath, str]]]:
    """What is remembered of each attribute."""
    from frazil.cli.remembered import ask_derivations

    known = {}
    for text in attributes:
        found = ask_derivations(remembered, text)
        if found is None:
            found = remembered.tree(text).ask()
        if found is not None:
            known[text] = found
    return known


def _output_detail(arguments: Arguments) -> dict[str, Any]:
    flags = [name for name in ("strict", "json", "raw", "xml", "no-location") if arguments.flag(name)]
    return {"kind": "output", "attribute": arguments.all("attr"), "flags": flags}


def _run_recorded(context: Context, arguments: Arguments, remembered: Remembered) -> None:
    """Evaluates, prints, and remembers what was printed."""
    printed: list[bytes] = []
    context.printed = printed
    holder: list[Session] = []
    _run(context, arguments, remembered, {}, holder)
    context.printed = None
    from frazil.cli.remembered import keep_output

    keep_output(remembered, holder[0], _output_detail(arguments), b"".join(printed))


def _run(
    context: Context,
    arguments: Arguments,
    remembered: Remembered | None,
    known: dict[str, list[tuple[StorePath, str]]],
    holder: list[Session] | None = None,
) -> list[tuple[StorePath, str]]:
    """`known`: attributes that need no evaluation. `holder` gets the session."""
    parse_only = arguments.flag("parse")
    eval_only = arguments.flag("eval") or parse_only
    found: list[tuple[StorePath, str]] = []
    attributes = arguments.all("attr") or [""]
    recorder = None if remembered is None else remembered.recorder
    session = make_session(
        context, arguments, pure=False, read_only=_is_read_only(context, arguments), recorder=recorder
    )
    if holder is not None:
        holder.append(session)
    with session:
        if remembered is not None and len(attributes) - len(known) > 1:
            remembered.tell_apart(session)
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
            called = called_root(session.evaluator, root, given)
            if remembered is not None:
                remembered.begin_answer(shared=True)
            for text in attributes:
                if text in known:
                    found += known[text]
                    continue
                if remembered is not None:
                    remembered.begin_answer()
                value = select_path(session, root, text, given, called)
                if eval_only:
                    _show(context, arguments, session, value, given)
                    continue
                alone = len(attributes) - len(known) == 1
                found += remembered_derivations(session, value, given, remembered, text, alone=alone)
    if remembered is not None:
        remembered.flush()
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


def called_root(evaluator: Any, root: Any, given: dict[str, Any]) -> Any:
    """The root of several attributes is called once, where it is a function."""
    from frazil.flake.selection import called_root as call

    return call(evaluator, root, given)


def select_path(session: Session, root: Any, text: str, given: dict[str, Any], called: Any = None) -> Any:
    """`-A`'s rule: functions on the way are called with --arg's values."""
    if not text:
        return session.evaluator.force(root)
    from frazil.flake.cursor import parse_attribute_path
    from frazil.flake.selection import select

    names = parse_attribute_path(os.fsencode(text).decode("latin-1"))
    return session.evaluator.force(select(session.evaluator, root, names, given, called))


def derivations_of(session: Session, value: Any, given: dict[str, Any]) -> list[tuple[StorePath, str]]:
    """(derivation, output) of every derivation that a value holds."""
    from frazil.flake.derivations import derivation_and_output, find_derivations

    directory = session.effects.directory
    return [derivation_and_output(each) for each in find_derivations(session.evaluator, value, directory, given)]


def remembered_derivations(
    session: Session, value: Any, given: dict[str, Any], remembered: Remembered | None, text: str, *, alone: bool
) -> list[tuple[StorePath, str]]:
    """The same; what is found is remembered, each derivation of a list or set for itself."""
    if remembered is None:
        return derivations_of(session, value, given)
    from frazil.cli.remembered import keep_derivations
    from frazil.flake.derivations import package_of

    value = session.evaluator.auto_call(session.evaluator.force(value), given)
    if package_of(session.evaluator, value, session.effects.directory) is None:
        tree = remembered.tree(text)
        if not remembered.tells_apart:
            remembered.tell_apart(session)
        found = tree.evaluate(session, value, given)
        if found is not None:
            return found
    pairs = derivations_of(session, value, given)
    keep_derivations(remembered, session, text, pairs, alone=alone)
    return pairs


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

        def show(text: str) -> None:
            context.print_byte_string(text, end="")

        # As in Nix, which writes while it evaluates: an error leaves the part before it, a whole document.
        show(values.xml_text(session, value, strict=strict, location=location, on_failure=show))
    elif arguments.flag("json"):
        context.print_byte_string(values.json_text(session, value, strict=strict))
    else:
        context.print_byte_string(values.plain_text(session, value, strict=strict))


def _add_roots(context: Context, arguments: Arguments, found: list[tuple[StorePath, str]]) -> None:
    root = arguments.value("add-root")
    if found and root is None and not arguments.flag("no-gc-warning"):
        context.note(
            "you did not specify '--add-root'; the result might be removed by the garbage collector", Verbosity.WARN
        )
    if not found:
        return
    from frazil.store.path import StoreDirectory

    directory = StoreDirectory(context.store_config.store_dir)
    for number, (path, output) in enumerate(found, 1):
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
