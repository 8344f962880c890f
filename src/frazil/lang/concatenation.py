# cython: boundscheck=False, wraparound=False
"""`++`, `+` and strings with interpolations.

Source of truth: `ExprOpConcatLists` and `ExprConcatStrings` in Nix's `eval.cc`; messages included.
"""

import cython
from cython.cimports.frazil.lang.functions import bind_each
from cython.cimports.frazil.lang.operators import Binary
from cython.cimports.frazil.lang.runtime import (
    add_trace,
    canonical_path,
    coerce,
    is_canonical,
    note_shown,
    show_type,
    show_value,
    traced_eval,
)
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    ContextString,
    Env,
    Expr,
    Marks,
    PathValue,
    State,
    Thunk,
    calculate,
    joined,
    joined2,
    joined3,
    new_thunk,
    note_marks,
    run_thunk,
    spend_on,
    stack_is_low,
    stack_overflow,
)
from cython.cimports.frazil.lang.variables import Literal, Var

from frazil.lang.errors import EvalError, TypeMismatch

ADD = cython.declare(cython.int, 4)
ADD = 4
LONG_CHAIN = cython.declare(cython.int, 8)
LONG_CHAIN = 8


@cython.final
@cython.no_gc
@cython.cclass
class ConcatLists(Binary):
    """`++`."""

    def bind(self, scope):
        Binary.bind(self, scope)
        if self.state.observer is not None:
            from frazil.lang.observed import counted

            return counted(self.state.observer, self)
        return self

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        if type(self.right) is ConcatLists:
            return self.eval_chain(env)
        left: object = traced_eval(self.left, env, "in the left operand of '++'")
        right: object = traced_eval(self.right, env, "in the right operand of '++'")
        if type(left) is not list:
            raise not_a_list(self.state, left, self.pos)
        if type(right) is not list:
            raise not_a_list(self.state, right, self.pos)
        if len(cython.cast(list, left)) == 0:
            return right
        if len(cython.cast(list, right)) == 0:
            return left
        spend_on(len(cython.cast(list, left)) + len(cython.cast(list, right)))
        return cython.cast(list, left) + cython.cast(list, right)

    def eval_chain(self, env):
        """`a ++ b ++ c …`, which is `a ++ (b ++ (c …))`: one list in the end, instead of one for each `++`."""
        nodes: list = [self]
        node: ConcatLists = self
        while type(node.right) is ConcatLists:
            node = cython.cast(ConcatLists, node.right)
            nodes.append(node)
        last: cython.Py_ssize_t = len(nodes) - 1
        values: list = []
        total: cython.Py_ssize_t = 0
        i: cython.Py_ssize_t = 0
        done: cython.bint = False
        try:
            for i in range(last + 1):
                node = cython.cast(ConcatLists, nodes[i])
                values.append(traced_eval(node.left, env, "in the left operand of '++'"))
            values.append(traced_eval(node.right, env, "in the right operand of '++'"))
            for i in range(last, -1, -1):
                node = cython.cast(ConcatLists, nodes[i])
                total += list_length(self.state, values[i], node.pos)
                if i == last:
                    total += list_length(self.state, values[i + 1], node.pos)
            done = True
            spend_on(total)
        finally:
            if not done:
                while i > 0:
                    i -= 1
                    node = cython.cast(ConcatLists, nodes[i])
                    add_trace(self.state, node.right.pos, "in the right operand of '++'")
        for value in values:
            if len(cython.cast(list, value)) == total:
                return value
        return joined_lists(values, total)


def joined_lists(lists, total):
    """All elements, `total` of them, in a list that is no larger than it must be."""
    result: list = [None] * total
    place: cython.Py_ssize_t = 0
    for part in cython.cast(list, lists):
        for item in cython.cast(list, part):
            result[place] = item
            place += 1
    return result


@cython.cfunc
def list_length(state: State, value: object, pos: cython.Py_ssize_t) -> cython.Py_ssize_t:
    if type(value) is not list:
        raise not_a_list(state, value, pos)
    return len(cython.cast(list, value))


def not_a_list(state, value, pos):
    error = TypeMismatch(
        f"expected a list but found {show_type(value)}: {show_value(value)}", positions=state.positions
    )
    error.add_trace(pos, "while evaluating one of the elements to concatenate")
    return error


@cython.cfunc
def eval_operand(expr: Expr, env: Env) -> object:
    return traced_eval(expr, env, "in an operand of '+'")


