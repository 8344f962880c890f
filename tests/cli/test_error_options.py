"""Errors of the module system lead with the option."""

from __future__ import annotations

from pathlib import Path

import pytest

from frazil.cli.error_layout import View, lay_out
from frazil.cli.error_options import definition_place, failure_of
from frazil.errors import FrazilError

NIXPKGS_TYPE = """A definition for option `web.port' is not of type `16 bit unsigned integer'. Definition values:
- In `{file}': "80\""""
NIXPKGS_CONFLICT = """The option `web.name' has conflicting definition values:
- In `{file}': "a"
- In `/other.nix':
    {{
      b = 1;
    }}
Use `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions."""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    file = tmp_path / "machine.nix"
    file.write_text('{\n  # web.port = 1;\n  config.web.port = "80";\n  web.name = "a";\n}\n')
    return file


def test_wrong_type(module: Path) -> None:
    text = lay_out(FrazilError(NIXPKGS_TYPE.format(file=module)), View(str(module.parent), width=120))
    assert text.splitlines() == [
        "error: A definition for option `web.port' is not of type `16 bit unsigned integer'.",
        "",
        "       option   web.port",
        "       type     16 bit unsigned integer",
        '       defined  machine.nix:3  "80"',
        "",
        "       at machine.nix:3:3:",
        "            2|   # web.port = 1;",
        '            3|   config.web.port = "80";',
        "             |   ^",
        '            4|   web.name = "a";',
        "",
        "       hint: give the option a value of that type in machine.nix, line 3: write 80 without the quotes",
    ]


def test_conflict(module: Path) -> None:
    failure = failure_of(NIXPKGS_CONFLICT.format(file=module), View(str(module.parent), width=120))
    assert failure is not None
    assert failure.message == "The option `web.name' has conflicting definition values"
    assert [(d.file, d.line, d.value) for d in failure.definitions] == [
        ("machine.nix", 4, '"a"'),
        ("/other.nix", 0, "{ b = 1; }"),
    ]
    assert "web.name = lib.mkForce VALUE" in failure.hint


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("The option `a.b' was accessed but has no value defined. Try setting the option.", "`a.b = …;`"),
        (
            "The option `a.b' does not exist. Definition values:\n- In `/x.nix': 1\n\nDid you mean `a.c'?",
            "`a.c'? If not",
        ),
        ("The option `a' is read-only, but it's set multiple times. Definition values:\n- In `/x.nix': 1", "remove"),
        ("The option `a' in `/x.nix' is already declared in `/y.nix'.", "declared once"),
        ("The option `a' is defined multiple times while it's expected to be unique.\n\nDefinition values:", "mkForce"),
        ("Definitions of `a' contradict each other:\n- In `/x.nix': 1", "mkDefault"),
        ("`a' is needed but has no value defined: no module sets it, and it has no default.", "`a = …;`"),
        ("`a' does not exist: no module declares such an option. It is defined:\n- In `/x.nix': 1", "imports"),
        ("What `a' is defined as is not of type `boolean':\n- In `/x.nix': \"true\"", "write true without the quotes"),
    ],
)
def test_both_wordings(message: str, hint: str) -> None:
    failure = failure_of(message, View("/"))
    assert failure is not None
    assert hint in failure.hint
    assert "- In" not in failure.message


def test_other_messages_are_left_alone() -> None:
    assert failure_of("attribute 'a' missing", View("/")) is None


def test_definitions_that_cannot_be_told_apart_have_no_line(tmp_path: Path) -> None:
    file = tmp_path / "m.nix"
    file.write_text('{\n  a.port = 1;\n  b = { port = 2; };\n  x."y".z = 3;\n  q == 1;\n}\n')
    assert definition_place(str(file), "c.port") is None
    assert definition_place(str(file), "q") is None
    assert definition_place(str(file), "nothing") is None
    assert definition_place("/does/not/exist", "a") is None
    found = definition_place(str(file), "x.y.z")
    assert found is not None
    assert (found.line, found.column) == (4, 3)
