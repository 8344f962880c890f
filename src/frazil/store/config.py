"""Which store is meant: store addresses and environment variables → directories.

Source of truth: the manual's `store/types` and `command-ref/env-common`. Logical paths (part of hashes) and physical
ones (where the bytes lie) differ wherever a store lives below another root.
"""

from __future__ import annotations

import os

from frazil.errors import UsageError
from frazil.record import Record
from frazil.store.errors import StoreError, UnsupportedStore
from frazil.store.path import DEFAULT_STORE_DIRECTORY, canonical_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_STATE_DIRECTORY = "/nix/var/nix"
DEFAULT_LOG_DIRECTORY = "/nix/var/log/nix"

_LOCATION_PARAMETERS = frozenset(("root", "store", "state", "log", "real"))
_OTHER_PARAMETERS = frozenset(
    (
        "build-dir",
        "ignore-gc-delete-failure",
        "path-info-cache-size",
        "priority",
        "read-only",
        "require-sigs",
        "system-features",
        "trusted",
        "use-roots-daemon",
        "want-mass-query",
    )
)


REMOTE_SCHEMES = frozenset(("daemon", "unix", "ssh", "ssh-ng", "mounted-ssh-ng", "local-overlay"))
"""Stores that others look after, or that are more than one."""


class TransferSettings(Record):
    """Times in seconds, delays in milliseconds; 0 is no limit. Names as in `nix.conf`, mostly."""

    http_connections: int = 25
    http2: bool = True
    connect_timeout: int = 15
    stalled_timeout: int = 300
    attempts: int = 5
    retry_delay: int = 100
    retry_delay_rate_limited: int = 5000
    retry_max_delay: int = 60000
    retry_jitter: bool = True
    download_speed: int = 0
    """Kilobytes a second, of each transfer."""
    netrc_file: str | None = None
    ssl_cert_file: str | None = None
    user_agent_suffix: str = ""


class LookupSettings(Record):
    """Seconds for which answers count: that a path is there, that it is not, what a cache says of itself."""

    positive_ttl: int = 30 * 24 * 3600
    negative_ttl: int = 3600
    meta_ttl: int = 7 * 24 * 3600
    directory: str | None = None
    """Where the database is; None: C++ Nix's place."""


class StoreSettings(Record):
    """What the user may tune about a local store; names as in `nix.conf`."""

    fsync_metadata: bool = True
    fsync_store_paths: bool = False
    sync_before_registering: bool = False
    use_sqlite_wal: bool = True
    auto_optimise_store: bool = False
    keep_outputs: bool = False
    keep_derivations: bool = True
    allow_symlinked_store: bool = False
    reserved_space: int = 8 * 1024 * 1024
    warn_large_path_threshold: int = 0
    """From this archive size on, what is copied is worth a warning; 0: never."""
    nar_buffer_size: int = 32 * 1024 * 1024
    min_free: int = 0
    max_free: int = (1 << 63) - 1
    min_free_check_interval: int = 5
    build_users_group: str = ""
    require_signatures: bool = True
    trusted_public_keys: tuple[str, ...] = ()
    secret_key_files: tuple[str, ...] = ()
    """Keys that sign what is built here."""
    ignored_acls: frozenset[str] = frozenset(("security.csm", "security.selinux", "system.nfs4_acl"))
    use_content_addressed_derivations: bool = False
    client_options: tuple[int, ...] = (0, 0, 0, 3, 1, 0, 1, 7, 0, 0, 0, 1)
    """What a daemon is told of the user's settings: the numbers of the worker protocol's `SetOptions`, in order."""
    client_overrides: tuple[tuple[str, str], ...] = ()
    """And the settings that it is told by name."""
    serve_options: tuple[int, int, int, int] = (0, 0, 0, 0)
    """For builds through `ssh://`: `max-silent-time`, `timeout`, `max-build-log-size`, `keep-failed`."""
    ignore_gc_delete_failure: bool = False
    """What a collection cannot delete is a warning. A parameter of store addresses only."""
    transfer: TransferSettings = TransferSettings()
    lookup: LookupSettings = LookupSettings()
    fallback: bool = False
    """Whether a substituter that fails is done without."""


NO_PARAMETERS: Mapping[str, str] = {}


