"""What a flake has, for those who asked for something else. In: its outputs, the paths tried. Out: a sentence.

Names are all that is looked at: nothing below a package is evaluated.
"""

from __future__ import annotations

from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.flake.cursor import Cursor

MOST_SHOWN = 10
BY_SYSTEM = ("packages", "apps", "devShells", "checks", "formatter", "legacyPackages", "defaultPackage", "devShell")


def what_there_is(root: Cursor, paths: Sequence[tuple[str, ...]]) -> str | None:
    """None where nothing can be said, as the outputs cannot be looked at."""
    try:
        for look in (_other_systems, _without_system, _inside, _siblings):
            found = look(root, paths)
            if found is not None:
                return found
        return _outputs(root)
    except FrazilError:
        return None


def _other_systems(root: Cursor, paths: Sequence[tuple[str, ...]]) -> str | None:
    """The same for other machines."""
    for path in paths:
        if len(path) < 2 or path[0] not in BY_SYSTEM:
            continue
        output = root.maybe(path[0])
        if output is None or output.is_derivation():
            continue
        having = [system for system in output.names() if _has(output, (system, *path[2:]))]
        if having:
            shown = _some([text(system) for system in having])
            name = ".".join(text(part) for part in (path[0], having[0], *path[2:]))
            what = ".".join(text(part) for part in path[2:]) or path[0]
            return (
                f"it has `{what}` for {shown}, not for {text(path[1])}: build that (#{name}) where such a machine is "
                f"at hand, or add {'.'.join(text(part) for part in path)} to flake.nix"
            )
    return None


def _has(cursor: Cursor, path: Sequence[str]) -> bool:
    try:
        return cursor.find(path, set()) is not None
    except FrazilError:
        return False


def _without_system(root: Cursor, paths: Sequence[tuple[str, ...]]) -> str | None:
    for path in paths:
        if len(path) > 2 and path[0] in BY_SYSTEM and _has(root, (path[0], *path[2:])):
            rest = ".".join(text(part) for part in path[2:])
            return (
                f"`{path[0]}` is divided by system: {path[0]}.{text(path[1])}.{rest} = …; in place of {path[0]}.{rest}"
            )
    return None


def _inside(root: Cursor, paths: Sequence[tuple[str, ...]]) -> str | None:
    """What a package or set holds that is there, but not what was asked of it."""
    for path in paths:
        for end in range(len(path) - 1, 2 if path[0] in BY_SYSTEM else 0, -1):
            try:
                found = root.find(path[:end], set())
                names = sorted(found.names()) if found is not None else None
            except FrazilError:
                continue
            if names is not None:
                whole = ".".join(text(part) for part in path[:end])
                has = f"it has: {_some([text(name) for name in names])}" if names else "it is empty"
                return f"`{whole}` has no `{text(path[end])}`; {has}"
    return None


def _siblings(root: Cursor, paths: Sequence[tuple[str, ...]]) -> str | None:
    """What lies beside what was asked for."""
    for path in paths:
        if len(path) > 2 and path[0] in BY_SYSTEM and path[0] != "legacyPackages":
            group = root.find(path[:2], set())
            names = sorted(group.names()) if group is not None else []
            if names:
                command = f"; for example #{text(names[0])}" if path[2:] == ("default",) else ""
                return f"{path[0]} for {text(path[1])}: {_some([text(name) for name in names])}{command}"
    return None


def _outputs(root: Cursor) -> str | None:
    names = sorted(name for name in root.names() if not name.startswith("_"))
    return f"its outputs: {_some([text(name) for name in names])}" if names else "it has no outputs at all"


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_SHOWN])
    return shown + (f", … ({len(names) - MOST_SHOWN} more)" if len(names) > MOST_SHOWN else "")


def text(name: str) -> str:
    """A byte string of the language for people."""
    return name.encode("latin-1", "replace").decode("utf-8", "replace")
