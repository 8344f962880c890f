"""Buckets of several providers: how they are opened, what is said where it goes wrong, foreign servers."""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.errors import FrazilError
from frazil.store.binary_cache import BinaryCache
from frazil.store.config import LookupSettings, StoreSettings, TransferSettings
from frazil.store.copying import copy_closure
from frazil.store.errors import TransferFailed, UnsupportedStore
from frazil.store.local import LocalStore
from frazil.store.opening import open_store

from . import azure_server
from .conftest import RecordingReporter
from .conftest import open_store as open_local
from .s3_server import serving_bucket

pytest.importorskip("obstore", reason="obstore is not installed")
AZURE = {"AZURE_STORAGE_ACCOUNT_KEY": azure_server.KEY}


def opened(
    folder: Path, address: str, environment: dict[str, str], transfer: TransferSettings | None = None
) -> BinaryCache:
    settings = StoreSettings(
        transfer=transfer or TransferSettings(attempts=1, retry_delay=1, stalled_timeout=5),
        lookup=LookupSettings(directory=str(folder / "lookups")),
    )
    found = open_store(address, settings, RecordingReporter(), {"HOME": str(folder), **environment})
    assert isinstance(found, BinaryCache)
    return found


def test_large_files_go_in_parts(tmp_path: Path) -> None:
    data = bytes(range(256)) * 50_000
    how = "&multipart-threshold=1000&log-compression=gzip&storage-class=COLD"
    with serving_bucket() as (bucket, url):
        for scheme in ("s3", "gs"):
            bucket.objects.clear()
            cache = opened(tmp_path, f"{scheme}://bucket?endpoint={url}{how}", {})
            cache.files.put("nar/big", io.BytesIO(data), len(data), "application/x-nix-nar")
            cache.files.put("log/x", io.BytesIO(b"log"), 3, "text/plain")
            assert bucket.objects["nar/big"][0] == data
            assert bucket.objects["log/x"][1]["Content-Encoding"] == "gzip" and cache.files.get("log/x", 10) == b"log"
    with azure_server.serving_container() as (container, url):
        cache = opened(tmp_path, f"az://container?account={azure_server.ACCOUNT}&endpoint={url}{how}", AZURE)
        cache.files.put("nar/big", io.BytesIO(data), len(data), "application/x-nix-nar")
        assert container.objects["nar/big"][0] == data and not container.blocks
        assert container.objects["nar/big"][1]["content-type"] == "application/x-nix-nar"


def test_who_may_not(tmp_path: Path) -> None:
    with azure_server.serving_container() as (_, url):
        address = f"az://container?account={azure_server.ACCOUNT}&endpoint={url}"
        for environment in ({}, {"AZURE_STORAGE_ACCOUNT_KEY": "d3Jvbmc="}):
            cache = opened(tmp_path, address, environment)
            assert cache.files.get("x", 10) is None and not cache.files.exists("x")
            with pytest.raises(UnsupportedStore, match="does not appear to be a binary cache") as failed:
                cache.open()
            assert failed.value.hint is not None and "permission denied (AuthenticationFailed)" in failed.value.hint
            with pytest.raises(TransferFailed, match=r"unable to list 'az://container': permission denied"):
                list(cache.files.names(".narinfo"))
    with serving_bucket({"someone": "secret"}) as (_, url):
        for scheme in ("s3", "gs"):
            with pytest.raises(UnsupportedStore, match="does not appear") as failed:
                opened(tmp_path, f"{scheme}://bucket?endpoint={url}", {}).open()
            assert failed.value.hint is not None and "(SignatureDoesNotMatch)" in failed.value.hint


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("gs://", "name of a bucket"),
        ("az://?account=x", "name of a container"),
        ("az://container", "name of a storage account"),
        ("az://container?account=x&endpoint=ftp://x", "is no URL of a server"),
        ("gs://bucket?endpoint=x", "is no URL of a server"),
        ("gs://bucket?service-account=/no/such/file", "cannot open the bucket 'bucket'"),
        ("gs://bucket?service-account=file", "must be an absolute path"),
        ("s3://bucket?multipart-chunk-size=5368709121", "at most 5368709120 bytes"),
        ("s3://bucket?buffer-size=1", "at least 5242880 bytes"),
    ],
)
def test_bad_addresses(tmp_path: Path, address: str, message: str) -> None:
    with pytest.raises(FrazilError, match=message):
        opened(tmp_path, address, {})


def test_a_missing_library_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    for address in ("s3://b", "gs://b", "az://c?account=x"):
        with pytest.raises(UnsupportedStore, match="not installed"):
            opened(tmp_path, address, {})


def test_reasons(tmp_path: Path) -> None:
    """What people are told is the cause, not the library's account of its layers."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        for scheme, reason in (("http", "Connection refused"), ("https", "Connection refused")):
            cache = opened(tmp_path, f"s3://b?endpoint={scheme}://127.0.0.1:{port}", {})
            with pytest.raises(TransferFailed, match=f"unable to download 's3://b/x': {reason}$"):
                cache.files.get("x", 10)
        nobody.listen(5)
        transfer = TransferSettings(attempts=1, stalled_timeout=1)
        cache = opened(tmp_path, f"s3://b?endpoint=http://127.0.0.1:{port}", {}, transfer)
        with pytest.raises(TransferFailed, match="the server did not answer in time"):
            cache.files.get("x", 10)
    with serving_bucket() as (bucket, url):
        cache = opened(tmp_path, f"s3://bucket?endpoint={url.replace('http:', 'https:')}", {})
        with pytest.raises(TransferFailed, match="the server does not speak TLS"):
            cache.files.get("x", 10)
        bucket.status = 500
        with pytest.raises(TransferFailed, match=r"HTTP error 500$"):
            opened(tmp_path, f"s3://bucket?endpoint={url}", {}).files.get("x", 10)


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FrazilError, match="cannot read certificates from '/no/such/file'"):
        opened(tmp_path, "s3://b", {}, TransferSettings(ssl_cert_file="/no/such/file"))


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("there is no moto_server (pip install 'moto[server]')")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(tmp_path / "moto.log", "wb") as log:
        server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(urllib.request.Request(f"{url}/cache", method="PUT", data=b"")).close()
                break
            except (ConnectionError, urllib.error.URLError):
                assert server.poll() is None
                time.sleep(0.1)
        yield url
    finally:
        server.kill()
        server.wait()


def test_a_foreign_server(moto: str, store: LocalStore, tree: Path, tmp_path: Path) -> None:
    """Amazon's protocol as others have written it: there and back, in one piece and in parts, listings, no bucket."""
    path = store.add_text("x", b"refers", [store.add_path("tree", str(tree))])
    large = store.add_bytes("large", bytes(range(256)) * 50_000)
    keys = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret/+%"}
    address = f"s3://cache/a%20b/ü?endpoint={moto}&compression=none&multipart-threshold=5242880&narinfo-compression=br"
    with opened(tmp_path, address, keys) as cache:
        copy_closure(store, cache, [path, large], RecordingReporter(), check_signatures=False)
        assert cache.query_all_valid() == store.closure([path, large])
    with opened(tmp_path / "other", address, keys) as cache, open_local(tmp_path / "back") as back:
        copy_closure(cache, back, [path, large], RecordingReporter(), check_signatures=False)
        assert back.verify(check_contents=True) and back.is_valid(path) and back.is_valid(large)
    with pytest.raises(UnsupportedStore, match="does not appear") as failed:
        opened(tmp_path, f"s3://nothing?endpoint={moto}", keys).open()
    assert failed.value.hint is not None and "there is no such bucket" in failed.value.hint
