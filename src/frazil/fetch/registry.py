"""Flake registries: names for inputs, and overrides of inputs.

In: `registry.json` files (flag, user, system, global), the setting `input-overrides`. Out: the input that a name stands
for. Source of truth: the `nix registry` reference page. Format version 2.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

from frazil.errors import FrazilError
from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes, attributes_from_json
from frazil.fetch.errors import BadAttributes, DownloadError, FetchError
from frazil.fetch.inputs import (
    apply_overrides,
    attributes_to_url,
    check_attributes,
    contains,
    is_direct,
    url_to_attributes,
)
from frazil.fetch.scheme import FetchContext
from frazil.fetch.settings import FetchSettings, cache_directory, config_directory
from frazil.fetch.tree import write_atomically
from frazil.fetch.url import parse_url
from frazil.record import EMPTY, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    Kind = Literal["flag", "user", "system", "global", "custom", "built-in"]
    Use = Literal["all", "limited", "overrides", "no"]

USES: tuple[Use, ...] = ("all", "limited", "overrides", "no")
"""`limited`: only flags, the global and the built-in one, as for the inputs of a flake that is being locked;
`overrides`: only the setting `input-overrides`, until it leads to a name."""

_MAXIMUM_STEPS = 100
_MAXIMUM_FILE = 64 << 20


class Entry(Record):
    """`extra`: attributes of the target that are not the input's (`dir`). `exact`: nothing but `source` itself."""

    source: InputAttributes
    target: InputAttributes
    extra: InputAttributes = EMPTY
    exact: bool = False

    @classmethod
    def make(cls, source: InputAttributes, target: InputAttributes, *, exact: bool = False) -> Entry:
        """Takes `dir` out of the target."""
        extra: InputAttributes = {"dir": target["dir"]} if "dir" in target else {}
        rest = {name: value for name, value in target.items() if name != "dir"}
        return cls(check_attributes(source), check_attributes(rest), extra, exact)

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"from": self.source, "to": {**self.target, **self.extra}}
        return {**value, "exact": True} if self.exact else value


class Registry:
    """The entries of one registry, in the order they are asked."""

    __slots__ = ("entries", "kind")

    def __init__(self, kind: Kind, entries: Iterable[Entry] = ()) -> None:
        self.kind: Kind = kind
        self.entries = list(entries)

    @classmethod
    def read(cls, path: str, warn: Callable[[str], None] | None = None, kind: Kind = "custom") -> Registry:
        """Empty where there is no file; one that cannot be read is empty too, with a warning."""
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                return cls(kind, parse_entries(file.read(_MAXIMUM_FILE), path))
        except FileNotFoundError:
            return cls(kind)
        except (OSError, FrazilError) as error:
            if warn is not None:
                warn(f"cannot read flake registry '{path}': {error}")
            return cls(kind)

    def replace(self, source: InputAttributes, target: InputAttributes, directory: str = "") -> None:
        """`source` stands for `target` (and `directory` in it) from now on, whatever it stood for."""
        entry = Entry.make(source, {**target, "dir": directory} if directory else target)
        self.remove(entry.source)
        self.entries.append(entry)

    def remove(self, source: InputAttributes) -> None:
        self.entries = [entry for entry in self.entries if entry.source != source]

    def write(self, path: str) -> None:
        write_atomically(path, self.to_text().encode("utf-8", "surrogateescape"))

    def to_text(self) -> str:
        import json

        value = {"flakes": [entry.to_json() for entry in self.entries], "version": 2}
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


BUILT_IN = (Entry({"type": "indirect", "id": "frazilpkgs"}, {"type": "frazilpkgs"}),)
"""Asked last: the name of the embedded package set."""


def parse_entries(text: str, shown: str) -> list[Entry]:
    """Raises FetchError, BadAttributes."""
    from frazil.fetch.json_text import parse_json

    try:
        value = parse_json(text)
    except ValueError as error:
        raise FetchError(f"cannot parse flake registry '{shown}': {error}") from error
    version = value.get("version", 0) if isinstance(value, dict) else 0
    if version != 2:
        raise FetchError(f"flake registry '{shown}' has unsupported version {version}")
    flakes = value.get("flakes") or []
    if not isinstance(flakes, list) or not all(isinstance(flake, dict) for flake in flakes):
        raise FetchError(f"flake registry '{shown}' has no list of flakes")
    return [
        Entry.make(
            attributes_from_json(flake.get("from")),
            attributes_from_json(flake.get("to")),
            exact=flake.get("exact") is True,
        )
        for flake in flakes
    ]


_WITHOUT_NAMES = (
    "is there a network? names such as nixpkgs are looked up there; by themselves go paths, URLs and frazilpkgs, and "
    "names given by: frazil registry add NAME URL"
)


def user_registry_path(settings: FetchSettings) -> str:
    return os.path.join(config_directory(settings), "registry.json")


def system_registry_path(settings: FetchSettings) -> str:
    return os.path.join(os.environ.get("NIX_CONF_DIR") or settings.system_config_directory, "registry.json")


