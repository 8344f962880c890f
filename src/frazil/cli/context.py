"""What a running command has: settings, where messages go, and (opened when asked for) store and evaluation session."""

from __future__ import annotations

import os
import sys
from _thread import RLock

from frazil.activity import LateReporter, Verbosity
from frazil.cli.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from frazil.activity import Reporter
    from frazil.build.settings import BuildSettings
    from frazil.build.substituters import Substituters
    from frazil.cli.options import Arguments
    from frazil.cli.reporter import JsonReporter, LineReporter, TeeReporter
    from frazil.errors import FrazilError
    from frazil.fetch.settings import FetchSettings
    from frazil.instantiate.recording import ReadRecorder
    from frazil.instantiate.session import Session
    from frazil.store.config import StoreConfig
    from frazil.store.interface import Store
    from frazil.store.local import LocalStore
    from frazil.store.path import StoreDirectory, StorePath

TREE_TTL_FOREVER = str((1 << 32) - 1)


def require_feature(context: Context, name: str) -> None:
    """Raises FrazilError where an experimental feature is off."""
    if name not in context.settings.features:
        from frazil.errors import FrazilError

        raise FrazilError(
            f"experimental Nix feature '{name}' is disabled; add '--extra-experimental-features {name}' to enable it"
        )


def _directory() -> str:
    """What places in messages are relative to."""
    from frazil.cli.base_directory import base_directory

    try:
        return base_directory()
    except OSError:
        return "/"


def _has_colours(stream: int) -> bool:
    if "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb":
        return bool(os.environ.get("CLICOLOR_FORCE") or os.environ.get("FORCE_COLOR"))
    return os.isatty(stream) or bool(os.environ.get("CLICOLOR_FORCE"))


class Left(BaseException):
    """The user left a debugger that stopped without an error: the program ends, and nothing is wrong."""


_LINES_AT_ONCE = 500


