"""What whoever lends a machine by the serve protocol says meanwhile."""

from __future__ import annotations

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.cli.reporter import LineReporter
from frazil.daemon.serve import _ErrorsAndLogs


def test_only_errors_and_logs_are_told() -> None:
    lines: list[str] = []
    reporter = _ErrorsAndLogs(LineReporter(build_logs=True, prefix_logs=False, write=lines.append))
    path = "/nix/store/" + "0" * 32 + "-hello.drv"
    with Activity(reporter, ActivityType.BUILD, f"building '{path}'", fields=[path, "", 1, 1]) as activity:
        activity.log_line("configuring")
        reporter.log(Verbosity.WARN, "hm")
        reporter.log(Verbosity.ERROR, "error: no")
    assert lines == ["configuring\n", "error: no\n"]
