"""Templates: the files that `flake init` and `flake new` copy.

In: the folder of a template (readable through the evaluator) and a destination. Out: what was written, and which
files stood in the way. Nothing is overwritten. Source: the manual page of `nix flake init`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from frazil.flake.errors import FlakeError

Say = Callable[[str], None]


@dataclass(slots=True)
class Copied:
    changed: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


class TemplateCopier:
    """`notice` and `error` get a line each file."""

    def __init__(self, effects: Any, notice: Say, error: Say) -> None:
        self.effects, self.notice, self.error = effects, notice, error
        self.result = Copied()

    def copy(self, source: str, destination: str) -> Copied:
        """`source` is a path of the language; `destination` one of the file system."""
        kind = self.effects.file_type(source)
        if kind != "directory":
            raise FlakeError(f"template path '{_text(source)}' is {'missing' if kind is None else 'not a directory'}")
        self.directory(source, destination)
        return self.result

    def directory(self, source: str, destination: str) -> None:
        try:
            os.makedirs(destination, exist_ok=True)
        except OSError as error:
            raise FlakeError(f"creating directory '{destination}': {error.strerror}") from error
        for name, kind in sorted(self.effects.read_directory(source).items()):
            here, there = f"{source}/{name}", os.path.join(destination, _text(name))
            if kind == "directory":
                self.directory(here, there)
                self.notice(f'wrote: "{there}"')
                continue
            if kind not in ("regular", "symlink"):
                raise FlakeError(
                    f"path '{_text(here)}' needs to be a symlink, file, or directory but instead is a {kind}"
                )
            if os.path.lexists(there):
                self.existing(here, there, kind)
            else:
                self.write(here, there, kind)

    def existing(self, here: str, there: str, kind: str) -> None:
        if self.same(here, there, kind):
            self.notice(f"skipping identical file: {_text(here)}")
            return
        self.error(f"refusing to overwrite existing file \"{there}\"\n please merge it manually with '{_text(here)}'")
        self.result.conflicts.append(there)

    def same(self, here: str, there: str, kind: str) -> bool:
        try:
            if kind == "symlink":
                return bool(os.readlink(os.fsencode(there)) == os.readlink(self.effects.real(here)))
            with open(there, "rb") as file:
                return bool(file.read() == self.effects.read_file(here))
        except OSError:
            return False

    def write(self, here: str, there: str, kind: str) -> None:
        try:
            if kind == "symlink":
                os.symlink(os.readlink(self.effects.real(here)), os.fsencode(there))
            else:
                executable = os.stat(self.effects.real(here)).st_mode & 0o111
                mode = 0o777 if executable else 0o666
                with open(os.open(there, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                    file.write(self.effects.read_file(here))
        except OSError as error:
            raise FlakeError(f"cannot write '{there}': {error.strerror}") from error
        self.result.changed.append(there)
        self.notice(f'wrote: "{there}"')


def _text(path: str) -> str:
    return path.encode("latin-1").decode("utf-8", "surrogateescape")
