from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frazil.activity import SilentReporter
from frazil.fetch import download as download_module
from frazil.fetch.download import Downloaded, download
from frazil.fetch.errors import DownloadError
from frazil.fetch.settings import FetchSettings

if TYPE_CHECKING:
    from conftest import Server

SETTINGS = FetchSettings(netrc_file="", download_attempts=3, connect_timeout=2)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "_FIRST_PAUSE", 0.0)


def get(url: str, path: Path, **options: object) -> Downloaded:
    settings = options.pop("settings", SETTINGS)
    return download(url, str(path), settings, SilentReporter(), **options)  # type: ignore[arg-type]


def test_file(tmp_path: Path) -> None:
    (tmp_path / "a b").write_bytes(b"x" * 100_000)
    found = get(f"file://{tmp_path}/a%20b", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"x" * 100_000 and not found.unchanged
    assert get(f"file://{tmp_path}/a%20b", tmp_path / "out2", etag=found.etag).unchanged
    assert not (tmp_path / "out2").exists()
    with pytest.raises(DownloadError, match="larger than 10 bytes"):
        get(f"file://{tmp_path}/a%20b", tmp_path / "out", maximum=10)
    with pytest.raises(DownloadError) as caught:
        get(f"file://{tmp_path}/none", tmp_path / "out")
    assert caught.value.status == 404


def test_http(server: Server, tmp_path: Path) -> None:
    url = server.add("/a", b"hello", ETag='"1"')
    found = get(url, tmp_path / "out", headers={"X-Token": "t"})
    assert (tmp_path / "out").read_bytes() == b"hello"
    assert found == Downloaded(False, '"1"', (url,), None)
    assert server.requests[0][1]["x-token"] == "t"
    assert server.requests[0][1]["user-agent"].startswith("frazil/")


def test_unchanged(server: Server, tmp_path: Path) -> None:
    def answer(headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        return (304, {}, b"") if headers.get("if-none-match") == '"1"' else (200, {"ETag": '"1"'}, b"x")

    server.routes["/a"] = answer
    url = f"http://{server.address}/a"
    assert get(url, tmp_path / "out", etag='"1"').unchanged
    assert not get(url, tmp_path / "out", etag='"0"').unchanged


def test_redirections_are_listed_and_bounded(server: Server, tmp_path: Path) -> None:
    end = server.add("/end", b"x", Link='</fixed?x=1>; rel="immutable"')
    server.add("/start", b"", 302, Location="/end")
    start = f"http://{server.address}/start"
    found = get(start, tmp_path / "out")
    assert found.urls == (start, end)
    assert found.immutable_url == f"http://{server.address}/fixed?x=1"
    server.add("/loop", b"", 302, Location="/loop")
    with pytest.raises(DownloadError, match="redirections"):
        get(f"http://{server.address}/loop", tmp_path / "out")
    server.add("/local", b"", 302, Location=f"file://{tmp_path}/out")
    with pytest.raises(DownloadError):
        get(f"http://{server.address}/local", tmp_path / "out2")


def test_secrets_stay_with_their_host(server: Server, tmp_path: Path) -> None:
    port = server.address.partition(":")[2]
    server.add("/end", b"x")
    server.add("/start", b"", 302, Location=f"http://localhost:{port}/end")
    get(f"http://{server.address}/start", tmp_path / "out", headers={"Authorization": "token t"})
    assert server.requests[0][1].get("authorization") == "token t"
    assert "authorization" not in server.requests[1][1]


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (501, 1), (500, 3), (429, 3), (503, 3)])
def test_what_is_tried_again(server: Server, tmp_path: Path, status: int, asked: int) -> None:
    url = server.add("/a", b"", status)
    with pytest.raises(DownloadError) as caught:
        get(url, tmp_path / "out")
    assert caught.value.status == status and server.count("/a") == asked
    assert (caught.value.hint is not None) == (status == 403)


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="unable to download"):
        get("http://127.0.0.1:9/x", tmp_path / "out")


