"""Docker's daemon takes images, only the layers that it lacks, and archives; and it runs them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.cli.conftest import Run, run  # noqa: F401
from tests.image.test_commands import add


def test_docker_takes_and_runs_it(run: Run, tmp_path: Path, docker_engine: str) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0", program=True)
    options = ["--engine", docker_engine, "--entrypoint", "busybox"]
    first = run("frazil", "image", "load", path, *options, "--name", "greet:1")
    assert first.status == 0 and "2 of 2 layers sent" in first.err, first.err
    second = run("frazil", "image", "load", path, *options, "--name", "greet:2", "--user", "1000")
    assert "1 of 2 layers sent" in second.err, second.err
    again = run("frazil", "image", "load", path, *options, "--name", "greet:3", "--user", "1000")
    assert "0 of 2 layers sent (0 B)" in again.err and again.out == second.out, again.err
    docker = docker_engine.split()
    names = subprocess.check_output([*docker, "images", "--format", "{{.Repository}}:{{.Tag}}"], text=True).split()
    assert {"greet:1", "greet:2", "greet:3"} <= set(names) and not any("127.0.0.1" in name for name in names)
    seen = json.loads(subprocess.check_output([*docker, "image", "inspect", "greet:2"]))[0]
    assert seen["Id"] == second.out.strip() and seen["Config"]["User"] == "1000"
    ran = run("frazil", "image", "run", *options, "--engine-option", "--network=none", "-u", "1234", path, "id")
    assert "uid=1234(user) gid=1234(user)" in ran.out, ran.err
    archive = run("frazil", "image", "build", path, *options[2:], "--to", "docker-archive:greet.tar:greet:4")
    assert archive.status == 0, archive.err
    loaded = subprocess.run([*docker, "load", "-i", "greet.tar"], capture_output=True, text=True)
    assert "greet:4" in loaded.stdout, loaded.stderr
    seen = json.loads(subprocess.check_output([*docker, "image", "inspect", "greet:4"]))[0]
    assert seen["Id"] == archive.out.strip()
