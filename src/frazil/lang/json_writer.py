# cython: binding=True
"""`builtins.toJSON` and `--json`: values to JSON text.

In: a value. Out: a byte string of compact JSON, keys sorted. Everything is evaluated on the way; contexts are
collected. Source of truth: Nix's `value-to-json.cc`; nlohmann/json's serializer for escapes, numbers and the error for
text that is not UTF-8.
"""

import cython
from cython.cimports.frazil.lang.runtime import call_value, force, note_shown, show_type
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    ContextString,
    PathValue,
    State,
    Thunk,
    decimal,
    glance,
    quoted,
    stack_is_low,
    stack_overflow,
)

from frazil.lang.errors import EvalBaseError, EvalError, TypeMismatch
from frazil.lang.numbers import json_float

try:
    from _json import encode_basestring as quote
except ImportError:
    from json.encoder import py_encode_basestring as quote

MANY_PIECES = cython.declare(cython.Py_ssize_t, 8192)
MANY_PIECES = 8192


def to_json_text(state, value, context, *, copy_to_store=True, strict=True):
    """`context`: a set that receives what the text refers to. Without `strict` nothing is evaluated, and what would
    have to be is an error."""
    writer = JSONWriter(state, context)
    writer.strict = strict
    writer.write(value, 0, copy_to_store)
    text = writer.text()
    if not text.isascii():
        check_utf8(text, writer.odd)
    return text


def check_utf8(text, strings):
    """All strings must be UTF-8; the first that is not gives the message."""
    try:
        text.encode("latin-1").decode("utf-8")
        return
    except UnicodeDecodeError:
        pass
    for string in strings:
        message = utf8_error(string)
        if message is not None:
            raise EvalError(f"JSON serialization error: [json.exception.type_error.316] {message}")


def utf8_error(string):
    """What the serializer says about the first bad byte of a string, or None."""
    data = string.encode("latin-1")
    try:
        data.decode("utf-8")
        return None
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            return f"incomplete UTF-8 string; last byte: 0x{data[len(data) - 1]:02X}"
        # Python names the start of the sequence, the serializer the byte that breaks it.
        bad = error.start if error.reason == "invalid start byte" else error.end
        if bad >= len(data):
            bad = len(data) - 1
        return f"invalid UTF-8 byte at index {bad}: 0x{data[bad]:02X}"


