"""Fetching a commit of a git repository, local or remote, with submodules and LFS files where asked.

In: the attributes of a `git` input with `ref`, `rev` or a remote `url`. Out: `FetchedTree`.
"""

from __future__ import annotations

import contextlib
import os

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.digest import Hash
from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes
from frazil.fetch.errors import FetchError, GitError
from frazil.fetch.git import cached_commit_tree, commit_time, revision_count, verify
from frazil.fetch.git_objects import Budget
from frazil.fetch.git_program import read_remote_head, run_git
from frazil.fetch.git_repository import Repository
from frazil.fetch.git_scheme import GitScheme
from frazil.fetch.locks import locked, make_cache_folder
from frazil.fetch.scheme import FetchContext, FetchedTree
from frazil.fetch.settings import shared_cache_directory
from frazil.fetch.tree import add_tree, temporary_directory
from frazil.fetch.url import parse_url

_SCHEME = GitScheme()
_MAXIMUM_SUBMODULE_DEPTH = 50


def fetch_commit(attributes: InputAttributes, directory: str | None, context: FetchContext) -> FetchedTree:
    result = dict(attributes)
    repository = find_commit(result, directory, context)
    revision = attr.text(result, "rev")
    if attr.optional_integer(result, "lastModified") is None:
        result["lastModified"] = commit_time(repository, revision, context)
    lazy = {}
    if not attr.flag(result, "shallow") and "revCount" not in result:
        lazy["revCount"] = revision_count(repository, revision, context)
    verify(result, repository, revision)
    key = {
        "rev": revision,
        "submodules": attr.flag(result, "submodules"),
        "exportIgnore": attr.flag(result, "exportIgnore"),
        "lfs": attr.flag(result, "lfs"),
    }
    name = attr.optional_text(result, "name") or "source"
    found = cached_commit_tree(key, name, context)
    if found is None:
        with temporary_directory(context) as scratch:
            target = os.path.join(scratch, "source")
            os.mkdir(target)
            budget = Budget(context.settings.maximum_unpacked)
            write_commit(repository, revision, result, target, context, budget)
            found = add_tree(context, target, name, shown=str(_SCHEME.to_url(result)), scratch=True)
        context.cache.put("git-tree", key, {"narHash": found[1].sri})
    store_path, hash_ = found
    result["narHash"] = hash_.sri
    return FetchedTree(store_path, context.store.real_path(store_path), result, lazy)


def find_commit(attributes: InputAttributes, directory: str | None, context: FetchContext) -> Repository:
    """The repository that has the commit; `ref` and `rev` are filled in."""
    revision = attr.revision(attributes)
    if revision is not None:
        attributes["rev"] = revision
    if directory is not None:
        return _find_local(attributes, directory, context)
    return _find_remote(attributes, context)


def _warn_no_head(place: str, context: FetchContext) -> str:
    context.warn(f"could not read HEAD ref from repo at '{place}', using 'master'")
    return "master"


def _find_local(attributes: InputAttributes, directory: str, context: FetchContext) -> Repository:
    repository = Repository(directory)
    if "ref" not in attributes:
        attributes["ref"] = repository.head()[0] or _warn_no_head(directory, context)
    if "rev" not in attributes:
        attributes["rev"] = repository.resolve(attr.text(attributes, "ref"))
    return repository


def _find_remote(attributes: InputAttributes, context: FetchContext) -> Repository:
    url = parse_url(attr.text(attributes, "url")).without("dir")
    if url.scheme == "file":
        url = url.with_query({})
    place = str(url)
    shallow = attr.flag(attributes, "shallow")
    directory = clone_directory(place, shallow, context)
    make_cache_folder(os.path.dirname(directory))
    with locked(directory, context):
        _prepare_clone(directory, place)
        explicit = "ref" in attributes
        if not explicit:
            attributes["ref"] = _remote_head(directory, place, context) or _warn_no_head(place, context)
        if _is_fetch_needed(attributes, directory, context):
            _fetch(attributes, directory, place, context, remember_head=not explicit)
        repository = Repository(directory)
        _require_commit(attributes, repository, place)
    return repository


