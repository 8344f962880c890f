from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.fetch.errors import BadSignature, FetchError, GitError
from frazil.fetch.git_commit import resolve_submodule_url
from frazil.fetch.git_config import parse_config, parse_submodules
from frazil.fetch.git_lfs import Pointer, parse_pointer
from frazil.fetch.git_repository import Repository
from frazil.fetch.inputs import fetch_tree, is_locked, url_to_attributes

if TYPE_CHECKING:
    from conftest import Fetcher, GitFolder, Server

CONFIG = rb"""
[core]
	bare = false ; comment
	name = "a \"quoted\" # value"  # comment
	long = one \
two
[Remote "Some \"Name\""]
	url = https://h/x#y
	flag
[section.sub] x=1
"""


def test_config() -> None:
    assert parse_config(CONFIG, "x") == [
        ("core.bare", "false"),
        ("core.name", 'a "quoted" # value'),
        ("core.long", "one two"),
        ('remote.Some "Name".url', "https://h/x"),
        ('remote.Some "Name".flag', "true"),
        ("section.sub.x", "1"),
    ]


@pytest.mark.parametrize("data", [b"[core", b"x = 1", b"[a]\n= 1", b"[a]\n1 = 1"])
def test_bad_config(data: bytes) -> None:
    with pytest.raises(GitError, match="bad configuration line"):
        parse_config(data, "x")


@given(st.binary(max_size=200))
def test_any_config_is_read_or_refused(data: bytes) -> None:
    try:
        parse_submodules(data)
    except GitError:
        pass


@given(st.text('abc \t"\\#;=[]ä', max_size=20))
def test_config_round_trip(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    assert parse_config(f'[a "b"]\nc = "{quoted}"\n'.encode(), "x") == [("a.b.c", value)]


@pytest.mark.parametrize("path", ["../x", "/x", ".", "a/../../x", ".git/x", "a/.GIT"])
def test_submodules_stay_inside(path: str) -> None:
    with pytest.raises(GitError, match="outside the tree"):
        parse_submodules(f'[submodule "x"]\npath = {path}\nurl = y\n'.encode())


def test_submodule_addresses(repository: GitFolder) -> None:
    opened = Repository(str(repository.path))
    assert resolve_submodule_url(opened, "../x") == str(repository.path.parent / "x")
    repository.git("config", "remote.origin.url", "git@host:group/repo.git")
    opened = Repository(str(repository.path))
    assert resolve_submodule_url(opened, "../x.git") == "git@host:group/x.git"
    assert resolve_submodule_url(opened, "./x") == "git@host:group/repo.git/x"
    assert resolve_submodule_url(opened, "https://h/x") == "https://h/x"
    repository.git("config", "remote.origin.url", "https://h/group/repo/")
    assert resolve_submodule_url(Repository(str(repository.path)), "../../x") == "https://h/x"


def test_commits_loose_packed_and_tagged(repository: GitFolder) -> None:
    revision = repository.git("rev-parse", "HEAD").strip()
    tree = repository.git("rev-parse", "HEAD^{tree}").strip()
    repository.git("tag", "-a", "-m", "t", "v1")
    tag = repository.git("rev-parse", "v1").strip()
    for _ in range(2):
        opened = Repository(str(repository.path))
        assert opened.commit(revision) == opened.commit(tag) == (tree, 1700000001)
        assert opened.head() == ("refs/heads/main", revision)
        with pytest.raises(GitError):
            opened.commit("1" * 40)
        repository.git("gc", "-q")


def test_damaged_object(repository: GitFolder) -> None:
    revision = repository.git("rev-parse", "HEAD").strip()
    path = repository.path / ".git/objects" / revision[:2] / revision[2:]
    path.chmod(0o644)
    path.write_bytes(b"nonsense")
    with pytest.raises(GitError, match="damaged"):
        Repository(str(repository.path)).commit(revision)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd"])
def test_references_stay_in_the_repository(repository: GitFolder, name: str) -> None:
    (repository.path / ".git/HEAD").write_text(f"ref: {name}\n")
    with pytest.raises(GitError, match="damaged"):
        Repository(str(repository.path)).head()


def test_circular_references(repository: GitFolder) -> None:
    (repository.path / ".git/refs/heads/main").write_text("ref: refs/heads/main\n")
    with pytest.raises(GitError, match="damaged"):
        Repository(str(repository.path)).head()


def sha256_repository(folder: Path) -> str:
    subprocess.run(["git", "init", "-q", "-b", "main", "--object-format=sha256", str(folder)], check=True)
    (folder / "a").write_text("a")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(folder), "add", "a"], check=True)
    subprocess.run(["git", "-C", str(folder), *identity, "commit", "-q", "-m", "m"], check=True)
    return subprocess.check_output(["git", "-C", str(folder), "rev-parse", "HEAD"], text=True).strip()


