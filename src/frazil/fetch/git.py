"""Fetching `git` inputs: a local work tree as it is (tracked files only), or a commit of any repository.

In: the attributes of a `git` input. Out: `FetchedTree`. Source of truth: `fetchGit`'s reference and the `git` section
of the flake reference chapter. Remote repositories are kept as bare clones in the cache folder.
"""

from __future__ import annotations

import os

from frazil.fetch import attributes as attr
from frazil.fetch.attributes import NULL_REVISION, InputAttributes
from frazil.fetch.errors import FetchError, GitError
from frazil.fetch.git_index import MODE_GITLINK
from frazil.fetch.git_repository import Repository
from frazil.fetch.git_scheme import GitScheme, public_keys
from frazil.fetch.git_worktree import WorkTree, find_changes, is_staged, read_worktree
from frazil.fetch.scheme import FetchContext, FetchedTree
from frazil.fetch.tree import add_tree, find_cached_tree, find_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_SCHEME = GitScheme()


def fetch_git(attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    if attr.flag(attributes, "exportIgnore") and attr.flag(attributes, "submodules"):
        raise FetchError("exportIgnore and submodules are not supported together yet")
    revision = attr.revision(attributes)
    if revision is not None and len(revision) not in (40, 64):
        raise FetchError(f"Hash '{revision}' is not supported by Git. Supported types are sha1 and sha256.")
    directory = _SCHEME.source_path(attributes)
    if directory is not None and revision is None and "ref" not in attributes:
        return _from_worktree(attributes, directory, context)
    from frazil.fetch.git_commit import fetch_commit

    return fetch_commit(attributes, directory, context)


def _from_worktree(attributes: InputAttributes, directory: str, context: FetchContext) -> FetchedTree:
    tree = read_worktree(directory)
    nested = _nested_worktrees(tree) if attr.flag(attributes, "submodules") else {}
    state, store_path = _worktree_state(attributes, tree, nested, context)
    dirty = bool(state["dirty"])
    if dirty:
        _refuse_or_warn(directory, context)
    if dirty or attr.flag(attributes, "verifyCommit") or public_keys(attributes):
        verify(attributes, None if dirty else tree.repository, tree.revision)
    result, lazy = _worktree_attributes(attributes, tree, dirty, context)
    result["lastModified"] = commit_time(tree.repository, tree.revision, context)
    result["narHash"] = str(state["narHash"])
    return FetchedTree(
        store_path, context.store.real_path(store_path), result, lazy, directory, lambda path: _explain(tree, path)
    )


def _refuse_or_warn(directory: str, context: FetchContext) -> None:
    if not context.settings.allow_dirty:
        raise FetchError(
            f"Git tree '{directory}' is dirty", hint="commit the changes, or allow them: --option allow-dirty true"
        )
    if context.settings.warn_dirty:
        context.warn(f"Git tree '{directory}' is dirty")


def _worktree_attributes(
    attributes: InputAttributes, tree: WorkTree, dirty: bool, context: FetchContext
) -> tuple[InputAttributes, Mapping[str, Callable[[], int]]]:
    result = dict(attributes)
    lazy: dict[str, Callable[[], int]] = {}
    if not dirty:
        if tree.reference is not None:
            result["ref"] = tree.reference
        result["rev"] = tree.revision or NULL_REVISION
        if not attr.flag(attributes, "shallow"):
            if tree.revision is None:
                result["revCount"] = 0
            else:
                lazy["revCount"] = revision_count(tree.repository, tree.revision, context)
    elif tree.revision is not None:
        result["dirtyRev"] = f"{tree.revision}-dirty"
        result["dirtyShortRev"] = f"{tree.revision[:7]}-dirty"
    return result, lazy


def _nested_worktrees(tree: WorkTree) -> dict[bytes, WorkTree]:
    """The work trees of the submodules listed in `.gitmodules`, at any depth, by path relative to `tree`."""
    from frazil.fetch.git_config import parse_submodules

    try:
        with open(os.path.join(tree.directory, ".gitmodules"), "rb") as file:
            modules = parse_submodules(file.read(4 << 20), os.path.join(tree.directory, ".gitmodules"))
    except OSError:
        return {}
    found: dict[bytes, WorkTree] = {}
    links = set(tree.submodules())
    for path in sorted(modules):
        name = os.fsencode(path)
        if name not in links:
            continue
        inner_directory = os.path.join(tree.directory, path)
        if not os.path.lexists(os.path.join(inner_directory, ".git")):
            raise GitError(
                f"submodule '{path}' of Git tree '{tree.directory}' is not checked out",
                hint=f"git -C {tree.directory} submodule update --init --recursive",
            )
        inner = read_worktree(inner_directory)
        found[name] = inner
        for below, nested in _nested_worktrees(inner).items():
            found[name + b"/" + below] = nested
    return found


def _worktree_state(
    attributes: InputAttributes, tree: WorkTree, nested: dict[bytes, WorkTree], context: FetchContext
) -> tuple[dict[str, Any], Any]:
    """Whether the tree is dirty and its NAR hash, and the store object: from the cache where nothing was touched."""
    name = attr.optional_text(attributes, "name") or "source"
    export = attr.flag(attributes, "exportIgnore")
    digests = [tree.digest, *(f"{os.fsdecode(p)}:{inner.digest}" for p, inner in sorted(nested.items()))]
    key = {"directory": os.path.realpath(tree.directory), "digests": digests, "exportIgnore": export}
    state = context.cache.get("git-worktree-2", key)
    if state is not None and isinstance(state.get("narHash"), str) and isinstance(state.get("dirty"), bool):
        found = find_tree(context, attr.parse_sri(state["narHash"]), name)
        if found is not None:
            return state, found
    dirty = _is_dirty(tree, context) or any(_is_nested_dirty(inner, tree, p) for p, inner in nested.items())
    store_path, hash_ = _add_worktree(tree, nested, export, name, context)
    state = {"dirty": dirty, "narHash": hash_.sri}
    if not any(t.racy or read_worktree(t.directory).digest != t.digest for t in (tree, *nested.values())):
        context.cache.put("git-worktree-2", key, state)
    return state, store_path


def _is_dirty(tree: WorkTree, context: FetchContext) -> bool:
    head_tree = None if tree.revision is None else tree.repository.commit(tree.revision).tree
    return is_staged(tree, head_tree) or bool(find_changes(tree))


def _is_nested_dirty(inner: WorkTree, outer: WorkTree, path: bytes) -> bool:
    """A submodule is dirty by its own measure; at another commit than recorded it is not, as in Nix."""
    head_tree = None if inner.revision is None else inner.repository.commit(inner.revision).tree
    return inner.revision is None or is_staged(inner, head_tree) or bool(find_changes(inner))


def _add_worktree(tree: WorkTree, nested: dict[bytes, WorkTree], export: bool, name: str, context: FetchContext) -> Any:
    files = tree.tracked()
    if export:
        from frazil.fetch.git_objects import export_ignored

        keep = export_ignored(tree.repository, None)
        files = {path for path in files if all(keep(part) for part in _with_parents(path))}
    directories = {parent for path in files for parent in _parents(path)}
    for prefix, inner in nested.items():
        directories.update(_with_parents(prefix))
        for path in inner.tracked():
            full = prefix + b"/" + path
            files.add(full)
            directories.update(_parents(full))
    skip = len(os.fsencode(tree.directory).rstrip(b"/")) + 1

    def keep_path(path: str, kind: str) -> bool:
        relative = os.fsencode(path)[skip:]
        return relative in directories if kind == "directory" else relative in files

    return add_tree(context, tree.directory.rstrip("/") or "/", name, filter=keep_path)


def _parents(path: bytes) -> list[bytes]:
    found = []
    position = path.rfind(b"/")
    while position > 0:
        found.append(path[:position])
        position = path.rfind(b"/", 0, position)
    return found


def _with_parents(path: bytes) -> list[bytes]:
    return [path, *_parents(path)]


def _explain(tree: WorkTree, path: str) -> str | None:
    """Why a path is not in the fetched tree although the work tree may have it."""
    path = path.strip("/")
    if not path:
        return None
    name = os.fsencode(path)
    tracked = tree.tracked()
    if name in tracked or any(p.startswith(name + b"/") for p in tracked):
        return None
    directory = tree.directory
    if not os.path.lexists(os.path.join(directory, path)):
        return None
    if any(e.mode == MODE_GITLINK and (name + b"/").startswith(e.path + b"/") for e in tree.index.entries):
        return f"'{path}' is in a submodule; add `submodules=1` to the reference, or `inputs.self.submodules = true;`"
    return (
        f"Path '{path}' in the repository '{directory}' is not tracked by Git.\n"
        f"To make it visible to Nix, run: git -C {directory} add -N {path}"
    )


def commit_time(repository: Repository, revision: str | None, context: FetchContext) -> int:
    """Seconds, of the committer; 0 where there is no commit."""
    if revision is None:
        return 0
    known = context.cache.get("git-commit-time", revision)
    if known is not None and isinstance(known.get("lastModified"), int):
        return int(known["lastModified"])
    time = repository.commit(revision).time
    context.cache.put("git-commit-time", revision, {"lastModified": time})
    return time


def revision_count(repository: Repository, revision: str, context: FetchContext) -> Callable[[], int]:
    def compute() -> int:
        known = context.cache.get("git-revision-count", revision)
        if known is not None and isinstance(known.get("revCount"), int) and not repository.is_shallow:
            return int(known["revCount"])
        count = repository.count_revisions(revision)
        context.cache.put("git-revision-count", revision, {"revCount": count})
        return count

    return compute


def verify(attributes: InputAttributes, repository: Repository | None, revision: str | None) -> None:
    """Checks the commit's signature where the input asks for that."""
    keys = public_keys(attributes)
    wanted = attr.flag(attributes, "verifyCommit") if "verifyCommit" in attributes else bool(keys)
    if not wanted:
        return
    if repository is None or revision is None:
        raise FetchError(
            f"commit verification is required for Git repository '{_SCHEME.to_url(attributes)}', but it's dirty"
        )
    from frazil.fetch.git_verify import verify_commit

    verify_commit(repository, revision, keys)


def cached_commit_tree(key: object, name: str, context: FetchContext) -> Any:
    return find_cached_tree(context, "git-tree", key, name)
