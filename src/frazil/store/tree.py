"""Looking into a store object without unpacking it: in the file system, in an archive, in an archive kept in a file.

In: a store object and a path inside it. Out: nodes, file contents, and the listing (`.ls`) of an archive as JSON.
Source of truth: the manual's `protocols/json/file-system-object` and the setting `local-nar-cache`.
"""

from __future__ import annotations

import io
import os
import stat as file_modes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from frazil.store import nar
from frazil.store.errors import BadArchive, FormatError, StoreError, from_os_error
from frazil.store.streams import read_all

if TYPE_CHECKING:
    from frazil.store.interface import Store
    from frazil.store.path import StorePath

_CHUNK = 1 << 18
IN_MEMORY = 64 << 20
"""Archives up to this size are looked into in memory, larger ones in a temporary file; bytes."""


@dataclass(frozen=True, slots=True)
class Node:
    """`kind`: "regular", "directory" or "symlink"; `names` of a directory, sorted. `offset` in the archive, 0 where
    there is none."""

    kind: str
    size: int = 0
    executable: bool = False
    target: str = ""
    names: tuple[str, ...] = ()
    offset: int = 0


class Tree(Protocol):
    """Paths inside it are parts separated by `/`, empty for the object itself; links are never followed."""

    def node(self, path: str) -> Node | None:
        """None where there is nothing."""

    def contents(self, path: str) -> Iterator[bytes]:
        """Of a regular file, in pieces. Raises StoreError."""

    def close(self) -> None: ...


def listing(tree: Tree, path: str, *, deep: bool) -> dict[str, object]:
    """As the JSON listing of an archive: one level of names, or (`deep`) everything. Raises StoreError."""
    node = tree.node(path)
    if node is None:
        raise StoreError(f"path '{path}' does not exist")
    if node.kind == "symlink":
        return {"type": "symlink", "target": node.target}
    if node.kind == "directory":
        entries = {name: listing(tree, f"{path}/{name}", deep=True) if deep else {} for name in node.names}
        return {"type": "directory", "entries": entries}
    found: dict[str, object] = {"type": "regular", "size": node.size, "executable": node.executable}
    if node.offset:
        found["narOffset"] = node.offset
    return found


