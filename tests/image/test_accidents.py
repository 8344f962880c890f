"""What goes wrong on the way: one message, nothing half-done, and the next try goes on."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.conftest import Run, run  # noqa: F401
from tests.image.conftest import FakeRegistry
from tests.image.test_commands import add, failure


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Stands in for a full disk: writing more fails in the same place, with another number."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("target", ["docker-archive:greet.tar", "oci:greet"])
def test_a_full_disk(run: Run, tmp_path: Path, target: str) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0", os.urandom(300_000).hex())
    before = set(os.listdir(tmp_path))
    with files_of_at_most(200_000):
        error = failure(run("frazil", "image", "build", path, "--to", target))
    assert "too large" in error and error.count("error:") == 1
    new = set(os.listdir(tmp_path)) - before
    assert new <= {"greet"} and not (tmp_path / "greet/index.json").exists()
    done = run("frazil", "image", "build", path, "--to", target)
    assert done.status == 0, done.err
    shown = json.loads(run("frazil", "image", "inspect", "--json", target.partition(":")[2]).out)
    assert len(shown["layers"]) == 2


def test_a_push_that_is_refused_half_way_goes_on(
    run: Run,  # noqa: F811
    tmp_path: Path,
    fake: FakeRegistry,
) -> None:
    path = add(run, tmp_path / "greet-1.0")
    name = f"{fake.host}/team/greet:1"
    built = run("frazil", "image", "build", path, "--to", "oci:local")
    manifest = json.loads((tmp_path / "local/blobs/sha256" / built.out.strip()[7:]).read_text())
    fake.refused = {manifest["layers"][1]["digest"]}
    error = failure(run("frazil", "image", "push", path, name))
    assert "403" in error and "quota exceeded" in error and error.count("error:") == 1
    assert not fake.manifests
    fake.refused = set()
    again = run("frazil", "image", "push", path, name)
    assert again.status == 0 and "1 layers sent" in again.err and "1 there before" in again.err, again.err
    assert ("team/greet", "1") in fake.manifests


def test_an_image_with_more_layers_than_allowed(run: Run, tmp_path: Path) -> None:  # noqa: F811
    paths = [add(run, tmp_path / f"greet-{number}") for number in range(4)]
    extra = [word for path in paths[1:] for word in ("--with", path)]
    done = run("frazil", "image", "build", paths[0], *extra, "--max-layers", "3", "--to", "oci:few")
    assert done.status == 0, done.err
    assert len(json.loads(run("frazil", "image", "inspect", "--json", "few").out)["layers"]) == 3


def test_a_described_image_that_cannot_be_made(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    name = f"{fake.host}/team/greet:1"
    path = add(run, tmp_path / "greet-1.0")
    digest = "sha256:" + "1" * 64
    layer = {
        "digest": digest,
        "diff_ids": digest,
        "size": 10240,
        "mediatype": "application/vnd.oci.image.layer.v1.tar",
        "paths": [{"path": path}],
        "history": {},
    }
    value = {"version": 1, "arch": "amd64", "created": "1970-01-01T00:00:01Z", "image-config": {}, "layers": [layer]}

    def pushed(**change: object) -> str:
        (tmp_path / "image.json").write_text(json.dumps({**value, **change}))
        return failure(run("frazil", "image", "push", "image.json", name))

    assert "where the image says" in pushed()
    missing = "/nix/store/" + "0" * 32 + "-missing"
    assert "which the store has not" in pushed(layers=[{**layer, "paths": [{"path": missing}]}])
    assert "what is no store path" in pushed(layers=[{**layer, "paths": [{"path": "/etc"}]}])
    assert "what is no store path" in pushed(layers=[{**layer, "paths": [], "layer-path": "/etc/shadow"}])
    assert "does not describe an image" in pushed(version=9)
    assert not fake.manifests and not fake.blobs


def test_an_archive_into_what_is_no_file(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """A pipe gets the bytes and stays a pipe; a folder is not replaced; a link leads to its file."""
    path = add(run, tmp_path / "greet-1.0")
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    done = run("frazil", "image", "build", path, "--to", "docker-archive:pipe")
    reader.join()
    assert done.status == 0 and stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode), done.err
    (tmp_path / "link.tar").symlink_to("real.tar")
    assert run("frazil", "image", "build", path, "--to", "docker-archive:link.tar").out == done.out
    assert (tmp_path / "link.tar").is_symlink() and (tmp_path / "real.tar").read_bytes() == got[0]
    (tmp_path / "folder").mkdir()
    assert "is a folder" in failure(run("frazil", "image", "build", path, "--to", "docker-archive:folder"))
    assert "'/none/x' is not there" in failure(
        run("frazil", "image", "build", path, "--to", "docker-archive:/none/x/y")
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--workdir", "data"), "write it from the root: /data"),
        (("--volume", "data"), "write it from the root: /data"),
        (("--architecture", "a/b"), "not an architecture"),
    ],
)
def test_wrong_options(run: Run, tmp_path: Path, option: tuple[str, str], message: str) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0")
    assert message in failure(run("frazil", "image", "build", path, *option))
    assert not (tmp_path / "image").exists()


def test_what_is_no_image(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "text.tar").write_text("text " * 500)
    error = failure(run("frazil", "image", "inspect", "text.tar"))
    assert "'text.tar' is no image that can be read" in error


def test_damaged_blobs_stay_where_they_are(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    path = add(run, tmp_path / "greet-1.0")
    assert run("frazil", "image", "build", path, "--to", "oci:good").status == 0
    index = json.loads((tmp_path / "good/index.json").read_text())
    blobs = tmp_path / "good/blobs/sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    layer = blobs / manifest["layers"][0]["digest"][7:]
    content = layer.read_bytes()
    layer.chmod(0o644)
    layer.write_bytes(content + b"x")
    for words in (("build", "good", "--to", "oci:other"), ("push", "good", f"{fake.host}/a:1")):
        assert "is damaged" in failure(run("frazil", "image", *words))
    assert not (tmp_path / "other/index.json").exists() and not fake.manifests


def test_layers_that_are_not_what_the_image_says(run: Run, tmp_path: Path) -> None:  # noqa: F811
    """Also where their files are only looked at."""
    path = add(run, tmp_path / "greet-1.0")
    assert run("frazil", "image", "build", path, "--to", "docker-archive:good.tar").status == 0
    content = (tmp_path / "good.tar").read_bytes()
    assert content.count(b"\nx") <= 1
    changed = content.replace(b"bin/greet\0", b"bin/great\0", 1)
    at = changed.find(b"bin/great\0") // 512 * 512
    block = bytearray(changed[at : at + 512])
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    (tmp_path / "bad.tar").write_bytes(changed[:at] + bytes(block) + changed[at + 512 :])
    assert "where the image says" in failure(run("frazil", "image", "inspect", "bad.tar"))
