"""What a sandbox shows at `/bin/sh`, where the setting `sandbox-paths` does not say.

Out: pairs (path in the sandbox, host path). A static shell is wanted, since it brings nothing else of the host with it;
failing that, the host's own shell with the libraries its ELF header asks for. Source: elf(5), ld.so(8).
"""

from __future__ import annotations

import os
import struct

STATIC_SHELLS = ("/bin/busybox", "/usr/bin/busybox", "/bin/bash-static", "/usr/bin/bash-static", "/bin/static-sh")
_LIBRARY_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
_MAX_HEADER = 1 << 20


def _segments(data: bytes) -> list[tuple[int, int, int, int]]:
    """(type, offset, virtual address, size in the file) of each program header; empty for what is no ELF file."""
    if data[:4] != b"\x7fELF" or data[5] != 1 or len(data) < 64:
        return []
    if data[4] == 2:
        table, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
        layout, pick = "<IIQQQQ", (0, 2, 3, 5)
    else:
        table, size, count = *struct.unpack_from("<I", data, 28), *struct.unpack_from("<HH", data, 42)
        layout, pick = "<IIIII", (0, 1, 2, 4)
    found = []
    for i in range(count):
        if table + i * size + struct.calcsize(layout) > len(data):
            break
        fields = struct.unpack_from(layout, data, table + i * size)
        found.append((fields[pick[0]], fields[pick[1]], fields[pick[2]], fields[pick[3]]))
    return found


def _text(data: bytes, offset: int) -> str:
    return os.fsdecode(data[offset : data.index(b"\0", offset)])


def read_needs(path: str) -> tuple[str | None, list[str]] | None:
    """The interpreter and the needed libraries of an ELF file: (None, []) when it is static, None when not ELF."""
    try:
        with open(path, "rb") as file:
            data = file.read(64 * _MAX_HEADER)
        segments = _segments(data)
        if not segments:
            return None
        interpreter = next((_text(data, offset) for kind, offset, _, _ in segments if kind == 3), None)
        dynamic = next(((offset, size) for kind, offset, _, size in segments if kind == 2), None)
        if dynamic is None:
            return interpreter, []
        word = "<qQ" if data[4] == 2 else "<iI"
        step = struct.calcsize(word)
        entries = [struct.unpack_from(word, data, dynamic[0] + i) for i in range(0, dynamic[1] - step + 1, step)]
        table = next((value for tag, value in entries if tag == 5), None)
        if table is None:
            return interpreter, []
        start = next(
            table - address + offset
            for kind, offset, address, n in segments
            if kind == 1 and address <= table < address + n
        )
        return interpreter, [_text(data, start + value) for tag, value in entries if tag == 1]
    except (OSError, ValueError, IndexError, struct.error):
        return None


def is_static(path: str) -> bool:
    if not os.access(path, os.X_OK):
        return False
    return read_needs(path) == (None, [])


def _find_library(name: str) -> str | None:
    folders = list(_LIBRARY_FOLDERS)
    for base in ("/lib", "/usr/lib"):
        try:
            folders += [f"{base}/{entry}" for entry in os.listdir(base) if "-linux-" in entry]
        except OSError:
            continue
    return next((f"{folder}/{name}" for folder in folders if os.path.exists(f"{folder}/{name}")), None)


def _with_libraries(program: str) -> list[tuple[str, str]]:
    """The program at /bin/sh, its interpreter and libraries where they are."""
    paths = {"/bin/sh": os.path.realpath(program)}
    pending = [program]
    while pending:
        interpreter, names = read_needs(os.path.realpath(pending.pop())) or (None, [])
        for found in [interpreter, *(_find_library(name) for name in names)]:
            if found and found not in paths:
                paths[found] = os.path.realpath(found)
                pending.append(found)
    return sorted(paths.items())


def find_shell(candidates: tuple[str, ...] = (), *, static: bool = True) -> list[tuple[str, str]]:
    """Binds that give the sandbox a shell; `candidates` (static shells known to the caller) come first.

    `static` off: the host's own shell in any case.

    Empty where the machine has none: builders that need `/bin/sh` then fail with a plain message.
    """
    for path in (*candidates, *STATIC_SHELLS):
        if static and is_static(path):
            return [("/bin/sh", os.path.realpath(path))]
    return _with_libraries("/bin/sh") if os.path.exists("/bin/sh") else []
