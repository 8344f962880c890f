"""`nix-env --query`: errors name the package and where its attribute is defined."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

PACKAGE = """{
  type = "derivation";
  name = "odd-1.0";
  outPath = builtins.toFile "out" "";
  %s
}
"""


@pytest.mark.parametrize(
    ("attribute", "options", "expected"),
    [
        ("system = 5;", (), ["while evaluating the 'system' attribute of a derivation\n         at {file}:5:3:"]),
        ("system = 5;", (), ["error: expected a string but found an integer: 5\n       at {file}:5:3:"]),
        (
            'drvPath = builtins.toFile "x" "";',
            ("--drv-path",),
            ["the 'drvPath' attribute of a derivation\n         at {file}:5:3:", "-x' is not a valid derivation path"],
        ),
        (
            'drvPath = "/nowhere";',
            ("--drv-path",),
            ["the 'drvPath' attribute of a derivation\n         at {file}:5:3:", "'/nowhere' is not in the Nix store"],
        ),
        ("outputs = 1;", (), ["the 'outputs' attribute of a derivation\n         at {file}:5:3:", "expected a list"]),
        ("outputs = [ 1 ]; ", (), ["the name of an output of a derivation\n         at {file}:5:3:"]),
        (
            "meta = let x = { inherit x; }; in { deep = x; };",
            ("--meta",),
            ["stack overflow; max-call-depth exceeded\n       at {file}:5:18:"],
        ),
        ("meta = 1;", ("--meta",), ["the 'meta' attribute of a derivation\n         at {file}:5:3:"]),
    ],
)
@pytest.mark.parametrize("form", [("--json",), ("--xml",)])
def test_errors(
    run: Run, tmp_path: Path, attribute: str, options: tuple[str, ...], expected: list[str], form: tuple[str, ...]
) -> None:
    file = tmp_path / "odd.nix"
    file.write_text(PACKAGE % attribute)
    result = run("nix-env", "-f", str(file), "-qa", *form, *options)
    assert result.status == 1
    assert "… while querying the derivation named 'odd-1.0'\n" in result.err
    assert "hint" not in result.err
    for text in expected:
        assert text.format(file=file) in result.err


def test_paths_are_coerced(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "odd.nix"
    file.write_text(PACKAGE.replace('builtins.toFile "out" ""', '{ outPath = builtins.toFile "out" ""; }') % "")
    result = run("nix-env", "-f", str(file), "-qa", "--out-path")
    assert result.status == 0
    assert result.out.rstrip().endswith("-out")


def test_the_selected_output(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "odd.nix"
    file.write_text(PACKAGE % 'outputSpecified = "yes";')
    result = run("nix-env", "-f", str(file), "-i", "odd")
    place = f"at {file}:5:3:"
    assert result.err.count(place) == 2
    assert "expected a Boolean but found a string" in result.err
