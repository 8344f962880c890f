# cython: boundscheck=False, wraparound=False, binding=True
"""Builtins on lists.

In and out: values of the language. Source of truth: the manual's "Built-ins", Nix's `primops.cc` for what is forced
when. A function that returns its argument's list unchanged returns the very same list.
"""

import cython
from cython.cimports.frazil.lang.comparison import equal, less_than
from cython.cimports.frazil.lang.concatenation import joined_lists
from cython.cimports.frazil.lang.deep_force import determine_pos
from cython.cimports.frazil.lang.runtime import (
    call_value,
    call_with_two,
    delayed_calls,
    force,
    force_attrs,
    force_bool,
    force_function,
    force_int,
    force_list,
    force_string_no_context,
    show_type,
)
from cython.cimports.frazil.lang.values import (
    EMPTY_LIST,
    MISSING,
    Attrs,
    ContextString,
    Lambda,
    Primop,
    State,
    attrs_from_dict,
    know_direct,
    new_int,
    new_thunk,
    same_text,
    spend,
    spend_on,
    stack_is_low,
    stack_overflow,
)

from frazil.lang.builtins_math import builtin_less_than
from frazil.lang.errors import EvalBaseError, EvalError, TypeMismatch
from frazil.lang.registry import BuiltinSpec
from frazil.lang.values import let_others_run

LENGTH_LIMIT = 1 << 31
INSERTION_LIMIT = 16
FEW = cython.declare(cython.Py_ssize_t, 8)
FEW = 8


@cython.cfunc
def call_one(state: State, function: object, item: object) -> object:
    """`function item` without the detour that other kinds of functions need."""
    if type(function) is not Lambda:
        return call_value(state, function, [item], 0)
    if state.call_depth > state.max_call_depth or stack_is_low():
        raise stack_overflow(state, 0)
    state.call_depth += 1
    called: Lambda = cython.cast(Lambda, function)
    value: object = called.expr.apply(called.env, item, 0)
    state.call_depth -= 1
    return value


@cython.ccall
def builtin_all(state: State, arguments: list):
    return any_or_all(state, arguments, False, TRACES_OF_ALL)


@cython.ccall
def builtin_any(state: State, arguments: list):
    return any_or_all(state, arguments, True, TRACES_OF_ANY)


@cython.cfunc
def traces_of(name: str) -> tuple:
    return (
        f"while evaluating the first argument passed to builtins.{name}",
        f"while evaluating the second argument passed to builtins.{name}",
        f"while evaluating the return value of the function passed to builtins.{name}",
    )


TRACES_OF_ALL = cython.declare(tuple, traces_of("all"))
TRACES_OF_ALL = traces_of("all")
TRACES_OF_ANY = cython.declare(tuple, traces_of("any"))
TRACES_OF_ANY = traces_of("any")


@cython.cfunc
def any_or_all(state: State, arguments: list, wanted: cython.bint, traces: tuple) -> object:
    function = force_function(arguments[0], traces[0])
    items: list = force_list(arguments[1], traces[1])
    for item in items:
        result = call_one(state, function, item)
        if type(result) is not bool:
            force_bool(result, traces[2])
        if result is wanted_value(wanted):
            return result
    return not wanted


@cython.cfunc
def wanted_value(wanted: cython.bint) -> object:
    return True if wanted else False


@cython.ccall
def builtin_concat_lists(state: State, arguments: list):
    lists: list = force_list(arguments[0], "while evaluating the first argument passed to builtins.concatLists")
    return concatenated(lists, "while evaluating a value of the list passed to builtins.concatLists")


@cython.cfunc
def concatenated(lists: list, trace: str) -> list:
    forced: list = []
    for item in lists:
        if type(item) is not list:
            item = force_list(item, trace)
        if len(cython.cast(list, item)) != 0:
            forced.append(item)
    if len(forced) < 2:
        return forced[0] if forced else EMPTY_LIST
    total: cython.Py_ssize_t = 0
    for item in forced:
        total += len(cython.cast(list, item))
    spend_on(len(forced) + total)
    return joined_lists(forced, total)


