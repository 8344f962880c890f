"""Makes store paths valid: finds what is missing, builds it in order, several builders at once.

In: derived paths. Out: a `BuildResult` for each, or `BuildFailed` once everything that could run has run. What each
goal does is in `derivation_goal` and `build_goal`; the loop in `goals`. Source of truth: libstore's worker and entry
points, for the wording of errors and exit statuses too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frazil.activity import Reporter
from frazil.build.errors import BuildFailed, CutOff, DerivationFailed, failing_exit_status, failure_text
from frazil.build.result import BuildResult
from frazil.build.settings import BuildSettings
from frazil.errors import FrazilBug
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

if TYPE_CHECKING:
    from frazil.build.goals import Goal
    from frazil.build.substituters import Substituters
    from frazil.store.derivation import Derivation
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath

MODES = ("normal", "check", "repair")


def realise(
    store: LocalStore,
    targets: Sequence[DerivedPath],
    settings: BuildSettings,
    reporter: Reporter,
    *,
    mode: str = "normal",
    substituters: Substituters | None = None,
    names_cut_off: bool = False,
) -> list[BuildResult]:
    """Makes all targets valid, or (`check`) builds them again and compares, or (`repair`) mends corrupt ones.

    `substituters`: opened by the caller; else those that `settings` name. `names_cut_off`: the error names what was
    given up because of a failure, too. Results come in the order of `targets`.
    Raises BuildFailed; other errors (BuildError, StoreError) end everything.
    """
    if mode not in MODES:
        raise FrazilBug(f"unknown build mode '{mode}'")
    if not targets:
        return []
    if store.builds_elsewhere:
        from frazil.build.elsewhere import realise_all

        return realise_all(store, targets, mode, reporter, names_cut_off=names_cut_off)
    store.flush()
    quick = _all_valid(store, targets) if mode == "normal" else None
    if quick is not None:
        return quick
    from frazil.build.worker import Worker

    with Worker(store, settings, reporter, mode, substituters) as worker:
        goals = worker.run(targets)
    return _results(store, targets, goals, reporter, names_cut_off=names_cut_off)


def realise_each(
    store: LocalStore,
    targets: Sequence[DerivedPath],
    settings: BuildSettings,
    reporter: Reporter,
    *,
    mode: str = "normal",
    substituters: Substituters | None = None,
) -> list[BuildResult]:
    """As `realise`, but what failed is told in the results: for who has to answer for each target."""
    if mode not in MODES:
        raise FrazilBug(f"unknown build mode '{mode}'")
    if not targets:
        return []
    if store.builds_elsewhere:
        from frazil.build.elsewhere import build_each

        return build_each(store, targets, mode)
    store.flush()
    quick = _all_valid(store, targets) if mode == "normal" else None
    if quick is not None:
        return quick
    from frazil.build.worker import Worker

    with Worker(store, settings, reporter, mode, substituters) as worker:
        goals = worker.run(targets)
    return [_each(target, goal) for target, goal in zip(targets, goals)]


def realise_derivation(
    store: LocalStore,
    path: StorePath,
    drv: Derivation,
    settings: BuildSettings,
    reporter: Reporter,
    *,
    mode: str = "normal",
    substituters: Substituters | None = None,
) -> BuildResult:
    """Builds a derivation whose inputs are plain store paths, and which need not be in the store itself."""
    if store.builds_elsewhere:
        from frazil.build.elsewhere import build_derivation

        return build_derivation(store, path, drv, mode)
    from frazil.build.worker import Worker

    store.flush()
    with Worker(store, settings, reporter, mode, substituters) as worker:
        goal = worker.build_goal(path, drv, mode)
        worker.loop.run([goal])
    return _each(DerivedPath(path, ALL_OUTPUTS), goal)


def _each(target: DerivedPath, goal: Goal) -> BuildResult:
    if isinstance(goal.outcome, DerivationFailed):
        return _failed_result(target, goal.outcome)
    if goal.outcome is None:  # cut off because another one failed
        return BuildResult(target, failure=CutOff())
    return _result(target, goal)


def _failed_result(target: DerivedPath, failure: DerivationFailed) -> BuildResult:
    return BuildResult(
        target,
        failure=failure,
        start_time=failure.start_time,
        stop_time=failure.stop_time,
        cpu_user=failure.cpu_user,
        cpu_system=failure.cpu_system,
    )


def _all_valid(store: LocalStore, targets: Sequence[DerivedPath]) -> list[BuildResult] | None:
    """The common case that nothing is to be done, without any machinery; None where something may be."""
    from frazil.build.result import Status
    from frazil.store.errors import StoreError

    results = []
    for target in targets:
        store.add_temporary_root(target.base)
        if target.through or not store.is_registered(target.base):
            return None
        if target.outputs is None:
            results.append(BuildResult(target, Status.ALREADY_VALID))
            continue
        try:
            drv = store.read_derivation(target.base)
            known = {name: path for name, path in drv.output_paths(store.directory).items() if path is not None}
        except StoreError:
            return None
        wanted = drv.outputs if target.outputs.names is None else target.outputs.names
        for name in wanted:
            if name not in known:
                return None
            store.add_temporary_root(known[name])
            if not store.is_registered(known[name]):
                return None
        results.append(
            BuildResult(target, Status.ALREADY_VALID, target.base, {name: known[name] for name in sorted(wanted)})
        )
    return results


def _results(
    store: LocalStore, targets: Sequence[DerivedPath], goals: Sequence[Goal], reporter: Reporter, *, names_cut_off: bool
) -> list[BuildResult]:
    failed = [
        (target, goal.outcome) for target, goal in zip(targets, goals) if isinstance(goal.outcome, DerivationFailed)
    ]
    if failed:
        cut_off = [target for target, goal in zip(targets, goals) if names_cut_off and goal.outcome is None]
        raise failure_of(store, failed, reporter, cut_off)
    return [_result(target, goal) for target, goal in zip(targets, goals)]


def _result(target: DerivedPath, goal: Goal) -> BuildResult:
    done = goal.done
    if done is None:
        raise FrazilBug("a goal was cut off although nothing failed")
    return BuildResult(
        target,
        done.status,
        done.derivation,
        done.outputs,
        start_time=done.start_time,
        stop_time=done.stop_time,
        cpu_user=done.usage.user if done.usage is not None else None,
        cpu_system=done.usage.system if done.usage is not None else None,
    )


def failure_of(
    store: LocalStore,
    failed: Sequence[tuple[DerivedPath, DerivationFailed]],
    reporter: Reporter,
    cut_off: Sequence[DerivedPath] = (),
) -> BuildFailed:
    """One failure is the error itself; of several, each is logged and the error names them, and what is `cut_off`."""
    from frazil.activity import Verbosity

    causes = list(dict.fromkeys(failure for _, failure in failed))
    every = {failure for cause in causes for failure in cause.caused_by | {cause.failure}}
    status = failing_exit_status(every)
    targets = [*(target for target, _ in failed), *cut_off]
    names = sorted({target.show(store.directory) for target in targets})
    if len(names) == 1:
        return BuildFailed(causes[0].message, causes, exit_status=status, hint=causes[0].hint, targets=names)
    for cause in causes:
        reporter.log(Verbosity.ERROR, failure_text(cause))
    # As C++ Nix, which names derivations here, not outputs; the commands of `nix` say it in their own way.
    required = {target.with_(outputs=None).show(store.directory) for target in targets}
    quoted = ", ".join(f"'{name}'" for name in sorted(required))
    return BuildFailed(f"build of {quoted} failed", causes, exit_status=status, targets=names)
