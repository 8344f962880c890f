"""Garbage collector roots: links in `gcroots` and `profiles`, links elsewhere that those point at, what processes use.

Source of truth: the manual's `package-management/garbage-collector-roots`; C++ Nix's collector.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from typing import TYPE_CHECKING

from frazil.digest import encode_base32
from frazil.store import locks
from frazil.store.errors import BadStorePath, StoreError, from_os_error
from frazil.store.failures import quoted_place
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from typing import Protocol

    from frazil.store.config import StoreConfig
    from frazil.store.local import LocalStore
    from frazil.store.path import StoreDirectory

    class Place(Protocol):
        """Where a store is: all it takes to tell its paths."""

        @property
        def config(self) -> StoreConfig: ...
        @property
        def directory(self) -> StoreDirectory: ...


ROOTS_SOCKET = "gc-roots-socket/socket"
_ROOTS_PATIENCE = 60.0
_MOST_ROOTS = 1 << 28
CENSORED = "{censored}"
Roots = dict[StorePath, set[str]]

_IGNORED = frozenset((errno.ENOENT, errno.EACCES, errno.ENOTDIR))
_PROCESS_GONE = frozenset((errno.ENOENT, errno.EACCES, errno.ESRCH, errno.EPERM))
_MAPPED_FILE = re.compile(rb"^\s*\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+(/\S+)\s*$", re.M)


# ----------------------------------------------------------------------------------------------------------- making


def make_symlink(link: str, target: str, denied: str | None = None) -> None:
    """Creates or replaces a link in one step, and its folders. `denied`: the hint where that is not allowed."""
    temporary = f"{link}.tmp-{os.getpid()}-{secrets.randbelow(1 << 31)}"
    try:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(target, temporary)
        try:
            os.rename(temporary, link)
        except OSError:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise from_os_error(error, f"creating symlink '{link}'", denied) from error


def add_indirect_root(store: LocalStore, link: str) -> None:
    """`gcroots/auto/HASH` → `link`, which points into the store."""
    store.require_writable()
    if "\0" in link:
        raise StoreError(f"'{link}' cannot be a root: its name holds a zero byte")
    link = os.path.abspath(link)
    digest = hashlib.sha1(os.fsencode(link), usedforsecurity=False).digest()
    _ = store.database
    make_symlink(f"{store.config.state_dir}/gcroots/auto/{encode_base32(digest)}", link)


def logical_target(store: LocalStore, target: str) -> str:
    """What a link into the store's `outside` folder stands for; other targets as they are."""
    outside = store.config.outside_dir + "/"
    return f"{store.config.store_dir}/{target[len(outside) :]}" if target.startswith(outside) else target


def add_permanent_root(store: LocalStore, path: StorePath, link: str, target: str | None = None) -> str:
    """`target`: what the link says where that is not the store path itself (an object in the `outside` folder).

    Raises StoreError where `link` is something else than a link into the store.
    """
    link = os.path.abspath(link)
    if store.directory.is_inside(link):
        raise StoreError(
            f"creating a garbage collector root ('{link}') in the Nix store is forbidden "
            "(are you running nix-build inside the store?)"
        )
    store.require_writable()
    store.add_temporary_root(path)
    try:
        foreign = not store.directory.is_inside(logical_target(store, os.readlink(link)))
    except OSError as error:
        foreign = error.errno != errno.ENOENT
    if foreign:
        raise StoreError(
            f"cannot create symlink '{link}'; already exists",
            hint="move it away, or choose another name for the result",
        )
    store.flush()
    make_symlink(
        link,
        target or store.show(path),
        "you may not write there; another place for the link: --out-link; none: --no-link",
    )
    store.add_indirect_root(link)
    return link


# ---------------------------------------------------------------------------------------------------------- finding


def find_roots(store: LocalStore, *, censor: bool = False) -> Roots:
    """All roots with what holds them, temporary ones too."""
    roots = find_lasting_roots(store, censor=censor)
    for path, holders in find_temporary_roots(store, censor=censor).items():
        roots.setdefault(path, set()).update(holders)
    return roots


