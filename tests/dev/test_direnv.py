from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from frazil.dev.direnv import install
from frazil.errors import FrazilError


def fake_frazil(tmp_path: Path) -> Path:
    program = tmp_path / "a frazil"
    program.write_text('#!/bin/sh\necho "export FROM_FLAKE=yes"\n')
    program.chmod(0o755)
    return program


def test_direnv_takes_use_flake_from_the_library(tmp_path: Path) -> None:
    direnv = shutil.which("direnv")
    if direnv is None:
        pytest.skip("direnv is not installed")
    home, project = tmp_path / "home", tmp_path / "project"
    project.mkdir()
    (project / ".envrc").write_text("use flake\n")
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_CONFIG_HOME": str(home / ".config")}
    install(str(fake_frazil(tmp_path)), environment)
    subprocess.run([direnv, "allow"], cwd=project, env=environment, check=True, capture_output=True)
    command = [direnv, "exec", ".", "sh", "-c", "echo $FROM_FLAKE"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "yes\n"


def test_installing_twice_leaves_one_file(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path)}
    path = Path(install("/bin/frazil", environment))
    assert install("/bin/frazil", environment) == str(path)
    assert [p.name for p in path.parent.iterdir()] == ["frazil.sh"]
    assert "/bin/frazil' print-dev-env" in path.read_text()


def test_a_library_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".config" / "direnv" / "lib" / "frazil.sh").mkdir(parents=True)
    with pytest.raises(FrazilError, match="cannot write"):
        install("/bin/frazil", {"HOME": str(tmp_path)})
    assert [p.name for p in (tmp_path / ".config" / "direnv" / "lib").iterdir()] == ["frazil.sh"]
