from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from frazil.errors import UsageError
from frazil.store.profile import Profile, ProfileError, find_profiles, generation_number, parse_age


def add_root(store_path: str, link: str) -> None:
    os.symlink(store_path, link)


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(str(tmp_path / "profiles" / "shell"))


def fill(profile: Profile, count: int) -> None:
    for number in range(count):
        profile.set(f"/nix/store/path-{number}", add_root)


def test_each_new_path_is_a_generation(profile: Profile) -> None:
    fill(profile, 2)
    assert [g.number for g in profile.generations()] == [1, 2]
    assert os.readlink(profile.path) == "shell-2-link"
    assert os.readlink(f"{profile.path}-2-link") == "/nix/store/path-1"


def test_the_newest_path_again_makes_no_generation(profile: Profile) -> None:
    fill(profile, 1)
    assert profile.set("/nix/store/path-0", add_root).number == 1
    assert profile.current() == 1


def test_switch_back_and_forth(profile: Profile) -> None:
    fill(profile, 3)
    assert profile.switch().number == 2
    assert profile.switch(1).number == 1
    with pytest.raises(ProfileError, match="no profile version older than the current"):
        profile.switch()
    with pytest.raises(ProfileError, match="profile version 9 does not exist"):
        profile.switch(9)


def test_the_current_generation_is_never_deleted(profile: Profile) -> None:
    fill(profile, 3)
    with pytest.raises(ProfileError, match="cannot delete current version"):
        profile.delete([3])
    assert profile.delete([1]) == [1]
    assert profile.delete_old(dry_run=True) == [2]
    assert profile.delete_old() == [2]
    assert [g.number for g in profile.generations()] == [3]


def test_keep_newest(profile: Profile) -> None:
    fill(profile, 5)
    profile.switch(4)
    assert profile.keep_newest(2) == [1, 2]
    assert [g.number for g in profile.generations()] == [3, 4, 5]


def test_what_was_current_at_the_moment_stays(profile: Profile) -> None:
    fill(profile, 4)
    now = time.time()
    for generation, days in zip(profile.generations(), (40, 30, 10, 1)):
        os.utime(generation.link, (now - days * 86400,) * 2, follow_symlinks=False)
    assert profile.delete_older_than(parse_age("20d")) == [1]


@pytest.mark.parametrize("text", ["", "14", "d", "0d", "-1d", "1.5d", "xd", "9999999999d"])
def test_bad_ages(text: str) -> None:
    with pytest.raises(UsageError):
        parse_age(text)


@pytest.mark.parametrize(
    ("name", "number"), [("shell-7-link", 7), ("shell--link", None), ("shell-x-link", None), ("other-1-link", None)]
)
def test_generation_number(name: str, number: int | None) -> None:
    assert generation_number("shell", name) == number


def set_many(path: str, start: int) -> None:
    for number in range(20):
        Profile(path).set(f"/nix/store/{start}-{number}", add_root)


def test_two_processes_make_no_generation_twice(profile: Profile) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=set_many, args=(profile.path, start)) for start in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [g.number for g in profile.generations()] == list(range(1, 41))
    assert profile.current() == 40


def test_find_profiles(profile: Profile, tmp_path: Path) -> None:
    fill(profile, 2)
    assert find_profiles(str(tmp_path)) == [profile.path]
