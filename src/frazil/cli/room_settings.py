"""Settings as the frozen dataclasses of the rooms: a field `max_jobs` is the setting `max-jobs`.

Fields whose setting the user left alone keep the room's own default.
"""

from __future__ import annotations

import os

from frazil.cache_folder import cache_folder
from frazil.cli.settings import Settings, default_system, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.build.settings import BuildSettings
    from frazil.fetch.settings import FetchSettings
    from frazil.lang.settings import EvalSettings
    from frazil.store.config import StoreSettings, TransferSettings


def typed(settings: Settings, name: str) -> Any:
    """A setting's value by its kind."""
    kind = kind_of(name)
    if kind == "bool":
        return settings.boolean(name)
    if kind == "int":
        return settings.integer(name)
    if kind == "jobs":
        return settings.max_jobs
    if kind == "list":
        return settings.words(name)
    if kind == "set":
        return frozenset(settings.words(name))
    if kind == "features":
        return settings.features
    if kind == "map":
        return settings.mapping(name)
    if kind == "path?":
        return settings.optional(name)
    return settings.text(name)


def fields_of(kind: Any, settings: Settings, names: dict[str, str]) -> dict[str, Any]:
    """The fields of a dataclass that the user set. `names`: field -> setting, where they differ."""
    found = {}
    for field in getattr(kind, "field_defaults", None) or kind.__dataclass_fields__:
        name = names.get(field, field.replace("_", "-"))
        if name in settings.values and kind_of(name) is not None:
            found[field] = typed(settings, name)
    return found


def eval_settings(
    settings: Settings,
    *,
    pure: bool,
    search_path: list[str],
    store_dir: str = "/nix/store",
    whole_trace: bool = False,
    debugger: bool = False,
) -> EvalSettings:
    """`whole_trace`: errors keep every step, whatever will be shown of it."""
    from frazil.lang.settings import EvalSettings

    entries = [] if pure or settings.boolean("pure-eval") else search_entries(settings, search_path)
    values = fields_of(EvalSettings, settings, {"pure": "pure-eval", "restricted": "restrict-eval"})
    values["pure"] = pure or settings.boolean("pure-eval")
    values["experimental_features"] = settings.features
    values["system"] = settings.text("eval-system") or settings.text("system") or default_system()
    values["search_path"] = tuple(parse_search_entry(entry) for entry in entries)
    values["store_dir"] = store_dir
    values["home_directory"] = _byte_string(os.path.expanduser("~"))
    values["allowed_uris"] = tuple(_byte_string(u) for u in settings.words("allowed-uris"))
    if os.environ.get("NIX_ABORT_ON_WARN") in {"1", "yes", "true"}:
        values["abort_on_warn"] = True
    if whole_trace:
        values["show_trace"] = True
    values["debugger"] = debugger
    for name in ("show_stats", "count_calls"):
        values[name] = settings.environment.get(f"NIX_{name.upper()}", "0") != "0"
    return EvalSettings(**values)


def search_entries(settings: Settings, given: list[str]) -> list[str]:
    """`-I` first, then NIX_PATH, else the setting `nix-path`, else the user's channels."""
    environment = settings.environment
    if settings.from_command_line("nix-path"):
        return given + list(settings.words("nix-path"))
    if "NIX_PATH" in environment:
        entries = parse_nix_path(environment["NIX_PATH"])
    elif "nix-path" in settings.values:
        entries = list(settings.words("nix-path"))
    else:
        entries = [] if settings.boolean("restrict-eval") else _channels(settings)
    return given + entries + settings.added_search_path


def _channels(settings: Settings) -> list[str]:
    home = settings.environment.get("HOME") or os.path.expanduser("~")
    state = settings.environment.get("NIX_STATE_DIR") or "/nix/var/nix"
    if settings.boolean("use-xdg-base-directories"):
        base = settings.environment.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
        own = os.path.join(base, "nix", "defexpr", "channels")
    else:
        own = os.path.join(home, ".nix-defexpr", "channels")
    root = os.path.join(state, "profiles", "per-user", "root", "channels")
    candidates = [(own, ""), (os.path.join(root, "nixpkgs"), "nixpkgs="), (root, "")]
    return [prefix + path for path, prefix in candidates if os.path.exists(path)]


def parse_nix_path(text: str) -> list[str]:
    """Entries are separated by colons, but a URL keeps its first one (`nixpkgs=https://…:b=/c`)."""
    entries: list[str] = []
    rest = text
    while rest:
        head, colon, tail = rest.partition(":")
        value = rest[head.rfind("=") + 1 :]
        if colon and (value.startswith(("flake:", "channel:")) or _is_url(value)):
            more, colon, tail = tail.partition(":")
            head = f"{head}:{more}"
        if head or colon:
            entries.append(head)
        rest = tail
    return entries


def _is_url(text: str) -> bool:
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme in {"http", "https", "file", "channel", "git", "s3", "ssh"}


def parse_search_entry(text: str) -> tuple[str, str]:
    """`PREFIX=PATH` or `PATH` -> (prefix, path), as byte strings."""
    prefix, mark, path = text.partition("=")
    return (_byte_string(prefix), _byte_string(path)) if mark else ("", _byte_string(text))


def _byte_string(text: str) -> str:
    return os.fsencode(text).decode("latin-1")


