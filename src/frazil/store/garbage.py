"""Garbage collection: what no root needs is deleted.

In: options. Out: which paths were (or would be) kept or deleted, and bytes freed. Other processes may go on adding
paths meanwhile: they tell the collector of their temporary roots through a socket and are answered when the path is
safe. Source of truth: the manual's `nix-store --gc`, C++ Nix's collector (lock, socket and order are the same).
"""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frazil.store import locks, roots
from frazil.store.errors import BadStorePath, PathInUse, StoreError, from_os_error
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from frazil.store.local import LocalStore

RETURN_LIVE = "live"
RETURN_DEAD = "dead"
DELETE_DEAD = "delete"
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Options:
    """`action`: "live", "dead" or "delete". `max_freed`: stop after so many bytes. `paths`: only these.

    A named path that is alive, or that others outside `paths` refer to, is an error; with `skip_alive` it is left out.
    `also_referrers`: dead referrers of `paths` go, too.
    """

    action: str = DELETE_DEAD
    max_freed: int | None = None
    ignore_liveness: bool = False
    paths: frozenset[StorePath] | None = None
    skip_alive: bool = False
    also_referrers: bool = False


@dataclass(slots=True)
class Results:
    """`paths`: logical ones, live, dead, or deleted. `links_saving`: bytes that hard links save."""

    paths: list[str] = field(default_factory=list)
    bytes_freed: int = 0
    links_saving: int = 0


class _LimitReached(Exception):
    pass


# ------------------------------------------------------------------------------------------------------- root server


