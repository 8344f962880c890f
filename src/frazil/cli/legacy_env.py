"""`nix-env`: a profile's generations, and the packages in it. Source: its manual page.

What is installed is in `user_env`, which names are meant in `env_names`, lists of packages in `env_query`.
"""

from __future__ import annotations

import os
import time

from frazil.cli.common_options import EVALUATION
from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from frazil.store.profile import Profile


def user_state(context: Context) -> str:
    """The folder `nix` of the user's own state."""
    environment = context.settings.environment
    home = environment.get("HOME") or os.path.expanduser("~")
    base = environment.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    return environment.get("NIX_STATE_HOME") or os.path.join(base, "nix")


def profiles_folder(context: Context) -> str:
    """Where the user's profiles and channels are: root's are those of the store."""
    if os.geteuid() == 0:
        return os.path.join(context.store_config.state_dir, "profiles", "per-user", "root")
    return os.path.join(user_state(context), "profiles")


def default_profile(context: Context) -> str:
    """Where `~/.nix-profile` leads, made where it is missing."""
    home = context.settings.environment.get("HOME") or os.path.expanduser("~")
    xdg = context.settings.boolean("use-xdg-base-directories")
    link = os.path.join(user_state(context), "profile") if xdg else os.path.join(home, ".nix-profile")
    profile = os.path.join(profiles_folder(context), "profile")
    try:
        os.makedirs(os.path.dirname(profile), exist_ok=True)
        if not os.path.lexists(link):
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(profile, link)
        everybody = os.path.join(context.store_config.state_dir, "profiles", "default")
        if os.geteuid() == 0 and not os.path.lexists(everybody):
            os.symlink(profile, everybody)  # what login scripts look for
        return os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
    except OSError:
        return link


def profile_path(context: Context, arguments: Arguments) -> str:
    given = arguments.value("profile") or context.settings.environment.get("NIX_PROFILE")
    return os.path.abspath(given) if given else default_profile(context)


def _profile(context: Context, arguments: Arguments) -> Profile:
    from frazil.store.profile import Profile

    return Profile(profile_path(context, arguments))


def prepare(context: Context, words: list[str]) -> list[str]:
    """`--attr` takes a value with `--query` only; elsewhere it says what the arguments are."""
    queries = any(w == "--query" or (w[:1] == "-" and w[1:2] not in ("-", "") and "q" in w) for w in words)
    if not queries:
        return words
    found = []
    for word in words:
        if word == "--attr":
            found.append("--query-attr")
        elif len(word) > 1 and word[0] == "-" and word[1:].isalpha() and word.endswith("A"):
            found += [word[:-1], "--query-attr"] if len(word) > 2 else ["--query-attr"]
        else:
            found.append(word)
    return found


def run_env(context: Context, arguments: Arguments) -> None:
    chosen = dict.fromkeys(key for key, _ in arguments.order if key in OPERATIONS)
    if not chosen:
        raise UsageError("no operation specified")
    if len(chosen) > 1:
        raise UsageError("only one operation may be specified")
    if arguments.unknown:
        raise UsageError(f"unknown flag '{arguments.unknown[0]}'")
    (name,) = chosen
    operation, flags = OPERATIONS[name]
    for key, _ in arguments.order:
        if key in OWN_FLAGS and key not in flags:
            raise UsageError(f"unknown flag '--{key}'")
    if arguments.flag("dry-run"):
        context.note("(dry run; not doing anything)")
    operation(context, arguments)


def list_generations(context: Context, arguments: Arguments) -> None:
    profile = _profile(context, arguments)
    current = profile.current()
    for generation in profile.generations():
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(generation.created))
        mark = "(current)" if generation.number == current else ""
        context.print(f"{generation.number:4}   {created}   {mark}")


def delete_generations(context: Context, arguments: Arguments) -> None:
    from frazil.cli.legacy_misc import tell_deleted
    from frazil.store.profile import parse_age

    profile = _profile(context, arguments)
    words = arguments.positional
    dry = arguments.flag("dry-run")
    if words == ["old"]:
        deleted = profile.delete_old(dry_run=dry)
    elif len(words) == 1 and words[0].endswith("d"):
        deleted = profile.delete_older_than(parse_age(words[0]), dry_run=dry)
    elif len(words) == 1 and words[0].startswith("+"):
        if not words[0][1:].isdigit():
            kept = " to keep" if words[0][1:] else ""
            raise FrazilError(f"invalid number of generations{kept} '{words[0]}'")
        deleted = profile.keep_newest(int(words[0][1:]), dry_run=dry)
    else:
        for word in words:
            if not word.isdigit():
                raise UsageError(f"invalid generation number '{word}'")
        deleted = profile.delete([int(word) for word in words], dry_run=dry)
    tell_deleted(context, deleted, dry_run=dry)


def rollback(context: Context, arguments: Arguments) -> None:
    _switch(context, arguments, None)


def switch_generation(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) != 1 or not arguments.positional[0].isdigit():
        raise UsageError("exactly one argument expected")
    _switch(context, arguments, int(arguments.positional[0]))