def user_registry(context: FetchContext) -> Registry:
    return Registry.read(user_registry_path(context.settings), context.warn, "user")


def system_registry(context: FetchContext) -> Registry:
    return Registry.read(system_registry_path(context.settings), context.warn, "system")


def global_registry(context: FetchContext) -> Registry:
    """By the setting `flake-registry`: a file, or a URL whose contents are kept for `tarball-ttl` seconds."""
    place = context.settings.flake_registry
    if not place:
        return Registry("global")
    if place.startswith("/"):
        return Registry.read(place, context.warn, "global")
    from frazil.fetch.tarball import download_file

    try:
        path = download_file(place, "flake-registry.json", context).store_path
    except DownloadError as error:
        if error.hint is not None and error.status is None:
            error.hint = _WITHOUT_NAMES
        raise
    # Kept by a root: without a network names are still found after garbage collection.
    context.store.add_permanent_root(path, os.path.join(cache_directory(context.settings), "flake-registry.json"))
    return Registry.read(context.store.real_path(path), context.warn, "global")


def registries(
    context: FetchContext, flags: Registry | None = None, use: Use = "all", *, download: bool = True
) -> Iterator[Registry]:
    """In the order they are asked; the global one is fetched only if it comes to that."""
    yield overrides_registry(context.settings)
    if use == "overrides":
        return
    if flags is not None:
        yield flags
    if use == "all":
        yield user_registry(context)
        yield system_registry(context)
    yield Registry("built-in", BUILT_IN)
    if download or context.settings.flake_registry.startswith("/"):
        yield global_registry(context)


def overrides_registry(settings: FetchSettings) -> Registry:
    """The setting `input-overrides` as entries: a flake ID or a reference, and what to take in its place."""
    pairs = settings.input_overrides.items()
    return Registry("flag", [Entry.make(_reference(source), _reference(target)) for source, target in pairs])


def _reference(text: str) -> InputAttributes:
    """A flake ID or a URL, with `dir`."""
    if text.startswith("/"):
        text = f"path:{text}"
    url = parse_url(text if ":" in text else f"flake:{text}", lenient=True)
    directory = url.query.get("dir")
    attributes = url_to_attributes(url.without("dir"))
    return attributes if directory is None else {**attributes, "dir": directory}


def lookup(
    attributes: InputAttributes, context: FetchContext, use: Use = "all", flags: Registry | None = None
) -> tuple[InputAttributes, InputAttributes]:
    """What an input stands for, followed until it is direct, and the extra attributes (`dir`) of the last step.

    Direct inputs may be replaced by registries too. Raises FetchError for a name nobody knows, and for circles.
    """
    asked, extra = attributes, InputAttributes()
    if use == "no":
        return attributes, extra
    for _ in range(_MAXIMUM_STEPS):
        step = _step(attributes, context, use, flags)
        if step is None:
            if not is_direct(attributes):
                raise FetchError(
                    f"cannot find flake '{attributes_to_url(attributes)}' in the flake registries",
                    hint="a path begins with ./ or /; names are listed by: frazil registry list",
                )
            return attributes, extra
        attributes, extra = step
    raise FetchError(f"cycle detected in flake registry for '{attributes_to_url(asked)}'")


def resolve(
    attributes: InputAttributes, context: FetchContext, use: str = "all", flags: Registry | None = None
) -> tuple[InputAttributes, str]:
    """As `lookup`, with the target's `dir` (empty where the registry says nothing)."""
    for known in USES:
        if use == known:
            break
    else:
        raise FetchError(f"'{use}' is no way to use registries")
    found, extra = lookup(attributes, context, known, flags)
    return found, attr.optional_text(extra, "dir") or ""


def _step(
    attributes: InputAttributes, context: FetchContext, use: Use, flags: Registry | None
) -> tuple[InputAttributes, InputAttributes] | None:
    if use == "overrides" and not is_direct(attributes):
        use = "limited"
    # Names are what the global registry is for: nothing is downloaded for an input that is found already.
    for registry in registries(context, flags, use, download=not is_direct(attributes)):
        for entry in registry.entries:
            if entry.exact and entry.source == attributes:
                return entry.target, entry.extra
            if not entry.exact and contains(entry.source, attributes):
                return _overridden(entry, attributes), entry.extra
    return None


def _overridden(entry: Entry, attributes: InputAttributes) -> InputAttributes:
    """The target at the `ref` and `rev` that were asked for, where the entry leaves them open."""
    ref = attr.optional_text(attributes, "ref") if "ref" not in entry.source else None
    rev = attr.revision(attributes) if "rev" not in entry.source else None
    if ref is None and rev is None:
        return entry.target
    if entry.target.get("type") == "frazilpkgs":  # one version only: branches of nixpkgs are all the same to it
        return entry.target
    try:
        return apply_overrides(entry.target, ref, rev)
    except FetchError as error:
        raise BadAttributes(f"cannot resolve '{attributes_to_url(attributes)}': {error.message}") from error
