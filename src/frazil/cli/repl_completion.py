"""Completing a line of `repl`: names of the scope, attributes of what stands before a dot, files, flakes, commands."""

from __future__ import annotations

import os

from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.cli.repl import Repl

BOUNDARIES = " \n\r\t(){}[]"
LONGEST_EVALUATION = 2.0
"""Seconds. A terminal that waits for Tab hears no Ctrl-C."""
OF_FILES = frozenset({":l", ":load"})
OF_FLAKES = frozenset({":lf", ":load-flake"})


def complete(repl: Repl, text: str) -> list[tuple[str, int]]:
    """(what could stand at the end of `text`, how many characters of `text` it replaces), sorted."""
    if text.startswith(":") and not any(c in text for c in BOUNDARIES):
        return [(name, len(text)) for name in sorted(repl.known_commands()) if name.startswith(text)]
    command, _, argument = text.partition(" ")
    if command in OF_FILES | OF_FLAKES and not any(c in argument for c in BOUNDARIES):
        found = _files(argument, folders_only=command in OF_FLAKES)
        found += _registered(repl, argument) if command in OF_FLAKES else []
        return [(name, len(argument)) for name in found]
    current = text[1 + max(text.rfind(c) for c in BOUNDARIES) :]
    if "/" in current:
        return [(name, len(current)) for name in _files(current)]
    head, dot, name = current.rpartition(".")
    names = _attributes(repl, head) if dot else _names(repl)
    prefix = head + dot
    return [(prefix + n, len(current)) for n in names if n.startswith(name)]


def _files(text: str, *, folders_only: bool = False) -> list[str]:
    folder, slash, prefix = text.rpartition("/")
    at = os.path.expanduser(folder) if folder else slash or "."
    try:
        names = os.listdir(at)
    except OSError:
        return []
    found = sorted(n for n in names if n.startswith(prefix) and (not n.startswith(".") or prefix.startswith(".")))
    if folders_only:
        found = [n for n in found if os.path.isdir(os.path.join(at, n))]
    return [f"{folder}{slash}{n}" for n in found]


def _registered(repl: Repl, text: str) -> list[str]:
    """Names of the user's own flake registry: the global one may have to be downloaded."""
    from frazil.fetch.registry import Registry, user_registry_path

    try:
        registry = Registry.read(user_registry_path(repl.context.fetch_settings), lambda _: None, "user")
    except (FrazilError, OSError):
        return []
    names = {str(entry.source.get("id", "")) for entry in registry.entries}
    return sorted(name for name in names if name and name.startswith(text))


def _names(repl: Repl) -> list[str]:
    return sorted(_shown(name) for name in {*repl.scope, *repl.evaluator.globals})


def _attributes(repl: Repl, text: str) -> list[str]:
    """Of the set that an expression gives; nothing where it gives none, or takes too long to."""
    from threading import Timer

    from frazil.cli.repl import Incomplete
    from frazil.lang.errors import Interrupted
    from frazil.lang.values import Attrs

    timer = Timer(LONGEST_EVALUATION, repl.evaluator.interrupt)
    timer.daemon = True
    timer.start()
    try:
        value = repl.evaluate(text)
        if not isinstance(value, Attrs):
            return []
        return sorted(_shown(name) for name, _ in repl.evaluator.attrs_items(value))
    except (FrazilError, Incomplete, Interrupted, OSError, MemoryError):
        return []
    finally:
        timer.cancel()


def _shown(name: str) -> str:
    return os.fsdecode(name.encode("latin-1"))
