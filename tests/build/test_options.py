"""Attributes that Nix reads itself, from the environment and from structured attributes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.build.errors import BuildError
from frazil.build.options import OutputChecks, derivation_options
from frazil.store.derivation import Deferred, Derivation, Floating
from frazil.store.path import StoreDirectory, StorePath

DIRECTORY = StoreDirectory()
PATH = StorePath("a" * 32, "dep")


def derivation(environment: dict[str, str], *, floating: bool = False) -> Derivation:
    outputs = {"out": Floating("nar", "sha256") if floating else Deferred()}
    return Derivation("x", outputs, {}, frozenset(), "x86_64-linux", "/bin/sh", (), environment)


def structured(**attributes: object) -> Derivation:
    return derivation({"__json": json.dumps(attributes)})


def test_plain_attributes() -> None:
    shown = DIRECTORY.show(PATH)
    options = derivation_options(
        derivation(
            {
                "allowedReferences": f"{shown} out",
                "disallowedRequisites": shown,
                "passAsFile": " a\tb\n",
                "impureEnvVars": "http_proxy",
                "requiredSystemFeatures": "kvm big-parallel",
                "__noChroot": "1",
                "preferLocalBuild": "1",
                "allowSubstitutes": "",
                "exportReferencesGraph": f"graph {shown}/inside",
            }
        ),
        DIRECTORY,
    )
    assert options.checks == OutputChecks(
        ignore_self_references=True,
        allowed_references=frozenset({PATH, "out"}),
        disallowed_requisites=frozenset({PATH}),
    )
    assert options.checks_for("out") is options.checks
    assert options.pass_as_file == {"a", "b"}
    assert options.required_features == {"kvm", "big-parallel"} | {"ca-derivations"}
    assert (options.no_chroot, options.prefer_local_build, options.allow_substitutes) == (True, True, False)
    assert options.export_references_graph == {"graph": frozenset({PATH})}


def test_structured_attributes() -> None:
    shown = DIRECTORY.show(PATH)
    options = derivation_options(
        structured(
            outputChecks={"out": {"maxSize": 10, "allowedReferences": [shown], "ignoreSelfRefs": True}},
            unsafeDiscardReferences={"out": True},
            exportReferencesGraph={"graph": [shown, [shown]]},
            allowedReferences=[],
            preferLocalBuild=True,
        ),
        DIRECTORY,
    )
    assert options.checks_for("out") == OutputChecks(
        ignore_self_references=True, max_size=10, allowed_references=frozenset({PATH})
    )
    assert options.checks_for("dev") is None
    assert options.discard_references == {"out": True}
    assert options.export_references_graph == {"graph": frozenset({PATH})}
    assert options.prefer_local_build


@pytest.mark.parametrize(
    "environment",
    [
        {"exportReferencesGraph": "odd"},
        {"exportReferencesGraph": f"../escape {DIRECTORY.show(PATH)}"},
        {"__json": "{"},
        {"__json": "[]"},
        {"__json": '{"a": NaN}'},
        {"__json": "[" * 100000},
        {"__json": '{"outputChecks": []}'},
        {"__json": '{"outputChecks": {"out": {"maxSize": -1}}}'},
        {"__json": '{"outputChecks": {"out": {"allowedReferences": [1]}}}'},
        {"__json": '{"unsafeDiscardReferences": {"out": "yes"}}'},
        {"__json": '{"requiredSystemFeatures": "kvm"}'},
        {"__json": '{"__noChroot": 1}'},
    ],
)
def test_wrong_shapes_are_errors(environment: dict[str, str]) -> None:
    with pytest.raises(BuildError):
        derivation_options(derivation(environment), DIRECTORY)


def test_floating_outputs_need_a_feature() -> None:
    assert derivation_options(derivation({}, floating=True), DIRECTORY).required_features == {"ca-derivations"}


@given(st.dictionaries(st.sampled_from(["passAsFile", "impureEnvVars", "allowedReferences"]), st.text("ab \n/")))
def test_any_text_is_read_or_refused(environment: dict[str, str]) -> None:
    options = derivation_options(derivation(environment), DIRECTORY)
    assert options.pass_as_file == frozenset(environment.get("passAsFile", "").split())
