"""Making paths valid by fetching them: asked for, fetched and unpacked in threads, many at once.

In: store paths. Out: valid paths, or why not. A path is fetched while what it refers to is still on its way, and
becomes valid after all of that; many are registered together. The lock of a path is held from before its transfer until
it is registered. Source of truth: libstore's `PathSubstitutionGoal`, for messages and for what a failure means.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.build.errors import DerivationFailed, Failure
from frazil.build.goals import A_WHILE, Done, Event, Goal, Job, Steps, Wait
from frazil.build.result import Status
from frazil.build.substituters import Offer, Substituters
from frazil.errors import FrazilError
from frazil.store import adding
from frazil.store.copying import copying_activity
from frazil.store.errors import DiskFull, InvalidPath, StoreError, SubstituteGone
from frazil.store.locks import PathLocks
from frazil.store.pool import Pool

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.build.settings import BuildSettings
    from frazil.build.worker import Worker
    from frazil.store.content_address import ContentAddress
    from frazil.store.local import LocalStore
    from frazil.store.nar import Read
    from frazil.store.path import StorePath
    from frazil.store.realisation import Realisation

EARLY = 200
"""So many paths at most are locked before what they refer to is there: each is an open file."""
BATCH = 128
_LONGEST = 0.1
"""Seconds after which what was fetched is registered."""


class Substitution:
    """What the goals of one worker share for fetching."""

    def __init__(self, worker: Worker, substituters: Substituters) -> None:
        self.worker = worker
        self.store: LocalStore = worker.store
        self.substituters = substituters
        self._asking = Pool(worker.settings.http_connections or 64, "ask")
        self._fetching = Pool(max(1, worker.settings.max_substitution_jobs), "fetch", sparing=True)
        self._staged: list[PathLocks] = []
        self._staged_since = 0.0
        self.locked = 0
        self.stopped = threading.Event()
        self.done = self.expected = self.running = self.failed = 0
        self._download = self._unpacked = 0
        """Bytes of all paths that were and are being fetched."""

    def close(self) -> None:
        self.stopped.set()
        self._asking.close()
        self._fetching.close()
        self.flush()

    # ---------------------------------------------------------------------------------------------- registering

    def stage(self, offer: Offer, lock: PathLocks) -> None:
        """For registration with others; for us it is valid from now on."""
        self.store.stage([offer.info])
        if not self._staged:
            self._staged_since = time.monotonic()
        self._staged.append(lock)
        if len(self._staged) >= BATCH:
            self.flush()

    def flush(self) -> None:
        staged, self._staged = self._staged, []
        try:
            self.store.flush()
            for lock in staged:
                lock.delete_files = True
        finally:
            for lock in staged:
                lock.release()
            self.locked -= len(staged)

    def idle(self) -> float | None:
        """Registers what has waited long enough; after how many seconds to be asked again."""
        if not self._staged:
            return None
        left = self._staged_since + _LONGEST - time.monotonic()
        if left > 0:
            return left
        self.flush()
        return None

    def progress(self) -> None:
        self.worker.copies.progress(self.done, max(self.expected, self.done), self.running, self.failed)

    def begun(self, offer: Offer) -> None:
        self.running += 1
        self._download += offer.download_size
        self._unpacked += offer.info.nar_size
        self.worker.expect_bytes(self._download, self._unpacked)
        self.progress()

    # ---------------------------------------------------------------------------------------------------- asking

    def known(self, path: StorePath, start: int) -> tuple[int, Offer | None] | None:
        """As `_find`, where all that have to be asked have answered already; else None."""
        stores = self.substituters.stores
        for number in range(start, len(stores)):
            store = stores[number]
            if store.directory != self.store.directory:
                return None
            known, info = store.remembered(path)
            if not known:
                return None
            if info is not None:
                return number, Offer(store, path, info)
        return len(stores), None

    def ask(self, path: StorePath, start: int, address: ContentAddress | None) -> Job:
        return Job(self._asking.submit(self._find, path, start, address))

    def _find(
        self, path: StorePath, start: int, address: ContentAddress | None
    ) -> tuple[int, Offer | None, list[FrazilError]]:
        """The next substituter that has a path, from number `start` on; its number; what went wrong with others."""
        errors: list[FrazilError] = []
        stores = self.substituters.stores
        for number in range(start, len(stores)):
            try:
                offer = self.substituters.offer(self.store, stores[number], path, address)
            except InvalidPath:
                continue
            except FrazilError as error:
                errors.append(error)
                continue
            if offer is not None:
                return number, offer, errors
        return len(stores), None, errors

    def realisation(self, derivation: StorePath, output: str) -> Generator[Wait, Event | None, Realisation | None]:
        """Where a cache says that an output of a floating derivation went."""
        job = Job(self._asking.submit(self._realisations, derivation, output))
        yield job
        for store, found, error in job.future.result():
            if error is not None:
                self.worker.reporter.log(Verbosity.ERROR, f"error: {error.message}")
                continue
            trusted = store.is_trusted or not self.store.settings.require_signatures
            if trusted or found.count_good_signatures(self.store.trusted_keys):
                assert found is None or found.derivation == derivation
                result: Realisation = found
                return result
            self.worker.warn(
                f"ignoring substitute for build trace '{self.store.show(derivation)}^{output}' -> "
                f"'{self.store.show(found.path)}' from '{store.uri}', as it's not signed by any of the keys in "
                "'trusted-public-keys'"
            )
        return None

    def _realisations(self, derivation: StorePath, output: str) -> list[tuple[object, object, FrazilError | None]]:
        found: list[tuple[object, object, FrazilError | None]] = []
        for store in self.substituters.stores:
            if store.directory != self.store.directory:
                continue
            try:
                realisation = store.realisation(derivation, output)
            except FrazilError as error:
                found.append((store, None, error))
                continue
            if realisation is not None:
                found.append((store, realisation, None))
                if store.is_trusted or not self.store.settings.require_signatures:
                    break
        return found

    # --------------------------------------------------------------------------------------------------- fetching

    def fetch(self, offer: Offer, activity: Activity, *, repair: bool) -> Job:
        return Job(self._fetching.submit(self._fetch, offer, activity, repair))

    def _fetch(self, offer: Offer, activity: Activity, repair: bool) -> None:
        self._check_stopped()
        if os.environ.get("_NIX_TEST_CONCURRENT_SUBSTITUTION"):
            time.sleep(1)
        archive = offer.store.take_nar(offer.path)
        if isinstance(archive, bytes):
            activity.progress(0, offer.info.nar_size)
            if repair or not adding.receive_small(self.store, offer.info, archive):
                adding.unpack_promised(self.store, offer.info, io.BytesIO(archive).read, whole=True, repair=repair)
        else:
            with archive as read:
                watched = self._watched(read, offer, activity)
                adding.unpack_promised(self.store, offer.info, watched, whole=True, repair=repair)
        self._check_stopped()

    def _watched(self, read: Read, offer: Offer, activity: Activity) -> Read:
        had = shown = 0
        activity.progress(0, offer.info.nar_size)

        def watched(size: int) -> bytes:
            nonlocal had, shown
            self._check_stopped()
            data = read(size)
            had += len(data)
            if had - shown > 1 << 18:
                shown = had
                activity.progress(had, offer.info.nar_size)
            return data

        return watched

    def _check_stopped(self) -> None:
        if self.stopped.is_set():
            raise StoreError("the transfer was cut off")


class PathSubstitution:
    """One path's way here: the steps of its goal."""

    def __init__(self, shared: Substitution, path: StorePath, address: ContentAddress | None, repair: bool) -> None:
        self.shared, self.path, self.address, self.repair = shared, path, address, repair
        self.store, self.worker = shared.store, shared.worker
        self.failed = False
        self.last_error: FrazilError | None = None
        self.lock: PathLocks | None = None
        self.job: Job | None = None

    def steps(self) -> Steps:
        """Done, or DerivationFailed: NO_SUBSTITUTERS where nobody has it, else TRANSIENT_FAILURE."""
        shared = self.shared
        number = 0
        shared.expected += 1
        try:
            while True:
                answer = shared.known(self.path, number)
                if answer is None:
                    ask = shared.ask(self.path, number, self.address)
                    yield ask
                    number, offer, errors = ask.future.result()
                    self._note(errors)
                else:
                    number, offer = answer
                if offer is None:
                    break
                number += 1
                if self._is_refused(offer):
                    continue
                done = yield from self._try(offer)
                if done is not None:
                    return done
        finally:
            shared.expected -= 1
            self._release()
        raise self._failure()

    def _note(self, errors: Iterable[FrazilError]) -> None:
        for error in errors:
            if self.last_error is not None:
                self.worker.reporter.log(Verbosity.ERROR, f"error: {self.last_error.message}")
            self.last_error = error

    def _failure(self) -> FrazilError:
        if self.failed:
            self.shared.failed += 1
        if self.last_error is not None:
            if not self.worker.settings.fallback:
                return self.last_error
            self.worker.reporter.log(Verbosity.ERROR, f"error: {self.last_error.message}")
        return DerivationFailed(
            Failure.TRANSIENT_FAILURE if self.failed else Failure.NO_SUBSTITUTERS,
            f"path '{self.store.show(self.path)}' is required, but there is no substituter that can build it",
        )

    def _is_refused(self, offer: Offer) -> bool:
        if offer.store.is_trusted or not adding.is_untrusted(self.store, offer.info):
            return False
        self.worker.warn(
            f"ignoring substitute for '{self.store.show(self.path)}' from '{offer.store.uri}', as it's not signed by "
            "any of the keys in 'trusted-public-keys'"
        )
        return True

    def _try(self, offer: Offer) -> Generator[Wait, Event | None, Done | None]:
        """None: this substituter could not, another may."""
        shared = self.shared
        others = sorted(offer.info.references - {self.path})
        self.store.add_temporary_roots(others)
        self.worker.look_for(others)
        references = [self.worker.path_goal(path) for path in others]
        if shared.locked >= EARLY:
            yield from self._references(offer, references)
        reporter = self.worker.reporter
        fields = (self.store.show(self.path), offer.store.uri)
        with (
            Activity(reporter, ActivityType.SUBSTITUTE, "", fields=fields, level=Verbosity.ERROR) as whole,
            copying_activity(offer.store, self.store, self.path, reporter, whole) as activity,
        ):
            if not (yield from self._take_lock()):
                return Done(Status.ALREADY_VALID)
            shared.begun(offer)
            self.job = shared.fetch(offer, activity, repair=self.repair)
            try:
                yield from self._references(offer, references)
                yield self.job
            finally:
                shared.running -= 1
            error = self._outcome()
        if error is None:
            shared.done += 1
            lock, self.lock = self.lock, None
            assert lock is not None
            shared.stage(offer, lock)
            shared.progress()
            return Done(Status.SUBSTITUTED)
        self._release()
        if isinstance(error, SubstituteGone):
            self.worker.warn(error.message)
        elif isinstance(error, DiskFull):
            raise error
        else:
            self.worker.reporter.log(Verbosity.ERROR, f"error: {error.message}")
            self.failed = True
        return None

    def _outcome(self) -> FrazilError | None:
        """What came of the transfer. Errors that are not about it are raised."""
        assert self.job is not None
        job, self.job = self.job, None
        try:
            job.future.result()
        except FrazilError as error:
            return error
        return None

    def _references(self, offer: Offer, goals: list[Goal]) -> Generator[Wait, Event | None, None]:
        if goals:
            yield goals
        if any(goal.done is None for goal in goals):
            none = all(_lacks_substituters(goal) for goal in goals if goal.done is None)
            raise DerivationFailed(
                Failure.NO_SUBSTITUTERS if none else Failure.DEPENDENCY_FAILED,
                f"some references of path '{self.store.show(self.path)}' could not be realised",
            )

    def _take_lock(self) -> Generator[Wait, Event | None, bool]:
        """False where the path came meanwhile. Waiting for another process, we hold up nobody."""
        lock = self.store.path_locks([self.path], wait=False)
        while not lock.acquire():
            self.shared.flush()
            yield A_WHILE
        # It was not valid a moment ago: if another process made it meanwhile it lies there.
        real = f"{self.store.config.real_store_dir}/{self.path.base}"
        if not self.repair and os.path.lexists(real) and self.store.is_registered(self.path):
            lock.delete_files = True
            lock.release()
            return False
        self.shared.locked += 1
        self.lock = lock
        return True

    def _release(self) -> None:
        """A transfer that still runs keeps the lock until it hears that it is not wanted."""
        lock, self.lock = self.lock, None
        job, self.job = self.job, None
        if lock is None:
            return
        self.shared.locked -= 1
        if job is None or job.future.cancel():
            lock.release()
            return

        def release(future: Future[object]) -> None:
            lock.release()

        job.future.add_done_callback(release)


def _lacks_substituters(goal: Goal) -> bool:
    return isinstance(goal.outcome, DerivationFailed) and goal.outcome.failure is Failure.NO_SUBSTITUTERS


def substitute_paths(
    store: LocalStore, paths: Iterable[StorePath], settings: BuildSettings, reporter: Reporter
) -> None:
    """Fetches those of `paths` that substituters have; the others stay as they are."""
    from frazil.build.scheduler import realise
    from frazil.store.derived_path import DerivedPath

    wanted = set(paths)
    missing = wanted - store.valid_among(wanted)
    if not missing:
        return
    substituters = Substituters(settings, store.settings, reporter)
    try:
        offers = substituters.find(store, dict.fromkeys(missing))
        good = [path for path, offer in offers.items() if not adding.is_untrusted(store, offer.info)]
        realise(
            store,
            [DerivedPath(path, None) for path in sorted(good)],
            settings.with_(keep_going=True),
            reporter,
            substituters=substituters,
        )
    except FrazilError as error:
        reporter.log(Verbosity.WARN, f"could not fetch everything from substituters: {error.message}")
    finally:
        substituters.close()
