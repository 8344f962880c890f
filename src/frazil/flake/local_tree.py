"""Whether a local flake's tree is as it was, without git, fetchers or the evaluator.

In: what names a flake on the command line, as far as it is a path; a folder. Out: where the tree is, and a digest of
its state: of a git work tree HEAD, index, configuration and the stamps of all tracked files; of another folder the
stamps of all that is in it. The same digest means the same tree to the fetchers (`fetch.git_worktree`,
`fetch.path_scheme`), which say more. Whatever is unusual has no digest: then they are asked.
"""

from __future__ import annotations

import os
import stat
import time

from frazil.evalcache.stamps import is_settled, tree_stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Place(NamedTuple):
        """`kind`: git or path. `root`: the tree; `folder`: that of flake.nix, relative to it."""

        kind: str
        root: str
        folder: str
        shallow: bool
else:
    from frazil.record import named_tuple

    Place = named_tuple("Place", "kind root folder shallow")

_OID_SIZE = 20
_NUMBERS = 7
_MODE = 4
_GITLINK = b"\x00\x00\xe0\x00"
_UNUSUAL_CONFIG = (b"objectformat", b"refstorage", b"worktreeconfig", b"[include")
_LARGEST_FILE = 1 << 20
_LARGEST_INDEX = 1 << 30


def find_tree(text: str, base_directory: str, store_dir: str) -> Place | None:
    """Where a flake reference without fragment leads: None for all that is not plainly a folder with a flake."""
    if text.startswith("path:") and not any(mark in text for mark in "?#%") and not text.startswith("path://"):
        return _plain_folder(os.path.normpath(os.path.join(base_directory, text[5:])))
    if not (text == "" or text[0] in "./") or any(mark in text for mark in "?#:%^"):
        return None
    named = os.path.normpath(os.path.join(base_directory, text))
    if "/" in text and (named.startswith(store_dir + "/") or os.path.islink(named)):
        return None  # a store path, perhaps
    path = os.path.realpath(named)
    if path.startswith(store_dir + "/") or not os.path.isfile(path + "/flake.nix"):
        return None
    root = path
    while root != "/":
        if os.path.lexists(root + "/.git"):
            shallow = os.path.lexists(root + "/.git/shallow")
            return Place("git", root, path[len(root) + 1 :], shallow)
        root = os.path.dirname(root)
    return _plain_folder(path)


def _plain_folder(path: str) -> Place | None:
    return Place("path", path, "", False) if os.path.isfile(path + "/flake.nix") and not os.path.islink(path) else None


def state_of(place: Place) -> str | None:
    """A digest; None where there is none, or where it cannot be relied on."""
    try:
        if place.kind == "path":
            return tree_stamp(os.fsencode(place.root), time.time_ns()) or None
        return _git_state(place.root)
    except (OSError, LookupError, ValueError):
        return None


def _git_state(root: str) -> str | None:
    from frazil.evalcache.hashing import sha256

    folder = root + "/.git"
    owner = os.lstat(root).st_uid, os.lstat(folder).st_uid
    if not os.path.isdir(folder) or os.path.islink(folder) or owner != (os.geteuid(), os.geteuid()):
        return None
    config = _read(folder + "/config")
    if any(word in config.lower() for word in _UNUSUAL_CONFIG):
        return None
    state = sha256(config)
    head = _read(folder + "/HEAD")
    for part in (head, _revision(folder, head), _read_if_there(folder + "/info/attributes")):
        state.update(len(part).to_bytes(8, "little") + part)
    now = time.time_ns()
    with open(folder + "/index", "rb", buffering=0) as file:
        index = file.read(_LARGEST_INDEX)
        written = os.fstat(file.fileno()).st_mtime_ns
    newest = _add_index(state, index, root)
    if newest is None or not is_settled(max(newest, written), now):
        return None
    state.update(written.to_bytes(16, "little", signed=True))
    return state.hexdigest()


def _add_index(state: object, index: bytes, root: str) -> int | None:
    """The newest time of a tracked file."""
    from frazil.fetch._worktree import stamps

    raw, newest, end = stamps(index, _OID_SIZE, os.fsencode(root))
    rest = index[end:-_OID_SIZE]
    if _GITLINK in index or b"link" in rest or b"sdir" in rest:
        return None  # submodules, or an index in parts
    size = 8 * _NUMBERS
    for start in range(8 * _MODE, len(raw), size):
        if stat.S_ISDIR(int.from_bytes(raw[start : start + 8], "little")):
            return None
    checksum = index[-_OID_SIZE:]
    state.update((checksum if any(checksum) else index) + raw)  # type: ignore[attr-defined]
    return int(newest)


def _revision(folder: str, head: bytes) -> bytes:
    """What HEAD's branch is; nothing is a branch without commits."""
    if not head.startswith(b"ref:"):
        return b""
    name = os.fsdecode(head[4:].strip())
    if not name.startswith("refs/") or ".." in name.split("/"):
        raise ValueError(name)
    found = _read_if_there(f"{folder}/{name}")
    if found.startswith(b"ref:"):
        raise ValueError(name)
    return found or _packed(folder, name)


def _packed(folder: str, name: str) -> bytes:
    try:
        with open(folder + "/packed-refs", "rb") as file:
            data = file.read(_LARGEST_INDEX)
    except FileNotFoundError:
        return b""
    wanted = b" " + os.fsencode(name)
    return b"\n".join([line for line in data.split(b"\n") if line.endswith(wanted)])


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        data = file.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise ValueError(path)
    return data


def _read_if_there(path: str) -> bytes:
    try:
        return _read(path)
    except (FileNotFoundError, NotADirectoryError):
        return b""
