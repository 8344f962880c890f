# cython: binding=True
"""Builtins on paths and files.

In and out: values of the language; everything is read through `Effects`. What a path refers to in the store is built
first (import from derivation). Source of truth: the manual's "Built-ins", Nix's `primops.cc`.
"""

import cython
from cython.cimports.frazil.lang.concatenation import place_to_read
from cython.cimports.frazil.lang.runtime import (
    canonical_path,
    coerce_to_path,
    coerce_to_string,
    force,
    force_attrs,
    force_list,
    force_string_no_context,
    note_shown,
)
from cython.cimports.frazil.lang.values import (
    MISSING,
    Attrs,
    ContextString,
    PathValue,
    State,
    attrs_from_dict,
    is_marking,
    note_marks,
    swap_marks,
)

from frazil.lang.errors import (
    EvalBaseError,
    EvalError,
    InvalidStorePath,
    RestrictedPath,
    ThrownError,
    TypeMismatch,
)
from frazil.lang.registry import BuiltinSpec


@cython.cfunc
def with_context(text: str, context: set) -> object:
    return ContextString(text, frozenset(context)) if len(context) else text


@cython.cfunc
def realised(state: State, text: str, context: set) -> str:
    """A text with what it refers to built, and placeholders replaced."""
    if len(context) == 0:
        return text
    for old, new in state.effects.realise_context(frozenset(context)).items():
        text = text.replace(old, new)
    return text


@cython.cfunc
def realise_path(state: State, value: object) -> str:
    """The path a value stands for, ready to be read."""
    place = force(place_to_read(state, value))
    if type(place) is PathValue and not (state.settings.pure or state.settings.restricted):
        return canonical_path(cython.cast(PathValue, place).text)
    context: set = set()
    path = coerce_to_path(state, place, context, "while realising the context of a path")
    try:
        path = realised(state, path, context)
        if state.settings.pure or state.settings.restricted:
            state.effects.check_path(path)
    except EvalBaseError as error:
        error.add_trace(0, f"while realising the context of path '{path}'")
        raise
    return path


def builtin_import(state, arguments):
    path = realise_path(state, arguments[0])
    if path.endswith(".drv"):
        import_derivation = getattr(state.effects, "import_derivation", None)
        found = None if import_derivation is None else import_derivation(state, path)
        if found is not None:
            return found
    return state.import_path(path)


def builtin_scoped_import(state, arguments):
    path = realise_path(state, arguments[1])
    scope = force_attrs(arguments[0], "while evaluating the first argument passed to builtins.scopedImport")
    return state.import_path(path, scope)


def builtin_path_exists(state: State, arguments: list):
    try:
        value = force(place_to_read(state, arguments[0]))
        text: object = cython.cast(ContextString, value).text if type(value) is ContextString else value
        must_be_directory = type(text) is str and (text.endswith("/") or text.endswith("/."))
        path = realise_path(state, value)
        if must_be_directory:
            return state.effects.file_type(state.effects.resolve_symlinks(path)) == "directory"
        return state.effects.file_type(path) is not None
    except RestrictedPath:
        return False


def builtin_read_file(state: State, arguments: list):
    path = state.effects.resolve_symlinks(realise_path(state, arguments[0]))
    data = state.effects.read_file(path)
    if b"\0" in data:
        raise EvalError(f"the contents of the file '{path}' cannot be represented as a Nix string")
    text = data.decode("latin-1")
    if path.startswith(state.settings.store_dir + "/"):
        references = getattr(state.effects, "file_references", None)
        if references is not None:
            return with_context(text, set(references(path, data)))
    return text


def builtin_hash_file(state: State, arguments: list):
    from frazil.lang.hashes import check_algorithm, hash_hex

    name = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.hashFile")
    algorithm = check_algorithm(name, state.settings.experimental_features)
    path = state.effects.resolve_symlinks(realise_path(state, arguments[1]))
    return hash_hex(algorithm, state.effects.read_file(path))


def builtin_read_dir(state: State, arguments: list):
    effects = state.effects
    path = realise_path(state, arguments[0])
    sets = getattr(effects, "directory_sets", None)
    known: object = None if sets is None else cython.cast(dict, sets).get(path)
    if known is not None:
        if is_marking():
            note_marks(sets.marks.get(path))
        return known
    outer = swap_marks(None) if is_marking() else None
    own = None
    try:
        found = attrs_from_dict(dict(effects.read_directory(effects.resolve_symlinks(path))))
    finally:
        if is_marking():
            own = swap_marks(outer)
            note_marks(own)
    if sets is not None:
        sets[path] = found
        sets.marks[path] = own
    return found


def builtin_read_file_type(state: State, arguments: list):
    path = realise_path(state, arguments[0])
    kind = state.effects.file_type(path)
    if kind is None:
        raise EvalError(f"path '{path}' does not exist")
    return kind


def builtin_find_file(state: State, arguments: list):
    items: list = force_list(arguments[0], "while evaluating the first argument passed to builtins.findFile")
    entries: list = []
    for item in items:
        entries.append(search_entry(state, item))
    name = force_string_no_context(arguments[1], "while evaluating the second argument passed to builtins.findFile")
    found = state.effects.find_search_path(name, entries)
    if found is not None:
        return PathValue(found)
    if state.settings.pure:
        raise ThrownError(f"cannot look up '<{name}>' in pure evaluation mode (use '--impure' to override)")
    raise ThrownError(f"file '{name}' was not found in the Nix search path (add it using $NIX_PATH or -I)")


