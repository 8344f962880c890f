"""`frazil.lang.builtins_convert` with `json_writer`, `xml_writer` and `hashes`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from golden import cases, evaluate
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator

SRI = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
HEX = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
TABLE = rf"""
builtins.toJSON {{ b = 1; a = [ 1.5 true null "x" {{ }} [ ] ]; }} => "{{\"a\":[1.5,true,null,\"x\",{{}},[]],\"b\":1}}"
builtins.toJSON (x: x) => !! cannot convert a function to JSON
builtins.toJSON {{ outPath = 42; }} => "42"
builtins.toJSON {{ __toString = self: 42; }} => !! `__toString` should return a string, but got an integer: 42
builtins.toJSON "\t\"\\é" => "\"\\t\\\"\\\\é\""
builtins.fromJSON "{{\"a\":[1,2.5,null,true]}}" => {{ a = [ 1 2.5 null true ]; }}
builtins.fromJSON "18446744073709551615" => !! unsigned json number 18446744073709551615 outside of Nix integer range
builtins.fromTOML "a = 1\n[b]\nc = [ 'x' ]" => {{ a = 1; b = {{ c = [ "x" ]; }}; }}
builtins.fromTOML "a = 2020-01-01" => !! while parsing TOML: Dates and times are not supported
builtins.hashString "sha256" "" => "{HEX}"
builtins.hashString "md5" "" => "d41d8cd98f00b204e9800998ecf8427e"
builtins.hashString "foo" "" => !! unknown hash algorithm 'foo', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'
builtins.convertHash {{ hash = "{SRI}"; toHashFormat = "base16"; }} => "{HEX}"
builtins.convertHash {{ hash = "{HEX}"; hashAlgo = "sha256"; toHashFormat = "sri"; }} => "{SRI}"
builtins.convertHash {{ hash = "{HEX}"; hashAlgo = "sha256"; toHashFormat = "nix32"; }} => "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"
builtins.convertHash {{ hash = "sha256:{HEX}"; toHashFormat = "base64"; }} => "{SRI[7:]}"
builtins.convertHash {{ hash = "{HEX}"; toHashFormat = "sri"; }} => !! hash '{HEX}' does not include a type, nor is the type otherwise known from context
builtins.convertHash {{ hash = "{SRI}"; hashAlgo = "md5"; toHashFormat = "sri"; }} => !! hash '{SRI}' should have type 'md5'
builtins.convertHash {{ hash = "sha256:ab"; toHashFormat = "sri"; }} => !! hash 'ab' has wrong length for hash algorithm 'sha256'
builtins.convertHash {{ hash = "sha256-abcd"; toHashFormat = "sri"; }} => !! invalid SRI hash 'abcd', length 3 != expected length 32
builtins.convertHash {{ hash = "{SRI}"; toHashFormat = "foo"; }} => !! unknown hash format 'foo', expect 'base16', 'base32', 'base64', or 'sri'
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


def test_timestamps_behind_their_feature() -> None:
    found = evaluate('builtins.fromTOML "a = 07:32:00"', experimental_features=frozenset(["parse-toml-timestamps"]))
    assert found == '{ a = { _type = "timestamp"; value = "07:32:00"; }; }'


def test_blake3_behind_its_feature() -> None:
    assert "'blake3-hashes' is disabled" in evaluate('builtins.hashString "blake3" ""')
    found = evaluate('builtins.hashString "blake3" ""', experimental_features=frozenset(["blake3-hashes"]))
    assert found == '"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"'


@pytest.mark.parametrize(
    ("bytes_", "message"),
    [
        (r"\xff", "invalid UTF-8 byte at index 0: 0xFF"),
        (r"a\xc3", "incomplete UTF-8 string; last byte: 0xC3"),
        (r"\xc3(", "invalid UTF-8 byte at index 1: 0x28"),
    ],
)
def test_json_of_what_is_no_text(bytes_: str, message: str) -> None:
    from frazil.lang.effects import FileSystemEffects
    from frazil.lang.errors import EvalError
    from frazil.lang.evaluator import Evaluator

    text = b'builtins.toJSON "' + bytes_.encode().decode("unicode_escape").encode("latin-1") + b'"'
    with pytest.raises(EvalError) as caught:
        Evaluator(FileSystemEffects()).eval_string(text, "/")
    assert caught.value.message == f"JSON serialization error: [json.exception.type_error.316] {message}"


def test_xml() -> None:
    found = evaluate(r"""builtins.toXML { a = [ 1 1.5 true null "<\n&" ]; f = { x, y ? 1, ... }@z: x; g = x: x; }""")
    assert found == (
        r'"<?xml version='
        r"'1.0' encoding='utf-8'?>\n<expr>\n  <attrs>\n    <attr name=\"a\">\n      <list>\n        <int value=\"1\" />\n"
        r"        <float value=\"1.5\" />\n        <bool value=\"true\" />\n        <null />\n"
        r"        <string value=\"&lt;&#xA;&amp;\" />\n      </list>\n    </attr>\n    <attr name=\"f\">\n      <function>\n"
        r"        <attrspat ellipsis=\"1\" name=\"z\">\n          <attr name=\"x\" />\n          <attr name=\"y\" />\n"
        r"        </attrspat>\n      </function>\n    </attr>\n    <attr name=\"g\">\n      <function>\n"
        r'        <varpat name=\"x\" />\n      </function>\n    </attr>\n  </attrs>\n</expr>\n"'
    )


TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text('aé"\\\n\t$', max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_json_round_trip(tree: Any) -> None:
    text = json.dumps(tree, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    quoted = json.dumps(text, ensure_ascii=False).replace("$", "\\$")
    found = evaluate(f"builtins.toJSON (builtins.fromJSON {quoted}) == {quoted}")
    assert found == "true"


def test_json_of_many_pieces() -> None:
    """Text is put together in portions: what is in them, and bytes above 127, stay in order."""
    text = 'builtins.toJSON (builtins.genList (i: { a = i; b = [ "é" null (i + 0.5) ]; }) 5000)'
    written = Evaluator(FileSystemEffects()).eval_string(text.encode(), "/").encode("latin-1")
    assert json.loads(written) == [{"a": i, "b": ["é", None, i + 0.5]} for i in range(5000)]
    assert written.startswith('[{"a":0,"b":["é",null,0.5]},{"a":1,'.encode())
