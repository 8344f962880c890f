"""What every store can be asked, whatever it is: a local one, a binary cache, a daemon, another machine.

`Store` is the base of all of them. It answers by asking `query_info_or_none`, `dump_nar`, `add_nar` and a few more,
which a kind of store must have; what one cannot do says so (`UnsupportedOperation`). All methods may be called from
several threads at once. `frazil.store.opening.open_store` makes one from an address. Source of truth: the manual's
`store` chapter.
"""

from __future__ import annotations

import os

from frazil.record import Record
from frazil.store.errors import BadStorePath, InvalidPath, StoreError, UnsupportedOperation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import NoReturn, Protocol, Self

    from frazil.activity import Reporter
    from frazil.digest import Hash
    from frazil.store import nar
    from frazil.store.config import StoreSettings
    from frazil.store.derivation import Derivation
    from frazil.store.path import StoreDirectory, StorePath
    from frazil.store.path_info import PathInfo
    from frazil.store.realisation import Realisation
    from frazil.store.tree import Tree
else:
    Protocol = object

MAXIMUM_DERIVATION_SIZE = 1 << 28
MAXIMUM_LINKS_FOLLOWED = 1024
DEFAULT_PRIORITY = 0


class Archives(Protocol):
    """Who has archives of paths."""

    @property
    def transfers(self) -> int:
        """How many at once are worth while."""

    def take_nar(self, path: StorePath) -> bytes | AbstractContextManager[nar.Read]:
        """The archive of a path, whole where it is small, or to be read. What is to be read has to be entered."""


class Terms(Record):
    """On which many paths are taken in. `started` is entered around each (in some thread)."""

    repair: bool = False
    check_signatures: bool = True
    started: Callable[[PathInfo], AbstractContextManager[object]] | None = None

    def around(self, info: PathInfo) -> AbstractContextManager[object]:
        if self.started is not None:
            return self.started(info)
        from contextlib import nullcontext

        return nullcontext()

    @staticmethod
    def watched(info: PathInfo, told: object, read: nar.Read) -> nar.Read:
        """`told`: what was entered around the path. An activity hears how much of it has come."""
        from frazil.activity import Activity

        if not isinstance(told, Activity):
            return read
        activity, total = told, info.nar_size
        activity.progress(0, total)
        had = shown = 0

        def watched(size: int) -> bytes:
            nonlocal had, shown
            data = read(size)
            had += len(data)
            if had - shown >= _PROGRESS_STEP or (not data and had > shown):
                shown = had
                activity.progress(had, max(had, total))
            return data

        return watched


def opened(archive: bytes | AbstractContextManager[nar.Read]) -> AbstractContextManager[nar.Read]:
    """What `take_nar` gave, for whoever wants to read it."""
    if not isinstance(archive, bytes):
        return archive
    import io
    from contextlib import nullcontext

    return nullcontext(io.BytesIO(archive).read)


_PROGRESS_STEP = 1 << 18
COPIED = Terms()


