"""Cursors, packages among values, and selection along attribute paths."""

from __future__ import annotations

from typing import Any

import pytest

from frazil.flake.cursor import Cursor, Suggestions, parse_attribute_path, trim
from frazil.flake.derivations import find_derivations, package_of
from frazil.flake.errors import FlakeError
from frazil.flake.installable import main_program, name_without_version
from frazil.flake.selection import select
from frazil.flake.show import show_name
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import EvalError, MissingAttribute, TypeMismatch
from frazil.lang.evaluator import Evaluator
from frazil.store.path import StoreDirectory

STORE = StoreDirectory("/nix/store")
HASH = "0" * 32


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(FileSystemEffects())


def value(evaluator: Evaluator, text: str) -> Any:
    prelude = (
        f'let drv = n: {{ type = "derivation"; name = n; drvPath = "/nix/store/{HASH}-${{n}}.drv"; '
        'outputs = [ "out" "dev" ]; outputName = "out"; }; in '
    )
    return evaluator.eval_string(prelude + text, "/")


@pytest.mark.parametrize(
    ("text", "names"),
    [("", ()), ("a", ("a",)), ("a.b", ("a", "b")), ('a."b.c".d', ("a", "b.c", "d")), ("a..b", ("a", "", "b"))],
)
def test_attribute_paths(text: str, names: tuple[str, ...]) -> None:
    assert parse_attribute_path(text) == names


def test_an_open_quote_is_an_error() -> None:
    with pytest.raises(FlakeError, match="missing closing quote in selection path"):
        parse_attribute_path('a."b')


def test_suggestions_are_near(evaluator: Evaluator) -> None:
    found: Suggestions = set()
    root = Cursor(evaluator, value(evaluator, "{ hello = 1; help = 2; world = 3; }"))
    assert root.find(["hell"], found) is None
    assert trim(found) == ("hello", "help")


def test_cursors_evaluate_only_the_way(evaluator: Evaluator) -> None:
    root = Cursor(evaluator, value(evaluator, '{ a.b = "x"; c = throw "no"; n = 3; l = [ "p" "q" ]; }'))
    found = root.find(["a", "b"], set())
    assert found is not None
    assert (found.string(), found.name) == ("x", "a.b")
    assert root.get("n").integer() == 3
    assert root.get("l").strings() == ["p", "q"]
    with pytest.raises(FlakeError, match=r"attribute 'a\.z' does not exist"):
        root.get("a").get("z")
    with pytest.raises(TypeMismatch):
        root.get("n").string()
    assert root.find(["n", "x"], set()) is None


def test_packages_are_found_as_nix_finds_them(evaluator: Evaluator) -> None:
    text = """{ a = drv "a"; b.c = drv "c"; d = { recurseForDerivations = true; e = drv "e"; };
                "not a name" = drv "x"; l = { recurseForDerivations = false; z = drv "z"; }; n = 1; }"""
    found = find_derivations(evaluator, value(evaluator, text), STORE)
    assert [(p.path, p.name) for p in found] == [("a", "a"), ("d.e", "e")]


def test_functions_and_lists_of_packages(evaluator: Evaluator) -> None:
    text = '{ suffix ? "x" }: [ (drv "a") [ (drv "b${suffix}") ] ]'
    found = find_derivations(evaluator, value(evaluator, text), STORE, {"suffix": "y"})
    assert [p.name for p in found] == ["a", "by"]
    with pytest.raises(TypeMismatch, match="does not evaluate to a derivation"):
        find_derivations(evaluator, 3, STORE)


def test_the_same_package_counts_once(evaluator: Evaluator) -> None:
    found = find_derivations(evaluator, value(evaluator, 'let d = drv "a"; in { x = d; y = d; }'), STORE)
    assert [p.path for p in found] == ["x"]


@pytest.mark.parametrize(
    ("text", "outputs"),
    [
        ('drv "a"', ["out", "dev"]),
        ('drv "a" // { meta.outputsToInstall = [ "dev" ]; }', ["dev"]),
        ('drv "a" // { outputSpecified = true; outputName = "dev"; }', ["dev"]),
        ('removeAttrs (drv "a") [ "outputs" ]', ["out"]),
    ],
)
def test_outputs_to_install(evaluator: Evaluator, text: str, outputs: list[str]) -> None:
    package = package_of(evaluator, value(evaluator, text), STORE)
    assert package is not None
    assert package.outputs_to_install() == outputs


def test_bad_outputs_to_install(evaluator: Evaluator) -> None:
    package = package_of(evaluator, value(evaluator, 'drv "a" // { meta.outputsToInstall = [ "zzz" ]; }'), STORE)
    assert package is not None
    with pytest.raises(FlakeError, match=r"bad 'meta\.outputsToInstall'"):
        package.outputs_to_install()


def test_a_derivation_without_a_name(evaluator: Evaluator) -> None:
    with pytest.raises(EvalError, match="derivation name missing"):
        package_of(evaluator, value(evaluator, '{ type = "derivation"; }'), STORE)


def test_selection(evaluator: Evaluator) -> None:
    root = value(evaluator, "{ l = [ { x = 5; } ]; f = { y ? 3 }: { z = y; }; }")
    assert select(evaluator, root, ["l", "0", "x"], {}) == 5
    assert select(evaluator, root, ["f", "z"], {"y": 7}) == 7
    with pytest.raises(MissingAttribute, match=r"list index 4 in selection path 'l\.4' is out of range"):
        select(evaluator, root, ["l", "4"], {})
    with pytest.raises(TypeMismatch, match="should be a list but is a set"):
        select(evaluator, root, ["0"], {})
    with pytest.raises(TypeMismatch, match="should be a set but is a list"):
        select(evaluator, root, ["l", "x"], {})
    with pytest.raises(MissingAttribute, match="attribute 'ff' in selection path 'ff' not found") as caught:
        select(evaluator, root, ["ff"], {})
    assert "f" in caught.value.suggestions


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ('drv "hello-2.12"', "hello"),
        ('drv "hello-2.12" // { pname = "hi"; }', "hi"),
        ('drv "hello-2.12" // { pname = "hi"; meta.mainProgram = "main"; }', "main"),
    ],
)
def test_main_program(evaluator: Evaluator, text: str, program: str) -> None:
    assert main_program(Cursor(evaluator, value(evaluator, text))) == program


@pytest.mark.parametrize(
    ("name", "short"), [("a-1.0", "a"), ("a-b-2", "a-b"), ("a-b", "a-b"), ("x", "x"), ("a-", "a-")]
)
def test_names_without_versions(name: str, short: str) -> None:
    assert name_without_version(name) == short


@pytest.mark.parametrize(
    ("name", "shown"), [("a", "a"), ("a-b'", "a-b'"), ("a.b", '"a.b"'), ("1a", '"1a"'), ("if", '"if"'), ('"', '"\\""')]
)
def test_names_are_quoted_where_they_must_be(name: str, shown: str) -> None:
    assert show_name(name) == shown
