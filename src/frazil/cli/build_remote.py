"""`__build-remote`: the build hook, run by a scheduler and not by people. See `frazil.build.remote_build`."""

from __future__ import annotations

from frazil.activity import Verbosity
from frazil.cli.context import Context
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.build.machines import Machine
    from frazil.store.local import LocalStore


_NOT_SENT = frozenset({"warn-short-path-literals", "plugin-files"})
"""Those that have another name now, and those that mean nothing here."""


def run_hook(context: Context, words: list[str]) -> int:
    from frazil.build.remote_build import prepare_process
    from frazil.cli.reporter import JsonReporter

    if len(words) != 1 or not words[0].isdigit():
        raise UsageError("called without required arguments")
    prepare_process()
    context.verbosity = min(int(words[0]), int(Verbosity.VOMIT))
    reporter = JsonReporter(context.verbosity)
    context.use_reporter(reporter)
    try:
        return _run(context, reporter)
    except FrazilError as error:
        reporter.error(context.show_error(error, show_trace=False), error, show_trace=False)
        return 1


def _run(context: Context, reporter: object) -> int:
    from frazil.activity import Reporter
    from frazil.build.remote_build import RemoteBuilder
    from frazil.protocol.wire import Input, Reader

    assert isinstance(reporter, Reporter)
    reader = Reader(Input(0))
    settings = context.settings
    while reader.boolean():
        name, value = reader.text(1 << 16), reader.text()
        if name in _NOT_SENT or settings.values.get(name) == value:
            continue
        try:
            settings.set(name, value)
        except UsageError as error:
            context.warn(error.message)

    def open_machine(machine: Machine) -> LocalStore:
        from frazil.cli.room_settings import foreign_store_settings
        from frazil.store.local import LocalStore
        from frazil.store.opening import open_store

        chosen = foreign_store_settings(settings, context.verbosity)
        store = open_store(machine.reference(), chosen, reporter, settings.environment)
        assert isinstance(store, LocalStore)
        return store

    return RemoteBuilder(
        context.store,
        context.build_settings,
        reporter,
        open_machine,
        builds_here=settings.max_jobs > 0,
        use_substitutes=settings.boolean("builders-use-substitutes"),
    ).run(reader)
