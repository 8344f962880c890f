"""`frazil.lang.parser`, `ast_printer`, `syntax_error`, `positions`: text in, `--parse` text or a message out."""

from __future__ import annotations

import time

import pytest
from golden import cases
from hypothesis import given, settings
from hypothesis import strategies as st

from frazil.errors import FrazilError
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import EvalBaseError, ParseError, StackOverflow, UndefinedVariable
from frazil.lang.evaluator import Evaluator, run_with_deep_stack
from frazil.lang.lalr import automaton
from frazil.lang.positions import PositionTable
from frazil.lang.settings import EvalSettings

SHOWN = r"""
1 => 1
''${''a''}'' => "a"
''${"a"}b'' => ("a" + "b")
x: x + 1 => (x: (x + 1))
{ b, a ? 1, ... } @ c: a => ({ a ? 1, b, ... } @ c: a)
1 - 2 * 3 < 4 => (__lessThan (__sub 1 (__mul 2 3)) 4)
1 >= 2 => (! (__lessThan 1 2))
-1 => (__sub 0 1)
!true -> false || true && null == 1 => ((! true) -> (false || (true && (null == 1))))
[ 1 (x: x) ] ++ [ ] => ([ (1) ((x: x)) ] ++ [ ])
{ } // { a.b = 1; } => ({ } // { a = { b = 1; }; })
{ a = 1; inherit (x: x) b; inherit map; "c d" = 2; ${toString 1} = 3; } => { inherit map; inherit ((x: x)) b; a = 1; "c d" = 2; "${(toString 1)}" = 3; }
map.a.${"b"}."c${null}" or 1 => (map).a.b."${("c" + null)}" or (1)
map ? a.b => ((map) ? a.b)
let x = 1; in with map; assert x; x => (let x = 1; in (with map; assert x; x))
if true then 1 else 2 => (if true then 1 else 2)
"a${map}b\n" => ("a" + map + "b\n")
<a/b> => (__findFile __nixPath "a/b")
/a/${map}/b => (/a/ + map + "/b")
https://x.y/z => "https://x.y/z"
1.5e3 => 1500
.5 => 0.5
map map map => (map map map)
(map map) map => (map map map)
map or => (map or)
__curPos => __curPos
"""

REFUSED = r"""
{ => 1:2 syntax error, unexpected end of file, expecting 'inherit'
1 + => 1:4 syntax error, unexpected end of file
) => 1:1 syntax error, unexpected ')'
let a = 1; => 1:11 syntax error, unexpected end of file, expecting 'in' or 'inherit'
a: => 1:3 syntax error, unexpected end of file
{ a = 1 } => 1:9 syntax error, unexpected '}', expecting ';'
[ 1 ; ] => 1:5 syntax error, unexpected ';'
{ a b } => 1:5 syntax error, unexpected identifier, expecting '.' or '='
let ${map} = 1; in 1 => 1:1 dynamic attributes not allowed in let
{ inherit ${map}; } => 1:11 dynamic attributes not allowed in inherit
./a/ => 1:5 path has a trailing slash
1e400 => 1:1 undefined
1.0e400 => 1:1 invalid float '1.0e400'
/* => 1:1 syntax error, unexpected '/'
a ? "b" 1 => 1:9 syntax error, unexpected integer, expecting end of file
with/a;a => 1:7 syntax error, unexpected ';', expecting end of file
let:x in => 1:7 syntax error, unexpected 'in', expecting end of file
"""


def evaluator(features: tuple[str, ...] = ()) -> Evaluator:
    return Evaluator(FileSystemEffects(), EvalSettings(experimental_features=frozenset(features)))


def parsed(text: str, features: tuple[str, ...] = ()) -> str:
    return evaluator(features).parse_string(text.encode(), "/").show()


@pytest.mark.parametrize(("text", "shown"), [c for c in cases(SHOWN) if c[0] != "map or"])
def test_shown(text: str, shown: str) -> None:
    assert parsed(text) == shown


@pytest.mark.parametrize(("text", "message"), [c for c in cases(REFUSED) if not c[1].endswith("undefined")])
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parsed(text)
    position = caught.value.position
    assert position is not None
    assert f"{position.line}:{position.column} {caught.value.message}" == message


def test_pipes() -> None:
    assert parsed("1 |> map |> toString", ("pipe-operators",)) == "(toString (map 1))"
    assert parsed("toString <| map <| 1", ("pipe-operators",)) == "(toString (map 1))"


def test_line_ends() -> None:
    assert parsed('"a\r\nb\rc"') == r'"a\nb\nc"'


def test_null_bytes() -> None:
    with pytest.raises(ParseError, match="null bytes"):
        parsed('"a\0b"')
    with pytest.raises(ParseError, match="null bytes"):
        parsed("''a\0b''")


@pytest.mark.parametrize("pair", ["()", "[]", ("{a=", ";}"), ("-", ""), ("x: ", ""), ("if 1 then ", " else 2")])
def test_depth_is_no_crash(pair: str | tuple[str, str]) -> None:
    opening, closing = pair
    text = opening * 200_000 + "1" + closing * 200_000

    def work() -> None:
        try:
            parsed(text)
        except StackOverflow:
            pass

    work()
    run_with_deep_stack(work)