class StoreConfig(Record):
    """Where a local store is. All directories absolute and normalised.

    `store_dir` is the logical store directory, `real_store_dir` where its contents lie. `parameters`: the address's
    other parameters, as given. `is_user_default`: chosen for a user without rights on `/nix`, not asked for.
    """

    store_dir: str = DEFAULT_STORE_DIRECTORY
    real_store_dir: str = DEFAULT_STORE_DIRECTORY
    state_dir: str = DEFAULT_STATE_DIRECTORY
    log_dir: str = DEFAULT_LOG_DIRECTORY
    root: str | None = None
    uri: str = "local"
    read_only: bool = False
    is_dummy: bool = False
    refuses: bool = False
    """Whether adding is an error: to `dummy://` without `?read-only=false`."""
    asks_for_roots: bool = False
    """Whether a daemon is asked which paths running processes use."""
    is_user_default: bool = False
    scheme: str = "local"
    """How the store is reached: "local", or as in an address whose store others look after ("daemon", "ssh", …)."""
    parameters: Mapping[str, str] = NO_PARAMETERS
    unknown_parameters: tuple[str, ...] = ()

    def apply(self, settings: StoreSettings) -> StoreSettings:
        """The settings with what the address says about this one store."""
        if not self.parameters:
            return settings
        return settings.with_(
            require_signatures=_flag(self.parameters, "require-sigs", settings.require_signatures),
            ignore_gc_delete_failure=_flag(self.parameters, "ignore-gc-delete-failure", False),
        )

    @property
    def outside_dir(self) -> str:
        """Store objects as they can be used without a view: what result links of a user's own store point to."""
        return f"{self.state_dir}/outside"

    @property
    def is_at_logical_place(self) -> bool:
        """Whether programs see store paths where the paths say, without a view made for them."""
        return self.store_dir == self.real_store_dir

    @classmethod
    def computing(cls, store_dir: str, environment: Mapping[str, str] | None = None) -> StoreConfig:
        """Of a store that only computes paths; its objects are nowhere. What else is kept on this machine is where the
        environment says."""
        here = cls.from_uri("auto", environment)
        return cls(store_dir, store_dir, here.state_dir, here.log_dir, uri="dummy://", read_only=True, is_dummy=True)

    @classmethod
    def from_uri(cls, uri: str = "auto", environment: Mapping[str, str] | None = None) -> StoreConfig:
        """`auto`, `local`, `local?root=…`, `local://…`, a path, `dummy://`. Raises UsageError, UnsupportedStore."""
        environment = os.environ if environment is None else environment
        base, _, query = uri.partition("?")
        parameters = _parse_query(query)
        if base in ("", "auto"):
            return _automatic(parameters, environment)
        if base == "local":
            return _local(parameters, environment, uri)
        if base.startswith("local://"):
            root = base.removeprefix("local://")
            return _local({"root": _unquote(root), **parameters} if root else parameters, environment, uri)
        if base.startswith("dummy://"):
            return _local(parameters, environment, uri, is_dummy=True)
        if "://" not in base and "/" in base:
            return _local({"root": os.path.abspath(base), **parameters}, environment, uri)
        scheme = base.partition("://")[0]
        if scheme in REMOTE_SCHEMES and (scheme == "daemon" or "://" in base):
            place = {name: parameters[name] for name in _LOCATION_PARAMETERS if name in parameters}
            return _local(place, environment, uri if scheme == "local-overlay" else base).with_(
                scheme=scheme, parameters=parameters
            )
        if "://" in base:
            raise UnsupportedStore(
                f"don't know how to open Nix store with scheme '{base.partition('://')[0]}'",
                hint="known store addresses: auto, local, local?root=DIRECTORY, a path, dummy://",
            )
        raise UsageError(
            f"Cannot parse Nix store '{uri}'",
            hint="known store addresses: auto, local, local?root=DIRECTORY, a path (with a slash), dummy://",
        )

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str], environment: Mapping[str, str], uri: str) -> StoreConfig:
        """Of a store whose address says no more of its place than `parameters` do."""
        return _local(parameters, environment, uri)

    @classmethod
    def from_environment(cls, option: str | None = None, environment: Mapping[str, str] | None = None) -> StoreConfig:
        """`option`: the value of `--store` or of the setting `store`; else NIX_REMOTE; else `auto`."""
        environment = os.environ if environment is None else environment
        return cls.from_uri(option or environment.get("NIX_REMOTE") or "auto", environment)


