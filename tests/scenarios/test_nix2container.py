"""Flakes that make images with nix2container, unchanged: layers as JSON, sent by skopeo to a real registry."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.image.test_commands import engine, need, registry  # noqa: F401
from tests.scenarios.conftest import NOBODY, World, make_flake
from tests.scenarios.test_guestbook import OVERRIDE, need_a_mirror

FLAKE = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  inputs.nix2container.url = "github:nlewo/nix2container";
  inputs.nix2container.inputs.nixpkgs.follows = "nixpkgs";

  outputs = { self, nixpkgs, nix2container }: let
    pkgs = import nixpkgs { system = "x86_64-linux"; };
    nix2containerPkgs = nix2container.packages.x86_64-linux;
  in {
    packages.x86_64-linux = rec {
      talk = nix2containerPkgs.nix2container.buildImage {
        name = "talk";
        tag = "1";
        config.entrypoint = [ "${pkgs.bash}/bin/bash" (pkgs.writeScript "talk" "${pkgs.hello}/bin/hello") ];
        layers = [ (nix2containerPkgs.nix2container.buildLayer { deps = [ pkgs.bash pkgs.hello ]; }) ];
      };
      again = nix2containerPkgs.nix2container.buildImage {
        name = "again";
        fromImage = nix2containerPkgs.nix2container.pullImageFromManifest {
          imageName = "team/talk";
          imageTag = "1";
          imageManifest = ./manifest.json;
          registryUrl = "HOST";
          tlsVerify = false;
        };
        copyToRoot = pkgs.runCommand "home" { } "mkdir -p $out/home/me";
        initializeNixDatabase = true;
        config.Cmd = [ "${pkgs.hello}/bin/hello" "-t" ];
      };
    };
  };
}
"""
BOTH = (*OVERRIDE, "--override-input", "nix2container", "frazilpkgs")


@pytest.fixture
def world_of_images(user_world: World) -> Iterator[World]:
    need_a_mirror()
    if shutil.which("skopeo") is None:
        pytest.skip("the program 'skopeo' is not there")
    (user_world.folder / "auth.json").write_text("{}")
    user_world.environment["REGISTRY_AUTH_FILE"] = str(user_world.folder / "auth.json")
    yield user_world
    shutil.rmtree(user_world.folder.parent)


def test_only_what_is_missing_is_made(world_of_images: World, registry: str) -> None:  # noqa: F811
    world = world_of_images
    folder = make_flake(world.folder / "project", FLAKE.replace("HOST", registry), user=NOBODY)
    world.ok("build", *BOTH, ".#talk", "--out-link", "talk", cwd=folder)
    described = json.loads((folder / "talk").read_text())
    assert [len(layer["paths"]) for layer in described["layers"]] == [4, 1]
    send = ("run", *BOTH, ".#talk.copyTo", "--", "--dest-tls-verify=false", f"docker://{registry}/team/talk:1")
    first = world.frazil(*send, cwd=folder)
    assert first.status == 0 and "2 of 2 layers were made" in first.error, first.error
    again = world.frazil(*send, cwd=folder)
    assert again.status == 0 and "0 of 2 layers were made" in again.error, again.error
    # frazil's own push knows the image too, and the registry has what it brings or gets it once.
    pushed = world.frazil("image", "push", *BOTH, ".#talk", f"{registry}/team/own:1", cwd=folder)
    assert pushed.status == 0 and "2 layers sent" in pushed.error, pushed.error
    manifest = subprocess.check_output(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry}/team/talk:1"]
    )
    (folder / "manifest.json").write_bytes(manifest)
    subprocess.run(["git", "add", "manifest.json"], cwd=folder, check=True, user=NOBODY, group=NOBODY)
    world.ok("image", "build", *BOTH, ".#again", "--to", "oci:again", cwd=folder)
    shown = json.loads(world.ok("image", "inspect", "--json", "again", cwd=folder))
    assert len(shown["layers"]) == 3
    assert shown["config"]["config"]["Cmd"][1] == "-t"


