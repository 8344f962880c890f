"""The system call filter, run by a small interpreter of classic BPF."""

from __future__ import annotations

import errno
import struct

import pytest

from frazil.build.seccomp import builder_filter

X86_64, I386, AARCH64 = 0xC000003E, 0x40000003, 0xC00000B7
ALLOW, EPERM, ENOTSUP = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOTSUP


def evaluate(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel would do with a call."""
    data = struct.pack("<IIQ", number, architecture, 0) + b"".join(
        struct.pack("<Q", argument) for argument in (*arguments, *([0] * (6 - len(arguments))))
    )
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator, at = 0, 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return int(value)
        elif code == 0x05:
            at += value
        elif code == 0x54:
            accumulator &= value
        else:
            outcomes = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}
            holds = outcomes[code]
            at += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "architecture", "number", "arguments", "action"),
    [
        ("x86_64", X86_64, 90, (0, 0o755), ALLOW),
        ("x86_64", X86_64, 90, (0, 0o4755), EPERM),
        ("x86_64", X86_64, 91, (0, 0o2755), EPERM),
        ("x86_64", X86_64, 268, (0, 0, 0o6755), EPERM),
        ("x86_64", X86_64, 268, (0, 0o6755, 0o755), ALLOW),
        ("x86_64", X86_64, 452, (0, 0, 0o4000), EPERM),
        ("x86_64", X86_64, 0x40000000 | 90, (0, 0o4755), EPERM),
        ("x86_64", X86_64, 187, (0, 0o4755, 0o4755), ALLOW),
        ("x86_64", X86_64, 188, (), ENOTSUP),
        ("x86_64", X86_64, 196, (), ENOTSUP),
        ("x86_64", X86_64, 197, (0, 0o4755, 0o4755), ALLOW),
        ("x86_64", X86_64, 0x40000000 | 188, (), ENOTSUP),
        ("x86_64", X86_64, 0xFFFFFFFF, (0, 0o4755, 0o4755), ALLOW),
        ("x86_64", X86_64, 465, (), ENOTSUP),
        ("x86_64", X86_64, 466, (), ALLOW),
        ("x86_64", X86_64, 463, (), ENOTSUP),
        ("x86_64", X86_64, 0, (0, 0o4755), ALLOW),
        ("x86_64", I386, 15, (0, 0o4755), EPERM),
        ("x86_64", I386, 234, (), ENOTSUP),
        ("x86_64", I386, 90, (0, 0o4755), ALLOW),
        ("x86_64", AARCH64, 90, (0, 0o4755), ALLOW),
        ("aarch64", AARCH64, 52, (0, 0o4755), EPERM),
        ("aarch64", AARCH64, 53, (0, 0, 0o4755), EPERM),
        ("aarch64", AARCH64, 13, (), ENOTSUP),
    ],
)
def test_calls(machine: str, architecture: int, number: int, arguments: tuple[int, ...], action: int) -> None:
    program = builder_filter(machine)
    assert program is not None
    assert evaluate(program, architecture, number, *arguments) == action


def test_an_unknown_machine_has_none() -> None:
    assert builder_filter("vax") is None


@pytest.mark.parametrize("machine", ["x86_64", "i686", "aarch64", "riscv64"])
def test_every_call_with_a_harmless_mode_and_no_attributes_is_allowed(machine: str) -> None:
    program = builder_filter(machine)
    assert program is not None
    for architecture in (X86_64, I386, AARCH64):
        refused = [n for n in range(600) if evaluate(program, architecture, n, *[0o755] * 6) != ALLOW]
        assert len(refused) in (0, 12)
        assert all(evaluate(program, architecture, n) == ENOTSUP for n in refused)
