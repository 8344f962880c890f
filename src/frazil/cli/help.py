"""`--help`: pages made from the option tables. Text out; the caller prints it."""

from __future__ import annotations

import textwrap

from frazil.cli.common_options import GLOBAL, LEGACY_GLOBAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.cli.options import Command, Option

WIDTH = 80


def show_help(program: str, words: Sequence[str]) -> str:
    """The page of a command, of a group of commands, or (no words) of the program."""
    from frazil.cli.commands import table

    rows = table()
    name = " ".join(words)
    if name in rows:
        from frazil.cli.program import load_command

        return command_page(f"{program} {name}", load_command(name), [GLOBAL])
    return _list_page(program, name, rows)


def show_program_help(program: str, command: Command) -> str:
    return command_page(program, command, [LEGACY_GLOBAL, GLOBAL])


def command_page(title: str, command: Command, more: Sequence[Sequence[Option]]) -> str:
    synopsis = " ".join(part for part in (title, "[option…]", command.positional) if part)
    lines = [f"{title} – {command.summary}", "", "Usage:", f"  {synopsis}"]
    if command.description:
        lines += ["", *_wrap(command.description)]
    if command.examples:
        lines += ["", "Examples:"]
        for what, how in command.examples:
            lines += [*_wrap(what, "  "), f"    $ {how}"]
    for heading, options in (("Options:", command.options), ("Options of all commands:", _flat(more, command))):
        shown = [o for o in options if not o.hidden]
        if shown:
            lines += ["", heading]
            for option in sorted(shown, key=lambda o: o.key):
                lines += _show_option(option)
    lines += ["", "Every setting is an option too (--NAME VALUE, --NAME, --no-NAME); see 'frazil config show'."]
    return "\n".join(lines) + "\n"


def _flat(groups: Sequence[Sequence[Option]], command: Command) -> list[Option]:
    taken = {name for option in command.options for name in option.names}
    return [o for group in groups for o in group if not taken & set(o.names)]


def _show_option(option: Option) -> list[str]:
    names = sorted(option.names, key=lambda n: (n.startswith("--"), n))
    head = "  " + ", ".join(names) + "".join(f" {label}" for label in option.labels)
    if option.kind == "rest" and not option.labels:
        head += " command args…"
    text = option.help.replace("*", "").replace("`", "")
    if len(head) < 30:
        first, *rest = textwrap.wrap(text, WIDTH - 32) or [""]
        return [f"{head:<32}{first}", *(" " * 32 + line for line in rest)]
    return [head, *_wrap(text, " " * 32)]


def _list_page(program: str, group: str, rows: dict[str, tuple[str, str, str]]) -> str:
    from frazil.cli.commands import GROUP_SUMMARIES

    title = f"{program} {group}".strip()
    lines = [f"{title} – {GROUP_SUMMARIES[group][0]}" if group else f"{title} – flakes from shell to production", ""]
    lines += ["Usage:", f"  {title} [option…] command …"]
    entries: dict[str, dict[str, str]] = {}
    for name, (_, summary, category) in rows.items():
        head, _, tail = name.partition(" ")
        if group and (head != group or not tail):
            continue
        if not group and tail:
            summary, category = GROUP_SUMMARIES.get(head, (summary, category))
        entries.setdefault("Commands" if group else category, {})[tail if group else head] = summary
    for category in sorted(entries, key=lambda c: ("Main", "Infr", "Util", "Help", "Comm").index(c[:4])):
        lines += ["", f"{category}:"]
        lines += [f"  {name:<22}{summary}" for name, summary in sorted(entries[category].items())]
    lines += ["", f"'{title} command --help' shows more."]
    return "\n".join(lines) + "\n"


def _wrap(text: str, indent: str = "") -> list[str]:
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        if lines:
            lines.append("")
        lines += textwrap.wrap(" ".join(paragraph.split()), WIDTH, initial_indent=indent, subsequent_indent=indent)
    return lines


def dump_cli() -> str:
    """All commands with their options, in the form of Nix's `__dump-cli`."""
    import json

    from frazil.cli.commands import GROUP_SUMMARIES, table
    from frazil.cli.program import load_command

    commands: dict[str, dict[str, object]] = {}
    for name, (_, summary, _) in table().items():
        command = load_command(name)
        record: dict[str, object] = {
            "description": summary,
            "flags": _dump_options(command.options),
            "args": [{"label": command.positional}] if command.positional else [],
        }
        head, _, tail = name.partition(" ")
        if not tail:
            commands[head] = record
            continue
        group = commands.setdefault(head, {"description": GROUP_SUMMARIES[head][0], "flags": {}, "commands": {}})
        inner = group["commands"]
        assert isinstance(inner, dict)
        inner[tail] = record
    return json.dumps({"args": {"commands": commands, "flags": _dump_options(GLOBAL)}, "stores": {}}, sort_keys=True)


def _dump_options(options: Sequence[Option]) -> dict[str, object]:
    found: dict[str, object] = {}
    for option in options:
        short = [name[1] for name in option.names if not name.startswith("--")]
        for name in option.names:
            if name.startswith("--"):
                record: dict[str, object] = {"description": option.help, "labels": list(option.labels)}
                if short:
                    record["shortName"] = short[0]
                found[name[2:]] = record
    return found
