"""What became of builds, as both protocols tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frazil.build.result import BuildResult, Status
from frazil.protocol.values import Outcome, Realisation

if TYPE_CHECKING:
    from frazil.errors import FrazilError


def outcome_of(result: BuildResult) -> Outcome:
    if result.failure is not None:
        failure = result.failure
        return Outcome(failure.failure.value, full_message(failure), 1, start_time=result.start_time)
    status = result.status or Status.BUILT
    return Outcome(
        status.value,
        times_built=1 if status is Status.BUILT else 0,
        start_time=result.start_time,
        stop_time=result.stop_time,
        outputs={name: Realisation(path) for name, path in result.outputs.items()},
    )


def full_message(error: FrazilError) -> str:
    """What a client can show: it has no place for a hint of its own."""
    text = error.message.rstrip("\n")
    return f"{text}\n\nhint: {error.hint}" if error.hint else text
