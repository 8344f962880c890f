"""Layers of store objects of which some lie at the image's root, with modes and owners of their own.

In: store paths, where each shall be, permissions by regular expression. Out: a layer as `tree` makes them; without
roots and permissions it is byte for byte the `StoreLayer` of the same paths, so that images of all kinds share layers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import OciError
from .root import same_file
from .tar import Entry, Write
from .tree import Direct, Owner, StoreLayer, direct, entries_size, write_entries


@dataclass(frozen=True, slots=True)
class Permission:
    """For files of the path whose full name `regex` finds; what is None stays as it is."""

    regex: str
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    uname: str | None = None
    gname: str | None = None

    @classmethod
    def parse(cls, value: Any) -> Permission:
        """Raises OciError."""
        try:
            mode = value.get("mode")
            if mode is not None and not re.fullmatch(r"0?[0-7]{1,4}", str(mode)):
                raise OciError(f"'{mode}' is not a mode", 'write it in octal, for example "0755"')
            regex = str(value["regex"])
            re.compile(regex)
            numbers = [None if value.get(key) is None else int(value[key]) for key in ("uid", "gid")]
            if any(number is not None and not 0 <= number < 1 << 32 for number in numbers):
                raise OciError("a user or group has a number from 0 to 4294967295")
            names = [None if value.get(key) is None else str(value[key]) for key in ("uname", "gname")]
        except re.error as error:
            raise OciError(f"'{value['regex']}' is not a regular expression: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError):
            raise OciError("a permission needs a path, a regex, and for example a mode") from None
        return cls(regex, None if mode is None else int(str(mode), 8), numbers[0], numbers[1], names[0], names[1])

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"regex": self.regex}
        if self.mode is not None:
            found["mode"] = f"{self.mode:04o}"
        for key in ("uid", "gid", "uname", "gname"):
            if getattr(self, key) is not None:
                found[key] = getattr(self, key)
        return found

    def changed(self, entry: Entry) -> Entry:
        def chosen(own: Any, other: Any) -> Any:
            return other if own is None else own

        def called(name: str | None, number: int | None, other: bytes) -> bytes:
            """Another number without a name is not called as the one before."""
            return name.encode() if name is not None else other if number is None else b""

        return Entry(
            entry.name,
            entry.kind,
            entry.mode if entry.kind == "symlink" else chosen(self.mode, entry.mode),
            chosen(self.uid, entry.uid),
            chosen(self.gid, entry.gid),
            entry.size,
            entry.mtime,
            entry.target,
            called(self.uname, self.uid, entry.uname),
            called(self.gname, self.gid, entry.gname),
        )


@dataclass(frozen=True, slots=True)
class Placed:
    """A store path in a layer: at its place in the store, or what it holds at the root."""

    path: str
    at_root: bool = False
    permissions: tuple[Permission, ...] = ()

    @classmethod
    def parse(cls, value: Any) -> Placed:
        """Of a layer's description. Raises OciError."""
        try:
            path, options = str(value["path"]), value.get("options") or {}
            rewrite, permissions = options.get("rewrite") or {}, options.get("perms") or []
            if not path.startswith("/") or "/../" in path + "/":
                raise OciError(f"'{path}' is not a store path")
            if rewrite and (rewrite.get("regex") != f"^{path}" or rewrite.get("repl")):
                raise OciError(f"the layer moves '{path}' to another place than the image's root")
            return cls(path, bool(rewrite), tuple(map(Permission.parse, permissions)))
        except (KeyError, TypeError, AttributeError):
            raise OciError("a layer's description lists something else than paths") from None

    def to_json(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self.at_root:
            options["rewrite"] = {"regex": f"^{self.path}", "repl": ""}
        if self.permissions:
            options["perms"] = [permission.to_json() for permission in self.permissions]
        return {"path": self.path, **({"options": options} if options else {})}


@dataclass(frozen=True, slots=True)
class PlacedLayer:
    """`real`: where paths lie on this disk, where that is elsewhere. `plain_layer`: how a layer without roots and
    permissions is made."""

    paths: tuple[Placed, ...]
    owner: Owner = field(default_factory=Owner)
    real: tuple[tuple[str, str], ...] = ()
    plain_layer: type[StoreLayer] = StoreLayer

    def _plain(self) -> StoreLayer | None:
        """The same without what is placed."""
        if any(placed.at_root or placed.permissions for placed in self.paths):
            return None
        return self.plain_layer(tuple(sorted(placed.path for placed in self.paths)), self.owner, self.real)

    def direct(self) -> Direct | None:
        plain = self._plain()
        return None if plain is None else direct(plain)

    def entries(self) -> Iterator[tuple[Entry, bytes]]:
        plain = self._plain()
        if plain is not None:
            yield from plain.entries()
            return
        found: dict[bytes, tuple[Entry, bytes, bool]] = {}
        self._gather(found)
        for name in sorted(found):
            yield found[name][0], found[name][1]

    def _gather(self, found: dict[bytes, tuple[Entry, bytes, bool]]) -> None:
        """All by name; whether somebody set an entry's permissions."""
        places = dict(self.real)
        for placed in self.paths:
            inside = os.fsencode(placed.path).lstrip(b"/")
            rules = [(re.compile(rule.regex), rule) for rule in placed.permissions]
            if placed.at_root and not os.path.isdir(places.get(placed.path, placed.path)):
                raise OciError(
                    f"'{placed.path}' is a file, and only what folders hold can be copied to an image's root",
                    "put it into a folder, for example with pkgs.linkFarm or pkgs.writeTextDir",
                )
            for entry, file in StoreLayer((placed.path,), self.owner, self.real).entries():
                below = entry.name == inside or entry.name.startswith(inside + b"/")
                name = entry.name[len(inside) + 1 :] if placed.at_root and below else entry.name
                if placed.at_root and (not below or not name):
                    continue
                shown = "/" + os.fsdecode(entry.name)
                own = False
                for pattern, rule in rules:
                    if below and pattern.search(shown):
                        entry, own = rule.changed(entry), True
                self._put(found, _renamed(entry, name), file, own)

    def _put(self, found: dict[bytes, tuple[Entry, bytes, bool]], entry: Entry, file: bytes, own: bool) -> None:
        other = found.get(entry.name)
        if other is None or (entry.kind == "dir" == other[0].kind and not other[2]):
            found[entry.name] = entry, file, own
        elif entry.kind == "dir" == other[0].kind:
            return
        elif entry.kind != other[0].kind or not same_file(file, other[1]):
            raise OciError(
                f"two things want the same place in the image: '{os.fsdecode(file)}' and '{os.fsdecode(other[1])}'",
                "leave one out, or merge them with pkgs.buildEnv, which has priorities",
            )

    def write(self, write: Write) -> None:
        write_entries(self.entries(), write)

    def size(self) -> int:
        return entries_size(self.entries())


def _renamed(entry: Entry, name: bytes) -> Entry:
    if name == entry.name:
        return entry
    return Entry(
        name,
        entry.kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size,
        entry.mtime,
        entry.target,
        entry.uname,
        entry.gname,
    )


def permissions_by_path(values: Any) -> Mapping[str, tuple[Permission, ...]]:
    """Of the argument `perms`."""
    found: dict[str, tuple[Permission, ...]] = {}
    for value in values or ():
        path = value.get("path") if isinstance(value, dict) else None
        if not isinstance(path, str):
            raise OciError("a permission needs a path, a regex, and for example a mode")
        found[path] = (*found.get(path, ()), Permission.parse(value))
    return found
