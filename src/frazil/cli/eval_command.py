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
    from collections.abc import Callable, Mapping
    from typing import Any

    from frazil.cli.installables import Opened
    from frazil.flake.outputs import FlakeInstallable
    from frazil.instantiate.session import Session


def run_eval(context: Context, arguments: Arguments) -> None:
    if arguments.flag("raw") and arguments.flag("json"):
        raise UsageError("--raw and --json are mutually exclusive")
    from frazil.cli.installables import Opened

    opened = Opened(context, arguments, read_only=arguments.flag("readonly-mode"))
    detail = output_detail(opened)
    if opened.remembered is not None:
        opened.remembered.is_brief = True
    if detail is not None and (_ask_output(opened, detail) or _recall_output(context, opened, detail)):
        return
    with_deep_stack(lambda: _evaluate(context, arguments, opened, detail))


def _ask_output(opened: Opened, detail: Mapping[str, Any]) -> bool:
    """Prints what an earlier run printed of a file or an expression. -> whether there was one."""
    if opened.remembered is None:
        return False
    from frazil.cli.remembered import ask_output

    return ask_output(opened.remembered, detail)


def _recall_output(context: Context, opened: Opened, detail: Mapping[str, Any]) -> bool:
    """The same of a local flake."""
    if opened.from_expression:
        return False
    from frazil.cli.doorstep import read_installable

    texts = opened.texts()
    wanted = read_installable(texts[0]) if len(texts) == 1 else None
    doorstep = None if wanted is None else opened.doorstep(wanted.reference)
    if wanted is None or doorstep is None:
        return False
    detail = {**detail, "attribute": None, "paths": doorstep.paths(wanted)}
    found = doorstep.ask(detail, lambda answer: _is_brief_output(context, answer))
    if found is None:
        return False
    doorstep.say([found])
    context.print_byte_string(str(found["output"]), end="")
    return True


def _is_brief_output(context: Context, answer: Mapping[str, Any]) -> bool:
    from frazil.cli.remembered import needs_present

    if not isinstance(answer.get("output"), str):
        return False
    return context.read_only or needs_present(context, answer, brief=True)


def output_detail(opened: Opened) -> dict[str, Any] | None:
    """What decides what is printed; None where files are written."""
    arguments = opened.arguments
    if arguments.has("write-to") or arguments.flag("stdin"):
        return None
    flags = [name for name in ("raw", "json", "pretty", "no-pretty") if arguments.flag(name)]
    terminal = os.isatty(1)
    apply = arguments.value("apply")
    folder = working_directory() if apply is not None else ""
    attribute = opened.texts()
    return {
        "kind": "output",
        "attribute": attribute,
        "flags": flags,
        "terminal": terminal,
        "apply": apply,
        "applyIn": folder,
    }


def _evaluate(context: Context, arguments: Arguments, opened: Opened, detail: dict[str, Any] | None) -> None:
    with opened.session as session:
        memory = None
        if detail is not None and not opened.from_expression:
            installable = _flake_installable(opened)
            if installable is not None:
                memory = installable.memory()
                detail = {**detail, "attribute": None, "paths": installable.attribute_paths()}
            if memory is not None and (known := memory.ask(detail, _is_output(context))) is not None:
                context.print_byte_string(str(known["output"]), end="")
                opened.note_locks()
                return
        value = opened.value()
        apply = arguments.value("apply")
        if apply is not None:
            function = session.evaluator.eval_string(os.fsencode(apply), working_directory())
            value = session.evaluator.call(function, value)
        context.printed = [] if detail is not None else None
        _show(context, arguments, session, value)
        printed, context.printed = context.printed, None
    if detail is None or printed is None:
        return
    text = b"".join(printed)
    if opened.remembered is not None:
        from frazil.cli.remembered import keep_output

        keep_output(opened.remembered, session, detail, text)
    elif memory is not None:
        answer = {"output": text.decode("latin-1"), "needs": session.effects.loose_ends()}
        memory.keep(detail, answer, text)
        opened.note_locks()


def _flake_installable(opened: Opened) -> FlakeInstallable | None:
    """The only installable, where it is a flake's output."""
    from frazil.flake.outputs import FlakeInstallable

    texts = opened.texts()
    (installable,) = opened.parse(texts) if len(texts) == 1 else (None,)
    return installable if isinstance(installable, FlakeInstallable) else None


def _is_output(context: Context) -> Callable[[Mapping[str, Any]], bool]:
    def is_good(answer: Mapping[str, Any]) -> bool:
        from frazil.evalcache.objects import are_present

        needs = answer.get("needs")
        if not isinstance(answer.get("output"), str) or not isinstance(needs, list):
            return False
        return context.read_only or are_present(context.store, needs)

    return is_good


def _show(context: Context, arguments: Arguments, session: Session, value: Any) -> None:
    from frazil.cli import values

    target = arguments.value("write-to")
    if target is not None:
        if os.path.lexists(target):
            raise FrazilError(f"path '{target}' already exists")
        _write(session, value, os.fsencode(os.path.abspath(target)), 0)
    elif arguments.flag("raw"):
        context.print_byte_string(values.raw_text(session, value, "while generating the eval command output"), end="")
    elif arguments.flag("json"):
        text = values.json_text(session, value, copy_to_store=False)
        pretty = arguments.flag("pretty") or (os.isatty(1) and not arguments.flag("no-pretty"))
        context.print_byte_string(values.indented_json(text) if pretty else text)
    else:
        context.print_byte_string(values.pretty_text(session, value))


def _write(session: Session, value: Any, path: bytes, pos: int) -> None:
    """Strings become files, sets become folders. `pos`: where the value is defined."""
    from frazil.lang.errors import EvalBaseError, EvalError
    from frazil.lang.values import Attrs, ContextString

    value = session.evaluator.force(value)
    if isinstance(value, str | ContextString):
        text = value if isinstance(value, str) else value.text
        with open(path, "xb") as file:
            file.write(text.encode("latin-1"))
        return
    if not isinstance(value, Attrs):
        place = session.evaluator.positions.show(pos)
        raise EvalError(f"value at '{place}' is not a string or an attribute set")
    os.mkdir(path)
    for name, item in session.evaluator.attrs_items(value):
        try:
            if name in (".", "..") or "/" in name or "\0" in name or not name:
                raise EvalError(f"invalid file name '{name}'")
            _write(session, item, path + b"/" + name.encode("latin-1"), value.position(name))
        except EvalBaseError as error:
            error.positions = session.evaluator.positions
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
