from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.cli.dev_commands import bash_of
from frazil.dev.environment import BuildEnvironment, DevelopmentError, Variable
from frazil.dev.shell import RcOptions, phase_script, quote, rc_script

GET_ENV = Path(__file__).parents[2] / "src/frazil/dev/get-env.sh"
BASH = shutil.which("bash") or pytest.skip("no bash on this machine", allow_module_level=True)

# Bash keeps bytes, but neither NUL nor (in a C locale) anything that is no UTF-8 survives a JSON document.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


def take_environment(tmp_path: Path, script: str = "", **variables: str) -> BuildEnvironment:
    """What get-env.sh writes when `script` is the standard environment's setup."""
    out, stdenv = tmp_path / "out", tmp_path / "stdenv"
    stdenv.mkdir(exist_ok=True)
    (stdenv / "setup").write_text(script)
    base = {"out": str(out), "outputs": "out", "stdenv": str(stdenv), "PATH": "/path-not-set"}
    subprocess.run([BASH, str(GET_ENV)], env={**base, **variables}, check=True, timeout=20)
    return BuildEnvironment.parse(out.read_bytes())


def run_in(environment: BuildEnvironment, command: str, tmp_path: Path, status: int = 0) -> str:
    rc = tmp_path / "rc"
    options = RcOptions(str(tmp_path / "outputs"), tidies=True)
    rc.write_text(rc_script(environment, options) + command, encoding="utf-8")
    done = subprocess.run([BASH, str(rc)], capture_output=True, timeout=20, check=False, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    return done.stdout.decode("utf-8", "surrogateescape")


def test_variables_arrays_and_functions_come_through(tmp_path: Path) -> None:
    environment = take_environment(
        tmp_path,
        "list=('a b' $'c\\nd'); declare -A table=([k]='v w'); greet() { echo \"hello $1 {}\"; }; plain=1",
        exported='it\'s "quoted"\t\x01',
    )
    assert environment.variables["exported"] == Variable('it\'s "quoted"\t\x01', exported=True)
    assert environment.variables["list"] == Variable(["a b", "c\nd"])
    assert environment.variables["table"] == Variable({"k": "v w"})
    assert environment.variables["plain"] == Variable("1")
    assert run_in(environment, 'greet you; echo "${list[1]}" "${table[k]}"', tmp_path) == "hello you {}\nc\nd v w\n"


def test_the_script_hides_no_variable(tmp_path: Path) -> None:
    own = ("name", "text", "line", "flags", "item", "code", "character", "escape", "separator")
    environment = take_environment(tmp_path, **{name: f"mine {name}" for name in own})
    for name in own:
        assert environment.variables[name] == Variable(f"mine {name}", exported=True)
    assert not {"OPTIND", "BASHPID"} & environment.variables.keys()


def test_own_output_paths_point_outside_the_store(tmp_path: Path) -> None:
    environment = take_environment(tmp_path, 'prefix="$out/share"')
    assert run_in(environment, 'echo "$prefix"', tmp_path) == f"{tmp_path}/outputs/out/share\n"


def test_the_persons_path_stays_behind_the_builds(tmp_path: Path) -> None:
    environment = take_environment(tmp_path, "PATH=/build/bin")
    assert run_in(environment, 'echo "$PATH"', tmp_path).startswith("/build/bin:/")


def test_home_and_temporary_folder_are_the_persons(tmp_path: Path) -> None:
    environment = take_environment(tmp_path, HOME="/homeless-shelter")
    assert "homeless" not in run_in(environment, 'echo "$HOME"; test -d "$TMPDIR" && rmdir "$TMPDIR"', tmp_path)


def test_an_empty_temporary_folder_goes_with_the_shell(tmp_path: Path) -> None:
    environment = take_environment(tmp_path)
    assert not os.path.exists(run_in(environment, 'echo "$NIX_BUILD_TOP"', tmp_path).strip())
    kept = run_in(environment, 'echo "$NIX_BUILD_TOP"; echo > "$NIX_BUILD_TOP/x"; false', tmp_path, 1).strip()
    assert os.listdir(kept) == ["x"]
    shutil.rmtree(kept)
    assert "EXIT" not in rc_script(environment, RcOptions("/outputs"))  # which people source in shells of theirs


def test_the_shell_hook_runs(tmp_path: Path) -> None:
    environment = take_environment(tmp_path, shellHook="echo hooked")
    assert run_in(environment, "", tmp_path) == "hooked\n"


def test_a_phase_runs(tmp_path: Path) -> None:
    environment = take_environment(tmp_path, 'runPhase() { echo "phase $1"; }')
    assert run_in(environment, phase_script("build"), tmp_path) == "phase buildPhase\n"


@given(TEXT)
def test_quote_round_trip(text: str) -> None:
    done = subprocess.run([BASH, "-c", f"printf %s {quote(text)}"], capture_output=True, check=True)
    assert done.stdout.decode() == text


@given(st.dictionaries(st.from_regex(r"[a-z][a-zA-Z0-9_]{0,8}", fullmatch=True), TEXT, max_size=5))
def test_json_round_trip(texts: dict[str, str]) -> None:
    environment = BuildEnvironment(
        {name: Variable(text, exported=True) for name, text in texts.items()}, {"f": "\n true\n"}
    )
    assert BuildEnvironment.parse(json.dumps(environment.to_json()).encode()) == environment


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"variables": [], "bashFunctions": {}}',
        b'{"variables": {"a": 1}, "bashFunctions": {}}',
        b"[" * 100000,
    ],
)
def test_foreign_documents_are_refused(text: bytes) -> None:
    with pytest.raises(DevelopmentError):
        BuildEnvironment.parse(text)


@pytest.mark.parametrize(
    ("told", "builder", "expected"),
    [
        ("/store/bash/bin/bash", "/other/bash", "/store/bash/bin/bash"),
        ("/bin/sh", "/other/bash", "/other/bash"),
        ("/bin/sh", "/bin/sh", "bash"),
    ],
)
def test_a_login_shell_is_not_taken_for_bash(told: str, builder: str, expected: str) -> None:
    environment = BuildEnvironment({"BASH": Variable(told), "builder": Variable(builder)}, {})
    assert bash_of(environment) == expected
