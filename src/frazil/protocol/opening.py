"""From addresses to stores elsewhere: `daemon`, `unix://`, `ssh-ng://`, `mounted-ssh-ng://`, `ssh://`.

Source of truth: the manual's `store/types`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from frazil.activity import Verbosity
from frazil.errors import UsageError
from frazil.protocol.client import WorkerClient
from frazil.protocol.errors import Disconnected
from frazil.protocol.legacy_ssh import LegacySshStore
from frazil.protocol.pooled import Channel
from frazil.protocol.remote import RemoteStore, connect_socket
from frazil.protocol.serve_client import ServeClient
from frazil.protocol.ssh import Authority, Options, Ssh, end
from frazil.protocol.wire import Input, Output
from frazil.store.address import Parameters, StoreReference
from frazil.store.config import StoreConfig

if TYPE_CHECKING:
    import subprocess

    from frazil.activity import Reporter
    from frazil.store.config import StoreSettings
    from frazil.store.path import StoreDirectory, StorePath

_FOREVER = (1 << 32) - 1
_COMMON = ("priority", "want-mass-query", "trusted", "system-features", "path-info-cache-size")


def open_daemon(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> RemoteStore:
    parameters = Parameters(reference.parameters)
    config = _place(reference, parameters, environment)
    path = reference.path if reference.scheme == "unix" else ""
    if path and not path.startswith("/"):
        raise UsageError(f"the address of a socket must be an absolute path, but is '{path}'")
    usual = environment.get("NIX_DAEMON_SOCKET_PATH") or f"{config.state_dir}/daemon-socket/socket"
    path = path or usual
    if path == usual:
        config = config.with_(uri="daemon")  # as others call it, however it was named
    connections, age = _connections(parameters)
    _warn_unknown(parameters, reporter)
    return RemoteStore(
        config,
        settings,
        reporter,
        connect_socket(path),
        is_here=True,
        maximum_connections=connections,
        maximum_age=age,
        sends_options=True,
    )


def open_ssh_ng(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> RemoteStore:
    parameters = Parameters(reference.parameters)
    mounted = reference.scheme == "mounted-ssh-ng"
    config = _place(reference, parameters, environment)
    connections, age = _connections(parameters)
    ssh = _ssh(reference, parameters, environment, reporter, shares=connections > 1)
    command = [*_program(parameters, "nix-daemon"), "--stdio", *_remote_store(parameters)]
    if mounted:
        command.append("--process-ops")
    _warn_unknown(parameters, reporter)

    def connect(directory: StoreDirectory, log: Reporter) -> Channel[WorkerClient]:
        child = ssh.start(command)
        incoming, outgoing = _pipes(child)
        return _checked(child, lambda: Channel(WorkerClient(incoming, outgoing, directory, log), lambda: end(child)))

    kind = _MountedStore if mounted else RemoteStore
    store = kind(config, settings, reporter, connect, is_here=mounted, maximum_connections=connections, maximum_age=age)
    store.at_close = ssh.close
    return store


def open_ssh(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> LegacySshStore:
    parameters = Parameters(reference.parameters)
    config = _place(reference, parameters, environment)
    connections = parameters.number("max-connections", 1)
    ssh = _ssh(reference, parameters, environment, reporter, shares=connections > 1)
    command = [*_program(parameters, "nix-store"), "--serve", "--write", *_remote_store(parameters)]
    log = parameters.number("log-fd", -1)
    _warn_unknown(parameters, reporter)
    host = ssh.authority.host

    def connect() -> Channel[ServeClient]:
        child = ssh.start(command, stderr=None if log < 0 else log)
        incoming, outgoing = _pipes(child)
        return _checked(
            child,
            lambda: Channel(ServeClient(incoming, outgoing, store.directory, host), lambda: end(child)),
        )

    store = LegacySshStore(config, settings, reporter, connect, connections)
    store.at_close = ssh.close
    return store


class _MountedStore(RemoteStore):
    def add_permanent_root(self, path: StorePath, link: str, target: str | None = None) -> str:
        """The server makes the link: it may not see ours in time."""
        import os

        with self.pool.connection() as channel:
            return channel.client.add_permanent_root(path, os.path.abspath(link))


# -- parameters ----------------------------------------------------------------------------------------------------


def _place(reference: StoreReference, parameters: Parameters, environment: Mapping[str, str]) -> StoreConfig:
    """Where paths would be, were the store here: the same settings as a local one's."""
    given = {name: text for name in ("store", "state", "log", "real", "root") if (text := parameters.optional(name))}
    for name in _COMMON:
        parameters.optional(name)
    config = StoreConfig.from_parameters(given, environment, reference.show())
    return config.with_(parameters=dict(reference.parameters), scheme=reference.scheme)


def _connections(parameters: Parameters) -> tuple[int, float | None]:
    age = parameters.number("max-connection-age", _FOREVER)
    return max(1, parameters.number("max-connections", 1)), None if age >= _FOREVER else float(age)


def _program(parameters: Parameters, default: str) -> list[str]:
    text = parameters.text("remote-program", default)
    try:
        return shlex.split(text) or [default]
    except ValueError as error:
        raise UsageError(f"the parameter 'remote-program' cannot be split into words: {error}") from error


def _remote_store(parameters: Parameters) -> list[str]:
    text = parameters.text("remote-store")
    return ["--store", text] if text else []


def _ssh(
    reference: StoreReference,
    parameters: Parameters,
    environment: Mapping[str, str],
    reporter: Reporter,
    *,
    shares: bool,
) -> Ssh:
    options = Options(
        key=parameters.path("ssh-key"),
        host_key=parameters.text("base64-ssh-public-host-key"),
        compress=parameters.flag("compress", False),
        environment=dict(environment),
        verbose=getattr(reporter, "verbosity", 0) >= Verbosity.CHATTY,
    )
    return Ssh(Authority.parse(reference.authority), options, shares=shares)


def _warn_unknown(parameters: Parameters, reporter: Reporter) -> None:
    for name in parameters.unknown():
        reporter.log(Verbosity.WARN, f"unknown store setting '{name}'")


def _pipes(child: subprocess.Popen[bytes]) -> tuple[Input, Output]:
    assert child.stdin is not None and child.stdout is not None
    return Input(child.stdout.fileno()), Output(child.stdin.fileno())


T = TypeVar("T")


def _checked(child: subprocess.Popen[bytes], make: Callable[[], T]) -> T:
    """Ends the program where it is no server, or none that we understand."""
    try:
        return make()
    except BrokenPipeError as error:
        end(child)
        raise Disconnected("the program at the other end has ended") from error
    except BaseException:
        end(child)
        raise
