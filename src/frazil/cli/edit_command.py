"""`edit`: the source of a package in an editor. Source: the manual page of `nix edit`."""

from __future__ import annotations

import os

from frazil.cli.common_options import INSTALLABLES
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.options import Arguments, Command
from frazil.errors import FrazilError, UsageError

TAKES_LINE = ("emacs", "nano", "vim", "kak")


def run_edit(context: Context, arguments: Arguments) -> int:
    file, line = with_deep_stack(lambda: _position(context, arguments))
    if context.store.directory.is_inside(file):
        # Where the store lies elsewhere, its files do, too.
        path, rest = context.store.directory.split(file)
        file = context.store.real_path(path) + rest
    argv = editor(os.environ.get("EDITOR", ""), file, line)
    context.flush()
    try:
        child = os.posix_spawnp(argv[0], argv, os.environ)
        return abs(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    except OSError as error:
        raise FrazilError(f"cannot run the editor '{argv[0]}': {error.strerror}") from error


def editor(setting: str, file: str, line: int) -> list[str]:
    """The words to run; editors known to take a line number get it."""
    setting = setting or "cat"
    words = setting.split() or ["cat"]
    if line > 0 and any(name in setting for name in TAKES_LINE):
        words.append(f"+{line}")
    return [*words, file]


def _position(context: Context, arguments: Arguments) -> tuple[str, int]:
    from frazil.cli.installables import Opened
    from frazil.flake.outputs import ValueInstallable

    opened = Opened(context, arguments)
    (text,) = opened.texts()
    (installable,) = opened.parse([text])
    if not isinstance(installable, ValueInstallable):
        raise UsageError(f"installable '{text}' does not correspond to a Nix language value")
    evaluator = opened.session.evaluator
    value = installable.value()
    try:
        position = evaluator.force(evaluator.select(value, ["meta", "position"]))
    except FrazilError as error:
        raise FrazilError(f"cannot find position information for '{installable.what()}'") from error
    return split_position(position if isinstance(position, str) else str(getattr(position, "text", "")))


def split_position(text: str) -> tuple[str, int]:
    """`FILE:LINE`, a string of the language -> (file, line). Raises FrazilError."""
    file, colon, line = text.rpartition(":")
    if not colon or not file.startswith("/") or not (line.isascii() and line.isdigit() and len(line) < 10):
        raise FrazilError(f"cannot parse 'meta.position' attribute '{text}'")
    return os.fsdecode(file.encode("latin-1")), int(line)


COMMANDS = {
    "edit": Command(
        run_edit,
        "open the Nix expression of a package in $EDITOR",
        INSTALLABLES,
        positional="installable",
        at_most=1,
        examples=[("Read how a package is made", "frazil edit nixpkgs#hello")],
    ),
}
