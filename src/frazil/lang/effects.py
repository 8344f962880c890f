"""The one way out of the evaluator: everything it may do to the world, as a protocol.

`instantiate` implements it over a store; `FileSystemEffects` below serves tests and tools that have no store. All
paths and texts are byte strings (one character a byte).
"""

from __future__ import annotations

import os
import stat

from frazil.lang.errors import EvalError, ThrownError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol
else:
    Protocol = object


class Effects(Protocol):
    store_dir: str

    def read_file(self, path: str) -> bytes:
        """Contents; raises EvalError where there is none. The path may lie in the logical store."""

    def is_plain_file(self, path: str) -> bool:
        """Whether a file that was read can be read again."""

    def read_again(self, path: str) -> bytes | None:
        """A file that was read before, to show a line of it: nobody is told. None where there is none any more."""

    def read_directory(self, path: str) -> dict[str, str]:
        """Name to "regular", "directory", "symlink" or "unknown"."""

    def file_type(self, path: str) -> str | None:
        """As lstat says, in the words of `read_directory`; None where there is nothing."""

    def resolve_symlinks(self, path: str) -> str:
        """The path with every symbolic link in it followed."""

    def find_search_path(self, name: str, entries: Sequence[tuple[str, str]]) -> str | None:
        """What `<name>` stands for, or None."""

    def copy_path_to_store(self, path: str) -> str:
        """Coercion of a path to a string: its store path, as text; memoised."""

    def realise_context(self, context: frozenset[str]) -> dict[str, str]:
        """Build what a string depends on; gives rewrites of placeholders."""

    def get_environment(self, name: str) -> str:
        """An environment variable, or the empty string."""

    def trace(self, text: str) -> None:
        """Show a line of `builtins.trace` or a warning."""

    def check_path(self, path: str) -> None:
        """Raise RestrictedPath where pure or restricted evaluation forbids reading."""


def encode_path(path: str) -> bytes:
    return path.encode("latin-1")


def file_kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "regular"
    if stat.S_ISDIR(mode):
        return "directory"
    return "symlink" if stat.S_ISLNK(mode) else "unknown"


class FileSystemEffects:
    """The file system as it is; no store: a path that would have to be copied is an error."""

    def __init__(self, store_dir: str = "/nix/store") -> None:
        self.store_dir = store_dir
        self.traced: list[str] = []

    def read_file(self, path: str) -> bytes:
        try:
            with open(encode_path(path), "rb") as file:
                return file.read()
        except OSError as error:
            raise EvalError(self._message("opening file", path, error)) from error

    def is_plain_file(self, path: str) -> bool:
        return os.path.isfile(encode_path(path))

    def read_again(self, path: str) -> bytes | None:
        try:
            return self.read_file(path) if self.is_plain_file(path) else None
        except EvalError:
            return None

    def read_directory(self, path: str) -> dict[str, str]:
        try:
            with os.scandir(encode_path(path)) as entries:
                return {e.name.decode("latin-1"): file_kind(e.stat(follow_symlinks=False).st_mode) for e in entries}
        except OSError as error:
            raise EvalError(self._message("reading directory", path, error)) from error

    def _message(self, what: str, path: str, error: OSError) -> str:
        if isinstance(error, FileNotFoundError):
            return f"path '{path}' does not exist"
        if isinstance(error, NotADirectoryError):
            return f"'{path}' is not a directory"
        if isinstance(error, IsADirectoryError):
            return f"file '{path}' is not a regular file"
        return f"{what} '{path}': {error.strerror}"

    def file_type(self, path: str) -> str | None:
        try:
            return file_kind(os.lstat(encode_path(path)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise EvalError(self._message("getting status of", path, error)) from error

    def resolve_symlinks(self, path: str) -> str:
        return os.path.realpath(encode_path(path)).decode("latin-1")

    def find_search_path(self, name: str, entries: Sequence[tuple[str, str]]) -> str | None:
        for prefix, place in entries:
            if prefix and name != prefix and not name.startswith(prefix + "/"):
                continue
            rest = name[len(prefix) :].lstrip("/")
            found = os.path.abspath(os.path.join(place, rest)) if rest else os.path.abspath(place)
            if self.file_type(found) is not None:
                return found
        return None

    def copy_path_to_store(self, path: str) -> str:
        raise EvalError(f"cannot copy path '{path}' to the store: there is no store")

    def realise_context(self, context: frozenset[str]) -> dict[str, str]:
        raise EvalError("cannot build during evaluation: there is no store")

    def get_environment(self, name: str) -> str:
        return os.environb.get(name.encode("latin-1"), b"").decode("latin-1")

    def trace(self, text: str) -> None:
        self.traced.append(text)

    def check_path(self, path: str) -> None:
        pass


__all__ = ["Effects", "EvalError", "FileSystemEffects", "ThrownError", "encode_path", "file_kind"]
