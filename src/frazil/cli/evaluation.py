"""What commands that evaluate share: sessions, `--arg`, `-I`, files named on the command line, printing values."""

from __future__ import annotations

import os
import sys

from frazil.cli.base_directory import base_directory
from frazil.errors import Signalled, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from frazil.cli.bar import BarReporter
    from frazil.cli.context import Context
    from frazil.cli.options import Arguments
    from frazil.instantiate.recording import ReadRecorder
    from frazil.instantiate.session import Session
    from frazil.lang.registry import BuiltinSpec
    from frazil.store.local import LocalStore


LARGEST_INPUT = 1 << 30
UNWATCHED_SECONDS = 0.25
WATCHED_ENVIRONMENT = ("NIX_SHOW_STATS", "NIX_COUNT_CALLS")
WATCHED_SETTINGS = (
    "allow-unsafe-native-code-during-evaluation",
    "debugger-on-trace",
    "debugger-on-warn",
    "trace-function-calls",
)
SMALL = 1000
OUTSIDE = ("/", "<", "import", "Import", "fetch", "getFlake", "read", "path", "Path", "File", "Dir", "storeDir")


def byte_string(text: str) -> str:
    """A command-line argument as a string of the language."""
    return os.fsencode(text).decode("latin-1")


def working_directory() -> str:
    """Where relative names begin, a path of the language."""
    return os.fsencode(base_directory()).decode("latin-1")


def make_session(
    context: Context, arguments: Arguments, *, pure: bool, read_only: bool, recorder: ReadRecorder | None = None
) -> Session:
    """`recorder`: who wants to know what is read."""
    from frazil.cli.room_settings import eval_settings
    from frazil.instantiate.session import Session

    settings = eval_settings(
        context.settings,
        pure=pure and not arguments.flag("impure"),
        search_path=arguments.all("include"),
        store_dir=context.store_config.store_dir,
        whole_trace=context.own_layout,
        debugger=arguments.flag("debugger"),
    )
    holder: list[Session] = []
    evaluation = arguments.value("eval-store")
    if evaluation is not None:
        context.evaluate_in(evaluation)

    def open_store() -> LocalStore:
        store = context.open_store() if evaluation is None else context.evaluation_store
        store.repairs = arguments.flag("repair")
        return store

    session = Session(
        context.store_config if evaluation is None else context.evaluation_store.config,
        open_store,
        settings,
        build_settings=lambda: context.build_settings,
        fetch_settings=lambda: context.fetch_settings,
        reporter=context.late_reporter(),
        read_only=read_only,
        extra_builtins=flake_builtins(context),
        search_hooks={"flake": lambda rest: flake_search_entry(context, arguments, holder[0], rest)},
        recorder=recorder,
        open_build_store=None if evaluation is None else context.open_store,
    )
    holder.append(session)
    context.keep(session)
    context.at_close(session.close_connections)
    if context.shows_evaluation and not settings.debugger:
        _watch_if_long(context, session)
    if settings.observed:
        from frazil.cli.observing import observe

        observe(context, session)
    return session


def _watch_if_long(context: Context, session: Session) -> None:
    """Whoever shows what goes on is made when it has gone on for a moment: most evaluations have ended by then."""
    closed: list[bool] = []
    context.at_close(lambda: closed.append(True))

    def wait() -> None:
        from time import sleep

        from frazil.lang.evaluator import SIGNAL_PERIOD

        sleep(max(UNWATCHED_SECONDS - SIGNAL_PERIOD, 0))
        if not closed:
            from frazil.cli.evaluation_progress import watch

            watch(context, session, closed)

    _unwatched.append(wait)


def _begin_to_watch() -> None:
    """Called by the thread that waits for an evaluation, SIGNAL_PERIOD after it began and from then on."""
    import _thread

    while _unwatched:
        try:
            _thread.start_new_thread(_unwatched.pop(), ())
        except RuntimeError:
            pass  # no thread to be had: evaluation goes on unseen


def flake_builtins(context: Context) -> list[BuiltinSpec]:
    """`getFlake` and its kin, of a room that the evaluator's own may not know; imported when first called.

    They are attributes of `builtins` whether or not flakes are on, as in Nix.
    """
    from frazil.lang.registry import BuiltinSpec

    def injected(name: str) -> Callable[[Any, list[Any]], Any]:
        def call(evaluator: Any, arguments: list[Any]) -> Any:
            from frazil.flake.builtins import BUILTINS

            (function,) = (spec.function for spec in BUILTINS if spec.name == name)
            return function(evaluator, arguments)

        return call

    names = ("getFlake", "parseFlakeRef", "flakeRefToString")
    return [BuiltinSpec(name, 1, injected(name)) for name in names]


def flake_search_entry(context: Context, arguments: Arguments, session: Session, rest: str) -> str | None:
    """`flake:REFERENCE` in the search path: the flake's source tree."""
    from frazil.cli.flake_options import parse_reference
    from frazil.flake.tree import trees_of

    trees = trees_of(session)
    reference = parse_reference(context, trees, os.fsdecode(rest.encode("latin-1")))
    return byte_string(trees.fetch(reference, "all").path)


def auto_arguments(session: Session, arguments: Arguments) -> dict[str, Any]:
    """The values of --arg, --argstr, --arg-from-file and --arg-from-stdin; expressions stay lazy."""
    evaluator = session.evaluator
    found: dict[str, Any] = {}
    for key, value in arguments.order:
        if key == "arg":
            name, text = byte_string(value[0]), os.fsencode(value[1])
            found[name] = _later(evaluator, text)
        elif key == "argstr":
            found[byte_string(value[0])] = byte_string(value[1])
        elif key == "arg-from-file":
            found[byte_string(value[0])] = read_input(value[1]).decode("latin-1")
        elif key == "arg-from-stdin":
            found[byte_string(value)] = read_input("-").decode("latin-1")
    return found


