"""Exit statuses and wait statuses in words."""

from __future__ import annotations

import pytest

from frazil.build.errors import Failure, describe_status, failing_exit_status


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
