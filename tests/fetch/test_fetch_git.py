from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frazil.fetch.errors import FetchError, GitError, HashMismatch
from frazil.fetch.inputs import fetch_tree, put_file, url_to_attributes
from frazil.store import nar
from frazil.store.errors import DiskFull

if TYPE_CHECKING:
    from conftest import Fetcher, GitFolder

    Make = Callable[[str], GitFolder]


def listing(path: str) -> set[str]:
    found = set()
    for folder, directories, files in os.walk(path):
        base = os.path.relpath(folder, path)
        found |= {os.path.normpath(os.path.join(base, name)) for name in [*directories, *files]}
    return found


def test_clean_tree(fetcher: Fetcher, repository: GitFolder) -> None:
    revision = repository.git("rev-parse", "HEAD").strip()
    repository.write("untracked")
    tree = fetcher.fetch(repository.url)
    assert tree.attributes == {
        "type": "git",
        "url": f"file://{repository.path}",
        "ref": "refs/heads/main",
        "rev": revision,
        "lastModified": 1700000001,
        "narHash": nar.hash_path(tree.real_path)[0].sri,
    }
    assert tree.complete()["revCount"] == 1
    assert listing(tree.real_path) == {"a", "run.sh", "link", "dir", "dir/deep", "dir/deep/f"}
    assert os.access(os.path.join(tree.real_path, "run.sh"), os.X_OK)
    assert tree.source_directory == str(repository.path)
    assert fetcher.reporter.lines == []


def test_same_tree_by_commit_and_by_work_tree(fetcher: Fetcher, repository: GitFolder) -> None:
    by_commit = fetcher.fetch(f"{repository.url}?ref=main")
    assert fetcher.fetch(repository.url).store_path == by_commit.store_path
    assert by_commit.attributes["ref"] == "main"
    assert by_commit.source_directory is None


def test_name(fetcher: Fetcher, repository: GitFolder) -> None:
    for extra in ({}, {"ref": "main"}):
        for _ in range(2):
            tree = fetcher.fetch({"type": "git", "url": f"file://{repository.path}", "name": "foo", **extra})
            assert tree.store_path.name == "foo"


def test_dirty_tree(fetcher: Fetcher, repository: GitFolder) -> None:
    revision = repository.git("rev-parse", "HEAD").strip()
    repository.write("a", "changed\n")
    repository.write("new", "new\n")
    repository.git("add", "-N", "new")
    (repository.path / "dir/deep/f").unlink()
    tree = fetcher.fetch(repository.url)
    assert "rev" not in tree.attributes and "ref" not in tree.attributes and not tree.lazy
    assert tree.attributes["dirtyRev"] == f"{revision}-dirty"
    assert tree.attributes["dirtyShortRev"] == f"{revision[:7]}-dirty"
    assert tree.attributes["lastModified"] == 1700000001
    assert listing(tree.real_path) == {"a", "run.sh", "link", "new"}
    assert fetcher.reporter.lines == [f"warning: Git tree '{repository.path}' is dirty"]


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.write("a", "b\n"),
        lambda r: (r.path / "a").chmod(0o755),
        lambda r: (r.path / "a").unlink(),
        lambda r: r.git("rm", "-q", "--cached", "a"),
        lambda r: (r.write("n"), r.git("add", "n")),
        lambda r: ((r.path / "link").unlink(), (r.path / "link").symlink_to("run.sh")),
        lambda r: ((r.path / "a").unlink(), (r.path / "a").mkdir(), r.write("a/b")),
        lambda r: (r.git("update-index", "--index-version", "4"), r.write("a", "c\n")),
    ],
)
def test_changes_that_make_dirty(
    fetcher: Fetcher, repository: GitFolder, change: Callable[[GitFolder], object]
) -> None:
    assert "rev" in fetcher.fetch(repository.url).attributes
    change(repository)
    assert "dirtyRev" in fetcher.fetch(repository.url).attributes


@pytest.mark.parametrize(
    "change",
    [
        lambda r: os.utime(r.path / "a", (1, 1)),
        lambda r: (r.write("a", "x\n"), r.write("a", "a\n")),
        lambda r: r.write("untracked"),
        lambda r: r.git("update-index", "--index-version", "4"),
        lambda r: r.git("gc", "-q"),
        lambda r: r.git("pack-refs", "--all"),
        lambda r: r.git("update-index", "--split-index"),
    ],
)
def test_changes_that_do_not(fetcher: Fetcher, repository: GitFolder, change: Callable[[GitFolder], object]) -> None:
    before = fetcher.fetch(repository.url)
    change(repository)
    assert fetcher.fetch(repository.url).attributes == before.attributes