@cython.ccall
def builtin_concat_map(state: State, arguments: list):
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.concatMap")
    items: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.concatMap")
    # Lists stay: few elements are joined into a list that is no larger than it must be, and one part is the result.
    result: list = EMPTY_LIST
    grows: cython.bint = False
    for item in items:
        part = call_one(state, function, item)
        if type(part) is not list:
            raise not_a_list(function, part)
        if len(cython.cast(list, part)) == 0:
            continue
        spend_on(len(cython.cast(list, part)))
        if grows:
            result.extend(cython.cast(list, part))
        elif len(result) == 0:
            result = cython.cast(list, part)
        else:
            result = result + cython.cast(list, part)
            grows = len(result) > FEW
    return result


def not_a_list(function, part):
    """The error about what a function gave; its place is the value's, or else the function's."""
    from frazil.lang.error_text import shorten

    error = TypeMismatch(f"expected a list but found {show_type(part)}: {shorten(part)}")
    where: cython.Py_ssize_t = determine_pos(part)
    if where == 0:
        where = determine_pos(function)
    error.add_trace(where, "while evaluating the return value of the function passed to builtins.concatMap")
    return error


@cython.ccall
def builtin_elem(state: State, arguments: list):
    items: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.elem")
    if len(items) == 0:
        return False
    wanted = arguments[0]
    value = force(wanted)
    if type(value) is str:
        for item in items:
            spend(1)
            other = force(item)
            if type(other) is str:
                if same_text(other, value):
                    return True
            elif type(other) is ContextString and same_text(cython.cast(ContextString, other).text, value):
                return True
        return False
    for item in items:
        spend(1)
        if equal(state, wanted, item):
            return True
    return False


@cython.ccall
def builtin_elem_at(state: State, arguments: list):
    index: cython.longlong = force_int(arguments[1], "while evaluating the second argument passed to 'builtins.elemAt'")
    items: list = force_list(arguments[0], "while evaluating the first argument passed to 'builtins.elemAt'")
    size: cython.Py_ssize_t = len(items)
    if index < 0 or index >= size:
        raise EvalError(f"'builtins.elemAt' called with index {index} on a list of size {size}")
    return force(items[index])


@cython.ccall
def builtin_filter(state: State, arguments: list):
    items: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.filter")
    if len(items) == 0:
        return items
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.filter")
    # All of them, or none, need no list.
    result: list = None
    kept: cython.Py_ssize_t = 0
    i: cython.Py_ssize_t
    for i in range(len(items)):
        item = items[i]
        keep = call_one(state, function, item)
        if keep is True:
            if result is not None:
                result.append(item)
            elif kept == i:
                kept += 1
            else:
                result = [*items[:kept], item]
        elif keep is not False:
            force_bool(keep, "while evaluating the return value of the filtering function passed to builtins.filter")
    if result is not None:
        return result
    if kept == len(items):
        return items
    return items[:kept] if kept else EMPTY_LIST


@cython.ccall
def builtin_fold_left_strict(state: State, arguments: list):
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.foldlStrict")
    items: list = force_list(arguments[2], "while evaluating the third argument passed to builtins.foldlStrict")
    result = arguments[1]
    for item in items:
        result = call_with_two(state, function, result, item, 0)
    return force(result)


@cython.ccall
def builtin_gen_list(state: State, arguments: list):
    size = force_int(arguments[1], "while evaluating the second argument passed to builtins.genList")
    if size < 0 or size > LENGTH_LIMIT:
        raise EvalError(f"cannot create list of size {size}")
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.genList")
    count: cython.Py_ssize_t = size
    calls = delayed_calls(state, function, False)
    result: list = [None] * count
    i: cython.Py_ssize_t
    for i in range(count):
        result[i] = new_thunk(calls, new_int(i))
        if i & 0x3FFFF == 0x3FFFF:
            let_others_run(state)
    return result


@cython.ccall
def builtin_group_by(state: State, arguments: list):
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.groupBy")
    items: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.groupBy")
    groups: dict = {}
    for item in items:
        name = call_one(state, function, item)
        if type(name) is not str:
            name = force_string_no_context(
                name, "while evaluating the return value of the grouping function passed to builtins.groupBy"
            )
        found = groups.get(name)
        if found is None:
            groups[name] = [item]
        else:
            cython.cast(list, found).append(item)
    return attrs_from_dict(groups)


