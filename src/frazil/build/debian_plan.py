"""What `builtin:debian` is told to do: the derivation's attribute `plan` (JSON, see docs/design/packages.md).

In: JSON text written by the package set. Out: a checked, frozen `Plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from frazil.errors import FrazilError

REVISION = "2"
"""Of what the builder makes of a plan. It is part of every plan, so that a builder that makes something else gives its
outputs other store paths: raise it with every change of the output, here and in packages/debian/default.nix."""


class BadPlan(FrazilError):
    """The attribute `plan` of a `builtin:debian` derivation is wrong."""


@dataclass(frozen=True, slots=True)
class Substitution:
    """Replace `old` by `new` in the files that match `files`; with `binary`, of equal length and in any file."""

    files: tuple[str, ...]
    old: str
    new: str
    binary: bool = False

    def __post_init__(self) -> None:
        if not self.old or (self.binary and len(self.old.encode()) != len(self.new.encode())):
            raise BadPlan(f"substitution of '{self.old}' by '{self.new}' is not possible in place")


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A program replaced by a shell script that sets variables first."""

    set: Mapping[str, str] = field(default_factory=dict)
    default: Mapping[str, str] = field(default_factory=dict)
    prefix: Mapping[str, str] = field(default_factory=dict)
    suffix: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """`@out@` stands for the output path in every text that is written. `redirects`: file pattern → compiled-in path
    prefix → its replacement. `bundles`: path → pattern of the files that are joined there."""

    packages: tuple[str, ...]
    triplet: str
    depends: tuple[str, ...] = ()
    interpreter: str = ""
    loader: str = ""
    shell: str = ""
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    executables: Mapping[str, str] = field(default_factory=dict)
    bundles: Mapping[str, str] = field(default_factory=dict)
    substitutions: tuple[Substitution, ...] = ()
    wrappers: Mapping[str, Wrapper] = field(default_factory=dict)
    unpatched: tuple[str, ...] = ()
    keep_linker_scripts: bool = False
    runpath: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing_libraries: tuple[str, ...] = ()
    redirects: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nested_libraries: bool = False


_STRINGS = ("triplet", "interpreter", "loader", "shell")
_LISTS = ("packages", "depends", "exclude", "only", "unpatched", "missing_libraries")
_MAPS = ("links", "files", "executables", "bundles")
_FLAGS = ("keep_linker_scripts", "nested_libraries")


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise BadPlan(f"'{what}' must be a string")
    return value


def _texts(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise BadPlan(f"'{what}' must be a list")
    return tuple(_text(item, what) for item in value)


def _map(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadPlan(f"'{what}' must be a set")
    return value


def _text_map(value: object, what: str) -> dict[str, str]:
    return {key: _text(item, f"{what}.{key}") for key, item in _map(value, what).items()}


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise BadPlan(f"'{what}' must be true or false")
    return value


def _substitution(value: object) -> Substitution:
    fields = _map(value, "substitutions")
    return Substitution(
        _texts(fields.get("files"), "substitutions.files"),
        _text(fields.get("old"), "substitutions.old"),
        _text(fields.get("new"), "substitutions.new"),
        _flag(fields.get("binary", False), "substitutions.binary"),
    )


def _wrapper(value: object) -> Wrapper:
    fields = _map(value, "wrappers")
    unknown = fields.keys() - {"set", "default", "prefix", "suffix", "flags"}
    if unknown:
        raise BadPlan(f"unknown part of a wrapper: {', '.join(sorted(unknown))}")
    maps = {name: _text_map(fields.get(name, {}), name) for name in ("set", "default", "prefix", "suffix")}
    return Wrapper(**maps, flags=_texts(fields.get("flags", []), "flags"))


def parse_plan(text: str) -> Plan:
    """The plan as checked values; raises BadPlan."""
    import json

    try:
        fields = _map(json.loads(text), "plan")
    except ValueError as error:
        raise BadPlan(f"the attribute 'plan' is not JSON: {error}") from error
    if fields.get("revision") != REVISION:
        raise BadPlan(
            f"the plan is for revision '{fields.get('revision')}' of builtin:debian, this frazil has '{REVISION}'",
            hint="use the package set of this frazil: frazil flake update",
        )
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "revision":
            continue
        if name in _STRINGS:
            values[name] = _text(value, name)
        elif name in _LISTS:
            values[name] = _texts(value, name)
        elif name in _MAPS:
            values[name] = _text_map(value, name)
        elif name in _FLAGS:
            values[name] = _flag(value, name)
        elif name == "substitutions":
            values[name] = tuple(_substitution(item) for item in value) if isinstance(value, list) else ()
        elif name == "wrappers":
            values[name] = {key: _wrapper(item) for key, item in _map(value, name).items()}
        elif name == "redirects":
            values[name] = {key: _text_map(item, f"redirects.{key}") for key, item in _map(value, name).items()}
        elif name == "runpath":
            values[name] = {key: _texts(item, f"runpath.{key}") for key, item in _map(value, name).items()}
        else:
            raise BadPlan(f"unknown attribute '{name}' in a plan")
    if not values.get("packages") or not values.get("triplet"):
        raise BadPlan("a plan needs 'packages' and 'triplet'")
    return Plan(**values)
