"""Trees into the store: copying directories, and knowing them again without reading them.

In: a directory, a filter, and a stamp of its state. Out: the store object `HASH-source` and its NAR hash. An unchanged
tree is known by the stamps of its files (mode, size, times, inode), never by its path alone.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.digest import Hash
from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes
from frazil.fetch.errors import FetchError
from frazil.fetch.scheme import FetchContext, FetchedTree
from frazil.fetch.settings import cache_directory
from frazil.store.errors import BadStorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.path import StorePath

_RACY_FINE, _RACY_COARSE = 60_000_000, 2_000_000_000
"""Nanoseconds: a file changed so recently may change again without another time stamp, and what is known of it is not
kept. Coarse file systems, whose times are whole seconds, need longer."""


def find_tree(context: FetchContext, nar_hash: Hash, name: str = "source") -> StorePath | None:
    """The store object with this NAR hash, kept from the garbage collector, if the store has it."""
    store = context.store
    path = store.directory.make_fixed_output_path("nar", nar_hash, name)
    store.add_temporary_root(path)
    if store.is_valid(path):
        return path
    kept = _kept_tree(context, path)
    if store.compute_only and os.path.lexists(kept):
        from frazil.fetch.prune import mark_used

        mark_used(kept)
        if store.add_path(name, kept) == path:
            return path
    return None


def _kept_tree(context: FetchContext, path: StorePath) -> str:
    """Where the contents of a store object are kept for a store that only computes."""
    return os.path.join(cache_directory(context.settings), "trees", path.base)


def _add_kept(
    context: FetchContext, directory: str, name: str, filter: Callable[[str, str], bool] | None
) -> tuple[StorePath, Hash]:
    """A store that only computes remembers where contents lie: they are copied to a place that stays."""
    from frazil.fetch.prune import mark_used, prune_if_due
    from frazil.store import nar

    store = context.store
    path, hash_ = store.compute_path(name, directory, filter=filter)
    kept = _kept_tree(context, path)
    if not os.path.lexists(kept):
        os.makedirs(os.path.dirname(kept), exist_ok=True)
        with temporary_directory(context, os.path.dirname(kept)) as scratch:
            archive, target = os.path.join(scratch, "nar"), os.path.join(scratch, "tree")
            with open(archive, "w+b") as file:
                nar.dump_path(directory, file.write, filter=filter)
                file.seek(0)
                nar.restore(file.read, target)
            with contextlib.suppress(OSError):  # another process may have been first
                os.rename(target, kept)
    mark_used(kept)
    prune_if_due(context.settings)
    return store.add_path(name, kept), hash_


def find_cached_tree(context: FetchContext, domain: str, key: object, name: str) -> tuple[StorePath, Hash] | None:
    """What the cache says about `key`, where the store still has it."""
    value = context.cache.get(domain, key)
    if value is None or not isinstance(value.get("narHash"), str):
        return None
    hash_ = Hash.parse(value["narHash"])
    path = find_tree(context, hash_, name)
    return None if path is None else (path, hash_)


def add_tree(
    context: FetchContext,
    directory: str,
    name: str = "source",
    *,
    filter: Callable[[str, str], bool] | None = None,
    shown: str | None = None,
    scratch: bool = False,
) -> tuple[StorePath, Hash]:
    """Copies a directory or file into the store and says its NAR hash. `scratch`: the source will not stay."""
    if context.store.compute_only and (scratch or filter is not None):
        return _add_kept(context, directory, name, filter)
    text = f"copying '{shown or directory}' to the store"
    with Activity(context.reporter, ActivityType.UNKNOWN, text, level=Verbosity.TALKATIVE):
        path = context.store.add_path(name, directory, method="nar", algorithm="sha256", filter=filter)
        return path, context.store.query_info(path).nar_hash


def add_directory(attributes: InputAttributes, path: str, context: FetchContext) -> FetchedTree:
    """A `path:` input: what is a source tree in the store already is taken as it is."""
    result = dict(attributes)
    stored = _stored_source(path, context)
    if stored is not None:
        modified = 0
        store_path, hash_ = stored, context.store.query_info(stored).nar_hash
    else:
        store_path, hash_, modified = _copy_directory(path, context)
    result.setdefault("lastModified", modified)
    result["narHash"] = hash_.sri
    return FetchedTree(store_path, context.store.real_path(store_path), result, source_directory=path)


def _stored_source(path: str, context: FetchContext) -> StorePath | None:
    store = context.store
    if os.path.dirname(path) != store.directory.path:
        return None
    try:
        store_path = store.directory.parse(path)
    except BadStorePath:
        return None
    store.add_temporary_root(store_path)
    return store_path if store_path.name == "source" and store.is_valid(store_path) else None


def _copy_directory(path: str, context: FetchContext) -> tuple[StorePath, Hash, int]:
    path = _readable(path, context)
    stamp, modified, racy = stamp_directory(path)
    key = {"path": path, "stamp": stamp}
    found = find_cached_tree(context, "path-tree", key, "source")
    if found is None:
        found = add_tree(context, path)
        if not racy and stamp_directory(path)[0] == stamp:
            context.cache.put("path-tree", key, {"narHash": found[1].sri})
    return (*found, modified)


def add_filtered_directory(
    path: str, keep: Callable[[str, str], bool], domain: str, context: FetchContext
) -> tuple[StorePath, Hash]:
    """As for a `path:` input, of what `keep` (full path, kind) lets through; unchanged, it is not read again."""
    stamp, _, racy = stamp_directory(path, keep)
    key = {"path": path, "stamp": stamp}
    found = find_cached_tree(context, domain, key, "source")
    if found is None:
        found = add_tree(context, path, filter=keep)
        if not racy:
            context.cache.put(domain, key, {"narHash": found[1].sri})
    return found


def _readable(path: str, context: FetchContext) -> str:
    """Where the path is in the file system: a logical store path is looked for in the physical store."""
    if not os.path.lexists(path) and context.store.directory.is_inside(path):
        store_path, rest = context.store.directory.split(path)
        return context.store.real_path(store_path) + rest
    if not os.path.lexists(path):
        raise FetchError(f"path '{path}' does not exist")
    return path


def stamp_directory(path: str, keep: Callable[[str, str], bool] | None = None) -> tuple[str, int, bool]:
    """A digest of the stamps of everything (that `keep` wants) at and below a path, the newest modification time in
    seconds, and whether something changed too recently for the digest to be relied on later."""
    from frazil.digest import new

    state = new("sha256")
    newest = modified = 0
    for relative, status in _walk(path, keep):
        state.update(os.fsencode(relative))
        state.update(stamp_of(status))
        newest = max(newest, status.st_mtime_ns, status.st_ctime_ns)
        modified = max(modified, int(status.st_mtime))
    return state.hexdigest(), modified, is_racy(newest)


def is_racy(newest_nanoseconds: int) -> bool:
    import time

    margin = _RACY_FINE if newest_nanoseconds % 1_000_000_000 else _RACY_COARSE
    return newest_nanoseconds > time.time_ns() - margin


def stamp_of(status: os.stat_result) -> bytes:
    return (
        b"\0%o,%d,%d,%d,%d\0"  # mode, size, modification, status change, inode
        % (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    )


def _walk(path: str, keep: Callable[[str, str], bool] | None) -> Iterator[tuple[str, os.stat_result]]:
    """Everything at and below a path, in a fixed order, links not followed."""
    try:
        status = os.lstat(path)
        yield "", status
        if not stat.S_ISDIR(status.st_mode):
            return
        pending = [""]
        while pending:
            relative = pending.pop()
            with os.scandir(f"{path}/{relative}") as entries:
                found = sorted([(entry.name, entry.stat(follow_symlinks=False)) for entry in entries])
            for name, status in found:
                inner = f"{relative}/{name}"
                if keep is not None and not keep(path + inner, "directory" if stat.S_ISDIR(status.st_mode) else ""):
                    continue
                yield inner, status
                if stat.S_ISDIR(status.st_mode):
                    pending.append(inner)
    except OSError as error:
        raise FetchError(f"reading '{error.filename or path}': {error.strerror}") from error


@contextlib.contextmanager
def temporary_directory(context: FetchContext, base: str | None = None) -> Iterator[str]:
    """A fresh folder for unpacking, gone afterwards whatever permissions its contents have."""
    import tempfile

    directory = tempfile.mkdtemp(prefix="frazil-fetch-", dir=base or os.environ.get("TMPDIR") or None)
    try:
        yield directory
    finally:
        remove_tree(directory)


def remove_tree(path: str) -> None:
    """Deletes a folder, also where it holds folders without write permission."""
    import shutil

    def retry(function: Callable[[str], object], name: str, _: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(name), 0o700)
            os.chmod(name, 0o700)
            function(name) if function is not os.scandir else shutil.rmtree(name, ignore_errors=True)

    shutil.rmtree(path, onerror=retry)


def write_atomically(path: str, contents: bytes) -> None:
    """Replaces or makes a file: readers see the old or the new contents, never a part."""
    directory = os.path.dirname(path)
    temporary = f"{path}.tmp-{os.getpid()}"
    try:
        os.makedirs(directory, exist_ok=True)
        target = os.path.realpath(path) if os.path.islink(path) else path
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # of a process that was killed, or a link put there by somebody else
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o666), "wb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(OSError):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise FetchError(f"writing '{path}': {error.strerror}") from error


def copy_out(tree: FetchedTree, destination: str) -> None:
    """A writable copy of a fetched tree, for `clone`."""
    import shutil

    try:
        shutil.copytree(tree.real_path, destination, symlinks=True, copy_function=shutil.copyfile)
        for folder, _, files in os.walk(destination):
            os.chmod(folder, 0o755)
            source = os.path.join(tree.real_path, os.path.relpath(folder, destination))
            for name in files:
                inner = os.path.join(folder, name)
                if not os.path.islink(inner):
                    executable = os.stat(os.path.join(source, name)).st_mode & 0o100
                    os.chmod(inner, 0o755 if executable else 0o644)
    except OSError as error:
        raise FetchError(f"copying to '{destination}': {error.strerror}") from error


def locked_attributes(attributes: InputAttributes, hash_: Hash, modified: int | None) -> InputAttributes:
    """With `narHash`, and `lastModified` unless the caller has set it."""
    result = dict(attributes)
    if modified is not None and attr.optional_integer(attributes, "lastModified") is None:
        result["lastModified"] = modified
    result["narHash"] = hash_.sri
    return result
