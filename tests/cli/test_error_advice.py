"""Hints for common mistakes, and where to look."""

from __future__ import annotations

from pathlib import Path

import pytest

from frazil.cli.error_layout import lay_out, view_for
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import EvalBaseError
from frazil.lang.evaluator import Evaluator
from frazil.lang.settings import EvalSettings


def screen(folder: Path, text: str, **files: str) -> str:
    """The whole message about example.nix."""
    (folder / ".git").mkdir(parents=True, exist_ok=True)
    for name, content in {"example.nix": text, **files}.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    evaluator = Evaluator(FileSystemEffects(), EvalSettings(show_trace=True))
    with pytest.raises(EvalBaseError) as caught:
        evaluator.force_deep(evaluator.eval_file(str(folder / "example.nix")))
    return lay_out(caught.value, view_for(caught.value, str(folder), width=120))


def caret(text: str) -> str:
    """The source from where the caret stands."""
    lines = text.splitlines()
    (number,) = [number for number, line in enumerate(lines) if line.strip().endswith("^") and "|" in line][:1]
    return lines[number - 1][lines[number].index("^") :]


@pytest.mark.parametrize(
    ("text", "wanted", "at"),
    [
        ("let p = { a.b = 1; c = 2; }; in p.xyz", "what is there: a, c", "xyz"),
        ("let p = { a = 1; }; in { inherit (p) x; }", "what is there: a", "x; }"),
        ('let p = { x86_64 = 1; }; in p."x86-64"', "Did you mean x86_64?", "x86-64"),
        ('{ version = "1"; src = "a-${version}"; }', "is defined in this file", "version}"),
        ("let a = { b = 1; }; in { inherit a b; }", "inherit (a) b;", "b; }"),
        ("system", "a flake does not know the machine", "system"),
        ("{ x = pkgs.hello; }", "packages come from somewhere", "pkgs"),
        ("''\n  echo ${HOME}\n''", "for the shell's variable write ''${HOME}", "HOME"),
        ("{ x = None; }", "true, false, null", "None"),
        ('"a" + 1', "toString makes a string", "1"),
        ('let a = [ 1 ]; in "x${a}"', "lib.concatStringsSep", "${a}"),
        ('let a = { b = 1; }; in "x${a}"', "`outPath`", "${a}"),
        ('let a = null; in "x${a}"', "null is no text", "${a}"),
        ("let a = null; in a.b", "may be null", "a.b"),
        ('let a = "true"; in if a then 1 else 2', "write true without the quotes", "a then"),
        ("map [ 1 ] (x: x)", "it is called so: map f list", "map"),
        ("{ version = 1.2.3; }", "a version is text", "1.2"),
        ("[ ((x: x) 1 2) ]", "is a `;`, an operator or a pair of parentheses missing?", "(x: x)"),
        ("({ a }: a) { a = 1; b = 2; }", "or `...`", None),
        ("let f = final: { a = final.a; }; x = f x; in x.a", "prev.a", "final.a"),
        ("import ./modlue.nix", "did you mean module.nix?", "./modlue.nix"),
        ("{ a = 1; oddThing = 1; thingMaker = 2; }.thing", "what is there: thingMaker, oddThing, a", "thing"),
        ('{ _type = "override"; content = 1; } + 1', "lib.mkForce (a + b)", "{ _type"),
        ("if builtins.isString then 1 else 2", "is an argument missing?", "builtins.isString"),
        (
            "let s = { config }: if config.a then { } else { }; c = s { config = c; }; in c",
            "set them always, and say under",
            None,
        ),
        ("import ./folder", "what it holds: package.nix", "./folder"),
        ('import "./module.nix"', "a path is written without quotes", None),
    ],
)
def test_advice(tmp_path: Path, text: str, wanted: str, at: str | None) -> None:
    shown = screen(tmp_path, text, **{"module.nix": "1", "folder__package.nix": "1"})
    assert wanted in shown
    if at is not None:
        assert caret(shown).startswith(at)


def test_names_of_one_letter_are_not_near(tmp_path: Path) -> None:
    assert "id you mean" not in screen(tmp_path, "let a = { b = 1; }; in a.c")
    assert "id you mean" not in screen(tmp_path, "let a = 1; in b")


def test_a_path_that_a_library_misses_is_shown_where_it_is_named(tmp_path: Path) -> None:
    text = "let all = import ./all.nix; in import ./vendor/lib all"
    shown = screen(
        tmp_path / "project",
        text,
        **{
            "all.nix": "{\n  imports = [ ./nothere.nix ];\n}\n",
            "vendor__lib__default.nix": "all: map import all.imports\n",
        },
    )
    assert "all.nix:2:15:" in shown
    assert caret(shown).startswith("./nothere.nix")


def test_the_place_in_json(tmp_path: Path) -> None:
    shown = screen(
        tmp_path,
        "builtins.fromJSON (builtins.readFile ./data.json)",
        **{"data.json": '{\n  "a": 1,\n  "b": [1, 2,]\n}\n'},
    )
    assert (
        'at data.json:3:14:\n            2|   "a": 1,\n            3|   "b": [1, 2,]\n             |              ^'
        in shown
    )
    assert "at the JSON text:1:2:" in screen(tmp_path, 'builtins.fromJSON "{a}"')


def test_packages_that_a_set_lacks(tmp_path: Path) -> None:
    message = (
        'lib.customisation.callPackageWith: Function called without required argument \\"openssll\\" at '
        f'{tmp_path}/package.nix:1, did you mean \\"openssl\\"?'
    )
    shown = screen(tmp_path, f'abort "{message}"', **{"package.nix": "{ stdenv, openssll }:\nstdenv\n"})
    assert "callPackage: the function in package.nix takes an argument" in shown
    assert caret(shown).startswith("openssll }:")
    assert 'did you mean "openssl"?' in shown


def test_packages_that_a_set_lacks_and_a_folder_asks_for(tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "default.nix").write_text("{ stdenv, openssll }:\nstdenv\n")
    message = f'callPackage: nothing is called \\"openssll\\", which the function needs, at {tmp_path}/tool'
    shown = screen(tmp_path, f'abort "{message}"')
    assert "callPackage: the function in tool takes an argument" in shown
    assert "at tool/default.nix:1:11:" in shown
    assert caret(shown).startswith("openssll }:")


def test_packages_that_are_refused(tmp_path: Path) -> None:
    message = (
        "Package ‘app-1’ in /x/default.nix:3 has an unfree license (‘unfree’), refusing to evaluate.\\n\\n"
        "a) To temporarily allow…\\n" + "b)\\n" * 30
    )
    shown = screen(tmp_path, f'throw "{message}"')
    assert len(shown.splitlines()) < 15
    assert "config.allowUnfree = true" in shown
    assert "NIXPKGS_ALLOW_UNFREE=1" in shown
