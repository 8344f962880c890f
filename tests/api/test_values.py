"""Values out of the language and into it."""

from __future__ import annotations

import copy
import math
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import frazil

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    # A string of the language holds no zero byte; lone surrogates stand for bytes that are no UTF-8.
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    | st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)).map(
        lambda t: t.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(PLAIN)
def test_plain_values_come_back_as_they_went(session: frazil.Session, value: Any) -> None:
    back = session.evaluate("x", scope={"x": value})
    assert (back.to_python() if isinstance(back, frazil.AttrSet | frazil.List) else back) == value
    assert type(back) is type(value) or isinstance(back, frazil.AttrSet | frazil.List)


def test_only_what_is_looked_at_is_evaluated(session: frazil.Session) -> None:
    value = session.evaluate('{ a = [ 1 (throw "no") ]; b = throw "neither"; }')
    assert (len(value), len(value.a), value.a[0]) == (2, 2, 1)
    assert "b" in value
    assert repr(value) == "<AttrSet { a = [ 1 «thunk» ]; b = «thunk»; }>"
    with pytest.raises(frazil.ThrownError, match="no"):
        value.a[1]


def test_mappings_given_are_looked_at_lazily(session: frazil.Session) -> None:
    asked = []

    class Table(Mapping[str, object]):
        def __getitem__(self, name: str) -> object:
            asked.append(name)
            return {"inner": self}

        def __iter__(self) -> Iterator[str]:
            return iter(["a", "b"])

        def __len__(self) -> int:
            return 2

    assert session.evaluate("t.a.inner.b ? inner", scope={"t": Table()}) is True
    assert asked == ["a", "b"]


def test_values_without_a_counterpart_are_refused(session: frazil.Session) -> None:
    with pytest.raises(TypeError, match="object"):
        session.evaluate("x", scope={"x": object()})
    with pytest.raises(OverflowError):
        session.evaluate("x", scope={"x": 2**63})
    with pytest.raises(TypeError, match="attribute names"):
        session.evaluate("x", scope={"x": {1: 2}})
    with frazil.Session() as other, pytest.raises(ValueError, match="another session"):
        session.evaluate("x", scope={"x": other.evaluate("{ }")})


def test_paths_and_strings_with_context(session: frazil.Session, place: Path) -> None:
    (place / "file").write_text("text")
    assert session.evaluate("./file") == PurePosixPath(place / "file")
    assert session.evaluate("builtins.readFile p", scope={"p": place / "file"}) == "text"
    text = session.evaluate('"${./file}"')
    assert isinstance(text, frazil.String)
    assert text.context == {str(text)}
    assert session.evaluate("builtins.attrNames (builtins.getContext s)", scope={"s": text}) == [text]


def test_functions_both_ways(session: frazil.Session) -> None:
    def scale(value: int, factor: int) -> int:
        return value * factor

    def area(*, width: int, height: int = 2) -> int:
        return width * height

    assert session.evaluate("map (scale 3) [ 1 2 ]", scope={"scale": scale}) == [3, 6]
    assert session.evaluate("area { width = 4; }", scope={"area": area}) == 8
    assert session.evaluate("f 2.0", scope={"f": math.sqrt}) == math.sqrt(2)
    function = session.evaluate("f: builtins.foldl' f 0 [ 1 2 3 ]")
    assert function(lambda a, b: a + b) == 6
    assert function.formals is None
    with pytest.raises(TypeError):
        function()
    with pytest.raises(TypeError, match="attribute set"):
        session.evaluate("area 1", scope={"area": area})


def test_functions_may_use_their_session(session: frazil.Session) -> None:
    assert session.evaluate("f 4", scope={"f": lambda n: session.evaluate("n + 1", scope={"n": n})}) == 5


def test_exceptions_of_functions_come_out_unchanged(session: frazil.Session) -> None:
    value = session.evaluate("{ x = f 1; y = 2; }", scope={"f": lambda n: n / 0})
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            _ = value.x
    assert value.y == 2


def test_missing_names_are_a_matter_of_mappings(session: frazil.Session) -> None:
    value = session.evaluate("{ hello = 1; }")
    with pytest.raises(KeyError, match="did you mean hello"):
        value["helo"]
    with pytest.raises(AttributeError, match="did you mean hello"):
        _ = value.helo
    assert value.get("helo", 7) == 7
    assert "hello" in dir(value)
    assert not hasattr(value, "__array__")


def test_selecting_as_the_command_line_does(session: frazil.Session) -> None:
    value = session.evaluate("{ a = { x ? 1 }: { b = [ { c = x; } ]; }; }")
    assert value.select("a.b.0.c") == 1
    with pytest.raises(frazil.MissingAttribute, match="'d' in selection path"):
        value.select("a.d")


def test_output_for_other_programs(session: frazil.Session) -> None:
    value = session.evaluate('{ b = [ 1 null ]; a = "ü"; }')
    assert value.to_json() == '{"a":"ü","b":[1,null]}'
    assert value.to_nix() == '{ a = "ü"; b = [ 1 null ]; }'
    assert session.to_nix([Path("/tmp"), "x", 1.5]) == '[ /tmp "x" 1.5 ]'


def test_tables_for_notebooks(session: frazil.Session) -> None:
    shown = session.evaluate('{ a = "<b>"; later = throw "x"; }')._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "«thunk»" in shown
    names = session.evaluate("builtins.listToAttrs (builtins.genList (n: { name = toString n; value = n; }) 100)")
    assert "80 more" in names._repr_html_()
    assert names._ipython_key_completions_()[:2] == ["0", "1"]


def test_lists_are_tables_too(session: frazil.Session) -> None:
    shown = session.evaluate('[ 1 "<b>" (throw "not looked at") ] ++ builtins.genList (x: x) 40')._repr_html_()
    assert "&lt;b&gt;" in shown
    assert "not looked at" not in shown
    assert "23 more" in shown


def test_views_do_not_travel(session: frazil.Session) -> None:
    value = session.evaluate("{ a = [ 1 ]; f = x: x; }")
    for view in (value, value.a, value.f):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(view)
        assert copy.copy(view) is view
    text = session.evaluate("x", scope={"x": frazil.String("a", frozenset({"/nix/store/" + "a" * 32 + "-x"}))})
    assert pickle.loads(pickle.dumps(text)).context == text.context


def test_errors_travel(session: frazil.Session) -> None:
    with pytest.raises(frazil.EvalError) as caught:
        session.evaluate("let versoin = 1; in version")
    error = pickle.loads(pickle.dumps(caught.value))
    assert type(error) is frazil.UndefinedVariable
    assert str(error) == "undefined variable 'version'"
    assert (error.position.line, error.position.column) == (1, 21)
    assert error.hint == "did you mean versoin?"
    assert "1| let versoin" in error.__notes__[0]
    assert "".join(error._render_traceback_()).startswith("error: undefined variable")


@pytest.mark.parametrize("name", ["a b", "if", "1a", ""])
def test_names_that_no_expression_can_use(session: frazil.Session, name: str) -> None:
    with pytest.raises(ValueError, match="cannot refer to anything"):
        session.evaluate("1", scope={name: 1})


def test_a_forked_process_begins_anew(session: frazil.Session) -> None:
    value = session.evaluate("{ a = 1 + 1; }")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = str(frazil.evaluate("20 + 1"))
            try:
                value["a"]
            except frazil.FrazilError as error:
                said += f" {error}"
            os.write(write, said.encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        assert stream.read() == "21 this session belongs to the process that this one was forked from"
    os.waitpid(child, 0)
    assert value["a"] == 2
