"""The standard environment's shell functions, run by the host's bash."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.packages.conftest import PACKAGES

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(
    BASH is None or not Path("/usr/bin/install").exists(), reason="needs bash and coreutils"
)


def run(folder: Path, script: str, **variables: str) -> str:
    """What a script prints after `setup.sh`, in a folder of its own, with outputs below it."""
    assert BASH is not None
    environment = {
        "initialPath": "/usr",
        "defaultInputs": "",
        "defaultBuildHooks": str(PACKAGES / "stdenv" / "fixup.sh"),
        "SHELL": BASH,
        "PATH": "/usr/bin:/bin",
        "out": str(folder / "out"),
        "dontPatchELF": "1",
        "dontStrip": "1",
        "NIX_BUILD_TOP": str(folder),
        **variables,
    }
    done = subprocess.run(
        [BASH, "-e", "-c", f"source {PACKAGES}/stdenv/setup.sh\n{script}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_phases_run_in_order_with_their_hooks(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "Makefile").write_text(
        "all:\n\t@echo made\ninstall:\n\tmkdir -p $(prefix)\n\techo x >$(prefix)/x\n"
    )
    out = run(
        tmp_path,
        "genericBuild",
        src=str(tmp_path / "source"),
        sourceRoot="source",
        unpackPhase="runHook preUnpack",
        preBuild="echo before building",
        postInstall="echo after installing",
        dontConfigure="1",
        makeFlags=f"prefix={tmp_path}/out",
    )
    steps = ["before building", "made", "after installing"]
    assert [line for line in out.splitlines() if line in steps] == steps
    assert "configurePhase" not in out
    assert (tmp_path / "out" / "x").read_text() == "x\n"


def test_the_home_goes_with_the_build(tmp_path: Path) -> None:
    script = 'echo x >"$HOME/x"; echo "$HOME"'
    assert run(tmp_path, script, HOME="/homeless-shelter") == f"{tmp_path}/.home\n"
    assert (tmp_path / ".home" / "x").read_text() == "x\n"
    own = tmp_path / "own"
    own.mkdir()
    assert run(tmp_path, script, HOME=str(own)) == f"{own}\n"  # of a development shell, or asked for


def test_the_output_for_development_brings_the_others(tmp_path: Path) -> None:
    for name in ("out", "dev"):
        (tmp_path / name).mkdir()
    run(tmp_path, "fixupPhase", outputs="out dev", dev=str(tmp_path / "dev"))
    assert (tmp_path / "dev" / "nix-support" / "propagated-build-inputs").read_text().split() == [str(tmp_path / "out")]
    assert not (tmp_path / "out" / "nix-support").exists()


def test_inputs_of_inputs_and_their_hooks(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for package in (one, two):
        (package / "bin").mkdir(parents=True)
        (package / "nix-support").mkdir()
    (one / "nix-support" / "propagated-build-inputs").write_text(f"{two}\n")
    (two / "nix-support" / "setup-hook").write_text("echo hook of two\n")
    out = run(tmp_path, 'echo "$PATH"', buildInputs=str(one))
    assert out.splitlines()[0] == "hook of two"
    assert f"{one}/bin:{two}/bin:/usr/bin" in out


@pytest.mark.parametrize(
    ("hooks", "phases"),
    [
        (["cmake"], "cmakeConfigurePhase  "),
        (["ninja", "cmake"], "cmakeConfigurePhase ninjaBuildPhase ninjaInstallPhase"),
        (["meson", "ninja"], "mesonConfigurePhase ninjaBuildPhase ninjaInstallPhase"),
    ],
)
def test_hooks_choose_phases(tmp_path: Path, hooks: list[str], phases: str) -> None:
    sources = "\n".join(f"source {PACKAGES}/hooks/{name}.sh" for name in hooks)
    show = 'echo "${configurePhase:-} ${buildPhase:-} ${installPhase:-}"'
    assert run(tmp_path, f"{sources}\n{show}") == phases + "\n"
    assert run(tmp_path, f"{sources}\n{show}", configurePhase="own").startswith("own ")


def test_wrappers(tmp_path: Path) -> None:
    hook = (PACKAGES / "hooks" / "make-wrapper.sh").read_text().replace("@shell@", str(BASH))
    (tmp_path / "hook").write_text(hook)
    program = tmp_path / "show"
    program.write_text(f'#! {BASH}\necho "$A|$B|$PATH|$*"\n')
    program.chmod(0o755)
    out = run(
        tmp_path,
        f"source ./hook\nmakeWrapper {program} ./wrapped --set A 'a b' --set-default B c --prefix PATH : /x:/y "
        "--suffix PATH : /z --add-flags '-f 1' --append-flag 'last one'\nA=q B=own PATH=/usr/bin:/bin ./wrapped mid",
    )
    assert out == "a b|own|/x:/y:/usr/bin:/bin:/z|-f 1 mid last one\n"
    # What is there already moves; nothing before gives no separator.
    out = run(
        tmp_path,
        f"source ./hook\nmakeWrapper {program} ./wrapped --prefix A : /y --suffix B : /z\n"
        "A=/x:/y:/w B=/z:/z/z PATH=/bin ./wrapped; PATH=/bin ./wrapped",
    )
    assert out == "/y:/x:/w|/z/z:/z|/bin|\n/y|/z|/bin|\n"


def test_substitution(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("@a@ and b & \\1\n\n")
    run(tmp_path, "a='x&y' substituteInPlace text --subst-var a --replace-fail ' b ' ' [&] '")
    assert (tmp_path / "text").read_text() == "x&y and [&] & \\1\n\n"
    assert "does not contain" in run(tmp_path, "substituteInPlace text --replace-fail nothing x 2>&1 || true")
