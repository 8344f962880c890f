"""`frazil.lang.builtins_strings`, and a batch of expressions beside an installed Nix."""

from __future__ import annotations

import pytest
from golden import cases, evaluate, reference_value
from hypothesis import given, settings
from hypothesis import strategies as st

TABLE = r"""
toString 1.5 => "1.500000"
toString [ 1 [ ] "a" [ 2 ] true null ] => "1 a 2 1 "
toString { outPath = "x"; } => "x"
toString { __toString = self: "y"; } => "y"
toString { } => !! cannot coerce a set to a string: { }
builtins.stringLength "é" => 2
builtins.substring 1 2 "abcd" => "bc"
builtins.substring 2 (-1) "abcd" => "cd"
builtins.substring 9 1 "abcd" => ""
builtins.substring (-1) 1 "a" => !! negative start position in 'substring'
builtins.substring 0 0 12 => !! cannot coerce an integer to a string: 12
builtins.concatStringsSep ", " [ "a" "b" ] => "a, b"
builtins.concatStringsSep "," [ 1 ] => !! cannot coerce an integer to a string: 1
builtins.replaceStrings [ "a" "b" ] [ "b" "c" ] "abc" => "bcc"
builtins.replaceStrings [ "ab" "a" ] [ "1" "2" ] "aab" => "21"
builtins.replaceStrings [ "" "a" ] [ "X" "b" ] "ab" => "XaXbX"
builtins.replaceStrings [ "a" "" ] [ "b" "X" ] "abc" => "bXbXcX"
builtins.replaceStrings [ "" ] [ "X" ] "" => "X"
builtins.replaceStrings [ "z" ] [ (throw "unused") ] "abc" => "abc"
builtins.replaceStrings [ "z" "y" ] [ (throw "unused") 1 ] "abc" => "abc"
builtins.replaceStrings [ "a" ] [ ] "a" => !! 'from' and 'to' arguments passed to builtins.replaceStrings have different lengths
builtins.match "(.*)-([0-9]+)" "a-b-12" => [ "a-b" "12" ]
builtins.match "a" "b" => null
builtins.match "(" "b" => !! invalid regular expression '('
builtins.match "a{99999}" "b" => !! memory limit exceeded by regular expression 'a{99999}'
builtins.split "(x)|y" "axbyc" => [ "a" [ "x" ] "b" [ null ] "c" ]
builtins.compareVersions "1.0pre" "1.0" => -1
builtins.parseDrvName "a-b-1.0" => { name = "a-b"; version = "1.0"; }
builtins.splitVersion "1.2a" => [ "1" "2" "a" ]
builtins.isString "" => true
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("ab", max_size=2), min_size=1, max_size=3), st.text("abc", max_size=8))
def test_replace_strings(names: list[str], text: str) -> None:
    """Against the definition: at each place the first name that fits."""
    new = [f"<{i}>" for i in range(len(names))]
    result, at = "", 0
    while at <= len(text):
        for name, replacement in zip(names, new):
            if text.startswith(name, at):
                result += replacement
                if not name:
                    result += text[at : at + 1]
                at += max(1, len(name))
                break
        else:
            result += text[at : at + 1]
            at += 1
    quoted = [" ".join(f'"{t}"' for t in group) for group in (names, new)]
    assert evaluate(f'builtins.replaceStrings [ {quoted[0]} ] [ {quoted[1]} ] "{text}"') == f'"{result}"'


BATCH = [
    'builtins.split "(a|ab)(c|bcd)?" "abcd"',
    'builtins.split "x*" "axb"',
    'builtins.match "([[:alpha:]_][[:alnum:]_]*)(=(.*))?" "abc=d"',
    'builtins.toJSON { a = "\\t\\n\\"\\\\é"; b = null; c = [ { } [ ] ]; }',
    'builtins.fromJSON "[1, -0, 1e3, 1.5, \\"\\\\u00e9\\", {\\"a\\": {}}]"',
    "builtins.toXML { a = 1; b = [ (x: x) ({ y, z ? 1, ... }: y) ]; c = null; d = 1.5; }",
    'map (v: builtins.compareVersions v "1.2") [ "1" "1.2pre" "1.2.0" "1.10" "" "1.2-" ]',
    'map builtins.parseDrvName [ "a-1" "a-b" "-1" "a--1" ]',
    'map builtins.typeOf [ 1 1.0 "" true null { } [ ] map (x: x) ./. ]',
    'map (a: builtins.hashString a "x") [ "md5" "sha1" "sha256" "sha512" ]',
    "map toString [ 1 1.5 true false null [ 1 [ 2 3 ] ] ]",
    'map baseNameOf [ "a/b" "a/b/" "/" "" "a//" ]',
    'map dirOf [ "a/b" "a/b/" "/a" "a" ]',
    "builtins.genericClosure { startSet = [ { key = 3; } ]; operator = x: if x.key > 0 then [ { key = x.key - 1; } ] else [ ]; }",
    'builtins.placeholder "out"',
]


def test_beside_an_installed_nix() -> None:
    expected = reference_value(BATCH)
    if expected is None:
        pytest.skip("nix-instantiate is not installed")
    assert evaluate("[ " + " ".join(f"({e})" for e in BATCH) + " ]") == expected
