"""Commands run in this process, on a store and folders of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest


class Result(NamedTuple):
    status: int
    out: str
    err: str


OUTPUTS = "outputs = _: { };"
"""What `OUTPUTS` in the text of a flake stands for."""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """run("flake", "show", cwd=folder): an expected exit status other than 0 is given as `status`."""
    for name in ("NIX_CONFIG", "NIX_PATH", "NIX_REMOTE", "NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    settings = {
        "HOME": home,
        "XDG_CACHE_HOME": home / "cache",
        "XDG_CONFIG_HOME": home / "config",
        "XDG_DATA_HOME": home / "data",
        "XDG_STATE_HOME": home / "state",
        "NIX_CONF_DIR": home / "etc",
        "NIX_REMOTE": f"local?root={tmp_path / 'store'}",
        "NIX_CONFIG": "flake-registry =\nsubstituters =\n",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))

    def call(*arguments: str, cwd: Path | None = None, status: int = 0) -> Result:
        from frazil.cli.program import run as program

        monkeypatch.chdir(cwd or tmp_path)
        capfdbinary.readouterr()
        found = program(["frazil", *arguments])
        captured = capfdbinary.readouterr()
        result = Result(found, captured.out.decode(), captured.err.decode())
        assert found == status, result.err
        return result

    return call


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str, str], Path]:
    """make("name", text): a folder with that flake.nix; `ROOT` in the text is the folder of all of them."""
    root = tmp_path.resolve() / "flakes"

    def write(name: str, text: str) -> Path:
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "flake.nix").write_text(text.replace("ROOT", str(root)).replace("OUTPUTS", OUTPUTS), encoding="utf-8")
        return folder

    return write
