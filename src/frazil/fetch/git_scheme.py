"""`git` and `hg` inputs: attributes and URLs; the fetching is in `git.py` and `mercurial.py`.

Source of truth: the `git` and `mercurial` sections of the flake reference chapter, and `fetchGit`'s reference.
"""

from __future__ import annotations

import os

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import NULL_REVISION, InputAttributes, is_legal_reference_name
from frazil.fetch.errors import BadAttributes, BadURL, FetchError
from frazil.fetch.scheme import FetchContext, FetchedTree, InputScheme, override_reference
from frazil.fetch.settings import FetchSettings
from frazil.fetch.url import ParsedURL, fix_git_url, parse_url, url_path_to_path

_TEXTS = ("rev", "ref", "keytype", "publicKey", "publicKeys")
_FLAGS = ("shallow", "submodules", "lfs", "exportIgnore", "allRefs", "verifyCommit")


def public_keys(attributes: InputAttributes) -> list[dict[str, str]]:
    """The keys that a commit may be signed by: `type` and `key` of each."""
    keys: list[dict[str, str]] = []
    listed = attr.optional_text(attributes, "publicKeys")
    if listed is not None:
        from frazil.fetch.json_text import parse_json

        try:
            keys = [{"type": k.get("type", "ssh-ed25519"), "key": k["key"]} for k in parse_json(listed)]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadAttributes(f"input attribute 'publicKeys' is not a list of keys: {listed}") from error
    if "publicKey" in attributes:
        kind = attr.optional_text(attributes, "keytype") or "ssh-ed25519"
        keys.append({"type": kind, "key": attr.text(attributes, "publicKey")})
    return keys


class GitScheme(InputScheme):
    name = "git"
    allowed = frozenset(
        {"url", "lastModified", "revCount", "narHash", "name", "dirtyRev", "dirtyShortRev", *_TEXTS, *_FLAGS}
    )
    experimental_feature = None

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        if url.scheme != "git" and url.application != "git":
            return None
        result: InputAttributes = {"type": "git"}
        rest = {}
        for name, value in url.query.items():
            if name in _TEXTS:
                result[name] = value
            elif name in _FLAGS:
                result[name] = value == "1"
            else:
                rest[name] = value
        result["url"] = str(url.with_query(rest))
        return self.check(result)

    def check(self, attributes: InputAttributes) -> InputAttributes:
        attr.flag(attributes, "verifyCommit")
        ref = attr.optional_text(attributes, "ref")
        if ref is not None and not is_legal_reference_name(ref):
            raise BadURL(f"invalid Git branch/tag name '{ref}'")
        result = dict(attributes)
        result["url"] = str(fix_git_url(attr.text(attributes, "url")))
        for name in ("shallow", "submodules", "allRefs"):
            attr.flag(result, name)
        return result

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        url = parse_url(attr.text(attributes, "url"))
        if url.scheme != "git":
            url = url.with_scheme(f"git+{url.scheme}")
        query = dict(url.query)
        revision, ref = attr.revision(attributes), attr.optional_text(attributes, "ref")
        if revision is not None:
            query["rev"] = revision
        if ref is not None:
            query["ref"] = ref
        for name in ("shallow", "lfs", "submodules", "exportIgnore", "verifyCommit"):
            if attr.flag(attributes, name):
                query[name] = "1"
        self._keys_to_query(attributes, query)
        return url.with_query(query)

    @staticmethod
    def _keys_to_query(attributes: InputAttributes, query: dict[str, str]) -> None:
        keys = public_keys(attributes)
        if len(keys) == 1:
            query["keytype"], query["publicKey"] = keys[0]["type"], keys[0]["key"]
        elif keys:
            import json

            query["publicKeys"] = json.dumps(keys, sort_keys=True, separators=(",", ":"))

    def apply_overrides(self, attributes: InputAttributes, ref: str | None, rev: str | None) -> InputAttributes:
        changed = override_reference(attributes, ref, rev)
        if "ref" not in changed and "rev" in changed:
            raise FetchError(f"Git input '{self.to_url(changed)}' has a commit hash but no branch/tag name")
        return changed

    def is_locked(self, attributes: InputAttributes, settings: FetchSettings) -> bool:
        revision = attr.revision(attributes)
        return revision is not None and revision != NULL_REVISION

    def source_path(self, attributes: InputAttributes) -> str | None:
        """The work tree, for a local repository that is not bare."""
        if os.environ.get("_NIX_FORCE_HTTP") == "1":
            return None
        url = parse_url(attr.text(attributes, "url"))
        if url.scheme != "file":
            return None
        path = url_path_to_path(url.path)
        if os.path.exists(path) and not os.path.lexists(os.path.join(path, ".git")):
            return None
        return os.path.abspath(path)

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        from frazil.fetch.git import fetch_git

        return fetch_git(attributes, context)

    def put_file(self, attributes: InputAttributes, path: str, contents: bytes, message: str | None) -> None:
        directory = self.source_path(attributes)
        if directory is None:
            raise FetchError(
                f"cannot commit '{path}' to Git repository '{self.to_url(attributes)}' because it's not a working tree"
            )
        from frazil.fetch.git_program import put_file

        put_file(directory, path, contents, message)

    def clone(self, attributes: InputAttributes, destination: str, context: FetchContext) -> None:
        from frazil.fetch.git_program import clone

        source = self.source_path(attributes) or str(parse_url(attr.text(attributes, "url")).without("dir"))
        clone(source, attr.optional_text(attributes, "ref"), attr.optional_text(attributes, "rev"), destination)


