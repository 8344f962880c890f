"""Trees of commits, from the object database into a directory. In: a repository and a tree; out: files.

libgit2 reads the objects. Names are checked: a tree object may be hostile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from frazil.fetch.errors import GitError
from frazil.fetch.git_index import MODE_DIRECTORY, MODE_GITLINK, MODE_LINK
from frazil.fetch.git_repository import Repository

_MAXIMUM_DEPTH = 1000
_MAXIMUM_ENTRIES = 10_000_000
_LONGEST_LINK = 4095


class Budget:
    """What may still be written of a commit and all its submodules. Trees may share subtrees, so that a few objects
    can describe exponentially many files."""

    def __init__(self, size: int, entries: int = _MAXIMUM_ENTRIES) -> None:
        self.size, self.entries = size, entries

    def spend(self, repository: Repository, *, entries: int = 0, size: int = 0) -> None:
        """Raises GitError where it is too much."""
        self.size -= size
        self.entries -= entries
        if self.size < 0 or self.entries < 0:
            what = "holds too many files" if self.entries < 0 else "is too large"
            raise GitError(f"the tree of Git repository '{repository.directory}' {what}")


class TreeEntry(NamedTuple):
    path: bytes
    mode: int
    oid: str


def list_tree(repository: Repository, tree: str, *, directories: bool = False) -> Iterator[TreeEntry]:
    """Everything below a tree, parents before children. Raises GitError for names that lead out of it."""
    try:
        yield from _walk(repository, repository.libgit2[tree], b"", directories, 0)
    except (KeyError, ValueError) as error:
        raise GitError(f"Git tree '{tree}' of '{repository.directory}' is incomplete: {error}") from error


def _walk(repository: Repository, tree: Any, prefix: bytes, directories: bool, depth: int) -> Iterator[TreeEntry]:
    if depth > _MAXIMUM_DEPTH:
        raise GitError(f"Git tree of '{repository.directory}' is nested too deeply")
    for entry in tree:
        name = entry.raw_name
        if name in (b"", b".", b"..") or b"/" in name:
            raise GitError(f"Git tree of '{repository.directory}' holds the invalid name '{os.fsdecode(name)}'")
        path, mode = prefix + name, int(entry.filemode)
        if mode == MODE_DIRECTORY:
            if directories:
                yield TreeEntry(path, mode, str(entry.id))
            yield from _walk(repository, repository.libgit2[entry.id], path + b"/", directories, depth + 1)
        else:
            yield TreeEntry(path, mode, str(entry.id))


def write_out(
    repository: Repository,
    tree: str,
    destination: str,
    budget: Budget,
    *,
    keep: Callable[[bytes], bool] | None = None,
    smudge: Callable[[bytes, bytes], bytes] | None = None,
) -> list[TreeEntry]:
    """Makes the files of a tree below an empty folder; submodules become empty folders and are returned.

    `keep` is asked for each path, folders too; `smudge` turns (path, blob) into what the file is to hold.
    """
    base = os.fsencode(destination)
    submodules: list[TreeEntry] = []
    dropped: bytes | None = None
    for entry in list_tree(repository, tree, directories=True):
        if dropped is not None and entry.path.startswith(dropped):  # what is in a folder follows it
            continue
        if keep is not None and not keep(entry.path):
            dropped = entry.path + b"/"
            continue
        budget.spend(repository, entries=1)
        path = os.path.join(base, entry.path)
        if entry.mode in (MODE_DIRECTORY, MODE_GITLINK):
            os.mkdir(path)
            if entry.mode == MODE_GITLINK:
                submodules.append(entry)
            continue
        data = _read_blob(repository, entry)
        if entry.mode == MODE_LINK:
            _write_link(repository, entry, data, path)
        else:
            data = smudge(entry.path, data) if smudge else data
            budget.spend(repository, size=len(data))
            _write_file(path, data, entry.mode)
    return submodules


def _write_link(repository: Repository, entry: TreeEntry, target: bytes, path: bytes) -> None:
    if not target or b"\0" in target or len(target) > _LONGEST_LINK:
        shown = os.fsdecode(entry.path)
        raise GitError(f"'{shown}' of Git repository '{repository.directory}' is a link with an invalid target")
    os.symlink(target, path)


def _read_blob(repository: Repository, entry: TreeEntry) -> bytes:
    try:
        blob: Any = repository.libgit2[entry.oid]
        data = blob.data
    except (KeyError, AttributeError) as error:
        raise GitError(
            f"Git object '{entry.oid}' ('{os.fsdecode(entry.path)}') of '{repository.directory}' is missing",
            hint="a partial clone? git fetch --refetch",
        ) from error
    return bytes(data)


def _write_file(path: bytes, data: bytes, mode: int) -> None:
    permissions = 0o755 if mode & 0o100 else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, permissions)
    with open(descriptor, "wb", buffering=0) as file:
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]


def read_file(repository: Repository, tree: str, path: bytes) -> bytes | None:
    """The contents of one file of a tree, or None."""
    current: Any = repository.libgit2[tree]
    for name in path.split(b"/"):
        try:
            current = repository.libgit2[current[os.fsdecode(name)].id]
        except (KeyError, TypeError):
            return None
    return bytes(current.data) if current.type_str == "blob" else None


def export_ignored(repository: Repository, revision: str | None) -> Callable[[bytes], bool]:
    """Whether a path is to be kept in an export: it has no `export-ignore`, in the commit or else the index."""
    import pygit2

    check = pygit2.enums.AttrCheck

    def keep(path: bytes) -> bool:
        name = os.fsdecode(path)
        if revision is None:
            flags, commit = check.INDEX_ONLY | check.NO_SYSTEM, None
        else:
            flags, commit = check.INCLUDE_COMMIT | check.NO_SYSTEM, revision
        try:
            return repository.libgit2.get_attr(name, "export-ignore", flags, commit) is not True
        except (KeyError, pygit2.GitError):
            return True

    return keep
