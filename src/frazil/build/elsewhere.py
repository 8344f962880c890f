"""Building where a store is that others look after: by a daemon, or on another machine.

In: targets. Out: what they say became of them, in our words. Source of truth: libstore's remote store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from frazil.build.errors import CutOff, DerivationFailed, Failure
from frazil.build.result import BuildResult, Status
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.protocol.values import Outcome
    from frazil.store.derivation import Derivation
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath

_FAILURES = {failure.value: failure for failure in Failure}


class Elsewhere(Protocol):
    """What such a store has for building."""

    def build_elsewhere(self, targets: Sequence[DerivedPath], mode: str) -> Sequence[Outcome | None]:
        """None for what was given up because another target failed."""

    def build_derivation_elsewhere(self, path: StorePath, drv: Derivation, mode: str) -> Outcome: ...


def _builder(store: LocalStore) -> Elsewhere:
    return store  # type: ignore[return-value] # whoever says `builds_elsewhere` has it


def realise_all(
    store: LocalStore, targets: Sequence[DerivedPath], mode: str, reporter: Reporter, *, names_cut_off: bool = False
) -> list[BuildResult]:
    """Raises BuildFailed."""
    from frazil.build.scheduler import failure_of

    results = build_each(store, targets, mode)
    failed = [
        (result.path, result.failure)
        for result in results
        if result.failure is not None and not isinstance(result.failure, CutOff)
    ]
    if failed:
        cut_off = [result.path for result in results if names_cut_off and isinstance(result.failure, CutOff)]
        raise failure_of(store, failed, reporter, cut_off)
    return results


def build_each(store: LocalStore, targets: Sequence[DerivedPath], mode: str) -> list[BuildResult]:
    if store.evaluation is not None:
        from frazil.store.copying import copy_closure

        derivations = [target.base for target in targets if target.outputs is not None]
        there = store.evaluation.valid_among(derivations)
        copy_closure(store.evaluation, store, there, store.reporter, check_signatures=False)
    outcomes = _builder(store).build_elsewhere(targets, mode)
    return [
        BuildResult(target, failure=CutOff()) if outcome is None else result_of(target, outcome)
        for target, outcome in zip(targets, outcomes)
    ]


def build_derivation(store: LocalStore, path: StorePath, drv: Derivation, mode: str) -> BuildResult:
    outcome = _builder(store).build_derivation_elsewhere(path, drv, mode)
    return result_of(DerivedPath(path, ALL_OUTPUTS), outcome)


def result_of(target: DerivedPath, outcome: Outcome) -> BuildResult:
    derivation = target.base if target.outputs is not None and not target.through else None
    start, stop = outcome.start_time, outcome.stop_time
    if not outcome.succeeded:
        failure = DerivationFailed(_FAILURES.get(outcome.status, Failure.MISC_FAILURE), outcome.message)
        failure.start_time, failure.stop_time = start, stop
        failure.cpu_user, failure.cpu_system = outcome.cpu_user, outcome.cpu_system
        return BuildResult(
            target,
            None,
            derivation,
            failure=failure,
            start_time=start,
            stop_time=stop,
            cpu_user=outcome.cpu_user,
            cpu_system=outcome.cpu_system,
        )
    outputs = {name: found.path for name, found in outcome.outputs.items()}
    return BuildResult(
        target,
        Status(outcome.status),
        derivation,
        outputs,
        start_time=start,
        stop_time=stop,
        cpu_user=outcome.cpu_user,
        cpu_system=outcome.cpu_system,
    )
