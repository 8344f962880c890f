"""Lock files: reading (versions 5 to 7), printing (version 7, byte for byte as Nix), comparing.

In: the text of `flake.lock`. Out: a graph of nodes and its text. Source: the manual page of `nix flake`
("Lock files").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from frazil.errors import UsageError
from frazil.flake.errors import LockFileError
from frazil.flake.reference import Attribute, FlakeReference, is_flake_id
from frazil.position import Position
from frazil.record import Record

InputPath = tuple[str, ...]
"""Names of inputs from the root flake: ("nixops", "nixpkgs")."""
Warn = Callable[[str], None]

MAX_BYTES = 16 << 20
MAX_NODES = 100_000
MAX_DEPTH = 200
SHOWN_INPUTS = 20


def parse_input_path(text: str) -> InputPath:
    """`a/b` to ("a", "b"). Raises UsageError for a name that is no flake identifier."""
    path = tuple(part for part in text.split("/") if part)
    for part in path:
        if not is_flake_id(part):
            raise UsageError(f"invalid flake input attribute path element '{part}'")
    return path


def print_input_path(path: InputPath) -> str:
    return "/".join(path)


class Node:
    """The root of a graph, or (`LockedNode`) an input. An edge is a node or, for `follows`, a path from the root."""

    __slots__ = ("inputs",)

    def __init__(self, inputs: dict[str, LockedNode | InputPath] | None = None) -> None:
        self.inputs: dict[str, LockedNode | InputPath] = {} if inputs is None else inputs

    def sorted_inputs(self) -> list[tuple[str, LockedNode | InputPath]]:
        return sorted(self.inputs.items(), key=lambda item: item[0])


class LockedNode(Node):
    """`parent` is set for an input with a relative path: whose folder the path starts from. `is_new`: such an input
    was locked just now; differences list it as updated, as Nix does."""

    __slots__ = ("is_flake", "is_new", "locked", "original", "parent")

    def __init__(
        self,
        inputs: dict[str, LockedNode | InputPath] | None = None,
        *,
        locked: FlakeReference,
        original: FlakeReference,
        is_flake: bool = True,
        parent: InputPath | None = None,
        is_new: bool = False,
    ) -> None:
        super().__init__(inputs)
        self.locked, self.original = locked, original
        self.is_flake, self.parent, self.is_new = is_flake, parent, is_new


Edge = LockedNode | InputPath
Json = dict[str, object]


class LockFile:
    """The graph below `root`."""

    __slots__ = ("root",)

    def __init__(self, root: Node | None = None) -> None:
        self.root = root or Node()

    def to_json(self) -> tuple[Json, dict[int, str]]:
        """The contents, and the key given to each node by its `id()`."""
        nodes: dict[str, Json] = {}
        keys: dict[int, str] = {}
        taken: set[str] = set()

        def dump(name: str, node: Node) -> str:
            if id(node) in keys:
                return keys[id(node)]
            key = _unused(name, taken)
            taken.add(key)
            keys[id(node)] = key
            content: Json = {}
            if node.inputs:
                content["inputs"] = {
                    child: dump(child, edge) if isinstance(edge, Node) else list(edge)
                    for child, edge in node.sorted_inputs()
                }
            if isinstance(node, LockedNode):
                content["original"] = node.original.to_attributes()
                content["locked"] = node.locked.to_attributes()
                if not node.is_flake:
                    content["flake"] = False
                if node.parent is not None:
                    content["parent"] = list(node.parent)
            nodes[key] = content
            return key

        root = dump("root", self.root)
        return {"version": 7, "root": root, "nodes": nodes}, keys

    def to_string(self) -> str:
        """The text of `flake.lock` without its final newline."""
        return print_json(self.to_json()[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LockFile) and self.to_json()[0] == other.to_json()[0]

    __hash__ = None  # type: ignore[assignment]

    def find_input(self, path: InputPath) -> Node | None:
        """The node `path` leads to through `follows`. Raises LockFileError for a cycle."""
        return self._find(path, [])

    def _find(self, path: InputPath, visited: list[InputPath]) -> Node | None:
        if path in visited:
            cycle = [*visited[visited.index(path) :], path]
            raise LockFileError(f"follow cycle detected: [{' -> '.join(map(print_input_path, cycle))}]")
        visited.append(path)
        node: Node = self.root
        for name in path:
            edge = node.inputs.get(name)
            if edge is None:
                return None
            if isinstance(edge, Node):
                node = edge
                continue
            target = self._find(edge, visited)
            if target is None:
                return None
            node = target
        return node

    def all_inputs(self) -> dict[InputPath, Edge]:
        """Every input once, by its path, sorted; a node reached twice is entered once."""
        found: dict[InputPath, Edge] = {}
        done: set[int] = set()

        def walk(prefix: InputPath, node: Node) -> None:
            if id(node) in done:
                return
            done.add(id(node))
            for name, edge in node.sorted_inputs():
                found[(*prefix, name)] = edge
                if isinstance(edge, Node):
                    walk((*prefix, name), edge)

        walk((), self.root)
        return dict(sorted(found.items()))

    def check(self) -> None:
        """Raises LockFileError where an input follows one that does not exist."""
        for path, edge in self.all_inputs().items():
            if not isinstance(edge, Node) and edge and self.find_input(edge) is None:
                known = [print_input_path(other) for other in self.all_inputs() if other != path]
                raise LockFileError(
                    f"input '{print_input_path(path)}' follows a non-existent input '{print_input_path(edge)}'",
                    hint=f"the inputs are: {', '.join(known[:SHOWN_INPUTS])}" if known else None,
                )

    def nodes(self) -> Iterator[LockedNode]:
        """Every locked node once."""
        seen: set[int] = set()
        stack: list[Node] = [self.root]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, LockedNode):
                yield node
            stack += [edge for _, edge in reversed(node.sorted_inputs()) if isinstance(edge, Node)]

    def unlocked_input(self, allow_dirty_locks: bool) -> FlakeReference | None:
        """An input that another machine could not fetch again, where there is one."""
        from frazil.fetch.inputs import is_locked

        for node in self.nodes():
            attributes = dict(node.locked.attributes)
            considered = is_locked(attributes) or (allow_dirty_locks and "narHash" in attributes)
            if not considered and node.locked.relative_path is None:
                return node.locked
        return None

    @classmethod
    def parse(cls, text: bytes | str, path: str, *, warn: Warn | None = None) -> LockFile:
        """`path` is for messages. Raises LockFileError; FetchError for attributes no input type knows."""
        return _Reader(_load(text, path), path, warn or (lambda _: None)).read()


def _unused(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"


def print_json(value: object) -> str:
    """JSON as Nix prints it: keys sorted, two spaces, non-ASCII as it is."""
    import json

    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LockFileError("cannot write a name that is not valid UTF-8 as JSON") from error
    return text


def _load(text: bytes | str, path: str) -> Json:
    import json

    from frazil.fetch.json_text import parse_json

    if len(text) > MAX_BYTES:
        raise LockFileError(f"lock file '{path}' is too large ({len(text)} bytes, at most {MAX_BYTES})")
    hint = "restore it from version control, or delete it and run 'frazil flake lock'"
    try:
        value = parse_json(text)
    except json.JSONDecodeError as error:
        lines = error.doc.split("\n")
        line = lines[error.lineno - 1]
        if any(one.startswith(("<<<<<<<", ">>>>>>>")) for one in lines):
            hint = "it holds marks of a merge conflict: take either side, then run 'frazil flake lock'"
        position = Position(path, error.lineno, len(line[: error.colno - 1].encode()) + 1, line[:500])
        message = f"Could not parse '{path}': {error.msg} at line {error.lineno}, column {error.colno}"
        raise LockFileError(message, position=position, hint=hint) from error
    except ValueError as error:
        raise LockFileError(f"Could not parse '{path}': {error}", hint=hint) from error
    if not isinstance(value, dict):
        raise LockFileError(f"lock file '{path}' does not hold a JSON object", hint=hint)
    return value


class _Reader:
    """Turns JSON into a graph; every shape is checked."""

    def __init__(self, json: Json, path: str, warn: Warn) -> None:
        self.json, self.path, self.warn = json, path, warn
        self.nodes: dict[str, Node] = {}

    def error(self, message: str) -> LockFileError:
        return LockFileError(
            f"lock file '{self.path}': {message}", hint="delete it and run 'frazil flake lock' to make it anew"
        )

    def read(self) -> LockFile:
        version = self.json.get("version", 0)
        if not isinstance(version, int) or isinstance(version, bool) or not 5 <= version <= 7:
            hint = "'frazil flake update' writes version 7" if isinstance(version, int) and version < 5 else None
            raise LockFileError(f"lock file '{self.path}' has unsupported version {version}", hint=hint)
        root_key = self.json.get("root")
        self.table = self.json.get("nodes")
        if not isinstance(root_key, str) or not isinstance(self.table, dict):
            raise self.error("attributes 'root' and 'nodes' are missing or of the wrong type")
        if len(self.table) > MAX_NODES:
            raise self.error(f"it has more than {MAX_NODES} nodes")
        root = Node()
        self.nodes[root_key] = root
        self.read_inputs(root, self.entry(root_key), 0)
        return LockFile(root)

    def entry(self, key: str) -> Json:
        assert isinstance(self.table, dict)
        entry = self.table.get(key)
        if entry is None:
            raise LockFileError(f"lock file references missing node '{key}'")
        if not isinstance(entry, dict):
            raise self.error(f"node '{key}' is not an object")
        return entry

    def read_inputs(self, node: Node, entry: Json, depth: int) -> None:
        inputs = entry.get("inputs", {})
        if not isinstance(inputs, dict):
            raise self.error("attribute 'inputs' of a node is not an object")
        if depth > MAX_DEPTH:
            raise self.error(f"inputs are nested more than {MAX_DEPTH} deep")
        for name in sorted(inputs):
            target = inputs[name]
            if isinstance(target, list):
                node.inputs[name] = self.input_path(target)
            elif isinstance(target, str):
                node.inputs[name] = self.child(target, depth)
            else:
                raise self.error(f"input '{name}' is neither the name of a node nor a path to follow")

    def child(self, key: str, depth: int) -> LockedNode:
        found = self.nodes.get(key)
        if found is None:
            entry = self.entry(key)
            found = self.locked_node(key, entry)
            self.nodes[key] = found
            self.read_inputs(found, entry, depth + 1)
        if not isinstance(found, LockedNode):
            raise LockFileError("lock file contains cycle to root node")
        return found

    def input_path(self, value: object) -> InputPath:
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise self.error("a path of inputs is not a list of strings")
        return tuple(value)

    def locked_node(self, key: str, entry: Json) -> LockedNode:
        from frazil.fetch.inputs import is_locked

        locked = FlakeReference.from_attributes({**self.attributes(entry, "locked"), **self.optional(entry, "info")})
        original = FlakeReference.from_attributes(self.attributes(entry, "original"))
        is_flake = entry.get("flake", True)
        if not isinstance(is_flake, bool):
            raise self.error(f"attribute 'flake' of node '{key}' is not a Boolean")
        if not is_locked(dict(locked.attributes)) and locked.relative_path is None:
            if "narHash" not in locked.attributes:
                import json

                shown = json.dumps(dict(locked.attributes), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
                raise LockFileError(
                    f"Lock file contains unlocked input '{shown}'. Use '--allow-dirty-locks' to accept this lock file."
                )
            self.warn(
                f"Lock file entry '{locked}' is unlocked (e.g. lacks a Git revision) but is checked by NAR hash. "
                "This is not reproducible and will break after garbage collection or when shared."
            )
        parent = self.input_path(entry["parent"]) if "parent" in entry else None
        return LockedNode(locked=locked, original=original, is_flake=is_flake, parent=parent)

    def attributes(self, entry: Json, name: str) -> dict[str, Attribute]:
        if name not in entry:
            raise LockFileError(f"attribute '{name}' missing in lock file")
        return self.optional(entry, name)

    def optional(self, entry: Json, name: str) -> dict[str, Attribute]:
        value = entry.get(name, {})
        if not isinstance(value, dict):
            raise self.error(f"attribute '{name}' of a node is not an object")
        for item in value.values():
            if not isinstance(item, str | int | bool) or (isinstance(item, int) and not -1 < item < 1 << 64):
                raise LockFileError("unsupported input attribute type in lock file")
        return value


class Change(Record):
    """One line of a difference: `kind` is added, removed or updated."""

    kind: str
    path: InputPath
    old: str = ""
    new: str = ""


def describe_edge(edge: Edge) -> str:
    """`'URL' (date)` or `follows 'path'`."""
    if not isinstance(edge, Node):
        return f"follows '{print_input_path(edge)}'"
    date = edge.locked.last_modified
    try:
        shown = "" if date is None else time.strftime(" (%Y-%m-%d)", time.gmtime(date))
    except (OverflowError, ValueError, OSError):
        shown = ""
    return f"'{edge.locked}'{shown}"


def _same(old: Edge, new: Edge) -> bool:
    if isinstance(old, Node) and isinstance(new, Node):
        return old.locked == new.locked and old.is_new == new.is_new
    return not isinstance(old, Node) and not isinstance(new, Node) and old == new


def differences(old: LockFile, new: LockFile) -> list[Change]:
    """What changed, sorted by input path."""
    before, after = old.all_inputs(), new.all_inputs()
    changes = []
    for path in sorted(before.keys() | after.keys()):
        if path not in before:
            changes.append(Change("added", path, new=describe_edge(after[path])))
        elif path not in after:
            changes.append(Change("removed", path))
        elif not _same(before[path], after[path]):
            changes.append(Change("updated", path, describe_edge(before[path]), describe_edge(after[path])))
    return changes


_GREEN, _RED, _BOLD, _NORMAL = "\033[32;1m", "\033[31;1m", "\033[1m", "\033[0m"


def print_differences(changes: list[Change], color: bool = False) -> str:
    """Nix's text: one item a change, ends with a newline unless empty."""
    text = ""
    green, red, bold, normal = (_GREEN, _RED, _BOLD, _NORMAL) if color else ("", "", "", "")
    for change in changes:
        name = print_input_path(change.path)
        if change.kind == "added":
            text += f"• {green}Added input '{name}':{normal}\n    {change.new}\n"
        elif change.kind == "removed":
            text += f"• {red}Removed input '{name}'{normal}\n"
        else:
            text += f"• {bold}Updated input '{name}':{normal}\n    {change.old}\n  → {change.new}\n"
    return text
