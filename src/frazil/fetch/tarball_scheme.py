"""`tarball` and `file` inputs: whatever a URL gives, unpacked or as it is.

Source of truth: the sections of these names in the flake reference chapter, and the lockable tarball protocol.
"""

from __future__ import annotations

from typing import ClassVar

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes
from frazil.fetch.scheme import FetchContext, FetchedTree, InputScheme, parse_integer
from frazil.fetch.url import ParsedURL, parse_url

_EXTENSIONS = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.bz2", ".tar.zst")
_TRANSPORTS = ("file", "http", "https")


class CurlScheme(InputScheme):
    allowed = frozenset({"url", "narHash", "name", "unpack", "rev", "revCount", "lastModified"})
    experimental_feature = None
    unpacks: ClassVar[bool]
    downloads = True

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        if url.transport not in _TRANSPORTS:
            return None
        is_archive = bool(url.path) and url.path[-1].endswith(_EXTENSIONS)
        if url.application is not None:
            if url.application != self.name:
                return None
        elif (require_tree or is_archive) != self.unpacks:
            return None
        result: InputAttributes = {}
        for name in ("narHash", "rev"):
            if name in url.query:
                result[name] = url.query[name]
        for name in ("revCount", "lastModified"):
            number = parse_integer(url.query.get(name, ""))
            if number is not None:
                result[name] = number
        result["type"] = self.name
        result["url"] = str(url.with_scheme(url.transport).without(*self.allowed))
        return result

    def check(self, attributes: InputAttributes) -> InputAttributes:
        return dict(attributes)

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        url = parse_url(attr.text(attributes, "url"))
        hash_ = attr.nar_hash(attributes)
        return url if hash_ is None else url.with_query({**url.query, "narHash": hash_.sri})


class TarballScheme(CurlScheme):
    name = "tarball"
    unpacks = True

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        from frazil.fetch.tarball import fetch_tarball

        return fetch_tarball(attributes, context)


class FileScheme(CurlScheme):
    name = "file"
    unpacks = False

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        from frazil.fetch.tarball import fetch_file

        return fetch_file(attributes, context)
