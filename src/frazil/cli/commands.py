"""All commands and programs: which module holds each, so that only that one is imported.

A module named here has `COMMANDS`, a dict from the command's words ("store ls") to `Command`.
"""

from __future__ import annotations

MAIN, SECONDARY, UTILITY, HELP = "Main commands", "Infrequently used commands", "Utility/scripting commands", "Help"

# words -> (module, summary, category)
TABLE: dict[str, tuple[str, str, str]] = {
    "help": ("help_command", "show help about frazil or one of its commands", HELP),
    "build": ("build_command", "build a derivation or fetch a store path", MAIN),
    "eval": ("eval_command", "evaluate a Nix expression", SECONDARY),
    "config show": ("config_commands", "show the values of settings", UTILITY),
    "config check": ("config_commands", "check this machine for what frazil needs", UTILITY),
    "hash file": ("hash_commands", "print the hash of a file", UTILITY),
    "hash path": ("hash_commands", "print the hash of a path's NAR serialisation", UTILITY),
    "hash convert": ("hash_commands", "convert hashes between formats", UTILITY),
    "hash to-base16": ("hash_commands", "convert a hash to base 16", UTILITY),
    "hash to-base32": ("hash_commands", "convert a hash to base 32", UTILITY),
    "hash to-base64": ("hash_commands", "convert a hash to base 64", UTILITY),
    "hash to-sri": ("hash_commands", "convert a hash to SRI", UTILITY),
}

# Groups whose commands another module lists: TABLE there, in the same form.
DELEGATED = {"flake": "flake_commands", "registry": "flake_commands"}

GROUP_SUMMARIES: dict[str, tuple[str, str]] = {
    "config": ("show and check settings", UTILITY),
    "derivation": ("work with derivations", UTILITY),
    "flake": ("manage flakes", MAIN),
    "hash": ("compute and convert hashes", UTILITY),
    "nar": ("create or inspect NAR files", UTILITY),
    "profile": ("manage profiles", MAIN),
    "registry": ("manage the flake registry", SECONDARY),
    "store": ("manipulate a store", UTILITY),
    "env": ("manipulate the process environment", UTILITY),
}

# Old names: (new words, deprecated)
ALIASES: dict[str, tuple[str, bool]] = {
    "add-to-store": ("store add-path", True),
    "cat-nar": ("nar cat", True),
    "cat-store": ("store cat", True),
    "dev-shell": ("develop", True),
    "diff-closures": ("store diff-closures", True),
    "dump-path": ("store dump-path", True),
    "hash-file": ("hash file", True),
    "hash-path": ("hash path", True),
    "ls-nar": ("nar ls", True),
    "ls-store": ("store ls", True),
    "make-content-addressable": ("store make-content-addressed", True),
    "optimise-store": ("store optimise", True),
    "ping-store": ("store info", True),
    "show-derivation": ("derivation show", True),
    "show-config": ("config show", True),
    "to-base16": ("hash to-base16", True),
    "to-base32": ("hash to-base32", True),
    "to-base64": ("hash to-base64", True),
    "verify": ("store verify", True),
    "doctor": ("config check", True),
    "shell": ("env shell", False),
    "store ping": ("store info", True),
}

# argv[0] -> (module, summary)
PROGRAMS: dict[str, tuple[str, str]] = {
    "nix-build": ("legacy_build", "build a Nix expression"),
    "nix-instantiate": ("legacy_instantiate", "instantiate store derivations from Nix expressions"),
}
UNSUPPORTED_PROGRAMS: dict[str, str] = {}


def table() -> dict[str, tuple[str, str, str]]:
    """Everything, delegated groups included."""
    from importlib import import_module

    found = dict(TABLE)
    for module in dict.fromkeys(DELEGATED.values()):
        try:
            found.update(import_module(f"frazil.cli.{module}").TABLE)
        except ModuleNotFoundError as error:
            if error.name != f"frazil.cli.{module}":
                raise
    return found


def rows(words: list[str]) -> dict[str, tuple[str, str, str]]:
    """The part of the table that these words can name; delegated groups are read only when named."""
    return table() if words and words[0] in DELEGATED else TABLE


def groups() -> set[str]:
    return {name.partition(" ")[0] for name in TABLE if " " in name} | set(DELEGATED)
