"""The program: arguments in, exit status out."""

from __future__ import annotations

from frazil import load_ahead

# What every command needs, each after what it imports itself; tests/cli/test_start.py says what is wrong with the list.
START = (
    "base_directory",
    "commands",
    ".record",
    ".position",
    ".errors",
    "options",
    "common_options",
    ".activity",
    "settings_table",
    "settings",
    "context",
    "program",
)


def main() -> int:
    """The installed program. Never returns: see `leave`."""
    import gc

    # Evaluation makes millions of objects that live until the end: looking for cycles among them is wasted.
    gc.disable()
    try:
        defer_inspect()
        open_standard_streams()
        load_ahead([f"frazil.cli.{name}" if name[0] != "." else f"frazil{name}" for name in START])
        from frazil.cli.program import run

        # Only now: there was nothing to clean up, and Python's import machinery may swallow what a handler raises.
        end_by_signals()
        status = run()
    except KeyboardInterrupt as error:  # while modules were imported, or at the very end
        status = 128 + getattr(error, "number", 2)
    try:
        leave(status)
    except KeyboardInterrupt:  # once more
        import posix

        posix._exit(130)
    return status


def defer_inspect() -> None:
    """Imports `inspect` when something of it is used. `dataclasses` wants it for the docstring of classes that have
    none, which then does not tell arguments (and Python 3.13's for annotations): `inspect` and what it imports take
    longer than many an evaluation."""
    import sys

    for_dataclasses = {
        "signature": lambda kind: "(…)",
        "get_annotations": lambda kind: dict(vars(kind).get("__annotations__", {})),
    }

    class Deferred(type(sys)):  # type: ignore[misc] # `types` would be one module more
        def __getattr__(self, name: str) -> object:
            if name in for_dataclasses and sys._getframe(1).f_globals.get("__name__") == "dataclasses":
                return for_dataclasses[name]
            if sys.modules.get("inspect") is self:
                del sys.modules["inspect"]
            from importlib import import_module

            return getattr(import_module("inspect"), name)

    if "inspect" not in sys.modules:
        sys.modules["inspect"] = Deferred("inspect")


def open_standard_streams() -> None:
    """Where a standard stream is closed, a file opened later would take its number and get our messages.

    Each becomes /dev/null opened the wrong way: using it fails as using a closed one does.
    """
    import os
    import sys

    for number, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one, as those below are open.
            os.open(os.devnull, flags)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def end_by_signals() -> None:
    """SIGTERM and SIGHUP end the process as an interruption does: builders are stopped, temporary files removed."""
    import _signal as signal  # type: ignore[import-not-found] # `signal` makes enumerations first

    from frazil.errors import Signalled

    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # the program's first lines saw to that
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(number: int, frame: object) -> None:
        Signalled.received = number
        raise Signalled(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, interrupt)


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
