"""Runs a builder in namespaces of its own: what it may see, who it is, what it may do.

In: a `Sandbox` (paths to show, network or not). Out: a process id; the builder is process 1 of its PID namespace, so
killing it ends everything it started. Source: Nix's manual on `sandbox`, `sandbox-paths`, `sandbox-build-dir`,
`filter-syscalls`, and libstore's Linux builder for what builders find there.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from frazil.build import _sandbox as native
from frazil.build.errors import SandboxError, sandbox_error
from frazil.build.seccomp import builder_filter

if TYPE_CHECKING:
    from frazil.build.build_users import BuildUser

BUILD_UID, BUILD_GID = 1000, 100
_HOST_IDS = (872415232, 30001)
"""Host ids that a build by root runs under: the start of Nix's `auto-allocate-uids` range, else its first `nixbld`."""

_UNAME26 = 0x0020000
_DEVICES = ("full", "null", "random", "tty", "urandom", "zero")
_NETWORK_FILES = ("/etc/resolv.conf", "/etc/services", "/etc/hosts")
_ISOLATED = native.NEWPID | native.NEWNS | native.NEWIPC | native.NEWUTS


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path shown in the sandbox. Store objects are copied as links where they are links."""

    target: str
    source: str
    optional: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Maps between ids inside and on the host. `host` is who owns what the builder writes; None: who runs frazil."""

    uid_map: str
    gid_map: str
    deny_setgroups: bool
    uid: int
    gid: int
    host: int | None
    groups: tuple[int, ...] = ()
    """Supplementary groups of a builder without a sandbox."""
    count: int = 1
    """How many ids; with more than one the builder is the root of its sandbox."""

    @property
    def inside(self) -> tuple[int, int]:
        """The ids that the builder has in a sandbox."""
        return (0, 0) if self.count > 1 else (BUILD_UID, BUILD_GID)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What one builder sees. `store_scratch`: the writable folder shown as the store, inputs mounted inside."""

    store_directory: str
    store_scratch: str
    inputs: Sequence[tuple[str, str]]
    """(logical path, real path) of every object in the closure of the declared inputs."""
    build_directory: str
    """On the host; shown as `build_directory_inside`."""
    temporary_directory: str
    build_directory_inside: str = "/build"
    paths: Sequence[Mount] = ()
    network: bool = False
    certificates: str | None = None
    kvm: bool = False
    shared_memory_size: str = "50%"
    later: int = -1
    """A socket that takes what is needed to show more store objects while the builder runs (`recursive`)."""
    cgroup: int = -1
    """The descriptor that takes the members of the builder's control group."""


@dataclass(frozen=True, slots=True)
class Process:
    """A program to start. `output` becomes its standard output and error, `input` its standard input."""

    program: str
    arguments: Sequence[bytes]
    """With the name it is called by first."""
    environment: Mapping[bytes, bytes]
    directory: str
    output: int
    input: int
    personality: int = native.ADDR_NO_RANDOMIZE
    filter_system_calls: bool = True
    allow_new_privileges: bool = False
    ruleset: int = -1
    """A Landlock ruleset's descriptor, for a builder without a sandbox."""


def identity(user: BuildUser | None = None) -> Identity:
    """Who a builder in a sandbox is. `user`: the ids that were reserved for it."""
    if user is None:
        return _common_identity()
    if user.count > 1:
        maps = (f"0 {user.uid} {user.count}\n", f"0 {user.gid} {user.count}\n")
        return Identity(*maps, deny_setgroups=False, uid=0, gid=0, host=user.uid, count=user.count)
    maps = (f"0 0 1\n{BUILD_UID} {user.uid} 1\n", f"0 0 1\n{BUILD_GID} {user.gid} 1\n")
    return Identity(*maps, deny_setgroups=False, uid=BUILD_UID, gid=BUILD_GID, host=user.uid)