class FolderTree:
    """An object in the file system."""

    def __init__(self, real: str) -> None:
        self.real = real

    def _place(self, path: str) -> str | None:
        """None where the way leads through a link or `..`."""
        place = self.real
        for part in _parts(path):
            if part == ".." or not file_modes.S_ISDIR(_mode(place)):
                return None
            place = f"{place}/{part}"
        return place

    def node(self, path: str) -> Node | None:
        place = self._place(path)
        if place is None:
            return None
        try:
            status = os.lstat(place)
            if file_modes.S_ISDIR(status.st_mode):
                return Node("directory", names=tuple(sorted(os.listdir(place))))
            if file_modes.S_ISLNK(status.st_mode):
                return Node("symlink", target=os.readlink(place))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise from_os_error(error, f"reading '{place}'") from error
        return Node("regular", status.st_size, bool(status.st_mode & 0o100))

    def contents(self, path: str) -> Iterator[bytes]:
        place = self._place(path)
        if place is None:
            raise StoreError(f"path '{path}' does not exist")
        try:
            with open(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                while data := file.read(_CHUNK):
                    yield data
        except OSError as error:
            raise from_os_error(error, f"reading '{place}'") from error

    def close(self) -> None:
        pass


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


class ArchiveTree:
    """An archive whose bytes are in a file (or in memory), with its listing."""

    def __init__(self, file: object, root: dict[str, object]) -> None:
        self._file = file
        self._root = root

    @classmethod
    def of_store(cls, store: Store, path: StorePath, cache: str | None = None) -> ArchiveTree:
        """`cache`: a folder that keeps archives and their listings (`local-nar-cache`)."""
        import tempfile

        info = store.query_info(path)
        if cache is not None:
            kept = cls._kept(f"{cache}/{info.nar_hash.base32}")
            if kept is not None:
                return kept
        file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (closed by `close`)
        try:
            with store.open_nar(path) as read:

                def tee(size: int) -> bytes:
                    data = read(size)
                    file.write(data)
                    return data

                root = nar.list_archive(tee)
            tree = cls(file, root)
            if cache is not None:
                tree._keep(cache, info.nar_hash.base32)
            return tree
        except BaseException:
            file.close()
            raise

    @classmethod
    def _kept(cls, stem: str) -> ArchiveTree | None:
        """What an earlier look left; None where there is nothing or it is damaged."""
        try:
            file = open(stem + ".nar", "rb")  # noqa: SIM115 (closed by `close`)
        except OSError:
            return None
        try:
            with open(stem + ".ls", "rb") as kept:
                return cls(file, parse_listing(kept.read(MAXIMUM_LISTING + 1)))
        except (OSError, FormatError):
            pass
        try:
            root = nar.list_archive(file.read)
        except (OSError, BadArchive):
            file.close()
            return None
        return cls(file, root)

    def _keep(self, folder: str, stem: str) -> None:
        """Saves the trouble next time; where it cannot be written, that is all that is lost."""
        import json

        try:
            os.makedirs(folder, exist_ok=True)
            self._seek(0)
            _write_whole(f"{folder}/{stem}.nar", self._pieces(1 << 62))
            text = json.dumps(self._root, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
            _write_whole(f"{folder}/{stem}.ls", iter([text.encode("utf-8", "surrogateescape")]))
        except OSError:
            pass

    def _seek(self, offset: int) -> None:
        self._file.seek(offset)  # type: ignore[attr-defined]

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size > 0 and (data := self._file.read(min(size, _CHUNK))):  # type: ignore[attr-defined]
            size -= len(data)
            yield data

    def node(self, path: str) -> Node | None:
        found = nar.find_node(self._root, path)
        return None if found is None else node_of(found)

    def contents(self, path: str) -> Iterator[bytes]:
        node = self.node(path)
        if node is None or node.kind != "regular":
            raise StoreError(f"path '{path}' is not a regular file")
        self._seek(node.offset)
        yield from self._pieces(node.size)

    def close(self) -> None:
        self._file.close()  # type: ignore[attr-defined]


def _write_whole(path: str, pieces: Iterator[bytes]) -> None:
    temporary = f"{path}.tmp.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        with open(temporary, "xb") as file:
            for piece in pieces:
                file.write(piece)
        os.rename(temporary, path)
    except OSError:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def node_of(found: dict[str, object]) -> Node:
    """From a listing, which was checked."""
    kind = str(found["type"])
    if kind == "directory":
        entries = found.get("entries")
        return Node("directory", names=tuple(sorted(entries)) if isinstance(entries, dict) else ())
    if kind == "symlink":
        return Node("symlink", target=str(found.get("target", "")))
    size, offset = found.get("size", 0), found.get("narOffset", 0)
    assert isinstance(size, int) and isinstance(offset, int)
    return Node("regular", size, bool(found.get("executable")), offset=offset)


# -------------------------------------------------------------------------------------------------- listings (`.ls`)

MAXIMUM_LISTING = 1 << 28


def show_listing(root: dict[str, object]) -> str:
    """The text of a cache's `HASH.ls`."""
    import json

    return json.dumps({"root": root, "version": 1}, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def parse_listing(data: bytes) -> dict[str, object]:
    """The tree of a listing, with or without its version around it; everything checked. Raises FormatError."""
    import json

    if len(data) > MAXIMUM_LISTING:
        raise FormatError(f"a listing is larger than {MAXIMUM_LISTING} bytes")
    try:
        value = json.loads(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"a listing is not JSON: {error}") from error
    if isinstance(value, dict) and "root" in value:
        if value.get("version") != 1:
            raise FormatError(f"a listing has the version {value.get('version')!r}, which is not supported")
        value = value["root"]
    return _check_listing(value, 0)


def _check_listing(value: object, depth: int) -> dict[str, object]:
    if not isinstance(value, dict) or depth > nar.MAXIMUM_DEPTH:
        raise FormatError("a listing is damaged")
    kind = value.get("type")
    if kind == "directory":
        entries = value.get("entries")
        if not isinstance(entries, dict):
            raise FormatError("a listing has a directory without entries")
        for name, inner in entries.items():
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise FormatError(f"a listing has the bad name {name!r}")
            _check_listing(inner, depth + 1)
    elif kind == "symlink":
        if not isinstance(value.get("target"), str):
            raise FormatError("a listing has a link without a target")
    elif kind == "regular":
        for name in ("size", "narOffset"):
            number = value.get(name, 0)
            if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 63:
                raise FormatError(f"a listing has a file with a bad {name}")
    else:
        raise FormatError(f"a listing has a node of the unknown type {kind!r}")
    return value


def archived_file(store: Store, path: StorePath, maximum: int) -> bytes:
    """The contents of an object that is a single file. Raises StoreError."""
    with store.open_nar(path) as read:
        archive = read_all(read, maximum, f"the archive of '{store.show(path)}'")
    contents = _SingleFile()
    nar.parse(nar.BufferedSource(io.BytesIO(archive).read), contents)
    if contents.found is None:
        raise StoreError(f"'{store.show(path)}' is not a regular file")
    return contents.found


class _SingleFile(nar.Check):
    found: bytes | None = None

    def regular(self, name: bytes | None, executable: bool, size: int, offset: int, chunks: Iterator[bytes]) -> None:
        data = b"".join(chunks)
        if name is None:
            self.found = data
