"""Command lines: declarative option tables in, parsed arguments out. Nothing here prints or exits.

The rules are those of Nix's own parser: options and arguments may be mixed, `--` ends options, compound short options
are split (`-qlf` is `-q -l -f`, `-j4` is `-j 4`), and whatever a command does not know is looked up among the global
options and then among the settings (`--NAME VALUE`, `--extra-NAME VALUE`, `--NAME`/`--no-NAME` for booleans).
Source: Nix's manual, `command-ref/opt-common` and `command-ref/new-cli/nix` (options).

No `argparse`: importing it costs more than evaluating a small expression.
"""

from __future__ import annotations

from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from frazil.cli.context import Context

FLAG = "flag"
VALUE = "value"
APPEND = "append"
REST = "rest"


class Option:
    """One option. `names`: "--json" or "-A" spellings; the first long one names the value in `Arguments`.

    `labels`: one word for each value taken. `kind`: flag, value (the last one counts), append (a list of strings, or of
    tuples where several labels are given), rest (takes all that follows). `sets`: a pair (setting, value) or
    (setting, None) to assign the option's value to a setting; such options leave nothing in `Arguments`.
    """

    __slots__ = ("help", "hidden", "key", "kind", "labels", "names", "sets")

    def __init__(
        self,
        names: str,
        help: str,
        *labels: str,
        kind: str = "",
        sets: tuple[str, str | None] | None = None,
        key: str = "",
        hidden: bool = False,
    ) -> None:
        self.names = tuple(names.split())
        self.help = help
        self.labels = labels
        self.kind = kind or (VALUE if labels else FLAG)
        self.sets = sets
        long_names = [n for n in self.names if n.startswith("--")]
        self.key = key or (long_names or list(self.names))[0].lstrip("-")
        self.hidden = hidden


class Command:
    """A command and all it takes. `run(context, arguments)` returns the exit status (None means 0).

    `positional`: the arguments' synopsis, e.g. "installables…"; `at_most`: how many are allowed (None: any number).
    `examples`: pairs (what it does, command line). `experimental`: the feature that has to be on.
    """

    __slots__ = (
        "at_least",
        "at_most",
        "description",
        "examples",
        "experimental",
        "keep_unknown",
        "options",
        "positional",
        "run",
        "split_short",
        "summary",
    )

    def __init__(
        self,
        run: Callable[[Context, Arguments], int | None],
        summary: str,
        *groups: Iterable[Option],
        positional: str = "",
        at_least: int = 0,
        at_most: int | None = 0,
        description: str = "",
        examples: Sequence[tuple[str, str]] = (),
        experimental: str | None = "nix-command",
        keep_unknown: bool = False,
    ) -> None:
        self.run = run
        self.keep_unknown = keep_unknown
        self.summary = summary
        self.options = tuple(option for group in groups for option in group)
        self.positional = positional
        self.at_least = at_least
        self.at_most = at_most if at_most is None else max(at_most, at_least)
        self.description = description
        self.examples = tuple(examples)
        self.experimental = experimental


class UnknownFlag(UsageError):
    """A flag that neither the command nor any setting knows."""


class Arguments:
    """What a command line said. `order` lists (key, value) as they came, for options whose order counts."""

    __slots__ = ("order", "positional", "program", "spellings", "unknown", "values")

    def __init__(self, program: str) -> None:
        self.program = program
        self.values: dict[str, Any] = {}
        self.positional: list[str] = []
        self.order: list[tuple[str, Any]] = []
        self.spellings: dict[str, str] = {}
        """How each option was written, by key: the last time, if several."""
        self.unknown: list[str] = []

    def flag(self, key: str) -> bool:
        return bool(self.values.get(key, False))

    def value(self, key: str, default: str | None = None) -> str | None:
        found = self.values.get(key, default)
        return found if found is None else str(found)

    def all(self, key: str) -> list[Any]:
        return list(self.values.get(key, ()))

    def has(self, key: str) -> bool:
        return key in self.values

    def came_last(self, one: str, other: str) -> bool:
        """Of two options that say opposite things: whether `one` was given, and `other` not after it."""
        keys = [key for key, _ in self.order if key in (one, other)]
        return bool(keys) and keys[-1] == one


