# cython: boundscheck=False, wraparound=False
"""Values of the language, and the abstract expression node that evaluation is made of.

A value is one of: `None`, `bool`, `int` (64 bits), `float`, `str` (a byte string without context), `ContextString`,
`PathValue`, `list`, `Attrs`, `Lambda`, `Primop`, `PrimopApplication`. Elements of lists and attributes may be `Thunk`
instead: `runtime.force` gives the value. Never put a Python `True` where an integer is meant or the reverse: the
type of a value is its exact Python type.

Lists and attribute sets never change once made, except that a thunk in them may be replaced by its value. Who builds
one gives up the list or dict it was built from.

The classes stay outside Python's cyclic garbage collector: allocation is most of evaluation, and tracking would cost
several times the work. Cycles (every recursive `let` makes one) live until the process ends.

Source of truth: the manual's "Data types"; Nix's `value.hh`, `attr-set.hh`.
"""

import sys

import cython
from cython.cimports.frazil.lang.origins import (
    EMPTY_SHAPE,
    Places,
    nowhere,
    origin_position,
    places,
)

from frazil.lang.errors import EvalBaseError, InfiniteRecursion, Interrupted, StackOverflow

if not cython.compiled:
    from frazil.lang.uncompiled import *

use_own_arenas()


@cython.no_gc
@cython.cclass
class State:
    """What expressions share: settings, the outside world, positions, depth. `Evaluator` extends it."""


@cython.final
@cython.no_gc
@cython.cclass
class Scope:
    """What a scope will hold, while names are resolved: `names` to slots, or the `single` argument of a function, or
    neither for a `with`, whose position is `pos`. `first_source`: the slot of the first set of `inherit (set) …`."""

    def __init__(self, up, names, single, pos=0):
        self.up = up
        self.names = names
        self.single = single
        self.pos = pos
        self.first_source = 0


@cython.no_gc
@cython.cclass
class Env:
    """One scope at run time. `payload`: a lambda's argument, or the set of a `with`."""

    def __init__(self, up, payload):
        self.up = up
        self.payload = payload


@cython.final
@cython.no_gc
@cython.cclass
class Slots(Env):
    """A scope of several names at run time, or the values of a set, or (`rec`) both. Items are reached by `get_slot`
    and `set_slot` alone."""


@cython.no_gc
@cython.cclass
class Expr:
    """A node of a resolved expression. `pos` is a position of the table of positions, 0 where there is none."""

    def eval(self, env):
        """The value in weak head normal form: never a thunk."""
        raise NotImplementedError

    def delay(self, env):
        """A value where one is at hand without work, otherwise a thunk."""
        return new_thunk(self, env)

    def bind(self, scope):
        """Resolve names; gives the expression to use instead of this one."""
        return self

    def peek(self, env):
        """The value where it is already known, or a sum of integers that are known; otherwise MISSING."""
        return MISSING

    def quick(self, env):
        """What `delay` gives, or the value, for somebody who forces it before anybody can see the difference."""
        return self.delay(env)

    def settle(self, env):
        """What `delay` gives where that is no thunk of this expression itself; otherwise `unmade()`."""
        return unmade()

    def leads(self):
        """What evaluation forces before it does anything else, as bits: 1 the argument of the innermost function, 2
        that of the function around; 4 if it does nothing but force variables and calculate."""
        return 0


class _Missing:
    """The type of MISSING: "there is no such attribute" (null is None)."""

    def __repr__(self):
        return "MISSING"


MISSING = _Missing()


@cython.no_gc
@cython.cclass
class Definer(Expr):
    """A `let` or a set as it is written. Most of what they define nobody ever asks for: scopes and sets hold `unmade()`
    in its place, and what `delay` gives is made when somebody does ask."""

    def define(self, frame, slot):
        """Make what belongs in a slot of a scope, and put it there."""
        raise NotImplementedError

    def make_member(self, attrs, i):
        """A value of a set that this expression made, by number."""
        raise NotImplementedError


@cython.no_gc
@cython.cclass
class LambdaExpr(Expr):
    """A function's expression; `name` is what errors call it, or None.

    `inner`: the function that is all the body consists of (`a: b: …`), or None. Who has both arguments applies that in
    an environment made for the first one: no function value is needed in between.

    `strict`: the body forces the argument before it does anything else; `strict_up`: and that of the function around.
    """

    def apply(self, up, argument, call_pos):
        """The body's value for an argument (value or thunk)."""
        raise NotImplementedError

    def position(self):
        """Where the function is written, or None."""
        return None if self.state is None else self.state.positions.position(self.pos)


