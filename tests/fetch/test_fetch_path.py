from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frazil import __version__
from frazil.fetch import embedded
from frazil.fetch.errors import FetchError
from frazil.fetch.inputs import clone_input, fetch_tree, put_file, url_to_attributes
from frazil.fetch.tree import remove_tree, stamp_directory, write_atomically
from frazil.store import nar

if TYPE_CHECKING:
    from conftest import Fetcher


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source folder"
    (folder / "d").mkdir(parents=True)
    (folder / "d/f").write_text("x")
    (folder / "l").symlink_to("/nowhere")
    os.utime(folder / "d/f", (1_500_000_000, 1_500_000_000))
    return folder


def test_path(fetcher: Fetcher, source: Path) -> None:
    tree = fetcher.fetch({"type": "path", "path": str(source)})
    assert tree.attributes["narHash"] == nar.hash_path(str(source))[0].sri
    newest = max(int(os.lstat(p).st_mtime) for p in [source, *source.rglob("*")])
    assert tree.attributes["lastModified"] == newest
    assert tree.source_directory == str(source)


def test_given_attributes_are_kept(fetcher: Fetcher, source: Path) -> None:
    given = {"type": "path", "path": str(source), "lastModified": 5, "rev": "1" * 40, "revCount": 2}
    tree = fetcher.fetch(dict(given))
    assert {n: v for n, v in tree.attributes.items() if n != "narHash"} == given


def test_tree_of_the_store_is_taken_as_it_is(fetcher: Fetcher, source: Path) -> None:
    first = fetcher.fetch({"type": "path", "path": str(source)})
    shown = fetcher.context.store.show(first.store_path)
    again = fetcher.fetch({"type": "path", "path": shown})
    assert again.store_path == first.store_path and again.attributes["lastModified"] == 0
    inner = fetcher.fetch({"type": "path", "path": f"{shown}/d"})
    assert Path(inner.real_path, "f").read_text() == "x"


def test_unchanged_tree_is_not_copied_again(fetcher: Fetcher, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frazil.fetch.tree.is_racy", lambda _: False)
    first = fetcher.fetch({"type": "path", "path": str(source)})
    with monkeypatch.context() as patched:
        patched.setattr("frazil.fetch.tree.add_tree", None)
        assert fetcher.fetch({"type": "path", "path": str(source)}).attributes == first.attributes
    (source / "d/f").write_text("y")
    assert fetcher.fetch({"type": "path", "path": str(source)}).store_path != first.store_path


@pytest.mark.parametrize("path", ["./x", "x"])
def test_relative_paths_cannot_be_fetched(fetcher: Fetcher, path: str) -> None:
    with pytest.raises(FetchError, match="because it uses a relative path"):
        fetcher.fetch({"type": "path", "path": path})


def test_missing(fetcher: Fetcher, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="does not exist"):
        fetcher.fetch({"type": "path", "path": str(tmp_path / "none")})


def test_unknown_type(fetcher: Fetcher) -> None:
    with pytest.raises(FetchError, match="cannot fetch unsupported input"):
        fetcher.fetch({"type": "strange"})
    with pytest.raises(FetchError, match="cannot be fetched directly"):
        fetcher.fetch("flake:nixpkgs")


def test_put_and_clone(fetcher: Fetcher, source: Path, tmp_path: Path) -> None:
    attributes = url_to_attributes(f"path:{str(source).replace(' ', '%20')}")
    put_file(attributes, "d/new", b"n")
    (source / "run").write_text("#!")
    (source / "run").chmod(0o755)
    clone_input(attributes, str(tmp_path / "copy"), fetcher.context)
    assert (tmp_path / "copy/d/new").read_bytes() == b"n"
    assert os.access(tmp_path / "copy/run", os.X_OK) and not os.access(tmp_path / "copy/d/new", os.X_OK)
    assert os.readlink(tmp_path / "copy/l") == "/nowhere"
    (tmp_path / "copy/d/f").write_text("can be written")
    with pytest.raises(FetchError, match="existing path"):
        clone_input(attributes, str(tmp_path / "copy"), fetcher.context)


def test_stamps_see_everything(source: Path) -> None:
    before = stamp_directory(str(source))[0]
    assert stamp_directory(str(source))[0] == before
    (source / "d/f").chmod(0o755)
    changed = stamp_directory(str(source))[0]
    assert changed != before
    (source / "d/g").write_text("")
    assert stamp_directory(str(source))[0] != changed


def test_atomic_writing(tmp_path: Path) -> None:
    target = tmp_path / "a/b"
    write_atomically(str(target), b"1")
    (tmp_path / "link").symlink_to("a/b")
    write_atomically(str(tmp_path / "link"), b"2")
    assert target.read_bytes() == b"2" and (tmp_path / "link").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["a", "link"]
    with pytest.raises(FetchError, match="writing"):
        write_atomically("/dev/null/x", b"")


def test_removal_of_read_only_folders(tmp_path: Path) -> None:
    folder = tmp_path / "x/y"
    folder.mkdir(parents=True)
    (folder / "f").write_text("")
    folder.chmod(0o500)
    remove_tree(str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "packages"
    (folder / "lib").mkdir(parents=True)
    (folder / "flake.nix").write_text("{ }")
    (folder / "lib/tool.py").write_text("")
    (folder / "__init__.py").write_text("")
    (folder / "lib/__pycache__").mkdir()
    (folder / "lib/__pycache__/x.pyc").write_text("")
    monkeypatch.setattr(embedded, "packages_directory", lambda: str(folder))
    return folder


def test_embedded(fetcher: Fetcher, packages: Path) -> None:
    tree = fetcher.fetch("frazilpkgs:")
    assert sorted(str(p.relative_to(tree.real_path)) for p in Path(tree.real_path).rglob("*")) == [
        "flake.nix",
        "lib",
        "lib/tool.py",
    ]
    locked = tree.attributes
    assert locked["version"] == __version__ and locked["lastModified"] == embedded.RELEASE_TIME
    (packages / "flake.nix").write_text("{ changed = 1; }")
    assert fetcher.fetch("frazilpkgs:").attributes["narHash"] != locked["narHash"]
    assert fetch_tree({**locked, "__final": True}, fetcher.context).store_path == tree.store_path
    assert fetch_tree(dict(locked), fetcher.context).store_path == tree.store_path


def test_another_embedded_set_than_locked(fetcher: Fetcher, packages: Path) -> None:
    other = {"type": "frazilpkgs", "version": "0.0.1", "narHash": "sha256-" + "A" * 43 + "=", "lastModified": 1}
    with pytest.raises(FetchError, match=r"the locked frazilpkgs \(version 0.0.1") as caught:
        fetch_tree({**other, "__final": True}, fetcher.context)
    assert "frazil flake update" in (caught.value.hint or "")
    assert caught.value.exit_status == 1


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    target = tmp_path / "file"
    (tmp_path / f"file.tmp-{os.getpid()}").symlink_to(victim)
    write_atomically(str(target), b"new")
    assert victim.read_text() == "precious" and target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
