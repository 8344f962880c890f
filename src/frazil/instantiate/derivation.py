# cython: annotation_typing=False
"""`derivationStrict`: an attribute set in, a store derivation (in memory) and its paths out.

Source of truth: the manual's `language/derivations` and `language/advanced-attributes`; messages as Nix 2.36's.
"""

from __future__ import annotations

from cython.cimports.frazil.instantiate.instantiator import Draft, Instantiator
from cython.cimports.frazil.lang.runtime import (
    coerce_to_string,
    force,
    force_attrs,
    force_bool,
    force_list,
    force_string,
    force_string_no_context,
)
from cython.cimports.frazil.lang.values import MISSING, Attrs, ContextString, attrs_from_dict

from frazil._native import is_name
from frazil.digest import ALGORITHMS, DigestError, Hash, allow_blake3
from frazil.errors import FrazilError
from frazil.instantiate.context import parse_built
from frazil.lang.errors import CALL_SITE, EvalBaseError, EvalError, as_eval_error, byte_string, warning_text
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import SUBMITTING, Fixed, Floating, Impure
from frazil.store.errors import BadStorePathName
from frazil.store.path import check_name, output_path_name, placeholder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.instantiate.effects import StoreEffects

ZERO_HASH_WARNING = "found empty hash, assuming '{}'"
_SPECIAL = frozenset(
    (
        "__contentAddressed",
        "__ignoreNulls",
        "__impure",
        "__json",
        "args",
        "builder",
        "outputHash",
        "outputHashAlgo",
        "outputHashMode",
        "outputs",
        "requiredSystemFeatures",
        "system",
    )
)
"""Attributes that mean more than an environment variable."""
_CHECKS = frozenset(
    (
        "allowedReferences",
        "allowedRequisites",
        "disallowedReferences",
        "disallowedRequisites",
        "maxClosureSize",
        "maxSize",
    )
)


_ONLY: dict[str, frozenset[str]] = {}
"""Output -> the set of only that, for the few names of outputs that are in use."""
_MOST_REMEMBERED = 1 << 8


class _Reading:
    """One call in progress: what the attributes have said so far."""

    def __init__(self, evaluator: Any, name: str) -> None:
        self.evaluator = evaluator
        self.draft = Draft(name)
        self.context: set[str] = set()
        self.structured: dict[str, str] | None = None
        self.ignore_nulls = False
        self.content_addressed = False
        self.impure = False
        self.hash: str | None = None
        self.algorithm: str | None = None
        self.method: str | None = None
        self.outputs = ["out"]
        self.submitting = False
        """Whether the builder hands in its outputs, so that no variables name them."""


def derivation_strict(evaluator: Any, arguments: list[Any]) -> Any:
    """The builtin."""
    attrs = force_attrs(arguments[0], "while evaluating the argument passed to builtins.derivationStrict")
    name_value = attrs.lookup("name")
    if name_value is MISSING:
        error = EvalError("attribute 'name' missing", pos=CALL_SITE)
        error.add_trace(CALL_SITE, "in the attrset passed as argument to builtins.derivationStrict")
        raise error
    try:
        name = force_string_no_context(
            name_value, "while evaluating the `name` attribute passed to builtins.derivationStrict"
        )
    except EvalBaseError as error:
        error.add_trace(attrs.position("name"), "while evaluating the derivation attribute 'name'")
        raise
    try:
        return _instantiate(evaluator, name, attrs)
    except EvalBaseError as error:
        error.add_trace(0, lambda: _where(evaluator, name, attrs))
        raise
    except FrazilError as error:
        wrapped = as_eval_error(error)
        wrapped.add_trace(0, lambda: _where(evaluator, name, attrs))
        raise wrapped from error


def _where(evaluator: Any, name: str, attrs: Attrs) -> str:
    position = evaluator.positions.position(attrs.position("name"))
    place = "«none»" if position is None else str(position)
    # Names are byte strings, and so are messages of the language.
    shown = place.encode("utf-8", "surrogateescape").decode("latin-1")
    return f"while evaluating derivation '{name}'\n  whose name attribute is located at {shown}"


