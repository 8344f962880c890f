"""Programs that build for systems that this machine is not: the setting `external-builders`.

In: the setting, a JSON list of `{systems, program, args}`. Out: who builds for a system, and the document that tells
it of a build. The program runs as an unsandboxed builder would: it makes the outputs, its output is the log, its end
ends the build. Source of truth: the setting in Nix's manual; libstore's external derivation builder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from frazil.errors import UsageError

if TYPE_CHECKING:
    from frazil.build.environment import BuilderEnvironment
    from frazil.build.settings import BuildSettings
    from frazil.store.derivation import Derivation
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath

DIRECTORY_INSIDE = "/build"
"""Where builders are told that they are, wherever the program shows them the build directory."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class ExternalBuilder:
    systems: frozenset[str]
    program: str
    arguments: tuple[str, ...]


@lru_cache(8)
def parse_external_builders(text: str) -> tuple[ExternalBuilder, ...]:
    """Raises UsageError."""
    import json

    try:
        return tuple(_builder(entry) for entry in _listed(json.loads(text), "the whole"))
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"the setting 'external-builders' is not what it should be: {error}",
            hint='for example: [ {"systems": ["aarch64-linux"], "program": "/path/to/helper", "args": ["--quiet"]} ]',
        ) from error


def _listed(value: object, what: str) -> list[object]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is not a list")
    return value


def _texts(entry: Mapping[str, object], name: str) -> list[str]:
    found = _listed(entry.get(name), f"'{name}'")
    texts = [text for text in found if isinstance(text, str) and "\0" not in text]
    if len(texts) != len(found):
        raise ValueError(f"'{name}' holds what is no text")
    return texts


def _builder(entry: object) -> ExternalBuilder:
    if not isinstance(entry, dict):
        raise ValueError("an entry is not an object")
    if entry.keys() != {"systems", "program", "args"}:
        raise ValueError("an entry has other attributes than 'systems', 'program' and 'args'")
    program = entry["program"]
    if not isinstance(program, str) or not program.startswith("/") or "\0" in program:
        raise ValueError("'program' is not an absolute path")
    return ExternalBuilder(frozenset(_texts(entry, "systems")), program, tuple(_texts(entry, "args")))


def external_builder(settings: BuildSettings, drv: Derivation) -> ExternalBuilder | None:
    """Raises UsageError for a setting that cannot be understood, or whose feature is not on."""
    if drv.is_builtin or settings.external_builders in ("", "[]"):
        return None
    for builder in parse_external_builders(settings.external_builders):
        if drv.platform in builder.systems:
            if not settings.has_feature("external-builders"):
                raise UsageError(
                    "experimental Nix feature 'external-builders' is disabled; add '--extra-experimental-features "
                    "external-builders' to enable it"
                )
            return builder
    return None


def build_document(
    store: LocalStore,
    drv: Derivation,
    environment: BuilderEnvironment,
    inputs: Sequence[StorePath],
    outputs: Mapping[str, StorePath],
    top: str,
    directory: str,
) -> bytes:
    """What the program is told of a build."""
    import json

    variables = {_text(name): _text(value) for name, value in environment.variables.items()}
    found = {
        "version": _VERSION,
        "builder": _text(drv.builder.encode("latin-1")),
        "args": [_text(argument) for argument in environment.arguments],
        "env": dict(sorted(variables.items())),
        "topTmpDir": top,
        "tmpDir": directory,
        "tmpDirInSandbox": DIRECTORY_INSIDE,
        "storeDir": store.directory.path,
        "realStoreDir": store.config.real_store_dir,
        "system": drv.platform,
        "inputPaths": [store.show(path) for path in sorted(inputs)],
        "outputs": {name: store.show(path) for name, path in sorted(outputs.items())},
    }
    return json.dumps(found, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _text(data: bytes) -> str:
    """JSON has no place for what is not UTF-8."""
    return data.decode("utf-8", "replace")
