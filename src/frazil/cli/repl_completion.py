"""Completing a line of `repl`: names of the scope, attributes of what stands before a dot, files, commands."""

from __future__ import annotations

import os

from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.cli.repl import Repl

BOUNDARIES = " \n\r\t(){}[]"


def complete(repl: Repl, text: str) -> list[tuple[str, int]]:
    """(what could stand at the end of `text`, how many characters of `text` it replaces), sorted."""
    if text.startswith(":") and not any(c in text for c in BOUNDARIES):
        from frazil.cli.repl import commands

        return [(name, len(text)) for name in sorted(commands()) if name.startswith(text)]
    current = text[1 + max(text.rfind(c) for c in BOUNDARIES) :]
    if "/" in current:
        return [(name, len(current)) for name in _files(current)]
    head, dot, name = current.rpartition(".")
    found = _attributes(repl, head) if dot else _names(repl)
    prefix = head + dot
    return [(prefix + n, len(current)) for n in found if n.startswith(name)]


def _files(text: str) -> list[str]:
    folder, _, prefix = text.rpartition("/")
    try:
        names = os.listdir(os.path.expanduser(folder) or "/")
    except OSError:
        return []
    return sorted(f"{folder}/{n}" for n in names if n.startswith(prefix) and not n.startswith("."))


def _names(repl: Repl) -> list[str]:
    return sorted(_shown(name) for name in {*repl.scope, *repl.evaluator.globals})


def _attributes(repl: Repl, text: str) -> list[str]:
    """Of the set that an expression gives; nothing where it gives none."""
    from frazil.cli.repl import Incomplete
    from frazil.lang.values import Attrs

    try:
        value = repl.evaluate(text)
    except (FrazilError, Incomplete, OSError):
        return []
    if not isinstance(value, Attrs):
        return []
    return sorted(_shown(name) for name, _ in repl.evaluator.attrs_items(value))


def _shown(name: str) -> str:
    return os.fsdecode(name.encode("latin-1"))
