"""`--debugger`: the conversation at errors and breakpoints; statistics, profiles and traces of a command."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from .conftest import Result, Run


def debug(run: Run, monkeypatch: pytest.MonkeyPatch, text: str, *lines: str) -> Result:
    class Input:
        buffer = io.BytesIO("".join(line + "\n" for line in lines).encode())

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Input())
    monkeypatch.setenv("NO_COLOR", "1")
    return run("nix", "eval", "--impure", "--debugger", "--expr", text)


def test_a_breakpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = debug(run, monkeypatch, 'let a = "x"; in builtins.break 42', ":bt", "a", ":env", ":c")
    assert "info: breakpoint reached" in result.err
    assert "Nix 2.36.0 debugger" in result.err
    assert "0: error: breakpoint reached" in result.out
    assert "1: while calling a function\n«string»:1:17" in result.out
    assert '"x"' in result.out
    assert "Env level 0\nstatic: a " in result.out
    assert result.out.endswith("42\n")


def test_an_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = debug(run, monkeypatch, '(x: throw "no") 5', ":st 1", "x", "x x", ":?", ":nothing", ":q")
    assert result.status == 1
    assert result.err.count("error: no") == 2
    assert "unknown command ':nothing'" in result.err
    assert "5" in result.out
    assert "Go one step" in result.out


@pytest.mark.parametrize("text", ["assert false; 1", "if 1 then 2 else 3", "1 + { }", "{ } // 1"])
def test_an_error_outside_of_all_calls(run: Run, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    result = debug(run, monkeypatch, text, ":bt", "1 + 1", ":q")
    assert result.status == 1
    assert "Nix 2.36.0 debugger" in result.err
    assert "\n0: error: " in result.out
    assert "1: " not in result.out
    assert "\n2\n" in result.out


def test_a_set_that_nobody_looked_into(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = debug(run, monkeypatch, 'with { q = 1; }; throw "no"', ":env", "q", ":env", ":q")
    assert "Env level 0\nstatic: \n\n" in result.out


def test_leaving_a_breakpoint_ends_the_program(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = debug(run, monkeypatch, "builtins.break 1", ":q")
    assert (result.status, result.out) == (0, "")


def test_statistics_and_profiles(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX_SHOW_STATS", "1")
    monkeypatch.setenv("NIX_SHOW_STATS_PATH", str(tmp_path / "statistics"))
    profile = tmp_path / "profile"
    options = ("--eval-profiler", "flamegraph", "--eval-profile-file", str(profile), "--eval-profiler-frequency", "0")
    run("nix", "eval", "--expr", "(x: x) 1", *options)
    assert json.loads((tmp_path / "statistics").read_text(encoding="utf-8"))["nrFunctionCalls"] == 1
    assert profile.read_text(encoding="utf-8") == "«string»:1:1 1\n"
    monkeypatch.setenv("NIX_SHOW_STATS_PATH", "-")
    assert '"nrFunctionCalls": 1' in run("nix", "eval", "--expr", "(x: x) 1").err
    assert "has invalid value 'tea'" in run("nix", "eval", "--expr", "1", "--eval-profiler", "tea").err
    monkeypatch.setenv("NIX_SHOW_STATS", "0")
    assert run("nix", "eval", "--expr", "1").err == ""


def test_traces_of_calls(run: Run) -> None:
    assert (
        "function-trace entered «string»:1:1 at "
        in run("nix", "eval", "--trace-function-calls", "--expr", "(x: x) 1").err
    )
