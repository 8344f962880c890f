"""Derivations as JSON: what `nix derivation show` prints and `nix derivation add` reads.

In: `Derivation`s or parsed JSON of unknown worth. Out: the other. Source of truth: the manual's
`protocols/json/derivation`, format version 4.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from frazil.digest import DigestError, Hash
from frazil.store.content_address import ContentAddress, check_algorithm, check_method
from frazil.store.derivation import (
    MAXIMUM_DYNAMIC_DEPTH,
    STRUCTURED_ATTRIBUTES,
    Deferred,
    Derivation,
    DerivationOutput,
    Fixed,
    Floating,
    Impure,
    InputAddressed,
    InputNode,
)
from frazil.store.errors import FormatError
from frazil.store.path import StorePath, check_name

VERSION = 4


# ------------------------------------------------------------------------------------------------------------ writing


def _text(value: str) -> str:
    """A byte string as the text JSON needs."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise FormatError("a derivation's text is not valid UTF-8, so it cannot be shown as JSON") from error


def to_json(drv: Derivation) -> dict[str, object]:
    """Format 4. Keys in Nix's order, which is alphabetical once serialised with sorted keys."""
    environment = {_text(key): _text(value) for key, value in drv.environment.items() if key != STRUCTURED_ATTRIBUTES}
    result: dict[str, object] = {
        "name": drv.name,
        "version": VERSION,
        "outputs": {_text(name): _output_json(output) for name, output in sorted(drv.outputs.items())},
        "inputs": {
            "srcs": [path.base for path in sorted(drv.input_sources)],
            "drvs": {
                path.base: _node_json(drv.input_node(path))
                for path in sorted({*drv.input_derivations, *drv.dynamic_inputs})
            },
        },
        "system": _text(drv.platform),
        "builder": _text(drv.builder),
        "args": [_text(argument) for argument in drv.arguments],
        "env": dict(sorted(environment.items())),
    }
    structured = drv.environment.get(STRUCTURED_ATTRIBUTES)
    if structured is not None:
        result["structuredAttrs"] = _load(_text(structured), "structured attributes")
    return result


def _output_json(output: DerivationOutput) -> dict[str, object]:
    match output:
        case InputAddressed(path):
            return {"path": path.base}
        case Fixed(address):
            return dict(address.to_json())
        case Floating(method, algorithm):
            return {"method": method, "hashAlgo": algorithm}
        case Impure(method, algorithm):
            return {"method": method, "hashAlgo": algorithm, "impure": True}
        case Deferred():
            return {}


def _node_json(node: InputNode) -> dict[str, object]:
    return {
        "outputs": sorted(_text(name) for name in node.outputs),
        "dynamicOutputs": {_text(name): _node_json(inner) for name, inner in sorted(node.dynamic.items())},
    }


def show_derivations(derivations: Mapping[StorePath, Derivation] | Iterable[tuple[StorePath, Derivation]]) -> Any:
    """The whole answer of `nix derivation show`."""
    items = derivations.items() if isinstance(derivations, Mapping) else derivations
    return {"version": VERSION, "derivations": {path.base: to_json(drv) for path, drv in sorted(items)}}


# ------------------------------------------------------------------------------------------------------------ reading


def _load(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"invalid JSON in {what}: {error}") from error


_KINDS = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    type(None): "null",
}
_LONGEST_SHOWN = 4096
"""Characters of a wrong value in messages."""


