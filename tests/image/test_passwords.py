"""Registries that ask who one is: Debian's docker-registry with passwords, and with tokens of a server of our own."""

from __future__ import annotations

import base64
import datetime
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from tests.cli.conftest import Result, Run, run  # noqa: F401
from tests.image.conftest import FakeRegistry, served
from tests.image.test_commands import add, need, real_registry

from frazil.image.reference import ImageName
from frazil.image.registry import Registry

USER, PASSWORD = "ada", "count:ess/1"


@pytest.fixture
def with_passwords(tmp_path: Path) -> Iterator[str]:
    need("htpasswd")
    (tmp_path / "users").write_text(subprocess.check_output(["htpasswd", "-Bbn", USER, PASSWORD], text=True))
    with real_registry(tmp_path, f"auth: {{htpasswd: {{realm: here, path: {tmp_path}/users}}}}\n") as host:
        yield host


class TokenServer(ThreadingHTTPServer):
    """Gives tokens to who knows the password, or has the identity token."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Tokens)
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder(name, name, self.key.public_key(), 1, now, now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(True, None), True)
            .sign(self.key, hashes.SHA256())
        )
        (folder / "roots.pem").write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.asked: list[tuple[str, list[str]]] = []

    def token(self, scopes: list[str]) -> str:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        claims = {
            "iss": "tokens",
            "sub": USER,
            "aud": "images",
            "exp": now + 300,
            "nbf": now - 10,
            "iat": now,
            "jti": "1",
        }
        text = b".".join(_url64(json.dumps(part).encode()) for part in (head, {**claims, "access": access}))
        return (text + b"." + _url64(self.key.sign(text, padding.PKCS1v15(), hashes.SHA256()))).decode()


def _url64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class _Tokens(BaseHTTPRequestHandler):
    server: TokenServer

    def log_message(self, format: str, *args: object) -> None: ...

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        good = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self._answer("GET", self.headers.get("Authorization") == good, query.get("scope", []))

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        good = form.get("refresh_token") == ["identity"] and form.get("grant_type") == ["refresh_token"]
        self._answer("POST", good, form.get("scope", [""])[0].split())

    def _answer(self, method: str, good: bool, scopes: list[str]) -> None:
        self.server.asked.append((method, scopes))
        key = "token" if method == "GET" else "access_token"
        error = {"errors": [{"code": "UNAUTHORIZED", "message": "no such user or password"}]}
        body = json.dumps({key: self.server.token(scopes)} if good else error).encode()
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    server = TokenServer(tmp_path)
    with served(server):
        yield server


@pytest.fixture
def with_tokens(tmp_path: Path, tokens: TokenServer) -> Iterator[str]:
    realm = f"http://127.0.0.1:{tokens.server_address[1]}/token"
    auth = f"{{realm: '{realm}', service: images, issuer: tokens, rootcertbundle: {tmp_path}/roots.pem}}"
    with real_registry(tmp_path, f"auth: {{token: {auth}}}\n") as host:
        yield host


def write_auth(path: Path, host: str, **entry: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"auths": {host: entry}}))


def basic(password: str) -> str:
    return base64.b64encode(f"{USER}:{password}".encode()).decode()


def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: Any) -> None:
    (tmp_path / "auth.json").write_text(json.dumps(content))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))


def nothing_there(tmp_path: Path) -> bool:
    return not list((tmp_path / "registry").glob("**/_manifests"))


def refused(done: Result, *words: str) -> None:
    assert done.status == 1 and PASSWORD not in done.err, done.err
    for word in words:
        assert word in done.err, done.err


def test_passwords(run: Run, tmp_path: Path, with_passwords: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    path, name = add(run, tmp_path / "greet-1.0"), f"{with_passwords}/team/greet:1"
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    refused(run("frazil", "image", "push", path, name), "401", "without credentials", f"podman login {with_passwords}")
    use(monkeypatch, tmp_path, {"auths": {with_passwords: {"auth": basic("wrong")}}})
    refused(run("frazil", "image", "push", path, name), "401", f"as '{USER}'", "podman login")
    refused(run("frazil", "image", "pull", name, "oci:x"), "401", f"as '{USER}'")
    assert nothing_there(tmp_path)
    use(monkeypatch, tmp_path, {"auths": {with_passwords: {"auth": basic(PASSWORD)}}})
    done = run("frazil", "image", "push", path, name)
    assert done.status == 0 and "2 layers sent" in done.err, done.err
    assert "2 mounted" in run("frazil", "image", "push", path, f"{with_passwords}/other:1").err
    assert run("frazil", "image", "pull", name, "oci:pulled").out == done.out


def test_where_passwords_come_from(
    run: Run,  # noqa: F811
    tmp_path: Path,
    with_passwords: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = add(run, tmp_path / "greet-1.0")
    # Docker's file, and a helper for this registry, and one for all.
    config = tmp_path / "home/.docker/config.json"
    write_auth(config, with_passwords, auth=basic(PASSWORD))
    assert run("frazil", "image", "push", path, f"{with_passwords}/a:1").status == 0
    helper = tmp_path / "helpers/docker-credential-own"
    helper.parent.mkdir()
    helper.write_text(
        f'#!/bin/sh\nread server; test "$server" = {with_passwords} || exit 1\n'
        f'echo "{{\\"Username\\": \\"{USER}\\", \\"Secret\\": \\"{PASSWORD}\\"}}"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    for number, content in enumerate(({"credHelpers": {with_passwords: "own"}}, {"credsStore": "own"})):
        config.write_text(json.dumps(content))
        done = run("frazil", "image", "push", path, f"{with_passwords}/helped{number}:1")
        assert done.status == 0, done.err


@pytest.mark.parametrize("program", ["podman", "skopeo"])
def test_who_logged_in_with_another_program(
    run: Run,  # noqa: F811
    tmp_path: Path,
    with_passwords: str,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
) -> None:
    need(program)
    path = add(run, tmp_path / "greet-1.0")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "written.json"))
    login = [
        shutil.which(program) or program,
        "login",
        "--tls-verify=false",
        "-u",
        USER,
        "--password-stdin",
        with_passwords,
    ]
    done = subprocess.run(login, input=PASSWORD, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert run("frazil", "image", "push", path, f"{with_passwords}/a:1").status == 0


def test_tokens(
    run: Run,  # noqa: F811
    tmp_path: Path,
    with_tokens: str,
    tokens: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path, name = add(run, tmp_path / "greet-1.0"), f"{with_tokens}/team/greet:1"
    refused(run("frazil", "image", "push", path, name), "give a token", "no such user or password", "podman login")
    use(monkeypatch, tmp_path, {"auths": {with_tokens: {"auth": basic("wrong")}}})
    refused(run("frazil", "image", "push", path, name), "no such user or password", f"as '{USER}'")
    assert nothing_there(tmp_path)
    use(monkeypatch, tmp_path, {"auths": {with_tokens: {"auth": basic(PASSWORD)}}})
    tokens.asked.clear()
    done = run("frazil", "image", "push", path, name)
    assert done.status == 0 and "2 layers sent" in done.err, done.err
    assert {("GET", ("repository:team/greet:pull,push",))} == {(verb, tuple(scopes)) for verb, scopes in tokens.asked}
    tokens.asked.clear()
    assert "2 mounted" in run("frazil", "image", "push", path, f"{with_tokens}/other:1").err
    assert ("GET", ["repository:other:pull,push", "repository:team/greet:pull"]) in tokens.asked
    tokens.asked.clear()
    assert run("frazil", "image", "pull", name, "oci:pulled").out == done.out
    assert ("GET", ["repository:team/greet:pull"]) in tokens.asked


def test_identity_tokens(
    run: Run,  # noqa: F811
    tmp_path: Path,
    with_tokens: str,
    tokens: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = add(run, tmp_path / "greet-1.0")
    use(monkeypatch, tmp_path, {"auths": {with_tokens: {"identitytoken": "identity"}}})
    done = run("frazil", "image", "push", path, f"{with_tokens}/a:1")
    assert done.status == 0, done.err
    assert {verb for verb, _ in tokens.asked} == {"POST"}
    use(monkeypatch, tmp_path, {"auths": {with_tokens: {"identitytoken": "stale"}}})
    refused(run("frazil", "image", "push", path, f"{with_tokens}/b:1"), "no such user or password")


def test_other_servers_are_not_told_who_we_are(
    tmp_path: Path, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor asked whom to tell: a registry may lead anywhere."""
    fake.token = "t"
    with served(FakeRegistry()) as other, Registry(ImageName.parse(f"{fake.host}/a:1"), push=True) as registry:
        use(monkeypatch, tmp_path, {"auths": {host: {"auth": basic(PASSWORD)} for host in (fake.host, other.host)}})
        other.token = "t"
        assert not registry.has_blob("sha256:" + "0" * 64)
        assert any("/token" in line for line in fake.log)
        with registry._send("GET", f"http://{other.host}/v2/a/blobs/x") as response:
            assert response.status == 401
        assert other.log == ["GET /v2/a/blobs/x"]
    with Registry(ImageName.parse("registry.example/a:1")) as registry:
        assert registry._is_own("https://registry.example/v2/x")
        assert not registry._is_own("http://registry.example/v2/x")