def _instantiate(evaluator: Any, name: str, attrs: Attrs) -> Any:
    if not is_name(name):
        _check_derivation_name(name)
    reading = _Reading(evaluator, name)
    value = attrs.lookup("__structuredAttrs")
    if value is not MISSING and force_bool(
        value, "while evaluating the `__structuredAttrs` attribute passed to builtins.derivationStrict"
    ):
        reading.structured = {}
    value = attrs.lookup("__ignoreNulls")
    if value is not MISSING:
        reading.ignore_nulls = force_bool(
            value, "while evaluating the `__ignoreNulls` attribute passed to builtins.derivationStrict"
        )
    is_plain, ignore_nulls = reading.structured is None, reading.ignore_nulls
    draft = reading.draft
    environment, context = draft.environment, reading.context
    for key, value in attrs.items():
        try:
            if is_plain and key not in _SPECIAL:
                if ignore_nulls and force(value) is None:
                    continue
                environment[key] = coerce_to_string(evaluator, value, context, "", True, True)
            else:
                _read_attribute(reading, key, value, attrs)
        except EvalBaseError as error:
            error.add_trace(attrs.position(key), f"while evaluating attribute '{key}' of derivation '{name}'")
            raise
        except FrazilError as error:
            wrapped = as_eval_error(error)
            wrapped.add_trace(attrs.position(key), f"while evaluating attribute '{key}' of derivation '{name}'")
            raise wrapped from error
    effects: StoreEffects = evaluator.effects
    if reading.structured is not None:
        body = ",".join([f"{_json_key(key)}:{text}" for key, text in sorted(reading.structured.items())])
        draft.environment["__json"] = "{" + body + "}"
    instantiator = effects.instantiator
    _add_inputs(draft, context, effects)
    _check_required(reading)
    _set_outputs(reading, effects, instantiator)
    made = instantiator.instantiate(draft)
    if effects.tells_instantiated:
        effects.instantiated(name, made.path)
    table: dict[str, Any] = {"drvPath": ContextString(made.path, frozenset(("=" + made.path,)))}
    for output, text in made.outputs.items():
        table[output] = ContextString(text, frozenset((f"!{output}!{made.path}",)))
    return attrs_from_dict(table)


def _check_derivation_name(name: str) -> None:
    try:
        check_name(name)
    except BadStorePathName as error:
        raise EvalError(
            f"invalid derivation name: {error.message}. Please pass a different 'name'.", pos=CALL_SITE
        ) from error


# -- attributes --------------------------------------------------------------------------------------------------


def _read_attribute(reading: _Reading, key: str, value: Any, attrs: Attrs) -> None:
    if key == "__ignoreNulls":
        return
    if reading.ignore_nulls and force(value) is None:
        return
    if key == "__contentAddressed":
        if force_bool(value, ""):
            reading.content_addressed = True
            require_feature(reading.evaluator, "ca-derivations")
    elif key == "__impure":
        if force_bool(value, ""):
            reading.impure = True
            require_feature(reading.evaluator, "impure-derivations")
    elif key == "args":
        for element in force_list(value, ""):
            reading.draft.arguments.append(
                coerce_to_string(
                    reading.evaluator,
                    element,
                    reading.context,
                    "while evaluating an element of the argument list",
                    True,
                    True,
                )
            )
    elif reading.structured is None:
        _read_plain(reading, key, value, attrs)
    else:
        _read_structured(reading, key, value, attrs)


def _read_plain(reading: _Reading, key: str, value: Any, attrs: Attrs) -> None:
    text = coerce_to_string(reading.evaluator, value, reading.context, "", True, True)
    draft = reading.draft
    if key == "__json":
        _warn_attribute(
            reading,
            attrs,
            key,
            "setting structured attributes via '__json' is deprecated, and may be disallowed in future versions of "
            "Nix. Set '__structuredAttrs = true' instead.",
        )
        draft.environment[key] = _normalised_json(text)
        return
    draft.environment[key] = text
    if key == "builder":
        draft.builder = text
    elif key == "system":
        draft.platform = text
    elif key == "outputs":
        _set_output_names(reading, text.split())
    elif key == "requiredSystemFeatures":
        _find_submitting(reading, text.split())
    elif key.startswith("outputHash"):
        _set_hash_attribute(reading, key, text)


