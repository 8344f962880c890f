"""Exit statuses and wait statuses in words."""

from __future__ import annotations

import pytest

from frazil.build.errors import DerivationFailed, Failure, describe_status, failing_exit_status, failure_text


@pytest.mark.parametrize(
    ("failures", "status"),
    [
        (set(), 1),
        ({Failure.DEPENDENCY_FAILED}, 1),
        ({Failure.TRANSIENT_FAILURE}, 1),
        ({Failure.PERMANENT_FAILURE}, 100),
        ({Failure.INPUT_REJECTED}, 100),
        ({Failure.TIMED_OUT}, 101),
        ({Failure.HASH_MISMATCH}, 102),
        ({Failure.HASH_MISMATCH, Failure.TIMED_OUT}, 103),
        ({Failure.NOT_DETERMINISTIC}, 104),
        ({Failure.NOT_DETERMINISTIC, Failure.HASH_MISMATCH}, 110),
    ],
)
def test_exit_statuses(failures: set[Failure], status: int) -> None:
    assert failing_exit_status(failures) == status


def test_wait_statuses() -> None:
    assert describe_status(0) == "succeeded"
    assert describe_status(3 << 8) == "failed with exit code 3"
    assert describe_status(9) == "failed due to signal 9 (Killed)"


def test_titles() -> None:
    assert Failure.HASH_MISMATCH.title == "HashMismatch"


def test_a_failure_in_the_log_looks_like_one_at_the_end() -> None:
    failure = DerivationFailed(Failure.PERMANENT_FAILURE, "Cannot build 'x'.\nReason: no.\n", hint="try\n\nagain")
    assert failure_text(failure) == ("error: Cannot build 'x'.\n       Reason: no.\n\n       hint: try\n\n       again")
