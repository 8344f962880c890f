"""`nix-shell`: a shell with a derivation's environment and its inputs. Source: its manual page.

Also as a `#!` interpreter: a script whose further lines begin with `#! nix-shell` brings its own options.
"""

from __future__ import annotations

import os
import re
import tempfile

from frazil.activity import Verbosity
from frazil.cli.base_directory import set_base_directory
from frazil.cli.build_command import build_paths, known_outputs, print_missing
from frazil.cli.common_options import EVALUATION
from frazil.cli.context import Context
from frazil.cli.evaluation import (
    auto_arguments,
    file_argument,
    make_session,
    read_input,
    with_deep_stack,
    working_directory,
)
from frazil.cli.legacy_build import stored_derivation
from frazil.cli.legacy_instantiate import STDIN, derivations_of, select_path
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.cli.remembered import open_remembered
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.cli.remembered import Remembered
    from frazil.instantiate.session import Session
    from frazil.store.derivation import Derivation
    from frazil.store.path import StorePath

_KEPT = """
DISPLAY HOME IN_NIX_SHELL LOGNAME NIX_BUILD_SHELL NIX_SHELL_PRESERVE_PROMPT PAGER PATH SHLVL TERM TZ USER
WAYLAND_DISPLAY WAYLAND_SOCKET XDG_RUNTIME_DIR
http_proxy https_proxy ftp_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
"""
KEPT = frozenset(_KEPT.split())
"""What --pure leaves of the environment."""
LARGEST_SCRIPT = 1 << 24
_IGNORED = ("--run-env", "--add-drv-link", "--indirect", "--no-out-link --no-link")
OWN_BASH = "uses bash from your environment"


class Script:
    """A script that named us in its `#!` line."""

    def __init__(self, path: str, words: list[str], arguments: list[str]) -> None:
        self.path = path
        self.words = words
        self.arguments = arguments
        self.folder = os.path.dirname(os.path.abspath(path))


_script: list[Script] = []


def prepare(context: Context, words: list[str]) -> list[str]:
    """The options of a script's `#! nix-shell` lines instead of the command line's, where one is run."""
    _script.clear()
    script = read_script(words)
    if script is None:
        return words
    _script.append(script)
    return script.words


def read_script(words: list[str]) -> Script | None:
    if not words or words[0].startswith("-"):
        return None
    try:
        with open(words[0], "rb") as file:
            if file.read(2) != b"#!":
                return None
            text = file.read(LARGEST_SCRIPT).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    options: list[str] = []
    for line in text.split("\n")[1:]:
        match = re.fullmatch(r"#!\s*nix-shell\s+(.*)", line.rstrip())
        if match:
            options += shell_words(match[1])
    return Script(words[0], options, words[1:])


def shell_words(text: str) -> list[str]:
    """Words with quotes and backslashes, as Perl's `shellwords` splits them. Raises UsageError.

    Other than in a shell a backslash takes away the meaning of any character in double quotes, too.
    """
    words: list[str] = []
    word, quote, at = "", "", 0
    while at < len(text):
        character = text[at]
        if character == "\\" and quote != "'":
            at += 1
            word += text[at : at + 1]
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif not quote and character.isspace():
            rest = text[at:].lstrip()
            words.append(word)
            if not rest:
                return words
            word, at = "", len(text) - len(rest) - 1
        else:
            word += character
        at += 1
    if quote:
        raise UsageError("unterminated quote in shebang line")
    return [*words, word]


# -- the derivation ------------------------------------------------------------------------------------------------


def run_shell(context: Context, arguments: Arguments) -> int:
    script = _script.pop() if _script else None
    if script is not None and context.settings.boolean("nix-shell-shebang-arguments-relative-to-script"):
        set_base_directory(script.folder)
    if arguments.flag("packages") and arguments.flag("expr"):
        raise UsageError("'-p' and '-E' are mutually exclusive")
    pure = arguments.flag("pure") and not arguments.came_last("impure", "pure")
    os.environ["IN_NIX_SHELL"] = "pure" if pure else "impure"
    derivation, bash = _find(context, arguments, script)
    drv = context.store.read_derivation(derivation)
    _build_inputs(context, arguments, drv)
    if arguments.flag("dry-run"):
        return 0
    drv = _resolved(context, derivation, drv)
    shell = _bash(context, bash)
    from frazil.cli.run_commands import exec_program

    folder = tempfile.mkdtemp(prefix="nix-shell-")
    environment = _environment(context, arguments, drv, folder, pure=pure)
    command, interactive = _command(arguments, script)
    rc = os.path.join(folder, "rc")
    with open(rc, "wb") as file:
        file.write(os.fsencode(_rc(folder, shell, command, pure=pure, structured="__json" in drv.environment)))
    argv = [shell, "--rcfile", rc] if interactive else [shell, rc]
    return exec_program(context, argv, environment)


