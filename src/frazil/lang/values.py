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

import cython


@cython.cclass
class State:
    """What expressions share: settings, the outside world, positions, depth. `Evaluator` extends it."""


@cython.cclass
class Env:
    """One scope at run time. `payload`: a lambda's argument, a list of slots, or the set of a `with`."""

    def __init__(self, up, payload):
        self.up = up
        self.payload = payload


@cython.cclass
class Expr:
    """A node of a resolved expression. `pos` is a position of the table of positions, 0 where there is none."""

    def eval(self, env):
        """The value in weak head normal form: never a thunk."""
        raise NotImplementedError

    def delay(self, env):
        """A value where one is at hand without work, otherwise a thunk."""
        return new_thunk(self, env)

    def peek(self, env):
        """The value where it is already known and nothing need be allocated, otherwise MISSING."""
        return MISSING


class _Missing:
    """The type of MISSING: "there is no such attribute" (null is None)."""

    def __repr__(self):
        return "MISSING"


@cython.cclass
class LambdaExpr(Expr):
    """A function's expression; `name` is what errors call it, or None."""

    def apply(self, up, argument, call_pos):
        """The body's value for an argument (value or thunk)."""
        raise NotImplementedError


@cython.final
@cython.cclass
class Thunk:
    """A value not yet computed. Pending: `expr` and its environment in `slot`; done: no `expr`, the value in `slot`."""

    def __init__(self, expr, slot):
        self.expr = expr
        self.slot = slot


@cython.final
@cython.cclass
class Shape:
    """The names of all sets that one literal makes, sorted; where each is defined; and their index."""

    def __init__(self, names, positions):
        self.names = tuple(names)
        self.positions = list(positions)
        self.index = {name: i for i, name in enumerate(self.names)}


@cython.final
@cython.cclass
class MergedPositions:
    """Where the attributes of `left // right` were defined; looked at for errors and unsafeGetAttrPos only."""

    def __init__(self, left, right):
        self.left = left
        self.right = right
        self.depth = 1 + (cython.cast(MergedPositions, left).depth if isinstance(left, MergedPositions) else 0)


def has_origin(origin, name):
    while isinstance(origin, MergedPositions):
        merged = cython.cast(MergedPositions, origin)
        if has_origin(merged.right, name):
            return True
        origin = merged.left
    if origin is None:
        return False
    if isinstance(origin, Shape):
        return name in cython.cast(Shape, origin).index
    return name in origin


def origin_position(origin, name):
    """Position of the definition of an attribute, 0 where unknown."""
    while isinstance(origin, MergedPositions):
        merged = cython.cast(MergedPositions, origin)
        if has_origin(merged.right, name):
            origin = merged.right
        else:
            origin = merged.left
    if origin is None:
        return 0
    if isinstance(origin, Shape):
        shape = cython.cast(Shape, origin)
        i = shape.index.get(name)
        return 0 if i is None else shape.positions[i]
    return origin.get(name, 0)


@cython.final
@cython.cclass
class Attrs:
    """An attribute set.

    Either `shape` and `values` side by side (what a literal makes), or `table` alone, unsorted. `origin` tells where
    attributes were defined: a Shape, a dict from name to position, a MergedPositions, or None. `pos`: where the set
    itself is written.

    Reading: `lookup(name)` gives a value, a thunk, or MISSING; `has`, `size`; `names()` and `items()` are sorted;
    `raw_values()` is in order of names. Building: `attrs_from_dict(table, positions)`.
    """

    def lookup(self, name):
        if self.table is not None:
            return self.table.get(name, MISSING)
        i = self.shape.index.get(name)
        if i is None:
            return MISSING
        return self.values[cython.cast(cython.Py_ssize_t, i)]

    def has(self, name):
        if self.table is not None:
            return name in self.table
        return name in self.shape.index

    def size(self):
        if self.shape is not None:
            return len(self.shape.names)
        return len(self.table)

    def names(self):
        """Sorted; do not change it."""
        if self.shape is not None:
            return self.shape.names
        return sorted(self.table)

    def items(self):
        """(name, value or thunk), sorted by name."""
        if self.shape is not None:
            return list(zip(self.shape.names, self.values))
        table = self.table
        return [(name, table[name]) for name in sorted(table)]

    def raw_values(self):
        """Values or thunks in order of names; a fresh list."""
        if self.shape is not None:
            return list(self.values)
        table = self.table
        return [table[name] for name in sorted(table)]

    def position(self, name):
        """Where an attribute is defined, 0 where unknown."""
        return origin_position(self.origin, name)

    def as_table(self):
        if self.table is None:
            self.table = dict(zip(self.shape.names, self.values))
        return self.table

    def copy_table(self):
        """A fresh dict from name to value or thunk, in no particular order."""
        if self.table is not None:
            return self.table.copy()
        return dict(zip(self.shape.names, self.values))

    def origins(self):
        """What `attrs_from_dict` takes as positions to keep those of this set."""
        return self.origin

    def __len__(self):
        return self.size()


def attrs_from_dict(table, positions=None, pos=0):
    """A set from a dict (given up by the caller). `positions`: dict from name to position, or another's origins()."""
    attrs = cython.cast(Attrs, Attrs.__new__(Attrs))
    attrs.shape = None
    attrs.values = None
    attrs.table = table
    attrs.origin = positions
    attrs.pos = pos
    return attrs


def update_attrs(left, right):
    """`left // right`."""
    if left.size() == 0:
        return right
    if right.size() == 0:
        return left
    table = left.copy_table()
    if right.table is not None:
        table.update(right.table)
    else:
        i: cython.Py_ssize_t = 0
        values = right.values
        for name in right.shape.names:
            table[name] = values[i]
            i += 1
    merged = cython.cast(MergedPositions, MergedPositions(left.origin, right.origin))
    origin: object = merged
    if merged.depth > 64:
        origin = {name: origin_position(merged, name) for name in table}
    return attrs_from_dict(table, origin)


def without_names(attrs, names):
    """The set without some names (any container of them)."""
    table = attrs.copy_table()
    removed = False
    for name in names:
        if table.pop(name, MISSING) is not MISSING:
            removed = True
    if not removed:
        return attrs
    origin = attrs.origin
    if origin is not None:
        origin = {name: origin_position(attrs.origin, name) for name in table}
    return attrs_from_dict(table, origin)


@cython.final
@cython.cclass
class Lambda:
    """A function with the environment it closes over."""

    def __init__(self, expr, env):
        self.expr = expr
        self.env = env


@cython.final
@cython.cclass
class Primop:
    """A builtin: `function(evaluator, arguments)` with `arity` values or thunks in a list."""

    def __init__(self, name, arity, function, internal=False):
        self.name = name
        self.arity = arity
        self.function = function
        self.internal = internal


@cython.final
@cython.cclass
class PrimopApplication:
    """A builtin with too few arguments yet."""

    def __init__(self, primop, arguments):
        self.primop = primop
        self.arguments = arguments


@cython.final
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
@cython.cclass
class ContextString:
    """A string that mentions store objects. `context` is a non-empty frozenset of context elements."""

    def __init__(self, text, context):
        self.text = text
        self.context = context


def make_string(text, context):
    """A string value: plain where the context (any iterable of elements) is empty."""
    return ContextString(text, frozenset(context)) if context else text


def new_thunk(expr, slot):
    thunk = cython.cast(Thunk, Thunk.__new__(Thunk))
    thunk.expr = expr
    thunk.slot = slot
    return thunk
