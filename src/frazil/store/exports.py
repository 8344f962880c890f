"""Closures as one stream: the format of `nix-store --export` and `--import`, and the text of `--dump-db`/`--load-db`.

Source of truth: C++ Nix's export format. What is imported is treated as hostile.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

from frazil.store import nar
from frazil.store.errors import BadArchive, FormatError, HashMismatch, StoreError
from frazil.store.metadata import canonicalise
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo, parse_registration, show_registration

if TYPE_CHECKING:
    from frazil.store.local import LocalStore

EXPORT_MAGIC = 0x4558494E
MAXIMUM_REFERENCES = 1 << 20
_MAXIMUM_TEXT = 1 << 16
_SPOOL = 8 * 1024 * 1024


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def export_paths(store: LocalStore, paths: Iterable[StorePath], write: nar.Write) -> None:
    """Exactly `paths`, references first. Raises HashMismatch for one whose contents changed."""
    for path in store.topological(paths):
        write(_number(1))
        _export_path(store, path, write)
    write(_number(0))


def _export_path(store: LocalStore, path: StorePath, write: nar.Write) -> None:
    info = store.query_info(path)
    counter = nar.CountingHash("sha256")

    def tee(data: bytes) -> None:
        counter.write(data)
        write(data)

    store.dump_nar(path, tee)
    digest = counter.result()[0]
    if digest != info.nar_hash and any(info.nar_hash.digest):
        raise HashMismatch(
            f"hash of path '{store.show(path)}' has changed from '{info.nar_hash}' to '{digest}'!", exit_status=1
        )
    references = sorted(info.references)
    trailer = [_number(EXPORT_MAGIC), nar.pack(store.show(path).encode()), _number(len(references))]
    trailer += [nar.pack(store.show(reference).encode()) for reference in references]
    trailer += [nar.pack(store.show(info.deriver).encode() if info.deriver else b""), _number(0)]
    write(b"".join(trailer))


def import_paths(store: LocalStore, read: nar.Read, *, check_signatures: bool = False) -> list[StorePath]:
    """Adds what `export_paths` wrote; every path is whole and registered before the next is read."""
    imported: list[StorePath] = []
    source = nar.BufferedSource(read)
    while True:
        mark = _field(source)
        if mark == 0:
            return imported
        if mark != 1:
            raise FormatError("input doesn't look like something created by 'nix-store --export'")
        imported.append(_import_path(store, source, check_signatures))


def _field(source: nar.Source) -> int:
    try:
        return source.number()
    except BadArchive as error:
        raise FormatError("unexpected end-of-file") from error


def _import_path(store: LocalStore, source: nar.Source, check_signatures: bool) -> StorePath:
    """The path's name comes after its contents, which wait in a file (in memory while small)."""
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as spool:
        counter = nar.CountingHash("sha256")

        def save(data: bytes) -> None:
            counter.write(data)
            spool.write(data)

        nar.parse(nar.TeeSource(source, save), nar.Check())
        if source.number() & 0xFFFFFFFF != EXPORT_MAGIC:
            raise FormatError("Nix archive cannot be imported; wrong format")
        path = store.directory.parse(os.fsdecode(source.string(_MAXIMUM_TEXT)))
        count = source.number()
        if count > MAXIMUM_REFERENCES:
            raise FormatError(f"path '{store.show(path)}' claims to have {count} references")
        references = frozenset([store.directory.parse(os.fsdecode(source.string(_MAXIMUM_TEXT))) for _ in range(count)])
        deriver = os.fsdecode(source.string(_MAXIMUM_TEXT))
        if source.number() == 1:
            source.string(_MAXIMUM_TEXT)  # the signature of very old exports
        digest, size = counter.result()
        spool.seek(0)
        info = PathInfo(path, digest, size, references, deriver=store.directory.parse(deriver) if deriver else None)
        store.add_nar(info, spool.read, check_signatures=check_signatures)
    return path


def dump_database(store: LocalStore, paths: Iterable[StorePath] | None = None) -> str:
    """The text of `nix-store --dump-db`: all valid paths where none are named."""
    wanted = sorted(store.query_all_valid()) if paths is None else list(paths)
    return show_registration(store.query_infos(wanted), store.directory)


def load_database(store: LocalStore, text: str) -> list[PathInfo]:
    """`nix-store --load-db`: registers what is listed, taking its word for it."""
    infos = parse_registration(text, store.directory)
    store.register(infos)
    return infos


def register_validity(
    store: LocalStore, text: str, *, reregister: bool = False, hash_given: bool = False
) -> list[PathInfo]:
    """`nix-store --register-validity`: canonicalises and registers paths that lie in the store already."""

    fresh = []
    for info in parse_registration(text, store.directory, with_hash=hash_given):
        if store.is_valid(info.path) and not reregister:
            continue
        real = f"{store.config.real_store_dir}/{info.path.base}"
        if not os.path.lexists(real):
            raise StoreError(f"path '{store.show(info.path)}' does not exist")
        canonicalise(real, ignored_attributes=store.settings.ignored_acls)
        if not hash_given:
            digest, size = nar.hash_path(real)
            info = info.with_(nar_hash=digest, nar_size=size)
        fresh.append(info)
    store.register(fresh)
    return fresh
