"""What the tests of builtins share: evaluate a text, and read tables of `expression => printed value` or `!! message`."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile

from frazil.errors import FrazilError
from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator, run_with_deep_stack
from frazil.lang.printer import print_ambiguous
from frazil.lang.settings import EvalSettings

FAILURE = "!! "


def evaluate(text: str, **settings: object) -> str:
    """The strictly evaluated value as `nix-instantiate --eval --strict` prints it, or `!! message`."""

    def work() -> str:
        evaluator = Evaluator(FileSystemEffects(), EvalSettings(**settings))  # type: ignore[arg-type]
        try:
            value = evaluator.eval_string(text.encode(), os.getcwd())
            evaluator.force_deep(value)
        except FrazilError as error:
            return FAILURE + error.message
        shown: str = print_ambiguous(evaluator, value)
        return shown.encode("latin-1").decode("utf-8", "replace")

    return run_with_deep_stack(work)


def cases(table: str) -> list[tuple[str, str]]:
    """Lines of `EXPRESSION => VALUE`; blank lines and those that start with # are left out."""
    found = []
    for line in table.strip().splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            expression, _, expected = line.rpartition(" => ")
            found.append((expression, expected))
    return found


def reference_value(expressions: list[str]) -> str | None:
    """What an installed Nix prints for the list of all of them; None without one."""
    program = shutil.which("nix-instantiate")
    if program is None:
        return None
    text = "[ " + " ".join(f"({expression})" for expression in expressions) + " ]"
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ, NIX_STATE_DIR=folder, NIX_LOG_DIR=folder, NIX_CONFIG="substituters =")
        done = subprocess.run(
            [program, "--eval", "--strict", "--readonly-mode", "-E", text],
            capture_output=True,
            env=environment,
            check=False,
        )
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode("utf-8", "replace"))
    return done.stdout.decode("utf-8", "replace").strip()