def test_repository_with_long_object_names(fetcher: Fetcher, tmp_path: Path) -> None:
    revision = sha256_repository(tmp_path / "long")
    tree = fetcher.fetch(f"git+file://{tmp_path}/long")
    assert tree.attributes["rev"] == revision and len(revision) == 64
    assert is_locked(tree.attributes)


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 5\n"
    % hashlib.sha256(b"large").hexdigest().encode()
)


@pytest.mark.parametrize("data", [b"", b"x", POINTER[:-3], POINTER.replace(b"sha256", b"md5"), POINTER * 20])
def test_no_pointer(data: bytes) -> None:
    assert parse_pointer(data) is None


@pytest.fixture
def with_pointer(repository: GitFolder) -> GitFolder:
    repository.write(".gitattributes", "*.bin filter=lfs\n")
    (repository.path / "x.bin").write_bytes(POINTER)
    (repository.path / "x.txt").write_bytes(POINTER)
    repository.commit()
    return repository


def check_smudged(tree_path: str) -> None:
    assert Path(tree_path, "x.bin").read_bytes() == b"large"
    assert Path(tree_path, "x.txt").read_bytes() == POINTER


def test_lfs_from_the_repository(fetcher: Fetcher, with_pointer: GitFolder) -> None:
    assert parse_pointer(POINTER) == Pointer(hashlib.sha256(b"large").hexdigest(), 5)
    oid = hashlib.sha256(b"large").hexdigest()
    with_pointer.write(f".git/lfs/objects/{oid[:2]}/{oid[2:4]}/{oid}", "large")
    check_smudged(fetcher.fetch(f"{with_pointer.url}?ref=main&lfs=1").real_path)
    plain = fetcher.fetch(f"{with_pointer.url}?ref=main")
    assert Path(plain.real_path, "x.bin").read_bytes() == POINTER


def test_lfs_from_a_server(fetcher: Fetcher, with_pointer: GitFolder, server: Server) -> None:
    with_pointer.git("config", "lfs.url", f"http://{server.address}/lfs")
    href = server.add("/object", b"large")
    server.add("/lfs/objects/batch", f'{{"objects": [{{"actions": {{"download": {{"href": "{href}"}}}}}}]}}'.encode())
    check_smudged(fetcher.fetch(f"{with_pointer.url}?ref=main&lfs=1").real_path)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b'{"objects": [{"error": {"message": "gone"}}]}',
        b'{"objects": [{"actions": {"download": {"href": "file:///etc/passwd"}}}]}',
    ],
)
def test_lfs_server_with_other_ideas(fetcher: Fetcher, with_pointer: GitFolder, server: Server, answer: bytes) -> None:
    with_pointer.git("config", "lfs.url", f"http://{server.address}/lfs")
    server.add("/lfs/objects/batch", answer)
    with pytest.raises(FetchError, match=r"while smudging git-lfs file 'x.bin'"):
        fetcher.fetch(f"{with_pointer.url}?ref=main&lfs=1")


def test_lfs_without_a_server(fetcher: Fetcher, with_pointer: GitFolder) -> None:
    with pytest.raises(FetchError, match="no LFS server is known") as caught:
        fetcher.fetch(f"{with_pointer.url}?ref=main&lfs=1")
    assert "git lfs fetch" in (caught.value.hint or "")