def clone_directory(place: str, shallow: bool, context: FetchContext) -> str:
    name = Hash.of("sha256", place.encode("utf-8", "surrogateescape")).base32 + ("-shallow" if shallow else "")
    return os.path.join(shared_cache_directory(context.settings), "gitv3", name)


def _prepare_clone(directory: str, place: str) -> None:
    """An empty bare repository, made aside so that it appears whole."""
    if os.path.exists(os.path.join(directory, "HEAD")):
        return
    import shutil
    import tempfile

    shutil.rmtree(directory, ignore_errors=True)
    scratch = tempfile.mkdtemp(prefix="new-", dir=os.path.dirname(directory))
    try:
        run_git(["init", "-q", "--bare", scratch])
        run_git(["config", "remote.origin.url", place], directory=scratch)
        os.rename(scratch, directory)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _is_fresh(path: str, context: FetchContext) -> bool:
    import time

    if context.settings.offline:
        return os.path.exists(path)
    ttl = 0 if context.settings.refresh else context.settings.tarball_ttl
    try:
        return os.stat(path).st_mtime + ttl > time.time()
    except OSError:
        return False


def _remote_head(directory: str, place: str, context: FetchContext) -> str | None:
    """What HEAD is on the remote: as remembered, while that is fresh, or where the remote cannot be asked."""
    reference, revision = Repository(directory).head()
    remembered = reference if revision is not None else None
    if remembered is not None and _is_fresh(os.path.join(directory, "HEAD"), context):
        return remembered
    found = None if context.settings.offline else read_remote_head(place)
    if found is None and remembered is not None:
        context.warn(
            f"could not get HEAD ref for repository '{place}'; using expired cached ref '{remembered}'",
        )
        return remembered
    return found


def _reference_file(directory: str, reference: str) -> str:
    return os.path.join(directory, reference if reference.startswith("refs/") else f"refs/heads/{reference}")


def _is_fetch_needed(attributes: InputAttributes, directory: str, context: FetchContext) -> bool:
    revision = attr.revision(attributes)
    if revision is not None:
        return not Repository(directory).has_object(revision)
    if attr.flag(attributes, "allRefs"):
        return True
    return not _is_fresh(_reference_file(directory, attr.text(attributes, "ref")), context)


def _refspec(attributes: InputAttributes) -> str:
    reference = attr.text(attributes, "ref")
    if attr.flag(attributes, "allRefs"):
        return "refs/*:refs/*"
    if "rev" in attributes:
        return attr.text(attributes, "rev")
    if reference.startswith("refs/"):
        return f"{reference}:{reference}"
    return "HEAD:HEAD" if reference == "HEAD" else f"refs/heads/{reference}:refs/heads/{reference}"


def _fetch(
    attributes: InputAttributes, directory: str, place: str, context: FetchContext, *, remember_head: bool
) -> None:
    reference = attr.text(attributes, "ref")
    local = _reference_file(directory, reference)
    try:
        _run_fetch(attributes, directory, place, context)
    except GitError as error:
        if not os.path.exists(local):
            raise
        context.warn(error.message)
        context.warn(
            f"could not update local clone of Git repository '{place}'; continuing with the most recent version"
        )
    if "rev" not in attributes:
        with contextlib.suppress(OSError):
            os.utime(local)
    if remember_head and reference.startswith("refs/"):
        try:
            run_git(["symbolic-ref", "--", "HEAD", reference], directory=directory)
        except GitError:
            context.warn(f"could not update cached head '{reference}' for '{place}'")


def _run_fetch(attributes: InputAttributes, directory: str, place: str, context: FetchContext) -> None:
    if context.settings.offline:
        raise GitError(f"Git repository '{place}' is not in the cache, and --offline forbids to fetch it")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, "shallow.lock"))
    depth = ["--depth", "1"] if attr.flag(attributes, "shallow") else []
    text = f"fetching Git repository '{place}'"
    with Activity(context.reporter, ActivityType.FETCH_TREE, text, level=Verbosity.TALKATIVE):
        try:
            run_git(
                ["fetch", "--quiet", "--force", *depth, "--", place, _refspec(attributes)],
                directory=directory,
                interactive=True,
            )
        except GitError as error:
            raise GitError(f"Failed to fetch git repository '{place}': {error.message}", hint=_hint(error)) from error


