"""Which settings of a flake count."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from frazil.flake.config import Trust, print_value, read_trusted_list, trusted_list_path
from frazil.flake.errors import FlakeError

from .conftest import Run

Make = Callable[[str, str], Path]


class Terminal:
    def __init__(self, *answers: str) -> None:
        self.answers, self.asked, self.warned = list(answers), list[str](), list[str]()

    def trust(self, path: Path, *, accept: bool = False) -> Trust:
        return Trust(accept, str(path), self.ask, lambda _: None, self.warned.append)

    def ask(self, question: str) -> str | None:
        self.asked.append(question)
        return self.answers.pop(0) if self.answers else None


def test_values_as_texts() -> None:
    assert [print_value(v) for v in (True, False, 3, "a b", ("a", "b"), ())] == ["true", "false", "3", "a b", "a b", ""]


def test_nobody_to_ask_means_no(tmp_path: Path) -> None:
    terminal = Terminal()
    accepted = terminal.trust(tmp_path / "t.json").accepted({"bash-prompt": "x", "extra-substituters": ("a",)})
    assert accepted == {"bash-prompt": "x"}
    assert "ignoring untrusted flake configuration setting 'extra-substituters'" in terminal.warned[0]
    assert not (tmp_path / "t.json").exists()


def test_accepting_everything(tmp_path: Path) -> None:
    assert Terminal().trust(tmp_path / "t.json", accept=True).accepted({"sandbox": True}) == {"sandbox": "true"}


def test_a_decision_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "t.json"
    terminal = Terminal("y", "y")
    assert terminal.trust(path).accepted({"sandbox": "x\033[31m"}) == {"sandbox": "x\033[31m"}
    assert "\033" not in terminal.asked[0]
    again = Terminal()
    assert again.trust(path).accepted({"sandbox": "x\033[31m"}) == {"sandbox": "x\033[31m"}
    assert again.asked == []
    assert again.trust(path).accepted({"sandbox": "other"}) == {}


def test_a_refusal_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    assert Terminal("n", "y").trust(path).accepted({"sandbox": "x"}) == {}
    again = Terminal("y", "n")
    assert again.trust(path).accepted({"sandbox": "x"}) == {}
    assert again.asked == []


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": {"b": "c"}}', "[" * 100000, '{"a": "\udcff"}'])
def test_a_damaged_list_is_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(FlakeError):
        read_trusted_list(str(path))


def test_where_decisions_are_kept() -> None:
    assert trusted_list_path({"HOME": "/h"}) == "/h/.local/share/nix/trusted-settings.json"
    assert trusted_list_path({"HOME": "/h", "XDG_DATA_HOME": "/d"}) == "/d/nix/trusted-settings.json"
    assert trusted_list_path({"NIX_DATA_HOME": "/n"}) == "/n/trusted-settings.json"


def test_settings_of_a_flake_reach_the_evaluation_that_follows(run: Run, make: Make) -> None:
    folder = make("c", '{ nixConfig.trace-verbose = true; outputs = _: { x = builtins.traceVerbose "seen" 1; }; }')
    assert "seen" not in run("eval", f"path:{folder}#x").err
    assert "trace: seen" in run("eval", "--accept-flake-config", f"path:{folder}#x").err


def test_call_depth_of_a_flake(run: Run, make: Make) -> None:
    folder = make(
        "d",
        "{ nixConfig.max-call-depth = 50;"
        " outputs = _: { x = (let f = n: if n == 0 then 0 else 1 + f (n - 1); in f) 60; }; }",
    )
    assert run("eval", f"path:{folder}#x").out == "60\n"
    assert "max-call-depth" in run("eval", "--accept-flake-config", f"path:{folder}#x", status=1).err


def test_the_registry_that_a_flake_names(run: Run, make: Make, tmp_path: Path) -> None:
    other = make("other", "{ outputs = _: { y = 5; }; }")
    registry = tmp_path / "registry.json"
    entry = {"from": {"type": "indirect", "id": "named"}, "to": {"type": "path", "path": str(other)}}
    registry.write_text(json.dumps({"version": 2, "flakes": [entry]}))
    folder = make(
        "r", f'{{ nixConfig.flake-registry = "{registry}"; outputs = {{ self, named }}: {{ x = named.y; }}; }}'
    )
    assert run("eval", f"path:{folder}#x").out == "5\n"