@cython.final
@cython.no_gc
@cython.cclass
class ConcatStrings(Expr):
    """`a + b`, `"…${a}…"` (`force_string`) and `./a${b}`."""

    def __init__(self, state, pos, force_string, parts, part_positions):
        self.state = state
        self.pos = pos
        self.force_string = force_string
        self.parts = parts
        self.part_positions = part_positions

    def bind(self, scope):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        bind_each(self.parts, scope)
        self.left = self.parts[0]
        self.right = self.parts[1] if len(self.parts) == 2 and not self.force_string else None
        self.length = 1
        if self.right is not None and type(self.left) is ConcatStrings:
            left: ConcatStrings = cython.cast(ConcatStrings, self.left)
            if left.right is not None:
                self.length += left.length
        return self

    def eval(self, env):
        if stack_is_low():
            raise stack_overflow(self.state, self.pos)
        if self.right is None:
            return self.concatenate(env, eval_operand(self.left, env), MISSING)
        if self.length > LONG_CHAIN:
            return self.eval_chain(env)
        first: object
        second: object = MISSING
        stage: cython.int = 0
        try:
            first = self.left.eval(env)
            kind = type(first)
            stage = 1
            if kind is int or kind is float or kind is str:
                second = self.right.eval(env)
            stage = 2
        finally:
            if stage != 2:
                add_trace(self.state, (self.left if stage == 0 else self.right).pos, "in an operand of '+'")
        if type(first) is int or type(first) is float:
            return self.add_numbers(first, second)
        if type(first) is str and type(second) is str:
            return joined2(first, second)
        return self.concatenate(env, first, second)

    def add(self, env, first, second):
        """`second` is MISSING where it is not evaluated yet."""
        if type(first) is int or type(first) is float:
            return self.add_numbers(first, second)
        if type(first) is str and type(second) is str:
            return joined2(first, second)
        return self.concatenate(env, first, second)

    def eval_chain(self, env):
        """A long chain `a + b + c …`, which is `(a + b) + c …`: without recursion, and texts are joined in the end."""
        nodes: list = []
        node: ConcatStrings = self
        while node.length > 1:
            nodes.append(node)
            node = cython.cast(ConcatStrings, node.left)
        texts: list = []
        done: cython.bint = False
        last: cython.Py_ssize_t = len(nodes)
        try:
            value: object = node.eval(env)
            while last > 0:
                last -= 1
                node = cython.cast(ConcatStrings, nodes[last])
                kind = type(value)
                second: object = MISSING
                if kind is str or kind is int or kind is float:
                    second = eval_operand(node.right, env)
                    if kind is str and type(second) is str:
                        texts.append(value)
                        value = second
                        continue
                    if texts:
                        texts.append(value)
                        value = joined(texts)
                        texts = []
                value = node.add(env, value, second)
            done = True
        finally:
            if not done:
                for i in range(last - 1, -1, -1):
                    add_trace(self.state, cython.cast(ConcatStrings, nodes[i]).left.pos, "in an operand of '+'")
        if texts:
            texts.append(value)
            return joined(texts)
        return value

    def add_numbers(self, first, second):
        state = self.state
        if type(first) is int and type(second) is int:
            total: object = calculate(ADD, first, second)
            if total is None:
                raise EvalError(
                    f"integer overflow in adding {first} + {second}",
                    pos=self.pos + self.part_positions[1],
                    positions=state.positions,
                )
            return total
        if type(second) is int or type(second) is float:
            return float(first) + float(second)
        what = "an integer" if type(first) is int else "a float"
        raise EvalError(
            f"cannot add {show_type(second)} to {what}",
            pos=self.pos + self.part_positions[1],
            positions=state.positions,
        )

    def peek(self, env):
        """Sums of integers that are known."""
        if self.right is None or stack_is_low():
            return MISSING
        first: object = self.left.peek(env)
        if type(first) is not int:
            return MISSING
        second: object = self.right.peek(env)
        if type(second) is not int:
            return MISSING
        value: object = calculate(ADD, first, second)
        return MISSING if value is None else value

    def quick(self, env):
        value: object = self.peek(env)
        return new_thunk(self, env) if value is MISSING else value

    def leads(self):
        left: cython.int = self.left.leads()
        return (left | self.right.leads() if left & 4 and self.right is not None else left) & 3

    def joined_paths(self, first, second):
        """Both are in order: their texts, which may be long, need no look."""
        note_shown(self.state, second)
        return PathValue((first.removesuffix("/") + second.removesuffix("/")) or "/")

    def concatenate(self, env, first, second):
        """The general case; `second` is MISSING where it is not evaluated yet."""
        state = self.state
        parts = self.parts
        count: cython.Py_ssize_t = len(parts)
        third: object = MISSING
        if type(first) is str and 1 < count < 4:
            # Mostly these are two or three plain texts.
            if second is MISSING:
                second = eval_operand(cython.cast(Expr, parts[1]), env)
            if type(second) is str:
                if count == 2:
                    return joined2(first, second)
                third = eval_operand(cython.cast(Expr, parts[2]), env)
                if type(third) is str:
                    return joined3(first, second, third)
        texts: list = [None] * count
        context: object = None
        gathered: set = None
        as_string: cython.bint = self.force_string or type(first) is str or type(first) is ContextString
        is_path: cython.bint = not self.force_string and type(first) is PathValue
        value: object = first
        i: cython.Py_ssize_t
        for i in range(count):
            if i > 0:
                value = second if i == 1 else third if i == 2 else MISSING
                if value is MISSING:
                    value = eval_operand(cython.cast(Expr, parts[i]), env)
            if type(value) is str:
                texts[i] = value
            elif type(value) is ContextString:
                texts[i] = cython.cast(ContextString, value).text
                if context is None:
                    context = cython.cast(ContextString, value).context
                elif context is not cython.cast(ContextString, value).context:
                    context = context | cython.cast(ContextString, value).context
            elif is_path and i == 0:
                texts[0] = cython.cast(PathValue, value).text
            elif is_path and count == 2 and type(value) is PathValue:
                return self.joined_paths(texts[0], cython.cast(PathValue, value).text)
            else:
                if gathered is None:
                    gathered = set()
                texts[i] = coerce(
                    state,
                    value,
                    gathered,
                    "while evaluating a path segment",
                    self.pos + self.part_positions[i],
                    False,
                    as_string,
                    self.force_string or i > 0,
                )
        if gathered:
            context = frozenset(gathered) if context is None else context | gathered
        text: str = joined(texts)
        if is_path:
            if context is not None:
                raise EvalError(
                    "a string that refers to a store path cannot be appended to a path",
                    pos=self.pos,
                    positions=state.positions,
                )
            head: cython.Py_ssize_t = len(cython.cast(str, texts[0])) - 1
            # What was a path is in order: only what came to it needs a look.
            if head >= 0 and is_canonical(text[head:]):
                return PathValue(text)
            return PathValue(canonical_path(text))
        return text if context is None else ContextString(text, context)


