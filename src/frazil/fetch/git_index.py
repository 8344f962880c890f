"""Git's index, read without git: the bytes of `.git/index` in, its entries out.

Source of truth: `gitformat-index(5)`, versions 2 to 4. Starting git costs more than reading ten thousand entries here.
An index in parts (split, sparse) is refused with `UnsupportedIndex`: ask the git program about it.
"""

from __future__ import annotations

import struct

from frazil.fetch.errors import GitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class _Entry(NamedTuple):
        path: bytes
        mode: int
        oid: bytes
        flags: int
        stamp: tuple[int, ...]

    class Index(NamedTuple):
        """`trees`: object names of directories whose part of the index is unchanged since they were written, by path
        (`b""` is the root). `checksum`: names this content of the index."""

        entries: list[IndexEntry]
        trees: dict[bytes, bytes]
        checksum: bytes
else:
    from frazil.record import named_tuple

    _Entry = named_tuple("_Entry", "path mode oid flags stamp")
    Index = named_tuple("Index", "entries trees checksum")


class UnsupportedIndex(GitError):
    """A well-formed index of a kind that is not read here."""


class IndexEntry(_Entry):
    """`path`: bytes relative to the work tree. `stamp`: ctime, ctime ns, mtime, mtime ns, device, inode, mode, uid,
    gid, size as 32-bit numbers. `flags`: 16 bits as stored, then 16 extended ones above them."""

    __slots__ = ()

    @property
    def stage(self) -> int:
        return self.flags >> 12 & 3

    @property
    def assume_valid(self) -> bool:
        return bool(self.flags & ASSUME_VALID)

    @property
    def intent_to_add(self) -> bool:
        return bool(self.flags & INTENT_TO_ADD)


ASSUME_VALID = 0x8000
_EXTENDED = 0x4000
SKIP_WORKTREE = 0x4000 << 16
INTENT_TO_ADD = 0x2000 << 16
MODE_LINK, MODE_GITLINK, MODE_DIRECTORY = 0o120000, 0o160000, 0o040000
_MODES = frozenset({0o100644, 0o100755, MODE_LINK, MODE_GITLINK})
_MAXIMUM_ENTRIES = 20_000_000


_SMALL = 1 << 20


def hash_bytes(algorithm: str, data: bytes | memoryview) -> bytes:
    """SHA-1 of little without OpenSSL, which takes longer to load."""
    if algorithm == "sha1" and len(data) < _SMALL:
        try:
            from _sha1 import sha1  # type: ignore[import-not-found]  # what `hashlib` itself would use
        except ImportError:
            pass
        else:
            return bytes(sha1(data, usedforsecurity=False).digest())
    from frazil.digest import new

    state = new(algorithm)
    state.update(data)
    return bytes(state.digest())


