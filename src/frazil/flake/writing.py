"""Writing into a user's source tree: whole files only, known to git where there is git."""

from __future__ import annotations

import os
import re

from frazil.flake.errors import FlakeError

_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def without_colors(text: str) -> str:
    return _ESCAPES.sub("", text)


def write_file(path: str, text: str) -> None:
    """Replaces a file at once: a reader sees the old or the new text, never a part. Follows a symbolic link."""
    import tempfile

    path = os.path.realpath(path)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".flake-lock-")
        try:
            with open(descriptor, "wb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, _mode(path))
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise FlakeError(f"cannot write file '{path}': {error.strerror}") from error


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode & 0o7777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def put_file(folder: str, relative: str, text: str, commit_message: str | None, *, is_git: bool) -> None:
    """Writes into an input's folder; in a git tree the file is made known to git, and committed where asked."""
    write_file(os.path.join(folder, relative), text)
    if not is_git:
        if commit_message is not None:
            raise FlakeError(f"cannot commit '{relative}': '{folder}' is not a git repository")
        return
    if run_git(folder, ["check-ignore", "--quiet", relative], check=False) == 0:
        return
    run_git(folder, ["add", "--intent-to-add", "--", relative])
    if commit_message is not None:
        run_git(folder, ["commit", relative, "-F", "-"], commit_message)


def run_git(folder: str, arguments: list[str], text: str | None = None, *, check: bool = True) -> int:
    """Runs git in `folder`; its exit status. Raises FlakeError where it fails and `check` is set."""
    import subprocess

    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments],
            input=None if text is None else text.encode(),
            stdin=subprocess.DEVNULL if text is None else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except FileNotFoundError as error:
        raise FlakeError(
            f"cannot run git in '{folder}': it is not installed",
            hint="install git, or name the flake as 'path:…' so that it is not read through git",
        ) from error
    if check and done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise FlakeError(f"program 'git' failed with exit code {done.returncode}: {said}")
    return done.returncode
