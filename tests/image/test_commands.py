"""`frazil image …` on a package, with the programs that images are for: Podman, skopeo, umoci, a real registry."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.conftest import Result, Run, run  # noqa: F401
from tests.image.conftest import FakeRegistry

BUSYBOX = shutil.which("busybox")


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"the program '{program}' is not there")


def add(run: Run, folder: Path, text: str = "x", program: bool = False) -> str:  # noqa: F811
    (folder / "bin").mkdir(parents=True)
    place = folder / "bin/greet"
    if program:
        if BUSYBOX is None or "statically linked" not in subprocess.getoutput(f"file {BUSYBOX}"):
            pytest.skip("there is no static busybox")
        shutil.copy(BUSYBOX, folder / "bin/busybox")
        place.symlink_to("busybox")
    else:
        place.write_text(text)
        place.chmod(0o755)
    done = run("nix-store", "--add", str(folder))
    assert done.status == 0, done.err
    return done.out.strip()


def test_build_inspect_diff(run: Run, tmp_path: Path) -> None:  # noqa: F811
    old, new = add(run, tmp_path / "greet-1.0"), add(run, tmp_path / "greet-2.0", "y")
    first = run("frazil", "image", "build", old, "--to", "oci:one", "--port", "80", "--entrypoint", "greet")
    second = run("frazil", "image", "build", old, "--to", "oci:two", "--port", "80", "--compression", "gz")
    assert first.status == second.status == 0, first.err + second.err
    assert first.out == second.out
    shown = json.loads(run("frazil", "image", "inspect", "--json", "one").out)
    assert shown["config"]["config"]["Entrypoint"] == [f"{old}/bin/greet"]
    assert [len(layer["paths"]) for layer in shown["layers"]] == [1, 0]
    difference = json.loads(run("frazil", "image", "diff", "--json", old, new).out)
    assert [(package["old"], package["new"]) for package in difference["packages"]] == [("1.0", "2.0")]
    assert len(difference["added"]) == 2
    text = run("frazil", "image", "diff", old, new).out
    assert "greet: 1.0 → 2.0" in text and "0 layers stay, 2 are new" in text
    archive = run("frazil", "image", "build", "one", "--to", "docker-archive:one.tar:greet:1")
    assert archive.out == run("frazil", "image", "build", old, "--to", "docker-archive:two.tar", "-p", "80").out
    for form in ("spdx", "cyclonedx", "slsa"):
        assert "greet" in run("frazil", "image", "sbom", old, "--format", form).out


def failure(done: Result) -> str:
    assert done.status == 1
    return done.err


def test_what_can_be_wrong(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0")
    (tmp_path / "empty").mkdir()
    empty = run("nix-store", "--add", str(tmp_path / "empty")).out.strip()
    assert "has no entry point" in failure(run("frazil", "image", "build", empty))
    assert "--entrypoint: greet" in failure(run("frazil", "image", "build", path, "--entrypoint", "other"))
    assert run("frazil", "image", "build", empty, "--entrypoint", "").status == 0
    assert "is not a label" in failure(run("frazil", "image", "build", path, "-l", "x"))
    assert "at most 1 layers" in failure(run("frazil", "image", "build", path, "--max-layers", "1"))
    assert "is a number, not" in failure(run("frazil", "image", "build", path, "--max-layers", "many"))
    assert "gz, zstd or none" in failure(run("frazil", "image", "build", path, "--compression", "lzma"))
    assert "not where an image can go" in failure(run("frazil", "image", "build", path, "--to", "nowhere"))
    assert "no OCI layout" in failure(run("frazil", "image", "build", path, "--to", "oci:greet-1.0"))
    assert "for an OCI layout" in failure(run("frazil", "image", "build", path, path, "--to", "docker-archive:x"))
    assert "404" in failure(run("frazil", "image", "pull", f"{fake.host}/no/such:1"))
    assert "is not there" in failure(run("frazil", "image", "load", path, "--engine", "no-such-engine"))
    assert "load' failed: out of space" in failure(
        run("frazil", "image", "load", path, "--engine", "sh -c 'echo out of space >&2; exit 1'")
    )
    (tmp_path / "bad.tar").write_text("this is no image")
    assert "tar archive" in failure(run("frazil", "image", "inspect", "bad.tar"))


def test_the_layout_is_valid(run: Run, tmp_path: Path) -> None:  # noqa: F811
    need("umoci", "skopeo")
    path = add(run, tmp_path / "greet-1.0")
    done = run("frazil", "image", "build", path, "--to", "oci:image:1", "--compression", "gz")
    assert done.status == 0, done.err
    unpacked = subprocess.run(
        ["umoci", "unpack", *([] if os.getuid() == 0 else ["--rootless"]), "--image", "image:1", "bundle"],
        capture_output=True,
        text=True,
    )
    assert unpacked.returncode == 0, unpacked.stderr
    root = tmp_path / "bundle/rootfs"
    assert (root / "bin/greet").readlink() == Path(path, "bin/greet")
    assert (root / path[1:] / "bin/greet").stat().st_mode & 0o777 == 0o555
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    inspected = json.loads(subprocess.check_output(["skopeo", "inspect", "oci:image:1"]))
    assert inspected["Digest"] == done.out.strip()


@contextmanager
def real_registry(folder: Path, auth: str = "") -> Iterator[str]:
    """Debian's, in its configuration `auth`; its host."""
    need("docker-registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        f"http: {{addr: '{host}'}}\nlog: {{level: error}}\n{auth}"
    )
    with open(folder / "registry.log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", int(host.rpartition(":")[2])), 1).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "registry.log").read_text()
                time.sleep(0.05)
        yield host
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with real_registry(tmp_path) as host:
        yield host