class Store:
    """A context manager: leaving it closes the store."""

    directory: StoreDirectory
    """The logical store directory, part of every path."""
    settings: StoreSettings
    reporter: Reporter

    # --------------------------------------------------------------------------------------------------- about it

    @property
    def uri(self) -> str:
        """Its address as people read it, without parameters or passwords."""
        raise NotImplementedError

    @property
    def goes_without_saying(self) -> bool:
        """Whether messages need not name it: this machine's own store."""
        return False

    @property
    def transfers(self) -> int:
        """How many paths at once are worth while."""
        return max(2, len(os.sched_getaffinity(0)))

    @property
    def priority(self) -> int:
        """Among substituters; a lower number is asked first."""
        return DEFAULT_PRIORITY

    @property
    def wants_mass_query(self) -> bool:
        """Whether it may be asked for many paths only to see what is there."""
        return False

    @property
    def is_trusted(self) -> bool:
        """Whether what comes from it needs no signature (the parameter `trusted`)."""
        return False

    @property
    def trusts_us(self) -> bool | None:
        """Whether it lets us do everything; None where that is unknown."""
        return None

    @property
    def version(self) -> str | None:
        """Of the program at its other end."""
        return None

    def open(self) -> Self:
        """Connects, checks that it is there and of our store directory. Done by itself when first used."""
        return self

    def close(self) -> None:
        """Lets go of connections; afterwards it may be used again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def unsupported(self, operation: str) -> NoReturn:
        raise UnsupportedOperation(f"operation '{operation}' is not supported by store '{self.uri}'")

    def show(self, path: StorePath) -> str:
        return self.directory.show(path)

    def parse(self, text: str) -> StorePath:
        return self.directory.parse(text)

    def follow_links(self, text: str) -> str:
        """Follows links until the path is inside the logical store. Raises BadStorePath."""
        path = os.path.abspath(text)
        for _ in range(MAXIMUM_LINKS_FOLLOWED):
            if self.directory.is_inside(path):
                return path
            try:
                target = os.readlink(path)
            except OSError:
                break
            path = os.path.normpath(os.path.join(os.path.dirname(path), target))
        else:
            raise BadStorePath(f"too many symbolic links encountered while resolving '{text}'")
        raise BadStorePath(f'path "{path}" is not in the Nix store')

    def follow_links_to_store_path(self, text: str) -> StorePath:
        return self.directory.parse_plain(text) or self.directory.split(self.follow_links(text))[0]

    # ---------------------------------------------------------------------------------------------------- queries

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        """None where the path is not valid."""
        raise NotImplementedError

    def remembered(self, path: StorePath) -> tuple[bool, PathInfo | None]:
        """Whether it is known, without asking anybody, what there is of a path; and what."""
        return False, None

    def query_info(self, path: StorePath) -> PathInfo:
        """Raises InvalidPath."""
        info = self.query_info_or_none(path)
        if info is None:
            raise InvalidPath(f"path '{self.show(path)}' is not valid")
        return info

    def query_nar_hashes(self, paths: Iterable[StorePath]) -> Iterator[Hash]:
        """In the order of the paths. Raises InvalidPath."""
        return (info.nar_hash for info in self.query_infos(paths))

    def query_infos(self, paths: Iterable[StorePath]) -> Iterator[PathInfo]:
        """Of many paths in their order. Raises InvalidPath."""
        wanted = list(paths)
        for path, info in zip(wanted, self.find_infos(wanted)):
            if info is None:
                raise InvalidPath(f"path '{self.show(path)}' is not valid")
            yield info

    def find_infos(self, paths: Iterable[StorePath]) -> list[PathInfo | None]:
        """Of many paths in their order, None for those that are not valid. For stores far away: many at once."""
        return [self.query_info_or_none(path) for path in paths]

    def query_sizes(self, paths: Iterable[StorePath]) -> dict[StorePath, tuple[int, Collection[StorePath]]]:
        """Archives' sizes, and references, of many paths. Raises InvalidPath."""
        return {info.path: (info.nar_size, info.references) for info in self.query_infos(paths)}

    def is_valid(self, path: StorePath) -> bool:
        return self.query_info_or_none(path) is not None

    def is_valid_now(self, path: StorePath) -> bool:
        """As `is_valid`, whatever was remembered: somebody else may have added it."""
        return self.is_valid(path)

    def valid_among(self, paths: Iterable[StorePath]) -> set[StorePath]:
        return {info.path for info in self.find_infos(set(paths)) if info is not None}

    def query_all_valid(self) -> set[StorePath]:
        self.unsupported("queryAllValidPaths")

    def query_references(self, path: StorePath) -> set[StorePath]:
        """Raises InvalidPath."""
        return set(self.query_info(path).references)

    def query_referrers(self, path: StorePath) -> set[StorePath]:
        self.unsupported("queryReferrers")

    def query_valid_derivers(self, path: StorePath) -> set[StorePath]:
        """Derivations in this store that have `path` among their outputs."""
        return set()

    def query_derivation_outputs(self, path: StorePath) -> dict[str, StorePath | None]:
        """Output name → path, None where it is not known yet."""
        outputs = self.read_derivation(path).output_paths(self.directory)
        for name, output in outputs.items():
            if output is None:
                outputs[name] = self.query_realisation(path, name)
        return outputs

    def query_from_hash_part(self, hash_part: str) -> StorePath | None:
        self.unsupported("queryPathFromHashPart")

    def closure(
        self,
        paths: Iterable[StorePath],
        *,
        reverse: bool = False,
        include_outputs: bool = False,
        include_derivers: bool = False,
    ) -> set[StorePath]:
        """Everything reachable by references (or, `reverse`, by referrers). Raises InvalidPath."""
        if reverse or include_derivers:
            return self._closure_by_one(paths, reverse, include_outputs, include_derivers)
        return self._closure_with_outputs(paths) if include_outputs else self._plain_closure(paths)

    def _plain_closure(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """By references, level by level, each asked for at once."""
        level = list(dict.fromkeys(paths))
        found = set(level)
        while level:
            following: dict[StorePath, None] = {}
            for info in self.query_infos(level):
                following.update(dict.fromkeys(sorted(info.references - found)))
            found.update(following)
            level = list(following)
        return found

    def _closure_with_outputs(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """By references and from derivations to their outputs."""
        return self._closure_by_one(paths, False, True, False)

    def _closure_by_one(
        self, paths: Iterable[StorePath], reverse: bool, include_outputs: bool, include_derivers: bool
    ) -> set[StorePath]:
        pending = list(paths)
        found = set(pending)
        while pending:
            for other in self._neighbours(pending.pop(), reverse, include_outputs, include_derivers):
                if other not in found:
                    found.add(other)
                    pending.append(other)
        return found

    def _neighbours(
        self, path: StorePath, reverse: bool, include_outputs: bool, include_derivers: bool
    ) -> set[StorePath]:
        if not reverse:
            found = self.query_references(path)
            if include_outputs and path.is_derivation:
                found |= {o for o in self.query_derivation_outputs(path).values() if o and self.is_valid(o)}
            if include_derivers:
                deriver = self.query_info(path).deriver
                if deriver and self.is_valid(deriver):
                    found.add(deriver)
            return found
        found = self.query_referrers(path)
        if include_outputs:
            found |= self.query_valid_derivers(path)
        if include_derivers and path.is_derivation:
            found |= {o for o in self.query_derivation_outputs(path).values() if o and self.is_valid(o)}
        return found

    def topological(self, paths: Iterable[StorePath]) -> list[StorePath]:
        """References before referrers, otherwise in Nix's order. Raises ReferenceCycle."""
        from frazil.store.graph import topological_order

        wanted = set(paths)
        known = {info.path: info.references for info in self.find_infos(wanted) if info is not None}
        return topological_order(wanted, lambda path: known.get(path, ()), self.directory)

    def read_derivation(self, path: StorePath) -> Derivation:
        """Raises InvalidPath, or FormatError where it is damaged."""
        from frazil.store.derivation import parse
        from frazil.store.tree import archived_file

        contents = archived_file(self, path, MAXIMUM_DERIVATION_SIZE)
        try:
            return parse(contents, path.derivation_name, self.directory)
        except StoreError as error:
            error.message = f"error parsing derivation '{self.show(path)}': {error.message}"
            raise

    # ------------------------------------------------------------------------------------------------ build trace

    def realisation(self, derivation: StorePath, output: str) -> Realisation | None:
        """Where an output of a floating derivation went, as far as this store knows."""
        return None

    def query_realisation(self, derivation: StorePath, output: str) -> StorePath | None:
        found = self.realisation(derivation, output)
        return found.path if found else None

    def add_realisation(self, realisation: Realisation, *, check_signatures: bool = False) -> None:
        self.unsupported("registerDrvOutput")

    # --------------------------------------------------------------------------------------------------- contents

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        """The archive of a path, in pieces. Raises InvalidPath."""
        raise NotImplementedError

    def open_nar(self, path: StorePath) -> AbstractContextManager[nar.Read]:
        """The archive of a path, to be read. Raises InvalidPath."""
        from frazil.store.streams import reading

        return reading(lambda write: self.dump_nar(path, write))

    def take_nar(self, path: StorePath) -> bytes | AbstractContextManager[nar.Read]:
        """As `open_nar`, but whole where it is small."""
        return self.open_nar(path)

    def tree(self, path: StorePath) -> Tree:
        """A look into a path: folders, files, links, without unpacking it. Raises InvalidPath."""
        from frazil.store.tree import ArchiveTree

        return ArchiveTree.of_store(self, path)

    # ----------------------------------------------------------------------------------------------------- adding

    def add_nar(self, info: PathInfo, read: nar.Read, *, repair: bool = False, check_signatures: bool = False) -> None:
        """Adds an archive under a path that was promised for it, checking what is promised; its references are there
        already. Raises HashMismatch, BadArchive, StoreError."""
        self.unsupported("addToStore")

    def add_from(self, source: Archives, infos: Iterable[PathInfo], terms: Terms = COPIED) -> None:
        """Copies many paths; each of their references is among them or here. Nothing becomes valid before what it
        refers to."""
        from frazil.store.copying import add_one_by_one

        add_one_by_one(self, source, infos, terms)

    def substitute_there(self, paths: Iterable[StorePath]) -> None:
        """Lets the store fetch what it lacks of these from where it can; nothing for one that has no such place."""

    def add_signatures(self, path: StorePath, signatures: Iterable[str]) -> None:
        """Raises InvalidPath."""
        self.unsupported("addSignatures")

    # ------------------------------------------------------------------------------------------------------- logs

    def build_log(self, path: StorePath) -> bytes | None:
        """The log of the build that `path` (a derivation or an output) comes from."""
        if not path.is_derivation:
            info = self.query_info_or_none(path)
            if info is None or info.deriver is None:
                return None
            path = info.deriver
        return self.exact_log(path)

    def exact_log(self, derivation: StorePath) -> bytes | None:
        """The log that is kept for a derivation."""
        return None

    def add_build_log(self, derivation: StorePath, log: bytes) -> None:
        self.unsupported("addBuildLog")

    # ---------------------------------------------------------------------------------------------------- helpers

    def warn(self, text: str) -> None:
        from frazil.activity import Verbosity

        self.reporter.log(Verbosity.WARN, text)
