"""`nix-env --query`: packages as a table, XML or JSON. Source: its manual page."""

from __future__ import annotations

import os
from contextlib import contextmanager

from frazil.activity import Verbosity
from frazil.cli import env_names
from frazil.cli.env_names import choose, split_name
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from frazil.cli.env_operations import Environment
    from frazil.cli.user_env import Element
    from frazil.store.path import StorePath


def run_query(env: Environment) -> None:
    arguments = env.arguments
    sources = [key for key, _ in arguments.order if key in ("installed", "available")]
    from_available = bool(sources) and sources[-1] == "available"
    if arguments.flag("preserve-installed") and not from_available:
        raise UsageError("--attr-path(-P) only works with --available")
    compares, status = arguments.flag("compare-versions"), arguments.flag("status")
    installed = env.installed() if not from_available or compares or status else []
    available = env.available(arguments.value("query-attr") or "") if from_available or compares else []
    chosen = choose(env.context, available if from_available else installed, arguments.positional, newest_only=False)
    chosen.sort(key=lambda element: element.name.upper())
    listing = _Listing(env, installed if from_available else available, installed)
    if status or arguments.flag("prebuilt-only"):
        listing.look_up(chosen)
    if arguments.flag("json"):
        listing.print_json(chosen)
    elif arguments.flag("xml"):
        listing.print_xml(chosen)
    else:
        listing.print_table(chosen)


@contextmanager
def _querying(element: Element) -> Iterator[None]:
    """An error says whose it is."""
    from frazil.flake.flake_file import add_trace
    from frazil.lang.errors import AssertionFailed

    try:
        yield
    except AssertionFailed:
        raise
    except FrazilError as error:
        add_trace(error, f"while querying the derivation named '{_text(element.name)}'")
        raise


