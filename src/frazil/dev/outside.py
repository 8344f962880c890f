"""Programs of a store that is not at its logical place, started from outside its view.

A shell that direnv changes, an editor or a `result` link stays outside; there `/nix/store/…/bin/hugo` does not exist,
and no program of the store could find its interpreter. For each program this makes a small script, a starter, that runs
it inside the view. Folders of starters are named by content, so that two shells never disturb each other.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from frazil.dev.shell import quote

MOST_LINKS = 40
PROGRAM_FOLDERS = ("bin", "sbin")

_STARTER = """\
import sys
sys.path.insert(0, {library})
from frazil.build.view import exec_at
import os
exec_at({logical}, {physical}, [sys.argv[1], *sys.argv[2:]], os.environ)
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store belongs (`/nix/store`) and where its files are."""

    logical: str
    physical: str

    def is_inside(self, path: str) -> bool:
        return path.startswith(f"{self.logical}/")

    def real(self, path: str) -> str:
        """The file of a path in the store, links followed as the view would follow them. Raises OSError."""
        for _ in range(MOST_LINKS):
            step = self._first_link(path)
            if step is None:
                return self.physical + path[len(self.logical) :] if self.is_inside(path) else path
            path = step
        raise OSError(f"too many symbolic links at '{path}'")

    def _first_link(self, path: str) -> str | None:
        if not self.is_inside(path):
            return None
        done = self.logical
        rest = path[len(self.logical) + 1 :].split("/")
        for i, name in enumerate(rest):
            here = f"{done}/{name}"
            real = self.physical + here[len(self.logical) :]
            if os.path.islink(real):
                return posixpath.normpath(posixpath.join(done, os.readlink(real), *rest[i + 1 :]))
            done = here
        return None

    def starter(self, target: str) -> str:
        """The text of a script that starts the program `target` (a logical path) inside the view."""
        library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        code = _STARTER.format(library=repr(library), logical=repr(self.logical), physical=repr(self.physical))
        # `-I -S`: nothing of the user's Python configuration, and no search for site packages: a start takes 10 ms.
        return f'#!/bin/sh\nexec {quote(sys.executable)} -I -S -c {quote(code)} {quote(target)} "$@"\n'


def programs(path: str, place: Place) -> dict[str, str]:
    """Program name to its logical path, the first in `path` winning; entries outside the store are left out."""
    found: dict[str, str] = {}
    for folder in path.split(":"):
        if place.is_inside(folder):
            with contextlib.suppress(OSError):
                for name in os.listdir(place.real(folder)):
                    found.setdefault(name, f"{folder}/{name}")
    return found


def outside_path(path: str, place: Place, cache: str) -> str:
    """`path` with all its entries in the store replaced by one folder of starters, made below `cache`.

    Raises OSError.
    """
    kept = [entry for entry in path.split(":") if entry and not place.is_inside(entry)]
    texts = {name: place.starter(target) for name, target in programs(path, place).items()}
    return ":".join([_content_folder(texts, os.path.join(cache, "programs")), *kept])


def outside_object(base: str, place: Place, folder: str) -> str:
    """`folder`/`base`: the store object `base` as it can be used from outside. Raises OSError.

    Its programs are starters, everything else links to the files; a lone file is a starter if it can be run.
    """
    path = os.path.join(folder, base)
    logical, real = f"{place.logical}/{base}", f"{place.physical}/{base}"
    os.makedirs(folder, exist_ok=True)
    import tempfile

    temporary = tempfile.mkdtemp(prefix=".new-", dir=folder)
    try:
        made = os.path.join(temporary, base)
        if os.path.isdir(place.real(logical)):
            os.mkdir(made)
            _fill(made, logical, real, place)
        elif os.access(place.real(logical), os.X_OK):
            _write_script(made, place.starter(logical))
        else:
            os.symlink(real, made)
        _replace(made, path)
    finally:
        _remove(temporary)
    return path


def _fill(made: str, logical: str, real: str, place: Place) -> None:
    for name in os.listdir(place.real(logical)):
        source, target = f"{logical}/{name}", os.path.join(made, name)
        if name in PROGRAM_FOLDERS and os.path.isdir(place.real(source)):
            texts = {program: place.starter(f"{source}/{program}") for program in os.listdir(place.real(source))}
            os.mkdir(target)
            for program, text in texts.items():
                _write_script(os.path.join(target, program), text)
        else:
            os.symlink(place.real(source), target)


def _write_script(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o755)


def _content_folder(texts: Mapping[str, str], parent: str) -> str:
    import hashlib

    digest = hashlib.sha256(repr(sorted(texts.items())).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    folder = os.path.join(parent, digest)
    if os.path.isdir(folder):
        return folder
    os.makedirs(parent, exist_ok=True)
    import tempfile

    temporary = tempfile.mkdtemp(prefix=".new-", dir=parent)
    try:
        for name, text in texts.items():
            _write_script(os.path.join(temporary, name), text)
        os.chmod(temporary, 0o755)
        try:
            os.rename(temporary, folder)
        except OSError:
            # Where another process was first, its folder has the same content.
            if not os.path.isdir(folder):
                raise
    finally:
        _remove(temporary)
    return folder


def _replace(made: str, path: str) -> None:
    try:
        os.rename(made, path)
    except OSError:
        # A folder that is not empty cannot be replaced in one step; programs running from it keep their files.
        aside = f"{made}.old"
        os.rename(path, aside)
        os.rename(made, path)


def _remove(path: str) -> None:
    import shutil

    shutil.rmtree(path, ignore_errors=True)
