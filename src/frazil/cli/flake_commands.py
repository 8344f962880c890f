"""Which module holds each command of the groups `flake` and `registry`."""

from __future__ import annotations

MAIN, SECONDARY = "Main commands", "Infrequently used commands"

# words -> (module, summary, category)
TABLE: dict[str, tuple[str, str, str]] = {
    "flake archive": ("flake_copying", "copy a flake and all its inputs to a store", MAIN),
    "flake check": ("flake_check", "check whether the flake evaluates and run its tests", MAIN),
    "flake clone": ("flake_copying", "clone flake repository", MAIN),
    "flake info": ("flake_metadata", "show flake metadata", MAIN),
    "flake init": ("flake_init", "create a flake in the current directory from a template", MAIN),
    "flake lock": ("flake_locking", "create missing lock file entries", MAIN),
    "flake metadata": ("flake_metadata", "show flake metadata", MAIN),
    "flake new": ("flake_init", "create a flake in the specified directory from a template", MAIN),
    "flake prefetch": ("flake_copying", "download the source tree of a flake reference into the store", MAIN),
    "flake prefetch-inputs": ("flake_copying", "fetch the inputs of a flake", MAIN),
    "flake show": ("flake_show", "show the outputs provided by a flake", MAIN),
    "flake update": ("flake_locking", "update flake lock file", MAIN),
    "registry add": ("registry_commands", "add/replace flake in user flake registry", SECONDARY),
    "registry list": ("registry_commands", "list available Nix flakes", SECONDARY),
    "registry pin": ("registry_commands", "pin a flake to its current version or to that of a flake URL", SECONDARY),
    "registry remove": ("registry_commands", "remove flake from user flake registry", SECONDARY),
    "registry resolve": ("registry_commands", "resolve flake references using the registry", SECONDARY),
}
