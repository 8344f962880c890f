"""Messages and progress in every log format."""

from __future__ import annotations

import json

import pytest

from frazil.activity import Activity, ActivityType, ResultType, Verbosity
from frazil.cli.bar import BarReporter
from frazil.cli.reporter import JsonReporter, LineReporter, build_name, make_reporter, without_version
from frazil.errors import FrazilError, TraceFrame
from frazil.position import Position


def test_lines_respect_verbosity() -> None:
    lines: list[str] = []
    reporter = LineReporter(Verbosity.NOTICE, write=lines.append)
    reporter.log(Verbosity.WARN, "careful")
    reporter.log(Verbosity.WARN, "warning: once")
    reporter.log(Verbosity.INFO, "hidden")
    assert lines == ["warning: careful\n", "warning: once\n"]


def test_build_logs_carry_the_name() -> None:
    lines: list[str] = []
    reporter = LineReporter(Verbosity.INFO, build_logs=True, write=lines.append)
    path = "/nix/store/" + "0" * 32 + "-hello-2.12.drv"
    with Activity(reporter, ActivityType.BUILD, "building", fields=[path]) as activity:
        activity.log_line("configuring")
    assert lines == ["building...\n", "hello> configuring\n"]
    assert build_name(path) == "hello-2.12"


def test_names_without_versions() -> None:
    assert [without_version(name) for name in ("a-b-1", "a-b", "a-", "a-1b-2", "-1", "a-ä", "")] == [
        *("a-b", "a-b", "a-", "a", "", "a", "")
    ]


@pytest.mark.parametrize("prefixed", [True, False])
def test_who_waits_for_a_machine_is_told_in_raw_logs(prefixed: bool) -> None:
    lines: list[str] = []
    reporter = LineReporter(Verbosity.INFO, prefix_logs=prefixed, write=lines.append)
    with Activity(reporter, ActivityType.BUILD_WAITING, "waiting for a machine", level=Verbosity.WARN):
        pass
    assert lines == ([] if prefixed else ["waiting for a machine...\n"])


@pytest.mark.parametrize(("prefixed", "line"), [(True, "hello (post)> done\n"), (False, "post-build-hook: done\n")])
def test_what_hooks_say_is_told_from_builds(prefixed: bool, line: str) -> None:
    lines: list[str] = []
    reporter = LineReporter(Verbosity.INFO, build_logs=True, prefix_logs=prefixed, write=lines.append)
    path = "/nix/store/" + "0" * 32 + "-hello.drv"
    with Activity(reporter, ActivityType.POST_BUILD_HOOK, "hook", fields=[path], level=Verbosity.TALKATIVE) as activity:
        reporter.result(activity.identifier, ResultType.POST_BUILD_LOG_LINE, ("done",))
    assert lines == [line]


def test_json_lines() -> None:
    lines: list[str] = []
    reporter = JsonReporter(write=lines.append)
    with Activity(reporter, ActivityType.BUILDS, "", fields=[1]) as activity:
        activity.progress(1, 2)
    records = [json.loads(line.removeprefix("@nix ")) for line in lines]
    assert [r["action"] for r in records] == ["start", "result", "stop"]
    assert records[1]["fields"] == [1, 2, 0, 0]


def test_json_errors_that_do_not_end_it() -> None:
    lines: list[str] = []
    reporter = JsonReporter(write=lines.append)
    reporter.log(Verbosity.ERROR, "error: Cannot build 'x'.")
    reporter.log(Verbosity.ERROR, "note: keeping it")
    first, second = (json.loads(line.removeprefix("@nix ")) for line in lines)
    assert first["msg"] == "error: Cannot build 'x'." and first["raw_msg"] == "Cannot build 'x'."
    assert first["line"] is first["file"] is first["column"] is None
    assert "raw_msg" not in second


def test_the_bar_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    reporter = BarReporter(Verbosity.NOTICE, colours=False)
    reporter.write = written.append
    with Activity(reporter, ActivityType.BUILD, "b", fields=["/nix/store/" + "0" * 32 + "-x.drv"]) as activity:
        activity.log_line("line\x1b[2J")
        reporter.log(Verbosity.WARN, "hm")
    reporter.finish()
    text = "".join(written)
    assert "warning: hm\n" in text and "building x" in text
    assert "\x1b[2J" not in text
    assert not reporter.drawn


def test_unknown_formats() -> None:
    with pytest.raises(FrazilError, match="log-format"):
        make_reporter("baz", 3, build_logs=False, colours=False)


def test_json_errors_say_where() -> None:
    lines: list[str] = []
    reporter = JsonReporter(write=lines.append)
    error = FrazilError("no", position=Position("f.nix", 2, 3), trace=[TraceFrame("while evaluating")])
    reporter.error("error: no", error, show_trace=True)
    reporter.log(Verbosity.WARN, "evaluation warning: hm")
    record, warning = (json.loads(line.removeprefix("@nix ")) for line in lines)
    assert (record["raw_msg"], record["file"], record["line"], record["column"]) == ("no", "f.nix", 2, 3)
    assert record["trace"] == [{"raw_msg": "while evaluating", "column": None, "file": None, "line": None}]
    assert warning["level"] == 1 and warning["msg"] == "\x1b[35;1mevaluation warning:\x1b[0m hm"
