"""Repositories made to do harm: nothing of theirs is run, nothing leaves the tree, nothing grows without bound."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frazil.errors import FrazilError
from frazil.fetch import git_objects, git_program
from frazil.fetch.errors import GitError

if TYPE_CHECKING:
    from conftest import Fetcher, GitFolder


def make_object(repository: GitFolder, kind: str, data: bytes) -> str:
    command = ["git", "hash-object", "-w", "-t", kind, "--stdin", "--literally"]
    done = subprocess.run(command, cwd=repository.path, input=data, capture_output=True, check=True)
    return done.stdout.decode().strip()


def make_tree(repository: GitFolder, *entries: tuple[str, bytes, str]) -> str:
    data = b"".join(f"{mode} ".encode() + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    return make_object(repository, "tree", data)


def commit_tree(repository: GitFolder, tree: str) -> str:
    revision = repository.git("commit-tree", tree, "-m", "m").strip()
    repository.git("update-ref", "refs/heads/bad", revision)
    return f"{repository.url}?ref=bad"


@pytest.mark.parametrize("target", [b"a\0b", b"", b"x" * 5000])
def test_links_with_impossible_targets(fetcher: Fetcher, repository: GitFolder, target: bytes) -> None:
    link = make_object(repository, "blob", target)
    url = commit_tree(repository, make_tree(repository, ("120000", b"l", link)))
    with pytest.raises(GitError, match=r"'l' of Git repository .* is a link with an invalid target"):
        fetcher.fetch(url)


@pytest.mark.parametrize("name", [b"..", b".", b"a/b", b"../../x"])
def test_names_that_lead_out(fetcher: Fetcher, repository: GitFolder, name: bytes) -> None:
    blob = make_object(repository, "blob", b"x")
    url = commit_tree(repository, make_tree(repository, ("100644", name, blob)))
    with pytest.raises(FrazilError):
        fetcher.fetch(url)
    assert not (fetcher.folder / "x").exists()


def test_a_link_and_a_folder_of_one_name(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = make_object(repository, "blob", os.fsencode(outside))
    inner = make_tree(repository, ("100644", b"f", make_object(repository, "blob", b"x")))
    url = commit_tree(repository, make_tree(repository, ("120000", b"d", link), ("40000", b"d", inner)))
    with pytest.raises(FrazilError):
        fetcher.fetch(url)
    assert os.listdir(outside) == []


def test_few_objects_that_stand_for_many_files(
    fetcher: Fetcher, repository: GitFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(repository, ("100644", b"f", make_object(repository, "blob", b"x")))
    for _ in range(12):
        tree = make_tree(repository, *(("40000", bytes([letter]), tree) for letter in b"abcdefgh"))
    url = commit_tree(repository, tree)
    monkeypatch.setattr(git_objects.Budget.__init__, "__defaults__", (1000,))
    with pytest.raises(GitError, match="holds too many files"):
        fetcher.fetch(url)


def test_more_bytes_than_are_allowed(fetcher: Fetcher, repository: GitFolder) -> None:
    repository.write("big", "x" * 10_000)
    repository.commit()
    with pytest.raises(GitError, match="is too large"):
        fetcher.with_settings(maximum_unpacked=5000).fetch(f"{repository.url}?ref=main")


def test_programs_of_a_repository_do_not_run(fetcher: Fetcher, repository: GitFolder, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = repository.path / ".git/evil"
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor-watchman", "pre-auto-gc"):
        (repository.path / ".git/hooks" / hook).write_text(script.read_text())
        (repository.path / ".git/hooks" / hook).chmod(0o755)
    repository.git("config", "core.fsmonitor", str(script))
    repository.git("config", "core.sshCommand", str(script))
    repository.git("update-index", "--split-index")  # so that git is asked about the index
    mark.unlink(missing_ok=True)
    repository.write("a", "changed\n")
    fetcher.fetch(repository.url)
    fetcher.fetch(f"{repository.url}?ref=main")
    bare = tmp_path / "bare"
    subprocess.run(["git", "clone", "-q", "--bare", repository.path, bare], check=True, capture_output=True)
    (bare / "hooks/upload-pack").write_text(script.read_text())
    fetcher.fetch(f"git+file://{bare}")
    assert not mark.exists()


@pytest.mark.parametrize("url", ["ext::sh -c touch% MARK", "--upload-pack=touch MARK", "-u", "fd::17"])
def test_addresses_of_submodules(
    fetcher: Fetcher, make_repository: Callable[[str], GitFolder], tmp_path: Path, url: str
) -> None:
    mark = tmp_path / "mark"
    outer = make_repository("outer")
    outer.write(".gitmodules", f'[submodule "s"]\n\tpath = s\n\turl = "{url.replace("MARK", str(mark))}"\n')
    outer.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},s")
    outer.git("add", ".gitmodules")
    outer.git("commit", "-q", "-m", "m")
    with pytest.raises(FrazilError):
        fetcher.fetch(f"{outer.url}?ref=main&submodules=1")
    assert not mark.exists()


@pytest.mark.parametrize("head", ["../../../x", "refs/heads/../../x", "refs/heads/-x y", "", "refs/heads/x.lock"])
def test_a_server_cannot_choose_any_name_for_head(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_program, "run_git", lambda *_, **__: f"ref: {head}\tHEAD\n{'1' * 40}\tHEAD\n")
    assert git_program.read_remote_head("https://example.org/x") is None
