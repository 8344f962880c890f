"""A git repository on disk: where its parts are, what its references and objects say.

In: a path. Out: directories, references, commits. Read here without git or libgit2: the layout, references in files,
loose commits; everything else through libgit2, imported when needed. Source of truth: `gitrepository-layout(5)`.
"""

from __future__ import annotations

import os
import zlib

from frazil.fetch.attributes import is_revision
from frazil.fetch.errors import GitError
from frazil.fetch.git_config import is_true, read_config, safe_directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    import pygit2

    class Commit(NamedTuple):
        """`time`: the committer's, in seconds."""

        tree: str
        time: int
else:
    from frazil.record import named_tuple

    Commit = named_tuple("Commit", "tree time")

_MAXIMUM_LINKS = 5
_MAXIMUM_COMMIT = 64 << 20


class Repository:
    """`directory`: what was opened; `git_directory`: its own `.git`; `common_directory`: that of the main work tree."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.git_directory = _find_git_directory(directory)
        self.common_directory = _common_directory(self.git_directory)
        check_ownership(directory, self.git_directory)
        self._config: dict[str, str] | None = None
        self._libgit2: pygit2.Repository | None = None

    @property
    def config(self) -> dict[str, str]:
        """The repository's own configuration; the last of repeated values wins."""
        if self._config is None:
            self._config = dict(read_config(os.path.join(self.common_directory, "config")))
            if is_true(self._config.get("extensions.worktreeconfig", "false")):
                self._config.update(read_config(os.path.join(self.git_directory, "config.worktree")))
        return self._config

    @property
    def oid_size(self) -> int:
        return 32 if self.config.get("extensions.objectformat", "sha1").lower() == "sha256" else 20

    @property
    def is_shallow(self) -> bool:
        return os.path.exists(os.path.join(self.common_directory, "shallow"))

    def head(self) -> tuple[str | None, str | None]:
        """The reference that HEAD stands for (None if detached) and the commit (None if there is none yet)."""
        if self.config.get("extensions.refstorage", "files") != "files":
            return self._head_by_program()
        text = _read_small(os.path.join(self.git_directory, "HEAD"))
        if text is None:
            raise GitError(f"'{self.directory}' is not a git repository: it has no HEAD")
        if not text.startswith("ref:"):
            return None, self._checked_revision(text.strip(), "HEAD")
        name = text[4:].strip()
        return name, self.resolve_file_reference(name)

    def _checked_revision(self, text: str, name: str) -> str:
        if len(text) != self.oid_size * 2 or not all(c in "0123456789abcdef" for c in text):
            raise GitError(f"reference '{name}' of git repository '{self.directory}' is damaged")
        return text

    def resolve_file_reference(self, name: str) -> str | None:
        """The object a full reference name (`refs/heads/x`) points to, or None."""
        for _ in range(_MAXIMUM_LINKS):
            if ".." in name.split("/") or name.startswith("/"):
                break
            text = None
            for base in dict.fromkeys((self.git_directory, self.common_directory)):
                text = _read_small(os.path.join(base, name))
                if text is not None:
                    break
            if text is None:
                return self._packed_reference(name)
            if not text.startswith("ref:"):
                return self._checked_revision(text.strip(), name)
            name = text[4:].strip()
        raise GitError(f"reference '{name}' of git repository '{self.directory}' is damaged")

    def _packed_reference(self, name: str) -> str | None:
        try:
            with open(os.path.join(self.common_directory, "packed-refs"), "rb") as file:
                data = file.read()
        except OSError:
            return None
        wanted = b" " + os.fsencode(name)
        for line in data.split(b"\n"):
            if line.endswith(wanted) and line[:1] not in b"#^":
                revision, _, found = line.partition(b" ")
                if found == wanted[1:]:
                    return self._checked_revision(revision.decode("ascii", "replace"), name)
        return None

    def _head_by_program(self) -> tuple[str | None, str | None]:
        from frazil.fetch.git_program import run_git

        ref = run_git(["symbolic-ref", "-q", "HEAD"], directory=self.directory, check=False).strip()
        revision = run_git(["rev-parse", "-q", "--verify", "HEAD^{commit}"], directory=self.directory, check=False)
        return ref or None, revision.strip() or None

    def commit(self, revision: str) -> Commit:
        """Raises GitError where the object is missing or no commit."""
        data = self._loose_object(revision)
        if data is None:
            found = self.lookup_commit(revision)
            return Commit(str(found.tree_id), found.commit_time)
        kind, _, body = data.partition(b"\0")
        if kind.startswith(b"tag "):
            found = self.lookup_commit(revision)
            return Commit(str(found.tree_id), found.commit_time)
        return self._parse_commit(kind, body, revision)

    def _parse_commit(self, kind: bytes, body: bytes, revision: str) -> Commit:
        tree, time = "", None
        for line in body.partition(b"\n\n")[0].split(b"\n"):
            name, _, value = line.partition(b" ")
            if name == b"tree" and not tree:
                tree = value.decode("ascii", "replace")
            elif name == b"committer" and time is None:
                digits = value.rpartition(b">")[2].split()
                time = int(digits[0]) if digits and digits[0].isdigit() else 0
        if not kind.startswith(b"commit ") or not tree or time is None:
            raise GitError(f"object '{revision}' of git repository '{self.directory}' is not a commit")
        return Commit(tree, time)

    def _loose_object(self, revision: str) -> bytes | None:
        path = os.path.join(self.common_directory, "objects", revision[:2], revision[2:])
        try:
            with open(path, "rb") as file:
                data = file.read(_MAXIMUM_COMMIT)
            return zlib.decompressobj().decompress(data, _MAXIMUM_COMMIT)
        except FileNotFoundError:
            return None
        except (OSError, zlib.error) as error:
            raise GitError(f"object '{revision}' of git repository '{self.directory}' is damaged: {error}") from error

    @property
    def libgit2(self) -> pygit2.Repository:
        if self._libgit2 is None:
            import pygit2

            try:
                # Ownership was checked by git's own rule when the repository was opened.
                pygit2.option(pygit2.enums.Option.SET_OWNER_VALIDATION, False)
                self._libgit2 = pygit2.Repository(self.git_directory)
            except pygit2.GitError as error:
                raise GitError(f'opening Git repository "{self.directory}": {error}') from error
        return self._libgit2

    def has_object(self, revision: str) -> bool:
        return revision in self.libgit2 if is_revision(revision) else False

    def lookup_commit(self, revision: str) -> Any:
        """libgit2's commit of an object name, tags followed."""
        import pygit2

        try:
            return self.libgit2[revision].peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise GitError(f"getting Git object '{revision}' of '{self.directory}': {error}") from error

    def resolve(self, reference: str) -> str:
        """The commit of a branch, tag or full reference name, by git's rules of short names."""
        import pygit2

        try:
            return str(self.libgit2.revparse_single(f"{reference}^{{commit}}").id)
        except (KeyError, ValueError, pygit2.GitError) as error:
            raise GitError(f"resolving Git reference '{reference}' in '{self.directory}': {error}") from error

    def count_revisions(self, revision: str) -> int:
        """The commits that can be reached, itself included. Raises GitError in a shallow repository."""
        if self.is_shallow:
            raise GitError(
                f"'{self.directory}' is a shallow Git repository, so 'revCount' is not available",
                hint="add `shallow=1` to the reference, or fetch the history: git fetch --unshallow",
            )
        import pygit2

        try:
            walker = self.libgit2.walk(self.lookup_commit(revision).id, pygit2.enums.SortMode.NONE)
            return sum(1 for _ in walker)
        except (KeyError, pygit2.GitError) as error:
            raise GitError(
                f"counting the history of Git commit '{revision}': {error}",
                hint="the history is incomplete; add `shallow=1` to the reference, or fetch all of it",
            ) from error


