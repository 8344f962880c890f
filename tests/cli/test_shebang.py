from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.cli.legacy_shell import shell_words
from frazil.cli.shebang import expand_script, split_words
from frazil.errors import FrazilError, UsageError


@pytest.mark.parametrize(
    "text, words",
    [
        ("", []),
        ("shell a#b  --command\tbash\n", ["shell", "a#b", "--command", "bash"]),
        ("--expr `` let a = 1; in [ a ] ``\n-v", ["--expr", " let a = 1; in [ a ]", "-v"]),
        ("``a```b``", ["a``b"]),
        ("```` x", ["", "x"]),
    ],
)
def test_words_of_nix_lines(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ["a*", "`x`", "``x", "#x", "'x'", "a;b"])
def test_bad_nix_lines(text: str) -> None:
    with pytest.raises(FrazilError):
        split_words(text)


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="`\0"), min_size=1).map(str.strip)))
def test_quoted_words_come_back(words: list[str]) -> None:
    assert split_words(" ".join(f"``{word}``" for word in words)) == words


def test_script_lines_come_first(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#! /bin/nix\n# comment\n#! nix eval\n#!nix --expr ``1\n#! nix  + 2``\nbody\n#! nix no\n")
    words, folder = expand_script([str(script), "more"])
    assert words == ["eval", "--expr", "1\n + 2", str(script), "more"]
    assert folder == str(tmp_path)
    plain = tmp_path / "plain"
    plain.write_text("echo")
    assert expand_script([str(plain)]) == ([str(plain)], None)
    assert expand_script([str(tmp_path)]) == ([str(tmp_path)], None)


def test_names_are_relative_to_the_script(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "value.nix").write_text("{ x = 42; }")
    script = folder / "script"
    script.write_text(
        "#! /bin/nix\n#! nix --extra-experimental-features nix-command\n#! nix eval --file ./value.nix x --write-to\n"
    )
    assert run("nix", str(script)).err.count("already exists") == 1


@pytest.mark.parametrize(
    "text, words",
    [
        ("a  b ", ["a", "b"]),
        (r'"a \b"c', ["a bc"]),
        (r"'a \b' \'", [r"a \b", "'"]),
        ("''", [""]),
    ],
)
def test_words_as_perl_splits_them(text: str, words: list[str]) -> None:
    assert shell_words(text) == words


def test_unterminated_quote() -> None:
    with pytest.raises(UsageError):
        shell_words("'a")