def _find(context: Context, arguments: Arguments, script: Script | None) -> tuple[StorePath, StorePath | None]:
    """The derivation, and that of a bash for people; remembered, where one file or expression says which it is."""
    remembered = _open_memory(context, arguments, script)
    if remembered is None:
        found: tuple[StorePath, StorePath | None] = with_deep_stack(lambda: _evaluate(context, arguments, script, None))
        return found
    detail = {
        "kind": "shell",
        "attribute": arguments.all("attr"),
        "bash": bool(os.environ.get("NIX_BUILD_SHELL")),
    }
    known = remembered.ask(detail, lambda answer: isinstance(answer.get("needs"), list) and len(answer["needs"]) > 0)
    if known is None:
        found = with_deep_stack(lambda: _evaluate(context, arguments, script, remembered))
        needs = [context.directory.show(path) for path in found if path is not None]
        remembered.keep(detail, {"needs": needs})
        remembered.flush()
        return found
    derivation, *rest = [context.directory.parse(path) for path in known["needs"]]
    if not rest and not detail["bash"]:
        context.note(OWN_BASH)
    return derivation, rest[0] if rest else None


def _open_memory(context: Context, arguments: Arguments, script: Script | None) -> Remembered | None:
    names = arguments.positional
    if "-" in names:
        return None
    if arguments.flag("packages"):
        return open_remembered(context, arguments, None, _packages(names), pure=False, read_only=False)
    if arguments.flag("expr"):
        if len(names) != 1:
            return None
        return open_remembered(context, arguments, None, names[0], pure=False, read_only=False)
    if len(names) > 1 or not context.settings.boolean("nix-shell-always-looks-for-shell-nix"):
        return None
    name = names[0] if names else "."
    if ":" in name or name.startswith("<") or name.endswith(".drv") or os.path.islink(name):
        return None
    path = os.path.join(os.getcwd() if script is None else script.folder, name)
    if os.path.isdir(path):
        path += "/shell.nix" if os.path.exists(path + "/shell.nix") else "/default.nix"
    return open_remembered(context, arguments, path, None, pure=False, read_only=False)


def _evaluate(
    context: Context, arguments: Arguments, script: Script | None, remembered: Remembered | None
) -> tuple[StorePath, StorePath | None]:
    recorder = None if remembered is None else remembered.recorder
    with make_session(context, arguments, pure=False, read_only=False, recorder=recorder) as session:
        given = auto_arguments(session, arguments)
        found = [item for name in arguments.positional for item in stored_derivation(context, name)]
        for root in [] if found else _roots(context, session, arguments, script):
            shell_given = {"inNixShell": True, **given} if _takes_in_nix_shell(session, root) else given
            for text in arguments.all("attr") or [""]:
                value = select_path(session, root, text, shell_given)
                found += derivations_of(
                    session, value, {"inNixShell": True, **given} if _takes_in_nix_shell(session, value) else given
                )
        if len(found) != 1:
            raise UsageError("nix-shell requires a single derivation")
        bash = None if os.environ.get("NIX_BUILD_SHELL") else _interactive_bash(context, session)
    return found[0][0], bash


def _takes_in_nix_shell(session: Session, value: Any) -> bool:
    from frazil.lang.values import Lambda

    if not isinstance(value, Lambda):
        return False
    formals = session.evaluator.call(session.evaluator.builtins().lookup("functionArgs"), value)
    return bool(formals.has("inNixShell"))


def _roots(context: Context, session: Session, arguments: Arguments, script: Script | None) -> list[Any]:
    evaluator = session.evaluator
    names = arguments.positional
    base = os.getcwd() if script is None else script.folder
    base_text = working_directory()
    if "-" in names:
        return [evaluator.evaluate(evaluator.parse_string(read_input("-"), base_text, STDIN))]
    if arguments.flag("packages"):
        return [evaluator.eval_string(os.fsencode(_packages(names)), base_text)]
    if arguments.flag("expr"):
        return [evaluator.eval_string(os.fsencode(name), base_text) for name in names]
    roots = []
    for name in names or [_default_file()]:
        path = os.path.join(base, name) if script is not None and not name.startswith("<") else name
        roots.append(evaluator.eval_file(_shell_file(context, file_argument(session, path))))
    return roots


def _packages(names: list[str]) -> str:
    """The expression of `-p`."""
    joined = " ".join(f"({name})" for name in names)
    return (
        "{ ... }@args: with import <nixpkgs> args; (pkgs.runCommandCC or pkgs.runCommand) "
        f'"shell" {{ buildInputs = [ {joined} ]; }} ""'
    )


