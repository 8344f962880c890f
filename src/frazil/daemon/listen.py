"""The daemon: a Unix socket, who may connect, and a process for each client.

In: a socket path (or one inherited from a service manager), the lists of users. Out: clients served. Source of truth:
the manual's `nix-daemon`; C++ Nix's daemon loop.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frazil.errors import FrazilError

ACTIVATION_NAME = "nix-daemon.socket"
_FIRST_ACTIVATED = 3
_UCRED = struct.Struct("3i")
_BACKLOG = 64


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end; None where the system does not tell."""

    pid: int | None = None
    uid: int | None = None
    gid: int | None = None

    @property
    def user(self) -> str | None:
        if self.uid is None:
            return None
        import pwd

        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    @property
    def group(self) -> str | None:
        if self.gid is None:
            return None
        import grp

        try:
            return grp.getgrgid(self.gid).gr_name
        except KeyError:
            return str(self.gid)


def peer_of(connection: socket.socket) -> Peer:
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except OSError:
        return Peer()
    pid, uid, gid = _UCRED.unpack(data)
    return Peer(pid, uid, gid)


def matches(user: str | None, group: str | None, allowed: Sequence[str]) -> bool:
    """Whether a list of users (`*`, names, `@GROUP`) holds this one."""
    if "*" in allowed or (user is not None and user in allowed):
        return True
    import grp

    for entry in allowed:
        if not entry.startswith("@"):
            continue
        if group == entry[1:]:
            return True
        try:
            members = grp.getgrnam(entry[1:]).gr_mem
        except KeyError:
            continue
        if user is not None and user in members:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Access:
    """The settings `trusted-users`, `allowed-users` and `build-users-group`. `forced`: trust or not, whoever it is."""

    trusted_users: Sequence[str] = ("root",)
    allowed_users: Sequence[str] = ("*",)
    build_users_group: str = ""
    forced: bool | None = None

    def check(self, peer: Peer) -> bool:
        """Whether the peer is trusted. Raises FrazilError for one that may not connect."""
        if self.forced is not None:
            return self.forced
        user, group = peer.user, peer.group
        trusted = matches(user, group, self.trusted_users)
        barred = bool(self.build_users_group) and group == self.build_users_group
        if barred or not (trusted or matches(user, group, self.allowed_users)):
            raise FrazilError(f"user '{user or '<unknown>'}' is not allowed to connect to the Nix daemon")
        return trusted


def bind(path: str, mode: int = 0o666) -> socket.socket:
    """A listening socket at `path`, which may be longer than the system's limit for socket addresses.

    Raises FrazilError. One that nobody listens to is replaced.
    """
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FrazilError(f"creating the folder of the socket '{path}': {error.strerror}") from error
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass
        server.bind(f"/proc/self/fd/{directory}/{name}")
        os.chmod(name, mode, dir_fd=directory)
        server.listen(_BACKLOG)
    except OSError as error:
        server.close()
        raise FrazilError(f"cannot bind to socket '{path}': {error.strerror}") from error
    finally:
        os.close(directory)
    return server


def activated() -> list[socket.socket] | None:
    """Sockets that a service manager opened for us; None where there is none such."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "")
    if not count.isdigit() or int(count) < 1:
        raise FrazilError("unexpected systemd environment variables")
    sockets = []
    for descriptor in range(_FIRST_ACTIVATED, _FIRST_ACTIVATED + int(count)):
        os.set_inheritable(descriptor, False)
        sockets.append(socket.socket(fileno=descriptor))
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    return sockets


Serve = Callable[[int, bool], None]
"""(descriptor of the connection, whether the client is trusted); in a process of its own."""


class Daemon:
    """Accepts until a signal ends it. `log`: lines for whoever looks after the daemon."""

    def __init__(
        self, servers: Sequence[socket.socket], access: Access, serve: Serve, log: Callable[[str], None]
    ) -> None:
        self.servers = list(servers)
        self.access = access
        self.serve = serve
        self.log = log

    def run(self) -> None:
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        previous = signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            poll = select.poll()
            for server in self.servers:
                server.setblocking(False)
                poll.register(server, select.POLLIN)
            poll.register(wake_read, select.POLLIN)
            by_number = {server.fileno(): server for server in self.servers}
            while True:
                for descriptor, _ in poll.poll():
                    if descriptor == wake_read:
                        _drain(wake_read)
                        self._reap()
                    else:
                        self._accept(by_number[descriptor])
        finally:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, previous)
            os.close(wake_read)
            os.close(wake_write)

    def _reap(self) -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return

    def _accept(self, server: socket.socket) -> None:
        try:
            connection, _ = server.accept()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EINTR):
                self.log(f"error accepting connection: {error.strerror}")
            return
        with connection:
            peer = peer_of(connection)
            try:
                trusted = self.access.check(peer)
            except FrazilError as error:
                self.log(f"error processing connection: {error.message}")
                return
            user = peer.user or "<unknown>"
            self.log(
                f"accepted connection from pid {peer.pid or '<unknown>'}, user {user}"
                + (" (trusted)" if trusted else "")
            )
            try:
                pid = os.fork()
            except OSError as error:
                self.log(f"error processing connection: {error.strerror}")
                return
            if pid == 0:
                self._child(connection, trusted)

    def _child(self, connection: socket.socket, trusted: bool) -> None:
        """Never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            for server in self.servers:
                server.close()
            connection.setblocking(True)
            self.serve(connection.fileno(), trusted)
            status = 0
        except KeyboardInterrupt as error:
            status = 128 + int(getattr(error, "number", 2))
        except FrazilError as error:
            self.log(f"unexpected Nix daemon error: error: {error.message}")
        except BaseException as error:
            self.log(f"unexpected Nix daemon error: {type(error).__name__}: {error}")
        finally:
            try:
                sys.stderr.flush()
            finally:
                os._exit(status)


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        pass
