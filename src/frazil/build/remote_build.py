"""What the build hook does: finds a machine for a derivation, copies what it needs there, the outputs back.

In: the requests of whoever runs the hook (see `hook`). Out: lines `# accept`, `# decline`, `# postpone`, and a build.
Which machines are busy is told by locks on files in the store's state, `current-load/URI-SLOT`, so that all hooks of
all programs on this machine agree. Source of truth: C++ Nix's `build-remote`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Reporter, Verbosity
from frazil.build.machines import Machine, parse_machines
from frazil.errors import FrazilError
from frazil.protocol.wire import Reader
from frazil.store import locks
from frazil.store.copying import copy_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frazil.build.result import BuildResult
    from frazil.build.settings import BuildSettings
    from frazil.store.derivation import Derivation
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath
    from frazil.store.path_info import PathInfo

_UPLOAD_PATIENCE = 15 * 60
"""Seconds to wait for somebody else's upload to the same machine."""
_ECHO = 5


@dataclass(slots=True)
class Request:
    """`willing`: the build could be done here at once."""

    willing: bool
    system: str
    derivation: StorePath
    features: frozenset[str]


@dataclass(slots=True)
class RemoteBuilder:
    """`open_store` opens a machine's store."""

    store: LocalStore
    settings: BuildSettings
    reporter: Reporter
    open_store: Callable[[Machine], LocalStore]
    builds_here: bool
    """Whether this machine builds at all."""
    use_substitutes: bool = False
    failed: set[str] = field(default_factory=set)
    """Machines that could not be reached."""

    def run(self, reader: Reader) -> int:
        machines = parse_machines(self.settings.builders, [self.settings.system])
        if not machines:
            _say("# decline-permanently")
            return 0
        while (request := self._request(reader)) is not None:
            with self._slot(machines, request) as chosen:
                if chosen is not None:
                    machine, remote = chosen
                    with remote:
                        self._build(reader, request, machine, remote)
                    return 0
        return 0

    def _request(self, reader: Reader) -> Request | None:
        size = reader.number_or_end()
        if size is None:
            return None
        word = reader.exactly((size + 7) & ~7)[:size] if size < 64 else b""
        if word != b"try":
            return None
        willing, system = reader.boolean(), reader.text(1 << 16)
        derivation = self.store.parse(reader.text(1 << 12))
        return Request(willing, system, derivation, frozenset(reader.texts()))

    # -- choosing ----------------------------------------------------------------------------------------------------

    @contextmanager
    def _slot(self, machines: list[Machine], request: Request) -> Iterator[tuple[Machine, LocalStore] | None]:
        """A machine with its store connected, its slot locked meanwhile; None after having declined or postponed."""
        folder = f"{self.store.config.state_dir}/current-load"
        os.makedirs(folder, exist_ok=True)
        lock = -1
        try:
            while True:
                with locks.FileLock(f"{folder}/main-lock", exclusive=True):
                    machine, lock, fits = self._best(folder, machines, request)
                if machine is None:
                    self._refuse(machines, request, fits)
                    yield None
                    return
                os.utime(lock)
                remote = self._connect(machine)
                if remote is not None:
                    yield machine, remote
                    return
                os.close(lock)
                lock = -1
        finally:
            if lock >= 0:
                os.close(lock)

    def _best(self, folder: str, machines: list[Machine], request: Request) -> tuple[Machine | None, int, bool]:
        """(the one with the least load for its speed, its locked slot, whether any could ever do it)."""
        best: tuple[Machine, float, int] | None = None
        lock, fits = -1, False
        for machine in machines:
            if machine.address in self.failed or not machine.can_build(request.system, request.features):
                continue
            fits = True
            free, load = _free_slot(folder, machine)
            if free < 0:
                continue
            share = load / machine.speed
            if best is None or (share, -machine.speed, load) < (best[1], -best[0].speed, best[2]):
                if lock >= 0:
                    os.close(lock)
                best, lock = (machine, share, load), free
            else:
                os.close(free)
        return (best[0] if best else None), lock, fits

    def _refuse(self, machines: list[Machine], request: Request, fits: bool) -> None:
        settings = self.settings
        local = (
            self.builds_here and request.system in settings.platforms and request.features <= settings.system_features
        )
        if fits and not (request.willing and local):
            _say("# postpone")
            return
        rows = "".join(
            f"\n([{_words(m.systems)}], {m.max_jobs}, [{_words(m.features)}], [{_words(m.mandatory)}])"
            for m in machines
        )
        text = (
            f"Failed to find a machine for remote build!\nderivation: {request.derivation.base}\n"
            f"required (system, features): ({request.system}, [{_words(request.features)}])\n"
            f"{len(machines)} available machines:\n(systems, maxjobs, supportedFeatures, mandatoryFeatures){rows}"
        )
        self.reporter.log(Verbosity.CHATTY if local else Verbosity.NOTICE, text)
        _say("# decline")

    def _connect(self, machine: Machine) -> LocalStore | None:
        try:
            with self._activity(f"connecting to '{machine.address}'"):
                remote = self.open_store(machine)
                remote.open()
                return remote
        except (FrazilError, OSError) as error:
            said = _echoed()
            self.reporter.log(
                Verbosity.ERROR, f"cannot build on '{machine.address}': error: {error}" + (f": {said}" if said else "")
            )
            self.failed.add(machine.address)
            return None

    def _activity(self, text: str) -> Activity:
        return Activity(self.reporter, ActivityType.UNKNOWN, text, level=Verbosity.TALKATIVE)

    # -- building ----------------------------------------------------------------------------------------------------

    def _build(self, reader: Reader, request: Request, machine: Machine, remote: LocalStore) -> None:
        try:
            os.close(_ECHO)
        except OSError:
            pass  # whoever runs the hook gave none
        _say(f"# accept\n{machine.address}")
        parse = self.store.directory.parse_canonical
        inputs = {parse(text) for text in reader.texts()}
        wanted = reader.texts()
        with self._upload_lock(machine), self._activity(f"copying dependencies to '{machine.address}'"):
            if self.use_substitutes:
                remote.substitute_there(inputs)
            copy_paths(self.store, remote, inputs, self.reporter, check_signatures=False)
        drv = self.store.read_derivation(request.derivation)
        result = self._realise(request, machine, remote, drv, inputs)
        self._bring_back(machine, remote, request, drv, result, wanted)

    @contextmanager
    def _upload_lock(self, machine: Machine) -> Iterator[None]:
        """Only one uploads to a machine at a time: what several builds need is sent once."""
        import hashlib

        name = _escaped(machine.address)
        if len(name) > 200:
            name = hashlib.md5(machine.address.encode(), usedforsecurity=False).hexdigest()
        descriptor = locks.open_lock_file(f"{self.store.config.state_dir}/current-load/{name}.upload-lock")
        try:
            with self._activity(f"waiting for the upload lock to '{machine.address}'"):
                if not _lock_patiently(descriptor):
                    self.reporter.log(
                        Verbosity.ERROR,
                        f"somebody is hogging the upload lock for '{machine.address}', continuing...",
                    )
            yield
        finally:
            os.close(descriptor)

    def _realise(
        self, request: Request, machine: Machine, remote: LocalStore, drv: Derivation, inputs: set[StorePath]
    ) -> BuildResult:
        """Who does not trust us is not told an output path, but the whole derivation."""

        from frazil.build.scheduler import realise_derivation, realise_each
        from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

        settings = self._settings_for(machine)
        if remote.trusts_us is not False or drv.type().is_content_addressed:
            if drv.input_derivations or drv.dynamic_inputs:
                drv = drv.with_(input_derivations={}, dynamic_inputs={}, input_sources=frozenset(inputs))
            result = realise_derivation(remote, request.derivation, drv, settings, self.reporter)
        else:
            closure = self.store.closure([request.derivation])
            if self.use_substitutes:
                remote.substitute_there(closure)
            copy_paths(self.store, remote, closure, self.reporter, check_signatures=False)
            (result,) = realise_each(remote, [DerivedPath(request.derivation, ALL_OUTPUTS)], settings, self.reporter)
        if result.failure is not None:
            self._say_what_was_kept(drv)
            shown = self.store.show(request.derivation)
            raise FrazilError(f"build of '{shown}' on '{machine.address}' failed: {result.failure.message}")
        return result

    def _settings_for(self, machine: Machine) -> BuildSettings:
        """For a store on this very machine: nothing is handed on any further."""
        offered = machine.reference().parameters.get("system-features", "").split()
        return self.settings.with_(builders="", build_hook=(), max_jobs=1, system_features=frozenset(offered))

    def _say_what_was_kept(self, drv: Derivation) -> None:
        if not self.settings.keep_failed:
            return
        text = "The failed build directory was kept on the remote builder due to `--keep-failed`."
        if drv.platform in self.settings.platforms:
            text += " You can re-run the command with `--builders ''` to disable remote building for this invocation."
        self.reporter.log(Verbosity.WARN, text)

    def _bring_back(
        self,
        machine: Machine,
        remote: LocalStore,
        request: Request,
        drv: Derivation,
        result: BuildResult,
        wanted: list[str],
    ) -> None:
        store = self.store
        found: dict[str, StorePath] = {}
        if drv.type().has_known_output_paths:
            outputs = {path for path in drv.output_paths(store.directory).values() if path is not None}
        else:
            for name in wanted:
                if store.query_realisation(request.derivation, name) is None:
                    if name not in result.outputs:
                        raise FrazilError(f"'{machine.address}' does not say where the output '{name}' is")
                    found[name] = result.outputs[name]
            outputs = set(found.values())
        missing = {path for path in outputs if not store.is_registered(path)}
        with self._activity(f"copying outputs from '{machine.address}'"):
            self._take_all(remote, list(remote.query_infos(remote.topological(missing))))
        for name, path in found.items():
            store.register_realisation(request.derivation, name, path)

    def _take_all(self, remote: LocalStore, infos: list[PathInfo]) -> None:
        """Whoever runs the hook holds the locks of the paths."""

        from frazil.store.copying import copying_activity

        if not infos:
            return
        words = f"copying {len(infos)} paths"
        with Activity(self.reporter, ActivityType.COPY_PATHS, words, level=Verbosity.INFO) as activity:
            for done, info in enumerate(infos):
                activity.progress(done, len(infos), 1)
                copied = copying_activity(remote, self.store, info.path, self.reporter, activity)
                with copied, remote.open_nar(info.path) as read:
                    self.store.add_locked(info.with_(ultimate=False), read)
            activity.progress(len(infos), len(infos), 0)


