"""The program: arguments in, exit status out."""

from __future__ import annotations


def main() -> int:
    """The installed program. Never returns: see `leave`."""
    import gc

    # Evaluation makes millions of objects that live until the end: looking for cycles among them is wasted.
    gc.disable()
    from frazil.cli.program import run

    status = run()
    leave(status)
    return status


def leave(status: int) -> None:
    """Ends the process at once: taking a large evaluation apart object by object would take longer than the work."""
    import os
    import sys

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    os._exit(status)
