"""What a start imports: nothing that takes long, and in the order in which it is loaded ahead."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from frazil.cli import START
from frazil.cli.ahead import EVALUATION, REMEMBERING

SOURCE = Path(__file__).resolve().parents[2] / "src"
DEAR = {
    "asyncio",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "inspect",
    "json",
    "pathlib",
    "re",
    "subprocess",
    "threading",
    "typing",
}


def imported(folder: Path, *words: str) -> list[str]:
    """In the order in which they were done."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("NIX_", "PYTHON", "FRAZIL_"))},
        "PYTHONPATH": str(SOURCE),
        "HOME": str(folder),
        "NIX_STORE_DIR": str(folder / "store"),
        "NIX_STATE_DIR": str(folder / "var"),
    }
    code = f"import sys; sys.argv = {list(words)!r}; from frazil.cli import main; main()"
    command = [sys.executable, "-S", "-X", "importtime", "-c", code]
    run = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    rows = [line.split("|") for line in run.stderr.splitlines() if line.startswith("import time:")]
    return [row[2].strip() for row in rows[1:]]


@pytest.mark.parametrize("words", [("frazil", "eval", "--expr", "1"), ("nix-instantiate", "--eval", "-E", "1 + 1")])
def test_nothing_dear_is_imported(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert not DEAR.intersection(imported(tmp_path, *words))


def test_nothing_dear_is_imported_for_derivations(tmp_path: Path) -> None:
    text = """
        let d = derivation { name = "x"; system = "x"; builder = "/b"; src = ./f; };
        in derivation {
          name = "y"; system = builtins.head (builtins.match "(x+|y)*(x)" "xx"); builder = "/b"; inherit d;
          outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
          hash = builtins.hashString "sha256" "x";
          place = (builtins.unsafeGetAttrPos "a" { a = 1; }).line;
        }
    """
    (tmp_path / "default.nix").write_text(text)
    (tmp_path / "f").write_text("x")
    done = imported(tmp_path, "nix-instantiate", "--readonly-mode", "--option", "eval-cache", "false")
    assert "frazil.instantiate.derivation" in done and not DEAR.intersection(done)


def in_order(listed: list[str], done: list[str]) -> list[str]:
    """What is wrong with a list."""
    superfluous = [f"{name} is not imported" for name in listed if name not in done]
    places = {name: place for place, name in enumerate(done)}
    late = [
        f"{second} comes after {first}"
        for first, second in pairwise(listed)
        if first in places and second in places and places[first] > places[second]
    ]
    return superfluous + late


def test_what_every_start_imports(tmp_path: Path) -> None:
    listed = [f"frazil{name}" if name.startswith(".") else f"frazil.cli.{name}" for name in START]
    assert not in_order(listed, imported(tmp_path, "frazil", "eval", "--expr", "1"))


def test_what_an_evaluation_imports(tmp_path: Path) -> None:
    listed = [f"frazil.{name}" for name in EVALUATION.split()]
    assert not in_order(listed, imported(tmp_path, "frazil", "eval", "--expr", "1"))


def test_what_remembering_imports(tmp_path: Path) -> None:
    (tmp_path / "default.nix").write_text('derivation { name = "x"; system = "x"; builder = "/b"; }')
    imported(tmp_path, "nix-instantiate")
    done = imported(tmp_path, "nix-instantiate")
    assert "frazil.lang.evaluator" not in done and "frazil.store.local" not in done
    listed = [f"frazil.{name}" for name in REMEMBERING.split() if "._" not in name]
    assert not in_order(listed, done)


def test_dataclasses_need_no_inspect(tmp_path: Path) -> None:
    code = """
import sys
from frazil.cli import defer_inspect
defer_inspect()
from dataclasses import dataclass
@dataclass
class Bare:
    x: int
assert Bare(1) == Bare(1) and Bare.__doc__.startswith("Bare(")
assert "ast" not in sys.modules
import inspect
assert str(inspect.signature(lambda a, b=1: 0)) == "(a, b=1)" and "ast" in sys.modules
"""
    subprocess.run([sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(SOURCE)}, cwd=tmp_path, check=True)


def run_python(folder: Path, code: str) -> str:
    environment = {"PYTHONPATH": str(SOURCE), "HOME": str(folder), "NIX_STORE_DIR": str(folder / "store")}
    command = [sys.executable, "-S", "-c", code]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True).stdout


REPORT = """
import os, sys
def report(status):
    print({})
    sys.stdout.flush()
    exit(status)
exit, os._exit = os._exit, report
sys.argv = ["frazil", "eval", "--expr", "1"]
from frazil.cli import main
main()
"""


def test_imports_do_not_look_in_vain_whether_a_module_is_being_made(tmp_path: Path) -> None:
    """Python makes an error and drops it, at each import of a module that does not say."""
    mute = """[name for name, module in sys.modules.items()
           if name.startswith("frazil.") and name != "frazil._compiled"
           and not hasattr(module.__spec__, "_initializing")]"""
    assert run_python(tmp_path, REPORT.format(mute)) == "1\n[]\n"


def test_a_short_evaluation_starts_one_thread(tmp_path: Path) -> None:
    count = """
import _thread
threads, start = [], _thread.start_new_thread
def counted(*arguments):
    threads.append(arguments)
    return start(*arguments)
_thread.start_new_thread = counted
"""
    assert run_python(tmp_path, count + REPORT.format("len(threads)")) == "1\n1\n"


def test_byte_code_is_read_where_it_is_that_of_the_source(tmp_path: Path) -> None:
    """Also by several threads at once: each needs a buffer."""
    code = f"""
import os, sys, threading, py_compile
import frazil
folder = {str(tmp_path)!r}
names = [f"m{{i}}" for i in range(40)]
for i, name in enumerate(names):
    with open(f"{{folder}}/{{name}}.py", "w") as file:
        file.write(f"x = {{i}}\\n" + "y = 1\\n" * i)
    py_compile.compile(f"{{folder}}/{{name}}.py")
with open(f"{{folder}}/m3.py", "a") as file:
    file.write("x = 'changed'\\n")
found = {{}}
def read(name):
    loader = frazil._source("frazil." + name, folder, name)
    fields = {{}}
    exec(loader.get_code("frazil." + name), fields)
    found[name] = fields["x"]
threads = [threading.Thread(target=read, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(found == {{**{{name: i for i, name in enumerate(names)}}, "m3": "changed"}})
"""
    assert run_python(tmp_path, code) == "True\n"


def test_an_evaluator_that_is_there_already_is_taken(tmp_path: Path) -> None:
    """As the build does that trains it: what lies in the sources' folder may be old."""
    code = """
import sys, types
import frazil
other = sys.modules["frazil._compiled"] = types.ModuleType("frazil._compiled")
other.MODULES, other.__file__, other.create = frozenset(["frazil.lang.values"]), "/elsewhere.so", None
spec = frazil._OwnModules.find_spec("frazil.lang.values", frazil.__path__)
print(spec.origin)
"""
    assert run_python(tmp_path, code) == "/elsewhere.so\n"