def test_a_real_registry(run: Run, tmp_path: Path, registry: str) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0")
    done = run("frazil", "image", "push", path, f"{registry}/team/greet:1")
    assert done.status == 0, done.err
    assert "2 layers sent" in done.err
    assert "2 there before" in run("frazil", "image", "push", path, f"{registry}/team/greet:2").err
    assert "2 mounted" in run("frazil", "image", "push", path, f"{registry}/other:1").err
    pulled = run("frazil", "image", "pull", f"{registry}/other:1", "oci:pulled")
    assert pulled.out == done.out, pulled.err
    need("skopeo")
    copied = subprocess.run(
        ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{registry}/team/greet:2", "oci:copied:2"],
        capture_output=True,
        text=True,
    )
    assert copied.returncode == 0, copied.stderr
    first = json.loads(run("frazil", "image", "inspect", "--json", "pulled").out)
    assert json.loads(run("frazil", "image", "inspect", "--json", "copied").out)["layers"] == first["layers"]


@pytest.fixture
def engine() -> Iterator[str]:
    need("podman", "runc")
    if os.getuid() != 0:
        pytest.skip("Podman is tried as root, with a storage of its own")
    root = tempfile.mkdtemp()  # Podman takes short names alone
    command = f"podman --root {root}/root --runroot {root}/run --storage-driver vfs"
    command += " --cgroup-manager=cgroupfs --runtime runc"
    yield command
    subprocess.run([*command.split(), "rmi", "-a", "-f"], capture_output=True)
    shutil.rmtree(root, ignore_errors=True)


