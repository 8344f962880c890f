"""The environment of a builder: variables, and files in its build directory.

In: a derivation and what is known of its inputs. Out: variables and files as bytes, output placeholders replaced by the
paths the build really uses. Source of truth: the manual's "derivation, environment of the builder" and libstore.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.build.errors import DerivationFailed, Failure
from frazil.build.options import DerivationOptions, Json
from frazil.build.settings import BuildSettings
from frazil.build.structured import json_text, shell_text
from frazil.digest import encode_base32
from frazil.store.derivation import Derivation
from frazil.store.path import StorePath, placeholder

if TYPE_CHECKING:
    from frazil.store.local import LocalStore


@dataclass(frozen=True, slots=True)
class BuilderEnvironment:
    variables: Mapping[bytes, bytes]
    files: Mapping[str, bytes]
    """Name in the build directory → contents."""
    arguments: tuple[bytes, ...]


def rewrite(text: bytes, rewrites: Mapping[str, str]) -> bytes:
    for old, new in rewrites.items():
        text = text.replace(old.encode("latin-1"), new.encode("latin-1"))
    return text


def export_references(
    store: LocalStore, paths: Iterable[StorePath], input_closure: frozenset[StorePath]
) -> list[StorePath]:
    """The closure of `paths`, and of the outputs of derivations in it. All of `paths` must be inputs."""
    closure: set[StorePath] = set()
    for path in sorted(paths):
        if path not in input_closure:
            raise DerivationFailed(
                Failure.INPUT_REJECTED,
                f"cannot export references of path '{store.directory.show(path)}' because it is not in the input "
                "closure of the derivation",
            )
        closure |= set(store.closure([path]))
    for path in [path for path in closure if path.is_derivation]:
        for output in store.read_derivation(path).output_paths(store.directory).values():
            if output is None:
                raise DerivationFailed(
                    Failure.INPUT_REJECTED, "exportReferences on CA derivations is not yet implemented"
                )
            closure |= set(store.closure([output]))
    return sorted(closure)


def _graph_text(store: LocalStore, paths: list[StorePath]) -> bytes:
    """What `exportReferencesGraph` writes: path, empty deriver, number of references, references."""
    lines = []
    for path in paths:
        references = sorted(store.query_info(path).references)
        lines += [store.directory.show(path), "", str(len(references)), *map(store.directory.show, references)]
    return "".join(f"{line}\n" for line in lines).encode()


def _graph_json(store: LocalStore, paths: list[StorePath]) -> Json:
    found: list[Json] = []
    for path in paths:
        info = store.query_info(path)
        size = sum(store.query_info(other).nar_size for other in store.closure([path]))
        entry: dict[str, Json] = {
            "path": store.directory.show(path),
            "narHash": str(info.nar_hash),
            "narSize": info.nar_size,
            "references": [store.directory.show(other) for other in sorted(info.references)],
            "valid": True,
            "closureSize": size,
        }
        if info.content_address is not None:
            entry["ca"] = str(info.content_address)
        found.append(entry)
    return found


def _structured(
    store: LocalStore,
    drv: Derivation,
    options: DerivationOptions,
    attributes: Mapping[str, Json],
    closure: frozenset[StorePath],
) -> dict[str, bytes]:
    complete = dict(attributes)
    complete["outputs"] = {name: placeholder(name) for name in drv.outputs}
    for key, paths in options.export_references_graph.items():
        complete[key] = _graph_json(store, export_references(store, paths, closure))
    return {
        ".attrs.sh": shell_text(complete).encode("utf-8", "surrogatepass"),
        ".attrs.json": json_text(complete).encode("utf-8", "surrogatepass"),
    }


def _own_variables(
    store: LocalStore,
    drv: Derivation,
    options: DerivationOptions,
    closure: frozenset[StorePath],
    top: bytes,
) -> tuple[dict[bytes, bytes], dict[str, bytes]]:
    """What the derivation itself asks for, as variables or as files."""
    if options.structured is not None:
        files = _structured(store, drv, options, options.structured, closure)
        return {
            b"NIX_ATTRS_SH_FILE": top + b"/.attrs.sh",
            b"NIX_ATTRS_JSON_FILE": top + b"/.attrs.json",
        }, files
    variables, files = {}, {}
    for name, value in drv.environment.items():
        raw_name, raw = name.encode("latin-1"), value.encode("latin-1")
        if name in options.pass_as_file:
            file = ".attr-" + encode_base32(hashlib.sha256(raw_name).digest())
            files[file] = raw
            variables[raw_name + b"Path"] = top + b"/" + file.encode()
        else:
            variables[raw_name] = raw
    for file, paths in options.export_references_graph.items():
        files[file] = _graph_text(store, export_references(store, paths, closure))
    return variables, files


def builder_environment(
    store: LocalStore,
    drv: Derivation,
    options: DerivationOptions,
    settings: BuildSettings,
    *,
    input_closure: frozenset[StorePath],
    build_directory: str,
    rewrites: Mapping[str, str],
) -> BuilderEnvironment:
    """`build_directory`: as the builder sees it. `rewrites`: output placeholders and redirected hash parts."""
    kind = drv.type()
    top = os.fsencode(build_directory)
    variables = {
        b"PATH": b"/path-not-set",
        b"HOME": b"/homeless-shelter",
        b"NIX_STORE": os.fsencode(store.directory.path),
        b"NIX_BUILD_CORES": b"%d" % settings.build_cores,
    }
    own, files = _own_variables(store, drv, options, input_closure, top)
    variables.update(own)
    for name in (b"NIX_BUILD_TOP", b"TMPDIR", b"TEMPDIR", b"TMP", b"TEMP", b"PWD"):
        variables[name] = top
    if kind.is_fixed:
        variables[b"NIX_OUTPUT_CHECKED"] = b"1"
    if not kind.is_sandboxed:
        for variable in sorted(options.impure_variables):
            value = settings.impure_env.get(variable)
            raw = os.fsencode(value) if value is not None else os.environb.get(os.fsencode(variable), b"")
            variables[variable.encode("latin-1", "replace")] = raw
    variables[b"NIX_LOG_FD"] = b"2"
    variables[b"TERM"] = b"xterm-256color"
    return BuilderEnvironment(
        {rewrite(name, rewrites): rewrite(value, rewrites) for name, value in sorted(variables.items())},
        {name: rewrite(contents, rewrites) for name, contents in files.items()},
        tuple(rewrite(argument.encode("latin-1"), rewrites) for argument in drv.arguments),
    )
