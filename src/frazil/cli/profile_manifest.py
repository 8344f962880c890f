"""What a profile holds, as its `manifest.json` says. Source: the manual page of `nix profile` ("Filesystem layout").

In: a profile (version 1 to 3, or one made by `nix-env`). Out: elements by name, and a new profile in the store.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace

from frazil.cli.env_names import split_name
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from frazil.cli.context import Context
    from frazil.flake.outputs import Target
    from frazil.flake.reference import FlakeReference, OutputsSpecification
    from frazil.store.path import StorePath

DEFAULT_PRIORITY = 5
_VERSION = 3
_MAXIMUM_SIZE = 64 << 20


@dataclass(frozen=True, slots=True)
class ElementSource:
    """The flake that an element came from."""

    original: FlakeReference
    locked: FlakeReference
    attribute_path: str
    outputs: OutputsSpecification

    def __str__(self) -> str:
        return f"{self.original}#{self.attribute_path}{self.outputs}"


@dataclass(frozen=True, slots=True)
class ProfileElement:
    store_paths: frozenset[StorePath]
    source: ElementSource | None = None
    active: bool = True
    priority: int = DEFAULT_PRIORITY

    @property
    def identifier(self) -> str:
        if self.source is not None:
            return str(self.source)
        return ", ".join(sorted({split_name(path.name)[0] for path in self.store_paths} - {""}))

    @property
    def versions(self) -> str:
        from frazil.cli.closure_difference import show_versions

        return show_versions({split_name(path.name)[1] for path in self.store_paths})

    @property
    def name(self) -> str:
        return (_source_name(self.source) if self.source is not None else None) or self.identifier

    def installables(self, context: Context) -> list[str]:
        if self.source is not None:
            return [str(self.source)]
        return [context.store.show(path) for path in sorted(self.store_paths)]


def _source_name(source: ElementSource) -> str | None:
    from frazil.fetch.url import parse_url
    from frazil.flake.reference import name_from_url

    return name_from_url(parse_url(str(source), lenient=True))


@dataclass(slots=True)
class ProfileManifest:
    elements: dict[str, ProfileElement] = field(default_factory=dict)

    def add(self, name: str, element: ProfileElement) -> None:
        """Under that name, or the first free `NAME-1`, `NAME-2`, …"""
        final, number = name, 1
        while final in self.elements:
            final = f"{name}-{number}"
            number += 1
        self.elements[final] = element

    def sorted(self) -> list[tuple[str, ProfileElement]]:
        return sorted(self.elements.items())

    def copy(self) -> ProfileManifest:
        return ProfileManifest(dict(self.elements))

    # -- reading -----------------------------------------------------------------------------------------------------

    @classmethod
    def read(cls, context: Context, profile: str) -> ProfileManifest:
        """Of a profile's link, or of one of its generations. Empty where there is none."""
        found = cls()
        path = _inside(context, profile, "manifest.json")
        if path is not None:
            found._load(context, path)
        elif _inside(context, profile, "manifest.nix") is not None:
            found._load_old(context, profile)
        return found

    def _load(self, context: Context, path: str) -> None:
        with open(path, "rb") as file:
            data = file.read(_MAXIMUM_SIZE)
        try:
            manifest = json.loads(data)
            version = manifest.get("version", 0)
            if version not in (1, 2, 3):
                raise FrazilError(f'profile manifest "{path}" has unsupported version {version}')
            elements = manifest["elements"]
            named = elements.items() if isinstance(elements, dict) else ((None, one) for one in elements)
            for name, record in named:
                element = _element(context, record, version)
                self.add(name or element.name, element)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FrazilError(f"the profile manifest '{path}' is malformed: {error}") from error

    def _load_old(self, context: Context, profile: str) -> None:
        """Made by `nix-env`."""
        from frazil.cli.evaluation import make_session, with_deep_stack
        from frazil.cli.options import Arguments
        from frazil.cli.user_env import installed

        def read() -> list[StorePath]:
            session = make_session(context, Arguments(context.program), pure=False, read_only=True)
            return [element.out_path for element in installed(context, session, profile)]

        for path in with_deep_stack(read):
            element = ProfileElement(frozenset({path}))
            self.add(element.name, element)

    # -- writing -----------------------------------------------------------------------------------------------------

    def to_json(self, context: Context) -> dict[str, Any]:
        records = {name: _record(context, element) for name, element in self.elements.items()}
        return {"version": _VERSION, "elements": records}

    def build(self, context: Context) -> StorePath:
        """The tree of links in the store. Raises FileConflict."""
        import tempfile

        from frazil.build.builtin_buildenv import Environment, Package

        packages, references = [], set()
        for _, element in self.sorted():
            for path in element.store_paths:
                references.add(path)
                if element.active:
                    packages.append(Package(element.priority, context.store.show(path)))
        with tempfile.TemporaryDirectory(prefix="frazil-profile-") as folder:
            place = os.path.join(folder, "profile")
            os.mkdir(place)
            Environment(place, context.store.to_real, context.warn).build(packages)
            text = json.dumps(self.to_json(context), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            with open(os.path.join(place, "manifest.json"), "w", encoding="utf-8") as file:
                file.write(text)
            return context.store.add_path("profile", place, references=references)


def _inside(context: Context, profile: str, name: str) -> str | None:
    """A file of a profile, wherever its store path lies."""
    from frazil.store.errors import StoreError

    plain = os.path.join(profile, name)
    if os.path.exists(plain):
        return plain
    try:
        real = os.path.join(context.store.to_real(context.store.follow_links(profile)), name)
    except StoreError:
        return None
    return real if os.path.exists(real) else None


def _element(context: Context, record: Mapping[str, Any], version: int) -> ProfileElement:
    from frazil.flake.reference import FlakeReference

    url, original = ("uri", "originalUri") if version == 1 else ("url", "originalUrl")
    source = None
    if record.get(url):
        source = ElementSource(
            FlakeReference.parse(record[original]),
            FlakeReference.parse(record[url]),
            record["attrPath"],
            _outputs(record["outputs"]),
        )
    paths = frozenset([context.store.parse(text) for text in record["storePaths"]])
    return ProfileElement(paths, source, bool(record["active"]), int(record.get("priority", DEFAULT_PRIORITY)))


def _outputs(value: object) -> OutputsSpecification:
    from frazil.flake.reference import ALL_OUTPUTS, DEFAULT_OUTPUTS, OutputsSpecification

    if value is None:
        return DEFAULT_OUTPUTS
    if not isinstance(value, list):
        raise TypeError("'outputs' is no list")
    return ALL_OUTPUTS if value == ["*"] else OutputsSpecification(frozenset(map(str, value)))


def _record(context: Context, element: ProfileElement) -> dict[str, Any]:
    record: dict[str, Any] = {
        "storePaths": [context.store.show(path) for path in sorted(element.store_paths)],
        "active": element.active,
        "priority": element.priority,
    }
    source = element.source
    if source is not None:
        outputs = source.outputs
        names = None if outputs.default else ["*"] if outputs.names is None else sorted(outputs.names)
        record |= {
            "originalUrl": str(source.original),
            "url": str(source.locked),
            "attrPath": source.attribute_path,
            "outputs": names,
        }
    return record


def element_of(targets: list[Target], paths: frozenset[StorePath], priority: int | None) -> ProfileElement:
    """What was built of one installable, as it goes into a profile."""
    source = None
    target = targets[-1]
    if target.original is not None and target.locked is not None and target.outputs is not None:
        source = ElementSource(target.original, target.locked, target.attribute_path or "", target.outputs)
    chosen = priority if priority is not None else target.priority
    return ProfileElement(paths, source, priority=DEFAULT_PRIORITY if chosen is None else chosen)


def with_paths(element: ProfileElement, source: ElementSource, paths: frozenset[StorePath]) -> ProfileElement:
    return replace(element, source=source, store_paths=paths)
