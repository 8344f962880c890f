"""From a store's address to the store.

In: addresses as in `--store`, `--to`, `substituters`. Out: a `Store`, not yet connected. Source of truth: the manual's
`store/types`.
"""

from __future__ import annotations

import os

from frazil.store.address import StoreReference
from frazil.store.config import StoreConfig
from frazil.store.errors import UnsupportedStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from frazil.activity import Reporter
    from frazil.store.config import StoreSettings
    from frazil.store.interface import Store

    Opener = Callable[[StoreReference, StoreSettings, Reporter, Mapping[str, str]], Store]

KINDS: dict[str, str] = {
    "file": "frazil.store.cache_opening:open_folder",
    "http": "frazil.store.cache_opening:open_http",
    "https": "frazil.store.cache_opening:open_http",
    "s3": "frazil.store.object_files:open_s3",
    "gs": "frazil.store.object_files:open_google",
    "az": "frazil.store.object_files:open_microsoft",
    "local-overlay": "frazil.store.overlay:open_overlay",
    "daemon": "frazil.protocol.opening:open_daemon",
    "unix": "frazil.protocol.opening:open_daemon",
    "ssh": "frazil.protocol.opening:open_ssh",
    "ssh-ng": "frazil.protocol.opening:open_ssh_ng",
    "mounted-ssh-ng": "frazil.protocol.opening:open_ssh_ng",
}
"""Scheme → `module:function` of type `Opener`, imported when first needed."""
LOCAL_KINDS = frozenset(("auto", "local", "dummy"))


def open_store(
    address: str | StoreReference,
    settings: StoreSettings,
    reporter: Reporter,
    environment: Mapping[str, str] | None = None,
) -> Store:
    """Raises UsageError for an address that is none, UnsupportedStore for an unknown kind."""
    environment = os.environ if environment is None else environment
    reference = StoreReference.parse(address) if isinstance(address, str) else address
    if reference.scheme in LOCAL_KINDS:
        from frazil.store.local import LocalStore

        text = address if isinstance(address, str) else _text(reference)
        config = StoreConfig.from_uri(text, environment)
        for name in config.unknown_parameters:
            from frazil.activity import Verbosity

            reporter.log(Verbosity.WARN, f"unknown store setting '{name}'")
        return LocalStore(config, settings, reporter)
    kind = KINDS.get(reference.scheme)
    if kind is None:
        raise UnsupportedStore(
            f"don't know how to open Nix store with scheme '{reference.scheme}'",
            hint="known schemes: " + ", ".join(sorted({*KINDS, "local", "dummy"})),
        )
    module, _, function = kind.partition(":")
    import importlib

    opener: Opener = getattr(importlib.import_module(module), function)
    return opener(reference, settings, reporter, environment)


_CACHES = frozenset(("file", "http", "https", "s3", "gs", "az"))


def is_cache(address: str) -> bool:
    """Whether an address names a binary cache, in which nothing can be evaluated or built."""
    return StoreReference.parse(address).scheme in _CACHES


def _text(reference: StoreReference) -> str:
    from urllib.parse import urlencode

    base = reference.authority or reference.scheme
    return base + ("?" + urlencode(reference.parameters) if reference.parameters else "")


def store_directory(parameters: str | None, environment: Mapping[str, str]) -> str:
    """The logical store directory of a store that is not on this machine (the parameter `store`)."""
    from frazil.errors import UsageError
    from frazil.store.path import DEFAULT_STORE_DIRECTORY, canonical_path

    path = parameters or environment.get("NIX_STORE_DIR") or environment.get("NIX_STORE") or DEFAULT_STORE_DIRECTORY
    if not path.startswith("/"):
        raise UsageError(f'store directory path "{path}" is not an absolute path')
    return canonical_path(path)
