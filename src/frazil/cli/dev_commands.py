"""`develop`, `print-dev-env`: the build environment of a derivation. Source: their manual pages.

Entering the shell of an unchanged flake again evaluates nothing: what was found is remembered by what it depends on.
"""

from __future__ import annotations

import os
import time

from frazil.activity import Verbosity
from frazil.cli.build_command import PROFILE, build_paths, set_profile
from frazil.cli.common_options import INSTALLABLES, JSON
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.options import APPEND, REST, Arguments, Command, Option
from frazil.cli.run_commands import ENVIRONMENT, environment_of, exec_program
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from frazil.cli.installables import Opened
    from frazil.dev.environment import BuildEnvironment
    from frazil.flake.memory import FlakeMemory
    from frazil.flake.outputs import Installable
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath

PHASES = ("unpack", "configure", "build", "check", "install", "installcheck")


class Shell:
    """What was found: the environment's store path, where sources are, a bash for people; whether it was remembered."""

    def __init__(
        self,
        path: StorePath,
        source_directory: str | None = None,
        bash: str | None = None,
        *,
        remembered: bool = False,
    ) -> None:
        self.path = path
        self.source_directory = source_directory
        self.bash = bash
        self.remembered = remembered


def find_shell(context: Context, arguments: Arguments, *, interactive: bool) -> Shell:
    shell = _find_shell(context, arguments, interactive)
    profile = arguments.value("profile")
    if profile is not None:
        set_profile(context, profile, [shell.path])
    return shell


def _find_shell(context: Context, arguments: Arguments, interactive: bool) -> Shell:
    from frazil.cli.installables import Opened

    opened = Opened(context, arguments, command="develop")
    recalled = _recall_shell(context, opened, opened.texts()[0], interactive=interactive)
    if recalled is not None:
        return recalled
    shell: Shell = with_deep_stack(lambda: _open_shell(context, opened, interactive))
    return shell


def _open_shell(context: Context, opened: Opened, interactive: bool) -> Shell:
    from frazil.flake.outputs import FlakeInstallable, StorePathInstallable

    (installable,) = opened.parse(opened.texts()[:1])
    if isinstance(installable, StorePathInstallable):
        base = installable.path.base
        if installable.path.outputs is None and base.name.endswith("-env"):
            return Shell(base)
    if not isinstance(installable, FlakeInstallable):
        return Shell(_realise(context, opened, installable))
    source = opened.trees.source_directory(installable.locked_flake().flake.resolved)
    memory = installable.memory()
    paths = installable.attribute_paths()
    detail: dict[str, object] = {"kind": "develop", "paths": paths}
    known = _remembered(context, memory, detail)
    path = _realise(context, opened, installable) if known is None else known
    if memory is not None and known is None:
        memory.keep(detail, {"environment": context.store.show(path)})
    opened.note_locks()
    bash = _interactive_bash(opened, installable) if interactive else None
    if memory is not None and bash is not None:
        memory.keep({"kind": "bash", "paths": paths}, {"output": bash.removesuffix("/bin/bash")})
    return Shell(path, source, bash, remembered=known is not None)


def _realise(context: Context, opened: Opened, installable: Installable) -> StorePath:
    from frazil.dev.realise import realise_environment

    targets = installable.targets()
    opened.session.flush()
    derivations = {target.path.base for target in targets if target.path.base.is_derivation}
    if len(derivations) != 1:
        raise FrazilError(
            f"'{installable.what()}' needs to evaluate to a single derivation, "
            f"but it evaluated to {len(derivations)} derivations"
        )

    def realise(paths: Sequence[DerivedPath]) -> None:
        build_paths(context, paths, announce=False)

    return realise_environment(context.store, derivations.pop(), realise)


# -- remembering ---------------------------------------------------------------------------------------------------


def _recall_shell(context: Context, opened: Opened, text: str, *, interactive: bool) -> Shell | None:
    """What an unchanged local flake's shell was, without opening the flake."""
    from frazil.cli.remembered import needs_present

    def is_there(answer: Mapping[str, Any], key: str) -> bool:
        return isinstance(answer.get(key), str) and needs_present(context, {"needs": [answer[key]]}, brief=True)

    found = opened.recall("develop", text, lambda answer: is_there(answer, "environment"))
    if found is None:
        return None
    doorstep, answer = found
    bash = None
    if interactive:
        known = opened.recall("bash", text, lambda answer: is_there(answer, "output"))
        if known is None:
            return None
        bash = str(known[1]["output"]) + "/bin/bash"
    doorstep.say([answer])
    path = context.directory.parse(str(answer["environment"]))
    return Shell(path, doorstep.place.root, bash, remembered=True)


