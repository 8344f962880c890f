# cython: binding=True
"""Builtins on attribute sets.

In and out: values of the language. Positions of attributes are kept where Nix keeps them, for error messages and
`unsafeGetAttrPos`. Source of truth: the manual's "Built-ins", Nix's `primops.cc`.
"""

import cython
from cython.cimports.frazil.lang.functions import FormalsLambda
from cython.cimports.frazil.lang.origins import Shape, kept_positions, nowhere
from cython.cimports.frazil.lang.runtime import (
    delayed_calls,
    delayed_members,
    force,
    force_attrs,
    force_function,
    force_list,
    force_string_no_context,
    map_shaped,
)
from cython.cimports.frazil.lang.shapes import compact, without_names
from cython.cimports.frazil.lang.values import (
    EMPTY_ATTRS,
    MISSING,
    Attrs,
    Lambda,
    Primop,
    PrimopApplication,
    State,
    attrs_from_dict,
    get_value,
    init_value,
    know_direct,
    new_attrs,
    new_env,
    new_thunk,
    spend,
    spend_on,
)

from frazil.lang.errors import EvalBaseError, TypeMismatch
from frazil.lang.registry import BuiltinSpec
from frazil.lang.runtime import position_value


@cython.ccall
def builtin_attr_names(state: State, arguments: list):
    attrs: Attrs = force_attrs(arguments[0], "while evaluating the argument passed to builtins.attrNames")
    spend_on(attrs.size())
    return list(attrs.names())


@cython.ccall
def builtin_attr_values(state: State, arguments: list):
    attrs: Attrs = force_attrs(arguments[0], "while evaluating the argument passed to builtins.attrValues")
    spend_on(attrs.size())
    return attrs.raw_values()


@cython.cfunc
def needed(attrs: Attrs, name: str, trace: str) -> object:
    """An attribute that must be there, unevaluated."""
    value = attrs.lookup(name)
    if value is MISSING:
        from frazil.lang.error_text import attribute_name

        error = TypeMismatch(f"attribute '{attribute_name(name)}' missing")
        error.add_trace(0, trace)
        raise error
    return value


@cython.ccall
def builtin_get_attr(state: State, arguments: list):
    name = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.getAttr")
    attrs: Attrs = force_attrs(arguments[1], "while evaluating the second argument passed to builtins.getAttr")
    return force(needed(attrs, name, "in the attribute set under consideration"))


@cython.ccall
def builtin_has_attr(state: State, arguments: list):
    name = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.hasAttr")
    attrs: Attrs = force_attrs(arguments[1], "while evaluating the second argument passed to builtins.hasAttr")
    return True if attrs.has(name) else False


@cython.ccall
def builtin_is_attrs(state: State, arguments: list):
    return type(force(arguments[0])) is Attrs


def builtin_unsafe_get_attr_pos(state: State, arguments: list):
    name = force_string_no_context(
        arguments[0], "while evaluating the first argument passed to builtins.unsafeGetAttrPos"
    )
    attrs: Attrs = force_attrs(arguments[1], "while evaluating the second argument passed to builtins.unsafeGetAttrPos")
    if not attrs.has(name):
        return None
    return position_value(state, attrs.position(name))


@cython.ccall
def builtin_remove_attrs(state: State, arguments: list):
    attrs: Attrs = force_attrs(arguments[0], "while evaluating the first argument passed to builtins.removeAttrs")
    given: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.removeAttrs")
    names: list = []
    for name in given:
        if type(name) is not str:
            name = force_string_no_context(
                name, "while evaluating the values of the second argument passed to builtins.removeAttrs"
            )
        names.append(name)
    spend_on(attrs.size() + len(names))
    return without_names(attrs, names)


@cython.cfunc
def pair_name(state: State, attrs: Attrs, name: object) -> str:
    """The `name` of a pair; errors say where it is written."""
    try:
        return force_string_no_context(name, "")
    except EvalBaseError as error:
        where: cython.Py_ssize_t = attrs.position("name")
        if isinstance(error, TypeMismatch) and not error.frames and error.pos == 0:
            error.pos = where
        if error.frames and error.frames[len(error.frames) - 1][1] == "":
            error.frames.pop()
        error.positions = state.positions
        error.add_trace(
            where, "while evaluating the `name` attribute of an element of the list passed to builtins.listToAttrs"
        )
        raise


