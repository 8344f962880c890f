from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from frazil.dev.outside import outside_path, programs

LOGICAL = "/nix/frazil-test-store"


@pytest.fixture
def physical(tmp_path: Path) -> str:
    folder = tmp_path / "store" / "abc-hello" / "bin"
    folder.mkdir(parents=True)
    script = folder / "hello"
    script.write_text('#!/bin/sh\necho "$0 $1"\n')
    script.chmod(0o755)
    return str(tmp_path / "store")


def test_the_first_program_of_a_name_wins(physical: str) -> None:
    assert programs(f"{LOGICAL}/abc-hello/bin:{LOGICAL}/gone/bin:/bin", LOGICAL, physical) == {
        "hello": f"{LOGICAL}/abc-hello/bin/hello"
    }


def test_a_program_starts_from_outside_with_the_store_in_place(physical: str, tmp_path: Path) -> None:
    path = outside_path(f"{LOGICAL}/abc-hello/bin:/usr/bin", LOGICAL, physical, str(tmp_path / "cache"))
    folder, rest = path.split(":", 1)
    assert rest == "/usr/bin"
    done = subprocess.run([f"{folder}/hello", "it's"], capture_output=True, text=True, check=False)
    if "user namespaces" in done.stderr:
        pytest.skip("no user namespaces on this machine")
    assert (done.returncode, done.stdout) == (0, f"{LOGICAL}/abc-hello/bin/hello it's\n")


def test_the_same_programs_have_the_same_folder(physical: str, tmp_path: Path) -> None:
    paths = [outside_path(f"{LOGICAL}/abc-hello/bin", LOGICAL, physical, str(tmp_path / "cache")) for _ in range(2)]
    assert paths[0] == paths[1]
    assert len(os.listdir(tmp_path / "cache" / "programs")) == 1
