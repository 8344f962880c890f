"""The table of rooms in docs/design/rooms.md, enforced: data flows one way through the house."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "frazil"
LEAVES = {
    *("errors", "position", "digest", "activity", "record", "plain_json", "plain_sqlite", "cache_folder", "_native"),
    "_blake3",
}


def allowed_rooms() -> dict[str, set[str]]:
    row = r"^\| \[?`(\w+)`(?:\]\([^)]*\))? \|.*\| ([^|]*) \|$"
    rows = re.findall(row, (ROOT / "docs/design/rooms.md").read_text(), re.M)
    rooms = {name for name, _ in rows}
    return {name: rooms if cell == "all" else set(re.findall(r"\w+", cell)) for name, cell in rows}


def imported_modules(path: Path) -> set[str]:
    """Every `frazil.…` module a file imports, at any depth, relative ones made absolute."""
    package = ["frazil", *path.relative_to(SOURCE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    found = {m.removeprefix("cython.cimports.") for m in found}
    return {m for m in found if m.startswith("frazil.")}


ROOM_FILES = sorted(p for p in SOURCE.rglob("*.py") if p.parent != SOURCE)


def test_the_table_names_every_room() -> None:
    folders = {p.name for p in SOURCE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert folders <= set(allowed_rooms())


@pytest.mark.parametrize("path", ROOM_FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_follow_the_table(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0]
    allowed = allowed_rooms()[room] | {room} | LEAVES
    for module in imported_modules(path):
        target = module.split(".")[1]
        if (SOURCE / target).is_dir() or (SOURCE / f"{target}.py").exists():
            assert target in allowed, f"{room} may not import {module}"


def test_leaves_import_the_standard_library_only() -> None:
    for leaf in LEAVES - {"_native", "_blake3"}:  # in C
        for module in imported_modules(SOURCE / f"{leaf}.py"):
            assert module.split(".")[1] in LEAVES