def plain_identity(user: BuildUser | None) -> Identity:
    """Who a builder without a sandbox is: a user of the machine, or whoever runs us."""
    if user is None:
        return Identity("", "", deny_setgroups=False, uid=-1, gid=-1, host=None)
    return Identity("", "", False, user.uid, user.gid, user.uid, user.groups)


@cache
def _common_identity() -> Identity:
    """Root gives builders a user of their own, so that they own nothing outside; others can only map themselves."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        for host in _HOST_IDS:
            if _is_mapped(host):
                maps = (f"0 0 1\n{BUILD_UID} {host} 1\n", f"0 0 1\n{BUILD_GID} {host} 1\n")
                return Identity(*maps, deny_setgroups=False, uid=BUILD_UID, gid=BUILD_GID, host=host)
    return Identity(f"{BUILD_UID} {uid} 1\n", f"{BUILD_GID} {gid} 1\n", deny_setgroups=True, uid=-1, gid=-1, host=None)


def _is_mapped(number: int) -> bool:
    """Whether this process's own user namespace knows the id, for users and groups alike."""
    for name in ("uid_map", "gid_map"):
        try:
            with open(f"/proc/self/{name}", encoding="ascii") as file:
                ranges = [[int(field) for field in line.split()] for line in file]
        except OSError:
            return False
        if not any(first <= number < first + count for first, _, count in ranges):
            return False
    return True


def must_keep_groups() -> bool:
    """Whether the kernel refuses to drop supplementary groups, as inside most user namespaces."""
    try:
        with open("/proc/self/setgroups", encoding="ascii") as file:
            return file.read().strip() == "deny"
    except OSError:
        return False


def landlock_ruleset(readable: Sequence[str], writable: Sequence[str], *, network: bool) -> int:
    """What to confine a builder with where there are no namespaces; -1 where there is no Landlock either."""
    from frazil.build import _landlock

    return _landlock.ruleset(list(map(os.fsencode, readable)), list(map(os.fsencode, writable)), network)


@cache
def _cgroup_namespace() -> int:
    return native.NEWCGROUP if os.path.exists("/proc/self/ns/cgroup") else 0


def check_target(target: str, source: str) -> str:
    """A target of `sandbox-paths` as a clean absolute path; refuses those that would leave the new root."""
    clean: list[str] = []
    depth = 0
    relative = target.lstrip("/")
    folder = os.path.isdir(source) and not os.path.islink(source.rstrip("/") or "/")
    name = relative.rsplit("/", 1)[-1]
    if not relative or name in (".", ".."):
        raise SandboxError(f'sandbox path to bind mount in the chroot has an invalid filename: "{target}"')
    for component in relative.split("/"):
        if component in ("", "."):
            continue
        depth += -1 if component == ".." else 1
        if depth < 0:
            raise SandboxError(f'sandbox path "{target}" escapes the chroot')
        if component == "..":
            clean.pop()
        else:
            clean.append(component)
    if not name and not folder:
        kind = "symlink" if os.path.islink(source) else "regular file"
        raise SandboxError(f'creating {kind} "{target}": No such file or directory')
    if not clean:
        raise SandboxError(f'sandbox path "{target}" escapes the chroot')
    return "/" + "/".join(clean)


Operation = tuple[int, bytes, bytes, int]


def _file(path: str, text: str, mode: int = 0o644) -> Operation:
    return (native.FILE, os.fsencode(path), text.encode(), mode)


def _bind(path: str, source: str, flags: int) -> Operation:
    return (native.BIND, os.fsencode(path), os.fsencode(source), flags)


def _accounts(sandbox: Sandbox, who: Identity) -> list[Operation]:
    home = sandbox.build_directory_inside
    uid, gid = who.inside
    return [
        _file(
            "/etc/passwd",
            f"root:x:0:0:Nix build user:{home}:/noshell\n"
            f"nixbld:x:{uid}:{gid}:Nix build user:{home}:/noshell\n"
            "nobody:x:65534:65534:Nobody:/:/noshell\n",
        ),
        _file("/etc/group", f"root:x:0:\nnixbld:!:{gid}:\nnogroup:x:65534:\n"),
    ]