class MercurialScheme(InputScheme):
    name = "hg"
    allowed = frozenset({"url", "ref", "rev", "revCount", "narHash", "name"})
    experimental_feature = None

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        if url.scheme not in ("hg+http", "hg+https", "hg+ssh", "hg+file"):
            return None
        result: InputAttributes = {"type": "hg"}
        rest: InputAttributes = {}
        for name, value in url.query.items():
            (result if name in ("rev", "ref") else rest)[name] = value
        result["url"] = str(url.with_scheme(url.transport).with_query(attr.query_of(rest)))
        return self.check(result)

    def check(self, attributes: InputAttributes) -> InputAttributes:
        import re

        parse_url(attr.text(attributes, "url"))
        ref = attr.optional_text(attributes, "ref")
        if ref is not None and not re.fullmatch(r"[a-zA-Z0-9@][a-zA-Z0-9_./@+-]*", ref):
            raise BadURL(f"invalid Mercurial branch/tag name '{ref}'")
        return dict(attributes)

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        url = parse_url(attr.text(attributes, "url"))
        query = dict(url.query)
        revision, ref = attr.revision(attributes), attr.optional_text(attributes, "ref")
        if revision is not None:
            query["rev"] = revision
        if ref is not None:
            query["ref"] = ref
        return url.with_scheme(f"hg+{url.scheme}").with_query(query)

    def apply_overrides(self, attributes: InputAttributes, ref: str | None, rev: str | None) -> InputAttributes:
        return override_reference(attributes, ref, rev)

    def is_locked(self, attributes: InputAttributes, settings: FetchSettings) -> bool:
        return attr.revision(attributes) is not None

    def source_path(self, attributes: InputAttributes) -> str | None:
        url = parse_url(attr.text(attributes, "url"))
        if url.scheme == "file" and "ref" not in attributes and "rev" not in attributes:
            return url_path_to_path(url.path)
        return None

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        from frazil.fetch.mercurial import fetch_mercurial

        return fetch_mercurial(attributes, context)

    def put_file(self, attributes: InputAttributes, path: str, contents: bytes, message: str | None) -> None:
        url = parse_url(attr.text(attributes, "url"))
        if url.scheme != "file":
            raise FetchError(
                f"cannot commit '{path}' to Mercurial repository '{self.to_url(attributes)}' "
                "because it's not a working tree"
            )
        from frazil.fetch.mercurial import put_file

        put_file(url_path_to_path(url.path), path, contents, message)
