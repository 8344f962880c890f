"""`flake show`: the outputs of a flake as a tree, as text or JSON.

In: a cursor on the outputs. Out: lines through `print_line`, and the JSON value. Source: the manual page of
`nix flake show`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frazil.errors import FrazilError
from frazil.flake.cursor import Cursor
from frazil.flake.workers import Workers
from frazil.lang.errors import EvalError, ImportFromDerivationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frazil.flake.parts import Parts
    from frazil.instantiate.recording import ReadRecorder

Json = dict[str, Any]
BRANCH, LAST, LINE, BLANK = "├───", "└───", "│   ", "    "
_LISTS = frozenset(
    {
        "defaultPackage",
        "devShell",
        "formatter",
        "nixosConfigurations",
        "nixosModules",
        "defaultApp",
        "templates",
        "overlays",
    }
)
_BY_SYSTEM = frozenset({"checks", "packages", "devShells", "apps"})
_EMPTY_LISTS = frozenset({"formatter", "nixosConfigurations", "nixosModules", "overlays"})
_EMPTY_BY_SYSTEM = frozenset({"apps", "checks", "devShells", "legacyPackages", "packages"})


@dataclass(frozen=True, slots=True)
class ShowOptions:
    """`enter_worker`: as for `CheckOptions`."""

    json: bool
    legacy: bool
    all_systems: bool
    system: str
    color: bool
    enter_worker: Callable[[], Callable[[], bool]] | None = None
    recorder: ReadRecorder | None = None


def has_content(cursor: Cursor) -> bool:
    """Frameworks make attributes whose sets are empty: not worth a line. An error counts as content."""
    path = cursor.path
    depth, kind = len(path), path[0]
    if not ((kind in _EMPTY_BY_SYSTEM and depth <= 2) or (kind in _EMPTY_LISTS and depth == 1)):
        return True
    try:
        return any(has_content(cursor.get(name)) for name in cursor.names())
    except EvalError:
        return True


class Shower:
    def __init__(self, options: ShowOptions, print_line: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self.options, self.print_line, self.warn = options, print_line, warn
        on = options.color
        self.green, self.bold, self.magenta, self.normal = (
            ("\033[32;1m", "\033[1m", "\033[35;1m", "\033[0m") if on else ("", "", "", "")
        )

        self.workers: Workers | None = None
        self.heard: Callable[[], bool] | None = None
        self.remembered: Parts | None = None

    def show(self, root: Cursor, title: str, remembered: Parts | None = None) -> Json:
        """`remembered`: what earlier runs found out about parts, and what this one does."""
        self.remembered = remembered
        parts = self.parts(root) if self.options.enter_worker is not None and self.options.all_systems else {}
        groups = {key: key[1] for key in parts}
        finish = None
        if remembered is not None:
            remembered.before_fork()
            finish = remembered.flush
        workers = Workers(groups, lambda key: self.work(parts[key]), self.warn, self.options.recorder, finish)
        with workers as self.workers:
            return self.visit(root, f"{self.bold}{title}{self.normal}", "")

    # -- in several processes ---------------------------------------------------------------------

    def parts(self, root: Cursor) -> dict[tuple[str, ...], tuple[Cursor, str, str]]:
        """What each system has of an output, with its head and prefix; nothing if looking for it fails."""
        try:
            return {
                child.path: (child, head, prefix)
                for output, _, inner in self.children(root, "")
                if output.path[0] in _BY_SYSTEM
                for child, head, prefix in self.children(output, inner)
            }
        except FrazilError:
            return {}

    def work(self, part: tuple[Cursor, str, str]) -> dict[str, Any]:
        """In another process: the lines and the value of a part. Raises anything where something else is said."""
        if self.heard is None:
            assert self.options.enter_worker is not None
            self.heard = self.options.enter_worker()
            if self.remembered is not None:
                self.remembered.enter_worker()
        lines: list[str] = []
        noisy: list[str] = []
        again: list[str] = []
        self.print_line, self.warn = lines.append, noisy.append
        if self.remembered is not None:
            self.remembered.again = again.append
        value = self.visit_kind(*part)
        if noisy or self.heard():
            raise FrazilError("a part that says more than its lines")
        return {"lines": lines, "value": value, "again": again}

    # -- output -----------------------------------------------------------------------------------

    def line(self, text: str) -> None:
        if not self.options.json:
            self.print_line(text)

    def omitted(self, cursor: Cursor, head: str, why: str) -> None:
        """`why` starts with the word that is coloured."""
        if self.options.json:
            self.warn(f"{cursor.name} {why}")
        else:
            word, space, rest = why.partition(" ")
            if why.startswith("omitted due"):
                word, space, rest = why, "", ""
            self.print_line(f"{head} {self.magenta}{word}{self.normal}{space}{rest}")

    def omitted_system(self, cursor: Cursor, head: str) -> None:
        self.omitted(cursor, head, "omitted (use '--all-systems' to show)")

    # -- walking ----------------------------------------------------------------------------------

    def visit(self, cursor: Cursor, head: str, prefix: str) -> Json:
        found = self.workers.result(cursor.path) if self.workers is not None else None
        if found is not None:
            if self.remembered is not None:
                self.remembered.say_again(found["again"])
            for line in found["lines"]:
                self.print_line(line)
            value: Json = found["value"]
            return value
        try:
            if self.remembered is not None and is_part(cursor.path):
                return self.part(self.remembered, cursor, head, prefix)
            return self.visit_kind(cursor, head, prefix)
        except EvalError:
            if cursor.path and cursor.path[0] == "legacyPackages":
                return {}
            raise

    def part(self, remembered: Parts, cursor: Cursor, head: str, prefix: str) -> Json:
        """As it was shown by an earlier run, where nothing that it rests on is different."""
        detail = {"path": list(cursor.path), "head": head, "prefix": prefix}
        found = remembered.known(detail, _is_part)
        if found is not None:
            for line in found["lines"]:
                self.print_line(line)
            for text in found["warned"]:
                self.warn(text)
            value: Json = found["value"]
            return value
        print_line, warn = self.print_line, self.warn
        lines: list[str] = []
        warned: list[str] = []

        def hear_line(text: str) -> None:
            lines.append(text)
            print_line(text)

        def hear_warning(text: str) -> None:
            warned.append(text)
            warn(text)

        def show() -> Json:
            self.print_line, self.warn, self.remembered = hear_line, hear_warning, None
            try:
                value = self.visit_kind(cursor, head, prefix)
            finally:
                self.print_line, self.warn, self.remembered = print_line, warn, remembered
            return {"lines": lines, "warned": warned, "value": value}

        shown = remembered.evaluate(detail, show)
        assert shown is not None
        result: Json = shown["value"]
        return result

    def visit_kind(self, cursor: Cursor, head: str, prefix: str) -> Json:
        depth = len(cursor.path)
        kind = cursor.path[0] if cursor.path else ""
        if depth == 0 or (depth == 1 and kind in _LISTS) or (depth <= 2 and kind in _BY_SYSTEM):
            return self.recurse(cursor, head, prefix)
        if (depth == 2 and kind in ("defaultPackage", "devShell", "formatter")) or (
            depth == 3 and kind in ("checks", "packages", "devShells")
        ):
            return self.package(cursor, head)
        if kind == "hydraJobs":
            return self.guarded(cursor, head, lambda: self.job(cursor, head, prefix))
        if kind == "legacyPackages":
            return self.legacy(cursor, head, prefix)
        if (depth == 2 and kind == "defaultApp") or (depth == 3 and kind == "apps"):
            return self.app(cursor, head)
        if (depth == 1 and kind == "defaultTemplate") or (depth == 2 and kind == "templates"):
            return self.template(cursor, head)
        return self.other(cursor, head)

    def recurse(self, cursor: Cursor, head: str, prefix: str) -> Json:
        self.line(head)
        return {display(child.path[-1]): self.visit(child, *place) for child, *place in self.children(cursor, prefix)}

    def children(self, cursor: Cursor, prefix: str) -> list[tuple[Cursor, str, str]]:
        """Those worth a line, each with its own head and the prefix of what is below it."""
        names = [name for name in cursor.names() if has_content(cursor.get(name))]
        found = []
        for name in names:
            last = name == names[-1]
            head = (
                f"{self.green}{prefix}{LAST if last else BRANCH}{self.normal}{self.bold}{show_name(name)}{self.normal}"
            )
            found.append((cursor.get(name), head, prefix + (BLANK if last else LINE)))
        return found

    def guarded(self, cursor: Cursor, head: str, show: Callable[[], Json]) -> Json:
        try:
            return show()
        except ImportFromDerivationError:
            self.omitted(cursor, head, "omitted due to use of import from derivation")
            return {}

    # -- kinds of outputs -------------------------------------------------------------------------

    def package(self, cursor: Cursor, head: str) -> Json:
        if not self.options.all_systems and cursor.path[1] != self.options.system:
            self.omitted_system(cursor, head)
            return {}

        def show() -> Json:
            if cursor.is_derivation():
                return self.derivation(cursor, head)
            self.warn(f"{display(cursor.name)}.name is not a derivation")
            return {}

        return self.guarded(cursor, head, show)

    def job(self, cursor: Cursor, head: str, prefix: str) -> Json:
        return self.derivation(cursor, head) if cursor.is_derivation() else self.recurse(cursor, head, prefix)

    def legacy(self, cursor: Cursor, head: str, prefix: str) -> Json:
        depth = len(cursor.path)
        if depth == 1:
            return self.recurse(cursor, head, prefix)
        if not self.options.legacy:
            self.omitted(cursor, head, "omitted (use '--legacy' to show)")
            return {}
        if not self.options.all_systems and cursor.path[1] != self.options.system:
            self.omitted_system(cursor, head)
            return {}

        def show() -> Json:
            if cursor.is_derivation():
                return self.derivation(cursor, head)
            return self.recurse(cursor, head, prefix) if depth <= 2 else {}

        return self.guarded(cursor, head, show)

    def derivation(self, cursor: Cursor, head: str) -> Json:
        name = display(cursor.get("name").string())
        if self.options.json:
            return {"type": "derivation", "name": name, "description": description(cursor) or ""}
        path = cursor.path
        what = "package"
        if path[0] in ("devShell", "devShells"):
            what = "development environment"
        elif path[0] == "hydraJobs" or (path[0] == "checks" and len(path) == 3):
            what = "derivation"
        self.line(f"{head}: {what} '{name}'")
        return {}

    def app(self, cursor: Cursor, head: str) -> Json:
        kind = cursor.maybe("type")
        text = description(cursor)
        if kind is None or kind.string() != "app":
            raise EvalError("not an app definition")
        if self.options.json:
            return {"type": "app"} if text is None else {"type": "app", "description": text}
        self.line(f"{head}: app: {self.bold}{'no description' if text is None else text}{self.normal}")
        return {}

    def template(self, cursor: Cursor, head: str) -> Json:
        text = display(cursor.get("description").string())
        self.line(f"{head}: template: {self.bold}{text}{self.normal}")
        return {"type": "template", "description": text}

    def other(self, cursor: Cursor, head: str) -> Json:
        path, depth = cursor.path, len(cursor.path)
        kind, text = "unknown", "unknown"
        if path == ("overlay",) or (depth == 2 and path[0] == "overlays"):
            kind, text = "nixpkgs-overlay", "Nixpkgs overlay"
        elif depth == 2 and path[0] == "nixosConfigurations":
            kind, text = "nixos-configuration", "NixOS configuration"
        elif path == ("nixosModule",) or (depth == 2 and path[0] == "nixosModules"):
            kind, text = "nixos-module", "NixOS module"
        self.line(f"{head}: {self.magenta}{text}{self.normal}")
        return {"type": kind}


def is_part(path: tuple[str, ...]) -> bool:
    """Whether what is there is remembered for itself."""
    depth, kind = len(path), path[0] if path else ""
    if kind in _BY_SYSTEM or kind == "legacyPackages":
        return depth == 3
    return depth == 2 and kind in ("defaultPackage", "devShell", "formatter", "defaultApp", "templates", "hydraJobs")


def _is_part(answer: Mapping[str, Any]) -> bool:
    """The shape of what `Shower.part` remembers."""
    rows = [answer.get("lines"), answer.get("warned")]
    texts = all(isinstance(row, list) and all(isinstance(text, str) for text in row) for row in rows)
    return texts and isinstance(answer.get("value"), dict)


def description(cursor: Cursor) -> str | None:
    meta = cursor.maybe("meta")
    found = meta.maybe("description") if meta is not None else None
    return None if found is None else display(found.string())


def display(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "replace")


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*\Z")
_KEYWORDS = frozenset({"if", "then", "else", "assert", "with", "let", "in", "rec", "inherit"})


def show_name(name: str) -> str:
    """An attribute's name as it would be written: quoted where it must be."""
    text = display(name)
    if _IDENTIFIER.match(text) and text not in _KEYWORDS:
        return text
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    quoted = "".join([escapes.get(character, character) for character in text])
    return '"' + quoted.replace("${", "\\${") + '"'
