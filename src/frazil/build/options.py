"""What a derivation says about how to build it: attributes that Nix reads rather than the builder.

In: a derivation's environment, or its structured attributes. Out: `DerivationOptions`. Source of truth: the manual's
"advanced attributes" and libstore's derivation options for which form reads what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from frazil.build.errors import BuildError
from frazil.store.derivation import STRUCTURED_ATTRIBUTES, Derivation
from frazil.store.path import StoreDirectory, StorePath

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Reference = StorePath | str
"""A store path, or the name of one of the derivation's outputs."""

UID_RANGE = "uid-range"
_FILE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_TOKENS = re.compile(r"[^ \t\n\r]+")


@dataclass(frozen=True, slots=True)
class OutputChecks:
    """Limits on what an output may refer to and how large it may be. None: no list was given, which allows all."""

    ignore_self_references: bool = False
    max_size: int | None = None
    max_closure_size: int | None = None
    allowed_references: frozenset[Reference] | None = None
    disallowed_references: frozenset[Reference] = frozenset()
    allowed_requisites: frozenset[Reference] | None = None
    disallowed_requisites: frozenset[Reference] = frozenset()


@dataclass(frozen=True, slots=True)
class DerivationOptions:
    structured: Mapping[str, Json] | None = None
    checks: OutputChecks = OutputChecks()
    """For every output, without structured attributes."""
    checks_by_output: Mapping[str, OutputChecks] | None = None
    discard_references: Mapping[str, bool] = field(default_factory=dict)
    pass_as_file: frozenset[str] = frozenset()
    export_references_graph: Mapping[str, frozenset[StorePath]] = field(default_factory=dict)
    no_chroot: bool = False
    impure_host_dependencies: frozenset[str] = frozenset()
    impure_variables: frozenset[str] = frozenset()
    required_features: frozenset[str] = frozenset()
    prefer_local_build: bool = False
    """Whether this machine is tried before remote builders. Without any there is nothing to prefer, and `max-jobs = 0`
    refuses such a derivation like every other."""
    allow_substitutes: bool = True

    @property
    def wants_uid_range(self) -> bool:
        """Whether the builder is the root of a range of user ids."""
        return UID_RANGE in self.required_features

    def checks_for(self, output: str) -> OutputChecks | None:
        return self.checks if self.checks_by_output is None else self.checks_by_output.get(output)


def tokens(text: str) -> list[str]:
    return _TOKENS.findall(text)


