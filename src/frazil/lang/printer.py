# cython: binding=True
"""Values as text: Nix's own notation in all its forms. JSON and XML are reached from here too.

In: a value (or thunk) and options. Out: byte strings. `print_value` is what `nix eval`, the REPL, `builtins.trace` and
error messages show; `print_ambiguous` what `nix-instantiate --eval` and `nix-env` show. Sets and lists met before are
shown as «repeated» where that is asked for; what counts as the same list is the place it was met in, as in Nix. Source
of truth: Nix's `print.cc`, `print-ambiguous.cc`, `print-options.hh`.
"""

import cython
from cython.cimports.frazil.lang.deep_force import determine_pos, force_placed
from cython.cimports.frazil.lang.runtime import coerce_to_string, is_derivation
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    ContextString,
    Lambda,
    PathValue,
    Primop,
    PrimopApplication,
    State,
    Thunk,
    stack_is_low,
    stack_overflow,
)

from frazil.lang.errors import EvalBaseError, EvalError, StackOverflow, byte_string, shown_path
from frazil.lang.numbers import format_float
from frazil.lang.values import thunk_state

UNLIMITED = 1 << 62
KEYWORDS = frozenset(("if", "then", "else", "assert", "with", "let", "in", "rec", "inherit"))
STORE_OBJECT = r"[0-9abcdfghijklmnpqrsvwxyz]{32}-[0-9a-zA-Z+\-._?=]{1,211}"

NORMAL = "\x1b[0m"
FAINT = "\x1b[2m"
RED = "\x1b[31;1m"
GREEN = "\x1b[32;1m"
BLUE = "\x1b[34;1m"
MAGENTA = "\x1b[35;1m"
CYAN = "\x1b[36;1m"

THUNK = byte_string("«thunk»")
REPEATED = byte_string("«repeated»")
RECURSION = byte_string("«potential infinite recursion»")
OPEN = byte_string("«")
CLOSE = byte_string("»")


def quote_string(text, limit=UNLIMITED, ansi=False):
    """A string literal, cut after `limit` bytes."""
    shown = text if len(text) <= limit else text[:limit]
    cut = len(shown) < len(text)
    following = text[len(shown) : len(shown) + 1]
    quoted = shown.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    quoted = quoted.replace("\t", "\\t").replace("${", "\\${")
    if cut and shown.endswith("$") and following == "{":
        quoted = quoted[: len(quoted) - 1] + "\\$"
    result = (MAGENTA if ansi else "") + '"' + quoted + '"'
    if cut:
        return result + " " + elided(len(text) - len(shown), "byte", "bytes", ansi)
    return result + (NORMAL if ansi else "")


def elided(count, single, plural, ansi=False):
    text = f"{OPEN}{count} {single if count == 1 else plural} elided{CLOSE}"
    return FAINT + text + NORMAL if ansi else text


def is_variable_name(name: str) -> bool:
    """Whether an attribute name can be written without quotes."""
    if not name or name in KEYWORDS or not name.isascii():
        return False
    first = name[0]
    if not (first.isalpha() or first == "_"):
        return False
    for c in name:
        if not (c.isalnum() or c == "_" or c == "-" or c == "'"):
            return False
    return True


def attribute_name(name):
    return name if is_variable_name(name) else quote_string(name)


def function_text(state, value):
    """What is printed of a function between « and »."""
    if type(value) is Primop:
        return f"primop {value.name}"
    if type(value) is PrimopApplication:
        return f"partially applied primop {value.primop.name}"
    expr = value.expr
    name = f" {expr.name}" if expr.name else ""
    if state.positions.file_line_column(expr.pos) is None:
        return f"lambda{name}"
    return f"lambda{name} @ {state.positions.show(expr.pos)}"


