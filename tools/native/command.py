"""`build_ext` that makes the evaluator one shared object, guided by a profile of a training run where that is possible.

The profile-guided build: every C file is compiled with counters, the result evaluates `tools/training`, and all is
compiled again, optimised across files, for what was counted. It takes about twice as long as the plain build and is the
default. Whatever goes wrong on the way (a compiler that is not GCC, one without the means, a program that cannot run
here), ends in the plain build.

`python setup.py build_ext --inplace`, by hand, makes the plain build, of which only what changed is made again.
Environment: FRAZIL_PROFILE=0 or 1 asks for the one or the other; FRAZIL_CFLAGS replaces the flags of the plain one and
asks for it.
"""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from setuptools import Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

# isort: split
from distutils.ccompiler import new_compiler
from distutils.errors import CCompilerError
from distutils.sysconfig import customize_compiler

from tools.native.sources import HEADERS, OBJECT, ROOT, generate

JOBS = os.cpu_count() or 1
# Debugging information of generated C helps nobody, and makes everything slower to compile.
FIRST = ROOT / "tools/native/tracebacks.h"
ALWAYS = ["-w", "-fno-plt", f"-I{ROOT / 'src'}", "-include", str(FIRST)]
# Loops go over a few pointers mostly, and fields are written one by one: made into vectors they take longer, since what
# was just written in two halves cannot be read as a whole for a while.
SMALL = ["-fno-tree-vectorize", "-fno-tree-slp-vectorize", "-fno-tree-loop-distribute-patterns"]
COMMON = ["-g0", "-fvisibility=hidden", *SMALL, *ALWAYS]
PROFILED = ["-fprofile-use", "-fprofile-correction", "-Wno-error=coverage-mismatch", "-fno-fat-lto-objects"]
OLDEST_GCC = 9
# One path wherever the project lies, also where pip's temporary folders change: GCC finds counters by the name of the
# object, and a compiler's cache may bring an object from elsewhere.
WORK = Path("build/evaluator", sys.implementation.cache_tag or "python", sysconfig.get_platform())
TRAINING_SECONDS = 180


class NoProfile(Exception):
    """Why the plain build it is."""


