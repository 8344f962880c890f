"""The state of a git work tree: which files are tracked, and whether anything differs from HEAD.

In: a `Repository`. Out: `WorkTree`. As in git's own status, a file whose stamp equals the one in the index is taken
for unchanged unless the stamp is not older than the index itself; only others are read.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Sequence

from frazil.fetch.errors import GitError
from frazil.fetch.git_index import (
    MODE_GITLINK,
    MODE_LINK,
    Index,
    IndexEntry,
    UnsupportedIndex,
    has_required_extension,
    hash_blob,
    parse_index,
    write_tree,
)
from frazil.fetch.git_repository import Repository
from frazil.fetch.tree import is_racy

NUMBERS = 7
"""Of a stamp: modification and status change in nanoseconds, inode, size, mode, uid, gid; all zero where there is no
such file."""
_MODE = 4
_DAMAGED = "it is damaged; `git status` may tell more"


class WorkTree:
    """`digest`: of HEAD, the index and the stamps of all tracked files; `racy`: it must not be relied on later.

    The rest is worked out only where the digest is not known from an earlier visit.
    """

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.reference, self.revision = repository.head()
        self._data, self.index_time = _read_index(repository)
        self._index: Index | None = None
        self.stamps, newest = self._read_stamps()
        self.racy = is_racy(max(newest, self.index_time))
        self.digest = self._digest()

    @property
    def directory(self) -> str:
        return self.repository.directory

    @property
    def index(self) -> Index:
        if self._index is None:
            self._index = _parse(self.repository, self._data)
        return self._index

    def _read_stamps(self) -> tuple[array[int], int]:
        if self._data:
            try:
                from frazil.fetch._worktree import stamps
            except ImportError:
                return stat_all(self.directory, self.index.entries)
            try:
                raw, newest, end = stamps(self._data, self.repository.oid_size, os.fsencode(self.directory))
            except ValueError:
                return stat_all(self.directory, self.index.entries)  # says what is wrong, unless the index is split
            if not has_required_extension(self._data, end, self.repository.oid_size):
                numbers = array("q")
                numbers.frombytes(raw)
                return numbers, newest
        return stat_all(self.directory, self.index.entries)

    def _digest(self) -> str:
        from frazil.digest import new

        state = new("sha256")
        state.update(self._data[-self.repository.oid_size :])
        if not any(self._data[-self.repository.oid_size :]):
            state.update(self._data)
        state.update(f"{self.revision} {self.reference} {self.index_time} {len(self._data)}\0".encode())
        state.update(self.stamps.tobytes())
        return str(state.hexdigest())

    def entries(self) -> Iterator[tuple[IndexEntry, Sequence[int]]]:
        """Each entry of the index with its file's stamp."""
        entries, stamps = self.index.entries, self.stamps
        if len(entries) * NUMBERS != len(stamps):
            raise GitError(f"the git index of '{self.directory}' is damaged", hint=_DAMAGED)
        for number, entry in enumerate(entries):
            yield entry, stamps[number * NUMBERS : number * NUMBERS + NUMBERS]

    def tracked(self) -> set[bytes]:
        """Files and links that are tracked and there, by path relative to the work tree."""
        return {
            entry.path
            for entry, stamp in self.entries()
            if stamp[_MODE] and entry.mode != MODE_GITLINK and not stat.S_ISDIR(stamp[_MODE])
        }

    def submodules(self) -> list[bytes]:
        return [entry.path for entry in self.index.entries if entry.mode == MODE_GITLINK]


def read_worktree(directory: str) -> WorkTree:
    """Raises GitError."""
    return WorkTree(Repository(directory))


def _read_index(repository: Repository) -> tuple[bytes, int]:
    """The index's bytes (none where there is no index yet) and when it was written, in nanoseconds."""
    path = os.path.join(repository.git_directory, "index")
    try:
        with open(path, "rb") as file:
            return file.read(), os.fstat(file.fileno()).st_mtime_ns
    except FileNotFoundError:
        return b"", 0
    except OSError as error:
        raise GitError(f"reading '{path}': {error.strerror}") from error


