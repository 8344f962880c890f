"""Opens binary caches from their addresses.

In: a `StoreReference`. Out: a `BinaryCache`. Source of truth: the parameters of the manual's pages on local and HTTP
binary cache stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frazil.activity import Verbosity
from frazil.errors import UsageError
from frazil.store.address import Parameters, StoreReference
from frazil.store.binary_cache import BinaryCache, CacheSettings
from frazil.store.cache_files import CacheFiles, FolderFiles, HttpFiles
from frazil.store.compression import check_known
from frazil.store.opening import store_directory
from frazil.store.path import StoreDirectory
from frazil.store.signatures import SecretKey, read_secret_key

if TYPE_CHECKING:
    from frazil.activity import Reporter
    from frazil.store.config import StoreSettings, TransferSettings


def open_folder(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> BinaryCache:
    """`file://DIRECTORY`."""
    folder = reference.path
    if not folder.startswith("/"):
        raise UsageError(
            f"the store address 'file://{reference.authority}' names no absolute path", hint="say file:///DIRECTORY"
        )
    # C++ Nix's tests treat a folder as a server that can only be read from.
    far = environment.get("_NIX_FORCE_HTTP") == "1"
    parameters = Parameters(reference.parameters)
    files = FolderFiles(folder.rstrip("/") or "/", far=reporter if far else None)
    if far:
        _http_parameters(parameters)
    return open_cache(files, parameters, settings, reporter, environment, is_local=not far)


def open_http(
    reference: StoreReference, settings: StoreSettings, reporter: Reporter, environment: Mapping[str, str]
) -> BinaryCache:
    """`http://HOST[:PORT]/PATH`, `https://…`."""
    from frazil.store.http import Client
    from frazil.store.transfer import Transfers, require_url

    url = require_url(f"{reference.scheme}://{reference.authority}")
    parameters = Parameters(reference.parameters)
    own = _http_parameters(parameters)
    client = Client(own.apply(settings.transfer), certificate=own.certificate)
    files = HttpFiles(url, Transfers(client, reporter), reporter, encodings=own.encodings, fallback=settings.fallback)
    return open_cache(files, parameters, settings, reporter, environment, is_local=False)


@dataclass(frozen=True, slots=True)
class _Http:
    encodings: dict[str, str]
    certificate: tuple[str, str | None] | None
    changes: dict[str, int]

    def apply(self, settings: TransferSettings) -> TransferSettings:
        return settings.with_(**self.changes) if self.changes else settings


_RETRIES = {
    "retry-delay": "retry_delay",
    "retry-delay-rate-limited": "retry_delay_rate_limited",
    "retry-max-delay": "retry_max_delay",
    "retry-attempts": "attempts",
}


def _http_parameters(parameters: Parameters) -> _Http:
    encodings = {}
    for name, mark in (("narinfo", ".narinfo"), ("ls", ".ls"), ("log", "log/")):
        method = parameters.text(f"{name}-compression")
        if method and method != "none":
            encodings[mark] = check_known(method)
    certificate, key = parameters.path("tls-certificate"), parameters.path("tls-private-key")
    changes = {}
    for name, field in _RETRIES.items():
        if parameters.optional(name) is not None:
            number = parameters.number(name, 0)
            if number < 0:
                raise UsageError(f"setting '{name}' must not be negative")
            changes[field] = number
    return _Http(encodings, (certificate, key) if certificate else None, changes)


def open_cache(
    files: CacheFiles,
    parameters: Parameters,
    settings: StoreSettings,
    reporter: Reporter,
    environment: Mapping[str, str],
    *,
    is_local: bool,
) -> BinaryCache:
    """With the parameters that all binary caches have."""
    directory = StoreDirectory(store_directory(parameters.optional("store"), environment))
    cache = cache_settings(parameters, is_local=is_local)
    for name in parameters.unknown():
        reporter.log(Verbosity.WARN, f"unknown store setting '{name}'")
    lookups = None
    if not is_local:
        from frazil.store.info_cache import InfoCache

        lookups = InfoCache(settings.lookup, environment)
    return BinaryCache(files, directory, cache, settings, reporter, lookups)


def cache_settings(parameters: Parameters, *, is_local: bool) -> CacheSettings:
    """What the parameters of all binary caches say. Raises UsageError, and StoreError for keys that cannot be read."""
    parallel = parameters.optional("parallel-compression")
    mass_query = parameters.optional("want-mass-query")
    priority = parameters.optional("priority")
    parameters.optional("system-features")  # what others say they can build, which no cache does
    return CacheSettings(
        compression=check_known(parameters.text("compression", "xz")),
        compression_level=parameters.number("compression-level", -1),
        parallel_compression=None if parallel is None else parameters.flag("parallel-compression", False),
        write_listing=parameters.flag("write-nar-listing", False),
        index_debug_info=parameters.flag("index-debug-info", False),
        secret_keys=_keys(parameters),
        local_nar_cache=parameters.path("local-nar-cache"),
        path_info_cache_size=parameters.number("path-info-cache-size", 65536),
        priority=None if priority is None else parameters.number("priority", 0),
        wants_mass_query=None if mass_query is None else parameters.flag("want-mass-query", False),
        trusted=parameters.flag("trusted", False),
        is_local=is_local,
    )


def _keys(parameters: Parameters) -> tuple[SecretKey, ...]:
    files = []
    one = parameters.path("secret-key")
    if one is not None:
        files.append(one)
    files += [name for name in parameters.text("secret-keys").split(",") if name]
    return tuple(read_secret_key(name) for name in files)