LONG = {
    "minus": lambda n: "-" * n + "1",
    "names with dots": lambda n: "a" + ".a" * n,
    "names with plus": lambda n: "let a = 1; in a" + "+a" * n,
    "not a path, refused": lambda n: "[ " + "1." * n + " ]",
    "documentation far away": lambda n: "/** a */" + " " * n + "[ " + "(x: x) " * n + "]",
    "merged literals": lambda n: (
        "{ " + "".join(f'a = {{ inherit ({{}}) c{i}; ${{"d{i}" + ""}} = 1; }}; ' for i in range(n)) + "}"
    ),
    "lists": lambda n: "builtins.length (" + "[ 1 ] ++ " * n + "[ 1 ])",
    "sets": lambda n: "builtins.attrNames (" + " // ".join(f"{{ a{i} = 1; }}" for i in range(n)) + ")",
    "positions": lambda n: "[ " + "__curPos.line\n" * n + "]",
}


@pytest.mark.parametrize("name", LONG)
def test_time_grows_no_faster_than_the_text(name: str) -> None:
    def seconds(size: int) -> float:
        text = LONG[name](size).encode()
        started = time.process_time()
        try:
            subject = evaluator()
            subject.force_deep(subject.eval_string(text, "/"))
        except EvalBaseError:
            pass
        return time.process_time() - started

    small = min(run_with_deep_stack(lambda: seconds(2000)) for _ in range(3))
    large = run_with_deep_stack(lambda: seconds(20_000))
    assert large < 40 * max(small, 0.002)


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "1",
        ".5",
        '"x"',
        '"',
        "${",
        "}",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "=",
        ";",
        ":",
        "@",
        ",",
        ".",
        "...",
        "?",
        "!",
        "+",
        "-",
        "*",
        "/",
        "//",
        "++",
        "==",
        "!=",
        "<",
        "<=",
        "&&",
        "||",
        "->",
        "if",
        "then",
        "else",
        "let",
        "in",
        "with",
        "rec",
        "assert",
        "inherit",
        "or",
        "''",
        "",
        "''$",
        "'''",
        "''",
        "./a",
        "/b/",
        "~/c",
        "<d>",
        "e:f",
        "#",
        "/*",
        "*/",
        "|>",
        "<|",
        "\\",
        "$",
        "'",
        "\r",
        "\n",
        "\t",
        "é",
        "~",
        "&",
        "|",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=25).map(" ".join) | st.lists(PIECES, max_size=25).map("".join))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        shown = parsed(text)
    except EvalBaseError as error:
        assert error.message != "syntax error"
        assert error.position is not None or "pure mode" in error.message
        return
    assert isinstance(shown, str)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        evaluator().parse_string(data, "/")
    except FrazilError:
        pass


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30))
def test_string_literals_keep_their_bytes(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\r", "\\r").replace("\0", "")
    value = evaluator().eval_string(f'"{escaped}"'.encode(errors="replace"), "/")
    assert value == text.replace("\0", "").encode(errors="replace").decode("latin-1")


def test_automaton_knows_the_grammar() -> None:
    machine = automaton()
    assert len(machine.kernels) > 150
    assert machine.run([(0, 0)]) is not None


def test_positions() -> None:
    table = PositionTable()
    first = table.add_origin("one", True, b"ab\r\nc\rd\n")
    second = table.add_origin("two", False, b"x")
    found = table.position(first + 4)
    assert found is not None
    assert (found.file, found.line, found.column, found.source_line) == ("one", 2, 1, "c")
    assert (found.previous_line, found.next_line) == ("ab", "d")
    assert table.file_line_column(first + 6) == ("one", True, 3, 1)
    assert table.show(second) == "two:1:1"
    assert table.position(0) is None


def test_or_as_a_name_warns_where_its_meaning_will_change() -> None:
    class Listening(FileSystemEffects):
        def trace(self, text: str) -> None:
            warnings.append(text)

    warnings: list[str] = []
    text = "let or = 1; f = x: x; in [ (x: x) or ] == f f or && f (f or) == { a = 2; }.a or f or && f or == 1"
    Evaluator(Listening(), EvalSettings()).parse_string(text.encode(), "/")
    assert [w.splitlines()[2].strip() for w in warnings] == ["((x: x) or)", "(f or)", "(f or)"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{ b = one; a = two; }", "one"),
        ("let z = one; a = two; in a", "one"),
        ("rec { q = { z = one; }; a = two; }", "one"),
        ("{ inherit zz aa; }", "zz"),
        # Names that Nix knows before it reads anything come first.
        ("{ b = one; name = two; }", "two"),
        ("{ b = one; map = two; }", "two"),
        ("{ c = 1; b = x: one; a = [ two ]; }", "one"),
        ("let inherit (one) a; b = two; in a", "one"),
    ],
)
def test_the_first_of_several_undefined_variables(text: str, name: str) -> None:
    with pytest.raises(UndefinedVariable, match=f"'{name}'"):
        Evaluator(FileSystemEffects()).eval_string(text, "/")