def _later(evaluator: Any, text: bytes) -> Any:
    """An expression of the command line: its syntax is checked now, its value is found when looked at."""
    parsed = evaluator.parse_string(text, working_directory())
    return evaluator.lazy(lambda: evaluator.evaluate(parsed))


_read_ahead: list[bytes] = []


def peek_input(context: Context) -> bytes:
    """Standard input, which is then read once more."""
    data = read_input("-")
    _read_ahead.append(data)
    context.at_close(_read_ahead.clear)
    return data


def read_input(path: str) -> bytes:
    """A file, or standard input for `-`."""
    if path == "-" and _read_ahead:
        return _read_ahead.pop()
    if path == "-":
        data = sys.stdin.buffer.read(LARGEST_INPUT + 1)
    else:
        with open(path, "rb") as file:
            data = file.read(LARGEST_INPUT + 1)
    if len(data) > LARGEST_INPUT:
        raise UsageError(f"'{path}' is larger than {LARGEST_INPUT} bytes")
    return data


def file_argument(session: Session, text: str) -> str:
    """A file named on the command line: a path, `<…>`, a URL or `flake:…`. -> an absolute path of the language."""
    name = byte_string(text)
    if ":" in name:
        from frazil.instantiate.uris import is_pseudo_url, resolve_pseudo_url

        if is_pseudo_url(name):
            return session.download_tarball(resolve_pseudo_url(name))
    if name.startswith("flake:"):
        found = session.effects.search_hook("flake", name[len("flake:") :])
        if found is None:
            raise UsageError(f"'{text}' cannot be found")
        return found
    if len(name) > 2 and name.startswith("<") and name.endswith(">"):
        return find_file(session, name[1:-1])
    path = os.path.normpath(os.path.join(os.fsencode(base_directory()), os.fsencode(text)))
    return path.decode("latin-1")


def find_file(session: Session, name: str) -> str:
    """`<name>`; raises the evaluator's own error where it is not found."""
    from frazil.lang.errors import ThrownError

    found = session.effects.find_search_path(name, session.settings.search_path)
    if found is not None:
        return found
    if session.settings.pure:
        raise ThrownError(f"cannot look up '<{name}>' in pure evaluation mode (use '--impure' to override)")
    raise ThrownError(f"file '{name}' was not found in the Nix search path (add it using $NIX_PATH or -I)")


def root_value(session: Session, arguments: Arguments) -> Any:
    """The value of --file or --expr."""
    evaluator = session.evaluator
    file, expression = arguments.value("file"), arguments.value("expr")
    if file is not None and expression is not None:
        raise UsageError("'--file' and '--expr' are exclusive")
    if file == "-":
        return evaluator.eval_string(read_input("-"), working_directory(), "«stdin»".encode().decode("latin-1"))
    if file is not None:
        return evaluator.eval_file(file_argument(session, file))
    return evaluator.eval_string(os.fsencode(expression or ""), working_directory())


progress_bars: list[BarReporter] = []
"""Where a thread shows what an evaluation does."""
_unwatched: list[Callable[[], None]] = []
"""What waits to show an evaluation that goes on for long."""
under_way: list[object] = []
"""What runs `with_deep_stack`: for who shows that evaluation takes long."""


def with_deep_stack(function: Callable[[], Any]) -> Any:
    """Evaluation nests deeply: run it where the stack is large."""
    from frazil.cli.ahead import before_evaluation

    before_evaluation()
    from frazil.lang.evaluator import run_with_deep_stack

    under_way.append(function)
    try:
        return run_with_deep_stack(function, interrupt, _begin_to_watch)
    finally:
        under_way.pop()
        for bar in progress_bars:
            bar.evaluate("")  # whatever comes next has the terminal for itself


def interrupt() -> None:
    """Called while an interruption is handled. Ctrl-C ends the program; in a debugger's conversation what was typed
    there last. Other signals always end the program."""
    error = sys.exc_info()[1]
    debugger = sys.modules.get("frazil.cli.debugger")
    if isinstance(error, Signalled) or debugger is None or not debugger.interrupt():
        raise error if isinstance(error, KeyboardInterrupt) else KeyboardInterrupt


# -- whether earlier answers count -------------------------------------------------------------------------------


def wants_evaluation(context: Context, arguments: Arguments) -> bool:
    """Whether the user wants to see the evaluation itself, or forbids to remember it."""
    from frazil.activity import Verbosity

    settings = context.settings
    if arguments.has("eval-store") or arguments.flag("repair"):
        return True
    if not settings.boolean("eval-cache") or context.verbosity >= Verbosity.CHATTY:
        return True
    if any(os.environ.get(name) for name in WATCHED_ENVIRONMENT):
        return True
    if any(settings.boolean(name) for name in WATCHED_SETTINGS) or settings.text("eval-profiler") != "disabled":
        return True
    return arguments.flag("debugger") or bool(arguments.all("arg-from-stdin")) or bool(arguments.all("override-flake"))


def is_quicker_evaluated(expression: str) -> bool:
    """Whether a text is small and names nothing outside of itself: an answer is found before one is looked up."""
    return len(expression) <= SMALL and not any(word in expression for word in OUTSIDE)


def can_be_remembered(context: Context, arguments: Arguments, file: str | None, expression: str | None) -> bool:
    """Whether it is worth looking for an answer of an earlier run."""
    if wants_evaluation(context, arguments):
        return False
    given_code = arguments.has("arg") or arguments.has("arg-from-file")
    return expression is None or given_code or not is_quicker_evaluated(expression)
