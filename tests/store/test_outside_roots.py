"""Result links of a user's own store: they lead to the `outside` folder and keep what that stands for."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from frazil.store.config import StoreConfig
from frazil.store.errors import StoreError
from frazil.store.garbage import Options
from frazil.store.local import LocalStore


def test_a_link_to_the_outside_folder_keeps_the_path(tmp_path: Path) -> None:
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {})) as store:
        kept, dead = store.add_text("kept", b"1"), store.add_text("dead", b"2")
        for path in (kept, dead):
            os.makedirs(f"{store.config.outside_dir}/{path.base}/bin")
        link = f"{tmp_path}/result"
        for _ in range(2):
            store.add_permanent_root(kept, link, f"{store.config.outside_dir}/{kept.base}")
        assert link in store.find_roots()[kept]
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {})) as store:
        store.collect_garbage(Options())
        assert store.is_valid(kept)
        assert not store.is_valid(dead)
        assert os.listdir(store.config.outside_dir) == [kept.base]


def test_a_foreign_link_is_left_alone(tmp_path: Path) -> None:
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {})) as store:
        path = store.add_text("kept", b"1")
        os.symlink("/etc", tmp_path / "result")
        with pytest.raises(StoreError, match="already exists"):
            store.add_permanent_root(path, f"{tmp_path}/result", f"{store.config.outside_dir}/{path.base}")
        assert os.readlink(tmp_path / "result") == "/etc"


def test_a_folder_that_takes_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {})) as store:
        path = store.add_text("kept", b"1")

        def refuse(target: str, link: str) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(os, "symlink", refuse)
        with pytest.raises(StoreError, match=r"creating symlink '.*/result': Permission denied") as caught:
            store.add_permanent_root(path, f"{tmp_path}/result")
        assert caught.value.hint is not None and "--no-link" in caught.value.hint
