"""`frazil.lang.builtins_sets`."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden import cases, evaluate

TABLE = r"""
builtins.attrNames { b = 1; a = throw "x"; "1" = 2; } => [ "1" "a" "b" ]
builtins.attrValues { b = 1; a = 2; } => [ 2 1 ]
builtins.getAttr "a" { a = 1; } => 1
builtins.getAttr "b" { a = 1; } => !! attribute 'b' missing
builtins.hasAttr "a" { a = throw "x"; } => true
builtins.isAttrs { } => true
removeAttrs { a = 1; b = 2; } [ "a" "c" ] => { b = 2; }
removeAttrs { a = 1; } [ 1 ] => !! expected a string but found an integer: 1
builtins.listToAttrs [ { name = "a"; value = 1; } { name = "b"; value = 2; } { name = "a"; } ] => { a = 1; b = 2; }
builtins.listToAttrs [ { name = "a"; } ] => !! attribute 'value' missing
builtins.listToAttrs [ { value = 1; } ] => !! attribute 'name' missing
builtins.attrNames (builtins.listToAttrs [ { name = "a"; value = throw "x"; } ]) => [ "a" ]
builtins.intersectAttrs { a = 1; b = 1; } { b = 2; c = 2; } => { b = 2; }
builtins.intersectAttrs { a = 1; b = 1; c = 1; } { b = 2; } => { b = 2; }
builtins.catAttrs "a" [ { a = 1; } { b = 2; } { a = 3; } ] => [ 1 3 ]
builtins.functionArgs ({ a, b ? 1, ... }@c: a) => { a = false; b = true; }
builtins.functionArgs (x: x) => { }
builtins.functionArgs map => { }
builtins.functionArgs (builtins.elem 1) => { }
builtins.functionArgs 1 => !! 'functionArgs' requires a function
builtins.mapAttrs (n: v: n + v) { a = "1"; b = "2"; } => { a = "a1"; b = "b2"; }
builtins.attrNames (builtins.mapAttrs (throw "x") { a = 1; }) => [ "a" ]
builtins.zipAttrsWith (n: vs: vs) [ { a = 1; } { a = 2; b = 3; } ] => { a = [ 1 2 ]; b = [ 3 ]; }
builtins.zipAttrsWith 1 [ ] => !! expected a function but found an integer: 1
builtins.unsafeGetAttrPos "a" { a = 1; } => null
builtins.unsafeGetAttrPos "b" { a = 1; } => null
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("s", "{ column = 3; line = 2; }"),
        ("removeAttrs s [ ]", "{ column = 3; line = 2; }"),
        ("builtins.intersectAttrs { a = 1; } s", "{ column = 3; line = 2; }"),
        ("s // { b = 1; }", "{ column = 3; line = 2; }"),
        ('builtins.listToAttrs [ { name = "a"; value = 1; } ]', "{ column = 38; line = 4; }"),
        ("builtins.mapAttrs (n: v: v) s", "null"),
        ("builtins.functionArgs ({ a }: a)", "{ column = 26; line = 4; }"),
    ],
)
def test_positions(tmp_path: Path, expression: str, place: str) -> None:
    file = tmp_path / "positions.nix"
    file.write_text(f"let s = {{\n  a = 1;\n}}; in\n{expression}\n")
    found = evaluate(
        f'let p = builtins.unsafeGetAttrPos "a" (import {file}); in'
        ' if p == null then null else removeAttrs p [ "file" ]'
    )
    assert found == place