def _parse(repository: Repository, data: bytes) -> Index:
    if not data:
        return Index([], {}, b"")
    try:
        return parse_index(data, repository.oid_size)
    except UnsupportedIndex:
        return _index_by_program(repository)
    except GitError as error:
        path = os.path.join(repository.git_directory, "index")
        raise GitError(f"reading '{path}': {error.message}", hint=error.hint or _DAMAGED) from error


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
    return Index(entries, {}, b"")


def stat_all(directory: str, entries: list[IndexEntry]) -> tuple[array[int], int]:
    """The stamps of every entry, and the newest time; what `_worktree.c` does faster."""
    prefix = os.fsencode(directory) + b"/"
    real: dict[bytes, bool] = {b"": True}
    numbers = array("q")
    newest = 0
    for entry in entries:
        path = entry.path
        stamp: tuple[int, ...] = (0,) * NUMBERS
        if _is_real_directory(prefix, path.rpartition(b"/")[0], real):
            try:
                s = os.lstat(prefix + path)
                stamp = (s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_size, s.st_mode, s.st_uid, s.st_gid)
                newest = max(newest, s.st_mtime_ns, s.st_ctime_ns)
            except OSError:
                pass
        numbers.extend(stamp)
    return numbers, newest


def _is_real_directory(prefix: bytes, path: bytes, known: dict[bytes, bool]) -> bool:
    result = known.get(path)
    if result is None:
        result = _is_real_directory(prefix, path.rpartition(b"/")[0], known)
        if result:
            try:
                result = stat.S_ISDIR(os.lstat(prefix + path).st_mode)
            except OSError:
                result = False
        known[path] = result
    return result


def find_changes(tree: WorkTree) -> list[bytes]:
    """The paths whose contents in the work tree differ from the index (or are gone), in order."""
    index_time = tree.index_time // 1_000_000_000
    trust_mode = tree.repository.config.get("core.filemode", "true").lower() != "false"
    suspects = []
    changed = []
    for entry, stamp in tree.entries():
        if entry.mode == MODE_GITLINK or entry.assume_valid:
            continue
        # A file that a sparse checkout leaves out counts as missing: the tree is not that of the commit.
        if entry.stage or entry.intent_to_add or not _same_kind(entry, stamp[_MODE], trust_mode):
            changed.append(entry.path)
        elif not _same_stamp(entry, stamp) or entry.stamp[2] >= index_time:
            suspects.append(entry)
    changed += _changed_contents(tree, suspects)
    return sorted(changed)


def _same_kind(entry: IndexEntry, mode: int, trust_mode: bool) -> bool:
    if stat.S_ISLNK(mode):
        return entry.mode == MODE_LINK
    if not stat.S_ISREG(mode) or entry.mode == MODE_LINK:
        return False
    return not trust_mode or bool(mode & 0o100) == (entry.mode == 0o100755)


def _same_stamp(entry: IndexEntry, stamp: Sequence[int]) -> bool:
    """As git compares them: 32 bits of each, and nanoseconds only where the index has them."""
    known, mask = entry.stamp, 0xFFFFFFFF
    modified, changed, inode, size, _, uid, gid = stamp
    return (
        known[9] == size & mask
        and known[2] == (modified // 1_000_000_000) & mask
        and known[0] == (changed // 1_000_000_000) & mask
        and (not known[3] or known[3] == modified % 1_000_000_000)
        and (not known[1] or known[1] == changed % 1_000_000_000)
        and known[5] == inode & mask
        and known[7] == uid & mask
        and known[8] == gid & mask
    )


def _changed_contents(tree: WorkTree, suspects: list[IndexEntry]) -> list[bytes]:
    """Which of them really differ; where git may convert contents (line ends, LFS), git is asked."""
    algorithm = "sha1" if tree.repository.oid_size == 20 else "sha256"
    differing = []
    for entry in suspects:
        path = os.path.join(os.fsencode(tree.directory), entry.path)
        try:
            if entry.mode == MODE_LINK:
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
