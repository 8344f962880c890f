"""A binary cache on the loopback interface that misbehaves.

Some of its answers are delayed for ever, cut, dripped, changed, taken from another path, sent elsewhere or refused.
Whatever it does, the client may only get what it was promised, or say that it did not.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

from .accidents import Round, Site
from .child import FAILED, Child
from .ground import Ground
from .jobs import Done, Job, forget, origin, substitute

STALL = 2.5
"""Longer than the client's patience."""


class Handler(BaseHTTPRequestHandler):
    folder: Path
    chance: Random
    manner: str
    share: float
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *values: object) -> None:
        pass

    def do_GET(self) -> None:
        file = self.folder / self.path.split("?")[0].lstrip("/")
        if not file.is_file():
            return self.answer(404, b"no such file")
        body = file.read_bytes()
        if self.path.endswith("nix-cache-info") or self.chance.random() >= self.share:
            return self.answer(200, body)
        try:
            MANNERS[self.manner](self, body)
        except OSError:
            self.close_connection = True
        return None

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.wfile.flush()

    def hang_up(self) -> None:
        self.close_connection = True

    # ------------------------------------------------------------------------------------------------------- manners

    def stall(self, body: bytes) -> None:
        self.answer(200, body[: self.chance.randrange(len(body) + 1)], len(body))
        time.sleep(STALL)
        self.hang_up()

    def say_nothing(self, body: bytes) -> None:
        time.sleep(STALL)
        self.hang_up()

    def cut(self, body: bytes) -> None:
        self.answer(200, body[: self.chance.randrange(len(body))], len(body))
        self.hang_up()

    def drip(self, body: bytes) -> None:
        self.answer(200, b"", len(body))
        step = max(1, len(body) // 20)
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            self.wfile.flush()
            time.sleep(0.01)

    def flip(self, body: bytes) -> None:
        self.answer(200, flipped(body, self.chance))

    def lie(self, body: bytes) -> None:
        """A narinfo with another line, or an archive with something at its end."""
        if not self.path.endswith(".narinfo"):
            return self.answer(200, body + body)
        lines = body.decode().splitlines()
        number = self.chance.randrange(len(lines))
        key = lines[number].partition(":")[0]
        others = ["", "0", "-1", "99999999999999999999", "../../../etc/passwd", "x" * 70000, "file:///etc/passwd", "\0"]
        lines[number] = f"{key}: {self.chance.choice(others)}"
        return self.answer(200, "\n".join(lines).encode() + b"\n")

    def confuse(self, body: bytes) -> None:
        """What another path is."""
        kind = ".narinfo" if self.path.endswith(".narinfo") else ".nar.zst"
        files = sorted(file for file in self.folder.rglob(f"*{kind}"))
        self.answer(200, self.chance.choice(files).read_bytes())

    def redirect(self, body: bytes) -> None:
        places = [self.path, "/elsewhere", "file:///etc/passwd", "http://127.0.0.1:1/", "//", "gopher://x/", ""]
        self.answer(self.chance.choice([301, 302, 303, 307, 308]), b"", Location=self.chance.choice(places))

    def refuse(self, body: bytes) -> None:
        self.answer(self.chance.choice([400, 401, 403, 404, 410, 429, 500, 502, 503, 504, 200]), b"<html>no</html>")

    def overflow(self, body: bytes) -> None:
        """More than was announced, or announced more than there is, or no length at all."""
        self.answer(200, body * 2, self.chance.choice([len(body), 1 << 40, 0]))
        self.hang_up()

    def babble(self, body: bytes) -> None:
        """No HTTP."""
        self.wfile.write(self.chance.randbytes(300))
        self.wfile.flush()
        self.hang_up()


MANNERS: dict[str, Callable[[Handler, bytes], None]] = {
    "stall": Handler.stall,
    "silence": Handler.say_nothing,
    "cut": Handler.cut,
    "drip": Handler.drip,
    "flip": Handler.flip,
    "lie": Handler.lie,
    "confuse": Handler.confuse,
    "redirect": Handler.redirect,
    "refuse": Handler.refuse,
    "overflow": Handler.overflow,
    "babble": Handler.babble,
}


def flipped(body: bytes, chance: Random) -> bytes:
    """With some bytes changed, or cut, or with some taken out."""
    data = bytearray(body)
    what = chance.randrange(4)
    if not data or what == 0:
        return bytes(data[: chance.randrange(len(data) + 1)])
    for _ in range(chance.choice([1, 1, 3, 40])):
        place = chance.randrange(len(data))
        if what == 1:
            data[place] ^= 1 << chance.randrange(8)
        elif what == 2:
            data[place : place + 8] = chance.randbytes(8)
        else:
            del data[place : place + chance.randrange(1, 9)]
            if not data:
                break
    return bytes(data)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up: that is their affair."""


class Server:
    """In a process of its own."""

    def __init__(self, folder: Path, manner: str, seed: str, share: float) -> None:
        class Bound(Handler):
            pass

        Bound.folder, Bound.manner, Bound.chance, Bound.share = folder, manner, Random(seed), share
        http = _Http(("127.0.0.1", 0), Bound)
        self.address = f"http://127.0.0.1:{http.server_address[1]}"
        self._pid = os.fork()
        if self._pid == 0:
            http.serve_forever(0.05)
        http.socket.close()

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def bad_cache(site: Site, seed: str, chance: Random) -> Round:
    manner = chance.choice(list(MANNERS))
    forget(site.ground, seed)
    server = Server(origin(site.ground).folder / "cache", manner, seed, chance.choice([0.05, 0.3, 1.0]))

    def work(ground: Ground, seed: str, done: Done) -> None:
        substitute(ground, seed, done, server.address)

    try:
        report = Child(Job("substitute", work), site.ground, seed).wait()
    finally:
        server.close()
    problems = false_paths(site)
    if report.status == FAILED:
        problems.append(f"{manner}: {report.words}")
    result = site.round(seed, [report], report.status != 0)
    result.job = manner
    result.problems += problems
    return result


def false_paths(site: Site) -> list[str]:
    """Paths that are valid here and are not what they are where they come from."""
    found = []
    with origin(site.ground).open() as source, site.ground.open() as store:
        for info in store.query_infos(sorted(store.query_all_valid())):
            if info.path in site.ground.kept:
                continue
            true = source.query_info_or_none(info.path)
            if true is None:
                found.append(f"{info.path.base} is valid and was never offered")
            elif (true.nar_hash, true.nar_size, true.references) != (info.nar_hash, info.nar_size, info.references):
                found.append(f"{info.path.base} is not what it should be")
    return found
