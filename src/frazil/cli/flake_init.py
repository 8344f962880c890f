"""`flake init` and `flake new`: files from a template."""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.common_options import EVALUATION, FLAKE_LOCK
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.flake_options import lock_flags, open_trees
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import FrazilError

TEMPLATE_PATHS = ("templates.default", "defaultTemplate")
TEMPLATE_PREFIXES = ("templates.",)


def init(context: Context, arguments: Arguments) -> None:
    _make(context, arguments, os.getcwd())


def new(context: Context, arguments: Arguments) -> None:
    _make(context, arguments, os.path.abspath(arguments.positional[0]))


def _make(context: Context, arguments: Arguments, folder: str) -> None:
    from frazil.flake.outputs import FlakeInstallable
    from frazil.flake.reference import DEFAULT_OUTPUTS, parse_with_fragment

    trees = open_trees(context, arguments)
    text = arguments.value("template", "templates") or "templates"
    reference, name = parse_with_fragment(text, os.getcwd(), notice=trees.notice, warn=trees.warn)
    flags = lock_flags(context, arguments, trees, apply_config=False).with_(write_lock_file=False)
    installable = FlakeInstallable(trees, reference, name, DEFAULT_OUTPUTS, TEMPLATE_PATHS, TEMPLATE_PREFIXES, flags)
    with_deep_stack(lambda: _copy(context, installable, folder))


def _copy(context: Context, installable: object, folder: str) -> None:
    from frazil.flake.outputs import FlakeInstallable
    from frazil.flake.template import TemplateCopier
    from frazil.lang.runtime import coerce_to_path

    assert isinstance(installable, FlakeInstallable)
    trees, cursor = installable.trees, installable.cursor()
    source = coerce_to_path(trees.evaluator, cursor.get("path").force(), set(), "")

    def error(text: str) -> None:
        context.reporter.log(Verbosity.ERROR, text)

    copied = TemplateCopier(trees.effects, trees.notice, error).copy(source, folder)
    if copied.changed and os.path.lexists(os.path.join(folder, ".git")):
        _tell_git(folder, copied.changed)
    welcome = cursor.maybe("welcomeText")
    if welcome is not None:
        trees.notice("\n")
        trees.notice(welcome.string().encode("latin-1").decode("utf-8", "replace").rstrip("\n"))
    if copied.conflicts:
        raise FrazilError(f"encountered {len(copied.conflicts)} conflicts - see above")


def _tell_git(folder: str, paths: list[str]) -> None:
    """Flakes see only what git knows of."""
    import subprocess

    arguments = ["git", "-C", folder, "add", "--intent-to-add", "--force", "--", *paths]
    try:
        done = subprocess.run(arguments, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise FrazilError(
            "cannot run git: it is not installed", hint=f"the files are written; add them to git in '{folder}' yourself"
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise FrazilError(f"program 'git' failed with exit code {done.returncode}: {said}")


# A template's flake is never written to, but it may have inputs that cannot be had here.
_TEMPLATE = (
    Option("--template -t", "The template to use.", "template"),
    *(option for option in FLAKE_LOCK if option.key == "override-input"),
)

COMMANDS = {
    "flake init": Command(
        init,
        "create a flake in the current directory from a template",
        _TEMPLATE,
        EVALUATION,
        examples=(("Start from a template of another flake", "frazil flake init -t templates#rust"),),
        experimental="flakes",
    ),
    "flake new": Command(
        new,
        "create a flake in the specified directory from a template",
        _TEMPLATE,
        EVALUATION,
        positional="dest-dir",
        at_least=1,
        at_most=1,
        examples=(("Make a folder from a template", "frazil flake new -t templates#rust hello"),),
        experimental="flakes",
    ),
}
