"""What images cost: equal digests, a one-line change on its way to a registry, a large archive against tar, sizes.

    python bench/images.py [--rounds N] [--frazil PROGRAM] [--only NAME…]

Needs a Debian mirror (or a store that has the packages already), and for the change docker-registry on this machine.
Everything happens in a temporary folder but for packages, which come from the store in `--store` (default: one in the
temporary folder, which takes minutes to fill).
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

FLAKE = """{
  inputs.nixpkgs.url = "frazilpkgs";
  outputs = { self, nixpkgs }:
    let
      pkgs = nixpkgs.legacyPackages.x86_64-linux;
      web = pkgs.stdenvNoCC.mkDerivation {
        pname = "web-server";
        version = builtins.substring 0 14 self.lastModifiedDate;
        src = ./.;
        buildInputs = [ pkgs.python3 ];
        installPhase = "install -D server.py $out/bin/web-server";
      };
    in {
      packages.x86_64-linux = {
        default = web;
        layered = pkgs.dockerTools.buildLayeredImage {
          name = web.pname;
          tag = web.version;
          contents = [ web ];
          config.Cmd = [ "/bin/web-server" ];
        };
        streamed = pkgs.dockerTools.streamLayeredImage {
          name = web.pname;
          tag = web.version;
          contents = [ web ];
          config.Cmd = [ "/bin/web-server" ];
        };
        simple = pkgs.dockerTools.buildImage {
          name = web.pname;
          tag = web.version;
          copyToRoot = pkgs.buildEnv { name = "root"; paths = [ web ]; pathsToLink = [ "/bin" ]; };
          config.Cmd = [ "/bin/web-server" ];
        };
        portable = pkgs.portableService {
          pname = "web-server";
          version = web.version;
          units = [
            (pkgs.writeTextFile {
              name = "web-server.service";
              text = "[Service]\nExecStart=${web}/bin/web-server\n";
            })
          ];
        };
        described = pkgs.nix2container.buildImage {
          name = web.pname;
          tag = web.version;
          config.Cmd = [ "${web}/bin/web-server" ];
          layers = [ (pkgs.nix2container.buildLayer { deps = [ pkgs.python3 ]; }) ];
        };
      };
    };
}
"""
PACKAGES = ("hello", "jq", "nginx", "python3", "go")
LARGE = ("go", "gcc", "git", "skopeo")


class Bench:
    def __init__(self, program: str, folder: Path, store: str) -> None:
        self.program, self.folder, self.store = program, folder, store
        home = folder / "home"
        home.mkdir()
        self.environment = {**os.environ, "HOME": str(home), "NO_COLOR": "1", "NIX_REMOTE": store}
        for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
            self.environment.pop(name, None)

    def frazil(self, *arguments: str, cwd: Path | None = None, **more: str) -> tuple[str, str]:
        done = subprocess.run(
            [self.program, *arguments],
            cwd=cwd or self.folder,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"frazil {' '.join(arguments)}: {done.stderr}")
        return done.stdout, done.stderr


def spent(function: Callable[..., object], *arguments: object) -> tuple[float, float]:
    """(seconds by the clock, seconds of processor time) of a call and the processes it waits for."""
    before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    function(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - clock, used


def digests(bench: Bench) -> None:
    """Two builds from nothing remembered, and one by another user where that is possible."""
    found: dict[str, str] = {}
    for number in (1, 2):
        place = bench.folder / f"clean-{number}"
        place.mkdir()
        out, _ = bench.frazil("image", "build", "frazilpkgs#jq", "--to", f"oci:{place}/image", HOME=str(place))
        found[f"build {number}"] = out.strip()
    if os.getuid() == 0:
        place = Path(tempfile.mkdtemp(dir="/var/tmp"))
        shutil.copytree(bench.folder / "clean-1" / "image", place / "image")
        out, _ = bench.frazil("path-info", "-r", "frazilpkgs#jq")
        root = bench.store.partition("root=")[2]
        copied = place / "store"
        for path in out.split():
            target = copied / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(root + path, target, symlinks=True)
        found["another user"] = _as_another(place, out.split())
        shutil.rmtree(place, ignore_errors=True)
        own = _layers(bench.folder / "clean-1" / "image")
        same = found["another user"] == own
        print(f"layers made by another user from a copy: {'equal' if same else 'DIFFERENT'}")
    print(f"digests of two clean builds: {'equal' if found['build 1'] == found['build 2'] else 'DIFFERENT'}")


_OTHER = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from frazil.packages.oci.tree import StoreLayer
from frazil.packages.oci.image import pack_layer
from frazil.image._deflate import deflate
store = sys.argv[2]
for path in sys.argv[3:]:
    layer = StoreLayer((path,), real=((path, store + path),))
    print(pack_layer(layer, "gz", lambda _: None, 2, deflate).descriptor.digest)
"""


