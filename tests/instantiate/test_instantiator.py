"""Store derivations from drafts: paths known from the reference implementation."""

from __future__ import annotations

import pytest

from frazil.digest import Hash
from frazil.instantiate.context import Built, parse_built, show_element
from frazil.instantiate.instantiator import Draft, Instantiated, Instantiator
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import Derivation, Fixed, fill_in_output_paths, hash_modulo, parse
from frazil.store.errors import InvalidPath
from frazil.store.path import StoreDirectory, StorePath

DIRECTORY = StoreDirectory("/nix/store")


def instantiator() -> Instantiator:
    def read(path: StorePath) -> Derivation:
        raise InvalidPath(f"path '{path}' is not valid")

    return Instantiator(DIRECTORY, read)


def draft(name: str, **environment: str) -> Draft:
    made = Draft(name)
    made.platform, made.builder = "x86_64-linux", "/bin/sh"
    made.environment = {"name": name, "system": made.platform, "builder": made.builder, **environment}
    made.outputs = {"out": None}
    return made


def test_a_known_path() -> None:
    made = instantiator()
    one = draft("x")
    one.arguments = ["-c", "echo building; echo hi > $out"]
    found = made.instantiate(one)
    assert found.path == "/nix/store/6h8gam3sijry6299mq2ksk7zmz1ipvif-x.drv"
    assert found.outputs == {"out": "/nix/store/pj34kd01yxhm4llyj0asmd18kinw433b-x"}


def test_the_quick_way_agrees_with_the_general_one() -> None:
    made = instantiator()
    first = made.instantiate(draft("first", text='quotes " and \\ and\nlines\ttabs\r é'))
    second = draft("second", input=first.outputs["out"])
    second.outputs = {"out": None, "dev": None}
    second.inputs = {first.path: {"out"}}
    second.sources = {"/nix/store/m5zd3qj7c4bs4g5d8hqvs5pc5xicclfg-x"}
    found = made.instantiate(second)
    contents = made.made[found.path][0]
    own = DIRECTORY.parse(found.path)
    drv = parse(contents, "second", DIRECTORY)
    assert drv.unparse(DIRECTORY) == contents
    assert drv.store_path(DIRECTORY) == own
    assert fill_in_output_paths(drv, DIRECTORY, made._lookup) == drv
    assert hash_modulo(drv, DIRECTORY, made._lookup).digest == made.modulo(found.path)


def test_equal_drafts_are_made_once() -> None:
    made = instantiator()
    assert made.instantiate(draft("x")) is made.instantiate(draft("x"))
    assert len(made.pending) == 1


def test_inputs_of_equal_weight_are_told_apart() -> None:
    """Fixed outputs that are made differently contribute the same to the hashes of those that use them."""
    made = instantiator()
    address = ContentAddress("flat", Hash.of("sha256", b"contents"))
    path = made.fixed_path(address, "source")

    def source(url: str) -> Instantiated:
        one = draft("source", url=url, out=path)
        one.outputs = {"out": Fixed(address)}
        return made.instantiate(one)

    def user(*inputs: Instantiated) -> Instantiated:
        one = draft("user", source=path)
        one.inputs = {found.path: frozenset(("out",)) for found in inputs}
        return made.instantiate(one)

    here, there = source("here"), source("there")
    first, second = user(here), user(there)
    assert here.outputs == there.outputs and first.outputs == second.outputs
    both = user(here, there)
    found = {one.path for one in (here, there, first, second, both)}
    assert len(found) == len(made.made) == 5
    assert [user(here).path, user(there).path, user(here, there).path] == [first.path, second.path, both.path]
    assert made.made[both.path][1] == tuple(sorted((here.path, there.path)))


def test_unknown_inputs() -> None:
    wrong = draft("x")
    wrong.inputs = {"/nix/store/6h8gam3sijry6299mq2ksk7zmz1ipvif-x.drv": {"out"}}
    with pytest.raises(InvalidPath):
        instantiator().instantiate(wrong)


def test_elements_of_contexts() -> None:
    assert parse_built("!out!/nix/store/a.drv") == Built("/nix/store/a.drv", "out")
    assert parse_built("!lib!out!/nix/store/a.drv") == Built("/nix/store/a.drv", "lib", ("out",))
    assert show_element("!out!/nix/store/a.drv") == "/nix/store/a.drv^out"
    assert show_element("/nix/store/a") == "/nix/store/a"
