# cython: annotation_typing=False
"""`Effects` over a store: copying sources, reading inside store paths, building what evaluation needs.

In and out: byte strings, as everywhere in the language. What evaluation adds to the store (sources, derivations, texts)
is not there before `flush`, before something is built and at the end; a thread may have written it by then, beside the
store (`store.ahead`). Until then store paths are mapped back to where their contents are, so that reading them works,
also in read-only mode.
"""

from __future__ import annotations

import os
import stat

from frazil import instantiate
from frazil._native import exists, hash_part, is_name, sha256_hex
from frazil.digest import Hash
from frazil.instantiate.context import parse_built, show_element
from frazil.instantiate.files import FileEffects
from frazil.instantiate.recording import Memo
from frazil.lang.errors import CALL_SITE, INTERNAL_FILES, EvalError, ImportFromDerivationError, InvalidStorePath
from frazil.lang.runtime import context_order
from frazil.store.path import References, StoreDirectory, StorePath, unknown_output_placeholder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from frazil._native import Archive
    from frazil.activity import Reporter
    from frazil.fetch.inputs import FetchContext, FetchSettings
    from frazil.instantiate.instantiator import Instantiator
    from frazil.instantiate.recording import ReadRecorder
    from frazil.lang.settings import EvalSettings
    from frazil.store.ahead import Ahead
    from frazil.store.derivation import Derivation
    from frazil.store.local import LocalStore


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


