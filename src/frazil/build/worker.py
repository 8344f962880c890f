"""What the goals of one `realise` share: settings, progress, and the one goal for each thing to be done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Reporter, ResultType, Verbosity
from frazil.build.errors import BuildError, DerivationFailed, Failure, failure_text
from frazil.build.goals import Goal, Loop, Steps
from frazil.build.history import BuildTimes
from frazil.build.settings import BuildSettings
from frazil.store.derivation import Derivation
from frazil.store.derived_path import DerivedPath, OutputsSpec
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from types import TracebackType

    from frazil.build.hook import Hooks
    from frazil.build.substituters import Substituters
    from frazil.build.substitution import Substitution
    from frazil.store.content_address import ContentAddress
    from frazil.store.local import LocalStore

_LOCK_POLL = 0.2
"""Seconds between tries of a lock; the setting `build-poll-interval` is an upper bound."""


@dataclass(slots=True)
class Counts:
    expected: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0


class Worker:
    """A context manager: leaving it ends what still runs."""

    def __init__(
        self,
        store: LocalStore,
        settings: BuildSettings,
        reporter: Reporter,
        mode: str,
        substituters: Substituters | None,
    ) -> None:
        self.store, self.settings, self.reporter, self.mode = store, settings, reporter, mode
        self._given = substituters
        self._own: Substituters | None = None
        self._substitution: Substitution | None = None
        self.loop = Loop(
            max_jobs=settings.max_jobs,
            keep_going=settings.keep_going,
            poll_interval=min(_LOCK_POLL, settings.build_poll_interval or _LOCK_POLL),
        )
        if store.settings.min_free > 0:
            interval = max(1.0, float(store.settings.min_free_check_interval))
            self.loop.tick = (interval, lambda: store.collect_if_needed(wait=False))
        self.counts = Counts()
        self.times = BuildTimes(settings.history)
        self.loop.cost = self._cost
        self._left: dict[StorePath, float] = {}
        """Derivations to be built, and how long each may take."""
        self._left_in_all = 0.0
        self._chains: dict[StorePath, tuple[float, float]] = {}
        """Of what is building: when it began, and how long the chain takes that waits for it."""
        self.hooks: Hooks | None = None
        """Who has other machines build."""
        self._reported: set[DerivationFailed] = set()
        self._goals: dict[object, Goal] = {}
        self._contents_good: dict[StorePath, bool] = {}
        self._absent: set[StorePath] = set()
        """Paths that were not valid when the database was asked for many."""
        self._all = Activity(reporter, ActivityType.REALISE, "", level=Verbosity.ERROR)
        self.builds = Activity(reporter, ActivityType.BUILDS, "", level=Verbosity.ERROR)
        self.copies = Activity(reporter, ActivityType.COPY_PATHS, "", level=Verbosity.ERROR)

    def __enter__(self) -> Worker:
        from frazil.build.directories import remove_stale

        if not self.store.config.read_only:
            remove_stale(self.settings.build_dir or f"{self.store.config.state_dir}/builds", self.warn)
        self._all.__enter__()
        self.builds.__enter__()
        self.copies.__enter__()
        self.hooks = self._make_hooks()
        return self

    def _make_hooks(self) -> Hooks | None:
        """None where no other machine builds."""
        settings = self.settings
        if not settings.builders and settings.build_hook is None:
            return None
        from frazil.build.hook import Hooks
        from frazil.build.machines import own_build_hook, parse_machines

        if settings.build_hook is not None:
            command = list(settings.build_hook)
            if not command:
                return None
        elif parse_machines(settings.builders, [settings.system]):
            command = own_build_hook()
        else:
            return None
        return Hooks(settings, self.reporter, command, self._all, self.store.address)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.hooks is not None:
            self.hooks.close()
        try:
            if self._substitution is not None:
                self._substitution.close()
            if self._own is not None:
                self._own.close()
        finally:
            if kind is not None and issubclass(kind, KeyboardInterrupt) and self.counts.done:
                count = self.counts.done
                words = "1 derivation was built and stays" if count == 1 else f"{count} derivations were built and stay"
                self.reporter.log(Verbosity.NOTICE, f"note: {words} in the store")
            self.times.save()
            self.copies.__exit__(kind, error, trace)
            self.builds.__exit__(kind, error, trace)
            self._all.__exit__(kind, error, trace)

    @property
    def substitution(self) -> Substitution | None:
        """None where nothing may be fetched, or there is nobody to fetch from."""
        if self._substitution is None and self.settings.substitute:
            from frazil.build.substituters import Substituters

            substituters = self._given
            if substituters is None and self.settings.substituters:
                substituters = self._own = Substituters(self.settings, self.store.settings, self.reporter)
            if substituters is not None and substituters.wanted and substituters.stores:
                from frazil.build.substitution import Substitution

                self._substitution = Substitution(self, substituters)
                self.loop.idle = self._substitution.idle
        return self._substitution

    def flush(self) -> None:
        """Registers what was fetched: others than we are about to look at it."""
        if self._substitution is not None:
            self._substitution.flush()

    def run(self, targets: Sequence[DerivedPath]) -> list[Goal]:
        """The goal of each target. They start in the order of their names, as in Nix."""
        self.store.add_temporary_roots([target.base for target in targets])
        self.look_for([target.base for target in targets if target.outputs is None])
        made = {target: self.target_goal(target) for target in sorted(targets, key=_by_name)}
        self.loop.run(list(dict.fromkeys(made.values())))
        return [made[target] for target in targets]

    def look_for(self, paths: Iterable[StorePath]) -> None:
        """Asks the database for many paths at once, before their goals do so one by one. They have temporary roots."""
        wanted = {path for path in paths if ("path", path) not in self._goals and path not in self._absent}
        if len(wanted) > 1:
            self._absent |= wanted - self.store.valid_among(wanted)

    def warn(self, text: str) -> None:
        self.reporter.log(Verbosity.WARN, text)

    def expect_bytes(self, download: int, unpacked: int) -> None:
        """Of all that is fetched."""
        for kind, size in ((ActivityType.FILE_TRANSFER, download), (ActivityType.COPY_PATH, unpacked)):
            self.reporter.result(self._all.identifier, ResultType.SET_EXPECTED, (int(kind), size))

    def update_progress(self) -> None:
        counts = self.counts
        expected = max(counts.expected, counts.done + counts.running)
        self.builds.progress(counts.done, expected, counts.running, counts.failed)

    def _cost(self, key: object) -> float:
        """A derivation's goal stands for its build."""
        if isinstance(key, tuple) and key[0] == "derivation":
            return self._usual(key[1].name)
        return 0.0

    def _usual(self, name: str) -> float:
        known = self.times.expected(name)
        return self.times.usual() if known is None else known

    def will_build(self, path: StorePath) -> None:
        """One more derivation is to be built."""
        self.counts.expected += 1
        if self.times.known and path not in self._left:
            self._left[path] = self._usual(path.name)
            self._left_in_all += self._left[path]
        self.update_progress()

    def has_started(self, path: StorePath, mode: str) -> None:
        if self.times.known:
            self._chains[path] = time.monotonic(), self.loop.rank(self._goals["build", path, mode])
        self._tell()

    def has_built(self, path: StorePath) -> None:
        self._left_in_all -= self._left.pop(path, 0.0)
        self._chains.pop(path, None)
        self._tell()

    def _tell(self) -> None:
        """No sooner than the longest chain allows, nor than all slots together can do it."""
        self.update_progress()
        if self.times.known:
            now = time.monotonic()
            longest = max((began + rank - now for began, rank in self._chains.values()), default=0.0)
            self.reporter.estimate(max(self._left_in_all / max(1, self.settings.max_jobs), longest))

    # -------------------------------------------------------------------------------------------------------- goals

    def _goal(self, key: object, steps: Callable[[], Steps], *, quiet: bool = False) -> Goal:
        goal = self._goals.get(key)
        if goal is None:
            goal = self._goals[key] = Goal(key, quiet=quiet)
            self.loop.add(goal, self._reporting(goal, steps()))
        return goal

    def _reporting(self, goal: Goal, steps: Steps) -> Steps:
        """A failure that somebody waits for is logged here: whoever waits says only that a dependency failed."""
        try:
            return (yield from steps)
        except DerivationFailed as failure:
            # One build may fail several goals, each for other outputs: it is told of once.
            if goal.waiters and not goal.quiet and failure not in self._reported:
                self._reported.add(failure)
                self.reporter.log(Verbosity.ERROR, failure_text(failure))
            raise

    def target_goal(self, target: DerivedPath) -> Goal:
        if target.outputs is None:
            return self.path_goal(target.base)
        if target.through:
            return self.chain_goal(target.base, target.through, target.outputs)
        return self.derivation_goal(target.base, target.outputs, self.mode)

    def path_goal(self, path: StorePath, address: ContentAddress | None = None) -> Goal:
        """`address`: by which stores of other directories know it. Its failure is its asker's."""
        return self._goal(("path", path), lambda: self._path_steps(path, address), quiet=True)

    def derivation_goal(self, path: StorePath, outputs: OutputsSpec, mode: str) -> Goal:
        from frazil.build.derivation_goal import DerivationGoal

        if outputs.names is None and path.is_derivation and self.store.is_registered(path):
            outputs = OutputsSpec(frozenset(self.store.read_derivation(path).outputs))
        return self._goal(
            ("derivation", path, outputs.names, mode), lambda: DerivationGoal(self, path, outputs, mode).steps()
        )

    def chain_goal(self, path: StorePath, through: tuple[str, ...], outputs: OutputsSpec) -> Goal:
        """Outputs of a derivation that is itself the output of another."""
        return self._goal(("chain", path, through, outputs.names), lambda: self._chain_steps(path, through, outputs))

    def build_goal(self, path: StorePath, drv: Derivation, mode: str) -> Goal:
        """Builds a derivation whose inputs are plain paths. Its failure is its asker's."""
        from frazil.build.build_goal import BuildGoal

        return self._goal(("build", path, mode), lambda: BuildGoal(self, path, drv, mode).steps(), quiet=True)

    # -------------------------------------------------------------------------------------------------- simple ones

    def _path_steps(self, path: StorePath, address: ContentAddress | None) -> Steps:
        from frazil.build.goals import Done
        from frazil.build.result import Status

        self.store.add_temporary_root(path)
        if path in self._absent:
            try:
                return (yield from self._substitute(path, address))
            except DerivationFailed:
                if self.store.is_registered(path):  # another process made it meanwhile
                    return Done(Status.ALREADY_VALID)
                raise
        if self.store.is_registered(path):
            if self.mode == "repair":
                if not self.contents_good(path):
                    return (yield from self._repair_path(path))
                yield from self._repair_needed(path)
            return Done(Status.ALREADY_VALID)
        return (yield from self._substitute(path, address))

    def _substitute(self, path: StorePath, address: ContentAddress | None, *, repair: bool = False) -> Steps:
        shared = self.substitution
        if shared is None:
            raise DerivationFailed(
                Failure.NO_SUBSTITUTERS,
                f"path '{self.store.show(path)}' is required, but there is no substituter that can build it",
            )
        self.store.require_writable()
        from frazil.build.substitution import PathSubstitution

        return (yield from PathSubstitution(shared, path, address, repair).steps())

    def _repair_needed(self, path: StorePath) -> Steps:
        """The path itself is good; what it refers to is looked at where it is known how all that was made."""
        from frazil.build.goals import Done
        from frazil.build.result import Status
        from frazil.store.derived_path import ALL_OUTPUTS

        deriver = self.store.query_info(path).deriver
        if deriver is not None and self.store.is_valid(deriver):
            outputs = self.store.query_derivation_outputs(deriver).values()
            if all(output is not None and self.store.is_registered(output) for output in outputs):
                goal = self.derivation_goal(deriver, ALL_OUTPUTS, "repair")
                yield [goal]
                if goal.failed or goal.done is None:
                    raise BuildError(f"cannot repair path '{self.store.show(path)}'")
        return Done(Status.ALREADY_VALID)

    def _repair_path(self, path: StorePath) -> Steps:
        from frazil.build.goals import Done
        from frazil.build.result import Status
        from frazil.store.derived_path import ALL_OUTPUTS

        try:
            done = yield from self._substitute(path, None, repair=True)
            self.contents_mended([path])
            return done
        except DerivationFailed:
            pass  # then it has to be built
        deriver = self.store.query_info(path).deriver
        if deriver is None or not self.store.is_valid(deriver):
            raise BuildError(
                f"cannot repair path '{self.store.show(path)}'",
                hint="it can be neither fetched nor built: its derivation is not known",
            )
        goal = self.derivation_goal(deriver, ALL_OUTPUTS, "repair")
        yield [goal]
        if goal.failed or goal.done is None:
            raise BuildError(f"cannot repair path '{self.store.show(path)}'")
        return Done(Status.BUILT)

    def _chain_steps(self, path: StorePath, through: tuple[str, ...], outputs: OutputsSpec) -> Steps:
        current = path
        for name in through:
            goal = self.derivation_goal(current, OutputsSpec(frozenset({name})), "normal")
            yield [goal]
            if goal.done is None:
                raise self.obtaining_failed(f"{self.store.show(path)}^{'^'.join(through)}", goal)
            current = goal.done.outputs[name]
        if not current.is_derivation:
            raise BuildError(f"'{self.store.show(current)}' is not a derivation")
        last = self.derivation_goal(current, outputs, self.mode if self.mode != "check" else "normal")
        last.quiet = True
        yield [last]
        if last.outcome is None or isinstance(last.outcome, DerivationFailed):
            raise last.outcome or DerivationFailed(Failure.MISC_FAILURE, "the build was cut off")
        return last.outcome

    def obtaining_failed(self, text: str, goal: Goal) -> DerivationFailed:
        return DerivationFailed(
            Failure.DEPENDENCY_FAILED, f"failed to obtain derivation of '{text}'", caused_by=causes([goal])
        )

    def bring_evaluated(self, drv: Derivation) -> None:
        """Copies sources that are in the store of `--eval-store` only."""
        from frazil.store.copying import copy_closure

        evaluation = self.store.evaluation
        if evaluation is not None:
            lacking = [path for path in drv.input_sources if not self.store.is_registered(path)]
            there = evaluation.valid_among(lacking)
            if there:
                copy_closure(evaluation, self.store, there, self.reporter, check_signatures=False)

    def contents_good(self, path: StorePath) -> bool:
        """Whether a valid path's bytes are what was registered. Read once; `contents_mended` says when that changed."""
        import os

        from frazil.store.nar import hash_path

        if path in self._contents_good:
            return self._contents_good[path]
        shown, real = self.store.show(path), f"{self.store.config.real_store_dir}/{path.base}"
        self.reporter.log(Verbosity.INFO, f"checking path '{shown}'...")
        good = os.path.lexists(real) and hash_path(real)[0] == self.store.query_info(path).nar_hash
        self._contents_good[path] = good
        if not good:
            self.reporter.log(Verbosity.ERROR, f"path '{shown}' is corrupted or missing!")
        return good

    def contents_mended(self, paths: Iterable[StorePath]) -> None:
        self._contents_good.update(dict.fromkeys(paths, True))


def _by_name(target: DerivedPath) -> tuple[str, StorePath, str]:
    return target.base.name, target.base, str(target.outputs)


def causes(goals: Sequence[Goal]) -> frozenset[Failure]:
    """What went wrong in goals, and in what they needed: exit statuses tell of all of it."""
    found: set[Failure] = set()
    for goal in goals:
        if isinstance(goal.outcome, DerivationFailed):
            found |= goal.outcome.caused_by | {goal.outcome.failure}
    return frozenset(found)
