"""The schema of `flake.nix`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Run

Make = Callable[[str, str], Path]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("let x = 1; in { outputs = _: { }; }", "must be an attribute set"),
        ("{ }", "lacks attribute 'outputs'"),
        ("{ foo = 1; OUTPUTS }", "has an unsupported attribute 'foo', at"),
        ("{ description = 1; OUTPUTS }", "expected a string but got an integer at"),
        ('{ description = "a" + "b"; OUTPUTS }', "expected a string but got a thunk at"),
        ("{ inputs = import ./x; OUTPUTS }", "expected a set but got a thunk at"),
        ("{ inputs = [ ]; OUTPUTS }", "expected a set but got a list at"),
        ('{ inputs.a.url = "a" + "b"; OUTPUTS }', "expected a string or a path but got a thunk at"),
        ('{ inputs.a.flake = "x"; OUTPUTS }', "expected a Boolean but got a string at"),
        ('{ inputs.a.follows = "1"; OUTPUTS }', "invalid flake input attribute path element '1'"),
        ('{ inputs.a.url = "path:/x"; inputs.a.follows = "b"; OUTPUTS }', "both a flake reference and a follows"),
        ('{ inputs.a.foo = "x"; OUTPUTS }', "unexpected flake input attribute 'foo', at"),
        ('{ inputs.a = { type = "path"; path = "/x"; foo = "y"; }; OUTPUTS }', "not supported by scheme 'path'"),
        ('{ inputs.a = { type = "path"; path = [ ]; }; OUTPUTS }', "a string, Boolean, or integer is expected"),
        ("{ inputs.self.foo = true; OUTPUTS }", "flake 'self' attribute 'foo' is not supported"),
        ('{ inputs.a.inputs.self.url = "x"; OUTPUTS }', "'self' input attribute not allowed at"),
        ("{ outputs = { }; }", "expected a function but got a set at"),
        ("{ outputs = import ./x; }", "expected a function but got a thunk at"),
        ("{ nixConfig.foo = { }; OUTPUTS }", "flake configuration setting 'foo' is a set"),
        ("{ nixConfig.foo = [ 1 ]; OUTPUTS }", "list element in flake configuration setting 'foo'"),
        ("{ outputs = ", "syntax error, unexpected end of file"),
    ],
)
def test_what_a_flake_may_not_hold(run: Run, make: Make, text: str, message: str) -> None:
    folder = make("bad", text)
    said = run("flake", "metadata", cwd=folder, status=1).err
    assert message in said
    if message.endswith(" at"):
        assert f"{folder}/flake.nix:1:" in said


def test_names_in_the_pattern_are_inputs(run: Run, make: Make) -> None:
    folder = make("top", "{ outputs = { self, nosuch, ... }: { }; }")
    assert "cannot find flake 'flake:nosuch'" in run("flake", "metadata", cwd=folder, status=1).err


def test_settings_of_a_flake_are_not_trusted_unasked(run: Run, make: Make) -> None:
    folder = make("top", '{ nixConfig = { bash-prompt = "x"; extra-substituters = [ "a" "b" ]; }; OUTPUTS }')
    said = run("flake", "lock", cwd=folder).err
    assert "ignoring untrusted flake configuration setting 'extra-substituters'" in said
    assert "bash-prompt" not in said
    assert run("flake", "lock", "--accept-flake-config", cwd=folder).err == ""


def test_nothing_runs_while_locking(run: Run, make: Make) -> None:
    folder = make("top", '{ outputs = throw "ran"; }')
    assert "a thunk" in run("flake", "lock", cwd=folder, status=1).err
