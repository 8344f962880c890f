"""The plan of `builtin:debian`."""

from __future__ import annotations

import json

import pytest

from frazil.build.debian_plan import REVISION, BadPlan, parse_plan

BASE = {"revision": REVISION, "packages": ["/nix/store/x.deb"], "triplet": "x86_64-linux-gnu"}


def plan_text(**more: object) -> str:
    return json.dumps({**BASE, **more})


def test_all_parts() -> None:
    plan = parse_plan(
        plan_text(
            depends=["/d"],
            links={"bin/sh": "bash"},
            substitutions=[{"files": ["a"], "old": "x", "new": "y", "binary": True}],
            wrappers={"bin/a": {"set": {"A": "1"}, "flags": ["-x"]}},
            runpath={"lib/*": ["@out@/lib"]},
            redirects={"lib/x": {"/usr/": "@out@/"}},
            keep_linker_scripts=True,
        )
    )
    assert plan.wrappers["bin/a"].flags == ("-x",)
    assert plan.redirects == {"lib/x": {"/usr/": "@out@/"}}
    assert plan.keep_linker_scripts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        plan_text(unknown=1),
        plan_text(revision="0"),
        plan_text(links=[]),
        plan_text(links={"a": 1}),
        plan_text(depends="x"),
        plan_text(depends=["a\0b"]),
        plan_text(keep_linker_scripts="yes"),
        plan_text(wrappers={"a": {"sett": {}}}),
        plan_text(substitutions=[{"files": ["a"], "old": "", "new": "y"}]),
        plan_text(substitutions=[{"files": ["a"], "old": "xx", "new": "y", "binary": True}]),
        plan_text(packages=[]),
    ],
)
def test_wrong_plans(text: str) -> None:
    with pytest.raises(BadPlan):
        parse_plan(text)
