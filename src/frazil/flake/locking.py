"""Locking: from the inputs of a flake and its old lock file to a new one.

In: a top-level reference and flags. Out: `LockedFlake`, and where allowed a written `flake.lock`. Source: the manual
pages `nix flake lock`, `nix flake update` and the "Common flake-related options".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from frazil.errors import FrazilError
from frazil.flake.errors import FlakeError, LockFileError
from frazil.flake.flake_file import Flake, FlakeInput, add_trace, read_flake, read_text
from frazil.flake.lock import (
    MAX_DEPTH,
    Edge,
    InputPath,
    LockedNode,
    LockFile,
    Node,
    differences,
    print_differences,
    print_input_path,
)
from frazil.flake.reference import FlakeReference
from frazil.record import EMPTY, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.fetch.registry import Use
    from frazil.flake.tree import Trees

MAX_INPUTS = 100_000
"""Nodes one locking may compute: a lock file that shares nodes can describe exponentially many paths."""


class LockFlags(Record):
    """Names and meanings of the command line's options.

    `apply_config` gets a flake's `nixConfig`. `default_overrides`: by name, what replaces inputs so called wherever
    they are not overridden otherwise; they come from a setting.
    """

    recreate_lock_file: bool = False
    update_lock_file: bool = True
    write_lock_file: bool = True
    fail_on_unlocked: bool = False
    use_registries: bool = True
    allow_unlocked: bool = True
    allow_dirty: bool = True
    allow_dirty_locks: bool = False
    warn_dirty: bool = True
    commit_lock_file: bool = False
    commit_summary: str = ""
    reference_lock_file: str | None = None
    output_lock_file: str | None = None
    input_overrides: Mapping[InputPath, FlakeReference] = EMPTY
    input_updates: frozenset[InputPath] = frozenset()
    apply_config: Callable[[Flake], None] | None = None
    default_overrides: Mapping[str, FlakeReference] = EMPTY


class LockedFlake:
    """`node_paths`: the folders (logical paths) of nodes that were read while locking, by `id(node)`."""

    __slots__ = ("flake", "lock_file", "node_paths")

    def __init__(self, flake: Flake, lock_file: LockFile, node_paths: dict[int, str]) -> None:
        self.flake, self.lock_file, self.node_paths = flake, lock_file, node_paths


class _Override(Record):
    """`folder`: what a relative path starts from; `parent`: the input whose `flake.nix` says so (None: a flag)."""

    input: FlakeInput
    folder: str
    parent: InputPath | None


class _Job(Record):
    """The inputs of one node. `trusted`: they come from the lock file and its `follows` need no second look."""

    inputs: Mapping[str, FlakeInput]
    node: Node
    path: InputPath
    old: Node | None
    follows_prefix: InputPath
    folder: str
    trusted: bool


class _Locker:
    def __init__(self, trees: Trees, flake: Flake, flags: LockFlags) -> None:
        self.trees, self.flake, self.flags = trees, flake, flags
        self.registries: Use = "limited" if flags.use_registries else "no"
        self.overrides = {
            path: _Override(FlakeInput(reference), flake.folder, None)
            for path, reference in flags.input_overrides.items()
        }
        self.explicit = set(flags.input_overrides)
        self.used_defaults = False
        self.used_overrides: set[InputPath] = set()
        self.used_updates: set[InputPath] = set()
        self.node_paths: dict[int, str] = {}
        self.keep: list[Node] = []  # `id()` is only unique while the node lives
        self.parents: list[FlakeReference] = []
        self.count = 0

    def run(self, old: LockFile) -> LockFile:
        new = LockFile()
        self.remember(new.root, self.flake.folder)
        old_root = None if self.flags.recreate_lock_file else old.root
        self.compute(_Job(self.flake.inputs, new.root, (), old_root, (), self.flake.folder, False))
        for path, reference in sorted(self.flags.input_overrides.items()):
            if path not in self.used_overrides:
                name = print_input_path(path)
                self.trees.warn(f"the flag '--override-input {name} {reference}' does not match any input")
        for path in sorted(self.flags.input_updates - self.used_updates):
            self.trees.warn(f"'{print_input_path(path)}' does not match any input of this flake")
        new.check()
        return new

    def remember(self, node: Node, folder: str) -> None:
        self.keep.append(node)
        self.node_paths.setdefault(id(node), folder)

    def add_overrides(self, flake_input: FlakeInput, prefix: InputPath, job: _Job) -> None:
        for name, override in sorted(flake_input.overrides.items()):
            path = (*prefix, name)
            if override.reference is not None or override.follows is not None:
                self.overrides.setdefault(path, _Override(override, job.folder, job.path))
            self.add_overrides(override, path, job)

    def compute(self, job: _Job) -> None:
        if len(job.path) > MAX_DEPTH:  # a lock file may say that an input is its own input
            raise LockFileError(f"inputs are nested more than {MAX_DEPTH} deep: '{print_input_path(job.path[:5])}/…'")
        for name, flake_input in sorted(job.inputs.items()):
            self.add_overrides(flake_input, (*job.path, name), job)
        for path in sorted(self.overrides):
            if path[:-1] == job.path and path[-1] not in job.inputs:
                self.trees.warn(
                    f"input '{print_input_path(job.path)}' has an override for a non-existent input '{path[-1]}'"
                )
        for name, flake_input in sorted(job.inputs.items()):
            path = (*job.path, name)
            self.count += 1
            if self.count > MAX_INPUTS:
                raise LockFileError(f"the flake has more than {MAX_INPUTS} inputs, counted with those of its inputs")
            try:
                self.compute_input(job, name, path, flake_input)
            except FrazilError as error:
                add_trace(error, f"while updating the flake input '{print_input_path(path)}'")
                raise

    def compute_input(self, job: _Job, name: str, path: InputPath, declared: FlakeInput) -> None:
        override = self.overrides.get(path) or self.default_override(name, path, declared)
        flake_input, folder = declared, job.folder
        if override is not None:
            self.used_overrides.add(path)
            flake_input = override.input.with_flakeness(declared.is_flake)
            folder = override.folder
        if flake_input.follows is not None:
            job.node.inputs[name] = flake_input.follows
            return
        reference = flake_input.reference or FlakeReference({"type": "indirect", "id": name})
        parent: InputPath | None = None
        if reference.relative_path is not None:
            parent = job.path if override is None else override.parent
        self.used_updates.add(path)
        old = self.old_lock(job, name, path)
        if (
            old is not None
            and old.original.canonical() == reference.canonical()
            and old.parent == parent
            and path not in self.explicit
        ):
            self.keep_existing(job, name, path, old, reference, folder)
        else:
            self.create(job, name, path, declared, flake_input.is_flake, reference, folder, parent)

    def default_override(self, name: str, path: InputPath, declared: FlakeInput) -> _Override | None:
        """What the user's settings put in place of inputs of this name."""
        reference = self.flags.default_overrides.get(name)
        if reference is None or declared.follows is not None:
            return None
        self.explicit.add(path)
        self.used_defaults = True
        return _Override(FlakeInput(reference), self.flake.folder, None)

    def old_lock(self, job: _Job, name: str, path: InputPath) -> LockedNode | None:
        if job.old is None or path in self.flags.input_updates:
            return None
        edge = job.old.inputs.get(name)
        return edge if isinstance(edge, LockedNode) else None

    def input_flake(
        self, reference: FlakeReference, named: FlakeReference, folder: str, path: InputPath, registries: Use | None
    ) -> Flake:
        """Reads an input's `flake.nix`; `named` (as written) decides whether it lies relative to `folder`.

        `registries` None: `reference` comes from a lock file, and its tree must be the one that was locked.
        """
        if named.relative_path is not None:
            place = self.trees.resolve_relative(folder, named.relative_path)
            return read_flake(self.trees, (reference, reference, reference), place, named.subdirectory, path)
        return get_flake(self.trees, reference, registries, path)

    # -- an entry of the old lock file that still holds -----------------------------------------------------------

    def keep_existing(
        self, job: _Job, name: str, path: InputPath, old: LockedNode, reference: FlakeReference, folder: str
    ) -> None:
        child = LockedNode(locked=old.locked, original=old.original, is_flake=old.is_flake, parent=old.parent)
        self.keep.append(child)
        job.node.inputs[name] = child
        later = sorted(update for update in self.flags.input_updates if update >= path)
        refetch = bool(later) and len(later[0]) > len(path) and later[0][: len(path)] == path
        inputs = None if refetch else self.inputs_of_lock(job, path, old)
        if inputs is None:
            flake = self.input_flake(old.locked, reference, folder, path, None)
            self.remember(child, flake.folder)
            self.compute(_Job(flake.inputs, child, path, old, job.follows_prefix, flake.folder, False))
        else:
            self.compute(_Job(inputs, child, path, old, job.follows_prefix, job.folder, True))

    def inputs_of_lock(self, job: _Job, path: InputPath, old: LockedNode) -> dict[str, FlakeInput] | None:
        """What the lock file says about a flake that need not be fetched; None where it may be out of date."""
        inputs: dict[str, FlakeInput] = {}
        for name, edge in old.sorted_inputs():
            if isinstance(edge, LockedNode):
                inputs[name] = FlakeInput(edge.original, edge.is_flake)
                continue
            # A `follows` whose override disappeared hides an input that the lock file does not describe.
            if not job.trusted and (*path, name) not in self.overrides:
                return None
            inputs[name] = FlakeInput(follows=(*job.follows_prefix, *edge))
        return inputs

    # -- a new entry ------------------------------------------------------------------------------------------------

    def create(
        self,
        job: _Job,
        name: str,
        path: InputPath,
        declared: FlakeInput,
        is_flake: bool,
        reference: FlakeReference,
        folder: str,
        parent: InputPath | None,
    ) -> None:
        from frazil.fetch.inputs import is_locked

        relative = reference.relative_path is not None
        if not self.flags.allow_unlocked and not relative and not is_locked(dict(reference.attributes)):
            raise FlakeError(f"cannot update unlocked flake input '{print_input_path(path)}' in pure mode")
        by_flag = path in self.explicit
        # The lock file keeps what `flake.nix` says as "original": overrides on the command line are sticky.
        original = declared.reference if declared.reference is not None and by_flag else reference
        if not is_flake:
            locked, place = self.fetch_plain(reference, folder)
            child = LockedNode(locked=locked, original=original, is_flake=False, parent=parent, is_new=relative)
            self.remember(child, place)
            job.node.inputs[name] = child
            return
        registries: Use = "all" if by_flag and self.flags.use_registries else self.registries
        flake = self.input_flake(reference, reference, folder, path, registries)
        child = LockedNode(locked=flake.locked, original=original, is_flake=True, parent=parent, is_new=relative)
        job.node.inputs[name] = child
        if reference in self.parents:
            raise FlakeError(f"found circular import of flake '{reference}'")
        self.parents.append(reference)
        try:
            self.remember(child, flake.folder)
            old = read_lock_file(self.trees, flake)
            self.compute(_Job(flake.inputs, child, path, old.root, path, flake.folder, False))
        finally:
            self.parents.pop()

    def fetch_plain(self, reference: FlakeReference, folder: str) -> tuple[FlakeReference, str]:
        if reference.relative_path is not None:
            return reference, self.trees.resolve_relative(folder, reference.relative_path)
        tree = self.trees.fetch(reference, self.registries)
        return FlakeReference(tree.locked.attributes, reference.subdirectory), tree.path


