"""Addresses `s3://BUCKET/KEY?PARAMETERS`: the URL that is meant, the keys to ask with, the signature of a request.

In: addresses, the environment, the files of Amazon's programs. Out: URLs and headers. Source of truth: the manual's
`store/types/s3-binary-cache-store`; Amazon's "Signature Version 4 signing process" and "Shared config and credentials
files".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from frazil.errors import UsageError
from frazil.record import Record
from frazil.store.address import Parameters, StoreReference
from frazil.store.errors import StoreError

if TYPE_CHECKING:
    from datetime import datetime

WHERE = ("addressing-style", "endpoint", "profile", "region", "scheme")
"""Parameters that are a part of a bucket's address."""
_REGION = "us-east-1"
_UNRESERVED = "-_.~"
_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")
_UNSIGNED = "UNSIGNED-PAYLOAD"
_MAXIMUM_FILE = 1 << 20


class Keys(Record):
    """What requests are signed with."""

    access: str
    secret: str
    token: str = ""


class S3Address(Record):
    """`base`: the URL to which a slash and the name of an object are added; `key`: what follows the bucket in the
    address; `profile`: empty where none is named; `warnings`: what the user should hear of the address."""

    bucket: str
    key: str
    region: str
    base: str
    profile: str = ""
    version: str = ""
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> S3Address:
        """Of one object. Raises UsageError."""
        reference = StoreReference.parse(text)
        found = cls.read(reference, Parameters(reference.parameters))
        if not found.key:
            raise UsageError(f"'{text}' names no object in its bucket", hint="say s3://BUCKET/KEY")
        return found

    @classmethod
    def read(cls, reference: StoreReference, parameters: Parameters) -> S3Address:
        """Raises UsageError."""
        bucket, _, key = reference.authority.partition("/")
        if not bucket or bucket.strip(".") != bucket or not _NAME.issuperset(bucket):
            raise UsageError("an s3 store address needs the name of a bucket", hint="say s3://BUCKET")
        region = parameters.text("region") or _REGION
        if not all(c.isascii() and (c.isalnum() or c in "-_") for c in region):
            raise UsageError(f"'{region}' is no region")
        warnings: list[str] = []
        base = _base(bucket, region, parameters, warnings)
        from frazil.store.address import unquote

        profile, version = parameters.text("profile"), parameters.text("versionId")
        return cls(bucket, unquote(key).strip("/"), region, base, profile, version, tuple(warnings))

    @property
    def url(self) -> str:
        """Of the object."""
        query = f"?versionId={quote(self.version, safe=_UNRESERVED)}" if self.version else ""
        return f"{self.base}/{quote(self.key, safe='/' + _UNRESERVED)}{query}"


def _base(bucket: str, region: str, parameters: Parameters, warnings: list[str]) -> str:
    endpoint, scheme = parameters.text("endpoint"), parameters.text("scheme")
    style = parameters.text("addressing-style", "auto")
    if style not in ("auto", "path", "virtual"):
        raise UsageError(f"unknown S3 addressing style '{style}', expected 'auto', 'path', or 'virtual'")
    if scheme and scheme not in ("http", "https"):
        raise UsageError(f"the S3 'scheme' must be 'http' or 'https', but is '{scheme}'")
    if scheme:
        warnings.append(
            "the S3 'scheme' parameter is deprecated; "
            f"specify the scheme in the 'endpoint' URL instead, e.g. 'endpoint={scheme}://...'"
        )
    virtual = style == "virtual" or (style == "auto" and not endpoint)
    if virtual and "." in bucket:
        if style == "virtual":
            raise UsageError(
                f"bucket name '{bucket}' contains a dot, which is incompatible with virtual-hosted-style addressing "
                "(causes TLS certificate errors); use 'addressing-style=path' or 'addressing-style=auto' instead"
            )
        virtual = False
        warnings.append(
            f"bucket name '{bucket}' contains a dot; falling back to path-style addressing (virtual-hosted-style "
            "requires non-dotted bucket names for TLS certificate validity); set 'addressing-style=path' to silence "
            "this warning"
        )
    if endpoint and "://" not in endpoint:
        warnings.append(
            f"the S3 'endpoint' value '{endpoint}' does not specify a scheme; "
            f"this form is deprecated, use a full URL such as 'https://{endpoint}' instead"
        )
        endpoint = f"{scheme or 'https'}://{endpoint}"
    return _placed(endpoint or f"{scheme or 'https'}://s3.{region}.amazonaws.com", bucket, virtual)


