"""Images as flakes ask for them, made by an ordinary user without `/nix`, read by the programs that images are for."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.scenarios.conftest import NOBODY, World, make_flake
from tests.scenarios.test_guestbook import OVERRIDE, need_a_mirror

FLAKE = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { self, nixpkgs }:
    let pkgs = nixpkgs.legacyPackages.x86_64-linux; inherit (pkgs) dockerTools; in {
      packages.x86_64-linux = rec {
        base = dockerTools.buildImage {
          name = "base";
          tag = "1";
          copyToRoot = pkgs.buildEnv {
            name = "root";
            paths = [ pkgs.hello dockerTools.binSh ];
            pathsToLink = [ "/bin" ];
          };
          extraCommands = "mkdir -p tmp etc; chmod 1777 tmp; echo gone >etc/gone; echo kept >etc/kept";
          config = { Cmd = [ "/bin/hello" ]; Env = [ "A=1" "B=2" ]; };
        };
        rooted = dockerTools.buildImage {
          name = "rooted";
          fromImage = base;
          copyToRoot = [ dockerTools.fakeNss ];
          includeNixDB = true;
          extraCommands = "test -e nix/var/nix/db/db.sqlite";
          runAsRoot = ''
            mkdir /data
            chown 1000:100 /data
            rm /etc/gone
          '';
          config = { Cmd = [ "/bin/hello" ]; Env = [ "B=3" ]; };
        };
        layered = dockerTools.buildLayeredImage {
          name = "layered";
          tag = "1";
          maxLayers = 4;
          uid = 1000;
          gid = 100;
          contents = [ pkgs.hello ];
          fakeRootCommands = "mkdir -p srv; chown 33:33 srv";
          config.Cmd = [ "/bin/hello" ];
          compressor = "zstd";
        };
        shell = dockerTools.buildNixShellImage {
          drv = pkgs.runCommand "greeting" { passAsFile = [ "words" ]; words = "Hello, world!"; } "cp $wordsPath $out";
          tag = "Shell";
          run = ''test $NIX_BUILD_TOP = /build && buildDerivation && mapfile lines <$out && echo "$lines"'';
        };
        wrong = dockerTools.streamNixShellImage { drv = pkgs.hello.overrideAttrs { __structuredAttrs = true; }; };
      };
    };
}
"""


def owners(archive: Path) -> dict[str, tuple[int, int]]:
    from frazil.packages.oci.read import Container, open_image, opened
    from frazil.packages.oci.tar_reader import TarReader

    container = Container(str(archive))
    found = {}
    for source in opened(open_image(container).layers):
        for entry in TarReader(source):
            found[entry.name.decode()] = (entry.uid, entry.gid)
    container.close()
    return found


def build(world: World, folder: Path) -> dict[str, str]:
    """What `dockerTools` makes, by name: digests of the packed file and of the image's archive."""
    found = {}
    for name in ("rooted", "layered", "shell"):
        words = ("image", "build", *OVERRIDE, f".#{name}", "--to", f"docker-archive:{name}.tar")
        done = world.run("frazil", *words, cwd=folder, limit=900)
        assert done.status == 0, done.error
        found[name] = hashlib.sha256((folder / f"{name}.tar").read_bytes()).hexdigest()
        # Images in layers need no archive to be sent somewhere; both are the same image.
        archives = [line for line in done.error.splitlines() if line.startswith("building") and ".tar" in line]
        assert bool(archives) == (name == "rooted"), done.error
        again = world.run("frazil", "build", *OVERRIDE, f".#{name}", "--print-out-paths", cwd=folder, limit=900)
        assert again.status == 0, again.error
        assert world.ok("image", "build", again.out.strip(), "--to", "docker-archive:x.tar", cwd=folder) == done.out
        built = json.loads(world.ok("path-info", *OVERRIDE, f".#{name}", "--json", cwd=folder))
        found[f"built {name}"] = json.dumps(built, sort_keys=True)
    found["hello"] = world.ok("image", "build", *OVERRIDE, "frazilpkgs#hello", cwd=folder).strip()
    return found


def packed(built: dict[str, str]) -> dict[str, object]:
    """Without what says when and by whom it was built."""

    def hashes(value: object) -> object:
        if isinstance(value, dict):
            return {key: hashes(item) for key, item in value.items() if key != "registrationTime"}
        return [hashes(item) for item in value] if isinstance(value, list) else value

    return {name: hashes(json.loads(text)) if name.startswith("built ") else text for name, text in built.items()}


def test_images_of_a_flake(user_world: World, world: World) -> None:
    """Built by two users, in two stores: the same to the bit."""
    need_a_mirror()
    of_root, world = world, user_world
    try:
        folder = make_flake(world.folder / "project", FLAKE, user=NOBODY)
        own = build(world, folder)
        assert packed(own) == packed(build(of_root, make_flake(of_root.folder / "project", FLAKE)))
        shown = json.loads(world.ok("image", "inspect", "--json", *OVERRIDE, ".#rooted", cwd=folder))
        assert shown["config"]["config"] == {"Cmd": ["/bin/hello"], "Env": ["A=1", "B=3"]}
        assert len(shown["layers"]) == 2
        rooted = owners(folder / "rooted.tar")
        assert rooted["data"] == (1000, 100)
        assert "etc/.wh.gone" in rooted and "etc/passwd" in rooted and "nix/var/nix/db/db.sqlite" in rooted
        assert not any(name.startswith(("dev", "proc")) for name in rooted)
        layered = owners(folder / "layered.tar")  # `uid` and `gid` are the store's
        assert (layered["srv"], layered["bin/hello"]) == ((33, 33), (0, 0))
        assert {owner for name, owner in layered.items() if name.startswith("nix/store/")} == {(1000, 100)}
        shell = owners(folder / "shell.tar")
        assert shell["nix/store"] == shell["nix/var/nix"] == shell["build"] == (1000, 1000)
        name = json.loads(world.ok("image", "inspect", "--json", *OVERRIDE, ".#shell", cwd=folder))["name"]
        assert name == "greeting-env:Shell"
        assert "structured attributes" in world.run("frazil", "build", *OVERRIDE, ".#wrong", cwd=folder).error
        layers = json.loads(world.ok("image", "inspect", "--json", *OVERRIDE, ".#layered", cwd=folder))["layers"]
        assert len(layers) <= 4
        assert layers[0]["paths"][0].startswith("glibc")
        check_podman(folder)
    finally:
        shutil.rmtree(world.folder.parent)


def check_podman(folder: Path) -> None:
    """Where it is installed: both archives are taken, and the base image's program is there under the new layer."""
    if shutil.which("podman") is None or shutil.which("runc") is None or os.getuid() != 0:
        return
    root = folder.parent / "p"
    podman = ["podman", "--root", f"{root}/root", "--runroot", f"{root}/run", "--storage-driver", "vfs"]
    podman += ["--cgroup-manager=cgroupfs", "--runtime", "runc"]
    limits = ["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
    for name in ("rooted", "layered", "shell"):
        loaded = subprocess.run([*podman, "load", "-q", "-i", f"{folder}/{name}.tar"], capture_output=True, text=True)
        assert loaded.returncode == 0, loaded.stderr
        image = loaded.stdout.rpartition(": ")[2].strip()
        done = subprocess.run([*podman, "run", "--rm", *limits, image], capture_output=True, text=True)
        if done.returncode and ("permitted" in done.stderr or "denied" in done.stderr):
            break
        assert done.stdout == "Hello, world!\n", done.stderr
    subprocess.run([*podman, "rmi", "-a", "-f"], capture_output=True)
