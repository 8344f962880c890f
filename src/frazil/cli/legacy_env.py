"""`nix-env`: generations of a profile, what it holds, setting it. Source: its manual page.

Installing by name is what flakes replaced; `frazil profile` and `nix-env --set` remain.
"""

from __future__ import annotations

import os
import time

from frazil.cli.build_command import build_paths, outputs_of, set_profile
from frazil.cli.context import Context
from frazil.cli.legacy_store import with_outputs
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.profile import Profile


def default_profile(context: Context) -> str:
    """Where `~/.nix-profile` leads, made where it is missing."""
    environment = context.settings.environment
    home = environment.get("HOME") or os.path.expanduser("~")
    state = environment.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    xdg = context.settings.boolean("use-xdg-base-directories")
    link = os.path.join(state, "nix", "profile") if xdg else os.path.join(home, ".nix-profile")
    if os.path.islink(link):
        target = os.readlink(link)
        return os.path.normpath(os.path.join(os.path.dirname(link), target))
    if os.geteuid() == 0:
        profile = os.path.join(context.store_config.state_dir, "profiles", "default")
    else:
        profile = os.path.join(state, "nix", "profiles", "profile")
    if not os.path.lexists(link):
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(profile, link)
    return profile


def _profile(context: Context, arguments: Arguments) -> Profile:
    from frazil.store.profile import Profile

    return Profile(arguments.value("profile") or default_profile(context))


def run_env(context: Context, arguments: Arguments) -> None:
    chosen = [key for key, _ in arguments.order if key in OPERATIONS]
    if not chosen:
        raise UsageError("no operation specified")
    if arguments.unknown:
        raise UsageError(f"unknown flag '{arguments.unknown[0]}'")
    OPERATIONS[chosen[-1]](context, arguments)


def list_generations(context: Context, arguments: Arguments) -> None:
    profile = _profile(context, arguments)
    current = profile.current()
    for generation in profile.generations():
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(generation.created))
        mark = "(current)" if generation.number == current else ""
        context.print(f"{generation.number:4}   {created}   {mark}")


def delete_generations(context: Context, arguments: Arguments) -> None:
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
            raise UsageError(f"invalid number of generations '{words[0]}'")
        deleted = profile.keep_newest(int(words[0][1:]), dry_run=dry)
    else:
        for word in words:
            if not word.isdigit():
                raise UsageError(f"invalid generation number '{word}'")
        deleted = profile.delete([int(word) for word in words], dry_run=dry)
    for number in deleted:
        verb = "would remove" if dry else "removing"
        context.note(f"{verb} profile version {number}")


def rollback(context: Context, arguments: Arguments) -> None:
    _switch(context, arguments, None)


def switch_generation(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) != 1 or not arguments.positional[0].isdigit():
        raise UsageError("exactly one argument expected")
    _switch(context, arguments, int(arguments.positional[0]))


def _switch(context: Context, arguments: Arguments, number: int | None) -> None:
    profile = _profile(context, arguments)
    before = profile.current()
    generation = profile.switch(number)
    context.note(f"switching profile from version {before} to {generation.number}")


def switch_profile(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) != 1:
        raise UsageError("exactly one argument expected")
    home = context.settings.environment.get("HOME") or os.path.expanduser("~")
    from frazil.store.profile import replace_symlink

    replace_symlink(os.path.abspath(arguments.positional[0]), os.path.join(home, ".nix-profile"))


def set_to(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) != 1:
        raise UsageError("exactly one argument expected")
    path = with_outputs(context, arguments.positional[0])
    build_paths(context, [path])
    outputs = dict(outputs_of(context, path))
    chosen = outputs.get("out") or next(iter(outputs.values()))
    set_profile(context, arguments.value("profile") or default_profile(context), [chosen])


def query(context: Context, arguments: Arguments) -> None:
    """What the profile's manifest names; for a profile without one, the store path's name."""
    import json

    profile = _profile(context, arguments)
    if not os.path.exists(profile.path):
        return
    manifest = os.path.join(profile.path, "manifest.json")
    if os.path.exists(manifest):
        with open(manifest, "rb") as file:
            elements = json.load(file).get("elements", {})
        records = elements.values() if isinstance(elements, dict) else elements
        for record in records:
            for text in record.get("storePaths", []):
                context.print(context.store.parse(text).name)
        return
    context.print(context.store.follow_links_to_store_path(profile.path).name)


def not_here(context: Context, arguments: Arguments) -> None:
    raise UsageError(
        "frazil does not install packages by name",
        hint="use 'nix-env --set PATH', 'frazil shell' or 'frazil build --profile'",
    )


OPERATIONS = {
    "query": query,
    "list-generations": list_generations,
    "delete-generations": delete_generations,
    "rollback": rollback,
    "switch-generation": switch_generation,
    "switch-profile": switch_profile,
    "set": set_to,
    "install": not_here,
    "upgrade": not_here,
    "uninstall": not_here,
}

PROGRAMS = {
    "nix-env": Command(
        run_env,
        "manage profiles",
        (
            Option("--query -q", "List what the profile holds."),
            Option("--list-generations", "List generations."),
            Option("--delete-generations", "Delete generations: numbers, `old`, `30d` or `+5`."),
            Option("--rollback", "Go back one generation."),
            Option("--switch-generation -G", "Go to a generation."),
            Option("--switch-profile -S", "Use another profile."),
            Option("--set", "Make the profile hold exactly this."),
            Option("--install -i", "Not supported.", hidden=True),
            Option("--upgrade -u", "Not supported.", hidden=True),
            Option("--uninstall -e", "Not supported.", hidden=True),
            Option("--profile -p", "The profile to work on.", "path"),
            Option("--dry-run", "Only say what would be done."),
        ),
        positional="operation arguments…",
        at_most=None,
        keep_unknown=True,
        examples=[
            ("Go back one generation", "nix-env --rollback"),
            ("Show the generations", "nix-env --list-generations"),
        ],
    )
}
