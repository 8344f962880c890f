"""Calls from one compiled module into another, as C calls.

Cython's modules reach each other's functions through pointers that are filled in at import. Here all modules are parts
of one shared object, so each such pointer becomes a declaration of the function itself, which the linker resolves and
the optimiser may inline. What Cython checks at import, that both sides mean the same signature, it still checks.

In, out: texts of C files as Cython 3 writes them. Where they do not look as expected they are returned unchanged: calls
through pointers work in one shared object, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

Key = TypeVar("Key")

POINTER = re.compile(r"^static ([^;=]*?)\(\*(__pyx_f_6frazil_\w+)\)\((.*)\); ?/\* ?proto ?\*/$", re.MULTILINE)
HIDDEN = '__attribute__((visibility("hidden"))) '
SINK = "frazil_unused_pointer"
"""Takes the addresses that the import hands out."""
HEAD = "/* --- Runtime support code (head) --- */"


class Unexpected(Exception):
    """The C text is none that we know."""


def call_directly(texts: Mapping[Key, str]) -> dict[Key, str]:
    try:
        return _rewritten(texts)
    except Unexpected:
        return dict(texts)


def _rewritten(texts: Mapping[Key, str]) -> dict[Key, str]:
    importers: dict[str, set[Key]] = {}
    for key, text in texts.items():
        for match in POINTER.finditer(text):
            importers.setdefault(match[2], set()).add(key)
    written, defined = {}, set()
    for key, text in texts.items():
        imported = {name for name, keys in importers.items() if key in keys}
        text = _declare(text, imported)
        text, own = _export(text, set(importers) - imported)
        defined |= own
        written[key] = text
    if defined != set(importers):
        raise Unexpected
    return written


def _declare(text: str, names: set[str]) -> str:
    """Pointers become declarations; what was to fill them in fills a variable that nobody reads."""
    if not names:
        return text
    text = POINTER.sub(lambda m: f"{HIDDEN}{m[1]}{m[2]}({m[3]}); /*proto*/", text)
    for name in names:
        text, count = re.subn(rf"\(void \(\*\*\)\(void\)\)&{name}\b", f"(void (**)(void))&{SINK}", text)
        if count != 1:
            raise Unexpected
    if text.count(HEAD) != 1:
        raise Unexpected
    return text.replace(HEAD, f"static void (*{SINK})(void);\n{HEAD}")


FUNCTION = re.compile(r"^static ([^;={(]*?\b(__pyx_f_6frazil_\w+)\()", re.MULTILINE)


def _export(text: str, wanted: set[str]) -> tuple[str, set[str]]:
    """Functions that others call are no longer their file's own, but stay the shared object's."""
    found = {match[2] for match in FUNCTION.finditer(text) if match[2] in wanted and "CYTHON_INLINE" not in match[1]}
    if not found:
        return text, found
    return FUNCTION.sub(lambda m: (HIDDEN if m[2] in found else "static ") + m[1], text), found
