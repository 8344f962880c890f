"""The example of the README as an ordinary user without `/nix`: built, checked, run, developed, entered by direnv."""

from __future__ import annotations

import os
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scenarios.conftest import NOBODY, World, git

from frazil.errors import FrazilError

EXAMPLE = Path(__file__).parents[2] / "examples" / "guestbook"
OVERRIDE = ("--override-input", "nixpkgs", "frazilpkgs")


def need_a_mirror() -> None:
    from frazil.fetch.debian import mirrors
    from frazil.fetch.settings import FetchSettings

    try:
        if not mirrors(FetchSettings()):
            pytest.skip("no Debian mirror is configured")
    except FrazilError as error:
        pytest.skip(f"no Debian mirror is configured: {error}")


@pytest.fixture
def project(user_world: World) -> Iterator[tuple[World, Path]]:
    need_a_mirror()
    folder = user_world.folder / "guestbook"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "result"))
    for parent, _, names in os.walk(folder):
        for path in [parent, *(f"{parent}/{name}" for name in names)]:
            os.chown(path, NOBODY, NOBODY)
    git(folder, "init", "--quiet", user=NOBODY)
    git(folder, "add", "--all", user=NOBODY)
    yield user_world, folder
    shutil.rmtree(user_world.folder.parent)


def check_service(world: World, folder: Path) -> None:
    """The result link answers, although nothing is at the store's logical place."""
    with world.start(str(folder / "result/bin/guestbook"), "--port", "0", cwd=folder) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            with urllib.request.urlopen(f"{address}/health", timeout=20) as answer:
                assert answer.read() == b"ok\n"
        finally:
            process.kill()


def check_direnv(world: World, folder: Path) -> None:
    direnv = shutil.which("direnv")
    if direnv is None:
        return
    world.ok("direnv", "install", cwd=folder)
    (folder / ".envrc").write_text("use flake . " + " ".join(OVERRIDE) + "\n")
    world.run(direnv, "allow", cwd=folder)
    for expected in ("evaluated", "nothing evaluated"):
        done = world.run(direnv, "exec", ".", "python3", "-c", "print(6 * 7)", cwd=folder)
        assert (done.status, done.out) == (0, "42\n"), done.error
        assert expected in done.error
    assert os.path.islink(folder / ".direnv/flake-profile")


def test_from_flake_to_answering_service(project: tuple[World, Path]) -> None:
    world, folder = project
    world.ok("build", *OVERRIDE, cwd=folder)
    check_service(world, folder)
    world.ok("flake", "check", *OVERRIDE, cwd=folder)
    assert "guestbook" in world.ok("flake", "show", *OVERRIDE, cwd=folder)
    check_direnv(world, folder)
    script = "import os, sys; print(sys.prefix, os.environ['GUESTBOOK_DATABASE'])"
    out = world.ok("develop", *OVERRIDE, "-c", "python3", "-c", script, cwd=folder)
    assert out.startswith("/nix/store/")
    assert out.endswith(" development.sqlite\n")
    started = time.monotonic()
    world.ok("develop", *OVERRIDE, "-c", "true", cwd=folder)
    assert time.monotonic() - started < 60
    world.whole()
