"""What one build's clients share: which paths may be seen, what has been handed in; and the process that serves them.

In: a socket that a builder connects to, the inputs of its build, the namespaces of its sandbox. Out: a process for each
connection; at the end, what came of it. The keeper is one process with one thread: what a connection tells it holds for
all of them from its answer on. When its starter wants an end, or is gone, everything ends. Source of truth: libstore's
restriction context.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frazil.build import _attach, _sandbox
from frazil.errors import FrazilError
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.temporary import TemporaryRoots

_MAXIMUM_CLIENTS = 64
"""Connections at once; a builder that wants more waits."""
_PATIENCE = 10.0
"""Seconds for a connection's process to stop what it does before it is killed."""

Serve = Callable[[int, "KeeperClient"], None]
"""(descriptor of the connection, who keeps); in a process of its own."""


class KeeperClient:
    """The keeper, as the process of a connection sees it. Its methods raise FrazilError."""

    def __init__(self, connection: socket.socket, inputs: frozenset[StorePath]) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")
        self._inputs = inputs
        self._known: set[StorePath] = set()

    def _ask(self, **request: Any) -> Any:
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            line = self._reader.readline()
            answer = json.loads(line)
        except (OSError, ValueError) as error:
            raise FrazilError("the build that this connection belongs to has ended") from error
        if "error" in answer:
            raise FrazilError(answer["error"])
        return answer["answer"]

    def is_input(self, path: StorePath) -> bool:
        """Of the build itself: with all that it refers to."""
        return path in self._inputs

    def allowed(self, paths: Iterable[StorePath]) -> set[StorePath]:
        """Those of `paths` that may be seen."""
        wanted = set(paths)
        found = {path for path in wanted if path in self._inputs or path in self._known}
        rest = wanted - found
        if rest:
            answer = set(self._ask(op="allowed", paths=[path.base for path in rest]))
            fresh = {path for path in rest if path.base in answer}
            self._known |= fresh
            found |= fresh
        return found

    def all(self) -> set[StorePath]:
        return set(self._inputs) | {StorePath.from_base(base) for base in self._ask(op="all")}

    def add(self, paths: Iterable[StorePath]) -> None:
        """They are valid, and may be seen from now on, in the sandbox too."""
        fresh = [path.base for path in paths if path not in self._inputs and path not in self._known]
        if fresh:
            self._ask(op="add", paths=sorted(fresh))

    def realised(self, outputs: Sequence[tuple[StorePath, str]]) -> None:
        if outputs:
            self._ask(op="realised", outputs=[[path.base, name] for path, name in outputs])

    def is_realised(self, derivation: StorePath, output: str) -> bool:
        return bool(self._ask(op="is-realised", output=[derivation.base, output]))

    def submit(self, path: StorePath, output: str) -> None:
        self._ask(op="submit", path=path.base, output=output)


@dataclass(slots=True)
class _Client:
    pid: int
    connection: socket.socket
    pending: bytes = b""


