# cython: boundscheck=False, wraparound=False
"""Sets from sets: `//`, fewer attributes, small dicts. What is computed from names alone is remembered by shape.

In: sets, dicts. Out: sets. A shape costs more than the set that first needs it, so it is made when names meet for the
second time, and only so many are: a program that invents names for ever ends up with dicts.
"""

import cython
from cython.cimports.frazil.lang.origins import (
    SHAPES,
    KeptPositions,
    MergedPositions,
    Places,
    Shape,
    index_of,
    kept_positions,
    origin_names,
    origin_position,
    place_among,
    shape_of,
)
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    Former,
    attrs_from_dict,
    cell,
    get_value,
    init_value,
    is_from_literal,
    is_unmade,
    look_whether_made,
    make_value,
    new_attrs,
    new_lazy_attrs,
    new_table_attrs,
    raw_value,
    set_value,
    spend_on,
)

# Sets of more names are dicts when they are made from others: copying those is cheaper than following a plan.
MOST_NAMES = cython.declare(cython.Py_ssize_t, 100)
MOST_NAMES = 100
# Dicts of at most so many names are worth sorting, to see whether they have a shape.
FEW_NAMES = cython.declare(cython.Py_ssize_t, 12)
FEW_NAMES = 12
DEEPEST = cython.declare(cython.int, 32)
DEEPEST = 32
# Of sets that large, the dict is taken over where a few attributes are added.
LARGE = cython.declare(cython.Py_ssize_t, 32)
LARGE = 32
SEEN = cython.declare(list, [None] * 4096)
SEEN = [0] * 4096
# How many more shapes, plans and notes of a first meeting may be made for sets that no literal describes.
LEFT = cython.declare(cython.int, 100_000)
LEFT = 100_000


@cython.final
@cython.no_gc
@cython.cclass
class Plan:
    """How to make a set from one or two that have shapes. `places`: where each value of the outcome comes from, the
    left set from 0 on, the right one from 128 on. `origin`: that of the outcome for these two origins."""


@cython.final
@cython.no_gc
@cython.cclass
class Merger:
    """What one `//` remembers: the plan for the shapes it last met, and the origin of the outcome."""


@cython.cfunc
def spend_one() -> cython.bint:
    global LEFT
    if LEFT <= 0:
        return False
    LEFT -= 1
    return True


def known_shape(names):
    """The shape with these names (a sorted tuple), or None where a dict is better: nobody had them before."""
    shape = SHAPES.get(names)
    if shape is not None:
        return shape
    mark = hash(names)
    at: cython.Py_ssize_t = mark & 4095
    if SEEN[at] != mark:
        SEEN[at] = mark
        return None
    return shape_of(names) if spend_one() else None


def compact(table, origin):
    """A set from a dict (given up by the caller): with a shape, where one is known and the set is small."""
    count: cython.Py_ssize_t = len(table)
    if count > FEW_NAMES:
        return new_table_attrs(table, origin)
    names = tuple(sorted(table))
    shape: Shape = known_shape(names)
    if shape is None:
        return new_table_attrs(table, origin)
    attrs = new_attrs(shape, origin)
    i: cython.Py_ssize_t
    for i in range(count):
        init_value(attrs, i, table[names[i]])
    return attrs


@cython.cfunc
def merge_plan(left: Shape, right: Shape) -> object:
    """The plan of `left // right`; None where there is none (yet)."""
    if left.merges is None:
        left.merges = {}
    found: object = left.merges.get(right, MISSING)
    if found is MISSING:
        if left.count + right.count <= MOST_NAMES and spend_one():
            left.merges[right] = None
        return None
    if found is not None:
        return found
    names = tuple(sorted({*left.names, *right.names}))
    plan = cython.cast(Plan, Plan.__new__(Plan))
    right_index = index_of(right)
    plan.places = bytes([128 + right_index[n] if n in right_index else place_among(left, n) for n in names])
    plan.shape = shape_of(names)
    left.merges[right] = plan
    return plan


@cython.cfunc
def merged_origin(plan: Plan, left: object, right: object) -> object:
    """The origin of `left // right`: remembered, since those of literals are the same every time."""
    if plan.origin is None or plan.left is not left or plan.right is not right:
        plan.origin = joined_origin(left, right)
        plan.left = left
        plan.right = right
    return plan.origin