def get_flake(trees: Trees, reference: FlakeReference, registries: Use | None, path: InputPath = ()) -> Flake:
    """Fetches a flake and reads its `flake.nix`; again where `inputs.self` asks for another kind of fetch.

    `registries` None: the reference comes from a lock file.
    """
    tree = trees.fetch_locked(reference) if registries is None else trees.fetch(reference, registries)
    references = (reference, tree.resolved, tree.locked)
    flake = read_flake(trees, references, tree.path, tree.resolved.subdirectory, path)
    wanted = dict(tree.fetched.attributes)  # without the lazy ones: a shallow clone cannot count its revisions
    for name, value in flake.self_attributes.items():
        if name not in ("submodules", "lfs"):
            raise FlakeError(f"flake 'self' attribute '{name}' is not supported")
        wanted[name] = value
    if wanted == tree.fetched.attributes:
        return flake
    wanted.pop("narHash", None)
    trees.debug(f"refetching input '{tree.locked}' due to self attribute")
    again = trees.fetch(FlakeReference(wanted, tree.locked.subdirectory), "no")
    references = (reference, tree.resolved, again.locked)
    return read_flake(trees, references, again.path, tree.resolved.subdirectory, path)


def read_lock_file(trees: Trees, flake: Flake) -> LockFile:
    path = f"{flake.folder}/flake.lock"
    if trees.file_type(path) is None:
        return LockFile()
    return LockFile.parse(trees.read_file(path), trees.display(path), warn=trees.warn)