@cython.cfunc
def search_entry(state: State, item: object) -> object:
    """(prefix, path) of one `{ prefix; path; }`."""
    attrs: Attrs = force_attrs(item, "while evaluating an element of the list passed to builtins.findFile")
    prefix = attrs.lookup("prefix")
    if prefix is MISSING:
        prefix = ""
    else:
        prefix = force_string_no_context(
            prefix,
            "while evaluating the `prefix` attribute of an element of the list passed to builtins.findFile",
        )
    value = attrs.lookup("path")
    if value is MISSING:
        missing = TypeMismatch("attribute 'path' missing")
        missing.add_trace(0, "in an element of the __nixPath")
        raise missing
    context: set = set()
    path = coerce_to_string(
        state,
        value,
        context,
        "while evaluating the `path` attribute of an element of the list passed to builtins.findFile",
        False,
        False,
    )
    try:
        path = realised(state, path, context)
    except InvalidStorePath as error:
        raise EvalError(f"cannot find '{path}', since path '{error.raw_message}' is not valid") from error
    return prefix, path


def builtin_to_path(state: State, arguments: list):
    context: set = set()
    path = coerce_to_path(state, arguments[0], context, "while evaluating the first argument passed to builtins.toPath")
    note_shown(state, path)
    return with_context(path, context)


def builtin_base_name_of(state: State, arguments: list):
    context: set = set()
    value = force(arguments[0])
    if type(value) is PathValue:
        return name_of_path(state, cython.cast(PathValue, value).text)
    path = coerce_to_string(
        state,
        arguments[0],
        context,
        "while evaluating the first argument passed to builtins.baseNameOf",
        False,
        False,
    )
    # One trailing slash is dropped, no more: changing that would change hashes.
    if len(path) > 1 and path.endswith("/"):
        path = path[: len(path) - 1]
    return with_context(path[path.rfind("/") + 1 :] if path != "/" else "", context)


@cython.cfunc
def name_of_path(state: State, path: str) -> str:
    """The last part of a path: says where files are only if the path leads to all of them."""
    hook = getattr(state.effects, "path_named", None)
    if hook is not None:
        hook(path)
    return path[path.rfind("/") + 1 :]


def builtin_dir_of(state: State, arguments: list):
    value = force(arguments[0])
    if type(value) is PathValue:
        text = cython.cast(PathValue, value).text
        cut: cython.Py_ssize_t = text.rfind("/")
        return PathValue(text[:cut] if cut > 0 else "/")
    context: set = set()
    path = coerce_to_string(
        state, value, context, "while evaluating the first argument passed to 'builtins.dirOf'", False, False
    )
    at: cython.Py_ssize_t = path.rfind("/")
    if at < 0:
        return with_context(".", context)
    return with_context(path[:at] if at > 0 else "/", context)


BUILTINS = [
    BuiltinSpec(
        "baseNameOf",
        1,
        builtin_base_name_of,
        documentation="What follows the last slash of a path.",
        argument_names=("x",),
    ),
    BuiltinSpec(
        "dirOf",
        1,
        builtin_dir_of,
        documentation="What precedes the last slash of a path; a path for a path, else a string.",
        argument_names=("s",),
    ),
    BuiltinSpec(
        "findFile",
        2,
        builtin_find_file,
        documentation="Looks a name up in a search path, as `<name>` does in `builtins.nixPath`.",
        argument_names=("search-path", "lookup-path"),
    ),
    BuiltinSpec(
        "hashFile",
        2,
        builtin_hash_file,
        documentation="The hash of a file's contents in base 16.",
        argument_names=("type", "p"),
    ),
    BuiltinSpec(
        "import",
        1,
        builtin_import,
        documentation="The value of the expression in a file, or in a folder's `default.nix`; evaluated once.",
        argument_names=("path",),
    ),
    BuiltinSpec(
        "pathExists",
        1,
        builtin_path_exists,
        documentation="Whether there is something at a path.",
        argument_names=("path",),
    ),
    BuiltinSpec(
        "readDir",
        1,
        builtin_read_dir,
        documentation="The entries of a folder, each with its type: regular, directory, symlink or unknown.",
        argument_names=("path",),
    ),
    BuiltinSpec(
        "readFile",
        1,
        builtin_read_file,
        documentation="The contents of a file as a string.",
        argument_names=("path",),
    ),
    BuiltinSpec(
        "readFileType",
        1,
        builtin_read_file_type,
        documentation="The type of what is at a path: regular, directory, symlink or unknown.",
        argument_names=("p",),
    ),
    BuiltinSpec(
        "scopedImport",
        2,
        builtin_scoped_import,
        documentation="As `import`, with the attributes of a set as variables; evaluated at each call.",
        argument_names=("scope", "path"),
    ),
    BuiltinSpec(
        "toPath",
        1,
        builtin_to_path,
        documentation="An absolute path in its normal form, as a string; deprecated.",
        argument_names=("s",),
    ),
]
