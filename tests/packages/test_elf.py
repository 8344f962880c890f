"""ELF files, also damaged ones."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.build.elf import BadElf, parse_elf, read_elf
from frazil.build.elf_patch import patchelf_program
from frazil.build.elf_redirect import RedirectFailed, compiled_paths, redirect


def test_this_interpreter() -> None:
    elf = read_elf(str(Path(sys.executable).resolve()))
    if elf is None:
        pytest.skip("Python is no ELF file here")
    assert elf.interpreter.startswith("/") or not elf.is_dynamic
    assert not elf.is_dynamic or any(name.startswith("libc.") for name in elf.needed)


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_noise(data: bytes) -> None:
    for prefix in (b"", b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HH", 3, 62)):
        try:
            parse_elf(prefix + data)
        except BadElf:
            pass


@given(st.integers(0, 4095), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_one_changed_byte(position: int, value: int) -> None:
    with open(sys.executable, "rb") as file:
        data = bytearray(file.read(1 << 16))
    data[position] = value
    try:
        parse_elf(bytes(data))
    except BadElf:
        pass


@pytest.fixture
def program(tmp_path: Path) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (tmp_path / "m.c").write_text('#include <stdio.h>\nint main(void) { puts("/usr/share/p/file"); return 0; }')
    subprocess.run(["cc", "-O1", "-fPIE", "-pie", "-o", "m", "m.c"], cwd=tmp_path, check=True)
    elf = read_elf(str(tmp_path / "m"))
    if elf is None or elf.machine != "x86_64":
        pytest.skip("only x86-64 files can be redirected")
    return tmp_path / "m"


def set_runpath(program: Path, text: str) -> None:
    subprocess.run([patchelf_program(), "--set-rpath", text, str(program)], check=True)


def test_compiled_in_paths_lead_elsewhere(program: Path) -> None:
    old = compiled_paths(program.read_bytes(), "/usr/share/p/")
    assert old == ["/usr/share/p/file"]
    new = "/nix/store/a-much-longer-place-than-before/share/p/file"
    set_runpath(program, f"/nix/store/x/lib:{new}")
    redirect(str(program), "/nix/store/x/lib", old, [new])
    run = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == new
    elf = read_elf(str(program))
    assert elf is not None and elf.runpath == ("/nix/store/x/lib",)


def test_unused_paths_are_an_error(program: Path) -> None:
    set_runpath(program, "/x:/new")
    with pytest.raises(RedirectFailed, match="nothing refers"):
        redirect(str(program), "/x", ["/absent"], ["/new"])


def test_other_runpath_is_an_error(program: Path) -> None:
    set_runpath(program, "/x:/other")
    with pytest.raises(RedirectFailed, match="RUNPATH"):
        redirect(str(program), "/x", ["/usr/share/p/file"], ["/new"])