def _read_structured(reading: _Reading, key: str, value: Any, attrs: Attrs) -> None:
    if key == "__structuredAttrs":
        return
    from frazil.lang.json_writer import to_json_text

    assert reading.structured is not None
    evaluator = reading.evaluator
    reading.structured[key] = to_json_text(evaluator, value, reading.context, copy_to_store=True)
    if key == "builder":
        reading.draft.builder = force_string(value, reading.context, "")
    elif key == "system":
        reading.draft.platform = force_string_no_context(value, "")
    elif key == "outputs":
        _set_output_names(reading, [force_string_no_context(element, "") for element in force_list(value, "")])
    elif key == "requiredSystemFeatures":
        if "dynamic-derivations" in reading.evaluator.settings.experimental_features:
            names = [force_string(element, reading.context, "") for element in force_list(value, "")]
            _find_submitting(reading, names)
    elif key in ("outputHash", "outputHashAlgo", "outputHashMode"):
        _set_hash_attribute(reading, key, force_string_no_context(value, ""))
    elif key in _CHECKS:
        _warn_attribute(
            reading,
            attrs,
            key,
            f"'structuredAttrs' disables the effect of the derivation attribute '{key}'; "
            f"use 'outputChecks.<output>.{key}' instead",
        )


def _set_hash_attribute(reading: _Reading, key: str, text: str) -> None:
    if key == "outputHash":
        reading.hash = text
    elif key == "outputHashAlgo":
        reading.algorithm = text if text in ALGORITHMS else None
        if text == "blake3":
            require_feature(reading.evaluator, "blake3-hashes")
            allow_blake3()
    elif key == "outputHashMode":
        reading.method = _method(reading, text)


def _method(reading: _Reading, text: str) -> str:
    if text == "recursive":
        return "nar"
    if text not in ("flat", "nar", "text", "git"):
        raise EvalError(f"invalid value '{text}' for 'outputHashMode' attribute", pos=CALL_SITE)
    if text == "text":
        name = reading.draft.name
        require_feature(
            reading.evaluator, "dynamic-derivations", f"text-hashed derivation '{name}', outputHashMode = \"text\""
        )
    if text == "git":
        require_feature(reading.evaluator, "git-hashing")
    return text


def _find_submitting(reading: _Reading, features: list[str]) -> None:
    if SUBMITTING in features and "dynamic-derivations" in reading.evaluator.settings.experimental_features:
        reading.submitting = True


