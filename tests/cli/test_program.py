"""The program as a whole: dispatch, versions, help, exit statuses, and the commands on a scratch store."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from frazil.cli.commands import ALIASES, PROGRAMS, TABLE, table
from frazil.cli.program import load_command

from .conftest import Run

EMPTY_SRI = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
EMPTY_BASE32 = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73"


def test_every_listed_command_exists() -> None:
    for name in TABLE:
        command = load_command(name)
        assert command.summary
        assert len({key for option in command.options for key in option.names}) == sum(
            len(option.names) for option in dict.fromkeys(command.options)
        ), name


def test_every_command_has_a_help_page(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in table():
        status, out, _ = run("frazil", *name.split(), "--help")
        assert status == 0 and name in out
    for group in {name.split()[0] for name in table() if " " in name}:
        status, out, _ = run("frazil", group, "--help")
        assert status == 0 and group in out
    (tmp_path / "man").write_text("#!/bin/sh\n")
    (tmp_path / "man").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for program in PROGRAMS:
        status, out, _ = run(program, "--help")
        assert status == 0 and program in out


def test_help_where_there_is_no_man(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    status, out, err = run("nix-env", "--help")
    assert (
        status == 1 and "--upgrade" in out and "The 'man' command was not found, but it is needed for 'nix-env'" in err
    )
    assert run("nix", "build", "--help").status == 0


def test_versions(run: Run) -> None:
    assert run("/usr/bin/nix-build", "--version").out == "nix-build (Nix) 2.36.0\n"
    assert run("nix", "--version").out == "nix (Nix) 2.36.0\n"
    assert run("frazil", "--version").out.startswith("frazil ")
    assert run("nix-build", "--version", "-v").out.count("\n") == 1
    assert "System type:" in run("nix-build", "-v", "--version").out
    assert "System type:" in run("nix", "--version", "-v").out


def test_mistakes(run: Run) -> None:
    assert run("frazil").status == 1
    assert "Did you mean one of eval" in run("frazil", "evl").err
    assert "unrecognised flag '--frob'" in run("frazil", "eval", "--frob").err
    assert "unexpected argument 'b'" in run("frazil", "eval", "a", "b").err
    status, _, err = run("frazil", "eval", "--expr", "{ a = 1 }")
    assert status == 1 and "syntax error" in err and "Traceback" not in err


def test_evaluation(run: Run) -> None:
    assert run("frazil", "eval", "--expr", "1 + 2").out == "3\n"
    assert run("frazil", "eval", "--json", "--expr", '{ a = [ 1 "x" ]; }').out == '{"a":[1,"x"]}\n'
    assert run("frazil", "eval", "--raw", "--expr", '"é"').out == "é"
    assert run("frazil", "eval", "--expr", "2", "--apply", "x: x * 3").out == "6\n"
    assert run("nix-instantiate", "--eval", "-E", "{ a = 1 + 1; }").out == "{ a = <CODE>; }\n"
    assert run("nix-instantiate", "--eval", "--strict", "-E", "{ a = 1 + 1; }").out == "{ a = 2; }\n"
    assert run("nix-instantiate", "--eval", "-E", "{ x }: x", "--arg", "x", "3").out == "3\n"
    assert run("nix-instantiate", "--eval", "-E", "{ x }: x", "--argstr", "x", "3").out == '"3"\n'


def test_expressions_are_pure_unless_asked(run: Run) -> None:
    assert "builtins.currentTime" not in run("frazil", "eval", "--expr", "builtins ? currentTime").err
    assert run("frazil", "eval", "--expr", "builtins ? currentTime").out == "false\n"
    assert run("frazil", "eval", "--impure", "--expr", "builtins ? currentTime").out == "true\n"


def test_thrown_errors(run: Run) -> None:
    status, out, err = run("frazil", "eval", "--expr", 'throw "no"')
    assert (status, out) == (1, "")
    assert err.splitlines()[:2] == ["error: no", "       at «string»:1:1:"]
    assert run("nix", "eval", "--expr", 'throw "no"').err.rstrip().endswith("error: no")


def test_write_to(run: Run, tmp_path: Path) -> None:
    assert run("frazil", "eval", "--expr", '{ a = "x"; b.c = "y"; }', "--write-to", "out").status == 0
    assert (tmp_path / "out" / "a").read_text() == "x"
    assert (tmp_path / "out" / "b" / "c").read_text() == "y"
    assert "already exists" in run("frazil", "eval", "--expr", '"x"', "--write-to", "out").err
    assert "invalid file name" in run("frazil", "eval", "--expr", '{ ".." = "x"; }', "--write-to", "o").err


def test_hashes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert run("frazil", "hash", "file", "empty").out == EMPTY_SRI + "\n"
    assert run("nix-hash", "--flat", "--type", "sha256", "--base32", "empty").out == EMPTY_BASE32 + "\n"
    assert run("frazil", "hash", "convert", "--to", "nix32", EMPTY_SRI).out == EMPTY_BASE32 + "\n"
    assert "unknown hash algorithm" in run("frazil", "hash", "file", "--type", "sha3", "empty").err


def test_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX_CONFIG", "cores = 5\nfrob = 1")
    result = run("frazil", "config", "show", "cores")
    assert result.out == "5\n" and "unknown setting 'frob'" in result.err
    assert run("frazil", "--option", "cores", "6", "config", "show", "cores").out == "6\n"
    assert run("nix", "show-config", "cores").err.count("deprecated alias") == 1
    assert json.loads(run("frazil", "config", "show", "--json").out)["cores"]["value"] == 5


def test_features_can_be_off(run: Run) -> None:
    result = run("nix", "--option", "experimental-features", "", "eval", "--expr", "1")
    assert result.status == 1 and "experimental Nix feature 'nix-command' is disabled" in result.err


def test_a_store(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello\n")
    path = run("nix-store", "--add", "x").out.strip()
    assert path == "/nix/store/m5zd3qj7c4bs4g5d8hqvs5pc5xicclfg-x"
    assert run("frazil", "store", "cat", path).out == "hello\n"
    assert run("nix-store", "-q", "--size", path).out == "120\n"
    assert run("frazil", "path-info", path).out == path + "\n"
    assert json.loads(run("frazil", "path-info", "--json", "--json-format", "1", path).out)[path]["narSize"] == 120
    assert run("nix-store", "--verify", "--check-contents").status == 0
    assert "nix-archive-1" in run("nix-store", "--dump", path).out
    assert run("nix-store", "-qR", path).out == path + "\n"
    assert "query type" in run("nix-store", "-q", "--size", "--hash", path).err
    assert run("nix-store", "--gc", "--print-dead").out == path + "\n"
    assert "1 store paths deleted" in run("nix-store", "--gc").out
    assert run("nix-store", "--check-validity", path).status == 1


def test_archives(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("data")
    (tmp_path / "d" / "l").symlink_to("f")
    archive = tmp_path / "a.nar"
    archive.write_text(run("frazil", "nar", "dump-path", "d").out)
    assert run("frazil", "nar", "ls", "-R", "a.nar", "/").out == "./f\n./l\n"
    assert run("frazil", "nar", "cat", "a.nar", "/f").out == "data"
    assert run("frazil", "nar", "cat", "a.nar", "/l").status == 1


def test_instantiating(run: Run) -> None:
    text = 'derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; }'
    result = run("nix-instantiate", "-E", text)
    path = result.out.strip()
    assert path.endswith("-x.drv") and "--add-root" in result.err
    shown = json.loads(run("frazil", "derivation", "show", path).out)
    assert shown["derivations"][os.path.basename(path)]["builder"] == "/bin/sh"
    assert run("nix-store", "-q", "--binding", "system", path).out == "x86_64-linux\n"
    linked = run("nix-instantiate", "-E", text, "--add-root", "kept").out.strip()
    assert os.readlink(linked) == path
    dry = run("nix-build", "-E", text, "--dry-run")
    assert dry.status == 0 and path in dry.err


def test_interruption_and_closed_pipes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from frazil.cli import hash_commands

    def interrupt(*arguments: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(hash_commands, "hash_of_path", interrupt)
    result = run("frazil", "hash", "file", "x")
    assert result.status == 130 and "interrupted by the user" in result.err

    def explode(*arguments: object) -> object:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(hash_commands, "hash_of_path", explode)
    result = run("frazil", "hash", "file", "x")
    assert result.status == 1 and result.err.startswith("frazil bug: ZeroDivisionError")
    assert "Traceback" not in result.err
    monkeypatch.setenv("FRAZIL_DEBUG", "1")
    assert "Traceback" in run("frazil", "hash", "file", "x").err


def test_missing_files(run: Run) -> None:
    result = run("nix-instantiate", "absent.nix")
    assert result.status == 1 and "does not exist" in result.err
    assert run("frazil", "hash", "file", "absent").status == 1
    assert sys.stdout is not None


def test_old_names_of_commands_that_are_missing(run: Run) -> None:
    for name, (target, _) in ALIASES.items():
        if target not in table():
            result = run("nix", *name.split(), "x")
            assert result.status == 1 and "not a recognised command" in result.err, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("hash-file", "'hash-file' is a deprecated alias for 'hash file'"),
        ("store ping", "'ping' is a deprecated alias for 'info'"),
        ("nar dump-path", "'nix nar dump-path' is a deprecated alias for 'nix nar pack'"),
        ("realisation info", "'realisation' is a deprecated alias for 'store build-trace'"),
    ],
)
def test_old_names_of_commands(run: Run, words: str, said: str) -> None:
    assert said in run("nix", *words.split(), "/nothing/here").err


def test_a_group_lists_its_commands(run: Run) -> None:
    assert "nix config requires a sub-command. Available sub-commands:\n\n         · check" in run("nix", "config").err


def test_settings_without_effect_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX_CONFIG", "http3 = true\nplugin-files = /x.so")
    result = run("frazil", "eval", "--expr", "1")
    assert "plugin-files" in result.err and "http3" not in result.err
    assert "http3" in run("frazil", "eval", "-v", "--expr", "1").err
    assert "'http3' has no effect" in run("frazil", "eval", "--option", "http3", "true", "--expr", "1").err


PROGRAM = [sys.executable, "-c", "import sys; from frazil.cli import main; sys.argv[0] = 'frazil'; sys.exit(main())"]
LOOP = (
    "let f = n: if n == 0 then 0 else f (n - 1); "
    "in builtins.foldl' (a: b: a + f 5000) 0 (builtins.genList (x: x) 9999999)"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_an_evaluation(number: signal.Signals) -> None:
    with subprocess.Popen(
        [*PROGRAM, "eval", "--expr", f'builtins.trace "started" ({LOOP})'], stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(number)
        rest = process.stderr.read()
        assert process.wait(timeout=20) == 128 + number
    assert b"interrupted by" in rest and b"Traceback" not in rest


def test_closed_standard_streams() -> None:
    command = " ".join(shlex.quote(word) for word in [*PROGRAM, "eval", "--expr", "1"])
    for redirection, status in (("<&-", 0), (">&-", 1), ("2>&-", 0), (">/dev/full", 1)):
        result = subprocess.run(["/bin/sh", "-c", f"{command} {redirection}"], capture_output=True, timeout=60)
        assert result.returncode == status, redirection
        assert b"Traceback" not in result.stderr


def test_every_command_has_an_example() -> None:
    from importlib import import_module

    assert [name for name in table() if not load_command(name).examples] == []
    programs = {name: import_module(f"frazil.cli.{module}").PROGRAMS[name] for name, (module, _) in PROGRAMS.items()}
    assert [name for name, command in programs.items() if not command.examples] == []


def test_config_check(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = run("frazil", "config", "check")
    assert result.out == "" and "Running checks against store uri: local" in result.err
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nix-env").write_text("")
        (tmp_path / name / "nix-env").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/a:{tmp_path}/b")
    result = run("nix", "doctor")
    assert result.status == 2 and "[FAIL] Multiple versions of nix found in PATH" in result.err


def test_dry_garbage_collection_counts(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    run("nix-store", "--add", "x")
    assert run("frazil", "store", "gc", "--dry-run").out == "1 store paths would be deleted\n"
    assert "cannot be combined" in run("frazil", "store", "gc", "--dry-run", "--max", "1").err


def test_without_a_command_there_is_an_overview(run: Run) -> None:
    status, out, error = run("frazil")
    assert status == 1 and not out and "flake" in error and "Usage:" in error
    assert "no subcommand specified" in run("nix").err


def test_json_evaluates_nothing_unless_strict(run: Run) -> None:
    expression = ("--eval", "--json", "-E", "{ a = 1 + 1; }")
    assert "cannot convert a thunk to JSON" in run("nix-instantiate", *expression).err
    assert run("nix-instantiate", "--strict", *expression).out == '{"a":2}\n'


def test_versions_of_libraries(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX_STORE_DIR", "/here/store")
    nix = ("nix", "--extra-experimental-features", "nix-command")
    assert run(*nix, "version").out == "nix (Nix) 2.36.0\n"
    found = json.loads(run(*nix, "version", "--json").out)
    assert found["version"] == "2.36.0"
    assert {"sqlite", "python", "pygit2"} <= set(found["libraries"])
    long = run("nix", "-v", "--version").out.splitlines()
    assert "Store directory: /here/store" in long
    assert f"sqlite {found['libraries']['sqlite']}" in long[-1]


def test_help_on_stores(run: Run) -> None:
    assert "| `ssh-ng://HOST`" in run("nix", "help-stores").out


def test_the_usual_profile(run: Run, tmp_path: Path) -> None:
    """As Nix has it: that of root is beside its channels, and everybody's `default` leads to it."""
    assert run("nix-env", "-q").status == 0
    assert run("nix-env", "-qa").out == ""
    if os.geteuid() == 0:
        profile = tmp_path / "root/nix/var/nix/profiles/per-user/root/profile"
        assert (tmp_path / "root/nix/var/nix/profiles/default").readlink() == profile
    else:
        profile = tmp_path / "home/.local/state/nix/profiles/profile"
    assert (tmp_path / "home/.nix-profile").readlink() == profile
    assert (tmp_path / "home/.nix-defexpr/channels").readlink() == profile.parent / "channels"
