"""What every input scheme can do, and the kinds of values that pass between schemes and callers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes
from frazil.fetch.errors import BadURL, FetchError
from frazil.fetch.settings import FetchSettings
from frazil.record import EMPTY, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar

    from frazil.activity import Reporter
    from frazil.fetch.cache import FetchCache
    from frazil.fetch.url import ParsedURL
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath


class FetchContext(Record):
    """What a fetch works with. Use `FetchContext.create` to have the cache opened."""

    store: LocalStore
    settings: FetchSettings
    reporter: Reporter
    cache: FetchCache

    @classmethod
    def create(cls, store: LocalStore, settings: FetchSettings, reporter: Reporter) -> FetchContext:
        from frazil.fetch.cache import FetchCache

        return cls(store, settings, reporter, FetchCache.open(settings))

    def warn(self, message: str) -> None:
        from frazil.activity import Verbosity

        self.reporter.log(Verbosity.WARN, f"warning: {message}")


class FetchedTree(Record):
    """A tree in the store.

    `attributes`: those of the locked input, with `narHash`. `lazy`: attributes that cost something to compute
    (`revCount`); `complete()` has them all. `real_path`: where the store object's contents are in the file system.
    `source_directory`: the work tree it was taken from, if any. `explain`: says of a path relative to the root why it
    is missing, as a hint, or None.
    """

    store_path: StorePath
    real_path: str
    attributes: InputAttributes
    lazy: Mapping[str, Callable[[], int]] = EMPTY
    source_directory: str | None = None
    explain: Callable[[str], str | None] | None = None

    def complete(self) -> InputAttributes:
        """The attributes with the lazy ones computed, as a lock file holds them."""
        return {**self.attributes, **{name: compute() for name, compute in self.lazy.items()}}

    def explain_missing(self, path: str) -> str | None:
        return self.explain(path) if self.explain else None

    def with_attributes(self, attributes: InputAttributes) -> FetchedTree:
        return self.with_(attributes=attributes)


class InputScheme:
    """One kind of input. Stateless; `fetch` imports what it needs."""

    name: ClassVar[str]
    allowed: ClassVar[frozenset[str]]
    experimental_feature: ClassVar[str | None] = "flakes"
    downloads: ClassVar[bool] = False
    """Whether fetching is slow enough for a second process to wait for the first."""

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        """None where the URL is of another scheme. Raises BadURL or BadAttributes where it is a wrong one of ours."""
        raise NotImplementedError

    def check(self, attributes: InputAttributes) -> InputAttributes:
        """The attributes, normalised. Names are checked already."""
        raise NotImplementedError

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        raise NotImplementedError

    def apply_overrides(self, attributes: InputAttributes, ref: str | None, rev: str | None) -> InputAttributes:
        if ref is not None:
            raise FetchError(f"don't know how to set branch/tag name of input '{self.to_url(attributes)}' to '{ref}'")
        if rev is not None:
            raise FetchError(f"don't know how to set revision of input '{self.to_url(attributes)}' to '{rev}'")
        return attributes

    def is_locked(self, attributes: InputAttributes, settings: FetchSettings) -> bool:
        return attr.nar_hash(attributes) is not None

    def is_direct(self, attributes: InputAttributes) -> bool:
        return True

    def relative_path(self, attributes: InputAttributes) -> str | None:
        return None

    def source_path(self, attributes: InputAttributes) -> str | None:
        """The directory of the file system that the input is, where it is one."""
        return None

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        raise NotImplementedError

    def put_file(self, attributes: InputAttributes, path: str, contents: bytes, message: str | None) -> None:
        """Writes a file into the source, and commits it where a message is given and the source can."""
        raise FetchError(f"input '{self.to_url(attributes)}' does not support modifying file '{path}'")

    def clone(self, attributes: InputAttributes, destination: str, context: FetchContext) -> None:
        from frazil.fetch.tree import copy_out

        copy_out(self.fetch(attributes, context), destination)


def parse_integer(value: str) -> int | None:
    """An unsigned 64-bit integer in decimal digits, or None."""
    if not value.isascii() or not value.isdigit() or len(value) > 20:
        return None
    number = int(value)
    return number if number < 1 << 64 else None


def override_reference(attributes: InputAttributes, ref: str | None, rev: str | None) -> InputAttributes:
    """Sets both where given."""
    changed = dict(attributes)
    if rev is not None:
        changed["rev"] = rev
    if ref is not None:
        changed["ref"] = ref
    return changed


def require_one(url: ParsedURL, attributes: InputAttributes, name: str, value: str, what: str) -> None:
    if name in attributes:
        raise BadURL(f"URL '{url}' contains multiple {what}")
    attributes[name] = value