def _remembered(context: Context, memory: FlakeMemory | None, detail: dict[str, object]) -> StorePath | None:
    """The environment that an unchanged shell had, as long as the store has it."""
    if memory is None:
        return None
    from frazil.evalcache.objects import are_present

    answer = memory.ask(detail, lambda answer: are_present(context.store, [answer["environment"]]))
    return None if answer is None else context.store.parse(str(answer["environment"]))


# -- a shell for people --------------------------------------------------------------------------------------------


def _interactive_bash(opened: Opened, installable: object) -> str | None:
    """`bashInteractive` of the flake's own nixpkgs; None where that cannot be had."""
    from frazil.flake.outputs import FlakeInstallable, attribute_path_prefixes
    from frazil.flake.reference import OutputsSpecification

    if not isinstance(installable, FlakeInstallable):
        return None
    context = opened.context
    try:
        bash = FlakeInstallable(
            opened.trees,
            installable.nixpkgs_reference(),
            "bashInteractive",
            OutputsSpecification(),
            (),
            attribute_path_prefixes(opened.session.settings.system),
            opened.flags_without_overrides(),
        )
        (target,) = bash.targets()
        opened.session.flush()
        from frazil.cli.build_command import outputs_of

        build_paths(context, [target.path])
        for _, output in outputs_of(context, target.path):
            if os.path.exists(f"{context.store.real_path(output)}/bin/bash"):
                return f"{context.store.show(output)}/bin/bash"
    except FrazilError:
        return None
    return None


# -- develop -------------------------------------------------------------------------------------------------------


def bash_of(built: BuildEnvironment) -> str:
    """The build's own. Where the path holds none, bash takes the login shell for its name: that may be another one."""
    found = [text for text in (built.text("BASH"), built.text("builder")) if text and os.path.basename(text) == "bash"]
    return found[0] if found else "bash"


def run_develop(context: Context, arguments: Arguments) -> int:
    phase = _phase(arguments)
    command = arguments.values.get("command")
    if phase is not None and command:
        raise UsageError("you cannot use both '--command' and '--phase'")
    interactive = phase is None and not command
    environment = environment_of(arguments)
    shell = find_shell(context, arguments, interactive=interactive)
    built = _read(context, shell)
    script = _rc(context, arguments, built, tidies=not command)
    bash = shell.bash or bash_of(built)
    text = _script(context, script, phase, command, bash)
    environment["NIX_GCROOT"] = context.directory.show(shell.path)
    environment["SHELL"] = bash
    if phase is not None and shell.source_directory is not None:
        os.chdir(shell.source_directory)
    file = _write_script(text)
    argv = ["bash", "--rcfile", file] if interactive else ["bash", file]
    return exec_program(context, [bash, *argv[1:]], environment)


def _read(context: Context, shell: Shell) -> BuildEnvironment:
    from frazil.dev.environment import BuildEnvironment

    return BuildEnvironment.read(f"{context.store_config.real_store_dir}/{shell.path.base}")


def _phase(arguments: Arguments) -> str | None:
    named = arguments.value("phase")
    for name in PHASES:
        if arguments.flag(name):
            named = "installCheck" if name == "installcheck" else name
    return named