@cython.final
@cython.cclass
class JSONWriter:
    """Writes while it evaluates. `odd`: the strings with bytes above 127, in order."""

    state: State
    context: set
    out: list
    ready: list
    odd: list
    strict: cython.bint

    def __init__(self, state, context):
        self.strict = True
        self.state = state
        self.context = context
        self.out = []
        self.ready = []
        self.odd = []

    @cython.cfunc
    def gather(self):
        """Many small texts take several times the memory of a large one."""
        self.ready.append("".join(self.out))
        self.out.clear()

    def text(self):
        self.gather()
        return "".join(self.ready)

    @cython.ccall
    def write(self, cell: object, pos: cython.Py_ssize_t, copy: cython.bint):
        state = self.state
        state.call_depth += 1
        if state.call_depth > state.max_call_depth or stack_is_low():
            raise stack_overflow(state, pos)
        if not self.strict and glance(cell) is MISSING:
            raise TypeMismatch("cannot convert a thunk to JSON", pos=place(cell, pos), positions=state.positions)
        if len(self.out) > MANY_PIECES:
            self.gather()
        value = force(cell)
        kind = type(value)
        if kind is str:
            self.string(value)
        elif kind is ContextString:
            self.context.update(cython.cast(ContextString, value).context)
            self.string(cython.cast(ContextString, value).text)
        elif kind is Attrs:
            self.peel(value, pos, copy, False)
        elif kind is list:
            self.items(value, pos, copy)
        elif value is None:
            self.out.append("null")
        elif kind is bool:
            self.out.append("true" if value else "false")
        elif kind is int:
            self.out.append(decimal(value))
        elif kind is float:
            self.out.append(json_float(value))
        elif kind is PathValue:
            self.path(cython.cast(PathValue, value).text, copy)
        else:
            raise TypeMismatch(
                f"cannot convert {show_type(value)} to JSON", pos=place(value, pos), positions=state.positions
            )
        state.call_depth -= 1

    @cython.cfunc
    def string(self, text: str):
        if not text.isascii():
            self.odd.append(text)
        plain: object = quoted(text)
        self.out.append(quote(text) if plain is None else plain)

    @cython.cfunc
    def path(self, text: str, copy: cython.bint):
        if copy:
            text = self.state.effects.copy_path_to_store(text)
            self.context.add(text)
        else:
            note_shown(self.state, text)
        self.string(text)

    @cython.cfunc
    def items(self, items: list, pos: cython.Py_ssize_t, copy: cython.bint):
        if len(items) == 0:
            self.out.append("[]")
            return
        index: cython.Py_ssize_t = 0
        try:
            for item in items:
                self.out.append("," if index else "[")
                self.write(item, pos, copy)
                index += 1
        except EvalBaseError as error:
            error.add_trace(pos, f"while evaluating list element at index {index}")
            raise
        self.out.append("]")

    @cython.cfunc
    def attributes(self, attrs: Attrs, copy: cython.bint):
        if attrs.size() == 0:
            self.out.append("{}")
            return
        first: cython.bint = True
        name: object = None
        try:
            for name in attrs.names():
                self.out.append("{" if first else ",")
                first = False
                self.string(name)
                self.out.append(":")
                self.write(attrs.lookup(name), attrs.position(name), copy)
        except EvalBaseError as error:
            from frazil.lang.error_text import attribute_name

            error.add_trace(attrs.position(name), f"while evaluating attribute '{attribute_name(name)}'")
            raise
        self.out.append("}")

    @cython.cfunc
    def peel(self, cell: object, pos: cython.Py_ssize_t, copy: cython.bint, called: cython.bint):
        """A set, or what `__toString` and `outPath` lead to; `called`: whether `__toString` did."""
        value = force(cell)
        if type(value) is not Attrs:
            kind = type(value)
            if called and kind is not str and kind is not ContextString and kind is not PathValue:
                raise self.wrong("should", value, pos)
            self.write(value, pos, copy and not called)
            return
        attrs: Attrs = cython.cast(Attrs, value)
        found = attrs.lookup("__toString")
        if found is not MISSING:
            self.peel_called(attrs, found, copy)
            return
        found = attrs.lookup("outPath")
        if found is not MISSING:
            self.peel_path(attrs, found, copy, called)
            return
        if called:
            raise self.wrong("must", value, pos)
        self.attributes(attrs, copy)

    @cython.cfunc
    def peel_called(self, attrs: Attrs, function: object, copy: cython.bint):
        where: cython.Py_ssize_t = attrs.position("__toString")
        try:
            result = call_value(self.state, function, [attrs], where)
        except EvalBaseError as error:
            error.add_trace(where, "while calling the `__toString` attribute")
            raise
        self.deeper(result, where, copy, True, "result of the `__toString`")

    @cython.cfunc
    def peel_path(self, attrs: Attrs, found: object, copy: cython.bint, called: cython.bint):
        where: cython.Py_ssize_t = attrs.position("outPath")
        try:
            found = force(found)
        except EvalBaseError as error:
            error.add_trace(where, "while evaluating the `outPath` attribute")
            raise
        self.deeper(found, where, copy, called, "`outPath`")

    @cython.cfunc
    def deeper(self, value: object, where: cython.Py_ssize_t, copy: cython.bint, called: cython.bint, what: str):
        state = self.state
        state.call_depth += 1
        if state.call_depth > state.max_call_depth or stack_is_low():
            raise stack_overflow(state, where)
        try:
            self.peel(value, where, copy, called)
        except EvalBaseError as error:
            error.add_trace(where, f"while using the {what} attribute")
            raise
        state.call_depth -= 1

    @cython.cfunc
    def wrong(self, verb: str, value: object, pos: cython.Py_ssize_t) -> object:
        from frazil.lang.error_text import shorten

        return TypeMismatch(
            f"`__toString` {verb} return a string, but got {show_type(value)}: {shorten(value)}",
            pos=pos,
            positions=self.state.positions,
        )


def place(value, pos):
    """Where a function is written, else `pos`."""
    expr = getattr(value, "expr", None)
    return expr.pos if expr is not None and expr.pos else pos


_ = Thunk