def _hint(error: GitError) -> str | None:
    if "couldn't find remote ref" in error.message:
        return "`ref` is a branch; a tag is written as `ref=refs/tags/NAME`"
    if "transport 'file' not allowed" in error.message:
        return "git forbids this transport; see `protocol.file.allow` in git-config(1)"
    return error.hint


def _require_commit(attributes: InputAttributes, repository: Repository, place: str) -> None:
    reference, revision = attr.text(attributes, "ref"), attr.revision(attributes)
    if revision is None:
        attributes["rev"] = repository.resolve(reference)
    elif not repository.has_object(revision):
        raise FetchError(
            f"Cannot find Git revision '{revision}' in ref '{reference}' of repository '{place}'! Please make sure "
            "that the rev exists on the ref you've specified or add allRefs = true; to fetchGit."
        )


def write_commit(
    repository: Repository,
    revision: str,
    attributes: InputAttributes,
    destination: str,
    context: FetchContext,
    budget: Budget,
    depth: int = 0,
) -> None:
    """The files of a commit into an empty folder, submodules and LFS files as the attributes ask."""
    from frazil.fetch.git_objects import export_ignored, write_out

    if depth > _MAXIMUM_SUBMODULE_DEPTH:
        raise GitError(f"submodules of '{repository.directory}' are nested too deeply")
    tree = repository.commit(revision).tree
    keep = export_ignored(repository, revision) if attr.flag(attributes, "exportIgnore") else None
    smudge = None
    if attr.flag(attributes, "lfs"):
        from frazil.fetch.git_lfs import make_smudge

        smudge = make_smudge(repository, revision, context)
    links = write_out(repository, tree, destination, budget, keep=keep, smudge=smudge)
    if not attr.flag(attributes, "submodules") or not links:
        return
    modules = _submodules(repository, tree)
    for link in links:
        module = modules.get(os.fsdecode(link.path))
        if module is not None and "url" in module:
            inner = _submodule_attributes(repository, module, link.oid, attributes)
            target = os.path.join(destination, os.fsdecode(link.path))
            inner_repository = find_commit(inner, _SCHEME.source_path(inner), context)
            write_commit(inner_repository, attr.text(inner, "rev"), inner, target, context, budget, depth + 1)


def _submodules(repository: Repository, tree: str) -> dict[str, dict[str, str]]:
    from frazil.fetch.git_config import parse_submodules
    from frazil.fetch.git_objects import read_file

    data = read_file(repository, tree, b".gitmodules")
    return {} if data is None else parse_submodules(data, f"{repository.directory}: .gitmodules")


def _submodule_attributes(
    repository: Repository, module: dict[str, str], revision: str, outer: InputAttributes
) -> InputAttributes:
    attributes: InputAttributes = {
        "type": "git",
        "url": resolve_submodule_url(repository, module["url"]),
        "rev": revision,
        "submodules": True,
        "lfs": attr.flag(outer, "lfs"),
        "allRefs": True,
    }
    branch = module.get("branch", "")
    if branch:
        attributes["ref"] = attr.text(outer, "ref") if branch == "." else branch
    return _SCHEME.check(attributes)


def resolve_submodule_url(repository: Repository, url: str) -> str:
    """`./x` and `../x` are relative to the default remote, or to the repository where there is none."""
    if not url.startswith(("./", "../")):
        return url
    base = repository.config.get("remote.origin.url") or repository.directory
    base = base.rstrip("/")
    while True:
        if url.startswith("./"):
            url = url[2:]
        elif url.startswith("../"):
            url = url[3:]
            cut = max(base.rfind("/"), base.rfind(":"))
            if cut < 0:
                raise GitError(f"cannot resolve submodule URL relative to '{repository.directory}'")
            base = base[:cut]
        else:
            break
    return f"{base}/{url}".rstrip("/")