def _rc(context: Context, arguments: Arguments, built: BuildEnvironment, *, tidies: bool = False) -> str:
    from frazil.dev.shell import RcOptions, rc_script

    files = {}
    if built.structured:
        import tempfile

        folder = tempfile.mkdtemp(prefix="nix-develop-")
        for name, contents in built.structured.items():
            files[name] = os.path.join(folder, name)
            with open(files[name], "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write(contents)
    redirects = {}
    for installable, folder in arguments.all("redirect"):
        for path in _redirected(context, installable):
            redirects[path] = os.path.abspath(folder)
    return rc_script(built, RcOptions(os.path.join(os.getcwd(), "outputs"), redirects, files, tidies))


def _redirected(context: Context, text: str) -> list[str]:
    path = context.store.follow_links_to_store_path(text)
    return [context.store.show(path)]


def _script(context: Context, script: str, phase: str | None, command: list[str] | None, bash: str) -> str:
    from frazil.dev.shell import phase_script, quote

    if context.debug:
        script += "set -x\n"
    script += 'command rm -f "$FRAZIL_RC_FILE"; unset FRAZIL_RC_FILE\n'
    if phase is not None:
        script += phase_script(phase)
    elif command:
        script += f"exec {' '.join(map(quote, command))}\n"
    else:
        script = (
            '[ -n "$PS1" ] && [ -e ~/.bashrc ] && source ~/.bashrc;\nshopt -u expand_aliases\n'
            + script
            + "\nshopt -s expand_aliases\n"
            + _prompts(context)
        )
    script += f"SHELL={quote(bash)}\n"
    if bash.startswith("/"):
        script += f'PATH={quote(os.path.dirname(bash))}"${{PATH:+:$PATH}}"\n'
    return script


def _prompts(context: Context) -> str:
    from frazil.dev.shell import quote

    settings = context.settings
    lines = ""
    for name, form in (
        ("bash-prompt", "PS1={};"),
        ("bash-prompt-prefix", 'PS1={}"$PS1";'),
        ("bash-prompt-suffix", "PS1+={};"),
    ):
        text = settings.text(name)
        if text:
            lines += f'[ -n "$PS1" ] && {form.format(quote(text))}\n'
    return lines


def _write_script(text: str) -> str:
    import tempfile

    descriptor, path = tempfile.mkstemp(prefix="nix-shell-")
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"FRAZIL_RC_FILE={path!r}\n" + text)
    return path


# -- print-dev-env -------------------------------------------------------------------------------------------------


def print_environment(context: Context, arguments: Arguments) -> None:
    shell = find_shell(context, arguments, interactive=False)
    built = _read(context, shell)
    if arguments.flag("json"):
        from frazil.cli.path_commands import print_json

        print_json(context, arguments, built.to_json())
        return
    context.print(_rc(context, arguments, _seen_from_outside(context, built)))
    how = "remembered, nothing evaluated" if shell.remembered else "evaluated"
    context.note(f"development environment in {_milliseconds_since_start()} ms ({how})", Verbosity.NOTICE)


def _milliseconds_since_start() -> int:
    """Since this process began, its start-up included, as exact as the kernel's ticks."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        started = int(file.read().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return max(0, round((time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000))


def _seen_from_outside(context: Context, built: BuildEnvironment) -> BuildEnvironment:
    """For a store that is elsewhere: the programs on the path become starters that work without a view."""
    from frazil.build.view import is_shown

    config = context.store_config
    path = built.text("PATH")
    if path is None or is_shown(config.store_dir, config.real_store_dir):
        return built
    from dataclasses import replace

    from frazil.dev.environment import Variable
    from frazil.dev.outside import Place, outside_path
    from frazil.fetch.settings import cache_directory

    place = Place(config.store_dir, config.real_store_dir)
    changed = outside_path(path, place, cache_directory(context.fetch_settings))
    exported = built.variables["PATH"].exported
    return replace(built, variables={**built.variables, "PATH": Variable(changed, exported)})


REDIRECT = (
    Option(
        "--redirect",
        "Use *outputs-dir* instead of the store path *installable*.",
        "installable",
        "outputs-dir",
        kind=APPEND,
    ),
)

COMMANDS = {
    "develop": Command(
        run_develop,
        "run a bash shell that provides the build environment of a derivation",
        INSTALLABLES,
        ENVIRONMENT,
        PROFILE,
        REDIRECT,
        (
            Option("--command -c", "Run *command* instead of a shell.", "command", "args…", kind=REST),
            Option("--phase", "Run a phase of the standard environment.", "phase-name"),
            *(Option(f"--{name}", f"Run the phase {name}.") for name in PHASES),
        ),
        positional="installable",
        at_most=1,
        examples=[
            ("Enter the development shell of the flake in this folder", "frazil develop"),
            ("Run one command in it", "frazil develop -c make test"),
        ],
    ),
    "print-dev-env": Command(
        print_environment,
        "print shell code that reproduces the build environment of a derivation",
        INSTALLABLES,
        PROFILE,
        REDIRECT,
        JSON,
        positional="installable",
        at_most=1,
        examples=[("Take over a development environment", ". <(frazil print-dev-env)")],
    ),
}
