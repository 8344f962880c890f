"""Git LFS: pointers in a commit into the files they stand for.

In: a blob that is a pointer. Out: the file, from the repository's own LFS store or the server's batch interface, always
checked against the pointer's hash. Source of truth: the Git LFS specification (pointer file, batch API).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from frazil.digest import Hash
from frazil.fetch.download import download
from frazil.fetch.errors import FetchError
from frazil.fetch.git_objects import read_file
from frazil.fetch.git_repository import Repository
from frazil.fetch.prune import mark_used, prune_if_due
from frazil.fetch.scheme import FetchContext
from frazil.fetch.settings import cache_directory
from frazil.fetch.tree import write_atomically
from frazil.fetch.url import fix_git_url

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[a-z0-9.-]+ [^\n]*\n)*?"
    rb"oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,18})\n"
)


class Pointer(NamedTuple):
    oid: str
    size: int


def parse_pointer(data: bytes) -> Pointer | None:
    if len(data) > 1024:
        return None
    match = _POINTER.match(data)
    return Pointer(match.group(1).decode(), int(match.group(2))) if match else None


def make_smudge(repository: Repository, revision: str, context: FetchContext) -> Callable[[bytes, bytes], bytes]:
    """(path, blob) → what a checkout would hold; only paths with the attribute `filter=lfs` are touched."""
    import pygit2

    check = pygit2.enums.AttrCheck
    flags = check.INCLUDE_COMMIT | check.NO_SYSTEM

    def smudge(path: bytes, data: bytes) -> bytes:
        pointer = parse_pointer(data)
        if pointer is None:
            return data
        if repository.libgit2.get_attr(os.fsdecode(path), "filter", flags, revision) != "lfs":
            return data
        return _read_object(repository, revision, os.fsdecode(path), pointer, context)

    return smudge


def _read_object(repository: Repository, revision: str, path: str, pointer: Pointer, context: FetchContext) -> bytes:
    oid = pointer.oid
    relative = f"{oid[:2]}/{oid[2:4]}/{oid}"
    kept = os.path.join(cache_directory(context.settings), "git-lfs", relative)
    for place in (os.path.join(repository.common_directory, "lfs/objects", relative), kept):
        data = _read_checked(place, pointer)
        if data is not None:
            if place == kept:
                mark_used(kept)
            return data
    try:
        _download_object(_server(repository, revision), pointer, kept, context)
    except FetchError as error:
        raise FetchError(f"while smudging git-lfs file '{path}': {error.message}", hint=error.hint) from error
    data = _read_checked(kept, pointer)
    if data is None:
        raise FetchError(f"while smudging git-lfs file '{path}': what came has not the hash {oid}")
    return data


def _read_checked(path: str, pointer: Pointer) -> bytes | None:
    try:
        with open(path, "rb") as file:
            data = file.read(pointer.size + 1)
    except OSError:
        return None
    return data if len(data) == pointer.size and Hash.of("sha256", data).base16 == pointer.oid else None


def _server(repository: Repository, revision: str) -> str:
    """The LFS address: `lfs.url` of `.lfsconfig` or the repository, else made from the remote's."""
    from frazil.fetch.git_config import parse_config

    data = read_file(repository, repository.commit(revision).tree, b".lfsconfig")
    settings = {**dict(parse_config(data, ".lfsconfig") if data else []), **repository.config}
    if settings.get("lfs.url"):
        return settings["lfs.url"].rstrip("/")
    remote = settings.get("remote.origin.url")
    url = fix_git_url(remote) if remote else None
    if url is None or url.scheme not in ("http", "https", "ssh"):
        raise FetchError(
            "the file is not in the repository's own LFS store, and no LFS server is known",
            hint="run `git lfs fetch` in the repository, or set lfs.url",
        )
    base = str(url.with_scheme("https" if url.scheme == "ssh" else url.scheme)).rstrip("/")
    return f"{base if base.endswith('.git') else base + '.git'}/info/lfs"


def _download_object(server: str, pointer: Pointer, destination: str, context: FetchContext) -> None:
    action = _ask_server(server, pointer, context)
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    temporary = f"{destination}.{os.getpid()}"
    headers = {str(name): str(value) for name, value in (action.get("header") or {}).items()}
    try:
        download(
            str(action["href"]),
            temporary,
            context.settings,
            context.reporter,
            headers=headers,
            maximum=pointer.size,
        )
        with open(temporary, "rb") as file:
            write_atomically(destination, file.read())
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    prune_if_due(context.settings)


def _ask_server(server: str, pointer: Pointer, context: FetchContext) -> dict[str, Any]:
    """The download action of the batch interface."""
    import httpx

    from frazil.fetch.download import make_client
    from frazil.fetch.json_text import parse_json

    if context.settings.offline:
        raise FetchError("--offline forbids to ask the LFS server")
    kind = "application/vnd.git-lfs+json"
    body = {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": pointer.oid, "size": pointer.size}],
        "hash_algo": "sha256",
    }
    try:
        with make_client(context.settings, context.reporter) as client:
            answer = client.post(
                f"{server}/objects/batch", json=body, headers={"Accept": kind, "Content-Type": kind}
            ).raise_for_status()
            found = parse_json(answer.content)["objects"][0]
            if "error" in found:
                raise FetchError(f"the LFS server says: {found['error'].get('message', 'error')}")
            action = found["actions"]["download"]
            if not isinstance(action, dict) or not str(action.get("href", "")).startswith(("http://", "https://")):
                raise FetchError("unexpected answer of the LFS server")
            return action
    except httpx.HTTPError as error:
        raise FetchError(f"the LFS server '{server}' does not answer: {error}") from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise FetchError(f"unexpected answer of the LFS server '{server}'") from error
