"""Commands on store paths that are not there (yet)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from frazil.cli.store_paths import what
from frazil.store.derived_path import DerivedPath
from frazil.store.path import StoreDirectory

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command")
NOWHERE = "/nix/store/wzx6ba5kwyv02vqxfdwcds0nq5a8h24y-nope"


def derivations(run: Run, tmp_path: Path) -> list[str]:
    text = 'let f = name: derivation { inherit name; system = "x"; builder = "/b"; }; in { a = f "a"; b = f "b"; }'
    (tmp_path / "a.nix").write_text(text)
    return sorted(run("nix-instantiate", str(tmp_path / "a.nix")).out.split())


def test_what_is_not_there_is_said(run: Run, tmp_path: Path) -> None:
    drv, other = derivations(run, tmp_path)
    found = run(*NIX, "path-info", f"{drv}^out", f"{other}^out")
    assert found.err.startswith("these 2 derivations will be built:\n  ")
    assert (found.status, drv in found.err, other in found.err) == (1, True, True)
    unknown = f"don't know how to build these paths:\n  {NOWHERE}\nerror: path '{NOWHERE}' is not valid\n"
    assert run(*NIX, "path-info", NOWHERE).err == unknown
    (tmp_path / "cache").mkdir()
    assert run(*NIX, "--store", f"file://{tmp_path}/cache", "path-info", NOWHERE).err == unknown
    assert run(*NIX, "path-info", drv).err == ""


def test_what_is_copied_is_built_together(run: Run, tmp_path: Path) -> None:
    drvs = derivations(run, tmp_path)
    words = ["copy", "--keep-going", "--to", f"file://{tmp_path}/cache"]
    failed = run(*NIX, *words, *(f"{drv}^out" for drv in drvs))
    assert failed.err.startswith("these 2 derivations will be built:\n")
    assert failed.err.endswith("build of " + ", ".join(f"'{drv}^out'" for drv in drvs) + " failed\n")
    fetched = run(*NIX, *words, NOWHERE)
    assert "is required, but there is no substituter that can build it" in fetched.err


def test_deleting_tells_what_was_freed(run: Run, tmp_path: Path) -> None:
    gone = run(*NIX, "store", "delete", NOWHERE)
    assert (gone.status, gone.out) == (0, "1 store paths deleted, 0.0 KiB freed\n")
    assert f"deleting '{NOWHERE}'" in gone.err
    (tmp_path / "file").write_text("x")
    path = run("nix-store", "--add", str(tmp_path / "file")).out.strip()
    run("nix-store", "--add-root", str(tmp_path / "root-link"), "--realise", path)
    for words in ((*NIX, "store", "delete"), ("nix-store", "--delete")):
        kept = run(*words, path)
        assert (kept.status, kept.out) == (1, "0 store paths deleted, 0.0 KiB freed\n")


def test_a_log_is_named_by_its_installable(run: Run, tmp_path: Path) -> None:
    (drv, _) = derivations(run, tmp_path)
    assert "error: build log of 'a' is not available" in run(*NIX, "log", "-f", str(tmp_path / "a.nix"), "a").err
    assert f"error: build log of '{drv}' is not available" in run(*NIX, "log", drv).err


def test_a_store_is_named_before_it_is_reached(run: Run, tmp_path: Path) -> None:
    there = f"local?require-sigs=false&root={tmp_path}/x"
    assert (
        f"Store URL: local://?require-sigs=false&root={tmp_path}/x\n"
        in run(*NIX, "--store", there, "store", "info").err
    )
    daemon = f"unix://{tmp_path}/none"
    failed = run(*NIX, "--store", daemon, "store", "info")
    assert failed.err.startswith(f"Store URL: {daemon}\nerror: cannot connect to socket at '{tmp_path}/none'")
    assert run(*NIX, "--store", daemon, "store", "info", "--json").out == f'{{"url":"{daemon}"}}\n'


def test_optimising_says_little(run: Run) -> None:
    assert run(*NIX, "store", "optimise").err == "0.0 KiB freed by hard-linking 0 files\n"
    assert run(*NIX, "store", "optimise", "-v").err.startswith("loaded 0 hash inodes\n")


def test_answers_before_one_that_is_missing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    added = run("nix-store", "--add", str(tmp_path / "a")).out.strip()
    missing = added.rpartition("/")[0] + "/" + "0" * 32 + "-missing"
    for kind in ("--hash", "--size"):
        result = run("nix-store", "-q", kind, added, missing, added)
        assert result.status == 1
        assert len(result.out.splitlines()) == 1
        assert f"path '{missing}' is not valid" in result.err


def test_trees_and_graphs(run: Run, tmp_path: Path) -> None:
    """What needs nothing of the others comes first in a tree."""
    text = """let f = name: needs: derivation { inherit name needs; system = "x"; builder = "/b"; };
      low = f "low" []; middle = f "middle" [ low ]; in f "top-most" [ low middle ]"""
    (tmp_path / "a.nix").write_text(text)
    top = run("nix-instantiate", str(tmp_path / "a.nix")).out.strip()
    names = {line.partition("-")[2]: line for line in run("nix-store", "-qR", top).out.split()}
    low, middle = names["low.drv"], names["middle.drv"]
    tree = run("nix-store", "-q", "--tree", top).out
    assert tree == f"{top}\n├───{low}\n└───{middle}\n    └───{low} [...]\n"
    assert run("nix-store", "-q", "--graph", top).out.count(" -> ") == 3
    drawn = run("nix-store", "-q", "--graphml", top).out
    assert "<key id='narSize' for='node' attr.name='narSize' attr.type='long'/><key id='name'" in drawn
    assert drawn.count("<edge ") == 3


def test_without_an_argument_messages_name_the_path() -> None:
    path = DerivedPath(StoreDirectory("/nix/store").parse(NOWHERE), None)
    context: Any = SimpleNamespace(any_store=SimpleNamespace(directory=StoreDirectory("/nix/store")))
    arguments: Any = SimpleNamespace(has=lambda key: False)
    assert what(context, arguments, "", path) == NOWHERE
    assert what(context, arguments, ".#x", path) == ".#x"