class RootServer:
    """Hears of temporary roots while a collection runs. Holds `hash_parts` and who is being deleted (`pending`)."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self._folder = store.config.state_dir + "/gc-socket"
        self._condition = threading.Condition()
        self.hash_parts: set[str] = set()
        self._pending: set[str] = set()
        self._closing = False
        self._clients: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> RootServer:
        try:
            os.makedirs(self._folder, exist_ok=True)
            self._server = self._listen()
            try:
                self._selector = selectors.DefaultSelector()
                try:
                    self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC)
                except OSError:
                    self._selector.close()
                    raise
            except OSError:
                self._server.close()
                raise
        except OSError as error:
            raise from_os_error(error, f"creating a socket in '{self._folder}'") from error
        thread = threading.Thread(target=self._serve, name="garbage collector roots", daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def _listen(self) -> socket.socket:
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                os.unlink("socket", dir_fd=folder)
            except FileNotFoundError:
                pass
            server.bind(f"/proc/self/fd/{folder}/socket")  # the plain path may be too long for a socket
            os.chmod(f"{self._folder}/socket", 0o666)
            server.listen(64)
            server.setblocking(False)
        except BaseException:
            server.close()
            raise
        finally:
            os.close(folder)
        return server

    def _serve(self) -> None:
        with self._selector as selector:
            selector.register(self._server, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while not self._closing:
                selector.select()
                try:
                    client, _ = self._server.accept()
                except BlockingIOError:
                    continue
                except OSError:  # out of descriptors, perhaps: whoever asks waits until there are some
                    time.sleep(0.01)
                    continue
                client.setblocking(True)
                with self._condition:
                    self._clients.add(client)
                thread = threading.Thread(target=self._talk, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _talk(self, client: socket.socket) -> None:
        try:
            with client, client.makefile("rb") as lines:
                while line := lines.readline(4096):
                    self._note(os.fsdecode(line.rstrip(b"\n")))
                    client.sendall(b"1")
        except OSError:
            pass
        finally:
            with self._condition:
                self._clients.discard(client)

    def _note(self, text: str) -> None:
        try:
            part = self._store.directory.parse(text).hash_part
        except BadStorePath:
            self._store.warn("received garbage instead of a root from client")
            return
        with self._condition:
            self.hash_parts.add(part)
            while part in self._pending and not self._closing:
                self._condition.wait()

    def claim(self, paths: list[StorePath]) -> list[StorePath]:
        """Those that may be deleted now; until `release`, whoever asks for one of them waits."""
        with self._condition:
            free = [path for path in paths if path.hash_part not in self.hash_parts]
            self._pending = {path.hash_part for path in free}
            return free

    def release(self) -> None:
        with self._condition:
            self._pending = set()
            self._condition.notify_all()

    def __exit__(self, *details: object) -> None:
        """First nobody new is let in, then those inside are sent away."""
        with self._condition:
            self._closing = True
            self._pending = set()
            self._condition.notify_all()
        os.write(self._wake_write, b"x")
        self._threads[0].join()
        with self._condition:
            clients = list(self._clients)
        for client in clients:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads[1:]:
            thread.join()
        self._server.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


# ------------------------------------------------------------------------------------------------------------- graph


class ReferenceGraph:
    """References, derivers and outputs of all valid paths, read at once."""

    def __init__(self, store: LocalStore, *, keep_outputs: bool, keep_derivations: bool) -> None:
        database = store.database
        self.names: dict[int, StorePath] = {}
        self.numbers: dict[StorePath, int] = {}
        self.forward: dict[int, list[int]] = {}
        self.references: dict[int, list[int]] = {}
        self.referrers: dict[int, list[int]] = {}
        parse = store.directory.parse
        derivers = []
        by_text: dict[str, int] = {}
        for number, text, deriver in database.rows("select id, path, deriver from ValidPaths"):
            path = parse(text)
            by_text[text] = number
            self.names[number] = path
            self.numbers[path] = number
            if deriver:
                derivers.append((number, deriver))
        for referrer, reference in database.rows("select referrer, reference from Refs"):
            if referrer != reference:
                self.references.setdefault(referrer, []).append(reference)
                self.referrers.setdefault(reference, []).append(referrer)
        self.forward = {number: list(found) for number, found in self.references.items()}
        if keep_derivations:
            for number, deriver in derivers:
                if deriver in by_text:
                    self.forward.setdefault(number, []).append(by_text[deriver])
        if keep_outputs:
            for drv, text in database.rows("select drv, path from DerivationOutputs"):
                if text in by_text:
                    self.forward.setdefault(drv, []).append(by_text[text])
            for path, output in database.realised():
                if path in self.numbers and output in self.numbers:
                    self.forward.setdefault(self.numbers[path], []).append(self.numbers[output])

    def reachable(self, starts: Iterable[StorePath]) -> set[int]:
        pending = [self.numbers[path] for path in starts if path in self.numbers]
        found = set(pending)
        while pending:
            for other in self.forward.get(pending.pop(), ()):
                if other not in found:
                    found.add(other)
                    pending.append(other)
        return found

    def with_referrers(self, numbers: set[int]) -> set[int]:
        found, pending = set(numbers), list(numbers)
        while pending:
            for other in self.referrers.get(pending.pop(), ()):
                if other not in found:
                    found.add(other)
                    pending.append(other)
        return found

    def without_outside_referrers(self, numbers: set[int]) -> set[int]:
        """The largest part of `numbers` that nothing outside that part refers to."""
        left = set(numbers)
        pending = [n for n in numbers if any(other not in left for other in self.referrers.get(n, ()))]
        while pending:
            number = pending.pop()
            if number in left:
                left.discard(number)
                pending += self.references.get(number, ())
        return left

    def referrers_first(self, numbers: set[int]) -> list[StorePath]:
        """An order in which every path comes after all its referrers among `numbers`."""
        left = {n: sum(1 for r in self.referrers.get(n, ()) if r in numbers) for n in numbers}
        ready = sorted((n for n, count in left.items() if count == 0), reverse=True)
        order = []
        while ready:
            number = ready.pop()
            order.append(self.names[number])
            for other in self.references.get(number, ()):
                if other in left:
                    left[other] -= 1
                    if left[other] == 0:
                        ready.append(other)
        return order


# -------------------------------------------------------------------------------------------------------- collecting


class _Collector:
    def __init__(self, store: LocalStore, options: Options, server: RootServer) -> None:
        self.store = store
        self.options = options
        self.server = server
        self.results = Results()

    def find_live(self) -> tuple[ReferenceGraph, set[int]]:
        self.store.inform("finding garbage collector roots...")
        lasting = {} if self.options.ignore_liveness else roots.find_lasting_roots(self.store, censor=True)
        temporary = roots.find_temporary_roots(self.store, censor=True)
        self.server.hash_parts.update(path.hash_part for path in temporary)
        specific = self.options.paths is not None
        graph = ReferenceGraph(
            self.store,
            keep_outputs=self.store.settings.keep_outputs and not specific,
            keep_derivations=self.store.settings.keep_derivations and not specific,
        )
        return graph, graph.reachable([*lasting, *temporary])

    def delete_path(self, base: str) -> None:
        """From disk, one name of the store folder."""
        real = f"{self.store.config.real_store_dir}/{base}"
        if base.startswith("tmp-") and not self._is_abandoned(real):
            return
        logical = f"{self.store.config.store_dir}/{base}"
        self.store.inform(f"deleting '{logical}'")
        self.results.paths.append(logical)
        try:
            self.results.bytes_freed += self.store.delete_object(base)
        except StoreError as error:
            if not self.store.settings.ignore_gc_delete_failure:
                raise
            self.store.warn(f"ignoring failure to delete '{real}': {error.message}")
        limit = self.options.max_freed
        if limit is not None and self.results.bytes_freed > limit:
            self.store.inform(f"deleted more than {limit} bytes; stopping")
            raise _LimitReached

    @staticmethod
    def _is_abandoned(path: str) -> bool:
        """A working folder is locked by whoever uses it."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except NotADirectoryError:
            return True
        except OSError:
            return False
        try:
            return locks.flock(descriptor, fcntl.LOCK_EX, wait=False)
        finally:
            os.close(descriptor)

    def delete_valid(self, order: list[StorePath]) -> None:
        """First out of the database, then from disk: a death between leaves garbage, never a hole."""
        size = 1 if self.options.max_freed is not None else _BATCH
        for start in range(0, len(order), size):
            batch = self.server.claim(order[start : start + size])
            try:
                gone = self._invalidate(batch)
                for path in gone:
                    self.delete_path(path.base)
            finally:
                self.server.release()

    def _invalidate(self, batch: list[StorePath]) -> list[StorePath]:
        """Skips what has got a referrer since, and what that needs."""
        gone = []
        with self.store.database.transaction():
            for path in batch:
                try:
                    self.store.invalidate(path)
                except PathInUse as error:
                    self.store.inform(error.message)
                    continue
                gone.append(path)
        return gone

    def delete_invalid(self, graph: ReferenceGraph) -> None:
        """Names in the store folder that are no valid path: leftovers of deaths, lock files, strangers."""
        for name in sorted(os.listdir(self.store.config.real_store_dir)):
            if name == ".links" or not self.store.owns(name):
                continue
            try:
                path = StorePath.from_base(name)
            except BadStorePath:
                self.delete_path(name)
                continue
            if path in graph.numbers and self.store.is_registered(path):
                continue
            if not self.server.claim([path]):
                continue
            try:
                if not self.store.is_registered(path):
                    self.delete_path(name)
            finally:
                self.server.release()

    def delete_unused_links(self) -> None:
        self.store.inform("deleting unused links...")
        actual = unshared = 0
        folder = self.store.config.real_store_dir + "/.links"
        with os.scandir(folder) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if status.st_nlink == 1:
                    _unlink(entry.path)
                else:
                    actual += status.st_size
                    unshared += (status.st_nlink - 1) * status.st_size
        overhead = os.stat(folder).st_blocks * 512
        self.results.links_saving = max(0, unshared - actual - overhead)
        self.store.inform(f"note: hard linking is currently saving {render_size(self.results.links_saving)}")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def collect(store: LocalStore, options: Options) -> Results:
    """Raises StoreError; for named paths that are alive, PathInUse."""
    store.flush()
    _ = store.database
    if store.config.read_only:
        if options.action == DELETE_DEAD:
            store.require_writable()
        return _list_read_only(store, options)
    if options.action == DELETE_DEAD:
        _give_back_reserve(store)

    def waiting() -> None:
        store.inform("waiting for the big garbage collector lock...")

    lock = locks.FileLock(store.config.state_dir + "/gc.lock", exclusive=True, on_wait=waiting)
    with lock:
        _wait_for_test("_NIX_TEST_GC_SYNC_1")
        with RootServer(store) as server:
            return _collect_locked(store, options, server)