def interrupted(content: bytes, ranges: bool) -> Callable[[dict[str, str]], tuple[int, dict[str, str], bytes]]:
    """Breaks off after 100,000 bytes the first time; afterwards gives the rest, or all again."""
    calls: list[str] = []

    def answer(headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        calls.append(headers.get("range", ""))
        extra = {"ETag": '"1"', "Accept-Ranges": "bytes"} if ranges else {}
        if len(calls) == 1:
            return 200, {**extra, "Content-Length": str(len(content)), "Connection": "close"}, content[:100_000]
        if ranges and headers.get("range"):
            start = int(headers["range"][6:-1])
            assert headers["if-range"] == '"1"' and start > 0
            return 206, {**extra, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}, content[start:]
        return 200, extra, content

    return answer


@pytest.mark.parametrize("ranges", [True, False])
def test_interruptions(server: Server, tmp_path: Path, ranges: bool) -> None:
    content = os.urandom(300_000)
    server.routes["/a"] = interrupted(content, ranges)
    get(f"http://{server.address}/a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content


def test_bounds(server: Server, tmp_path: Path) -> None:
    url = server.add("/a", bytes(1000))
    with pytest.raises(DownloadError, match="larger than 10 bytes"):
        get(url, tmp_path / "out", maximum=10)


def test_passwords_are_not_shown(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        get(f"http://u:secret@{server.address}/none", tmp_path / "out")
    assert "secret" not in str(caught.value)


def test_netrc(server: Server, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login u password p\n")
    (tmp_path / "netrc").chmod(0o600)
    url = server.add("/a", b"x")
    get(url, tmp_path / "out", settings=FetchSettings(netrc_file=str(tmp_path / "netrc")))
    assert server.requests[0][1]["authorization"].startswith("Basic ")


def test_offline_and_other_schemes(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="--offline"):
        get("http://127.0.0.1:9/x", tmp_path / "out", settings=FetchSettings(offline=True))
    with pytest.raises(DownloadError, match="unsupported scheme"):
        get("ftp://127.0.0.1/x", tmp_path / "out")


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    settings = FetchSettings(netrc_file="", ssl_cert_file=str(tmp_path / "none"))
    with pytest.raises(DownloadError, match="certificates"):
        get("http://127.0.0.1:9/x", tmp_path / "out", settings=settings)


def test_proxies(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add("http://example.invalid/a", b"through the proxy")
    get("http://example.invalid/a", tmp_path / "out", proxy=f"http://{server.address}")
    assert (tmp_path / "out").read_bytes() == b"through the proxy"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    get(server.add("/a", b"direct"), tmp_path / "out", proxy="DIRECT")
    assert (tmp_path / "out").read_bytes() == b"direct"


def test_only_files_are_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(DownloadError, match="is not a regular file"):
            get(f"file://{path}", tmp_path / "out")


def test_objects_in_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is signed with the keys of the environment, where there are some; the server checks that."""
    from tests.store.s3_server import serving_bucket

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving_bucket() as (bucket, url):
        bucket.objects["a b/ü+"] = b"here", {}
        place = f"s3://bucket/a%20b/%C3%BC+?endpoint={url}&region=eu-west-1"
        found = get(place, tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == b"here" and bucket.signed == [False]
        assert found.urls[0].startswith(f"{url}/bucket/a%20b/")
        bucket.keys = {"someone": "secret/+%"}
        with pytest.raises(DownloadError, match=r"bucket/a%20b/%C3%BC%2B': HTTP error 403") as failed:
            get(place, tmp_path / "out")
        assert failed.value.hint is not None and "no keys were found" in failed.value.hint
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret/+%")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
        get(place + "&versionId=a/b+c", tmp_path / "out")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(DownloadError, match="HTTP error 403") as failed:
            get(place, tmp_path / "out")
        assert failed.value.hint is not None and "asked as 'someone'" in failed.value.hint
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        with pytest.raises(DownloadError, match="no AWS profile 'nobody'"):
            get(place + "&profile=nobody", tmp_path / "out")
    with pytest.raises(DownloadError, match="--offline forbids it"):
        get(place, tmp_path / "out", settings=SETTINGS.with_(offline=True))
