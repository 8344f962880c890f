"""Which command was meant, running it, and what the process ends with.

Exit status: the command's own; 1 for an error (a FrazilError may say otherwise, e.g. 100, 102 for failed builds);
128 and the signal's number when interrupted (130 for Ctrl-C). Never a traceback.
"""

from __future__ import annotations

import _thread
import os
import sys

from frazil import load_ahead
from frazil.cli.base_directory import set_base_directory
from frazil.cli.commands import ALIASES, DELEGATED, PROGRAMS, TABLE
from frazil.cli.common_options import EVALUATION, GLOBAL, LEGACY_GLOBAL
from frazil.cli.context import Context, Left, require_feature
from frazil.cli.options import Arguments, Command, Option, OptionParser
from frazil.cli.settings import kind_of
from frazil.errors import FrazilBug, FrazilError, Signalled, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NIX_VERSION = "2.36.0"
SIGNALLED = 128
"""Added to the number of the signal that ended us."""
INTERRUPTED = SIGNALLED + 2


def run(argv: list[str] | None = None) -> int:
    """The whole program. `argv` defaults to the process's."""
    words = sys.argv if argv is None else argv
    name = os.path.basename(words[0]) if words else "frazil"
    legacy = name in PROGRAMS
    if not legacy and name != "nix":
        name = "frazil"
    context = Context(name, legacy=legacy)
    status = _guarded(context, words[1:])
    if status < SIGNALLED or _thread._count() == 0:
        # An interrupted evaluation may still run in its thread; what it has of the store ends with the process.
        return _closed(context, status)
    return status


def _closed(context: Context, status: int) -> int:
    """What was put off is done now, and may fail, too."""
    try:
        context.close()
        return status
    except FrazilError as error:
        return status or _failed(context, _error_text(context, error), error.exit_status, error)
    except OSError as error:
        return status or _failed(context, _system_error_text(error), 1)


def _guarded(context: Context, words: list[str]) -> int:
    """Runs it and says what went wrong; what ends even the saying is not said at length."""
    try:
        return _answered(context, words)
    except BrokenPipeError:
        return 1
    except Signalled as error:
        return _cut_short("interrupted by a signal", SIGNALLED + error.number)
    except KeyboardInterrupt:
        return _cut_short("interrupted by the user", INTERRUPTED)
    except (MemoryError, RecursionError):
        return _cut_short("out of memory while showing an error", 1)


def _cut_short(what: str, status: int) -> int:
    try:
        os.write(2, f"error: {what}\n".encode())
    except OSError:
        pass  # nobody is there to read it
    return status


def _answered(context: Context, words: list[str]) -> int:
    try:
        set_base_directory(None)
        context.settings.load()
        status = run_program(context, words) if context.legacy else run_command(context, words)
        context.flush()
        return status
    except BrokenPipeError:
        # Whoever read our output has left; Python must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except Left:
        return 0
    except Signalled as error:
        return _failed(context, "error: interrupted by a signal", SIGNALLED + error.number)
    except KeyboardInterrupt:
        return _failed(context, "error: interrupted by the user", INTERRUPTED)
    except FrazilBug as error:
        return _bug(context, error)
    except FrazilError as error:
        return _failed(context, _error_text(context, error), error.exit_status, error)
    except MemoryError:
        return _failed(context, "error: out of memory", 1)
    except OSError as error:
        return _failed(context, _system_error_text(error), 1)
    except Exception as error:
        return _bug(context, error)


def _failed(context: Context, text: str, status: int, error: FrazilError | None = None) -> int:
    from frazil.cli.reporter import JsonReporter, LineReporter, TeeReporter, write_stderr

    try:
        context.flush()
    except (OSError, ValueError):
        pass  # what could not be written is why we are here, or does not matter any more
    reporter: LineReporter | JsonReporter | TeeReporter | None = None
    try:
        reporter = context.reporter
        reporter.finish()
    except FrazilError:
        pass
    if isinstance(reporter, TeeReporter):
        reporter = reporter.shown
    if isinstance(reporter, JsonReporter):
        reporter.error(text, error, show_trace=context.settings.boolean("show-trace"))
    else:
        write_stderr(text + "\n")
    return status


def _error_text(context: Context, error: FrazilError) -> str:
    from frazil.cli.display import help_notice

    return context.show_error(error) + help_notice(error, context.program)


def _system_error_text(error: OSError) -> str:
    import errno

    if error.errno == errno.ENOENT and error.filename is None and not _folder_exists():
        return "error: the current folder does not exist any more\n\n       hint: go to another one: cd"
    what = f" '{os.fsdecode(error.filename)}'" if error.filename is not None else ""
    hint = ""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        hint = "\n\n       hint: free some space, for example with 'frazil store gc'"
    return f"error: {error.strerror or error}{':' if what else ''}{what}{hint}"


def _folder_exists() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _bug(context: Context, error: BaseException) -> int:
    from frazil.cli.display import show_bug

    return _failed(context, show_bug(error, trace=context.debug), 1)


