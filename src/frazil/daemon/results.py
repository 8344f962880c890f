"""What is built and fetched for clients of either protocol, and how they are told what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from frazil.build.result import BuildResult, Status
from frazil.errors import FrazilError
from frazil.protocol.values import Outcome, Realisation

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.daemon.host import Host
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath


def outcome_of(result: BuildResult) -> Outcome:
    if result.failure is not None:
        failure = result.failure
        return Outcome(
            failure.failure.value,
            full_message(failure),
            1,
            start_time=result.start_time,
            stop_time=result.stop_time,
            cpu_user=result.cpu_user,
            cpu_system=result.cpu_system,
        )
    status = result.status or Status.BUILT
    return Outcome(
        status.value,
        times_built=1 if status is Status.BUILT else 0,
        start_time=result.start_time,
        stop_time=result.stop_time,
        cpu_user=result.cpu_user,
        cpu_system=result.cpu_system,
        outputs={name: Realisation(path) for name, path in result.outputs.items()},
    )


def full_message(error: FrazilError) -> str:
    """What a client can show: it has no place for a hint of its own."""
    text = error.message.rstrip("\n")
    return f"{text}\n\nhint: {error.hint}" if error.hint else text


def substitute_missing(host: Host, store: LocalStore, paths: Iterable[StorePath], reporter: Reporter) -> None:
    """As far as caches have them; what fails is only said."""
    from frazil.activity import Verbosity
    from frazil.build.scheduler import realise_each
    from frazil.store.derived_path import DerivedPath

    substituters = host.substituters()
    targets = [DerivedPath(path) for path in sorted(paths) if not store.is_registered(path)]
    if substituters is None or not targets:
        return
    try:
        realise_each(store, targets, host.build_settings, reporter, substituters=substituters)
    except FrazilError as error:
        reporter.log(Verbosity.WARN, error.message)
