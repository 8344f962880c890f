# cython: binding=True
"""Expressions as `nix-instantiate --parse` prints them: Nix's `show` methods in `nixexpr.cc`, same desugaring.

In: an expression, resolved or not. Out: a byte string.
"""

import cython
from cython.cimports.frazil.lang.concatenation import ConcatLists, ConcatStrings
from cython.cimports.frazil.lang.functions import CallNode, Formal, FormalsLambda, SimpleLambda
from cython.cimports.frazil.lang.observed import (
    Counted,
    CountedSubject,
    WatchedBody,
    WatchedCall,
    WatchedPlace,
    WatchedSelection,
)
from cython.cimports.frazil.lang.operators import And, Arithmetic, Assert, Binary, Equals, If, Implies, Not, Or, Update
from cython.cimports.frazil.lang.selection import HasAttr, Select
from cython.cimports.frazil.lang.sets import AttrDef, AttrsExpr, DynamicDef, LetExpr, ListExpr
from cython.cimports.frazil.lang.values import PathValue, stack_is_low, stack_overflow
from cython.cimports.frazil.lang.variables import CurrentPosition, InheritFrom, Literal, Var, With

from frazil.lang.error_text import attribute_name, format_float, quote
from frazil.lang.functions import arguments_of
from frazil.lang.selection import path_items

FUNCTIONS = ("__sub", "__mul", "__div", "__lessThan")


def show_expr(expr) -> str:
    out: list = []
    write(out, expr)
    return "".join(out)


def show_name(name):
    return name if name == "or" else attribute_name(name)


def show_attr_path(path) -> str:
    return ".".join([show_name(e) if type(e) is str else '"${' + show_expr(e) + '}"' for e in path])


def write(out, expr):
    """Append the text of an expression."""
    if stack_is_low():
        raise stack_overflow(None, 0)
    if isinstance(expr, Var):
        out.append(show_name(cython.cast(Var, expr).name))
    elif isinstance(expr, Literal):
        write_literal(out, cython.cast(Literal, expr).value)
    elif isinstance(expr, CallNode):
        write_call(out, expr)
    elif isinstance(expr, Select):
        write_select(out, expr)
    elif isinstance(expr, AttrsExpr):
        attrs: AttrsExpr = expr
        out.append("rec { " if attrs.recursive else "{ ")
        write_bindings(out, attrs)
        out.append("}")
    elif isinstance(expr, ConcatStrings):
        write_joined(out, "(", " + ", cython.cast(ConcatStrings, expr).parts)
    elif isinstance(expr, ListExpr):
        out.append("[ ")
        for element in cython.cast(ListExpr, expr).elements:
            out.append("(")
            write(out, element)
            out.append(") ")
        out.append("]")
    elif isinstance(expr, (SimpleLambda, FormalsLambda)):
        write_lambda(out, expr)
    elif isinstance(expr, Binary):
        write_binary(out, expr)
    else:
        write_other(out, expr)


def write_literal(out, value):
    if type(value) is str:
        out.append(quote(value))
    elif type(value) is float:
        out.append(format_float(value))
    elif type(value) is PathValue:
        out.append(cython.cast(PathValue, value).text)
    else:
        out.append(str(value))


def write_joined(out, opening, separator, exprs):
    out.append(opening)
    first = True
    for expr in exprs:
        if not first:
            out.append(separator)
        first = False
        write(out, expr)
    out.append(")")


def write_call(out, expr):
    call: CallNode = expr
    write_joined(out, "(", " ", [call.function, *arguments_of(call)])


def write_select(out, expr):
    select: Select = expr
    out.append("(")
    write(out, select.subject)
    out.append(").")
    out.append(show_attr_path(path_items(select.path)))
    if select.default is not None:
        out.append(" or (")
        write(out, select.default)
        out.append(")")


def write_binary(out, expr):
    operators = {And: "&&", Or: "||", Implies: "->", Update: "//", ConcatLists: "++"}
    binary: Binary = expr
    if type(expr) is Equals:
        sign = "!=" if cython.cast(Equals, expr).negated else "=="
    else:
        sign = operators[type(expr)]
    write_joined(out, "(", f" {sign} ", [binary.left, binary.right])


