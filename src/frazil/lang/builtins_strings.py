# cython: boundscheck=False, wraparound=False, binding=True
"""Builtins on strings, patterns and versions.

In and out: values of the language; strings are byte strings with or without context. Source of truth: the manual's
"Built-ins" and "String context", Nix's `primops.cc`.
"""

import cython
from cython.cimports.frazil.lang.runtime import (
    coerce_to_string,
    force,
    force_int,
    force_list,
    force_string,
    force_string_no_context,
)
from cython.cimports.frazil.lang.values import (
    ContextString,
    State,
    attrs_from_dict,
    decimal,
    joined,
    know_direct,
    latin1,
    spend,
    spend_on,
)

from frazil.lang.errors import EvalError
from frazil.lang.registry import BuiltinSpec
from frazil.lang.versions import compare_versions, parse_derivation_name, split_version


@cython.cfunc
def with_context(text: str, context: set) -> object:
    if len(context) == 0:
        return text
    return ContextString(text, frozenset(context))


@cython.ccall
def builtin_to_string(state: State, arguments: list):
    value = force(arguments[0])
    if type(value) is str or type(value) is ContextString:
        return value
    if type(value) is int:
        return decimal(value)
    context: set = set()
    text = coerce_to_string(
        state, value, context, "while evaluating the first argument passed to builtins.toString", True, False
    )
    return with_context(text, context)


@cython.ccall
def builtin_is_string(state: State, arguments: list):
    value = force(arguments[0])
    return type(value) is str or type(value) is ContextString


@cython.ccall
def builtin_string_length(state: State, arguments: list):
    value = force(arguments[0])
    if type(value) is str:
        return len(cython.cast(str, value))
    context: set = set()
    text = coerce_to_string(
        state, arguments[0], context, "while evaluating the argument passed to builtins.stringLength"
    )
    return len(text)


@cython.ccall
def builtin_substring(state: State, arguments: list):
    start: cython.longlong = force_int(
        arguments[0], "while evaluating the first argument (the start offset) passed to builtins.substring"
    )
    if start < 0:
        raise EvalError("negative start position in 'substring'")
    count: cython.longlong = force_int(
        arguments[1], "while evaluating the second argument (the substring length) passed to builtins.substring"
    )
    value = arguments[2]
    if type(value) is not str:
        value = force(value)
    if count == 0:
        if type(value) is str:
            return ""
        if type(value) is ContextString:
            return ContextString("", cython.cast(ContextString, value).context)
    size: cython.longlong
    end: cython.longlong
    if type(value) is str:
        size = len(cython.cast(str, value))
        if start >= size:
            return ""
        end = size if count < 0 or count > size - start else start + count
        spend_on((end - start) >> 4)
        return cython.cast(str, value)[start:end]
    context: set = set()
    text: str = coerce_to_string(
        state, value, context, "while evaluating the third argument (the string) passed to builtins.substring"
    )
    size = len(text)
    if start >= size:
        return with_context("", context)
    end = size if count < 0 or count > size - start else start + count
    return with_context(text[start:end], context)


@cython.ccall
def builtin_concat_strings_sep(state: State, arguments: list):
    context: set = set()
    separator: str = force_string(
        arguments[0],
        context,
        "while evaluating the first argument (the separator string) passed to builtins.concatStringsSep",
    )
    items: list = force_list(
        arguments[1],
        "while evaluating the second argument (the list of strings to concat) passed to builtins.concatStringsSep",
    )
    parts: list = []
    for item in items:
        if type(item) is not str:
            item = coerce_to_string(
                state,
                item,
                context,
                "while evaluating one element of the list of strings to concat passed to builtins.concatStringsSep",
            )
        spend(1)
        parts.append(item)
    return with_context(separator.join(parts) if separator else joined(parts), context)


# --- replaceStrings


