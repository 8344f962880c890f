from collections.abc import Sequence
from typing import NoReturn

Operation = tuple[int, bytes, bytes, int]

class SetupError(OSError): ...

DIRECTORY: int
FILE: int
SYMLINK: int
BIND: int
TMPFS: int
PROC: int
SYSFS: int
DEVPTS: int
FREEZE: int
PROTECT: int
MODE: int
OVERLAY: int
OLD_ROOT: str
BIND_OPTIONAL: int
BIND_RDONLY: int
BIND_COPY_LINK: int
BIND_SCRATCH: int
BIND_HARD_LINK: int
NEWUSER: int
NEWNS: int
NEWPID: int
NEWNET: int
NEWIPC: int
NEWUTS: int
NEWCGROUP: int
PER_LINUX32: int
ADDR_NO_RANDOMIZE: int

def spawn(
    program: bytes,
    argv: Sequence[bytes],
    environment: Sequence[bytes],
    directory: bytes,
    operations: Sequence[Operation],
    namespaces: int,
    uid_map: str | None,
    gid_map: str | None,
    deny_setgroups: bool,
    uid: int,
    gid: int,
    input: int,
    output: int,
    hostname: str | None,
    filter: bytes | None,
    personality: int,
    loopback: bool,
    new_session: bool,
    confined: bool,
    propagate: bool,
    die: bool,
    scope_sockets: bool,
    no_new_privileges: bool,
    ruleset: int,
    later: int = -1,
    shared: str | None = None,
    groups: bytes = b"",
    cgroup: int = -1,
    roots: bool = False,
) -> int: ...
def execute(
    program: bytes,
    argv: Sequence[bytes],
    environment: Sequence[bytes],
    directory: bytes,
    operations: Sequence[Operation],
    namespaces: int,
    uid_map: str | None,
    gid_map: str | None,
    deny_setgroups: bool,
    uid: int,
    gid: int,
    input: int,
    output: int,
    hostname: str | None,
    filter: bytes | None,
    personality: int,
    loopback: bool,
    new_session: bool,
    confined: bool,
    propagate: bool,
    die: bool,
    scope_sockets: bool,
    no_new_privileges: bool,
    ruleset: int,
) -> NoReturn: ...
def isolate(namespaces: int, uid_map: str | None, gid_map: str | None, deny_setgroups: bool, /) -> None: ...
def kill_user(uid: int, /) -> bool: ...
def set_death_signal(number: int, /) -> None: ...