def _default_file() -> str:
    if not os.path.exists("shell.nix") and not os.path.exists("default.nix"):
        raise FrazilError(
            "no argument specified and no 'shell.nix' or 'default.nix' file found in the working directory"
        )
    return "."


def _shell_file(context: Context, path: str) -> str:
    """In a folder `shell.nix` comes before `default.nix`."""
    real = path.encode("latin-1")
    if not os.path.isdir(real):
        return path
    setting = "nix-shell-always-looks-for-shell-nix"
    for name in ("shell.nix", "default.nix"):
        if not os.path.exists(os.path.join(real, name.encode())):
            continue
        if name == "shell.nix" and not context.settings.boolean(setting):
            context.warn(
                f"Skipping '{os.fsdecode(real)}/{name}', because the setting '{setting}' is disabled. "
                f"This is a deprecated behavior. Consider enabling '{setting}'."
            )
            continue
        return f"{path}/{name}"
    raise FrazilError(f"neither 'shell.nix' nor 'default.nix' found in '{os.fsdecode(real)}'")


def _interactive_bash(context: Context, session: Session) -> StorePath | None:
    """<nixpkgs>'s bash for people; None where that cannot be had."""
    try:
        value = session.evaluator.eval_string("(import <nixpkgs> { }).bashInteractive", "/")
        (found,) = derivations_of(session, value, {})
    except (FrazilError, ValueError):
        context.note(OWN_BASH)
        return None
    return found[0]


# -- what is needed ------------------------------------------------------------------------------------------------


def _build_inputs(context: Context, arguments: Arguments, drv: Derivation) -> None:
    from frazil.store.derived_path import DerivedPath, OutputsSpec

    excluded = [re.compile(text) for text in arguments.all("exclude")]
    wanted = [DerivedPath(path) for path in sorted(drv.input_sources)]
    for path, outputs in sorted(drv.input_derivations.items()):
        shown = context.store.show(path)
        if not any(pattern.search(shown) for pattern in excluded):
            wanted.append(DerivedPath(path, OutputsSpec(outputs)))
    if arguments.flag("dry-run"):
        print_missing(context, wanted, Verbosity.INFO)
        return
    build_paths(context, wanted, mode="check" if arguments.flag("check") else "normal")


def _resolved(context: Context, path: StorePath, drv: Derivation) -> Derivation:
    """With the inputs' real paths for placeholders. Raises FrazilError where an input was not built."""
    from frazil.build.resolution import Chain, input_chains, needs_resolution, resolve

    if not needs_resolution(drv, "ca-derivations" in context.settings.features):
        return drv
    found: dict[Chain, StorePath] = {}
    for base, names in input_chains(drv):
        place: StorePath | None = base
        for name in names:
            place = None if place is None else known_outputs(context, place).get(name)
        if place is None:
            raise FrazilError(f"failed to resolve derivation '{context.store.show(path)}'")
        found[base, names] = place
    return resolve(context.store, drv, found)


def _bash(context: Context, derivation: StorePath | None) -> str:
    named = os.environ.get("NIX_BUILD_SHELL")
    if named:
        return named
    if derivation is None:
        return "bash"
    from frazil.store.derived_path import DerivedPath, OutputsSpec

    try:
        build_paths(context, [DerivedPath(derivation, OutputsSpec(frozenset({"out"})))])
    except FrazilError:
        context.note(OWN_BASH)
        return "bash"
    output = context.store.query_derivation_outputs(derivation)["out"]
    return "bash" if output is None else f"{context.store.show(output)}/bin/bash"


def _environment(context: Context, arguments: Arguments, drv: Derivation, folder: str, *, pure: bool) -> dict[str, str]:
    environment = dict(os.environ)
    if pure:
        keep = KEPT | set(arguments.all("keep"))
        environment = {name: value for name, value in environment.items() if name in keep}
        environment["__ETC_PROFILE_SOURCED"] = "1"
    for name in ("NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP"):
        environment[name] = folder
    environment["NIX_STORE"] = context.store.directory.path
    environment["NIX_BUILD_CORES"] = str(context.build_settings.build_cores)
    passed = set(drv.environment.get("passAsFile", "").split())
    for number, (name, value) in enumerate(sorted(drv.environment.items())):
        text = os.fsdecode(value.encode("latin-1"))
        if name == "__json":
            continue
        if name in passed:
            file = os.path.join(folder, f".attr-{number}")
            with open(file, "wb") as stream:
                stream.write(value.encode("latin-1"))
            environment[f"{name}Path"] = file
        else:
            environment[os.fsdecode(name.encode("latin-1"))] = text
    if "__json" in drv.environment:
        environment.update(_structured(context, drv, folder))
    return environment


