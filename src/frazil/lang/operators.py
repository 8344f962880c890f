# cython: boundscheck=False, wraparound=False
"""Arithmetic, comparison, logic, `//`, `if` and `assert`.

Source of truth: Nix's `eval.cc` and, for arithmetic, `primops.cc`; messages included.
"""

import cython
from cython.cimports.frazil.lang.comparison import equal_values, less_than
from cython.cimports.frazil.lang.functions import CallNode
from cython.cimports.frazil.lang.runtime import add_trace, eval_attrs, eval_bool
from cython.cimports.frazil.lang.shapes import Merger, update_attrs, update_with
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    Expr,
    attrs_from_dict,
    calculate,
    int_value,
    new_thunk,
    same_text,
    stack_is_low,
    stack_overflow,
)
from cython.cimports.frazil.lang.variables import GlobalVar, Var

from frazil.lang.errors import AssertionFailed, EvalError

SUBTRACT = cython.declare(cython.int, 0)
MULTIPLY = cython.declare(cython.int, 1)
DIVIDE = cython.declare(cython.int, 2)
LESS = cython.declare(cython.int, 3)
SUBTRACT = 0
MULTIPLY = 1
DIVIDE = 2
LESS = 3
LONG_CHAIN = cython.declare(cython.int, 8)
LONG_CHAIN = 8
OPERATOR_NAMES = ("__sub", "__mul", "__div", "__lessThan")


@cython.final
@cython.no_gc
@cython.cclass
class Arithmetic(Expr):
    """`-`, `*`, `/` and `<`: calls of `__sub` and so on in the language, unless a scope redefines those names."""

    def __init__(self, state, pos, operator, left, right):
        self.state = state
        self.pos = pos
        self.operator = operator
        self.left = left
        self.right = right

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        name = OPERATOR_NAMES[self.operator]
        # Whoever counts or follows calls is to see this as the call that it is in Nix.
        is_call: cython.bint = self.state.observer is not None
        if not is_call and name in self.state.symbols:
            is_call = not isinstance(Var(self.state, 0, name).bind(scope), GlobalVar)
        if is_call:
            return CallNode(self.state, self.pos, Var(self.state, 0, name), [self.left, self.right]).bind(scope)
        self.left = self.left.bind(scope)
        self.right = self.right.bind(scope)
        return self

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        done: cython.bint = False
        value: object
        operator: cython.int = self.operator
        try:
            left: object = self.left.eval(env)
            right: object = self.right.eval(env)
            value = None
            if type(left) is int and type(right) is int:
                value = calculate(operator, left, right)
            if value is not None:
                pass
            elif operator == LESS:
                value = less_than(self.state, left, right, "")
            elif type(left) is int and type(right) is int:
                value = integer_operation(operator, left, right)
            else:
                value = mixed_operation(operator, left, right)
            done = True
        finally:
            if not done:
                add_trace(self.state, self.pos, f"while calling the '{OPERATOR_NAMES[operator][2:]}' builtin")
        return value

    def peek(self, env):
        if stack_is_low():
            return MISSING
        left: object = self.left.peek(env)
        if type(left) is not int:
            return MISSING
        right: object = self.right.peek(env)
        if type(right) is not int:
            return MISSING
        value: object = calculate(self.operator, left, right)
        return MISSING if value is None else value

    def quick(self, env):
        """Numbers that are known are used at once: that cannot fail, and takes less than to remember it."""
        value: object = self.peek(env)
        return new_thunk(self, env) if value is MISSING else value

    def leads(self):
        left: cython.int = self.left.leads()
        return left | self.right.leads() if left & 4 else left


@cython.cfunc
def integer_operation(operator: cython.int, left: object, right: object) -> object:
    value: object = calculate(operator, left, right)
    if value is not None:
        return value
    if operator == SUBTRACT:
        raise EvalError(f"integer overflow in subtracting {left} - {right}")
    if operator == MULTIPLY:
        raise EvalError(f"integer overflow in multiplying {left} * {right}")
    if right == 0:
        raise EvalError("division by zero")
    raise EvalError(f"integer overflow in dividing {left} / {right}")


