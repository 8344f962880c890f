from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from frazil.dev.outside import Place, outside_object, outside_path, programs

LOGICAL = "/nix/frazil-test-store"


def write_script(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\necho "$0 $1"\n')
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    store = tmp_path / "store"
    write_script(store / "abc-hello" / "bin" / "hello")
    (store / "abc-hello" / "share").mkdir()
    (store / "abc-hello" / "share" / "text").write_text("shared\n")
    (store / "def-joined").mkdir()
    (store / "def-joined" / "bin").symlink_to(f"{LOGICAL}/abc-hello/bin")
    write_script(store / "ghi-script")
    (store / "jkl-file").write_text("plain\n")
    return Place(LOGICAL, str(store))


def run(program: str, argument: str) -> str:
    done = subprocess.run([program, argument], capture_output=True, text=True, check=False)
    if "user namespaces" in done.stderr:
        pytest.skip("no user namespaces on this machine")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_program_of_a_name_wins(place: Place) -> None:
    path = f"{LOGICAL}/abc-hello/bin:{LOGICAL}/def-joined/bin:{LOGICAL}/gone/bin:/bin"
    assert programs(path, place) == {"hello": f"{LOGICAL}/abc-hello/bin/hello"}


def test_links_between_store_objects_are_followed(place: Place) -> None:
    assert programs(f"{LOGICAL}/def-joined/bin", place) == {"hello": f"{LOGICAL}/def-joined/bin/hello"}


def test_a_ring_of_links_is_an_error(place: Place) -> None:
    os.symlink(f"{LOGICAL}/ring", f"{place.physical}/ring")
    with pytest.raises(OSError, match="too many symbolic links"):
        place.real(f"{LOGICAL}/ring")


def test_a_program_starts_from_outside_with_the_store_in_place(place: Place, tmp_path: Path) -> None:
    path = outside_path(f"{LOGICAL}/abc-hello/bin:/usr/bin", place, str(tmp_path / "cache"))
    folder, rest = path.split(":", 1)
    assert rest == "/usr/bin"
    assert run(f"{folder}/hello", "it's") == f"{LOGICAL}/abc-hello/bin/hello it's\n"


def test_the_same_programs_have_the_same_folder(place: Place, tmp_path: Path) -> None:
    paths = [outside_path(f"{LOGICAL}/abc-hello/bin", place, str(tmp_path / "cache")) for _ in range(2)]
    assert paths[0] == paths[1]
    assert len(os.listdir(tmp_path / "cache" / "programs")) == 1


@pytest.mark.parametrize("base", ["abc-hello", "def-joined"])
def test_an_object_has_programs_and_files(place: Place, tmp_path: Path, base: str) -> None:
    for _ in range(2):
        path = outside_object(base, place, str(tmp_path / "outside"))
    assert run(f"{path}/bin/hello", "x") == f"{LOGICAL}/{base}/bin/hello x\n"
    assert os.listdir(tmp_path / "outside") == [base]


def test_files_of_an_object(place: Place, tmp_path: Path) -> None:
    folder = str(tmp_path / "outside")
    assert Path(outside_object("abc-hello", place, folder), "share", "text").read_text() == "shared\n"
    assert Path(outside_object("jkl-file", place, folder)).read_text() == "plain\n"
    assert run(outside_object("ghi-script", place, folder), "y") == f"{LOGICAL}/ghi-script y\n"


def test_a_folder_of_starters_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    place = Place("/nix/store", str(tmp_path / "store"))
    (tmp_path / "store" / "abc" / "bin").mkdir(parents=True)
    (tmp_path / "store" / "abc" / "bin" / "x").write_text("")
    first = outside_path("/nix/store/abc/bin", place, str(tmp_path / "cache"))
    folder = Path(first)
    assert [p.name for p in folder.iterdir()] == ["x"]
    assert outside_path("/nix/store/abc/bin", place, str(tmp_path / "cache")) == first
    (folder / "x").unlink()
    folder.rmdir()
    folder.write_text("a file where the folder belongs")
    with pytest.raises(OSError):
        outside_path("/nix/store/abc/bin", place, str(tmp_path / "cache"))
