"""Reading ELF files: what a program needs to be loaded.

In: the bytes of a file (mapped). Out: `ElfFile` or None where it is no ELF file we handle. Source of truth: the System
V ABI (gABI), chapters 4 and 5. All offsets come from the file and are checked before use.
"""

from __future__ import annotations

import mmap
import os
import struct
from dataclasses import dataclass

from frazil.errors import FrazilError

ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH, DT_FLAGS_1 = (
    0,
    1,
    5,
    10,
    14,
    15,
    29,
    0x6FFFFFFB,
)
MAX_HEADERS = 4096
MAX_DYNAMIC = 1 << 16

MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64"}


class BadElf(FrazilError):
    """A damaged ELF file."""


@dataclass(frozen=True, slots=True)
class ElfFile:
    """The dynamic part of an ELF file; `interpreter` is "" where there is none."""

    machine: str
    interpreter: str
    needed: tuple[str, ...]
    soname: str
    runpath: tuple[str, ...]
    is_dynamic: bool


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    wide: bool

    @property
    def program(self) -> struct.Struct:
        # type, offset, vaddr, filesz in the order of the file's class (flags lies elsewhere in 32-bit files).
        return struct.Struct(self.order + ("I4xQQ8xQ16x" if self.wide else "III4xI12x"))

    @property
    def dynamic(self) -> struct.Struct:
        return struct.Struct(self.order + ("qQ" if self.wide else "iI"))


def _text(data: mmap.mmap | bytes, start: int, limit: int) -> str:
    if not 0 <= start < limit <= len(data):
        raise BadElf("string outside the file")
    end = data.find(b"\0", start, limit)
    if end < 0:
        raise BadElf("unterminated string")
    return bytes(data[start:end]).decode("latin-1")


def _segments(data: mmap.mmap | bytes, layout: _Layout) -> list[tuple[int, int, int, int]]:
    if layout.wide:
        (offset,) = struct.unpack_from(layout.order + "Q", data, 32)
        size, count = struct.unpack_from(layout.order + "HH", data, 54)
    else:
        (offset,) = struct.unpack_from(layout.order + "I", data, 28)
        size, count = struct.unpack_from(layout.order + "HH", data, 42)
    entry = layout.program
    if count and (size < entry.size or count > MAX_HEADERS or offset + size * count > len(data)):
        raise BadElf("program headers outside the file")
    return [entry.unpack_from(data, offset + i * size) for i in range(count)]


def _dynamic(data: mmap.mmap | bytes, layout: _Layout, start: int, size: int) -> list[tuple[int, int]]:
    entry = layout.dynamic
    if start + size > len(data) or size // entry.size > MAX_DYNAMIC:
        raise BadElf("dynamic section outside the file")
    found = []
    for position in range(start, start + size - entry.size + 1, entry.size):
        tag, value = entry.unpack_from(data, position)
        if tag == DT_NULL:
            break
        found.append((tag, value))
    return found


def parse_elf(data: mmap.mmap | bytes) -> ElfFile | None:
    """What the file needs, or None for anything but an ELF executable or shared object; raises BadElf."""
    if len(data) < 64 or data[:4] != b"\x7fELF" or data[4] not in (1, 2) or data[5] not in (1, 2):
        return None
    layout = _Layout("<" if data[5] == 1 else ">", data[4] == 2)
    kind, machine = struct.unpack_from(layout.order + "HH", data, 16)
    if kind not in (ET_EXEC, ET_DYN):
        return None
    segments = _segments(data, layout)
    interpreter = ""
    entries: list[tuple[int, int]] = []
    is_dynamic = False
    for segment, offset, _, size in segments:
        if segment == PT_INTERP:
            interpreter = _text(data, offset, min(offset + size, len(data)))
        elif segment == PT_DYNAMIC and size:
            is_dynamic = True
            entries = _dynamic(data, layout, offset, size)
    name = MACHINES.get(machine, str(machine))
    return _with_strings(data, segments, entries, name, interpreter, is_dynamic)


def _with_strings(
    data: mmap.mmap | bytes,
    segments: list[tuple[int, int, int, int]],
    entries: list[tuple[int, int]],
    machine: str,
    interpreter: str,
    is_dynamic: bool,
) -> ElfFile:
    tags = dict(entries)
    if DT_STRTAB not in tags:
        return ElfFile(machine, interpreter, (), "", (), is_dynamic)
    start = _file_offset(segments, tags[DT_STRTAB])
    limit = min(start + tags.get(DT_STRSZ, len(data)), len(data))

    def string(value: int) -> str:
        return _text(data, start + value, limit)

    needed = tuple(string(value) for tag, value in entries if tag == DT_NEEDED)
    soname = string(tags[DT_SONAME]) if DT_SONAME in tags else ""
    path = tags.get(DT_RUNPATH, tags.get(DT_RPATH))
    runpath = tuple(part for part in string(path).split(":") if part) if path is not None else ()
    return ElfFile(machine, interpreter, needed, soname, runpath, is_dynamic)


def _file_offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    for segment, offset, virtual, size in segments:
        if segment == PT_LOAD and virtual <= address < virtual + size:
            return offset + address - virtual
    raise BadElf("string table is in no segment")


def read_elf(path: str) -> ElfFile | None:
    """`parse_elf` of a file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.read(descriptor, 4) != b"\x7fELF" or os.fstat(descriptor).st_size < 64:
            return None
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
            return parse_elf(data)
    except BadElf as error:
        raise BadElf(f"{os.path.basename(path)}: {error}") from error
    finally:
        os.close(descriptor)
