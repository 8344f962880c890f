"""Credentials: which file, which entry, helpers, damage."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from frazil.image.auth import find_credentials
from frazil.image.errors import ImageError


def entry(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_the_most_particular_entry_counts(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    write(path, {"auths": {"r.example": entry("all", "1"), "r.example/team": entry("team", "a:b")}})
    environment = {"REGISTRY_AUTH_FILE": str(path)}
    found = find_credentials("r.example", "team/app", environment)
    assert found is not None and (found.user, found.password) == ("team", "a:b")
    assert "a:b" not in repr(found)
    other = find_credentials("r.example", "else/app", environment)
    assert other is not None and other.user == "all"
    assert find_credentials("other.example", "x", environment) is None


def test_places(tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    assert find_credentials("r", "a", environment) is None
    write(tmp_path / ".docker/config.json", {"auths": {"https://index.docker.io/v1/": entry("hub", "1")}})
    found = find_credentials("registry-1.docker.io", "a", environment)
    assert found is not None and found.user == "hub"
    write(tmp_path / "run/containers/auth.json", {"auths": {"docker.io": entry("first", "1")}})
    found = find_credentials("registry-1.docker.io", "a", environment)
    assert found is not None and found.user == "first"


def helper(folder: Path, text: str) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    program = folder / "docker-credential-own"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    path = folder / "auth.json"
    write(path, {"credHelpers": {"r.example": "own"}, "credsStore": ""})
    return {"REGISTRY_AUTH_FILE": str(path), "PATH": f"{folder}:/usr/bin:/bin"}


def test_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = helper(tmp_path / "one", 'read server; echo "{\\"Username\\": \\"$server\\", \\"Secret\\": \\"s\\"}"')
    monkeypatch.setenv("PATH", environment["PATH"])
    found = find_credentials("r.example", "a", environment)
    assert found is not None and (found.user, found.password) == ("r.example", "s")
    environment = helper(tmp_path / "one", 'echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"t\\"}"')
    found = find_credentials("r.example", "a", environment)
    assert found is not None and found.token == "t"
    environment = helper(tmp_path / "one", "echo credentials not found in native keychain; exit 1")
    assert find_credentials("r.example", "a", environment) is None
    environment = helper(tmp_path / "one", "echo broken >&2; exit 1")
    with pytest.raises(ImageError, match="broken"):
        find_credentials("r.example", "a", environment)
    environment = helper(tmp_path / "one", "echo nonsense")
    with pytest.raises(ImageError, match="something else"):
        find_credentials("r.example", "a", environment)


@pytest.mark.parametrize(
    "value", ["{", '{"auths": {"r": {"auth": "!"}}}', '{"auths": {"r": {"auth": "bm9jb2xvbg=="}}}']
)
def test_damage(tmp_path: Path, value: str) -> None:
    path = tmp_path / "auth.json"
    path.write_text(value)
    with pytest.raises(ImageError):
        find_credentials("r", "a", {"REGISTRY_AUTH_FILE": str(path)})


@pytest.mark.parametrize("value", ["[]", '{"auths": 3}', '{"credHelpers": {"r": 4}}'])
def test_what_is_not_understood_is_passed_over(tmp_path: Path, value: str) -> None:
    path = tmp_path / "auth.json"
    path.write_text(value)
    assert find_credentials("r", "a", {"REGISTRY_AUTH_FILE": str(path)}) is None


def test_a_missing_helper(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    write(path, {"credsStore": "no-such-thing"})
    with pytest.raises(ImageError, match="is not there"):
        find_credentials("r", "a", {"REGISTRY_AUTH_FILE": str(path), "PATH": str(tmp_path)})
