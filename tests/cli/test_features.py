from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command")


def test_git_hash_of_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("Hello World\n")
    words = ("hash", "path", "--mode", "git", "--algo", "sha1", "--format", "base16", "f")
    assert "'git-hashing' is disabled" in run(*NIX, *words).err
    # As `git hash-object` says.
    assert run(*NIX[:2], "nix-command git-hashing", *words).out == "557db03de997c86a4a028e1ebd3a1ceb225be238\n"


def test_floating_derivations_need_their_feature(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        b'{"version":4,"name":"a","system":"x","builder":"/b","args":[],"env":{},'
        b'"inputs":{"srcs":[],"drvs":{}},"outputs":{"out":{"method":"nar","hashAlgo":"sha256"}}}'
    )
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    result = run(*NIX, "derivation", "add")
    assert (result.status, "'ca-derivations' is disabled" in result.err) == (1, True)


def test_output_of_a_whole_closure(run: Run) -> None:
    text = 'builtins.outputOf (derivation { name = "a"; system = "x"; builder = "/b"; }).drvPath "out"'
    result = run(*NIX[:2], "nix-command dynamic-derivations", "eval", "--impure", "--expr", text)
    assert "complete source and binary closure" in result.err


@pytest.mark.parametrize(
    "words, message",
    [
        (("-s", "A", "1", "-s", "A", "2"), "Duplicate definition"),
        (("-s", "A", "1", "-u", "A"), "Cannot unset"),
        (("-u", "A", "-s", "A", "1"), "Cannot set"),
    ],
)
def test_contradicting_variables(run: Run, words: tuple[str, ...], message: str) -> None:
    assert message in run(*NIX, "develop", *words, "--expr", "1", "-c", "true").err


def test_copies_keep_references(run: Run, tmp_path: Path) -> None:
    text = """
        let
          a = builtins.toFile "a" "x";
          b = builtins.toFile "b" "${a}";
        in builtins.path { name = "c"; path = "${b}"; }
    """
    path = run(*NIX, "eval", "--raw", "--impure", "--expr", text).out
    references = run("nix-store", "-q", "--references", path)
    assert (references.status, references.out.strip()[-2:]) == (0, "-a")


def test_commands_that_need_no_feature(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("1 + 1\n"))
    assert "nix-command" not in run("nix", "repl").err
    assert "nix-command" not in run("nix", "config", "check").err


def test_references_to_flakes_need_the_feature(run: Run) -> None:
    result = run("nix", "--option", "experimental-features", "nix-command", "eval", "nixpkgs#hello")
    assert result.status == 1 and "experimental Nix feature 'flakes' is disabled" in result.err
