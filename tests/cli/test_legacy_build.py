"""`nix-build` of stored derivations."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run


@pytest.fixture
def drv(run: Run, tmp_path: Path) -> str:
    text = 'derivation { name = "a"; system = "x"; builder = "/b"; outputs = [ "dev" "lib" ]; outputName = "lib"; }'
    (tmp_path / "a.nix").write_text(text)
    return run("nix-instantiate", str(tmp_path / "a.nix")).out.strip().partition("!")[0]


def test_one_output(run: Run, drv: str) -> None:
    assert f"'{drv}'" in run("nix-build", f"{drv}!dev").err
    assert f"'{drv}'" in run("nix-build", drv).err  # its own idea of which output is meant


def test_others_are_refused(run: Run, drv: str) -> None:
    two = run("nix-build", f"{drv}!dev,lib")
    assert two.err == f"error: building more than one derivation output is not supported, in '{drv}!dev,lib'\n"
    assert f"derivation '{drv}' does not have output 'nope'" in run("nix-build", f"{drv}!nope").err
    assert two.status == 1


def test_repair_writes_again(run: Run, drv: str, tmp_path: Path) -> None:
    """Evaluation does not trust that what is registered is there as it was."""
    source = tmp_path / "source"
    source.write_text("whole")
    file = tmp_path / "with.nix"
    file.write_text(
        f'derivation {{ name = "b"; system = "x"; builder = "${{{source}}}"; text = builtins.toFile "t" "x"; }}'
    )
    shown = run("nix-instantiate", str(file)).out.strip()
    store = tmp_path / "root/nix/store"
    made, other = store / Path(shown).name, store / Path(drv).name
    whole = {path: path.read_bytes() for path in store.iterdir() if path.is_file()}
    assert len(whole) == 4  # two derivations, the source, the text
    for path in whole:
        path.chmod(0o644)
        path.write_text("damage")
    run("nix-instantiate", str(file))
    assert made.read_text() == "damage"
    assert run("nix-instantiate", "--repair", str(file)).out.strip() == shown
    assert other.read_text() == "damage"
    del whole[other]
    assert {path: path.read_bytes() for path in whole} == whole


def test_what_failed_is_named_as_it_was_asked_for(run: Run, tmp_path: Path) -> None:
    """By derivation with `nix-build`, by output with `nix build`."""
    text = 'let f = name: derivation { inherit name; system = "x"; builder = "/b"; }; in { a = f "a"; b = f "b"; }'
    (tmp_path / "a.nix").write_text(text)
    drvs = run("nix-instantiate", str(tmp_path / "a.nix")).out.split()
    old = run("nix-build", "--keep-going", "--no-out-link", *drvs)
    assert old.err.endswith("build of " + ", ".join(f"'{drv}'" for drv in sorted(drvs)) + " failed\n")
    new = run("nix", "build", "--keep-going", "--no-link", *(f"{drv}^out" for drv in drvs))
    assert new.err.endswith("build of " + ", ".join(f"'{drv}^out'" for drv in sorted(drvs)) + " failed\n")
    assert new.status == 1


@pytest.mark.parametrize(
    ("features", "command"), [("", "nix-store -l"), ("nix-command", "nix log")], ids=["without", "with"]
)
def test_which_command_shows_the_log(run: Run, tmp_path: Path, features: str, command: str) -> None:
    """The new one, where it may be used."""
    (tmp_path / "a.nix").write_text(
        'derivation { name = "a"; system = builtins.currentSystem; builder = "/bin/sh";'
        ' args = [ "-c" "echo oops; exit 1" ]; }'
    )
    options = ("-Q", "--no-out-link", "--option", "sandbox", "false", "--option", "experimental-features", features)
    found = run("nix-build", str(tmp_path / "a.nix"), *options)
    assert found.status == 100 and f"  {command} " in found.err


def test_a_graph_that_is_no_set_is_said(run: Run, tmp_path: Path) -> None:
    text = 'derivation { name = "a"; system = "x"; builder = "/b"; __structuredAttrs = true; GRAPH }'
    (tmp_path / "a.nix").write_text(text.replace("GRAPH", 'exportReferencesGraph = [ "a" ];'))
    said = run("nix-build", "--no-out-link", str(tmp_path / "a.nix")).err
    assert "warning: 'exportReferencesGraph' in structured attrs is not a JSON object, ignoring\n" in said


def test_a_shell_by_its_first_name(run: Run, tmp_path: Path) -> None:
    """`nix-build --run-env` is what `nix-shell` was once called."""
    text = '{ inNixShell ? false }: derivation { name = "a-${toString inNixShell}"; system = "x"; builder = "/b"; }'
    (tmp_path / "a.nix").write_text(text)
    file = str(tmp_path / "a.nix")
    assert "a-.drv" in run("nix-build", "--dry-run", file).err
    found = run("nix-build", "--run-env", "--dry-run", file)
    assert (found.status, found.out) == (0, "")
    assert "will be built" not in found.err  # it has no inputs, and is not built itself
    assert "mutually exclusive" in run("nix-build", "--run-env", "-p", "a", "-E", "b").err
    assert run("nix-build", "--run", "true", file).status == 1
