"""Running the program inside the test process, on a store of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest


class Result(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """`run("nix-store", "--add", …)`: the first word is argv[0]."""
    for name in [n for n in os.environ if n.startswith(("NIX_", "XDG_", "FRAZIL_"))]:
        monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("NIX_CONF_DIR", str(tmp_path / "etc"))
    monkeypatch.setenv("NIX_REMOTE", f"local?root={tmp_path}/root")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Result:
        from frazil.cli.program import run as run_program

        capfdbinary.readouterr()
        status = run_program(list(words))
        out, err = capfdbinary.readouterr()
        return Result(status, out.decode(), err.decode())

    return call
