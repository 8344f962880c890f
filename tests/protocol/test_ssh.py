"""SSH addresses, command lines, and a stand-in for `ssh`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frazil.errors import UsageError
from frazil.protocol.errors import ProtocolError
from frazil.protocol.ssh import Authority, Options, Ssh, end


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("host", "host", None, None),
        ("me@host:22", "host", "me", 22),
        ("[::1]:2222", "::1", None, 2222),
        ("me@fe80::1", "fe80::1", "me", None),
        ("a%40b@host/", "host", "a@b", None),
    ],
)
def test_authorities(text: str, host: str, user: str | None, port: int | None) -> None:
    assert Authority.parse(text) == Authority(host, user, port)


@pytest.mark.parametrize(
    "text", ["", "@host", "-oProxyCommand=x", "-x@host", "me@-host", "host:x", "host:99999", "[::1", "a b", "h%0Aost"]
)
def test_authorities_that_ssh_would_misread(text: str) -> None:
    with pytest.raises(UsageError, match="invalid SSH authority"):
        Authority.parse(text)


def test_localhost_runs_here() -> None:
    child = Ssh(Authority("localhost"), Options()).start(["echo", "hello"])
    assert child.stdout is not None and child.stdout.read() == b"hello\n"
    end(child)
    assert not Authority("localhost", "me").is_fake


def fake_ssh(folder: Path, code: str) -> Options:
    program = folder / "ssh"
    program.write_text(f"#!/bin/sh\n{code}\n")
    program.chmod(0o755)
    return Options(environment={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "NIX_SSHOPTS": "-F '/a b'"})


def test_the_command_line_of_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = fake_ssh(tmp_path, f'echo started; for a; do echo "$a"; done > {tmp_path}/args; cat')
    monkeypatch.setenv("PATH", options.environment["PATH"])
    from dataclasses import replace

    options = replace(options, key="/key", compress=True, host_key="c3NoLXJzYSBBQQ==")
    ssh = Ssh(Authority("host", "me", 2022), options)
    child = ssh.start(["nix-store", "--serve"])
    end(child)
    words = (tmp_path / "args").read_text().splitlines()
    assert words[:5] == ["me@host", "-x", "-F", "/a b", "-i"]
    assert "-C" in words and "-p2022" in words
    assert words[-3:] == ["--", "nix-store", "--serve"]
    ssh.close()


def test_a_connection_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = fake_ssh(tmp_path, "echo 'Permission denied' >&2; exit 255")
    monkeypatch.setenv("PATH", options.environment["PATH"])
    with pytest.raises(ProtocolError, match="failed to start SSH connection to 'host'"):
        Ssh(Authority("host"), options).start(["x"])


def test_options_that_are_no_words() -> None:
    with pytest.raises(UsageError, match="NIX_SSHOPTS"):
        Ssh(Authority("host"), Options(environment={"NIX_SSHOPTS": "'"})).start(["x"])


def test_a_program_that_does_not_end() -> None:
    child = Ssh(Authority("localhost"), Options()).start(["sh", "-c", "trap '' TERM; sleep 60 & wait; sleep 60"])
    end(child, 0.2)
    assert child.returncode is not None
