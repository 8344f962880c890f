"""The program: arguments in, exit status out."""

from __future__ import annotations


def main() -> int:
    from frazil.cli.program import run

    return run()
