"""A store shown at its logical place, everything else as on the host.

In: a store whose objects lie elsewhere (a user's own, or `--store DIRECTORY`) and a command. The command runs in a
mount namespace whose root is a fresh tmpfs holding every entry of `/` and the store at `/nix/store`, read-only. User,
groups, working folder, terminal and signals stay the caller's. Works for root and others, and inside another view.
Source: mount_namespaces(7), user_namespaces(7).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from frazil.build import _sandbox as native
from frazil.build.errors import BuildError

if TYPE_CHECKING:
    from frazil.store.local import LocalStore

Operation = tuple[int, bytes, bytes, int]


class ViewError(BuildError):
    """A program could not be run with the store at its logical place."""


def _siblings(folder: str, leave_out: str) -> list[Operation]:
    """Every entry of a host folder as it is, but one."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    base = folder.rstrip("/")
    flags = native.BIND_OPTIONAL | native.BIND_COPY_LINK
    paths = [os.fsencode(f"{base}/{name}") for name in names if name != leave_out]
    return [(native.BIND, path, path, flags) for path in paths]


def _store_operation(logical: str, physical: str) -> Operation:
    """The store alone, or above a store that the host has at the same place, so that the host's programs still run."""
    target = os.fsencode(logical)
    if os.path.isdir(logical) and not os.path.samefile(logical, physical) and os.listdir(logical):
        layers = [f"{native.OLD_ROOT}{os.path.realpath(path)}" for path in (physical, logical)]
        if not any(character in layer for layer in layers for character in ":,\\"):
            return (native.OVERLAY, target, os.fsencode("lowerdir=" + ":".join(layers)), 0)
    return (native.BIND, target, os.fsencode(os.path.realpath(physical)), native.BIND_RDONLY)


def is_shown(logical: str, physical: str) -> bool:
    """Whether the store is at its logical place already: it is there, or this process runs in a view of it."""
    if logical == physical:
        return True
    try:
        if os.path.samefile(logical, physical):
            return True
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.split(" ") for line in file if " - overlay " in line]
    except OSError:
        return False
    layer = f"lowerdir={native.OLD_ROOT}{os.path.realpath(physical)}:"
    return any(fields[4] == logical and layer in fields[-1] for fields in lines)


def view_operations(logical: str, physical: str) -> list[Operation]:
    operations: list[Operation] = []
    folder = "/"
    for component in logical.strip("/").split("/"):
        operations += _siblings(folder, component)
        folder = f"{folder.rstrip('/')}/{component}"
    operations.append(_store_operation(logical, physical))
    return operations


def _start(
    function: object, logical: str, physical: str, argv: Sequence[str], env: Mapping[str, str], cwd: str | None
) -> int:
    if not argv:
        raise ViewError("there is no command to run")
    same = is_shown(logical, physical)
    uid, gid = os.geteuid(), os.getegid()
    own_user = uid != 0 and not same
    assert callable(function)
    try:
        result = function(
            program=os.fsencode(argv[0]),
            argv=[os.fsencode(argument) for argument in argv],
            environment=[os.fsencode(name) + b"=" + os.fsencode(value) for name, value in env.items()],
            directory=os.fsencode(cwd or os.getcwd()),
            operations=[] if same else view_operations(logical, physical),
            namespaces=0 if same else native.NEWNS | (native.NEWUSER if own_user else 0),
            uid_map=f"{uid} {uid} 1\n" if own_user else None,
            gid_map=f"{gid} {gid} 1\n" if own_user else None,
            deny_setgroups=own_user,
            uid=-1,
            gid=-1,
            input=-1,
            output=-1,
            hostname=None,
            filter=None,
            personality=0,
            loopback=False,
            new_session=False,
            confined=False,
            propagate=True,
            die=False,
            scope_sockets=False,
            no_new_privileges=False,
            ruleset=-1,
        )
    except native.SetupError as error:
        raise _view_error(error, logical, physical) from error
    assert isinstance(result, int)
    return result


def _view_error(error: OSError, logical: str, physical: str) -> ViewError:
    number, step = int(error.args[0]), str(error.args[1])
    text = f"{step}: {os.strerror(number)}"
    if step.startswith("unable to execute"):
        program = step.removeprefix("unable to execute ")
        return ViewError(f"unable to execute '{program}': {os.strerror(number)}", exit_status=127)
    return ViewError(
        f"cannot show the store '{physical}' at '{logical}': {text}",
        hint="this needs user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone), or a "
        f"store that really is at '{logical}'",
    )


def _flush() -> None:
    import sys

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


def run_at(logical: str, physical: str, argv: Sequence[str], env: Mapping[str, str], cwd: str | None = None) -> int:
    """Runs a command with `physical` shown at `logical`; its exit status, or 128 + the signal that ended it."""
    _flush()
    pid = _start(native.spawn, logical, physical, argv, env, cwd)
    with _Signals(pid):
        _, status = os.waitpid(pid, 0)
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def exec_at(
    logical: str, physical: str, argv: Sequence[str], env: Mapping[str, str], cwd: str | None = None
) -> NoReturn:
    """Becomes the command. With several threads (where the kernel forbids it) a child runs and this process ends so."""
    _flush()
    try:
        _start(native.execute, logical, physical, argv, env, cwd)
    except ViewError as error:
        # Only the kernel knows: a thread that is ending counts after it is listed no more.
        if not _is_threads(error.__cause__):
            raise
    os._exit(run_at(logical, physical, argv, env, cwd))


def _is_threads(error: object) -> bool:
    import errno

    return isinstance(error, native.SetupError) and error.args[:2] == (errno.EINVAL, "creating namespaces")


class _Signals:
    """While a child has the terminal: interrupts are its own affair, a request to end is passed on."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.saved: dict[int, object] = {}

    def __enter__(self) -> None:
        import signal

        from frazil.activity import is_main_thread

        if not is_main_thread():
            return
        for number in (signal.SIGINT, signal.SIGQUIT):
            self.saved[number] = signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self.saved[number] = signal.signal(number, lambda n, _: os.kill(self.pid, n))

    def __exit__(self, *_: object) -> None:
        import signal

        for number, handler in self.saved.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def run_in_view(store: LocalStore, argv: Sequence[str], env: Mapping[str, str], cwd: str | None = None) -> int:
    """Runs `argv` (looked up in the PATH of `env`) with the store at its logical place; the exit status."""
    return run_at(store.config.store_dir, store.config.real_store_dir, argv, env, cwd)


def exec_in_view(store: LocalStore, argv: Sequence[str], env: Mapping[str, str], cwd: str | None = None) -> NoReturn:
    """Never returns: this process becomes `argv`, with the store at its logical place."""
    exec_at(store.config.store_dir, store.config.real_store_dir, argv, env, cwd)
