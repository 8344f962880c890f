"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

UNFINISHED = ".frazil-"
"""What the names of files begin with whose writer is at work, or was killed."""


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """An empty file beside `path`, which takes its place at the end; after an error nothing is left of it."""
    handle, temporary = tempfile.mkstemp(prefix=UNFINISHED, dir=os.path.dirname(os.path.abspath(path)))
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def replace_file(path: str, content: bytes) -> None:
    with replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(content)