def lock_flake(trees: Trees, reference: FlakeReference, flags: LockFlags) -> LockedFlake:
    """Locks `reference`, writing its lock file where the flags allow it. Raises FlakeError, FetchError, EvalError."""
    registries: Use = "all" if flags.use_registries else "no"
    return lock(trees, reference, get_flake(trees, reference, registries), flags)


def lock(trees: Trees, reference: FlakeReference, flake: Flake, flags: LockFlags) -> LockedFlake:
    """Like `lock_flake`, for a `flake.nix` already read."""
    if flags.apply_config is not None:
        flags.apply_config(flake)
    try:
        if not flags.allow_dirty and flags.reference_lock_file:
            raise LockFileError("reference lock file was provided, but the `allow-dirty` setting is set to false")
        old = _old_lock_file(trees, flake, flags)
        locker = _Locker(trees, flake, flags)
        new = locker.run(old)
        if locker.used_defaults:
            # The user's own substitution: nothing that others should find in the lock file.
            flake = flake.with_(force_dirty=flake.force_dirty or new != old)
        elif new != old or flags.output_lock_file:
            flake = _write(trees, reference, flake, old, new, flags)
        return LockedFlake(flake, new, locker.node_paths)
    except FrazilError as error:
        add_trace(error, f"while updating the lock file of flake '{flake.locked}'")
        raise


