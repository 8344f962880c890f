"""Squashfs 4.0, read: the tree, files, links. Nothing is mounted and no other program runs.

In: a file that may be damaged or hostile: every number is checked, every block bounded, no folder is entered twice.
Out: `Node`s; BadImage for whatever is wrong. Source of truth: the kernel's `fs/squashfs/squashfs_fs.h` and its
documentation (`filesystems/squashfs`).
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from dataclasses import dataclass

from frazil.portable.errors import BadImage
from frazil.portable.unpacking import COMPRESSORS, unpacker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_SUPERBLOCK = struct.Struct("<5I6H8Q")
_MAGIC = 0x73717368
_METADATA_SIZE = 8192
_CACHED_BLOCKS = 1024
_NOTHING = 0xFFFFFFFF
_UNPACKED = 1 << 24
_MOST_ENTRIES = 4_000_000
_MOST_IN_FOLDER = 200_000
_LONGEST_LINK = 4096
_MOST_LINKS = 40

_COMMON = struct.Struct("<4H2I")
_KINDS = {1: "directory", 2: "regular", 3: "symlink", 4: "device", 5: "device", 6: "pipe", 7: "socket"}


@dataclass(frozen=True, slots=True)
class Node:
    """`place`, `offset`: of a folder's list, or a file's first block and place in a fragment. `sizes`: where the
    sizes of a file's blocks are listed."""

    kind: str
    mode: int
    size: int
    place: int = 0
    offset: int = 0
    fragment: int = _NOTHING
    sizes: tuple[int, int] = (0, 0)
    target: bytes = b""
    identity: int = 0