@cython.ccall
def builtin_head(state: State, arguments: list):
    items: list = force_list(arguments[0], "while evaluating the first argument passed to 'builtins.head'")
    if len(items) == 0:
        raise EvalError("'builtins.head' called on an empty list")
    return force(items[0])


@cython.ccall
def builtin_tail(state: State, arguments: list):
    items: list = force_list(arguments[0], "while evaluating the first argument passed to 'builtins.tail'")
    if len(items) == 0:
        raise EvalError("'builtins.tail' called on an empty list")
    spend_on(len(items))
    return items[1:] if len(items) > 1 else EMPTY_LIST


@cython.ccall
def builtin_is_list(state: State, arguments: list):
    return type(force(arguments[0])) is list


@cython.ccall
def builtin_length(state: State, arguments: list):
    items: list = force_list(arguments[0], "while evaluating the first argument passed to builtins.length")
    return len(items)


@cython.ccall
def builtin_map(state: State, arguments: list):
    items: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.map")
    if len(items) == 0:
        return items
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.map")
    calls = delayed_calls(state, function, False)
    result: list = [None] * len(items)
    i: cython.Py_ssize_t
    for i in range(len(items)):
        spend(1)
        result[i] = new_thunk(calls, items[i])
    return result


@cython.ccall
def builtin_partition(state: State, arguments: list):
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.partition")
    items: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.partition")
    right: list = []
    wrong: list = []
    for item in items:
        item = force(item)
        keep = call_one(state, function, item)
        if type(keep) is not bool:
            force_bool(keep, "while evaluating the return value of the partition function passed to builtins.partition")
        if keep is True:
            right.append(item)
        else:
            wrong.append(item)
    return attrs_from_dict({"right": right or EMPTY_LIST, "wrong": wrong or EMPTY_LIST})


# --- sort


@cython.ccall
def builtin_sort(state: State, arguments: list):
    given: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.sort")
    if len(given) == 0:
        return given
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.sort")
    items: list = [force(item) for item in given]
    spend_on(len(items))
    if type(function) is Primop and is_less_than(function):
        if len(items) == 1:
            return items
        kind = type(items[0])
        if (kind is int or kind is str) and of_one_kind(items, kind):
            items.sort()
            return items
        function = None
    peek_sort(Order(state, function), items)
    return items


@cython.cfunc
def is_less_than(function: Primop) -> cython.bint:
    """Also where calls are counted, which Nix does not count these as."""
    if function.function is builtin_less_than:
        return True
    return function.spec is not None and function.spec.function is builtin_less_than


@cython.cfunc
def of_one_kind(items: list, kind: object) -> cython.bint:
    for item in items:
        if type(item) is not kind:
            return False
    return True


@cython.final
@cython.cclass
class Order:
    """A comparison function of the language; None stands for `lessThan`."""

    state: State
    function: object

    def __init__(self, state, function):
        self.state = state
        self.function = function

    @cython.cfunc
    @cython.exceptval(-1)
    def less(self, left: object, right: object) -> cython.bint:
        if self.function is None:
            spend(1)
            return less_than(self.state, left, right, "while evaluating the ordering function passed to builtins.sort")
        result = call_with_two(self.state, self.function, left, right, 0)
        if type(result) is not bool:
            force_bool(result, "while evaluating the return value of the sorting function passed to builtins.sort")
        return result is True


@cython.cfunc
@cython.exceptval(-1)
def peek_sort(order: Order, items: list) -> cython.int:
    """A stable merge sort that uses the runs it finds and any order of comparisons leaves whole.

    It asks the same comparisons in the same sequence as Nix ("peeksort", Munro and Wild 2018), so that functions which
    are no proper order, or have side effects, give the same result.
    """
    size: cython.Py_ssize_t = len(items)
    if size == 2:
        if order.less(items[1], items[0]):
            items[0], items[1] = items[1], items[0]
    elif size > 2:
        sort_range(order, items, 0, size, 0, size)
    return 0