def _unquote(text: str) -> str:
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def _parse_query(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if key:
            parameters[_unquote(key)] = _unquote(value)
    return parameters


def _flag(parameters: Mapping[str, str], name: str, default: bool) -> bool:
    value = parameters.get(name)
    if value is None:
        return default
    if value in ("true", "yes", "1"):
        return True
    if value in ("false", "no", "0"):
        return False
    raise UsageError(f"Boolean setting '{name}' has invalid value '{value}'", hint="say true or false")


def _directory(text: str, name: str) -> str:
    if not text.startswith("/"):
        raise UsageError(f"setting '{name}' must be an absolute path, but is '{text}'")
    if "\0" in text:
        raise UsageError(f"setting '{name}' holds a zero byte")
    return canonical_path(text)


def _local(
    parameters: Mapping[str, str], environment: Mapping[str, str], uri: str, *, is_dummy: bool = False
) -> StoreConfig:
    store = parameters.get("store") or environment.get("NIX_STORE_DIR") or environment.get("NIX_STORE")
    store_dir = store or DEFAULT_STORE_DIRECTORY
    if not store_dir.startswith("/"):
        raise UsageError(f'store directory path "{store_dir}" is not an absolute path')
    store_dir = canonical_path(store_dir)
    root = parameters.get("root") or None
    if root is not None:
        root = _directory(os.path.abspath(root), "root")
        real, state, log = f"{root}/nix/store", f"{root}/nix/var/nix", f"{root}/nix/var/log/nix"
    else:
        real = store_dir
        state = environment.get("NIX_STATE_DIR") or DEFAULT_STATE_DIRECTORY
        log = environment.get("NIX_LOG_DIR") or DEFAULT_LOG_DIRECTORY
    known = _LOCATION_PARAMETERS | _OTHER_PARAMETERS
    return StoreConfig(
        store_dir=store_dir,
        real_store_dir=_directory(parameters.get("real") or real, "real"),
        state_dir=_directory(parameters.get("state") or state, "state"),
        log_dir=_directory(parameters.get("log") or log, "log"),
        root=root,
        uri="dummy://" if is_dummy else uri,
        read_only=_flag(parameters, "read-only", False) or is_dummy,
        is_dummy=is_dummy,
        refuses=is_dummy and _flag(parameters, "read-only", True),
        asks_for_roots=_flag(parameters, "use-roots-daemon", False),
        parameters={key: value for key, value in parameters.items() if key in _OTHER_PARAMETERS},
        unknown_parameters=tuple(sorted(set(parameters) - known)),
    )


def _automatic(parameters: Mapping[str, str], environment: Mapping[str, str]) -> StoreConfig:
    config = _local(parameters, environment, "local")
    if parameters or (_may_write(config.state_dir) and _may_write(config.real_store_dir)):
        return config
    socket = environment.get("NIX_DAEMON_SOCKET_PATH") or f"{config.state_dir}/daemon-socket/socket"
    if os.path.exists(socket):
        return config.with_(scheme="daemon", uri="daemon")
    if "NIX_STORE_DIR" in environment or "NIX_STATE_DIR" in environment:
        return config
    root = user_store_root(environment)
    return _local({"root": root}, environment, "local?root=" + root).with_(is_user_default=True)


def user_store_root(environment: Mapping[str, str]) -> str:
    """Where the store of a user without rights on `/nix` has its root. Raises StoreError without any home."""
    data = environment.get("XDG_DATA_HOME") or ""
    if not data.startswith("/"):
        home = environment.get("HOME") or ""
        if not home.startswith("/"):
            raise StoreError(
                "there is no place for a store: /nix is not writable and neither XDG_DATA_HOME nor HOME is set",
                hint="set HOME, or choose a place with `--store DIRECTORY`",
            )
        data = f"{home}/.local/share"
    return canonical_path(f"{data}/frazil/root")


def _may_write(directory: str) -> bool:
    """Whether `directory` is writable or can be made: its nearest existing ancestor decides."""
    while not os.path.isdir(directory):
        above = os.path.dirname(directory)
        if above == directory or os.path.lexists(directory):
            return False
        directory = above
    return os.access(directory, os.R_OK | os.W_OK | os.X_OK)
