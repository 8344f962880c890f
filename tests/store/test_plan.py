"""What a collection would do, and why something stays."""

from __future__ import annotations

import os
from pathlib import Path

from tests.store.conftest import open_store

from frazil.store import plan
from frazil.store.garbage import Options


def test_dead_paths_come_oldest_first_and_nothing_is_deleted(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    old, young = store.add_text("old", b"1"), store.add_text("young", b"22")
    kept = store.add_text("kept", b"333", [young])
    with store.database.transaction() as connection:
        connection.execute("update ValidPaths set registrationTime = 5 where path like '%-old'")
    store.close()
    store = open_store(tmp_path / "store")
    project = tmp_path / "project"
    project.mkdir()
    store.add_permanent_root(kept, str(project / "result"))
    store.close()
    store = open_store(tmp_path / "store")
    found = plan.make_plan(store)
    assert [one.path for one in found.dead] == [old]
    assert found.dead[0].registered == 5
    assert found.live_count == 2
    (holder,) = found.projects
    assert (holder.place, holder.kind) == (str(project), plan.RESULT)
    assert holder.kept == holder.alone == found.live_size
    assert store.collect_garbage(Options()).paths == [store.show(old)]
    store.close()


def test_what_two_projects_keep_is_kept_by_neither_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    shared = store.add_text("shared", b"s")
    one, other = store.add_text("one", b"1", [shared]), store.add_text("other", b"22", [shared])
    for path in (one, other):
        (tmp_path / path.name).mkdir()
        store.add_permanent_root(path, str(tmp_path / path.name / "result"))
    store.close()
    store = open_store(tmp_path / "store")
    found = plan.make_plan(store)
    size = store.query_info(shared).nar_size
    assert all(holder.kept - holder.alone == size for holder in found.projects)
    store.close()


def test_shells_of_projects_that_are_gone_are_noticed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    path = store.add_text("shell", b"x")
    for name in ("here", "gone"):
        (tmp_path / name / ".direnv").mkdir(parents=True)
        store.add_permanent_root(path, str(tmp_path / name / ".direnv" / "flake-profile"))
    (tmp_path / "here" / "flake.nix").touch()
    found = {os.path.basename(holder.place): holder for holder in plan.make_plan(store).projects}
    assert not found["here"].vanished
    assert found["gone"].vanished
    assert found["gone"].kind == plan.SHELL
    store.close()


def test_stale_links_are_told_of_and_stay(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    path = store.add_text("x", b"x")
    link = tmp_path / "result"
    store.add_permanent_root(path, str(link))
    link.unlink()
    for _ in range(2):
        ((holder, target),) = plan.make_plan(store).stale
        assert target == str(link)
        assert os.path.islink(holder)
    store.close()


def test_why_something_is_alive(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    bottom = store.add_text("bottom", b"b")
    middle = store.add_text("middle", b"m", [bottom])
    top = store.add_text("top", b"t", [middle, bottom])
    long = store.add_text("long", b"l", [middle])
    dead = store.add_text("dead", b"d", [top])
    for path in (top, long):
        store.add_permanent_root(path, str(tmp_path / path.name))
    store.close()
    store = open_store(tmp_path / "store")
    chains = plan.why_alive(store, bottom)
    assert [chain.paths for chain in chains] == [(top, bottom), (long, middle, bottom)]
    assert chains[0].links == (str(tmp_path / "top"),)
    assert plan.why_alive(store, dead) == []
    assert plan.describe_step(store, top, bottom) == "refers to"
    store.close()


def test_kinds_of_places(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    state = store.config.state_dir
    assert plan.place_of(store, f"{state}/profiles/default-7-link") == (f"{state}/profiles/default", plan.PROFILE)
    assert plan.place_of(store, "/proc/12/exe") == ("running programs", plan.PROCESS)
    assert plan.place_of(store, "{temp:12}")[1] == plan.TEMPORARY
    assert plan.place_of(store, "/home/me/x/result") == ("/home/me/x", plan.RESULT)
    store.close()
