"""Completion of command lines: the protocol, and the scripts that shells use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import frazil

from .conftest import Run

Ask = Callable[..., list[str]]


@pytest.fixture
def ask(run: Run, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`ask("flake", "sh")`: the lines for the last word."""

    def call(*words: str, number: int | None = None) -> list[str]:
        monkeypatch.setenv("NIX_GET_COMPLETIONS", str(len(words) if number is None else number))
        result = run("nix", *words)
        assert (result.status, result.err) == (0, "")
        return result.out.rstrip("\n").split("\n")

    return call


@pytest.fixture
def flakes(tmp_path: Path) -> Path:
    (tmp_path / "dep").mkdir()
    (tmp_path / "dep" / "flake.nix").write_text("{ outputs = i: { }; }")
    for name, source in (("foo", "a"), ("bar", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "flake.nix").write_text(
            f'{{ inputs.{source}.url = "path:{tmp_path}/dep"; outputs = i: {{ sample = 1; other.deep = 2; }}; }}'
        )
    (tmp_path / "wrong.nix").write_text('throw "no"')
    return tmp_path


def test_commands(ask: Ask) -> None:
    assert ask("buil") == ["normal", "build\t"]
    assert ask("flake", "metad") == ["normal", "metadata\t"]
    assert ask("nope", "") == ["normal"]
    assert {"eval\t", "flake\t", "shell\t"} <= set(ask(""))


def test_options_and_settings(ask: Ask) -> None:
    assert any(line.startswith("--log-format\t") for line in ask("build", "--log-form"))
    assert any(line.startswith("-j\t") for line in ask("build", "-"))
    assert any(line.startswith("--allow-import-from-derivation\t") for line in ask("build", "--allow-imp"))
    assert any(line.startswith("allow-import-from-derivation\t") for line in ask("build", "--option", "allow-imp"))
    assert ask("eval", "--log-format", "internal") == ["normal", "internal-json\t"]
    assert ask("hash", "file", "--type", "sha2") == ["normal", "sha256\t"]
    assert ask("config", "show", "max-job")[1].startswith("max-jobs\t")


def test_files(ask: Ask, flakes: Path) -> None:
    assert ask("build", "./f") == ["filenames", "./foo\t"]
    assert ask("build", "./nope") == ["filenames"]
    assert ask("hash", "file", "wro") == ["filenames", "wrong.nix\t"]
    assert ask("eval", "--file", "wro") == ["filenames", "wrong.nix\t"]


def test_inputs(ask: Ask, flakes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask("build", "./foo", "--override-input", "") == ["normal", "a\t"]
    assert ask("build", "./foo", "./bar", "--override-input", "") == ["normal", "a\t", "b\t"]
    assert ask("build", "--override-input", "", "", "./foo", number=3) == ["normal", "a\t"]
    assert ask("flake", "update", "--flake", "./foo", "") == ["normal", "a\t"]
    monkeypatch.chdir(flakes / "bar")
    assert ask("flake", "update", "") == ["normal", "b\t"]


def test_attributes(ask: Ask, flakes: Path) -> None:
    assert ask("eval", "./foo#sam") == ["attrs", "./foo#sample\t"]
    assert ask("eval", "./foo#other.") == ["attrs", "./foo#other.deep\t"]
    assert ask("eval", "--file", "./foo/flake.nix", "outp") == ["attrs", "outputs\t"]
    assert ask("eval", "--expr", "{ abc.def = 1; }", "abc.") == ["attrs", "abc.def\t"]
    assert ask("eval", "--file", "./wrong.nix", "outp") == ["attrs"]
    assert ask("eval", "./absent#x") == ["attrs"]


def test_numbers_that_make_no_sense_are_ignored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("0", "99", "x", "-1"):
        monkeypatch.setenv("NIX_GET_COMPLETIONS", number)
        assert run("nix", "eval", "--expr", "1").out == "1\n"


BASH = r"""
compopt() { :; }
frazil() { "$PYTHON" -c 'import sys; from frazil.cli import main; sys.argv[0] = "frazil"; sys.exit(main())' "$@"; }
eval "$(frazil completion bash)"
COMP_LINE="frazil $LINE"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(frazil $WORDS); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_frazil_completion
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "words", "expected"),
    [
        ("flake metad", "flake metad", "metadata"),
        ("eval path:FOLDER/foo#sam", "eval path : FOLDER/foo#sam", "FOLDER/foo#sample"),
        ("eval ./foo#other.", "eval ./foo#other.", "./foo#other.deep"),
    ],
)
def test_bash(run: Run, flakes: Path, line: str, words: str, expected: str) -> None:
    environment = {
        **os.environ,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(Path(frazil.__file__).parent.parent),
        "LINE": line.replace("FOLDER", str(flakes)),
        "WORDS": words.replace("FOLDER", str(flakes)),
    }
    result = subprocess.run(["bash", "-c", BASH], env=environment, capture_output=True, text=True, timeout=60)
    assert result.stdout == expected.replace("FOLDER", str(flakes)) + "\n", result.stderr


def test_scripts(run: Run) -> None:
    for shell in ("bash", "zsh", "fish"):
        script = run("frazil", "completion", shell).out
        assert "NIX_GET_COMPLETIONS" in script and "PROGRAMS" not in script
        program = shutil.which(shell)
        if program is not None:
            assert subprocess.run([program, "-n"], input=script, text=True, timeout=60).returncode == 0
    assert "unknown shell 'tcsh'" in run("frazil", "completion", "tcsh").err