def _network(sandbox: Sandbox) -> list[Operation]:
    if not sandbox.network:
        return [_file("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")]
    found = [_file("/etc/nsswitch.conf", "hosts: files dns\nservices: files\n")]
    found += [
        _bind(path, os.path.realpath(path), native.BIND_OPTIONAL | native.BIND_RDONLY)
        for path in _NETWORK_FILES
        if os.path.exists(path)
    ]
    if sandbox.certificates and os.path.exists(sandbox.certificates):
        source = os.path.realpath(sandbox.certificates)
        found.append(_bind("/etc/ssl/certs/ca-certificates.crt", source, native.BIND_OPTIONAL | native.BIND_RDONLY))
    return found


@cache
def _frozen_system() -> tuple[Operation, ...]:
    """What keeps a builder from the kernel's settings to whom they belong though it has no capabilities: where root
    made a user namespace that knows no other id. Nobody else can write there, and who would mount a `/proc` of their
    own in namespaces further in may do so only if nothing covers parts of this one."""
    if os.stat("/proc/sys/kernel").st_uid != os.geteuid():
        return ()
    found: list[Operation] = []
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit() or entry.is_symlink():
                continue
            path = os.fsencode(entry.path)
            mode = entry.stat(follow_symlinks=False).st_mode
            secret = not mode & 0o004
            if secret or mode & 0o222 or entry.is_dir(follow_symlinks=False):
                found.append((native.FREEZE, path, b"/dev/null" if secret else b"", 0))
    return tuple(sorted(found, key=lambda operation: operation[1]))


def _devices(sandbox: Sandbox, flags: int) -> list[Operation]:
    names = [*_DEVICES, "kvm"] if sandbox.kvm and os.path.exists("/dev/kvm") else list(_DEVICES)
    found = [_bind(f"/dev/{name}", f"/dev/{name}", native.BIND_OPTIONAL | flags) for name in names]
    links = {
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
    }
    found += [(native.SYMLINK, os.fsencode(f"/dev/{name}"), os.fsencode(link), 0) for name, link in links.items()]
    size = f"mode=1777,size={sandbox.shared_memory_size}"
    found.append((native.TMPFS, b"/dev/shm", size.encode(), 0))
    found.append((native.DEVPTS, b"/dev/pts", b"newinstance,mode=0620,ptmxmode=0666", 0))
    found.append((native.SYMLINK, b"/dev/ptmx", b"/dev/pts/ptmx", 0))
    return found


def _around(sandbox: Sandbox, targets: dict[str, Mount]) -> list[str]:
    """Targets in which the store's folder is: they come before it, else they would hide it."""
    found = [target for target in targets if sandbox.store_directory.startswith(target + "/")]
    for target in found:
        source = targets[target].source
        place = source.rstrip("/") + sandbox.store_directory.removeprefix(target)
        if os.path.isdir(source) and not os.path.isdir(place):
            hidden = sandbox.store_directory
            raise SandboxError(f"sandbox path '{target}' would hide the store '{hidden}': there is no folder '{place}'")
    return found


def _mounts(targets: dict[str, Mount], flags: int) -> list[Operation]:
    return [
        _bind(
            target, mount.source, flags | native.BIND_OPTIONAL * mount.optional | native.BIND_RDONLY * mount.read_only
        )
        for target, mount in sorted(targets.items())
        if mount.source != "/proc"
    ]