def log(text: str) -> None:
    """Shown by `pip install --verbose`, and where setup.py was called by hand."""
    print(f"frazil: {text}", flush=True)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to compile everything."""

    name: str
    flags: list[str]
    link_flags: list[str]
    profiles: Path | None = None
    """The folder of what was counted."""


# Counters are found again only where the flow of control is the same as it was when they were put in, that is after the
# early passes of -O2. What comes later takes time and need not be good.
HASTY = [
    "dce",
    "dse",
    "forward-propagate",
    "gcse",
    "if-conversion",
    "ipa-cp",
    "ipa-icf",
    "ipa-sra",
    "crossjumping",
    "reorder-blocks",
    "rerun-cse-after-loop",
    "schedule-insns2",
    "tree-dominator-opts",
    "tree-loop-optimize",
    "tree-pre",
    "tree-sink",
    "tree-slp-vectorize",
    "tree-tail-merge",
]
COUNTING = Variant(
    "counting",
    [
        *COMMON,
        "-O2",
        *(f"-fno-{name}" for name in HASTY),
        "-fno-lto",
        "-fprofile-generate",
        "-fprofile-update=single",
        "-DFRAZIL_INSTRUMENTED",
    ],
    ["-fno-lto", "-fprofile-generate"],
)


class BuildEvaluator(build_ext):
    """Extensions are built at once; the evaluator's many C files are, too."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or JOBS

    def run(self) -> None:
        # Set for the whole of `build_ext --inplace`, and not for an editable installation.
        self.by_hand = bool(self.inplace) and not getattr(self, "editable_mode", False)
        if self.extensions:
            require_compiler()
        with building_alone():
            for extension in self.extensions:
                if extension.name == OBJECT:
                    extension.sources = [str(path) for path in generate(JOBS)]
            super().run()

    def build_extensions(self) -> None:
        """The evaluator after the others, which the program needs when it is trained."""
        every = self.extensions
        try:
            for last in (False, True):
                self.extensions = [extension for extension in every if (extension.name == OBJECT) is last]
                super().build_extensions()
        finally:
            self.extensions = every

    def build_extension(self, ext: Extension) -> None:
        if ext.name != OBJECT:
            super().build_extension(ext)
            return
        target = Path(self.get_ext_fullpath(ext.name))
        given = os.environ.get("FRAZIL_CFLAGS")
        plain = Variant("plain", [*COMMON, "-O3"] if given is None else [*ALWAYS, *shlex.split(given)], [])
        variant = plain
        if given is None and self.profile_wanted():
            try:
                variant = self.profiled(ext)
            except NoProfile as reason:
                log(f"the evaluator is compiled without a profile: {reason}")
        try:
            self.build_variant(ext, variant, target)
        except (CompileError, LinkError) as error:
            if variant is plain:
                raise
            log(f"the evaluator is compiled without a profile: {error}")
            self.build_variant(ext, plain, target)

    def profile_wanted(self) -> bool:
        return os.environ.get("FRAZIL_PROFILE", "0" if self.by_hand else "1") != "0"

    def profiled(self, ext: Extension) -> Variant:
        """Counts, and says how to compile for what was counted."""
        check_compiler(self.compiler.compiler_so)
        folder = (WORK / "training").absolute()
        counted = folder / Path(self.get_ext_filename(OBJECT)).name
        try:
            self.build_variant(ext, COUNTING, counted)
        except (CompileError, LinkError) as error:
            raise NoProfile(error) from None
        train(counted, folder / "profiles", self.others())
        link = ["-g0", f"-flto={JOBS}", "-O2", *SMALL]
        return Variant("profiled", [*COMMON, *PROFILED, *link], link, folder / "profiles")

    def others(self) -> dict[str, Path]:
        """What else was compiled, which may not be where programs look for it."""
        found = {ext.name: Path(self.get_ext_fullpath(ext.name)) for ext in self.distribution.ext_modules or ()}
        return {name: path.absolute() for name, path in found.items() if name != OBJECT and path.exists()}

    def build_variant(self, ext: Extension, variant: Variant, target: Path) -> None:
        log(f"compiling the evaluator ({variant.name})")
        with ThreadPoolExecutor(JOBS) as pool:
            objects = list(pool.map(lambda source: self.compile_one(Path(source), variant), ext.sources))
        said = WORK / f"{variant.name}.linked"
        if said.exists() and said.read_text() == str(target) and is_newer(target, objects):
            return
        for other in WORK.glob("*.linked"):
            if other.read_text() == str(target):
                other.unlink()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.compiler.link_shared_object(
            [str(path) for path in objects], str(target), extra_postargs=variant.link_flags, build_temp=self.build_temp
        )
        said.write_text(str(target))

    def object_of(self, source: Path, variant: str) -> Path:
        folder = WORK / variant
        return Path(self.compiler.object_filenames([str(source)], output_dir=str(folder))[0])

    def compile_one(self, source: Path, variant: Variant) -> Path:
        """Left alone where the file, what was counted and the flags are those of last time."""
        made, output = self.object_of(source, "work"), self.object_of(source, variant.name)
        counts = variant.profiles / made.with_suffix(".gcda").name if variant.profiles else None
        inputs = [source, FIRST, *(ROOT / HEADERS).glob("*.h")]
        if counts and counts.exists():
            inputs.append(counts)
        said = output.with_suffix(".flags")
        command = shlex.join([*self.compiler.compiler_so, *self.compiler.include_dirs, *variant.flags])
        if is_newer(output, inputs) and said.exists() and said.read_text() == command:
            return output
        said.unlink(missing_ok=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        made.parent.mkdir(parents=True, exist_ok=True)
        made.with_suffix(".gcda").unlink(missing_ok=True)
        if counts in inputs:
            # GCC finds counters by the name of the object, which it uses to tell functions apart, too.
            shutil.copy(counts, made.with_suffix(".gcda"))
        self.compiler.compile([str(source)], output_dir=str(WORK / "work"), extra_postargs=variant.flags)
        os.replace(made, output)
        said.write_text(command)
        return output


def is_newer(output: Path, inputs: list[Path]) -> bool:
    return output.exists() and all(path.stat().st_mtime_ns < output.stat().st_mtime_ns for path in inputs)


def check_compiler(command: list[str]) -> None:
    """Only GCC's profiles are read here, and only what runs on this machine can be trained on it."""
    if os.environ.get("_PYTHON_HOST_PLATFORM"):
        raise NoProfile("it is for another machine")
    try:
        asked = subprocess.run(
            [*command, "-dM", "-E", "-x", "c", os.devnull], capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoProfile(f"the compiler does not answer: {error}") from None
    macros = dict(line.split()[1:3] for line in asked.stdout.splitlines() if len(line.split()) == 3)
    version = macros.get("__GNUC__", "")
    if "__clang__" in macros or not version.isdigit() or int(version) < OLDEST_GCC:
        raise NoProfile(f"the compiler is not GCC {OLDEST_GCC} or newer")


def train(counted: Path, profiles: Path, others: Mapping[str, Path]) -> None:
    """Runs the program with counters; they are written beside each other, whatever folder the compiler had in mind."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *filter(None, sys.path)]),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GCOV_PREFIX": str(profiles),
        "GCOV_PREFIX_STRIP": "100",
    }
    finished = profiles / "finished"
    if is_newer(finished, [counted, *(ROOT / "tools/training").iterdir()]):
        return
    shutil.rmtree(profiles, ignore_errors=True)
    profiles.mkdir(parents=True)
    command = [sys.executable, str(ROOT / "tools/training/run.py"), str(counted)]
    command += [f"{name}={path}" for name, path in others.items()]
    log("training")
    try:
        ran = subprocess.run(
            command, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=TRAINING_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoProfile(f"the training did not run: {error}") from None
    if ran.returncode or not any(profiles.glob("*.gcda")):
        raise NoProfile(f"the training failed: {ran.stderr.decode(errors='replace').strip()[-2000:]}")
    finished.touch()


def require_compiler() -> None:
    """Raises CompileError, with what is to be installed, where nothing can be compiled."""
    compiler = new_compiler()
    customize_compiler(compiler)
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder, "probe.c")
        probe.write_text("#include <Python.h>\nint frazil_probe(void) { return PY_VERSION_HEX != 0; }\n")
        try:
            compiler.compile([str(probe)], output_dir=folder, include_dirs=[sysconfig.get_path("include")])
        except CCompilerError as error:
            raise CompileError(
                f"frazil needs a C compiler and Python's headers to be installed from its sources: {error}."
                " Debian and Ubuntu: apt install gcc libc6-dev python3-dev; Fedora: dnf install gcc python3-devel"
            ) from error


@contextmanager
def building_alone() -> Iterator[None]:
    """One build in this folder at a time; a second one waits, and finds everything made."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
