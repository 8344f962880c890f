"""Binary caches from the command line: pushing, watching, asking them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Run

NIX = ("frazil",)


@pytest.fixture
def path(run: Run, tmp_path: Path) -> str:
    """A store path that refers to another one."""
    (tmp_path / "source").write_text("text")
    drv = """derivation { name = "a"; system = "x"; builder = "/b"; src = ./source; }"""
    (tmp_path / "a.nix").write_text(drv)
    return run("nix-instantiate", str(tmp_path / "a.nix")).out.strip()


def test_pushing_and_asking(run: Run, tmp_path: Path, path: str) -> None:
    cache = f"file://{tmp_path / 'cache'}"
    key = run(*NIX, "key", "generate-secret", "--key-name", "k-1").out
    (tmp_path / "key").write_text(key)
    done = run(*NIX, "cache", "push", "--derivation", "--to", f"{cache}?secret-key={tmp_path / 'key'}", path)
    assert done.status == 0 and "2 paths pushed" in done.err
    assert "0 paths pushed" in run(*NIX, "cache", "push", "--derivation", "--to", cache, path).err
    there = ("--store", cache)
    assert run(*NIX, "path-info", *there, "-r", path).out.split()[-1] == path
    found = json.loads(run(*NIX, "path-info", *there, "--json", "--json-format", "1", path).out)[path]
    assert (
        found["url"].startswith("nar/") and found["compression"] == "xz" and found["signatures"][0].startswith("k-1:")
    )
    assert run(*NIX, "store", "cat", *there, path).out.startswith("Derive(")
    lines = run(*NIX, "store", "ls", *there, "-l", path).out
    assert lines.startswith("-r--r--r--") and path.rpartition("/")[2] not in lines
    assert run(*NIX, "store", "info", *there).err == f"Store URL: {cache}\nTrusted: 1\n"
    assert run(*NIX, "store", "verify", *there, "--all", "--no-trust").status == 0
    assert run(*NIX, "derivation", "show", *there, path).status == 0
    for file in (tmp_path / "cache" / "nar").iterdir():
        file.write_bytes(b"damaged")
    assert run(*NIX, "store", "verify", *there, "--all", "--no-trust").status == 4


def test_signatures_of_others(run: Run, tmp_path: Path, path: str) -> None:
    cache = f"file://{tmp_path / 'cache'}"
    (tmp_path / "key").write_text(run(*NIX, "key", "generate-secret", "--key-name", "k-1").out)
    address = f"{cache}?secret-key={tmp_path / 'key'}"
    assert run(*NIX, "copy", "--derivation", "--to", address, path).status == 0
    assert "imported 2 signatures" in run(*NIX, "store", "copy-sigs", "-v", "--derivation", "-rs", cache, path).err
    assert "k-1:" in run(*NIX, "path-info", "--derivation", "--sigs", path).out


def test_watching(run: Run, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    to = ("--to", f"file://{cache}", "--interval", "0.1")
    assert run(*NIX, "cache", "watch", *to, "--", "sh", "-c", "exit 7").status == 7
    assert "cannot run" in run(*NIX, "cache", "watch", *to, "--", "/nothing/here").err
    assert "number of seconds" in run(*NIX, "cache", "watch", "--to", f"file://{cache}", "--interval", "x", "true").err
    assert "'--to' is missing" in run(*NIX, "cache", "watch").err


def test_logs_that_caches_have(run: Run, tmp_path: Path, path: str) -> None:
    cache = tmp_path / "cache"
    (cache / "log").mkdir(parents=True)
    (cache / "log" / path.rpartition("/")[2]).write_text("said much\n")
    (cache / "nix-cache-info").write_text("StoreDir: /nix/store\n")
    assert "is not available" in run(*NIX, "log", path, "--option", "substituters", "").err
    found = run(*NIX, "log", path, "--option", "substituters", f"file://{cache}")
    assert found.out == "said much\n" and f"got build log for '{path}' from 'file://{cache}'" in found.err
    assert run(*NIX, "store", "copy-log", "--from", f"file://{cache}", path).status == 0
    found = run(*NIX, "log", path, "--option", "substituters", "")
    assert found.out == "said much\n" and f"got build log for '{path}' from 'local" in found.err


def test_evaluation_into_a_cache(run: Run, tmp_path: Path, path: str) -> None:
    cache = f"file://{tmp_path / 'direct'}"
    done = run("nix-instantiate", "--store", cache, str(tmp_path / "a.nix"))
    assert done.status == 0 and done.out.strip() == path
    assert run(*NIX, "path-info", "--store", cache, path).out == path + "\n"


def test_nothing_is_built_in_a_cache(run: Run, tmp_path: Path) -> None:
    """It is not built in the machine's own store instead."""
    cache = f"file://{tmp_path}/cache"
    script = "echo > $out"
    (tmp_path / "b.nix").write_text(
        'derivation { name = "b"; system = builtins.currentSystem; builder = "/bin/sh"; '
        f'args = [ "-c" "{script}" ]; }}'.replace("$", "\\$")
    )
    for command in (
        ("nix-build", "--store", cache, "--no-out-link", str(tmp_path / "b.nix")),
        (*NIX, "build", "--store", cache, "--no-link", "-f", str(tmp_path / "b.nix")),
    ):
        done = run(*command)
        assert done.status != 0 and "Unable to build with a primary store that isn't a local store" in done.err
