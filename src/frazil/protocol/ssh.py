"""Programs on other machines, reached through the `ssh` program.

In: host, options, a command. Out: a child process whose pipes lead there. `localhost` alone runs the command on this
machine without SSH, as in Nix. Source of truth: the manual's `store/types/ssh-store` and `command-ref/env-common`
(`NIX_SSHOPTS`); libstore's SSH master.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from frazil.errors import UsageError
from frazil.protocol.errors import NotStarted, ProtocolError

if TYPE_CHECKING:
    import subprocess
    from tempfile import TemporaryDirectory

_MAXIMUM_FIRST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Authority:
    """`[USER@]HOST[:PORT]`, as in an address."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Authority:
        """Raises UsageError for what `ssh` might take for an option."""
        from frazil.store.address import unquote

        shown = text
        text = text.rstrip("/")
        user: str | None = None
        if "@" in text:
            name, _, text = text.rpartition("@")
            user = unquote(name)
            if not user:
                raise _invalid(shown, "user name must not be empty")
            if user.startswith("-"):
                raise _invalid(shown, f"user name '{user}' must not start with '-'")
        host, port = _host_and_port(text, shown)
        if not host:
            raise _invalid(shown, "host name must not be empty")
        if host.startswith("-"):
            raise _invalid(shown, f"host name '{host}' must not start with '-'")
        if any(c in host for c in "/ \0\n") or (user and any(c in user for c in "\0\n")):
            raise _invalid(shown, "it holds a character that names cannot have")
        return cls(host, user, port)

    @property
    def target(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    @property
    def is_fake(self) -> bool:
        """Whether the command runs here, without SSH."""
        return self.host == "localhost" and self.user is None and self.port is None


def _host_and_port(text: str, shown: str) -> tuple[str, int | None]:
    from frazil.store.address import unquote

    if text.startswith("["):
        host, mark, rest = text[1:].partition("]")
        if not mark or (rest and not rest.startswith(":")):
            raise _invalid(shown, "brackets are not closed")
        text, port = unquote(host), rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        text = unquote(host)
    else:
        return unquote(text), None
    if not port:
        return text, None
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise _invalid(shown, f"'{port}' is no port")
    return text, int(port)


def _invalid(text: str, reason: str) -> UsageError:
    return UsageError(f"invalid SSH authority: '{text}': {reason}")


@dataclass(frozen=True, slots=True)
class Options:
    """Parameters of an `ssh://` address. `key`: a file; `host_key`: base 64 of what `known_hosts` would hold."""

    key: str | None = None
    host_key: str = ""
    compress: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    verbose: bool = False


class Ssh:
    """`shares`: one SSH connection for all commands."""

    def __init__(self, authority: Authority, options: Options, *, shares: bool = False) -> None:
        self.authority = authority
        self.options = options
        self.shares = shares and not authority.is_fake
        self._lock = Lock()
        self._folder: TemporaryDirectory[str] | None = None
        self._master: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], *, stderr: int | None = None) -> subprocess.Popen[bytes]:
        """A child with pipes for its standard input and output. Raises ProtocolError."""
        socket = self._start_master() if self.shares else None
        arguments = list(command)
        if not self.authority.is_fake:
            arguments = ["ssh", self.authority.target, "-x", *self._common(local_command=socket is None)]
            if socket is not None:
                arguments += ["-S", socket]
            if self.options.verbose:
                arguments.append("-v")
            arguments += ["--", *command]
        child = self._spawn(arguments, stderr)
        if not self.authority.is_fake and socket is None:
            self._wait_until_started(child)
        return child

    def _spawn(self, arguments: list[str], stderr: int | None) -> subprocess.Popen[bytes]:
        import subprocess

        # SSH runs its LocalCommand by the user's shell.
        environment = {**self.options.environment, "SHELL": "/bin/sh"}
        if self.authority.is_fake:
            environment = dict(self.options.environment)
        try:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                bufsize=0,
                env=environment,
            )
        except OSError as error:
            raise ProtocolError(f"unable to execute '{arguments[0]}': {error.strerror}") from error

    def _common(self, *, local_command: bool = True) -> list[str]:
        import shlex

        text = self.options.environment.get("NIX_SSHOPTS", "")
        try:
            arguments = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"NIX_SSHOPTS '{text}' cannot be split into words: {error}") from error
        if self.options.key is not None:
            arguments += ["-i", self.options.key]
        if self.options.host_key:
            arguments.append(f"-oUserKnownHostsFile={self._known_hosts()}")
        if self.options.compress:
            arguments.append("-C")
        if self.authority.port is not None:
            arguments.append(f"-p{self.authority.port}")
        if local_command:
            # Tells when the connection stands: before that, ssh may ask for a password on the terminal.
            arguments += ["-oPermitLocalCommand=yes", "-oLocalCommand=echo started"]
        return arguments

    def _own_folder(self) -> str:
        if self._folder is None:
            from tempfile import TemporaryDirectory

            self._folder = TemporaryDirectory(prefix="frazil-ssh-")
        return self._folder.name

    def _known_hosts(self) -> str:
        import base64
        import binascii

        try:
            key = base64.b64decode(self.options.host_key, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise UsageError(
                f"the parameter 'base64-ssh-public-host-key' for host '{self.authority.host}' is no base 64 text"
            ) from error
        path = f"{self._own_folder()}/host-key"
        with open(path, "w") as file:
            file.write(f"{self.authority.host} {key}\n")
        return path

    def _wait_until_started(self, child: subprocess.Popen[bytes]) -> None:
        assert child.stdout is not None
        line = b""
        while not line.endswith(b"\n") and len(line) < _MAXIMUM_FIRST_LINE and (data := child.stdout.read(1)):
            line += data
        if line != b"started\n":
            end(child)
            raise NotStarted(f"failed to start SSH connection to '{self.authority.host}'")

    def _start_master(self) -> str:
        with self._lock:
            path = f"{self._own_folder()}/ssh.sock"
            if self._master is None or self._master.poll() is not None:
                arguments = ["ssh", self.authority.target, "-M", "-N", "-S", path, *self._common()]
                master = self._spawn(arguments, None)
                self._wait_until_started(master)
                self._master = master
            return path

    def close(self) -> None:
        with self._lock:
            if self._master is not None:
                end(self._master)
                self._master = None
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None


def end(child: subprocess.Popen[bytes], patience: float = 2.0) -> None:
    """Closes its pipes and waits; kills it where that takes too long."""
    import subprocess

    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                pass  # what could not be written any more
    try:
        child.wait(patience)
    except subprocess.TimeoutExpired:
        child.terminate()
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