@cython.cfunc
@cython.exceptval(-1)
def sort_range(
    order: Order,
    items: list,
    begin: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    left_end: cython.Py_ssize_t,
    right_begin: cython.Py_ssize_t,
) -> cython.int:
    """Sorts items[begin:end], of which [begin, left_end) and [right_begin, end) are in order already."""
    if left_end == end or right_begin == begin:
        return 0
    if end - begin <= INSERTION_LIMIT:
        return insertion_sort(order, items, begin, end)
    middle: cython.Py_ssize_t = begin + (end - begin) // 2
    if middle <= left_end:
        sort_range(order, items, left_end, end, left_end + 1, right_begin)
        return merge(order, items, begin, left_end, end)
    if middle >= right_begin:
        sort_range(order, items, begin, right_begin, left_end, right_begin - 1)
        return merge(order, items, begin, right_begin, end)
    i: cython.Py_ssize_t = middle
    j: cython.Py_ssize_t = middle - 1
    descending: cython.bint = order.less(items[middle], items[middle - 1])
    i = run_start(order, items, left_end, middle, descending)
    j = run_end(order, items, middle - 1, right_begin, descending)
    if descending:
        items[i:j] = list(reversed(items[i:j]))
    if i == begin and j == end:
        return 0
    if middle - i < j - middle:
        sort_range(order, items, begin, i, left_end, i - 1)
        sort_range(order, items, i, end, j, right_begin)
        return merge(order, items, begin, i, end)
    sort_range(order, items, begin, j, left_end, i)
    sort_range(order, items, j, end, j + 1, right_begin)
    return merge(order, items, begin, j, end)


@cython.cfunc
@cython.exceptval(-1)
def run_end(
    order: Order, items: list, begin: cython.Py_ssize_t, end: cython.Py_ssize_t, descending: cython.bint
) -> cython.Py_ssize_t:
    """Where the run that starts at `begin` ends."""
    if begin == end:
        return begin
    while begin + 1 != end and order.less(items[begin + 1], items[begin]) == descending:
        begin += 1
    return begin + 1


@cython.cfunc
@cython.exceptval(-1)
def run_start(
    order: Order, items: list, begin: cython.Py_ssize_t, end: cython.Py_ssize_t, descending: cython.bint
) -> cython.Py_ssize_t:
    """Where the run that ends at `end` starts."""
    if begin == end:
        return end
    while end - 1 > begin and order.less(items[end - 1], items[end - 2]) == descending:
        end -= 1
    return end - 1


