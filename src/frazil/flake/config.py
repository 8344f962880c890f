"""`nixConfig`: settings that a flake asks for, and whether the user trusts them.

Harmless settings are applied; the rest only with `accept-flake-config`, a saved decision, or a yes at the prompt.
Source: the manual page of `nix flake` (`nixConfig`); decisions are kept where Nix keeps them,
`trusted-settings.json` in its data folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from frazil.flake.errors import FlakeError
from frazil.flake.flake_file import ConfigValue

HARMLESS = frozenset(
    {
        "bash-prompt",
        "bash-prompt-prefix",
        "bash-prompt-suffix",
        "flake-registry",
        "commit-lock-file-summary",
        "commit-lockfile-summary",
    }
)
Ask = Callable[[str], str | None]
"""Shows a question; one character of answer, or None where nobody can be asked."""
Say = Callable[[str], None]
TrustedList = dict[str, dict[str, bool]]
MAX_BYTES = 16 << 20


def print_value(value: ConfigValue) -> str:
    """A value as it stands in nix.conf."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(value)
    return str(value)


def trusted_list_path(environment: Mapping[str, str]) -> str:
    home = environment.get("HOME") or os.path.expanduser("~")
    own = environment.get("NIX_DATA_HOME")
    if own:
        return os.path.join(own, "trusted-settings.json")
    data = environment.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    return os.path.join(data, "nix", "trusted-settings.json")


def read_trusted_list(path: str) -> TrustedList:
    from frazil.fetch.json_text import parse_json

    try:
        with open(path, "rb") as file:
            value = parse_json(file.read(MAX_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FlakeError(f"cannot read '{path}': {error}", hint="repair or delete it") from error
    if not isinstance(value, dict) or not all(
        isinstance(row, dict) and all(isinstance(flag, bool) for flag in row.values()) for row in value.values()
    ):
        raise FlakeError(f"'{path}' is not a table of trusted settings", hint="repair or delete it")
    return value


def write_trusted_list(path: str, table: TrustedList) -> None:
    import json

    from frazil.fetch.tree import write_atomically

    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(path, json.dumps(table, sort_keys=True, separators=(",", ":")).encode())


class Trust:
    """Decides which settings of a flake count. `ask` shows a question, `info` and `warn` a line."""

    def __init__(self, accept: bool, path: str, ask: Ask, info: Say, warn: Say) -> None:
        self.accept, self.path, self.ask, self.info, self.warn = accept, path, ask, info, warn

    def accepted(self, config: Mapping[str, ConfigValue]) -> dict[str, str]:
        """The settings to apply, as texts for nix.conf's names."""
        result = {}
        for name, value in sorted(config.items()):
            text = print_value(value)
            if name.removeprefix("extra-") in HARMLESS or self.accept or self.trusted(name, text):
                result[name] = text
            else:
                self.warn(
                    f"ignoring untrusted flake configuration setting '{name}'.\n"
                    "Pass '--accept-flake-config' to trust it"
                )
        return result

    def trusted(self, name: str, text: str) -> bool:
        table = read_trusted_list(self.path)
        saved = table.get(name, {}).get(text)
        if saved is not None:
            self.info(f"Using saved setting for '{name} = {text}' from {self.path}.")
            return saved
        shown = "".join(c if c.isprintable() else "�" for c in text)
        trusted = self.yes(f"do you want to allow configuration setting '{name}' to be set to '{shown}' (y/N)?")
        word = "trusted" if trusted else "untrusted"
        if self.yes(f"do you want to permanently mark this value as {word} (y/N)?"):
            table.setdefault(name, {})[text] = trusted
            write_trusted_list(self.path, table)
        return trusted

    def yes(self, question: str) -> bool:
        return (self.ask(question) or "n").lower() == "y"