def _operations(sandbox: Sandbox, who: Identity, hard_links: bool) -> list[Operation]:
    """`hard_links`: the builder can neither become root nor take the names of root's files away."""
    targets = {check_target(mount.target, mount.source): mount for mount in sandbox.paths}
    found = [_bind("/tmp", sandbox.temporary_directory, 0), *_accounts(sandbox, who), *_network(sandbox)]
    frozen = _frozen_system() if who.host is None else ()
    if "/dev" not in targets:
        found += _devices(sandbox, native.BIND_RDONLY if frozen else 0)
    copy = native.BIND_COPY_LINK
    around = {target: targets.pop(target) for target in _around(sandbox, targets)}
    found += _mounts(around, copy)
    found.append(_bind(sandbox.store_directory, sandbox.store_scratch, native.BIND_SCRATCH))
    flags = copy | native.BIND_HARD_LINK * hard_links
    found += [(native.BIND, os.fsencode(path), os.fsencode(real), flags) for path, real in sandbox.inputs]
    if sandbox.inputs:
        found.append((native.PROTECT, os.fsencode(sandbox.store_directory), b"", 0))
    found.append(_bind(sandbox.build_directory_inside, sandbox.build_directory, 0))
    found += _mounts(targets, copy)
    found += [(native.PROC, b"/proc", b"", 0), *frozen]
    if who.count == 1:
        found.append((native.MODE, b"/etc", b"", 0o555))
    elif not sandbox.network and "/sys" not in targets:  # the kernel shows it to who owns the network
        found.append((native.SYSFS, b"/sys", b"", 0))
    return found


def start(process: Process, sandbox: Sandbox | None, user: BuildUser | None = None) -> int:
    """Starts a builder; without a sandbox as a plain process that still leads a session and dies with us."""
    who = plain_identity(user) if sandbox is None else identity(user)
    namespaces = 0
    hard_links = who.host is not None and who.count == 1 and not process.allow_new_privileges
    if sandbox is not None:
        namespaces = _ISOLATED | native.NEWUSER | (0 if sandbox.network else native.NEWNET)
        namespaces |= _cgroup_namespace() if sandbox.cgroup < 0 else 0
    try:
        return native.spawn(
            program=os.fsencode(process.program),
            argv=list(process.arguments),
            environment=[name + b"=" + value for name, value in process.environment.items()],
            directory=os.fsencode(process.directory),
            operations=_operations(sandbox, who, hard_links) if sandbox is not None else [],
            namespaces=namespaces,
            uid_map=who.uid_map if sandbox is not None else None,
            gid_map=who.gid_map if sandbox is not None else None,
            deny_setgroups=who.deny_setgroups,
            uid=who.uid,
            gid=who.gid,
            input=process.input,
            output=process.output,
            hostname="localhost" if sandbox is not None else None,
            filter=builder_filter() if process.filter_system_calls else None,
            personality=process.personality,
            loopback=sandbox is not None and not sandbox.network,
            new_session=True,
            confined=True,
            propagate=False,
            die=True,
            scope_sockets=True,
            no_new_privileges=not process.allow_new_privileges,
            ruleset=process.ruleset,
            later=sandbox.later if sandbox is not None else -1,
            shared=sandbox.store_directory if sandbox is not None else None,
            groups=struct.pack(f"{len(who.groups)}I", *who.groups),
            cgroup=sandbox.cgroup if sandbox is not None else -1,
            roots=who.count > 1,
        )
    except native.SetupError as error:
        raise sandbox_error(error) from error


def personality_for(platform: str, impersonate_linux_26: bool = False) -> int:
    """32-bit personality for a 32-bit platform; address space randomisation is always off, for reproducibility."""
    machine = os.uname().machine
    narrow = platform == "i686-linux" and machine == "x86_64"
    value = native.ADDR_NO_RANDOMIZE
    if narrow or platform in ("armv7l-linux", "armv6l-linux", "armv5tel-linux"):
        value |= native.PER_LINUX32
    if impersonate_linux_26 and platform in ("i686-linux", "x86_64-linux"):
        value |= _UNAME26
    return value
