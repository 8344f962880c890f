"""From Python modules to C files: which modules are compiled, Cython, and what makes them one shared object.

Out: C files under `build/cython`. Each module keeps its initialisation function; one file more holds the list of them.
"""

from __future__ import annotations

import re
from pathlib import Path

from tools.native.direct_calls import call_directly

ROOT = Path(__file__).resolve().parents[2]
LANG = Path("src/frazil/lang")
# Values shared by interpreted callers only, or read by tools, or in C anyway: nothing to gain from compiling them.
UNCOMPILED = {
    "__init__",
    "__main__",
    "assertion",
    "grammar",
    "indentation",
    "lalr",
    "syntax_error",
    "toml_places",
    "builtins",
    "definitions",
    "effects",
    "error_text",
    "errors",
    "observation",
    "positions",
    "registry",
    "settings",
    "statistics",
    "uncompiled",
}
# What instantiation does thousands of times, and what is taken down of it.
OTHER_COMPILED = (
    "evalcache/partition",
    "evalcache/recorder",
    "instantiate/derivation",
    "instantiate/effects",
    "instantiate/files",
    "instantiate/instantiator",
    "store/aterm",
)
# C from the beginning.
NATIVE = {"frazil.evalcache._walk": Path("src/frazil/evalcache/_walk.c")}
# C without a module of its own.
SUPPORT = [Path(f"src/frazil/native/{name}.c") for name in ("arenas", "definitions", "indentation", "sweep", "symbols")]
# What the C of all of them includes.
HEADERS = Path("src/frazil/native/values")
OBJECT = "frazil._compiled"
GENERATED = Path("build/cython")
DIRECTIVES = {
    "language_level": 3,
    "initializedcheck": False,
    "auto_pickle": False,
    "annotation_typing": True,
    # Functions that Python sees are plain ones of C, without an object of code that each start would make. Not where
    # one may call itself through Python: that counts as recursion, whose limit Python 3.12 fixes (they say otherwise).
    "binding": False,
}


def compiled_modules() -> dict[str, Path]:
    """Name -> source."""
    sources = sorted(p for p in LANG.glob("*.py") if p.stem not in UNCOMPILED)
    sources += [Path(f"src/frazil/{name}.py") for name in OTHER_COMPILED]
    modules = {".".join(p.with_suffix("").parts[1:]): p for p in sources}
    stems = {p.stem for p in sources}
    if len(stems) != len(sources):
        raise SystemExit("two compiled modules of one name: both would be initialised by the same function")
    return modules


def generate(jobs: int) -> list[Path]:
    """The C files. Those that would not change are left as they are, with their time."""
    from Cython.Build import cythonize
    from setuptools import Extension

    modules = compiled_modules()
    made = cythonize(
        [Extension(name, [str(path)]) for name, path in modules.items()],
        nthreads=jobs,
        build_dir=str(GENERATED),
        compiler_directives=DIRECTIVES,
    )
    texts = {Path(extension.sources[0]): Path(extension.sources[0]).read_text() for extension in made}
    folder = GENERATED / "one"
    files = []
    for path, text in call_directly(texts).items():
        files.append(write(folder / path.name, text))
    files += [*NATIVE.values(), *SUPPORT]
    files.append(write(folder / "_compiled.c", table([*modules, *NATIVE])))
    return files


def write(path: Path, text: str) -> Path:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return path


def table(names: list[str]) -> str:
    """The C text of the module `frazil._compiled`, which tells what its file holds."""
    if not all(re.fullmatch(r"[a-z_.]+", name) for name in names):
        raise SystemExit("a compiled module's name has unexpected characters")
    functions = {name: f"PyInit_{name.rpartition('.')[2]}" for name in names}
    declarations = "\n".join(f"PyMODINIT_FUNC {function}(void);" for function in functions.values())
    parts = "\n".join(f'    {{"{name}", {function}}},' for name, function in functions.items())
    text = Path(__file__).with_name("table.c").read_text()
    return text.replace("/* DECLARATIONS */", declarations).replace("/* PARTS */", parts)
