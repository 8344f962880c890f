"""Other machines that build: the setting `builders`, and files it names.

In: `URI SYSTEMS SSH-KEY MAX-JOBS SPEED FEATURES MANDATORY-FEATURES HOST-KEY`, separated by `;` or line ends; `@FILE`
stands for a file's lines. Out: `Machine`s. Source of truth: the manual's `command-ref/conf-file` (builders).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from frazil.errors import FrazilError, UsageError
from frazil.store.address import StoreReference

_MAXIMUM_DEPTH = 16
_MAXIMUM_FILE = 1 << 24
_PLAIN = ("auto", "daemon", "local")


@dataclass(frozen=True, slots=True)
class Machine:
    """`address` of its store; `speed` relative to others; `mandatory`: only derivations that ask for these."""

    address: str
    systems: frozenset[str]
    ssh_key: str | None = None
    max_jobs: int = 1
    speed: float = 1.0
    features: frozenset[str] = frozenset()
    mandatory: frozenset[str] = frozenset()
    host_key: str = ""

    def can_build(self, system: str, features: frozenset[str]) -> bool:
        fits = system == "builtin" or system in self.systems
        return fits and features <= self.features | self.mandatory and self.mandatory <= features

    def reference(self) -> StoreReference:
        """Its store, with what the other columns say."""
        found = StoreReference.parse(self.address)
        parameters = dict(found.parameters)
        if found.scheme == "ssh":
            parameters["max-connections"] = "1"
            parameters["log-fd"] = "4"
        if found.scheme in ("ssh", "ssh-ng"):
            if self.ssh_key is not None:
                parameters["ssh-key"] = self.ssh_key
            if self.host_key:
                parameters["base64-ssh-public-host-key"] = self.host_key
        words = [*parameters.get("system-features", "").split(), *sorted(self.features), *sorted(self.mandatory)]
        parameters["system-features"] = " ".join(words)
        return found.with_(parameters=parameters)


def parse_machines(text: str, systems: Iterable[str]) -> list[Machine]:
    """`systems`: for lines that name none. Raises FrazilError."""
    return [_machine(line, frozenset(systems)) for line in _lines(text, 0)]


def _lines(text: str, depth: int) -> list[str]:
    found = []
    for line in text.split("\n"):
        for entry in line.partition("#")[0].split(";"):
            entry = entry.strip()
            if entry.startswith("@"):
                found += _lines(_read(entry[1:].strip()), _deeper(depth, entry))
            elif entry:
                found.append(entry)
    return found


def _deeper(depth: int, entry: str) -> int:
    if depth >= _MAXIMUM_DEPTH:
        raise UsageError(f"the setting 'builders' includes files too deeply: '{entry}'")
    return depth + 1


def _read(path: str) -> str:
    """Empty where there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(_MAXIMUM_FILE)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise FrazilError(f"cannot read the file of machines '{path}': {error.strerror}") from error


def _machine(line: str, systems: frozenset[str]) -> Machine:
    words = line.split()

    def column(index: int) -> str:
        return words[index] if len(words) > index and words[index] != "-" else ""

    if not column(0):
        raise UsageError(f"bad machine specification: store URL was not found at the first column of a row: '{line}'")
    return Machine(
        _address(words[0]),
        _words(column(1)) or systems,
        column(2) or None,
        _jobs(column(3), line),
        _speed(column(4), line),
        _words(column(5)),
        _words(column(6)),
        _host_key(column(7), line),
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in text.split(",") if word)


def _address(word: str) -> str:
    """A bare host name means `ssh://`."""
    plain = "://" in word or "/" in word or word.partition("?")[0] in ("", *_PLAIN)
    return word if plain else f"ssh://{word}"


def _bad(index: int, line: str, kind: str) -> UsageError:
    return UsageError(f"bad machine specification: failed to convert column #{index} in a row: '{line}' to '{kind}'")


def _jobs(text: str, line: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and int(text[:11]) < 1 << 32):
        raise _bad(3, line, "unsigned int")
    return int(text)


def _speed(text: str, line: str) -> float:
    if not text:
        return 1.0
    try:
        speed = float(text)
    except ValueError:
        raise _bad(4, line, "float") from None
    if not 0 <= speed < float("inf"):
        raise UsageError("speed factor must be >= 0")
    return speed or 1.0


def _host_key(text: str, line: str) -> str:
    import base64
    import binascii

    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(
            f"invalid base 64 text while parsing machine specification at a column #7 in a row: '{line}'"
        ) from None
    return text


def own_build_hook() -> list[str]:
    """The program that Nix calls `nix __build-remote`."""
    return own_program("__build-remote")


def own_program(command: str) -> list[str]:
    """This program again, as a process of its own."""
    import sys

    import frazil

    folder = os.path.dirname(os.path.dirname(os.path.abspath(frazil.__file__)))
    code = f"import sys; sys.path.insert(0, {folder!r}); from frazil.cli import main; sys.exit(main())"
    return [sys.executable, "-P", "-c", code, command]