@cython.final
@cython.no_gc
@cython.cclass
class Thunk:
    """A value not yet computed. Pending: `expr` and its environment in `slot`; done: no `expr`, the value in `slot`."""

    def __init__(self, expr, slot):
        self.expr = expr
        self.slot = slot


def place_of(shape, name):
    """Where sets of this shape have an attribute, -1 for nowhere."""
    return find_place(shape, shape.index, name)


@cython.final
@cython.no_gc
@cython.cclass
class Former:
    """What a set was before another took over its dict to add to it: that set, what was added, and the values that
    were there instead (MISSING: none; None instead of the list: none at all)."""

    def __init__(self, newer, names, values):
        self.newer = newer
        self.names = names
        self.values = values


@cython.final
@cython.no_gc
@cython.cclass
class Attrs:
    """An attribute set.

    Either it has a `shape`, and its values in the order of the shape's names (`get_value`), or a `table`, unsorted,
    which `own_table` gives: where `//` added to a set, the outcome has taken over its dict, and it has a `former`
    instead. Look at these only where `shape` is None. `origin` tells where attributes were defined: Places,
    MergedPositions, KeptPositions, a dict from name to position, or None.

    With a shape, values may be `unmade()`, which `get_value` makes. They come from what `get_source` gives: the
    environment of the literal, or another set.

    Reading: `lookup(name)` gives a value, a thunk, or MISSING; `has`, `size`; `names()` and `items()` are sorted;
    `raw_values()` is in order of names. Building: `attrs_from_dict(table, positions)`.
    """

    def lookup(self, name):
        if self.shape is None:
            return self.own_table().get(name, MISSING)
        i: cython.Py_ssize_t = place_of(self.shape, name)
        if i < 0:
            return MISSING
        return get_value(self, i)

    def known(self, name):
        """The same, but what is not made yet stays so: `unmade()`."""
        if self.shape is None:
            return self.own_table().get(name, MISSING)
        i: cython.Py_ssize_t = place_of(self.shape, name)
        return MISSING if i < 0 else raw_value(self, i)

    def has(self, name):
        if self.shape is None:
            return name in self.own_table()
        return place_of(self.shape, name) >= 0

    def size(self):
        if self.shape is not None:
            return self.shape.count
        return len(self.own_table())

    def names(self):
        """Sorted; do not change it."""
        if self.shape is not None:
            return self.shape.names
        return sorted(self.own_table())

    def items(self):
        """(name, value or thunk), sorted by name."""
        if self.shape is not None:
            return list(zip(self.shape.names, self.raw_values()))
        table = self.own_table()
        return [(name, table[name]) for name in sorted(table)]

    def raw_values(self):
        """Values or thunks in order of names; a fresh list."""
        if self.shape is not None:
            make_all(self)
            return values_list(self)
        table = self.own_table()
        return [table[name] for name in sorted(table)]

    def position(self, name):
        """Where an attribute is defined, 0 where unknown."""
        return origin_position(self.origin, name)

    @property
    def pos(self):
        """Where the set itself is written, 0 where unknown."""
        return cython.cast(Places, self.origin).pos if type(self.origin) is Places else 0

    def own_table(self):
        """The dict of a set that has no shape."""
        if self.table is None:
            recover(self)
        return self.table

    def copy_table(self):
        """A fresh dict from name to value or thunk, in no particular order."""
        if self.shape is None:
            return self.own_table().copy()
        make_all(self)
        return values_table(self.shape.names, self)

    def origins(self):
        """What `attrs_from_dict` takes as positions to keep those of this set."""
        return self.origin

    def __len__(self):
        return self.size()


def make_value(attrs, i):
    """Make a value that was not made yet."""
    source: object = get_source(attrs)
    value: object
    if type(source) is Attrs:
        value = cell(cython.cast(Attrs, source).lookup(attrs.shape.names[i]))
    else:
        origin = cython.cast(Places, attrs.origin)
        origin.made += 1
        if origin.members is not None and not stack_is_low():
            return make_from(attrs, i, origin.members)
        value = cython.cast(Definer, origin.definer).make_member(attrs, i)
    set_value(attrs, i, value)
    look_whether_made(attrs)
    return value


def make_all(attrs):
    i: cython.Py_ssize_t
    if get_source(attrs) is not None:
        for i in range(attrs.shape.count):
            if is_unmade(raw_value(attrs, i)):
                make_value(attrs, i)


