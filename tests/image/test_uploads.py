"""Uploads that were interrupted go on: after a kill, after an interrupt, with a registry that forgot them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import Run, run  # noqa: F401
from tests.image.conftest import FakeRegistry
from tests.image.test_commands import registry  # noqa: F401

from frazil.image.registry import CHUNK
from frazil.image.uploads import LONGEST, Upload

SIZE = 5 * CHUNK
BAD = ('"http://["', '"http://127.0.0.1:1/gone"', "[" * 50_000)


def large(run: Run, tmp_path: Path) -> str:  # noqa: F811
    folder = tmp_path / "large-1.0"
    folder.mkdir()
    (folder / "data").write_bytes(os.urandom(SIZE))
    return run("nix-store", "--add", str(folder)).out.strip()


def words(path: str, name: str) -> list[str]:
    return ["image", "push", path, name, "--compression", "none", "--entrypoint", ""]


def started(arguments: list[str]) -> subprocess.Popen[str]:
    code = "import sys; from frazil.cli import main; sys.argv[0] = 'frazil'; sys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_a_killed_push_goes_on(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    path = large(run, tmp_path)
    arguments = words(path, f"{fake.host}/a:1")
    process: list[subprocess.Popen[str]] = []
    pieces: list[int] = []

    def kill() -> None:
        pieces.append(1)
        if len(pieces) == 4:
            process[0].kill()

    fake.at_patch = kill
    process.append(started(arguments))
    process[0].communicate(timeout=300)
    assert process[0].returncode == -signal.SIGKILL
    first = fake.received
    assert 3 * CHUNK <= first < SIZE and not fake.manifests
    done = run("frazil", *arguments)
    assert done.status == 0, done.err
    assert fake.received < SIZE + CHUNK  # nothing was sent twice but what was cut off
    assert ("a", "1") in fake.manifests
    assert not os.listdir(tmp_path / "home/.cache/frazil/image-uploads")


def test_a_forgotten_upload_begins_anew(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    path = large(run, tmp_path)
    arguments = words(path, f"{fake.host}/a:1")
    folder = tmp_path / "home/.cache/frazil/image-uploads"
    fake.cut = 100
    assert run("frazil", *arguments).status == 1
    (kept,) = os.listdir(folder)
    fake.cut = 0
    for wrong in ("", "{", '"ftp://x"', f'"http://{fake.host}/v2/a/blobs/uploads/gone"', *BAD):
        (folder / kept).write_text(wrong)
        fake.blobs.clear()
        done = run("frazil", *arguments)
        assert done.status == 0, (wrong, done.err)
    # Bytes of something else: what the registry refuses in the end is sent again from the beginning.
    fake.blobs.clear()
    fake.uploads["other"] = b"x" * CHUNK
    (folder / kept).write_text(f'"http://{fake.host}/v2/a/blobs/uploads/other"')
    done = run("frazil", *arguments)
    assert done.status == 0, done.err
    assert not os.listdir(folder)


def test_a_registry_that_takes_nothing(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    path = large(run, tmp_path)
    fake.forgetful = True
    done = run("frazil", *words(path, f"{fake.host}/a:1"))
    assert done.status == 1 and "takes nothing" in done.err, done.err


def test_an_interrupted_push_to_a_real_registry_goes_on(run: Run, tmp_path: Path, registry: str) -> None:  # noqa: F811
    """Registries of the distribution project lose an upload that is cut off within a piece: an interrupt waits for the
    piece's end."""
    path = large(run, tmp_path)
    arguments = words(path, f"{registry}/a:1")
    process = started(arguments)
    uploads = tmp_path / "registry/docker/registry/v2/repositories/a/_uploads"
    try:
        for _ in range(6000):
            if process.poll() is not None or sum(f.stat().st_size for f in uploads.glob("*/data")) >= CHUNK:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    if process.returncode == 0:
        pytest.skip("the push was quicker than the interrupt")
    assert "Traceback" not in err, err
    had = sum(f.stat().st_size for f in uploads.glob("*/data"))
    assert had % CHUNK == 0 and had > 0
    done = run("frazil", *arguments)
    assert done.status == 0, done.err
    sent = re.search(r"1 layers sent \(([0-9.]+) MB\)", done.err)
    assert sent is not None, done.err
    assert abs(float(sent[1]) - (SIZE - had) / 1e6) < 0.2, (had, sent)
    assert run("frazil", "image", "pull", f"{registry}/a:1", "oci:pulled").status == 0


@pytest.mark.parametrize("wait", [0.0, 0.01, 0.3])
def test_a_killed_push_to_a_real_registry(run: Run, tmp_path: Path, registry: str, wait: float) -> None:  # noqa: F811
    """Such a registry signs how much it has in its answer to a piece. Who did not hear that answer cannot go on: it
    gives the upload up. The blob is sent again, and no other."""
    path = large(run, tmp_path)
    arguments = words(path, f"{registry}/a:1")
    process = started(arguments)
    repository = tmp_path / "registry/docker/registry/v2/repositories/a"
    uploads, layers = repository / "_uploads", repository / "_layers/sha256"
    while process.poll() is None and not (any(uploads.glob("*/data")) and layers.exists()):
        time.sleep(0.005)
    time.sleep(wait)
    process.kill()
    process.communicate()
    done = run("frazil", *arguments)
    assert done.status == 0, done.err
    sent = re.search(r"([01]) layers sent \(([0-9.]+) [kM]?B\), 0 mounted, ([12]) there before", done.err)
    assert sent is not None and int(sent[1]) + int(sent[3]) == 2, done.err
    assert run("frazil", "image", "pull", f"{registry}/a:1", "oci:pulled").status == 0


def test_what_is_remembered(tmp_path: Path) -> None:
    folder = str(tmp_path / "uploads")
    with Upload(folder, "host/a", "sha256:1") as one:
        assert one.place() is None
        one.keep("http://host/1")
        with Upload(folder, "host/a", "sha256:1") as other:  # somebody sends it at this moment
            other.keep("http://host/2")
            assert other.place() is None
    with Upload(folder, "host/a", "sha256:1") as one:
        assert one.place() == "http://host/1"
    with Upload(folder, "host/b", "sha256:1") as one:
        assert one.place() is None
    for name in os.listdir(folder):
        os.utime(os.path.join(folder, name), (1, time.time() - LONGEST - 1))
    with Upload(folder, "host/a", "sha256:1") as one:
        assert one.place() is None
        one.forget()
    assert not os.listdir(folder)
    with Upload("/proc/nothing", "host/a", "sha256:1") as one:
        one.keep("http://host/1")
        assert one.place() is None
        one.forget()
