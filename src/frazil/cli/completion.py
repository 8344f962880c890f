"""What could stand at a place of the command line: Nix's protocol for shells, NIX_GET_COMPLETIONS.

In: the words, and the number of the one to complete (the program is number 0). Out: a first line `normal`, `filenames`
or `attrs` (how the shell treats what follows), then lines of a completion, a tabulator and a description. Mistakes on
the rest of the line are passed over. Source: Nix's `args.cc` and `tests/functional/completions.sh`.
"""

from __future__ import annotations

import os

from frazil.cli.common_options import GLOBAL
from frazil.cli.options import REST, Arguments, store_value
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from frazil.cli.context import Context
    from frazil.cli.installables import Opened
    from frazil.cli.options import Command, Option

NORMAL, FILENAMES, ATTRS = "normal", "filenames", "attrs"
_FILE_KEYS = """
file out-link output-lock-file reference-lock-file profile write-to arg-from-file include key-file registry
"""
FILE_KEYS = frozenset(_FILE_KEYS.split())
"""Options whose value is a file."""


class Found:
    """The completions so far, and what they are."""

    def __init__(self) -> None:
        self.kind = NORMAL
        self.items: dict[str, str] = {}

    def add(self, texts: Iterable[str], prefix: str, description: str = "") -> None:
        for text in texts:
            if text.startswith(prefix):
                self.items.setdefault(text, description)


def print_completions(context: Context, words: list[str], number: int) -> int:
    found = complete(context, words, number)
    context.print(found.kind)
    for text in sorted(found.items):
        context.print(f"{text}\t{found.items[text]}")
    return 0


def complete(context: Context, words: list[str], number: int) -> Found:
    """`number` counts from the program's name."""
    from frazil.activity import Verbosity

    context.verbosity = int(Verbosity.ERROR)
    context.silence()
    line = _Line(context, words + [""] * (number - len(words)), number - 1)
    try:
        line.read()
        line.finish()
    except (FrazilError, OSError):
        pass  # a shell that completes shows no messages: what was found until now is offered
    return line.found


