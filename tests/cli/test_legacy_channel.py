from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from .conftest import Run


@pytest.fixture
def channel(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    """In a store that lies where its paths say: channels are read through links."""
    monkeypatch.delenv("NIX_REMOTE")
    monkeypatch.setenv("NIX_STORE_DIR", f"{tmp_path}/store")
    monkeypatch.setenv("NIX_STATE_DIR", f"{tmp_path}/state")
    (tmp_path / "exprs").mkdir()
    (tmp_path / "exprs/default.nix").write_text(
        '{ thing = derivation { name = "thing-1"; system = builtins.currentSystem; builder = "/bin/sh"; }; }'
    )
    (tmp_path / "served").mkdir()
    with tarfile.open(tmp_path / "served/nixexprs.tar.bz2", "w:bz2") as archive:
        archive.add(tmp_path / "exprs", "nixexprs")
    return f"file://{tmp_path}/served"


def test_the_list(run: Run, tmp_path: Path) -> None:
    assert run("nix-channel", "--add", "https://host/nixos-unstable").status == 0
    assert run("nix-channel", "--add", "https://host/x/", "other").status == 0
    assert run("nix-channel", "--list").out == "nixos https://host/nixos-unstable\nother https://host/x\n"
    (tmp_path / "home/.nix-channels").write_text("# a comment\n\nhttps://host/only///\n")
    assert run("nix-channel", "--list").out == "only https://host/only\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--add",),
        ("--add", "gopher://x"),
        ("--add", "https://host/a", "b/c"),
        ("--add", "https://host/", "../x"),
        ("--list", "x"),
        ("--remove",),
        ("--list", "--update"),
        ("--rollback", "1", "2"),
    ],
)
def test_mistakes(run: Run, words: tuple[str, ...]) -> None:
    assert run("nix-channel", *words).status == 1
    assert run("nix-channel", "--list").out == ""


def test_updating_and_going_back(run: Run, channel: str, tmp_path: Path) -> None:
    assert run("nix-channel", "--add", channel, "mine").status == 0
    updated = run("nix-channel", "--update")
    assert updated.status == 0, updated.err
    assert os.path.islink(tmp_path / "home/.nix-defexpr/channels")
    assert len(run("nix-channel", "--list-generations").out.splitlines()) == 1
    assert run("nix-env", "-qaP").out.split() == ["mine.thing", "thing-1"]
    assert run("nix-channel", "--add", channel, "second").status == 0
    only = run("nix-channel", "--update", "second")
    assert only.status == 0, only.err
    assert len(run("nix-channel", "--list-generations").out.splitlines()) == 2
    assert run("nix-instantiate", "<second>", "-A", "thing").out.endswith("-thing-1.drv\n")
    assert run("nix-channel", "--rollback").status == 0
    assert "(current)" in run("nix-channel", "--list-generations").out.splitlines()[0]
    assert run("nix-channel", "--remove", "mine").status == 0


def test_what_was_never_fetched_cannot_stay(run: Run, channel: str) -> None:
    run("nix-channel", "--add", channel, "a")
    run("nix-channel", "--add", channel, "b")
    assert "was never fetched" in run("nix-channel", "--update", "a").err