def joined_origin(left, right):
    if left is None and right is None:
        return None
    if type(left) is MergedPositions and cython.cast(MergedPositions, left).right is right:
        return left
    merged = cython.cast(MergedPositions, MergedPositions.__new__(MergedPositions))
    merged.left = left
    merged.right = right
    merged.depth = 1
    if type(left) is MergedPositions:
        merged.depth += cython.cast(MergedPositions, left).depth
    if type(right) is MergedPositions and cython.cast(MergedPositions, right).depth >= merged.depth:
        merged.depth = cython.cast(MergedPositions, right).depth + 1
    return compacted(merged) if merged.depth > DEEPEST else merged


def compacted(merged):
    """The same with less depth: neighbours of like size become one dict. Each position is copied a few times at most,
    however many sets are merged one after the other."""
    parts: list = []
    waiting: list = [merged]
    origin: object
    seen: set = set()
    while waiting:
        origin = waiting.pop()
        # From right to left: what comes again is hidden altogether. `a // (a // b)` over and over would double it.
        if id(origin) in seen:
            continue
        seen.add(id(origin))
        if type(origin) is MergedPositions:
            waiting.append(cython.cast(MergedPositions, origin).left)
            waiting.append(cython.cast(MergedPositions, origin).right)
        else:
            parts.append(origin)
    stack: list = []
    gathered: object = None  # the dict made last: nobody else has it
    while parts:
        origin = parts.pop()
        size: cython.Py_ssize_t = len(origin_names(origin))
        while len(stack) > 0:
            earlier: object = stack[len(stack) - 1]
            if len(origin_names(earlier)) > 2 * size and len(stack) <= DEEPEST >> 1:
                break
            stack.pop()
            positions: dict = gathered if earlier is gathered else positions_of(earlier)
            positions.update(positions_of(origin))
            origin = gathered = positions
            size = len(positions)
        stack.append(origin)
    result: object = stack[0]
    for i in range(1, len(stack)):
        result = MergedPositions(result, stack[i])
    return result


@cython.cfunc
def positions_of(origin: object) -> dict:
    """A dict from name to position of an origin that is not merged."""
    table: object
    if type(origin) is dict:
        return origin.copy()
    if type(origin) is Places:
        table = cython.cast(Places, origin).table
        if type(table) is dict and cython.cast(Places, origin).shape is None:
            return cython.cast(dict, table).copy()
    return {name: origin_position(origin, name) for name in origin_names(origin)}


def update_with(merger, left, right):
    """`left // right`, at a place that remembers."""
    if left.shape is None or right.shape is None:
        return update_attrs(left, right)
    plan: Plan
    if left.shape is not merger.left_shape or right.shape is not merger.right_shape:
        if left.shape.count == 0:
            return right
        if right.shape.count == 0:
            return left
        plan = merge_plan(left.shape, right.shape)
        if plan is None:
            return update_table(left, right)
        merger.plan = plan
        merger.left_shape = left.shape
        merger.right_shape = right.shape
        merger.origin = None
    plan = merger.plan
    if plan.shape is right.shape:
        return right
    if merger.origin is None or left.origin is not merger.left or right.origin is not merger.right:
        merger.origin = merged_origin(plan, left.origin, right.origin)
        merger.left = left.origin
        merger.right = right.origin
    return follow(plan, left, right, merger.origin)


def update_attrs(left, right):
    """`left // right`."""
    left_shape: Shape = left.shape
    right_shape: Shape = right.shape
    if left_shape is not None and right_shape is not None:
        if left_shape.count == 0:
            return right
        if right_shape.count == 0:
            return left
        plan: Plan = merge_plan(left_shape, right_shape)
        if plan is not None:
            if plan.shape is right_shape:
                return right
            return follow(plan, left, right, merged_origin(plan, left.origin, right.origin))
    elif left.size() == 0:
        return right
    elif right.size() == 0:
        return left
    return update_table(left, right)


@cython.cfunc
def follow(plan: Plan, left: Attrs, right: Attrs, origin: object) -> Attrs:
    # What one of the two has not made yet is left to it, if it is a literal: what refers to others in turn would make
    # long chains of them.
    source: Attrs = None
    if is_from_literal(right):
        source = right
    elif is_from_literal(left):
        source = left
    if source is not None:
        return follow_lazily(plan, left, right, origin, source)
    result = new_attrs(plan.shape, origin)
    places = plan.places
    i: cython.Py_ssize_t
    place: cython.Py_ssize_t
    for i in range(plan.shape.count):
        place = places[i]
        place &= 255
        if place < 128:
            init_value(result, i, cell(get_value(left, place)))
        else:
            init_value(result, i, cell(get_value(right, place - 128)))
    return result


