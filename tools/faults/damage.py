"""Flipped bytes: in the database, in archives and narinfos of a cache, in store objects.

A damaged database may be refused or still answer; it may not bring a program down. Damaged archives and narinfos are
never taken in. A damaged store object is found by `verify --check-contents`, and mended from a cache.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from random import Random

from frazil.activity import SilentReporter
from frazil.build.scheduler import realise
from frazil.store.derived_path import DerivedPath
from frazil.store.garbage import RETURN_DEAD, Options
from frazil.store.path import StorePath

from .accidents import Accident, Round, Site
from .bad_cache import Server, false_paths, flipped
from .child import FAILED, Child
from .ground import Ground
from .jobs import Done, Job, forget, origin, substitute


def damage(site: Site, seed: str, chance: Random) -> Round:
    forget(site.ground, seed)
    name, accident = chance.choice(list(_DAMAGES.items()))
    result = accident(site, seed, chance)
    result.job = name
    return result


def _database(site: Site, seed: str, chance: Random) -> Round:
    """Every kind of question is asked of it."""
    assert not Child(site.job, site.ground, seed).wait().status
    file = Path(f"{site.ground.config.state_dir}/db/db.sqlite")
    good = file.read_bytes()
    spoilt = flipped(good, chance)
    if chance.random() < 0.3:
        page = chance.randrange(len(good) // 4096) * 4096
        spoilt = good[:page] + bytes(4096) + good[page + 4096 :]
    file.write_bytes(spoilt)
    problems = []
    refused = False
    for job in (_questions, _answers, _more):
        report = Child(Job("database", job), site.ground, seed).wait()
        refused = refused or report.status != 0
        if report.status not in (0, 3):
            problems.append(f"{job.__name__}: {report.words or report.status}")
    for leftover in ("", "-wal", "-shm"):
        Path(f"{file}{leftover}").unlink(missing_ok=True)
    file.write_bytes(good)
    result = site.round(seed, [], refused)
    result.problems += problems
    return result


def _lookups(site: Site, seed: str, chance: Random) -> Round:
    """What was remembered of caches is done without where it is damaged; it may lie so well that a fetch fails."""
    server = Server(origin(site.ground).folder / "cache", "drip", seed, 0.0)

    def work(ground: Ground, seed: str, done: Done) -> None:
        substitute(ground, seed, done, server.address)

    job = Job("substitute", work)
    problems = []
    try:
        forget(site.ground, seed)  # so that something has to be looked up
        for old in (site.ground.folder / "lookups").glob("*"):
            old.unlink()  # what an earlier round damaged would be deleted where it is noticed
        assert not Child(job, site.ground, seed).wait().status
        forget(site.ground, seed)
        (file,) = (site.ground.folder / "lookups").glob("*.sqlite")
        good = file.read_bytes()
        file.write_bytes(flipped(good, chance))
        struck = file.read_bytes() != good
        report = Child(job, site.ground, seed).wait()
    finally:
        server.close()
    if report.status == FAILED:
        problems.append(report.words)
    problems += false_paths(site)
    result = site.round(seed, [report], struck)
    result.problems += problems
    return result


def _questions(ground: Ground, seed: str, done: Done) -> None:
    with ground.open() as store:
        paths = sorted(store.query_all_valid())
        infos = list(store.query_infos(paths))
        for info in infos:
            store.query_referrers(info.path)
            store.query_valid_derivers(info.path)
            store.query_from_hash_part(info.path.hash_part)
        store.closure(paths)
        store.topological(paths)


def _answers(ground: Ground, seed: str, done: Done) -> None:
    with ground.open() as store:
        store.verify(check_contents=True)


def _more(ground: Ground, seed: str, done: Done) -> None:
    with ground.open() as store:
        store.add_text("more", seed.encode())
        store.collect_garbage(Options(action=RETURN_DEAD))


def _cache(ending: str) -> Accident:
    def spoil(site: Site, seed: str, chance: Random) -> Round:
        spoilt = site.ground.folder.parent / "spoilt"
        shutil.rmtree(spoilt, ignore_errors=True)
        shutil.copytree(origin(site.ground).folder / "cache", spoilt)
        files = sorted(spoilt.rglob(f"*{ending}"))
        for file in chance.sample(files, chance.randrange(1, len(files))):
            file.write_bytes(flipped(file.read_bytes(), chance))

        def work(ground: Ground, seed: str, done: Done) -> None:
            substitute(ground, seed, done, f"file://{spoilt}")

        report = Child(Job("substitute", work), site.ground, seed).wait()
        problems = false_paths(site)
        if report.status == FAILED:
            problems.append(report.words)
        result = site.round(seed, [report], report.status != 0)
        result.problems += problems
        return result

    return spoil


def _object(site: Site, seed: str, chance: Random) -> Round:
    """Found, and mended by fetching it again."""
    assert not Child(site.job, site.ground, seed).wait().status
    problems = []
    with site.ground.open() as store:
        victim = chance.choice(sorted(store.query_all_valid()))
        top = store.real_path(victim)
        files = [top] if os.path.isfile(top) else [f"{top}/file-0", f"{top}/deep/deeper/file-1"]
        file = Path(chance.choice(files))
        file.chmod(0o644)
        before = file.read_bytes()
        after = flipped(before, chance)
        file.write_bytes(after)
        file.chmod(0o444)
        if store.verify(check_contents=True) != (after == before):
            problems.append(f"the damage to {victim.base} is not found")

        def mend(path: StorePath) -> None:
            settings = site.ground.build_settings(f"file://{origin(site.ground).folder}/cache")
            realise(store, [DerivedPath(path)], settings, SilentReporter(), mode="repair")

        store.verify(check_contents=True, repair=True, repair_path=mend)
    result = site.round(seed, [], after != before)
    result.problems += problems
    return result


_DAMAGES: dict[str, Accident] = {
    "lookups": _lookups,
    "database": _database,
    "narinfo": _cache(".narinfo"),
    "archive": _cache(".nar.zst"),
    "object": _object,
}
