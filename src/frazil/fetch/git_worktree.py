"""The state of a git work tree: which files are tracked, and whether anything differs from HEAD.

In: a `Repository`. Out: `WorkTree`. As in git's own status, a file whose stamp equals the one in the index is taken
for unchanged unless the stamp is not older than the index itself; only others are read.
"""

from __future__ import annotations

import os
import stat
from array import array
from dataclasses import dataclass

from frazil.fetch.errors import GitError
from frazil.fetch.git_index import (
    MODE_GITLINK,
    MODE_LINK,
    Index,
    IndexEntry,
    UnsupportedIndex,
    hash_blob,
    parse_index,
    write_tree,
)
from frazil.fetch.git_repository import Repository
from frazil.fetch.tree import is_racy

Stamps = list[os.stat_result | None]


@dataclass(frozen=True, slots=True)
class WorkTree:
    """`digest`: of HEAD, the index and the stamps of all tracked files; `racy`: it must not be relied on later.

    `files`, `is_dirty` and `content` are worked out by `inspect` only where the digest is not known.
    """

    repository: Repository
    index: Index
    stamps: Stamps
    reference: str | None
    revision: str | None
    digest: str
    racy: bool

    @property
    def directory(self) -> str:
        return self.repository.directory

    def tracked(self) -> set[bytes]:
        """Files and links that are tracked and there, by path relative to the work tree."""
        return {
            entry.path
            for entry, status in zip(self.index.entries, self.stamps)
            if status is not None and entry.mode != MODE_GITLINK and not stat.S_ISDIR(status.st_mode)
        }

    def submodules(self) -> list[bytes]:
        return [entry.path for entry in self.index.entries if entry.mode == MODE_GITLINK]


def read_worktree(directory: str) -> WorkTree:
    """Raises GitError."""
    repository = Repository(directory)
    reference, revision = repository.head()
    index, index_time = _read_index(repository)
    stamps = _stat_all(directory, index.entries)
    return _digest(repository, index, index_time, stamps, reference, revision)


def _read_index(repository: Repository) -> tuple[Index, int]:
    path = os.path.join(repository.git_directory, "index")
    try:
        with open(path, "rb") as file:
            modified = os.fstat(file.fileno()).st_mtime_ns
            data = file.read()
    except FileNotFoundError:
        return Index([], {}, b"empty"), 0
    except OSError as error:
        raise GitError(f"reading '{path}': {error.strerror}") from error
    try:
        return parse_index(data, repository.oid_size), modified
    except UnsupportedIndex:
        return _index_by_program(repository), 0
    except GitError as error:
        raise GitError(f"reading '{path}': {error.message}", hint=error.hint) from error


def _index_by_program(repository: Repository) -> Index:
    """For split and sparse indexes: names without stamps, so that every file is compared by its contents."""
    from frazil.fetch.git_program import run_git

    output = run_git(["ls-files", "--stage", "-t", "-z"], directory=repository.directory)
    entries = []
    for line in os.fsencode(output).split(b"\0"):
        if not line:
            continue
        head, _, path = line.partition(b"\t")
        tag, mode, oid, stage = head.split(b" ")
        flags = int(stage) << 12 | (0x4000 << 16 if tag == b"S" else 0)
        entries.append(IndexEntry(path, int(mode, 8), bytes.fromhex(oid.decode()), flags, (0,) * 10))
    import hashlib

    return Index(entries, {}, hashlib.sha256(os.fsencode(output)).digest())


def _stat_all(directory: str, entries: list[IndexEntry]) -> Stamps:
    """lstat of every entry; None where there is no such file, also below a link in place of a directory."""
    prefix = os.fsencode(directory) + b"/"
    lstat = os.lstat
    real: dict[bytes, bool] = {b"": True}
    stamps: Stamps = []
    for entry in entries:
        path = entry.path
        parent = path.rpartition(b"/")[0]
        known = real.get(parent)
        if known is None:
            known = _is_real_directory(prefix, parent, real)
        try:
            stamps.append(lstat(prefix + path) if known else None)
        except OSError:
            stamps.append(None)
    return stamps


def _is_real_directory(prefix: bytes, path: bytes, known: dict[bytes, bool]) -> bool:
    result = known.get(path)
    if result is None:
        parent = path.rpartition(b"/")[0]
        result = _is_real_directory(prefix, parent, known)
        if result:
            try:
                result = stat.S_ISDIR(os.lstat(prefix + path).st_mode)
            except OSError:
                result = False
        known[path] = result
    return result


def _digest(
    repository: Repository, index: Index, index_time: int, stamps: Stamps, reference: str | None, revision: str | None
) -> WorkTree:
    import hashlib

    numbers = array("q")
    add = numbers.extend
    newest = 0
    for status in stamps:
        if status is None:
            add((0,))
        else:
            changed = status.st_ctime_ns
            newest = max(newest, changed, status.st_mtime_ns)
            add((status.st_mtime_ns, changed, status.st_ino, status.st_size, status.st_mode))
    state = hashlib.sha256(index.checksum)
    state.update(f"{revision} {reference} {index_time} {len(index.entries)}\0".encode())
    state.update(numbers.tobytes())
    for name in (".gitmodules",):
        state.update(name.encode())
    racy = is_racy(max(newest, index_time))
    return WorkTree(repository, index, stamps, reference, revision, state.hexdigest(), racy)


