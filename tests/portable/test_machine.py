"""A flake's web server as a portable service, in a real machine: attached, exchanged, gone wrong, taken away."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.portable.conftest import Machine
from tests.scenarios.conftest import Done, git
from tests.scenarios.test_guestbook import OVERRIDE

pytestmark = pytest.mark.slow
WEB = (*OVERRIDE, ".#portable")

FLAKE = r"""{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { self, nixpkgs }:
    let
      pkgs = import nixpkgs { system = "x86_64-linux"; overlays = [ self.overlays.default ]; };
    in {
      overlays.default = final: prev: {
        web = final.stdenvNoCC.mkDerivation {
          pname = "web-server";
          version = builtins.substring 0 8 self.lastModifiedDate;
          src = ./.;
          buildInputs = [ final.python3 ];
          installPhase = "install -D --mode=755 server.py $out/bin/web-server";
        };
        web-service = final.substituteAll {
          name = "web-server.service";
          src = ./systemd/web-server.service.in;
          inherit (final) web;
        };
      };
      packages.x86_64-linux = {
        default = pkgs.web;
        portable = pkgs.portableService {
          inherit (pkgs.web) pname version;
          units = [ pkgs.web-service ];
          description = "A web server that counts";
          homepage = "https://example.org/web-server";
          squash-compression = "zstd -Xcompression-level 3";
        };
        other = pkgs.portableService {
          pname = "other";
          version = "1";
          units = [ (pkgs.writeText "other.service" "[Service]\nExecStart=${pkgs.bash}/bin/bash") ];
        };
      };
    };
}
"""
UNIT = """[Unit]
Description=A web server that counts

[Service]
Type=notify
ExecStart=@web@/bin/web-server
DynamicUser=yes
StateDirectory=web-server

[Install]
WantedBy=multi-user.target
"""
SERVER = """#!/usr/bin/env python3
import os, socket

place = os.environ["STATE_DIRECTORY"] + "/count"
listening = socket.create_server(("", 8080))
# Type=notify
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    connection, _ = listening.accept()
    connection.recv(4096)
    count = int(open(place).read()) + 1 if os.path.exists(place) else 1
    with open(place, "w") as file:
        file.write(str(count))
    text = f"{os.environ.get('GREETING', 'hello')} {count}"
    connection.sendall(f"HTTP/1.0 200 OK\\r\\nContent-Length: {len(text)}\\r\\n\\r\\n{text}".encode())
    connection.close()