@cython.final
@cython.no_gc
@cython.cclass
class PlaceToRead(Expr):
    """Stands for `"${path}…"`, `"${self}…"` and `self + "…"` in a thunk while somebody evaluates it who reads what is
    there, and looks at no text."""

    def __init__(self, string: ConcatStrings):
        self.string = string
        self.state = string.state
        self.pos = string.pos
        self.copied = None

    def eval(self, env):
        first: object = eval_operand(self.string.left, env)
        if type(first) is PathValue and self.string.force_string:
            self.copied = self.state.effects.copy_to_read(canonical_path(cython.cast(PathValue, first).text))
            first = ContextString(self.copied, frozenset((self.copied,)))
        elif type(first) is Attrs:
            own: object = getattr(self.state.effects, "own_tree", None)
            if own is not None and is_own_tree(cython.cast(Attrs, first), own[0]):
                first = own[1]
                self.copied = own[1].text
        if self.string.force_string:
            return self.string.concatenate(env, first, MISSING)
        return self.string.add(env, first, eval_operand(self.string.right, env))


@cython.cfunc
def is_own_tree(attrs: Attrs, out_path: object) -> cython.bint:
    """Whether a set would become the text of that attribute."""
    return attrs.lookup("outPath") is out_path and attrs.lookup("__toString") is MISSING


@cython.final
@cython.no_gc
@cython.cclass
class CopiedText(Expr):
    """Stands in that thunk afterwards: who asks for its value does look at the text, which says what was copied."""

    def __init__(self, state, value, marks, copied):
        self.state = state
        self.value = value
        self.marks = marks
        self.copied = copied

    def eval(self, env):
        note_marks(self.marks)
        self.state.effects.path_shown(self.copied)
        return self.value


@cython.cfunc
def begins_with_a_place(string: ConcatStrings) -> cython.bint:
    """`"${…}…"`, or a variable and a literal text: `self + "…"`."""
    if string.force_string:
        return True
    right: Expr = string.right
    return (
        type(right) is Literal
        and type(cython.cast(Literal, right).value) is str
        and isinstance(string.left, Var)
        and string.length == 1
    )


@cython.cfunc
def place_to_read(state: State, value: object) -> object:
    """A value that is taken for a path to read something at: it, or what it evaluates to.

    Where `Effects` says that it matters (`copy_to_read`), a string that begins with the copy of a path, or with the
    tree of the evaluated flake (`own_tree`), rests on what is read there, not on the name with the hash of all of it.
    """
    if type(value) is not Thunk:
        return value
    thunk = cython.cast(Thunk, value)
    if type(thunk.expr) is not ConcatStrings or not begins_with_a_place(cython.cast(ConcatStrings, thunk.expr)):
        return value
    if not getattr(state.effects, "defers_copies", False):
        return value
    place = PlaceToRead(cython.cast(ConcatStrings, thunk.expr))
    thunk.expr = place
    try:
        found: object = run_thunk(thunk, 0)
    finally:
        if thunk.expr is place:
            thunk.expr = place.string
    if place.copied is not None:
        marks = thunk.expr if type(thunk.expr) is Marks else None
        thunk.expr = CopiedText(state, found, marks, place.copied)
        thunk.slot = None
    return found
