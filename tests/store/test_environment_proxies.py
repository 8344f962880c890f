"""Proxies that the environment names."""

from __future__ import annotations

import os

import pytest

from frazil.store.http import _environment_proxies


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "Https_Proxy"])
def test_proxies_of_the_environment_are_found(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in list(os.environ):
        if other.lower().endswith("_proxy"):
            monkeypatch.delenv(other)
    assert _environment_proxies() == {}
    monkeypatch.setenv(name, "http://proxy.example:3128")
    assert _environment_proxies() == {"https": "http://proxy.example:3128"}