def define_slot(env, depth, slot):
    """Make what is not made yet in a scope."""
    frame: Env = cython.cast(Env, outer_env(env, depth))
    return cython.cast(Definer, get_definer(frame)).define(frame, slot)


def recover(attrs):
    """A dict of its own for a set whose dict another has taken over."""
    formers: list = []
    current: Attrs = attrs
    while current.table is None and current.shape is None:
        former: Former = current.former
        formers.append(former)
        current = former.newer
    table = current.table.copy()
    i: cython.Py_ssize_t
    while formers:
        former = formers.pop()
        for i in range(len(former.names)):
            old: object = MISSING if former.values is None else former.values[i]
            if old is MISSING:
                del table[former.names[i]]
            else:
                table[former.names[i]] = old
    attrs.table = table
    attrs.former = None


def attrs_from_dict(table, positions=None, pos=0):
    """A set from a dict (given up by the caller). `positions`: dict from name to position, or another's origins()."""
    if pos != 0 and type(positions) is dict:
        positions = places(None, positions, pos)
    return new_table_attrs(table, positions)


@cython.final
@cython.no_gc
@cython.cclass
class Lambda:
    """A function with the environment it closes over."""

    def __init__(self, expr, env):
        self.expr = expr
        self.env = env


use_pool(Thunk, Env, Lambda, Slots, Attrs)


def first_attrs():
    """The empty set; others take their table of methods from it."""
    attrs = cython.cast(Attrs, Attrs.__new__(Attrs))
    attrs.shape = EMPTY_SHAPE
    attrs.origin = nowhere(EMPTY_SHAPE)
    return attrs


EMPTY_ATTRS = first_attrs()
EMPTY_LIST = []
begin_laziness(EMPTY_ATTRS, Expr())


@cython.final
@cython.no_gc
@cython.cclass
class Primop:
    """A builtin: `function(evaluator, arguments)` with `arity` values or thunks in a list."""

    def __init__(self, name, arity, function, internal=False):
        self.name = name
        self.arity = arity
        self.function = function
        self.internal = internal
        self.add_trace = True
        self.spec = None
        if cython.compiled:
            self.direct = cython.cast(Direct, cython.cast(cython.size_t, DIRECT.get(function, 0)))


# Builtins that are called often are reached without Python's calling convention: from function to address.
DIRECT = {}


def know_direct(function, direct):
    """`direct` is the C function of `function`, as `cython.ccall` makes both."""
    DIRECT[function] = cython.cast(cython.size_t, direct)


@cython.final
@cython.no_gc
@cython.cclass
class PrimopApplication:
    """A builtin with too few arguments yet."""

    def __init__(self, primop, arguments):
        self.primop = primop
        self.arguments = arguments


@cython.final
@cython.no_gc
@cython.cclass
class PathValue:
    """A path: absolute and normalised."""

    def __init__(self, text):
        self.text = text

    def __eq__(self, other):
        return isinstance(other, PathValue) and other.text == self.text

    def __hash__(self):
        return hash(self.text)


@cython.final
@cython.no_gc
@cython.cclass
class ContextString:
    """A string that mentions store objects. `context` is a non-empty frozenset of context elements."""

    def __init__(self, text, context):
        self.text = text
        self.context = context


know_functions(Lambda, Primop, PrimopApplication)


def make_string(text, context):
    """A string value: plain where the context (any iterable of elements) is empty."""
    return ContextString(text, frozenset(context)) if context else text


def thunk_state(thunk):
    """("pending" | "running" | "done", value)."""
    inner = cython.cast(Thunk, thunk)
    if inner.expr is None:
        return "done", inner.slot
    if type(inner.expr) is Marks:
        return "done", inner.slot
    return ("running" if inner.expr is BLACKHOLE else "pending"), None


def new_cell(value):
    """The value for a cell of its own.

    Nix compares functions by the identity of the cell (Value) that holds them. Here a function object is its cell:
    moving one to another cell makes a copy.
    """
    if type(value) is Lambda:
        old = cython.cast(Lambda, value)
        return new_lambda(old.expr, old.env)
    if type(value) is Primop:
        primop = cython.cast(Primop, value)
        copy = Primop(primop.name, primop.arity, primop.function, primop.internal)
        copy.add_trace = primop.add_trace
        copy.spec = primop.spec
        return copy
    if type(value) is PrimopApplication:
        application = cython.cast(PrimopApplication, value)
        return PrimopApplication(application.primop, application.arguments)
    return value


@cython.final
@cython.no_gc
@cython.cclass
class Blackhole(Expr):
    """Stands in a thunk while it is being evaluated."""


