"""What goes wrong with a store where something is done with it: the rest of `errors`, to be imported from there."""

from __future__ import annotations

import errno
import os

from frazil.store.errors import StoreError


class InvalidPath(StoreError):
    """A well-formed store path that the store does not hold."""


class FormatError(StoreError):
    """A derivation, content address, narinfo, … that does not follow its grammar."""


class BadArchive(FormatError):
    """A NAR that is damaged or hostile."""


class CorruptDatabase(StoreError):
    """The store's database cannot be read."""


class DiskFull(StoreError):
    """No space, no quota, or no inodes left."""


class ReadOnlyStore(StoreError):
    """Something would have to be written to a store that was opened for reading."""


class PathInUse(StoreError):
    """A path that cannot be deleted because others need it."""


class HashMismatch(StoreError):
    """Contents that do not have the hash that was promised."""

    exit_status = 102


class ReferenceCycle(StoreError):
    """Store objects that refer to each other in a circle."""


class StoreLocked(StoreError):
    """Another process holds a lock and waiting was not wanted."""


class UnsupportedOperation(StoreError):
    """Something that this kind of store cannot do."""


class SubstituteGone(StoreError):
    """A binary cache that described an archive no longer has it."""


class TransferFailed(StoreError):
    """A file of a store far away could not be fetched or put there. `status`: HTTP's, where there was an answer."""

    status: int | None = None


FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})


def quoted_place(path: str) -> str:
    """A place in the file system as Nix's messages show it."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def from_os_error(error: OSError, doing: str, denied: str | None = None) -> StoreError:
    """A StoreError for `error`, `doing` as in "writing '/nix/store/…'"; a full disk gets its own class and hint.

    `denied`: the hint where it is not allowed, for places that are not the store's.
    """
    reason = error.strerror or str(error)
    if error.errno in FULL_ERRORS:
        return DiskFull(
            f"{doing}: {reason}",
            hint="free some space (for example by `frazil store gc`) and try again; the store itself is consistent",
        )
    hint = None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = denied or (
            "this store is not yours to write; choose another one with `--store`, for example `--store ~/store`"
        )
    return StoreError(f"{doing}: {reason}", hint=hint)


def unreadable(error: OSError, path: str) -> StoreError:
    """What keeps a file from being read into an archive."""
    if isinstance(error, FileNotFoundError):
        return StoreError(f"path '{os.path.abspath(path)}' does not exist")
    return from_os_error(error, f"reading '{path}'")
