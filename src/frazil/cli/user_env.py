"""User environments: what `nix-env` installs into a profile, and reads back from it.

In: elements, each a derivation of some expression, a store path, or an entry of a profile's `manifest.nix`. Out: a new
generation whose store path links to all of them. Source of truth: C++ Nix's `nix-env`, whose derivations these equal.
"""

from __future__ import annotations

import os

from frazil.cli.build_command import build_paths
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from frazil.cli.context import Context
    from frazil.flake.derivations import Package
    from frazil.instantiate.session import Session
    from frazil.store.path import StorePath

_BUILDER = b"""
{ derivations, manifest }:
let
  describe = package:
    let given = package.meta; in
    [ (given.active or "true") (given.priority or 5) (builtins.length package.outputs) ]
    ++ map (name: package.${name}) package.outputs;
in
derivation {
  name = "user-environment";
  system = "builtin";
  builder = "builtin:buildenv";
  derivations = map describe derivations;
  preferLocalBuild = true;
  allowSubstitutes = false;
  inherit manifest;
}
"""


class Element:
    """One package, available or installed. What was not given is read from its derivation's attributes."""

    def __init__(
        self,
        session: Session,
        package: Package | None,
        *,
        name: str | None = None,
        drv_path: StorePath | None = None,
        out_path: StorePath | None = None,
    ) -> None:
        self.session = session
        self.package = package
        self._name = name
        self._drv_path = drv_path
        self._out_path = out_path
        self._meta: dict[str, Any] | None = None
        self.failed = False

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        if self._name is None:
            assert self.package is not None
            self._name = self.package.name
        return self._name

    @name.setter
    def name(self, value: str) -> None:
        self._name = value

    @property
    def path(self) -> str:
        return "" if self.package is None else self.package.path

    def _attribute(self, name: str) -> Any:
        """None where it has no such attribute."""
        from frazil.lang.values import MISSING

        if self.package is None:
            return None
        value = self.package.attrs.lookup(name)
        return None if value is MISSING else value

    def _text(self, name: str, default: str) -> str:
        from frazil.lang.runtime import force_string_no_context

        value = self._attribute(name)
        if value is None:
            return default
        assert self.package is not None
        trace = f"while evaluating the '{name}' attribute of a derivation"
        with self.package.reading(name, trace):
            return force_string_no_context(value, trace)

    @property
    def system(self) -> str:
        return self._text("system", "unknown" if self.package is not None else "")

    @property
    def output_name(self) -> str:
        return "" if self.package is None else self.package.output_name

    @property
    def drv_path(self) -> StorePath | None:
        if self._drv_path is None and self.package is not None:
            self._drv_path = self.package.drv_path
        return self._drv_path

    @property
    def out_path(self) -> StorePath:
        if self._out_path is None and self.package is not None:
            trace = "while evaluating the output path of a derivation"
            self._out_path = self.package.store_path("outPath", trace)
        if self._out_path is None:
            raise FrazilError("derivation does not have attribute 'outPath'")
        return self._out_path

    def outputs(self, *, paths: bool = True, to_install: bool = False) -> dict[str, StorePath | None]:
        """By name, sorted. `to_install`: those that `meta.outputsToInstall` or a chosen output says."""
        if self.package is None:
            return {"out": self.out_path if paths else None}
        found: dict[str, StorePath | None] = {}
        if self._attribute("outputs") is None:
            found["out"] = self.out_path if paths else None
        else:
            for name in sorted(set(self.package.outputs)):
                path = self._output_path(name) if paths else None
                if path is not None or not paths:
                    found[name] = path
        if not to_install:
            return found
        wanted = self.package.outputs_to_install()
        return {name: path for name, path in found.items() if name in wanted}

    def _output_path(self, name: str) -> StorePath | None:
        from frazil.lang.runtime import force_attrs

        value = self._attribute(name)
        if value is None:
            return None
        assert self.package is not None
        trace = "while evaluating an output of a derivation"
        with self.package.reading("outputs", trace):
            output = force_attrs(value, trace)
        return self.package.store_path("outPath", "while evaluating an output path of a derivation", output)

    # -- meta --------------------------------------------------------------------------------------------------------

    @property
    def meta(self) -> dict[str, Any]:
        """All attributes of `meta`, whatever they hold."""
        if self._meta is None:
            attrs = None if self.package is None else self.package.meta_attributes
            self._meta = {} if attrs is None else dict(attrs.items())
        return self._meta

    def plain_meta(self, name: str) -> Any:
        """None where there is none or where it holds anything but plain data."""
        from frazil.flake.derivations import is_plain
        from frazil.lang.runtime import force

        value = self.meta.get(name)
        return force(value) if value is not None and is_plain(self.session.evaluator, value) else None

    def set_meta(self, name: str, value: str) -> None:
        self._meta = {**self.meta, name: value}

    def meta_text(self, name: str) -> str:
        value = self.plain_meta(name)
        text = getattr(value, "text", value)
        return text if isinstance(text, str) else ""

    @property
    def priority(self) -> int:
        """A lower number wins."""
        value = self.plain_meta("priority")
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        try:
            return int(getattr(value, "text", value) or 0)
        except (TypeError, ValueError):
            return 0

    @property
    def is_kept(self) -> bool:
        value = self.plain_meta("keep")
        return value is True or value == "true"


