"""Fetching from forges: a reference is resolved by the forge's interface, a tarball of the commit is unpacked.

In: the attributes of a `github`, `gitlab` or `sourcehut` input. Out: `FetchedTree`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes, is_revision
from frazil.fetch.download import download
from frazil.fetch.errors import DownloadError, FetchError
from frazil.fetch.scheme import FetchContext, FetchedTree
from frazil.fetch.tarball import unpack_into_store
from frazil.fetch.tree import find_tree, locked_attributes, temporary_directory

if TYPE_CHECKING:
    from frazil.fetch.forge_scheme import ForgeScheme

_MAXIMUM_ANSWER = 64 << 20


def fetch_forge(scheme: ForgeScheme, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    asked = {"ref": "HEAD", **attributes}
    revision = attr.revision(attributes) or scheme.resolve(asked, context)
    result = {name: value for name, value in attributes.items() if name != "ref"}
    result["rev"] = revision
    key = [scheme.name, scheme.host(result), attr.text(result, "owner"), attr.text(result, "repo"), revision]
    known = context.cache.get("forge-tree", key)
    if known is not None and isinstance(known.get("narHash"), str) and isinstance(known.get("lastModified"), int):
        hash_ = attr.parse_sri(known["narHash"])
        store_path = find_tree(context, hash_)
        if store_path is not None:
            locked = locked_attributes(result, hash_, known["lastModified"])
            return FetchedTree(store_path, context.store.real_path(store_path), locked)
    with temporary_directory(context) as scratch:
        archive = os.path.join(scratch, "archive")
        url = scheme.archive_url(result, revision, context.settings)
        headers = scheme.headers(result, context.settings)
        download(url, archive, context.settings, context.reporter, headers=headers)
        shown = str(scheme.to_url(result))
        store_path, hash_, modified = unpack_into_store(archive, scratch, shown, context, "source")
    context.cache.put("forge-tree", key, {"narHash": hash_.sri, "lastModified": modified})
    locked = {**result, "lastModified": modified, "narHash": hash_.sri}
    return FetchedTree(store_path, context.store.real_path(store_path), locked)


def read_url(url: str, headers: Mapping[str, str], context: FetchContext) -> bytes:
    """A forge's answer, remembered for `tarball-ttl` seconds, or longer while the forge cannot be reached."""
    entry = context.cache.lookup("forge-answer", url)
    known = entry.value.get("body") if entry else None
    if isinstance(known, str) and entry is not None and not entry.expired:
        return known.encode("latin-1")
    with temporary_directory(context) as scratch:
        path = os.path.join(scratch, "answer")
        try:
            download(url, path, context.settings, context.reporter, headers=headers, maximum=_MAXIMUM_ANSWER)
        except DownloadError as error:
            if not isinstance(known, str) or error.status is not None:
                raise
            context.warn(f"{error.message}; using cached version")
            return known.encode("latin-1")
        with open(path, "rb") as file:
            answer = file.read()
    context.cache.put("forge-answer", url, {"body": answer.decode("latin-1")})
    return answer


def commit_from_json(answer: bytes, url: str, pick: Callable[[Any], Any]) -> str:
    """The commit in a forge's JSON. Raises FetchError for any other answer."""
    from frazil.fetch.json_text import parse_json

    try:
        revision = pick(parse_json(answer))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        shown = answer[:200].decode("utf-8", "replace")
        raise FetchError(f"unexpected answer from '{url}': {shown}") from error
    if not isinstance(revision, str) or not is_revision(revision):
        raise FetchError(f"unexpected answer from '{url}': '{revision}' is not a commit hash")
    return revision.lower()
