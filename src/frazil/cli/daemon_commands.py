"""`daemon` and `nix-daemon`: serving the store to others. Source: the manual pages of both."""

from __future__ import annotations

import os
import sys

from frazil.cli.context import Context, require_feature
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frazil.activity import Reporter
    from frazil.build.settings import BuildSettings
    from frazil.build.substituters import Substituters
    from frazil.daemon.host import ClientOptions, MissingPaths
    from frazil.store.derived_path import DerivedPath
    from frazil.store.local import LocalStore

_ANYBODY = frozenset({"timeout", "max-silent-time", "build-poll-interval", "connect-timeout"})
"""Settings that every client may choose."""
_NEVER = frozenset({"ssh-auth-sock", "experimental-features", "extra-experimental-features", "plugin-files", "store"})
_SUBSTITUTERS = frozenset({"substituters", "extra-substituters"})


class SettingsHost:
    """The program's settings, changed by one client. For one connection: nothing is given back at its end."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.store: LocalStore | None = None

    @property
    def nix_version(self) -> str:
        from frazil.cli.program import NIX_VERSION

        return NIX_VERSION

    def open(self, reporter: Reporter) -> LocalStore:
        self.context.use_reporter(reporter)
        self.context.build_logs = False  # errors then repeat the last lines of logs
        self.store = self.context.store
        return self.store

    @property
    def build_settings(self) -> BuildSettings:
        return self.context.build_settings

    def substituters(self) -> Substituters | None:
        return self.context.substituters

    def missing(self, targets: Sequence[DerivedPath]) -> MissingPaths:
        from frazil.build.missing import query_missing
        from frazil.daemon.host import MissingPaths

        assert self.store is not None
        missing = query_missing(self.store, targets, self.context.substituters)
        return MissingPaths(
            frozenset(missing.will_build),
            frozenset(missing.will_substitute),
            frozenset(missing.unknown),
            missing.download_size,
            missing.nar_size,
        )

    def apply(self, options: ClientOptions, *, trusted: bool, warn: Callable[[str], None]) -> None:
        settings = self.context.settings
        own = {
            "keep-failed": _flag(options.keep_failed),
            "keep-going": _flag(options.keep_going),
            "fallback": _flag(options.fallback),
            "max-jobs": str(options.max_jobs),
            "max-silent-time": str(options.max_silent_time),
            "cores": str(options.cores),
            "substitute": _flag(options.substitute),
        }
        for name, value in own.items():
            settings.set(name, value)
        for name, value in options.overrides.items():
            try:
                self._override(name, value, trusted, warn)
            except UsageError as error:
                warn(error.message)
        self._renew()

    def _override(self, name: str, value: str, trusted: bool, warn: Callable[[str], None]) -> None:
        from frazil.cli.settings_table import ALIASES

        settings = self.context.settings
        plain = ALIASES.get(name, name)
        if plain == "plugin-files":
            warn(
                "Ignoring the client-specified plugin-files.\n"
                "The client specifying plugins to the daemon never made sense, and was removed in Nix >=2.14."
            )
        elif plain in _NEVER:
            return
        elif trusted or plain in _ANYBODY or (plain == "builders" and not value):
            settings.set(name, value)
        elif plain in _SUBSTITUTERS:
            settings.set("substituters", " ".join(self._trusted_caches(value, warn)))
        else:
            warn(
                f"ignoring the client-specified setting '{name}', because it is a restricted setting and you are not "
                "a trusted user"
            )

    def _trusted_caches(self, value: str, warn: Callable[[str], None]) -> list[str]:
        settings = self.context.settings
        known = {*settings.words("trusted-substituters"), *settings.words("substituters")}
        chosen = []
        for address in value.split():
            if address in known or address.rstrip("/") in {other.rstrip("/") for other in known}:
                chosen.append(address)
            else:
                warn(
                    f"ignoring untrusted substituter '{address}', you are not a trusted user.\n"
                    "Run `man nix.conf` for more information on the `substituters` configuration option."
                )
        return chosen

    def _renew(self) -> None:
        """Lets the open store follow the settings."""
        from frazil.cli.room_settings import store_settings

        self.context.forget_substituters()
        if self.store is not None:
            self.store.settings = self.store.config.apply(store_settings(self.context.settings))


def _flag(value: bool) -> str:
    return "true" if value else "false"


# -- the commands --------------------------------------------------------------------------------------------------


def run_daemon(context: Context, arguments: Arguments) -> int:
    forced = _forced_trust(context, arguments)
    path = arguments.value("socket-path")
    if arguments.flag("stdio"):
        if path is not None:
            raise UsageError("'--socket-path' and '--stdio' exclude each other")
        if arguments.flag("process-ops"):
            require_feature(context, "mounted-ssh-store")
        return _serve_standard_streams(context, forced)
    return _listen(context, forced, path)


def _forced_trust(context: Context, arguments: Arguments) -> bool | None:
    forced: bool | None = None
    for key, _ in arguments.order:
        if key in ("force-trusted", "force-untrusted", "default-trust"):
            require_feature(context, "daemon-trust-override")
            forced = {"force-trusted": True, "force-untrusted": False}.get(key)
    return forced


def _serve_standard_streams(context: Context, forced: bool | None) -> int:
    """Whoever can start us may do what we may: a pipe does not tell who is at its other end."""
    _serve(context, 0, 1, trusted=forced is not False)
    return 0


def _serve(context: Context, incoming: int, outgoing: int, *, trusted: bool) -> None:
    from frazil.daemon.server import Server
    from frazil.protocol.wire import Input, Output

    Server(Input(incoming), Output(outgoing), SettingsHost(context), trusted=trusted).run()


def socket_path(context: Context) -> str:
    """Where the daemon of this store listens."""
    return os.environ.get("NIX_DAEMON_SOCKET_PATH") or f"{context.store_config.state_dir}/daemon-socket/socket"


def _listen(context: Context, forced: bool | None, path: str | None) -> int:
    from frazil.daemon.listen import Access, Daemon, activated, bind

    settings = context.settings
    access = Access(
        settings.words("trusted-users"), settings.words("allowed-users"), settings.text("build-users-group"), forced
    )
    load_what_clients_need()
    if settings.boolean("use-cgroups") and "cgroups" in settings.features:
        from frazil.build.cgroups import move_daemon

        move_daemon()
    servers = activated() or [bind(os.path.abspath(path or socket_path(context)))]
    os.chdir("/")

    def serve(descriptor: int, trusted: bool) -> None:
        _serve(context, descriptor, descriptor, trusted=trusted)
        context.close()

    Daemon(servers, access, serve, lambda text: _log(context, text)).run()
    return 0


def _log(context: Context, text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def load_what_clients_need() -> None:
    """Before there are any, so that each process finds it loaded, and none looks at it again for what is garbage:
    pages that nobody writes to are shared and cost nothing."""
    import gc
    import mmap  # noqa: F401

    import frazil.build.scheduler
    import frazil.build.worker
    import frazil.cli.room_settings
    import frazil.daemon.server
    import frazil.store.adding
    import frazil.store.database
    import frazil.store.layout
    import frazil.store.local  # noqa: F401

    gc.collect()
    gc.freeze()


def run_roots_daemon(context: Context, arguments: Arguments) -> int:
    from frazil.daemon.listen import activated, bind
    from frazil.daemon.roots_daemon import run
    from frazil.store.roots import ROOTS_SOCKET

    require_feature(context, "local-overlay-store")
    config = context.store_config
    if config.scheme != "local" or config.is_dummy or context.store_is_cache:
        raise UsageError(f"Roots daemon only functions with a local store, not '{context.store_address}'")
    servers = activated() or [bind(f"{config.state_dir}/{ROOTS_SOCKET}")]
    os.chdir("/")
    run(config, servers, lambda text: _log(context, text))
    return 0


OPTIONS = (
    Option("--stdio", "Serve whoever is at the other end of standard input and output."),
    Option("--force-trusted", "Trust every client."),
    Option("--force-untrusted", "Trust no client."),
    Option("--default-trust", "Decide by the settings `trusted-users` and `allowed-users`."),
    Option("--process-ops", "Serve requests here, even where another daemon could."),
)

COMMANDS = {
    "daemon": Command(
        run_daemon,
        "serve this store to other users and machines",
        OPTIONS,
        (Option("--socket-path", "Listen at *path*.", "path"),),
        examples=[
            ("Serve the store to all users of this machine", "frazil daemon"),
            ("Serve one client, as `ssh-ng://` does", "frazil daemon --stdio"),
        ],
    ),
    "store roots-daemon": Command(
        run_roots_daemon,
        "serve which store paths running processes use",
        examples=[("For collectors that may not look at all processes", "frazil store roots-daemon")],
    ),
}

PROGRAMS = {
    "nix-daemon": Command(
        run_daemon,
        "serve the store to other users and machines",
        OPTIONS,
        (Option("--daemon", "No longer means anything.", hidden=True),),
        experimental=None,
        examples=[("Serve the store to all users of this machine", "nix-daemon")],
    )
}
