"""`direnv install`: teaches direnv's `use flake` to ask frazil."""

from __future__ import annotations

import os
import shutil
import sys

from frazil.activity import Verbosity
from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command


def install_library(context: Context, arguments: Arguments) -> None:
    from frazil.dev.direnv import install

    program = shutil.which(sys.argv[0]) or sys.argv[0]
    path = install(os.path.abspath(program), os.environ)
    context.note(f"wrote '{path}': `use flake` in an .envrc now asks frazil", Verbosity.NOTICE)


COMMANDS = {
    "direnv install": Command(
        install_library,
        "teach direnv's `use flake` to ask frazil",
        examples=[("Then `use flake` in an .envrc asks frazil", "frazil direnv install")],
    ),
}
