"""Nodes of which texts have many, made without a call of Python's. In: what their classes' `__init__` takes."""

import cython
from cython.cimports.frazil.lang.concatenation import ConcatLists, ConcatStrings
from cython.cimports.frazil.lang.definitions import new_definitions
from cython.cimports.frazil.lang.endings import another
from cython.cimports.frazil.lang.functions import CallNode, Formal, FormalsLambda, SimpleLambda
from cython.cimports.frazil.lang.operators import And, Binary, Equals, If, Implies, Or, Update
from cython.cimports.frazil.lang.scanner import AND, CONCAT, OR, UPDATE
from cython.cimports.frazil.lang.selection import HasAttr, Select, Select1, SelectOr1
from cython.cimports.frazil.lang.sets import AttrsExpr, ListExpr
from cython.cimports.frazil.lang.values import Expr, quiet
from cython.cimports.frazil.lang.variables import Var


def new_set(state, pos):
    node = cython.cast(AttrsExpr, another(SET))
    node.state = state
    node.pos = pos
    node.recursive = False
    node.defs = new_definitions()
    node.dynamic = None
    node.inherit_from = None
    node.overrides = -1
    return node


def new_formal(name, pos, default):
    node = cython.cast(Formal, another(FORMAL))
    node.name = name
    node.pos = pos
    node.default = default
    return node


def new_formals_lambda(state, pos, formals, ellipsis, argument, body):
    node = cython.cast(FormalsLambda, another(FORMALS_LAMBDA))
    node.state = state
    node.pos = pos
    node.formals = formals
    node.ellipsis = ellipsis
    node.argument = argument
    node.body = body
    node.name = None
    return node


def new_if(state, pos, condition, then, otherwise):
    node = cython.cast(If, another(IF))
    node.state = state
    node.pos = pos
    node.condition = condition
    node.then = then
    node.otherwise = otherwise
    return node


def new_list(state, pos, elements):
    """Nix has for its place that of the first element."""
    node = cython.cast(ListExpr, another(LIST))
    node.state = state
    node.elements = elements[:]  # no larger than it must be
    node.pos = cython.cast(Expr, elements[0]).pos if elements else 0
    if node.pos <= 0:
        node.pos = quiet(pos)
    return node


def new_has_attr(state, subject, path):
    node = cython.cast(HasAttr, HasAttr.__new__(HasAttr))
    node.state = state
    node.pos = subject.pos
    node.subject = subject
    node.path = path
    return node


def new_join(state, pos, force_string, parts, places):
    node = cython.cast(ConcatStrings, another(JOIN))
    node.state = state
    node.pos = pos
    node.force_string = force_string
    node.parts = parts
    node.part_positions = places
    return node


def new_equals(state, pos, left, right, negated):
    node = cython.cast(Equals, another(EQUALS))
    node.state = state
    node.pos = pos
    node.left = left
    node.right = right
    node.negated = negated
    return node


def new_binary(state, tok, pos, left, right):
    """`//`, `++`, `&&`, `||` and `->`."""
    if tok == UPDATE:
        node = cython.cast(Binary, Update.__new__(Update))
    elif tok == CONCAT:
        node = cython.cast(Binary, ConcatLists.__new__(ConcatLists))
    elif tok == AND:
        node = cython.cast(Binary, And.__new__(And))
    elif tok == OR:
        node = cython.cast(Binary, Or.__new__(Or))
    else:
        node = cython.cast(Binary, Implies.__new__(Implies))
    node.state = state
    node.pos = pos
    node.left = left
    node.right = right
    return node


def new_var(state, pos, name):
    node = cython.cast(Var, another(VAR))
    node.state = state
    node.pos = pos
    node.name = name
    return node


def new_application(state, pos, function, argument):
    node = cython.cast(CallNode, another(CALL))
    node.state = state
    node.pos = pos
    node.function = function
    node.first = argument
    node.second = None
    node.arguments = None
    return node


def new_select(state, pos, subject, path, default):
    """`path`: a name, or a list."""
    if type(path) is str:
        if default is None:
            node = cython.cast(Select, another(SELECT1))
        else:
            node = cython.cast(Select, SelectOr1.__new__(SelectOr1))
    else:
        node = cython.cast(Select, another(SELECT))
    node.state = state
    node.pos = pos
    node.subject = subject
    node.path = path
    node.default = default
    return node


def new_function(state, pos, argument, body):
    node = cython.cast(SimpleLambda, another(FUNCTION))
    node.state = state
    node.pos = pos
    node.argument = argument
    node.body = body
    node.name = None
    return node


# What others are copied from: quicker than what Cython makes of `__new__`.
SET = cython.declare(object, None)
SET = AttrsExpr.__new__(AttrsExpr)
FORMAL = cython.declare(object, None)
FORMAL = Formal.__new__(Formal)
FORMALS_LAMBDA = cython.declare(object, None)
FORMALS_LAMBDA = FormalsLambda.__new__(FormalsLambda)
IF = cython.declare(object, None)
IF = If.__new__(If)
LIST = cython.declare(object, None)
LIST = ListExpr.__new__(ListExpr)
JOIN = cython.declare(object, None)
JOIN = ConcatStrings.__new__(ConcatStrings)
EQUALS = cython.declare(object, None)
EQUALS = Equals.__new__(Equals)
VAR = cython.declare(object, None)
VAR = Var.__new__(Var)
CALL = cython.declare(object, None)
CALL = CallNode.__new__(CallNode)
SELECT1 = cython.declare(object, None)
SELECT1 = Select1.__new__(Select1)
SELECT = cython.declare(object, None)
SELECT = Select.__new__(Select)
FUNCTION = cython.declare(object, None)
FUNCTION = SimpleLambda.__new__(SimpleLambda)
