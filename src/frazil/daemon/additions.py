"""Requests of the worker protocol that bring something into the store.

In: names, infos and archives from a client that may be hostile. Out: store objects, checked. Source of truth:
libstore's daemon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from frazil.daemon.conversation import Conversation
from frazil.errors import FrazilError
from frazil.protocol.errors import Disconnected, ProtocolError
from frazil.protocol.values import (
    MAXIMUM_NAME,
    parse_method,
    read_added_info,
    read_signatures,
    write_info,
)
from frazil.protocol.wire import Reader, Writer
from frazil.store import nar
from frazil.store.adding import Addition
from frazil.store.path import check_name
from frazil.store.path_info import PathInfo
from frazil.store.receiving import BATCH

if TYPE_CHECKING:
    from frazil.store.path import StorePath

_MAXIMUM_SIZE = (1 << 63) - 1
_SPOOL = 8 << 20
_PIECE = 1 << 18
_MAXIMUM_LOG = 1 << 28
_FLAT_LIMIT = 32 << 20
"""Flat files up to this size are taken in from memory."""


class Additions(Conversation):
    batch_size = BATCH

    def admit(self, references: Iterable[StorePath]) -> None:
        """Called before something is added. Raises FrazilError where the client may not refer to one of them."""

    def added(self, path: StorePath) -> None:
        """Called when something has been added."""

    def add_to_store(self) -> None:
        if self.dialect.version < (1, 25):
            self._add_old()
            return
        name = self.reader.text(MAXIMUM_NAME)
        address = self.reader.text(MAXIMUM_NAME)
        references = self._paths()
        repair = self.reader.boolean()
        with self.work():
            with self.framed() as source:
                method, algorithm = parse_method(address)
                self.admit(references)
                path = self._add_dump(Addition(name, method, algorithm, references, repair), source.read)
            self.added(path)
            info = self.store.query_info(path)
        self.writer.text(self.store.show(info.path))
        write_info(self.writer, self.dialect, info)

    def _add_dump(self, addition: Addition, read: nar.Read) -> StorePath:
        """`read`: the contents as they are for the methods flat and text, else their archive."""
        check_name(addition.name)
        if not addition.is_flat:
            return self.store.take_archive(addition, read)
        pieces: list[bytes] = []
        size = 0
        while data := read(_PIECE):
            pieces.append(data)
            size += len(data)
            if size > _FLAT_LIMIT:
                return self._add_large(addition, b"".join(pieces), read)
        contents = b"".join(pieces)
        if addition.method == "text" and addition.algorithm == "sha256" and not addition.repair:
            return self.store.add_text(addition.name, contents, addition.references)
        return self.store.take_bytes(addition, contents)

    def _add_large(self, addition: Addition, start: bytes, read: nar.Read) -> StorePath:
        """Through a file in the store's own file system, which has the room if the store has."""
        import os

        temporary = self.store.working_path("upload")
        try:
            with open(temporary, "xb") as file:
                file.write(start)
                while data := read(_PIECE):
                    file.write(data)
            return self.store.take_tree(addition, temporary)
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)

    def _add_old(self) -> None:
        """Before 1.25: an archive without frames, whatever the method."""
        name = self.reader.text(MAXIMUM_NAME)
        fixed, recursive = self.reader.boolean(), self.reader.number()
        algorithm = self.reader.text(MAXIMUM_NAME)
        if recursive > 1:
            raise ProtocolError(
                f"unsupported FileIngestionMethod with value of {recursive}; you may need to upgrade nix-daemon"
            )
        method = "nar" if recursive else "flat"
        if not fixed:
            method, algorithm = "nar", "sha256"
        with self._spooled_archive() as read, self.work():
            path = self.store.add_from_nar(name, read, method, algorithm)
            self.added(path)
        self.writer.text(self.store.show(path))

    @contextmanager
    def _spooled_archive(self) -> Iterator[nar.Read]:
        """An archive that stands in the request without frames, read to its end before anything else is done."""
        import tempfile

        with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as spool:
            nar.parse(nar.TeeSource(nar.Source(self.reader.stream.read), spool.write), nar.Check())
            spool.seek(0)
            yield spool.read

    def add_text_to_store(self) -> None:
        name = self.reader.text(MAXIMUM_NAME)
        contents = self.reader.string()
        references = self._paths()
        with self.work():
            check_name(name)
            self.admit(references)
            path = self.store.add_text(name, contents, references)
            self.added(path)
        self.writer.text(self.store.show(path))

    def add_multiple_to_store(self) -> None:
        repair, unchecked = self.reader.boolean(), self.reader.boolean()
        check = not (unchecked and self.trusted)
        with (
            self.work(),
            self.framed() as source,
            self.store.batch(repair=repair, check_signatures=check) as batch,
        ):
            stream = Reader(source)
            for _ in range(stream.number()):
                info = _foreign(read_added_info(stream, self.store.directory))
                archive = BoundedArchive(source.read, info.nar_size)
                self.admit(info.references - {info.path})
                batch.add(info, archive.read, size=self.batch_size)
                self.added(info.path)
                archive.finish()

    def add_to_store_nar(self) -> None:
        info, repair, unchecked = self._nar_request()
        check = not (unchecked and self.trusted)
        if not self.trusted:
            info = _foreign(info)
        if self.dialect.version >= (1, 23):
            with self.work(), self.framed() as source:
                self._add_nar(info, source.read, repair, check)
        elif self.dialect.version >= (1, 21):
            with self.work():
                pulled = _Pulled(self.reader, self.writer)
                self._add_nar(info, pulled.read, repair, check)
        else:
            with self._spooled_archive() as read, self.work():
                self._add_nar(info, read, repair, check)

    def _add_nar(self, info: PathInfo, read: nar.Read, repair: bool, check: bool) -> None:
        self.admit(info.references - {info.path})
        self.store.add_nar(info, read, repair=repair, check_signatures=check)
        self.added(info.path)

    def _nar_request(self) -> tuple[PathInfo, bool, bool]:
        info = read_added_info(self.reader, self.store.directory)
        return info, self.reader.boolean(), self.reader.boolean()

    def add_signatures(self) -> None:
        path = self._path()
        signatures = read_signatures(self.reader)
        with self.work():
            from frazil.store.signatures import Signature

            self.store.add_signatures(path, [str(Signature.parse(text)) for text in signatures])
        self._done()

    def nar_from_path(self) -> None:
        path = self._path()
        with self.work():
            self.store.query_info(path)
        self.store.dump_nar(path, self.writer.raw)

    def add_build_log(self) -> None:
        from frazil.store.path import StorePath

        path = StorePath.from_base(self.reader.text(MAXIMUM_NAME))
        self.tunnel.start_work()
        with self.framed() as source:
            self.require_trust("you are not privileged to add logs")
            from frazil.store.logs import write_log

            log = source.read(_MAXIMUM_LOG + 1)
            if len(log) > _MAXIMUM_LOG:
                raise FrazilError(f"the build log of '{self.store.show(path)}' is larger than {_MAXIMUM_LOG} bytes")
            write_log(self.store.config.log_dir, path, log)
        self.tunnel.stop_work()
        self._done()


def _foreign(info: PathInfo) -> PathInfo:

    return info.with_(ultimate=False) if info.ultimate else info


class BoundedArchive:
    """So many bytes of a stream, and no more."""

    def __init__(self, read: nar.Read, size: int) -> None:
        self._read = read
        self._left = size

    def read(self, size: int, /) -> bytes:
        wanted = min(size, self._left)
        if not wanted:
            return b""
        data = self._read(wanted)
        if not data:
            raise ProtocolError("the archive is shorter than promised")
        self._left -= len(data)
        return data

    def finish(self) -> None:
        while self._left:
            self.read(_PIECE)


class _Pulled:
    """Data that is asked for piece by piece (1.21 and 1.22)."""

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._data = b""

    def read(self, size: int, /) -> bytes:
        from frazil.protocol.worker import Stderr

        if not self._data:
            self._writer.numbers(Stderr.READ, 1 << 16)
            self._writer.flush()
            self._data = self._reader.string(1 << 16)
            if not self._data:
                raise Disconnected("unexpected end-of-file")
        data, self._data = self._data[:size], self._data[size:]
        return data
