"""What a profile of the evaluator is taken of: `python run.py OBJECT [MODULE=FILE]…` evaluates the expressions beside
this file.

OBJECT is the evaluator with counters (`frazil._compiled`), which writes them at the end, when Python's own end, which
would take everything apart, is not yet reached. The others are what else was compiled, and is not yet where it belongs.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location

FOLDER = os.path.dirname(os.path.abspath(__file__))
EVALUATED = ("language.nix", "modules.nix", "strings.nix")
INSTANTIATED = ("packages.nix",)


def load(name: str, path: str):  # type: ignore[no-untyped-def]
    spec = spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
    return module


def evaluate(scratch: str) -> int:
    """The exit status. Settings and stores of the machine have no part in it."""
    os.environ.update(
        HOME=scratch,
        XDG_CACHE_HOME=scratch,
        NIX_CONF_DIR=scratch,
        NIX_REMOTE=f"local?root={scratch}",
        NIX_CONFIG="eval-cache = false\nsubstituters =\nbuild-users-group =",
    )
    from frazil.cli.program import run

    for words in (
        *(["--eval", "--strict", name] for name in EVALUATED),
        *(["--eval", "--strict", "--json", name] for name in EVALUATED[:1]),
        *([name] for name in INSTANTIATED),
    ):
        status = run(["nix-instantiate", "--readonly-mode", *words[:-1], os.path.join(FOLDER, words[-1])])
        if status:
            return status
    return 0


def main() -> None:
    compiled = load("frazil._compiled", sys.argv[1])
    for other in sys.argv[2:]:
        load(*other.split("=", 1))
    gc.disable()
    with tempfile.TemporaryDirectory() as scratch:
        status = evaluate(scratch)
    sys.stdout.flush()
    sys.stderr.flush()
    if status == 0:
        compiled.write_profile()
    os._exit(status)


main()