def test_forbidden_dirt(fetcher: Fetcher, repository: GitFolder) -> None:
    repository.write("a", "b\n")
    with pytest.raises(FetchError, match="is dirty"):
        fetcher.with_settings(allow_dirty=False).fetch(repository.url)
    fetcher.with_settings(warn_dirty=False).fetch(repository.url)
    assert fetcher.reporter.lines == []


def test_known_tree_is_not_read_again(fetcher: Fetcher, repository: GitFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frazil.fetch.git_worktree.is_racy", lambda _: False)
    first = fetcher.fetch(repository.url)
    with monkeypatch.context() as patched:
        patched.setattr("frazil.fetch.git.add_tree", None)
        assert fetcher.fetch(repository.url).attributes == first.attributes
    repository.write("a", "b\n")
    assert fetcher.fetch(repository.url).store_path != first.store_path


def test_empty_repository(fetcher: Fetcher, make_repository: Make) -> None:
    empty = make_repository("empty")
    tree = fetcher.fetch(empty.url)
    assert tree.attributes["rev"] == "0" * 40
    assert tree.attributes["revCount"] == 0 and tree.attributes["lastModified"] == 0
    empty.write("a")
    empty.git("add", "a")
    dirty = fetcher.fetch(empty.url)
    assert "rev" not in dirty.attributes and "dirtyRev" not in dirty.attributes
    assert listing(dirty.real_path) == {"a"}


def test_what_is_missing_is_explained(fetcher: Fetcher, repository: GitFolder) -> None:
    repository.write("dir/new")
    tree = fetcher.fetch(repository.url)
    hint = tree.explain_missing("dir/new")
    assert hint is not None and f"git -C {repository.path} add -N dir/new" in hint and "not tracked by Git" in hint
    for path in ("a", "dir", "nowhere", "", "/"):
        assert tree.explain_missing(path) is None


def test_directory_replaced_by_a_link_brings_nothing_in(
    fetcher: Fetcher, repository: GitFolder, tmp_path: Path
) -> None:
    (tmp_path / "secret/deep").mkdir(parents=True)
    (tmp_path / "secret/deep/f").write_text("secret")
    (repository.path / "dir/deep/f").unlink()
    (repository.path / "dir/deep").rmdir()
    (repository.path / "dir").rmdir()
    (repository.path / "dir").symlink_to(tmp_path / "secret")
    assert listing(fetcher.fetch(repository.url).real_path) == {"a", "run.sh", "link"}


def test_linked_work_tree_and_detached_head(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    repository.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    assert fetcher.fetch(f"git+file://{tmp_path}/linked").attributes["ref"] == "refs/heads/other"
    repository.git("checkout", "-q", "--detach")
    tree = fetcher.fetch(repository.url)
    assert "ref" not in tree.attributes and "rev" in tree.attributes


def test_commit_by_branch_tag_and_revision(fetcher: Fetcher, repository: GitFolder) -> None:
    first = repository.git("rev-parse", "HEAD").strip()
    repository.git("tag", "-a", "v1", "-m", "t")
    repository.write("b")
    second = repository.commit()
    assert fetcher.fetch(f"{repository.url}?ref=refs/tags/v1").attributes["rev"] == first
    tree = fetcher.fetch(f"{repository.url}?rev={second}")
    assert tree.complete()["revCount"] == 2 and tree.attributes["ref"] == "refs/heads/main"
    with pytest.raises(GitError, match="getting Git object"):
        fetcher.fetch(f"{repository.url}?rev={'1' * 40}")
    with pytest.raises(GitError, match="resolving Git reference 'nope'"):
        fetcher.fetch(f"{repository.url}?ref=nope")


def test_bare_repository_is_cloned_once(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    repository.git("clone", "-q", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    url = f"git+file://{tmp_path}/bare.git"
    tree = fetcher.fetch(url)
    assert tree.store_path == fetcher.fetch(repository.url).store_path
    assert tree.attributes["ref"] == "refs/heads/main"
    os.rename(tmp_path / "bare.git", tmp_path / "gone.git")
    os.mkdir(tmp_path / "bare.git")
    assert fetcher.fetch(f"{url}?ref=main&rev={tree.attributes['rev']}").store_path == tree.store_path
    stale = fetcher.with_settings(tarball_ttl=0).fetch(f"{url}?ref=main")
    assert stale.store_path == tree.store_path
    assert any("continuing with the most recent version" in line for line in fetcher.reporter.lines)
    with pytest.raises(GitError, match="Failed to fetch git repository"):
        fetcher.fetch(f"{url}?ref=other")


def test_remote_tag_as_branch_gets_a_hint(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    repository.git("tag", "v1")
    repository.git("clone", "-q", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    with pytest.raises(GitError) as caught:
        fetcher.fetch(f"git+file://{tmp_path}/bare.git?ref=v1")
    assert "refs/tags" in (caught.value.hint or "")


def test_missing_revision_of_a_remote(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    repository.git("clone", "-q", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    with pytest.raises(GitError):
        fetcher.fetch(f"git+file://{tmp_path}/bare.git?ref=main&rev={'1' * 40}")


def test_offline(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    repository.git("clone", "-q", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    with pytest.raises(GitError, match="--offline"):
        fetcher.with_settings(offline=True).fetch(f"git+file://{tmp_path}/bare.git?ref=main")


def test_shallow_repository(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    repository.write("b")
    repository.commit()
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.path}", str(tmp_path / "shallow"))
    tree = fetcher.fetch(f"git+file://{tmp_path}/shallow")
    with pytest.raises(GitError, match="is a shallow Git repository") as caught:
        tree.complete()
    assert "shallow=1" in (caught.value.hint or "")
    assert "revCount" not in fetcher.fetch(f"git+file://{tmp_path}/shallow?shallow=1").complete()


def add_submodule(make_repository: Make) -> tuple[GitFolder, GitFolder]:
    inner = make_repository("inner")
    inner.write("s", "inner\n")
    inner.commit()
    outer = make_repository("outer")
    outer.write("a")
    outer.commit()
    outer.git("submodule", "add", "-q", "../inner", "mod/inner")
    outer.commit()
    return outer, inner


def test_submodules(fetcher: Fetcher, make_repository: Make) -> None:
    outer, _ = add_submodule(make_repository)
    without = fetcher.fetch(outer.url)
    assert listing(without.real_path) == {"a", ".gitmodules"}
    hint = without.explain_missing("mod/inner/s")
    assert hint is not None and "submodules=1" in hint
    tree = fetcher.fetch(f"{outer.url}?submodules=1")
    assert tree.attributes["submodules"] is True and "rev" in tree.attributes
    assert listing(tree.real_path) == {"a", ".gitmodules", "mod", "mod/inner", "mod/inner/s"}
    assert fetcher.fetch(f"{outer.url}?submodules=1&ref=main").store_path == tree.store_path


def test_dirty_submodule(fetcher: Fetcher, make_repository: Make) -> None:
    outer, _ = add_submodule(make_repository)
    (outer.path / "mod/inner/s").write_text("changed\n")
    assert "rev" in fetcher.fetch(outer.url).attributes
    tree = fetcher.fetch(f"{outer.url}?submodules=1")
    assert "dirtyRev" in tree.attributes
    assert Path(tree.real_path, "mod/inner/s").read_text() == "changed\n"


def test_submodule_that_is_not_checked_out(fetcher: Fetcher, make_repository: Make) -> None:
    outer, _ = add_submodule(make_repository)
    outer.git("submodule", "deinit", "-q", "-f", "--all")
    with pytest.raises(GitError, match="not checked out") as caught:
        fetcher.fetch(f"{outer.url}?submodules=1")
    assert "submodule update" in (caught.value.hint or "")


def test_export_ignore(fetcher: Fetcher, repository: GitFolder) -> None:
    repository.write(".gitattributes", "/dir export-ignore\na export-ignore\n")
    repository.commit()
    expected = {"run.sh", "link", ".gitattributes"}
    assert listing(fetcher.fetch(f"{repository.url}?exportIgnore=1").real_path) == expected
    assert listing(fetcher.fetch(f"{repository.url}?exportIgnore=1&ref=main").real_path) == expected
    with pytest.raises(FetchError, match="not supported together"):
        fetcher.fetch(f"{repository.url}?exportIgnore=1&submodules=1")


def test_pinned_hash(fetcher: Fetcher, repository: GitFolder) -> None:
    attributes = url_to_attributes(f"{repository.url}?ref=main")
    good = fetch_tree(attributes, fetcher.context)
    assert fetch_tree({**attributes, "narHash": good.attributes["narHash"]}, fetcher.context).store_path
    with pytest.raises(HashMismatch, match="NAR hash mismatch") as caught:
        fetch_tree({**attributes, "narHash": "sha256-" + "A" * 43 + "="}, fetcher.context)
    assert caught.value.exit_status == 102
    assert any("while fetching the input" in frame.text for frame in caught.value.trace)


def test_locked_input_needs_no_source(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    locked = fetcher.fetch(repository.url).complete()
    os.rename(repository.path, tmp_path / "elsewhere")
    again = fetch_tree({**locked, "__final": True}, fetcher.context)
    assert again.attributes == locked
    with pytest.raises(GitError):
        fetch_tree({**locked, "narHash": "sha256-" + "A" * 43 + "=", "__final": True}, fetcher.context)


def test_crlf_conversion_is_not_dirt(fetcher: Fetcher, repository: GitFolder) -> None:
    repository.git("config", "core.autocrlf", "true")
    (repository.path / "a").unlink()
    repository.git("checkout", "a")
    assert (repository.path / "a").read_bytes() == b"a\r\n"
    os.utime(repository.path / "a", (1, 1))
    assert "rev" in fetcher.fetch(repository.url).attributes


def test_foreign_owner(fetcher: Fetcher, repository: GitFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(repository.path.parent / "gitconfig"))
    with pytest.raises(GitError, match="dubious ownership") as caught:
        fetcher.fetch(repository.url)
    assert "safe.directory" in (caught.value.hint or "")
    (repository.path.parent / "gitconfig").write_text(f"[safe]\n\tdirectory = {repository.path}\n")
    fetcher.fetch(repository.url)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda r: (r.path / ".git/HEAD").unlink(), "is not a git repository"),
        (lambda r: (r.path / ".git/refs/heads/main").write_text("nonsense\n"), "damaged"),
        (lambda r: (r.path / ".git/index").write_bytes(b"DIRC\0\0\0\2\0\0\0\5" + bytes(40)), "shorter"),
        (lambda r: (r.path / ".git/index").write_bytes(b""), "damaged|bad signature"),
        (lambda r: (r.path / ".git/config").write_text("[core\n"), "bad configuration line"),
    ],
)
def test_damaged_repositories(
    fetcher: Fetcher, repository: GitFolder, prepare: Callable[[GitFolder], object], message: str
) -> None:
    prepare(repository)
    if message.startswith("damaged|"):
        fetcher.fetch(repository.url)  # an empty index is that of a repository without one
        return
    with pytest.raises(GitError, match=message):
        fetcher.fetch(repository.url)


def test_no_repository(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(GitError, match="does not exist"):
        fetcher.fetch(f"git+file://{tmp_path}/nowhere")


def test_put_file(repository: GitFolder) -> None:
    attributes = url_to_attributes(repository.url)
    put_file(attributes, "flake.lock", b"{}\n")
    assert "flake.lock" in repository.git("ls-files")
    repository.write(".gitignore", "ignored\n")
    put_file(attributes, "ignored", b"x")
    assert "ignored" not in repository.git("ls-files").split()


def test_store_that_only_computes(repository: GitFolder, tmp_path: Path, new_fetcher: Callable[..., Fetcher]) -> None:
    repository.write("untracked")
    reading = new_fetcher(tmp_path / "other", compute_only=True)
    for url in (repository.url, f"{repository.url}?ref=main"):
        tree = reading.fetch(url)
        assert listing(tree.real_path) == {"a", "run.sh", "link", "dir", "dir/deep", "dir/deep/f"}
    assert not os.path.exists(tmp_path / "other/root")


def test_cache_folder_that_cannot_be_made(
    repository: GitFolder, tmp_path: Path, new_fetcher: Callable[..., Fetcher]
) -> None:
    repository.git("clone", "-q", "--bare", str(repository.path), str(tmp_path / "bare.git"))
    without = new_fetcher(tmp_path / "other", cache_directory="/dev/null/cache")
    with pytest.raises(FetchError, match="cache folder") as caught:
        without.fetch(f"git+file://{tmp_path}/bare.git")
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")
    assert "rev" in without.fetch(repository.url).attributes


def test_full_disk(fetcher: Fetcher, repository: GitFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/x")

    monkeypatch.setattr("frazil.fetch.git.add_tree", full)
    with pytest.raises(DiskFull, match="No space left"):
        fetcher.fetch(repository.url)
