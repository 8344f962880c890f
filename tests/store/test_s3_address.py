"""Addresses of buckets, keys, signatures."""

from __future__ import annotations

import sys
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.errors import FrazilError, UsageError
from frazil.store.s3_address import Keys, S3Address, find_keys, signed


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("s3://b/k", "https://b.s3.us-east-1.amazonaws.com/k"),
        ("s3://b/k?region=eu-west-2", "https://b.s3.eu-west-2.amazonaws.com/k"),
        ("s3://b/k?addressing-style=path", "https://s3.us-east-1.amazonaws.com/b/k"),
        ("s3://b.c/k", "https://s3.us-east-1.amazonaws.com/b.c/k"),
        ("s3://b/k?scheme=http", "http://b.s3.us-east-1.amazonaws.com/k"),
        ("s3://b/k?endpoint=http://host:9000", "http://host:9000/b/k"),
        ("s3://b/k?endpoint=host:9000&scheme=http", "http://host:9000/b/k"),
        ("s3://b/k?endpoint=host", "https://host/b/k"),
        ("s3://b/k?endpoint=https://host:443/some/where/", "https://host/some/where/b/k"),
        ("s3://b/k?endpoint=http://[::1]:9000", "http://[::1]:9000/b/k"),
        ("s3://b/k?endpoint=http://host:9000&addressing-style=virtual", "http://b.host:9000/k"),
        ("s3://b/k?endpoint=http%3A%2F%2Fhost%3A9000", "http://host:9000/b/k"),
        (
            "s3://b/a/k%20x/%C3%BC+?versionId=a/b",
            "https://b.s3.us-east-1.amazonaws.com/a/k%20x/%C3%BC%2B?versionId=a%2Fb",
        ),
    ],
)
def test_urls(address: str, url: str) -> None:
    assert S3Address.parse(address).url == url


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://", "name of a bucket"),
        ("s3:///k", "name of a bucket"),
        ("s3://user@b/k", "name of a bucket"),
        ("s3://b:80/k", "name of a bucket"),
        ("s3://\u00fc/k", "name of a bucket"),
        ("s3://b", "names no object"),
        ("s3://b/", "names no object"),
        ("s3://b/k?addressing-style=odd", "unknown S3 addressing style 'odd'"),
        ("s3://b.c/k?addressing-style=virtual", "bucket name 'b.c' contains a dot"),
        ("s3://b/k?scheme=ftp", "must be 'http' or 'https'"),
        ("s3://b/k?endpoint=ftp://x", "no URL of a server"),
        ("s3://b/k?endpoint=http://", "no URL of a server"),
        ("s3://b/k?endpoint=http://u:p@x", "no URL of a server"),
        ("s3://b/k?endpoint=http://x:99999", "is no URL"),
        ("s3://b/k?region=a/b", "is no region"),
    ],
)
def test_bad_addresses(address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        S3Address.parse(address)


def test_warnings() -> None:
    def said(address: str) -> list[str]:
        return [text.split(";")[0] for text in S3Address.parse(address).warnings]

    assert said("s3://b/k?endpoint=http://x") == said("s3://b.c/k?addressing-style=path") == []
    assert said("s3://b.c/k") == ["bucket name 'b.c' contains a dot"]
    assert said("s3://b/k?scheme=http&endpoint=x") == [
        "the S3 'scheme' parameter is deprecated",
        "the S3 'endpoint' value 'x' does not specify a scheme",
    ]


def test_where_keys_come_from(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    assert find_keys("", home) is None
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(
        "[default]\naws_access_key_id = D\naws_secret_access_key = d%d\n"
        "[work]\naws_access_key_id=W\naws_secret_access_key=w\naws_session_token=t\n"
    )
    (tmp_path / ".aws" / "config").write_text(
        "[profile other]\naws_access_key_id=O\naws_secret_access_key=o\n[profile role]\nrole_arn=x\n"
    )
    assert find_keys("", home) == find_keys("default", home) == Keys("D", "d%d")
    assert find_keys("work", home) == find_keys("", home | {"AWS_PROFILE": "work"}) == Keys("W", "w", "t")
    assert find_keys("other", home) == Keys("O", "o")
    given = {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "e"}
    assert find_keys("work", home | given) == Keys("E", "e")  # as Amazon's own programs have it
    elsewhere = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / ".aws" / "config"), "HOME": "/var/empty"}
    with pytest.raises(FrazilError, match="no AWS profile 'other'"):
        find_keys("other", elsewhere)
    (tmp_path / ".aws" / "credentials").write_text("rubbish")
    with pytest.raises(FrazilError, match="cannot read the AWS credentials file"):
        find_keys("work", home)


def test_profiles_with_roles_are_left_to_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile role]\nrole_arn = x\n")

    class Session:
        def __init__(self, profile: str) -> None:
            self.profile = profile

        def get_credentials(self) -> Session:
            return self

        def get_frozen_credentials(self) -> types.SimpleNamespace:
            if self.profile != "role":
                raise Trouble("no")
            return types.SimpleNamespace(access_key="L", secret_key="l", token=None)

    class Trouble(Exception):
        pass

    for name, contents in (
        ("botocore", {}),
        ("botocore.session", {"Session": Session}),
        ("botocore.exceptions", {"BotoCoreError": Trouble}),
    ):
        module = types.ModuleType(name)
        module.__dict__.update(contents)
        module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys.modules["botocore"], "session", sys.modules["botocore.session"], raising=False)
    monkeypatch.setattr(sys.modules["botocore"], "exceptions", sys.modules["botocore.exceptions"], raising=False)
    home = {"HOME": str(tmp_path)}
    assert find_keys("role", home) == Keys("L", "l")
    (tmp_path / ".aws" / "config").write_text("[profile broken]\nrole_arn = x\n")
    with pytest.raises(FrazilError, match="cannot get keys for the AWS profile 'broken': no"):
        find_keys("broken", home)


def test_a_signature() -> None:
    """Its form; servers that check it are asked in `test_object_files` and `test_fetch_download`."""
    keys = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    moment = datetime(2013, 5, 24, tzinfo=UTC)
    found = signed("GET", "https://examplebucket.s3.amazonaws.com/test.txt", "us-east-1", keys, moment)
    assert found["x-amz-date"] == "20130524T000000Z"
    assert found["Authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="
    )
    again = signed("GET", "https://examplebucket.s3.amazonaws.com/test.txt", "us-east-1", keys.with_(token="t"), moment)
    assert again["x-amz-security-token"] == "t" and again["Authorization"] != found["Authorization"]


@given(st.text(min_size=1, max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        found = S3Address.parse("s3://" + text)
    except FrazilError:
        return
    assert found.url.isascii() and found.url.startswith("http") and " " not in found.url