class OptionParser:
    """Parses one command's arguments. `assign(name, value)` sets a setting; `setting_kind(name)` -> type or None."""

    def __init__(
        self,
        groups: Sequence[Sequence[Option]],
        assign: Callable[[str, str], None],
        setting_kind: Callable[[str], str | None],
        program: str,
        assign_named: Callable[[str, str], None] | None = None,
        *,
        keep_unknown: bool = False,
        own: Iterable[Option] = (),
    ) -> None:
        """`own`: options of an older program itself, which says it in other words where their value is missing."""
        self.table: dict[str, Option] = {}
        self.own = frozenset([name for option in own for name in option.names])
        for group in groups:
            for option in group:
                for name in option.names:
                    self.table.setdefault(name, option)
        self.assign = assign
        self.assign_named = assign_named or assign
        """For `--option NAME VALUE`, where an unknown or disabled setting is a warning only."""
        self.keep_unknown = keep_unknown
        """Whether flags that nobody knows are left to the command, in `Arguments.unknown`."""
        self.setting_kind = setting_kind
        self.program = program

    def parse(self, words: Sequence[str], *, stop_at_positional: bool = False) -> tuple[Arguments, list[str]]:
        """-> (arguments, what was left: nothing, or all from the first positional on)."""
        arguments = Arguments(self.program)
        pending = list(reversed(words))
        while pending:
            word = pending.pop()
            if word == "--":
                arguments.values["--"] = True
                arguments.positional += reversed(pending)
                break
            if word.startswith("-") and len(word) > 1:
                self._option(word, pending, arguments)
            elif stop_at_positional:
                pending.append(word)
                return arguments, list(reversed(pending))
            else:
                arguments.positional.append(word)
        return arguments, []

    def _option(self, word: str, pending: list[str], arguments: Arguments) -> None:
        option = self.table.get(word)
        if option is None:
            if _is_compound(word):
                pending += reversed(_split_compound(word))
                return
            try:
                self._setting(word, pending)
            except UnknownFlag:
                if not self.keep_unknown:
                    raise
                arguments.unknown.append(word)
            return
        values = self._take(word, option, pending)
        if option.sets:
            name, constant = option.sets
            if name == "*":
                self.assign_named(values[0], values[1])
            else:
                self.assign(name, values[0] if constant is None else constant)
            return
        arguments.spellings[option.key] = word
        store_value(arguments, option, values)

    def _take(self, word: str, option: Option, pending: list[str]) -> list[str]:
        if option.kind == REST:
            values = list(reversed(pending))
            pending.clear()
            if len(values) < 1:
                raise UsageError(f"flag '{word}' requires at least one argument")
            return values
        count = len(option.labels)
        if len(pending) < count and word in self.own:
            raise UsageError(f"'{word}' requires an argument")
        if len(pending) < count:
            raise UsageError(f"flag '{word}' requires {count} argument(s), but only {len(pending)} were given")
        return [pending.pop() for _ in range(count)]

    def _setting(self, word: str, pending: list[str]) -> None:
        if not word.startswith("--"):
            raise self.unknown(word)
        name = word[2:]
        kind = self.setting_kind(name)
        if kind in {"bool", "sandbox"}:
            self.assign(name, "true")
        elif kind is not None or (
            name.startswith("extra-") and self.setting_kind(name[6:]) in {"list", "set", "map", "features"}
        ):
            if not pending:
                raise UsageError(f"flag '{word}' requires 1 argument(s), but only 0 were given")
            self.assign(name, pending.pop())
        elif name.startswith("no-") and self.setting_kind(name[3:]) in {"bool", "sandbox"}:
            self.assign(name[3:], "false")
        elif name == "relaxed-sandbox":
            self.assign("sandbox", "relaxed")
        else:
            raise self.unknown(word)

    def unknown(self, word: str) -> UnknownFlag:
        from frazil.cli.suggest import did_you_mean

        known = [name for name in self.table if name.startswith("--")]
        hint = did_you_mean(word, known)
        return UnknownFlag(f"unrecognised flag '{word}'", hint=hint)


def store_value(arguments: Arguments, option: Option, values: list[str]) -> None:
    found: Any
    if option.kind == FLAG:
        found = True
    elif option.kind == REST:
        found = values
    else:
        found = values[0] if len(option.labels) == 1 else tuple(values)
    arguments.order.append((option.key, found))
    if option.kind == APPEND:
        arguments.values.setdefault(option.key, []).append(found)
    else:
        arguments.values[option.key] = found


def _is_compound(word: str) -> bool:
    return len(word) > 2 and word[0] == "-" and word[1] != "-" and word[1].isalpha()


def _split_compound(word: str) -> list[str]:
    """`-qlf` -> -q -l -f; at the first character that is no letter the rest is a value: `-j4` -> -j 4."""
    parts = []
    for index, character in enumerate(word[1:], 1):
        if not (character.isascii() and character.isalpha()):
            parts.append(word[index:])
            break
        parts.append("-" + character)
    return parts