@cython.final
@cython.no_gc
@cython.cclass
class Failed(Expr):
    """Stands in a thunk whose evaluation failed: it fails the same way again."""

    def __init__(self, error):
        self.error = error
        self.marks = None

    def eval(self, env):
        if self.marks is not None:
            note_marks(self.marks)
        raise copy_error(self.error)


@cython.final
@cython.no_gc
@cython.cclass
class Marks(Expr):
    """Stands in a thunk that is done, while marks are kept: whoever asks for the value (its slot) is told them.

    The same marks are one object, and what it becomes together with others is remembered: mostly sets meet that met
    before."""

    def __init__(self, bits):
        self.bits = bits
        self.unions = {}
        self.met = self.union = None
        self.instead = None

    def forget(self):
        self.unions.clear()
        self.met = self.union = None

    def eval(self, env):
        """Marks are kept no longer."""
        return env


BLACKHOLE = Blackhole()
if cython.compiled:
    keep_for_ever(BLACKHOLE)
    UNUSUAL = cython.cast(cython.p_void, unusual)

# Marks say what a value rests on, as bits of an integer that somebody else gives a meaning (files that were read). A
# thunk keeps those that were noted while it was evaluated, and gives them on to all that ask for its value. Off, this
# costs one comparison a thunk.
MARKING = False
MARKS = None
KNOWN_MARKS = cython.declare(dict, {})
KNOWN_MARKS = {}
OLD_MARKS = cython.declare(list, [])
OLD_MARKS = []
NOTED_ALWAYS = cython.declare(object, 0)
NOTED_ALWAYS = 0
NO_MARKS = Marks(0)


def set_marking(on):
    global MARKING, MARKS, NOTED_ALWAYS
    MARKING = on
    MARKS = None
    NOTED_ALWAYS = 0
    for known in [*KNOWN_MARKS.values(), *OLD_MARKS]:
        cython.cast(Marks, known).forget()
    KNOWN_MARKS.clear()
    OLD_MARKS.clear()


def note_always(bits):
    """From here on `take_marks` gives these bits each time. What rests on nothing else needs no marks, and is as quick
    to get at as without them."""
    global NOTED_ALWAYS
    NOTED_ALWAYS |= bits
    rest: object = ~NOTED_ALWAYS
    every = [*KNOWN_MARKS.values(), *OLD_MARKS]
    KNOWN_MARKS.clear()
    OLD_MARKS.clear()
    for item in every:
        marks: Marks = item
        marks.forget()
        marks.bits = marks.bits & rest
        first: object = KNOWN_MARKS.setdefault(marks.bits, marks) if marks.bits else NO_MARKS
        if first is not marks:
            marks.instead = first
            OLD_MARKS.append(marks)


def is_marking():
    return MARKING


def marks_of(bits):
    known: object = KNOWN_MARKS.get(bits)
    if known is None:
        known = KNOWN_MARKS[bits] = Marks(bits)
    return known


@cython.cfunc
def united(left: Marks, right: Marks) -> Marks:
    if left.met is right:
        return left.union
    found: object = left.unions.get(right)
    if found is None:
        bits: object = left.bits | right.bits
        found = left if bits == left.bits else right if bits == right.bits else marks_of(bits)
        left.unions[right] = found
    left.met = right
    left.union = found
    return found


def note_marks(marks):
    """What is being evaluated rests on these: bits, or what `swap_marks` gave."""
    global MARKS
    if not marks:
        return
    noted: Marks
    if type(marks) is Marks:
        noted = marks
    else:
        if NOTED_ALWAYS:
            marks = marks & ~NOTED_ALWAYS
            if not marks:
                return
        noted = marks_of(marks)
    if noted.instead is not None:
        noted = noted.instead
        if noted is NO_MARKS:
            return
    MARKS = noted if MARKS is None else united(MARKS, noted)


def take_marks():
    """The bits that were noted since the last call, outside of thunks, and those that are noted always."""
    global MARKS
    found: Marks = MARKS
    MARKS = None
    return NOTED_ALWAYS if found is None else found.bits | NOTED_ALWAYS


def swap_marks(marks):
    """The same for `note_marks`; these take their place."""
    global MARKS
    found = MARKS
    MARKS = marks
    return found


def marked_value(thunk):
    """The value of a thunk where it is done and marked, otherwise MISSING."""
    return thunk.slot if type(thunk.expr) is Marks else MISSING


def copy_error(error):
    """The same error without a Python traceback and with its own list of trace lines."""
    copy = error.__class__.__new__(error.__class__)
    copy.args = error.args
    copy.__dict__.update(error.__dict__)
    copy.frames = list(error.frames)
    return copy