@cython.cfunc
def follow_lazily(plan: Plan, left: Attrs, right: Attrs, origin: object, source: Attrs) -> Attrs:
    result = new_lazy_attrs(plan.shape, origin, source)
    places = plan.places
    value: object
    part: Attrs
    i: cython.Py_ssize_t
    place: cython.Py_ssize_t
    for i in range(plan.shape.count):
        place = places[i]
        place &= 255
        part = left
        if place >= 128:
            part = right
            place -= 128
        value = raw_value(part, place)
        if not is_unmade(value):
            set_value(result, i, cell(value))
        elif part is not source:
            set_value(result, i, make_value(part, place))
    look_whether_made(result)
    return result


@cython.cfunc
def update_table(left: Attrs, right: Attrs) -> Attrs:
    i: cython.Py_ssize_t = 0
    table: dict
    if left.shape is None and left.size() >= LARGE and right.size() <= left.size() >> 2:
        # The origin of a part may know the dict.
        if type(left.origin) is not KeptPositions and left is not right:
            return extended(left, right)
    spend_on(left.size() + right.size())
    if right.shape is None and left.size() < right.size() >> 2:
        # Most of the outcome is the right set: a dict is copied faster than filled.
        table = right.own_table().copy()
        if left.shape is None:
            for name, value in left.own_table().items():
                table.setdefault(name, value)
        else:
            for name in left.shape.names:
                table.setdefault(name, get_value(left, i))
                i += 1
    else:
        table = left.copy_table()
        if right.shape is None:
            table.update(right.own_table())
        else:
            for name in right.shape.names:
                table[name] = get_value(right, i)
                i += 1
    return compact(table, joined_origin(left.origin, right.origin))


@cython.cfunc
def extended(left: Attrs, right: Attrs) -> Attrs:
    """`left // right` in the dict of `left`: adding to a set over and over does not copy it each time."""
    table = left.own_table()
    names: object = right.shape.names if right.shape is not None else list(right.own_table())
    replaced: list = None
    i: cython.Py_ssize_t
    for i in range(len(names)):
        name: str = names[i]
        old: object = table.get(name, MISSING)
        if old is not MISSING and replaced is None:
            replaced = [MISSING] * len(names)
        if replaced is not None:
            replaced[i] = old
        table[name] = right.lookup(name)
    newer = new_table_attrs(table, joined_origin(left.origin, right.origin))
    left.table = None
    left.former = Former(newer, names, replaced)
    return newer


def without_names(attrs, names):
    """The set without some names (any container of them)."""
    shape: Shape = attrs.shape
    if shape is not None:
        plan: Plan = removal_plan(shape, tuple(names))
        if plan is not None:
            return attrs if plan.shape is shape else follow_removal(plan, attrs)
    table = attrs.copy_table()
    removed = False
    for name in names:
        if table.pop(name, MISSING) is not MISSING:
            removed = True
    if not removed:
        return attrs
    return attrs_from_dict(table, kept_positions(attrs.origin, table))


@cython.cfunc
def removal_plan(shape: Shape, names: tuple) -> object:
    if len(names) > MOST_NAMES or shape.count > MOST_NAMES:
        return None
    if shape.removals is None:
        shape.removals = {}
    found: object = shape.removals.get(names, MISSING)
    if found is MISSING:
        if spend_one():
            shape.removals[names] = None
        return None
    if found is not None:
        return found
    kept = tuple([name for name in shape.names if name not in names])
    plan = cython.cast(Plan, Plan.__new__(Plan))
    plan.places = bytes([place_among(shape, name) for name in kept])
    plan.shape = shape_of(kept)
    shape.removals[names] = plan
    return plan


@cython.cfunc
def follow_removal(plan: Plan, attrs: Attrs) -> Attrs:
    if plan.origin is None or plan.left is not attrs.origin:
        plan.origin = kept_positions(attrs.origin, plan.shape.names)
        plan.left = attrs.origin
    result = new_attrs(plan.shape, plan.origin)
    places = plan.places
    i: cython.Py_ssize_t
    for i in range(plan.shape.count):
        init_value(result, i, get_value(attrs, cython.cast(cython.Py_ssize_t, places[i])))
    return result


if not cython.compiled:
    # What C-level attributes start as.
    Plan.left = Plan.right = Plan.origin = None
    Merger.left_shape = Merger.right_shape = Merger.plan = Merger.left = Merger.right = Merger.origin = None
