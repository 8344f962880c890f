"""`copy` between stores of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command")


@pytest.fixture
def paths(run: Run, tmp_path: Path) -> tuple[str, str]:
    """A store derivation and what it refers to."""
    (tmp_path / "source").write_text("text")
    drv = """derivation { name = "a"; system = "x"; builder = "/b"; src = ./source; }"""
    (tmp_path / "a.nix").write_text(drv)
    path = run("nix-instantiate", str(tmp_path / "a.nix")).out.strip()
    (needed,) = run("nix-store", "-q", "--references", path).out.split()
    return path, needed


def test_there_and_back(run: Run, tmp_path: Path, paths: tuple[str, str]) -> None:
    drv, source = paths
    other = str(tmp_path / "other")
    done = run(*NIX, "copy", "--to", other, "--no-check-sigs", drv, "-o", str(tmp_path / "link"))
    assert done.status == 0, done.err
    assert done.err.count("copying path") == 2
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "other" / source[1:]).read_text() == "text"
    assert run(*NIX, "copy", "--to", other, "--no-check-sigs", drv).err == ""
    third = str(tmp_path / "third")
    done = run(*NIX, "copy", "--from", other, "--to", third, "--no-check-sigs", source)
    line = f"copying path '{source}' from 'local://{other}' to 'local://{third}'..."
    assert done.err.splitlines() == ["copying 1 paths...", line]
    fourth = ("--store", str(tmp_path / "fourth"))
    assert run(*NIX, *fourth, "copy", "--from", other, "--all", "--no-check-sigs").status == 0
    assert run(*NIX, *fourth, "path-info", "--all").out.split() == [source, drv]


def test_without_what_it_needs(run: Run, tmp_path: Path, paths: tuple[str, str]) -> None:
    drv, source = paths
    other = str(tmp_path / "other")
    done = run(*NIX, "copy", "--to", other, "--no-check-sigs", "--no-recursive", drv)
    assert (done.status, source in done.err) == (1, True)


def test_mistakes(run: Run, tmp_path: Path, paths: tuple[str, str]) -> None:
    drv, source = paths
    assert "you must pass '--from' and/or '--to'" in run(*NIX, "copy", drv).err
    assert run(*NIX, "copy", "--to", str(tmp_path / "x"), "--all", drv).status == 1
    assert run(*NIX, "copy", "--from", str(tmp_path / "x"), source).status == 1
    unknown = run(*NIX, "copy", "--to", "gopher://nowhere", drv)
    assert "don't know how to open" in unknown.err


def test_an_executable_added_flat_to_a_cache(run: Run, tmp_path: Path) -> None:
    """A flat object is not executable, whatever its source is; what cannot be handed on at the end is an error."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    nix = ("nix", "--extra-experimental-features", "nix-command")
    done = run(*nix, "--store", f"file://{tmp_path}/cache", "store", "add-file", str(program))
    assert done.status == 0, done.err
    assert list((tmp_path / "cache").glob("*.narinfo"))
    (tmp_path / "file").write_text("in the way")
    failed = run(*nix, "--store", f"file://{tmp_path}/file/cache", "store", "add-file", str(program))
    assert failed.status == 1 and failed.err.startswith("error: ")