def test_podman_runs_it(run: Run, tmp_path: Path, engine: str) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0", program=True)
    done = run("frazil", "image", "load", path, "--engine", engine, "--entrypoint", "busybox", "--name", "greet:1")
    assert done.status == 0, done.err
    options = ["--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
    started = subprocess.run(
        [*engine.split(), "run", "--rm", *options, "greet:1", "echo", "hello"], capture_output=True, text=True
    )
    if started.returncode and ("permitted" in started.stderr or "denied" in started.stderr):
        pytest.skip(f"Podman cannot run containers here: {started.stderr.strip()}")
    assert started.stdout == "hello\n", started.stderr
    words = [word for option in options for word in ("--engine-option", option)]
    user = run(
        "frazil", "image", "run", "--engine", engine, *words, "-u", "1234", "--entrypoint", "busybox", path, "id"
    )
    assert "uid=1234(user) gid=1234(user)" in user.out, user.err


def test_only_changed_layers_are_loaded(run: Run, tmp_path: Path, engine: str) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0")
    first = run("frazil", "image", "load", path, "--engine", engine, "--name", "greet:1")
    assert "all 2 layers sent" in first.err, first.err
    # Another user: the store's layer is there.
    second = run("frazil", "image", "load", path, "--engine", engine, "--name", "greet:2", "--user", "1000")
    assert "1 of 2 layers sent" in second.err, second.err
    assert second.out != first.out
    again = run("frazil", "image", "load", path, "--engine", engine, "--name", "greet:3", "--user", "1000")
    assert "0 of 2 layers sent (0 B)" in again.err and again.out == second.out
    names = subprocess.check_output([*engine.split(), "images", "--format", "{{.Names}}"], text=True)
    assert "greet:1" in names and "greet:2" in names and "greet:3" in names and "127.0.0.1" not in names
    # Archives and layouts, too.
    for target in ("docker-archive:greet.tar", "oci:layout"):
        assert run("frazil", "image", "build", path, "--to", target, "--label", "a=b").status == 0
    for source in ("greet.tar", "layout"):
        done = run("frazil", "image", "load", source, "--engine", engine, "--name", f"{source[:5]}:4")
        assert "1 of 2 layers sent" in done.err or "0 of 2" in done.err, done.err


def test_an_engine_that_cannot_fetch_gets_the_archive(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """A machine of its own, for example, whose loopback is not ours."""
    path = add(run, tmp_path / "greet-1.0")
    assert run("frazil", "image", "inspect", path).status == 0  # so that its layers are known
    program = tmp_path / "docker-elsewhere"
    program.write_text(f"#!/bin/sh\ncase $1 in load) cat >{tmp_path}/loaded.tar;; *) exit 1;; esac\n")
    program.chmod(0o755)
    done = run("frazil", "image", "load", path, "--engine", str(program))
    assert done.status == 0, done.err
    assert "all 2 layers sent" in done.err
    assert json.loads(run("frazil", "image", "inspect", "--json", "loaded.tar").out)["name"].startswith("greet:")


def test_pulled_to_wherever(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    """Into an archive, an engine, another registry: as `build` does."""
    path = add(run, tmp_path / "greet-1.0")
    name = f"{fake.host}/team/greet:1"
    pushed = run("frazil", "image", "push", path, name)
    assert pushed.status == 0, pushed.err
    done = run("frazil", "image", "pull", name, "docker-archive:greet.tar")
    assert done.status == 0, done.err
    shown = json.loads(run("frazil", "image", "inspect", "greet.tar", "--json").out)
    assert shown["name"] == name
    assert shown["config"] == json.loads(run("frazil", "image", "inspect", path, "--json").out)["config"]
    again = run("frazil", "image", "pull", name, f"docker://{fake.host}/other/greet:2")
    assert again.out == pushed.out, again.err
    assert ("other/greet", "2") in fake.manifests
    assert "for an OCI layout" in failure(run("frazil", "image", "pull", name, "docker-archive:x", "--all"))
    loaded = run("frazil", "image", "pull", name, "podman:", "--engine", "sh -c 'cat >given; exit 3'")
    assert "load' failed" in failure(loaded)
    assert (tmp_path / "given").stat().st_size > 10_000


def test_what_is_an_image_already(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """It can get another name. Other options are for packages, and none is passed over in silence."""
    path = add(run, tmp_path / "greet-1.0")
    assert run("frazil", "image", "build", path, "--to", "docker-archive:one.tar").status == 0
    for option in (["-e", "A=1"], ["--port", "1"], ["--entrypoint", ""], ["--with", path], ["--created", "now"]):
        done = run("frazil", "image", "build", "one.tar", *option, "--to", "oci:two")
        assert "is an image already" in failure(done), option
    done = run("frazil", "image", "build", "one.tar", "--name", "example.org/a/b:c", "--to", "docker-archive:two.tar")
    assert done.status == 0, done.err
    assert json.loads(run("frazil", "image", "inspect", "two.tar", "--json").out)["name"] == "example.org/a/b:c"
    assert "is a number, not" in failure(run("frazil", "image", "build", path, "--max-layers", "²"))


def test_images_do_not_steer_terminals(run: Run, tmp_path: Path) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0")
    assert run("frazil", "image", "build", path, "-l", "a=\x1b[2J", "--to", "docker-archive:one.tar").status == 0
    for text in (path, "one.tar"):
        shown = run("frazil", "image", "inspect", text, *(["-l", "a=\x1b[2J"] if text == path else []))
        assert shown.status == 0 and "\x1b" not in shown.out and "\ufffd[2J" in shown.out, shown.out
