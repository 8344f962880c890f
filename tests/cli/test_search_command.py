"""`search`: what is found, where, and how it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from frazil.flake.search import highlight

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command flakes")
PACKAGES = """\
let package = name: description: { type = "derivation"; inherit name; meta = { inherit description; }; };
in {
  tool = package "tool-1.2" "A Hammer";
  other = package "other" "two\\nlines";
  nested.hidden = package "hidden-1" "";
  number = 1;
}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "p.nix").write_text(PACKAGES)
    return str(tmp_path / "p.nix")


def test_text(run: Run, file: str) -> None:
    found = run(*NIX, "search", "-f", file, "", "hammer")
    assert found.out == "* \x1b[0;1mtool\x1b[0m (1.2)\n  A \x1b[32;1mHammer\x1b[0m\n"
    assert run(*NIX, "search", "-f", file, "", "^o").out == "* \x1b[0;1m\x1b[32;1mo\x1b[0;1mther\x1b[0m\n  two lines\n"


def test_our_own_name_writes_no_colours_into_a_pipe(run: Run, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("frazil", "search", "-f", file, "", "hammer")
    assert run(*command).out == "* tool (1.2)\n  A Hammer\n"
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    assert "\x1b[32;1mHammer" in run(*command).out


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["^"], ["other", "tool"]),
        (["O", "[[:UPPER:]]wo"], ["other"]),
        (["t", "-e", "hammer"], ["other"]),
        (["t", "--exclude", "two|amm"], []),
        (["hidden"], []),
    ],
)
def test_what_matches(run: Run, file: str, words: list[str], names: list[str]) -> None:
    found = run(*NIX, "search", "-f", file, "", *words, "--json")
    assert sorted(json.loads(found.out)) == names


def test_mistakes(run: Run, file: str) -> None:
    assert "at least one regex" in run(*NIX, "search", "-f", file, "").err
    assert "'(' is not a valid regular expression" in run(*NIX, "search", "-f", file, "", "(").err
    nothing = run(*NIX, "search", "-f", file, "", "nowhere")
    assert (nothing.status, nothing.err) == (1, "error: no results for the given search term(s)!\n")


def test_flakes_hide_what_does_not_evaluate(run: Run, tmp_path: Path) -> None:
    outputs = """{ outputs = _: {
        legacyPackages.x86_64-linux = {
          bad = throw "no";
          good = { type = "derivation"; name = "good-1"; };
          set = { recurseForDerivations = true; inner = { type = "derivation"; name = "in-1"; }; };
          other.out = throw "not looked at";
        };
      }; }"""
    (tmp_path / "flake").mkdir()
    (tmp_path / "flake" / "flake.nix").write_text(outputs)
    found = run(*NIX, "--system", "x86_64-linux", "search", str(tmp_path / "flake"), "^", "--json")
    prefix = "legacyPackages.x86_64-linux."
    assert json.loads(found.out) == {
        f"{prefix}good": {"description": "", "pname": "good", "version": "1"},
        f"{prefix}set.inner": {"description": "", "pname": "in", "version": "1"},
    }, found.err


def test_matches_that_touch_are_one() -> None:
    assert highlight("abcdef", [(3, 4), (0, 2), (1, 3)], "<", ">") == "<abcd>ef"
    assert highlight("ab", [(0, 1)], "<", ">") == "<a>b"
    assert highlight("", [(0, 0)], "<", ">") == "<>"