def _structured(context: Context, drv: Derivation, folder: str) -> dict[str, str]:
    """`.attrs.json` and `.attrs.sh`, with the outputs in them."""
    import json

    from frazil.build.structured import json_text, shell_text

    attributes = json.loads(drv.environment["__json"].encode("latin-1"))
    outputs = drv.output_paths(context.store.directory)
    attributes["outputs"] = {name: context.store.show(path) for name, path in outputs.items() if path is not None}
    files = {}
    for name, text in ((".attrs.json", json_text(attributes)), (".attrs.sh", shell_text(attributes))):
        files[name] = os.path.join(folder, name)
        with open(files[name], "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
    return {"NIX_ATTRS_JSON_FILE": files[".attrs.json"], "NIX_ATTRS_SH_FILE": files[".attrs.sh"]}


# -- the shell -----------------------------------------------------------------------------------------------------


def _command(arguments: Arguments, script: Script | None) -> tuple[str, bool]:
    """-> (what the shell runs, whether it is for a person)."""
    from frazil.dev.shell import quote

    interactive = os.isatty(0) and os.isatty(2)
    interpreter = arguments.value("interpreter")
    if script is not None and interpreter is not None:
        words = " ".join(quote(word) for word in [script.path, *script.arguments])
        if "ruby" in interpreter:
            return f"exec {interpreter} -e 'load(ARGV.shift)' -- {words}", False
        # Perl looks at the `#!` line again unless it is called by another name.
        named = "-a PERL " if "perl" in interpreter else ""
        return f"exec {named}{interpreter} {words}", False
    for key, value in reversed(arguments.order):
        if key == "run":
            return f"{value}\nexit", False
        if key == "command":
            return f"{value}\nexit", interactive
    return "", interactive


def _rc(folder: str, bash: str, command: str, *, pure: bool, structured: bool) -> str:
    from frazil.dev.shell import quote

    colour = "31" if os.geteuid() == 0 else "32"
    zone = os.environ.get("TZ")
    lines = [
        f"_nix_shell_clean_tmpdir() {{ command rm -rf {quote(folder)}; }}",
        "trap _nix_shell_clean_tmpdir EXIT",
        "exitHooks+=(_nix_shell_clean_tmpdir)",
        "failureHooks+=(_nix_shell_clean_tmpdir)",
        "" if pure else '[ -n "$PS1" ] && [ -e ~/.bashrc ] && source ~/.bashrc',
        "" if pure else "p=$PATH",
        "unset PATH",
        "dontAddDisableDepTrack=1",
        'source "$NIX_ATTRS_SH_FILE"' if structured else "",
        "[ -e $stdenv/setup ] && source $stdenv/setup",
        "" if pure else "PATH=$PATH:$p; unset p",
        f'PATH={quote(os.path.dirname(bash))}:"$PATH"' if "/" in bash else "",
        f"SHELL={quote(bash)}; BASH={quote(bash)}",
        "set +e",
        '[ -n "$PS1" -a -z "$NIX_SHELL_PRESERVE_PROMPT" ] && '
        f"PS1='\\n\\[\\033[1;{colour}m\\][nix-shell:\\w]\\$\\[\\033[0m\\] '",
        'if [ "$(type -t runHook)" = function ]; then runHook shellHook; fi',
        "unset NIX_ENFORCE_PURITY",
        "shopt -u nullglob",
        "unset TZ" + (f"; export TZ={quote(zone)}" if zone is not None else ""),
        "shopt -s execfail",
        command,
    ]
    return "\n".join(line for line in lines if line) + "\n"


PROGRAMS = {
    "nix-shell": Command(
        run_shell,
        "start a shell based on a Nix expression",
        (
            Option("--expr -E", "The arguments are expressions, not files."),
            Option("--attr -A", "Use the attribute *path*.", "path", kind=APPEND),
            Option("--packages -p", "The arguments are packages of <nixpkgs>."),
            Option("--command", "Run *command* in the shell, then leave it.", "command"),
            Option("--run", "As --command, in a shell that is not interactive.", "command"),
            Option("--exclude", "Do not build derivations whose path *regexp* matches.", "regexp", kind=APPEND),
            Option("--pure", "Take almost nothing from the environment."),
            Option("--keep", "With --pure: keep the variable *name*.", "name", kind=APPEND),
            Option("--interpreter -i", "In `#!` lines: the program that runs the script.", "interpreter"),
            Option("--dry-run", "Only say what would be built or fetched for it."),
            Option("--check", "Build again what is there of the inputs, and compare."),
            *(Option(names, "No longer means anything.", hidden=True) for names in _IGNORED),
            Option("--out-link -o", "No longer means anything.", "path", hidden=True),
            Option("--drv-link", "No longer means anything.", "path", hidden=True),
        ),
        EVALUATION,
        positional="paths…",
        at_most=None,
        examples=[("A shell for building ./default.nix", "nix-shell"), ("Run one command", "nix-shell --run make")],
    )
}
