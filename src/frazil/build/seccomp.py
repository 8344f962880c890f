"""The system call filter of a builder, as a classic BPF program.

Out: bytes for `prctl(PR_SET_SECCOMP)`. Builders may not set setuid or setgid bits (EPERM) nor use extended attributes
(ENOTSUP): neither can be represented in a NAR. Source: seccomp(2), the kernel's system call tables, and the setting
`filter-syscalls` in Nix's manual.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from functools import cache

_LOAD_WORD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_SETUID_SETGID = 0o6000
_X32_BIT = 0x40000000

# Per architecture: its AUDIT_ARCH constant; chmod-like calls with the index of their mode argument; the calls
# get/set/list × plain, l, f for extended attributes. The `…at` calls have one number on all architectures.
_X86_64 = (0xC000003E, {90: 1, 91: 1, 268: 2}, (188, 189, 190, 191, 192, 193, 194, 195, 196))
_I386 = (0x40000003, {15: 1, 94: 1, 306: 2}, (226, 227, 228, 229, 230, 231, 232, 233, 234))
_AARCH64 = (0xC00000B7, {52: 1, 53: 2}, (5, 6, 7, 8, 9, 10, 11, 12, 13))
_ARM = (0x40000028, {15: 1, 94: 1, 333: 2}, (226, 227, 228, 229, 230, 231, 232, 233, 234))
_RISCV64 = (0xC00000F3, {52: 1, 53: 2}, (5, 6, 7, 8, 9, 10, 11, 12, 13))
_FCHMODAT2 = 452
_ATTRIBUTES_AT = (463, 464, 465)
"""setxattrat, getxattrat, listxattrat."""

_MACHINES = {
    "x86_64": (_X86_64, _I386),
    "i686": (_I386,),
    "aarch64": (_AARCH64, _ARM),
    "riscv64": (_RISCV64,),
}


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _return(action: int) -> bytes:
    return _instruction(_RETURN, action)


def _from(number: int) -> list[bytes]:
    """All calls with smaller numbers are allowed."""
    return [_instruction(_JUMP_GREATER_EQUAL, number, 1, 0), _return(_ALLOW)]


def _mode_check(number: int, argument: int) -> list[bytes]:
    """If the call is `number` and its mode has a forbidden bit: EPERM. Leaves the accumulator holding the number."""
    return [
        *_from(number),
        _instruction(_JUMP_EQUAL, number, 0, 4),
        _instruction(_LOAD_WORD, 16 + 8 * argument),
        _instruction(_JUMP_SET, _SETUID_SETGID, 0, 1),
        _return(_ERRNO | errno.EPERM),
        _return(_ALLOW),
    ]


def _refusal(numbers: Sequence[int]) -> list[bytes]:
    """`numbers` follow each other."""
    refused = _return(_ERRNO | errno.ENOTSUP)
    return [*_from(numbers[0]), _instruction(_JUMP_GREATER_EQUAL, numbers[-1] + 1, 1, 0), refused]


def _block(modes: dict[int, int], attributes: Sequence[int], *, x32: bool) -> list[bytes]:
    """In the order of the numbers, so that most calls are through after a step or two: when it loads a filter, the
    kernel goes through it for every call there is, to know which are always allowed."""
    parts = [(number, _mode_check(number, argument)) for number, argument in {**modes, _FCHMODAT2: 2}.items()]
    parts += [(numbers[0], _refusal(numbers)) for numbers in (attributes, _ATTRIBUTES_AT)]
    program = [_instruction(_LOAD_WORD, 0)]
    if x32:
        program.append(_instruction(_AND, ~_X32_BIT & 0xFFFFFFFF))
    for _, part in sorted(parts, key=lambda pair: pair[0]):
        program += part
    program.append(_return(_ALLOW))
    return program


@cache
def builder_filter(machine: str | None = None) -> bytes | None:
    """The filter for this machine's kernel; None where its system call numbers are not known here."""
    architectures = _MACHINES.get(machine or os.uname().machine)
    if architectures is None:
        return None
    program: list[bytes] = []
    for constant, modes, attributes in architectures:
        block = _block(modes, attributes, x32=constant == _X86_64[0])
        # A conditional jump reaches 255 instructions, a block may be longer.
        program.append(_instruction(_LOAD_WORD, 4))
        program.append(_instruction(_JUMP_EQUAL, constant, 1, 0))
        program.append(_instruction(0x05, len(block)))  # unconditional jump over the block
        program += block
    program.append(_return(_ALLOW))
    return b"".join(program)
