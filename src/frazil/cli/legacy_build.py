"""`nix-build`: evaluation, building and links in one. Source: its manual page."""

from __future__ import annotations

import os

from frazil.cli.build_command import build_paths, outputs_of
from frazil.cli.common_options import EVALUATION
from frazil.cli.context import Context
from frazil.cli.evaluation import (
    auto_arguments,
    file_argument,
    make_session,
    read_input,
    with_deep_stack,
    working_directory,
)
from frazil.cli.legacy_instantiate import STDIN, called_root, open_memory, recall, remembered_derivations, select_path
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.cli.result_links import add_result_link
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.cli.remembered import Remembered
    from frazil.instantiate.session import Session
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath


def run_build(context: Context, arguments: Arguments) -> None:
    attributes = arguments.all("attr") or [""]
    named = [name for name in arguments.positional if _may_be_derivation(name)]
    remembered = None
    if not named or arguments.flag("expr"):
        remembered = open_memory(context, arguments, read_only=context.read_only, default_file=".")
    known = {} if remembered is None else recall(remembered, attributes)
    if len(known) == len(set(attributes)):
        wanted = [pair for text in attributes for pair in known[text]]
    else:
        wanted = with_deep_stack(lambda: evaluate(context, arguments, remembered, known))
    paths = _targets(wanted)
    if arguments.flag("dry-run"):
        from frazil.activity import Verbosity
        from frazil.cli.build_command import print_missing

        print_missing(context, paths, Verbosity.INFO)
        return
    mode = "check" if arguments.flag("check") else "repair" if arguments.flag("repair") else "normal"
    build_paths(context, paths, mode=mode)
    _show_results(context, arguments, wanted)


def evaluate(
    context: Context,
    arguments: Arguments,
    remembered: Remembered | None,
    known: dict[str, list[tuple[StorePath, str]]],
) -> list[tuple[StorePath, str]]:
    """(derivation, output) pairs, instantiated. `known`: by attribute, of those that need no evaluation."""
    found: list[tuple[StorePath, str]] = []
    attributes = arguments.all("attr") or [""]
    recorder = None if remembered is None else remembered.recorder
    with make_session(context, arguments, pure=False, read_only=context.read_only, recorder=recorder) as session:
        if remembered is not None and len(attributes) - len(known) > 1:
            remembered.tell_apart(session)
        given = auto_arguments(session, arguments)
        for item in _items(context, session, arguments):
            if isinstance(item, tuple):
                found.append(item)
                continue
            root = session.evaluator.evaluate(item)
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
                alone = len(attributes) - len(known) == 1
                found += remembered_derivations(session, value, given, remembered, text, alone=alone)
    if remembered is not None:
        remembered.flush()
    return found


def _items(context: Context, session: Session, arguments: Arguments) -> list[Any]:
    """Parsed expressions, or (derivation, output) pairs for `.drv` files named directly."""
    evaluator = session.evaluator
    names = [name for name in arguments.positional if name != "-"]
    if len(names) < len(arguments.positional):
        return [evaluator.parse_string(read_input("-"), working_directory(), STDIN)]
    if arguments.flag("expr"):
        return [evaluator.parse_string(os.fsencode(name), working_directory()) for name in names]
    items: list[Any] = []
    for name in names or ["."]:
        stored = stored_derivation(context, name)
        items += stored or [evaluator.parse_file(file_argument(session, name))]
    return items


def _may_be_derivation(name: str) -> bool:
    path = name.partition("!")[0]
    return path.endswith(".drv") or os.path.islink(path)


def stored_derivation(context: Context, name: str) -> list[tuple[StorePath, str]]:
    path, mark, outputs = name.partition("!")
    if not _may_be_derivation(name):
        return []
    from frazil.store.errors import BadStorePath

    try:
        derivation = context.store.follow_links_to_store_path(path)
    except BadStorePath:
        return []
    if not derivation.is_derivation:
        return []
    if "," in outputs:
        raise FrazilError(f"building more than one derivation output is not supported, in '{name}'")
    drv = context.store.read_derivation(derivation)
    output = outputs if mark else drv.environment.get("outputName", "out")
    if output not in drv.outputs:
        raise FrazilError(
            f"derivation '{context.store.show(derivation)}' does not have output '{output}'",
            hint=f"its outputs are: {', '.join(sorted(drv.outputs))}",
        )
    return [(derivation, output)]


def _targets(wanted: list[tuple[StorePath, str]]) -> list[DerivedPath]:
    from frazil.store.derived_path import DerivedPath, OutputsSpec

    outputs: dict[StorePath, set[str]] = {}
    for derivation, output in wanted:
        outputs.setdefault(derivation, set()).add(output)
    return [DerivedPath(path, OutputsSpec(frozenset(names))) for path, names in outputs.items()]


def _show_results(context: Context, arguments: Arguments, wanted: list[tuple[StorePath, str]]) -> None:
    """One link for each derivation (numbered) and output (named), and what they point at."""
    link = arguments.value("out-link", "./result") or "./result"
    make_links = not context.store_is_cache and not arguments.came_last("no-out-link", "out-link")
    numbers: dict[StorePath, int] = {}
    shown = []
    for derivation, output in wanted:
        number = numbers.setdefault(derivation, len(numbers))
        (path,) = _targets([(derivation, output)])
        for _, output_path in outputs_of(context, path):
            text = context.store.show(output_path)
            if make_links:
                name = link + (f"-{number + 1}" if number else "") + (f"-{output}" if output != "out" else "")
                add_result_link(context.store, output_path, name)
            shown.append(text)
    for text in shown:
        context.print(text)


OPTIONS = (
    Option("--expr -E", "The arguments are expressions, not files."),
    Option("--attr -A", "Build the attribute *path*.", "path", kind=APPEND),
    Option("--no-out-link --no-link", "Make no links.", key="no-out-link"),
    Option("--out-link -o", "Name the links *path* instead of `result`.", "path"),
    Option("--dry-run", "Only say what would be built."),
    Option("--check", "Build again what is there, and compare."),
    Option("--add-drv-link", "No longer means anything.", hidden=True),
    Option("--indirect", "No longer means anything.", hidden=True),
    Option("--drv-link", "No longer means anything.", "path", hidden=True),
    Option("--pure", "Means something to nix-shell only.", hidden=True),
    Option("--exclude", "Means something to nix-shell only.", "regexp", kind=APPEND, hidden=True),
    Option("--keep", "Means something to nix-shell only.", "name", kind=APPEND, hidden=True),
)

PROGRAMS = {
    "nix-build": Command(
        run_build,
        "build a Nix expression",
        OPTIONS,
        EVALUATION,
        positional="paths…",
        at_most=None,
        examples=[("Build an attribute of ./default.nix", "nix-build -A hello")],
    )
}