def find_changes(tree: WorkTree) -> list[bytes]:
    """The paths whose contents in the work tree differ from the index (or are gone), in order."""
    index_time = _index_seconds(tree)
    trust_mode = tree.repository.config.get("core.filemode", "true").lower() != "false"
    suspects = []
    changed = []
    for entry, status in zip(tree.index.entries, tree.stamps):
        if entry.mode == MODE_GITLINK or entry.assume_valid:
            continue
        if status is None:
            if not entry.skip_worktree:
                changed.append(entry.path)
        elif entry.stage or entry.intent_to_add or not _same_kind(entry, status, trust_mode):
            changed.append(entry.path)
        elif not _same_stamp(entry, status) or entry.stamp[2] >= index_time:
            suspects.append((entry, status))
    changed += _changed_contents(tree, suspects)
    return sorted(changed)


def _index_seconds(tree: WorkTree) -> int:
    try:
        return int(os.stat(os.path.join(tree.repository.git_directory, "index")).st_mtime)
    except OSError:
        return 0


def _same_kind(entry: IndexEntry, status: os.stat_result, trust_mode: bool) -> bool:
    if stat.S_ISLNK(status.st_mode):
        return entry.mode == MODE_LINK
    if not stat.S_ISREG(status.st_mode):
        return False
    if entry.mode == MODE_LINK:
        return False
    return not trust_mode or bool(status.st_mode & 0o100) == (entry.mode == 0o100755)


def _same_stamp(entry: IndexEntry, status: os.stat_result) -> bool:
    stamp = entry.stamp
    mask = 0xFFFFFFFF
    return (
        stamp[9] == status.st_size & mask
        and stamp[2] == (status.st_mtime_ns // 1_000_000_000) & mask
        and stamp[0] == (status.st_ctime_ns // 1_000_000_000) & mask
        and (not stamp[3] or stamp[3] == status.st_mtime_ns % 1_000_000_000)
        and (not stamp[1] or stamp[1] == status.st_ctime_ns % 1_000_000_000)
        and stamp[5] == status.st_ino & mask
        and stamp[7] == status.st_uid & mask
        and stamp[8] == status.st_gid & mask
    )


def _changed_contents(tree: WorkTree, suspects: list[tuple[IndexEntry, os.stat_result]]) -> list[bytes]:
    """Which of them really differ; where git may convert contents (line ends, LFS), git is asked."""
    algorithm = "sha1" if tree.repository.oid_size == 20 else "sha256"
    differing = []
    for entry, status in suspects:
        path = os.path.join(os.fsencode(tree.directory), entry.path)
        try:
            if stat.S_ISLNK(status.st_mode):
                data = os.readlink(path)
            else:
                with open(path, "rb") as file:
                    data = file.read()
        except OSError as error:
            raise GitError(f"reading '{os.fsdecode(path)}': {error.strerror}") from error
        if hash_blob(data, algorithm) != entry.oid:
            differing.append(entry.path)
    if differing and _may_convert(tree):
        return _changed_by_program(tree, differing)
    return differing


def _may_convert(tree: WorkTree) -> bool:
    config = tree.repository.config
    if config.get("core.autocrlf", "false").lower() != "false":
        return True
    attributes = os.path.join(tree.repository.common_directory, "info/attributes")
    return os.path.exists(attributes) or any(
        entry.path.rpartition(b"/")[2] == b".gitattributes" for entry in tree.index.entries
    )


def _changed_by_program(tree: WorkTree, paths: list[bytes]) -> list[bytes]:
    from frazil.fetch.git_program import run_git

    output = os.fsencode(run_git(["diff-files", "--name-only", "-z", "--ignore-submodules"], directory=tree.directory))
    found = set(output.split(b"\0"))
    return [path for path in paths if path in found and _really_differs(tree, path)]


def _really_differs(tree: WorkTree, path: bytes) -> bool:
    """`diff-files` lists files of another stamp too; the object that git would make of the file decides."""
    from frazil.fetch.git_program import run_git

    name = os.fsdecode(path)
    made = run_git(["hash-object", "--", name], directory=tree.directory).strip()
    return all(entry.oid.hex() != made for entry in tree.index.entries if entry.path == path)


def is_staged(tree: WorkTree, head_tree: str | None) -> bool:
    """Whether the index differs from HEAD, submodules apart."""
    entries = tree.index.entries
    if any(entry.stage or entry.intent_to_add for entry in entries):
        return True
    if head_tree is None:
        return bool(entries)
    if write_tree(tree.index, tree.repository.oid_size).hex() == head_tree:
        return False
    if not any(entry.mode == MODE_GITLINK for entry in entries):
        return True
    return _differs_beside_submodules(tree, head_tree)


def _differs_beside_submodules(tree: WorkTree, head_tree: str) -> bool:
    from frazil.fetch.git_objects import list_tree

    staged = {e.path: (e.mode, e.oid.hex()) for e in tree.index.entries if e.mode != MODE_GITLINK}
    committed = {e.path: (e.mode, e.oid) for e in list_tree(tree.repository, head_tree) if e.mode != MODE_GITLINK}
    return staged != committed
