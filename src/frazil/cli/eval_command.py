"""`eval`: the value of an installable. Source: the manual page of `nix eval`."""

from __future__ import annotations

import os

from frazil.cli.common_options import INSTALLABLES, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import byte_string, with_deep_stack, working_directory
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.instantiate.session import Session


def run_eval(context: Context, arguments: Arguments) -> None:
    if arguments.flag("raw") and arguments.flag("json"):
        raise UsageError("--raw and --json are mutually exclusive")
    with_deep_stack(lambda: _evaluate(context, arguments))


def _evaluate(context: Context, arguments: Arguments) -> None:
    from frazil.cli.installables import Opened

    opened = Opened(context, arguments, read_only=arguments.flag("readonly-mode"))
    with opened.session as session:
        value = opened.value()
        apply = arguments.value("apply")
        if apply is not None:
            function = session.evaluator.eval_string(os.fsencode(apply), working_directory())
            value = session.evaluator.call(function, value)
        _show(context, arguments, session, value)


def _show(context: Context, arguments: Arguments, session: Session, value: Any) -> None:
    from frazil.cli import values

    target = arguments.value("write-to")
    if target is not None:
        if os.path.lexists(target):
            raise FrazilError(f"path '{os.path.abspath(target)}' already exists")
        _write(session, value, os.fsencode(os.path.abspath(target)))
    elif arguments.flag("raw"):
        context.print_byte_string(values.raw_text(session, value, "while generating the eval command output"), end="")
    elif arguments.flag("json"):
        text = values.json_text(session, value, copy_to_store=False)
        pretty = arguments.flag("pretty") or (os.isatty(1) and not arguments.flag("no-pretty"))
        context.print_byte_string(values.indented_json(text) if pretty else text)
    else:
        context.print_byte_string(values.pretty_text(session, value))


def _write(session: Session, value: Any, path: bytes) -> None:
    """Strings become files, sets become folders."""
    from frazil.lang.errors import EvalBaseError, EvalError
    from frazil.lang.values import Attrs, ContextString

    value = session.evaluator.force(value)
    if isinstance(value, str | ContextString):
        text = value if isinstance(value, str) else value.text
        with open(path, "xb") as file:
            file.write(text.encode("latin-1"))
        return
    if not isinstance(value, Attrs):
        raise EvalError(f"value at '{path.decode('latin-1')}' is not a string or an attribute set")
    os.mkdir(path)
    for name, item in session.evaluator.attrs_items(value):
        try:
            if name in (".", "..") or "/" in name or "\0" in name or not name:
                raise EvalError(f"invalid file name '{name}'")
            _write(session, item, path + b"/" + name.encode("latin-1"))
        except EvalBaseError as error:
            error.add_trace(value.position(name), f"while evaluating the attribute '{name}'")
            raise


COMMANDS = {
    "eval": Command(
        run_eval,
        "evaluate a Nix expression",
        INSTALLABLES,
        JSON,
        (
            Option("--raw", "Print the string without quotes or a final newline."),
            Option("--apply", "Apply the function *expr* to the value first.", "expr"),
            Option("--write-to", "Write a string, or a set of strings, to *path*.", "path"),
            Option("--read-only", "Instantiate nothing.", key="readonly-mode"),
        ),
        positional="installable",
        at_most=1,
        examples=[
            ("Evaluate an expression", "frazil eval --expr '1 + 2'"),
            ("The version of a flake's package, as plain text", "frazil eval --raw .#hello.version"),
        ],
    )
}

__all__ = ["COMMANDS", "byte_string"]
