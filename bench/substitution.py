"""Times substituting from a binary cache over HTTP beside C++ Nix, and prints ratios (below 1: frazil is faster).

    python bench/substitution.py [--runs 3] [--small 1000] [--large 10] [--megabytes 64] [--compression zstd]
                                 [--scratch FOLDER]

Makes a cache of small paths (a few files each, some referring to earlier ones) and of large ones, serves it on the
loopback interface, and lets each program realise everything into an empty store, in turns. Answers remembered on disk
are thrown away before each run. The server is the same small one for both.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

FRAZIL = Path(os.environ.get("FRAZIL") or Path(sys.executable).with_name("frazil"))
_EXPRESSION = """
let
  fill = n: derivation {{
    name = "path-${{toString n}}"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" (builtins.concatStringsSep "\\n" ([ "/bin/mkdir -p $out/share/doc" ] ++ map (i:
      "echo 'file ${{toString i}} of ${{toString n}} ${{toString (deps n)}}' > $out/share/doc/file-${{toString i}}")
      (builtins.genList (i: i) 5))) ];
  }};
  deps = n: if n < 10 then [ ] else [ (paths (n / 2)) (paths (n - 10)) ];
  paths = n: builtins.elemAt all n;
  all = builtins.genList fill {small};
  large = n: derivation {{
    name = "large-${{toString n}}"; system = builtins.currentSystem; builder = "/bin/sh";
    args = [ "-c" "/bin/cp {big} $out" ]; inherit n;
  }};
in {{ small = all; large = builtins.genList large {large}; }}
"""


class Server(asyncio.Protocol):
    """Just enough HTTP/1.1 to serve files over connections that stay open."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.held = folder, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.held += data
        while b"\r\n\r\n" in self.held:
            head, _, self.held = self.held.partition(b"\r\n\r\n")
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            file = self.folder / target.lstrip("/")
            try:
                body, status = file.read_bytes(), "200 OK"
            except OSError:
                body, status = b"", "404 Not Found"
            self.transport.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            if method != "HEAD":
                self.transport.write(body)


def serve(folder: Path) -> None:
    """In a process of its own: prints its port, ends with its parent's pipe."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Server(folder), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        await server.serve_forever()

    asyncio.run(run())


class Bench:
    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("NIX_")}
        self.environment |= {
            "HOME": str(folder / "home"),
            "NIX_CONF_DIR": str(folder / "no-configuration"),
            "NIX_CONFIG": "sandbox = false\nsubstituters =\nbuild-users-group =\nexperimental-features = nix-command",
        }

    def store(self, name: str) -> dict[str, str]:
        root = self.folder / name
        return self.environment | {
            "NIX_STORE_DIR": str(self.folder / "store"),
            "NIX_STATE_DIR": str(root / "state"),
            "NIX_LOG_DIR": str(root / "log"),
        }

    def make_cache(self) -> list[str]:
        options = self.options
        rng = random.Random(1)
        block = rng.randbytes(1 << 19) + bytes(1 << 19)
        big = self.folder / "big"
        with big.open("wb") as file:
            for _ in range(options.megabytes):
                file.write(block)
        expression = _EXPRESSION.format(small=options.small, large=options.large, big=big)
        (self.folder / "default.nix").write_text(expression)
        (self.folder / "home").mkdir()
        environment = self.store("origin")
        arguments = [str(self.folder / "default.nix"), "-A", "small", "-A", "large", "--no-out-link", "-j2"]
        build = self.program("nix-build", arguments)
        done = subprocess.run(build, env=environment, check=True, capture_output=True, text=True)
        paths = done.stdout.split()
        cache = f"file://{self.folder}/cache?compression={options.compression}&trusted=1"
        copy = self.program("nix", ["copy", "--to", cache, *paths])
        subprocess.run(copy, env=environment, check=True, capture_output=True)
        return paths

    def program(self, name: str, words: list[str]) -> list[str]:
        """frazil, called by the name of one of Nix's programs."""
        script = f"import sys; sys.argv[0] = {name!r}; from frazil.cli import main; sys.exit(main())"
        return [sys.executable, "-c", script, *words]

    def wipe(self, name: str) -> None:
        for place in (self.folder / "store", self.folder / name, self.folder / "home" / ".cache"):
            if place.exists():
                subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
                shutil.rmtree(place)

    def time(self, command: list[str], paths: list[str]) -> tuple[float, float]:
        """Wall and CPU seconds."""
        self.wipe("target")
        before, start = os.times(), time.monotonic()
        subprocess.run([*command, *paths], env=self.store("target"), check=True, capture_output=True)
        wall, after = time.monotonic() - start, os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        for path in paths:
            assert os.path.lexists(path)
        return wall, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--small", type=int, default=1000)
    parser.add_argument("--large", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--compression", default="zstd")
    parser.add_argument("--nix", default=shutil.which("nix-store"), help="C++ Nix's nix-store")
    parser.add_argument("--scratch", help="where everything is made: on a memory file system the disk does not count")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with tempfile.TemporaryDirectory(prefix="frazil-bench-", dir=options.scratch) as name:
        bench = Bench(Path(name), options)
        bench.wipe("target")
        try:
            run(bench, options)
        finally:
            bench.wipe("target")
            bench.wipe("origin")


def run(bench: Bench, options: argparse.Namespace) -> None:
    paths = bench.make_cache()
    words = [sys.executable, __file__, "--serve", str(bench.folder / "cache")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdin is not None
        address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        realise = ["-r", "--option", "substituters", address, "--option", "require-sigs", "false"]
        commands = {"frazil": bench.program("nix-store", realise)}
        if options.nix:
            commands["nix"] = [options.nix, *realise]
        for title, wanted in (
            (f"{options.small} small", [p for p in paths if "-path-" in p]),
            (f"{options.large} of {options.megabytes} MB", [p for p in paths if "-large-" in p]),
        ):
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
            for _ in range(options.runs):
                for name, command in commands.items():
                    times[name].append(bench.time(command, wanted))
            shown = {n: [statistics.median(column) for column in zip(*t)] for n, t in times.items()}
            line = "  ".join(f"{n} {wall * 1000:.0f} ms (CPU {cpu * 1000:.0f})" for n, (wall, cpu) in shown.items())
            if "nix" in shown:
                wall, cpu = (ours / theirs for ours, theirs in zip(shown["frazil"], shown["nix"], strict=True))
                line += f"  ratio {wall:.2f} (CPU {cpu:.2f})"
            print(f"{title:18} {line}", flush=True)
        server.stdin.close()


if __name__ == "__main__":
    main()
