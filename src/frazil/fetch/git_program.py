"""The git program, for what goes over a network or changes a repository. Arguments in, output out."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from frazil.fetch.attributes import is_legal_reference_name
from frazil.fetch.errors import GitError
from frazil.fetch.tree import write_atomically

if TYPE_CHECKING:
    import subprocess

_PRIVATE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")

# A repository may come from anywhere: looking at one starts none of its programs.
_QUIET = ("-c", "core.fsmonitor=false")


def _environment() -> dict[str, str]:
    import sys

    environment = {name: value for name, value in os.environ.items() if name not in _PRIVATE}
    if not sys.stdin or not sys.stdin.isatty():
        environment.setdefault("GIT_TERMINAL_PROMPT", "0")
    return environment


def run_git(
    arguments: list[str],
    *,
    directory: str | None = None,
    check: bool = True,
    interactive: bool = False,
    input: bytes | None = None,
) -> str:
    """Standard output, undecodable bytes as surrogates. With `check` a failure raises GitError with git's own words.

    `interactive` lets git ask for a password on the terminal.
    """
    done = _run(arguments, directory, interactive, input)
    if check and done.returncode != 0:
        words = os.fsdecode(done.stderr).strip()
        raise GitError(f"'git {arguments[0]}' failed: {words or f'exit status {done.returncode}'}")
    return os.fsdecode(done.stdout)


def run_git_status(arguments: list[str], directory: str) -> tuple[int, str]:
    """The exit status and all that git said."""
    done = _run(arguments, directory, False, None)
    return done.returncode, os.fsdecode(done.stdout + done.stderr).strip()


def _run(
    arguments: list[str], directory: str | None, interactive: bool, input: bytes | None
) -> subprocess.CompletedProcess[bytes]:
    import subprocess

    where = ["-C", directory] if directory is not None else []
    try:
        return subprocess.run(
            ["git", *_QUIET, *where, *arguments],
            input=input,
            stdin=None if interactive or input is not None else subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            check=False,
        )
    except FileNotFoundError as error:
        raise GitError("executing 'git': no such program", hint="install git, or put it on the PATH") from error


def put_file(directory: str, path: str, contents: bytes, message: str | None) -> None:
    """Writes a file of a work tree and makes git know it; commits it where there is a message."""
    write_atomically(os.path.join(directory, path), contents)
    if _is_ignored(directory, path):
        return
    run_git(["add", "--intent-to-add", "--", path], directory=directory)
    if message is not None:
        run_git(["commit", "-q", "-F", "-", "--", path], directory=directory, input=os.fsencode(message))


def _is_ignored(directory: str, path: str) -> bool:
    with contextlib.suppress(GitError):
        run_git(["check-ignore", "--quiet", path], directory=directory)
        return True
    return False


def clone(source: str, ref: str | None, revision: str | None, destination: str) -> None:
    """`revision`: what is checked out, if not the branch's newest; it is fetched where no branch leads to it."""
    branch = [] if ref is None else ["--branch", ref]
    run_git(["clone", *branch, "--", source, destination], interactive=True)
    if revision is None:
        return
    if run_git_status(["cat-file", "-e", revision + "^{commit}"], destination)[0]:
        run_git(["fetch", "origin", revision], directory=destination, interactive=True)
    run_git(["checkout", "--quiet", "--detach", revision], directory=destination)


def read_remote_head(url: str) -> str | None:
    """The reference or revision that a remote's HEAD is, or None where it cannot be asked."""
    try:
        output = run_git(["ls-remote", "--symref", "--", url, "HEAD"], interactive=True)
    except GitError:
        return None
    line = output.partition("\n")[0]
    target, mark, name = line.partition("\t")
    if not mark or name.strip() != "HEAD":
        return None
    found = target.removeprefix("ref:").strip()
    return found if is_legal_reference_name(found) else None
