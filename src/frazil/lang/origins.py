# cython: boundscheck=False, wraparound=False
"""Shapes of attribute sets, and where their attributes are defined.

A shape is the sorted names of a set. An origin tells positions: Places (of a literal), MergedPositions (of `//`),
KeptPositions (of part of a set), a dict from name to position, or None. Source of truth: none, they are our own.
"""

import cython


@cython.final
@cython.no_gc
@cython.cclass
class Shape:
    """Names, sorted, and the `index` of each, which few names do without until somebody needs it as a dict. There is
    one shape for the same names (`shape_of`), and it lives for ever.

    `merges` and `removals` belong to `shapes`; `nowhere`: the origin of sets whose attributes no text defines."""

    def __init__(self, names):
        self.count = len(names)
        self.names = names
        self.index = None
        self.nowhere = None
        self.merges = None
        self.removals = None
        if self.count > FEW:
            index_of(self)


FEW = cython.declare(cython.Py_ssize_t, 8)
FEW = 8
SHAPES = {}


def index_of(shape):
    """The index of each name."""
    if shape.index is None:
        shape.index = {name: i for i, name in enumerate(shape.names)}
    return shape.index


def place_among(shape, name):
    """The index of a name, -1 where the shape has it not."""
    index: dict = shape.index
    return few_place(shape.names, name) if index is None else index.get(name, -1)


def nowhere(shape):
    """The origin of sets whose attributes no text defines."""
    if shape.nowhere is None:
        shape.nowhere = places(shape, None, 0)
    return shape.nowhere


def shape_of(names):
    """The shape with these names, a sorted tuple."""
    shape = SHAPES.get(names)
    if shape is None:
        shape = SHAPES[names] = Shape(names)
    return shape


@cython.final
@cython.no_gc
@cython.cclass
class Places:
    """Where the attributes of a literal are defined. `table`: positions in order of a shape's names (a list, or packed
    integers), or None (they are defined nowhere), or, without a shape, a dict by name. `pos`: where the set itself is
    written.

    Of a literal whose values are made when they are asked for, `definer` is the literal, `members` its expressions if
    that is all there is to know, and `made` counts."""


def places(shape, table, pos):
    result = cython.cast(Places, Places.__new__(Places))
    result.shape = shape
    result.table = table
    result.definer = None
    result.members = None
    result.made = 0
    result.pos = pos
    return result


@cython.final
@cython.no_gc
@cython.cclass
class MergedPositions:
    """Where the attributes of `left // right` were defined; looked at for errors and unsafeGetAttrPos only."""

    def __init__(self, left, right):
        self.left = left
        self.right = right
        depth: cython.int = 0
        if isinstance(left, MergedPositions):
            depth = cython.cast(MergedPositions, left).depth
        if isinstance(right, MergedPositions):
            depth = max(depth, cython.cast(MergedPositions, right).depth)
        self.depth = depth + 1


@cython.final
@cython.no_gc
@cython.cclass
class KeptPositions:
    """Where the attributes of a part of a set were defined: those of `origin` that are in `kept`."""

    def __init__(self, origin, kept):
        self.origin = origin
        self.kept = kept


def kept_positions(origin, kept):
    """The origin of a set that holds some attributes of one with `origin`; `kept` are its own names (a container)."""
    if origin is None:
        return None
    if type(origin) is KeptPositions:
        origin = cython.cast(KeptPositions, origin).origin
    result = cython.cast(KeptPositions, KeptPositions.__new__(KeptPositions))
    result.origin = origin
    result.kept = kept
    return result


def has_origin(origin, name):
    while isinstance(origin, MergedPositions):
        merged = cython.cast(MergedPositions, origin)
        if has_origin(merged.right, name):
            return True
        origin = merged.left
    if origin is None:
        return False
    if type(origin) is KeptPositions:
        return name in cython.cast(KeptPositions, origin).kept
    if type(origin) is Places:
        shape = cython.cast(Places, origin).shape
        return name in cython.cast(Places, origin).table if shape is None else place_among(shape, name) >= 0
    return name in origin


def origin_position(origin, name):
    """Position of the definition of an attribute, 0 where unknown."""
    while True:
        if type(origin) is MergedPositions:
            merged = cython.cast(MergedPositions, origin)
            if has_origin(merged.right, name):
                origin = merged.right
            else:
                origin = merged.left
        elif type(origin) is KeptPositions:
            if name not in cython.cast(KeptPositions, origin).kept:
                return 0
            origin = cython.cast(KeptPositions, origin).origin
        else:
            break
    if origin is None:
        return 0
    if type(origin) is Places:
        shape = cython.cast(Places, origin).shape
        table = cython.cast(Places, origin).table
        if table is None:
            return 0
        if shape is None:
            return table.get(name, 0)
        i: cython.Py_ssize_t = place_among(shape, name)
        if i < 0:
            return 0
        return packed_position(table, i) if type(table) is bytes else table[i]
    return origin.get(name, 0)


def origin_names(origin):
    """The names whose positions an origin, but for merged ones, may know."""
    if origin is None:
        return ()
    if type(origin) is KeptPositions:
        return cython.cast(KeptPositions, origin).kept
    if type(origin) is Places:
        shape = cython.cast(Places, origin).shape
        return cython.cast(Places, origin).table if shape is None else shape.names
    return origin


EMPTY_SHAPE = shape_of(())


if not cython.compiled:

    def few_place(names, name):
        return names.index(name) if name in names else -1

    def packed_position(table, i):
        return memoryview(table).cast("i")[i]