@pytest.fixture
def signed(repository: GitFolder, tmp_path: Path) -> tuple[GitFolder, str, str]:
    """A repository whose last commit is signed, and two public keys: the signer's and another."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    keys = []
    for name in ("key", "other"):
        path = str(tmp_path / name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        keys.append(Path(path + ".pub").read_text().split()[1])
    repository.write("signed")
    repository.git("add", "signed")
    key = str(tmp_path / "key")
    repository.git("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}", "commit", "-q", "-S", "-m", "s")
    return repository, keys[0], keys[1]


def test_signed_commits(fetcher: Fetcher, signed: tuple[GitFolder, str, str]) -> None:
    repository, key, other = signed
    attributes = {**url_to_attributes(f"{repository.url}?ref=main"), "publicKey": key, "keytype": "ssh-ed25519"}
    fetch_tree(dict(attributes), fetcher.context)
    for change in ({"publicKey": other}, {"rev": repository.git("rev-parse", "HEAD~1").strip()}):
        with pytest.raises(BadSignature, match="signature verification"):
            fetch_tree({**attributes, **change}, fetcher.context)
    with pytest.raises(BadSignature, match="Invalid SSH key type"):
        fetch_tree({**attributes, "keytype": "rot13"}, fetcher.context)
    with pytest.raises(BadSignature, match="not base-64"):
        fetch_tree({**attributes, "publicKey": "\n* evil"}, fetcher.context)
    del attributes["ref"]
    fetch_tree(dict(attributes), fetcher.context)
    repository.write("a", "dirty\n")
    with pytest.raises(FetchError, match="but it's dirty"):
        fetch_tree(dict(attributes), fetcher.context)


HG = """#!/bin/sh
# Stands for Mercurial: a "repository" is a folder, a revision a fixed number.
case $1 in
  status) case $* in *--print0*) printf 'a\\0d/f\\0';; *) cat "$3/.hg/status";; esac;;
  branch) echo default;;
  clone) mkdir -p "$5" && cp -r "$4/." "$5";;
  pull) ;;
  log) case $* in *'{node}'*) echo "0123456789abcdef0123456789abcdef01234567 3 default";; *) printf 1;; esac;;
  archive) cp -r "$3" "$7" && rm -r "$7/.hg" && : > "$7/.hg_archival.txt";;
esac
"""


@pytest.fixture
def mercurial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/hg").write_text(HG)
    (tmp_path / "bin/hg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    folder = tmp_path / "hg"
    (folder / ".hg").mkdir(parents=True)
    (folder / ".hg/status").write_text("")
    (folder / "d").mkdir()
    for name in ("a", "d/f", "untracked"):
        (folder / name).write_text(name)
    return folder


def test_mercurial(fetcher: Fetcher, mercurial: Path) -> None:
    tree = fetcher.fetch(f"hg+file://{mercurial}")
    assert tree.attributes["rev"] == "0123456789abcdef0123456789abcdef01234567"
    assert tree.attributes["revCount"] == 3 and tree.attributes["ref"] == "default"
    again = fetcher.fetch(f"hg+file://{mercurial}?rev={tree.attributes['rev']}")
    assert again.store_path == tree.store_path
    mercurial.rename(mercurial.parent / "gone")
    assert fetcher.fetch(f"hg+file://{mercurial}").store_path == tree.store_path, "fresh enough"


def test_dirty_mercurial(fetcher: Fetcher, mercurial: Path) -> None:
    (mercurial / ".hg/status").write_text("M a\n")
    tree = fetcher.fetch(f"hg+file://{mercurial}")
    assert sorted(str(p.relative_to(tree.real_path)) for p in Path(tree.real_path).rglob("*")) == ["a", "d", "d/f"]
    assert "rev" not in tree.attributes
    assert fetcher.reporter.lines == [f"warning: Mercurial tree '{mercurial}' is unclean"]


def test_no_mercurial(fetcher: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="no such program") as caught:
        fetcher.fetch("hg+https://example.invalid/x")
    assert "Mercurial" in (caught.value.hint or "")


def test_no_git(fetcher: Fetcher, repository: GitFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A work tree needs no git program, a remote repository does."""
    clone: Callable[[], object] = lambda: fetcher.fetch("git+https://example.invalid/x?ref=main")  # noqa: E731
    monkeypatch.setenv("PATH", "/nonexistent")
    assert "rev" in fetcher.fetch(repository.url).attributes
    with pytest.raises(GitError, match="no such program"):
        clone()


def test_clone_checks_out_the_revision(repository: GitFolder, tmp_path: Path) -> None:
    from frazil.fetch.git_program import clone

    first = repository.git("rev-parse", "HEAD").strip()
    repository.write("later")
    repository.git("add", "later")
    repository.git("commit", "-qm", "later")
    for revision, there in ((first, False), (None, True)):
        place = tmp_path / str(revision)
        clone(str(repository.path), None, revision, str(place))
        assert (place / "later").exists() == there
    with pytest.raises(GitError):
        clone(str(repository.path), None, "0" * 40, str(tmp_path / "none"))