def _set_output_names(reading: _Reading, names: list[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise EvalError(f"duplicate derivation output '{name}'", pos=CALL_SITE)
        if name == "drvPath":
            raise EvalError("invalid derivation output name 'drvPath'", pos=CALL_SITE)
        seen.add(name)
    if not names:
        raise EvalError("derivation cannot have an empty set of outputs", pos=CALL_SITE)
    reading.outputs = names


def require_feature(evaluator: Any, feature: str, reason: str = "") -> None:
    """Raises where an experimental feature is needed and off."""
    if feature in evaluator.settings.experimental_features:
        return
    because = f"; {reason}" if reason else ""
    raise MissingFeature(
        f"experimental Nix feature '{feature}' is disabled{because}; "
        f"add '--extra-experimental-features {feature}' to enable it"
    )


class MissingFeature(EvalBaseError):
    """An experimental feature is off; not catchable by `tryEval`."""


def _warn_attribute(reading: _Reading, attrs: Attrs, key: str, message: str) -> None:
    """A warning laid out as an error with a trace is."""
    frame = byte_string(f"… while evaluating derivation '{reading.draft.name}'")
    position = reading.evaluator.positions.position(attrs.position(key))
    place = warning_text(message, position).split("\n", 1)[1:]
    margin = " " * len("warning: ")
    lines = ["warning:", margin + frame, "", f"{margin}warning: {message}", *place]
    reading.evaluator.effects.trace("\n".join(lines))


def _normalised_json(text: str) -> str:
    import json

    try:
        value = json.loads(text.encode("latin-1"))
    except ValueError as error:
        raise EvalError(f"cannot process __json attribute: {error}") from error
    if not isinstance(value, dict):
        raise EvalError("cannot process __json attribute: it is not an object")
    shown = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return shown.encode("utf-8", "surrogatepass").decode("latin-1")


def _json_key(key: str) -> str:
    import json

    text = key.encode("latin-1").decode("utf-8", "surrogateescape")
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogateescape").decode("latin-1")


# -- inputs and outputs ------------------------------------------------------------------------------------------


def _add_inputs(draft: Draft, context: set[str], effects: StoreEffects) -> None:
    inputs = draft.inputs
    for element in context:
        mark = element[0]
        if mark == "!":
            end = element.find("!", 1)
            path = element[end + 1 :]
            if path[0] != "/":
                built = parse_built(element)
                draft.dynamic.append((built.derivation, built.through, built.output))
                continue
            output = element[1:end]
            only = _ONLY.get(output)
            if only is None:
                only = frozenset((output,))
                if len(_ONLY) < _MOST_REMEMBERED:
                    _ONLY[output] = only
            present = inputs.get(path)
            inputs[path] = only if present is None else present | only
        elif mark == "=":
            _add_closure(draft, element[1:], effects)
        else:
            draft.sources.add(element)


def _add_closure(draft: Draft, path: str, effects: StoreEffects) -> None:
    """The builder may look at the whole graph of the derivation, all outputs included."""
    for reference in effects.closure_with_pending(path):
        draft.sources.add(reference)
        if reference.endswith(".drv"):
            derivation = effects.instantiator.read(effects.directory.parse(reference))
            draft.inputs[reference] = draft.inputs.get(reference, frozenset()).union(derivation.outputs)


def _check_required(reading: _Reading) -> None:
    draft = reading.draft
    if not draft.builder:
        raise EvalError("required attribute 'builder' missing", pos=CALL_SITE)
    if not draft.platform:
        raise EvalError("required attribute 'system' missing", pos=CALL_SITE)
    if draft.name.endswith(".drv") and not (reading.method == "text" and reading.outputs == ["out"]):
        raise EvalError(
            "derivation names are allowed to end in '.drv' only if they produce a single derivation file",
            pos=CALL_SITE,
        )


def _set_outputs(reading: _Reading, effects: StoreEffects, instantiator: Instantiator) -> None:
    draft = reading.draft
    if reading.hash is not None:
        _set_fixed_output(reading, effects, instantiator)
    elif reading.content_addressed or reading.impure:
        if reading.content_addressed and reading.impure:
            raise EvalError("derivation cannot be both content-addressed and impure", pos=CALL_SITE)
        kind = Impure if reading.impure else Floating
        for name in reading.outputs:
            if not reading.submitting:
                draft.environment[name] = placeholder(name)
            draft.outputs[name] = kind(reading.method or "nar", reading.algorithm or "sha256")
    else:
        draft.outputs = dict.fromkeys(reading.outputs)


def _set_fixed_output(reading: _Reading, effects: StoreEffects, instantiator: Instantiator) -> None:
    if reading.outputs != ["out"]:
        raise EvalError("multiple outputs are not supported in fixed-output derivations", pos=CALL_SITE)
    draft = reading.draft
    key = (reading.hash or "", reading.algorithm, reading.method, draft.name)
    known = instantiator.fixed_outputs.get(key)
    if known is None:
        digest = parse_hash_allow_empty(reading.hash or "", reading.algorithm, effects)
        address = ContentAddress(reading.method or "flat", digest)
        known = instantiator.fixed_path(address, output_path_name(draft.name, "out")), Fixed(address)
        if reading.hash:  # each use of an empty one is warned of
            instantiator.fixed_outputs[key] = known
    text, draft.outputs["out"] = known
    if not reading.submitting:
        draft.environment["out"] = text


def parse_hash_allow_empty(text: str, algorithm: str | None, effects: StoreEffects) -> Hash:
    """An empty hash means all zeros, with a warning: a place to be filled in after the first build."""
    if text:
        try:
            return Hash.parse(text, algorithm)
        except DigestError as error:
            raise EvalError(error.message, hint=error.hint) from error
    if algorithm is None:
        raise EvalError("empty hash requires explicit hash algorithm")
    empty = Hash(algorithm, bytes(ALGORITHMS[algorithm]))
    effects.warn(ZERO_HASH_WARNING.format(empty.sri))
    return empty
