"""Where a command looks for a flake's output. Source: the manual page of `nix` ("Installables").

In: a system and a command's name. Out: attribute paths as texts. Imported before anything of a flake is.
"""

from __future__ import annotations


def default_attribute_paths(system: str, command: str = "build") -> tuple[str, ...]:
    """Where a flake without a fragment is looked at. `command`: its name, or formatter."""
    package = (f"packages.{system}.default", f"defaultPackage.{system}")
    if command == "repl":
        return ("",)
    if command == "search":
        return (f"packages.{system}", f"legacyPackages.{system}")
    if command == "run":
        return (f"apps.{system}.default", f"defaultApp.{system}", *package)
    if command == "develop":
        return (f"devShells.{system}.default", f"devShell.{system}", *package)
    if command == "bundle":
        return (f"apps.{system}.default", f"defaultApp.{system}", *package)
    if command == "bundler":
        return (f"bundlers.{system}.default", f"defaultBundler.{system}")
    if command == "formatter":
        return (f"formatter.{system}",)
    return package


def attribute_path_prefixes(system: str, command: str = "build") -> tuple[str, ...]:
    """What is put before a fragment in turn; the fragment alone comes last."""
    package = (f"packages.{system}.", f"legacyPackages.{system}.")
    if command in ("run", "bundle"):
        return (f"apps.{system}.", *package)
    if command == "develop":
        return (f"devShells.{system}.", *package)
    if command == "bundler":
        return (f"bundlers.{system}.",)
    return () if command == "formatter" else package


def attribute_paths(fragment: str, default_paths: tuple[str, ...], prefixes: tuple[str, ...]) -> list[str]:
    """In the order they are tried. A fragment that starts with a dot is taken from the root of the outputs."""
    if not fragment:
        return list(default_paths)
    if fragment.startswith("."):
        return [fragment[1:]]
    return [*(prefix + fragment for prefix in prefixes), fragment]
