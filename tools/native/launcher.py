"""`build_scripts` that makes the program `frazil` of C, and the script of that name `frazil-python`; see launcher.c.

Where that fails, or is not wanted, the script is the program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import setuptools  # noqa: F401  # it brings `distutils`

# isort: split
from distutils.ccompiler import new_compiler
from distutils.command.build_scripts import build_scripts
from distutils.errors import CCompilerError, DistutilsError
from distutils.sysconfig import customize_compiler

from tools.native.command import WORK, log

SOURCE = Path(__file__).with_name("launcher.c")
PROGRAM = "frazil"


class BuildScripts(build_scripts):  # type: ignore[misc]
    def copy_scripts(self) -> tuple[list[str], list[str]]:
        folder = Path(self.build_dir)
        for name in (PROGRAM, f"{PROGRAM}-python"):
            (folder / name).unlink(missing_ok=True)  # of an earlier build, perhaps the other one of the two
        outfiles, updated = super().copy_scripts()
        if sys.platform != "linux" or os.environ.get("FRAZIL_NO_COMPILE"):
            return outfiles, updated
        try:
            launcher = compile_launcher(WORK / "launcher", self.distribution.get_version())
        except (CCompilerError, DistutilsError, OSError) as error:
            log(f"the program is a script: {error}")
            return outfiles, updated
        (folder / PROGRAM).rename(folder / f"{PROGRAM}-python")
        self.copy_file(str(launcher), str(folder / PROGRAM))
        self._change_modes([str(folder / PROGRAM)])
        return [*outfiles, str(folder / f"{PROGRAM}-python")], updated


def compile_launcher(folder: Path, version: str) -> Path:
    """A static program starts sooner; not every system has what it takes."""
    compiler = new_compiler()
    customize_compiler(compiler)
    python = ".".join(map(str, sys.version_info[:2]))
    macros = [("PYTHON", f'"{python}"'), ("VERSION", f'"{version}"')]
    folder.mkdir(parents=True, exist_ok=True)
    objects = compiler.compile(
        [str(SOURCE.relative_to(Path.cwd()) if SOURCE.is_relative_to(Path.cwd()) else SOURCE)],
        output_dir=str(folder),
        macros=macros,
        extra_postargs=["-O2", "-g0", "-Wall", "-Wextra"],
    )
    for flags in (["-static"], []):
        try:
            compiler.link_executable(objects, PROGRAM, output_dir=str(folder), extra_postargs=[*flags, "-s"])
            break
        except CCompilerError:
            if not flags:
                raise
    return folder / PROGRAM
