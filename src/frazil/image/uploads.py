"""Uploads of large blobs that were begun: where a registry takes the rest, for a process that comes later.

A file for each blob of a repository, locked while its upload is under way, so that two processes never send to one
place. What is in it is a hint: the registry says how far the upload came, or knows nothing of it, and a damaged or old
file is as good as none.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from types import TracebackType

LONGEST = 24 * 3600
"""Seconds after which an upload is not taken up any more; registries forget theirs after days."""
_LARGEST = 1 << 16
_MOST = 1000


class Upload:
    """To be used with `with`; leaving it keeps the file, unless `forget` was called."""

    def __init__(self, folder: str | None, repository: str, digest: str) -> None:
        """`folder` None: nothing is remembered. `repository`: with its registry."""
        name = hashlib.sha256(f"{repository}\n{digest}".encode()).hexdigest()
        self._path = os.path.join(folder, name) if folder is not None else None
        self._file: int | None = None

    def __enter__(self) -> Upload:
        if self._path is not None:
            try:
                os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
                _remove_old(os.path.dirname(self._path))
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # no such folder can be, or another process sends the same
                self._close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def place(self) -> str | None:
        """Where the upload goes on, if one was begun."""
        if self._file is None:
            return None
        try:
            if time.time() - os.fstat(self._file).st_mtime > LONGEST:
                return None
            found = json.loads(os.pread(self._file, _LARGEST, 0))
        except (OSError, ValueError, RecursionError):
            return None
        return found if isinstance(found, str) and found.startswith(("http://", "https://")) else None

    def keep(self, place: str) -> None:
        """Before anything is sent there, and with every answer."""
        if self._file is None:
            return
        text = json.dumps(place).encode()
        try:
            os.truncate(self._file, 0)
            if len(text) <= _LARGEST:
                os.pwrite(self._file, text, 0)
        except OSError:
            self._close()

    def forget(self) -> None:
        if self._file is not None and self._path is not None:
            try:
                os.unlink(self._path)
            except OSError:
                pass  # it is old some day
            self._close()


def _remove_old(folder: str) -> None:
    now = time.time()
    with os.scandir(folder) as entries:
        for _, entry in zip(range(_MOST), entries, strict=False):
            try:
                if now - entry.stat(follow_symlinks=False).st_mtime > LONGEST:
                    os.unlink(entry.path)
            except FileNotFoundError:
                continue  # another process was first
