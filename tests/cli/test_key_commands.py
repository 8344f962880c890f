from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from frazil.store.signatures import PublicKey, SecretKey

from .conftest import Run

NIX = ("nix", "--extra-experimental-features", "nix-command")


def test_sign_and_verify(run: Run, tmp_path: Path) -> None:
    secret, public = tmp_path / "secret", tmp_path / "public"
    assert run("nix-store", "--generate-binary-cache-key", "k-1", str(secret), str(public)).status == 0
    assert os.stat(secret).st_mode & 0o777 == 0o600
    key = SecretKey.parse(secret.read_text())
    assert PublicKey.parse(public.read_text()) == key.public
    (tmp_path / "file").write_text("x")
    path = run("nix-store", "--add", str(tmp_path / "file")).out.strip()
    verify = (*NIX, "store", "verify", "--sigs-needed", "1", path)
    # Content-addressed: no signature is needed.
    assert run(*verify).status == 0
    result = run(*NIX, "store", "sign", "--key-file", str(secret), path)
    assert (result.status, "added 1 signatures" in result.err) == (0, True)
    assert "added 0 signatures" in run(*NIX, "store", "sign", "-k", str(secret), path).err
    assert "k-1:" in run(*NIX, "path-info", "--sigs", path).out


def test_keys_come_out_alike(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(*NIX, "key", "generate-secret", "--key-name", "cache-1").out
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(made.encode())))
    assert run(*NIX, "key", "convert-secret-to-public").out == str(SecretKey.parse(made).public)


def test_bad_keys(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(*NIX, "key", "generate-secret").status == 1
    assert run("nix-store", "--generate-binary-cache-key", "a", "b").status == 1
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xff:no key")))
    result = run(*NIX, "key", "convert-secret-to-public")
    assert (result.status, "corrupt" in result.err) == (1, True)
    assert "opening file" in run(*NIX, "store", "sign", "--all", "-k", str(tmp_path / "none")).err
