"""A machine with Debian's systemd under QEMU, made by frazil from its own package set and kept for the next time."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.scenarios.conftest import World, make_world
from tests.scenarios.test_guestbook import need_a_mirror

MACHINE = Path(__file__).parent / "machine"
BUDGET = 1200.0
"""Seconds for the machine, from its start on, and for all that is done with it. It takes about a tenth where nothing
else runs: the processor is emulated."""
LARGEST_CACHE = 3000
DYING_WITH_US = """
exec 3<&0 </dev/null
(cat <&3; kill -9 $$) >/dev/null 2>&1 &
exec 3<&-
exec "$@"
"""
"""A machine whose tests were killed must not run on: the pipe to it is closed then."""
SSH_OPTIONS = (
    "-oStrictHostKeyChecking=no",
    "-oUserKnownHostsFile=/dev/null",
    "-oLogLevel=ERROR",
    "-oConnectTimeout=60",
)


def cache_folder() -> Path:
    """Where the machine and what it is made of stay, beside what frazil keeps of downloads."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "frazil-tests" / "machine"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        pytest.skip(f"no place to keep the machine: {error}")
    return folder


@dataclass
class Machine:
    """`world`: whose frazil the machine is made with, and its services. `ports`: those of SSH and HTTP on this side."""

    world: World
    folder: Path
    key: Path
    ports: tuple[int, int]
    process: subprocess.Popen[str]
    accelerated: bool
    begun: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        left = self.begun + BUDGET - time.monotonic()
        if left <= 0:
            pytest.fail(f"the machine used up its {BUDGET:.0f} seconds:\n{self.said()}")
        return left

    def said(self) -> str:
        """The end of what it printed on its console."""
        log = self.folder / "serial.log"
        return log.read_text(errors="replace")[-4000:] if log.exists() else ""

    @property
    def host(self) -> str:
        return f"ssh://root@127.0.0.1:{self.ports[0]}"

    def shell(self, script: str, *, check: bool = True, patience: int = 60) -> str:
        """What a script prints that runs there, as root."""
        options = [f"-oConnectTimeout={patience}", *SSH_OPTIONS]
        command = ["ssh", "-i", str(self.key), "-p", str(self.ports[0]), *options, "root@127.0.0.1", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=self.left, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout

    def get(self) -> str:
        """What the service on its port 8080 answers, as soon as it does."""
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[1]}/", timeout=self.left) as answer:
                    text: str = answer.read().decode()
                    return text
            except (OSError, urllib.error.URLError):
                time.sleep(0.5)

    def refuses(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.ports[1]}/", timeout=self.left)
        except (OSError, urllib.error.URLError):
            return True
        return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def need_programs() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the machine is for x86-64")
    for program in ("ssh", "ssh-keygen", "git"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no program '{program}' here")


def build_machine(world: World, cache: Path) -> tuple[Path, str]:
    """The machine's folder, and the store path of QEMU; built where they are not there."""
    expression = f"""
      let pkgs = (builtins.getFlake "frazilpkgs").legacyPackages.x86_64-linux;
      in [ (import {MACHINE} {{ inherit pkgs; }}) pkgs.qemu ]
    """
    links = ["--out-link", f"{cache}/current", "--print-out-paths"]
    done = world.run("frazil", "build", "--impure", "--expr", expression, *links, limit=BUDGET)
    if done.status and re.search(r"download|mirror|resolve|amespace|network", done.error):
        pytest.skip(f"QEMU or the machine cannot be had here: {done.error.strip().splitlines()[-1]}")
    assert done.status == 0, done.error
    machine = next(line for line in done.lines if line.endswith("portable-test-machine"))
    qemu = next(line for line in done.lines if "-qemu-" in line)
    if len(os.listdir(cache / "root/nix/store")) > LARGEST_CACHE:
        world.run("nix-collect-garbage", limit=BUDGET)
    return cache / "root" / machine[1:], qemu


@dataclass(frozen=True, slots=True)
class Boot:
    """What the machine starts from. `public`: the key that may enter."""

    world: World
    folder: Path
    cache: Path
    built: Path
    qemu: str
    public: str
    ports: tuple[int, int]

    def start(self, accelerator: str) -> subprocess.Popen[str]:
        pairs = zip(self.ports, (22, 8080), strict=True)
        forward = ",".join(f"hostfwd=tcp:127.0.0.1:{ours}-:{theirs}" for ours, theirs in pairs)
        words = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", "net.ifnames=0", f"machine.key={self.public}"]
        command = [
            *(str(self.world.programs / "frazil"), "env", "shell", self.qemu, "-c", "sh", "-c", DYING_WITH_US, "sh"),
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config"),
            *("-display", "none", "-machine", "pc", "-cpu", "max", "-smp", "2", "-m", "512", "-accel", accelerator),
            *("-kernel", f"{self.built}/kernel", "-initrd", f"{self.built}/first", "-append", " ".join(words)),
            *("-drive", f"file={self.built}/root,format=raw,if=virtio,readonly=on", "-no-reboot"),
            *("-nic", f"user,model=virtio-net-pci,{forward}", "-serial", f"file:{self.folder}/serial.log"),
        ]
        pipe = subprocess.PIPE
        environment = self.world.environment
        return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def start_best(self) -> tuple[subprocess.Popen[str], bool]:
        """With KVM where it works: its device can be there and the machine hang all the same. What came of trying is
        kept until this machine starts again."""
        boot = Path("/proc/sys/kernel/random/boot_id")
        known = self.cache / f"no-kvm-{boot.read_text().strip() if boot.exists() else 0}"
        if os.access("/dev/kvm", os.R_OK | os.W_OK) and not known.exists():
            process = self.start("kvm")
            if speaks(self.folder, process, 20):
                return process, True
            stop(process)
            (self.folder / "serial.log").unlink(missing_ok=True)
            for old in self.cache.glob("no-kvm-*"):
                old.unlink(missing_ok=True)
            known.touch()
        return self.start("tcg,thread=multi"), False


def speaks(folder: Path, process: subprocess.Popen[str], patience: float) -> bool:
    """Whether the first program of the machine said something in time."""
    end = time.monotonic() + patience
    log = folder / "serial.log"
    while time.monotonic() < end and process.poll() is None:
        if log.exists() and b"machine: " in log.read_bytes():
            return True
        time.sleep(0.2)
    return False


def stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def wait_until_up(machine: Machine) -> None:
    patience = 5
    while machine.left:
        if machine.process.poll() is not None:
            _, said = machine.process.communicate()
            pytest.fail(f"QEMU ended: {said}")
        # A connection from before the machine has a network is never answered.
        if "active" in machine.shell("systemctl is-active dbus.socket", check=False, patience=patience).split():
            return
        patience = min(patience * 2, 60)
        time.sleep(0.5)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need_programs()
    need_a_mirror()
    cache = cache_folder()
    folder = tmp_path_factory.mktemp("machine")
    world = make_world(folder / "world", store=f"local?root={cache}/root")
    world.environment["XDG_CACHE_HOME"] = str(cache)
    built, qemu = build_machine(world, cache)
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    world.environment["NIX_SSHOPTS"] = " ".join(["-i", str(key), *SSH_OPTIONS])
    ports = (free_port(), free_port())
    public = Path(f"{key}.pub").read_text().split()[1]
    process, accelerated = Boot(world, folder, cache, built, qemu, public, ports).start_best()
    machine = Machine(world, folder, key, ports, process, accelerated)
    try:
        wait_until_up(machine)
        yield machine
    finally:
        stop(process)