class Daemon(BaseHTTPRequestHandler):
    """What skopeo asks of Docker's daemon when it brings an image; the archives are kept in `server.archives`."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def answer(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("API-Version", "1.44")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def do_GET(self) -> None:
        self.answer(b"OK" if self.path.endswith("_ping") else b"{}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        assert self.path.split("?")[0].endswith("/images/load"), self.path
        archive = b""
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                archive += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            archive = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.archives.append(archive)  # type: ignore[attr-defined]
        self.answer(b'{"stream":"Loaded image"}\n')


def test_the_docker_daemon_is_brought_the_image(world_of_images: World) -> None:
    world = world_of_images
    folder = make_flake(world.folder / "project", FLAKE, user=NOBODY)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Daemon)
    server.archives = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        daemon = ("--", "--dest-daemon-host", f"http://127.0.0.1:{server.server_address[1]}")
        done = world.frazil("run", *BOTH, ".#talk.copyToDockerDaemon", *daemon, cwd=folder)
    finally:
        server.shutdown()
        server.server_close()
    assert done.status == 0 and "talk:1 goes to docker-daemon:talk:1" in done.error, done.error
    (archive,) = server.archives  # type: ignore[attr-defined]
    with tarfile.open(fileobj=io.BytesIO(archive)) as members:
        (manifest,) = json.load(members.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(members.extractfile(manifest["Config"]))  # type: ignore[arg-type]
    assert manifest["RepoTags"] in (["talk:1"], ["docker.io/library/talk:1"])
    assert len(manifest["Layers"]) == len(config["rootfs"]["diff_ids"]) == 2
    assert config["config"]["Entrypoint"][0].endswith("/bin/bash")


def test_podman_has_the_image_and_runs_it(world_of_images: World, tmp_path: Path) -> None:
    need("podman", "runc")
    if os.getuid() != 0:
        pytest.skip("Podman is tried as root, with a storage of its own")
    world = world_of_images
    folder = make_flake(world.folder / "project", FLAKE)
    storage = world.folder / "s"  # Podman takes short names alone
    world.environment["CONTAINERS_STORAGE_CONF"] = str(tmp_path / "storage.conf")
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{storage}/root"\nrunroot = "{storage}/run"\n'
    )
    root = World(world.folder, world.programs, {**world.environment, "HOME": str(world.folder / "root-home")})
    root.environment["NIX_REMOTE"] = f"local?root={world.folder}/root-store"
    done = root.frazil("run", *BOTH, ".#talk.copyToPodman", cwd=folder)
    assert done.status == 0 and "talk:1 goes to containers-storage:talk:1" in done.error, done.error
    podman = ["podman", "--cgroup-manager=cgroupfs", "--runtime", "runc"]
    options = ["--rm", "--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
    try:
        ran = subprocess.run([*podman, "run", *options, "talk:1"], env=root.environment, capture_output=True, text=True)
        if ran.returncode and ("permitted" in ran.stderr or "denied" in ran.stderr):
            pytest.skip(f"Podman cannot run containers here: {ran.stderr.strip()}")
        assert ran.stdout == "Hello, world!\n", ran.stderr
    finally:
        subprocess.run([*podman, "rmi", "-a", "-f"], env=root.environment, capture_output=True)


def test_signatures_are_what_skopeo_checks(world_of_images: World, registry: str) -> None:  # noqa: F811
    """With the set's own skopeo: older ones know no signatures of this kind."""
    world, folder = world_of_images, world_of_images.folder
    for name in ("own", "other"):
        command = [
            "openssl",
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            f"{name}.pem",
        ]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        subprocess.run(
            ["openssl", "pkey", "-in", f"{name}.pem", "-pubout", "-out", f"{name}.pub"], cwd=folder, check=True
        )
        (folder / f"{name}.pem").chmod(0o644)
    image = f"{registry}/team/hello:1"
    world.ok("image", "push", "frazilpkgs#hello", image, "--sign-key", str(folder / "own.pem"))
    (folder / "registries.d").mkdir()
    (folder / "registries.d/all.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")
    for name, good in (("own", True), ("other", False)):
        rule = {
            "type": "sigstoreSigned",
            "keyPath": str(folder / f"{name}.pub"),
            "signedIdentity": {"type": "matchRepository"},
        }
        policy = {"default": [{"type": "reject"}], "transports": {"docker": {registry: [rule]}}}
        (folder / "policy.json").write_text(json.dumps(policy))
        options = ["--policy", f"{folder}/policy.json", "--registries.d", f"{folder}/registries.d"]
        copy = ["copy", "-q", "--src-tls-verify=false", "--remove-signatures", f"docker://{image}"]
        target = f"oci-archive:{folder}/{name}.tar"
        done = world.frazil("run", "frazilpkgs#skopeo", "--", *options, *copy, target)
        assert (done.status == 0) is good, done.error
        assert good or "signature" in done.error, done.error
