"""Flakes that make images with nix2container, unchanged: layers as JSON, sent by skopeo to a real registry."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from tests.image.test_commands import engine, registry  # noqa: F401
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
