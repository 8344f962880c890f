"""The program inside the test process, on a store and a cache folder of its own; evaluations are counted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Result(NamedTuple):
    status: int
    out: str
    err: str
    evaluated: bool


class World:
    """`run("nix-instantiate", …)`: the first word is argv[0]."""

    def __init__(
        self, folder: Path, capture: pytest.CaptureFixture[bytes], evaluations: list[int], chdir: Callable[..., None]
    ) -> None:
        self.folder = folder
        self._capture = capture
        self._evaluations = evaluations
        self.chdir = chdir

    def run(self, *words: str) -> Result:
        from frazil.cli.program import run as run_program

        self._capture.readouterr()
        before = len(self._evaluations)
        status = run_program(list(words))
        out, err = self._capture.readouterr()
        return Result(status, out.decode(), err.decode(), len(self._evaluations) > before)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path


def set_up(folder: Path, set_environment: Callable[[str, str], None]) -> None:
    (folder / "home").mkdir()
    settings = {
        "HOME": folder / "home",
        "NO_COLOR": "1",
        "NIX_CONF_DIR": folder / "etc",
        "NIX_REMOTE": f"local?root={folder}/root",
        "NIX_CONFIG": "flake-registry =\nsubstituters =\n",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for name, value in settings.items():
        set_environment(name, str(value))


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One element for each evaluator that was made."""
    from frazil.instantiate import session
    from frazil.lang import evaluator

    made: list[int] = []

    class Counting(evaluator.Evaluator):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            made.append(1)
            super().__init__(*arguments)

    monkeypatch.setattr(session, "Evaluator", Counting)
    return made


@pytest.fixture
def world(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    evaluations: list[int],
) -> Iterator[World]:
    for name in [n for n in os.environ if n.startswith(("NIX_", "XDG_", "FRAZIL_"))]:
        monkeypatch.delenv(name)
    set_up(tmp_path, monkeypatch.setenv)
    tree = tmp_path / "tree"
    tree.mkdir()
    monkeypatch.chdir(tree)
    yield World(tree, capfdbinary, evaluations, monkeypatch.chdir)
