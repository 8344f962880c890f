"""Programs of a store that is not at its logical place, started from outside its view.

A shell that direnv changes, or an editor, stays outside; there `/nix/store/…/bin/hugo` does not exist. For each program
on the environment's path this makes a small script that starts it inside the view, in a folder that stands in the path
instead. Folders are named by content, so that two shells never disturb each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping

from frazil.dev.shell import quote

_STARTER = """\
import sys
sys.path.insert(0, {library})
from frazil.build.view import exec_at
import os
exec_at({logical}, {physical}, [sys.argv[1], *sys.argv[2:]], os.environ)
"""


def programs(path: str, logical: str, physical: str) -> dict[str, str]:
    """Program name to its logical path, the first in `path` winning; entries outside the store are left out."""
    found: dict[str, str] = {}
    for folder in path.split(":"):
        if not folder.startswith(f"{logical}/"):
            continue
        with contextlib.suppress(OSError):
            for name in os.listdir(physical + folder[len(logical) :]):
                found.setdefault(name, f"{folder}/{name}")
    return found


def starter_folder(path: str, logical: str, physical: str, cache: str) -> str:
    """A folder with a starter for every program that `path` finds in the store; made once for the same programs.

    `cache`: a folder that is ours. Raises OSError.
    """
    library = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    starter = _STARTER.format(library=repr(library), logical=repr(logical), physical=repr(physical))
    found = programs(path, logical, physical)
    texts = {
        # `-I -S`: nothing of the user's Python configuration, and no search for site packages: a start takes 10 ms.
        name: f'#!/bin/sh\nexec {quote(sys.executable)} -I -S -c {quote(starter)} {quote(target)} "$@"\n'
        for name, target in found.items()
    }
    digest = hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:32]
    folder = os.path.join(cache, "programs", digest)
    if not os.path.isdir(folder):
        _write_folder(folder, texts)
    return folder


def _write_folder(folder: str, texts: Mapping[str, str]) -> None:
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=".new-", dir=os.path.dirname(folder))
    for name, text in texts.items():
        with open(os.path.join(temporary, name), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o755)
    os.chmod(temporary, 0o755)
    try:
        os.rename(temporary, folder)
    except OSError:
        # Another process was first, with the same content.
        import shutil

        shutil.rmtree(temporary, ignore_errors=True)
        if not os.path.isdir(folder):
            raise


def outside_path(path: str, logical: str, physical: str, cache: str) -> str:
    """`path` with all its entries in the store replaced by one folder of starters."""
    kept = [entry for entry in path.split(":") if entry and not entry.startswith(f"{logical}/")]
    return ":".join([starter_folder(path, logical, physical, cache), *kept])