@cython.ccall
def builtin_replace_strings(state: State, arguments: list):
    old: list = force_list(arguments[0], "while evaluating the first argument passed to builtins.replaceStrings")
    new: list = force_list(arguments[1], "while evaluating the second argument passed to builtins.replaceStrings")
    if len(old) != len(new):
        raise EvalError("'from' and 'to' arguments passed to builtins.replaceStrings have different lengths")
    names: list = []
    for item in old:
        if type(item) is not str:
            item = force_string(
                item, None, "while evaluating one of the strings to replace passed to builtins.replaceStrings"
            )
        names.append(item)
    context: set = set()
    text: str = force_string(
        arguments[2], context, "while evaluating the third argument passed to builtins.replaceStrings"
    )
    spend_on(len(text))
    if "" in names:
        result = replace_with_empty(text, names, new, context)
    elif len(names) == 1:
        name: str = names[0]
        result = text.replace(name, replacement(new, 0, context)) if name in text else text
    else:
        result = replace_many(text, names, new, context)
    return with_context(result, context)


@cython.cfunc
def replacement(new: list, index: cython.Py_ssize_t, context: set) -> str:
    return force_string(
        new[index], context, "while evaluating one of the replacement strings passed to builtins.replaceStrings"
    )


@cython.cfunc
def replace_many(text: str, names: list, new: list, context: set) -> str:
    """At each place the first name of the list that stands there; none is empty."""
    starting: list = [None] * 256
    i: cython.Py_ssize_t
    for i in range(len(names)):
        first: cython.int = latin1(names[i])[0]
        if starting[first] is None:
            starting[first] = []
        cython.cast(list, starting[first]).append(i)
    data: cython.p_const_uchar = latin1(text)
    known: list = [None] * len(names)
    parts: list = []
    size: cython.Py_ssize_t = len(text)
    start: cython.Py_ssize_t = 0
    at: cython.Py_ssize_t = 0
    while True:
        while at < size and starting[data[at]] is None:
            at += 1
        if at == size:
            break
        spend(1)
        found: cython.Py_ssize_t = -1
        for index in cython.cast(list, starting[data[at]]):
            if text.startswith(cython.cast(str, names[index]), at):
                found = index
                break
        if found < 0:
            at += 1
            continue
        if at > start:
            parts.append(text[start:at])
        if known[found] is None:
            known[found] = replacement(new, found, context)
        parts.append(known[found])
        at += len(cython.cast(str, names[found]))
        start = at
    if start == 0:
        return text
    parts.append(text[start:])
    return "".join(parts)


@cython.cfunc
def replace_with_empty(text: str, names: list, new: list, context: set) -> str:
    """With an empty string to replace: it is found before every character and at the end."""
    limit: cython.Py_ssize_t = names.index("")
    known: dict = {}
    parts: list = []
    at: cython.Py_ssize_t = 0
    size: cython.Py_ssize_t = len(text)
    while at <= size:
        spend(1)
        index: cython.Py_ssize_t = 0
        while index < limit and not text.startswith(names[index], at):
            index += 1
        replaced = known.get(index)
        if replaced is None:
            replaced = known[index] = replacement(new, index, context)
        parts.append(replaced)
        if index == limit:
            parts.append(text[at : at + 1])
            at += 1
        else:
            at += len(cython.cast(str, names[index]))
    return "".join(parts)


# --- patterns


PATTERN_LIMIT = 10_000
_matchers: dict = {}
_splitters: dict = {}


def invalid_pattern(pattern, error):
    if error.too_large:
        return EvalError(f"memory limit exceeded by regular expression '{pattern}'")
    return EvalError(f"invalid regular expression '{pattern}'")


@cython.cfunc
def compiled(pattern: str, known: dict, splitting: cython.bint) -> object:
    """The function that matches or splits a text, remembered in `known`."""
    found: object = known.get(pattern)
    if found is None:
        from frazil.lang.regex import RegexError, compile_regex

        try:
            regex = compile_regex(pattern)
        except RegexError as error:
            raise invalid_pattern(pattern, error) from None
        found = regex.split if splitting else regex.matcher()
        if len(known) >= PATTERN_LIMIT:
            known.clear()
        known[pattern] = found
    return found


