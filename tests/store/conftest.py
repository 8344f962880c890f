"""Stores for tests: each in a folder of its own, nothing shared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.activity import Reporter, Verbosity
from frazil.store.config import StoreConfig, StoreSettings
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree


class RecordingReporter(Reporter):
    """Keeps what was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[Verbosity, str]] = []

    def log(self, level: Verbosity, text: str) -> None:
        self.lines.append((level, text))

    @property
    def errors(self) -> list[str]:
        return [text for level, text in self.lines if level == Verbosity.ERROR]


def open_store(root: Path, **settings: object) -> LocalStore:
    config = StoreConfig.from_uri(f"local?root={root}", {})
    chosen = StoreSettings(reserved_space=4096, **settings)  # type: ignore[arg-type]
    return LocalStore(config, chosen, RecordingReporter())


@pytest.fixture(autouse=True)
def leave_nothing(tmp_path: Path) -> Iterator[None]:
    """Stores hold read-only folders, which only we know how to delete."""
    yield
    delete_tree(str(tmp_path))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder that may fill with read-only files."""
    folder = tmp_path / "root"
    folder.mkdir()
    yield folder
    delete_tree(str(folder))


@pytest.fixture
def store(root: Path) -> Iterator[LocalStore]:
    with open_store(root) as opened:
        yield opened


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small file tree with everything an archive can hold."""
    top = tmp_path / "tree"
    (top / "bin").mkdir(parents=True)
    (top / "bin" / "run").write_text("#!/bin/sh\necho hi\n")
    (top / "bin" / "run").chmod(0o755)
    (top / "empty").mkdir()
    (top / "a.txt").write_bytes(b"text")
    (top / "a-b").write_bytes(b"")
    (top / "link").symlink_to("bin/run")
    (top / "dangling").symlink_to("/nowhere/at/all")
    (top / "über").write_bytes("grüße".encode())
    return top