class Context:
    """One invocation. Everything expensive is made on first use."""

    def __init__(self, program: str, *, legacy: bool) -> None:
        self.program = program
        self.legacy = legacy
        # On a terminal a progress bar says what goes on.
        self.verbosity = int(Verbosity.INFO if legacy or not os.isatty(2) else Verbosity.NOTICE)
        self.debug = bool(os.environ.get("FRAZIL_DEBUG"))
        self.early_warnings: list[str] = []
        self.settings = Settings(os.environ, self.warn)
        self.log_format: str | None = None
        self.build_logs = legacy
        self.read_only = False
        self.no_gc_warning = False
        self.offline = self.refresh = False
        self.shows_evaluation = True
        self._reporter: LineReporter | JsonReporter | TeeReporter | None = None
        self._making_reporter = RLock()
        self._served: Reporter | None = None
        self._ready = False
        self._store_config: StoreConfig | None = None
        self._store: LocalStore | None = None
        self._any_store: Store | None = None
        self._evaluation_store: LocalStore | None = None
        self._others: list[Store] = []
        self._substituters: Substituters | None = None
        self._session: Session | None = None
        self._kept: list[object] = []
        self._closing: list[Callable[[], None]] = []
        self.printed: list[bytes] | None = None
        """Where a list, what is printed is added to it."""
        self.built: dict[StorePath, dict[str, StorePath]] = {}
        """Derivation -> the outputs of its build: those of an impure one are recorded nowhere else."""
        self.found: dict[StorePath, dict[str, StorePath]] = {}
        """Derivation -> all its outputs, where they are known to be in the store without asking it."""

    # -- messages ----------------------------------------------------------------------------------------------

    @property
    def colours(self) -> bool:
        """On standard error."""
        return _has_colours(2)

    @property
    def output_colours(self) -> bool:
        """On standard output. `nix search` has them in a pipe, too."""
        return _has_colours(1)

    @property
    def reporter(self) -> LineReporter | JsonReporter | TeeReporter:
        if self._reporter is None:
            # Two may want it for the first time: evaluation, and who shows that it takes long.
            with self._making_reporter:
                if self._reporter is None:
                    self._reporter = self._make_reporter()
        return self._reporter

    def _make_reporter(self) -> LineReporter | JsonReporter | TeeReporter:
        from frazil.cli.reporter import make_reporter

        return make_reporter(
            self.log_format or ("raw" if self.legacy else "bar"),
            self.verbosity,
            build_logs=self.build_logs,
            colours=self.colours,
            json_log=self.settings.optional("json-log-path"),
        )

    def use_reporter(self, reporter: Reporter) -> None:
        """Messages go there from here on. For what serves others: before anything has been said or opened."""
        self._served = reporter
        self._ready = True

    def late_reporter(self) -> Reporter:
        """The same; what only says something if something happens need not exist before."""
        if self.log_format or self.settings.optional("json-log-path"):
            return self.reporter
        return LateReporter(lambda: self.reporter, lambda: self.verbosity)

    def silence(self) -> None:
        """No messages from here on."""
        from frazil.cli.reporter import LineReporter

        self._reporter = LineReporter(self.verbosity, write=lambda _: None)

    def warn(self, text: str) -> None:
        if self._ready:
            (self._served or self.reporter).log(Verbosity.WARN, text)
        else:
            self.early_warnings.append(text)

    def note(self, text: str, level: Verbosity = Verbosity.INFO) -> None:
        (self._served or self.reporter).log(level, text)

    def apply_globals(self, arguments: Arguments) -> None:
        """Verbosity, log format, offline: the options every command has."""
        self.settings.apply_gated()
        self.verbosity += len(arguments.all("verbose")) - len(arguments.all("quiet"))
        if arguments.flag("debug"):
            self.verbosity, self.debug = int(Verbosity.DEBUG), True
        self.verbosity = max(0, min(self.verbosity, int(Verbosity.VOMIT)))
        self.log_format = arguments.value("log-format", self.log_format)
        if arguments.flag("print-build-logs"):
            self.build_logs = True
        if arguments.flag("no-build-output"):
            self.build_logs = False
        self.no_gc_warning = arguments.flag("no-gc-warning")
        if arguments.flag("readonly-mode"):
            self.read_only = True
        self.offline, self.refresh = arguments.flag("offline"), arguments.flag("refresh")
        if self.offline:
            self._default("substitute", "false")
            self._default("tarball-ttl", TREE_TTL_FOREVER)
        if self.refresh:
            for name in ("tarball-ttl", *(f"narinfo-cache-{kind}-ttl" for kind in ("negative", "positive", "meta"))):
                self._default(name, "0")
        if "blake3-hashes" in self.settings.features:
            from frazil.digest import allow_blake3

            allow_blake3()
        self._ready = True
        for text in self.early_warnings:
            self.warn(text)
        self.early_warnings.clear()
        self.settings.warn_unknown()
        self._say_what_is_ignored()

    def _say_what_is_ignored(self) -> None:
        """Settings of parts that frazil does not have: a warning where the command line asks for one."""
        from frazil.cli.settings_table import WITHOUT_EFFECT

        for name in self.settings.changed(WITHOUT_EFFECT):
            reason, always = WITHOUT_EFFECT[name]
            level = Verbosity.WARN if always or self.settings.from_command_line(name) else Verbosity.TALKATIVE
            if level <= self.verbosity:
                self.note(f"the setting '{name}' has no effect: {reason}", level)

    def _default(self, name: str, value: str) -> None:
        if name not in self.settings.overridden:
            self.settings.set(name, value)

    def show_error(self, error: FrazilError, *, show_trace: bool | None = None, level: str = "error") -> str:
        """One screen; in Nix's own layout with --show-trace, for other programs, and where we are called `nix`."""
        wanted = self.settings.boolean("show-trace") if show_trace is None else show_trace
        if wanted or self.own_layout is False:
            from frazil.cli.display import show_error

            colours = self.colours or self.log_format == "internal-json"
            hints = self.program == "frazil"
            return show_error(error, show_trace=wanted, colours=colours, level=level, hints=hints)
        from frazil.cli.error_layout import lay_out, view_for

        width = os.get_terminal_size(2).columns if os.isatty(2) else 120
        try:
            return lay_out(error, view_for(error, _directory(), width=width or 80, colours=self.colours), level=level)
        except Exception:
            # A mistake in how it is shown must not hide what is to be shown.
            if self.debug:
                raise
            from frazil.cli.display import show_error

            return show_error(error, colours=self.colours, level=level)

    @property
    def own_layout(self) -> bool:
        """Whether errors are shown in frazil's layout, which needs all of the trace."""
        return self.program == "frazil" and self.log_format != "internal-json"

    # -- output ------------------------------------------------------------------------------------------------

    def print(self, text: str = "", end: str = "\n") -> None:
        """Text to standard output (ordinary `str`)."""
        self.print_bytes((text + end).encode("utf-8", "surrogateescape"))

    def print_lines(self, lines: Iterable[str]) -> None:
        """Hundreds at a time; those before an error are printed, too."""
        waiting: list[str] = []
        try:
            for line in lines:
                waiting.append(line)
                if len(waiting) == _LINES_AT_ONCE:
                    shown, waiting = waiting, []
                    self.print("\n".join(shown))
        finally:
            if waiting:
                self.print("\n".join(waiting))

    def print_byte_string(self, text: str, end: str = "\n") -> None:
        """A string of the language (one byte a character)."""
        self.print_bytes((text + end).encode("latin-1"))

    def print_bytes(self, data: bytes) -> None:
        if self.printed is not None:
            self.printed.append(data)
        make_room = getattr(self._reporter, "make_room", None)
        if make_room is not None and os.isatty(1):
            make_room()
        rest = data
        while rest:
            # Python writes without a buffer where PYTHONUNBUFFERED asks for it: then a part may be all that is written.
            rest = rest[sys.stdout.buffer.write(rest) or 0 :]

    def print_archive(self, place: str) -> None:
        """Of a file tree: to standard output itself, past Python, where nobody else wants to see it."""
        from frazil.store.nar import dump_path, dump_to

        out = sys.__stdout__
        if self.printed is not None or os.isatty(1) or out is None or sys.stdout is not out:
            dump_path(place, self.print_bytes)
        else:
            self.flush()
            dump_to(place, out.fileno())

    def flush(self) -> None:
        sys.stdout.flush()

    def at_close(self, function: Callable[[], None]) -> None:
        """To be called when the command has ended."""
        self._closing.append(function)

    def close(self) -> None:
        while self._closing:
            self._closing.pop()()
        store, self._store = self._store, None
        if store is not None:
            store.close()
        self._any_store = None
        while self._others:
            self._others.pop().close()
        if self._reporter is not None:
            self._reporter.finish()

    # -- rooms -------------------------------------------------------------------------------------------------

    def keep(self, thing: object) -> None:
        """Lets something live until the process ends, so that it is never taken apart."""
        self._kept.append(thing)

    @property
    def store_address(self) -> str:
        """What `--store`, the setting or the environment says."""
        return self.settings.values.get("store") or self.settings.environment.get("NIX_REMOTE") or "auto"

    @property
    def store_is_cache(self) -> bool:
        """Whether it is one that nothing can be built or evaluated in."""
        address = self.store_address
        if address.partition("?")[0] in ("", "auto", "local", "daemon"):
            return False
        from frazil.store.opening import is_cache

        return is_cache(address)

    @property
    def store_config(self) -> StoreConfig:
        if self._store_config is None:
            from frazil.store.config import StoreConfig

            if self.store_is_cache:
                self._store_config = StoreConfig.computing(self.any_store.directory.path, self.settings.environment)
            else:
                self._store_config = StoreConfig.from_uri(self.store_address, self.settings.environment)
            for name in self._store_config.unknown_parameters:
                self.warn(f"unknown store setting '{name}'")
        return self._store_config

    def open_store(self) -> LocalStore:
        """The store in which things are evaluated and built, opened once and closed at the end. Where `--store` names
        a binary cache, that is one that hands on to it what is put into it."""
        if self._store is None:
            from frazil.cli.room_settings import store_settings
            from frazil.store.local import LocalStore

            if self.store_is_cache:
                from frazil.store.forwarding import ForwardingStore

                self._store = ForwardingStore(self.store_config, self.any_store, self.store_address)
                return self._store
            if self.store_config.read_only and not self.store_config.is_dummy:
                require_feature(self, "read-only-local-store")
            if self.store_config.asks_for_roots:
                require_feature(self, "local-overlay-store")
            reporter = self._served or self.reporter
            if self.store_config.scheme == "local":
                self._store = LocalStore(self.store_config, store_settings(self.settings), reporter)
            else:
                self._store = self._open_foreign(reporter)
            self._store.evaluation = self._evaluation_store
        return self._store

    def evaluate_in(self, address: str) -> None:
        """`--eval-store`: derivations and sources go there."""
        from frazil.store.local import LocalStore

        if self._evaluation_store is None:
            store = self.open_address(address)
            if not isinstance(store, LocalStore):
                store.unsupported("evaluation")
            self._evaluation_store = store
            if self._store is not None:
                self._store.evaluation = store

    @property
    def evaluation_store(self) -> LocalStore:
        assert self._evaluation_store is not None
        return self._evaluation_store

    def _open_foreign(self, reporter: Reporter) -> LocalStore:
        """One that others look after: a daemon, another machine."""
        from frazil.cli.room_settings import foreign_store_settings
        from frazil.store.local import LocalStore
        from frazil.store.opening import open_store

        address = self.store_address
        if address == "auto":
            address = "daemon"
        if self.store_config.scheme == "local-overlay":
            require_feature(self, "local-overlay-store")
        settings = foreign_store_settings(self.settings, self.verbosity)
        store = open_store(address, settings, reporter, self.settings.environment)
        assert isinstance(store, LocalStore)
        return store

    @property
    def store(self) -> LocalStore:
        return self.open_store()

    @property
    def any_store(self) -> Store:
        """What `--store` names, of whatever kind; for commands that only ask, or copy."""
        if self._any_store is None:
            self._any_store = self.open_address(self.store_address) if self.store_is_cache else self.store
        return self._any_store

    def read_from(self, address: str) -> None:
        """`--from`: paths are looked up in another store than the one of `--store`."""
        self._any_store = self.open_address(address)

    def open_address(self, address: str) -> Store:
        """Another store, closed at the end."""
        from frazil.cli.room_settings import foreign_store_settings
        from frazil.store.opening import open_store

        settings = foreign_store_settings(self.settings, self.verbosity)
        store = open_store(address, settings, self.reporter, self.settings.environment)
        self._others.append(store)
        return store

    @property
    def substituters(self) -> Substituters:
        """Who is asked before anything is built; opened when something is missing."""
        if self._substituters is None:
            from frazil.build.substituters import Substituters

            self._substituters = Substituters(
                self.build_settings, self.store.settings, self.reporter, self.settings.environment
            )
            self.at_close(self._substituters.close)
        return self._substituters

    def forget_substituters(self) -> None:
        """The settings that name them have changed."""
        self._substituters = None

    @property
    def directory(self) -> StoreDirectory:
        """The store's place, known without opening it."""
        from frazil.store.path import StoreDirectory

        return StoreDirectory(self.store_config.store_dir)

    @property
    def build_settings(self) -> BuildSettings:
        from frazil.cli.room_settings import build_settings

        shown = self.log_format or ""  # whoever reads records has seen the lines, too
        seen = self.build_logs or shown == "internal-json" or shown.endswith("-with-logs")
        settings = build_settings(self.settings, print_build_logs=seen)
        log_command = f"{self.program} log"
        if self.legacy:
            log_command = "nix log" if settings.has_feature("nix-command") else "nix-store -l"
        changes: dict[str, object] = {"fetch": self.fetch_settings, "log_command": log_command}
        features = self.store_config.parameters.get("system-features")
        if features is not None:
            changes["system_features"] = frozenset(features.split())
        return settings.with_(**changes)

    @property
    def fetch_settings(self) -> FetchSettings:
        from frazil.cli.room_settings import fetch_settings

        return fetch_settings(self.settings, offline=self.offline, refresh=self.refresh)

    def session(
        self,
        arguments: Arguments,
        *,
        pure: bool = True,
        read_only: bool = False,
        recorder: ReadRecorder | None = None,
    ) -> Session:
        """The invocation's evaluation session, made once. `arguments` gives `-I`, `--impure`.

        `pure`: as flakes are evaluated unless `--impure` is given.
        """
        if self._session is None:
            from frazil.cli.evaluation import make_session

            self._session = make_session(
                self, arguments, pure=pure, read_only=read_only or self.read_only, recorder=recorder
            )
        return self._session