WORDS = (
    ("first argument of the subtraction", "second argument of the subtraction"),
    ("first argument of the multiplication", "second argument of the multiplication"),
    ("first operand of the division", "second operand of the division"),
)


def mixed_operation(operator, left, right):
    """Floats, and what is no number at all."""
    from frazil.lang.runtime import force_float, force_int

    first, second = WORDS[operator]
    first = "while evaluating the " + first
    second = "while evaluating the " + second
    if operator == 2:
        divisor = force_float(right, second)
        if divisor == 0:
            raise EvalError("division by zero")
        if type(left) is float or type(right) is float:
            return force_float(left, first) / divisor
    elif type(left) is float or type(right) is float:
        if operator == 0:
            return force_float(left, first) - force_float(right, second)
        if operator == 1 and type(left) is not float and type(left) is not int:
            first = "while evaluating the first of the multiplication"
        return force_float(left, first) * force_float(right, second)
    return integer_operation(operator, force_int(left, first), force_int(right, second))


@cython.final
@cython.no_gc
@cython.cclass
class If(Expr):
    """`if condition then … else …`."""

    def __init__(self, state, pos, condition, then, otherwise):
        self.state = state
        self.pos = pos
        self.condition = condition
        self.then = then
        self.otherwise = otherwise

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.condition = self.condition.bind(scope)
        self.then = self.then.bind(scope)
        self.otherwise = self.otherwise.bind(scope)
        return self

    def leads(self):
        return self.condition.leads() & 3

    def eval(self, env):
        if eval_bool(self.condition, env, "while evaluating a branch condition"):
            return self.then.eval(env)
        return self.otherwise.eval(env)


@cython.final
@cython.no_gc
@cython.cclass
class Assert(Expr):
    """`assert condition; body`."""

    def __init__(self, state, pos, condition, body):
        self.state = state
        self.pos = pos
        self.condition = condition
        self.body = body

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.condition = self.condition.bind(scope)
        self.body = self.body.bind(scope)
        return self

    def leads(self):
        return self.condition.leads() & 3

    def eval(self, env):
        if not eval_bool(self.condition, env, "in the condition of the assert statement"):
            self.fail(env)
        return self.body.eval(env)

    def fail(self, env):
        state = self.state
        from frazil.lang.ast_printer import show_expr

        text = show_expr(self.condition)
        if type(self.condition) is Equals and not cython.cast(Equals, self.condition).negated:
            from frazil.lang.assertion import explain_difference

            condition: Equals = cython.cast(Equals, self.condition)
            left = condition.left.eval(env)
            right = condition.right.eval(env)
            try:
                explain_difference(state, left, right, condition.pos)
            except AssertionFailed as error:
                if error.positions is None:
                    error.positions = state.positions
                error.add_trace(self.pos, f"while evaluating the condition of the assertion '{text}'")
                raise
        raise AssertionFailed(f"assertion '{text}' failed", pos=self.pos, positions=state.positions)


@cython.final
@cython.no_gc
@cython.cclass
class Not(Expr):
    """`!e`."""

    def __init__(self, state, operand):
        self.state = state
        self.pos = cython.cast(Expr, operand).pos
        self.operand = operand

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.operand = self.operand.bind(scope)
        return self

    def leads(self):
        return self.operand.leads()

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        return not eval_bool(self.operand, env, "in the argument of '!'")


@cython.no_gc
@cython.cclass
class Binary(Expr):
    """An operator with two operands; `pos` is the operator's."""

    def __init__(self, state, pos, left, right):
        self.state = state
        self.pos = pos
        self.left = left
        self.right = right

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        self.left = self.left.bind(scope)
        self.right = self.right.bind(scope)
        return self

    def leads(self):
        return self.left.leads() & 3


