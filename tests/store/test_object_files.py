"""Caches in buckets, against a small server that speaks as much of the protocol as is needed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.errors import FrazilError
from frazil.store.binary_cache import BinaryCache
from frazil.store.config import LookupSettings, StoreSettings, TransferSettings
from frazil.store.copying import copy_closure
from frazil.store.errors import StoreError, SubstituteGone, TransferFailed
from frazil.store.interface import Store
from frazil.store.local import LocalStore
from frazil.store.opening import open_store

from .conftest import RecordingReporter
from .conftest import open_store as open_local
from .s3_server import Bucket, serving_bucket

pytest.importorskip("obstore", reason="obstore is not installed")


@pytest.fixture
def bucket() -> Iterator[tuple[type[Bucket], str]]:
    with serving_bucket() as made:
        yield made


def opened(tmp_path: Path, url: str, query: str = "", place: str = "bucket", **environment: str) -> Store:
    settings = StoreSettings(
        transfer=TransferSettings(attempts=2, retry_delay=1, stalled_timeout=5),
        lookup=LookupSettings(directory=str(tmp_path / "lookups")),
    )
    address = f"s3://{place}?endpoint={url}{query}"
    return open_store(address, settings, RecordingReporter(), {"HOME": str(tmp_path), **environment})


def test_there_and_back(store: LocalStore, tree: Path, tmp_path: Path, bucket: tuple[type[Bucket], str]) -> None:
    kind, url = bucket
    path = store.add_text("x", b"refers", [store.add_path("tree", str(tree))])
    for place, start in (("bucket", ""), ("bucket/some/place", "some/place/")):
        kind.objects.clear()
        with opened(tmp_path, url, "&compression=zstd&narinfo-compression=gzip", place) as cache:
            copy_closure(store, cache, [path], RecordingReporter(), check_signatures=False)
            assert cache.query_all_valid() == store.closure([path])
            cache.add_build_log(path, b"log")
            assert cache.exact_log(path) == b"log"
        assert kind.objects[f"{start}{path.hash_part}.narinfo"][1]["Content-Encoding"] == "gzip"
        assert kind.objects[f"{start}nix-cache-info"][0] == b"StoreDir: /nix/store\n"
        with (
            opened(tmp_path, url, place=place) as cache,
            open_local(tmp_path / f"back{len(start)}") as back,
        ):
            assert isinstance(cache, BinaryCache) and cache.uri == f"s3://{place}?endpoint={url}"
            copy_closure(cache, back, [path], RecordingReporter(), check_signatures=False)
            assert back.verify(check_contents=True) and back.is_valid(path)
    assert not any(kind.signed)


def test_large_files_go_in_parts(tmp_path: Path, bucket: tuple[type[Bucket], str]) -> None:
    kind, url = bucket
    cache = opened(tmp_path, url, "&multipart-threshold=1000")
    assert isinstance(cache, BinaryCache)
    data = bytes(range(256)) * 50_000
    cache.files.put("nar/big", io.BytesIO(data), len(data), "application/x-nix-nar")
    assert kind.objects["nar/big"][0] == data
    with cache.files.stream("nar/big") as read:
        assert read(1 << 30) and cache.files.exists("nar/big") and not cache.files.exists("nar/small")


def test_what_goes_wrong(tmp_path: Path, bucket: tuple[type[Bucket], str]) -> None:
    kind, url = bucket
    cache = opened(tmp_path, url)
    assert isinstance(cache, BinaryCache)
    with pytest.raises(SubstituteGone, match="does not exist"), cache.files.stream("nar/x"):
        pass
    for bad in ("../x", "/x", "a//b", ""):
        with pytest.raises(StoreError, match="leads out"):
            cache.files.get(bad, 10)
    kind.status = 403
    assert cache.files.get("x", 10) is None and not cache.files.exists("x")
    kind.status = 500
    with pytest.raises(TransferFailed, match="unable to download 's3://bucket/x'"):
        cache.files.get("x", 10)
    for query in ("&addressing-style=odd", "&multipart-chunk-size=1", "&profile=nobody"):
        with pytest.raises(FrazilError):
            opened(tmp_path, url, query)
    with pytest.raises(FrazilError, match="name of a bucket"):
        opened(tmp_path, url, place="")


def test_keys(tmp_path: Path, bucket: tuple[type[Bucket], str]) -> None:
    kind, url = bucket
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[work]\naws_access_key_id = A\naws_secret_access_key = B%C\n")
    for query, environment in (
        ("", {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B%C", "AWS_SESSION_TOKEN": "C"}),
        ("&profile=work&region=eu-central-1", {}),
    ):
        kind.signed.clear()
        kind.objects["x y/ü"] = b"here", {}
        for secret, found in (("B%C", b"here"), ("B", None)):
            kind.keys = {"A": secret}
            cache = opened(tmp_path, url, query, **environment)
            assert isinstance(cache, BinaryCache)
            assert cache.files.get("x y/ü", 10) == found
        assert kind.signed == [True, True]
    assert re.fullmatch(r"s3://bucket\?endpoint=http://127\.0\.0\.1:[0-9]+&profile=work&region=eu-central-1", cache.uri)


def test_buckets_of_one_name_are_not_confused(tmp_path: Path, store: LocalStore) -> None:
    """Answers of one are not remembered as the other's."""
    path = store.add_text("x", b"text")
    with serving_bucket() as (_, one), serving_bucket() as (_, other):
        for url, copied in ((one, 1), (other, 1), (one, 0)):
            with opened(tmp_path, url) as cache:
                assert copy_closure(store, cache, [path], RecordingReporter(), check_signatures=False) == copied
