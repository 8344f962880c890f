"""Store addresses and environment variables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frazil.errors import FrazilBug, FrazilError, UsageError
from frazil.store.config import StoreConfig
from frazil.store.errors import StoreError, UnsupportedStore
from frazil.store.local import LocalStore


def config(uri: str, **environment: str) -> StoreConfig:
    return StoreConfig.from_uri(uri, environment)


def test_local_is_at_its_logical_place() -> None:
    found = config("local")
    assert (found.store_dir, found.real_store_dir) == ("/nix/store", "/nix/store")
    assert (found.state_dir, found.log_dir, found.root) == ("/nix/var/nix", "/nix/var/log/nix", None)
    assert found.is_at_logical_place


def test_environment() -> None:
    found = config("local", NIX_STORE_DIR="/s//store/", NIX_STATE_DIR="/s/var", NIX_LOG_DIR="/s/log")
    assert (found.store_dir, found.real_store_dir, found.state_dir, found.log_dir) == (
        "/s/store",
        "/s/store",
        "/s/var",
        "/s/log",
    )
    assert config("local", NIX_STORE="/t/store").store_dir == "/t/store"
    assert config("auto", NIX_STORE_DIR="/none/store", NIX_STATE_DIR="/none/var").real_store_dir == "/none/store"


@pytest.mark.parametrize("uri", ["local?root=/r", "local://?root=/r", "/r", "local:///r", "local?root=/x/../r/"])
def test_roots(uri: str) -> None:
    found = config(uri, NIX_STATE_DIR="/elsewhere")
    assert found.root == "/r"
    assert (found.store_dir, found.real_store_dir) == ("/nix/store", "/r/nix/store")
    assert (found.state_dir, found.log_dir) == ("/r/nix/var/nix", "/r/nix/var/log/nix")
    assert not found.is_at_logical_place


def test_parameters() -> None:
    found = config("local?root=/r&state=/s&log=/l&real=/x%20y&store=/logical&read-only=true&priority=3&colour=red")
    assert (found.state_dir, found.log_dir, found.real_store_dir) == ("/s", "/l", "/x y")
    assert (found.store_dir, found.read_only) == ("/logical", True)
    assert found.parameters == {"read-only": "true", "priority": "3"}
    assert found.unknown_parameters == ("colour",)


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config("./here").root == f"{tmp_path}/here"


def test_dummy() -> None:
    found = config("dummy://")
    assert found.is_dummy and found.read_only and found.refuses
    assert not config("dummy://?read-only=0").refuses


@pytest.mark.parametrize("uri", ["https://cache", "s3://b", "daemons://x"])
def test_stores_of_other_kinds(uri: str) -> None:
    with pytest.raises(UnsupportedStore) as caught:
        config(uri)
    assert caught.value.hint


@pytest.mark.parametrize("uri", ["daemon", "unix:///x", "ssh://host", "ssh-ng://host?store=/logical"])
def test_stores_that_others_look_after(uri: str) -> None:
    found = config(uri)
    assert found.scheme == uri.partition(":")[0]
    with pytest.raises(FrazilBug):
        LocalStore(found).query_all_valid()


@pytest.mark.parametrize("uri", ["word", "local?store=relative", "local?state=x", "local?real=/a%00b"])
def test_nonsense(uri: str) -> None:
    with pytest.raises(UsageError):
        config(uri)


def test_choice_of_the_address(tmp_path: Path) -> None:
    environment = {"NIX_REMOTE": f"{tmp_path}/a"}
    assert StoreConfig.from_environment(None, environment).root == f"{tmp_path}/a"
    assert StoreConfig.from_environment(f"{tmp_path}/b", environment).root == f"{tmp_path}/b"


def test_a_daemon_is_asked_where_a_user_may_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the environment says that the store is."""
    socket = tmp_path / "socket"
    places = {"NIX_STORE_DIR": "/s/store", "NIX_STATE_DIR": "/s/var", "NIX_DAEMON_SOCKET_PATH": str(socket)}
    monkeypatch.setattr("frazil.store.config._may_write", lambda _: False)
    assert config("auto", **places).scheme == "local"
    socket.touch()
    assert config("auto", **places).scheme == "daemon"
    monkeypatch.setattr("frazil.store.config._may_write", lambda _: True)
    assert config("auto", **places).scheme == "local"


def test_a_user_without_rights_has_an_own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert config("auto", HOME="/home/u").root == "/home/u/.local/share/frazil/root"
    assert config("auto", HOME="/home/u", XDG_DATA_HOME="/d").root == "/d/frazil/root"
    assert config("auto", HOME="/home/u").store_dir == "/nix/store"
    with pytest.raises(StoreError) as caught:
        config("auto")
    assert caught.value.hint
    assert isinstance(caught.value, FrazilError)
