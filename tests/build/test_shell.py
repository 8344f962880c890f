"""Which shell a sandbox gets, and what it needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.build import shell
from frazil.build.shell import find_shell, is_static, read_needs


def test_the_host_shell_with_its_libraries() -> None:
    found = dict(find_shell(static=False))
    if not found:
        pytest.skip("this machine has no /bin/sh")
    assert found["/bin/sh"] == os.path.realpath("/bin/sh")
    needs = read_needs(found["/bin/sh"])
    assert needs is not None
    interpreter, libraries = needs
    if interpreter is not None:
        assert interpreter in found
        assert all(any(os.path.basename(path) == name for path in found) for name in libraries)


def test_a_script_is_no_static_shell(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\n")
    (tmp_path / "script").chmod(0o755)
    assert not is_static(str(tmp_path / "script"))
    assert read_needs(str(tmp_path / "absent")) is None


def test_a_static_shell_is_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    static = [path for path in shell.STATIC_SHELLS if is_static(path)]
    if not static:
        pytest.skip("this machine has no static shell")
    assert find_shell() == [("/bin/sh", os.path.realpath(static[0]))]
    assert find_shell((static[-1],)) == [("/bin/sh", os.path.realpath(static[-1]))]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    path = f"/dev/shm/frazil-elf-{os.getpid()}"
    for head in (b"", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01"):
        Path(path).write_bytes(head + data)
        needs = read_needs(path)
        assert needs is None or isinstance(needs[1], list)
    os.unlink(path)