def _placed(endpoint: str, bucket: str, virtual: bool) -> str:
    """The bucket before the name of the server, or after its path."""
    parts = urlsplit(endpoint)
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the S3 'endpoint' '{endpoint}' is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or not parts.netloc.isascii():
        raise UsageError(f"the S3 'endpoint' '{endpoint}' is no URL of a server", hint="say https://HOST[:PORT]")
    host = f"[{host}]" if ":" in host else host
    server = host if port in (None, 443 if parts.scheme == "https" else 80) else f"{host}:{port}"
    path = quote(parts.path.rstrip("/"), safe="/%" + _UNRESERVED)
    if virtual:
        return f"{parts.scheme}://{bucket}.{server}{path}"
    return f"{parts.scheme}://{server}{path}/{quote(bucket, safe=_UNRESERVED)}"


# ----------------------------------------------------------------------------------------------------------- the keys


def find_keys(profile: str, environment: Mapping[str, str]) -> Keys | None:
    """From the environment, else of a profile. None where there are none. Raises StoreError for a profile that was
    named and has none."""
    if environment.get("AWS_ACCESS_KEY_ID"):
        secret = environment.get("AWS_SECRET_ACCESS_KEY", "")
        return Keys(environment["AWS_ACCESS_KEY_ID"], secret, environment.get("AWS_SESSION_TOKEN", ""))
    name = profile or environment.get("AWS_PROFILE") or "default"
    home = environment.get("HOME") or os.path.expanduser("~")
    credentials = environment.get("AWS_SHARED_CREDENTIALS_FILE") or f"{home}/.aws/credentials"
    config = environment.get("AWS_CONFIG_FILE") or f"{home}/.aws/config"
    keys = _section_keys(_sections(credentials), name)
    if keys is None:
        sections = _sections(config)
        section = name if name == "default" else f"profile {name}"
        keys = _section_keys(sections, section)
        if keys is None and sections is not None and sections.has_section(section):
            keys = _library_keys(name)
    if keys is None and name != "default":
        raise StoreError(
            f"there is no AWS profile '{name}' with keys in the credentials file",
            hint=f"looked into '{credentials}' and '{config}'"
            + ("" if _has_library() else "; profiles with roles and single sign-on need `pip install botocore`"),
        )
    return keys


def _sections(file: str) -> Any:
    """None where there is no such file."""
    import configparser

    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        with open(file, encoding="utf-8") as opened:
            parser.read_string(opened.read(_MAXIMUM_FILE))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read the AWS credentials file '{file}': {error}") from error
    return parser


def _section_keys(sections: Any, name: str) -> Keys | None:
    if sections is None or not sections.has_section(name) or not sections.has_option(name, "aws_access_key_id"):
        return None
    access, secret, token = (
        sections.get(name, option, fallback="")
        for option in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    )
    return Keys(access, secret, token)


def _has_library() -> bool:
    import importlib.util

    return importlib.util.find_spec("botocore") is not None


def _library_keys(profile: str) -> Keys | None:
    """Of a profile with a role, single sign-on or a program that gives keys: Amazon's own library knows these."""
    if not _has_library():
        return None
    import botocore.exceptions
    import botocore.session

    try:
        found = botocore.session.Session(profile=profile).get_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except botocore.exceptions.BotoCoreError as error:
        raise StoreError(f"cannot get keys for the AWS profile '{profile}': {error}") from error
    if frozen is None or not frozen.access_key:
        return None
    return Keys(frozen.access_key, frozen.secret_key or "", frozen.token or "")


# ------------------------------------------------------------------------------------------------------ the signature


def signed(method: str, url: str, region: str, keys: Keys, now: datetime | None = None) -> dict[str, str]:
    """Headers of a request without a body. Others may be added."""
    import hashlib
    import hmac
    from datetime import datetime

    moment = now or datetime.now(UTC)
    parts = urlsplit(url)
    headers = {
        "host": parts.netloc,
        "x-amz-content-sha256": _UNSIGNED,
        "x-amz-date": moment.strftime("%Y%m%dT%H%M%SZ"),
    }
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    pairs = sorted(
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED)) for name, value in parse_qsl(parts.query, True)
    )
    request = [method, parts.path or "/", "&".join(f"{name}={value}" for name, value in pairs)]
    request += [f"{name}:{headers[name].strip()}" for name in sorted(headers)]
    request += ["", names, _UNSIGNED]
    scope = [moment.strftime("%Y%m%d"), region, "s3", "aws4_request"]
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], "/".join(scope), digest])
    key = f"AWS4{keys.secret}".encode()
    for step in [*scope, text]:
        key = hmac.new(key, step.encode(), "sha256").digest()
    credential = f"{keys.access}/{'/'.join(scope)}"
    del headers["host"]
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    return headers
