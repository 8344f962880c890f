"""Object identifiers as git computes them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from frazil.store import git_hash
from frazil.store.errors import StoreError


def test_known_identifiers(tmp_path: Path) -> None:
    assert git_hash.hash_blob(b"", "sha1").base16 == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert git_hash.hash_blob(b"hello\n", "sha1").base16 == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert git_hash.hash_tree(str(tmp_path), "sha1").base16 == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_as_git_itself(tree: Path, tmp_path: Path) -> None:
    (tree / "empty").rmdir()  # git keeps no empty folders
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=tree, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    git("add", "-A")
    wanted = git("write-tree")

    def without_git(path: str, kind: str) -> bool:
        return os.path.basename(path) != ".git"

    assert git_hash.hash_tree(str(tree), "sha1", without_git).base16 == wanted


def test_what_git_cannot_hash(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="SHA-1 or SHA-256"):
        git_hash.hash_blob(b"", "md5")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="unsupported type"):
        git_hash.hash_tree(str(tmp_path), "sha1")
    with pytest.raises(StoreError, match="No such file"):
        git_hash.hash_tree(str(tmp_path / "nothing"), "sha1")
