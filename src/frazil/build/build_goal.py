"""The goal "this derivation is built here": locks, a free slot, the builder, its log, its outputs.

Source of truth: libstore's `DerivationBuildingGoal`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.build.build_users import IDS_PER_BUILD, BuildUser, acquire_build_user, uses_build_users
from frazil.build.derivation_goal import known_outputs
from frazil.build.errors import BuildError, DerivationFailed, Failure, describe_status
from frazil.build.external import external_builder
from frazil.build.goals import A_WHILE, SLOT, Child, Done, EndOfFile, Event, Output, Steps, TimedOut, Wait
from frazil.build.hook import DECLINE
from frazil.build.local_build import BuilderFailed, LocalBuild
from frazil.build.log import MAXIMUM_LINE, BuildLog, LogFile
from frazil.build.options import DerivationOptions, derivation_options
from frazil.build.recursive import offered_features
from frazil.build.result import Status
from frazil.digest import encode_base32
from frazil.store.derivation import Derivation
from frazil.store.locks import PathLocks
from frazil.store.metadata import delete_tree
from frazil.store.path import StorePath, output_path_name

if TYPE_CHECKING:
    import subprocess

    from frazil.build.hook import Hook
    from frazil.build.worker import Worker

_TITLES = {"normal": "building", "check": "checking outputs of", "repair": "repairing outputs of"}


class BuildGoal:
    """`drv`: its inputs are plain store paths."""

    def __init__(self, worker: Worker, path: StorePath, drv: Derivation, mode: str) -> None:
        self.worker, self.path, self.drv, self.mode = worker, path, drv, mode
        self.store, self.settings = worker.store, worker.settings
        self.options = DerivationOptions()
        self.closure: frozenset[StorePath] = frozenset()
        self.locks: PathLocks | None = None
        self.random: dict[str, StorePath] = {}
        self.user: BuildUser | None = None

    @property
    def text(self) -> str:
        return self.store.show(self.path)

    def steps(self) -> Steps:
        yield from self._inputs()
        try:
            self.options = derivation_options(self.drv, self.store.directory)
            if not isinstance((self.options.structured or {}).get("exportReferencesGraph", {}), dict):
                self.worker.warn("warning: 'exportReferencesGraph' in structured attrs is not a JSON object, ignoring")
        except BuildError as error:
            raise BuildError(f"{error.message}\nwhile parsing derivation '{self.text}'") from error
        refusal = self._refusal()
        try:
            if self.mode == "normal" and (refusal or not self.options.prefer_local_build):
                done = yield from self._remotely()
                if done is not None:
                    return done
            if refusal:
                raise DerivationFailed(Failure.INPUT_REJECTED, refusal)
            while True:
                outputs = yield from self._take_locks()
                if outputs is not None:
                    return Done(Status.ALREADY_VALID, outputs, self.path)
                if self.worker.loop.running < self.settings.max_jobs:
                    if (yield from self._take_user()):
                        break
                    continue
                self._release(delete=False)
                yield SLOT
            return (yield from self._run())
        finally:
            self._release(delete=False)
            if self.user is not None:
                self.user.release()

    def _remotely(self) -> Generator[Wait, Event | None, Done | None]:
        """Has another machine build it; None where none will."""
        hooks = self.worker.hooks
        if hooks is None or hooks.declined or not self.store.is_registered(self.path):
            return None
        waiting: Activity | None = None
        try:
            while True:
                outputs = yield from self._take_locks()
                if outputs is not None:
                    return Done(Status.ALREADY_VALID, outputs, self.path)
                reply, hook = yield from hooks.ask(
                    willing=self.worker.loop.running < self.settings.max_jobs,
                    platform=self.drv.platform,
                    derivation=self.text,
                    features=sorted(self.options.required_features),
                )
                if hook is not None:
                    break
                self._release(delete=False)
                if reply == DECLINE:
                    return None
                if waiting is None:
                    text = f"waiting for a machine to build '{self.text}'"
                    waiting = Activity(
                        self.worker.reporter, ActivityType.BUILD_WAITING, text, level=Verbosity.WARN
                    ).__enter__()
                yield A_WHILE
        finally:
            if waiting is not None:
                waiting.__exit__(None, None, None)
        return (yield from self._follow_hook_build(hook))

    def _follow_hook_build(self, hook: Hook) -> Generator[Wait, Event | None, Done]:
        from frazil.build.hook_goal import HookBuild

        start = int(time.time())
        outputs = yield from HookBuild(self, hook).run()
        self.worker.counts.done += 1
        self.worker.has_built(self.path)
        yield from self._run_post_build_hook(outputs)
        self._release(delete=True)
        return Done(Status.BUILT, outputs, self.path, start, int(time.time()))

    def _inputs(self) -> Generator[Wait, Event | None, None]:
        store, worker = self.store, self.worker
        worker.bring_evaluated(self.drv)
        missing = sorted(path for path in self.drv.input_sources if not store.is_registered(path))
        if missing and worker.substitution is None:
            raise BuildError(
                f"dependency '{store.show(missing[0])}' of '{self.text}' does not exist, and substitution is disabled"
            )
        goals = [worker.path_goal(path) for path in missing]
        if goals:
            yield goals
            failed = sum(goal.done is None for goal in goals)
            if failed:
                word = "dependency" if failed == 1 else "dependencies"
                raise DerivationFailed(
                    Failure.DEPENDENCY_FAILED,
                    f"Cannot build '{self.text}'.\nReason: {failed} {word} failed." + known_outputs(worker, self.drv),
                )
        self.closure = frozenset(store.closure(self.drv.input_sources))

    def _refusal(self) -> str:
        """Why this machine may not build it at all; empty where it may."""
        settings, drv = self.settings, self.drv
        if not self.store.keeps_files:
            return (
                "Unable to build with a primary store that isn't a local store; "
                "either pass a different '--store' or enable remote builds."
                "\n\nFor more information check 'man nix.conf' and search for '/machines'."
            )
        reasons = ""
        if settings.max_jobs == 0:
            reasons += (
                "\nReason: local builds are disabled (max-jobs = 0)"
                "\nHint: set 'max-jobs' to a non-zero value to enable local builds, or configure remote builders via "
                "'builders'"
            )
        if external_builder(settings, drv) is not None:
            return reasons and f"Cannot build '{self.text}'.{reasons}"
        if drv.platform not in settings.platforms and not drv.is_builtin:
            reasons += (
                f"\nReason: platform mismatch\nRequired system: '{drv.platform}'\nCurrent system: '{settings.system}'"
            )
        available = settings.system_features | offered_features(settings.experimental_features)
        if self.options.required_features - available:
            required = ", ".join(sorted(self.options.required_features))
            reasons += (
                f"\nReason: missing system features\nRequired features: {{{required}}}"
                f"\nAvailable features: {{{', '.join(sorted(available))}}}"
            )
        return reasons and f"Cannot build '{self.text}'.{reasons}"

    # -------------------------------------------------------------------------------------------------------- locks

    def _outputs(self) -> dict[str, StorePath | None]:
        if self.drv.type().kind == "impure":
            if not self.random:
                self.random = {
                    name: StorePath(encode_base32(secrets.token_bytes(20)), output_path_name(self.drv.name, name))
                    for name in self.drv.outputs
                }
            return dict(self.random)
        outputs = self.drv.output_paths(self.store.directory)
        for name, path in outputs.items():
            if path is None:
                outputs[name] = self.store.query_realisation(self.path, name)
        return outputs

    def _known(self) -> dict[str, tuple[StorePath, bool]]:
        """Output → (path, valid); in repair mode, valid only with the right bytes."""
        known = {}
        for name, path in self._outputs().items():
            if path is not None:
                valid = self.store.is_registered(path)
                known[name] = (path, valid and (self.mode != "repair" or self.worker.contents_good(path)))
        floating = self.drv.type().kind == "floating"
        return {name: entry for name, entry in known.items() if not floating or entry[1]}

    def _lock_paths(self) -> list[str]:
        if not self.store.keeps_files:
            return []
        _ = self.store.database  # a store in which nothing was done yet has no folders
        root = self.store.config.real_store_dir
        outputs = self.drv.output_paths(self.store.directory)
        return [f"{root}/{path.base if path else f'{self.path.base}.{name}'}" for name, path in outputs.items()]

    def _take_locks(self) -> Generator[Wait, Event | None, dict[str, StorePath] | None]:
        """The outputs where another process has built them meanwhile. Holding the locks, nobody else builds."""
        paths = self._lock_paths()
        self.locks = PathLocks(paths, wait=False)
        if not self.locks.acquire():
            names = ", ".join(f"'{path}'" for path in paths)
            text = f"waiting for lock on {names}"
            reporter = self.worker.reporter
            with Activity(reporter, ActivityType.BUILD_WAITING, text, level=Verbosity.WARN):
                while True:
                    yield A_WHILE
                    if self.locks.acquire():
                        break
        known = self._known()
        if self.mode != "check" and len(known) == len(self.drv.outputs) and all(valid for _, valid in known.values()):
            self._release(delete=True)
            return {name: path for name, (path, _) in known.items()}
        if self.mode == "normal":
            for path, valid in known.values():
                if not valid:
                    delete_tree(f"{self.store.config.real_store_dir}/{path.base}")
        return None

    def _take_user(self) -> Generator[Wait, Event | None, bool]:
        """Whom the builder will be. False after waiting for one: the locks were given back then."""
        group = self.store.settings.build_users_group
        if self.drv.is_builtin or not uses_build_users(self.settings, group):
            return True
        count = IDS_PER_BUILD if self.options.wants_uid_range else 1
        mode, plain = self.settings.sandbox, self.options.no_chroot or not self.drv.type().is_sandboxed
        sandboxed = mode == "true" or (mode == "relaxed" and not plain) or not self.store.config.is_at_logical_place

        def acquire() -> BuildUser | None:
            state = self.store.config.state_dir
            return acquire_build_user(state, self.settings, group, count=count, sandboxed=sandboxed)

        self.user = acquire()
        if self.user is not None:
            return True
        self._release(delete=False)
        text = f"waiting for a free build user ID for '{self.text}'"
        with Activity(self.worker.reporter, ActivityType.BUILD_WAITING, text, level=Verbosity.WARN):
            while (user := acquire()) is None:
                yield A_WHILE
        user.release()  # the locks come first
        return False

    def _release(self, *, delete: bool) -> None:
        if self.locks is not None:
            self.locks.delete_files = delete
            self.locks.release()
            self.locks = None

    # ------------------------------------------------------------------------------------------------------ running

    def _run(self) -> Steps:
        worker, loop = self.worker, self.worker.loop
        worker.flush()
        build = LocalBuild(
            self.store,
            self.settings,
            worker.reporter,
            self.path,
            self.drv,
            self.options,
            self.closure,
            self._known(),
            self.mode,
            user=self.user,
        )
        settings = self.settings
        logs = self.store.config.log_dir if settings.keep_build_log else None
        title = f"{_TITLES[self.mode]} '{self.text}'"
        fields = (self.text, "", 1, 1)
        start, began = int(time.time()), time.monotonic()
        file = LogFile(logs, self.path.base, compress=settings.compress_build_log)
        loop.running += 1
        worker.counts.running += 1
        try:
            terminal = build.start()
            child = Child(
                terminal, settings.timeout, settings.max_silent_time, build.exit_descriptor, build.end_left_over
            )
            with Activity(worker.reporter, ActivityType.BUILD, title, fields=fields) as activity:
                worker.has_started(self.path, self.mode)
                log = BuildLog(activity, settings.log_lines, tells_ready=build.external is not None)
                try:
                    yield from self._follow(child, log, file)
                finally:
                    log.close()
                    file.close()
                outputs = self._finish(build, log)
        except DerivationFailed as failure:
            worker.counts.failed += 1
            build.kill()  # its control group knows then what it used
            failure.start_time, failure.stop_time = start, int(time.time())
            if build.usage is not None:
                failure.cpu_user, failure.cpu_system = build.usage.user, build.usage.system
            raise
        finally:
            file.close()
            build.kill()
            loop.running -= 1
            worker.counts.running -= 1
            worker.update_progress()
        worker.counts.done += 1
        worker.has_built(self.path)
        if self.mode == "normal":
            worker.times.note(self.path.name, time.monotonic() - began)
        self._record(outputs)
        yield from self._run_post_build_hook(outputs)
        self._release(delete=True)
        return Done(Status.BUILT, outputs, self.path, start, int(time.time()), build.usage)

    def _follow(self, child: Child, log: BuildLog, file: LogFile) -> Generator[Wait, Event | None, None]:
        """Reads the builder's terminal to its end."""
        size, limit = 0, self.settings.max_build_log_size
        try:
            while True:
                event = yield child
                match event:
                    case Output(data):
                        size += len(data)
                        if limit and size > limit:
                            raise DerivationFailed(
                                Failure.LOG_LIMIT_EXCEEDED,
                                f"building derivation '{self.text}' killed after writing more than {limit} bytes of "
                                "log output",
                            )
                        log.feed(data)
                        file.write(data)
                    case TimedOut(seconds):
                        raise DerivationFailed(
                            Failure.TIMED_OUT,
                            f"building derivation '{self.text}' timed out after {seconds} seconds",
                        )
                    case EndOfFile():
                        return
        finally:
            self.worker.loop.forget(child)

    def _finish(self, build: LocalBuild, log: BuildLog) -> dict[str, StorePath]:
        from frazil.store.errors import DiskFull, StoreError

        try:
            return build.finish()
        except BuilderFailed as failed:
            raise DerivationFailed(failed.failure, self._builder_message(failed, log)) from None
        except DiskFull:
            raise
        except StoreError as error:
            message = f"{error.message}\nwhile registering the outputs of '{self.text}'"
            raise DerivationFailed(Failure.OUTPUT_REJECTED, message, hint=error.hint) from error

    def _builder_message(self, failed: BuilderFailed, log: BuildLog) -> str:
        text = f"Cannot build '{self.text}'.\nReason: builder {describe_status(failed.status)}."
        text += known_outputs(self.worker, self.drv)
        if log.tail and not self.settings.print_build_logs:
            lines = "".join(f"> {line}\n" for line in log.tail)
            text += f"\nLast {len(log.tail)} log lines:\n{lines}"
            text += f"For full logs, run:\n  {self.settings.log_command} {self.text}"
        return text + failed.note

    def _record(self, outputs: dict[str, StorePath]) -> None:
        kind = self.drv.type().kind
        if (
            self.mode != "check"
            and kind != "impure"
            and (kind == "floating" or self.settings.has_feature("ca-derivations"))
        ):
            for name, path in outputs.items():
                self.store.register_own_realisation(self.path, name, path)

    def _run_post_build_hook(self, outputs: dict[str, StorePath]) -> Generator[Wait, Event | None, None]:
        """The user's program is told what was built. Its lines are read like a builder's: other builds go on."""
        hook = self.settings.post_build_hook
        if not hook:
            return
        import subprocess

        title = f"running post-build-hook '{hook}'"
        with Activity(
            self.worker.reporter, ActivityType.POST_BUILD_HOOK, title, fields=(self.text,), level=Verbosity.TALKATIVE
        ) as activity:
            try:
                process = subprocess.Popen(
                    [hook],
                    env=self._hook_environment(outputs),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    bufsize=0,
                )
            except OSError as error:
                raise BuildError(f"cannot run the post-build hook '{hook}': {error.strerror}") from error
            with process:
                try:
                    yield from self._follow_hook(process, activity)
                except BaseException:  # also a build cut off: nobody waits for its hook
                    process.kill()
                    raise
            if process.returncode:
                status = process.returncode
                words = f"failed with exit code {status}" if status > 0 else f"failed due to signal {-status}"
                raise BuildError(f'program "{hook}" {words}')

    def _hook_environment(self, outputs: dict[str, StorePath]) -> dict[str, str]:
        import os

        paths = " ".join(sorted(self.store.show(path) for path in outputs.values()))
        own = {"DRV_PATH": self.text, "OUT_PATHS": paths}
        if self.settings.configuration is not None:
            own["NIX_CONFIG"] = self.settings.configuration()
        return {**own, **os.environ}

    def _follow_hook(self, process: subprocess.Popen[bytes], activity: Activity) -> Generator[Wait, Event | None, None]:
        assert process.stdout is not None
        child = Child(process.stdout.fileno())
        pending = b""
        try:
            while isinstance(event := (yield child), Output):
                *lines, pending = (pending + event.data).split(b"\n")
                if len(pending) > MAXIMUM_LINE:
                    lines, pending = [*lines, pending], b""
                for line in lines:
                    self._show_hook_line(activity, line)
        finally:
            self.worker.loop.forget(child)
        if pending:
            self._show_hook_line(activity, pending)

    def _show_hook_line(self, activity: Activity, line: bytes) -> None:
        from frazil.activity import ResultType

        text = line.decode("utf-8", "replace")
        activity.reporter.result(activity.identifier, ResultType.POST_BUILD_LOG_LINE, (text,))