@cython.ccall
def builtin_list_to_attrs(state: State, arguments: list):
    items: list = force_list(arguments[0], "while evaluating the argument passed to builtins.listToAttrs")
    found: dict = {}
    attrs: Attrs
    for item in items:
        attrs = force_attrs(item, "while evaluating an element of the list passed to builtins.listToAttrs")
        name = attrs.lookup("name")
        if name is MISSING:
            needed(attrs, "name", "in a {name=...; value=...;} pair")
        if type(name) is not str:
            name = pair_name(state, attrs, name)
        if len(items) == 1:
            value = needed(attrs, "value", "in a {name=...; value=...;} pair")
            where: cython.Py_ssize_t = attrs.position("value")
            return compact({name: value}, {name: where} if where != 0 else None)
        found.setdefault(name, attrs)
        spend(1)
    if len(found) == 0:
        return EMPTY_ATTRS
    table: dict = {}
    positions: dict = {}
    known: cython.bint = False
    origin: object = None
    position: object = 0
    for name, pair in found.items():
        attrs = pair
        spend(1)
        table[name] = needed(attrs, "value", "in a {name=...; value=...;} pair")
        if attrs.origin is not origin:  # that of the pair before, if both are from one place
            origin = attrs.origin
            position = attrs.position("value")
        if position != 0:
            positions[name] = position
            known = True
    return compact(table, positions if known else None)


@cython.ccall
def builtin_intersect_attrs(state: State, arguments: list):
    left: Attrs = force_attrs(arguments[0], "while evaluating the first argument passed to builtins.intersectAttrs")
    right: Attrs = force_attrs(arguments[1], "while evaluating the second argument passed to builtins.intersectAttrs")
    table: dict = {}
    name: str
    spend_on(left.size() if left.size() < right.size() else right.size())
    if left.size() < right.size():
        for name in left.own_table() if left.shape is None else left.shape.names:
            value = right.lookup(name)
            if value is not MISSING:
                table[name] = value
    else:
        for name in right.own_table() if right.shape is None else right.shape.names:
            if left.has(name):
                table[name] = right.lookup(name)
    if len(table) == 0:
        return EMPTY_ATTRS
    return compact(table, kept_positions(right.origin, table))


@cython.ccall
def builtin_cat_attrs(state: State, arguments: list):
    name = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.catAttrs")
    items: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.catAttrs")
    result: list = []
    for item in items:
        attrs: Attrs = force_attrs(
            item, "while evaluating an element in the list passed as second argument to builtins.catAttrs"
        )
        value = attrs.lookup(name)
        spend(1)
        if value is not MISSING:
            result.append(value)
    return result


@cython.ccall
def builtin_function_args(state: State, arguments: list):
    function = force(arguments[0])
    if type(function) is Primop or type(function) is PrimopApplication:
        return EMPTY_ATTRS
    if type(function) is not Lambda:
        raise TypeMismatch("'functionArgs' requires a function")
    expr = cython.cast(Lambda, function).expr
    if type(expr) is not FormalsLambda:
        return EMPTY_ATTRS
    return cython.cast(object, expr).asked()


@cython.ccall
def builtin_map_attrs(state: State, arguments: list):
    attrs: Attrs = force_attrs(arguments[1], "while evaluating the second argument passed to builtins.mapAttrs")
    function = arguments[0]
    spend_on(attrs.size())
    if attrs.shape is not None:
        return map_shaped(state, function, attrs)
    table: dict = {}
    calls = delayed_members(state, function)
    for name, value in attrs.own_table().items():
        table[name] = new_thunk(calls, new_env(name, value))
    return attrs_from_dict(table)


@cython.cfunc
def gather(found: dict, attrs: Attrs) -> object:
    """Add each value to the list of its name."""
    i: cython.Py_ssize_t
    spend_on(attrs.size())
    if attrs.shape is None:
        for name, value in attrs.own_table().items():
            add_to(found, name, value)
    else:
        names = attrs.shape.names
        for i in range(attrs.shape.count):
            add_to(found, names[i], get_value(attrs, i))
    return None


@cython.cfunc
@cython.inline
def add_to(found: dict, name: object, value: object) -> object:
    values = found.get(name)
    if values is None:
        found[name] = [value]
    else:
        cython.cast(list, values).append(value)
    return None


@cython.cfunc
def zip_alike(state: State, function: object, items: list, shape: Shape) -> object:
    """Of sets that have the same names."""
    calls = delayed_calls(state, function, True)
    result = new_attrs(shape, nowhere(shape))
    i: cython.Py_ssize_t
    k: cython.Py_ssize_t
    spend_on(shape.count * len(items))
    for i in range(shape.count):
        values: list = [None] * len(items)
        for k in range(len(items)):
            values[k] = get_value(cython.cast(Attrs, force(items[k])), i)
        init_value(result, i, new_thunk(calls, new_env(shape.names[i], values)))
    return result


