"""`Effects` over a store: reading files (also inside store paths), copying sources, building what evaluation needs.

In and out: byte strings, as everywhere in the language. What evaluation adds to the store (sources, derivations, texts)
is only hashed at first; `flush` writes it all, before something is built and at the end. Until then store paths
are mapped back to where their contents are, so that reading them works, also in read-only mode.
"""

from __future__ import annotations

import os
import stat

from frazil.activity import Verbosity
from frazil.errors import FrazilError
from frazil.instantiate.context import parse_built, show_element
from frazil.instantiate.recording import lstat
from frazil.lang.effects import file_kind
from frazil.lang.errors import (
    CALL_SITE,
    EvalError,
    ImportFromDerivationError,
    InvalidStorePath,
    RestrictedPath,
    byte_string,
    display,
)
from frazil.store.path import References, StoreDirectory, StorePath, unknown_output_placeholder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    Key = TypeVar("Key")
    Answer = TypeVar("Answer")

    from frazil.activity import Reporter
    from frazil.digest import Hash
    from frazil.fetch.inputs import FetchContext, FetchSettings
    from frazil.instantiate.instantiator import Instantiator
    from frazil.instantiate.recording import ReadRecorder
    from frazil.lang.settings import EvalSettings
    from frazil.store.derivation import Derivation
    from frazil.store.local import LocalStore

INTERNAL_FILES = "/__corepkgs__"
"""Where `<nix/…>` is: a folder of the language, not of the file system."""
MAX_LINKS = 100


class PendingSource:
    """A source that is hashed and not yet copied. `filter` decides again while copying."""

    __slots__ = ("filter", "method", "name", "real_path", "references")

    def __init__(
        self,
        name: str,
        real_path: bytes,
        method: str = "nar",
        filter: Callable[[str, str], bool] | None = None,
        references: frozenset[StorePath] = frozenset(),
    ) -> None:
        self.references = references
        self.name = name
        self.real_path = real_path
        self.method = method
        self.filter = filter


