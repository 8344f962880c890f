"""Paths that are compiled into an x86-64 program or library, led elsewhere.

A store path is longer than `/usr/share/…`, so it cannot be written over the old text. The new texts are stored behind
the RUNPATH (patchelf puts that text into a loaded segment of its own), and the instructions that load the address of an
old text (`lea reg, [rip + disp32]`) load that of the new one. In: a file, a prefix to replace. Out: the same file,
changed in place; an old text to which nothing refers is an error. Source of truth: Intel SDM vol. 2 (LEA), gABI.
"""

from __future__ import annotations

import re
import struct

from frazil.build.elf import DT_RUNPATH, DT_STRTAB, PT_DYNAMIC, PT_LOAD
from frazil.errors import FrazilError

_LEA = re.compile(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]", re.DOTALL)
_LEA_SIZE = 7
_PF_X = 1
_SEGMENT = struct.Struct("<IIQQ8xQ16x")


class RedirectFailed(FrazilError):
    """A compiled-in path could not be replaced."""


def _segments(data: bytes | bytearray) -> list[tuple[int, int, int, int, int]]:
    """(type, flags, offset, address, size in the file) of each program header."""
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 18)[0] != 62:
        raise RedirectFailed("only 64-bit x86 files can be redirected")
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if size < _SEGMENT.size or start + size * count > len(data):
        raise RedirectFailed("program headers outside the file")
    return [_SEGMENT.unpack_from(data, start + i * size) for i in range(count)]


def _address(segments: list[tuple[int, int, int, int, int]], offset: int) -> int:
    for kind, _, start, address, size in segments:
        if kind == PT_LOAD and start <= offset < start + size:
            return address + offset - start
    raise RedirectFailed("text is in no loaded segment")


def _offset(segments: list[tuple[int, int, int, int, int]], address: int) -> int:
    for kind, _, start, first, size in segments:
        if kind == PT_LOAD and first <= address < first + size:
            return start + address - first
    raise RedirectFailed("address is in no loaded segment")


def compiled_paths(data: bytes, prefix: str) -> list[str]:
    """The texts in a file that begin with `prefix`, sorted."""
    pattern = rb"(?<=\0)" + re.escape(prefix.encode()) + rb"[^\0:]*(?=\0)"
    return sorted({match[0].decode("latin-1") for match in re.finditer(pattern, data)})


def _runpath_offset(data: bytearray, segments: list[tuple[int, int, int, int, int]]) -> int:
    for kind, _, start, _, size in segments:
        if kind == PT_DYNAMIC:
            entries = dict(struct.iter_unpack("<qQ", data[start : start + size - size % 16]))
            if DT_RUNPATH in entries and DT_STRTAB in entries:
                return _offset(segments, entries[DT_STRTAB] + entries[DT_RUNPATH])
    raise RedirectFailed("the file has no RUNPATH")


def _new_addresses(
    data: bytearray, segments: list[tuple[int, int, int, int, int]], runpath: str, new: list[str]
) -> list[int]:
    """Cuts the texts off the RUNPATH (their colons become zero bytes) and says where each is loaded."""
    start = _runpath_offset(data, segments)
    whole = ":".join([runpath, *new]).encode()
    if data[start : start + len(whole) + 1] != whole + b"\0":
        raise RedirectFailed("the RUNPATH is not what was set")
    position = start + len(runpath.encode())
    addresses = []
    for text in new:
        data[position] = 0
        addresses.append(_address(segments, position + 1))
        position += 1 + len(text.encode())
    return addresses


def redirect(path: str, runpath: str, old: list[str], new: list[str]) -> None:
    """Makes references to each text of `old` refer to that of `new`, which patchelf has put behind `runpath`."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    segments = _segments(data)
    addresses = _new_addresses(data, segments, runpath, new)
    targets: dict[int, tuple[int, str]] = {}
    for text, address in zip(old, addresses, strict=True):
        for match in re.finditer(rb"(?<=\0)" + re.escape(text.encode()) + rb"(?=\0)", bytes(data)):
            targets[_address(segments, match.start())] = (address, text)
    used = set()
    for kind, flags, start, first, size in segments:
        if kind != PT_LOAD or not flags & _PF_X:
            continue
        code = bytes(data[start : start + size])
        for match in _LEA.finditer(code):
            position = match.start()
            if position + _LEA_SIZE > len(code):
                break
            (displacement,) = struct.unpack_from("<i", code, position + 3)
            found = targets.get(first + position + _LEA_SIZE + displacement)
            if found is not None:
                struct.pack_into("<i", data, start + position + 3, found[0] - (first + position + _LEA_SIZE))
                used.add(found[1])
    missed = sorted(set(old) - used)
    if missed:
        raise RedirectFailed(f"nothing refers to the compiled-in path '{missed[0]}'")
    with open(path, "wb") as file:
        file.write(data)