@cython.ccall
def builtin_match(state: State, arguments: list):
    pattern = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.match")
    matcher = compiled(pattern, _matchers, False)
    text = force_string(arguments[1], None, "while evaluating the second argument passed to builtins.match")
    try:
        return matcher(text)
    except ValueError as error:
        raise invalid_pattern(pattern, error) from None


def builtin_split(state: State, arguments: list):
    pattern = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.split")
    splitter = compiled(pattern, _splitters, True)
    text = force_string(arguments[1], None, "while evaluating the second argument passed to builtins.split")
    try:
        parts: list = splitter(text)
    except ValueError as error:
        raise invalid_pattern(pattern, error) from None
    if len(parts) == 1:
        # Nothing matched: the string itself, context and all.
        return [force(arguments[1])]
    return parts


# --- versions


def builtin_compare_versions(state: State, arguments: list):
    left = force_string_no_context(
        arguments[0], "while evaluating the first argument passed to builtins.compareVersions"
    )
    right = force_string_no_context(
        arguments[1], "while evaluating the second argument passed to builtins.compareVersions"
    )
    return compare_versions(left, right)


def builtin_parse_drv_name(state: State, arguments: list):
    text = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.parseDrvName")
    name, version = parse_derivation_name(text)
    return attrs_from_dict({"name": name, "version": version})


def builtin_split_version(state: State, arguments: list):
    return split_version(
        force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.splitVersion")
    )


if cython.compiled:
    know_direct(builtin_concat_strings_sep, cython.cast(cython.p_void, builtin_concat_strings_sep))
    know_direct(builtin_is_string, cython.cast(cython.p_void, builtin_is_string))
    know_direct(builtin_match, cython.cast(cython.p_void, builtin_match))
    know_direct(builtin_replace_strings, cython.cast(cython.p_void, builtin_replace_strings))
    know_direct(builtin_string_length, cython.cast(cython.p_void, builtin_string_length))
    know_direct(builtin_substring, cython.cast(cython.p_void, builtin_substring))
    know_direct(builtin_to_string, cython.cast(cython.p_void, builtin_to_string))


BUILTINS = [
    BuiltinSpec(
        "compareVersions",
        2,
        builtin_compare_versions,
        documentation="-1, 0 or 1 as the first version is older than, equal to or newer than the second.",
        argument_names=("s1", "s2"),
    ),
    BuiltinSpec(
        "concatStringsSep",
        2,
        builtin_concat_strings_sep,
        documentation="Joins a list of strings with a separator between them.",
        argument_names=("separator", "list"),
    ),
    BuiltinSpec("isString", 1, builtin_is_string, documentation="Whether a value is a string.", argument_names=("e",)),
    BuiltinSpec(
        "match",
        2,
        builtin_match,
        documentation="The groups of an extended regular expression that matches the whole string, else null.",
        argument_names=("regex", "str"),
    ),
    BuiltinSpec(
        "parseDrvName",
        1,
        builtin_parse_drv_name,
        documentation="Name and version of a package name such as `hello-2.12`.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "replaceStrings",
        3,
        builtin_replace_strings,
        documentation="A string with every occurrence of one list's strings replaced by those of another.",
        argument_names=("from", "to", "s"),
    ),
    BuiltinSpec(
        "split",
        2,
        builtin_split,
        documentation="What lies between the matches of a regular expression, with lists of their groups between.",
        argument_names=("regex", "str"),
    ),
    BuiltinSpec(
        "splitVersion",
        1,
        builtin_split_version,
        documentation="The components of a version, as they are compared.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "stringLength",
        1,
        builtin_string_length,
        documentation="How many bytes a string has.",
        argument_names=("e",),
    ),
    BuiltinSpec(
        "substring",
        3,
        builtin_substring,
        documentation="Bytes of a string from a start position; a negative length means up to the end.",
        argument_names=("start", "len", "s"),
    ),
    BuiltinSpec(
        "toString",
        1,
        builtin_to_string,
        documentation="The text of a value: of numbers, paths, lists, booleans, null and sets that say how.",
        argument_names=("e",),
    ),
]