# -- the new command line ----------------------------------------------------------------------------------------


def run_command(context: Context, words: list[str]) -> int:
    if words and "/" in words[0]:
        from frazil.cli.shebang import expand_script

        words, folder = expand_script(words)
        set_base_directory(folder)
    asked = os.environ.pop("NIX_GET_COMPLETIONS", "")
    if asked.isdigit() and 0 < int(asked) <= len(words) + 1:
        from frazil.cli.completion import print_completions

        return print_completions(context, words, int(asked))
    leading, rest = _parser(context, [GLOBAL]).parse(words, stop_at_positional=True)
    for key in ("print-build-logs", "offline", "refresh"):
        if leading.flag(key):
            require_feature(context, "nix-command")
    if not rest:
        if leading.flag("version"):
            return print_version(context, leading)
        return _help(context, [], explicit=leading.flag("help"))
    if rest[0] == "__dump-cli":
        return _dump_cli(context)
    if rest[0] == "__build-remote":
        from frazil.cli.build_remote import run_hook

        return run_hook(context, rest[1:])
    if rest[0] == "__recursive":
        from frazil.cli.recursive_daemon import run_recursive

        return run_recursive(context, rest[1:])
    found, rest = _find_command(context, leading, rest)
    if leading.flag("help") or isinstance(found, list):
        return _help(context, found if isinstance(found, list) else found[0].split(), explicit=leading.flag("help"))
    name, command = found
    return _run_found(context, name, command, leading, rest)


def _dump_cli(context: Context) -> int:
    """`__dump-cli`: all commands and options as JSON, for programs that complete or check command lines."""
    from frazil.cli.help import dump_cli

    context.print(dump_cli())
    return 0


def _find_command(
    context: Context, leading: Arguments, rest: list[str]
) -> tuple[tuple[str, Command] | list[str], list[str]]:
    """-> ((name, command), its words), or (the words of a group that lacks its subcommand, [])."""
    from frazil.cli.commands import groups, rows

    first, rest = rest[0], rest[1:]
    alias = ALIASES.get(first)
    if alias is not None and alias[0] in TABLE:
        words = alias[0].split()
        if alias[1]:
            context.warn(f"'{first}' is a deprecated alias for '{' '.join(words)}'")
        return (alias[0], load_command(alias[0])), rest
    known = rows([first])
    if first in known:
        return (first, load_command(first)), rest
    if first not in groups():
        raise _not_a_command(first, [n.partition(" ")[0] for n in (*TABLE, *DELEGATED, *ALIASES)])
    between, rest = _parser(context, [GLOBAL]).parse(rest, stop_at_positional=True)
    _merge(leading, between)
    if not rest:
        return [first], []
    name = f"{first} {rest[0]}"
    if name not in known and name not in ALIASES and len(rest) > 1:
        inner = f"{name} {rest[1]}"  # a group inside a group
        if inner in known or any(n.startswith(name + " ") for n in known):
            name, rest = inner, rest[1:]
    if name in ALIASES:
        target, deprecated = ALIASES[name]
        if deprecated:
            prefix = "nix " if first == "nar" else ""
            if first == "nar":
                old, new = name, target
            elif target.startswith(first + " "):
                old, new = rest[0], target.partition(" ")[2]
            else:  # the whole group has another name
                old, new = first, target.rpartition(" ")[0]
            context.warn(f"'{prefix}{old}' is a deprecated alias for '{prefix}{new}'")
        name = target if target in known else name
    if name not in known:
        raise _not_a_command(rest[0], [n.partition(" ")[2] for n in known if n.startswith(first + " ")])
    return (name, load_command(name)), rest[1:]


def _not_a_command(word: str, known: list[str]) -> UsageError:
    from frazil.cli.suggest import closest

    error = UsageError(f"'{word}' is not a recognised command")
    error.suggestions = closest(word, known)
    return error


def _module(name: str) -> Any:
    """`importlib` would import `warnings`."""
    load_ahead((f"frazil.cli.{name}",))
    __import__(f"frazil.cli.{name}")
    return sys.modules[f"frazil.cli.{name}"]


def load_command(name: str) -> Command:
    from frazil.cli.commands import rows

    module = _module(rows(name.split())[name][0])
    command: Command = module.COMMANDS[name]
    return command


def _run_found(context: Context, name: str, command: Command, leading: Arguments, words: list[str]) -> int:
    arguments, _ = _parser(context, [command.options, GLOBAL]).parse(words)
    own = {option.key for option in command.options}
    _merge(leading, arguments, skip=own)
    leading.program = arguments.program
    if leading.flag("help"):
        return _help(context, name.split(), explicit=True)
    if leading.flag("version"):
        return print_version(context, leading)
    context.apply_globals(leading)
    if command.experimental:
        require_feature(context, command.experimental)
    check_positional(command, arguments)
    if arguments.flag("debugger"):
        # Its prompt runs in another thread, and must not take that for the main one, which is who imports `threading`.
        import threading  # noqa: F401
    return command.run(context, arguments) or 0


