"""A few accidents of each kind, more with `make faults`; and that the judge of them sees what is wrong."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import pytest
from tests.build.support import need_namespaces

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools.faults.accidents import Site
from tools.faults.child import Child
from tools.faults.ground import Ground
from tools.faults.jobs import JOBS, cache_problems
from tools.faults.run import KINDS, run

from frazil.store.metadata import delete_tree

ROUNDS = {"kill": 14, "crowd": 2, "cache": 5, "damage": 5}


@pytest.mark.parametrize("kind", KINDS)
def test_accidents(kind: str, tmp_path: Path) -> None:
    need_namespaces()
    tally = run(kind, ROUNDS.get(kind, 7), "test", tmp_path)
    if tally.skipped:
        pytest.skip(tally.skipped)
    assert not tally.problems, "\n".join(tally.problems)
    assert tally.rounds


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site", JOBS["add"])
    site.prepare("x")
    assert not Child(site.job, site.ground, "x").wait().status
    return site


def test_a_whole_store_has_no_problems(site: Site) -> None:
    assert site.ground.problems(clean=True) == []
    assert site.ground.collect() == []


def test_a_vanished_path_is_seen(site: Site) -> None:
    with site.ground.open() as store:
        path = store.add_text("t", b"text")
        os.unlink(store.real_path(path))
    assert f"{path.base} is valid and not there" in site.ground.problems()


def test_changed_contents_are_seen(site: Site) -> None:
    with site.ground.open() as store:
        path = store.add_text("t", b"text")
        real = Path(store.real_path(path))
    real.chmod(0o644)
    assert any("is writable" in text for text in site.ground.problems(clean=True))
    real.write_text("other")
    assert "does not verify" in site.ground.problems()


def test_a_lost_path_is_seen(site: Site) -> None:
    with site.ground.open() as store:
        path = store.add_text("t", b"text")
        site.ground.keep(store, path)
        store.invalidate(path)
    assert site.ground.problems() == [f"{path.base} was kept and is gone"]


def test_a_damaged_database_is_seen(site: Site) -> None:
    file = f"{site.ground.config.state_dir}/db/db.sqlite"
    connection = sqlite3.connect(file)
    connection.execute("pragma foreign_keys = 0")
    connection.execute("insert into Refs values (12345, 54321)")
    connection.commit()
    connection.close()
    assert any("a row without" in text for text in site.ground.problems())


def test_leftovers_are_seen(site: Site) -> None:
    with site.ground.open() as store:
        site.ground.keep(store, store.add_text("t", b"text"))
        delete_tree(store.real_path(store.add_text("u", b"text")))
    Path(f"{site.ground.config.state_dir}/builds/x").mkdir(parents=True)
    assert site.ground.collect() == ["the build directory x is left"]


def test_a_cache_without_an_archive_is_seen(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", JOBS["upload"])
    site.prepare("x")
    assert not Child(site.job, site.ground, "x").wait().status
    cache = site.ground.folder / "uploaded-x"
    assert cache_problems(cache) == []
    next((cache / "nar").iterdir()).unlink()
    with pytest.raises(Exception, match="does not exist"):
        cache_problems(cache)


def test_ground_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    first, second = Ground(tmp_path / "a"), Ground(tmp_path / "b")
    with first.open() as one, second.open() as other:
        assert one.add_path("t", first.tree("t", 1)) == other.add_path("t", second.tree("t", 1))
