"""Small `.deb` files made by hand, for tests."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile

import zstandard

Item = tuple[str, bytes | str | None, int]
"""(name, contents | link target | None for a directory, mode); modes: 0o1 marks a symbolic link, 0o2 a hard link."""


def tar_of(items: list[Item]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, contents, mode in items:
            info = tarfile.TarInfo(name)
            info.mode = mode
            if contents is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(contents, str):
                info.type = tarfile.SYMTYPE if mode == 0o1 else tarfile.LNKTYPE
                info.linkname = contents
            else:
                info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents) if isinstance(contents, bytes) else None)
    return out.getvalue()


def compressed(data: bytes, suffix: str) -> bytes:
    match suffix:
        case "":
            return data
        case ".xz":
            return lzma.compress(data)
        case ".gz":
            return gzip.compress(data, mtime=0)
        case _:
            return zstandard.ZstdCompressor().compress(data)


def ar_of(members: list[tuple[str, bytes]]) -> bytes:
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) & 1)
    return out


def deb_of(items: list[Item], suffix: str = ".xz") -> bytes:
    return ar_of(
        [
            ("debian-binary", b"2.0\n"),
            ("control.tar.gz", compressed(tar_of([]), ".gz")),
            (f"data.tar{suffix}", compressed(tar_of(items), suffix)),
        ]
    )