class Squashfs:
    """A context manager. Raises BadImage when it is made and from every method."""

    def __init__(self, path: str) -> None:
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115
        try:
            self._open(path)
        except BaseException:
            self._file.close()
            raise

    def _open(self, path: str) -> None:
        self.file_size = os.fstat(self._file.fileno()).st_size
        head = self._file.read(_SUPERBLOCK.size)
        if len(head) < _SUPERBLOCK.size or head[:4] != b"hsqs":
            raise BadImage(f"'{path}' is no squashfs image")
        (
            _,
            self.inodes,
            self.time,
            self.block_size,
            self._fragments,
            compressor,
            block_log,
            _,
            _,
            major,
            minor,
            self._root,
            self.bytes_used,
            _,
            _,
            self._inode_table,
            self._directory_table,
            self._fragment_table,
            _,
        ) = _SUPERBLOCK.unpack(head)
        if (major, minor) != (4, 0):
            raise BadImage(f"'{path}' is squashfs {major}.{minor}, not 4.0")
        if not 12 <= block_log <= 20 or self.block_size != 1 << block_log:
            raise BadImage(f"'{path}' has blocks of an impossible size ({self.block_size})")
        if self.bytes_used > self.file_size:
            raise BadImage(
                f"'{path}' is cut off: {self.file_size} of {self.bytes_used} bytes", hint="copy it once more"
            )
        self.compressor = COMPRESSORS.get(compressor, str(compressor))
        self._unpack = unpacker(compressor)
        self._metadata: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        self._last_fragment: tuple[int, bytes] = (-1, b"")
        self.root = self._node(self._root >> 16, self._root & 0xFFFF)
        if self.root.kind != "directory":
            raise BadImage(f"'{path}' has a root that is no folder")

    def __enter__(self) -> Squashfs:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def _bytes(self, place: int, count: int) -> bytes:
        if place < 0 or place + count > self.bytes_used:
            raise BadImage("the squashfs leads behind its own end")
        self._file.seek(place)
        data = self._file.read(count)
        if len(data) != count:
            raise BadImage("the squashfs is cut off", hint="copy it once more")
        return data

    def _metadata_block(self, place: int) -> tuple[bytes, int]:
        """Its bytes and where the next one begins."""
        found = self._metadata.get(place)
        if found is not None:
            self._metadata.move_to_end(place)
            return found
        header = int.from_bytes(self._bytes(place, 2), "little")
        count = header & 0x7FFF
        if not 0 < count <= _METADATA_SIZE:
            raise BadImage("the squashfs has a metadata block of an impossible size")
        data = self._bytes(place + 2, count)
        if not header & 0x8000:
            data = self._unpack(data, _METADATA_SIZE)
        if not data:
            raise BadImage("the squashfs has an empty metadata block")
        self._metadata[place] = found = (data, place + 2 + count)
        if len(self._metadata) > _CACHED_BLOCKS:
            self._metadata.popitem(last=False)
        return found

    def _stream(self, place: int, offset: int) -> _Stream:
        return _Stream(self, place, offset)

    # -- inodes --------------------------------------------------------------------------------------------------------

    def _node(self, block: int, offset: int) -> Node:
        stream = self._stream(self._inode_table + block, offset)
        kind, mode, _, _, _, _ = _COMMON.unpack(stream.read(_COMMON.size))
        extended = kind > 7
        kind -= 7 if extended else 0
        name = _KINDS.get(kind)
        identity = block << 16 | offset
        if name is None:
            raise BadImage("the squashfs has an inode of an unknown kind")
        if kind == 1:
            return self._directory(stream, extended, mode, identity)
        if kind == 2:
            return self._regular(stream, extended, mode, identity)
        if kind == 3:
            _, length = struct.unpack("<2I", stream.read(8))
            if length > _LONGEST_LINK:
                raise BadImage("the squashfs has a link that is too long")
            return Node(name, mode, length, target=stream.read(length), identity=identity)
        return Node(name, mode, 0, identity=identity)

    def _directory(self, stream: _Stream, extended: bool, mode: int, identity: int) -> Node:
        if extended:
            _, size, place, _, _, offset, _ = struct.unpack("<4I2HI", stream.read(24))
        else:
            place, _, size, offset, _ = struct.unpack("<2I2HI", stream.read(16))
        return Node("directory", mode, max(size - 3, 0), place, offset, identity=identity)

    def _regular(self, stream: _Stream, extended: bool, mode: int, identity: int) -> Node:
        if extended:
            place, size, _, _, fragment, offset, _ = struct.unpack("<3Q4I", stream.read(40))
        else:
            place, fragment, offset, size = struct.unpack("<4I", stream.read(16))
        return Node("regular", mode, size, place, offset, fragment, stream.position(), identity=identity)

    def children(self, node: Node) -> list[tuple[bytes, Node]]:
        """Of a folder: names as they are, in the order of the image."""
        found: list[tuple[bytes, Node]] = []
        stream = self._stream(self._directory_table + node.place, node.offset)
        left = node.size
        while left > 0:
            count, block, _ = struct.unpack("<3I", stream.read(12))
            left -= 12
            if count >= 256:
                raise BadImage("the squashfs has a damaged folder")
            for _ in range(count + 1):
                offset, _, _, length = struct.unpack("<HhHH", stream.read(8))
                name = stream.read(length + 1)
                left -= 8 + length + 1
                if left < 0 or name in (b".", b"..") or b"/" in name or b"\0" in name:
                    raise BadImage("the squashfs has a damaged folder")
                found.append((name, self._node(block, offset)))
            if len(found) > _MOST_IN_FOLDER:
                raise BadImage(f"the squashfs has a folder with more than {_MOST_IN_FOLDER} names")
        return found

    def walk(self, top: Node) -> Iterator[tuple[bytes, Node]]:
        """All that is below `top`, with paths relative to it; folders before what is in them."""
        waiting = [(b"", top)]
        entered = {top.identity}
        count = 0
        while waiting:
            path, folder = waiting.pop()
            for name, node in self.children(folder):
                count += 1
                if count > _MOST_ENTRIES:
                    raise BadImage(f"the squashfs has more than {_MOST_ENTRIES} files")
                inner = path + b"/" + name if path else name
                yield inner, node
                if node.kind == "directory":
                    if node.identity in entered or len(inner) > 4096:
                        raise BadImage("the squashfs has a folder within itself")
                    entered.add(node.identity)
                    waiting.append((inner, node))

    def find(self, path: str) -> Node | None:
        """What is there, links followed as if the image's root were `/`; None where nothing is."""
        parts = [part for part in os.fsencode(path).split(b"/") if part]
        trail: list[Node] = [self.root]
        links = 0
        while parts:
            part = parts.pop(0)
            if part == b".":
                continue
            if part == b"..":
                del trail[max(1, len(trail) - 1) :]
                continue
            if trail[-1].kind != "directory":
                return None
            node = next((node for name, node in self.children(trail[-1]) if name == part), None)
            if node is None:
                return None
            if node.kind == "symlink":
                links += 1
                if links > _MOST_LINKS:
                    return None
                if node.target.startswith(b"/"):
                    del trail[1:]
                parts = [piece for piece in node.target.split(b"/") if piece] + parts
                continue
            trail.append(node)
        return trail[-1]

    # -- contents ------------------------------------------------------------------------------------------------------

    def read(self, node: Node, limit: int) -> bytes:
        """A file of at most `limit` bytes."""
        if node.kind != "regular" or node.size > limit:
            raise BadImage(f"a file in the squashfs is larger than it may be here ({limit} bytes)")
        parts = []
        place = node.place
        count = node.size // self.block_size
        if node.fragment == _NOTHING and node.size % self.block_size:
            count += 1
        for number, described in enumerate(self._stream(*node.sizes).numbers(count) if count else ()):
            expected = min(self.block_size, node.size - number * self.block_size)
            count = described & (_UNPACKED - 1)
            parts.append(self._block(place, described, expected) if count else bytes(expected))
            place += count
        rest = node.size - sum(map(len, parts))
        if rest:
            parts.append(self._tail(node, rest))
        return b"".join(parts)

    def _block(self, place: int, described: int, expected: int | None) -> bytes:
        count = described & (_UNPACKED - 1)
        if described >> 25 or count > self.block_size:
            raise BadImage("the squashfs has a block of an impossible size")
        data = self._bytes(place, count)
        if not described & _UNPACKED:
            data = self._unpack(data, self.block_size)
        if expected is not None and len(data) != expected:
            raise BadImage("the squashfs has a block that is not as long as its file says")
        return data

    def _tail(self, node: Node, length: int) -> bytes:
        number = node.fragment
        if number >= self._fragments:
            raise BadImage("the squashfs has a file whose end is missing")
        if self._last_fragment[0] != number:
            pointer = int.from_bytes(self._bytes(self._fragment_table + number // 512 * 8, 8), "little")
            place, described, _ = struct.unpack("<Q2I", self._stream(pointer, number % 512 * 16).read(16))
            self._last_fragment = (number, self._block(place, described, None))
        data = self._last_fragment[1][node.offset : node.offset + length]
        if len(data) != length:
            raise BadImage("the squashfs has a file whose end is missing")
        return data


class _Stream:
    """Metadata from some place on, over as many blocks as are asked for."""

    def __init__(self, image: Squashfs, place: int, offset: int) -> None:
        self._image, self._place = image, place
        self._block, self._next = image._metadata_block(place)
        self._offset = offset
        if offset > len(self._block):
            raise BadImage("the squashfs leads behind a metadata block's end")

    def read(self, count: int) -> bytes:
        result = self._block[self._offset : self._offset + count]
        self._offset += len(result)
        while len(result) < count:
            self._place = self._next
            self._block, self._next = self._image._metadata_block(self._place)
            self._offset = min(count - len(result), len(self._block))
            result += self._block[: self._offset]
        return result

    def position(self) -> tuple[int, int]:
        return self._place, self._offset

    def numbers(self, count: int) -> tuple[int, ...]:
        found: list[int] = []
        while len(found) < count:
            step = min(count - len(found), 4096)
            found += struct.unpack(f"<{step}I", self.read(4 * step))
        return tuple(found)