def find_lasting_roots(store: LocalStore, *, censor: bool = False, tidy: bool = True) -> Roots:
    """`tidy`: links of ours that lead nowhere any more are removed on the way."""
    roots: Roots = {}
    _ = store.database
    for folder in ("gcroots", "profiles"):
        _Search(store, roots, tidy=tidy and not store.config.read_only).visit(f"{store.config.state_dir}/{folder}")
    running = ask_for_runtime_roots(store) if store.config.asks_for_roots else find_runtime_roots(store)
    for path, holders in running.items():
        if store.is_registered(path):
            roots.setdefault(path, set()).update({CENSORED} if censor else holders)
    return roots


class _Search:
    def __init__(self, store: LocalStore, roots: Roots, *, tidy: bool) -> None:
        self.store = store
        self.tidy = tidy
        self.roots = roots
        self.automatic = store.config.state_dir + "/gcroots/auto/"

    def visit(self, top: str) -> None:
        pending = [top]
        while pending:
            path = pending.pop()
            try:
                mode = os.lstat(path).st_mode
                if stat.S_ISDIR(mode):
                    pending.extend([f"{path}/{name}" for name in sorted(os.listdir(path), reverse=True)])
                elif stat.S_ISLNK(mode):
                    self._link(path)
                elif stat.S_ISREG(mode):
                    self._named(path)
            except OSError as error:
                if error.errno not in _IGNORED:
                    raise from_os_error(error, f"finding GC roots in '{path}'") from error
                self.store.inform(f"cannot read potential root {quoted_place(path)}")

    def _found(self, holder: str, target: str) -> None:
        try:
            path = self.store.directory.split(target)[0]
        except BadStorePath:
            return
        if self.store.is_registered(path):
            self.roots.setdefault(path, set()).add(holder)
        else:
            self.store.inform(f"skipping invalid root from {quoted_place(holder)} to {quoted_place(target)}")

    def _link(self, path: str) -> None:
        target = logical_target(self.store, os.readlink(path))
        if self.store.directory.is_inside(target):
            self._found(path, target)
            return
        target = os.path.normpath(os.path.join(os.path.dirname(path), target))
        try:
            mode = os.lstat(target).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if path.startswith(self.automatic) and self.tidy:
                self.store.inform(f"removing stale link from {quoted_place(path)} to {quoted_place(target)}")
                try:
                    os.unlink(path)
                except OSError:
                    pass  # perhaps somebody else's
            return
        if stat.S_ISLNK(mode):
            inner = logical_target(self.store, os.readlink(target))
            if self.store.directory.is_inside(inner):
                self._found(target, inner)

    def _named(self, path: str) -> None:
        """A regular file named as a store path keeps that path."""
        try:
            root = StorePath.from_base(os.path.basename(path))
        except BadStorePath:
            return
        if self.store.is_registered(root):
            self.roots.setdefault(root, set()).add(path)


def find_temporary_roots(store: LocalStore, *, censor: bool = False) -> Roots:
    """What living processes registered; files of dead ones are removed."""
    roots: Roots = {}
    folder = store.config.state_dir + "/temproots"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return roots
    for name in names:
        if name.startswith("."):
            continue
        contents = _read_temporary(store, f"{folder}/{name}")
        for text in contents.split(b"\0")[:-1]:
            try:
                path = store.directory.parse(os.fsdecode(text))
            except BadStorePath:
                continue
            roots.setdefault(path, set()).add(CENSORED if censor else f"{{temp:{name}}}")
    return roots


def _read_temporary(store: LocalStore, path: str) -> bytes:
    read_only = store.config.read_only
    try:
        descriptor = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise from_os_error(error, f"opening temporary roots file '{path}'") from error
    with open(descriptor, "rb" if read_only else "r+b", buffering=0) as file:
        if locks.flock(descriptor, fcntl.LOCK_EX, wait=False):
            if read_only:
                return b""
            store.inform(f"removing stale temporary roots file {quoted_place(path)}")
            try:
                os.unlink(path)
                file.write(b"d")
            except OSError:
                pass
            return b""
        return file.read() or b""


# ------------------------------------------------------------------------------------------------ running processes