def _list_read_only(store: LocalStore, options: Options) -> Results:
    """What lives or is dead in a store that nobody changes: no lock, and nobody to answer."""
    collector = _Collector(store, options, RootServer(store))
    graph, live = collector.find_live()
    return _listed(store, collector, graph, live)


def _listed(store: LocalStore, collector: _Collector, graph: ReferenceGraph, live: set[int]) -> Results:
    store.inform("determining live/dead paths...")
    if collector.options.action == RETURN_LIVE:
        collector.results.paths = sorted(store.show(graph.names[number]) for number in live)
    else:
        collector.results.paths = _dead_names(store, collector, graph, live)
    return collector.results


def _wait_for_test(variable: str) -> None:
    """Where C++ Nix's tests stop a collection: until somebody writes to that pipe."""
    pipe = os.environ.get(variable)
    if pipe:
        with open(pipe, "rb") as file:
            file.read()


def _collect_locked(store: LocalStore, options: Options, server: RootServer) -> Results:
    collector = _Collector(store, options, server)
    graph, live = collector.find_live()
    _wait_for_test("_NIX_TEST_GC_SYNC_2")
    if options.action != DELETE_DEAD:
        return _listed(store, collector, graph, live)
    try:
        try:
            _delete_dead(store, collector, graph, live)
        except _LimitReached:
            pass
        collector.delete_unused_links()
    except OSError as error:
        raise from_os_error(error, "collecting garbage") from error
    return collector.results


