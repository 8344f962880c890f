"""Compiles the evaluator (`frazil/lang/*.py`, Cython's pure-Python mode) and the C sandbox, in parallel.

Environment: FRAZIL_CFLAGS replaces `-O3` and asks for a plain build (for development), FRAZIL_PROFILE=0 or 1 for a
plain or a profile-guided one, FRAZIL_NO_COMPILE=1 builds no evaluator. See tools/native/command.py.
"""

import os
import shlex
import sys
from pathlib import Path

from setuptools import Extension, setup

sys.path.insert(0, str(Path(__file__).resolve().parent))
from tools.native.command import BuildEvaluator
from tools.native.launcher import BuildScripts
from tools.native.sources import NATIVE, OBJECT, SUPPORT, compiled_modules

CFLAGS = shlex.split(os.environ.get("FRAZIL_CFLAGS", "-O3"))


def evaluator_extensions() -> list[Extension]:
    if os.environ.get("FRAZIL_NO_COMPILE"):
        return []
    return [Extension(OBJECT, [str(path) for path in (*compiled_modules().values(), *NATIVE.values(), *SUPPORT)])]


def native_extensions() -> list[Extension]:
    headers = [str(path) for path in sorted(Path("src/frazil/native").glob("*.h"))]
    return [
        Extension(
            ".".join(p.with_suffix("").parts[1:]),
            [str(p)],
            depends=headers,
            extra_compile_args=[*CFLAGS, "-std=gnu11", "-Wall", "-Wextra", "-pthread"],
            extra_link_args=["-pthread"],
        )
        for room in (".", "build", "fetch", "image")
        for p in sorted(Path("src/frazil", room).glob("_*.c"))
    ]


setup(
    ext_modules=evaluator_extensions() + native_extensions(),
    cmdclass={"build_ext": BuildEvaluator, "build_scripts": BuildScripts},
)
