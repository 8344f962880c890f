"""Fetching `hg` inputs by the Mercurial program, where there is one.

In: the attributes of an `hg` input. Out: `FetchedTree`. Source of truth: `fetchMercurial`'s reference. Remote
repositories are kept as clones in the cache folder.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.digest import Hash
from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes, is_revision
from frazil.fetch.errors import FetchError
from frazil.fetch.locks import locked, make_cache_folder
from frazil.fetch.scheme import FetchContext, FetchedTree
from frazil.fetch.settings import shared_cache_directory
from frazil.fetch.tree import add_tree, find_cached_tree, temporary_directory, write_atomically
from frazil.fetch.url import parse_url, url_path_to_path

if TYPE_CHECKING:
    from frazil.store.path import StorePath


class MercurialError(FetchError):
    """The Mercurial program failed, or is missing."""


def run_hg(arguments: list[str]) -> bytes:
    """Standard output. Raises MercurialError with Mercurial's own words."""
    import subprocess

    try:
        done = subprocess.run(
            ["hg", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "HGPLAIN": ""},
            check=False,
        )
    except FileNotFoundError as error:
        raise MercurialError("executing 'hg': no such program", hint="install Mercurial") from error
    if done.returncode != 0:
        words = os.fsdecode(done.stderr).strip()
        raise MercurialError(f"'hg {arguments[0]}' failed: {words or f'exit status {done.returncode}'}")
    return done.stdout


def put_file(directory: str, path: str, contents: bytes, message: str | None) -> None:
    full = os.path.join(directory, path)
    write_atomically(full, contents)
    run_hg(["add", "--", full])
    if message is not None:
        run_hg(["commit", "-m", message, "--", full])


def fetch_mercurial(attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    url = parse_url(attr.text(attributes, "url"))
    name = attr.optional_text(attributes, "name") or "source"
    result = dict(attributes)
    local = url_path_to_path(url.path) if url.scheme == "file" else None
    if local is not None and "ref" not in attributes and "rev" not in attributes and _is_dirty(local):
        store_path, hash_ = _add_dirty(local, name, result, context)
    else:
        store_path, hash_ = _add_commit(local or str(url), name, result, context)
    result["narHash"] = hash_.sri
    return FetchedTree(store_path, context.store.real_path(store_path), result, source_directory=local)


def _is_dirty(directory: str) -> bool:
    if not os.path.lexists(os.path.join(directory, ".hg")):
        return False
    return bool(run_hg(["status", "-R", directory, "--modified", "--added", "--removed"]))


def _add_dirty(directory: str, name: str, result: InputAttributes, context: FetchContext) -> tuple[StorePath, Hash]:
    """All tracked files as they are in the work tree."""
    if not context.settings.allow_dirty:
        raise FetchError(f"Mercurial tree '{directory}' is unclean")
    if context.settings.warn_dirty:
        context.warn(f"Mercurial tree '{directory}' is unclean")
    result["ref"] = os.fsdecode(run_hg(["branch", "-R", directory])).strip()
    listing = run_hg(["status", "-R", directory, "--clean", "--modified", "--added", "--no-status", "--print0"])
    files = {path for path in listing.split(b"\0") if path}
    directories = {path[:at] for path in files for at, byte in enumerate(path) if byte == 0x2F}
    skip = len(os.fsencode(directory).rstrip(b"/")) + 1

    def keep(path: str, kind: str) -> bool:
        relative = os.fsencode(path)[skip:]
        return relative in directories if kind == "directory" else relative in files

    return add_tree(context, directory.rstrip("/"), name, filter=keep)


def _add_commit(place: str, name: str, result: InputAttributes, context: FetchContext) -> tuple[StorePath, Hash]:
    asked = attr.revision(result)
    result.setdefault("ref", "default")
    moving = None if asked is not None else [place, attr.text(result, "ref")]
    if moving is not None:
        entry = context.cache.lookup("hg-reference", moving)
        if entry is not None and not entry.expired and is_revision(str(entry.value.get("rev"))):
            asked = str(entry.value["rev"])
    if asked is not None:
        known = context.cache.get("hg-revision", [place, asked])
        found = find_cached_tree(context, "hg-tree", [asked, name], name)
        if known is not None and found is not None and isinstance(known.get("revCount"), int):
            result.update(revCount=known["revCount"], ref=str(known["ref"]), rev=asked)
            return found
    clone = os.path.join(shared_cache_directory(context.settings), "hg", Hash.of("sha256", os.fsencode(place)).base32)
    make_cache_folder(os.path.dirname(clone))
    with locked(clone, context):
        _update_clone(place, clone, asked, context)
        wanted = asked or attr.text(result, "ref")
        fields = (
            run_hg(["log", "-R", clone, "-r", wanted, "--template", "{node} {rev} {branch}"]).strip().split(b" ", 2)
        )
        revision = os.fsdecode(fields[0])
        if len(fields) != 3 or not is_revision(revision) or not fields[1].isdigit():
            raise MercurialError(f"unexpected answer of Mercurial about '{place}'")
        result.update(rev=revision, revCount=int(fields[1]), ref=os.fsdecode(fields[2]))
        found = find_cached_tree(context, "hg-tree", [revision, name], name)
        if found is None:
            with temporary_directory(context) as scratch:
                target = os.path.join(scratch, "source")
                run_hg(["archive", "-R", clone, "-r", revision, "--", target])
                os.unlink(os.path.join(target, ".hg_archival.txt"))
                found = add_tree(context, target, name, shown=place, scratch=True)
    if moving is not None:
        context.cache.put("hg-reference", moving, {"rev": revision})
    context.cache.put("hg-tree", [revision, name], {"narHash": found[1].sri})
    context.cache.put("hg-revision", [place, revision], {"revCount": result["revCount"], "ref": result["ref"]})
    return found


def _update_clone(place: str, clone: str, revision: str | None, context: FetchContext) -> None:
    if revision is not None and os.path.isdir(clone):
        try:
            if run_hg(["log", "-R", clone, "-r", revision, "--template", "1"]) == b"1":
                return
        except MercurialError:
            pass
    text = f"fetching Mercurial repository '{place}'"
    with Activity(context.reporter, ActivityType.FETCH_TREE, text, level=Verbosity.TALKATIVE):
        if not os.path.isdir(clone):
            run_hg(["clone", "--noupdate", "--", place, clone])
            return
        try:
            run_hg(["pull", "-R", clone, "--", place])
        except MercurialError:
            if not os.path.exists(os.path.join(clone, ".hg/store/journal")):
                raise
            run_hg(["recover", "-R", clone])
            run_hg(["pull", "-R", clone, "--", place])