def _shown(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def _expect(value: object, kind: type, what: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        found = _KINDS.get(type(value), "something else")
        raise FormatError(
            f"Expected JSON value to be of type '{_KINDS[kind]}' but it is of type '{found}': {_shown(value)}",
            hint=f"it is the value of '{what}'",
        )
    return value


def _at(values: dict[str, Any], key: str) -> Any:
    if key not in values:
        raise FormatError(f"Expected JSON object to contain key '{key}' but it doesn't: {_shown(values)}")
    return values[key]


def _bytes_text(value: object, what: str) -> str:
    """A JSON string as a byte string."""
    text: str = _expect(value, str, what)
    try:
        return text.encode("utf-8").decode("latin-1")
    except UnicodeEncodeError as error:
        raise FormatError(f"'{what}' holds half a surrogate pair") from error


def parse_text(text: str) -> Derivation:
    return from_json(_load(text, "a derivation"))


def from_json(value: object) -> Derivation:
    """Checks everything but the output paths, which `fill_in_output_paths` computes or verifies. Raises FormatError."""
    top = _expect(value, dict, "derivation")
    version = _expect(_at(top, "version"), int, "version")
    if version != VERSION:
        raise FormatError(
            f"Unsupported derivation JSON format version {version}, "
            f"only format version {VERSION} is currently supported."
        )
    name = _expect(_at(top, "name"), str, "name")
    check_name(name)
    inputs, dynamic, sources = _inputs(_expect(_at(top, "inputs"), dict, "inputs"))
    environment = {
        _bytes_text(key, "env"): _bytes_text(text, "env") for key, text in _expect(_at(top, "env"), dict, "env").items()
    }
    if STRUCTURED_ATTRIBUTES in environment:
        raise FormatError(f"derivation's environment may not hold '{STRUCTURED_ATTRIBUTES}' in JSON")
    if "structuredAttrs" in top:
        structured = _expect(top["structuredAttrs"], dict, "structuredAttrs")
        environment[STRUCTURED_ATTRIBUTES] = compact(structured).encode("utf-8").decode("latin-1")
    return Derivation(
        name,
        {
            _bytes_text(key, "outputs"): _output(output)
            for key, output in _expect(_at(top, "outputs"), dict, "outputs").items()
        },
        inputs,
        sources,
        _bytes_text(_at(top, "system"), "system"),
        _bytes_text(_at(top, "builder"), "builder"),
        tuple([_bytes_text(text, "args") for text in _expect(_at(top, "args"), list, "args")]),
        environment,
        dynamic,
    )


def _output(value: object) -> DerivationOutput:
    fields = _expect(value, dict, "output")
    keys = frozenset(fields)
    if keys == {"path"}:
        return InputAddressed(StorePath.from_base(_expect(fields["path"], str, "path")))
    if not keys:
        return Deferred()
    if keys not in ({"method", "hash"}, {"method", "hashAlgo"}, {"method", "hashAlgo", "impure"}):
        raise FormatError("invalid JSON for derivation output")
    method = check_method(_expect(fields["method"], str, "method"))
    if "hash" in keys:
        return Fixed(ContentAddress(method, _hash(_expect(fields["hash"], str, "hash"))))
    algorithm = check_algorithm(_expect(fields["hashAlgo"], str, "hashAlgo"))
    if "impure" in keys:
        _expect(fields["impure"], bool, "impure")
        return Impure(method, algorithm)
    return Floating(method, algorithm)


def _hash(text: str) -> Hash:
    try:
        return Hash.parse(text)
    except DigestError as error:
        raise FormatError(error.message) from error


def _inputs(
    fields: dict[str, Any],
) -> tuple[dict[StorePath, frozenset[str]], dict[StorePath, Mapping[str, InputNode]], frozenset[StorePath]]:
    sources = frozenset(
        [StorePath.from_base(_expect(text, str, "srcs")) for text in _expect(_at(fields, "srcs"), list, "srcs")]
    )
    inputs: dict[StorePath, frozenset[str]] = {}
    dynamic: dict[StorePath, Mapping[str, InputNode]] = {}
    for base, value in _expect(_at(fields, "drvs"), dict, "drvs").items():
        path, node = StorePath.from_base(base), _node(value, 0)
        if node.outputs:
            inputs[path] = node.outputs
        if node.dynamic:
            dynamic[path] = node.dynamic
    return inputs, dynamic, sources


def _node(value: object, depth: int) -> InputNode:
    if depth > MAXIMUM_DYNAMIC_DEPTH:
        raise FormatError(f"derivation has dynamic inputs nested deeper than {MAXIMUM_DYNAMIC_DEPTH}")
    fields = _expect(value, dict, "drvs")
    outputs = frozenset([_bytes_text(text, "outputs") for text in _expect(_at(fields, "outputs"), list, "outputs")])
    children = _expect(_at(fields, "dynamicOutputs"), dict, "dynamicOutputs")
    return InputNode(
        outputs, {_bytes_text(name, "dynamicOutputs"): _node(v, depth + 1) for name, v in children.items()}
    )


# ------------------------------------------------------------------------------------------------- compact JSON text


def compact(value: object) -> str:
    """JSON as Nix writes it into derivations: keys sorted by bytes, no spaces, numbers its way."""
    pieces: list[str] = []
    _write(value, pieces)
    return "".join(pieces)


def _write(value: object, pieces: list[str]) -> None:
    if isinstance(value, dict):
        separator = "{"
        for key in sorted(value, key=lambda text: text.encode("utf-8", "surrogatepass")):
            pieces += [separator, _string(key), ":"]
            _write(value[key], pieces)
            separator = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, list):
        separator = "["
        for item in value:
            pieces.append(separator)
            _write(item, pieces)
            separator = ","
        pieces.append("]" if value else "[]")
    elif isinstance(value, str):
        pieces.append(_string(value))
    elif isinstance(value, float):
        pieces.append(show_float(value))
    else:
        pieces.append(json.dumps(value))


def _string(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FormatError("JSON text holds half a surrogate pair") from error
    return json.dumps(text, ensure_ascii=False)


def show_float(value: float) -> str:
    """The shortest text that reads back as `value`, exponents from 1e15 and below 1e-5 on."""
    if not math.isfinite(value):
        return "null"
    text = repr(value)
    if "e" not in text and abs(value) >= 1e15:
        digits = text.split(".")[0].lstrip("-")
        mantissa = digits.rstrip("0") or "0"
        shown = mantissa[0] + ("." + mantissa[1:] if len(mantissa) > 1 else "")
        text = f"{'-' if value < 0 else ''}{shown}e+{len(digits) - 1}"
    return text
