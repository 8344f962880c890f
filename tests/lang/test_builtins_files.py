"""`frazil.lang.builtins_files`."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden import cases, evaluate

TABLE = r"""
map baseNameOf [ "a/b" "a/b/" "/" "" "a//" "a" ] => [ "b" "b" "" "" "" "a" ]
map dirOf [ "a/b" "a/b/" "/a" "a" ] => [ "a" "a/b" "/" "." ]
dirOf /a/b => /a
dirOf /a => /
builtins.toPath "/a//b/../c/" => "/a/c"
builtins.toPath "a" => !! string 'a' doesn't represent an absolute path
builtins.pathExists /frazil-does-not-exist => false
builtins.readFile /frazil-does-not-exist => !! path '/frazil-does-not-exist' does not exist
builtins.readFileType /frazil-does-not-exist => !! path '/frazil-does-not-exist' does not exist
<frazil-nowhere> => !! file 'frazil-nowhere' was not found in the Nix search path (add it using $NIX_PATH or -I)
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file.nix").write_text("{ a = 1; }")
    (tmp_path / "scoped.nix").write_text("x + 1")
    (tmp_path / "null").write_bytes(b"a\0b")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "default.nix").write_text("2")
    (tmp_path / "link").symlink_to("sub")
    (tmp_path / "dangling").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("import D/file.nix", "{ a = 1; }"),
        ("import D/sub", "2"),
        ("scopedImport { x = 2; } D/scoped.nix", "3"),
        ("builtins.readFile D/file.nix", '"{ a = 1; }"'),
        ("builtins.readFile D/null", "!! the contents of the file 'D/null' cannot be represented as a Nix string"),
        ("builtins.readFileType D/link", '"symlink"'),
        ("builtins.readFileType D/sub", '"directory"'),
        ("builtins.attrNames (builtins.readDir D)", '[ "dangling" "file.nix" "link" "null" "scoped.nix" "sub" ]'),
        ("(builtins.readDir D).link", '"symlink"'),
        ("builtins.readDir D/file.nix", "!! 'D/file.nix' is not a directory"),
        ("map builtins.pathExists [ D/file.nix D/dangling D/link D/nothing ]", "[ true true true false ]"),
        ('map builtins.pathExists [ "D/sub/" "D/file.nix/" "D/link/." "D/dangling/" ]', "[ true false true false ]"),
        ('builtins.hashFile "md5" D/scoped.nix == builtins.hashString "md5" "x + 1"', "true"),
        ('builtins.findFile [ { prefix = "p"; path = "D"; } ] "p/file.nix"', "D/file.nix"),
        ('builtins.findFile [ { path = "D"; } ] "sub"', "D/sub"),
        ('builtins.findFile [ { } ] "sub"', "!! attribute 'path' missing"),
    ],
)
def test_files(folder: Path, expression: str, value: str) -> None:
    place = str(folder)
    expression = (
        expression.replace("D/", place + "/").replace('"D"', f'"{place}"').replace("readDir D)", f"readDir {place})")
    )
    assert evaluate(expression) == value.replace("D/", place + "/")
