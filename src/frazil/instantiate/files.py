# cython: annotation_typing=False
"""`Effects` over files: reading, listing, links, the search path, and what may be read.

In and out: byte strings. Listings, links and lookups are remembered for the session (`forget_files`), and what a
listing said of a name is not asked again. Where the contents of store paths are is `StoreEffects`' part.
"""

from __future__ import annotations

import os

from frazil._native import is_plain_file, list_folder
from frazil._native import read_file as read_bytes
from frazil.activity import Verbosity
from frazil.errors import FrazilError
from frazil.instantiate.recording import Memo, lstat
from frazil.lang.effects import file_kind
from frazil.lang.errors import CALL_SITE, INTERNAL_FILES, EvalError, RestrictedPath, byte_string, display

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeVar

    Key = TypeVar("Key")
    Answer = TypeVar("Answer")

    from frazil.activity import Reporter
    from frazil.instantiate.recording import ReadRecorder
    from frazil.lang.settings import EvalSettings

MAX_LINKS = 100


class FileEffects:
    """What one evaluation sees of the file system."""

    store_dir: str
    _store_prefix: str

    def __init__(
        self,
        settings: EvalSettings,
        reporter: Reporter,
        search_hooks: dict[str, Callable[[str], str | None]] | None,
        download_tarball: Callable[[str], str] | None,
        recorder: ReadRecorder | None,
    ) -> None:
        self.settings = settings
        self.reporter = reporter
        self.recorder = recorder
        """Who is told of everything that is read; memoised answers are not told again."""
        self.marks_reads = False
        """Whether the recorder wants to know which value rests on which read: memoised answers are told again."""
        self._note: Callable[[object], None] | None = None  # whom such marks are told
        self._search_hooks = search_hooks or {}
        self._download_tarball = download_tarball
        self._listings = Memo()
        self.directory_sets = Memo()
        """What `readDir` gave, by path."""
        self._resolved = Memo()
        self._search_entries = Memo()
        self._found = Memo()
        self.tells_instantiated = True
        """Whether anybody may want to know that; found out by the first derivation."""
        self.limited = settings.pure or settings.restricted
        self._allowed: set[str] = set()
        self._verdicts: dict[str, bool] = {}
        self.explain_missing: Callable[[str], tuple[str, str | None] | None] | None = None
        """Message and hint for a path that does not exist, where somebody knows more."""

    def real(self, path: str) -> bytes:
        """The place in the file system of a path of the language."""
        raise NotImplementedError

    def _text_at(self, path: str) -> bytes | None:
        """Contents of a file that exists in memory only."""
        raise NotImplementedError

    # -- what is said ------------------------------------------------------------------------------------------

    def warn(self, text: str) -> None:
        self._say(Verbosity.WARN, display(text))

    def trace(self, text: str) -> None:
        level = Verbosity.WARN if text.startswith("evaluation warning:") else Verbosity.ERROR
        self._say(level, display(text))

    def _say(self, level: Verbosity, text: str) -> None:
        if self.recorder is not None:
            self.recorder.message(int(level), text)
        self.reporter.log(level, text)

    def mark_reads(self) -> None:
        """From here on the recorder is told which value rests on which read (`lang.values.note_marks`)."""
        from frazil.lang.values import note_marks, set_marking

        if self.recorder is not None and not self.marks_reads:
            self.marks_reads = True
            self._note = note_marks
            set_marking(True)
            self.recorder.tell_marks(note_marks)

    def _recall(self, memo: Memo, key: Key, compute: Callable[[], Answer]) -> Answer:
        """Memoised; what was read to find an answer counts for all that ask."""
        try:
            found: Answer = memo[key]
        except KeyError:
            pass
        else:
            if self._note is not None:
                self._note(memo.marks.get(key))
            return found
        if self._note is None:
            found = memo[key] = compute()
            return found
        from frazil.lang.values import swap_marks

        outer = swap_marks(None)
        own = None
        try:
            found = memo[key] = compute()
        finally:
            own = swap_marks(outer)
            self._note(own)
        memo.marks[key] = own
        return found

    def path_shown(self, path: str) -> None:
        """A path became text without being copied."""
        if self.recorder is not None:
            self.recorder.shown(path)

    def paths_compared(self, left: str, right: str) -> None:
        """It was found out whether two paths are the same, or which comes first."""
        if self.recorder is not None:
            self.recorder.compared(left, right, pure=self.settings.pure)

    def path_named(self, path: str) -> None:
        """The last part of a path became text."""
        if self.recorder is not None:
            self.recorder.named(path)

    def note_fetched(
        self, path: str, attributes: Mapping[str, object], result: Mapping[str, object], *, locked: bool
    ) -> None:
        """A tree was fetched to a store path. `locked`: the attributes say what is in it."""
        if self.recorder is None:
            return
        base = path[len(self._store_prefix) :].partition("/")[0]
        if locked:
            self.recorder.fetched(base)
        else:
            self.recorder.fetch(attributes, result, base)

    def home_used(self, folder: str) -> None:
        """A path began with `~`."""
        if self.recorder is not None:
            self.recorder.home(folder)

    def not_repeatable(self, reason: str) -> None:
        """Another evaluation of the same may give something else."""
        if self.recorder is not None:
            self.recorder.refuse(reason)

    def instantiated(self, name: str, path: str) -> None:
        if getattr(self.reporter, "verbosity", 0) >= Verbosity.CHATTY:
            self.reporter.log(Verbosity.CHATTY, f"instantiated '{name}' -> '{path}'")
        else:
            self.tells_instantiated = False

    def get_environment(self, name: str) -> str:
        if self.limited:
            return ""
        value = os.environb.get(name.encode("latin-1"), b"").decode("latin-1")
        if self.recorder is not None:
            self.recorder.environment(name, value)
        return value

    # -- reading -----------------------------------------------------------------------------------------------

    def read_file(self, path: str) -> bytes:
        if self.limited:
            self.check_path(path)
        text = self._text_at(path)
        if text is not None:
            return text
        real = self.real(path)
        status = lstat(real) if self.recorder is not None else None
        try:
            data = read_bytes(real)
        except OSError as error:
            if self.recorder is not None:
                self.recorder.refuse(f"'{path}' could not be read")
            raise self._failure("opening file", path, error) from error
        if self.recorder is not None:
            self.recorder.contents(path, real, data, status)
        return data

    def is_plain_file(self, path: str) -> bool:
        return is_plain_file(self.real(path)) and self._text_at(path) is None

    def read_again(self, path: str) -> bytes | None:
        real = self.real(path)
        try:
            return read_bytes(real) if is_plain_file(real) else None
        except OSError:
            return None  # what it said is not worth failing for

    def _failure(self, doing: str, path: str, error: OSError) -> EvalError:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            explained = self.explain_missing(path) if self.explain_missing is not None else None
            if explained is not None:
                return EvalError(byte_string(explained[0]), hint=explained[1], pos=CALL_SITE)
            return EvalError(f"path '{path}' does not exist", pos=CALL_SITE)
        if isinstance(error, IsADirectoryError):
            return EvalError(f"file '{path}' is not a regular file", pos=CALL_SITE)
        return EvalError(f"{doing} '{path}': {error.strerror}", pos=CALL_SITE)

    def read_directory(self, path: str) -> dict[str, str]:
        listing: dict[str, str] | None = self._listings.get(path)
        if listing is None:
            listing = self._recall(self._listings, path, lambda: self._list(path))
        elif self._note is not None:
            self._note(self._listings.marks.get(path))
        return listing

    def _list(self, path: str) -> dict[str, str]:
        if self.limited:
            self.check_path(path)
        real = self.real(path)
        status = lstat(real) if self.recorder is not None else None
        try:
            listing = list_folder(real)
        except OSError as error:
            if self.recorder is not None:
                self.recorder.refuse(f"'{path}' could not be listed")
            if isinstance(error, NotADirectoryError) and self.file_type(path) is not None:
                raise EvalError(f"'{path}' is not a directory", pos=CALL_SITE) from error
            raise self._failure("reading directory", path, error) from error
        if self.recorder is not None:
            self.recorder.listing(path, real, listing, status)
        if self.limited and not self._is_inside_allowed(path):
            prefix = "/" if path == "/" else path + "/"
            listing = {name: kind for name, kind in listing.items() if self._is_allowed(prefix + name)}
        return listing

    def file_type(self, path: str) -> str | None:
        if self.limited and not self._is_allowed(path):
            raise self._forbidden(path)
        if self._text_at(path) is not None:
            return "regular"
        real = self.real(path)
        known = self._listed(path)
        if known is not None:
            if self.recorder is not None:
                self.recorder.kind(path, real, known)
            return known
        try:
            found = file_kind(os.lstat(real).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            if path == self.store_dir:
                return "directory"
            if self.recorder is not None:
                self.recorder.kind(path, real, None)
            return None
        except OSError as error:
            if self.recorder is not None:
                self.recorder.refuse(f"'{path}' could not be looked at")
            raise self._failure("getting status of", path, error) from error
        if self.recorder is not None:
            self.recorder.kind(path, real, found)
        return found

    def _listed(self, path: str) -> str | None:
        """What kind of thing it is where the folder it is in was listed already; None: not known."""
        folder, _, name = path.rpartition("/")
        listing: dict[str, str] | None = self._listings.get(folder)
        if listing is None or self.marks_reads:
            return None
        kind = listing.get(name)
        return kind if kind != "unknown" else None

    def resolve_symlinks(self, path: str) -> str:
        """Every link followed; what does not exist stays as it is. Remembered: a file is looked at many times."""
        found: str | None = self._resolved.get(path)
        if found is None:
            found = self._recall(self._resolved, path, lambda: self._resolve(path, MAX_LINKS))
        elif self._note is not None:
            self._note(self._resolved.marks.get(path))
        return found

    def _resolve(self, path: str, links: int) -> str:
        """By hand, since parts of the store may be somewhere else. Folders on the way are remembered, too."""
        folder, _, name = path.rpartition("/")
        if not name and not folder:
            return "/"
        parent: str | None = self._resolved.get(folder)
        if parent is None or self.marks_reads:
            parent = self._recall(self._resolved, folder, lambda: self._resolve(folder, links) if folder else "/")
        if name in ("", "."):
            return parent
        if name == "..":
            return parent.rpartition("/")[0] or "/"
        step = f"/{name}" if parent == "/" else f"{parent}/{name}"
        real = self.real(step)
        raw: bytes | None = None
        if self._listed(step) in (None, "symlink"):
            try:
                raw = os.readlink(real)
            except OSError:
                raw = None
        if self.recorder is not None:
            self.recorder.link(step, real, raw)
        if raw is None:
            return step
        target = raw.decode("latin-1")
        if links == 0:
            raise EvalError(f"infinite symlink recursion in path '{path}'", pos=CALL_SITE)
        return self._resolve(target if target.startswith("/") else f"{parent}/{target}", links - 1)

    def forget_files(self) -> None:
        """What was remembered of the file system may have changed."""
        self._listings.clear()
        self.directory_sets.clear()
        self._resolved.clear()
        self._found.clear()

    # -- what may be read --------------------------------------------------------------------------------------

    def allow_path(self, path: str) -> None:
        """Lets pure and restricted evaluation read a path and all below it."""
        if self.limited and path not in self._allowed:
            self._allowed.add(path)
            self._verdicts.clear()

    def check_path(self, path: str) -> None:
        if self.limited and not self._is_allowed(path):
            raise self._forbidden(path)

    def _is_allowed(self, path: str) -> bool:
        verdict = self._verdicts.get(path)
        if verdict is None:
            verdict = self._verdicts[path] = path.startswith(INTERNAL_FILES) or self._look_up_permission(path)
        return verdict

    def _look_up_permission(self, path: str) -> bool:
        """Allowed paths, what is below them, and the folders that lead to them."""
        prefix = path.rstrip("/") + "/"
        return self._is_inside_allowed(path) or any(item.startswith(prefix) for item in self._allowed)

    def _is_inside_allowed(self, path: str) -> bool:
        allowed = self._allowed
        candidate = path
        while candidate:
            if candidate in allowed:
                return True
            candidate = candidate.rpartition("/")[0]
        return "/" in allowed or path.startswith(INTERNAL_FILES)

    def _forbidden(self, path: str) -> RestrictedPath:
        mode = "in pure evaluation mode (use '--impure' to override)" if self.settings.pure else "in restricted mode"
        return RestrictedPath(f"access to absolute path '{path}' is forbidden {mode}", pos=CALL_SITE)

    def check_uri(self, uri: str) -> None:
        """Raises RestrictedPath where restricted evaluation may not fetch from there."""
        from frazil.instantiate.uris import is_allowed_uri

        if not self.settings.restricted or is_allowed_uri(uri, self.settings.allowed_uris):
            return
        if uri.startswith("/"):
            self.check_path(uri)
            return
        if uri.startswith("file://"):
            self.check_path(uri[len("file://") :])
            return
        raise RestrictedPath(f"access to URI '{uri}' is forbidden in restricted mode", pos=CALL_SITE)

    # -- <…> ---------------------------------------------------------------------------------------------------

    def find_search_path(self, name: str, entries: Sequence[tuple[str, str]]) -> str | None:
        for prefix, place in entries:
            if prefix and name != prefix and not name.startswith(prefix + "/"):
                continue
            rest = name[len(prefix) :].strip("/")
            found = self._look_in_once(place, rest)
            if found is not None:
                return found
        if name.startswith("nix/"):
            return INTERNAL_FILES + name[3:]
        return None

    def _look_in_once(self, place: str, rest: str) -> str | None:
        return self._recall(self._found, (place, rest), lambda: self._look_in(place, rest))

    def _look_in(self, place: str, rest: str) -> str | None:
        root = self._resolve_search_entry(place)
        if root is None:
            return None
        found = self.resolve_symlinks(f"{root}/{rest}" if rest else root)
        return found if self.file_type(found) is not None else None

    def _resolve_search_entry(self, place: str, *, allow: bool = False) -> str | None:
        return self._recall(self._search_entries, place, lambda: self._place_of_entry(place, allow))

    def _place_of_entry(self, place: str, allow: bool) -> str | None:
        from frazil.instantiate.uris import is_pseudo_url, resolve_pseudo_url

        if is_pseudo_url(place):
            try:
                if self._download_tarball is None:
                    raise EvalError("nothing can be downloaded here")
                return self._download_tarball(resolve_pseudo_url(place))
            except FrazilError:
                self.warn(f"Nix search path entry '{place}' cannot be downloaded, ignoring")
        scheme, colon, rest = place.partition(":")
        if colon and scheme in self._search_hooks:
            self.not_repeatable(f"'{place}' is in the search path")
            found = self._search_hooks[scheme](rest)
            if found is not None:
                return found
        path = os.path.normpath(os.path.join(os.getcwdb(), place.encode("latin-1"))).decode("latin-1")
        if allow:
            self.allow_path(path)
        if self._exists(path):
            return path
        self.warn(f"Nix search path entry '{place}' does not exist, ignoring")
        return None

    def search_hook(self, scheme: str, rest: str) -> str | None:
        """Where `SCHEME:REST` is, for schemes that somebody above knows."""
        hook = self._search_hooks.get(scheme)
        self.not_repeatable(f"'{scheme}:{rest}' was asked for")
        return None if hook is None else hook(rest)

    def _exists(self, path: str) -> bool:
        resolved = self.resolve_symlinks(path)
        real = self.real(resolved)
        found = os.path.exists(real)
        if self.recorder is not None:
            self.recorder.kind(resolved, real, file_kind(os.lstat(real).st_mode) if found else None)
        return found
