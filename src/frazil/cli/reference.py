"""The reference pages in docs/reference, made from the tables: `python -m frazil.cli.reference docs/reference`.

`tests/cli/test_reference.py` fails where they are not up to date.
"""

from __future__ import annotations

import os
import sys

from frazil.cli.commands import PROGRAMS, table
from frazil.cli.common_options import GLOBAL, LEGACY_GLOBAL
from frazil.cli.help_stores import stores_page
from frazil.cli.program import load_command
from frazil.cli.settings_table import ALIASES, ROWS, SETTING_FEATURES, WITHOUT_EFFECT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.cli.options import Command, Option

KINDS = {
    "bool": "true or false",
    "int": "a number",
    "string": "a text",
    "path": "a path",
    "path?": "a path, or nothing",
    "list": "words, separated by spaces",
    "set": "words, separated by spaces",
    "map": "NAME=VALUE words",
    "features": "names of features",
    "sandbox": "true, false or relaxed",
    "jobs": "a number, or auto",
}


def option_line(option: Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.names)
    labels = "".join(f" *{label}*" for label in option.labels)
    return f"- {names}{labels}: {option.help}"


def option_lines(options: Sequence[Option]) -> list[str]:
    return [option_line(o) for o in sorted(options, key=lambda o: o.key) if not o.hidden]


def command_section(title: str, command: Command) -> list[str]:
    lines = [f"## {title}", "", f"{command.summary[0].upper()}{command.summary[1:]}.", ""]
    lines += [f"    {title} [option…] {command.positional}".rstrip(), ""]
    for what, how in command.examples:
        lines += [f"{what}:", "", f"    {how}", ""]
    shown = option_lines(command.options)
    return lines + ([*shown, ""] if shown else [])


def commands_page() -> str:
    lines = [
        "# Commands",
        "",
        "Called as `frazil` (or `nix`): `frazil COMMAND`. Through a link with the name of one of the programs at the",
        "end it behaves as that program. This page is generated; `frazil COMMAND --help` shows the same.",
        "",
        "## Options of all commands",
        "",
        *option_lines(GLOBAL),
        "",
        "Every setting is an option, too: `--NAME VALUE`, for switches `--NAME` and `--no-NAME`.",
        "",
    ]
    for name in sorted(table()):
        lines += command_section(f"frazil {name}", load_command(name))
    lines += ["# Programs", "", "All of them take these as well:", "", *option_lines(LEGACY_GLOBAL), ""]
    for program, (module, _) in sorted(PROGRAMS.items()):
        from importlib import import_module

        lines += command_section(program, import_module(f"frazil.cli.{module}").PROGRAMS[program])
    return "\n".join(lines).rstrip() + "\n"


def settings_page() -> str:
    lines = [
        "# Settings",
        "",
        "Read from `/etc/nix/nix.conf`, `/etc/frazil/frazil.conf` (`NIX_CONF_DIR`), the user's `nix/nix.conf` and",
        "`frazil/frazil.conf` in the XDG folders (`NIX_USER_CONF_FILES`), the variable `NIX_CONFIG`, and options; the",
        "last one counts. A line is `NAME = VALUE`; `extra-NAME` adds to lists; `include FILE` and `!include FILE`",
        "read another file. This page is generated; `frazil config show` shows the values in force.",
        "",
    ]
    old = {target: sorted(a for a, t in ALIASES.items() if t == target) for target in ALIASES.values()}
    for name, kind, default, text in sorted(ROWS):
        lines += [f"## `{name}`", "", text, "", f"- Type: {KINDS[kind]}"]
        if default:
            lines.append(f"- Default: `{default}`")
        if name in old:
            lines.append(f"- Also: {', '.join(f'`{alias}`' for alias in old[name])}")
        if name in SETTING_FEATURES:
            lines.append(f"- Needs the feature `{SETTING_FEATURES[name]}`")
        if name in WITHOUT_EFFECT:
            lines.append(f"- Accepted without effect: {WITHOUT_EFFECT[name][0]}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


PAGES = {"cli.md": commands_page, "settings.md": settings_page, "stores.md": stores_page}


def main(folder: str) -> None:
    for name, page in PAGES.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(page())


if __name__ == "__main__":
    main(sys.argv[1])
