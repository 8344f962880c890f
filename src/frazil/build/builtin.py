"""Builders that are part of frazil: `builtin:fetchurl` and others, run in a forked child.

In: a derivation. Out: its outputs at their scratch paths. The child has no network unless the output is fixed, may open
its inputs, outputs and build directory only where the kernel has Landlock, and dies with its parent. Source of truth:
libstore's builtin builders.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from frazil.activity import is_main_thread
from frazil.build import _landlock, _sandbox
from frazil.errors import FrazilError
from frazil.store.derivation import Derivation

if TYPE_CHECKING:
    from frazil.fetch.settings import FetchSettings

REGISTRY = {
    "builtin:buildenv": "frazil.build.builtin_buildenv",
    "builtin:debian": "frazil.build.builtin_debian",
    "builtin:fetchurl": "frazil.build.builtin_fetchurl",
    "builtin:unpack-channel": "frazil.build.builtin_unpack_channel",
}
"""Builder → module whose `build(context)` does it; imported in the parent just before the fork."""


class BuiltinFailed(FrazilError):
    """A builtin builder gave up; the text goes to the build log."""


@dataclass(frozen=True, slots=True)
class BuiltinContext:
    """`environment`: the derivation's own, as byte strings, output placeholders replaced; `outputs`: name → logical
    path; `real_path`: a logical path, of an input, an output or below one, → where it is."""

    derivation: Derivation
    environment: Mapping[str, str]
    outputs: Mapping[str, str]
    real_path: Callable[[str], str]
    temporary_directory: str
    log: Callable[[str], None]
    fetch_settings: FetchSettings
    hashed_mirrors: tuple[str, ...] = ()

    def attribute(self, name: str) -> str:
        """Raises BuiltinFailed where the derivation lacks it."""
        if name not in self.environment:
            raise BuiltinFailed(f"attribute '{name}' missing")
        return self.environment[name]

    def real_output(self, name: str = "out") -> str:
        if name not in self.outputs:
            raise BuiltinFailed(f"'{self.derivation.builder}' requires an '{name}' output")
        return self.real_path(self.outputs[name])


Builtin = Callable[[BuiltinContext], None]


def load(builder: str) -> Builtin | None:
    module_name = REGISTRY.get(builder)
    if module_name is None:
        return None
    import importlib

    build: Builtin = importlib.import_module(module_name).build
    return build


def write_log(text: str) -> None:
    data = text.encode("utf-8", "replace") + b"\n"
    while data:
        data = data[os.write(2, data) :]


def start(
    build: Builtin,
    context: BuiltinContext,
    *,
    output: int,
    network: bool,
    confine: tuple[list[str], list[str]] | None,
) -> int:
    """Forks; the child's status is the builder's. `confine`: (readable, writable) paths."""
    import warnings

    parent = os.getpid()
    with warnings.catch_warnings():
        # Other threads only wait; the child touches none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _enter(parent, output, network, confine, context.temporary_directory)
        status = _run(build, context)
    except OSError as error:
        write_log(f"error: setting up '{context.derivation.builder}': {error}")
    finally:
        os._exit(status)


def _run(build: Builtin, context: BuiltinContext) -> int:
    try:
        build(context)
    except FrazilError as error:
        write_log(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))
        return 1
    except OSError as error:
        name = f" '{os.fsdecode(error.filename)}'" if error.filename is not None else ""
        write_log(f"error: {error.strerror or error}{name}")
        return 1
    except Exception as error:
        write_log(f"error: bug in '{context.derivation.builder}': {type(error).__name__}: {error}")
        return 1
    return 0


def _enter(
    parent: int, output: int, network: bool, confine: tuple[list[str], list[str]] | None, directory: str
) -> None:
    import signal

    _sandbox.set_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL) if is_main_thread() else None
    null = os.open("/dev/null", os.O_RDWR)
    for target, source in ((0, null), (1, output), (2, output)):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o022)
    os.chdir(directory)
    if not network:
        _shut_network()
    if confine is not None:
        _landlock.confine([os.fsencode(p) for p in confine[0]], [os.fsencode(p) for p in confine[1]], network)


def _shut_network() -> None:
    """A user that cannot have namespaces still runs our own code only: then Landlock is what there is."""
    uid, gid = os.geteuid(), os.getegid()
    own_user = uid != 0
    try:
        _sandbox.isolate(
            _sandbox.NEWNET | (_sandbox.NEWUSER if own_user else 0),
            f"{uid} {uid} 1\n" if own_user else None,
            f"{gid} {gid} 1\n" if own_user else None,
            own_user,
        )
    except OSError:
        pass


def unsupported(builder: str) -> Builtin:
    def build(context: BuiltinContext) -> NoReturn:
        raise BuiltinFailed(f"unsupported builtin builder '{builder.removeprefix('builtin:')}'")

    return build
