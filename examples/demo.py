"""The main job, shown: a web service's flake is built, checked, started, fetched over loopback, and put into an image.

`make demo` runs this. The service is `examples/guestbook`; it is copied to `build/demo`, where it becomes a git
repository as a user's project is one. Its `nixpkgs` input is pointed at the embedded package set.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "build" / "demo" / "guestbook"
FRAZIL = Path(sys.executable).with_name("frazil")
OVERRIDE = ["--override-input", "nixpkgs", "frazilpkgs"]


class Failed(Exception):
    """A step of the demonstration did not do what it should."""


def show(arguments: list[str]) -> None:
    print(
        f"\n\033[1m$ frazil {shlex.join(arguments)}\033[0m"
        if sys.stdout.isatty()
        else f"\n$ frazil {shlex.join(arguments)}"
    )
    sys.stdout.flush()


def frazil(*arguments: str, limit: float = 900) -> str:
    """Runs frazil in the project, shows its output and how long it took, and gives its standard output."""
    show(list(arguments))
    started = time.monotonic()
    done = subprocess.run(
        [FRAZIL, *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True, timeout=limit, check=False
    )
    print(done.stdout, end="")
    print(f"  [{time.monotonic() - started:.2f} s]", flush=True)
    if done.returncode:
        raise Failed(f"frazil {arguments[0]} ended with status {done.returncode}")
    return done.stdout


def make_project() -> None:
    source = ROOT / "examples" / "guestbook"
    PROJECT.mkdir(parents=True, exist_ok=True)
    # A kept flake.lock keeps the second run on the very same inputs.
    shutil.copytree(source, PROJECT, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    git = ["git", "-C", str(PROJECT)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)


@contextlib.contextmanager
def service(command: str = "run", *options: str) -> Iterator[str]:
    """The service, started by `frazil run` or in a container; yields the address it printed."""
    arguments = [*command.split(), *OVERRIDE, *options, ".", "--", "--port", "0"]
    show(arguments)
    with subprocess.Popen([FRAZIL, *arguments], cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            print(line, flush=True)
            if "http://" not in line:
                raise Failed("the service did not start")
            yield line.split()[-1]
        finally:
            process.terminate()


def fetch(address: str) -> None:
    form = urlencode({"name": "A stranger", "text": "It works on my machine, and on yours"}).encode()
    with urlopen(f"{address}/entries", form, timeout=10) as answer:
        answer.read()
    with urlopen(f"{address}/entries.json", timeout=10) as answer:
        entries = answer.read().decode()
    print(f"GET {address}/entries.json\n{entries}", end="")
    if "It works" not in entries:
        raise Failed("the service forgot its entry")


def engine() -> list[str]:
    """How Podman is called. Root in a container of its own may not set what Podman sets by default: neither systemd's
    control groups nor larger limits than it has."""
    if os.getuid() != 0:
        return ["--engine", "podman"]
    command = "podman --cgroup-manager=cgroupfs" + (" --runtime runc" if shutil.which("runc") else "")
    limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
    return ["--engine", command, *(word for limit in limits for word in ("--engine-option", limit))]


def ship() -> None:
    """An image of the service, and where Podman is there and may run containers, an answer from inside one."""
    frazil("image", "build", *OVERRIDE, ".", "--port", "8080", "--to", "oci:image")
    frazil("image", "inspect", "image")
    if shutil.which("podman") is None:
        return
    try:
        with service("image run", *engine(), "--engine-option", "--network=host") as address:
            fetch(address)
    except (Failed, OSError) as error:
        print(f"Podman runs no containers here: {error}")


def main() -> int:
    started = time.monotonic()
    try:
        make_project()
        frazil("flake", "show", *OVERRIDE)
        frazil("build", *OVERRIDE, "--print-out-paths")
        frazil("flake", "check", *OVERRIDE)
        frazil("develop", *OVERRIDE, "--command", "python3", "-c", "import sys; print('python', sys.version)")
        with service() as address:
            fetch(address)
        ship()
    except Failed as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    print(f"\nFrom flake.nix to an answering service and its image in {seconds:.1f} s, by frazil alone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
