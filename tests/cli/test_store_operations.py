"""`nix-store` and its kin: orders, words and bytes that scripts read."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from frazil.cli.settings import parse_limit
from frazil.errors import UsageError
from frazil.store.nar import dump_path

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command")


@contextmanager
def standard_input(text: str) -> Iterator[None]:
    saved = sys.stdin
    sys.stdin = SimpleNamespace(buffer=io.BytesIO(text.encode()))  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdin = saved


def derivation(run: Run, name: str, **fields: object) -> str:
    record: dict[str, object] = {
        "name": name,
        "version": 4,
        "outputs": {"out": {}, "dev": {}, "doc": {}},
        "inputs": {"srcs": [], "drvs": {}},
        "system": "nowhere",
        "builder": "/bin/sh",
        "args": [],
        **fields,
    }
    record["env"] = {"x": "y", **dict.fromkeys(("out", "dev", "doc"), "")}
    with standard_input(json.dumps(record)):
        found = run(*NIX, "derivation", "add")
    assert found.status == 0, found.err
    return found.out.strip()


def test_roots_are_quoted_where_they_are_listed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = run("nix-store", "--add", "file").out.strip()
    link = tmp_path / 'a "root"'
    run("nix-store", "--realise", path, "--add-root", str(link))
    escaped = str(link).replace('"', '\\"')
    assert f'"{escaped}" -> {path}\n' in run("nix-store", "--gc", "--print-roots").out
    assert f"{link} -> {path}\n" in run("nix-store", "--query", "--roots", path).out
    link.unlink()
    assert 'removing stale link from "' in run("nix-store", "--gc", "--print-roots").err


def test_query_types_that_conflict_are_named_as_they_were_given(run: Run) -> None:
    assert "query type '-R' conflicts with earlier flag" in run("nix-store", "-q", "--tree", "-R").err
    assert "query type '--referers' conflicts" in run("nix-store", "-q", "--size", "--referers").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nix-store", "-r", "--add-root"), "'--add-root' requires an argument"),
        (("nix-build", "-A"), "'-A' requires an argument"),
        (("nix-hash", "--type"), "'--type' requires an argument"),
        (("nix-build", "--argstr", "x"), "flag '--argstr' requires 2 argument(s), but only 1 were given"),
        (("nix-store", "-r", "--timeout"), "flag '--timeout' requires 1 argument(s), but only 0 were given"),
        (("nix-store", "-r", "--timeout", "x"), "invalid unit specifier 'X'"),
        (("nix-build", "--cores", "-1"), "'-1' is not an integer"),
        (("nix-store", "--gc", "--frob"), "bad sub-operation '--frob' in GC"),
        (("nix-store", "--generate-binary-cache-key", "k", "/none/s", "/none/p"), 'opening file "/none/p"'),
        (("nix-store", "--dump", "none"), "/none' does not exist"),
        (("nix-hash", "none"), "/none' does not exist"),
        ((*NIX, "nar", "ls", "none", "/"), 'opening NAR file "none": No such file or directory'),
    ],
)
def test_wrong_calls(run: Run, words: tuple[str, ...], said: str) -> None:
    found = run(*words)
    assert found.status == 1 and said in found.err


def test_outputs_come_in_the_order_of_their_paths(run: Run, tmp_path: Path) -> None:
    drv = derivation(run, "multi")
    lines = run("nix-store", "-q", "--outputs", drv).out.splitlines()
    assert len(lines) == 3 and lines == sorted(lines)


def test_structured_attributes_are_no_variable(run: Run, tmp_path: Path) -> None:
    drv = derivation(run, "structured", structuredAttrs={"a": 1})
    shown = run("nix-store", "--print-env", drv).out
    assert "export x; x='y'" in shown and "__json" not in shown
    assert "no environment binding named '__json'" in run("nix-store", "-q", "--binding", "__json", drv).err


def test_paths_are_shown_before_what_refers_to_them(run: Run, tmp_path: Path) -> None:
    """Whatever the order they are asked for in."""
    (tmp_path / "file").write_text("x")
    below = run("nix-store", "--add", "file").out.strip()
    drv = derivation(run, "above", inputs={"srcs": [below.rpartition("/")[2]], "drvs": {}})
    for asked in ((below, drv), (drv, below)):
        assert run(*NIX, "path-info", *asked).out.splitlines() == [below, drv]


def test_outputs_that_a_derivation_does_not_have(run: Run, tmp_path: Path) -> None:
    drv = derivation(run, "multi")
    found = run(*NIX, "path-info", f"{drv}^none")
    assert found.status == 1 and f"the derivation '{drv}' doesn't have an output named 'none'" in found.err


def test_why_depends_shows_files_in_the_order_of_an_archive(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    below = run("nix-store", "--add", "file").out.strip()
    folder = tmp_path / "folder"
    (folder / "bin").mkdir(parents=True)
    (folder / "link").symlink_to(below)
    (folder / "bin" / "x").write_bytes(b"a" * ((1 << 20) - 5 - len(below)) + below.encode() + b"\0end")
    above = run("nix-store", "--add", "folder").out.strip()
    registered = run("nix-store", "--dump-db", above).out.splitlines()
    registered[-1:] = ["1", below]
    with standard_input("\n".join(registered) + "\n"):
        assert run("nix-store", "--load-db").status == 0
    shown = run(*NIX, "why-depends", "--all", "--precise", above, below).out.splitlines()
    assert shown[1].startswith("└───bin/x: …") and shown[1].endswith(".end…")
    assert shown[2] == f"    link -> {below}"


def test_the_old_name_of_a_format_is_warned_of(run: Run) -> None:
    digest = "e4fd8ba5f7bbeaea5ace89fe10255536cd60dab6"
    found = run(*NIX, "hash", "convert", "--hash-algo", "sha1", "--to", "base32", digest)
    assert found.status == 0
    assert 'warning: "base32" is a deprecated alias for hash format "nix32".' in found.err
    assert run(*NIX, "hash", "convert", "--hash-algo", "sha1", "--to", "nix32", digest).err == ""


def test_limits_below_zero_are_zero(run: Run, tmp_path: Path) -> None:
    assert parse_limit("-5K") == 0
    assert parse_limit("2K") == 2048
    with pytest.raises(UsageError):
        parse_limit("--1")
    (tmp_path / "file").write_text("x" * 100)
    run("nix-store", "--add", "file")
    found = run("nix-store", "--gc", "--max-freed", "-5")
    assert found.out == "0 store paths deleted, 0.0 KiB freed\n", found.err
    assert "deleting unused links..." in found.err and "deleting garbage" not in found.err


def test_a_folder_of_an_archive_is_shown_as_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "sub" / "f").write_text("x")
    with open(tmp_path / "d.nar", "wb") as file:
        dump_path(str(tmp_path / "d"), file.write)
    assert run(*NIX, "nar", "ls", "-d", "d.nar", "/sub").out == ".\n"
    assert run(*NIX, "nar", "ls", "d.nar", "/sub/f").out == "f\n"


def test_words_for_nix_shell_do_no_harm(run: Run, tmp_path: Path) -> None:
    expression = '(derivation { name = "x"; system = "y"; builder = "z"; })'
    found = run("nix-build", "--dry-run", "--pure", "--exclude", "r", "-E", expression)
    assert found.status == 0 and "this derivation will be built" in found.err


def test_generations_that_go_are_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = run("nix-store", "--add", "file").out.strip()
    folder = tmp_path / "root/nix/var/nix/profiles"
    for number in (1, 2):
        (folder / f"p-{number}-link").symlink_to(path)
    (folder / "p").symlink_to("p-2-link")
    assert "would remove profile version 1\n" in run("nix-collect-garbage", "-d", "--dry-run").err
    assert "removing profile version 1\n" in run("nix-collect-garbage", "-d").err
    assert not (folder / "p-1-link").is_symlink()
    said = run("nix-env", "-p", str(folder / "p"), "--delete-generations", "+x")
    assert "error: invalid number of generations to keep '+x'" in said.err
