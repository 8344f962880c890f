# cython: binding=True
"""`builtins.toXML` and `--xml`: values to XML text.

In: a value. Out: a byte string, indented by two spaces a level. Source of truth: Nix's `value-to-xml.cc`,
`xml-writer.cc`.
"""

import cython
from cython.cimports.frazil.lang.runtime import force, is_derivation, note_shown
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    ContextString,
    Lambda,
    PathValue,
    State,
    Thunk,
    stack_is_low,
    stack_overflow,
)

from frazil.lang.errors import EvalBaseError
from frazil.lang.numbers import format_float
from frazil.lang.values import thunk_state

HEADER = "<?xml version='1.0' encoding='utf-8'?>\n"


def escape(text: str) -> str:
    """Attribute values; line ends would otherwise be read as spaces."""
    if "&" in text:
        text = text.replace("&", "&amp;")
    return text.replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "&#xA;")


def to_xml_text(state, value, context, *, strict=True, location=False, on_failure=None):
    """`strict`: evaluate everything; `location`: say where attributes and functions are written. `on_failure` is given
    what was written until an error, with all elements closed."""
    writer = XMLWriter(state, context, strict, location)
    try:
        writer.open("expr", {})
        writer.write(value, 0)
    except EvalBaseError:
        if on_failure is not None:
            writer.close_all()
            on_failure(HEADER + "".join(writer.out))
        raise
    writer.close_all()
    return HEADER + "".join(writer.out)


@cython.final
@cython.cclass
class XMLWriter:
    state: State
    context: set
    out: list
    seen: set
    opened: list
    strict: cython.bint
    location: cython.bint

    def __init__(self, state, context, strict, location):
        self.state = state
        self.context = context
        self.out = []
        self.seen = set()
        self.opened = []
        self.strict = strict
        self.location = location

    def open(self, name, attributes):
        self.tag(name, attributes, ">\n")
        self.opened.append(name)

    def close(self, name):
        self.opened.pop()
        self.out.append("  " * len(self.opened) + f"</{name}>\n")

    def close_all(self):
        """All elements that are open."""
        while self.opened:
            self.close(self.opened[len(self.opened) - 1])

    def empty(self, name, attributes):
        self.tag(name, attributes, " />\n")

    def tag(self, name, attributes, end):
        self.out.append("  " * len(self.opened) + "<" + name)
        for key in sorted(attributes):
            self.out.append(f' {key}="{escape(attributes[key])}"')
        self.out.append(end)

    def place(self, attributes, pos):
        found = self.state.positions.file_line_column(pos)
        if found is None:
            return
        if found[1]:
            attributes["path"] = found[0]
        attributes["line"] = str(found[2])
        attributes["column"] = str(found[3])

    @cython.ccall
    def write(self, cell: object, pos: cython.Py_ssize_t):
        state = self.state
        state.call_depth += 1
        if state.call_depth > state.max_call_depth or stack_is_low():
            raise stack_overflow(state, pos)
        value = self.value_of(cell)
        kind = type(value)
        if value is MISSING:
            self.empty("unevaluated", {})
        elif kind is int:
            self.empty("int", {"value": str(value)})
        elif kind is bool:
            self.empty("bool", {"value": "true" if value else "false"})
        elif kind is str:
            self.empty("string", {"value": value})
        elif kind is ContextString:
            self.context.update(cython.cast(ContextString, value).context)
            self.empty("string", {"value": cython.cast(ContextString, value).text})
        elif kind is PathValue:
            note_shown(self.state, cython.cast(PathValue, value).text)
            self.empty("path", {"value": cython.cast(PathValue, value).text})
        elif value is None:
            self.empty("null", {})
        elif kind is Attrs:
            self.attrs(value)
        elif kind is list:
            self.open("list", {})
            for item in cython.cast(list, value):
                self.write(item, pos)
            self.close("list")
        elif kind is float:
            self.empty("float", {"value": format_float(value)})
        elif kind is Lambda:
            self.function(value)
        else:
            self.empty("unevaluated", {})
        state.call_depth -= 1

    @cython.cfunc
    def value_of(self, cell: object) -> object:
        """The value; MISSING where it is not known and need not be."""
        if type(cell) is not Thunk:
            return cell
        if self.strict:
            return force(cell)
        status, value = thunk_state(cell)
        return value if status == "done" else MISSING

    @cython.cfunc
    def attrs(self, attrs: Attrs):
        if not self.is_derivation(attrs):
            self.open("attrs", {})
            self.members(attrs)
            self.close("attrs")
            return
        attributes: dict = {}
        for name in ("drvPath", "outPath"):
            cell = attrs.lookup(name)
            if cell is not MISSING:
                value = self.value_of(cell)
                if type(value) is ContextString:
                    value = cython.cast(ContextString, value).text
                if type(value) is str:
                    attributes[name] = value
        self.open("derivation", attributes)
        path = attributes.get("drvPath", "")
        if path and path not in self.seen:
            self.seen.add(path)
            self.members(attrs)
        else:
            self.empty("repeated", {})
        self.close("derivation")

    @cython.cfunc
    @cython.exceptval(-1)
    def is_derivation(self, attrs: Attrs) -> cython.bint:
        return is_derivation(attrs)

    @cython.cfunc
    def members(self, attrs: Attrs):
        for name in attrs.names():
            attributes: dict = {"name": name}
            pos: cython.Py_ssize_t = attrs.position(name)
            if self.location and pos != 0:
                self.place(attributes, pos)
            self.open("attr", attributes)
            self.write(attrs.lookup(name), pos)
            self.close("attr")

    @cython.cfunc
    def function(self, function: Lambda):
        expr: object = function.expr
        attributes: dict = {}
        if self.location:
            self.place(attributes, expr.pos)
        self.open("function", attributes)
        formals, ellipsis, argument = expr.pattern()
        if formals is None:
            self.empty("varpat", {"name": argument})
        else:
            pattern: dict = {}
            if argument:
                pattern["name"] = argument
            if ellipsis:
                pattern["ellipsis"] = "1"
            self.open("attrspat", pattern)
            for name in sorted([f[0] for f in formals]):
                self.empty("attr", {"name": name})
            self.close("attrspat")
        self.close("function")