def _as_another(place: Path, paths: list[str]) -> str:
    for folder, names, files in os.walk(place):
        for name in [".", *names, *files]:
            os.chown(os.path.join(folder, name), 65534, 65534, follow_symlinks=False)
    os.chmod(place, 0o755)
    command = ["/usr/bin/python3", "-c", _OTHER, ":".join(sys.path), f"{place}/store", *paths]
    done = subprocess.run(command, capture_output=True, text=True, user=65534, group=65534, cwd="/")
    return " ".join(sorted(done.stdout.split())) if not done.returncode else f"could not run: {done.stderr[-200:]}"


def _layers(layout: Path) -> str:
    """Blobs of the layers with store paths: all but the last layer, the configuration and the manifest."""
    import json

    index = json.loads((layout / "index.json").read_text())
    manifest = layout / "blobs/sha256" / index["manifests"][0]["digest"][7:]
    return " ".join(sorted(layer["digest"] for layer in json.loads(manifest.read_text())["layers"][:-1]))


def change(bench: Bench, rounds: int) -> None:
    """A line is changed and committed; the clock runs until the registry has the new image."""
    if shutil.which("docker-registry") is None:
        print("one-line change: docker-registry is not there")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    (bench.folder / "registry.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {bench.folder}/registry}}}}\n"
        f"http: {{addr: '{host}'}}\nlog: {{level: error}}\n"
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(bench.folder / "registry.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        project = bench.folder / "web"
        project.mkdir()
        (project / "flake.nix").write_text(FLAKE)
        commit(project, 0)
        bench.frazil("flake", "lock", cwd=project)
        commit(project, 1)
        number = 1
        for what in ("default", "described", "layered", "streamed", "simple"):
            bench.frazil("image", "push", f".#{what}", f"{host}/web:{what}", cwd=project)
            best, least, sent = 1e9, 1e9, ""
            for _ in range(rounds):
                number += 1
                commit(project, number)
                notes: list[str] = []

                def push(what: str = what, notes: list[str] = notes) -> None:
                    notes.append(bench.frazil("image", "push", f".#{what}", f"{host}/web:{what}", cwd=project)[1])

                clock, used = spent(push)
                best, least = min(best, clock), min(least, used)
                sent = re.findall(r"\d+ layers sent \([^)]*\)", notes[0])[0]
            print(f"one-line change, {what}: {best:.2f} s, {least:.2f} s of processor time, {sent}")
        portable(bench, project, number, rounds)
    finally:
        process.terminate()
        process.wait()


def portable(bench: Bench, project: Path, number: int, rounds: int) -> None:
    """A line is changed and committed; the clock runs until the portable service's image is there."""
    target = bench.folder / "web-server.raw"
    bench.frazil("portable", "build", ".#portable", "--to", str(target), cwd=project)
    best, least = 1e9, 1e9
    for step in range(1, rounds + 1):
        commit(project, number + step)
        clock, used = spent(lambda: bench.frazil("portable", "build", ".#portable", "--to", str(target), cwd=project))
        best, least = min(best, clock), min(least, used)
    size = target.stat().st_size / 1e6
    print(f"one-line change, portable service: {best:.2f} s, {least:.2f} s of processor time, {size:.1f} MB")


def commit(project: Path, number: int) -> None:
    (project / "server.py").write_text(f"#!/usr/bin/env python3\nprint({number})\n")
    git = ["git", "-C", str(project), "-c", "user.name=A", "-c", "user.email=a@b.example"]
    if not (project / ".git").exists():
        subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    date = f"{1_800_000_000 + number} +0000"
    environment = {**os.environ, "GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "x"], check=True, env=environment)


def large(bench: Bench, rounds: int) -> None:
    """An archive of a closure against `tar` of the same files, alternating; and its memory."""
    out, _ = bench.frazil("build", "--no-link", "--print-out-paths", *(f"frazilpkgs#{name}" for name in LARGE))
    roots = out.split()
    paths = bench.frazil("path-info", "-r", *roots)[0].split()
    root = bench.store.partition("root=")[2]
    target = bench.folder / "large.tar"
    more = [word for path in roots[1:] for word in ("--with", path)]
    own_command = [bench.program, "image", "build", roots[0], *more, "--entrypoint", "", "--to"]
    own_command.append(f"docker-archive:{target}")
    tar_command = ["tar", "-cf", str(bench.folder / "plain.tar"), *(root + path for path in paths)]
    own: list[tuple[float, float]] = []
    tar: list[tuple[float, float]] = []
    for _ in range(rounds):
        own.append(spent(run, own_command, bench.environment))
        tar.append(spent(run, tar_command, bench.environment))
    size = (bench.folder / "plain.tar").stat().st_size
    clock, used = (min(row[column] for row in own) for column in (0, 1))
    tar_clock, tar_used = (min(row[column] for row in tar) for column in (0, 1))
    print(f"{len(paths)} store objects, {size / 1e6:.0f} MB: image {clock:.2f} s ({used:.2f} s of processor time),")
    print(f"  tar {tar_clock:.2f} s ({tar_used:.2f} s), {clock / tar_clock:.2f} times as long")
    print(f"  most memory: {memory(bench, own_command)}")


def run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def memory(bench: Bench, command: list[str]) -> str:
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, capture_output=True); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)"
    done = subprocess.run([sys.executable, "-c", code, *command], env=bench.environment, capture_output=True, text=True)
    return f"{done.stdout.strip()} MB"


def sizes(bench: Bench) -> None:
    print(f"{'package':10} {'layers':>6} {'unpacked':>10} {'gzip':>10} {'digest':>14}")
    for name in PACKAGES:
        place = bench.folder / f"size-{name}"
        out, _ = bench.frazil("image", "build", f"frazilpkgs#{name}", "--to", f"oci:{place}")
        shown, _ = bench.frazil("image", "inspect", str(place))
        layers, unpacked = re.findall(r"^(\d+) layers, (.*)$", shown, re.MULTILINE)[0]
        packed = sum(file.stat().st_size for file in (place / "blobs/sha256").iterdir())
        print(f"{name:10} {layers:>6} {unpacked:>10} {packed / 1e6:>7.1f} MB {out.strip()[7:19]:>14}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frazil", default=str(Path(sys.executable).with_name("frazil")))
    parser.add_argument("--store", help="a store such as local?root=FOLDER")
    parser.add_argument("--only", nargs="*", choices=("digests", "change", "large", "sizes"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="frazil-bench-", ignore_cleanup_errors=True) as text:
        # What lies in a folder is found from everywhere; a name alone is looked for on PATH.
        program = os.path.abspath(given.frazil) if os.sep in given.frazil else given.frazil
        bench = Bench(program, Path(text), given.store or f"local?root={text}/root")
        wanted = given.only or ("digests", "change", "large", "sizes")
        if "digests" in wanted:
            digests(bench)
        if "change" in wanted:
            change(bench, given.rounds)
        if "large" in wanted:
            large(bench, max(2, given.rounds // 2))
        if "sizes" in wanted:
            sizes(bench)
    return 0


if __name__ == "__main__":
    sys.exit(main())