@cython.cfunc
@cython.exceptval(-1)
def insertion_sort(order: Order, items: list, begin: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
    current: cython.Py_ssize_t = begin + 1
    while current < end:
        place: cython.Py_ssize_t = current
        while place != begin and order.less(items[place], items[place - 1]):
            items[place], items[place - 1] = items[place - 1], items[place]
            place -= 1
        current += 1
    return 0


@cython.cfunc
@cython.exceptval(-1)
def merge(
    order: Order, items: list, begin: cython.Py_ssize_t, middle: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.int:
    left: list = items[begin:middle]
    right: list = items[middle:end]
    i: cython.Py_ssize_t = 0
    j: cython.Py_ssize_t = 0
    out: cython.Py_ssize_t = begin
    while i < len(left) and j < len(right):
        if order.less(right[j], left[i]):
            items[out] = right[j]
            j += 1
        else:
            items[out] = left[i]
            i += 1
        out += 1
    while i < len(left):
        items[out] = left[i]
        i += 1
        out += 1
    while j < len(right):
        items[out] = right[j]
        j += 1
        out += 1
    return 0


# --- genericClosure


def builtin_generic_closure(state: State, arguments: list):
    attrs = force_attrs(arguments[0], "while evaluating the first argument passed to builtins.genericClosure")
    where = "in the attrset passed as argument to builtins.genericClosure"
    start: list = force_list(
        required(attrs, "startSet", where),
        "while evaluating the 'startSet' attribute passed as argument to builtins.genericClosure",
    )
    if len(start) == 0:
        return start
    operator = force_function(
        required(attrs, "operator", where),
        "while evaluating the 'operator' attribute passed as argument to builtins.genericClosure",
    )
    return Closure(state, operator).run(start)


@cython.cfunc
def required(attrs: Attrs, name: str, trace: str) -> object:
    """An attribute that must be there."""
    value = attrs.lookup(name)
    if value is MISSING:
        error = EvalError(f"attribute '{name}' missing")
        if trace:
            error.add_trace(0, trace)
        raise error
    return value


@cython.final
@cython.cclass
class Closure:
    """What `genericClosure` has found. Keys of one plain type live in a dict; others in a list kept in order."""

    state: State
    operator: object
    kind: object
    plain: dict
    keys: list
    owners: list

    def __init__(self, state, operator):
        self.state = state
        self.operator = operator
        self.kind = None
        self.plain = {}
        self.keys = []
        self.owners = []

    def run(self, start):
        work: list = list(start)
        result: list = []
        at: cython.Py_ssize_t = 0
        while at < len(work):
            element = work[at]
            work[at] = None
            at += 1
            if at > 4096 and 2 * at > len(work):
                del work[:at]
                at = 0
            key = self.key(element)
            if not self.add(key, element):
                continue
            result.append(element)
            try:
                found = call_one(self.state, self.operator, element)
                if type(found) is not list:
                    force_list(
                        found, "while evaluating the return value of the `operator` passed to builtins.genericClosure"
                    )
                for item in cython.cast(list, found):
                    work.append(force(item))
            except EvalBaseError as error:
                error.add_trace(0, f"while calling operator on genericClosure element {shown(element)}")
                raise
        return result

    @cython.cfunc
    def key(self, element: object) -> object:
        try:
            attrs: Attrs = force_attrs(element, "")
            key = required(attrs, "key", "")
        except EvalBaseError as error:
            error.add_trace(0, f"in genericClosure element {shown(element)}")
            raise
        return force(key)

    @cython.cfunc
    @cython.exceptval(-1)
    def add(self, key: object, element: object) -> cython.bint:
        """False where the key is known already."""
        kind = type(key)
        if kind is ContextString:
            key = cython.cast(ContextString, key).text
            kind = str
        if self.kind is None:
            self.kind = kind
        if kind is self.kind and (kind is str or kind is int) and len(self.keys) == 0:
            if key in self.plain:
                return False
            self.plain[key] = element
            return True
        if len(self.plain) != 0 and len(self.keys) == 0:
            self.keys = sorted(self.plain)
            self.owners = [self.plain[known] for known in self.keys]
        return self.insert(key, element)

    @cython.cfunc
    @cython.exceptval(-1)
    def insert(self, key: object, element: object) -> cython.bint:
        low: cython.Py_ssize_t = 0
        high: cython.Py_ssize_t = len(self.keys)
        try:
            while low < high:
                middle: cython.Py_ssize_t = (low + high) // 2
                if less_than(self.state, key, self.keys[middle], ""):
                    high = middle
                elif less_than(self.state, self.keys[middle], key, ""):
                    low = middle + 1
                else:
                    return False
        except EvalBaseError as error:
            error.add_trace(0, f"with element {shown(self.incomparable(key))}")
            error.add_trace(0, f"while comparing element {shown(element)}")
            raise
        self.keys.insert(low, key)
        self.owners.insert(low, element)
        return True

    def incomparable(self, key):
        """The first element in order whose key cannot be compared with a new one."""
        for known, owner in zip(self.keys, self.owners, strict=True):
            try:
                less_than(self.state, key, known, "")
            except EvalBaseError:
                return owner
        return None


def shown(value):
    """A value as error messages show it."""
    from frazil.lang.error_text import shorten

    return shorten(value)


if cython.compiled:
    know_direct(builtin_all, cython.cast(cython.p_void, builtin_all))
    know_direct(builtin_any, cython.cast(cython.p_void, builtin_any))
    know_direct(builtin_concat_lists, cython.cast(cython.p_void, builtin_concat_lists))
    know_direct(builtin_concat_map, cython.cast(cython.p_void, builtin_concat_map))
    know_direct(builtin_elem, cython.cast(cython.p_void, builtin_elem))
    know_direct(builtin_elem_at, cython.cast(cython.p_void, builtin_elem_at))
    know_direct(builtin_filter, cython.cast(cython.p_void, builtin_filter))
    know_direct(builtin_fold_left_strict, cython.cast(cython.p_void, builtin_fold_left_strict))
    know_direct(builtin_gen_list, cython.cast(cython.p_void, builtin_gen_list))
    know_direct(builtin_group_by, cython.cast(cython.p_void, builtin_group_by))
    know_direct(builtin_head, cython.cast(cython.p_void, builtin_head))
    know_direct(builtin_is_list, cython.cast(cython.p_void, builtin_is_list))
    know_direct(builtin_length, cython.cast(cython.p_void, builtin_length))
    know_direct(builtin_map, cython.cast(cython.p_void, builtin_map))
    know_direct(builtin_partition, cython.cast(cython.p_void, builtin_partition))
    know_direct(builtin_sort, cython.cast(cython.p_void, builtin_sort))
    know_direct(builtin_tail, cython.cast(cython.p_void, builtin_tail))


BUILTINS = [
    BuiltinSpec(
        "all",
        2,
        builtin_all,
        documentation="Whether a predicate holds for every element of a list.",
        argument_names=("pred", "list"),
    ),
    BuiltinSpec(
        "any",
        2,
        builtin_any,
        documentation="Whether a predicate holds for at least one element of a list.",
        argument_names=("pred", "list"),
    ),
    BuiltinSpec(
        "concatLists",
        1,
        builtin_concat_lists,
        documentation="Joins a list of lists into one list.",
        argument_names=("lists",),
    ),
    BuiltinSpec(
        "concatMap",
        2,
        builtin_concat_map,
        documentation="Applies a function that gives lists to each element and joins the results.",
        argument_names=("f", "list"),
    ),
    BuiltinSpec(
        "elem",
        2,
        builtin_elem,
        documentation="Whether a value equals some element of a list.",
        argument_names=("x", "xs"),
    ),
    BuiltinSpec(
        "elemAt",
        2,
        builtin_elem_at,
        documentation="The element at a position of a list; the first has position 0.",
        argument_names=("xs", "n"),
    ),
    BuiltinSpec(
        "filter",
        2,
        builtin_filter,
        documentation="The elements of a list for which a function gives true.",
        argument_names=("f", "list"),
    ),
    BuiltinSpec(
        "foldl'",
        3,
        builtin_fold_left_strict,
        documentation="Combines a start value with each element in turn, from the left, evaluating every step.",
        argument_names=("op", "nul", "list"),
    ),
    BuiltinSpec(
        "genList",
        2,
        builtin_gen_list,
        documentation="A list of the given length whose elements are a function of their position.",
        argument_names=("generator", "length"),
    ),
    BuiltinSpec(
        "genericClosure",
        1,
        builtin_generic_closure,
        documentation="All elements reached from `startSet` by repeated use of `operator`, one for each `key`.",
        argument_names=("attrset",),
    ),
    BuiltinSpec(
        "groupBy",
        2,
        builtin_group_by,
        documentation="A set of lists: the elements of a list under the name that a function gives each.",
        argument_names=("f", "list"),
    ),
    BuiltinSpec("head", 1, builtin_head, documentation="The first element of a list.", argument_names=("list",)),
    BuiltinSpec("isList", 1, builtin_is_list, documentation="Whether a value is a list.", argument_names=("e",)),
    BuiltinSpec("length", 1, builtin_length, documentation="How many elements a list has.", argument_names=("e",)),
    BuiltinSpec(
        "map",
        2,
        builtin_map,
        documentation="A list with a function applied to each element, evaluated when needed.",
        argument_names=("f", "list"),
    ),
    BuiltinSpec(
        "partition",
        2,
        builtin_partition,
        documentation="Splits a list into those for which a predicate holds (`right`) and the others (`wrong`).",
        argument_names=("pred", "list"),
    ),
    BuiltinSpec(
        "sort",
        2,
        builtin_sort,
        documentation="A list in the order of a comparison function; equal elements keep their order.",
        argument_names=("comparator", "list"),
    ),
    BuiltinSpec("tail", 1, builtin_tail, documentation="A list without its first element.", argument_names=("list",)),
]