@cython.final
@cython.cclass
class Printer:
    """One act of printing; the limits hold for all of it together."""

    state: State
    out: list
    options: dict
    context: set
    seen: set
    attributes: cython.longlong
    items: cython.longlong
    indent: str
    evaluate: cython.bint
    pretty: cython.bint
    ansi: cython.bint
    track: cython.bint

    def __init__(self, state, options):
        self.state = state
        self.out = []
        self.options = options
        self.context = options["context"]
        self.seen = set()
        self.attributes = 0
        self.items = 0
        self.indent = ""
        self.evaluate = options["evaluate"]
        self.pretty = options["indent"] > 0
        self.ansi = options["ansi"]
        self.track = options["track_repeated"]

    @cython.ccall
    def show(self, cell: object, depth: cython.longlong):
        if depth > self.state.max_call_depth or stack_is_low():
            raise stack_overflow(self.state, determine_pos(cell))
        try:
            self.show_cell(cell, depth)
        except StackOverflow:
            raise
        except EvalBaseError as error:
            behaviour = self.options["errors"]
            if behaviour == "throw" or (behaviour == "throw-top-level" and depth == 0):
                raise
            text = printable(byte_string(error.message), True)
            self.put(f"{OPEN}error: {text}{CLOSE}", RED)

    @cython.cfunc
    def put(self, text: str, color: str):
        if self.ansi:
            self.out.append(color)
            self.out.append(text)
            self.out.append(NORMAL)
        else:
            self.out.append(text)

    @cython.cfunc
    def show_cell(self, cell: object, depth: cython.longlong):
        value = cell
        if type(cell) is Thunk:
            if self.evaluate:
                value = force_placed(cell)
            else:
                status, value = thunk_state(cell)
                if status == "running":
                    self.put(RECURSION, RED)
                    return
                if status != "done":
                    self.put(THUNK, MAGENTA)
                    return
        kind = type(value)
        if kind is Attrs:
            self.show_attrs(value, depth)
        elif kind is list:
            self.show_list(cell, value, depth)
        elif kind is str:
            self.out.append(quote_string(value, self.options["max_string"], self.ansi))
        elif kind is ContextString:
            if self.context is not None:
                self.context.update(cython.cast(ContextString, value).context)
            text = cython.cast(ContextString, value).text
            self.out.append(quote_string(text, self.options["max_string"], self.ansi))
        elif value is None:
            self.put("null", CYAN)
        elif kind is bool:
            self.put("true" if value else "false", CYAN)
        elif kind is int:
            self.put(str(value), CYAN)
        elif kind is float:
            self.put(format_float(value), CYAN)
        elif kind is PathValue:
            self.put(shown_path(cython.cast(PathValue, value).text), GREEN)
        else:
            self.put(f"{OPEN}{function_text(self.state, value)}{CLOSE}", BLUE)

    @cython.cfunc
    @cython.exceptval(-1)
    def repeated(self, key: object) -> cython.bint:
        """Whether this was shown before; notes it and says so."""
        if not self.track:
            return False
        if key in self.seen:
            self.put(REPEATED, MAGENTA)
            return True
        self.seen.add(key)
        return False

    @cython.cfunc
    def space(self, broken: cython.bint):
        self.out.append("\n" + self.indent if broken else " ")

    @cython.cfunc
    @cython.exceptval(-1)
    def breaks(self, cells: list) -> cython.bint:
        """Whether the elements go on lines of their own: more than one, or one that holds others."""
        if not self.pretty or len(cells) == 0:
            return False
        if len(cells) > 1:
            return True
        value = force_placed(cells[0])
        return type(value) is list or type(value) is Attrs

    @cython.cfunc
    def show_attrs(self, attrs: Attrs, depth: cython.longlong):
        # All empty sets are one and the same.
        if self.repeated(id(attrs) if attrs.size() else 0):
            return
        if self.evaluate and self.options["derivation_paths"] and is_derivation(attrs):
            self.show_derivation(attrs)
            return
        if depth >= self.options["max_depth"]:
            self.out.append("{ ... }")
            return
        outer = self.indent
        self.indent = outer + " " * self.options["indent"]
        self.out.append("{")
        limit: cython.longlong = self.options["max_attributes"]
        names: list = list(attrs.names())
        if limit != UNLIMITED:
            names.sort(key=importance)
        broken: cython.bint = self.breaks([attrs.lookup(name) for name in names[:2]])
        shown: cython.longlong = 0
        for name in names:
            self.space(broken)
            if self.attributes >= limit:
                self.out.append(elided(len(names) - shown, "attribute", "attributes", self.ansi))
                break
            self.out.append(attribute_name(name))
            self.out.append(" = ")
            self.show(attrs.lookup(name), depth + 1)
            self.out.append(";")
            self.attributes += 1
            shown += 1
        self.indent = outer
        self.space(broken)
        self.out.append("}")

    @cython.cfunc
    def show_list(self, cell: object, items: list, depth: cython.longlong):
        if len(items) != 0 and self.repeated(id(cell)):
            return
        if depth >= self.options["max_depth"]:
            self.out.append("[ ... ]")
            return
        outer = self.indent
        self.indent = outer + " " * self.options["indent"]
        self.out.append("[")
        broken: cython.bint = self.breaks(items[:2])
        limit: cython.longlong = self.options["max_items"]
        shown: cython.longlong = 0
        for item in items:
            self.space(broken)
            if self.items >= limit:
                self.out.append(elided(len(items) - shown, "item", "items", self.ansi))
                break
            self.show(item, depth + 1)
            self.items += 1
            shown += 1
        self.indent = outer
        self.space(broken)
        self.out.append("]")

    @cython.cfunc
    def show_derivation(self, attrs: Attrs):
        path = attrs.lookup("drvPath")
        text = f"{OPEN}derivation"
        if path is not MISSING:
            text += " " + store_path(self.state, path, "while evaluating the drvPath of a derivation")
        self.put(text + CLOSE, GREEN)


