"""One evaluation with its surroundings: evaluator, effects on a store, settings of the rooms below.

In: where the store is (opened when first needed) and frozen settings. Out: `Session`, a context manager; leaving it
without an error writes what was instantiated.
"""

from __future__ import annotations

from frazil.activity import Verbosity
from frazil.instantiate.builtins import builtins_for
from frazil.instantiate.effects import StoreEffects
from frazil.lang.evaluator import Evaluator
from frazil.store.path import StoreDirectory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from frazil.activity import Reporter
    from frazil.build.errors import BuildFailed
    from frazil.build.settings import BuildSettings
    from frazil.fetch.inputs import FetchContext, FetchSettings, InputAttributes
    from frazil.instantiate.recording import ReadRecorder
    from frazil.lang.registry import BuiltinSpec
    from frazil.lang.settings import EvalSettings
    from frazil.store.config import StoreConfig
    from frazil.store.derived_path import DerivedPath
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath


def _is_built(store: LocalStore, target: DerivedPath) -> bool:
    """Whether all outputs that are wanted of it are there."""
    if target.outputs is None or target.through:
        return False
    known = store.query_derivation_outputs(target.base)
    paths = [known.get(name) for name in target.outputs.choose(known)]
    return all(path is not None and store.is_valid(path) for path in paths)


