"""The daemon that a builder may talk to while it runs (`recursive-nix`, `builder-rpc-v0`).

In: a build that is about to start. Out: a socket in its build directory, served by a process of its own (`__recursive`;
see `daemon/keeper`) that dies with the build; at the end, what the builder brought into the store, which its outputs
may refer to, and what it handed in as its outputs. Source of truth: libstore's derivation builder, restricted store.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frazil.build.errors import BuildError
from frazil.build.hook import setting_pairs
from frazil.build.machines import own_program
from frazil.errors import UsageError
from frazil.store.derivation import SUBMITTING
from frazil.store.path import StorePath

if TYPE_CHECKING:
    import subprocess

    from frazil.build.options import DerivationOptions
    from frazil.build.settings import BuildSettings
    from frazil.store.config import StoreConfig
    from frazil.store.derivation import Derivation
    from frazil.store.local import LocalStore

RECURSIVE = "recursive-nix"
PROGRAM = "__recursive"
SOCKET_NAME = ".nix-socket"
_EXPERIMENTAL = {RECURSIVE: "recursive-nix", SUBMITTING: "dynamic-derivations"}
_PATIENCE = 60.0
"""Seconds for what was started through the socket to end."""
_MAXIMUM_ANSWER = 1 << 30


def offered_features(experimental: frozenset[str]) -> frozenset[str]:
    """System features that this machine has because experimental ones are on."""
    found = {feature for feature, needed in _EXPERIMENTAL.items() if needed in experimental}
    return frozenset(found | ({"ca-derivations"} & experimental))


def wanted_feature(drv: Derivation, options: DerivationOptions, settings: BuildSettings) -> str | None:
    """What kind of daemon the derivation asks for. Raises BuildError, UsageError."""
    wanted = options.required_features & _EXPERIMENTAL.keys()
    if not wanted:
        return None
    feature = SUBMITTING if SUBMITTING in wanted else RECURSIVE
    if feature == SUBMITTING and not drv.type().is_content_addressed:
        raise BuildError("The builder-rpc-v0 feature may only be used with content-addressing derivations")
    needed = _EXPERIMENTAL[feature]
    if not settings.has_feature(needed):
        raise UsageError(
            f"experimental Nix feature '{needed}' is disabled; add '--extra-experimental-features {needed}' "
            "to enable it"
        )
    return feature


@dataclass(frozen=True, slots=True)
class Gains:
    """What came of the conversation. `submitted`: output → path."""

    added: frozenset[StorePath] = frozenset()
    submitted: Mapping[str, StorePath] = field(default_factory=dict)


class RecursiveDaemon:
    """`directory`: the build directory on the host. `scratch`: where the sandbox keeps its store, None without one."""

    def __init__(
        self,
        store: LocalStore,
        settings: BuildSettings,
        *,
        feature: str,
        inputs: frozenset[StorePath],
        directory: str,
        owner: int | None,
        scratch: str | None,
    ) -> None:
        self.store = store
        self.feature = feature
        self.door = -1
        """For the sandbox: what lets us show more paths in it later."""
        self.gains: Gains | None = None
        self._process: subprocess.Popen[bytes] | None = None
        theirs: list[socket.socket] = []
        self._control, control = socket.socketpair()
        theirs.append(control)
        try:
            theirs.append(_listen(directory, owner))
            door, inside = socket.socketpair()
            theirs.append(door)
            self.door = inside.detach()
            numbers = [sock.fileno() for sock in theirs]
            document = {
                "settings": setting_pairs(settings) or _essential(settings),
                "store": _address(store.config),
                "submitting": feature == SUBMITTING,
                "inputs": sorted(path.base for path in inputs),
                "scratch": scratch if feature == RECURSIVE else None,
                "descriptors": dict(zip(("control", "listener", "door"), numbers, strict=True)),
            }
            self._start(json.dumps(document).encode(), numbers)
        except BaseException:
            self.close()
            raise
        finally:
            for sock in theirs:
                sock.close()

    def _start(self, document: bytes, descriptors: list[int]) -> None:
        import subprocess

        environment = {name: value for name, value in os.environ.items() if name != "NIX_REMOTE"}
        try:
            self._process = subprocess.Popen(
                own_program(PROGRAM),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=descriptors,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise BuildError(f"cannot start the daemon of a recursive build: {error.strerror}") from error
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(document)
            self._process.stdin.close()
        except OSError as error:
            raise BuildError(f"cannot start the daemon of a recursive build: {error.strerror}") from error

    def started(self) -> None:
        """The builder runs, or nothing came of it: nobody else shall have the sandbox's end."""
        if self.door >= 0:
            os.close(self.door)
            self.door = -1

    def finish(self) -> Gains:
        """After the builder's end: ends all conversations. Raises BuildError, StoreError."""
        if self.gains is None:
            try:
                answer = self._ask_for_the_end()
                if "error" in answer:
                    raise BuildError(f"the daemon of a recursive build failed: {answer['error']}")
                added = frozenset(map(StorePath.from_base, answer["added"]))
                submitted = {name: StorePath.from_base(base) for name, base in answer["submitted"].items()}
                self.store.add_temporary_roots(added | set(submitted.values()))
                self.gains = Gains(added, submitted)
            finally:
                self.close()
        return self.gains

    def _ask_for_the_end(self) -> dict[str, dict[str, str]]:
        deadline = time.monotonic() + _PATIENCE
        pieces, size = [], 0
        try:
            self._control.sendall(b"end\n")
            poll = select.poll()
            poll.register(self._control, select.POLLIN)
            while size < _MAXIMUM_ANSWER:
                if not poll.poll(200):
                    if time.monotonic() > deadline:
                        raise BuildError("the daemon of a recursive build does not end")
                    continue
                data = self._control.recv(1 << 20)
                if not data:
                    break
                pieces.append(data)
                size += len(data)
                if data.endswith(b"\n"):
                    answer: dict[str, dict[str, str]] = json.loads(b"".join(pieces))
                    return answer
        except (OSError, ValueError) as error:
            raise BuildError(f"the daemon of a recursive build failed: {error}") from error
        raise BuildError("the daemon of a recursive build ended before its time")

    def close(self) -> None:
        """Ends everything, whatever it does: the process sees that nobody is left who wants it."""
        import subprocess

        self.started()
        self._control.close()
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None and not process.stdin.closed:
            try:
                process.stdin.close()
            except OSError:
                pass  # it is gone already
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listen(directory: str, owner: int | None) -> socket.socket:
    """Also where the path is longer than the system's limit for socket addresses. No builder runs yet."""
    folder = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{SOCKET_NAME}")
        os.chmod(SOCKET_NAME, 0o600, dir_fd=folder)
        if owner is not None:
            os.chown(SOCKET_NAME, owner, owner, dir_fd=folder, follow_symlinks=False)
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise BuildError(f"cannot bind to the socket '{directory}/{SOCKET_NAME}': {error.strerror}") from error
    finally:
        os.close(folder)
    return listener


def _essential(settings: BuildSettings) -> list[tuple[str, str]]:
    """What a build inside needs to go on like the one outside, where no program tells its whole configuration."""
    pairs = {
        "experimental-features": " ".join(sorted(settings.experimental_features)),
        "system": settings.system,
        "system-features": " ".join(sorted(settings.system_features)),
        "sandbox": settings.sandbox,
        "sandbox-paths": " ".join(settings.sandbox_paths),
        "max-jobs": str(settings.max_jobs),
        "cores": str(settings.cores),
        "timeout": str(settings.timeout),
        "max-silent-time": str(settings.max_silent_time),
        "substitute": "true" if settings.substitute else "false",
        "substituters": " ".join(settings.substituters),
    }
    return list(pairs.items())


def _address(config: StoreConfig) -> str:
    """With which another process opens the same store, whatever its environment says."""
    from urllib.parse import urlencode

    if config.scheme != "local":
        return config.uri
    places = {
        "store": config.store_dir,
        "real": config.real_store_dir,
        "state": config.state_dir,
        "log": config.log_dir,
    }
    return "local?" + urlencode({**config.parameters, **places})
