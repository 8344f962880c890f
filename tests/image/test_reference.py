"""Names of images and destinations."""

from __future__ import annotations

import pytest

from frazil.errors import UsageError
from frazil.image.reference import Destination, ImageName


@pytest.mark.parametrize(
    ("text", "host", "path", "wanted"),
    [
        ("app", "registry-1.docker.io", "library/app", "latest"),
        ("team/app:1.0", "registry-1.docker.io", "team/app", "1.0"),
        ("localhost/app", "localhost", "app", "latest"),
        ("127.0.0.1:5000/a/b:x_Y", "127.0.0.1:5000", "a/b", "x_Y"),
        ("[::1]:5000/a", "[::1]:5000", "a", "latest"),
        ("r.example/a@sha256:" + "0" * 64, "r.example", "a", "sha256:" + "0" * 64),
    ],
)
def test_names(text: str, host: str, path: str, wanted: str) -> None:
    name = ImageName.parse(text)
    assert (name.host, name.path, name.wanted, str(name)) == (host, path, wanted, text)


@pytest.mark.parametrize("text", ["", "App", "a:", "a:b:c", "a/../b", "a@sha256:1", "-/x", "r.example:999999/a"])
def test_wrong_names(text: str) -> None:
    with pytest.raises(UsageError):
        ImageName.parse(text)


def test_a_hint_that_helps() -> None:
    for text, hint in (("Team/App:1", "names are in lower case: team/app:1"), ("X Y", None)):
        with pytest.raises(UsageError) as caught:
            ImageName.parse(text)
        assert caught.value.hint == hint


def test_destinations() -> None:
    assert Destination.parse("oci:a/b") == Destination("oci", "a/b")
    assert Destination.parse("oci:a:1") == Destination("oci", "a", ImageName(None, "image", "1"))
    assert Destination.parse("docker-archive:x.tar:a:1") == Destination(
        "docker-archive", "x.tar", ImageName.parse("a:1")
    )
    assert Destination.parse("docker://r.example/a:1") == Destination("registry", name=ImageName.parse("r.example/a:1"))
    assert Destination.parse("podman:").kind == Destination.parse("containers-storage:").kind == "podman"
    assert Destination.parse("docker-daemon:a:1") == Destination("docker", name=ImageName.parse("a:1"))
    for text in ("", "x", "oci:", "http://x"):
        with pytest.raises(UsageError):
            Destination.parse(text)