class StoreEffects:
    """One evaluation's doings. `open_store` is called when the store is first needed."""

    def __init__(
        self,
        open_store: Callable[[], LocalStore],
        directory: StoreDirectory,
        physical_store_directory: str,
        settings: EvalSettings,
        reporter: Reporter,
        *,
        read_only: bool = False,
        build: Callable[[StoreEffects, list[str]], None] | None = None,
        search_hooks: dict[str, Callable[[str], str | None]] | None = None,
        download_tarball: Callable[[str], str] | None = None,
        recorder: ReadRecorder | None = None,
    ) -> None:
        self._open_store = open_store
        self.recorder = recorder
        """Who is told of everything that is read; memoised answers are not told again."""
        self.marks_reads = False
        """Whether the recorder wants to know which value rests on which read: memoised answers are told again."""
        self._memo_marks: dict[tuple[int, object], int] = {}
        if recorder is not None:
            recorder.attach(self._is_virtual)
        self._store: LocalStore | None = None
        self.directory = directory
        self.store_dir = directory.path
        self._store_prefix = directory.path + "/"
        self._physical = os.fsencode(physical_store_directory) + b"/"
        self._relocated = os.fsencode(directory.path) + b"/" != self._physical
        self.settings = settings
        self.reporter = reporter
        self.read_only = read_only
        self._build = build
        self._search_hooks = search_hooks or {}
        self._download_tarball = download_tarball
        self._instantiator: Instantiator | None = None
        self.sources: dict[str, bytes] = {}
        """Base name of a store path -> where its contents are now."""
        self.pending_sources: dict[str, PendingSource] = {}
        self.pending_texts: dict[str, tuple[str, bytes, frozenset[str]]] = {}
        self._texts: dict[str, bytes] = {}
        self.internal_expressions: dict[str, object] = {}
        self._copied: dict[str, str] = {}
        self._listings: dict[str, dict[str, str]] = {}
        self._resolved: dict[str, str] = {}
        self._satisfied: set[frozenset[str]] = set()
        self._search_entries: dict[str, str | None] = {}
        self._found: dict[tuple[str, str], str | None] = {}
        self.limited = settings.pure or settings.restricted
        self._allowed: set[str] = set()
        self._verdicts: dict[str, bool] = {}
        self.explain_missing: Callable[[str], tuple[str, str | None] | None] | None = None
        """Message and hint for a path that does not exist, where somebody knows more."""
        if self.limited:
            for _, place in settings.search_path:
                self._resolve_search_entry(place, allow=True)

    @property
    def instantiator(self) -> Instantiator:
        if self._instantiator is None:
            from frazil.instantiate.instantiator import Instantiator

            self._instantiator = Instantiator(self.directory, self._read_stored_derivation)
        return self._instantiator

    # -- the store ---------------------------------------------------------------------------------------------

    def detach(self, open_store: Callable[[], LocalStore], reporter: Reporter) -> object:
        """In a forked process: the store is opened anew. -> what must be kept so that it is not closed."""
        inherited, self._store = self._store, None
        self._open_store, self.reporter = open_store, reporter
        return inherited

    @property
    def store(self) -> LocalStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _read_stored_derivation(self, path: StorePath) -> Derivation:
        return self.store.read_derivation(path)

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
            set_marking(True)
            self.recorder.tell_marks(note_marks)

    def _recall(self, memo: dict[Key, Answer], key: Key, compute: Callable[[], Answer]) -> Answer:
        """Memoised; what was read to find an answer counts for all that ask."""
        if not self.marks_reads:
            if key not in memo:
                memo[key] = compute()
            return memo[key]
        from frazil.lang.values import note_marks, take_marks

        marked = (id(memo), key)
        if key in memo:
            note_marks(self._memo_marks.get(marked, 0))
            return memo[key]
        outer = take_marks()
        own = 0
        try:
            memo[key] = compute()
        finally:
            own = take_marks()
            note_marks(outer | own)
        self._memo_marks[marked] = own
        return memo[key]

    def _is_virtual(self, base: str) -> bool:
        """Whether the contents of a store path come from this evaluation, not from the store."""
        if base in self.sources or base in self.pending_sources or base in self._texts:
            return True
        return self._instantiator is not None and self._store_prefix + base in self._instantiator.made

    def path_shown(self, path: str) -> None:
        """A path became text without being copied."""
        if self.recorder is not None:
            self.recorder.shown(path)

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

    def get_environment(self, name: str) -> str:
        if self.limited:
            return ""
        value = os.environb.get(name.encode("latin-1"), b"").decode("latin-1")
        if self.recorder is not None:
            self.recorder.environment(name, value)
        return value

    # -- where files are ---------------------------------------------------------------------------------------

    def fetch_context(self) -> FetchContext:
        """What fetchers work with. Raises EvalError where nothing can be fetched."""
        raise EvalError("nothing can be fetched here", pos=CALL_SITE)

    @property
    def fetch_settings(self) -> FetchSettings:
        return self.fetch_context().settings

    def real(self, path: str) -> bytes:
        """The place in the file system of a path of the language."""
        if path.startswith(self._store_prefix):
            base, slash, rest = path[len(self._store_prefix) :].partition("/")
            source = self.sources.get(base)
            if source is not None:
                return source + b"/" + rest.encode("latin-1") if slash else source
            if base in self.pending_sources and not self.read_only:
                self._write_source(base)
            if self._relocated:
                physical = self._physical + path[len(self._store_prefix) :].encode("latin-1")
                if self.settings.pure or os.path.lexists(physical):
                    return physical
        elif path.startswith(INTERNAL_FILES):
            folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nix")
            return os.fsencode(folder) + path[len(INTERNAL_FILES) :].encode("latin-1")
        return path.encode("latin-1")

    def _write_source(self, base: str) -> None:
        """A filtered source is nowhere but in the store: write it now."""
        source = self.pending_sources.pop(base)
        self.store.add_path(
            source.name,
            os.fsdecode(source.real_path),
            method=source.method,
            filter=source.filter,
            references=source.references,
        )

    def _text_at(self, path: str) -> bytes | None:
        """Contents of a file that exists in memory only."""
        if not path.startswith(self._store_prefix):
            return None
        text = self._texts.get(path[len(self._store_prefix) :])
        if text is not None:
            return text
        made = self.instantiator.made.get(path)
        return made[0] if made is not None else None

    def read_file(self, path: str) -> bytes:
        if self.limited:
            self.check_path(path)
        text = self._text_at(path)
        if text is not None:
            return text
        real = self.real(path)
        status = lstat(real) if self.recorder is not None else None
        try:
            with open(real, "rb", buffering=0) as file:
                data = file.read()
        except OSError as error:
            if self.recorder is not None:
                self.recorder.refuse(f"'{path}' could not be read")
            raise self._failure("opening file", path, error) from error
        if self.recorder is not None:
            self.recorder.contents(path, real, data, status)
        return data

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
        listing = self._listings.get(path)
        if listing is None or self.marks_reads:
            listing = self._recall(self._listings, path, lambda: self._list(path))
        return listing

    def _list(self, path: str) -> dict[str, str]:
        if self.limited:
            self.check_path(path)
        real = self.real(path)
        status = lstat(real) if self.recorder is not None else None
        try:
            with os.scandir(real) as entries:
                listing = {entry.name.decode("latin-1"): _entry_kind(entry) for entry in entries}
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

    def resolve_symlinks(self, path: str) -> str:
        """Every link followed; what does not exist stays as it is. Remembered: a file is looked at many times."""
        found = self._resolved.get(path)
        if found is None or self.marks_reads:
            found = self._recall(self._resolved, path, lambda: self._resolve(path, MAX_LINKS))
        return found

    def _resolve(self, path: str, links: int) -> str:
        """By hand, since parts of the store may be somewhere else. Folders on the way are remembered, too."""
        folder, _, name = path.rpartition("/")
        if not name and not folder:
            return "/"
        parent = self._resolved.get(folder)
        if parent is None or self.marks_reads:
            parent = self._recall(self._resolved, folder, lambda: self._resolve(folder, links) if folder else "/")
        if name in ("", "."):
            return parent
        if name == "..":
            return parent.rpartition("/")[0] or "/"
        step = f"/{name}" if parent == "/" else f"{parent}/{name}"
        real = self.real(step)
        try:
            raw: bytes | None = os.readlink(real)
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
        self._resolved.clear()
        self._found.clear()

    # -- what may be read --------------------------------------------------------------------------------------

    def allow_path(self, path: str) -> None:
        """Lets pure and restricted evaluation read a path and all below it."""
        if self.limited and path not in self._allowed:
            self._allowed.add(path)
            self._verdicts.clear()

    def allow_closure(self, path: StorePath) -> None:
        if self.limited:
            for reference in self.store.closure([path]):
                self.allow_path(self.directory.show(reference))

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

    # -- copying to the store ----------------------------------------------------------------------------------

    def copy_path_to_store(self, path: str) -> str:
        known = self._copied.get(path)
        if known is None or self.marks_reads:
            known = self._recall(self._copied, path, lambda: self._copy_path(path))
        return known

    def _copy_path(self, path: str) -> str:
        if path.endswith(".drv"):
            raise EvalError("file names are not allowed to end in '.drv'", pos=CALL_SITE)
        folder, _, name = path.rpartition("/")
        if self.recorder is not None and folder == self.store_dir:
            self.recorder.shown(path)  # the name of the copy is the base name of a tree
        if folder and not path.startswith(self._store_prefix):
            folder = self.resolve_symlinks(folder)
        return self.add_source(name, f"{folder}/{name}")

    def add_source(
        self,
        name: str,
        path: str,
        *,
        method: str = "nar",
        filter: Callable[[str, str], bool] | None = None,
        references: frozenset[StorePath] = frozenset(),
    ) -> str:
        """Hashes a path and remembers that it has to be copied. -> its store path."""
        if self.limited:
            self.check_path(path)
        text = self._text_at(path)
        real = self.real(path)
        if text is not None:
            digest = _hash_text(text, method)
        elif self.recorder is None:
            digest = self._hash_source(path, real, method, filter)
        else:
            digest = self._hash_recorded(path, real, method, filter, self.recorder)
        store_path = self.directory.make_fixed_output_path(method, digest, name, References(references))
        shown = self.directory.show(store_path)
        base = store_path.base
        if text is not None:
            self._texts[base] = text
        if text is not None and not references:
            self.pending_texts.setdefault(base, (method, text, frozenset()))
        elif base not in self.sources and base not in self.pending_sources:
            self.pending_sources[base] = PendingSource(name, real, method, filter, references)
            if filter is None:
                self.sources[base] = real
        self.allow_path(shown)
        return shown

    def _hash_recorded(
        self,
        path: str,
        real: bytes,
        method: str,
        filter: Callable[[str, str], bool] | None,
        recorder: ReadRecorder,
    ) -> Hash:
        verdicts: dict[str, tuple[str, bool]] | None = None
        stamp = ""
        watched = filter
        if filter is None:
            stamp = recorder.source_stamp(real)
        else:
            start = len(os.fsdecode(real)) + 1
            seen: dict[str, tuple[str, bool]] = {}
            verdicts, decide = seen, filter

            def watched(inner: str, kind: str) -> bool:
                keep = decide(inner, kind)
                seen[inner[start:]] = (kind, keep)
                return keep

        digest = self._hash_source(path, real, method, watched)
        recorder.source(path, real, method, digest.base16, stamp, verdicts)
        return digest

    def _hash_source(self, path: str, real: bytes, method: str, filter: Callable[[str, str], bool] | None) -> Hash:
        from frazil.store import nar

        try:
            status = os.lstat(real)
        except OSError as error:
            raise self._failure("getting status of", path, error) from error
        if method == "flat":
            if not stat.S_ISREG(status.st_mode):
                raise EvalError(f"path '{path}' is not a regular file", pos=CALL_SITE)
            return nar.hash_flat(os.fsdecode(real), "sha256")[0]
        if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20:
            with open(real, "rb", buffering=0) as file:
                return nar.hash_file_archive(file.read(), executable=bool(status.st_mode & stat.S_IXUSR))[0]
        return nar.hash_path(os.fsdecode(real), "sha256", filter=filter)[0]

    def add_text(self, name: str, text: str, references: frozenset[str]) -> str:
        """`builtins.toFile`."""
        contents = text.encode("latin-1")
        kind = ":".join(["text", *sorted(references)]) if references else "text"
        path = self.directory.make_store_path(kind, f"sha256:{_sha256(contents).hexdigest()}", name)
        self._texts[path.base] = contents
        self.pending_texts.setdefault(path.base, ("text", contents, references))
        shown = self.directory.show(path)
        self.allow_path(shown)
        return shown

    def mount(self, path: str, real_path: str) -> None:
        """Says where the contents of a store path are that need not have been copied."""
        self.sources[path[len(self._store_prefix) :]] = os.fsencode(real_path)
        self.allow_path(path)

    def loose_ends(self) -> list[str]:
        """The store paths that this evaluation made and nothing else of it refers to."""
        if self._instantiator is None and not self.sources and not self._texts:
            return []
        made = self.instantiator.made
        found = {*made, *(self._store_prefix + base for base in (*self.sources, *self._texts, *self.pending_sources))}
        for _, references in made.values():
            found.difference_update(references)
        return sorted(found)

    def closure_with_pending(self, path: str) -> set[str]:
        """All store paths that a path needs, among those in memory and those in the store."""
        found: set[str] = set()
        pending = [path]
        outside: list[StorePath] = []
        while pending:
            current = pending.pop()
            if current in found:
                continue
            found.add(current)
            references = self._references_in_memory(current)
            if references is None:
                outside.append(self.directory.parse(current))
            else:
                pending += references
        if outside:
            found.update(self.directory.show(p) for p in self.store.closure(outside))
        return found

    def _references_in_memory(self, path: str) -> frozenset[str] | None:
        made = self.instantiator.made.get(path)
        if made is not None:
            return made[1]
        base = path[len(self._store_prefix) :]
        text = self.pending_texts.get(base)
        if text is not None:
            return text[2]
        source = self.pending_sources.get(base)
        if source is not None:
            return frozenset(map(self.directory.show, source.references))
        return frozenset() if base in self.sources else None

    def references_of_source(self, path: str) -> frozenset[StorePath]:
        """What the store object refers to that a path inside the store is part of: a copy refers to the same."""
        own, _ = self.directory.split(path)
        if self._text_at(path) is not None or self._references_in_memory(self.directory.show(own)):
            self.flush()
        info = self.store.query_info_or_none(own)
        return frozenset() if info is None else info.references

    def ensure_path(self, path: str) -> None:
        """Raises InvalidStorePath where the store lacks a path (there is nowhere to fetch it from)."""
        self._note_object(path)
        if not self.read_only and not self.is_known(path):
            raise InvalidStorePath(f"path '{path}' is not valid", pos=CALL_SITE)

    def _note_object(self, path: str) -> None:
        """A store path was asked about without being read."""
        if self.recorder is not None and path.startswith(self._store_prefix):
            base = path[len(self._store_prefix) :].partition("/")[0]
            if not self._is_virtual(base):
                self.recorder.store_object(base)

    def import_derivation(self, evaluator: object, path: str) -> object:
        """What `import` of a store derivation gives; None for anything else."""
        if not self.directory.is_store_path(path):
            return None
        self._note_object(path)
        if not self.is_known(path):
            return None
        from frazil.instantiate.builtins import import_derivation

        return import_derivation(evaluator, path)

    def file_references(self, path: str, contents: bytes) -> list[str]:
        """The store paths that a file in the store names, among those that its store object refers to."""
        own, _ = self.directory.split(path)
        shown = self.directory.show(own)
        references = self._references_in_memory(shown)
        if references is None:
            info = self.store.query_info_or_none(own)
            references = frozenset() if info is None else frozenset(map(self.directory.show, info.references))
        start = len(self._store_prefix)
        return [r for r in references if r[start : start + 32].encode("ascii") in contents]

    def is_known(self, path: str) -> bool:
        """Whether a store path is valid, or will be once `flush` has run."""
        base = path[len(self._store_prefix) :]
        if path in self.instantiator.made or base in self._texts or base in self.sources:
            return True
        return base in self.pending_sources or self.store.is_valid(self.directory.parse(path))

    # -- writing -----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Writes sources, texts and derivations that the store lacks; registers all at once."""
        if self.read_only:
            return
        if not (self.pending_sources or self.pending_texts or (self._instantiator and self._instantiator.pending)):
            return
        from frazil.instantiate.flush import flush

        flush(self)

    # -- import from derivation --------------------------------------------------------------------------------

    def realise_context(self, context: frozenset[str]) -> dict[str, str]:
        if context in self._satisfied:
            return {}
        built = []
        for element in sorted(context):
            path = element.lstrip("=")
            if element.startswith("!"):
                path = parse_built(element).derivation
                built.append(element)
            known = self.store.is_valid(self.directory.parse(path)) if self._unwritten(element) else self.is_known(path)
            if not known:
                raise InvalidStorePath(f"path '{path}' is not valid", pos=CALL_SITE)
        if not built:
            self._satisfied.add(context)
            return {}
        shown = show_element(built[0])
        if not self.settings.allow_import_from_derivation:
            raise ImportFromDerivationError(
                f"cannot build '{shown}' during evaluation because the option "
                "'allow-import-from-derivation' is disabled"
            )
        if self.settings.trace_import_from_derivation:
            self.warn(f"built '{shown}' during evaluation due to an import from derivation")
        self.flush()
        if self._build is None:
            raise EvalError(f"cannot build '{shown}' during evaluation")
        self._build(self, built)
        return self._rewrites(built)

    def _unwritten(self, element: str) -> bool:
        """Whether an element is a derivation that read-only evaluation only computed: it cannot be built."""
        return self.read_only and element.startswith("!")

    def _rewrites(self, built: Iterable[str]) -> dict[str, str]:
        """Placeholders of outputs that had no known path; lets evaluation read what was built."""
        rewrites = {}
        for element in built:
            item = parse_built(element)
            derivation = self.directory.parse(item.derivation)
            output = self._built_output(derivation, (*item.through, item.output))
            self._note_built(derivation, item.output, dynamic=bool(item.through))
            rewrites[unknown_output_placeholder(derivation, *item.through, item.output)] = self.directory.show(output)
            self.forget_files()
            self.allow_closure(output)
        return rewrites

    def _note_built(self, derivation: StorePath, output: str, *, dynamic: bool) -> None:
        """What only a build tells may be told otherwise by the next one."""
        if self.recorder is not None:
            known = None if dynamic else self.instantiator.read(derivation).output_paths(self.directory).get(output)
            if known is None:
                self.recorder.refuse("the path of a built output is not known before it is built")

    def _built_output(self, derivation: StorePath, outputs: tuple[str, ...]) -> StorePath:
        found: StorePath | None = derivation
        for output in outputs:
            assert found is not None
            found = self.store.query_derivation_outputs(found).get(output)
            if found is None:
                raise EvalError(
                    f"derivation '{self.directory.show(derivation)}' does not have output '{output}'", pos=CALL_SITE
                )
        assert found is not None
        return found


def _entry_kind(entry: os.DirEntry[bytes]) -> str:
    if entry.is_symlink():
        return "symlink"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "regular" if entry.is_file(follow_symlinks=False) else "unknown"


def _sha256(contents: bytes) -> Any:
    from hashlib import sha256

    return sha256(contents)


def _hash_text(contents: bytes, method: str) -> Hash:
    from frazil.digest import Hash
    from frazil.store import nar

    return nar.hash_file_archive(contents)[0] if method == "nar" else Hash.of("sha256", contents)