def write_other(out, expr):
    kind = type(expr)
    if kind is WatchedCall:
        watched: WatchedCall = expr
        write_joined(out, "(", " ", [watched.function, *watched.arguments])
    elif kind is WatchedSelection:
        write(out, cython.cast(WatchedSelection, expr).body)
    elif kind is WatchedBody:
        write(out, cython.cast(WatchedBody, expr).body)
    elif kind is WatchedPlace:
        write(out, cython.cast(WatchedPlace, expr).body)
    elif kind is Counted:
        write(out, cython.cast(Counted, expr).body)
    elif kind is CountedSubject:
        write(out, cython.cast(CountedSubject, expr).subject)
    elif kind is Arithmetic:
        arithmetic: Arithmetic = expr
        out.append("(" + FUNCTIONS[arithmetic.operator] + " ")
        write(out, arithmetic.left)
        out.append(" ")
        write(out, arithmetic.right)
        out.append(")")
    elif kind is Not:
        out.append("(! ")
        write(out, cython.cast(Not, expr).operand)
        out.append(")")
    elif kind is LetExpr:
        out.append("(let ")
        write_bindings(out, cython.cast(LetExpr, expr).attrs)
        out.append("in ")
        write(out, cython.cast(LetExpr, expr).body)
        out.append(")")
    elif kind is HasAttr:
        out.append("((")
        write(out, cython.cast(HasAttr, expr).subject)
        out.append(") ? " + show_attr_path(path_items(cython.cast(HasAttr, expr).path)) + ")")
    elif kind is CurrentPosition:
        out.append("__curPos")
    elif kind is InheritFrom:
        out.append("(/* expanded inherit (expr) */ InheritFrom)")
    else:
        write_statement(out, expr)


def write_statement(out, expr):
    if type(expr) is With:
        out.append("(with ")
        write(out, cython.cast(With, expr).attrs)
        out.append("; ")
        write(out, cython.cast(With, expr).body)
        out.append(")")
    elif type(expr) is If:
        out.append("(if ")
        write(out, cython.cast(If, expr).condition)
        out.append(" then ")
        write(out, cython.cast(If, expr).then)
        out.append(" else ")
        write(out, cython.cast(If, expr).otherwise)
        out.append(")")
    elif type(expr) is Assert:
        out.append("assert ")
        write(out, cython.cast(Assert, expr).condition)
        out.append("; ")
        write(out, cython.cast(Assert, expr).body)


def write_bindings(out, expr):
    """Inherited names first, then plain definitions, sorted; computed names last."""
    attrs: AttrsExpr = expr
    definitions = expr.definitions()
    names = sorted(definitions)
    inherited = [n for n in names if cython.cast(AttrDef, definitions[n]).kind == 1]
    if inherited:
        out.append("inherit")
        for name in inherited:
            out.append(" " + show_name(name))
        out.append("; ")
    for index in range(len(attrs.inherit_from or [])):
        write_inherit_from(out, attrs, definitions, index)
    for name in names:
        definition: AttrDef = definitions[name]
        if definition.kind == 0:
            out.append(show_name(name) + " = ")
            write(out, definition.expr)
            out.append("; ")
    for item in attrs.dynamic or []:
        dynamic: DynamicDef = item
        out.append('"${')
        write(out, dynamic.name)
        out.append('}" = ')
        write(out, dynamic.expr)
        out.append("; ")


def inherit_index(definition) -> int:
    subject = cython.cast(Select, cython.cast(AttrDef, definition).expr).subject
    return cython.cast(InheritFrom, subject).index


def write_inherit_from(out, expr, definitions, index):
    attrs: AttrsExpr = expr
    chosen = []
    for name in sorted(definitions):
        definition: AttrDef = definitions[name]
        if definition.kind == 2 and inherit_index(definition) == index:
            chosen.append(name)
    if not chosen:
        return
    out.append("inherit (")
    write(out, attrs.inherit_from[index])
    out.append(")")
    for name in chosen:
        out.append(" " + show_name(name))
    out.append("; ")


def write_lambda(out, expr):
    out.append("(")
    if type(expr) is SimpleLambda:
        simple: SimpleLambda = expr
        out.append(show_name(simple.argument) + ": ")
        write(out, simple.body)
        out.append(")")
        return
    function: FormalsLambda = expr
    out.append("{ ")
    separator = ""
    for formal in sorted(function.formals, key=formal_name):
        item: Formal = formal
        out.append(separator + show_name(item.name))
        separator = ", "
        if item.default is not None:
            out.append(" ? ")
            write(out, item.default)
    if function.ellipsis:
        out.append(separator + "...")
    out.append(" }")
    if function.argument is not None:
        out.append(" @ " + show_name(function.argument))
    out.append(": ")
    write(out, function.body)
    out.append(")")


def formal_name(formal):
    return cython.cast(Formal, formal).name