@cython.ccall
def builtin_zip_attrs_with(state: State, arguments: list):
    function = force_function(arguments[0], "while evaluating the first argument passed to builtins.zipAttrsWith")
    items: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.zipAttrsWith")
    trace = "while evaluating a value of the list passed as second argument to builtins.zipAttrsWith"
    common: Shape = None
    differ: cython.bint = len(items) == 0
    for item in items:
        shape: Shape = cython.cast(Attrs, force_attrs(item, trace)).shape
        if common is None:
            common = shape
        if shape is None or shape is not common:
            differ = True
    if not differ:
        return zip_alike(state, function, items, common)
    found: dict = {}
    widest: Shape = None
    for item in items:
        attrs: Attrs = force_attrs(item, trace)
        gather(found, attrs)
        if attrs.shape is not None and (widest is None or attrs.shape.count > widest.count):
            widest = attrs.shape
    calls = delayed_calls(state, function, True)
    if widest is not None and widest.count == len(found):
        # One of the sets has all names.
        result = new_attrs(widest, nowhere(widest))
        i: cython.Py_ssize_t
        for i in range(widest.count):
            init_value(result, i, new_thunk(calls, new_env(widest.names[i], found[widest.names[i]])))
        return result
    for name, values in found.items():
        found[name] = new_thunk(calls, new_env(name, values))
    return compact(found, None)


if cython.compiled:
    know_direct(builtin_attr_names, cython.cast(cython.p_void, builtin_attr_names))
    know_direct(builtin_attr_values, cython.cast(cython.p_void, builtin_attr_values))
    know_direct(builtin_cat_attrs, cython.cast(cython.p_void, builtin_cat_attrs))
    know_direct(builtin_function_args, cython.cast(cython.p_void, builtin_function_args))
    know_direct(builtin_get_attr, cython.cast(cython.p_void, builtin_get_attr))
    know_direct(builtin_has_attr, cython.cast(cython.p_void, builtin_has_attr))
    know_direct(builtin_intersect_attrs, cython.cast(cython.p_void, builtin_intersect_attrs))
    know_direct(builtin_is_attrs, cython.cast(cython.p_void, builtin_is_attrs))
    know_direct(builtin_list_to_attrs, cython.cast(cython.p_void, builtin_list_to_attrs))
    know_direct(builtin_map_attrs, cython.cast(cython.p_void, builtin_map_attrs))
    know_direct(builtin_remove_attrs, cython.cast(cython.p_void, builtin_remove_attrs))
    know_direct(builtin_zip_attrs_with, cython.cast(cython.p_void, builtin_zip_attrs_with))


BUILTINS = [
    BuiltinSpec(
        "attrNames",
        1,
        builtin_attr_names,
        documentation="The names of a set's attributes, sorted.",
        argument_names=("set",),
    ),
    BuiltinSpec(
        "attrValues",
        1,
        builtin_attr_values,
        documentation="The values of a set's attributes, in the order of their names.",
        argument_names=("set",),
    ),
    BuiltinSpec(
        "catAttrs",
        2,
        builtin_cat_attrs,
        documentation="Collects one attribute from each set of a list that has it.",
        argument_names=("attr", "list"),
    ),
    BuiltinSpec(
        "functionArgs",
        1,
        builtin_function_args,
        documentation="The names that a function's set pattern asks for, each with whether it has a default.",
        argument_names=("f",),
    ),
    BuiltinSpec(
        "getAttr",
        2,
        builtin_get_attr,
        documentation="The attribute of a set whose name is computed, as `set.${s}`.",
        argument_names=("s", "set"),
    ),
    BuiltinSpec(
        "hasAttr",
        2,
        builtin_has_attr,
        documentation="Whether a set has an attribute whose name is computed, as `set ? ${s}`.",
        argument_names=("s", "set"),
    ),
    BuiltinSpec(
        "intersectAttrs",
        2,
        builtin_intersect_attrs,
        documentation="The attributes of the second set whose names the first has too.",
        argument_names=("e1", "e2"),
    ),
    BuiltinSpec("isAttrs", 1, builtin_is_attrs, documentation="Whether a value is a set.", argument_names=("e",)),
    BuiltinSpec(
        "listToAttrs",
        1,
        builtin_list_to_attrs,
        documentation="A set from a list of `{ name; value; }`; of equal names the first counts.",
        argument_names=("e",),
    ),
    BuiltinSpec(
        "mapAttrs",
        2,
        builtin_map_attrs,
        documentation="A set with a function of name and value applied to each attribute when needed.",
        argument_names=("f", "attrset"),
    ),
    BuiltinSpec(
        "removeAttrs",
        2,
        builtin_remove_attrs,
        documentation="A set without the attributes named in a list.",
        argument_names=("set", "list"),
    ),
    BuiltinSpec(
        "unsafeGetAttrPos",
        2,
        builtin_unsafe_get_attr_pos,
        documentation="File, line and column where an attribute is defined, or null.",
        argument_names=("s", "set"),
    ),
    BuiltinSpec(
        "zipAttrsWith",
        2,
        builtin_zip_attrs_with,
        documentation="Merges a list of sets: each name gets a function of the name and the list of its values.",
        argument_names=("f", "list"),
    ),
]
