"""Errors that libraries can only throw as text: of the module system (which option, of which type, defined where, and
how to resolve it), and of `callPackage`.

In: that text, in nixpkgs' wording or in that of the embedded package set. Out: `Failure`, None for other messages.
"""

from __future__ import annotations

import os
import re

from frazil.cli.error_places import read_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.cli.display import Palette
    from frazil.cli.error_layout import View
    from frazil.position import Position

SHOWN_VALUE = 100
SHOWN_DEFINITIONS = 8
OPTION = r"[`‘](?P<option>[^'’]+)['’]"
_DEFINITION = re.compile(r"^- In [`‘](?P<file>[^'’]*)['’](?P<more>[^:\n]*):? ?(?P<value>.*)$")


class _Kind:
    """A family of messages. `hint` may use {option}, {assignment}, {file}."""

    def __init__(self, name: str, hint: str, *patterns: str) -> None:
        self.name = name
        self.hint = hint
        self.patterns = tuple(re.compile(pattern.replace("OPTION", OPTION), re.S) for pattern in patterns)


KINDS = (
    _Kind(
        "wrong type",
        "give the option a value of that type{there}",
        r"A definition for option OPTION is not of type [`‘](?P<type>.*?)['’]\.(?= |$)",
        r"What OPTION is defined as is not of type [`‘](?P<type>.*?)['’]:",
    ),
    _Kind(
        "conflict",
        "keep one definition; or say which counts: `{option} = lib.mkForce VALUE;` wins over the others, "
        "`lib.mkDefault VALUE` gives way to them",
        r"The option OPTION has conflicting definition values:",
        r"Definitions of OPTION contradict each other:",
    ),
    _Kind(
        "several definitions",
        "only one definition may count: remove the others, or make one win with `{option} = lib.mkForce VALUE;`",
        r"The option OPTION is defined multiple times while it's expected to be unique",
        r"OPTION takes a single definition, but has",
    ),
    _Kind(
        "not combinable",
        "one definition can count (`lib.mkForce`); or the option needs a type whose values combine (`lib.types.lines`, "
        "`lib.types.listOf …`, `lib.types.attrsOf …`), and `lib.mkMerge` puts several values into one definition",
        r"Cannot merge definitions of OPTION",
        r"The definitions of OPTION do not combine:",
    ),
    _Kind(
        "no value",
        "set it: `{option} = …;`; or give it a `default` where it is declared",
        r"The option OPTION (?:was accessed but has no value defined|is used but not defined)",
        r"OPTION is needed but has no value defined",
    ),
    _Kind(
        "read-only",
        "a read-only option has one definition: remove the others",
        r"The option OPTION is read-only, but it's set multiple times",
        r"OPTION is read-only: one definition is all it may have",
    ),
    _Kind(
        "unknown",
        "is the name right, and the module that declares the option among `imports`?",
        r"The option OPTION does not exist\.",
        r"OPTION does not exist: no module declares such an option",
    ),
    _Kind(
        "declared twice",
        "an option is declared once: remove a declaration, or rename it",
        r"The option OPTION in [`‘].*?['’] is already declared in (?P<files>[^\n]*?)\.?$",
        r"declares the option OPTION, which is already declared by (?P<files>[^\n]*?)\.?$",
    ),
    _Kind(
        "conflict",
        "keep one definition, or make both of the same kind",
        r"The option OPTION has conflicting option types in (?P<files>[^\n]*?)\.?$",
    ),
    _Kind(
        "not a set",
        "`{option}` holds further options: set these, {option}.NAME = …;",
        r"In module [`‘](?P<file>[^'’]*)['’], you're trying to define a value of type [^\n]*\n"
        r"rather than an attribute set for the option\s+OPTION!",
    ),
)
_MODULE = re.compile(
    r"Module [`‘](?P<file>[^'’]*)['’] has "
    r"(?:an unsupported attribute|[`‘]config['’] or [`‘]options['’] and beside them) [`‘](?P<option>[^'’]*)['’]\. "
    r"(?:This is caused by|With those two)"
)
_REFUSED = re.compile(
    r"Package [‘`](?P<name>[^’']+)[’'] in (?P<place>\S+) (?P<why>has an unfree license \([^)]*\)|is marked as broken"
    r"|is marked as insecure|is not available on the requested hostPlatform)(?P<more>.*?), refusing to evaluate\.",
    re.S,
)
_ALLOW = {"unfree": "allowUnfree", "broken": "allowBroken", "hostPlatform": "allowUnsupportedSystem"}
_CALL_PACKAGE = re.compile(
    r"(?:(?:lib\.customisation\.)?callPackageWith: Function called without required argument \"(?P<name>[^\"]*)\""
    r"|callPackage: nothing is called \"(?P<needed>[^\"]*)\", which the function needs,)"
    r"(?: at (?P<file>[^:,\s]*[^:,\s'])(?::(?P<line>\d+))?)?(?:, did you mean (?P<near>[^?]*)\?)?"
)


