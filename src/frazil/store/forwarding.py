"""A store that keeps nothing: what is put into it is handed on to another one, such as a binary cache.

In: what evaluation adds, as into any local store that only computes paths. Out: the same objects in the other store,
when they are flushed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, NoReturn

from frazil.activity import Verbosity
from frazil.store import nar
from frazil.store.adding import Computed
from frazil.store.errors import UnsupportedOperation
from frazil.store.interface import Store, Terms
from frazil.store.local import LocalStore
from frazil.store.streams import reading

if TYPE_CHECKING:
    from frazil.store import garbage
    from frazil.store.config import StoreConfig
    from frazil.store.derivation import Derivation
    from frazil.store.path import StorePath
    from frazil.store.path_info import PathInfo
    from frazil.store.realisation import Realisation
    from frazil.store.receiving import Batch


_PIECE = 1 << 18


class ForwardingStore(LocalStore):
    keeps_files = False

    def __init__(self, config: StoreConfig, target: Store, address: str) -> None:
        super().__init__(config, target.settings, target.reporter, compute_only=True)
        self._target = target
        self._address = address
        self._handed_on: set[StorePath] = set()

    @property
    def address(self) -> str:
        return self._address

    @property
    def uri(self) -> str:
        return self._target.uri

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        computed = self.computed.get(path)
        return computed.info if computed is not None else self._target.query_info_or_none(path)

    def is_valid(self, path: StorePath) -> bool:
        return path in self.computed or self._target.is_valid(path)

    def valid_among(self, paths: Iterable[StorePath]) -> set[StorePath]:
        wanted = set(paths)
        own = wanted & self.computed.keys()
        return own | (self._target.valid_among(wanted - own) if wanted - own else set())

    def query_all_valid(self) -> set[StorePath]:
        return self._target.query_all_valid()

    def query_referrers(self, path: StorePath) -> set[StorePath]:
        return self._target.query_referrers(path)

    def query_realisation(self, derivation: StorePath, output: str) -> StorePath | None:
        return self._target.query_realisation(derivation, output)

    def realisation(self, derivation: StorePath, output: str) -> Realisation | None:
        return self._target.realisation(derivation, output)

    find_infos = Store.find_infos
    query_infos = Store.query_infos
    query_references = Store.query_references
    query_derivation_outputs = Store.query_derivation_outputs
    closure = Store.closure
    topological = Store.topological

    def is_registered(self, path: StorePath) -> bool:
        return path in self.computed or self._target.is_valid_now(path)

    def read_invalid_derivation(self, path: StorePath) -> Derivation:
        if path in self.computed:
            return super().read_invalid_derivation(path)
        found = self._target.read_derivation(path)
        self.remember_derivation(path, found)
        return found

    def flush(self) -> None:
        pending = [path for path in self.computed if path not in self._handed_on]
        if not pending:
            return
        order = [path for path in self.topological(pending) if not self._target.is_valid(path)]
        self._target.add_from(self, [self.computed[path].info for path in order], Terms(check_signatures=False))
        self._handed_on.update(pending)

    # What only stores with files and a database of their own can do: a cache has nothing that lives or dies.

    def find_roots(self, *, censor: bool = False) -> dict[StorePath, set[str]]:
        self._refuse("Garbage collection")

    def collect_garbage(self, options: garbage.Options) -> garbage.Results:
        self._refuse("Garbage collection")

    def delete(
        self,
        paths: Iterable[StorePath],
        *,
        ignore_liveness: bool = False,
        skip_alive: bool = False,
        also_referrers: bool = False,
    ) -> garbage.Results:
        self._refuse("Garbage collection")

    def verify(
        self,
        *,
        check_contents: bool = False,
        repair: bool = False,
        repair_path: Callable[[StorePath], None] | None = None,
    ) -> bool:
        """As Nix does, nothing; but it is said."""
        self.reporter.log(
            Verbosity.WARN,
            f"there is no database to verify in '{self.uri}'; `store verify --all --store ADDRESS` checks its archives",
        )
        return True

    def optimise(self) -> None:
        """There is nothing to link."""

    def require_writable(self) -> None:
        self._refuse("Registering paths without their contents")

    def _refuse(self, operation: str) -> NoReturn:
        raise UnsupportedOperation(f"{operation} not supported by store '{self.uri}'")

    def batch(self, *, repair: bool = False, check_signatures: bool = False) -> Batch:
        from frazil.store.receiving import OneByOne

        return OneByOne(self, repair=repair, check_signatures=check_signatures)

    def add_nar(self, info: PathInfo, read: nar.Read, *, repair: bool = False, check_signatures: bool = False) -> None:
        self.flush()
        self._target.add_nar(info, read, repair=repair, check_signatures=check_signatures)

    def add_locked(self, info: PathInfo, read: nar.Read) -> None:
        self.add_nar(info, read)

    def register_realisation(
        self, derivation: StorePath, output: str, path: StorePath, signatures: frozenset[str] = frozenset()
    ) -> None:
        from frazil.store.realisation import Realisation

        self._target.add_realisation(Realisation(derivation, output, path, signatures))

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        with self.open_nar(path) as read:
            while data := read(_PIECE):
                write(data)

    def open_nar(self, path: StorePath) -> AbstractContextManager[nar.Read]:
        computed = self.computed.get(path)
        return _archive(computed) if computed is not None else self._target.open_nar(path)


@contextmanager
def _archive(computed: Computed) -> Iterator[nar.Read]:
    if computed.contents is not None:
        pieces: list[bytes] = []
        nar.dump_file(computed.contents, pieces.append, executable=computed.executable)
        yield io.BytesIO(b"".join(pieces)).read
        return
    source = computed.source
    assert source is not None
    with reading(lambda write: _dump(computed.info, source, write)) as read:
        yield read


def _dump(info: PathInfo, source: str, write: nar.Write) -> None:
    """A flat object is not executable, whatever its source is."""
    address = info.content_address
    if address is None or address.method not in ("flat", "text"):
        nar.dump_path(source, write)
        return
    size = os.stat(source).st_size
    nar.begin_file(size, write)
    nar.copy_flat(source, write)
    nar.end_file(size, write)
