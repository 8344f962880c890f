"""A small tool for working on the evaluator: `python -m frazil.lang eval|parse EXPRESSION`, `file|parse-file PATH`."""

import os
import sys

from frazil.errors import FrazilError
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import EvalBaseError
from frazil.lang.evaluator import Evaluator, run_with_deep_stack
from frazil.lang.settings import EvalSettings


def work(action: str, argument: str) -> str:
    settings = EvalSettings(
        experimental_features=frozenset(os.environ.get("FRAZIL_FEATURES", "").split()),
        home_directory=os.path.expanduser("~"),
        show_trace="FRAZIL_TRACE" in os.environ,
    )
    evaluator = Evaluator(FileSystemEffects(), settings)
    text = os.fsencode(argument)
    if action == "parse":
        return evaluator.parse_string(text, os.getcwd()).show()
    if action == "parse-file":
        return evaluator.parse_file(os.path.abspath(argument)).show()
    if action == "eval":
        value = evaluator.eval_string(text, os.getcwd())
    else:
        value = evaluator.eval_file(os.path.abspath(argument))
    from frazil.lang.error_text import Shortener

    evaluator.force_deep(value)
    return Shortener().show(value, 0)


def main() -> int:
    try:
        text = run_with_deep_stack(lambda: work(sys.argv[1], sys.argv[2]))
    except FrazilError as error:
        sys.stderr.write(f"error: {error.message}\n  at {error.position}\n")
        if isinstance(error, EvalBaseError):
            for frame in error.trace if "FRAZIL_TRACE" in os.environ else []:
                sys.stderr.write(f"  … {frame.text} at {frame.position}\n")
            if error.suggestions:
                sys.stderr.write(error.suggestion_text() + "\n")
        return 1
    sys.stdout.buffer.write(text.encode("latin-1") + b"\n")
    return 0


sys.exit(main())
