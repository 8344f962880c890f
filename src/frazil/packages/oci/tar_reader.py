"""Reading tar from strangers: entries one after another, names checked, nothing read without a bound.

In: a stream; out: `Entry`s and the bytes of files. ustar, pax and GNU long names are understood, sparse files are not.
Names that would lead out (`..`) are refused, those that begin with `/` or `./` are taken from the root.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .errors import BadImage
from .streams import _exactly
from .tar import BLOCK, KINDS, Entry
from .zstd_frames import Reader

_LARGEST_EXTENSION = 1 << 20
_LARGEST_NAME = 1 << 16
_BY_FLAG = {flag: kind for kind, flag in KINDS.items()} | {b"\0": "file", b"7": "file"}
_CHUNK = 1 << 20


def safe_name(name: bytes) -> bytes:
    """Relative to the root, without `.` and empty parts; b"" is the root itself. Raises BadImage for `..`."""
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise BadImage(f"the entry '{name.decode(errors='replace')}' of a layer leads out of the image")
    if len(name) > _LARGEST_NAME or any(len(part) > 255 for part in parts):
        raise BadImage("an entry of a layer has a name that is too long")
    return b"/".join(parts)


def _number(raw: bytes, what: str) -> int:
    if raw[:1] and raw[0] & 0x80:  # base 256, as GNU tar writes what does not fit
        value = int.from_bytes(raw, "big") & ~(0x80 << 8 * (len(raw) - 1))
        if raw[0] & 0x40 or value >= 1 << 62:
            raise BadImage(f"a tar header has an impossible {what}")
        return value
    text = raw.split(b"\0", 1)[0].strip()
    if not text:
        return 0
    try:
        value = int(text, 8)
    except ValueError:
        raise BadImage(f"a tar header has a {what} that is not a number") from None
    if value < 0:
        raise BadImage(f"a tar header has an impossible {what}")
    return value


def _text(raw: bytes) -> bytes:
    return raw.split(b"\0", 1)[0]


def _pax_records(body: bytes) -> dict[str, bytes]:
    records: dict[str, bytes] = {}
    position = 0
    while position < len(body):
        space = body.find(b" ", position, position + 12)
        digits = body[position:space] if space > 0 else b""
        if not digits.isdigit():
            raise BadImage("a pax header is damaged")
        end = position + int(digits)
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if end > len(body) or end <= space or body[end - 1 : end] != b"\n" or not equals:
            raise BadImage("a pax header is damaged")
        records[key.decode(errors="replace")] = value
        position = end
    return records


@dataclass(slots=True)
class _Pending:
    pax: dict[str, bytes]
    name: bytes | None = None
    target: bytes | None = None


class TarReader:
    """Iterate for entries; `chunks()` gives the bytes of the last one. What was not read is passed over."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._left = 0
        self._padding = 0
        self.offset = 0
        """How many bytes were read: after a header, where its bytes begin."""

    def _read(self, size: int) -> bytes:
        data = _exactly(self._source, size)
        self.offset += len(data)
        if len(data) != size:
            raise BadImage("the tar archive ends early")
        return data

    def chunks(self) -> Iterator[bytes]:
        while self._left:
            data = self._read(min(self._left, _CHUNK))
            self._left -= len(data)
            yield data

    def content(self, limit: int) -> bytes:
        if self._left > limit:
            raise BadImage(f"an entry has {self._left} bytes, where at most {limit} make sense")
        return b"".join(self.chunks())

    def _skip(self) -> None:
        for _ in self.chunks():
            pass
        if self._padding:
            self._read(self._padding)
            self._padding = 0

    def __iter__(self) -> Iterator[Entry]:
        shared: dict[str, bytes] = {}
        pending = _Pending({})
        while True:
            self._skip()
            header = _exactly(self._source, BLOCK)
            self.offset += len(header)
            if not header or header == bytes(BLOCK):
                return
            if len(header) != BLOCK:
                raise BadImage("the tar archive ends early")
            _check_sum(header)
            flag = header[156:157]
            size = _number(header[124:136], "size")
            if flag in b"xgLK" and flag != b"":
                self._left, self._padding = size, -size % BLOCK
                body = self.content(_LARGEST_EXTENSION)
                if flag == b"x":
                    pending.pax = _pax_records(body)
                elif flag == b"g":
                    shared |= _pax_records(body)
                elif flag == b"L":
                    pending.name = _text(body)
                else:
                    pending.target = _text(body)
                continue
            entry = _entry(header, flag, size, shared | pending.pax, pending)
            pending = _Pending({})
            self._left, self._padding = entry.size, -entry.size % BLOCK
            yield entry


def _check_sum(header: bytes) -> None:
    expected = _number(header[148:156], "checksum")
    if sum(header) - sum(header[148:156]) + 8 * 32 != expected:
        raise BadImage("this is not a tar archive, or it is damaged")


def _entry(header: bytes, flag: bytes, size: int, pax: dict[str, bytes], pending: _Pending) -> Entry:
    kind = _BY_FLAG.get(flag)
    if kind is None or any(key.startswith("GNU.sparse") for key in pax):
        raise BadImage(f"a layer has an entry of a kind that images do not have (type {flag!r})")
    name, prefix = _text(header[:100]), _text(header[345:500])
    if header[257:263] == b"ustar\0" and prefix:
        name = prefix + b"/" + name
    name = pax.get("path", pending.name if pending.name is not None else name)
    if kind == "file" and flag != b"7" and name.endswith(b"/") and flag == b"\0":
        kind = "dir"  # as the oldest tar said it
    target = pax.get("linkpath", pending.target if pending.target is not None else _text(header[157:257]))
    if b"\0" in name or b"\0" in target or len(target) > _LARGEST_NAME:
        raise BadImage("an entry of a layer has an impossible name")
    return Entry(
        safe_name(name),
        kind,
        _number(header[100:108], "mode") & 0o7777,
        _pax_number(pax, "uid", header[108:116]),
        _pax_number(pax, "gid", header[116:124]),
        _pax_number(pax, "size", b"%o" % size) if kind == "file" else 0,
        _pax_number(pax, "mtime", header[136:148]),
        safe_name(target) if kind == "link" else target if kind == "symlink" else b"",
        pax.get("uname", _text(header[265:297])),
        pax.get("gname", _text(header[297:329])),
        _number(header[329:337], "device") if kind in ("char", "block") else 0,
        _number(header[337:345], "device") if kind in ("char", "block") else 0,
        tuple((key[13:], value) for key, value in sorted(pax.items()) if key.startswith("SCHILY.xattr.")),
    )


def _pax_number(pax: dict[str, bytes], key: str, raw: bytes) -> int:
    if key not in pax:
        return _number(raw, key)
    text = pax[key].split(b".")[0]
    if not text.lstrip(b"-").isdigit() or len(text) > 18:
        raise BadImage(f"a pax header has an impossible {key}")
    value = int(text)
    if value < 0 and key != "mtime":
        raise BadImage(f"a pax header has an impossible {key}")
    return value
