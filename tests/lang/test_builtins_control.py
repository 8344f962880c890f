"""`frazil.lang.builtins_control`."""

from __future__ import annotations

import os

import pytest
from golden import cases, evaluate

from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator
from frazil.lang.settings import EvalSettings

TABLE = r"""
abort "x" => !! evaluation aborted with the following error message: 'x'
throw "x" => !! x
builtins.tryEval (throw "x") => { success = false; value = false; }
builtins.tryEval (assert false; 1) => { success = false; value = false; }
builtins.tryEval 1 => { success = true; value = 1; }
builtins.tryEval (abort "x") => !! evaluation aborted with the following error message: 'x'
builtins.tryEval (1 + "a") => !! cannot add a string to an integer
let x = throw "once"; in [ (builtins.tryEval x).success (builtins.tryEval x).success ] => [ false false ]
builtins.seq (throw "x") 1 => !! x
builtins.seq [ (throw "x") ] 1 => 1
builtins.deepSeq [ (throw "x") ] 1 => !! x
builtins.deepSeq { a.b = [ { c = throw "deep"; } ]; } 1 => !! deep
builtins.deepSeq (let x = { inherit x; }; in x) 1 => 1
builtins.addErrorContext "c" 1 => 1
builtins.break 1 => 1
builtins.isBool true => true
isNull null => true
builtins.isPath ./. => true
builtins.isFunction map => true
builtins.isFunction { __functor = self: x: x; } => false
map builtins.typeOf [ 1 1.5 "a" ./. null true { } [ ] (x: x) map (map map) ] => [ "int" "float" "string" "path" "null" "bool" "set" "list" "lambda" "lambda" "lambda" ]
builtins.langVersion => 6
builtins.nixVersion => "2.36.0"
builtins.storeDir => "/nix/store"
builtins.true && !builtins.false && builtins.null == null => true
builtins.warn { } 1 => !! expected a string but found a set: { }
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


def traced(text: str, **settings: object) -> list[str]:
    effects = FileSystemEffects()
    Evaluator(effects, EvalSettings(**settings)).eval_string(text.encode(), "/")  # type: ignore[arg-type]
    return effects.traced


def test_trace() -> None:
    assert traced('builtins.trace "a" 1') == ["trace: a"]
    thunk = "«thunk»".encode().decode("latin-1")
    assert traced("builtins.trace { a = 1; b = 1 + 1; } 1") == [f"trace: {{ a = 1; b = {thunk}; }}"]
    assert traced('builtins.traceVerbose "a" 1') == []
    assert traced('builtins.traceVerbose "a" 1', trace_verbose=True) == ["trace: a"]
    assert traced('builtins.warn "a\nb" 1') == ["evaluation warning: a\n                    b"]


def test_abort_on_warn() -> None:
    assert evaluate('builtins.warn "a" 1', abort_on_warn=True).startswith("!! aborting to reveal stack trace")


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAZIL_TEST_VARIABLE", "x")
    text = 'builtins.getEnv "FRAZIL_TEST_VARIABLE"'
    assert evaluate(text) == '"x"'
    assert evaluate(text, pure=True) == '""'
    assert evaluate(text, restricted=True) == '""'


def test_pure_evaluation_has_no_time_and_no_system() -> None:
    assert evaluate("[ (builtins ? currentTime) (builtins ? currentSystem) ]", pure=True) == "[ false false ]"
    assert evaluate("[ builtins.currentTime builtins.currentSystem ]", current_time=5, system="s") == '[ 5 "s" ]'


def test_search_path() -> None:
    found = evaluate("builtins.nixPath", search_path=(("a", "/b"), ("", os.sep)))
    assert found == '[ { path = "/b"; prefix = "a"; } { path = "/"; prefix = ""; } ]'
