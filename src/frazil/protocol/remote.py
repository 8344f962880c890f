"""Stores behind the worker protocol: a daemon's on this machine, and another machine's through SSH.

In: what every store is asked. Out: requests to the server, over as many connections as are worth while. Source of
truth: the manual's `store/types/local-daemon-store` and `experimental-ssh-store`; libstore's remote store.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from frazil.protocol.client import WorkerClient
from frazil.protocol.errors import NotStarted, ProtocolError, RemoteError
from frazil.protocol.foreign import forwarded
from frazil.protocol.pooled import Channel, PooledStore
from frazil.protocol.values import BUILT, SUBSTITUTED, Outcome
from frazil.protocol.values import Realisation as Found
from frazil.protocol.wire import Input, Output
from frazil.store import nar
from frazil.store.adding import Addition
from frazil.store.errors import InvalidPath, StoreError
from frazil.store.interface import COPIED, Archives, Terms, opened
from frazil.store.local import LocalStore
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.store.config import StoreConfig, StoreSettings
    from frazil.store.derivation import Derivation
    from frazil.store.derived_path import DerivedPath
    from frazil.store.garbage import Options, Results
    from frazil.store.path import StoreDirectory
    from frazil.store.realisation import Realisation

_SMALL_TEXT = 1 << 16
Connect = Callable[["StoreDirectory", "Reporter"], Channel[WorkerClient]]


class RemoteStore(PooledStore[WorkerClient]):
    """`connect` gives a new connection each time it is called."""

    def __init__(
        self,
        config: StoreConfig,
        settings: StoreSettings,
        reporter: Reporter,
        connect: Connect,
        *,
        is_here: bool,
        maximum_connections: int = 1,
        maximum_age: float | None = None,
        sends_options: bool = False,
    ) -> None:
        super().__init__(config, settings, reporter, self._new, maximum_connections, maximum_age)
        self.is_here = is_here
        self._connect = connect
        self._sends_options = sends_options

    def _new(self) -> Channel[WorkerClient]:
        try:
            channel = self._connect(self.directory, self.reporter)
        except NotStarted:
            raise
        except ProtocolError as error:
            error.message = f"cannot open connection to remote store '{self.uri}': {error.message}"
            raise
        if self._sends_options:
            try:
                channel.client.set_options(self.settings.client_options, dict(self.settings.client_overrides))
            except BaseException:
                channel.close()
                raise
        return channel

    def _client(self) -> AbstractContextManager[Channel[WorkerClient]]:
        return self.pool.connection()

    @property
    def trusts_us(self) -> bool | None:
        with self._client() as channel:
            return channel.client.server.trusts_us

    @property
    def version(self) -> str | None:
        with self._client() as channel:
            return channel.client.server.nix_version

    # ---------------------------------------------------------------------------------------------------- queries

    def query_info_or_none(self, path: StorePath) -> PathInfo | None:
        with self._client() as channel:
            return channel.client.query_info(path)

    def query_all_valid(self) -> set[StorePath]:
        with self._client() as channel:
            return set(channel.client.query_all_valid())

    def query_referrers(self, path: StorePath) -> set[StorePath]:
        with self._client() as channel:
            return set(channel.client.query_referrers(path))

    def query_valid_derivers(self, path: StorePath) -> set[StorePath]:
        with self._client() as channel:
            return set(channel.client.query_valid_derivers(path))

    def query_from_hash_part(self, hash_part: str) -> StorePath | None:
        with self._client() as channel:
            return channel.client.query_from_hash_part(hash_part)

    def query_derivation_outputs(self, path: StorePath) -> dict[str, StorePath | None]:
        with self._client() as channel:
            if channel.client.version >= (1, 22):
                return channel.client.query_output_map(path)
        return super().query_derivation_outputs(path)

    def query_missing(
        self, targets: Sequence[DerivedPath]
    ) -> tuple[frozenset[StorePath], frozenset[StorePath], frozenset[StorePath], int, int]:
        """(will be built, will be substituted, unknown, size of the downloads, size of their archives)."""
        with self._client() as channel:
            return channel.client.query_missing(targets)

    def realisation(self, derivation: StorePath, output: str) -> Realisation | None:
        from frazil.store.realisation import Realisation

        with self._client() as channel:
            if not channel.client.has_realisations:
                return None
            found = channel.client.query_realisation(derivation, output)
        return None if found is None else Realisation(derivation, output, found.path, found.signatures)

    def add_realisation(self, realisation: Realisation, *, check_signatures: bool = False) -> None:
        """The server decides whether it wants signatures."""
        with self._client() as channel:
            found = Found(realisation.path, realisation.signatures)
            channel.client.register_realisation(realisation.derivation, realisation.output, found)

    def register_realisation(
        self, derivation: StorePath, output: str, path: StorePath, signatures: frozenset[str] = frozenset()
    ) -> None:
        with self._client() as channel:
            channel.client.register_realisation(derivation, output, Found(path, signatures))

    # --------------------------------------------------------------------------------------------------- contents

    def dump_nar(self, path: StorePath, write: nar.Write) -> None:
        if self.is_here:
            self.query_info(path)
            nar.dump_path(self.real_path(path), write)
            return
        try:
            with self._client() as channel:
                channel.client.nar_from_path(path, write)
        except RemoteError as error:
            if not self.is_registered(path):
                raise InvalidPath(f"path '{self.show(path)}' is not valid") from error
            raise

    def add_archive(
        self, info: PathInfo, send: nar.Send, *, repair: bool = False, check_signatures: bool = False
    ) -> None:
        with self._client() as channel:
            channel.client.add_nar(info, send, repair=repair, check_signatures=check_signatures)

    def add_archives(self, archives: Sequence[tuple[PathInfo, nar.Send]]) -> None:
        with self._client() as channel:
            channel.client.add_many(archives, check_signatures=False)

    def add_from(self, source: Archives, infos: Iterable[PathInfo], terms: Terms = COPIED) -> None:
        """All in one request."""
        wanted = list(infos)

        def sender(info: PathInfo) -> nar.Send:
            def send(write: nar.Write) -> None:
                with terms.around(info) as told, opened(source.take_nar(info.path)) as read:
                    forwarded(info, terms.watched(info, told, read))(write)

            return send

        if not wanted:
            return
        with self._client() as channel:
            channel.client.add_many(
                [(info, sender(info)) for info in wanted],
                repair=terms.repair,
                check_signatures=terms.check_signatures,
            )

    def take(self, addition: Addition, send: nar.Send) -> StorePath:
        with self._client() as channel:
            path = channel.client.add(addition, send)
        self._known_valid.add(path)
        return path

    def take_text(self, path: StorePath, contents: bytes, references: frozenset[StorePath]) -> None:
        """A small one in a single request: asking first whether it is there takes longer than sending it."""
        if self.repairs or len(contents) > _SMALL_TEXT or path in self._known_valid:
            super().take_text(path, contents, references)
            return

        def send(write: nar.Write) -> None:
            write(contents)

        found = self.take(Addition(path.name, "text", "sha256", references), send)
        if found != path:
            raise ProtocolError(f"the server calls '{self.show(path)}' '{self.show(found)}'")

    def add_scanning(self, addition: Addition, send: nar.Send) -> StorePath:
        with self._client() as channel:
            return channel.client.add_scanning(addition, send).path

    def submit_output(self, path: DerivedPath, output: str) -> None:
        with self._client() as channel:
            channel.client.submit_output(path, output)

    def add_signatures(self, path: StorePath, signatures: Iterable[str]) -> None:
        with self._client() as channel:
            channel.client.add_signatures(path, signatures)

    def exact_log(self, derivation: StorePath) -> bytes | None:
        """Of the daemon on this machine; the protocol has no request for it."""
        if not self.is_here:
            self.unsupported("getBuildLogExact")
        return LocalStore.exact_log(self, derivation)

    def add_build_log(self, derivation: StorePath, log: bytes) -> None:
        with self._client() as channel:
            channel.client.add_build_log(derivation, log)

    # --------------------------------------------------------------------------------------------------- building

    def build_elsewhere(self, targets: Sequence[DerivedPath], mode: str) -> Sequence[Outcome | None]:
        """What became of each target, in their order; servers are silent about what they gave up because another one
        failed. Raises RemoteError."""
        with self._client() as channel:
            client = channel.client
            if client.version >= (1, 34):
                found = dict(client.build_with_results(targets, mode))
                missing = [target for target in targets if target not in found]
                if missing and all(outcome.succeeded for outcome in found.values()):
                    raise ProtocolError(f"the server says nothing of '{missing[0].show(self.directory)}'")
                self._known_valid.clear()
                return [found.get(target) for target in targets]
            client.build_paths(targets, mode)
        return self.built(targets, lambda target: BUILT if target.outputs else SUBSTITUTED)

    def build_derivation_elsewhere(self, path: StorePath, drv: Derivation, mode: str) -> Outcome:
        with self._client() as channel:
            return channel.client.build_derivation(path, drv, mode)

    def ensure_path(self, path: StorePath) -> None:
        with self._client() as channel:
            channel.client.ensure_path(path)

    # ------------------------------------------------------------------------------------------------------ roots

    def add_temporary_root(self, path: StorePath) -> None:
        with self._client() as channel:
            channel.client.add_temporary_root(path)

    def add_indirect_root(self, link: str) -> None:
        with self._client() as channel:
            channel.client.add_indirect_root(os.path.abspath(link))

    def add_permanent_root(self, path: StorePath, link: str, target: str | None = None) -> str:
        if not self.is_here:
            return link
        from frazil.store import roots

        return roots.add_permanent_root(self, path, link, target)

    def find_roots(self, *, censor: bool = False) -> dict[StorePath, set[str]]:
        with self._client() as channel:
            return channel.client.find_roots()

    # ----------------------------------------------------------------------------------------------- housekeeping

    def collect_garbage(self, options: Options) -> Results:
        from frazil.store.garbage import DELETE_DEAD, Results

        action = options.action
        if action == DELETE_DEAD and options.paths is not None and not options.skip_alive:
            action = "delete-specific"
        with self._client() as channel:
            texts, freed = channel.client.collect_garbage(
                action,
                options.paths,
                also_referrers=options.also_referrers,
                ignore_liveness=options.ignore_liveness,
                max_freed=options.max_freed,
            )
        self._known_valid.clear()
        return Results(texts, freed)

    def delete(
        self,
        paths: Iterable[StorePath],
        *,
        ignore_liveness: bool = False,
        skip_alive: bool = False,
        also_referrers: bool = False,
    ) -> Results:
        from frazil.store.garbage import Options

        return self.collect_garbage(
            Options(
                paths=frozenset(paths),
                ignore_liveness=ignore_liveness,
                skip_alive=skip_alive,
                also_referrers=also_referrers,
            )
        )

    def verify(
        self,
        *,
        check_contents: bool = False,
        repair: bool = False,
        repair_path: Callable[[StorePath], None] | None = None,
    ) -> bool:
        with self._client() as channel:
            return not channel.client.verify(check_contents=check_contents, repair=repair)

    def optimise(self) -> None:
        with self._client() as channel:
            channel.client.optimise()


# -- ways to a server ----------------------------------------------------------------------------------------------


def connect_socket(path: str) -> Connect:
    def connect(directory: StoreDirectory, reporter: Reporter) -> Channel[WorkerClient]:
        connection = open_socket(path)
        number = connection.fileno()
        try:
            client = WorkerClient(Input(number), Output(number), directory, reporter)
        except BaseException:
            connection.close()
            raise
        return Channel(client, connection.close)

    return connect


def open_socket(path: str) -> socket.socket:
    """Also of a path longer than the system's limit for socket addresses. Raises StoreError."""
    folder, name = os.path.split(os.path.abspath(path))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            if len(os.fsencode(path)) < 100:
                connection.connect(path)
                return connection
            directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{directory}/{name}")
            finally:
                os.close(directory)
        except OSError as error:
            raise StoreError(
                f"cannot connect to socket at '{path}': {error.strerror}",
                hint="start the daemon (`frazil daemon`), or say `--store local` to work on the store directly",
            ) from error
    except BaseException:
        connection.close()
        raise
    return connection