class Session:
    """`open_store` gives the store that `store_config` describes; it is not called before something needs it.

    `extra_builtins`: those of rooms above (`getFlake`, …), injected by whoever may import them.
    """

    def __init__(
        self,
        store_config: StoreConfig,
        open_store: Callable[[], LocalStore],
        eval_settings: EvalSettings,
        *,
        build_settings: Callable[[], BuildSettings],
        fetch_settings: Callable[[], FetchSettings],
        reporter: Reporter,
        read_only: bool = False,
        extra_builtins: Sequence[BuiltinSpec] = (),
        search_hooks: dict[str, Callable[[str], str | None]] | None = None,
        recorder: ReadRecorder | None = None,
        open_build_store: Callable[[], LocalStore] | None = None,
    ) -> None:
        """`open_build_store`: where things are built that evaluation needs, if not in the store of the evaluation."""
        self.reporter = reporter
        self._open_build_store = open_build_store
        self._build_settings = build_settings
        self._fetch_settings = fetch_settings
        self._fetch_context: FetchContext | None = None
        self._inherited: object = None
        self.effects = SessionEffects(
            open_store,
            StoreDirectory(store_config.store_dir),
            store_config.real_store_dir,
            eval_settings,
            reporter,
            read_only=read_only,
            build=self._build,
            search_hooks=search_hooks,
            download_tarball=self.download_tarball,
            recorder=recorder,
        )
        self.effects.session = self
        self.effects.refuses = store_config.refuses and not read_only
        self.evaluator = Evaluator(self.effects, eval_settings, [*builtins_for(eval_settings), *extra_builtins])

    @property
    def store(self) -> LocalStore:
        return self.effects.store

    @property
    def settings(self) -> EvalSettings:
        return self.effects.settings

    def change_settings(self, settings: EvalSettings) -> None:
        """Settings that came later than the session: a flake's own. What the session was built on stays as it is:
        purity, the search path, the system, and which builtins there are."""
        first = self.effects.settings
        kept = ("pure", "restricted", "search_path", "system", "store_dir", "home_directory", "current_time")
        settings = settings.with_(**{name: getattr(first, name) for name in kept})
        self.effects.settings = self.evaluator.settings = settings
        self.evaluator.max_call_depth = settings.max_call_depth
        self.evaluator.show_trace = settings.show_trace
        self.close_connections()
        self._fetch_context = None

    def close_connections(self) -> None:
        """They are opened again when something needs them."""
        if self._fetch_context is not None:
            self._fetch_context.cache.close()

    def enter_fork(self, open_store: Callable[[], LocalStore], reporter: Reporter) -> None:
        """In a forked process: what was computed stays, connections and locks are the parent's and are not touched."""
        self._inherited = (self._fetch_context, self.effects.detach(open_store, reporter))
        self._fetch_context = None
        self.reporter = reporter

    @property
    def build_settings(self) -> BuildSettings:
        return self._build_settings()

    @property
    def fetch_settings(self) -> FetchSettings:
        return self._fetch_settings()

    @property
    def fetch_context(self) -> FetchContext:
        if self._fetch_context is None:
            from frazil.fetch.inputs import FetchContext

            self._fetch_context = FetchContext.create(self.store, self.fetch_settings, self.reporter)
        return self._fetch_context

    def warn(self, text: str) -> None:
        self.reporter.log(Verbosity.WARN, text)

    def flush(self) -> None:
        """Writes what was instantiated so far."""
        self.effects.flush()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.effects.marks_reads:
            from frazil.lang.values import set_marking

            set_marking(False)
        if kind is None:
            self.flush()
        else:
            self.effects.abandon()

    def _build(self, effects: StoreEffects, elements: list[str]) -> None:
        """Import from derivation."""
        from frazil.build.errors import BuildFailed
        from frazil.build.scheduler import realise
        from frazil.instantiate.context import parse_built
        from frazil.store.derived_path import DerivedPath, OutputsSpec

        wanted: dict[tuple[str, tuple[str, ...]], set[str]] = {}
        for element in elements:
            built = parse_built(element)
            wanted.setdefault((built.derivation, built.through), set()).add(built.output)
        targets = [
            DerivedPath(effects.directory.parse(path), OutputsSpec(frozenset(outputs)), through)
            for (path, through), outputs in wanted.items()
        ]
        store = self.store if self._open_build_store is None else self._open_build_store()
        try:
            results = realise(store, targets, self.build_settings, self.reporter)
        except BuildFailed as error:
            self._raise_failure(store, targets, error)
            raise
        if self._open_build_store is None:
            return
        self._take_over(store, [path for result in results for path in result.outputs.values()])
        for result in results:
            if result.derivation is not None and not self.store.compute_only:
                known = self.store.query_derivation_outputs(result.derivation)
                for name, path in result.outputs.items():
                    if known.get(name) is None:
                        self.store.register_realisation(result.derivation, name, path)

    def _raise_failure(self, store: LocalStore, targets: Sequence[DerivedPath], error: BuildFailed) -> None:
        """As an error of the evaluation that wanted it. Of several that are not there it names all, also those that
        were not begun any more; what went wrong is logged then."""
        from frazil.build.errors import failure_text
        from frazil.lang.errors import CALL_SITE, EvalBaseError, as_eval_error

        missing = sorted({store.show(target.base) for target in targets if not _is_built(store, target)})
        found = as_eval_error(error, CALL_SITE, EvalBaseError)
        if len(missing) > 1:
            for failure in error.failures if len(error.targets) == 1 else ():
                self.reporter.log(Verbosity.ERROR, failure_text(failure))
            names = ", ".join(f"'{name}'" for name in missing)
            found = EvalBaseError(f"build of {names} failed", pos=CALL_SITE, exit_status=error.exit_status)
        raise found from error

    def _take_over(self, built: LocalStore, paths: list[StorePath]) -> None:
        """Lets evaluation read what was built in another store."""
        from frazil.store.copying import copy_closure

        if not self.store.compute_only:
            copy_closure(built, self.store, paths, self.reporter, check_signatures=False)
            return
        for path in built.closure(paths):
            self.effects.mount(built.show(path), built.real_path(path))

    def download_tarball(self, url: str) -> str:
        from frazil.fetch.inputs import fetch_tree

        attributes: InputAttributes = {"type": "tarball", "url": url, "name": "source"}
        tree = fetch_tree(attributes, self.fetch_context)
        path = self.effects.directory.show(tree.store_path)
        self.effects.note_fetched(path, attributes, tree.attributes, locked=False)
        self.effects.allow_path(path)
        return path


class SessionEffects(StoreEffects):
    """With what fetchers need."""

    session: Session

    def substitute(self, path: str) -> bool:
        if self.store.compute_only:
            return False
        from frazil.build.scheduler import realise
        from frazil.errors import FrazilError
        from frazil.instantiate.fetchers import raise_as_eval_error
        from frazil.store.derived_path import DerivedPath

        try:
            realise(
                self.store,
                [DerivedPath(self.directory.parse(path))],
                self.session.build_settings,
                self.session.reporter,
            )
        except FrazilError as error:
            raise_as_eval_error(error)
        self.forget_files()
        return True

    def fetch_context(self) -> FetchContext:
        return self.session.fetch_context

    @property
    def fetch_settings(self) -> FetchSettings:
        return self.session.fetch_settings
