"""The program: arguments in, exit status out."""

from __future__ import annotations


def main() -> int:
    """The installed program. Never returns: see `leave`."""
    import gc

    # Evaluation makes millions of objects that live until the end: looking for cycles among them is wasted.
    gc.disable()
    defer_inspect()
    from frazil.cli.program import run

    status = run()
    leave(status)
    return status


def defer_inspect() -> None:
    """Imports `inspect` when something of it is used: `dataclasses` does for classes without a docstring only.

    It and what it imports take longer than all of `dataclasses` and a small evaluation.
    """
    import sys
    from types import ModuleType

    class Deferred(ModuleType):
        def __getattr__(self, name: str) -> object:
            if sys.modules.get("inspect") is self:
                del sys.modules["inspect"]
            from importlib import import_module

            return getattr(import_module("inspect"), name)

    if "inspect" not in sys.modules:
        sys.modules["inspect"] = Deferred("inspect")


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