def _old_lock_file(trees: Trees, flake: Flake, flags: LockFlags) -> LockFile:
    if flags.reference_lock_file is None:
        return read_lock_file(trees, flake)
    text = read_text(flags.reference_lock_file)
    return LockFile() if text is None else LockFile.parse(text, flags.reference_lock_file, warn=trees.warn)


def _write(
    trees: Trees, reference: FlakeReference, flake: Flake, old: LockFile, new: LockFile, flags: LockFlags
) -> Flake:
    """Writes the new lock file, or says why not; the flake as it is afterwards."""
    # The embedded set has no lock file by design: whoever uses it locks its suite.
    if reference.type == "frazilpkgs":
        return flake
    changes = print_differences(differences(old, new), trees.color)
    if not flags.write_lock_file:
        trees.warn(f"not writing modified lock file of flake '{reference}':\n{changes.rstrip()}")
        return flake.with_(force_dirty=True)
    if flake.locked.attributes.get("type") == "frazilpkgs" and not flags.output_lock_file:
        # The embedded set by itself has no folder of the user's to keep a lock file in: its index is the newest.
        return flake.with_(force_dirty=True)
    folder = trees.source_directory(reference)
    if folder is None and not flags.output_lock_file:
        raise LockFileError(
            f"cannot write modified lock file of flake '{reference}' (use '--no-write-lock-file' to ignore)"
        )
    unlocked = new.unlocked_input(flags.allow_dirty_locks)
    if unlocked is not None:
        _refuse_unlocked(trees, reference, unlocked, flags)
        return flake
    if not flags.update_lock_file:
        raise LockFileError(
            f"flake '{reference}' requires lock file changes but they're not allowed due to '--no-update-lock-file'"
        )
    text = new.to_string() + "\n"
    if flags.output_lock_file:
        from frazil.fetch.tree import write_atomically

        if flags.commit_lock_file:
            raise LockFileError("'--commit-lock-file' and '--output-lock-file' are incompatible")
        write_atomically(flags.output_lock_file, text.encode())
    else:
        assert folder is not None
        _put(trees, reference, folder, text, changes, flags)
    return _reread(trees, reference, flake, flags)


def _refuse_unlocked(trees: Trees, reference: FlakeReference, unlocked: FlakeReference, flags: LockFlags) -> None:
    if flags.fail_on_unlocked:
        raise LockFileError(
            f"Not writing lock file of flake '{reference}' because it has an unlocked input ('{unlocked}'). "
            "Use '--allow-dirty-locks' to allow this anyway."
        )
    if flags.warn_dirty:
        trees.warn(f"not writing lock file of flake '{reference}' because it has an unlocked input ('{unlocked}')")


def _put(trees: Trees, reference: FlakeReference, folder: str, text: str, changes: str, flags: LockFlags) -> None:
    import os
    import re

    from frazil.fetch.inputs import put_file

    relative = (f"{reference.subdirectory}/" if reference.subdirectory else "") + "flake.lock"
    place = os.path.join(folder, relative)
    exists = os.path.lexists(place)
    shown = changes.rstrip()
    if not exists:
        trees.warn(f'creating lock file "{place}": \n{shown}')
    elif shown:
        trees.warn(f'updating lock file "{place}":\n{shown}')
    else:
        trees.warn(f'updating lock file "{place}"')
    message = None
    if flags.commit_lock_file:
        summary = flags.commit_summary or f"{relative}: {'Update' if exists else 'Add'}"
        message = f"{summary}\n\nFlake lock file updates:\n\n" + re.sub(r"\x1b\[[0-9;]*m", "", changes)
    put_file(dict(reference.attributes), relative, text.encode(), message)


def _reread(trees: Trees, reference: FlakeReference, flake: Flake, flags: LockFlags) -> Flake:
    trees.forget(reference)
    before = flake.locked.revision
    flake = get_flake(trees, reference, "all" if flags.use_registries else "no")
    after = flake.locked.revision
    if flags.commit_lock_file and after and before != after:
        trees.warn(f"committed new revision '{after}'")
    return flake


__all__ = ["Edge", "LockFlags", "LockedFlake", "get_flake", "lock", "lock_flake"]