@cython.final
@cython.no_gc
@cython.cclass
class Equals(Binary):
    """`==` and `!=`."""

    def __init__(self, state, pos, left, right, negated):
        self.state = state
        self.pos = pos
        self.left = left
        self.right = right
        self.negated = negated

    def eval(self, env):
        left: object
        right: object
        stage: cython.int = 0
        try:
            left = self.left.eval(env)
            stage = 1
            right = self.right.eval(env)
            stage = 2
        finally:
            if stage != 2:
                self.failed(stage)
        if type(left) is str and type(right) is str:
            return same_text(left, right) is not self.negated
        if type(left) is int and type(right) is int:
            return (int_value(left) == int_value(right)) is not self.negated
        if left is None or right is None:
            return (left is right) is not self.negated
        return equal_values(self.state, left, right, self.pos) is not self.negated

    def leads(self):
        left: cython.int = self.left.leads()
        return (left | self.right.leads() if left & 4 else left) & 3

    def failed(self, stage):
        name = "!=" if self.negated else "=="
        if stage == 0:
            add_trace(self.state, self.left.pos, f"in the left operand of '{name}'")
        else:
            add_trace(self.state, self.right.pos, f"in the right operand of '{name}'")


@cython.final
@cython.no_gc
@cython.cclass
class And(Binary):
    """`&&`."""

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        return eval_bool(self.left, env, "in the left operand of '&&'") and eval_bool(
            self.right, env, "in the right operand of '&&'"
        )


@cython.final
@cython.no_gc
@cython.cclass
class Or(Binary):
    """`||`."""

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        return eval_bool(self.left, env, "in the left operand of '||'") or eval_bool(
            self.right, env, "in the right operand of '||'"
        )


@cython.final
@cython.no_gc
@cython.cclass
class Implies(Binary):
    """`->`."""

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        return (not eval_bool(self.left, env, "in the left operand of '->'")) or eval_bool(
            self.right, env, "in the right operand of '->'"
        )


@cython.final
@cython.no_gc
@cython.cclass
class Update(Binary):
    """`//`."""

    def bind(self, scope):
        Binary.bind(self, scope)
        # `a // b // c` is `a // (b // c)`.
        self.length = 1
        self.merger = Merger.__new__(Merger)
        if type(self.right) is Update:
            self.length += cython.cast(Update, self.right).length
        if self.state.observer is not None:
            from frazil.lang.observed import counted

            return counted(self.state.observer, self)
        return self

    def leads(self):
        return self.right.leads() & 3

    def eval(self, env):
        # The right operand is evaluated first, as in Nix.
        right: object
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        if self.length > LONG_CHAIN:
            return self.eval_chain(env)
        if type(self.right) is Update:
            right = self.right.eval(env)
        else:
            right = eval_attrs(self.right, env, "in the right operand of '//'")
        left: object
        if type(self.left) is Update:
            left = self.left.eval(env)
        else:
            left = eval_attrs(self.left, env, "in the left operand of '//'")
        return update_with(self.merger, cython.cast(Attrs, left), cython.cast(Attrs, right))

    def eval_chain(self, env):
        """A long chain: one set in the end, instead of a copy for each `//`."""
        nodes: list = [self]
        node: Update = self
        while type(node.right) is Update:
            node = cython.cast(Update, node.right)
            nodes.append(node)
        values: list = [eval_attrs(node.right, env, "in the right operand of '//'")]
        while nodes:
            node = cython.cast(Update, nodes.pop())
            if type(node.left) is Update:
                values.append(node.left.eval(env))
            else:
                values.append(eval_attrs(node.left, env, "in the left operand of '//'"))
        attrs: Attrs
        kept: list = [value for value in values if cython.cast(Attrs, value).size() != 0]
        if len(kept) <= LONG_CHAIN:
            # Mostly `optionalAttrs` that gave nothing.
            attrs = cython.cast(Attrs, kept[0] if kept else values[0])
            for i in range(1, len(kept)):
                attrs = update_attrs(cython.cast(Attrs, kept[i]), attrs)
            return attrs
        values = kept
        table: dict = {}
        origins: dict = {}
        while values:
            attrs = cython.cast(Attrs, values.pop())
            table.update(attrs.own_table() if attrs.shape is None else attrs.copy_table())
            for name in attrs.names():
                origins[name] = attrs.position(name)
        return attrs_from_dict(table, origins)
