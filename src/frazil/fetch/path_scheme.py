"""`path:` inputs: a directory of the file system, copied as it is.

Source of truth: the `path` section of the flake reference chapter.
"""

from __future__ import annotations

import os

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes
from frazil.fetch.errors import BadURL, FetchError
from frazil.fetch.scheme import FetchContext, FetchedTree, InputScheme, parse_integer
from frazil.fetch.url import ParsedURL, path_to_url_path, url_path_to_path


class PathScheme(InputScheme):
    name = "path"
    allowed = frozenset({"path", "rev", "revCount", "lastModified", "narHash"})

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        if url.scheme != "path":
            return None
        if url.authority is not None and url.authority.host:
            raise BadURL(f"path URL '{url}' should not have an authority ('{url.authority}')")
        result: InputAttributes = {"type": "path", "path": url_path_to_path(url.path)}
        for name, value in sorted(url.query.items()):
            if name in ("rev", "narHash"):
                result[name] = value
            elif name in ("revCount", "lastModified"):
                number = parse_integer(value)
                if number is None:
                    raise FetchError(f"path URL '{url}' has invalid parameter '{name}'")
                result[name] = number
            else:
                raise FetchError(f"path URL '{url}' has unsupported parameter '{name}'")
        return result

    def check(self, attributes: InputAttributes) -> InputAttributes:
        attr.text(attributes, "path")
        return dict(attributes)

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        query = attr.query_of({n: v for n, v in attributes.items() if n not in ("path", "type", "__final")})
        return ParsedURL("path", None, path_to_url_path(attr.text(attributes, "path")), query)

    def relative_path(self, attributes: InputAttributes) -> str | None:
        path = attr.text(attributes, "path")
        return None if path.startswith("/") else path

    def source_path(self, attributes: InputAttributes) -> str | None:
        return self.absolute_path(attributes)

    def absolute_path(self, attributes: InputAttributes) -> str:
        path = attr.text(attributes, "path")
        if not path.startswith("/"):
            raise FetchError(f"cannot fetch input '{self.to_url(attributes)}' because it uses a relative path")
        return os.path.normpath(path).replace("//", "/", 1)

    def put_file(self, attributes: InputAttributes, path: str, contents: bytes, message: str | None) -> None:
        from frazil.fetch.tree import write_atomically

        write_atomically(os.path.join(self.absolute_path(attributes), path), contents)

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        from frazil.fetch.tree import add_directory

        return add_directory(attributes, self.absolute_path(attributes), context)
