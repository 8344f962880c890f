"""Option tables and their parser."""

from __future__ import annotations

import pytest

from frazil.cli.options import APPEND, REST, Arguments, Option, OptionParser
from frazil.cli.settings import kind_of
from frazil.errors import UsageError

from .conftest import Run

OPTIONS = (
    Option("--json", "JSON"),
    Option("--file -f", "file", "path"),
    Option("--arg", "argument", "name", "expr", kind=APPEND),
    Option("--command -c", "command", "command", kind=REST),
    Option("--query -q", "query"),
    Option("--references -R", "references"),
    Option("--max-jobs -j", "jobs", "n", sets=("max-jobs", None)),
)


def parse(*words: str) -> tuple[Arguments, dict[str, str]]:
    assigned: dict[str, str] = {}
    parser = OptionParser([OPTIONS], assigned.__setitem__, kind_of, "frazil")
    return parser.parse(words)[0], assigned


def test_flags_values_and_positional_arguments_mix() -> None:
    arguments, _ = parse("a", "--json", "b", "-f", "x.nix", "c")
    assert arguments.positional == ["a", "b", "c"]
    assert arguments.flag("json") and arguments.value("file") == "x.nix"


def test_two_dashes_end_options() -> None:
    arguments, _ = parse("x", "--", "--json")
    assert arguments.positional == ["x", "--json"]
    assert not arguments.flag("json")


def test_compound_short_options_are_split() -> None:
    arguments, assigned = parse("-qR", "-j4")
    assert arguments.flag("query") and arguments.flag("references")
    assert assigned == {"max-jobs": "4"}


def test_repeated_options_gather_tuples() -> None:
    arguments, _ = parse("--arg", "a", "1", "--arg", "b", "2")
    assert arguments.all("arg") == [("a", "1"), ("b", "2")]
    assert arguments.order == [("arg", ("a", "1")), ("arg", ("b", "2"))]


def test_rest_takes_everything() -> None:
    arguments, _ = parse("-c", "make", "--json", "-j4")
    assert arguments.values["command"] == ["make", "--json", "-j4"]


def test_settings_are_options() -> None:
    _, assigned = parse("--keep-going", "--no-substitute", "--cores", "3", "--extra-substituters", "x", "--no-sandbox")
    assert assigned == {
        "keep-going": "true",
        "substitute": "false",
        "cores": "3",
        "extra-substituters": "x",
        "sandbox": "false",
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jsno"], "unrecognised flag '--jsno'"),
        (["-z"], "unrecognised flag '-z'"),
        (["--file"], "flag '--file' requires 1 argument(s), but only 0 were given"),
        (["--arg", "x"], "flag '--arg' requires 2 argument(s), but only 1 were given"),
        (["-c"], "flag '-c' requires at least one argument"),
        (["--extra-cores", "1"], "unrecognised flag '--extra-cores'"),
    ],
)
def test_bad_lines(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(*words)
    assert caught.value.message == message


def test_unknown_flags_get_a_suggestion() -> None:
    with pytest.raises(UsageError) as caught:
        parse("--jsno")
    assert caught.value.hint == "did you mean --json?"


def test_unknown_flags_of_programs_with_operations(run: Run) -> None:
    assert "no operation specified" in run("nix-env", "--frob").err
    assert "unknown flag '--frob'" in run("nix-env", "-q", "--frob").err
    assert "unknown flag '--frob'" in run("nix-store", "--verify", "--frob").err
    assert "unrecognised flag '--frob'" in run("nix-channel", "--frob").err
    assert "invalid unit specifier 'X'" in run("nix-store", "--gc", "--max-freed", "1x").err


def test_of_two_opposites_the_last_counts() -> None:
    def links(*words: str) -> bool:
        options = (Option("--no-link", ""), Option("--out-link -o", "", "path"))
        arguments, _ = OptionParser([options], lambda *_: None, lambda _: None, "test").parse(words)
        return not arguments.came_last("no-link", "out-link")

    assert links()
    assert links("-o", "x")
    assert links("--no-link", "-o", "x")
    assert not links("--no-link")
    assert not links("-o", "x", "--no-link")