def _configuration(settings: Settings) -> str:
    from frazil.cli.config_commands import known_rows, shown_value

    return "".join(f"{name} = {shown_value(settings, name)}\n" for name, _, _, _ in known_rows(settings))


def build_settings(settings: Settings, *, print_build_logs: bool) -> BuildSettings:
    from frazil.build.settings import BuildSettings

    values = fields_of(BuildSettings, settings, {})
    values["experimental_features"] = settings.features
    values["print_build_logs"] = print_build_logs
    values["substituters"] = settings.words("substituters")
    values["substituters_are_default"] = "substituters" not in settings.values
    values["configuration"] = lambda: _configuration(settings)
    folder = settings.environment.get("NIX_CONF_DIR") or "/etc/nix"
    values.setdefault("builders", f"@{folder}/machines")
    values["history"] = cache_folder(settings.environment)
    return BuildSettings(**values)


def fetch_settings(settings: Settings, *, offline: bool, refresh: bool) -> FetchSettings:
    from frazil.fetch.settings import FetchSettings

    names = {
        "download_attempts": "filetransfer-retry-attempts",
        "stalled_timeout": "stalled-download-timeout",
        "input_overrides": "frazil-input-overrides",
    }
    values = fields_of(FetchSettings, settings, names)
    return FetchSettings(**values, offline=offline, refresh=refresh)


_TRANSFER = {
    "attempts": "filetransfer-retry-attempts",
    "retry_delay": "filetransfer-retry-delay",
    "retry_delay_rate_limited": "filetransfer-retry-delay-rate-limited",
    "retry_max_delay": "filetransfer-retry-max-delay",
    "retry_jitter": "filetransfer-retry-jitter",
    "stalled_timeout": "stalled-download-timeout",
}
_LOOKUP = {
    "positive_ttl": "narinfo-cache-positive-ttl",
    "negative_ttl": "narinfo-cache-negative-ttl",
    "meta_ttl": "narinfo-cache-meta-ttl",
}


_NOT_FOR_DAEMONS = """
abort-on-warn accept-flake-config access-tokens allow-dirty allow-dirty-locks allow-import-from-derivation
allowed-uris bash-prompt bash-prompt-prefix bash-prompt-suffix commit-lock-file-summary cores debugger-on-trace
debugger-on-warn eval-attrset-update-layer-rhs-threshold eval-cache eval-cores eval-profile-file eval-profiler
eval-profiler-frequency eval-system experimental-features fallback flake-registry ignore-try json-log-path
keep-failed keep-going lazy-trees lint-absolute-path-literals lint-short-path-literals lint-url-literals
max-call-depth max-jobs max-silent-time nix-path nix-shell-always-looks-for-shell-nix
nix-shell-shebang-arguments-relative-to-script plugin-files pure-eval restrict-eval show-trace store substitute
tarball-ttl trace-function-calls trace-import-from-derivation trace-verbose trust-tarballs-from-git-forges
upgrade-nix-store-path-url use-case-hack use-registries use-xdg-base-directories warn-dirty
warn-short-path-literals print-missing allow-unsafe-native-code-during-evaluation
"""
NOT_FOR_DAEMONS = frozenset(_NOT_FOR_DAEMONS.split())
"""Settings of evaluation, fetching and display, and those that `SetOptions` has places for."""


def client_options(settings: Settings, verbosity: int) -> tuple[int, ...]:
    """The numbers of `SetOptions`."""
    flags = [int(settings.boolean(name)) for name in ("keep-failed", "keep-going", "fallback")]
    silent = settings.integer("max-silent-time")
    cores, substitute = settings.integer("cores"), int(settings.boolean("substitute"))
    return (*flags, verbosity, settings.max_jobs, silent, 1, 0, 0, 0, cores, substitute)


def client_overrides(settings: Settings) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, value)
        for name, value in sorted(settings.overridden.items())
        if name not in NOT_FOR_DAEMONS and not name.startswith("frazil-")
    )


def foreign_store_settings(settings: Settings, verbosity: int) -> StoreSettings:
    """With what others are told who look after a store."""
    build = [settings.integer(name) for name in ("max-silent-time", "timeout", "max-build-log-size")]
    return store_settings(settings).with_(
        client_options=client_options(settings, verbosity),
        client_overrides=client_overrides(settings),
        serve_options=(*build, int(settings.boolean("keep-failed"))),
    )


def transfer_settings(settings: Settings) -> TransferSettings:
    from frazil.store.config import TransferSettings

    transfer = fields_of(TransferSettings, settings, _TRANSFER)
    transfer.setdefault("netrc_file", settings.text("netrc-file"))
    for name in ("NIX_SSL_CERT_FILE", "SSL_CERT_FILE"):
        if settings.environment.get(name):
            transfer.setdefault("ssl_cert_file", settings.environment[name])
    return TransferSettings(**transfer)


def store_settings(settings: Settings) -> StoreSettings:
    from frazil.store.config import LookupSettings, StoreSettings

    names = {"require_signatures": "require-sigs", "reserved_space": "gc-reserved-space"}
    values = fields_of(StoreSettings, settings, names)
    if "ca-derivations" in settings.features:
        values["use_content_addressed_derivations"] = True
    values["trusted_public_keys"] = settings.words("trusted-public-keys")
    values["transfer"] = transfer_settings(settings)
    values["lookup"] = LookupSettings(**fields_of(LookupSettings, settings, _LOOKUP))
    return StoreSettings(**values)
