"""`build`: building installables, with result links. Source: the manual page of `nix build`."""

from __future__ import annotations

import os

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.cli.common_options import INSTALLABLES, JSON, STDIN
from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.result_links import add_result_link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from frazil.build.errors import BuildFailed
    from frazil.build.result import BuildResult
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StorePath

WRONG_HASH = 102
PROFILE = (Option("--profile", "Set the profile *path* to the result.", "path"),)


def run_build(context: Context, arguments: Arguments) -> None:
    from frazil.cli.store_paths import derived_paths

    paths = derived_paths(context, arguments)
    if arguments.flag("dry-run"):
        print_missing(context, paths, Verbosity.ERROR)
        if arguments.flag("json"):
            print_json(context, arguments, paths)
        return
    mode = "check" if arguments.flag("rebuild") else "repair" if arguments.flag("repair") else "normal"
    results = build_paths(context, paths, mode=mode)
    if not context.store_is_cache and not arguments.came_last("no-link", "out-link"):
        make_links(context, paths, arguments.value("out-link", "result") or "result")
    if arguments.flag("json"):
        print_json(context, arguments, paths, results)
    if arguments.flag("print-out-paths"):
        for path in paths:
            for _, output in outputs_of(context, path):
                context.print(context.directory.show(output))
    profile = arguments.value("profile")
    if profile is not None:
        set_profile(context, profile, [output for path in paths for _, output in outputs_of(context, path)])


def build_paths(
    context: Context, paths: Sequence[DerivedPath], *, mode: str = "normal", announce: bool = True
) -> list[BuildResult]:
    """Raises BuildFailed after all that could run has run."""
    if mode == "normal" and all(path.outputs is not None and path.base in context.found for path in paths):
        return []
    from frazil.build.errors import BuildFailed
    from frazil.build.scheduler import realise

    if announce and context.settings.boolean("print-missing"):
        print_missing(context, paths, Verbosity.INFO)
    try:
        results = realise(
            context.store,
            list(paths),
            context.build_settings,
            context.reporter,
            mode=mode,
            substituters=context.substituters,
            names_cut_off=context.legacy,
        )
    except BuildFailed as error:
        if not context.legacy:
            error.exit_status = _exit_status(context, error)
            if len(error.targets) > 1:  # the commands of `nix` name the outputs asked for, the older ones derivations
                names = ", ".join(f"'{name}'" for name in error.targets)
                error.message = f"build of {names} failed"
        raise
    for result in results:
        if result.path.outputs is not None and not result.path.through:
            context.built.setdefault(result.path.base, {}).update(result.outputs)
    return results


def _exit_status(context: Context, error: BuildFailed) -> int:
    """1, as `nix build`, which leaves 100 and above to `nix-build`. Under our own name a wrong hash alone gets its 102
    everywhere: scripts that bring hashes up to date need to tell it from other failures.
    """
    return error.exit_status if context.program == "frazil" and error.exit_status == WRONG_HASH else 1


def known_outputs(context: Context, derivation: StorePath) -> dict[str, StorePath | None]:
    """By name, None where the path of an output is not known."""
    found = context.found.get(derivation)
    if found is not None:
        return dict(found)
    built = context.built.get(derivation, {})
    known = context.store.query_derivation_outputs(derivation)
    return {name: path or built.get(name) for name, path in known.items()}


def print_missing(context: Context, paths: Sequence[DerivedPath], level: Verbosity) -> None:
    """What would be built."""
    from frazil.build.missing import query_missing

    words = "querying info about missing paths"
    with Activity(context.reporter, ActivityType.UNKNOWN, words, level=Verbosity.DEBUG):
        missing = query_missing(context.store, paths, context.substituters)
    wanted = [context.store.show(path) for path in missing.will_build]
    if wanted:
        plural = "this derivation" if len(wanted) == 1 else f"these {len(wanted)} derivations"
        context.note(f"{plural} will be built:", level)
        for text in wanted:
            context.note(f"  {text}", level)
    if missing.will_substitute:
        from frazil.store.garbage import render_size

        count = len(missing.will_substitute)
        sizes = f"({render_size(missing.download_size)} download, {render_size(missing.nar_size)} unpacked)"
        context.note(
            f"this path will be fetched {sizes}:" if count == 1 else f"these {count} paths will be fetched {sizes}:",
            level,
        )
        for path in missing.will_substitute:
            context.note(f"  {context.store.show(path)}", level)
    if missing.unknown:
        reason = " (may be caused by read-only store access)" if context.read_only else ""
        context.note(f"don't know how to build these paths{reason}:", level)
        for path in missing.unknown:
            context.note(f"  {context.store.show(path)}", level)


