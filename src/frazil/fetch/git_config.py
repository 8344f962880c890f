"""Git's configuration format, as far as fetching needs it. Source of truth: `git-config(1)`, "Configuration file".

In: the bytes of `.git/config` or `.gitmodules`. Out: values by `section.subsection.name`, in order of appearance.
"""

from __future__ import annotations

import os

from frazil.fetch.errors import GitError

_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_OF_NAME = _LETTERS | frozenset("0123456789-")
_OF_SECTION = _OF_NAME | {"."}
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", '"': '"', "\\": "\\"}
_MAXIMUM_SIZE = 4 << 20


def parse_config(data: bytes, origin: str) -> list[tuple[str, str]]:
    """Section and variable names in lower case, subsections as written. Raises GitError."""
    text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").replace("\r\n", "\n")
    result: list[tuple[str, str]] = []
    prefix = ""
    lines = iter(text.split("\n"))
    for line in lines:
        section = _read_section(line)
        if section is not None:
            prefix, line = section
        line = line.lstrip()
        if not line or line[0] in "#;":
            continue
        name, rest = _take(line, _OF_NAME)
        if name[:1] not in _LETTERS or not prefix:
            raise GitError(f"bad configuration line in '{origin}': {line.strip()}")
        value = "true"
        rest = rest.lstrip()
        if rest.startswith("="):
            rest = rest[1:]
            while _continues(rest):
                rest = rest[:-1] + next(lines, "")
            value = _parse_value(rest)
        result.append((f"{prefix}.{name.lower()}", value))
    return result


def _take(text: str, allowed: frozenset[str]) -> tuple[str, str]:
    """What a text begins with, of these characters, and the rest."""
    end = 0
    while end < len(text) and text[end] in allowed:
        end += 1
    return text[:end], text[end:]


def _read_section(line: str) -> tuple[str, str] | None:
    """`[name]` or `[name "subsection"]` as a prefix of variables, and what follows; None for another line."""
    line = line.lstrip()
    if not line.startswith("["):
        return None
    name, rest = _take(line[1:].lstrip(), _OF_SECTION)
    rest = rest.lstrip()
    prefix = name.lower()
    if rest.startswith('"'):
        inner, position = "", 1
        while position < len(rest) and rest[position] != '"':
            position += rest[position] == "\\"
            inner += rest[position : position + 1]
            position += 1
        if position >= len(rest):
            return None
        prefix += "." + inner
        rest = rest[position + 1 :].lstrip()
    return (prefix, rest[1:]) if name and rest.startswith("]") else None


def _continues(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _parse_value(text: str) -> str:
    """Quotes and escapes resolved, comment and surrounding blanks dropped."""
    value, quoted, keep, position = "", False, 0, 0
    text = text.lstrip()
    while position < len(text):
        character = text[position]
        position += 1
        if character == '"':
            quoted = not quoted
            keep = len(value)
            continue
        if character in "#;" and not quoted:
            break
        if character == "\\" and position < len(text):
            character = _ESCAPES.get(text[position], text[position])
            position += 1
            value += character
            keep = len(value)
            continue
        value += character
        if quoted or not character.isspace():
            keep = len(value)
    return value[:keep]


def read_config(path: str) -> list[tuple[str, str]]:
    """Empty where there is no such file. Raises GitError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MAXIMUM_SIZE + 1)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise GitError(f"reading '{path}': {error.strerror}") from error
    if len(data) > _MAXIMUM_SIZE:
        raise GitError(f"configuration file '{path}' is too large")
    return parse_config(data, path)


def is_true(value: str) -> bool:
    return value.lower() in ("true", "yes", "on", "1")


def safe_directories() -> list[str]:
    """The values of `safe.directory` in the system's and the user's configuration; an empty one clears the list."""
    home = os.path.expanduser("~")
    xdg = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    system = os.environ.get("GIT_CONFIG_SYSTEM") or "/etc/gitconfig"
    user = [os.environ["GIT_CONFIG_GLOBAL"]] if os.environ.get("GIT_CONFIG_GLOBAL") else []
    files = [system, *(user or [os.path.join(xdg, "git/config"), os.path.join(home, ".gitconfig")])]
    found: list[str] = []
    for path in files:
        for name, value in read_config(path):
            if name == "safe.directory":
                found = [*found, value] if value else []
    return found


def parse_submodules(data: bytes, origin: str = ".gitmodules") -> dict[str, dict[str, str]]:
    """`path`, `url`, `branch` of each submodule that has a path, by path. Paths that leave the tree are refused."""
    modules: dict[str, dict[str, str]] = {}
    for name, value in parse_config(data, origin):
        parts = name.split(".")
        if len(parts) >= 3 and parts[0] == "submodule" and parts[-1] in ("path", "url", "branch"):
            modules.setdefault(".".join(parts[1:-1]), {})[parts[-1]] = value
    found = {}
    for module in modules.values():
        if "path" not in module:
            continue
        path = os.path.normpath(module["path"])
        parts = path.split("/")
        if path.startswith("/") or ".." in parts or path == "." or ".git" in [part.lower() for part in parts]:
            raise GitError(f"submodule path '{module['path']}' in '{origin}' is outside the tree")
        found[path] = module
    return found