# -- reading -------------------------------------------------------------------------------------------------------


def installed(context: Context, session: Session, profile: str) -> list[Element]:
    """What a profile holds. Raises FrazilError for one that `frazil profile` looks after."""
    from frazil.flake.derivations import find_derivations

    if os.path.exists(f"{profile}/manifest.json"):
        raise FrazilError(f"profile \"{profile}\" is incompatible with 'nix-env'; please use 'nix profile' instead")
    manifest = f"{profile}/manifest.nix"
    if not os.path.exists(manifest):
        real = _real_profile(context, profile)
        if real is None or not os.path.exists(f"{real}/manifest.nix"):
            return []
        manifest = f"{real}/manifest.nix"
    with open(manifest, "rb") as file:
        text = file.read()
    value = session.evaluator.eval_string(text, "/", os.fsencode(manifest).decode("latin-1"))
    packages = find_derivations(session.evaluator, value, session.effects.directory)
    return [Element(session, package) for package in packages]


def _real_profile(context: Context, profile: str) -> str | None:
    """Where a profile's store path lies, in a store that is not at its place."""
    from frazil.store.errors import StoreError

    try:
        return context.store.to_real(context.store.follow_links(profile))
    except StoreError:
        return None


# -- writing -------------------------------------------------------------------------------------------------------


def create(
    context: Context, session: Session, elements: Sequence[Element], profile: str, *, keep_derivations: bool, token: str
) -> bool:
    """Makes a generation of exactly these. False where somebody else changed the profile since `token` was read."""
    from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath
    from frazil.store.profile import Profile

    wanted = [DerivedPath(element.drv_path, ALL_OUTPUTS) for element in elements if element.drv_path is not None]
    session.flush()
    build_paths(context, wanted, announce=False)
    drv_path, out_path = _environment(context, session, elements, keep_derivations)
    session.flush()
    build_paths(context, [DerivedPath(drv_path, ALL_OUTPUTS)], announce=False)

    def add_root(text: str, link: str) -> None:
        context.store.add_permanent_root(context.store.parse(text), link)

    if Profile(profile).set_if_unchanged(context.store.show(out_path), add_root, token) is None:
        context.note(f'profile "{profile}" changed while we were busy; restarting')
        return False
    return True


def _environment(
    context: Context, session: Session, elements: Sequence[Element], keep_derivations: bool
) -> tuple[StorePath, StorePath]:
    """(derivation, output) of the tree of links."""
    from frazil.flake.derivations import to_store_path
    from frazil.lang.printer import print_ambiguous
    from frazil.lang.runtime import force_attrs
    from frazil.lang.values import ContextString

    evaluator, directory = session.evaluator, session.effects.directory
    references: set[StorePath] = set()
    entries = [_entry(context, element, references, keep_derivations) for element in elements]
    text = print_ambiguous(evaluator, entries, track_repeated=False)
    manifest = context.store.add_text("env-manifest.nix", text.encode("latin-1"), sorted(references))
    shown = directory.show(manifest)
    builder = evaluator.eval_string(_BUILDER, "/")
    argument = evaluator.make_attrs({"derivations": entries, "manifest": ContextString(shown, frozenset({shown}))})
    result = force_attrs(evaluator.call(builder, argument), "while building a user environment")
    trace = "while evaluating the user environment"
    paths = [to_store_path(evaluator, result.lookup(name), directory, trace) for name in ("drvPath", "outPath")]
    return paths[0], paths[1]


def _entry(context: Context, element: Element, references: set[StorePath], keep_derivations: bool) -> Any:
    """As it goes into the manifest."""
    from frazil.store.derived_path import DerivedPath

    evaluator, show = element.session.evaluator, context.store.show
    entry: dict[str, Any] = {"type": "derivation", "name": element.name, "outPath": show(element.out_path)}
    if element.system:
        entry["system"] = element.system
    drv_path = element.drv_path if keep_derivations else None
    if drv_path is not None:
        entry["drvPath"] = show(drv_path)
        references.add(drv_path)
    outputs = element.outputs(to_install=True)
    for name, path in outputs.items():
        assert path is not None
        entry[name] = evaluator.make_attrs({"outPath": show(path)})
        context.store.add_temporary_root(path)
        if not context.store.is_registered(path):
            build_paths(context, [DerivedPath(path)], announce=False)
        references.add(path)
    entry["outputs"] = list(outputs)
    kept = {name: value for name in element.meta if (value := element.plain_meta(name)) is not None}
    entry["meta"] = evaluator.make_attrs(kept)
    return evaluator.make_attrs(entry)
