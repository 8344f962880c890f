"""`flake check`."""

from __future__ import annotations

from frazil.activity import Verbosity
from frazil.cli.common_options import EVALUATION, FLAKE_LOCK
from frazil.cli.context import Context
from frazil.cli.evaluation import with_deep_stack
from frazil.cli.flake_options import default_setting, lock_flags, parse_reference, worker_entrance
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.remembered_report import Report
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from frazil.build.errors import BuildFailed
    from frazil.flake.check import Checker
    from frazil.flake.checked import CheckResult
    from frazil.flake.tree import Trees
    from frazil.store.derived_path import DerivedPath


def check(context: Context, arguments: Arguments) -> None:
    build = not arguments.flag("no-build")
    if not build:
        context.read_only = True
        default_setting(context, "allow-import-from-derivation", "false")
    text = (arguments.positional or ["."])[0]
    detail = {"kind": "check", "flags": [name for name in ("no-build", "all-systems") if arguments.flag(name)]}
    report = Report(context, arguments, text, detail)
    trees = None
    known = report.recall(lambda answer: _is_result(context, answer))
    if known is None:
        trees = report.open()
        known = _look(context, arguments, report, trees, text)
    result = _result(context, known)
    built = _build(context, trees, result) if build and result.derivations else []
    if result.has_errors:
        raise FrazilError("some errors were encountered during the evaluation")
    context.note("all checks passed!")
    if result.omitted_systems:
        context.warn(
            f"The check omitted these incompatible systems: {', '.join(sorted(result.omitted_systems))}\n"
            "Use '--all-systems' to check all."
        )
    _show_results(context, arguments, built)


def _look(context: Context, arguments: Arguments, report: Report, trees: Trees, text: str) -> Mapping[str, Any]:
    """What a run found out about the flake as it is locked now, or finds out."""
    reference = parse_reference(context, trees, text)
    flags = lock_flags(context, arguments, trees)
    locked = with_deep_stack(lambda: trees.lock(reference, flags))
    known = report.recall_locked(locked, lambda answer: _is_result(context, answer))
    if known is not None:
        return known
    report.said(Verbosity.INFO, "evaluating flake...")
    from frazil.flake.call import call_flake

    checker = _checker(context, arguments, trees, report)
    with report.parts({**report.detail, "kind": "check-part"}) as parts:
        result = with_deep_stack(lambda: checker.check(call_flake(trees, locked), parts))
    trees.session.flush()
    show = context.directory.show
    derivations = {show(path): names for path, names in sorted(result.derivations.items())}
    answer = {
        "derivations": derivations,
        "omitted": sorted(result.omitted_systems),
        "errors": result.has_errors,
        "needs": sorted(derivations),
    }
    if not result.has_errors:
        report.keep(answer)
    return answer


def _is_result(context: Context, answer: Mapping[str, Any]) -> bool:
    from frazil.cli.remembered import needs_present

    rows, omitted = answer.get("derivations"), answer.get("omitted")
    if not isinstance(rows, dict) or not isinstance(omitted, list) or answer.get("errors") is not False:
        return False
    if not all(isinstance(names, list) and all(isinstance(n, str) for n in names) for names in rows.values()):
        return False
    return context.read_only or needs_present(context, answer, brief=False)


def _result(context: Context, answer: Mapping[str, Any]) -> CheckResult:
    from frazil.flake.checked import CheckResult

    parse = context.directory.parse
    derivations = {parse(path): names for path, names in answer["derivations"].items()}
    return CheckResult(derivations, set(answer["omitted"]), bool(answer["errors"]))


def _checker(context: Context, arguments: Arguments, trees: Trees, report: Report) -> Checker:
    from frazil.cli.remembered import needs_present
    from frazil.flake.check import Checker, CheckOptions

    settings = context.settings
    enter = worker_entrance(context, trees) if arguments.flag("no-build") else None
    options = CheckOptions(
        settings.system,
        arguments.flag("all-systems"),
        settings.boolean("keep-going"),
        enter,
        trees.effects.recorder,
        lambda paths: context.read_only or needs_present(context, {"needs": paths}, brief=False),
    )

    def show(error: FrazilError) -> None:
        context.reporter.log(Verbosity.ERROR, context.show_error(error))

    def allow_imports(allowed: bool) -> None:
        if "allow-import-from-derivation" not in settings.overridden and not arguments.flag("no-build"):
            effects = trees.effects
            effects.settings = effects.settings.with_(allow_import_from_derivation=allowed)

    directory = trees.context.store.directory

    def step(text: str) -> None:
        say(f"{text}...")

    def say(text: str) -> None:
        report.said(Verbosity.INFO, text)

    def warn(text: str) -> None:
        report.said(Verbosity.WARN, text)

    return Checker(trees.evaluator, directory, options, step, say, warn, show, allow_imports, trees.display)


def _build(context: Context, trees: Trees | None, result: CheckResult) -> list[DerivedPath]:
    """Builds what `checks` holds; a failure names the attributes that wanted it."""
    from frazil.build.errors import BuildFailed
    from frazil.build.missing import query_missing
    from frazil.build.scheduler import realise
    from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

    if trees is not None:
        trees.session.flush()
    paths = [DerivedPath(path, ALL_OUTPUTS) for path in sorted(result.derivations)]
    count = len(query_missing(context.store, paths, context.substituters).will_build)
    context.note(f"running {count} flake checks...")
    try:
        realise(context.store, paths, context.build_settings, context.reporter)
    except BuildFailed as error:
        failures = [FrazilError(text, hint=error.hint) for text in _failures(context, result, error)]
        if not context.settings.boolean("keep-going"):
            raise failures[0] from error
        for failure in failures:
            context.reporter.log(Verbosity.ERROR, context.show_error(failure))
        result.has_errors = True
    return paths


def _failures(context: Context, result: CheckResult, error: BuildFailed) -> list[str]:
    """One text for each attribute whose check failed. Several reasons have been shown already."""
    reason = f": {error.message}" if len(error.targets) == 1 else ""
    texts = []
    for path, names in sorted(result.derivations.items()):
        shown = f"{context.store.show(path)}^*"
        if shown in error.targets:
            texts += [f"failed to build attribute '{name}', build of '{shown}' failed{reason}" for name in names]
    return texts or [error.message]


def _show_results(context: Context, arguments: Arguments, built: list[DerivedPath]) -> None:
    from frazil.cli.build_command import make_links, outputs_of

    if arguments.flag("print-out-paths"):
        for path in built:
            for _, output in outputs_of(context, path):
                context.print(context.store.show(output))
    link = arguments.value("out-link")
    if link:
        make_links(context, built, link)


COMMANDS = {
    "flake check": Command(
        check,
        "check whether the flake evaluates and run its tests",
        (
            Option("--no-build", "Do not build checks."),
            Option("--all-systems", "Check the outputs for all systems."),
            Option("--out-link -o", "Put links to the results of checks at *path*.", "path"),
            Option("--print-out-paths", "Print the resulting output paths"),
        ),
        EVALUATION,
        FLAKE_LOCK,
        positional="flake-url",
        at_most=1,
        examples=(("Evaluate the flake in this folder and build its checks", "frazil flake check"),),
        experimental="flakes",
    )
}
