"""`run`, `shell` (`env shell`), `fmt`: programs of packages, seeing the store at its logical place.

Source: the manual pages of `nix run`, `nix shell`, `nix fmt`.
"""

from __future__ import annotations

import os

from frazil.cli.build_command import build_paths, outputs_of
from frazil.cli.common_options import INSTALLABLES, STDIN
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.options import APPEND, REST, Arguments, Command, Option
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frazil.store.path import StorePath


def exec_program(context: Context, argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Becomes the program; it sees the store at its logical place. Raises ViewError where it cannot be run."""
    from frazil.build.view import exec_at

    context.flush()
    config = context.store_config
    context.close()
    if argv and argv[0].startswith(config.store_dir + "/"):
        _check_program(argv[0], config.real_store_dir, argv[0][len(config.store_dir) + 1 :].split("/"))
    exec_at(config.store_dir, config.real_store_dir, argv, environment, os.getcwd())


def _check_program(program: str, store: str, parts: Sequence[str]) -> None:
    """A package may lack what it is asked to run: say what it has. What links lead to is not looked at."""
    from frazil.build.view import ViewError

    path = store
    for part in parts[:-1]:
        path = os.path.join(path, part)
        if os.path.islink(path):
            return
        if not os.path.isdir(path):
            hint = f"the package has no programs: there is no folder '{parts[-2]}' in it"
            why = "Not a directory" if os.path.lexists(path) else "No such file or directory"
            raise ViewError(f"unable to execute '{program}': {why}", hint=hint)
    if os.path.lexists(os.path.join(path, parts[-1])):
        return
    names = sorted(os.listdir(path))
    there = ", ".join(names[:10]) + (", …" if len(names) > 10 else "") or "nothing"
    hint = (
        f"there is no '{parts[-1]}', but: {there}. 'shell' with '--command NAME' runs one of these; the author of the"
        " package says which one is meant with meta.mainProgram"
    )
    raise ViewError(f"unable to execute '{program}': No such file or directory", hint=hint)


# -- run -----------------------------------------------------------------------------------------------------------


def run_app(context: Context, arguments: Arguments) -> int:
    text, *rest = arguments.positional or ["."]
    program = with_deep_stack(lambda: program_of(context, arguments, text))
    return _start(context, program, rest, _environment(arguments))


def _start(context: Context, found: tuple[str, Sequence[object]], rest: list[str], environment: dict[str, str]) -> int:
    from frazil.store.derived_path import DerivedPath

    program, paths = found
    targets = [path for path in paths if isinstance(path, DerivedPath)]
    build_paths(context, targets)
    program = resolve_placeholders(context, program, targets)
    return exec_program(context, [program, *rest], environment)


def program_of(context: Context, arguments: Arguments, text: str, command: str = "run") -> tuple[str, Sequence[object]]:
    from frazil.cli.installables import Opened

    opened = Opened(context, arguments, command=command)
    known = opened.recall_program(text)
    if known is not None:
        return known
    (installable,) = opened.parse([text])
    from frazil.flake.outputs import ValueInstallable

    if not isinstance(installable, ValueInstallable):
        raise UsageError(f"installable '{text}' does not correspond to a Nix language value")
    app = installable.app()
    opened.session.flush()
    opened.note_locks()
    return app.program, list(app.context)


def resolve_placeholders(context: Context, text: str, paths: Sequence[object]) -> str:
    """Outputs that had no known path before they were built."""
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import unknown_output_placeholder

    for path in paths:
        if isinstance(path, DerivedPath) and path.outputs is not None:
            for name, output in outputs_of(context, path):
                placeholder = unknown_output_placeholder(path.base, *path.through, name)
                text = text.replace(placeholder, context.directory.show(output))
    return text


# -- environments --------------------------------------------------------------------------------------------------

ENVIRONMENT = (
    Option("--ignore-env --ignore-environment -i", "Start with an empty environment.", key="ignore-env"),
    Option("--keep-env-var --keep -k", "Keep the variable *name*.", "name", kind=APPEND, key="keep-env-var"),
    Option("--set-env-var -s", "Set the variable *name* to *value*.", "name", "value", kind=APPEND),
    Option("--unset-env-var --unset -u", "Remove the variable *name*.", "name", kind=APPEND, key="unset-env-var"),
)


def _environment(arguments: Arguments) -> dict[str, str]:
    environment = dict(os.environ)
    keep = arguments.all("keep-env-var")
    if arguments.flag("ignore-env"):
        environment = {name: value for name, value in environment.items() if name in keep}
    elif keep:
        raise UsageError("--keep-env-var does not make sense without --ignore-env")
    for name in arguments.all("unset-env-var"):
        if arguments.flag("ignore-env"):
            raise UsageError("--unset-env-var does not make sense with --ignore-env")
        environment.pop(name, None)
    environment.update(_set_variables(arguments))
    return environment


def _set_variables(arguments: Arguments) -> dict[str, str]:
    """What --set-env-var says. Raises UsageError where the options contradict each other."""
    found: dict[str, str] = {}
    unset: set[str] = set()
    for key, value in arguments.order:
        if key == "unset-env-var":
            if value in found:
                raise UsageError(f"Cannot unset environment variable '{value}' that is set with '--set-env-var'")
            unset.add(value)
        elif key == "set-env-var":
            name, text = value
            if name in unset:
                raise UsageError(f"Cannot set environment variable '{name}' that is unset with '--unset-env-var'")
            if name in found:
                raise UsageError(
                    f"Duplicate definition of environment variable '{name}' with '--set-env-var' is ambiguous"
                )
            found[name] = text
    return found


def environment_of(arguments: Arguments) -> dict[str, str]:
    """The environment that options ask for. Raises UsageError for options that contradict each other."""
    return _environment(arguments)


def run_shell(context: Context, arguments: Arguments) -> int:
    from frazil.cli.store_paths import derived_paths

    paths = derived_paths(context, arguments)
    build_paths(context, paths)
    environment = _environment(arguments)
    folders = [program_folder(context, path) for path in _with_propagated(context, paths)]
    old = environment.get("PATH", "")
    environment["PATH"] = ":".join([*folders, *([old] if old else [])])
    command = arguments.values.get("command") or [os.environ.get("SHELL") or "bash"]
    return exec_program(context, command, environment)


def program_folder(context: Context, path: StorePath) -> str:
    """`bin` of a store object, links followed. Raises FrazilError where they lead out of the store."""
    directory, config = context.directory, context.store_config
    parts = [path.base, "bin"]
    done = directory.path
    for _ in range(1000):
        if not parts:
            return done
        step = os.path.normpath(f"{done}/{parts.pop(0)}")
        real = config.real_store_dir + step[len(directory.path) :]
        if not os.path.islink(real):
            done = step
            continue
        target = os.path.normpath(os.path.join(os.path.dirname(step), os.readlink(real)))
        if not directory.is_inside(target):
            raise FrazilError(f"path '{target}' is not in the Nix store")
        done, parts = directory.path, target[len(directory.path) + 1 :].split("/") + parts
    raise FrazilError(f"too many symbolic links in '{directory.show(path)}'")


def _with_propagated(context: Context, paths: Sequence[object]) -> list[StorePath]:
    """Outputs and what they ask to be in the user's environment with them."""
    from frazil.store.derived_path import DerivedPath

    pending = [output for path in paths if isinstance(path, DerivedPath) for _, output in outputs_of(context, path)]
    found: list[StorePath] = []
    for path in pending:
        if path in found:
            continue
        found.append(path)
        file = f"{context.store_config.real_store_dir}/{path.base}/nix-support/propagated-user-env-packages"
        if os.path.isfile(file):
            with open(file, encoding="utf-8", errors="surrogateescape") as stream:
                pending += [context.directory.parse(word) for word in stream.read().split()]
    return found


# -- fmt -----------------------------------------------------------------------------------------------------------


def run_formatter(context: Context, arguments: Arguments) -> int:
    program = with_deep_stack(lambda: program_of(context, arguments, ".", "formatter"))
    environment = dict(os.environ)
    environment["PRJ_ROOT"] = _flake_root()
    return _start(context, program, arguments.positional, environment)


def build_formatter(context: Context, arguments: Arguments) -> None:
    from frazil.cli.build_command import make_links
    from frazil.store.derived_path import DerivedPath

    program, paths = with_deep_stack(lambda: program_of(context, arguments, ".", "formatter"))
    targets = [path for path in paths if isinstance(path, DerivedPath)]
    build_paths(context, targets)
    if not arguments.came_last("no-link", "out-link"):
        make_links(context, targets, arguments.value("out-link", "result") or "result")
    context.print(resolve_placeholders(context, program, targets))


def _flake_root() -> str:
    folder = os.getcwd()
    while not os.path.exists(f"{folder}/flake.nix"):
        above = os.path.dirname(folder)
        if above == folder:
            raise FrazilError("there is no flake.nix in this folder or above it")
        folder = above
    return folder


COMMANDS = {
    "run": Command(
        run_app,
        "run a Nix application",
        INSTALLABLES,
        ENVIRONMENT,
        positional="installable args…",
        at_most=None,
        examples=[
            ("Run the default app of the flake in this folder", "frazil run"),
            ("Run an app with arguments", "frazil run .#cowthink -- -f tux hello"),
        ],
    ),
    "env shell": Command(
        run_shell,
        "run a shell in which the specified packages are available",
        INSTALLABLES,
        STDIN,
        ENVIRONMENT,
        (Option("--command -c", "Run *command* instead of a shell.", "command", "args…", kind=REST),),
        positional="installables…",
        at_most=None,
        examples=[("A shell with a package on its path", "frazil shell nixpkgs#hello")],
    ),
    **{
        name: Command(
            run_formatter,
            "reformat your code with the formatter of a flake",
            INSTALLABLES,
            positional="args…",
            at_most=None,
            examples=[("Format all of the project", "frazil fmt")],
        )
        for name in ("fmt", "formatter run")
    },
    "formatter build": Command(
        build_formatter,
        "build the formatter of a flake",
        INSTALLABLES,
        (
            Option("--out-link -o", "Name the link *path* instead of `result`.", "path"),
            Option("--no-link", "Make no link."),
        ),
        examples=[("Call the formatter yourself", "$(frazil formatter build) ./x.nix")],
    ),
}
