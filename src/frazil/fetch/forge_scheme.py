"""`github`, `gitlab` and `sourcehut` inputs: attributes and URLs, and where each forge keeps what is needed of it.

Source of truth: the sections of these names in the flake reference chapter, and the forges' public interfaces.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, ClassVar

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes, is_legal_reference_name, is_revision, show_attributes
from frazil.fetch.errors import BadURL
from frazil.fetch.scheme import FetchContext, FetchedTree, InputScheme, require_one
from frazil.fetch.settings import FetchSettings
from frazil.fetch.url import ParsedURL, percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOST = r"[a-zA-Z0-9.-]*(?::[0-9]{1,5})?"


class ForgeScheme(InputScheme):
    """What the three have in common: a revision is asked for by name, then a tarball of it is fetched."""

    allowed = frozenset({"owner", "repo", "ref", "rev", "narHash", "lastModified", "host", "treeHash"})
    default_host: ClassVar[str]
    downloads = True

    def from_url(self, url: ParsedURL, require_tree: bool) -> InputAttributes | None:
        if url.scheme != self.name:
            return None
        path = url.segments
        if len(path) < 2:
            raise BadURL(f"URL '{url}' is invalid")
        result: InputAttributes = {}
        if len(path) == 3 and is_revision(path[2]):
            result["rev"] = path[2]
        elif len(path) > 2:
            result["ref"] = "/".join(path[2:])
        for name, value in sorted(url.query.items()):
            if name == "rev":
                require_one(url, result, name, value, "commit hashes")
            elif name == "ref":
                require_one(url, result, name, value, "branch/tag names")
            elif name in ("host", "narHash"):
                result[name] = value
            else:
                raise BadURL(f"URL '{url}' contains unknown parameter '{name}'")
        return self.check({**result, "type": self.name, "owner": path[0], "repo": path[1]})

    def check(self, attributes: InputAttributes) -> InputAttributes:
        attr.text(attributes, "owner")
        attr.text(attributes, "repo")
        ref, rev = attr.optional_text(attributes, "ref"), attr.optional_text(attributes, "rev")
        shown = show_attributes(attributes)
        if ref is not None and rev is not None:
            raise BadURL(f"input {shown} contains both a commit hash ('{rev}') and a branch/tag name ('{ref}')")
        if rev is not None:
            attr.parse_revision(rev)
        if ref is not None and not is_legal_reference_name(ref):
            raise BadURL(f"input {shown} contains an invalid branch/tag name")
        host = attr.optional_text(attributes, "host")
        if host is not None and not re.fullmatch(_HOST, host):
            raise BadURL(f"input {shown} contains an invalid instance host")
        return dict(attributes)

    def to_url(self, attributes: InputAttributes) -> ParsedURL:
        path = [attr.text(attributes, "owner"), attr.text(attributes, "repo")]
        ref, rev = attr.optional_text(attributes, "ref"), attr.revision(attributes)
        path += [part for part in (ref, rev) if part is not None]
        query = {}
        hash_ = attr.nar_hash(attributes)
        if hash_ is not None:
            query["narHash"] = hash_.sri
        host = attr.optional_text(attributes, "host")
        if host is not None:
            query["host"] = host
        return ParsedURL(self.name, None, tuple(path), query)

    def apply_overrides(self, attributes: InputAttributes, ref: str | None, rev: str | None) -> InputAttributes:
        if rev is not None and ref is not None:
            raise BadURL(
                f"cannot apply both a commit hash ({rev}) and a branch/tag name ('{ref}') to input "
                f"'{self.to_url(attributes)}'"
            )
        changed = dict(attributes)
        if rev is not None:
            changed.pop("ref", None)
            changed["rev"] = rev
        if ref is not None:
            changed.pop("rev", None)
            changed["ref"] = ref
        return changed

    def is_locked(self, attributes: InputAttributes, settings: FetchSettings) -> bool:
        trusted = settings.trust_tarballs_from_git_forges or attr.nar_hash(attributes) is not None
        return attr.revision(attributes) is not None and trusted

    def host(self, attributes: InputAttributes) -> str:
        return attr.optional_text(attributes, "host") or self.default_host

    def headers(self, attributes: InputAttributes, settings: FetchSettings) -> dict[str, str]:
        """What proves to the forge who asks, by the setting `access-tokens`."""
        host = self.host(attributes)
        place = f"{host}/{attr.text(attributes, 'owner')}/{attr.text(attributes, 'repo')}"
        token = access_token(settings.access_tokens, host, place)
        return {} if token is None else self.token_header(token)

    def token_header(self, token: str) -> dict[str, str]:
        raise NotImplementedError

    def base(self, host: str) -> str:
        return f"{transport()}://{host}"

    def resolve(self, attributes: InputAttributes, context: FetchContext) -> str:
        """The commit that a reference names now."""
        raise NotImplementedError

    def archive_url(self, attributes: InputAttributes, revision: str, settings: FetchSettings) -> str:
        raise NotImplementedError

    def fetch(self, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
        from frazil.fetch.forge import fetch_forge

        return fetch_forge(self, attributes, context)

    def clone(self, attributes: InputAttributes, destination: str, context: FetchContext) -> None:
        from frazil.fetch.git_scheme import GitScheme

        owner, repo = attr.text(attributes, "owner"), attr.text(attributes, "repo")
        suffix = "" if self.name == "sourcehut" else ".git"
        git = GitScheme()
        target = git.check({"type": "git", "url": f"{self.base(self.host(attributes))}/{owner}/{repo}{suffix}"})
        ref, rev = attr.optional_text(attributes, "ref"), attr.revision(attributes)
        git.clone(git.apply_overrides(target, ref, rev), destination, context)


def transport() -> str:
    """`https`; plain `http` only where `_FRAZIL_FORGE_HTTP=1`, for stand-in servers in tests."""
    return "http" if os.environ.get("_FRAZIL_FORGE_HTTP") == "1" else "https"


def access_token(tokens: Mapping[str, str], host: str, place: str) -> str | None:
    """That of the longest `HOST/PATH` that `place` begins with (whole segments), else of the host."""
    matching = [key for key in tokens if place == key or place.startswith(f"{key}/")]
    if matching:
        return tokens[max(matching, key=len)]
    return tokens.get(host)


class GitHubScheme(ForgeScheme):
    name = "github"
    default_host = "github.com"

    def token_header(self, token: str) -> dict[str, str]:
        return {"Authorization": f"token {token}"}

    def _api(self, host: str) -> str:
        return f"{transport()}://api.{host}" if host == "github.com" else f"{transport()}://{host}/api/v3"

    def resolve(self, attributes: InputAttributes, context: FetchContext) -> str:
        from frazil.fetch.forge import commit_from_json, read_url

        owner, repo = attr.text(attributes, "owner"), attr.text(attributes, "repo")
        ref = percent_encode(attr.text(attributes, "ref"), "/:@!$&'()*+,;=")
        url = f"{self._api(self.host(attributes))}/repos/{owner}/{repo}/commits/{ref}"
        answer = read_url(url, self.headers(attributes, context.settings), context)
        return commit_from_json(answer, url, lambda value: value["sha"])

    def archive_url(self, attributes: InputAttributes, revision: str, settings: FetchSettings) -> str:
        host, owner, repo = self.host(attributes), attr.text(attributes, "owner"), attr.text(attributes, "repo")
        if host == "github.com" and not self.headers(attributes, settings):
            return f"{self.base(host)}/{owner}/{repo}/archive/{revision}.tar.gz"
        return f"{self._api(host)}/repos/{owner}/{repo}/tarball/{revision}"


class GitLabScheme(ForgeScheme):
    name = "gitlab"
    default_host = "gitlab.com"

    def token_header(self, token: str) -> dict[str, str]:
        kind, _, value = token.partition(":")
        if kind == "OAuth2":
            return {"Authorization": f"Bearer {value}"}
        return {"Private-token": value} if kind == "PAT" else {kind: value or kind}

    def _project(self, attributes: InputAttributes) -> str:
        owner, repo = (percent_encode(attr.text(attributes, name)) for name in ("owner", "repo"))
        return f"{self.base(self.host(attributes))}/api/v4/projects/{owner}%2F{repo}/repository"

    def resolve(self, attributes: InputAttributes, context: FetchContext) -> str:
        from frazil.fetch.forge import commit_from_json, read_url

        ref = percent_encode(attr.text(attributes, "ref"), "/:@!$'()*,;")
        url = f"{self._project(attributes)}/commits?ref_name={ref}"
        answer = read_url(url, self.headers(attributes, context.settings), context)
        if answer.strip() == b"[]":
            raise BadURL("No commits returned by GitLab API -- does the git ref really exist?")
        return commit_from_json(answer, url, lambda value: value[0]["id"])

    def archive_url(self, attributes: InputAttributes, revision: str, settings: FetchSettings) -> str:
        return f"{self._project(attributes)}/archive.tar.gz?sha={revision}"


class SourceHutScheme(ForgeScheme):
    name = "sourcehut"
    default_host = "git.sr.ht"

    def token_header(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def _repository(self, attributes: InputAttributes) -> str:
        return f"{self.base(self.host(attributes))}/{attr.text(attributes, 'owner')}/{attr.text(attributes, 'repo')}"

    def resolve(self, attributes: InputAttributes, context: FetchContext) -> str:
        from frazil.fetch.forge import read_url

        ref, place = attr.text(attributes, "ref"), self._repository(attributes)
        headers = self.headers(attributes, context.settings)
        if ref == "HEAD":
            head = read_url(f"{place}/HEAD", headers, context).decode("utf-8", "replace").partition("\n")[0]
            wanted = {head.removeprefix("ref:").split("\t")[0].strip()}
        else:
            wanted = {f"refs/heads/{ref}", f"refs/tags/{ref}"}
        listing = read_url(f"{place}/info/refs", headers, context).decode("utf-8", "replace")
        for line in listing.splitlines():
            revision, _, name = line.partition("\t")
            if name.strip() in wanted and is_revision(revision):
                return revision.lower()
        raise BadURL(f"in '{self.to_url(attributes)}', couldn't find ref '{ref}'")

    def archive_url(self, attributes: InputAttributes, revision: str, settings: FetchSettings) -> str:
        return f"{self._repository(attributes)}/archive/{revision}.tar.gz"