def outputs_of(context: Context, path: DerivedPath) -> list[tuple[str, StorePath]]:
    """(output name, store path) of what was built; an opaque path is itself, under an empty name."""
    if path.outputs is None:
        return [("", path.base)]
    from frazil.errors import FrazilError

    base = path.base
    for name in path.through:
        inner = context.store.query_derivation_outputs(base).get(name)
        if inner is None:
            raise FrazilError(f"derivation '{context.store.show(base)}' does not have a built output '{name}'")
        base = inner
    known = known_outputs(context, base)
    unknown = sorted((path.outputs.names or frozenset()) - known.keys())
    if unknown:
        raise FrazilError(f"the derivation '{context.store.show(base)}' doesn't have an output named '{unknown[0]}'")
    found = []
    for name in path.outputs.choose(known):
        output = known[name]
        if output is not None:
            found.append((name, output))
    return found


def make_links(context: Context, paths: Sequence[DerivedPath], prefix: str) -> None:
    """`result`, `result-dev`, `result-1`, …: one for each output, each a root."""
    for number, path in enumerate(paths):
        for name, output in outputs_of(context, path):
            link = prefix + (f"-{number}" if number else "") + (f"-{name}" if name not in ("", "out") else "")
            add_result_link(context.store, output, link)


def set_profile(context: Context, profile: str, outputs: Sequence[StorePath]) -> None:
    from frazil.errors import UsageError

    if len(outputs) != 1:
        raise UsageError(
            f"'--profile' requires that the arguments produce a single store path, but there are {len(outputs)}"
        )

    if _is_latest(profile, context.directory.show(outputs[0])):
        return
    from frazil.store.profile import Profile

    def add_root(text: str, link: str) -> None:
        context.store.add_permanent_root(context.store.parse(text), link)

    Profile(profile).set(context.store.show(outputs[0]), add_root)


def _is_latest(profile: str, path: str) -> bool:
    """Whether a profile's newest generation is in use, and is the path already."""
    folder, name = os.path.split(os.path.abspath(profile))
    try:
        used = os.readlink(profile)
        numbers = [entry[len(name) + 1 : -5] for entry in os.listdir(folder) if entry.startswith(name + "-")]
        newest = max(int(number) for number in numbers if number.isdigit())
        return used == f"{name}-{newest}-link" and os.readlink(os.path.join(folder, used)) == path
    except (OSError, ValueError):
        return False


def print_json(
    context: Context, arguments: Arguments, paths: Sequence[DerivedPath], results: Sequence[BuildResult] = ()
) -> None:
    """`results`: of the same paths, where they were built now."""
    import json

    by_path = {result.path: result for result in results}
    records: list[object] = []
    for path in paths:
        if path.outputs is None:
            records.append(context.store.show(path.base))
            continue
        outputs: dict[str, str | None] = {}
        known = known_outputs(context, path.base) if not path.through else {}
        for name in path.outputs.choose(known):
            output = known[name]
            outputs[name] = context.directory.show(output) if output else None
        measured = _measured(by_path[path]) if path in by_path else {}
        records.append({"drvPath": context.directory.show(path.base), "outputs": outputs, **measured})
    pretty = arguments.flag("pretty") or (os.isatty(1) and not arguments.flag("no-pretty"))
    separators = None if pretty else (",", ":")
    context.print(json.dumps(records, indent=2 if pretty else None, separators=separators, sort_keys=True))


def _measured(result: BuildResult) -> dict[str, int | float]:
    """When it was built, and what processor time it took where builders have control groups: both in seconds."""
    found: dict[str, int | float] = {}
    for name, moment in (("startTime", result.start_time), ("stopTime", result.stop_time)):
        if moment:
            found[name] = moment
    for name, time in (("cpuUser", result.cpu_user), ("cpuSystem", result.cpu_system)):
        if time is not None:
            found[name] = time / 1_000_000
    return found


BUILD_OPTIONS = (
    Option("--out-link -o", "Name the links *path* instead of `result`.", "path"),
    Option("--no-link", "Make no links."),
    Option("--print-out-paths", "Print the store paths of the results."),
    Option("--dry-run", "Only say what would be built."),
    Option("--rebuild", "Build again what is there, and compare."),
)

COMMANDS = {
    "build": Command(
        run_build,
        "build a derivation or fetch a store path",
        INSTALLABLES,
        BUILD_OPTIONS,
        PROFILE,
        JSON,
        STDIN,
        positional="installables…",
        at_most=None,
        examples=[
            ("Build the flake in this folder", "frazil build"),
            ("Build an attribute of a file, without a link", "frazil build -f . hello --no-link"),
        ],
    )
}
