"""The builtins of flakes, and `flake:` entries of the search path, for sessions made by this room."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.cli.context import Context
    from frazil.flake.tree import Trees
    from frazil.instantiate.session import Session


def _trees(context: Context, session: Session) -> Trees:
    from frazil.flake.tree import trees_of

    trees = trees_of(session)
    trees.use_registries = context.settings.boolean("use-registries")
    return trees


def get_flake(context: Context, session: Session, evaluator: Any, arguments: list[Any]) -> Any:
    from frazil.flake.builtins import get_flake as function

    return function(_trees(context, session), evaluator, arguments)


def parse_flake_ref(context: Context, session: Session, evaluator: Any, arguments: list[Any]) -> Any:
    from frazil.flake.builtins import parse_reference

    return parse_reference(evaluator, arguments)


def flake_ref_to_string(context: Context, session: Session, evaluator: Any, arguments: list[Any]) -> Any:
    from frazil.flake.builtins import reference_to_string

    return reference_to_string(evaluator, arguments)


def search_entry(context: Context, session: Session, rest: str) -> str | None:
    """`flake:nixpkgs` in NIX_PATH: where the tree of that flake is. `rest` and the result are byte strings."""
    from frazil.flake.reference import FlakeReference

    text = rest.encode("latin-1").decode("utf-8", "surrogateescape")
    trees = _trees(context, session)
    tree = trees.fetch(FlakeReference.parse(text, allow_missing=True), "all" if trees.use_registries else "no")
    path = f"{tree.path}/{tree.resolved.subdirectory}" if tree.resolved.subdirectory else tree.path
    return path.encode("utf-8", "surrogateescape").decode("latin-1")
