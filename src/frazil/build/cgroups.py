"""Control groups of builders: what they used, and that nothing of them stays (`use-cgroups`, `uid-range`).

In: a cgroup v2 hierarchy that we may write below our own group, as under systemd with `Delegate=yes`. Out: a group
for each build, its processor time, and its end with everything in it. Source of truth: the kernel's
documentation of cgroup v2; the setting `use-cgroups` in Nix's manual.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from frazil.build.errors import BuildError
from frazil.build.settings import BuildSettings
from frazil.errors import UsageError
from frazil.store.errors import from_os_error

FEATURE = "cgroups"
_HINT = (
    "builds have control groups of their own where a cgroup v2 hierarchy is mounted and we may write below our own "
    "group: as root, or as a service with 'Delegate=yes'. Without, leave 'use-cgroups' off"
)
_LIMITS = {"cgroup.max.depth": "64", "cgroup.max.descendants": "4096"}
"""Builders that are given their group may divide it, but we have to clear it away."""
_DELEGATED = ("cgroup.procs", "cgroup.threads")
_ROUNDS = 20
_LONGEST_WAIT = 1.0
_DAEMON = "nix-daemon"

_root = ""
_numbers = count()


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time in microseconds; None where the kernel does not count it."""

    user: int | None = None
    system: int | None = None


def check_feature(settings: BuildSettings) -> None:
    if not settings.has_feature(FEATURE):
        raise UsageError(
            f"experimental Nix feature '{FEATURE}' is disabled; add '--extra-experimental-features {FEATURE}' to "
            "enable it"
        )


def hierarchy(mounts: str = "/proc/mounts") -> str:
    """Where the version 2 hierarchy is mounted. Raises BuildError."""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split() for line in file]
    except OSError:
        rows = []
    for row in rows:
        if len(row) > 2 and row[2] == "cgroup2":
            return _unescape(row[1])
    raise BuildError("cannot determine the cgroups file system", hint=_HINT)


def _unescape(text: str) -> str:
    """Blanks in the names of mount points are written in octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def own_group(membership: str = "/proc/self/cgroup") -> str:
    """The name of the group that this process is in. Raises BuildError."""
    try:
        with open(membership, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("0::/"):
            return line[3:]
    raise BuildError("cannot determine cgroup name from /proc/self/cgroup", hint=_HINT)


def root() -> str:
    """The folder of the group that we were in when this was first asked: builds get theirs there."""
    global _root
    if not _root:
        name = own_group().strip("/")
        found = f"{hierarchy()}/{name}" if name else hierarchy()
        if not os.path.isdir(found):
            raise BuildError(f'expected cgroup directory "{found}"', hint=_HINT)
        _root = found
    return _root


def move_daemon() -> None:
    """Into a group of its own beside those of its builds: one with members cannot limit what is below it."""
    place = f"{root()}/{_DAEMON}"
    try:
        os.makedirs(place, exist_ok=True)
        _write(f"{place}/cgroup.procs", str(os.getpid()))
    except OSError as error:
        raise BuildError(f'creating cgroup "{place}": {error.strerror}', hint=_HINT) from error


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


class Cgroup:
    """One build's group, made by this. `uid`: whose builds leave theirs one after another; None: nobody's.

    Raises BuildError.
    """

    def __init__(self, state_directory: str, uid: int | None, gid: int | None, owner: int | None) -> None:
        name = f"nix-build-uid-{uid}" if uid is not None else f"nix-build-pid-{os.getpid()}-{next(_numbers)}"
        self.path = f"{root()}/{name}"
        self.usage = Usage()
        self.members = -1
        """The descriptor that takes the numbers of processes that shall belong to it."""
        if uid is not None:
            _end_previous(f"{state_directory}/cgroups", str(uid), self.path)
        try:
            os.mkdir(self.path, 0o755)
            for limit, value in _LIMITS.items():
                _write(f"{self.path}/{limit}", value)
            if owner is not None:
                for entry in ("", *_DELEGATED):
                    os.chown(f"{self.path}/{entry}", owner, owner if gid is None else gid)
            self.members = os.open(f"{self.path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.EEXIST and os.path.isdir(self.path):
                os.rmdir(self.path)
            raise BuildError(f'creating cgroup "{self.path}": {error.strerror}', hint=_HINT) from error

    def close(self) -> None:
        if self.members >= 0:
            os.close(self.members)
            self.members = -1

    def end(self) -> None:
        """Kills whoever is in it and removes it; what it used is known then."""
        self.close()
        self.usage = destroy(self.path)


def _end_previous(folder: str, name: str, path: str) -> None:
    """A process of ours that was killed left its build's group behind: its name was written down for us."""
    place = f"{folder}/{name}"
    try:
        os.makedirs(folder, exist_ok=True)
        with open(place, encoding="utf-8", errors="surrogateescape") as file:
            previous = file.read(4097)
    except FileNotFoundError:
        previous = ""
    except OSError as error:
        raise from_os_error(error, f"reading '{place}'") from error
    if previous.startswith(f"{hierarchy()}/") and len(previous) < 4097:
        destroy(previous)
    destroy(path)
    temporary = f"{place}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(path)
        os.replace(temporary, place)
    except OSError as error:
        raise from_os_error(error, f"writing '{place}'") from error


def usage_of(path: str) -> Usage:
    try:
        with open(f"{path}/cpu.stat", encoding="ascii") as file:
            fields = dict(line.split(None, 1) for line in file)
        return Usage(_number(fields.get("user_usec")), _number(fields.get("system_usec")))
    except (OSError, ValueError):
        return Usage()


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def destroy(path: str) -> Usage:
    """Raises BuildError where it cannot be emptied."""
    if not os.path.isdir(path):
        return Usage()
    if not os.path.exists(f"{path}/cgroup.procs"):
        raise BuildError(f'"{path}" is not a cgroup')
    for attempt in range(_ROUNDS):
        _kill(path)
        try:
            for inner in _below(path):
                os.rmdir(inner)
            usage = usage_of(path)
            os.rmdir(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise BuildError(f'deleting cgroup "{path}": {error.strerror}') from error
            time.sleep(min(_LONGEST_WAIT, 0.001 * 2**attempt))
            continue
        return usage
    if not os.path.isdir(path):
        return Usage()
    raise BuildError(f'cannot kill cgroup "{path}"')


def _below(path: str) -> list[str]:
    """The groups inside, the innermost first."""
    found: list[str] = []
    waiting = [path]
    while waiting:
        current = waiting.pop()
        with os.scandir(current) as entries:
            inner = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        found += inner
        waiting += inner
    return sorted(found, key=lambda name: -name.count("/"))


def _kill(path: str) -> None:
    """At once where the kernel can (5.14), else one by one."""
    try:
        _write(f"{path}/cgroup.kill", "1")
        return
    except OSError:
        pass
    for group in [*_below(path), path]:
        for number in _members(group):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _members(path: str) -> Iterator[int]:
    try:
        with open(f"{path}/cgroup.procs", encoding="ascii") as file:
            for line in file:
                if int(line) > 0:
                    yield int(line)
    except OSError:  # a threaded group has none of its own: they are the ones of a group above
        return