class StoreEffects(FileEffects):
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
        super().__init__(settings, reporter, search_hooks, download_tarball, recorder)
        self._open_store = open_store
        if recorder is not None:
            recorder.attach(self._is_virtual)
        self._store: LocalStore | None = None
        self.directory = directory
        self.store_dir = directory.path
        self._store_prefix = directory.path + "/"
        self._physical = os.fsencode(physical_store_directory) + b"/"
        self._relocated = os.fsencode(directory.path) + b"/" != self._physical
        self.read_only = read_only
        self.refuses = False
        """Whether the store takes nothing in, which is an error as soon as something would be added."""
        self._build = build
        self._instantiator: Instantiator | None = None
        self.sources: dict[str, bytes] = {}
        """Base name of a store path -> where its contents are now."""
        self.pending_sources: dict[str, PendingSource] = {}
        self.pending_texts: dict[str, tuple[str, bytes, frozenset[str]]] = {}
        self._texts: dict[str, bytes] = {}
        self.internal_expressions: dict[str, object] = {}
        self._copied = Memo()
        self._copied_to_read = Memo()
        self.defers_copies = recorder is not None
        """Whether `copy_to_read` is worth calling."""
        self.own_tree: tuple[object, object] | None = None
        """Where it matters what is read of the evaluated flake's tree: the cell of `self.outPath`, and its value."""
        self._copies: dict[str, str] = {}
        """Base name of the copy of a whole path -> that path."""
        self._satisfied: set[frozenset[str]] = set()
        self._pack_tree: Callable[[bytes, int], Archive] | None = None
        self._ahead: Ahead | None = None
        self._writes_ahead: bool | None = False if read_only else None
        """Whether `_ahead` is used; None: not asked yet."""
        if self.limited:
            for _, place in settings.search_path:
                self._resolve_search_entry(place, allow=True)

    @property
    def instantiator(self) -> Instantiator:
        if self._instantiator is None:
            from frazil.instantiate.instantiator import Instantiator

            self._instantiator = Instantiator(self.directory, self._read_stored_derivation)
            if not self.read_only:
                self._instantiator.made_text = self._write_text_ahead
        return self._instantiator

    # -- the store ---------------------------------------------------------------------------------------------

    def detach(self, open_store: Callable[[], LocalStore], reporter: Reporter) -> object:
        """In a forked process: the store is opened anew. -> what must be kept so that it is not closed."""
        inherited = (self._store, self._ahead)
        self._store = self._ahead = None
        if not self.read_only:
            self._writes_ahead = None
        self._open_store, self.reporter = open_store, reporter
        self.tells_instantiated = True
        return inherited

    @property
    def store(self) -> LocalStore:
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _read_stored_derivation(self, path: StorePath) -> Derivation:
        return self.store.read_derivation(path)

    def _is_virtual(self, base: str) -> bool:
        """Whether the contents of a store path come from this evaluation, not from the store."""
        if base in self.sources or base in self.pending_sources or base in self._texts:
            return True
        return self._instantiator is not None and self._store_prefix + base in self._instantiator.made

    def instantiated(self, name: str, path: str) -> None:
        if self.refuses:
            self.store.unsupported("writeDerivation")
        super().instantiated(name, path)

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
            folder = os.path.join(instantiate.__path__[0], "nix")
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

    def allow_closure(self, path: StorePath) -> None:
        if self.limited:
            for reference in self.store.closure([path]):
                self.allow_path(self.directory.show(reference))

    # -- copying to the store ----------------------------------------------------------------------------------

    def copy_path_to_store(self, path: str) -> str:
        known: str | None = self._copied.get(path)
        if known is None:
            known = self._recall(self._copied, path, lambda: self._copy_path(path))
        elif self._note is not None:
            self._note(self._copied.marks.get(path))
        return known

    def copy_to_read(self, path: str) -> str:
        """As `copy_path_to_store`, for somebody who looks at what is below the copy, and not at its name: what that
        says is taken down when it is looked at after all (`path_shown`)."""
        known: str | None = self._copied_to_read.get(path)
        if known is None:
            known = self._recall(self._copied_to_read, path, lambda: self._copy_path(path, to_read=True))
        elif self._note is not None:
            self._note(self._copied_to_read.marks.get(path))
        return known

    def _copy_path(self, path: str, *, to_read: bool = False) -> str:
        if path.endswith(".drv"):
            raise EvalError("file names are not allowed to end in '.drv'", pos=CALL_SITE)
        folder, _, name = path.rpartition("/")
        if self.recorder is not None and folder == self.store_dir:
            self.recorder.shown(path)  # the name of the copy is the base name of a tree
        if folder and not path.startswith(self._store_prefix):
            folder = self.resolve_symlinks(folder)
        return self.add_source(name, f"{folder}/{name}", to_read=to_read)

    def add_source(
        self,
        name: str,
        path: str,
        *,
        method: str = "nar",
        filter: Callable[[str, str], bool] | None = None,
        references: frozenset[StorePath] = frozenset(),
        to_read: bool = False,
    ) -> str:
        """Hashes a path and remembers that it has to be copied. -> its store path. `to_read`: as in `copy_to_read`."""
        if self.refuses:
            self.store.unsupported("addToStoreFromDump")
        if self.limited:
            self.check_path(path)
        text = self._text_at(path)
        real = self.real(path)
        packed: Archive | None = None
        stamp, verdicts = "", None
        if text is not None:
            digest = _hash_text(text, method)
        elif self.recorder is None:
            digest, packed = self._hash_source(path, real, method, filter)
        else:
            digest, packed, stamp, verdicts = self._hash_recorded(path, real, method, filter, self.recorder)
        if method == "nar" and not references and is_name(name):
            part = hash_part("source:sha256:", digest.base16, f":{self.store_dir}:{name}")
            base = f"{part}-{name}"
        else:
            base = self.directory.make_fixed_output_path(method, digest, name, References(references)).base
        shown = self._store_prefix + base
        if text is not None:
            self._texts[base] = text
        if text is not None and not references:
            self.pending_texts.setdefault(base, (method, text, frozenset()))
        elif base not in self.sources and base not in self.pending_sources:
            self.pending_sources[base] = PendingSource(name, real, method, filter, references)
            if filter is None:
                self.sources[base] = real
                if self.recorder is not None and method == "nar" and not references:
                    self._copies[base] = path
                    self.recorder.copied(base, path, real, digest.base16, stamp)
            if packed is not None and not references and self._ahead is not None:
                self._ahead.add_archive(base, packed)
        if text is None and self.recorder is not None:
            if to_read and self._copies.get(base) == path:
                self.recorder.copied_to_read(base)
            else:
                self.recorder.source(path, real, method, digest.base16, stamp, verdicts)
        self.allow_path(shown)
        return shown

    def _hash_recorded(
        self,
        path: str,
        real: bytes,
        method: str,
        filter: Callable[[str, str], bool] | None,
        recorder: ReadRecorder,
    ) -> tuple[Hash, Archive | None, str, dict[str, tuple[str, bool]] | None]:
        """(digest, archive, stamp, what the filter said)"""
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

        return (*self._hash_source(path, real, method, watched), stamp, verdicts)

    def _hash_source(
        self, path: str, real: bytes, method: str, filter: Callable[[str, str], bool] | None
    ) -> tuple[Hash, Archive | None]:
        """The archive, too, where there is one."""
        if method == "nar" and filter is None and exists(real):
            ahead = self._ahead_or_none()
            if self._pack_tree is None:
                from frazil.store.nar import pack_tree

                self._pack_tree = pack_tree
            packed = self._pack_tree(real, ahead.keeps if ahead is not None else 0)
            return Hash("sha256", packed.digest), packed
        from frazil.store import nar

        try:
            status = os.lstat(real)
        except OSError as error:
            raise self._failure("getting status of", path, error) from error
        if method == "flat":
            if not stat.S_ISREG(status.st_mode):
                raise EvalError(f"path '{path}' is not a regular file", pos=CALL_SITE)
            return nar.hash_flat(os.fsdecode(real), "sha256")[0], None
        return nar.hash_path(os.fsdecode(real), "sha256", filter=filter)[0], None

    def _ahead_or_none(self) -> Ahead | None:
        """Who writes while evaluation goes on, if anybody. Opens the store at the first question."""
        if self._writes_ahead is None:
            from frazil.store.ahead import Ahead

            self._ahead = Ahead.over(self.store)
            self._writes_ahead = self._ahead is not None
        return self._ahead

    def _write_text_ahead(self, base: str, contents: bytes) -> None:
        ahead = self._ahead if self._writes_ahead is not None else self._ahead_or_none()
        if ahead is not None:
            ahead.add_text(base, contents)

    def take_ahead(self) -> Ahead | None:
        """What was written so far, for whoever brings it to its places; from here on another one is at work."""
        ahead, self._ahead = self._ahead_or_none(), None
        if self._writes_ahead:
            self._writes_ahead = None
        return ahead

    def abandon(self) -> None:
        """Evaluation failed: what was written ahead goes away."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def add_text(self, name: str, text: str, references: frozenset[str]) -> str:
        """`builtins.toFile`."""
        if self.refuses:
            self.store.unsupported("addToStoreFromDump")
        contents = text.encode("latin-1")
        kind = ":".join(["text", *sorted(references)]) if references else "text"
        path = self.directory.make_store_path(kind, f"sha256:{sha256_hex(contents)}", name)
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

    def _references_in_memory(self, path: str) -> Collection[str] | None:
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
        """Substitutes a path that the store lacks. Raises InvalidStorePath where nobody has it."""
        self._note_object(path)
        if not self.read_only and not self.is_known(path) and not self.substitute(path):
            raise InvalidStorePath(f"path '{path}' is not valid", pos=CALL_SITE)

    def substitute(self, path: str) -> bool:
        """Fetches a path from elsewhere; False where there is no elsewhere. Raises EvalError where that fails."""
        return False

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
        for element in sorted(context, key=context_order):
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

    def built_derivation(self, element: str) -> str:
        """The store derivation that is an output of another (`!OUTPUT!…`), which must be known."""
        item = parse_built(element)
        found: StorePath | None = self.directory.parse(item.derivation)
        for output in (*item.through, item.output):
            assert found is not None
            shown = self.directory.show(found)
            self.flush()
            found = self.store.query_derivation_outputs(found).get(output)
            if found is None:
                raise EvalError(f"cannot operate on output '{output}' of the unbuilt derivation '{shown}'")
        if self.recorder is not None:
            self.recorder.refuse("the path of a built output is not known before it is built")
        assert found is not None
        return self.directory.show(found)

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


def _hash_text(contents: bytes, method: str) -> Hash:
    from frazil.store import nar

    return nar.hash_file_archive(contents)[0] if method == "nar" else Hash.of("sha256", contents)