def importance(name):
    """`type` and `_type` come first where not all are shown."""
    return (name != "type" and name != "_type", name)


def store_path(state, value, trace):
    """The text of something that is a store object's path."""
    text = coerce_to_string(state, value, set(), trace, False, False)
    prefix = state.settings.store_dir + "/"
    if text.startswith(prefix):
        import re

        if re.fullmatch(STORE_OBJECT, text[len(prefix) :]):
            return text
    error = EvalError(f"path '{text}' is not in the Nix store")
    error.add_trace(0, trace)
    raise error


ESCAPE_SEQUENCE = r"(?s)\x1b(?:\[[0-?]*[ -/]*[@-~]?|\].*?(?:\x07|\x1b\\)|.)?"


def printable(text, keep_colors=False):
    """Without terminal control sequences."""
    if "\x1b" not in text and "\r" not in text and "\a" not in text:
        return text
    import re

    def replaced(match):
        return match.group() if keep_colors and match.group().endswith("m") else ""

    return re.sub(ESCAPE_SEQUENCE, replaced, text).replace("\r", "").replace("\a", "")


def print_value(
    state,
    value,
    *,
    evaluate=False,
    derivation_paths=False,
    track_repeated=True,
    max_depth=UNLIMITED,
    max_attributes=UNLIMITED,
    max_items=UNLIMITED,
    max_string=UNLIMITED,
    indent=0,
    errors="print",
    ansi=False,
    context=None,
):
    """Nix's notation.

    `evaluate`: force everything on the way; `derivation_paths`: then show derivations as «derivation PATH»; `indent`:
    over 0, sets and lists go over lines; `errors`: "print" («error: …»), "throw" or "throw-top-level"; `context`: a
    set that receives the string contexts met.
    """
    options = {
        "evaluate": evaluate,
        "derivation_paths": derivation_paths,
        "track_repeated": track_repeated,
        "max_depth": max_depth,
        "max_attributes": max_attributes,
        "max_items": max_items,
        "max_string": max_string,
        "indent": indent,
        "errors": errors,
        "ansi": ansi,
        "context": context,
    }
    printer = Printer(state, options)
    printer.show(value, 0)
    return "".join(printer.out)


def print_ambiguous(state, value, track_repeated=True, context=None):
    """The older notation: `<CODE>`, `<LAMBDA>`; nothing is evaluated."""
    out: list = []
    Ambiguous(state, out, track_repeated, context).show(value, 0)
    return "".join(out)


@cython.final
@cython.cclass
class Ambiguous:
    state: State
    out: list
    seen: set
    track: cython.bint
    context: set

    def __init__(self, state, out, track, context):
        self.state = state
        self.out = out
        self.seen = set()
        self.track = track
        self.context = context

    @cython.ccall
    def show(self, cell: object, depth: cython.longlong):
        if depth > self.state.max_call_depth or stack_is_low():
            raise stack_overflow(self.state, determine_pos(cell))
        value = cell
        if type(cell) is Thunk:
            status, value = thunk_state(cell)
            if status != "done":
                self.out.append(RECURSION if status == "running" else "<CODE>")
                return
        kind = type(value)
        if kind is Attrs:
            self.show_attrs(value, depth)
        elif kind is list:
            self.show_list(cell, value, depth)
        elif kind is str:
            self.out.append(quote_string(value))
        elif kind is ContextString:
            if self.context is not None:
                self.context.update(cython.cast(ContextString, value).context)
            self.out.append(quote_string(cython.cast(ContextString, value).text))
        else:
            self.out.append(ambiguous_atom(value))

    @cython.cfunc
    def show_attrs(self, attrs: Attrs, depth: cython.longlong):
        if self.track and attrs.size() != 0:
            if id(attrs) in self.seen:
                self.out.append(REPEATED)
                return
            self.seen.add(id(attrs))
        self.out.append("{ ")
        for name in attrs.names():
            self.out.append(attribute_name(name))
            self.out.append(" = ")
            self.show(attrs.lookup(name), depth + 1)
            self.out.append("; ")
        self.out.append("}")

    @cython.cfunc
    def show_list(self, cell: object, items: list, depth: cython.longlong):
        if self.track and len(items) != 0:
            if id(cell) in self.seen:
                self.out.append(REPEATED)
                return
            self.seen.add(id(cell))
        self.out.append("[ ")
        for item in items:
            self.show(item, depth + 1)
            self.out.append(" ")
        self.out.append("]")


def ambiguous_atom(value):
    if value is None:
        return "null"
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(value)
    if kind is float:
        return format_float(value)
    if kind is PathValue:
        return shown_path(value.text)
    if kind is Lambda:
        return "<LAMBDA>"
    return "<PRIMOP>" if kind is Primop else "<PRIMOP-APP>"


__all__ = [
    "Printer",
    "attribute_name",
    "function_text",
    "is_variable_name",
    "print_ambiguous",
    "print_value",
    "quote_string",
]
