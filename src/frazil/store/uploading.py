"""Making an archive ready for a binary cache: packed into a temporary file, hashed before and after, listed.

In: an archive's bytes. Out: `Packed`. Source of truth: the manual's `protocols/binary-cache`; for debug information
`index-debug-info`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from frazil.digest import Hash
from frazil.store import nar
from frazil.store.compression import ENDINGS, Compressor

if TYPE_CHECKING:
    from frazil.store.binary_cache import CacheSettings

_SPOOL = 16 << 20
"""Packed archives up to this size stay in memory, bytes."""
_FIRST = re.compile("[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{38}\.debug")


@dataclass(frozen=True, slots=True)
class Packed:
    file: IO[bytes]
    url: str
    file_hash: Hash
    file_size: int
    nar_hash: Hash
    nar_size: int
    root: dict[str, object]


@contextmanager
def packed(read: nar.Read, settings: CacheSettings) -> Iterator[Packed]:
    """Raises BadArchive."""
    parallel = settings.parallel_compression
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as file:
        outside, inside = nar.CountingHash("sha256"), nar.CountingHash("sha256")

        def write(data: bytes) -> None:
            outside.write(data)
            file.write(data)

        packer = Compressor(
            settings.compression,
            write,
            level=settings.compression_level,
            parallel=settings.compression == "zstd" if parallel is None else parallel,
        )

        def tee(data: bytes) -> None:
            inside.write(data)
            packer.write(data)

        def read_tee(size: int) -> bytes:
            data = read(size)
            if data:
                tee(data)
            return data

        root = nar.list_archive(read_tee)
        while read_tee(1 << 16):
            pass  # what follows the archive makes its hash wrong
        packer.finish()
        file_hash, file_size = outside.result()
        url = f"nar/{file_hash.base32}.nar{ENDINGS.get(settings.compression, '')}"
        yield Packed(file, url, file_hash, file_size, *inside.result(), root)


def debug_files(root: dict[str, object]) -> Iterator[tuple[str, str]]:
    """(build id with `.debug`, path in the archive) of separate debug information."""
    folder = nar.find_node(root, "lib/debug/.build-id")
    entries = folder.get("entries") if folder is not None else None
    for first, inner in sorted(entries.items()) if isinstance(entries, dict) else ():
        files = inner.get("entries")
        if not (_FIRST.fullmatch(first) and isinstance(files, dict)):
            continue
        for rest, node in sorted(files.items()):
            if node.get("type") == "regular" and _REST.fullmatch(rest):
                yield first + rest, f"lib/debug/.build-id/{first}/{rest}"