def parse_index(data: bytes, oid_size: int = 20) -> Index:
    """Raises GitError for a damaged index, UnsupportedIndex for one that is in parts."""
    if len(data) < 12 + oid_size or data[:4] != b"DIRC":
        raise GitError("bad signature", hint="the git index is damaged; `git status` may tell more")
    version, count = struct.unpack_from(">II", data, 4)
    if version not in (2, 3, 4):
        raise UnsupportedIndex(f"git index of version {version}")
    body_end = len(data) - oid_size
    checksum = data[body_end:]
    if any(checksum):
        algorithm = "sha1" if oid_size == 20 else "sha256"
        if hash_bytes(algorithm, memoryview(data)[:body_end]) != checksum:
            raise GitError("the git index has a wrong checksum", hint="it is damaged; `git status` may tell more")
    else:  # index.skipHash
        checksum = hash_bytes("sha256", data)
    if count > min(_MAXIMUM_ENTRIES, body_end // (42 + oid_size)):
        raise GitError("the git index is shorter than it says")
    try:
        entries, position = _parse_entries(data, version, count, oid_size)
    except (struct.error, ValueError, IndexError) as error:
        if b"link\0" in data:  # half of a split index: entries without names, in another order
            raise UnsupportedIndex("split git index") from error
        raise GitError("the git index is damaged") from error
    if position > body_end:
        raise GitError("the git index is shorter than it says")
    return Index(entries, _parse_extensions(data, position, body_end, oid_size), checksum)


def _parse_entries(data: bytes, version: int, count: int, oid_size: int) -> tuple[list[IndexEntry], int]:
    unpack = struct.Struct(f">10I{oid_size}sH").unpack_from
    fixed = 42 + oid_size
    position = 12
    entries: list[IndexEntry] = []
    append, new = entries.append, IndexEntry._make
    path = previous = b""
    for _ in range(count):
        *stamp, oid, flags = unpack(data, position)
        start = position + fixed
        size = flags & 0xFFF
        if flags & _EXTENDED:
            if version == 2:
                raise ValueError("extended flags in version 2")
            flags |= int.from_bytes(data[start : start + 2], "big") << 16
            start += 2
        if version == 4:
            strip, start = _varint(data, start)
            if strip > len(previous):
                raise ValueError("prefix longer than the path")
            end = data.index(b"\0", start)
            path = previous[: len(previous) - strip] + data[start:end]
            position = end + 1
        else:
            end = start + size if size < 0xFFF else data.index(b"\0", start)
            path = data[start:end]
            position += (end - position + 8) & ~7
        if not path or path < previous:
            raise ValueError("entries out of order")
        previous = path
        append(new((path, _checked_mode(stamp[6]), oid, flags, tuple(stamp))))
    _check_paths(entries)
    return entries, position


def _checked_mode(mode: int) -> int:
    if mode in _MODES:
        return mode
    if mode == MODE_DIRECTORY:
        raise UnsupportedIndex("sparse git index")
    if mode & 0o170000 == 0o100000:
        return 0o100755 if mode & 0o100 else 0o100644
    raise ValueError(f"file of mode {mode:o}")


_BAD_COMPONENTS = (b"", b".", b"..", b".git")


def _check_paths(entries: list[IndexEntry]) -> None:
    """Nothing may lead out of the work tree or into the repository itself."""
    for entry in entries:
        path = entry.path
        if path[0] in b"./" or b"/." in path or b"//" in path or b"\0" in path or path[-1] == 0x2F:
            for component in path.split(b"/"):
                if component.lower() in _BAD_COMPONENTS:
                    raise ValueError("path leads out of the work tree")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Git's offset encoding: big-endian groups of 7 bits, each continued group adds one."""
    byte = data[position]
    position += 1
    value = byte & 0x7F
    while byte & 0x80:
        byte = data[position]
        position += 1
        value = (value + 1) << 7 | byte & 0x7F
        if value > 1 << 32:
            raise ValueError("number too large")
    return value, position


def has_required_extension(data: bytes, position: int, oid_size: int) -> bool:
    """Whether what follows the entries says that some of them are elsewhere or stand for whole directories."""
    end = len(data) - oid_size
    while position + 8 <= end:
        if not 65 <= data[position] <= 90:
            return True
        position += 8 + int.from_bytes(data[position + 4 : position + 8], "big")
    return False


def _parse_extensions(data: bytes, position: int, end: int, oid_size: int) -> dict[bytes, bytes]:
    trees: dict[bytes, bytes] = {}
    while position + 8 <= end:
        name = data[position : position + 4]
        size = int.from_bytes(data[position + 4 : position + 8], "big")
        position += 8
        if position + size > end:
            raise GitError("the git index is damaged: an extension is too long")
        if name == b"TREE":
            trees = _parse_trees(data[position : position + size], oid_size)
        elif name in (b"link", b"sdir") or not 65 <= name[0] <= 90:
            raise UnsupportedIndex(f"git index with extension '{name.decode('ascii', 'replace')}'")
        position += size
    return trees


def _parse_trees(data: bytes, oid_size: int) -> dict[bytes, bytes]:
    """The cached trees; damage here only costs time, so it ends the reading."""
    trees: dict[bytes, bytes] = {}
    parents: list[tuple[bytes, int]] = []  # (path, subtrees still to come)
    position = 0
    while position < len(data):
        try:
            end = data.index(b"\0", position)
            line_end = data.index(b"\n", end)
            count, subtrees = (int(number) for number in data[end + 1 : line_end].split(b" "))
        except ValueError:
            return {}
        name = data[position:end]
        prefix = parents[-1][0] if parents else b""
        path = prefix + b"/" + name if prefix else name
        position = line_end + 1
        if count >= 0:
            trees[path] = data[position : position + oid_size]
            position += oid_size
        if parents:
            parents[-1] = (prefix, parents[-1][1] - 1)
        parents.append((path, subtrees))
        while parents and parents[-1][1] <= 0:
            parents.pop()
        if not parents:
            break
    return trees


def write_tree(index: Index, oid_size: int = 20) -> bytes:
    """The object name of the tree that committing this index would make. No conflicts may be in it."""
    algorithm = "sha1" if oid_size == 20 else "sha256"
    entries = [entry for entry in index.entries if not entry.intent_to_add]
    root = index.trees.get(b"")
    if root is not None:
        return root
    return _write_subtree(entries, 0, len(entries), b"", index.trees, algorithm)


def _write_subtree(
    entries: list[IndexEntry], start: int, end: int, prefix: bytes, trees: dict[bytes, bytes], algorithm: str
) -> bytes:
    depth = len(prefix)
    parts: list[bytes] = []
    position = start
    while position < end:
        entry = entries[position]
        slash = entry.path.find(b"/", depth)
        if slash < 0:
            parts.append(b"%o %s\0%s" % (entry.mode, entry.path[depth:], entry.oid))
            position += 1
            continue
        inner = entry.path[: slash + 1]
        last = position + 1
        while last < end and entries[last].path.startswith(inner):
            last += 1
        oid = trees.get(inner[:-1])
        if oid is None:
            oid = _write_subtree(entries, position, last, inner, trees, algorithm)
        parts.append(b"40000 %s\0%s" % (inner[depth:-1], oid))
        position = last
    body = b"".join(parts)
    return hash_bytes(algorithm, b"tree %d\0" % len(body) + body)


def hash_blob(data: bytes, algorithm: str) -> bytes:
    return hash_bytes(algorithm, b"blob %d\0" % len(data) + data)
