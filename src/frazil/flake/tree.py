"""The trees of flakes within one session: fetching through registries, and reading files of what was fetched.

In: flake references. Out: `Tree`, whose files are read at logical paths (`/nix/store/…-source/flake.nix`) through the
evaluator's effects. Each input is fetched once in a session.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from frazil.flake.errors import BadFlake, FlakeError, FlakeNotFound
from frazil.flake.reference import Attribute, FlakeReference
from frazil.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.fetch.inputs import FetchContext, FetchedTree
    from frazil.fetch.registry import Registry, Use
    from frazil.flake.cursor import Cursor
    from frazil.flake.locking import LockedFlake, LockFlags
    from frazil.flake.memory import FlakeMemory


class LazyAttributes(Mapping[str, Attribute]):
    """Attributes of which some (`revCount`) are computed when first looked at."""

    def __init__(self, known: Mapping[str, Attribute], lazy: Mapping[str, Callable[[], int]]) -> None:
        self.known = dict(known)
        self.lazy = {name: compute for name, compute in lazy.items() if name not in self.known}

    def __getitem__(self, name: str) -> Attribute:
        if name in self.lazy:
            self.known[name] = self.lazy.pop(name)()
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self.known, *self.lazy}))

    def __len__(self) -> int:
        return len({*self.known, *self.lazy})

    def __contains__(self, name: object) -> bool:
        return name in self.known or name in self.lazy


class Tree(Record):
    """`path`: the logical store path; `resolved`: after registries; `locked`: what to fetch to get the same again."""

    path: str
    resolved: FlakeReference
    locked: FlakeReference
    fetched: FetchedTree


class Trees:
    """`session`: an evaluation session (`frazil.instantiate.session.Session`). Messages go to its reporter."""

    def __init__(self, session: Any, *, color: bool = False) -> None:
        self.session = session
        self.evaluator = session.evaluator
        self.effects = session.effects
        self.color = color
        self.use_registries = True
        self.use_cache = True
        self._memories: dict[int, tuple[LockedFlake, FlakeMemory | None]] = {}
        self.lender: Callable[[Any], Callable[[], Any]] = lambda database: lambda: None
        """Who may know answers that the database does not have."""
        self.heard: list[tuple[int, str]] = []
        """What was printed so far, where somebody takes it down."""
        self._fetched: dict[str, Tree] = {}
        self._by_path: dict[str, Tree] = {}
        self._flags: Registry | None = None
        self.evaluator.positions.rename = lambda name: _byte_string(self.display(_text(name)))
        self.effects.explain_missing = lambda path: self.explain_missing(_text(path))
        self._called: tuple[Any, Mapping[str, Any], Any] | None = None
        self._outputs: dict[int, tuple[LockedFlake, Cursor]] = {}

    @property
    def context(self) -> FetchContext:
        context: FetchContext = self.session.fetch_context
        return context

    def memory(self, locked: LockedFlake) -> FlakeMemory | None:
        """Remembered answers about a flake; the same for one locked flake."""
        found = self._memories.get(id(locked))
        if found is None:
            from frazil.flake.memory import open_memory

            found = self._memories[id(locked)] = (locked, open_memory(self, locked))
        return found[1]

    def called_root(self, root: Any, auto_arguments: Mapping[str, Any]) -> Any:
        """Of `--file` or `--expr`: the same for all its attributes."""
        from frazil.flake.selection import called_root

        if self._called is None or self._called[0] is not root or self._called[1] is not auto_arguments:
            self._called = (root, auto_arguments, called_root(self.evaluator, root, auto_arguments))
        return self._called[2]

    def first_memory(self) -> FlakeMemory | None:
        """That of the flake that was locked first."""
        for _, memory in self._memories.values():
            return memory
        return None

    def warn(self, text: str) -> None:
        from frazil.activity import Verbosity

        self.session.reporter.log(Verbosity.WARN, text)

    def debug(self, text: str) -> None:
        from frazil.activity import Verbosity

        self.session.reporter.log(Verbosity.DEBUG, text)

    def notice(self, text: str) -> None:
        from frazil.activity import Verbosity

        self.session.reporter.log(Verbosity.NOTICE, text)

    # -- flakes -----------------------------------------------------------------------------------

    def lock(self, reference: FlakeReference, flags: LockFlags) -> LockedFlake:
        from frazil.flake.locking import lock_flake

        return lock_flake(self, reference, flags)

    def outputs(self, locked: LockedFlake) -> Cursor:
        """The outputs of a flake, evaluated as far as one walks; the same for one locked flake."""
        from frazil.flake.call import call_flake
        from frazil.flake.cursor import Cursor

        def root() -> Any:
            if os.environ.get("NIX_ALLOW_EVAL") == "0":
                raise FlakeError("not everything is cached, but evaluation is not allowed")
            flake = call_flake(self, locked)
            return self.evaluator.get_attr(flake, "outputs")

        found = self._outputs.get(id(locked))
        if found is None:
            found = self._outputs[id(locked)] = (locked, Cursor(self.evaluator, self.evaluator.lazy(root)))
        return found[1]

    def show_value(self, value: Any) -> str:
        """A value for a message, shortened."""
        from frazil.lang.runtime import show_value

        text: str = show_value(value)
        return text.encode("latin-1", "replace").decode("utf-8", "replace")

    # -- fetching ----------------------------------------------------------------------------------

    def fetch(self, reference: FlakeReference, registries: Use) -> Tree:
        """`registries`: all, limited (flags and the global one: inputs must not depend on the user) or no."""
        from frazil.fetch.inputs import fetch_tree

        key = _key(reference, registries)
        tree = self._fetched.get(key)
        if tree is None:
            resolved = self._resolve_name(reference, registries)
            tree = self._enter(fetch_tree(dict(resolved.attributes), self.context), resolved)
            self._fetched[key] = tree
        return tree

    def _resolve_name(self, reference: FlakeReference, registries: Use) -> FlakeReference:
        """What is fetched: registries are asked for names only, the setting `input-overrides` for everything."""
        from frazil.fetch.inputs import is_direct

        if is_direct(dict(reference.attributes)):
            return self.resolve(reference, "overrides")
        if registries == "no":
            raise FlakeError(
                f"'{reference}' is an indirect flake reference, but registry lookups are not allowed",
                hint="write a URL in its place, or --option use-registries true",
            )
        return self.resolve(reference, registries)

    def resolve(self, reference: FlakeReference, registries: Use) -> FlakeReference:
        """What registries put in place of a reference."""
        from frazil.fetch.registry import resolve

        attributes, directory = resolve(dict(reference.attributes), self.context, registries, self._flag_registry())
        return FlakeReference(attributes, directory or reference.subdirectory)

    def add_flag_entry(self, source: FlakeReference, target: FlakeReference) -> None:
        """`--override-flake`, `--inputs-from`: asked before all other registries."""
        self._flag_registry().replace(dict(source.attributes), dict(target.attributes), target.subdirectory)

    def _flag_registry(self) -> Registry:
        from frazil.fetch.registry import Registry

        if self._flags is None:
            self._flags = Registry("flag")
        return self._flags

    def registry_entries(self) -> Iterator[tuple[str, FlakeReference, FlakeReference]]:
        """(kind, what is replaced, by what) of all registries, in the order they are asked."""
        from frazil.fetch.registry import registries

        for registry in registries(self.context, self._flag_registry(), "all"):
            for entry in registry.entries:
                directory = entry.extra.get("dir")
                target = FlakeReference(entry.target, directory if isinstance(directory, str) else "")
                yield registry.kind, FlakeReference(entry.source), target

    def fetch_locked(self, reference: FlakeReference) -> Tree:
        """An entry of a lock file: the attributes stay as they are, and the tree must match them. A tree that is in
        the store already is not looked for at its source, which may have changed since."""
        from frazil.fetch.inputs import fetch_tree

        final = {**reference.attributes, "__final": True}
        key = _key(FlakeReference(final, reference.subdirectory), "final")
        tree = self._fetched.get(key)
        if tree is None:
            tree = self._fetched[key] = self._enter(fetch_tree(final, self.context), reference)
        return tree

    def _enter(self, fetched: FetchedTree, resolved: FlakeReference) -> Tree:
        path = self.context.store.directory.show(fetched.store_path)
        locked = FlakeReference(LazyAttributes(fetched.attributes, fetched.lazy), resolved.subdirectory)
        tree = Tree(path, resolved, locked, fetched)
        self.effects.allow_path(path)
        if self.effects.recorder is not None:
            self._note_fetched(fetched, resolved, os.path.basename(path))
        self._by_path[path] = tree
        return tree

    def _note_fetched(self, fetched: FetchedTree, resolved: FlakeReference, base: str) -> None:
        """Says whether what was asked for determines the tree, or the world of today does."""
        from frazil.fetch.inputs import is_locked

        asked = dict(resolved.attributes)
        if "narHash" in asked or is_locked(asked, self.context.settings):
            self.effects.recorder.fetched(base)
        else:
            self.effects.recorder.fetched_unlocked(asked, fetched.attributes, base)

    def forget(self, reference: FlakeReference) -> None:
        """The source changed (its lock file was written): fetch it again next time."""
        for registries in ("all", "limited", "no"):
            self._fetched.pop(_key(reference, registries), None)

    def forget_all(self) -> None:
        """Every source may have changed."""
        self._fetched.clear()

    def source_directory(self, reference: FlakeReference) -> str | None:
        from frazil.fetch.inputs import source_directory

        return source_directory(dict(reference.attributes))

    # -- files -------------------------------------------------------------------------------------

    def is_known(self, path: str) -> bool:
        """Whether a path lies in a tree of this session."""
        store = self.context.store.directory
        return bool(store.is_inside(path)) and self.root_of(path) in self._by_path

    def in_store(self, path: str) -> str:
        """The path itself where it is in the store, else that of a copy."""
        if self.context.store.directory.is_inside(path):
            return path
        copied: str = self.effects.copy_path_to_store(_byte_string(path))
        return copied.encode("latin-1").decode("utf-8", "surrogateescape")

    def root_of(self, path: str) -> str:
        """The store path that a logical path lies in."""
        store = self.context.store.directory
        store_path, _ = store.split(path)
        return str(store.show(store_path))

    def resolve_relative(self, folder: str, relative: str) -> str:
        """An input's relative path, seen from the folder of the flake that names it."""
        root = self.root_of(folder)
        path = os.path.normpath(os.path.join(folder, relative))
        if path != root and not path.startswith(root + "/"):
            what = f"path '{path}' does not exist"
            if self.effects.settings.pure:
                what = (
                    f"access to absolute path '{path}' is forbidden in pure evaluation mode "
                    "(use '--impure' to override)"
                )
            raise FlakeError(
                what,
                hint=(
                    f"the relative path '{relative}' leads out of the source tree '{self.display(root)}', of which"
                    " there is a copy in the store: for what is elsewhere give the whole path, path:/… or git+file:///…"
                ),
            )
        return path

    def file_type(self, path: str) -> str | None:
        kind: str | None = self.effects.file_type(_byte_string(path))
        return kind

    def read_file(self, path: str) -> bytes:
        data: bytes = self.effects.read_file(_byte_string(path))
        return data

    def require(self, path: str, reference: FlakeReference) -> None:
        """Raises FlakeNotFound, with what to do about it, where a `flake.nix` is missing."""
        kind = self.file_type(path)
        if kind is None:
            explained = self.explain_missing(path)
            if explained is not None:
                raise FlakeNotFound(explained[0], hint=explained[1])
            raise FlakeNotFound(
                f"path '{self.display(path)}' does not exist",
                hint=f"the source tree of '{reference}' does not contain a flake there: "
                "write '?dir=' for one in a folder below, or `flake = false;` for an input that is none",
            )
        if kind == "directory":
            raise BadFlake(f"'{self.display(path)}' is a directory, not a file")

    def below(self, path: str) -> str:
        """The path within its tree."""
        return path[len(self.root_of(path)) + 1 :]

    def explain_missing(self, path: str) -> tuple[str, str | None] | None:
        """Message and hint for a file of a tree that is not there, in particular one that git does not track."""
        tree = self._tree_of(path)
        if tree is None or path == tree.path:
            return None
        below = path[len(tree.path) + 1 :]
        directory = tree.fetched.source_directory
        if tree.locked.type != "git":
            return None
        if directory is None:
            return f"'{self.display(path)}' does not exist", None
        why = tree.fetched.explain_missing(below)
        if why is None:
            return f"Path '{below}' does not exist in Git repository \"{directory}\".", None
        if "not tracked" not in why:
            return f"Path '{below}' does not exist in Git repository \"{directory}\".", why
        return (
            f"Path '{below}' in the repository \"{directory}\" is not tracked by Git.",
            "a flake holds only files that git knows; `git add` makes it visible:\n\n"
            f'git -C "{directory}" add "{below}"',
        )

    def _tree_of(self, path: str) -> Tree | None:
        for root, tree in self._by_path.items():
            if path == root or path.startswith(root + "/"):
                return tree
        return None

    def display(self, path: str) -> str:
        """A logical path for messages: the place in the user's own tree where there is one, else with the URL."""
        tree = self._tree_of(path)
        if tree is None:
            return path
        directory = tree.fetched.source_directory
        below = path[len(tree.path) :]
        return f"{directory}{below}" if directory is not None else f"«{tree.locked}»{below}"


def trees_of(session: Any) -> Trees:
    """The one `Trees` of a session."""
    trees = vars(session).get("flake_trees")
    if trees is None:
        trees = vars(session)["flake_trees"] = Trees(session)
    return trees  # type: ignore[no-any-return]


def _byte_string(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").decode("latin-1")


def _text(path: str) -> str:
    return path.encode("latin-1").decode("utf-8", "surrogateescape")


def _key(reference: FlakeReference, registries: str) -> str:
    from frazil import plain_json

    return plain_json.dumps([registries, reference.subdirectory, sorted(reference.attributes.items())])