def _say(text: str) -> None:
    """A reply is a line of standard error."""
    os.write(2, text.encode("utf-8", "surrogateescape") + b"\n")


def _words(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _escaped(address: str) -> str:
    return address.replace("/", "_")


def _free_slot(folder: str, machine: Machine) -> tuple[int, int]:
    """(a locked free slot or -1, how many are taken)."""
    free, load = -1, 0
    for number in range(machine.max_jobs):
        descriptor = locks.open_lock_file(f"{folder}/{_escaped(machine.address)[:200]}-{number}")
        if not locks.flock(descriptor, _exclusive(), wait=False):
            load += 1
            os.close(descriptor)
        elif free < 0:
            free = descriptor
        else:
            os.close(descriptor)
    return free, load


def _exclusive() -> int:
    import fcntl

    return fcntl.LOCK_EX


def _lock_patiently(descriptor: int) -> bool:
    import time

    end = time.monotonic() + _UPLOAD_PATIENCE
    while not locks.flock(descriptor, _exclusive(), wait=False):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _echoed() -> str:
    """What SSH has said so far."""
    import select

    try:
        poll = select.poll()
        poll.register(_ECHO, select.POLLIN)
        if not poll.poll(0):
            return ""
        return os.read(_ECHO, 1 << 16).decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


def prepare_process() -> None:
    """No dialogues of SSH's; ended at once by whoever runs us."""
    for name in ("DISPLAY", "SSH_ASKPASS"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stdout.flush()
