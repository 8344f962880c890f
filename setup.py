"""Compiles the evaluator (`frazil/lang/*.py`, Cython's pure-Python mode) and the C sandbox, in parallel.

Environment: FRAZIL_CFLAGS replaces `-O3` (for quick development builds), FRAZIL_NO_COMPILE=1 builds no evaluator.
"""

import os
import shlex
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

CFLAGS = shlex.split(os.environ.get("FRAZIL_CFLAGS", "-O3"))
LANG = Path("src/frazil/lang")
# Values shared by interpreted callers only, or read by tools: nothing to gain from compiling them.
UNCOMPILED = {
    "__init__",
    "__main__",
    "assertion",
    "grammar",
    "lalr",
    "syntax_error",
    "builtins",
    "effects",
    "error_text",
    "errors",
    "observation",
    "positions",
    "registry",
    "settings",
    "statistics",
}
# What instantiation does thousands of times.
OTHER_COMPILED = ("instantiate/derivation", "instantiate/instantiator", "store/aterm")
JOBS = os.cpu_count() or 1


def evaluator_extensions() -> list[Extension]:
    if os.environ.get("FRAZIL_NO_COMPILE"):
        return []
    from Cython.Build import cythonize

    sources = sorted(p for p in LANG.glob("*.py") if p.stem not in UNCOMPILED)
    sources += [Path(f"src/frazil/{name}.py") for name in OTHER_COMPILED]
    extensions = [
        Extension(".".join(p.with_suffix("").parts[1:]), [str(p)], extra_compile_args=[*CFLAGS, "-fno-plt", "-w"])
        for p in sources
    ]
    if not extensions:
        return []
    return cythonize(  # type: ignore[no-any-return]
        extensions,
        nthreads=JOBS,
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "initializedcheck": False,
            "auto_pickle": False,
            "annotation_typing": True,
        },
    )


def native_extensions() -> list[Extension]:
    return [
        Extension(f"frazil.{room}.{p.stem}", [str(p)], extra_compile_args=[*CFLAGS, "-std=gnu11", "-Wall", "-Wextra"])
        for room in ("build", "fetch")
        for p in sorted(Path(f"src/frazil/{room}").glob("_*.c"))
    ]


class ParallelBuildExt(build_ext):
    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS


setup(ext_modules=evaluator_extensions() + native_extensions(), cmdclass={"build_ext": ParallelBuildExt})
