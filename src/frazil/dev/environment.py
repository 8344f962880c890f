"""A derivation's build environment, taken by building a variant of it that only writes its variables down.

In: a store derivation whose builder is bash. Out: a store object with the environment as JSON (`get-env.sh` writes it)
and `BuildEnvironment`, that JSON as values. Source: the reference pages of `nix develop` and `nix print-dev-env`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from frazil.errors import FrazilError

LARGEST_ENVIRONMENT = 64 * 1024 * 1024
"""Bytes of JSON; a real one has a few hundred thousand."""


class DevelopmentError(FrazilError):
    """A derivation whose environment cannot be taken, or an environment that cannot be read."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A bash variable: `value` is a text, a list (indexed array) or a dictionary (associative array)."""

    value: str | list[str] | dict[str, str]
    exported: bool = False

    def to_json(self) -> dict[str, object]:
        if isinstance(self.value, str):
            return {"type": "exported" if self.exported else "var", "value": self.value}
        return {"type": "array" if isinstance(self.value, list) else "associative", "value": self.value}


@dataclass(frozen=True, slots=True)
class BuildEnvironment:
    """Variables and functions by name; `structured` holds `.attrs.sh` and `.attrs.json` where there are any."""

    variables: Mapping[str, Variable]
    functions: Mapping[str, str]
    structured: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str) -> BuildEnvironment:
        """From a store object's place in the file system."""
        try:
            with open(path, "rb") as file:
                return cls.parse(file.read(LARGEST_ENVIRONMENT + 1))
        except OSError as error:
            name = path.rpartition("/")[2]
            raise DevelopmentError(f"cannot read the build environment '{name}': {error.strerror}") from error

    @classmethod
    def parse(cls, text: bytes) -> BuildEnvironment:
        """Raises DevelopmentError for anything that `get-env.sh` does not write."""
        import json

        if len(text) > LARGEST_ENVIRONMENT:
            raise DevelopmentError("the build environment is too large")
        try:
            document = json.loads(text.decode("utf-8", "surrogateescape"))
            variables = {name: _variable(entry) for name, entry in document["variables"].items()}
            functions = {name: _text(body) for name, body in document["bashFunctions"].items()}
            structured = {name: _text(body) for name, body in document.get("structuredAttrs", {}).items()}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DevelopmentError("the build environment cannot be read: it is not what get-env.sh writes") from error
        known = {name: variable for name, variable in variables.items() if variable is not None}
        return cls(known, functions, structured)

    def to_json(self) -> dict[str, object]:
        document: dict[str, object] = {
            "bashFunctions": dict(sorted(self.functions.items())),
            "variables": {name: variable.to_json() for name, variable in sorted(self.variables.items())},
        }
        if self.structured:
            document["structuredAttrs"] = dict(sorted(self.structured.items()))
        return document

    def text(self, name: str) -> str | None:
        variable = self.variables.get(name)
        return variable.value if variable and isinstance(variable.value, str) else None

    def output_paths(self) -> dict[str, str]:
        """Output name to store path, as the builder saw them."""
        outputs = self.variables.get("outputs")
        if outputs is None:
            raise DevelopmentError("derivation does not have an 'outputs' attribute")
        if isinstance(outputs.value, dict):
            return dict(outputs.value)
        names = outputs.value if isinstance(outputs.value, list) else outputs.value.split()
        return {name: path for name in names if (path := self.text(name))}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _variable(entry: Mapping[str, Any]) -> Variable | None:
    kind, value = entry["type"], entry.get("value")
    if kind in ("var", "exported"):
        return Variable(_text(value), exported=kind == "exported")
    if kind == "array" and isinstance(value, list):
        return Variable([_text(item) for item in value])
    if kind == "associative" and isinstance(value, dict):
        return Variable({key: _text(item) for key, item in value.items()})
    if kind == "unknown":
        return None
    raise TypeError
