"""How the evaluator is compiled: what may go wrong with the guided build ends in a plain one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("setuptools")

from setuptools import Distribution, Extension
from setuptools.errors import CompileError
from tools.native import command, sources
from tools.native.command import BuildEvaluator, NoProfile, Variant, check_compiler, require_compiler, train
from tools.native.direct_calls import HEAD, call_directly

IMPORTER = f"""{HEAD}
static PyObject *(*__pyx_f_6frazil_4lang_1b_add)(PyObject *, int); /*proto*/
static int __pyx_import(void) {{
  void (**const pointers[])(void) = {{(void (**)(void))&__pyx_f_6frazil_4lang_1b_add, (void (**)(void)) NULL}};
}}
"""
DEFINER = """static PyObject *__pyx_f_6frazil_4lang_1b_add(PyObject *, int); /*proto*/
static PyObject *__pyx_f_6frazil_4lang_1b_add(PyObject *a, int b) {
static int __pyx_f_6frazil_4lang_1b_own(void) {
"""


def test_pointers_to_functions_of_other_modules_become_functions() -> None:
    texts = call_directly({"a": IMPORTER, "b": DEFINER})
    assert "(*__pyx_f" not in texts["a"]
    assert "PyObject *__pyx_f_6frazil_4lang_1b_add(PyObject *, int); /*proto*/" in texts["a"]
    assert "&__pyx_f" not in texts["a"]
    assert texts["b"].count('__attribute__((visibility("hidden"))) PyObject *__pyx_f_6frazil_4lang_1b_add(') == 2
    assert "\nstatic int __pyx_f_6frazil_4lang_1b_own(" in texts["b"]


@pytest.mark.parametrize(
    "texts",
    [
        {"a": IMPORTER, "b": "nothing defines it"},
        {"a": IMPORTER.replace(HEAD, ""), "b": DEFINER},
        {"a": IMPORTER.replace("(void (**)(void))&", "(other)&"), "b": DEFINER},
    ],
)
def test_texts_of_another_shape_stay_as_they_are(texts: dict[str, str]) -> None:
    assert call_directly(texts) == texts


def test_the_shared_object_names_its_modules() -> None:
    modules = sources.compiled_modules()
    assert modules["frazil.lang.values"] == Path("src/frazil/lang/values.py")
    assert "frazil.store.aterm" in modules and "frazil.lang.errors" not in modules
    text = sources.table(list(modules))
    assert all(f'"{name}",' in text for name in modules)


def compiler(folder: Path, script: str) -> list[str]:
    path = folder / "cc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return [str(path)]


@pytest.mark.parametrize(
    "script",
    [
        "echo '#define __GNUC__ 4'; echo '#define __clang__ 1'",
        "echo '#define __GNUC__ 8'",
        "echo '#define __GNUC__ unknown'",
        "exit 1",
    ],
)
def test_only_a_recent_gcc_is_given_profiles(script: str, tmp_path: Path) -> None:
    with pytest.raises(NoProfile):
        check_compiler(compiler(tmp_path, script))


def test_gcc_is_recognised_behind_other_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gcc = compiler(tmp_path, "echo '#define __GNUC__ 12'")
    check_compiler(["env", *gcc])
    with pytest.raises(NoProfile):
        check_compiler([str(tmp_path / "missing")])
    monkeypatch.setenv("_PYTHON_HOST_PLATFORM", "linux-riscv64")
    with pytest.raises(NoProfile):
        check_compiler(gcc)


def test_a_training_that_fails_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "_compiled.so"
    broken.write_bytes(b"no program")
    with pytest.raises(NoProfile, match=r"_compiled\.so"):
        train(broken, tmp_path / "profiles", {})


def test_the_training_takes_what_was_just_compiled(tmp_path: Path) -> None:
    """It may not be in its place yet: in a fresh folder there is nothing, in another something older."""
    compiled, native = tmp_path / "_compiled.py", tmp_path / "_native.py"
    compiled.write_text("")
    native.write_text("raise SystemExit('this one')")
    with pytest.raises(NoProfile, match="this one"):
        train(compiled, tmp_path / "profiles", {"frazil._native": native})


def test_the_evaluator_is_compiled_last(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    builder: Any = Recorded(set())
    names = ["frazil._blake3", sources.OBJECT, "frazil._native"]
    builder.extensions = [Extension(name, []) for name in names]
    monkeypatch.setattr(builder, "build_extension", lambda extension: order.append(extension.name))
    builder.parallel = 1
    builder.build_extensions()
    assert order == ["frazil._blake3", "frazil._native", sources.OBJECT]
    assert [extension.name for extension in builder.extensions] == names


class Recorded(BuildEvaluator):
    """Compiles nothing; says what would have been compiled."""

    def __init__(self, failing: set[str]) -> None:
        super().__init__(Distribution())
        self.failing, self.made = failing, []
        self.ensure_finalized()
        self.by_hand = False

    def build_variant(self, ext: Extension, variant: Variant, target: Path) -> None:
        self.made.append(variant.name)
        if variant.name in self.failing:
            raise CompileError("no")


def built(monkeypatch: pytest.MonkeyPatch, failing: set[str], by_hand: bool = False) -> list[str]:
    monkeypatch.setattr(command, "check_compiler", lambda words: None)

    def pretend(counted: Path, profiles: Path, others: object) -> None:
        if "training" in failing:
            raise NoProfile("no")

    monkeypatch.setattr(command, "train", pretend)
    builder: Any = Recorded(failing)
    builder.by_hand = by_hand
    builder.compiler = type("Compiler", (), {"compiler_so": ["cc"]})
    builder.build_extension(Extension(sources.OBJECT, []))
    return list(builder.made)


@pytest.mark.parametrize(
    ("failing", "made"),
    [
        (set(), ["counting", "profiled"]),
        ({"counting"}, ["counting", "plain"]),
        ({"training"}, ["counting", "plain"]),
        ({"profiled"}, ["counting", "profiled", "plain"]),
    ],
)
def test_every_failure_ends_in_the_plain_build(
    failing: set[str], made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRAZIL_CFLAGS", raising=False)
    monkeypatch.delenv("FRAZIL_PROFILE", raising=False)
    assert built(monkeypatch, failing) == made


def test_without_a_compiler_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    require_compiler()
    monkeypatch.setenv("CC", "false")
    with pytest.raises(CompileError, match=r"needs a C compiler and Python's headers .* apt install gcc"):
        require_compiler()


def test_who_wants_a_plain_build_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAZIL_PROFILE", raising=False)
    monkeypatch.setenv("FRAZIL_CFLAGS", "-O1")
    assert built(monkeypatch, set()) == ["plain"]
    monkeypatch.delenv("FRAZIL_CFLAGS")
    assert built(monkeypatch, set(), by_hand=True) == ["plain"]
    monkeypatch.setenv("FRAZIL_PROFILE", "1")
    assert built(monkeypatch, set(), by_hand=True) == ["counting", "profiled"]
    monkeypatch.setenv("FRAZIL_PROFILE", "0")
    assert built(monkeypatch, set()) == ["plain"]
    with pytest.raises(CompileError):
        built(monkeypatch, {"plain"})


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_only_what_changed_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    header = tmp_path / "one.h"
    header.write_text("int with_one;\n")
    os.utime(header, (1, 1))
    monkeypatch.setattr("tools.native.command.HEADERS", tmp_path)
    source = Path("one.c")
    source.write_text('#include "one.h"\nint one;\n')
    os.utime(source, (1, 1))
    builder: Any = BuildEvaluator(Distribution())
    builder.build_temp = "temporary"
    builder.ensure_finalized()
    from setuptools._distutils.ccompiler import new_compiler
    from setuptools._distutils.sysconfig import customize_compiler

    builder.compiler = new_compiler()
    customize_compiler(builder.compiler)
    made = builder.compile_one(source, Variant("plain", [], []))
    first = made.stat().st_mtime_ns
    assert builder.compile_one(source, Variant("plain", [], [])).stat().st_mtime_ns == first
    builder.compile_one(source, Variant("plain", ["-O1"], []))
    second = made.stat().st_mtime_ns
    assert second > first
    source.write_text('#include "one.h"\nint two;\n')
    builder.compile_one(source, Variant("plain", ["-O1"], []))
    assert b"two" in made.read_bytes()
    header.write_text("int with_three;\n")
    builder.compile_one(source, Variant("plain", ["-O1"], []))
    assert b"with_three" in made.read_bytes()


def test_byte_code_is_used_only_where_it_is_the_sources(tmp_path: Path) -> None:
    import frazil

    file, cached = tmp_path / "found.py", tmp_path / "__pycache__" / f"found.{sys.implementation.cache_tag}.pyc"

    def value() -> int:
        space: dict[str, int] = {}
        loader = frazil._source("frazil.found", str(tmp_path), "found")
        exec(loader.get_code("frazil.found"), space)
        return space["value"]

    file.write_text("value = 1\n")
    assert value() == 1
    if not sys.dont_write_bytecode:
        assert cached.exists()
    assert value() == 1
    file.write_text("value = 23\n")
    assert value() == 23
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(b"")
    assert value() == 23
    assert frazil._source("frazil.absent", str(tmp_path), "absent") is None


def test_modules_loaded_ahead_are_as_imported(tmp_path: Path) -> None:
    """The same attributes, whoever loads them; a module that fails is none."""
    code = """
import sys, frazil
names = ["frazil." + name for name in ("store", "errors", "store.errors", "lang", "lang.errors", "lang.values")]
if sys.argv[1] == "ahead":
    frazil.load_ahead(names)
    assert all(name in sys.modules for name in names)
else:
    for name in names:
        __import__(name)
for name in names:
    module = sys.modules[name]
    assert getattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2]) is module
    spec = module.__spec__
    for field in ("__name__", "__file__", "__package__", "__path__", "__doc__"):
        print(name, field, getattr(module, field, None))
    print(spec.name, spec.origin, spec.parent, spec.has_location, spec.cached, spec.submodule_search_locations)
    print(type(module.__loader__).__name__, module.__loader__ is spec.loader)
"""
    environment = {"PYTHONPATH": str(sources.ROOT / "src"), "PATH": os.environ["PATH"]}
    ran = [
        subprocess.run([sys.executable, "-c", code, how], env=environment, capture_output=True, text=True, check=True)
        for how in ("ahead", "ordinarily")
    ]
    assert ran[0].stdout and ran[0].stdout == ran[1].stdout


def test_a_module_that_fails_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import frazil
    import frazil.store

    (tmp_path / "broken.py").write_text("raise LookupError('broken')")
    monkeypatch.setattr(frazil.store, "__path__", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [f for f in sys.meta_path if f is frazil._OwnModules])
    with pytest.raises(LookupError):
        frazil.load_ahead(["frazil.store.broken"])
    assert "frazil.store.broken" not in sys.modules
    frazil.load_ahead(["frazil.store.absent", "frazil.store.broken"])  # left to ordinary imports
