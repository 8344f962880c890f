"""A package from a real mirror, evaluated, built and run; needs a configured mirror."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from frazil.errors import FrazilError

START = "import sys\nfrom frazil.cli import main\nsys.exit(main())\n"


def frazil(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NIX_REMOTE": f"local?root={folder / 'root'}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        [sys.executable, "-c", START, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from frazil.fetch.debian import resolve_mirror
    from frazil.fetch.settings import FetchSettings

    try:
        if not resolve_mirror("mirror://debian/dists/", FetchSettings()):
            pytest.skip("no Debian mirror is configured")
    except FrazilError as error:
        pytest.skip(f"no Debian mirror is configured: {error}")
    place = tmp_path_factory.mktemp("real")
    done = frazil(place, "eval", "--raw", "frazilpkgs#hello.name")
    if done.returncode and "download" in done.stderr:
        pytest.skip("the Debian mirror cannot be reached")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello-")
    return place


def test_hello_runs(folder: Path) -> None:
    done = frazil(folder, "run", "frazilpkgs#hello")
    if "amespace" in done.stderr and done.returncode:
        pytest.skip("no user namespaces here")
    assert done.stdout == "Hello, world!\n", done.stderr


def test_import_in_pure_evaluation(folder: Path) -> None:
    flake = folder / "flake"
    flake.mkdir()
    (flake / "flake.nix").write_text(
        """{
          inputs.nixpkgs.url = "frazilpkgs";
          outputs = { self, nixpkgs }: {
            value = (import nixpkgs {
              system = "x86_64-linux";
              overlays = [ (final: prev: { mine = prev.hello.pname + final.suffix; suffix = "!"; }) ];
            }).mine;
            folder = nixpkgs.lib.hasPrefix "/nix/store/" "${nixpkgs}/lib" && builtins.pathExists "${nixpkgs}/lib";
          };
        }"""
    )
    done = frazil(folder, "eval", "--json", f"path:{flake}#value")
    assert done.stdout.strip() == '"hello!"', done.stderr
    done = frazil(folder, "eval", "--json", f"path:{flake}#folder")
    assert done.stdout.strip() == "true", done.stderr
