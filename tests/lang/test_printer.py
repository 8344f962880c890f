"""`frazil.lang.printer`: Nix's notation in its forms."""

from __future__ import annotations

import os
from typing import Any

import pytest

from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import ThrownError
from frazil.lang.evaluator import Evaluator
from frazil.lang.printer import print_ambiguous, print_value


def shown(text: str, deep: bool = False, **options: Any) -> str:
    evaluator = Evaluator(FileSystemEffects())
    value = evaluator.eval_string(text.encode(), os.getcwd())
    if deep:
        evaluator.force_deep(value)
    result: str = print_value(evaluator, value, **options)
    return result.encode("latin-1").decode()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ('"a\\n\\t\\r\\"\\\\\\${b}$c"', '"a\\n\\t\\r\\"\\\\\\${b}$c"'),
        ("{ a = 1 + 1; b = [ (1 + 1) ]; }", "{ a = «thunk»; b = «thunk»; }"),
        ('{ "a b" = 1; "if" = 2; or = 3; "1" = 4; _x-\' = 5; "" = 6; }', '{ "" = 6; "1" = 4; _x-\' = 5; "a b" = 1; "if" = 2; or = 3; }'),
        ("x: x", "«lambda @ «string»:1:1»"),
        ("let f = x: x; in f", "«lambda f @ «string»:1:9»"),
        ("map", "«primop map»"),
        ("map map", "«partially applied primop map»"),
        ("1.0", "1"),
        ("[ ]", "[ ]"),
        ("{ }", "{ }"),
        ("null", "null"),
        ("/a/b", "/a/b"),
    ],
)  # fmt: skip
def test_lazy(text: str, printed: str) -> None:
    assert shown(text) == printed


@pytest.mark.parametrize(
    ("text", "options", "printed"),
    [
        ("{ a = 1 + 1; }", {}, "{ a = 2; }"),
        ("{ a = { }; b = { }; }", {}, "{ a = { }; b = «repeated»; }"),
        ("let a = [ 1 ]; in [ a a ]", {}, "[ [ 1 ] «repeated» ]"),
        ("let a = [ 1 ]; in [ a a ]", {"track_repeated": False}, "[ [ 1 ] [ 1 ] ]"),
        ("let x = { y = x; }; in x", {}, "{ y = «repeated»; }"),
        ('[ (throw "no") ]', {}, "[ «error: no» ]"),
        ("{ a.b.c = 1; }", {"max_depth": 1}, "{ a = { ... }; }"),
        ("[ 1 2 3 ]", {"max_items": 1}, "[ 1 «2 items elided» ]"),
        ("{ a = 1; b = 2; type = 3; }", {"max_attributes": 2}, "{ type = 3; a = 1; «1 attribute elided» }"),
        ('"abcdef"', {"max_string": 3}, '"abc" «3 bytes elided»'),
        ("{ a = 1; b = [ 1 ]; c = [ 1 2 ]; d = { x = { }; }; }", {"indent": 2},
         "{\n  a = 1;\n  b = [ 1 ];\n  c = [\n    1\n    2\n  ];\n  d = {\n    x = { };\n  };\n}"),
        ('{ type = "derivation"; x = throw "a"; }', {"derivation_paths": True}, "«derivation»"),
        ("1", {"ansi": True}, "\x1b[36;1m1\x1b[0m"),
    ],
)  # fmt: skip
def test_evaluated(text: str, options: dict[str, Any], printed: str) -> None:
    assert shown(text, evaluate=True, **options) == printed


def test_derivation_path() -> None:
    path = "/nix/store/" + "a" * 32 + "-x.drv"
    text = f'{{ type = "derivation"; drvPath = "{path}"; }}'
    assert shown(text, evaluate=True, derivation_paths=True) == f"«derivation {path}»"
    bad = '{ type = "derivation"; drvPath = "/x"; }'
    assert shown(bad, evaluate=True, derivation_paths=True) == "«error: path '/x' is not in the Nix store»"


def test_errors_may_be_thrown() -> None:
    with pytest.raises(ThrownError):
        shown('[ (throw "no") ]', evaluate=True, errors="throw")
    assert shown('[ (throw "no") ]', evaluate=True, errors="throw-top-level") == "[ «error: no» ]"


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("{ a = 1 + 1; f = x: x; m = map; n = map map; }", "{ a = <CODE>; f = <CODE>; m = <PRIMOP>; n = <CODE>; }"),
        ("[ 1 { } [ ] ]", "[ 1 <CODE> [ ] ]"),
        ('{ "a b" = "x"; }', '{ "a b" = "x"; }'),
    ],
)
def test_ambiguous(text: str, printed: str) -> None:
    evaluator = Evaluator(FileSystemEffects())
    assert print_ambiguous(evaluator, evaluator.eval_string(text.encode(), "/")) == printed
