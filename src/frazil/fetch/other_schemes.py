"""`indirect` inputs (names in registries), and frazil's own: `debian` suites and the embedded `frazilpkgs`.

Source of truth: the `indirect` section of the flake reference chapter; docs/design/debian.md; docs/design/fetch.md.
"""

from __future__ import annotations

import re

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes, is_legal_reference_name, is_revision
from frazil.fetch.errors import BadAttributes, BadURL, FetchError
from frazil.fetch.scheme import FetchContext, FetchedTree, InputScheme, override_reference, parse_integer
from frazil.fetch.settings import FetchSettings
from frazil.fetch.url import ParsedURL

_FLAKE_ID = r"[a-zA-Z][a-zA-Z0-9_-]*"
_SUITE = r"[a-z0-9][a-z0-9.+-]*(?:/[a-z0-9][a-z0-9.+-]*)*"
_WORDS = r"[a-z0-9-]+(?:,[a-z0-9-]+)*"


def check_flake_id(text: str) -> str:
    if not re.fullmatch(_FLAKE_ID, text):
        raise BadURL(f"'{text}' is not a valid flake ID")
    return text


class IndirectScheme(InputScheme):
    name = "indirect"
    allowed = frozenset({"id", "ref", "rev", "narHash"})

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        if url.scheme != "flake":
            return None
        path = url.segments
        result: InputAttributes = {"type": "indirect"}
        if len(path) == 2:
            if is_revision(path[1]):
                result["rev"] = path[1].lower()
            elif is_legal_reference_name(path[1]):
                result["ref"] = path[1]
            else:
                raise BadURL(f"in flake URL '{url}', '{path[1]}' is not a commit hash or branch/tag name")
        elif len(path) == 3:
            if not is_legal_reference_name(path[1]):
                raise BadURL(f"in flake URL '{url}', '{path[1]}' is not a branch/tag name")
            if not is_revision(path[2]):
                raise BadURL(f"in flake URL '{url}', '{path[2]}' is not a commit hash")
            result["ref"], result["rev"] = path[1], path[2].lower()
        elif len(path) != 1:
            raise BadURL(f"GitHub URL '{url}' is invalid")  # Nix's words
        result["id"] = check_flake_id(path[0])
        return result

    def check(self, attributes: InputAttributes) -> InputAttributes:
        check_flake_id(attr.text(attributes, "id"))
        return dict(attributes)

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        path = [attr.text(attributes, "id")]
        ref, rev = attr.optional_text(attributes, "ref"), attr.revision(attributes)
        path += [part for part in (ref, rev) if part is not None]
        return ParsedURL("flake", None, tuple(path))

    def apply_overrides(self, attributes: InputAttributes, ref: str | None, rev: str | None) -> InputAttributes:
        return override_reference(attributes, ref, rev)

    def is_locked(self, attributes: InputAttributes, settings: FetchSettings) -> bool:
        return False

    def is_direct(self, attributes: InputAttributes) -> bool:
        return False

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        raise FetchError(f"indirect input '{self.to_url(attributes)}' cannot be fetched directly")


class DebianScheme(InputScheme):
    name = "debian"
    allowed = frozenset({"suite", "architectures", "components", "release", "lastModified", "narHash"})
    downloads = True
    experimental_feature = None

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        if url.scheme != "debian":
            return None
        if url.authority is not None:
            raise BadURL(f"URL '{url}' should not have an authority", hint="write debian:SUITE, as debian:trixie")
        result: InputAttributes = {"type": "debian", "suite": "/".join(url.segments)}
        for name, value in url.query.items():
            if name == "lastModified":
                number = parse_integer(value)
                if number is None:
                    raise BadURL(f"URL '{url}' has invalid parameter '{name}'")
                result[name] = number
            elif name in ("architectures", "components", "release", "narHash"):
                result[name] = value
            else:
                raise BadURL(f"URL '{url}' contains unknown parameter '{name}'")
        return self.check(result)

    def check(self, attributes: InputAttributes) -> InputAttributes:
        suite = attr.text(attributes, "suite")
        if not re.fullmatch(_SUITE, suite) or ".." in suite:
            raise BadAttributes(f"'{suite}' is not a Debian suite", hint="a suite is named like trixie or stable")
        for name in ("architectures", "components"):
            value = attr.optional_text(attributes, name)
            if value is not None and not re.fullmatch(_WORDS, value):
                raise BadAttributes(f"input attribute '{name}' is not a list of words with commas between: '{value}'")
        release = attr.optional_text(attributes, "release")
        if release is not None:
            attr.parse_sri(release)
        return dict(attributes)

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        query = attr.query_of({n: v for n, v in attributes.items() if n not in ("type", "suite", "__final")})
        return ParsedURL("debian", None, tuple(attr.text(attributes, "suite").split("/")), query)

    def is_locked(self, attributes: InputAttributes, settings: FetchSettings) -> bool:
        return "release" in attributes or attr.nar_hash(attributes) is not None

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        from frazil.fetch.debian import fetch_debian

        return fetch_debian(attributes, context)


class FrazilpkgsScheme(InputScheme):
    name = "frazilpkgs"
    allowed = frozenset({"version", "narHash", "lastModified"})
    experimental_feature = None

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        if url.scheme != "frazilpkgs":
            return None
        if url.authority is not None or url.segments:
            raise BadURL(f"URL '{url}' is invalid", hint="the embedded package set is written frazilpkgs:")
        result: InputAttributes = {"type": "frazilpkgs"}
        for name, value in url.query.items():
            if name in ("version", "narHash"):
                result[name] = value
            elif name == "lastModified" and (number := parse_integer(value)) is not None:
                result[name] = number
            else:
                raise BadURL(f"URL '{url}' contains unknown parameter '{name}'")
        return result

    def check(self, attributes: InputAttributes) -> InputAttributes:
        attr.optional_text(attributes, "version")
        return dict(attributes)

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        query = attr.query_of({n: v for n, v in attributes.items() if n not in ("type", "__final")})
        return ParsedURL("frazilpkgs", None, ("",), query)

    def source_path(self, attributes: InputAttributes) -> str | None:
        return None

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        from frazil.fetch.embedded import fetch_embedded

        return fetch_embedded(attributes, context)