class Definition:
    """`place`: None where it cannot be told."""

    def __init__(self, file: str, place: Position | None, value: str) -> None:
        self.file = file
        self.place = place
        self.value = value

    @property
    def line(self) -> int:
        return 0 if self.place is None else self.place.line


class Failure:
    """`message`: without the list of definitions, which `table` shows. `rows`: what comes before these."""

    def __init__(
        self,
        message: str,
        hint: str,
        rows: Sequence[tuple[str, str]] = (),
        definitions: Sequence[Definition] = (),
        place: Position | None = None,
    ) -> None:
        self.message = message
        self.hint = hint
        self.rows = rows
        self.definitions = definitions
        self._place = place

    @property
    def place(self) -> Position | None:
        """The first definition that can be shown."""
        return self._place or next((d.place for d in self.definitions if d.place is not None), None)

    def table(self, palette: Palette) -> list[str]:
        lines = [f"{name:<8} {text}" for name, text in self.rows]
        for number, definition in enumerate(self.definitions[:SHOWN_DEFINITIONS]):
            label = "defined" if number == 0 else ""
            where = definition.file + (f":{definition.line}" if definition.line else "")
            lines.append(f"{label:<8} {palette.blue}{where}{palette.normal}  {definition.value}".rstrip())
        left = len(self.definitions) - SHOWN_DEFINITIONS
        if left > 0:
            lines.append(f"{'':<8} … {left} more")
        return lines


def failure_of(message: str, view: View) -> Failure | None:
    call = _CALL_PACKAGE.search(message)
    if call is not None:
        return _call_failure(call, view)
    refused = _REFUSED.search(message)
    if refused is not None:
        return _refusal(refused, message, view)
    module = _MODULE.search(message)
    if module is not None:
        return _module_failure(module, view)
    for kind in KINDS:
        for pattern in kind.patterns:
            found = pattern.search(message)
            if found is not None:
                return _failure(message, kind, found, view)
    return None


def _failure(message: str, kind: _Kind, found: re.Match[str], view: View) -> Failure:
    option = _without_element(found["option"])
    groups = found.groupdict()
    definitions = _definitions(message, option, view)
    if kind.name in ("declared twice", "not a set", "conflict") and not definitions:
        files = [groups["file"]] if groups.get("file") else re.findall(r"[`‘]([^'’]+)['’]", message)
        definitions = [_definition(file, option, "", view) for file in dict.fromkeys(files) if file.startswith("/")]
    first = message[: message.find("\n- In ")] if "\n- In " in message else message
    near = re.search(r"Did you mean ([^\n]*)\?\s*\Z", message)
    first = re.sub(r":?\s*(?:Definition values:?)?\s*\Z", "", first)
    first = re.sub(r"\. It is defined\Z", "", first)
    first = re.sub(r"\. TypeError\b:?.*\Z", ".", first, flags=re.S)
    if kind.name == "not a set":
        first = " ".join(first.partition("!")[0].split()) + "."
    where = ""
    if kind.name == "wrong type" and definitions:
        at = definitions[0]
        where = f" in {at.file}" + (f", line {at.line}" if at.line else "")
        where += _unquoted(at.value, groups.get("type") or "")
    hint = kind.hint.format(option=option, there=where)
    if near is not None:
        hint = f"did you mean {near[1]}? If not: {hint}"
    rows = [("option", found["option"])]
    if groups.get("type"):
        rows.append(("type", groups["type"] or ""))
    return Failure(first, hint, rows, definitions)


def _without_element(option: str) -> str:
    """`a.b."[definition 1-entry 2]"` is an element of the list that `a.b` is."""
    return re.sub(r'\."?\[definition [^\]]*\]"?.*\Z', "", option)


def _module_failure(found: re.Match[str], view: View) -> Failure:
    """A module with `config` or `options` beside settings."""
    file, name = view.rename(found["file"]), found["option"]
    return Failure(
        f"The module {view.shorten(found['file'])} has `config` or `options`, and `{name}` beside them.",
        f"in a module that has `options` or `config`, all settings are inside: config = {{ {name} … }};",
        place=definition_place(file, name),
    )


def _call_failure(found: re.Match[str], view: View) -> Failure:
    """The place is that of the argument, where it can be found after the line that is known."""
    name, near = found["name"] or found["needed"], found["near"]
    hint = f"did you mean {near}? " if near else ""
    place = None
    where = "the function"
    if found["file"]:
        file = view.rename(found["file"])
        where = f"the function in {view.shorten(file)}"
        place = _argument_place(file, int(found["line"] or 1), name)
    hint += f"what the package set lacks is given by hand: callPackage … {{ {name} = …; }}"
    return Failure(f'callPackage: {where} takes an argument "{name}", which the package set lacks', hint, place=place)


