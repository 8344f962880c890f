"""Fetching `tarball` and `file` inputs, and what `fetchurl` and `fetchTarball` need.

In: a URL. Out: store objects, remembered with their etag for `tarball-ttl` seconds. Source of truth: the sections of
these names in the flake reference chapter and the lockable tarball protocol.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frazil.activity import Activity, ActivityType
from frazil.digest import Hash
from frazil.fetch import attributes as attr
from frazil.fetch.archive import top_directory, unpack
from frazil.fetch.attributes import InputAttributes
from frazil.fetch.cache import CacheEntry
from frazil.fetch.download import Downloaded, download
from frazil.fetch.errors import DownloadError, FetchError
from frazil.fetch.scheme import FetchContext, FetchedTree
from frazil.fetch.tree import add_tree, find_tree, locked_attributes, temporary_directory
from frazil.fetch.url import parse_url, url_path_to_path

if TYPE_CHECKING:
    from frazil.store.path import StorePath


@dataclass(frozen=True, slots=True)
class DownloadedTree:
    store_path: StorePath
    nar_hash: Hash
    last_modified: int
    immutable_url: str | None


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """`effective_url`: after redirections."""

    store_path: StorePath
    etag: str
    effective_url: str
    immutable_url: str | None


def _refuse_mistakes(url: str) -> None:
    """Says what is wrong with a `file:` URL that is no archive."""
    parsed = parse_url(url)
    if parsed.scheme != "file":
        return
    path = url_path_to_path(parsed.path)
    if not path.startswith("/"):
        raise FetchError(
            f"tarball '{url}' must use an absolute path. The 'file' scheme does not support relative paths."
        )
    if not os.path.exists(path):
        raise FetchError(f"tarball '{path}' does not exist.")
    if os.path.isdir(path):
        if os.path.lexists(os.path.join(path, ".git")):
            raise FetchError(
                f"tarball '{path}' is a git repository, not a tarball. Please use `git+file` as the scheme."
            )
        raise FetchError(f"tarball '{path}' is a directory, not a file.")


def download_tarball(
    url: str,
    context: FetchContext,
    *,
    name: str = "source",
    headers: Mapping[str, str] | None = None,
) -> DownloadedTree:
    """Unpacked, a single top-level directory taken off. Raises DownloadError, BadArchive."""
    _refuse_mistakes(url)
    cached = context.cache.lookup("tarball", url)
    known = None if cached is None else _tree_from_cache(cached.value, context, name)
    if known is not None and cached is not None and not cached.expired:
        return known
    etag = str(cached.value.get("etag", "")) if known is not None and cached is not None else ""
    with temporary_directory(context) as scratch:
        archive = os.path.join(scratch, "archive")
        result = _download_or_known(url, archive, context, headers, etag, known is not None)
        if result is None or result.unchanged:
            assert known is not None
            if result is not None and cached is not None:
                context.cache.put("tarball", url, cached.value)
            return known
        tree = unpack_into_store(archive, scratch, url, context, name)
    value = {
        "etag": result.etag,
        "narHash": tree[1].sri,
        "lastModified": tree[2],
        "immutableUrl": result.immutable_url,
    }
    for place in result.urls:
        context.cache.put("tarball", place, value)
    return DownloadedTree(*tree, result.immutable_url)


def _download_or_known(
    url: str, destination: str, context: FetchContext, headers: Mapping[str, str] | None, etag: str, has_known: bool
) -> Downloaded | None:
    """None where the server cannot be reached but an older version is known."""
    try:
        return download(url, destination, context.settings, context.reporter, headers=headers, etag=etag)
    except DownloadError as error:
        if not has_known:
            raise
        context.warn(f"{error.message}; using cached version")
        return None


def unpack_into_store(
    archive: str, scratch: str, shown: str, context: FetchContext, name: str
) -> tuple[StorePath, Hash, int]:
    """The store object, its NAR hash and the newest time in the archive."""
    folder = os.path.join(scratch, "unpacked")
    os.mkdir(folder)
    with Activity(context.reporter, ActivityType.UNKNOWN, f"unpacking '{shown}'"):
        modified = unpack(archive, folder, context.settings.maximum_unpacked)
        os.unlink(archive)
        store_path, hash_ = add_tree(context, top_directory(folder), name, shown=shown, scratch=True)
    return store_path, hash_, modified


def _tree_from_cache(value: Mapping[str, Any], context: FetchContext, name: str) -> DownloadedTree | None:
    if not isinstance(value.get("narHash"), str) or not isinstance(value.get("lastModified"), int):
        return None
    hash_ = attr.parse_sri(value["narHash"])
    found = find_tree(context, hash_, name)
    return None if found is None else DownloadedTree(found, hash_, value["lastModified"], value.get("immutableUrl"))


def fetch_tarball(attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    name = attr.optional_text(attributes, "name") or "source"
    tree = download_tarball(attr.text(attributes, "url"), context, name=name)
    result = attributes
    if tree.immutable_url is not None:
        from frazil.fetch.inputs import url_to_attributes

        result = url_to_attributes(tree.immutable_url)
        if result["type"] != "tarball":
            raise FetchError("tarball 'Link' headers that redirect to non-tarball URLs are not supported")
    locked = locked_attributes(result, tree.nar_hash, tree.last_modified or None)
    return FetchedTree(tree.store_path, context.store.real_path(tree.store_path), locked)


def fetch_file(attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    name = attr.optional_text(attributes, "name") or "source"

    def add(path: str) -> tuple[StorePath, Hash]:
        return add_tree(context, path, name, shown=attr.text(attributes, "url"), scratch=True)

    found = _download_file(attr.text(attributes, "url"), "file-nar", name, context, {}, add)
    result = locked_attributes(attributes, context.store.query_info(found.store_path).nar_hash, None)
    return FetchedTree(found.store_path, context.store.real_path(found.store_path), result)


def download_file(
    url: str, name: str, context: FetchContext, headers: Mapping[str, str] | None = None
) -> DownloadedFile:
    """A flat store object, as `fetchurl` makes it. Raises DownloadError."""

    def add(path: str) -> tuple[StorePath, Hash]:
        store_path = _add_flat(context, name, path)
        return store_path, context.store.query_info(store_path).nar_hash

    return _download_file(url, "file", name, context, headers or {}, add)


def _add_flat(context: FetchContext, name: str, path: str) -> StorePath:
    if not context.store.compute_only:
        return context.store.add_path(name, path, method="flat", algorithm="sha256")
    with open(path, "rb") as file:  # a store that only computes keeps contents only of what is given as bytes
        return context.store.add_bytes(name, file.read(), method="flat", algorithm="sha256")


def _download_file(
    url: str,
    domain: str,
    name: str,
    context: FetchContext,
    headers: Mapping[str, str],
    add: Callable[[str], tuple[StorePath, Hash]],
) -> DownloadedFile:
    key = {"url": url, "name": name, "store": context.store.directory.path}
    cached = context.cache.lookup(domain, key)
    known = _file_from_cache(cached, context)
    if known is not None and cached is not None and not cached.expired:
        return known
    with temporary_directory(context) as scratch:
        path = os.path.join(scratch, "file")
        result = _download_or_known(url, path, context, headers, known.etag if known else "", known is not None)
        if result is None or result.unchanged:
            assert known is not None
            if result is not None and cached is not None:
                context.cache.put(domain, key, cached.value)
            return known
        os.chmod(path, 0o644)
        store_path, _ = add(path)
    found = DownloadedFile(store_path, result.etag, result.urls[-1], result.immutable_url)
    value = {
        "storePath": store_path.base,
        "etag": found.etag,
        "url": found.effective_url,
        "immutableUrl": found.immutable_url,
    }
    for place in result.urls:
        context.cache.put(domain, {**key, "url": place}, value)
    return found


def _file_from_cache(entry: CacheEntry | None, context: FetchContext) -> DownloadedFile | None:
    if entry is None:
        return None
    from frazil.store.path import StorePath

    value = entry.value
    try:
        path = StorePath.from_base(value["storePath"])
        found = DownloadedFile(path, value["etag"], value["url"], value.get("immutableUrl"))
    except (KeyError, TypeError, FetchError):
        return None
    context.store.add_temporary_root(path)
    return found if context.store.is_valid(path) else None
