"""Calling a locked flake: its `outputs` function applied to its inputs, lazily.

In: `LockedFlake`. Out: the value that `builtins.getFlake` gives: the outputs with `inputs`, `outputs`, `sourceInfo`,
`outPath`, `_type` and the tree's own attributes. Inputs are fetched when looked at. Source: the manual page of
`nix flake` ("Flake format", `self`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from frazil.flake.errors import FlakeError
from frazil.flake.flake_file import folder_in
from frazil.flake.lock import InputPath, LockedNode, Node
from frazil.flake.locking import LockedFlake
from frazil.flake.reference import Attribute, FlakeReference
from frazil.flake.source_info import source_info, watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.flake.tree import Trees

    Value = Any


def call_flake(trees: Trees, locked: LockedFlake) -> Value:
    """The value of the root flake."""
    caller = _Caller(trees, locked)
    return trees.evaluator.force(caller.result(locked.lock_file.root, ()))


class _Caller:
    """One value a node, made when first asked for."""

    def __init__(self, trees: Trees, locked: LockedFlake) -> None:
        self.trees, self.locked = trees, locked
        self.evaluator = trees.evaluator
        self.results: dict[int, Value] = {}
        self.places: dict[int, tuple[Value, str]] = {}

    def edge(self, name: str, edge: Node | InputPath) -> Node:
        if isinstance(edge, Node):
            return edge
        node = self.locked.lock_file.find_input(edge)
        if node is None:
            raise FlakeError(f"input '{name}' follows a non-existent input '{'/'.join(edge)}'")
        return node

    def result(self, node: Node, path: InputPath) -> Value:
        """A thunk."""
        key = id(node)
        if key not in self.results:
            self.results[key] = self.evaluator.lazy(lambda: self.evaluate(node, path))
        return self.results[key]

    def evaluate(self, node: Node, path: InputPath) -> Value:
        evaluator = self.evaluator
        info, folder = self.place(node)
        out_path = self.out_path(folder)
        if isinstance(node, LockedNode) and not node.is_flake:
            return self.extend(info, {"sourceInfo": info, "outPath": out_path})
        flake = evaluator.eval_file(_byte_string(f"{folder}/flake.nix"))
        function = evaluator.get_attr(flake, "outputs") if hasattr(flake, "lookup") else None
        if function is None or not evaluator.type_name(function).endswith("function"):
            raise FlakeError(f"'{self.trees.display(folder)}/flake.nix' has no function 'outputs'")
        inputs = {
            _byte_string(name): self.result(self.edge(name, edge), (*path, name)) for name, edge in node.sorted_inputs()
        }
        given = evaluator.make_attrs({**inputs, "self": self.result(node, path)})
        outputs = evaluator.lazy(lambda: evaluator.call(function, given))
        table = evaluator.force(outputs)
        if not hasattr(table, "copy_table"):
            kind = evaluator.type_name(table)
            raise FlakeError(f"outputs of flake '{self.trees.display(folder)}' are {kind} while a set was expected")
        own = {
            "outPath": out_path,
            "inputs": evaluator.make_attrs(inputs),
            "outputs": table,
            "sourceInfo": info,
            "_type": "flake",
        }
        return self.extend(self.extend(table, info.copy_table()), own)

    def extend(self, attrs: Any, more: Mapping[str, Value]) -> Value:
        """`attrs // more`, keeping the positions."""
        from frazil.lang.shapes import update_attrs
        from frazil.lang.values import attrs_from_dict

        return update_attrs(attrs, attrs_from_dict(dict(more)))

    # -- where a node's files are ------------------------------------------------------------------

    def place(self, node: Node) -> tuple[Any, str]:
        """`sourceInfo`, and the folder of the flake as a logical path."""
        found = self.places.get(id(node))
        if found is None:
            found = self.places[id(node)] = self.find_place(node)
        return found

    def find_place(self, node: Node) -> tuple[Any, str]:
        known = self.locked.node_paths.get(id(node))
        flake = self.locked.flake
        if known is not None:
            reference = node.locked if isinstance(node, LockedNode) else flake.locked
            forced = not isinstance(node, LockedNode) and flake.force_dirty
            return self.info(self.trees.root_of(known), reference.attributes, forced), known
        assert isinstance(node, LockedNode)
        relative = node.locked.relative_path
        if relative is not None:
            parent = self.locked.lock_file.find_input(node.parent or ())
            if parent is None:
                raise FlakeError(f"input '{node.locked}' has a parent that is not in the lock file")
            info, folder = self.place(parent)
            folder = self.trees.resolve_relative(folder, relative)
        else:
            tree = self.trees.fetch_locked(node.locked)
            info, folder = self.info(tree.path, node.locked.attributes, False), tree.path
        return info, folder_in(folder, node.locked.subdirectory)

    def info(self, root: str, attributes: Mapping[str, Attribute], force_dirty: bool) -> Any:
        return source_info(self.evaluator, root, attributes, force_dirty=force_dirty, looked_at=self.looked_at(root))

    def looked_at(self, root: str) -> Callable[[], None] | None:
        """Whom to tell when something says which tree this is: of the evaluated flake's own tree only."""
        recorder = self.trees.effects.recorder
        if recorder is None or recorder.tree != root.rpartition("/")[2]:
            return None
        whole_tree: Callable[[], None] = recorder.whole_tree
        return whole_tree

    def out_path(self, folder: str) -> Value:
        """The folder as a string that depends on the whole tree."""
        from frazil.lang.values import ContextString

        root = _byte_string(self.trees.root_of(folder))
        path = ContextString(_byte_string(folder), frozenset({root}))
        looked_at = self.looked_at(root)
        if looked_at is None:
            return path
        cell = watched(self.evaluator, path, looked_at)
        if self.locked.flake.folder == folder:
            self.trees.effects.own_tree = (cell, path)
        return cell


def _byte_string(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def flake_of_reference(trees: Trees, reference: FlakeReference, flags: Any) -> Value:
    """`builtins.getFlake`: locked without writing anything."""
    from frazil.flake.locking import lock_flake

    return call_flake(trees, lock_flake(trees, reference, flags))