class _Line:
    """Walks over the words as the parser does; remembers how to complete the one asked about until all are known."""

    def __init__(self, context: Context, words: list[str], target: int) -> None:
        self.context = context
        self.words = words
        self.target = target
        self.prefix = words[target] if 0 <= target < len(words) else ""
        self.found = Found()
        self.options: dict[str, Option] = {name: option for option in GLOBAL for name in option.names}
        self.command_words: list[str] = []
        self.command: Command | None = None
        self.arguments = Arguments(context.program)
        self.completer: Callable[[], None] | None = None

    def read(self) -> None:
        at = 0
        only_positional = False
        while at < len(self.words):
            word = self.words[at]
            if not only_positional and word.startswith("-") and at != self.target:
                only_positional = word == "--"
                at = at + 1 if only_positional else self._option(at)
            elif not only_positional and word.startswith("-"):
                self.completer = self._flags
                at += 1
            else:
                self._positional(at)
                at += 1

    def finish(self) -> None:
        if self.completer is None:
            return
        self.context.apply_globals(self.arguments)
        self.completer()

    # -- options -----------------------------------------------------------------------------------------------

    def _flags(self) -> None:
        for option in {id(o): o for o in self.options.values() if not o.hidden}.values():
            for name in option.names:
                if name.startswith("--") or self.prefix == "-":
                    self.found.add([name], self.prefix, option.help.replace("*", ""))
        if len(self.prefix) > 2:
            from frazil.cli.settings_table import ROWS

            for name, _, _, text in ROWS:
                self.found.add([f"--{name}"], self.prefix, text)

    def _option(self, at: int) -> int:
        """-> the word after the option and its values."""
        option = self.options.get(self.words[at])
        if option is None:
            return self._setting(at)
        end = len(self.words) if option.kind == REST else at + 1 + len(option.labels)
        if at < self.target < end:
            index = self.target - at - 1
            self.completer = lambda: self._value(option, index)
            return end
        values = self.words[at + 1 : end]
        if option.sets and option.sets[0] == "*" and len(values) == 2:
            self.context.settings.set_option(values[0], values[1])
        elif option.sets and option.sets[0] != "*":
            constant = option.sets[1]
            self.context.settings.set(option.sets[0], values[0] if constant is None else constant)
        elif not option.sets and len(values) == len(option.labels):
            store_value(self.arguments, option, values)
        return end

    def _setting(self, at: int) -> int:
        from frazil.cli.settings import kind_of

        name = self.words[at][2:]
        kind = kind_of(name) or kind_of(name.removeprefix("extra-"))
        if kind is None or kind in {"bool", "sandbox"}:
            return at + 1
        if at + 1 < len(self.words) and at + 1 != self.target:
            self.context.settings.set(name, self.words[at + 1])
        return at + 2

    def _value(self, option: Option, index: int) -> None:
        label = option.labels[index] if index < len(option.labels) else "path"
        if (option.key in FILE_KEYS and label not in {"name", "store-url"}) or option.kind == REST:
            self._files()
        elif label in {"flake-url", "original-ref", "resolved-ref"}:
            self._flake_references()
        elif label == "input-path":
            self._inputs()
        elif option.sets and option.sets[0] == "*" and index == 0:
            self._settings()
        elif option.key == "dest" or label == "outputs-dir":
            self._files(folders_only=True)
        else:
            self.found.add(_fixed_values(option), self.prefix)

    def _settings(self) -> None:
        from frazil.cli.settings_table import ROWS

        for name, _, _, text in ROWS:
            self.found.add([name], self.prefix, text)

    # -- commands and what they are about ----------------------------------------------------------------------

    def _positional(self, at: int) -> None:
        if self.command is None:
            if at == self.target:
                self.completer = self._commands
            else:
                self._choose(self.words[at])
            return
        if at == self.target:
            index = len(self.arguments.positional)
            self.completer = lambda: self._argument(index)
        else:
            self.arguments.positional.append(self.words[at])

    def _commands(self) -> None:
        from frazil.cli.commands import ALIASES, table

        start = " ".join([*self.command_words, ""]).lstrip()
        rows = table()
        names = [*rows, *(name for name, (target, _) in ALIASES.items() if target in rows and name == "shell")]
        self.found.add((n[len(start) :].partition(" ")[0] for n in names if n.startswith(start)), self.prefix)

    def _choose(self, word: str) -> None:
        from frazil.cli.commands import ALIASES, table
        from frazil.cli.program import load_command

        self.command_words.append(word)
        name = " ".join(self.command_words)
        name = ALIASES[name][0] if name in ALIASES else name
        rows = table()
        if name in rows:
            self.command = load_command(name)
            self.options.update({n: option for option in self.command.options for n in option.names})
        elif not any(row.startswith(name + " ") for row in rows):
            raise FrazilError(f"'{name}' is not a recognised command")

    def _argument(self, index: int) -> None:
        assert self.command is not None
        shape = self.command.positional.split()
        if not shape:
            return
        label = shape[min(index, len(shape) - 1)].rstrip("…")
        if label in {"installable", "installables", "package", "dependency"}:
            self._installables()
        elif label == "elements":
            self._profile_elements()
        elif label in {"flake-url", "from-url", "to-url"}:
            self._flake_references()
        elif label == "inputs":
            self._inputs()
        elif label == "shell":
            from frazil.cli.completion_command import SCRIPTS

            self.found.add(SCRIPTS, self.prefix)
        elif label == "name":
            self._settings()
        elif label == "command":
            self.command_words = self.arguments.positional
            self._commands()
        elif label != "strings":
            self._files()

    # -- kinds of values ---------------------------------------------------------------------------------------

    def _files(self, *, folders_only: bool = False) -> None:
        self.found.kind = FILENAMES
        folder, slash, start = self.prefix.rpartition("/")
        place = os.path.expanduser(folder + slash) if slash else "."
        for name in os.listdir(place):
            hidden = name.startswith(".") and not start.startswith(".")
            if name.startswith(start) and not hidden and (not folders_only or os.path.isdir(os.path.join(place, name))):
                self.found.add([os.path.expanduser(folder + slash) + name], "")

    def _flake_references(self) -> None:
        if not self.prefix:
            self.found.add(["."], "")
        try:
            self._files(folders_only=True)
        except OSError:
            pass
        from frazil.fetch.registry import Registry, user_registry_path

        path = user_registry_path(self.context.fetch_settings)
        for entry in Registry.read(path, lambda _: None, "user").entries:
            name = str(entry.source.get("id", ""))
            if name:
                self.found.add([name, f"flake:{name}"] if self.prefix.startswith("flake:") else [name], self.prefix)

    def _profile_elements(self) -> None:
        from frazil.cli.legacy_env import default_profile
        from frazil.cli.profile_manifest import ProfileManifest

        profile = self.arguments.value("profile") or default_profile(self.context)
        for name, element in ProfileManifest.read(self.context, profile).sorted():
            self.found.add([name], self.prefix, element.identifier)

    def _installables(self) -> None:
        if self.arguments.has("file") or self.arguments.has("expr"):
            self.found.kind = ATTRS
            self._attributes_of_file()
        elif "#" in self.prefix:
            self.found.kind = ATTRS
            self._outputs()
        else:
            self._flake_references()

    def _opened(self) -> Opened:
        from frazil.cli.installables import Opened

        return Opened(self.context, self.arguments, read_only=True)

    def _attributes_of_file(self) -> None:
        from frazil.cli.evaluation import auto_arguments, byte_string, root_value, with_deep_stack
        from frazil.lang.values import Attrs

        head, dot, _ = self.prefix.rpartition(".")

        def names() -> list[str]:
            opened = self._opened()
            evaluator = opened.session.evaluator
            given = auto_arguments(opened.session, self.arguments)
            value = evaluator.auto_call(root_value(opened.session, self.arguments), given)
            for name in head.split(".") if head else []:
                value = evaluator.auto_call(evaluator.select(value, [byte_string(name)]), given)
            value = evaluator.force(value)
            return [_shown(name) for name, _ in evaluator.attrs_items(value)] if isinstance(value, Attrs) else []

        self.found.add((head + dot + name for name in with_deep_stack(names)), self.prefix)

    def _outputs(self) -> None:
        from frazil.cli.evaluation import with_deep_stack

        with_deep_stack(self._outputs_of_flake)

    def _outputs_of_flake(self) -> None:
        from frazil.cli.flake_options import parse_reference
        from frazil.flake.cursor import parse_attribute_path
        from frazil.flake.outputs import attribute_path_prefixes, default_attribute_paths

        flake, _, fragment = self.prefix.partition("#")
        root_mark = "." if fragment.startswith(".") else ""
        fragment = fragment.removeprefix(".")
        opened = self._opened()
        reference = parse_reference(self.context, opened.trees, os.path.expanduser(flake) or ".")
        locked = opened.trees.lock(reference, opened.flags.with_(write_lock_file=False))
        root = opened.trees.outputs(locked)
        system, command = opened.session.settings.system, " ".join(self.command_words[-1:])
        for prefix in [*(() if root_mark else attribute_path_prefixes(system, command)), ""]:
            head, dot, start = fragment.rpartition(".")
            path = parse_attribute_path(os.fsencode(prefix + head).decode("latin-1"))
            cursor = root.find(path, set())
            if cursor is None:
                continue
            for name in map(_shown, cursor.names()):
                self.found.add([f"{flake}#{root_mark}{head}{dot}{name}"], f"{flake}#{root_mark}{head}{dot}{start}")
        for default in default_attribute_paths(system, command) if not fragment else ():
            if root.find(parse_attribute_path(default), set()) is not None:
                self.found.add([f"{flake}#{root_mark}"], "")

    def _inputs(self) -> None:
        from frazil.cli.evaluation import with_deep_stack
        from frazil.cli.flake_options import parse_reference
        from frazil.flake.locking import get_flake

        named = self.arguments.value("flake")
        is_update = self.command is not None and self.command.positional.startswith("inputs")
        texts = [named or "."] if is_update or named else self.arguments.positional or ["."]

        def names() -> None:
            trees = self._opened().trees
            for text in texts:
                reference = parse_reference(self.context, trees, os.path.expanduser(text.partition("#")[0]) or ".")
                self.found.add(get_flake(trees, reference, "all").inputs, self.prefix)

        with_deep_stack(names)


def _fixed_values(option: Option) -> Iterable[str]:
    """Of options that take one of a few words."""
    label = option.labels[0] if option.labels else ""
    if option.key == "log-format":
        from frazil.cli.reporter import FORMATS

        return FORMATS
    if label == "hash-algo":
        from frazil.digest import ALGORITHMS

        return ALGORITHMS
    if label == "hash-format":
        return ("base16", "nix32", "base64", "sri")
    if label == "phase-name":
        from frazil.cli.dev_commands import PHASES

        return PHASES
    return ()


def _shown(name: str) -> str:
    return os.fsdecode(name.encode("latin-1"))
