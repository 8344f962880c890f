"""`config show`, `config check`."""

from __future__ import annotations

import os
import sys

from frazil.activity import Verbosity
from frazil.cli.common_options import JSON
from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command
from frazil.cli.settings import Settings, computed_default, kind_of
from frazil.cli.settings_table import ALIASES, ROWS, SETTING_FEATURES
from frazil.errors import FrazilError, UsageError


def shown_value(settings: Settings, name: str) -> str:
    if name == "experimental-features":
        return " ".join(sorted(settings.features))
    found = settings.values.get(name)
    if found is not None and kind_of(name) == "int":
        return str(settings.integer(name))
    return found if found is not None else computed_default(name)


def json_value(settings: Settings, name: str, kind: str) -> object:
    text = shown_value(settings, name)
    if kind == "bool":
        return settings.boolean(name)
    if kind == "int":
        return settings.integer(name)
    if kind == "jobs":
        return settings.max_jobs
    if kind == "sandbox":
        return {"true": True, "false": False}.get(text, text)
    if kind in {"list", "set", "features"}:
        words = text.split()
        return words if kind == "list" else sorted(set(words))
    if kind == "map":
        return settings.mapping(name)
    if kind == "path?":
        return text or None
    return text


def known_rows(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Without those whose experimental feature is off."""
    features = settings.features
    return [row for row in sorted(ROWS) if SETTING_FEATURES.get(row[0]) in {None, *features}]


def show(context: Context, arguments: Arguments) -> None:
    settings = context.settings
    if arguments.positional:
        if arguments.flag("json"):
            raise UsageError("'--json' is not supported when specifying a setting name")
        name = ALIASES.get(arguments.positional[0], arguments.positional[0])
        if all(row[0] != name for row in known_rows(settings)):
            raise FrazilError(f"could not find setting '{name}'")
        context.print(shown_value(settings, name))
        return
    if arguments.flag("json"):
        context.print(_as_json(settings))
        return
    for name, _, _, _ in known_rows(settings):
        context.print(f"{name} = {shown_value(settings, name)}")


def _as_json(settings: Settings) -> str:
    import json

    empty = Settings({}, lambda _: None)
    record = {}
    for name, kind, _, text in known_rows(settings):
        record[name] = {
            "aliases": sorted(a for a, target in ALIASES.items() if target == name),
            "defaultValue": json_value(empty, name, kind),
            "description": text,
            "documentDefault": True,
            "experimentalFeature": SETTING_FEATURES.get(name),
            "value": json_value(settings, name, kind),
        }
    return json.dumps(record, sort_keys=True)


def check(context: Context, arguments: Arguments) -> int:
    """Messages: [PASS], [FAIL] or [INFO] for each thing looked at. Exit status 2 where one failed."""
    from frazil.cli.display import Palette

    palette = Palette(context.colours)
    uri = context.store_config.uri
    context.note(f"Running checks against store uri: {uri}", Verbosity.NOTICE)
    failed = False
    for good, text in (_programs_on_path(), _user_namespaces()):
        mark = f"{palette.green}[PASS]{palette.normal}" if good else f"{palette.red}[FAIL]{palette.normal}"
        context.note(f"{mark} {text}", Verbosity.NOTICE)
        failed = failed or not good
    trusted = context.store.open().trusts_us
    words = f"You are {'' if trusted else 'not '}trusted by store uri: {uri}"
    if trusted is None:
        words = f"Store uri: {uri} doesn't have a notion of trusted user"
    context.note(f"{palette.blue}[INFO]{palette.normal} {words}", Verbosity.NOTICE)
    return 2 if failed else 0


def _programs_on_path() -> tuple[bool, str]:
    """frazil's own links stand for one installation. Another Nix is in the way only where it comes first."""
    found = []
    for directory in os.environ.get("PATH", "").split(":"):
        path = os.path.join(directory, "nix-env")
        folder = os.path.dirname(os.path.realpath(path))
        if directory and os.access(path, os.X_OK) and folder not in found:
            found.append(folder)
    if not found:
        return True, "PATH contains no nix version: only frazil itself is called."
    if len(found) == 1:
        return True, "PATH contains only one nix version."
    listed = "\n".join(f"  {folder}" for folder in found)
    if found[0] == os.path.dirname(os.path.realpath(sys.argv[0])):
        return True, f"PATH contains other versions of nix, behind this one:\n{listed}"
    return False, f"Multiple versions of nix found in PATH:\n{listed}"


def _user_namespaces() -> tuple[bool, str]:
    try:
        with open("/proc/sys/user/max_user_namespaces", encoding="ascii") as file:
            allowed = int(file.read())
    except (OSError, ValueError):
        allowed = 0
    if allowed > 0:
        return True, "User namespaces are available for sandboxes."
    return False, "User namespaces are not available: builds cannot be isolated."


def upgrade(context: Context, arguments: Arguments) -> None:
    raise FrazilError("frazil does not replace itself", hint="upgrade it as it was installed: pip install -U frazil")


COMMANDS = {
    "upgrade-nix": Command(
        upgrade,
        "upgrade Nix (frazil is upgraded by pip)",
        experimental=None,
        examples=[("Upgrade frazil", "pip install --upgrade frazil")],
    ),
    "config show": Command(
        show,
        "show the values of settings",
        JSON,
        positional="name",
        at_most=1,
        examples=[("Show all settings", "frazil config show"), ("Show one", "frazil config show max-jobs")],
    ),
    "config check": Command(
        check,
        "check this machine for what frazil needs",
        experimental=None,
        examples=[("What is missing on this machine?", "frazil config check")],
    ),
}