def _delete_dead(store: LocalStore, collector: _Collector, graph: ReferenceGraph, live: set[int]) -> None:
    options = collector.options
    if options.max_freed == 0:
        return
    dead = set(graph.names) - live
    if options.paths is None:
        store.inform("deleting garbage...")
        collector.delete_valid(graph.referrers_first(dead))
        collector.delete_invalid(graph)
        _delete_outside(store)
        return
    within = "deleting garbage within specified paths..." if options.skip_alive else "deleting specified paths..."
    store.inform(within)
    wanted = {graph.numbers[path] for path in options.paths if path in graph.numbers}
    if options.also_referrers:
        wanted = graph.with_referrers(wanted - live if options.skip_alive else wanted)
    if options.skip_alive:
        wanted = graph.without_outside_referrers(wanted - live)
    else:
        for path in sorted(options.paths):
            _check_deletable(store, graph, path, wanted, live, collector.server.hash_parts)
    collector.delete_valid(graph.referrers_first(wanted))
    for path in sorted(options.paths):
        if path not in graph.numbers and path.hash_part not in collector.server.hash_parts:
            collector.delete_path(path.base)  # whether or not anything is there


def _delete_outside(store: LocalStore) -> None:
    """What stands in the `outside` folder for objects that are gone."""
    import shutil

    folder = store.config.outside_dir
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if not os.path.lexists(f"{store.config.real_store_dir}/{name}"):
            shutil.rmtree(f"{folder}/{name}", ignore_errors=True)
            if os.path.lexists(f"{folder}/{name}"):
                os.unlink(f"{folder}/{name}")


def _check_deletable(
    store: LocalStore, graph: ReferenceGraph, path: StorePath, wanted: set[int], live: set[int], temporary: set[str]
) -> None:
    number = graph.numbers.get(path)
    if number is None:
        in_use = path.hash_part in temporary
    else:
        in_use = number in live or any(other not in wanted for other in graph.referrers.get(number, ()))
    if in_use:
        raise PathInUse(
            f"Cannot delete path '{store.show(path)}' since it is still alive. To find out why, use: "
            "nix-store --query --roots and nix-store --query --referrers"
        )


def _dead_names(store: LocalStore, collector: _Collector, graph: ReferenceGraph, live: set[int]) -> list[str]:
    dead = {store.show(graph.names[number]) for number in set(graph.names) - live}
    for name in os.listdir(store.config.real_store_dir):
        try:
            path = StorePath.from_base(name)
        except BadStorePath:
            continue
        if path not in graph.numbers and path.hash_part not in collector.server.hash_parts:
            dead.add(store.show(path))
    return sorted(dead)


def _give_back_reserve(store: LocalStore) -> None:
    """The database may need the space to record deletions on a full disk. Made again at the next opening."""
    try:
        os.unlink(store.config.state_dir + "/db/reserved")
    except OSError:
        pass


def delete(
    store: LocalStore,
    paths: Iterable[StorePath],
    *,
    ignore_liveness: bool = False,
    skip_alive: bool = False,
    also_referrers: bool = False,
) -> Results:
    wanted = frozenset(paths)
    if not wanted:
        return Results()
    options = Options(
        ignore_liveness=ignore_liveness, paths=wanted, skip_alive=skip_alive, also_referrers=also_referrers
    )
    return store.collect_garbage(options)


def render_size(size: int) -> str:
    """`1.5 MiB`; the smallest unit is KiB."""
    value = size / 1024
    for unit in "KMGTPE":
        if abs(value) < 1024 or unit == "E":
            return f"{value:.1f} {unit}iB"
        value /= 1024
    raise AssertionError
