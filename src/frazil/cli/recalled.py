"""Remembered answers about a flake's outputs, as commands need them: what to build, what to run.

In: answers as plain data. Out: derived paths, and the outputs that the store has, found without opening it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from frazil.cli.context import Context
    from frazil.store.derived_path import DerivedPath


def _plain_paths(needs: Sequence[str]) -> list[str]:
    """The store paths of context elements."""
    return [element.lstrip("=").rpartition("!")[2] for element in needs]


def _has_needs(context: Context, answer: Mapping[str, Any]) -> bool:
    """Whether the store has all that an answer names: seen in passing where nothing is left to build."""
    from frazil.cli.remembered import needs_present

    needs = answer.get("needs")
    if not isinstance(needs, list) or not all(isinstance(element, str) for element in needs):
        return False
    outputs = answer.get("outPaths")
    if not isinstance(outputs, dict) or not all(isinstance(found, dict) for found in outputs.values()):
        return False
    paths = _plain_paths(needs)
    built = [path for found in outputs.values() for path in found.values()]
    brief = needs_present(context, {"needs": [*paths, *built]}, brief=True, only=True)
    return brief or needs_present(context, {"needs": paths}, brief=False)


def is_target(context: Context, answer: Mapping[str, Any]) -> bool:
    if "drvPath" in answer:
        outputs = answer.get("outputs")
        if not isinstance(answer["drvPath"], str) or not isinstance(outputs, list):
            return False
        if not all(isinstance(name, str) for name in outputs):
            return False
    return _has_needs(context, answer) and bool(answer["needs"])


def is_program(context: Context, answer: Mapping[str, Any]) -> bool:
    return isinstance(answer.get("program"), str) and _has_needs(context, answer)


def note_outputs(context: Context, answer: Mapping[str, Any]) -> None:
    """Derivations all of whose outputs are there need not be built."""
    from frazil.store.glance import valid_among

    parse = context.directory.parse
    for derivation, outputs in answer["outPaths"].items():
        if outputs and valid_among(context.store_config, [*outputs.values()]) == {*outputs.values()}:
            context.found[parse(derivation)] = {name: parse(path) for name, path in outputs.items()}


def derived_path(context: Context, text: str, answer: Mapping[str, Any]) -> DerivedPath:
    from frazil.cli.doorstep import read_installable
    from frazil.store.derived_path import DerivedPath, OutputsSpec

    if "drvPath" not in answer:
        (path,) = context_paths(context, answer["needs"][:1])
        return path
    wanted = read_installable(text)
    assert wanted is not None
    names = None if wanted.outputs is None else frozenset(wanted.outputs or answer["outputs"])
    return DerivedPath(context.directory.parse(str(answer["drvPath"])), OutputsSpec(names))


def context_paths(context: Context, elements: Sequence[str]) -> list[DerivedPath]:
    """Context elements as things to build: `/nix/store/…`, `!OUTPUT!/nix/store/….drv`, `=/nix/store/….drv`."""
    from frazil.store.derived_path import DerivedPath, OutputsSpec

    found = []
    for element in elements:
        *names, base = element.lstrip("=!").split("!")
        path = context.directory.parse(base)
        if element.startswith("="):
            found.append(DerivedPath(path, OutputsSpec(None)))
        elif not element.startswith("!"):
            found.append(DerivedPath(path))
        else:
            found.append(DerivedPath(path, OutputsSpec(frozenset({names[0]})), tuple(reversed(names[1:]))))
    return found