def _read_small(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return os.fsdecode(file.read(65536))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise GitError(f"reading '{path}': {error.strerror}") from error


def _find_git_directory(directory: str) -> str:
    """`.git`, where a `.git` file points to, or the directory itself if it is bare."""
    inside = os.path.join(directory, ".git")
    if os.path.isdir(inside):
        return inside
    text = _read_small(inside)
    if text is not None:
        if not text.startswith("gitdir:"):
            raise GitError(f"'{inside}' is neither a git directory nor a pointer to one")
        target = os.path.normpath(os.path.join(directory, text[7:].strip("\n\r ")))
        if not os.path.isdir(target):
            raise GitError(
                f"'{inside}' points to '{target}', which does not exist",
                hint="a work tree or submodule whose repository moved; `git worktree repair` may help",
            )
        return target
    if os.path.isdir(os.path.join(directory, "objects")) and os.path.exists(os.path.join(directory, "HEAD")):
        return directory
    if not os.path.isdir(directory):
        raise GitError(f'Git repository "{directory}" does not exist.')
    raise GitError(f"'{directory}' is not a git repository", hint="git init, or use a path: reference instead")


def _common_directory(git_directory: str) -> str:
    text = _read_small(os.path.join(git_directory, "commondir"))
    return git_directory if text is None else os.path.normpath(os.path.join(git_directory, text.strip()))


def check_ownership(directory: str, git_directory: str) -> None:
    """Refuses a repository of somebody else, as git does: its configuration could run programs as us."""
    owners = {os.geteuid()}
    sudo = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and sudo.isdigit():
        owners.add(int(sudo))
    candidates = [directory, os.path.join(directory, ".git"), git_directory]
    wrong = [path for path in candidates if os.path.lexists(path) and os.lstat(path).st_uid not in owners]
    if not wrong or os.environ.get("GIT_TEST_ASSUME_DIFFERENT_OWNER") == "0":
        return
    real = os.path.realpath(directory)
    for entry in safe_directories():
        entry = os.path.expanduser(entry.removeprefix("%(prefix)/"))
        if entry == "*" or os.path.realpath(entry) == real or (entry.endswith("/*") and real.startswith(entry[:-1])):
            return
    raise GitError(
        f"detected dubious ownership in repository at '{directory}': it belongs to another user",
        hint=f"if you trust it: git config --global --add safe.directory {directory}",
    )