class Keeper:
    """`scratch`: the folder that the sandbox shows as its store; None where paths need not be shown."""

    def __init__(
        self,
        *,
        directory: StoreDirectory,
        real_store_dir: str,
        state_dir: str,
        inputs: frozenset[StorePath],
        scratch: str | None,
        control: socket.socket,
        listener: socket.socket,
        door: socket.socket,
        serve: Serve,
    ) -> None:
        self.directory, self.real_store_dir = directory, real_store_dir
        self.inputs, self.scratch = inputs, scratch
        self.control, self.listener, self.door = control, listener, door
        self.serve = serve
        self.roots = TemporaryRoots(state_dir, directory)
        self.names = {path.base for path in inputs}
        self.added: dict[str, str] = {}
        """Name → why it cannot be seen; empty for what can."""
        self.outputs: set[tuple[str, str]] = set()
        self.submitted: dict[str, str] = {}
        self.clients: dict[int, _Client] = {}
        self._namespaces: tuple[int, int] | None = None

    # ------------------------------------------------------------------------------------------------- the process

    def run(self) -> None:
        """Until the starter wants the end, which it is told, or is gone."""
        previous = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            self._loop()
        finally:
            self._end_clients()
            signal.signal(signal.SIGTERM, previous)

    def _loop(self) -> None:
        self.listener.setblocking(False)
        while True:
            poll = select.poll()
            poll.register(self.control, select.POLLIN)
            if len(self.clients) < _MAXIMUM_CLIENTS:
                poll.register(self.listener, select.POLLIN)
            for number in self.clients:
                poll.register(number, select.POLLIN)
            for number, _ in poll.poll():
                if number == self.control.fileno():
                    self._end()
                    return
                if number == self.listener.fileno():
                    self._accept()
                else:
                    self._hear(number)

    def _end(self) -> None:
        try:
            wanted = self.control.recv(64) == b"end\n"
        except OSError:
            wanted = False
        if not wanted:
            return  # nobody is left who would want to know
        self.listener.close()
        self._end_clients()
        added = sorted(name for name, problem in self.added.items() if not problem)
        try:
            self.control.sendall(json.dumps({"added": added, "submitted": self.submitted}).encode() + b"\n")
            while self.control.recv(64):  # our temporary roots hold until the starter has its own
                pass
        except OSError:
            pass  # the starter died meanwhile: nobody is left who needs them

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        with connection:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    pid = os.fork()
                except OSError:
                    ours.close()
                    return  # the builder sees that nobody answers
                if pid == 0:
                    self._child(connection, ours, theirs)
            self.clients[ours.fileno()] = _Client(pid, ours)

    def _child(self, connection: socket.socket, ours: socket.socket, theirs: socket.socket) -> None:
        """Never returns."""
        status = 1
        try:
            _sandbox.set_death_signal(signal.SIGKILL)
            signal.signal(signal.SIGTERM, _stop)
            os.setsid()
            for other in (ours, self.control, self.listener, self.door, *(c.connection for c in self.clients.values())):
                other.close()
            connection.setblocking(True)
            self.serve(connection.fileno(), KeeperClient(theirs, self.inputs))
            status = 0
        except (KeyboardInterrupt, FrazilError):
            pass  # an end from outside; a conversation that broke off
        except BaseException as error:
            sys.stderr.write(f"unexpected error of a build's own daemon: {type(error).__name__}: {error}\n")
            sys.stderr.flush()
        finally:
            os._exit(status)

    def _hear(self, number: int) -> None:
        client = self.clients[number]
        try:
            data = client.connection.recv(1 << 20)
        except OSError:  # it died before it had read an answer
            data = b""
        if not data:
            self._forget(client)
            return
        *lines, client.pending = (client.pending + data).split(b"\n")
        for line in lines:
            try:
                answer: Mapping[str, object] = {"answer": self.answer(json.loads(line))}
            except FrazilError as error:
                answer = {"error": error.message}
            try:
                client.connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                break  # it has died meanwhile: the end of its messages comes next

    def _forget(self, client: _Client) -> None:
        del self.clients[client.connection.fileno()]
        client.connection.close()
        os.waitpid(client.pid, 0)

    def _end_clients(self) -> None:
        """What they build ends with them."""
        clients, self.clients = list(self.clients.values()), {}
        for client in clients:
            os.kill(client.pid, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        for client in clients:
            client.connection.close()
            while os.waitpid(client.pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    os.kill(client.pid, signal.SIGKILL)
                    os.waitpid(client.pid, 0)
                    break
                time.sleep(0.01)

    # ------------------------------------------------------------------------------------------------ what is kept

    def answer(self, request: Mapping[str, Any]) -> object:
        match request["op"]:
            case "allowed":
                return [name for name in request["paths"] if self._is_allowed(name)]
            case "all":
                return [name for name, problem in self.added.items() if not problem]
            case "add":
                for name in request["paths"]:
                    self._add(StorePath.from_base(name))
            case "realised":
                self.outputs |= {(path, name) for path, name in request["outputs"]}
            case "is-realised":
                path, name = request["output"]
                return (path, name) in self.outputs
            case "submit":
                self._submit(request["output"], request["path"])
        return None

    def _is_allowed(self, name: str) -> bool:
        return name in self.names or self.added.get(name) == ""

    def _add(self, path: StorePath) -> None:
        if path.base in self.names:
            return
        if path.base not in self.added:
            self.roots.add(path)
            self.added[path.base] = self._show(path)
        problem = self.added[path.base]
        if problem:
            raise FrazilError(problem)

    def _submit(self, output: str, name: str) -> None:
        if output in self.submitted:
            old, new = (self.directory.show(StorePath.from_base(base)) for base in (self.submitted[output], name))
            raise FrazilError(f"Attempted to submit duplicate output '{output}' (old '{old}', new '{new}')")
        self.submitted[output] = name

    def _show(self, path: StorePath) -> str:
        """Lets it appear in the sandbox; why it cannot."""
        if self.scratch is None:
            return ""
        shown = self.directory.show(path)
        real = f"{self.real_store_dir}/{path.base}"
        try:
            if stat.S_ISLNK(os.lstat(real).st_mode):
                os.symlink(os.readlink(real), f"{self.scratch}/{path.base}")
            else:
                user, mounts = self._open_door()
                _attach.attach(user, mounts, os.fsencode(_sandbox.OLD_ROOT + real), os.fsencode(shown))
        except FileExistsError:
            return f"store path '{shown}' already exists in the sandbox"
        except OSError as error:
            return (
                f"could not add path '{shown}' to sandbox: {error.strerror or error}: {os.strerror(error.errno or 0)}"
            )
        return ""

    def _open_door(self) -> tuple[int, int]:
        if self._namespaces is None:
            _, descriptors, _, _ = socket.recv_fds(self.door, 1, 2)
            if len(descriptors) != 2:
                raise OSError(0, "the sandbox has given no way in")
            self._namespaces = descriptors[0], descriptors[1]
        return self._namespaces


def _stop(number: int, _: object) -> None:
    """Once: whoever is stopped cleans up, and that shall not be cut off."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