class _Listing:
    """`others`: what versions are compared with."""

    def __init__(self, env: Environment, others: Sequence[Element], installed: Sequence[Element]) -> None:
        self.env, self.context, self.arguments = env, env.context, env.arguments
        self.others = others
        self.installed: set[StorePath] = set()
        if self.arguments.flag("status"):
            self.installed = {element.out_path for element in installed}
        self.valid: set[StorePath] = set()
        self.substitutable: set[StorePath] = set()

    def look_up(self, elements: Sequence[Element]) -> None:
        from frazil.lang.errors import AssertionFailed

        paths = set()
        for element in elements:
            try:
                paths.add(element.out_path)
            except AssertionFailed:
                self._skip(element)
                element.failed = True
        self.valid = self.context.store.valid_among(paths)
        if self.arguments.flag("status") or self.arguments.flag("prebuilt-only"):
            self.substitutable = self.context.substituters.valid_among(self.context.store, paths)

    def _skip(self, element: Element) -> None:
        text = f"skipping derivation named '{element.name}' which gives an assertion failure"
        self.context.note(text, Verbosity.TALKATIVE)

    def _shown(self, elements: Sequence[Element]) -> list[Element]:
        found = []
        for element in elements:
            if element.failed:
                continue
            if self.arguments.flag("prebuilt-only"):
                path = element.out_path
                if path not in self.valid and path not in self.substitutable:
                    continue
            found.append(element)
        return found

    # -- table -------------------------------------------------------------------------------------------------------

    def print_table(self, elements: Sequence[Element]) -> None:
        from frazil.lang.errors import AssertionFailed

        table = []
        for element in self._shown(elements):
            try:
                with _querying(element):
                    table.append(self._row(element))
            except AssertionFailed:
                self._skip(element)
        widths = [max(map(len, column)) for column in zip(*table)] if table else []
        for row in table:
            cells = [text.ljust(width) for text, width in zip(row, widths)]
            if cells:
                cells[-1] = row[-1]
            self.context.print_byte_string("  ".join(text.replace("\n", " ") for text in cells))

    def _row(self, element: Element) -> list[str]:
        flag, show = self.arguments.flag, self.context.store.show
        row = []
        if flag("status"):
            path = element.out_path
            marks = ((path in self.installed, "I"), (path in self.valid, "P"), (path in self.substitutable, "S"))
            row.append("".join(letter if holds else "-" for holds, letter in marks))
        if flag("preserve-installed"):
            row.append(element.path)
        if not flag("no-name"):
            row.append(element.name)
        if flag("compare-versions"):
            sign, version = self._difference(element)
            text = f"{sign} {version}"
            row.append(f"\x1b[31;1m{text}\x1b[0m" if sign == "<" and os.isatty(1) else text)
        if flag("system"):
            row.append(element.system)
        if flag("drv-path"):
            drv = element.drv_path
            row.append("-" if drv is None else show(drv))
        if flag("out-path"):
            outputs = element.outputs()
            parts = [("" if name == "out" else f"{name}=") + show(path) for name, path in outputs.items() if path]
            row.append(";".join(parts))
        if flag("description"):
            row.append(element.meta_text("description"))
        return row

    def _difference(self, element: Element) -> tuple[str, str]:
        """(`<` where there is a higher version, `=`, `>` or `-`, that version)."""
        name, version = split_name(element.name)
        sign, found = "-", "?"
        for other in self.others:
            other_name, other_version = split_name(other.name)
            if other_name != name:
                continue
            order = env_names.compare(version, other_version)
            if order < 0:
                sign, found = "<", other_version
            elif sign != "<" and order == 0:
                sign, found = "=", other_version
            elif sign not in "<=" and (sign == "-" or env_names.compare(found, other_version) < 0):
                sign, found = ">", other_version
        return sign, found

    # -- JSON --------------------------------------------------------------------------------------------------------

    def print_json(self, elements: Sequence[Element]) -> None:
        import json

        from frazil.lang.errors import AssertionFailed

        records: dict[str, object] = {}
        for element in self._shown(elements):
            try:
                with _querying(element):
                    records[_text(element.path)] = self._record(element)
            except AssertionFailed:
                self._skip(element)
        self.context.print(json.dumps(records, indent=2, sort_keys=True, ensure_ascii=False))

    def _record(self, element: Element) -> dict[str, object]:
        flag, show = self.arguments.flag, self.context.store.show
        name, version = split_name(element.name)
        outputs = element.outputs(paths=flag("out-path"))
        record: dict[str, object] = {
            "name": _text(element.name),
            "pname": _text(name),
            "version": _text(version),
            "system": _text(element.system),
            "outputName": _text(element.output_name),
            "outputs": {_text(name): None if path is None else show(path) for name, path in outputs.items()},
        }
        drv = element.drv_path if flag("drv-path") else None
        if drv is not None:
            record["drvPath"] = show(drv)
        if flag("meta"):
            record["meta"] = self._meta(element)
        return record

    def _meta(self, element: Element) -> dict[str, object]:
        import json

        from frazil.lang.json_writer import to_json_text

        found: dict[str, object] = {}
        for name in sorted(element.meta):
            value = element.plain_meta(name)
            if value is None:
                self.context.note(f"derivation '{element.name}' has invalid meta attribute '{name}'", Verbosity.ERROR)
                found[_text(name)] = None
            else:
                text = to_json_text(self.env.session.evaluator, value, set(), copy_to_store=False)
                found[_text(name)] = json.loads(text.encode("latin-1"))
        return found

    # -- XML ---------------------------------------------------------------------------------------------------------

    def print_xml(self, elements: Sequence[Element]) -> None:
        from frazil.lang.errors import AssertionFailed

        lines = ["<?xml version='1.0' encoding='utf-8'?>", "<items>"]
        for element in self._shown(elements):
            try:
                with _querying(element):
                    lines += self._xml_item(element)
            except AssertionFailed:
                self._skip(element)
        lines.append("</items>")
        for line in lines:
            self.context.print(line)

    def _xml_item(self, element: Element) -> list[str]:
        flag, show = self.arguments.flag, self.context.store.show
        name, version = split_name(element.name)
        attributes = {"attrPath": element.path, "name": element.name, "pname": name, "version": version}
        attributes["outputName"] = element.output_name
        if flag("status"):
            out = element.out_path
            attributes["installed"] = str(int(out in self.installed))
            attributes["valid"] = str(int(out in self.valid))
            attributes["substitutable"] = str(int(out in self.substitutable))
        if flag("compare-versions"):
            sign, other = self._difference(element)
            if sign != "-":
                attributes["versionDiff"], attributes["maxComparedVersion"] = sign, other
        if element.system:
            attributes["system"] = element.system
        drv = element.drv_path if flag("drv-path") else None
        if drv is not None:
            attributes["drvPath"] = show(drv)
        description = element.meta_text("description") if flag("description") else ""
        if description:
            attributes["description"] = description
        lines = [f"  <item{_attributes(attributes)}>"]
        for output, path in element.outputs(paths=flag("out-path")).items():
            shown = {"name": output} if path is None else {"name": output, "path": show(path)}
            lines.append(f"    <output{_attributes(shown)} />")
        if flag("meta"):
            lines += self._xml_meta(element)
        return [*lines, "  </item>"]

    def _xml_meta(self, element: Element) -> list[str]:
        lines = []
        for name in sorted(element.meta):
            value = element.plain_meta(name)
            if value is None:
                text = f"derivation '{element.name}' has invalid meta attribute '{name}'"
                self.context.note(text, Verbosity.ERROR)
                continue
            lines += _meta_lines(name, value)
        return lines


def _meta_lines(name: str, value: Any) -> list[str]:
    from frazil.lang.runtime import force
    from frazil.lang.values import Attrs

    plain = getattr(value, "text", value)
    kind = {bool: "bool", int: "int", float: "float", str: "string"}.get(type(plain))
    if kind is not None:
        shown = str(plain).lower() if kind == "bool" else f"{plain:f}" if kind == "float" else str(plain)
        return [f"    <meta{_attributes({'name': name, 'type': kind, 'value': shown})} />"]
    lines = [f"    <meta{_attributes({'name': name, 'type': 'strings'})}>"]
    if isinstance(value, Attrs):
        pairs = [(key, force(item)) for key, item in value.items()]
    else:
        pairs = [("", force(item)) for item in value]
    for key, item in pairs:
        text = getattr(item, "text", item)
        if isinstance(text, str):
            shown_item = {"type": key, "value": text} if isinstance(value, Attrs) else {"value": text}
            lines.append(f"      <string{_attributes(shown_item)} />")
    return [*lines, "    </meta>"]


def _attributes(pairs: dict[str, str]) -> str:
    return "".join(f' {name}="{_escaped(_text(pairs[name]))}"' for name in sorted(pairs))


def _escaped(text: str) -> str:
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\n", "&#xA;")):
        text = text.replace(old, new)
    return text


def _text(byte_string: str) -> str:
    return byte_string.encode("latin-1").decode("utf-8", "replace")
