"""What is said to those who asked a flake for something it does not have."""

from __future__ import annotations

import pytest

from frazil.flake.cursor import Cursor
from frazil.flake.provided import what_there_is
from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator
from frazil.lang.settings import EvalSettings

DEFAULT = ("packages", "x86_64-linux", "default")


@pytest.mark.parametrize(
    ("outputs", "path", "wanted"),
    [
        (
            "{ packages.aarch64-linux.default = 1; }",
            DEFAULT,
            "it has `default` for aarch64-linux, not for x86_64-linux",
        ),
        ("{ packages.default = 1; }", DEFAULT, "packages.x86_64-linux.default = …;"),
        ("{ packages.x86_64-linux = { b = 1; a = 2; }; }", DEFAULT, "packages for x86_64-linux: a, b; for example #a"),
        ("{ lib = 1; nixosModules = 2; }", DEFAULT, "its outputs: lib, nixosModules"),
        ("{ }", DEFAULT, "no outputs at all"),
        ('{ packages = throw "no"; }', DEFAULT, None),
        ('{ packages.aarch64-linux.x = abort "no"; }', ("packages", "x86_64-linux", "x"), "for aarch64-linux"),
    ],
)
def test_what_there_is(outputs: str, path: tuple[str, ...], wanted: str | None) -> None:
    evaluator = Evaluator(FileSystemEffects(), EvalSettings())
    said = what_there_is(Cursor(evaluator, evaluator.eval_string(outputs, "/")), [path])
    assert said is None if wanted is None else said is not None and wanted in said
