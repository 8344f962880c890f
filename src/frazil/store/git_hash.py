"""Git's object identifiers of file trees: the content address method "git".

Source of truth: Git's object format; the manual's `store/file-system-object/content-address`.
"""

from __future__ import annotations

import os
import stat

from frazil.digest import Hash
from frazil.store import nar
from frazil.store.content_address import check_algorithm
from frazil.store.errors import StoreError, from_os_error


def hash_blob(contents: bytes, algorithm: str) -> Hash:
    return Hash.of(_check(algorithm), b"blob %d\0" % len(contents) + contents)


def _check(algorithm: str) -> str:
    if algorithm not in ("sha1", "sha256"):
        raise StoreError(
            f"Git file ingestion must use SHA-1 or SHA-256 hash, but instead using: {check_algorithm(algorithm)}"
        )
    return algorithm


def hash_tree(path: str, algorithm: str, filter: nar.Filter | None = None) -> Hash:
    """The identifier Git would give the file or folder. A link at the top counts as its target's text."""
    try:
        return Hash(_check(algorithm), _hash(os.fsencode(path), algorithm, filter, 0)[1])
    except OSError as error:
        raise from_os_error(error, f"reading '{path}'") from error


def _hash(path: bytes, algorithm: str, filter: nar.Filter | None, depth: int) -> tuple[bytes, bytes]:
    """(mode as in trees, identifier)."""
    if depth >= nar.MAXIMUM_DEPTH:
        raise StoreError(f"path '{os.fsdecode(path)}' is nested too deeply")
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return b"120000", hash_blob(os.readlink(path), algorithm).digest
    if stat.S_ISREG(status.st_mode):
        return b"100755" if status.st_mode & 0o100 else b"100644", _hash_file(path, status.st_size, algorithm)
    if not stat.S_ISDIR(status.st_mode):
        raise StoreError(f"file '{os.fsdecode(path)}' has an unsupported type")
    entries = []
    for name in os.listdir(path):
        inner = path.rstrip(b"/") + b"/" + name
        kind = _kind(inner)
        if filter is not None and not filter(os.fsdecode(inner), kind):
            continue
        mode, digest = _hash(inner, algorithm, filter, depth + 1)
        entries.append((name + b"/" if kind == "directory" else name, mode + b" " + name + b"\0" + digest))
    body = b"".join([text for _, text in sorted(entries)])
    return b"40000", Hash.of(algorithm, b"tree %d\0" % len(body) + body).digest


def _hash_file(path: bytes, size: int, algorithm: str) -> bytes:
    counter = nar.CountingHash(algorithm)
    counter.write(b"blob %d\0" % size)
    head = counter.size
    nar.copy_flat(os.fsdecode(path), counter.write)
    digest, seen = counter.result()
    if seen != head + size:
        raise StoreError(f"file '{os.fsdecode(path)}' changed while it was read")
    return digest.digest


def _kind(path: bytes) -> str:
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISREG(mode):
        return "regular"
    return "symlink" if stat.S_ISLNK(mode) else "unknown"
