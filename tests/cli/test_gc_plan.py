"""What a collection would do, and why something stays, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run


@pytest.fixture
def paths(run: Run, tmp_path: Path) -> tuple[str, str]:
    """A derivation with two roots, and a dead file."""
    (tmp_path / "a.nix").write_text('derivation { name = "a"; system = "x"; builder = "/b"; src = ./a.nix; }')
    for link in ("one", "other"):
        drv = run("nix-instantiate", str(tmp_path / "a.nix"), "--add-root", str(tmp_path / link)).out.strip()
    (tmp_path / "dead").write_text("dead")
    return str(Path(drv).readlink()), run("nix-store", "--add", str(tmp_path / "dead")).out.strip()


def test_why_something_is_alive(run: Run, tmp_path: Path, paths: tuple[str, str]) -> None:
    alive, dead = paths
    found = run("frazil", "store", "why-alive", alive)
    assert found.status == 0
    roots = [str(tmp_path / "one"), str(tmp_path / "other")]
    assert found.out.splitlines() == [f"2 roots keep '{alive}' alive:", "", *roots, f"  → {alive}"]
    assert json.loads(run("frazil", "store", "why-alive", "--json", alive).out) == {
        alive: [{"roots": roots, "path": [alive]}]
    }
    (tmp_path / "other").unlink()
    source = run("nix-store", "-q", "--references", alive).out.strip()
    lines = run("frazil", "store", "why-alive", source).out.splitlines()
    assert lines[0] == f"one root keeps '{source}' alive:" and lines[-1] == f"    refers to {source}"
    found = run("frazil", "store", "why-alive", dead)
    assert found.status == 1 and "is dead" in found.out


def test_what_a_collection_would_delete(run: Run, tmp_path: Path, paths: tuple[str, str]) -> None:
    alive, dead = paths
    said = run("frazil", "store", "gc", "--plan").out
    assert said.startswith("A collection would delete 1 of 3 store paths") and dead in said and str(tmp_path) in said
    plan = json.loads(run("frazil", "store", "gc", "--plan", "--json").out)
    assert [one["path"] for one in plan["dead"]] == [dead] and plan["liveCount"] == 2
    assert run("nix-store", "--check-validity", alive, dead).status == 0  # nothing was deleted


def test_caches_have_no_garbage(run: Run, tmp_path: Path, paths: tuple[str, str]) -> None:
    """It is not the machine's own store that is looked at instead."""
    cache = f"file://{tmp_path}/cache"
    assert run("nix", "copy", "--to", cache, paths[1]).status == 0
    for command in (
        ("nix-store", "--gc"),
        ("nix-store", "--gc", "--print-roots"),
        ("nix-store", "--delete", paths[1]),
        ("nix", "store", "gc"),
        ("frazil", "store", "gc", "--plan"),
        ("frazil", "store", "why-alive", paths[1]),
    ):
        done = run(*command, "--store", cache)
        assert done.status == 1 and f"Garbage collection not supported by store '{cache}'" in done.err
    assert run("nix-store", "--check-validity", *paths).status == 0
    assert "--add-root" not in run("nix-store", "--store", cache, "--realise", paths[1]).err
    assert run("nix-store", "--store", cache, "--check-validity", paths[1]).status == 0
