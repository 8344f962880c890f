"""Derivations whose inputs' paths are known only after they are built."""

from __future__ import annotations

import pytest

from frazil.build.errors import BuildError
from frazil.build.resolution import input_chains, needs_resolution
from frazil.store.derivation import Deferred, Derivation, Impure, InputNode
from frazil.store.path import StorePath, placeholder, unknown_output_placeholder

from .support import Lab

A, B = StorePath("a" * 32, "z.drv"), StorePath("b" * 32, "a.drv")


def derivation(**changes: object) -> Derivation:
    values: dict[str, object] = {
        "name": "x",
        "outputs": {"out": Deferred()},
        "input_derivations": {A: frozenset({"out", "dev"}), B: frozenset({"out"})},
        "input_sources": frozenset(),
        "platform": "x",
        "builder": "/b",
        "arguments": (),
        "environment": {},
        **changes,
    }
    return Derivation(**values)  # type: ignore[arg-type]


def test_inputs_come_in_the_order_of_their_names() -> None:
    assert list(input_chains(derivation())) == [(B, ("out",)), (A, ("dev",)), (A, ("out",))]
    dynamic = derivation(
        input_derivations={},
        dynamic_inputs={A: {"out": InputNode(frozenset({"lib"}), {"x": InputNode(frozenset("y"))})}},
    )
    assert list(input_chains(dynamic)) == [(A, ("out", "lib")), (A, ("out", "x", "y"))]
    assert needs_resolution(dynamic, False)


def test_nothing_to_resolve_without_inputs() -> None:
    assert needs_resolution(derivation(), False)
    assert not needs_resolution(derivation(input_derivations={}), True)


def test_impure_derivations_are_built_each_time(lab: Lab) -> None:
    features = {"experimental_features": frozenset({"ca-derivations", "impure-derivations"})}
    impure = lab.derivation(
        "read x < /proc/sys/kernel/random/uuid; echo $x > $out",
        name="impure",
        outputs={"out": Impure("nar", "sha256")},
        out=placeholder("out"),
    )
    first, second = (lab.build(impure, **features)[0].outputs["out"] for _ in range(2))
    assert first != second
    pure = lab.derivation(f": {unknown_output_placeholder(impure, 'out')}; echo > $out", name="pure", needs=[impure])
    with pytest.raises(BuildError, match="depends on impure derivation"):
        lab.build(pure, **features)
    assert lab.store.verify(check_contents=True)
