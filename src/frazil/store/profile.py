"""Profiles: a symbolic link to the current generation, `NAME` -> `NAME-7-link` -> a store path.

Every generation link is a garbage-collection root. Source: Nix's manual, "Profiles".
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from frazil.errors import FrazilError, UsageError
from frazil.store import locks

SECONDS_A_DAY = 24 * 60 * 60


class ProfileError(FrazilError):
    """A generation that does not exist or must not be deleted."""


@dataclass(frozen=True, slots=True, order=True)
class Generation:
    """`created` is the link's modification time, in seconds since 1970."""

    number: int
    link: str
    created: int


def generation_number(profile_name: str, link_name: str) -> int | None:
    """7 for `NAME-7-link`."""
    if not link_name.startswith(f"{profile_name}-") or not link_name.endswith("-link"):
        return None
    digits = link_name[len(profile_name) + 1 : -len("-link")]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def replace_symlink(target: str, link: str) -> None:
    """Atomic: at every instant the link is the old one or the new one."""
    temporary = f"{link}.tmp-{os.getpid()}-{time.monotonic_ns()}"
    os.symlink(target, temporary)
    try:
        os.rename(temporary, link)
    except OSError:
        os.unlink(temporary)
        raise


class Profile:
    """A profile's generations. Changes hold the profile's lock, so two processes may work on one."""

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self.folder, self.name = os.path.split(self.path)

    def generations(self) -> list[Generation]:
        """Oldest first; empty where there is no profile."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                number = generation_number(self.name, entry.name)
                if number is not None:
                    with contextlib.suppress(FileNotFoundError):
                        created = int(entry.stat(follow_symlinks=False).st_mtime)
                        found.append(Generation(number, entry.path, created))
        return sorted(found)

    def current(self) -> int | None:
        try:
            return generation_number(self.name, os.path.basename(os.readlink(self.path)))
        except OSError:
            return None

    def set(self, store_path: str, add_root: Callable[[str, str], None]) -> Generation:
        """Makes `store_path` (as text) the current generation, as a new one unless it is the newest already.

        `add_root(store_path, link)` makes the link and registers it as a garbage-collection root.
        """
        os.makedirs(self.folder, exist_ok=True)
        with self._lock():
            return self._set(store_path, add_root)

    def token(self) -> str:
        """What the profile is now, for `set_if_unchanged`."""
        return _target(self.path) or ""

    def set_if_unchanged(self, store_path: str, add_root: Callable[[str, str], None], token: str) -> Generation | None:
        """As `set`, unless the profile is another than when `token` was read."""
        os.makedirs(self.folder, exist_ok=True)
        with self._lock():
            return self._set(store_path, add_root) if self.token() == token else None

    def _set(self, store_path: str, add_root: Callable[[str, str], None]) -> Generation:
        known = self.generations()
        if known and _target(known[-1].link) == store_path:
            generation = known[-1]
        else:
            number = known[-1].number + 1 if known else 1
            link = f"{self.path}-{number}-link"
            add_root(store_path, link)
            generation = Generation(number, link, int(time.time()))
        self._point_at(generation)
        return generation

    def switch(self, number: int | None = None, *, dry_run: bool = False) -> Generation:
        """To generation `number`, or to the one before the current. Raises ProfileError where there is none."""
        with self._lock():
            current = self.current()
            candidates = [
                g
                for g in self.generations()
                if (g.number == number if number is not None else g.number < (current or 0))
            ]
            if not candidates:
                if number is not None:
                    raise ProfileError(f"profile version {number} does not exist")
                raise ProfileError(f"no profile version older than the current ({current or 0}) exists")
            if not dry_run:
                self._point_at(candidates[-1])
        return candidates[-1]

    def delete(self, numbers: Collection[int], *, dry_run: bool = False) -> list[int]:
        """Gives the numbers deleted. The current generation is never deleted: asking for it raises ProfileError."""
        with self._lock():
            if self.current() in numbers:
                raise ProfileError(f"cannot delete current version of profile '{self.path}'")
            return self._unlink([g for g in self.generations() if g.number in numbers], dry_run)

    def delete_old(self, *, dry_run: bool = False) -> list[int]:
        """Every generation but the current one."""
        with self._lock():
            current = self.current()
            return self._unlink([g for g in self.generations() if g.number != current], dry_run)

    def keep_newest(self, count: int, *, dry_run: bool = False) -> list[int]:
        """Keeps the current generation and the `count - 1` before it; newer ones stay."""
        if count < 1:
            raise UsageError("Must keep at least one generation, otherwise the current one would be deleted")
        with self._lock():
            current = self.current() or 0
            older = [g for g in self.generations() if g.number <= current]
            return self._unlink(older[:-count], dry_run)

    def delete_older_than(self, moment: float, *, dry_run: bool = False) -> list[int]:
        """Generations that were no longer current at `moment` (seconds since 1970).

        The youngest of those created before it was current then, so it stays: one can roll back to that state.
        """
        with self._lock():
            current = self.current()
            older = [g for g in self.generations() if g.created < moment][:-1]
            return self._unlink([g for g in older if g.number != current], dry_run)

    def _unlink(self, generations: list[Generation], dry_run: bool) -> list[int]:
        for generation in generations:
            if not dry_run:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(generation.link)
        return [g.number for g in generations]

    def _point_at(self, generation: Generation) -> None:
        target = os.path.basename(generation.link)
        if _target(self.path) != target:
            replace_symlink(target, self.path)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        path = f"{self.path}.lock"
        while True:
            descriptor = locks.open_lock_file(path)
            try:
                locks.flock(descriptor, fcntl.LOCK_EX)
                # Another process may have deleted the file between our open and our lock: then it guards nothing.
                if os.fstat(descriptor).st_nlink == 0:
                    continue
                yield
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                return
            finally:
                os.close(descriptor)


def _target(link: str) -> str | None:
    try:
        return os.readlink(link)
    except OSError:
        return None


def parse_age(text: str) -> float:
    """The moment, in seconds since 1970, that lies `14d` back. Raises UsageError."""
    digits = text.removesuffix("d")
    if not text.endswith("d"):
        raise UsageError(f"invalid number of days specifier '{text}', expected something like '14d'")
    if not (digits.isascii() and digits.isdigit()) or int(digits) < 1 or len(digits) > 9:
        raise UsageError(f"invalid number of days specifier '{text}'")
    return time.time() - int(digits) * SECONDS_A_DAY


def find_profiles(folder: str) -> list[str]:
    """Every profile below `folder`: links to one of their own generations."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names + [n for n in os.listdir(parent) if os.path.islink(os.path.join(parent, n))]:
            path = os.path.join(parent, name)
            target = _target(path)
            if target and generation_number(name, os.path.basename(target)) is not None:
                found.append(path)
    return sorted(set(found))