def _refusal(found: re.Match[str], message: str, view: View) -> Failure:
    """A package that nixpkgs evaluates only where its configuration says so."""
    why, name = found["why"], found["name"]
    said = f"Package ‘{name}’ {why}{found['more'].rstrip()}"
    issues = re.search(r"Known issues:\n((?: - [^\n]*\n?)+)", message)
    if issues is not None:
        said += ":\n" + issues[1].rstrip()
        setting, variable = f'permittedInsecurePackages = [ "{name}" ]', "NIXPKGS_ALLOW_INSECURE"
    else:
        key = next((key for key in _ALLOW if key in why), "unfree")
        setting = f"{_ALLOW[key]} = true"
        variable = "NIXPKGS_ALLOW_" + {"hostPlatform": "UNSUPPORTED_SYSTEM"}.get(key, key.upper())
    hint = (
        f"the configuration of the package set allows it: import nixpkgs {{ config.{setting}; … }}; "
        f"in NixOS nixpkgs.config.{setting}; once: {variable}=1 and --impure"
    )
    return Failure(said, hint, [("package", view.shorten(found["place"]))])


def _argument_place(file: str, line: int, name: str) -> Position | None:
    if os.path.isdir(file):
        file = os.path.join(file, "default.nix")
    text = read_source(file)
    if text is None:
        return None
    starts = [0, *(found.end() for found in re.finditer(rb"\n", text))]
    if line > len(starts):
        return None
    found = re.compile(rb"(?<![\w.'-])" + re.escape(os.fsencode(name)) + rb"(?![\w'-])").search(text, starts[line - 1])
    return _place(file, text, starts[line - 1] if found is None else found.start())


def _unquoted(value: str, wanted: str) -> str:
    """A number or truth value in quotes is the commonest mistake of all."""
    plain = value.strip().strip('"')
    if not value.strip().startswith('"'):
        return ""
    if ("integer" in wanted and re.fullmatch(r"-?[0-9]+", plain)) or (
        "boolean" in wanted and plain in ("true", "false")
    ):
        return f": write {plain} without the quotes"
    return ""


def _definitions(message: str, option: str, view: View) -> list[Definition]:
    found: list[Definition] = []
    for line in message.split("\n"):
        match = _DEFINITION.match(line)
        if match is not None:
            found.append(_definition(match["file"], option, _short(_condition(match["value"])), view))
        elif found and line[:1] in (" ", "\t") and len(found[-1].value) < SHOWN_VALUE:
            # A value over several lines.
            last = found[-1]
            last.value = _short(_condition(f"{last.value} {' '.join(line.split())}".strip()))
    return found


def _definition(file: str, option: str, value: str, view: View) -> Definition:
    path, via, rest = file.partition(", via ")
    path = view.rename(path)
    return Definition(view.shorten(path) + via + rest, definition_place(path, option), value)


def _short(value: str) -> str:
    text = " ".join(value.split())
    return text if len(text) <= SHOWN_VALUE else text[: SHOWN_VALUE - 1] + "…"


def _condition(value: str) -> str:
    """The set that `mkIf` makes, as it is written."""
    found = re.fullmatch(r'\s*\{ _type = "if"; condition = (\w+); content = (.*); \}\s*', value)
    return value if found is None else f"mkIf {found[1]} {found[2]}"


def definition_place(file: str, option: str) -> Position | None:
    """Where a file sets an option, None where it does not, or in more than one place that may be meant."""
    text = read_source(file)
    if text is None:
        return None
    names = [name.strip('"') for name in option.split(".")]
    for first in range(len(names)):
        path = rb"\s*\.\s*".join(rb'"?' + re.escape(os.fsencode(name)) + rb'"?' for name in names[first:])
        begin = rb"(?<![\w.'\"-])(?:config\s*\.\s*)?"
        inherited = rb"\binherit\s(?:\s*\([^()]*\))?[^;()]*?(?<![\w.'-])" + path + rb"(?![\w'-])[^;()]*;"
        for pattern in (begin + path + rb"\s*=(?!=)", begin + path + rb"\s*\.\s*[\w\"$]", inherited):
            hits = [hit for hit in re.finditer(pattern, text) if _may_be_meant(text, hit.start(), names[:first])]
            if len(hits) == 1:
                return _place(file, text, hits[0].start())
            if hits:
                return None
    return None


def _may_be_meant(text: bytes, offset: int, outer: list[str]) -> bool:
    """Not in a comment, and what the rest of the path names comes somewhere before."""
    if b"#" in text[text.rfind(b"\n", 0, offset) + 1 : offset]:
        return False
    return all(re.search(rb"(?<![\w'-])" + re.escape(os.fsencode(name)), text[:offset]) for name in outer)


def _place(file: str, text: bytes, offset: int) -> Position:
    from frazil.position import Position

    lines = [line.decode("utf-8", "replace") for line in text.split(b"\n")]
    number = text.count(b"\n", 0, offset)
    column = offset - (text.rfind(b"\n", 0, offset) + 1) + 1
    above = lines[number - 1] if number > 0 else None
    below = lines[number + 1] if number + 1 < len(lines) else None
    return Position(file, number + 1, column, lines[number], above, below)