def stack_overflow(state, pos):
    """The error of too many nested calls, or the end of an evaluation that somebody interrupted."""
    if state is not None and state.interrupted:
        return Interrupted()
    return StackOverflow(
        "stack overflow; max-call-depth exceeded", pos=pos, positions=None if state is None else state.positions
    )


def let_others_run(state):
    """For loops that call no function: a signal is noticed, and an interrupted evaluation ends."""
    spend(1 << 16)
    if state.interrupted:
        raise stack_overflow(state, 0)


def run_thunk(thunk, pos):
    """Evaluate a pending thunk; `pos`: who asks, for the message about infinite recursion."""
    if MARKING:
        return run_marked(thunk, pos)
    return run_pending(thunk, pos)


def run_marked(thunk, pos):
    """The same; marks are kept and given on."""
    global MARKS
    outer: Marks = MARKS
    own: Marks = None
    if type(thunk.expr) is Marks:
        own = cython.cast(Marks, thunk.expr)
        if own is not outer:
            if own.instead is not None:
                own = own.instead
                if own is NO_MARKS:
                    thunk.expr = None
                    return thunk.slot
                thunk.expr = own
            MARKS = own if outer is None else united(outer, own)
        return thunk.slot
    MARKS = None
    value: object = None
    done: cython.bint = False
    try:
        value = run_pending(thunk, pos)
        done = True
    finally:
        own = MARKS
        if own is None:
            MARKS = outer
        else:
            if outer is not None:
                MARKS = united(outer, own)
            if not done and type(thunk.expr) is Failed:
                cython.cast(Failed, thunk.expr).marks = own
    if own is not None and value is not thunk:
        thunk.slot = value
        thunk.expr = own
    return value


@cython.cfunc
@cython.inline
def run_pending(thunk: Thunk, pos: cython.Py_ssize_t) -> object:
    if thunk.expr is BLACKHOLE or stack_is_low():
        return cannot_run(thunk, pos)
    set_asked_from(pos)
    # The environment may be what an expression takes for one (CallExpr).
    return run_expression(thunk, BLACKHOLE)


@cython.cfunc
def cannot_run(thunk: Thunk, pos: cython.Py_ssize_t) -> object:
    if thunk.expr is BLACKHOLE:
        raise infinite_recursion(thunk, pos)
    raise stack_overflow(thunk.expr.state, thunk.expr.pos)


@cython.cfunc
def unusual(thunk: Thunk) -> object:
    """What a thunk becomes whose evaluation failed, or gave a function."""
    value: object = None
    done: cython.bint = False
    try:
        value = pending()
        done = True
    finally:
        if not done:
            restore_thunk(thunk, thunk.expr, thunk.slot)
    return own_function(thunk, value)


def own_function(thunk, value):
    if type(value) is Lambda:
        if cython.compiled and cython.cast(Lambda, value).expr is thunk.expr:
            # The function as it is written: its thunk was its cell all the time.
            become(thunk, Lambda)
            return thunk
    value = new_cell(value)
    thunk.expr = None
    thunk.slot = value
    return value


def infinite_recursion(thunk, pos):
    state = cython.cast(Expr, cython.cast(Thunk, thunk).slot).state
    error = InfiniteRecursion(
        "infinite recursion encountered", pos=pos, positions=None if state is None else state.positions
    )
    error.thunk = thunk
    return error


def restore_thunk(thunk, expr, env):
    """After a failure: remember it, or make the thunk as it was where trying again may help."""
    error = sys.exc_info()[1]
    thunk.expr = expr
    thunk.slot = env
    if isinstance(error, RecursionError):
        raise stack_overflow(expr.state, expr.pos) from None
    if type(expr) is Failed or not isinstance(error, EvalBaseError) or getattr(error, "recoverable", False):
        return
    if isinstance(error, InfiniteRecursion) and error.thunk is not None:
        error.cycle.append(expr.pos)
        if error.thunk is thunk:
            error.thunk = None
            error.add_trace(0, "entering the infinite recursion")
    thunk.expr = Failed(error)
    thunk.slot = None


# C-level names of the compiled module, made visible to Python callers.
for _name, _value in (("MISSING", MISSING), ("EMPTY_ATTRS", EMPTY_ATTRS)):
    setattr(sys.modules[__name__], _name, _value)


if not cython.compiled:
    # What C-level attributes start as.
    LambdaExpr.inner = None
    LambdaExpr.strict = LambdaExpr.strict_up = False
