"""What can go wrong with a store. One family; `cli` prints.

A class of exceptions takes longer to make than a small module to import, so those that few commands need are in
`failures`; they are found here, too.
"""

from __future__ import annotations

from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.failures import BadArchive as BadArchive
    from frazil.store.failures import CorruptDatabase as CorruptDatabase
    from frazil.store.failures import DiskFull as DiskFull
    from frazil.store.failures import FormatError as FormatError
    from frazil.store.failures import HashMismatch as HashMismatch
    from frazil.store.failures import InvalidPath as InvalidPath
    from frazil.store.failures import PathInUse as PathInUse
    from frazil.store.failures import ReadOnlyStore as ReadOnlyStore
    from frazil.store.failures import ReferenceCycle as ReferenceCycle
    from frazil.store.failures import StoreLocked as StoreLocked
    from frazil.store.failures import SubstituteGone as SubstituteGone
    from frazil.store.failures import TransferFailed as TransferFailed
    from frazil.store.failures import UnsupportedOperation as UnsupportedOperation
    from frazil.store.failures import from_os_error as from_os_error
    from frazil.store.failures import unreadable as unreadable


class StoreError(FrazilError):
    """Root of the family."""


class BadStorePath(StoreError):
    """A text that is no store path."""


class BadStorePathName(BadStorePath):
    """A name that may not be in a store path."""


class UnsupportedStore(StoreError):
    """A store address that this program does not know how to open."""


def __getattr__(name: str) -> object:
    if name.startswith("_"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from frazil.store import failures

    found = globals()[name] = getattr(failures, name)
    return found
