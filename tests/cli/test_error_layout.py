"""One screen: the message first, the user's own files, hints."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.cli.error_layout import View, excerpt, lay_out, project_folder, view_for
from frazil.cli.error_steps import library_name
from frazil.errors import FrazilError, TraceFrame
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import EvalBaseError
from frazil.lang.evaluator import Evaluator
from frazil.lang.settings import EvalSettings
from frazil.position import Position


def place(file: str, line: int = 3, column: int = 5, text: str | None = "    here = 1;") -> Position:
    return Position(file, line, column, text)


def evaluation_error(text: str) -> FrazilError:
    evaluator = Evaluator(FileSystemEffects(), EvalSettings(show_trace=True))
    with pytest.raises(EvalBaseError) as caught:
        evaluator.force_deep(evaluator.eval_string(text, "/"))
    return caught.value


def shown(error: FrazilError, directory: str = "/home/me/project") -> str:
    return lay_out(error, View(directory))


def test_the_place_is_the_users_last_step_and_libraries_are_folded() -> None:
    error = FrazilError(
        "it went wrong",
        position=place("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-source/lib/lists.nix"),
        trace=[
            TraceFrame("while calling 'outputs'", place("/home/me/project/flake.nix", 1, 2)),
            *[
                TraceFrame(f"while calling '{i}'", place(f"«github:NixOS/nixpkgs/abc?narHash=x»/lib/{i}.nix"))
                for i in range(4)
            ],
            TraceFrame("while evaluating the option `a.b':"),
            TraceFrame("while calling 'f'", place("/home/me/project/web/x.nix", 9, 5)),
        ],
        hint="do better",
    )
    assert shown(error).splitlines() == [
        "error: it went wrong",
        "       at web/x.nix:9:5:",
        "            9|     here = 1;",
        "             |     ^",
        "",
        "       on the way there:",
        "         flake.nix:1:2  while calling 'outputs'",
        "                        … 4 frames inside nixpkgs lib",
        "                        while evaluating the option `a.b'",
        "",
        "       hint: do better",
    ]


def test_errors_in_ones_own_code_need_no_way_there() -> None:
    assert shown(FrazilError("no", position=place("/home/me/project/a.nix"))).splitlines() == [
        "error: no",
        "       at a.nix:3:5:",
        "            3|     here = 1;",
        "             |     ^",
    ]


def test_names_of_libraries() -> None:
    assert library_name("«github:NixOS/nixpkgs/057f9a?narHash=sha256-x»/lib/modules.nix") == "nixpkgs lib"
    assert library_name("«github:numtide/flake-utils»/default.nix") == "flake-utils"
    assert library_name("«git+https://example.org/tools.git?ref=main»/x/y.nix") == "tools"
    assert library_name("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-nixpkgs/lib/lists.nix") == "nixpkgs lib"
    assert library_name("/usr/lib/python3/frazil/packages/lib/lists.nix") == "frazilpkgs lib"


def test_the_project_is_where_the_repository_begins(tmp_path: Path) -> None:
    (tmp_path / "p/.git").mkdir(parents=True)
    (tmp_path / "p/sub/folder").mkdir(parents=True)
    assert project_folder(str(tmp_path / "p/sub/folder")) == str(tmp_path / "p")
    error = FrazilError("x", position=place("/elsewhere/a/b.nix"))
    assert view_for(error, str(tmp_path)).is_own("/elsewhere/a/c.nix")


def test_long_lines_are_cut_around_the_place() -> None:
    line = "x" * 500 + "HERE" + "y" * 500
    lines = excerpt(place("/a.nix", column=501, text=line), View("/", width=100))
    assert all(len(text) <= 100 - 7 + 2 for text in lines)
    assert lines[1][lines[2].index("^") :].startswith("HERE")


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=300), st.data())
def test_the_caret_is_below_the_character(line: str, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(line) - 1))
    column = len(line[:index].encode()) + 1
    lines = excerpt(place("/a.nix", column=column, text=line), View("/", width=120))
    assert lines[2].endswith("^")
    if line.isascii():
        assert lines[1].ljust(400)[lines[2].index("^")] == line[index]


def test_a_function_that_calls_itself_is_said_once() -> None:
    frames = [TraceFrame(f"while calling '{n % 2}'", place("/home/me/project/a.nix", n % 2 + 1)) for n in range(2000)]
    text = shown(FrazilError("too deep", trace=frames, position=place("/home/me/project/b.nix")))
    assert len(text.splitlines()) < 20
    assert "and 999 times more" in text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("let foo = 1; in fooo", "hint: did you mean foo?"),
        ("with { alpha = 1; }; alpah", "hint: did you mean alpha?"),
        ("(x: mpa x) 1", "hint: did you mean map?"),
        ("({ a, b ? 1, ... }: a) { }", "hint: the function takes { a, b ? …, ... }"),
        ("({ hello }: hello) { helo = 1; hello = 2; }", "Did you mean hello?"),
        ("let x = x; in x", "this value needs itself: «string»:1:9"),
        ("let f = n: 1 + f n; in f 0", "max-call-depth"),
        ("1 |> (x: x)", "extra-experimental-features = pipe-operators"),
    ],
)
def test_advice(text: str, wanted: str) -> None:
    assert wanted in shown(evaluation_error(text))


def test_the_cycle_of_an_infinite_recursion() -> None:
    text = shown(evaluation_error("let\n  a = b + 1;\n  b = c * 2;\n  c = a;\nin a"))
    assert text.splitlines()[-3:] == [
        "       these values need each other, each the one below it, the last the first:",
        "         «string»:2:9  a = b + 1;",
        "         «string»:3:9  b = c * 2;",
    ]


def test_everything_ends_in_one_screen() -> None:
    chain = " ".join(f"x{n} = x{n + 1} + 1;" for n in range(500))
    text = shown(evaluation_error(f"let {chain} x500 = x0; in x0"))
    assert len(text.splitlines()) < 30


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("if 1 then 2 else 3", 4),
        ("!1", 2),
        ('true && "x"', 9),
        ("1 // { }", 1),
        ("assert ''x''; 1", 8),
        ("{ a = 1; }.${1.5}", 14),
        ("if [ ] then 1 else 2", 4),
        ("if [ 1 ] then 1 else 2", 4),
        ("if ./x then 1 else 2", 4),
        ("if x:y then 1 else 2", 4),
        ("(if 1 then 2 else 3) + 1", 5),
        ("let a = 1; in if a then 2 else 3", 18),
    ],
)
def test_literals_have_a_place_that_nix_does_not_show(text: str, column: int) -> None:
    error = evaluation_error(text)
    lines = shown(error).splitlines()
    assert lines[1:4] == [
        f"       at «string»:1:{column}:",
        f"            1| {text}",
        f"             | {' ' * (column - 1)}^",
    ]
    if "let" not in text:
        assert error.position is None
