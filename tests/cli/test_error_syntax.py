"""What is said about texts that are no expressions, and where."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.cli.error_syntax import syntax_advice
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import ParseError
from frazil.lang.evaluator import Evaluator
from frazil.lang.settings import EvalSettings


def advice(text: str) -> tuple[str, int] | None:
    """The hint, and the offset to look at."""
    evaluator = Evaluator(FileSystemEffects(), EvalSettings())
    with pytest.raises(ParseError) as caught:
        evaluator.parse_string(text.encode(), "/")
    error = caught.value
    assert error.positions is not None
    found, source = error.positions.locate(error.pos), error.positions.text_at(error.pos)
    assert found is not None and source is not None
    offset = found[2]
    said = syntax_advice(source, offset, error.message)
    return None if said is None else (said[0], offset if said[1] is None else said[1])


@pytest.mark.parametrize(
    ("text", "wanted", "place"),
    [
        ('{\n  name = "app"\n  version = "1";\n}\n', "`;` is missing here, at the end of line 2", '"app"'),
        ("{ a = { b = 1; }\n c = 2; }", "`;` is missing here", "{ b = 1; }"),
        ('{ description = "x"\n}', "`;` is missing here", '"x"'),
        ("let x = 1 in x", "`;` is missing here", "= 1"),
        ("{ a.b.c = 1 d = 2; }", "`;` belongs between", "= 1"),
        ("{ services.web.port = 80\r\n b = 2; }", "end of line 1", "80"),
    ],
)
def test_a_forgotten_semicolon_is_shown_where_it_belongs(text: str, wanted: str, place: str) -> None:
    said = advice(text)
    assert said is not None
    assert wanted in said[0]
    assert text[: said[1]].endswith(place)


@pytest.mark.parametrize(
    ("text", "wanted", "place"),
    [
        ("{\n  list = [ 1 2 3;\n}\n", "the `[` of line 2, column 10 is not closed yet", ";\n"),
        ("{ a = [ (f x ]; }", "the `(` of line 1, column 9", "]; }"),
        ("(1", "never closed: )", "(1"),
        ('{ a = "text; }\n', 'never closed: "', '"text'),
        ('{ a = "text;\n b = "x";\n c = "y"; }', "begins in line 1, column 7 is never closed", '"text;'),
        ("{ a = ''text; }\n", "never closed: ''", "''text"),
        ("{ a = 1; }}", "closes nothing", "}"),
        ("let a = 1;\nb = 2;\n", "lacks its `in`", "let"),
        ("let a = 1; { b = a; }", "`in` is missing here", "{ b"),
        ("in 3", "has no `let`", "in 3"),
        ("if a then b", "lacks its `else`", "if a"),
        ("{ x = if true then 1; }", "lacks its `else`", "; }"),
        ("if a = 1 then 2 else 3", "to compare write `==`", "= 1"),
        ("{ a = b = c; }", "to compare write `==`", "= c"),
        ("{ a == 1; }", "to define write one `=`", "== 1"),
        ("[1, 2]", "separated by spaces", ", 2"),
        ("f(1, 2)", "one after the other", ", 2"),
        ("{ a = 1, b = 2 }", "not with a comma", ", b"),
        ("{ inherit a, b; }", "after `inherit` are separated by spaces", ", b"),
        ('{ name: "app"; }', "`name = value;`", ": "),
        ("{ if = 1; }", "is a word of the language", "if"),
        ("{ a = 'text'; }", "double quotes", "'text"),
        ("{ a = “x”; }", 'write " in place of “', None),
        ("{ a =\u00a01; }", "invisible character", None),
        ("{ é = 1; }", "written in quotes", None),
        ("\ufeff{ a = 1; }", "byte order mark", None),
        ("{ lib }\nlib.x", "comes `:`", "\nlib.x"),
        ("{ a, b ... }: a", "separated by commas", " ... }"),
        ("{\n // comment\n a = 1; }", "a comment begins with #", "// comment"),
        ("/* open\n 1", "has no end: */", "/* open"),
        ("''\n ${#arr[@]}\n''", "the shell's own write ''${", "${#"),
        ("{ with pkgs; a = 1; }", "stands before its brace", "with"),
        ("{ a = with pkgs [ b ]; }", "after `with …` comes `;`", "with"),
        ("{ a; }", "inherit name;", "; }"),
        ("{ a = 1;; }", "a `;` too many", "; }"),
        ("{ a = b + ; }", "a value is missing here", " ;"),
        ("{ 1 = 2; }", "a name that begins with a digit", "1"),
        ('inputs.x.url = "y";', "stand in braces", "= "),
        ("1 & 2", "`&&` is meant?", "& 2"),
        ("x: ", "what the function gives", ""),
        ("", "there is no expression in it", ""),
    ],
)
def test_other_slips(text: str, wanted: str, place: str | None) -> None:
    said = advice(text)
    assert said is not None
    assert wanted in said[0]
    if place is not None:
        assert text[said[1] :].startswith(place)


PIECES = st.sampled_from(
    [*list("{}[]();:,.=?@+-/<>\"'$ \n#ax1"), "''", "${", "let ", " in ", "if ", "then ", "*/", "/*"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_answered(text: str) -> None:
    evaluator = Evaluator(FileSystemEffects(), EvalSettings())
    try:
        evaluator.parse_string(text.encode(), "/")
    except ParseError as error:
        assert error.positions is not None
        found, source = error.positions.locate(error.pos), error.positions.text_at(error.pos)
        assert found is not None and source is not None
        said = syntax_advice(source, found[2], error.message)
        assert said is None or said[1] is None or 0 <= said[1] <= len(text.encode())
    except Exception as error:  # names, features and the like
        assert type(error).__module__.startswith("frazil")
