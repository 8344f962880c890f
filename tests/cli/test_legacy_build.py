"""`nix-build` of stored derivations."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run


@pytest.fixture
def drv(run: Run, tmp_path: Path) -> str:
    text = 'derivation { name = "a"; system = "x"; builder = "/b"; outputs = [ "dev" "lib" ]; outputName = "lib"; }'
    (tmp_path / "a.nix").write_text(text)
    return run("nix-instantiate", str(tmp_path / "a.nix")).out.strip().partition("!")[0]


def test_one_output(run: Run, drv: str) -> None:
    assert f"'{drv}'" in run("nix-build", f"{drv}!dev").err
    assert f"'{drv}'" in run("nix-build", drv).err  # its own idea of which output is meant


def test_others_are_refused(run: Run, drv: str) -> None:
    two = run("nix-build", f"{drv}!dev,lib")
    assert two.err == f"error: building more than one derivation output is not supported, in '{drv}!dev,lib'\n"
    assert f"derivation '{drv}' does not have output 'nope'" in run("nix-build", f"{drv}!nope").err
    assert two.status == 1