def ask_for_runtime_roots(store: LocalStore) -> Roots:
    """Of the daemon that may look at processes which we may not (`use-roots-daemon`). Raises StoreError: without an
    answer, what is in use is not known."""
    import socket

    place = f"{store.config.state_dir}/{ROOTS_SOCKET}"
    found = bytearray()
    try:
        folder = os.open(os.path.dirname(place), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_ROOTS_PATIENCE)
                connection.connect(f"/proc/self/fd/{folder}/socket")
                while data := connection.recv(1 << 16):
                    found += data
                    if len(found) > _MOST_ROOTS:
                        raise StoreError(f"the roots daemon at '{place}' says too much")
        finally:
            os.close(folder)
    except OSError as error:
        failure = from_os_error(error, f"asking the roots daemon at '{place}'")
        failure.hint = failure.hint or "it is started by `frazil store roots-daemon`, by who may look at all processes"
        raise failure from error
    if found and found[-1] != 0:
        raise StoreError(f"the roots daemon at '{place}' stopped in the middle of a path")
    texts = [os.fsdecode(bytes(text)) for text in found.split(b"\0") if text]
    return {store.parse(text): {CENSORED} for text in texts}


def find_runtime_roots(store: Place) -> Roots:
    """Store paths that running processes execute, have open, mapped, as working folder, or in their environment."""
    found: dict[str, set[str]] = {}
    pattern = _environment_pattern(store)
    try:
        names = os.listdir("/proc")
    except OSError:
        return {}
    for name in names:
        if name.isdigit():
            _inspect_process(f"/proc/{name}", store.config.real_store_dir, pattern, found)
    for path in ("/proc/sys/kernel/modprobe", "/proc/sys/kernel/fbsplash", "/proc/sys/kernel/poweroff_cmd"):
        try:
            with open(path, "rb") as file:
                found.setdefault(os.fsdecode(file.read(4096).strip()), set()).add(path)
        except OSError:
            pass
    roots: Roots = {}
    for text, holders in found.items():
        used = _store_path_of(store, text)
        if used is not None:
            roots.setdefault(used, set()).update(holders)
    return roots


def _environment_pattern(store: Place) -> re.Pattern[bytes]:
    places = {store.config.store_dir, store.config.real_store_dir}
    prefix = b"|".join([re.escape(os.fsencode(place)) for place in sorted(places)])
    return re.compile(b"(?:" + prefix + rb")/[0-9a-z]+[0-9a-zA-Z+\-._?=]*")


def _store_path_of(store: Place, text: str) -> StorePath | None:
    real = store.config.real_store_dir + "/"
    if text.startswith(real):
        text = store.config.store_dir + "/" + text[len(real) :]
    try:
        return store.directory.split(text)[0]
    except BadStorePath:
        return None


def _link_target(link: str, store: str) -> str:
    """What a link in `/proc` leads to; nothing where its process is gone, or is none of our business."""
    try:
        return os.readlink(link)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return _far_below(link, store)
        if error.errno not in _PROCESS_GONE:
            raise
        return ""


def _far_below(link: str, store: str) -> str:
    """The store object in which a folder is whose path is longer than the kernel tells: found from the folder upwards.
    Nothing where it is in none. (A file that deep cannot be told.)"""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        wanted = os.stat(store)
        folder = os.open(link, flags)
        try:
            here = os.fstat(folder)
            while True:
                above = os.open("..", flags, dir_fd=folder)
                os.close(folder)
                folder, there = above, os.fstat(above)
                if os.path.samestat(there, wanted):
                    with os.scandir(store) as entries:
                        return next((entry.path for entry in entries if entry.inode() == here.st_ino), "")
                if os.path.samestat(there, here):
                    return ""
                here = there
        finally:
            os.close(folder)
    except OSError:
        return ""  # it went away meanwhile, or we may not look


def _inspect_process(folder: str, store: str, pattern: re.Pattern[bytes], found: dict[str, set[str]]) -> None:
    """A process may go away, or be none of our business, at any moment."""

    def note(text: str, holder: str) -> None:
        if text.startswith("/"):
            found.setdefault(text, set()).add(holder)

    try:
        for link in ("exe", "cwd"):
            note(_link_target(f"{folder}/{link}", store), f"{folder}/{link}")
        for name in os.listdir(folder + "/fd"):
            note(_link_target(f"{folder}/fd/{name}", store), f"{folder}/fd/{name}")
        with open(folder + "/maps", "rb") as file:
            for match in _MAPPED_FILE.finditer(file.read()):
                note(os.fsdecode(match[1]), folder + "/maps")
        with open(folder + "/environ", "rb") as file:
            for match in pattern.finditer(file.read()):
                note(os.fsdecode(match[0]), folder + "/environ")
    except OSError as error:
        if error.errno not in _PROCESS_GONE:
            raise from_os_error(error, f"looking at the process '{folder}'") from error
