"""What is left of an evaluation that fails: a part of a document, excerpts of sources, names of what was not built."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frazil.cli.display import clean, readable

from .conftest import Run

FAILING = """
let d = name: derivation { inherit name; system = "builtin"; builder = "builtin:nope"; };
in import "${d "one"}/${d "two"}"
"""


def test_xml_until_the_error(run: Run) -> None:
    result = run(
        "nix-instantiate", "--eval", "--xml", "--strict", "-E", '{ a = [ 1 ]; b = { c = throw "no"; }; d = 2; }'
    )
    assert result.status == 1 and result.err.endswith("error: no\n")
    assert result.out == (
        "<?xml version='1.0' encoding='utf-8'?>\n<expr>\n  <attrs>\n"
        '    <attr column="3" line="1" name="a">\n      <list>\n        <int value="1" />\n      </list>\n    </attr>\n'
        '    <attr column="14" line="1" name="b">\n      <attrs>\n        <attr column="20" line="1" name="c">\n'
        "        </attr>\n      </attrs>\n    </attr>\n  </attrs>\n</expr>\n"
    )
    caught = 'builtins.tryEval (builtins.toXML [ (throw "no") ])'
    assert "<expr>" not in run("nix-instantiate", "--eval", "--strict", "-E", caught).out


@pytest.mark.parametrize("words", [(), ("--keep-going",)])
def test_all_that_was_to_be_imported_from_is_named(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "a.nix").write_text(FAILING)
    result = run("nix-instantiate", "--eval", "--read-write-mode", "a.nix", *words)
    drvs = [run("nix-instantiate", "-E", FAILING.split("\nin")[0] + f'\nin d "{name}"').out for name in ("one", "two")]
    first, second = sorted(drv.strip() for drv in drvs)
    assert result.status == 100
    assert result.err.endswith(f"error: build of '{first}', '{second}' failed\n")
    assert "while calling the 'import' builtin" in result.err
    assert "while realising the context of path" in result.err
    assert result.err.count("error: Cannot build") == (2 if words else 1)


def test_one_that_was_not_built_is_the_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.nix").write_text(FAILING.replace('${d "two"}', "x"))
    result = run("nix-instantiate", "--eval", "--read-write-mode", "a.nix")
    assert result.status == 100 and "while calling the 'import' builtin" in result.err
    assert result.err.count("error: Cannot build") == 1 and "build of" not in result.err


def test_bytes_of_excerpts(tmp_path: Path, run: Run, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """As they are in the file, even where they are no UTF-8; JSON and terminals get replacement characters."""
    from frazil.cli.program import run as run_program

    (tmp_path / "a.nix").write_bytes(b'builtins.toJSON "_\xff_"')
    assert run_program(["nix-instantiate", "--eval", "a.nix"]) == 1
    assert b'1| builtins.toJSON "_\xff_"\n' in capfdbinary.readouterr().err
    (tmp_path / "b.nix").write_bytes(b'builtins.warn "w" "_\xff_"')
    assert run_program(["nix-instantiate", "--eval", "b.nix"]) == 0
    assert b"w" in capfdbinary.readouterr().err
    assert run_program(["nix-instantiate", "--eval", "a.nix", "--log-format", "internal-json"]) == 1
    assert "_\ufffd_".encode() in capfdbinary.readouterr().err


def test_terminals_get_what_they_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = os.fsdecode(b"a\xffb")
    assert (readable(raw), clean(raw)) == (raw, "a\ufffdb")
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    assert readable(raw) == "a\ufffdb" and readable("plain") == "plain"
