"""`cache …`: filling a binary cache, by hand or as things are built. frazil's own commands."""

from __future__ import annotations

import time

from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.store_paths import STORE_PATHS, store_paths
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from frazil.store.interface import Store
    from frazil.store.path import StorePath


def push(context: Context, arguments: Arguments) -> None:
    target = _target(context, arguments)
    paths = store_paths(context, arguments, build=True)
    context.store.flush()
    count = _push(context, arguments, target, paths)
    context.note(f"{count} paths pushed to '{target.uri}'")


def _target(context: Context, arguments: Arguments) -> Store:
    address = arguments.value("to")
    if not address:
        raise UsageError("required argument '--to' is missing")
    return context.open_address(address).open()


def _push(context: Context, arguments: Arguments, target: Store, paths: Iterable[StorePath]) -> int:
    """How many paths the target lacked."""
    from frazil.store.copying import copy_paths

    store = context.store
    closure = store.closure(paths)
    if arguments.flag("skip-substitutable"):
        closure -= _elsewhere(context, target, closure)
    count = copy_paths(store, target, closure, context.reporter, check_signatures=False)
    if arguments.flag("logs"):
        _push_logs(store, target, closure)
    return count


def _elsewhere(context: Context, target: Store, closure: set[StorePath]) -> set[StorePath]:
    """Paths that whoever uses the target gets from other caches: with all they need, so that none is left alone."""
    own = target.uri.rstrip("/")
    missing = closure - target.valid_among(closure)
    found: set[StorePath] = set()
    for other in context.substituters.stores:
        if other.uri.rstrip("/") == own:
            continue
        try:
            found |= other.valid_among(missing - found)
        except FrazilError as error:
            context.warn(error.message)
    # A cache that is a store of files wants all that a path refers to.
    needed = context.store.closure(missing - found)
    return found - needed


def _push_logs(store: Store, target: Store, closure: set[StorePath]) -> None:
    for derivation in sorted({info.deriver for info in store.query_infos(closure) if info.deriver is not None}):
        log = store.exact_log(derivation)
        if log is not None and target.exact_log(derivation) is None:
            target.add_build_log(derivation, log)


# -- watching ------------------------------------------------------------------------------------------------------


def watch(context: Context, arguments: Arguments) -> int | None:
    """Until the program ends that was given, else until interrupted."""
    target = _target(context, arguments)
    interval = _seconds(arguments)
    watcher = _Watcher(context, arguments, target)
    if not arguments.positional:
        context.note(f"pushing what is built from now on to '{target.uri}'; end with Ctrl-C")
        while True:
            time.sleep(interval)
            watcher.look()
    import subprocess

    try:
        process = subprocess.Popen(arguments.positional)
    except OSError as error:
        raise FrazilError(f"cannot run '{arguments.positional[0]}': {error.strerror}") from error
    with process:
        try:
            while True:
                try:
                    process.wait(interval)
                    break
                except subprocess.TimeoutExpired:
                    watcher.look()
        except BaseException:
            process.terminate()
            raise
    watcher.look()
    context.note(f"{watcher.count} paths pushed to '{target.uri}'")
    if watcher.failed and not process.returncode:
        return 1
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _seconds(arguments: Arguments) -> float:
    text = arguments.value("interval", "2") or "2"
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 86400:
        raise UsageError(f"'--interval' is a number of seconds, not '{text}'")
    return seconds


class _Watcher:
    """Pushes what has become valid since the last look. What fails is tried again at the next one."""

    def __init__(self, context: Context, arguments: Arguments, target: Store) -> None:
        self.context, self.arguments, self.target = context, arguments, target
        self.known = set(context.store.query_all_valid())
        self.count = 0
        self.failed = False

    def look(self) -> None:
        store = self.context.store
        valid = store.query_all_valid()
        fresh = {path for path in valid - self.known if not path.is_derivation}
        infos = [info for info in store.find_infos(fresh) if info is not None]
        built = [info.path for info in infos if info.deriver is not None]
        try:
            if built:
                self.count += _push(self.context, self.arguments, self.target, built)
            self.failed = False
            self.known = valid
        except FrazilError as error:
            if not self.failed:
                self.context.warn(f"cannot push to '{self.target.uri}': {error.message}")
            self.failed = True


TARGET = (
    Option("--to", "The cache, as a store address: file:///DIRECTORY, https://HOST/PATH, s3://BUCKET, …", "store-uri"),
    Option("--logs", "Push the logs of builds, too."),
    Option("--skip-substitutable", "Leave out what the configured substituters have already."),
)

COMMANDS = {
    "cache push": Command(
        push,
        "build installables and push them, with all they need, to a binary cache",
        STORE_PATHS,
        TARGET,
        positional="installables…",
        at_most=None,
        examples=[
            (
                "A package into a folder, signed",
                "frazil cache push --to 'file:///srv/cache?compression=zstd&secret-key=/etc/nix/cache.key' .#hello",
            )
        ],
    ),
    "cache watch": Command(
        watch,
        "push to a binary cache whatever is built meanwhile",
        TARGET,
        (Option("--interval", "Seconds between looks (default: 2).", "seconds"),),
        positional="program arguments…",
        at_most=None,
        examples=[
            ("Everything that a program builds", "frazil cache watch --to https://cache.example.org -- ./ci.sh"),
            ("Everything, until interrupted", "frazil cache watch --to file:///srv/cache"),
        ],
    ),
}
