"""What the user may tune about building; names and defaults as in `nix.conf`, dashes as underscores.

Source of truth: the manual's `command-ref/conf-file`. One default differs: `sandbox_fallback` is off, a build is never
silently unisolated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from frazil.errors import UsageError

if TYPE_CHECKING:
    from frazil.fetch.settings import FetchSettings

_ARCHITECTURES = {"i386": "i686", "i486": "i686", "i586": "i686", "arm64": "aarch64"}

_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")


def current_system() -> str:
    """`x86_64-linux`, as the setting `system`."""
    uname = os.uname()
    return f"{_ARCHITECTURES.get(uname.machine, uname.machine)}-{uname.sysname.lower()}"


def default_platforms(system: str) -> frozenset[str]:
    return frozenset({"i686-linux"}) if system == "x86_64-linux" else frozenset()


def default_features() -> frozenset[str]:
    features = {"nixos-test", "benchmark", "big-parallel", "uid-range"}
    return frozenset(features | {"kvm"} if os.access("/dev/kvm", os.R_OK | os.W_OK) else features)


def default_certificates() -> str | None:
    for name in ("NIX_SSL_CERT_FILE", "SSL_CERT_FILE"):
        if os.environ.get(name):
            return os.environ[name]
    return next((path for path in _CERTIFICATES if os.path.exists(path)), None)


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """Times in seconds, sizes in bytes; 0 is no limit. `cores` 0 means all there are."""

    max_jobs: int = 1
    cores: int = 0
    keep_going: bool = False
    keep_failed: bool = False
    fallback: bool = False
    timeout: int = 0
    max_silent_time: int = 0
    max_build_log_size: int = 0
    log_lines: int = 25
    keep_build_log: bool = True
    compress_build_log: bool = True
    log_command: str = "frazil log"
    """How an error says the whole log is shown."""
    print_build_logs: bool = False
    """Whether the reporter shows the lines of builders anyway: an error then repeats none."""
    build_poll_interval: int = 5

    system: str = field(default_factory=current_system)
    extra_platforms: frozenset[str] | None = None
    system_features: frozenset[str] = field(default_factory=default_features)
    experimental_features: frozenset[str] = frozenset()

    sandbox: str = "true"
    sandbox_fallback: bool = False
    sandbox_paths: tuple[str, ...] = ()
    """`TARGET=SOURCE`, `PATH`, each with an optional `?` at its end where the source may be absent."""
    sandbox_shell: str | None = None
    """A static shell for `/bin/sh`; None: find one; empty: none. A target `/bin/sh` in `sandbox_paths` wins."""
    sandbox_build_dir: str = "/build"
    sandbox_dev_shm_size: str = "50%"
    build_dir: str | None = None
    filter_syscalls: bool = True
    allow_new_privileges: bool = False
    impersonate_linux_26: bool = False
    auto_allocate_uids: bool = False
    """Builders of root are users out of a range of ids: see `build_users`."""
    start_id: int = 872415232
    id_count: int = 128 * 65536
    use_cgroups: bool = False
    """Builders in a sandbox have control groups of their own: see `cgroups`."""
    require_drop_supplementary_groups: bool | None = None
    """Whether a builder that cannot be taken its supplementary groups is refused; None: where root runs frazil."""
    impure_env: Mapping[str, str] = field(default_factory=dict)
    allowed_impure_host_deps: tuple[str, ...] = ()
    ssl_cert_file: str | None = field(default_factory=default_certificates)

    pre_build_hook: str = ""
    post_build_hook: str = ""
    configuration: Callable[[], str] | None = None
    """All settings as in `nix.conf`: programs that the hook starts shall have the same."""
    builders: str = ""
    """Other machines that build, or files that list them: see `machines`."""
    external_builders: str = "[]"
    """Programs on this machine that build for other systems, as JSON: see `external`."""
    build_hook: tuple[str, ...] | None = None
    """The program that has them do it; None: our own; empty: none."""
    build_hook_kill_timeout: int = 0
    """Milliseconds that it gets to end by itself before it is killed."""
    history: str | None = None
    """The folder in which is kept how long builds took: see `history`."""
    diff_hook: str = ""
    run_diff_hook: bool = False

    substituters: tuple[str, ...] = ()
    substituters_are_default: bool = False
    """Nobody asked for them: that they cannot be reached is worth few words."""
    substitute: bool = True
    max_substitution_jobs: int = 16
    http_connections: int = 25
    always_allow_substitutes: bool = False
    hashed_mirrors: tuple[str, ...] = ()
    fetch: FetchSettings | None = None
    """For `builtin:fetchurl`: mirrors, netrc, certificates, time limits."""

    def __post_init__(self) -> None:
        if self.sandbox not in ("true", "relaxed", "false"):
            raise UsageError(f"'{self.sandbox}' is not a value of the setting 'sandbox': true, relaxed or false")
        for name in ("max_jobs", "cores", "timeout", "max_silent_time", "max_build_log_size", "log_lines"):
            if getattr(self, name) < 0:
                raise UsageError(f"the setting '{name.replace('_', '-')}' must not be negative")
        if not self.sandbox_build_dir.startswith("/") or self.sandbox_build_dir == "/":
            raise UsageError("the setting 'sandbox-build-dir' must be an absolute path below '/'")

    @property
    def platforms(self) -> frozenset[str]:
        extra = default_platforms(self.system) if self.extra_platforms is None else self.extra_platforms
        return extra | {self.system}

    @property
    def build_cores(self) -> int:
        return self.cores or len(os.sched_getaffinity(0))

    def has_feature(self, name: str) -> bool:
        """Whether an experimental feature is on."""
        return name in self.experimental_features

    def with_(self, **changes: object) -> BuildSettings:
        return replace(self, **changes)  # type: ignore[arg-type]
