"""The accidents: each takes a ground and a job, lets something happen, and says what was wrong afterwards.

After every accident the same three things are asked: is the store whole (`Ground.problems`), is everything there that
the job had finished, and does the job run to its end when it is started again?
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from frazil.store.metadata import delete_tree

from .child import (
    FAILED,
    Child,
    Report,
    fail_disk_after,
    limit_file_size,
    limit_open_files,
)
from .ground import Ground
from .jobs import JOBS, Job, cache_problems

COLLECT_EVERY = 8


@dataclass
class Round:
    """`struck`: whether it hit the job before that was done. `answer`: how the job itself put it."""

    job: str
    struck: bool
    problems: list[str] = field(default_factory=list)
    answer: str = ""


class Site:
    """A ground with a job, prepared again and again. `seconds`: how long the job takes when nothing happens."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.job = job
        self.ground = Ground(folder / "ground")
        self.seconds = 0.0
        self.used = 0
        self.rounds = 0

    def prepare(self, seed: str) -> None:
        self.job.prepare(self.ground, seed)

    def measure(self) -> None:
        times = []
        for number in range(3):
            seed = f"measure-{number}"
            self.prepare(seed)
            before = _size(self.ground.folder)
            report = Child(self.job, self.ground, seed).wait()
            if report.status:
                raise SystemExit(f"{self.job.name} fails undisturbed: {report.words}")
            times.append(report.seconds)
            self.used = max(self.used, _size(self.ground.folder) - before)
        self.seconds = sorted(times)[1]

    def judge(self, seed: str, reports: list[Report]) -> list[str]:
        """After the accident: whole, nothing lost, and the work can be done again."""
        found = self.ground.problems() + self._lost(reports)
        for report in reports:
            if report.status == FAILED or report.words == "did not end\n":
                found.append(f"the job ended badly: {report.words}")
        again = Child(self.job, self.ground, seed).wait()
        if again.status:
            found.append(f"the job does not run again: {again.words}")
        found += self.ground.problems(clean=True)
        if not again.status:
            found += self._lost([again])
        for cache in self.ground.folder.glob("uploaded-*"):
            found += cache_problems(cache)
            shutil.rmtree(cache)
        self.ground.forget_sources()
        self.rounds += 1
        if self.rounds % COLLECT_EVERY == 0:
            found += self.ground.collect()
        return found

    def _lost(self, reports: list[Report]) -> list[str]:
        if not self.job.lasting:
            return []
        with self.ground.open() as store:
            finished = {path for report in reports for path in report.finished}
            return [f"{path.base} was valid and is gone" for path in finished - store.valid_among(finished)]

    def round(self, seed: str, reports: list[Report], struck: bool) -> Round:
        answers = [report.words.strip().partition("\n")[0] for report in reports if report.words]
        return Round(self.job.name, struck, self.judge(seed, reports), "; ".join(answers))

    def close(self) -> None:
        delete_tree(str(self.ground.folder.parent))


def _size(folder: Path) -> int:
    return sum(os.lstat(os.path.join(top, name)).st_blocks * 512 for top, _, names in os.walk(folder) for name in names)


# -- death -------------------------------------------------------------------------------------------------------------


def kill(site: Site, seed: str, chance: Random) -> Round:
    """`kill -9` at any moment: the process alone, whose builders must not outlive it, or all that it started."""
    site.prepare(seed)
    child = Child(site.job, site.ground, seed)
    time.sleep(chance.uniform(0, site.seconds * 1.05))
    child.kill(group=chance.random() < 0.5)
    report = child.wait()
    result = site.round(seed, [report], report.status == -9)
    result.problems += _survivors(f"builder-of-{seed}")
    return result


def _survivors(mark: str) -> list[str]:
    """Builders that still run although nobody waits for them; they get a moment to die."""
    for _ in range(40):
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and mark.encode() in Path(f"/proc/{name}/cmdline").read_bytes():
                    found.append(f"process {name} outlived the build")
            except OSError:
                continue
        if not found:
            return []
        time.sleep(0.05)
    return found


# -- disks -------------------------------------------------------------------------------------------------------------


def full_disk(site: Site, seed: str, chance: Random) -> Round:
    """So much room and no more. The ground lies on a small file system of its own (`small_disk`)."""
    site.prepare(seed)
    disk = site.ground.folder.parent
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast = disk / "ballast"
    room = chance.randrange(0, int(site.used * 1.2) + 4096)
    with open(ballast, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - room))
    report = Child(site.job, site.ground, seed).wait()
    ballast.unlink()
    return site.round(seed, [report], report.status != 0)


def failing_disk(site: Site, seed: str, chance: Random) -> Round:
    site.prepare(seed)
    before = fail_disk_after(chance.uniform(0, site.seconds))
    report = Child(site.job, site.ground, seed, before).wait()
    return site.round(seed, [report], report.status != 0)


def limits(site: Site, seed: str, chance: Random) -> Round:
    """Files may not grow above some size, or not be opened above some number."""
    site.prepare(seed)
    if chance.random() < 0.5:
        before = limit_file_size(int(2 ** chance.uniform(8, 19)))
    else:
        before = limit_open_files(chance.randrange(6, 48))
    report = Child(site.job, site.ground, seed, before).wait()
    return site.round(seed, [report], report.status != 0)


# -- many at once ------------------------------------------------------------------------------------------------------


def crowd(site: Site, seed: str, chance: Random) -> Round:
    """Two to eight processes, some with the same work, some with other; a collector among them; some are killed."""
    site.prepare(seed)
    children = []
    for number in range(chance.randrange(2, 9)):
        same = chance.random() < 0.5
        job = site.job if same or number == 0 else chance.choice([JOBS["add"], JOBS["collect"], JOBS["optimise"]])
        children.append((job, Child(job, site.ground, seed if same else f"{seed}-{number}")))
    end = time.monotonic() + site.seconds * 2
    victims = [child for _, child in children if chance.random() < 0.3]
    for child in victims:
        time.sleep(max(0.0, chance.uniform(0, end - time.monotonic()) / 2))
        child.kill(group=True)
    reports = []
    problems = []
    for job, child in children:
        report = child.wait()
        if child not in victims and report.status:
            problems.append(f"{job.name} failed in a crowd: {report.words}")
        report.finished = []  # a collector may have taken it
        reports.append(report)
    for name in sorted({job.name for job, child in children if child in victims and job is not site.job}):
        report = Child(JOBS[name], site.ground, f"{seed}-again").wait()  # as the round's own job is done again
        if report.status:
            problems.append(f"{name} failed after a crowd: {report.words}")
    result = site.round(seed, reports, True)
    result.problems += problems
    return result


Accident = Callable[[Site, str, Random], Round]
EVERYTHING = tuple(JOBS)
ACCIDENTS: dict[str, tuple[Accident, tuple[str, ...]]] = {
    "kill": (kill, EVERYTHING),
    "full-disk": (full_disk, EVERYTHING),
    "failing-disk": (failing_disk, EVERYTHING),
    "limits": (limits, EVERYTHING),
    "crowd": (crowd, ("build", "add", "copy", "collect", "optimise")),
}
"""Each with the jobs that it happens to."""
