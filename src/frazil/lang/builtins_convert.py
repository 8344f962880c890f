# cython: binding=True
"""Builtins between values and other notations: JSON, TOML, XML, hashes.

In and out: values of the language. Source of truth: the manual's "Built-ins"; the readers and writers name theirs.
"""

import cython
from cython.cimports.frazil.lang.runtime import force_attrs, force_string, force_string_no_context
from cython.cimports.frazil.lang.values import MISSING, Attrs, ContextString, State, attrs_from_dict, spend

from frazil.lang.errors import EvalError, TypeMismatch
from frazil.lang.registry import BuiltinSpec


@cython.cfunc
def with_context(text: str, context: set) -> object:
    return ContextString(text, frozenset(context)) if len(context) else text


def builtin_from_json(state: State, arguments: list):
    text = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.fromJSON")
    from frazil.lang.json_reader import JSONError, parse_json

    try:
        return parse_json(text)
    except JSONError as error:
        failure = EvalError(error.message)
        failure.document = text
        if error.syntax:
            failure.add_trace(0, "while decoding a JSON string")
        raise failure from None


def builtin_to_json(state: State, arguments: list):
    from frazil.lang.json_writer import to_json_text

    context: set = set()
    return with_context(to_json_text(state, arguments[0], context), context)


def builtin_to_xml(state: State, arguments: list):
    from frazil.lang.xml_writer import to_xml_text

    context: set = set()
    return with_context(to_xml_text(state, arguments[0], context), context)


# --- TOML


def builtin_from_toml(state: State, arguments: list):
    text = force_string_no_context(arguments[0], "while evaluating the argument passed to builtins.fromTOML")
    from frazil.lang.toml_reader import TOMLError, parse_toml

    try:
        return toml_value(state, parse_toml(text))
    except TOMLError as error:
        raise EvalError(f"while parsing TOML: {error.message}") from None


def toml_value(state, data):
    """Nesting is bounded by the reader."""
    spend(4)
    if isinstance(data, dict):
        return attrs_from_dict({checked(name): toml_value(state, item) for name, item in data.items()})
    if isinstance(data, list):
        return [toml_value(state, item) for item in data]
    if isinstance(data, str):
        return checked(data)
    if data is None or isinstance(data, (bool, int, float)):
        return data
    if "parse-toml-timestamps" not in state.settings.experimental_features:
        raise EvalError("while parsing TOML: Dates and times are not supported")
    return attrs_from_dict({"_type": "timestamp", "value": data.text})


def checked(text):
    if "\0" in text:
        shown = text.replace("\0", "␀".encode().decode("latin-1"))
        raise EvalError(
            f"while parsing TOML: error: input string '{shown}' cannot be represented as Nix string because it contains"
            " null bytes"
        )
    return text


# --- hashes


def builtin_hash_string(state: State, arguments: list):
    from frazil.lang.hashes import check_algorithm, hash_hex

    name = force_string_no_context(arguments[0], "while evaluating the first argument passed to builtins.hashString")
    algorithm = check_algorithm(name, state.settings.experimental_features)
    text = force_string(arguments[1], None, "while evaluating the second argument passed to builtins.hashString")
    if algorithm == "sha256":
        from frazil._native import sha256_hex

        return sha256_hex(text)
    return hash_hex(algorithm, text.encode("latin-1"))


@cython.cfunc
def needed(attrs: Attrs, name: str) -> str:
    value = attrs.lookup(name)
    if value is MISSING:
        error = TypeMismatch(f"attribute '{name}' missing")
        error.add_trace(0, f"while locating the attribute '{name}'")
        raise error
    return force_string_no_context(value, f"while evaluating the attribute '{name}'")


def builtin_convert_hash(state: State, arguments: list):
    from frazil.lang.hashes import FORMATS, HashUsageError, check_algorithm, format_hash, parse_hash

    attrs: Attrs = force_attrs(arguments[0], "while evaluating the first argument passed to builtins.convertHash")
    features = state.settings.experimental_features
    text = needed(attrs, "hash")
    algorithm: object = None
    if attrs.has("hashAlgo"):
        algorithm = check_algorithm(needed(attrs, "hashAlgo"), features)
    name = needed(attrs, "toHashFormat")
    if name not in FORMATS:
        raise HashUsageError(f"unknown hash format '{name}', expect 'base16', 'base32', 'base64', or 'sri'")
    if name == "base32":
        state.effects.trace('warning: "base32" is a deprecated alias for hash format "nix32".')
    kind, digest = parse_hash(text, algorithm, features)
    return format_hash(kind, digest, FORMATS[name])


BUILTINS = [
    BuiltinSpec(
        "convertHash",
        1,
        builtin_convert_hash,
        documentation="Writes a hash in another form: base16, nix32, base64 or SRI.",
        argument_names=("args",),
    ),
    BuiltinSpec(
        "fromJSON",
        1,
        builtin_from_json,
        documentation="The value of a JSON text.",
        argument_names=("e",),
    ),
    BuiltinSpec(
        "fromTOML",
        1,
        builtin_from_toml,
        documentation="The value of a TOML text.",
        argument_names=("e",),
    ),
    BuiltinSpec(
        "hashString",
        2,
        builtin_hash_string,
        documentation="The hash of a string in base 16.",
        argument_names=("type", "s"),
    ),
    BuiltinSpec(
        "toJSON",
        1,
        builtin_to_json,
        documentation="A value as JSON text; derivations become their output path.",
        argument_names=("e",),
    ),
    BuiltinSpec(
        "toXML",
        1,
        builtin_to_xml,
        documentation="A value as XML text.",
        argument_names=("e",),
    ),
]