def parse_json(text: str, what: str) -> Json:
    """`text` is a byte string holding UTF-8. Raises BuildError."""
    import json

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        value: Json = json.loads(text.encode("latin-1"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BuildError(f"cannot process {what} attribute: {error}") from error
    return value


def structured_attributes(drv: Derivation) -> dict[str, Json] | None:
    text = drv.environment.get(STRUCTURED_ATTRIBUTES)
    if text is None:
        return None
    value = parse_json(text, STRUCTURED_ATTRIBUTES)
    if not isinstance(value, dict):
        raise BuildError(f"cannot process {STRUCTURED_ATTRIBUTES} attribute: expected an object")
    return value


class _Reader:
    """Attributes of one derivation, from wherever they are."""

    def __init__(self, drv: Derivation, directory: StoreDirectory) -> None:
        self.environment = drv.environment
        self.directory = directory
        self.structured = structured_attributes(drv)

    def boolean(self, name: str, default: bool = False) -> bool:
        if self.structured is None:
            value = self.environment.get(name)
            return default if value is None else value == "1"
        if name not in self.structured:
            return default
        value2 = self.structured[name]
        if not isinstance(value2, bool):
            raise _wrong(name, "a Boolean")
        return value2

    def strings(self, name: str) -> frozenset[str] | None:
        if self.structured is None:
            value = self.environment.get(name)
            return None if value is None else frozenset(tokens(value))
        return _string_list(self.structured, name, name)

    def reference(self, text: str) -> Reference:
        if self.directory.is_inside(text):
            return self.directory.split(text)[0]
        return text

    def references(self, values: frozenset[str] | None) -> frozenset[Reference] | None:
        return None if values is None else frozenset([self.reference(value) for value in values])


def _wrong(name: str, wanted: str) -> BuildError:
    return BuildError(f"the attribute '{name}' should be {wanted}")


def _string_list(attributes: Mapping[str, Json], key: str, name: str) -> frozenset[str] | None:
    if key not in attributes:
        return None
    value = attributes[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(name, "a list of strings")
    return frozenset([item for item in value if isinstance(item, str)])


def _size(attributes: Mapping[str, Json], key: str, name: str) -> int | None:
    if key not in attributes:
        return None
    value = attributes[key]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _wrong(name, "a non-negative integer")
    return value


def _checks_by_output(reader: _Reader) -> dict[str, OutputChecks] | None:
    if reader.structured is None:
        return None
    value = reader.structured.get("outputChecks", {})
    if not isinstance(value, dict):
        raise _wrong("outputChecks", "a set")
    found = {}
    for output, checks in value.items():
        if not isinstance(checks, dict):
            raise _wrong(f"outputChecks.{output}", "a set")

        def listed(key: str, attributes: dict[str, Json] = checks, output: str = output) -> frozenset[Reference] | None:
            return reader.references(_string_list(attributes, key, f'outputChecks."{output}".{key}'))

        found[output] = OutputChecks(
            ignore_self_references=checks.get("ignoreSelfRefs") is True,
            max_size=_size(checks, "maxSize", f"outputChecks.{output}.maxSize"),
            max_closure_size=_size(checks, "maxClosureSize", f"outputChecks.{output}.maxClosureSize"),
            allowed_references=listed("allowedReferences"),
            disallowed_references=listed("disallowedReferences") or frozenset(),
            allowed_requisites=listed("allowedRequisites"),
            disallowed_requisites=listed("disallowedRequisites") or frozenset(),
        )
    return found


def _plain_checks(reader: _Reader) -> OutputChecks:
    if reader.structured is not None:
        return OutputChecks()
    return OutputChecks(
        ignore_self_references=True,
        allowed_references=reader.references(reader.strings("allowedReferences")),
        disallowed_references=reader.references(reader.strings("disallowedReferences")) or frozenset(),
        allowed_requisites=reader.references(reader.strings("allowedRequisites")),
        disallowed_requisites=reader.references(reader.strings("disallowedRequisites")) or frozenset(),
    )


def _discard(reader: _Reader) -> dict[str, bool]:
    value = {} if reader.structured is None else reader.structured.get("unsafeDiscardReferences", {})
    if not isinstance(value, dict):
        raise _wrong("unsafeDiscardReferences", "a set of Booleans")
    found = {}
    for output, discard in value.items():
        if not isinstance(discard, bool):
            raise _wrong(f"unsafeDiscardReferences.{output}", "a Boolean")
        found[output] = discard
    return found


def _flatten(value: Json) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _flatten(item)]
    raise BuildError("'exportReferencesGraph' value is not an array or a string")


def _graph(reader: _Reader) -> dict[str, frozenset[StorePath]]:
    directory = reader.directory
    if reader.structured is not None:
        value = reader.structured.get("exportReferencesGraph")
        if not isinstance(value, dict):
            return {}
        return {
            name: frozenset([directory.split(text)[0] for text in _flatten(paths)]) for name, paths in value.items()
        }
    text = reader.environment.get("exportReferencesGraph", "")
    words = tokens(text)
    if len(words) % 2:
        raise BuildError(f"odd number of tokens in 'exportReferencesGraph': '{text}'")
    found = {}
    for name, path in zip(words[::2], words[1::2]):
        if not _FILE_NAME.fullmatch(name):
            raise BuildError(f"invalid file name '{name}' in 'exportReferencesGraph'")
        found[name] = frozenset([directory.split(path)[0]])
    return found


def derivation_options(drv: Derivation, directory: StoreDirectory) -> DerivationOptions:
    """Raises BuildError, or BadStorePath, for attributes of the wrong shape."""
    reader = _Reader(drv, directory)
    structured = reader.structured is not None
    features = reader.strings("requiredSystemFeatures") or frozenset()
    if not drv.type().has_known_output_paths:
        features |= {"ca-derivations"}
    return DerivationOptions(
        structured=reader.structured,
        checks=_plain_checks(reader),
        checks_by_output=_checks_by_output(reader),
        discard_references=_discard(reader),
        pass_as_file=frozenset() if structured else frozenset(tokens(drv.environment.get("passAsFile", ""))),
        export_references_graph=_graph(reader),
        no_chroot=reader.boolean("__noChroot"),
        impure_host_dependencies=reader.strings("__impureHostDeps") or frozenset(),
        impure_variables=reader.strings("impureEnvVars") or frozenset(),
        required_features=features,
        prefer_local_build=reader.boolean("preferLocalBuild"),
        allow_substitutes=reader.boolean("allowSubstitutes", True),
    )