def check_positional(command: Command, arguments: Arguments) -> None:
    given = len(arguments.positional)
    if command.at_most is not None and given > command.at_most:
        raise UsageError(f"unexpected argument '{arguments.positional[command.at_most]}'")
    if given < command.at_least:
        raise UsageError("more arguments are required", hint=f"expected: {command.positional}")


def _merge(into: Arguments, more: Arguments, skip: set[str] | None = None) -> None:
    for key, value in more.values.items():
        if skip and key in skip:
            continue
        if isinstance(value, list):
            into.values[key] = [*into.values.get(key, []), *value]
        else:
            into.values[key] = value


def _parser(
    context: Context, groups: list[tuple[Option, ...]], *, keep_unknown: bool = False, own: tuple[Option, ...] = ()
) -> OptionParser:
    settings = context.settings
    assign, assign_named = settings.set_flag, settings.set_option
    return OptionParser(groups, assign, kind_of, context.program, assign_named, keep_unknown=keep_unknown, own=own)


def _help(context: Context, words: list[str], *, explicit: bool) -> int:
    from frazil.cli.help import show_help

    if not words and not explicit:
        if context.program != "frazil":
            raise UsageError("no subcommand specified")
        import sys

        print(show_help(context.program, words), end="", file=sys.stderr)
        return 1
    if not explicit:
        raise UsageError(_missing_subcommand(context.program, words[0]))
    context.print(show_help(context.program, words), end="")
    return 0


def _program_help(context: Context, command: Command) -> int:
    """Of a program other than `nix`. C++ Nix shows a manual page here, and says what it says without `man`."""
    import shutil

    from frazil.cli.help import show_program_help

    name = context.program
    context.print(show_program_help(name, command), end="")
    if shutil.which("man") is None:
        raise UsageError(
            f"The 'man' command was not found, but it is needed for '{name}' and some other 'nix-*' commands' "
            "help text. Perhaps you could install the 'man' command?"
        )
    return 0


def _missing_subcommand(program: str, group: str) -> str:
    from frazil.cli.commands import rows

    names = sorted(tail for head, _, tail in (name.partition(" ") for name in rows([group])) if head == group)
    listed = "".join(f"\n  · {name}" for name in names)
    return f"{program} {group} requires a sub-command. Available sub-commands:\n{listed}"


def print_version(context: Context, arguments: Arguments) -> int:
    from frazil import __version__

    if context.program == "frazil":
        context.print(f"frazil {__version__} (compatible with Nix {NIX_VERSION})")
    else:
        context.print(f"{context.program} (Nix) {NIX_VERSION}")
    if arguments.has("verbose"):
        settings = context.settings
        from frazil.cli.settings import computed_default, user_files

        context.print(f"System type: {settings.system}")
        extra = settings.words("extra-platforms") or tuple(computed_default("extra-platforms").split())
        context.print(f"Additional system types: {', '.join(extra)}")
        context.print("Features: signed-caches")
        directory = os.environ.get("NIX_CONF_DIR") or "/etc/nix"
        context.print(f"System configuration file: {directory}/nix.conf")
        files = [path for path in user_files(os.environ) if not path.endswith("/frazil/frazil.conf")]
        context.print(f"User configuration files: {':'.join(files)}")
        from frazil.cli.help_command import libraries

        context.print(f"Store directory: {context.store_config.store_dir}")
        context.print(f"State directory: {os.environ.get('NIX_STATE_DIR') or '/nix/var/nix'}")
        linked = ", ".join(f"{name} {version}" for name, version in sorted(libraries().items()))
        context.print(f"Linked libraries: {linked}")
    return 0


# -- programs with a name of their own ---------------------------------------------------------------------------


def _own_options(command: Command) -> tuple[Option, ...]:
    """All but those for evaluation, which these programs share with `nix`."""
    return tuple([option for option in command.options if option not in EVALUATION])


def run_program(context: Context, words: list[str]) -> int:
    module = _module(PROGRAMS[context.program][0])
    command: Command = module.PROGRAMS[context.program]
    if context.program == "nix-build" and "--run-env" in words:  # what `nix-shell` was once called
        command = _module("legacy_shell").PROGRAMS["nix-shell"]
    prepare = getattr(module, "prepare", None)
    if prepare is not None:
        words = prepare(context, words)
    groups = [command.options, LEGACY_GLOBAL, GLOBAL]
    parser = _parser(context, groups, keep_unknown=command.keep_unknown, own=_own_options(command))
    arguments, _ = parser.parse(words)
    if arguments.flag("help"):
        return _program_help(context, command)
    if arguments.flag("version"):
        keys = [key for key, _ in arguments.order]
        if "verbose" not in keys[: keys.index("version")]:
            arguments.values.pop("verbose", None)  # these programs answer as soon as they read --version
        return print_version(context, arguments)
    context.apply_globals(arguments)
    check_positional(command, arguments)
    return command.run(context, arguments) or 0