"""


def commit(folder: Path, day: int, files: dict[str, str]) -> None:
    """The day is in the version."""
    for name, text in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    when = f"2026-03-0{day}T12:00:00Z"
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@b.example", "commit", "--quiet", "--message=change"]
    environment = {**os.environ, "GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=True)


def portable(machine: Machine, folder: Path, verb: str, *arguments: str, reached: bool = True) -> Done:
    host = ["--host", machine.host] if reached else []
    return machine.world.run("frazil", "portable", verb, *arguments, *host, cwd=folder, limit=machine.left)


def done(run: Done) -> str:
    assert run.status == 0, run.error
    return run.out.strip()


def left_over(machine: Machine, name: str) -> list[str]:
    """Files, mounts and loop devices that have to do with `name`."""
    places = "/etc /run/systemd/system.attached /run/portables /var/lib/portables /run/systemd/transient"
    script = f"""
      busybox find {places} -name '*{name}*' 2>/dev/null
      busybox grep {name} /proc/mounts
      cat /sys/block/loop*/loop/backing_file 2>/dev/null | busybox grep {name}
      true
    """
    return machine.shell(script).split()


def is_enabled(machine: Machine) -> bool:
    return machine.shell("ls /etc/systemd/system.attached/multi-user.target.wants").split() == ["web-server.service"]


def check_first_version(machine: Machine, folder: Path) -> None:
    commit(folder, 1, {"flake.nix": FLAKE, "server.py": SERVER, "systemd/web-server.service.in": UNIT})
    assert done(portable(machine, folder, "attach", *OVERRIDE, ".#other")) == "other_1 attached"
    assert done(portable(machine, folder, "attach", *WEB, "--now", "--enable")) == "web-server_20260301 running"
    assert [machine.get(), machine.get()] == ["hello 1", "hello 2"]
    assert is_enabled(machine)
    again = portable(machine, folder, "attach", *WEB)
    assert again.status == 1
    assert "'web-server_20260301' is attached to 127.0.0.1 already" in again.error
    assert "frazil portable reattach" in again.error


def check_second_version(machine: Machine, folder: Path) -> None:
    """One variable more; what the service stored is still there."""
    changed = UNIT.replace("DynamicUser", "Environment=GREETING=greetings\nDynamicUser")
    commit(folder, 2, {"systemd/web-server.service.in": changed})
    assert done(portable(machine, folder, "reattach", *WEB, "--now")) == "web-server_20260302 running"
    assert machine.get() == "greetings 3"
    assert is_enabled(machine)


def check_broken_version(machine: Machine, folder: Path) -> None:
    """Its image has the name of the one that it takes the place of, and gives it back."""
    commit(folder, 2, {"server.py": "#!/usr/bin/env python3\nraise SystemExit('it does not start')\n"})
    broken = portable(machine, folder, "reattach", *WEB, "--now", "--watch", "120")
    assert broken.status == 1
    assert "'web-server.service' of 'web-server_20260302' fails on 127.0.0.1" in broken.error
    assert "it does not start" in broken.error
    assert "'web-server_20260302' is attached again" in broken.error
    assert machine.get() == "greetings 4"
    there = machine.shell("ls -A /var/lib/portables").split()
    images = ["other_1.raw", "web-server_20260301.raw", "web-server_20260302.raw"]
    assert sorted(there) == sorted([*images, *(f".{name}.frazil" for name in images)])


def check_detached(machine: Machine, folder: Path) -> None:
    running = portable(machine, folder, "detach", "web-server")
    assert running.status == 1 and "hint: --now stops its units first" in running.error
    assert done(portable(machine, folder, "detach", "web-server", "--now")) == "web-server_20260302 detached"
    assert machine.refuses()
    assert left_over(machine, "web-server") == []
    assert machine.shell("ls /var/lib/private/web-server").split() == ["count"]
    assert len(left_over(machine, "other_1")) > 2
    gone = portable(machine, folder, "detach", "web-server")
    assert gone.status == 1
    assert "nothing of the name 'web-server' is attached" in gone.error
    assert "attached are: other_1" in gone.error


def check_runtime(machine: Machine, folder: Path) -> None:
    """Until the next start only, from a file; then nothing at all is left."""
    commit(folder, 3, {"server.py": SERVER})
    file = done(portable(machine, folder, "build", *WEB, "--to", ".", reached=False))
    assert file == "./web-server_20260303.raw"
    shown = json.loads(done(portable(machine, folder, "inspect", "--json", file, reached=False)))
    assert [unit["name"] for unit in shown["units"]] == ["web-server.service"]
    assert shown["missing"] == []
    attached = done(portable(machine, folder, "attach", file, "--runtime", "--now"))
    assert attached == "web-server_20260303 running-runtime"
    assert machine.get() == "greetings 5"
    assert machine.shell("ls /run/portables").split() == ["web-server_20260303.raw"]
    assert done(portable(machine, folder, "detach", "web-server", "--clean")) == "web-server_20260303 detached"
    assert left_over(machine, "web-server") == []
    assert machine.shell("ls /var/lib/private").split() == []


def test_a_web_server(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    check_first_version(machine, folder)
    check_second_version(machine, folder)
    check_broken_version(machine, folder)
    check_detached(machine, folder)
    check_runtime(machine, folder)