def _switch(context: Context, arguments: Arguments, number: int | None) -> None:
    profile = _profile(context, arguments)
    before = profile.current()
    generation = profile.switch(number, dry_run=arguments.flag("dry-run"))
    context.note(f"switching profile from version {before} to {generation.number}")


def switch_profile(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) != 1:
        raise UsageError("exactly one argument expected")
    home = context.settings.environment.get("HOME") or os.path.expanduser("~")
    from frazil.store.profile import replace_symlink

    replace_symlink(os.path.abspath(arguments.positional[0]), os.path.join(home, ".nix-profile"))


def _in_packages(name: str) -> Callable[[Context, Arguments], None]:
    """Operations on packages need an evaluator: imported when asked for."""

    def run(context: Context, arguments: Arguments) -> None:
        from frazil.cli import env_operations

        getattr(env_operations, name)(context, arguments)

    return run


_SOURCES = frozenset({"from-expression", "from-profile", "attr"})
_COLUMNS = """
status no-name system description compare-versions drv-path out-path meta installed available xml json
preserve-installed query-attr
"""
OPERATIONS: dict[str, tuple[Callable[[Context, Arguments], None], frozenset[str]]] = {
    "query": (_in_packages("query"), frozenset(_COLUMNS.split())),
    "list-generations": (list_generations, frozenset()),
    "delete-generations": (delete_generations, frozenset()),
    "rollback": (rollback, frozenset()),
    "switch-generation": (switch_generation, frozenset()),
    "switch-profile": (switch_profile, frozenset()),
    "set": (_in_packages("set_to"), _SOURCES),
    "set-flag": (_in_packages("set_flag"), frozenset()),
    "install": (_in_packages("install"), _SOURCES | {"preserve-installed", "remove-all", "priority"}),
    "upgrade": (_in_packages("upgrade"), _SOURCES | {"lt", "leq", "eq", "always"}),
    "uninstall": (_in_packages("uninstall"), frozenset()),
}
OWN_FLAGS = frozenset().union(*(flags for _, flags in OPERATIONS.values()))
"""Flags that only some operations know."""

PROGRAMS = {
    "nix-env": Command(
        run_env,
        "manage profiles",
        EVALUATION,
        (
            Option("--install -i", "Install packages."),
            Option("--upgrade -u", "Upgrade installed packages."),
            Option("--uninstall -e", "Remove installed packages."),
            Option("--set", "Make the profile hold exactly this."),
            Option("--set-flag", "Change an attribute of installed packages: NAME VALUE PACKAGE…."),
            Option("--query -q", "List what the profile holds, or (-a) what could be installed."),
            Option("--list-generations", "List generations."),
            Option("--delete-generations", "Delete generations: numbers, `old`, `30d` or `+5`."),
            Option("--rollback", "Go back one generation."),
            Option("--switch-generation -G", "Go to a generation."),
            Option("--switch-profile -S", "Use another profile."),
            Option("--profile -p", "The profile to work on.", "path"),
            Option("--file -f", "Where packages come from (default: `~/.nix-defexpr`).", "path"),
            Option("--from-expression -E", "The arguments are functions of what --file holds."),
            Option("--from-profile", "Packages come from the profile *path*.", "path"),
            Option("--attr -A", "The arguments are attribute paths; with --query, list those below *path*."),
            Option("--query-attr", "What `prepare` makes of --attr.", "path", hidden=True),
            Option("--preserve-installed -P", "Replace nothing; with --query -a, show attribute paths."),
            Option("--attr-path", "With --query -a: show attribute paths.", key="preserve-installed"),
            Option("--remove-all -r", "Remove all that was installed before."),
            Option("--priority", "The *priority* of what is installed: a lower number wins.", "priority"),
            Option("--force-name", "The *name* of what is installed.", "name", hidden=True),
            Option("--system-filter", "Packages for *system* (`*`: for any).", "system"),
            Option("--prebuilt-only -b", "Packages that need not be built."),
            Option("--lt", "With --upgrade: to higher versions only (the default)."),
            Option("--leq", "With --upgrade: to equal versions, too."),
            Option("--eq", "With --upgrade: to equal versions only."),
            Option("--always", "With --upgrade: to any version."),
            Option("--installed", "With --query: what is installed (the default)."),
            Option("--available -a", "With --query: what could be installed."),
            Option("--status -s", "With --query: installed, present, to be fetched."),
            Option("--no-name", "With --query: no names."),
            Option("--system", "With --query: show systems."),
            Option("--description", "With --query: show descriptions."),
            Option("--compare-versions -c", "With --query: compare with what is available, or installed."),
            Option("--drv-path", "With --query: show derivations."),
            Option("--out-path", "With --query: show store paths."),
            Option("--meta", "With --query --xml or --json: show `meta`."),
            Option("--xml", "With --query: print XML."),
            Option("--json", "With --query: print JSON."),
            Option("--dry-run", "Only say what would be done."),
        ),
        positional="operation arguments…",
        at_most=None,
        keep_unknown=True,
        examples=[
            ("Install a package of a file", "nix-env -f ./packages.nix -iA hello"),
            ("Go back one generation", "nix-env --rollback"),
            ("Show the generations", "nix-env --list-generations"),
        ],
    )
}
