"""What the fetchers can be told: Nix's fetcher settings and frazil's own (`debian-*`, `input-overrides`)."""

from __future__ import annotations

from collections.abc import Mapping

from frazil.record import EMPTY, Record

DEFAULT_REGISTRY = "https://channels.nixos.org/flake-registry.json"


class FetchSettings(Record):
    """Frozen; the comment after each field is the name of the setting."""

    access_tokens: Mapping[str, str] = EMPTY  # access-tokens
    allow_dirty: bool = True  # allow-dirty
    warn_dirty: bool = True  # warn-dirty
    allow_dirty_locks: bool = False  # allow-dirty-locks
    trust_tarballs_from_git_forges: bool = True  # trust-tarballs-from-git-forges
    flake_registry: str = DEFAULT_REGISTRY  # flake-registry; empty: no global registry
    tarball_ttl: int = 3600  # tarball-ttl, seconds
    connect_timeout: int = 15  # connect-timeout, seconds
    stalled_timeout: int = 300  # stalled-download-timeout, seconds
    download_attempts: int = 5  # download-attempts
    download_speed: int = 0  # download-speed, KiB/s, 0: unlimited
    http2: bool = True  # http2
    user_agent_suffix: str = ""  # user-agent-suffix
    netrc_file: str = "/etc/nix/netrc"  # netrc-file
    ssl_cert_file: str | None = None  # ssl-cert-file
    debian_mirrors: tuple[str, ...] = ()  # debian-mirrors
    debian_keyring: str | None = None  # debian-keyring
    input_overrides: Mapping[str, str] = EMPTY  # input-overrides
    maximum_unpacked: int = 16 << 30  # largest tree that an archive may unpack to, bytes
    maximum_download: int = 32 << 30  # largest transfer, bytes
    cache_directory: str | None = None  # default: $XDG_CACHE_HOME/frazil
    config_directory: str = ""  # default: $XDG_CONFIG_HOME/nix
    system_config_directory: str = "/etc/nix"
    offline: bool = False  # --offline: no network, what is cached never expires
    refresh: bool = False  # --refresh: what is cached is looked at as expired


def cache_directory(settings: FetchSettings) -> str:
    """Where fetched things may be kept; NIX_CACHE_HOME and XDG_CACHE_HOME are obeyed."""
    if settings.cache_directory:
        return settings.cache_directory
    import os

    if os.environ.get("NIX_CACHE_HOME"):
        return os.environ["NIX_CACHE_HOME"]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "frazil")


def shared_cache_directory(settings: FetchSettings) -> str:
    """Where Nix keeps its clones and what it remembers of inputs: for what both programs may find there."""
    if settings.cache_directory:
        return settings.cache_directory
    import os

    if os.environ.get("NIX_CACHE_HOME"):
        return os.environ["NIX_CACHE_HOME"]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "nix")


def config_directory(settings: FetchSettings) -> str:
    """Where the user's registry is; NIX_CONFIG_HOME and XDG_CONFIG_HOME are obeyed."""
    if settings.config_directory:
        return settings.config_directory
    import os

    if os.environ.get("NIX_CONFIG_HOME"):
        return os.environ["NIX_CONFIG_HOME"]
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "nix")
