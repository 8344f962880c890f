"""Users that builders run as when root builds: members of a group, or ids out of a range that nobody has.

In: the settings `build-users-group`, `auto-allocate-uids`, `start-id`, `id-count`. Out: ids that no other build has,
held by a lock on a file in the state directory (`userpool`, `userpool2`) that C++ Nix takes, too. Source of truth:
those settings in Nix's manual; libstore's user locks.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from frazil.build import _sandbox as native
from frazil.build.errors import BuildError
from frazil.build.settings import BuildSettings
from frazil.store.errors import from_os_error
from frazil.store.locks import flock, open_lock_file

IDS_PER_BUILD = 65536
_LARGEST = (1 << 32) - 1
_ROUNDS = 50


@dataclass(slots=True)
class BuildUser:
    """`count` ids from `uid` and `gid` on, until `release`."""

    uid: int
    gid: int
    count: int = 1
    groups: tuple[int, ...] = ()
    descriptor: int = -1

    def release(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def uses_build_users(settings: BuildSettings, group: str) -> bool:
    """Whether builders are other users than we. Only root can become another."""
    return os.geteuid() == 0 and (bool(group) or settings.auto_allocate_uids)


def acquire_build_user(
    state_directory: str, settings: BuildSettings, group: str, *, count: int = 1, sandboxed: bool = True
) -> BuildUser | None:
    """None where all are taken. Raises BuildError, StoreError."""
    if settings.auto_allocate_uids:
        return _from_range(f"{state_directory}/userpool2", settings, group, count, sandboxed)
    return _from_group(f"{state_directory}/userpool", group)


def _locked(folder: str, name: str) -> int:
    """The descriptor of a lock file; -1 where another has it."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"creating directory '{folder}'") from error
    descriptor = open_lock_file(f"{folder}/{name}")
    import fcntl

    try:
        if flock(descriptor, fcntl.LOCK_EX, wait=False):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return -1


def _group_id(group: str) -> int:
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise BuildError(f"the group '{group}' specified in 'build-users-group' does not exist") from None


def _from_group(folder: str, group: str) -> BuildUser | None:
    import grp
    import pwd

    gid = _group_id(group)
    members = grp.getgrnam(group).gr_mem
    if not members:
        raise BuildError(f"the build users group '{group}' has no members")
    for name in members:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            raise BuildError(f"the user '{name}' in the group '{group}' does not exist") from None
        if account.pw_uid in (0, os.getuid(), os.geteuid()):
            raise BuildError(f"the Nix user should not be a member of '{group}'")
        descriptor = _locked(folder, str(account.pw_uid))
        if descriptor >= 0:
            others = tuple(number for number in os.getgrouplist(name, account.pw_gid) if number != gid)
            return BuildUser(account.pw_uid, gid, 1, others, descriptor)
    return None


def check_range(settings: BuildSettings) -> None:
    """Raises BuildError for `start-id` and `id-count` that make no ranges."""
    start, count = settings.start_id, settings.id_count
    if start <= 0 or count <= 0 or count % IDS_PER_BUILD or start + count > _LARGEST:
        raise BuildError(
            f"the settings 'start-id' ({start}) and 'id-count' ({count}) make no user ids for builds",
            hint=f"'id-count' is a multiple of {IDS_PER_BUILD}, and ids end at {_LARGEST}",
        )


def _from_range(folder: str, settings: BuildSettings, group: str, count: int, sandboxed: bool) -> BuildUser | None:
    import pwd

    check_range(settings)
    for slot in range(settings.id_count // IDS_PER_BUILD):
        descriptor = _locked(folder, f"slot-{slot}")
        if descriptor < 0:
            continue
        first = settings.start_id + slot * IDS_PER_BUILD
        try:
            clash = next((user.pw_name for user in pwd.getpwall() if user.pw_uid == first), None)
            if clash is not None:
                raise BuildError(f"auto-allocated UID {first} clashes with existing user account '{clash}'")
            return BuildUser(first, first if sandboxed else _group_id(group), count, (), descriptor)
        except BaseException:
            os.close(descriptor)
            raise
    return None


def kill_processes(uid: int) -> None:
    """Ends every process of a user who has no business now: without a sandbox a builder may leave some behind."""
    for _ in range(_ROUNDS):
        if not _has_processes(uid):
            return
        native.kill_user(uid)
        time.sleep(0.01)
    raise BuildError(f"cannot kill processes for uid '{uid}'")


def _has_processes(uid: int) -> bool:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:
                fields = dict(line.split(":", 1) for line in file if line.startswith(("Uid:", "State:")))
        except OSError:
            continue
        if fields.get("State", "").strip().startswith(("Z", "X")):
            continue
        if str(uid) in fields.get("Uid", "").split():
            return True
    return False
