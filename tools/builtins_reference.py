"""Writes docs/reference/builtins.md from the tables of builtins: `python tools/builtins_reference.py > FILE`.

In: every `BUILTINS` table of the rooms that have builtins. Out: Markdown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from frazil.lang.registry import BuiltinSpec

HEADER = """# Builtins

What an expression finds in the set `builtins`, as in Nix 2.36. Names marked “global” can be written without
`builtins.`; every other one is also there with two underscores before it (`__add`). This page is made from the
program's own tables by `python tools/builtins_reference.py`.

"""


# Builtins that have their tables in rooms whose entries say nothing about themselves.
ELSEWHERE = {
    "derivation": (("attrs",), "Describes a build: the set given, with `outPath`, `drvPath`, `type` and each output."),
    "derivationStrict": (
        ("attrs",),
        "Writes the store derivation of a set at once; `derivation` calls it when needed.",
    ),
    "fetchClosure": (("args",), "A store path with all it refers to, from a binary cache."),
    "fetchGit": (("args",), "A checkout of a Git repository, by URL and revision, branch or tag."),
    "fetchMercurial": (("args",), "A checkout of a Mercurial repository."),
    "fetchTarball": (("args",), "An archive, unpacked."),
    "fetchTree": (("input",), "A source tree of any kind that flakes take as input."),
    "fetchurl": (("arg",), "A file from a URL."),
    "filterSource": (("e1", "e2"), "Copies a path to the store, without what a function of path and type rejects."),
    "flakeRefToString": (("attrs",), "Writes a flake reference given as a set."),
    "getFlake": (("args",), "The outputs and metadata of a flake."),
    "outputOf": (("derivation-reference", "output-name"), "An output of a derivation that another one makes."),
    "parseFlakeRef": (("flake-ref",), "Reads a flake reference into a set."),
    "path": (("args",), "Copies a path to the store, with a name, a filter or an expected hash."),
    "storePath": (("path",), "A path that is in the store already, as a string that refers to it."),
    "toFile": (("name", "s"), "Writes a text to the store; its path."),
}


def described(spec: BuiltinSpec) -> BuiltinSpec:
    if spec.documentation or spec.name not in ELSEWHERE:
        return spec
    names, text = ELSEWHERE[spec.name]
    return BuiltinSpec(
        spec.name,
        spec.arity,
        spec.function,
        spec.experimental,
        spec.internal,
        spec.add_trace,
        text,
        names,
        spec.impure,
    )


def all_specs() -> list[BuiltinSpec]:
    """Of every room."""
    from frazil.flake.builtins import BUILTINS as of_flakes
    from frazil.instantiate.builtins import BUILTINS as of_the_store
    from frazil.lang.builtins import all_builtins

    return [described(spec) for spec in [*all_builtins(), *of_the_store, *of_flakes]]


def title(spec: BuiltinSpec) -> str:
    return " ".join([f"`{spec.name}`", *(f"*{name}*" for name in spec.argument_names)])


def notes(spec: BuiltinSpec, global_names: frozenset[str]) -> str:
    found = []
    if spec.name in global_names:
        found.append("global")
    if spec.arity == 0:
        found.append("a constant")
    if spec.experimental is not None:
        found.append(f"needs the experimental feature `{spec.experimental}`")
    return f" ({'; '.join(found)})" if found else ""


def reference(specs: Iterable[BuiltinSpec], global_names: frozenset[str]) -> str:
    """The whole page."""
    known = {spec.name: spec for spec in specs if not spec.internal}
    lines = [
        f"- {title(spec)}{notes(spec, global_names)}: {spec.documentation}"
        for _, spec in sorted(known.items(), key=lambda item: item[0].lower())
    ]
    return HEADER + "\n".join(lines) + "\n"


def main() -> int:
    from frazil.lang.evaluator import GLOBAL_NAMES

    sys.stdout.write(reference(all_specs(), GLOBAL_NAMES))
    return 0


if __name__ == "__main__":
    sys.exit(main())
