"""The language as a whole: `cases/NAME.nix` with `NAME.exp` (the value) or `NAME.err.exp` (the error).

FRAZIL_ACCEPT=1 rewrites the expectations. The same cases run compiled (where the evaluator is) and uncompiled.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frazil.errors import FrazilError
from frazil.lang import is_compiled
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import EvalBaseError
from frazil.lang.evaluator import Evaluator, run_with_deep_stack
from frazil.lang.printer import print_ambiguous
from frazil.lang.settings import EvalSettings

CASES = Path(__file__).parent / "cases"
NAMES = sorted(p.stem for p in CASES.glob("*.nix"))


def describe(error: FrazilError) -> str:
    """The message, its place, the trace lines with theirs, innermost last."""
    lines: list[str] = []
    for frame in error.trace:
        line = f"{frame.text}{place(frame.position)}"
        if not lines or lines[-1] != line:
            lines.append(line)
    lines.append(f"error: {error.message}{place(error.position)}")
    if isinstance(error, EvalBaseError) and error.suggestions:
        lines.append(error.suggestion_text())
    return "\n".join(lines)


def place(position: object) -> str:
    return "" if position is None else f" at {Path(str(position)).name}"


def outcome(name: str) -> tuple[bool, str]:
    """(whether it evaluates, what to compare)."""

    def work() -> tuple[bool, str]:
        evaluator = Evaluator(FileSystemEffects(), EvalSettings(show_trace=name.startswith("trace")))
        try:
            value = evaluator.eval_file(str(CASES / f"{name}.nix"))
            evaluator.force_deep(value)
        except FrazilError as error:
            return False, describe(error)
        text: str = print_ambiguous(evaluator, value)
        return True, text.encode("latin-1").decode("utf-8", "replace")

    ok, text = run_with_deep_stack(work)
    return ok, text.replace(str(CASES), "/cases") + "\n"


@pytest.mark.parametrize("name", NAMES)
def test_case(name: str) -> None:
    ok, text = outcome(name)
    expected, unexpected = CASES / f"{name}.exp", CASES / f"{name}.err.exp"
    if not ok:
        expected, unexpected = unexpected, expected
    if os.environ.get("FRAZIL_ACCEPT") == "1":
        unexpected.unlink(missing_ok=True)
        expected.write_text(text)
    assert not unexpected.exists(), text
    assert text == expected.read_text()


def test_there_are_cases() -> None:
    assert len(NAMES) > 50


@pytest.mark.skipif(not is_compiled(), reason="this run is the uncompiled one")
def test_the_same_uncompiled() -> None:
    pytest.importorskip("cython", reason="the uncompiled evaluator needs Cython's stand-in module")
    script = (
        "import sys, frazil.lang as l; import test_language as t\n"
        "assert not l.is_compiled()\n"
        "bad = []\n"
        "for name in t.NAMES:\n"
        "    ok, text = t.outcome(name)\n"
        "    expected = t.CASES / (name + ('.exp' if ok else '.err.exp'))\n"
        "    if not expected.exists() or expected.read_text() != text: bad.append((name, text))\n"
        "print(*bad, sep='\\n'); sys.exit(bool(bad))\n"
    )
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "FRAZIL_PURE": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not is_compiled(), reason="uncompiled values are ended by Python")
def test_the_end_of_a_long_chain_needs_no_deep_stack() -> None:
    evaluator = Evaluator(FileSystemEffects(), EvalSettings())
    chain = b"builtins.foldl' (f: n: (x: f x)) (x: x) (builtins.genList (x: x) 400000)"
    evaluator.eval_string(chain, "/")
    assert evaluator.eval_string(b"1 + 1", "/") == 2
