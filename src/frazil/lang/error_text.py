"""Values in error messages: short, nothing evaluated; and the distance behind "did you mean".

Source of truth: Nix's `print.cc` with its options for errors, `suggestions.cc`.
"""

from __future__ import annotations

import re
from typing import Any

from frazil.lang.errors import byte_string, shown_path
from frazil.lang.values import (
    Attrs,
    ContextString,
    Lambda,
    PathValue,
    Primop,
    PrimopApplication,
    Thunk,
    thunk_state,
)

MAX_DEPTH = 10
MAX_ITEMS = 10
MAX_STRING = 1024
KEYWORDS = frozenset({"if", "then", "else", "assert", "with", "let", "in", "rec", "inherit"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*\Z")


def quote(text: str, limit: int | None = None) -> str:
    """A string literal as Nix prints it."""
    shown = text if limit is None else text[:limit]
    shown = shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    shown = shown.replace("\t", "\\t").replace("${", "\\${")
    if limit is not None and len(text) > limit:
        return f'"{shown}" ' + elided(len(text) - limit, "byte", "bytes")
    return f'"{shown}"'


def attribute_name(name: str) -> str:
    return name if NAME.match(name) and name not in KEYWORDS else quote(name)


def elided(count: int, single: str, plural: str) -> str:
    return byte_string(f"«{count} {single if count == 1 else plural} elided»")


def format_float(value: float) -> str:
    """As C++ streams print: six significant digits."""
    return "%g" % value


class Shortener:
    """One message's worth of printing: the limits hold for all of it together."""

    def __init__(self) -> None:
        self.attributes = 0
        self.items = 0
        self.seen: set[int] = set()

    def show(self, value: Any, depth: int) -> str:
        kind = type(value)
        if kind is Thunk:
            state, forced = thunk_state(value)
            if state == "done":
                return self.show(forced, depth)
            return byte_string("«potential infinite recursion»" if state == "running" else "«thunk»")
        if kind is Attrs:
            return self.show_attrs(value, depth)
        if kind is list:
            return self.show_list(value, depth)
        return self.show_plain(value)

    def show_member(self, value: Any, depth: int) -> str:
        """What a set or list holds. Nix delays a function that is written there; here it is a value from the start."""
        if type(value) is Lambda:
            return byte_string("«thunk»")
        return self.show(value, depth)

    def show_plain(self, value: Any) -> str:
        if value is None:
            return "null"
        if value is True or value is False:
            return "true" if value else "false"
        if type(value) is float:
            return format_float(value)
        if type(value) is str:
            return quote(value, MAX_STRING)
        if type(value) is ContextString:
            return quote(value.text, MAX_STRING)
        if type(value) is PathValue:
            return shown_path(value.text)
        if type(value) is int:
            return str(value)
        return show_function(value)

    def show_attrs(self, attrs: Attrs, depth: int) -> str:
        if id(attrs) in self.seen:
            return byte_string("«repeated»")
        self.seen.add(id(attrs))
        if depth >= MAX_DEPTH:
            return "{ ... }"
        names = sorted(attrs.names(), key=lambda n: (n not in ("type", "_type"), n))
        parts = []
        for index, name in enumerate(names):
            if self.attributes >= MAX_ITEMS:
                parts.append(elided(len(names) - index, "attribute", "attributes"))
                break
            parts.append(f"{attribute_name(name)} = {self.show_member(attrs.lookup(name), depth + 1)};")
            self.attributes += 1
        return " ".join(["{", *parts, "}"])

    def show_list(self, items: list[Any], depth: int) -> str:
        if items and id(items) in self.seen:
            return byte_string("«repeated»")
        self.seen.add(id(items))
        if depth >= MAX_DEPTH:
            return "[ ... ]"
        parts = []
        for index, item in enumerate(items):
            if self.items >= MAX_ITEMS:
                parts.append(elided(len(items) - index, "item", "items"))
                break
            parts.append(self.show_member(item, depth + 1))
            self.items += 1
        return " ".join(["[", *parts, "]"])


def show_function(value: Any) -> str:
    """`«lambda NAME @ FILE:LINE:COLUMN»`, `«primop NAME»`, `«partially applied primop NAME»`."""
    if type(value) is Lambda:
        expr = value.expr
        name = f" {expr.name}" if expr.name else ""
        position = expr.position()
        where = f" @ {byte_string(str(position))}" if position is not None else ""
        return byte_string("«lambda") + name + where + byte_string("»")
    if type(value) is Primop:
        return byte_string("«primop ") + value.name + byte_string("»")
    if type(value) is PrimopApplication:
        return byte_string("«partially applied primop ") + value.primop.name + byte_string("»")
    return byte_string("«unknown»")


def shorten(value: Any) -> str:
    """A value for an error message, as a byte string."""
    return Shortener().show(value, 0)
