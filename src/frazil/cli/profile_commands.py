"""`profile …`: packages installed for a user. Source: the manual pages of `nix profile`."""

from __future__ import annotations

import re
import time
from itertools import pairwise

from frazil.activity import Verbosity
from frazil.cli.common_options import INSTALLABLES, JSON
from frazil.cli.context import Context
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.cli.profile_manifest import ElementSource, ProfileManifest, element_of, with_paths
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frazil.build.builtin_buildenv import FileConflict
    from frazil.cli.profile_manifest import ProfileElement
    from frazil.flake.outputs import Target
    from frazil.store.path import StorePath
    from frazil.store.profile import Profile


def _profile(context: Context, arguments: Arguments) -> Profile:
    from frazil.cli.legacy_env import default_profile
    from frazil.store.profile import Profile

    return Profile(arguments.value("profile") or default_profile(context))


def _update(context: Context, profile: Profile, manifest: ProfileManifest) -> None:
    from frazil.store.profile import Profile

    def add_root(text: str, link: str) -> None:
        context.store.add_permanent_root(context.store.parse(text), link)

    path = manifest.build(context)
    Profile(profile.path).set(context.store.show(path), add_root)


# -- adding --------------------------------------------------------------------------------------------------------


def add(context: Context, arguments: Arguments) -> None:
    from frazil.build.builtin_buildenv import FileConflict

    profile = _profile(context, arguments)
    priority = _priority(arguments)
    manifest = ProfileManifest.read(context, profile.path)
    for targets in _targets(context, arguments):
        element = element_of(targets, _built(context, targets), priority)
        name = element.name
        known = manifest.elements.get(name)
        if known is not None and _is_same(known, element):
            context.warn(f"'{name}' is already added")
            continue
        manifest.add(name, element)
    try:
        _update(context, profile, manifest)
    except FileConflict as conflict:
        raise _explained(context, manifest, conflict) from None


def _priority(arguments: Arguments) -> int | None:
    text = arguments.value("priority")
    if text is None:
        return None
    if not re.fullmatch("-?[0-9]{1,18}", text):
        raise UsageError(f"'{text}' is not an integer")
    return int(text)


def _targets(context: Context, arguments: Arguments) -> list[list[Target]]:
    """For each argument what it stands for, built together."""
    from frazil.cli.build_command import build_paths
    from frazil.cli.evaluation import with_deep_stack
    from frazil.cli.installables import Opened

    opened = Opened(context, arguments)
    found: list[list[Target]] = with_deep_stack(lambda: [opened.targets([text]) for text in opened.texts()])
    build_paths(context, [target.path for targets in found for target in targets])
    return [targets for targets in found if targets]


def _built(context: Context, targets: Sequence[Target]) -> frozenset[StorePath]:
    from frazil.cli.build_command import outputs_of

    return frozenset([path for target in targets for _, path in outputs_of(context, target.path)])


def _is_same(known: ProfileElement, element: ProfileElement) -> bool:
    one, other = known.source, element.source
    if one is None or other is None or known.priority != element.priority:
        return False
    return (str(one.original), one.attribute_path) == (str(other.original), other.attribute_path)


def _explained(context: Context, manifest: ProfileManifest, conflict: FileConflict) -> FrazilError:
    """Which packages they are from, and what to do."""
    elements = manifest.sorted()
    first = _owner(context, elements, conflict)
    last = _owner(context, elements[::-1], conflict)
    if first is None or last is None:
        return FrazilError(str(conflict))
    add_again = f"  nix profile add {' '.join(last[2])} --priority"
    return FrazilError(
        "An existing package already provides the following file:\n\n"
        f'  "{first[0]}"\n\n'
        "This is the conflicting file from the new package:\n\n"
        f'  "{last[0]}"\n\n'
        "To remove the existing package:\n\n"
        f"  nix profile remove {first[1]}\n\n"
        "The new package can also be added next to the existing one by assigning a different priority.\n"
        f"The conflicting packages have a priority of {conflict.priority}.\n"
        "To prioritise the new package:\n\n"
        f"{add_again} {conflict.priority - 1}\n\n"
        "To prioritise the existing package:\n\n"
        f"{add_again} {conflict.priority + 1}"
    )


def _owner(
    context: Context, elements: Sequence[tuple[str, ProfileElement]], conflict: FileConflict
) -> tuple[str, str, list[str]] | None:
    """(file, name, installables) of the first element that has one of the files."""
    for name, element in elements:
        for path in sorted(element.store_paths):
            for file in (conflict.first, conflict.second):
                if file.startswith(context.store.show(path)):
                    return file, name, element.installables(context)
    return None


# -- choosing ------------------------------------------------------------------------------------------------------


def _chosen(context: Context, arguments: Arguments, manifest: ProfileManifest) -> list[str]:
    """Names of the elements meant; says which words mean none."""
    matchers = [*_given(context, arguments)]
    if not matchers:
        raise UsageError("No packages specified.")
    if arguments.flag("all") and len(matchers) > 1:
        raise UsageError("--all cannot be used with package names or regular expressions.")
    if not manifest.elements:
        context.warn("There are no packages in the profile.")
        return []
    found: set[str] = set()
    for title, matches in matchers:
        names = [name for name, element in manifest.sorted() if matches(name, element)]
        if not names:
            context.warn(f"{title} does not match any packages in the profile.")
        found.update(names)
    return sorted(found)


def _given(context: Context, arguments: Arguments) -> list[tuple[str, Callable[[str, ProfileElement], bool]]]:
    matchers: list[tuple[str, Callable[[str, ProfileElement], bool]]] = []
    if arguments.flag("all"):
        matchers.append(("--all", lambda name, element: True))
    for pattern in arguments.all("regex"):
        try:
            compiled = re.compile(pattern, re.IGNORECASE)
        except re.error as error:
            raise UsageError(f"'{pattern}' is not a regular expression: {error}") from error
        matchers.append((f"Regex '{pattern}'", _by_pattern(compiled)))
    for word in arguments.positional:
        if word.isascii() and word.isdigit():
            raise FrazilError(f"'nix profile' no longer supports indices ('{word}')")
        matchers.append(_by_word(context, word))
    return matchers


def _by_pattern(pattern: re.Pattern[str]) -> Callable[[str, ProfileElement], bool]:
    return lambda name, element: pattern.fullmatch(element.identifier) is not None


def _by_word(context: Context, word: str) -> tuple[str, Callable[[str, ProfileElement], bool]]:
    from frazil.store.errors import BadStorePath

    try:
        path = context.store.parse(word)
    except BadStorePath:
        return f"Package name '{word}'", lambda name, element: name == word
    return f"Store path '{path.base}'", lambda name, element: path in element.store_paths


def remove(context: Context, arguments: Arguments) -> None:
    profile = _profile(context, arguments)
    manifest = ProfileManifest.read(context, profile.path)
    names = _chosen(context, arguments, manifest)
    if not names:
        context.warn("No packages to remove. Use 'nix profile list' to see the current profile.")
        return
    left = manifest.copy()
    for name in names:
        context.note(f"removing '{manifest.elements[name].identifier}'", Verbosity.NOTICE)
        del left.elements[name]
    context.note(f"removed {len(names)} packages, kept {len(left.elements)} packages")
    _update(context, profile, left)


# -- upgrading -----------------------------------------------------------------------------------------------------


def upgrade(context: Context, arguments: Arguments) -> None:
    from frazil.cli.evaluation import with_deep_stack

    context.settings.set("tarball-ttl", "0")
    profile = _profile(context, arguments)
    manifest = ProfileManifest.read(context, profile.path)
    names = _chosen(context, arguments, manifest)
    if not names:
        context.warn("No packages to upgrade. Use 'nix profile list' to see the current profile.")
        return
    arguments.positional = []
    candidates = [name for name in names if _may_be_upgraded(context, manifest.elements[name])]
    if not candidates:
        context.warn("Found some packages but none of them could be upgraded.")
        return
    upgraded = with_deep_stack(lambda: _newer(context, arguments, manifest, candidates))
    if arguments.flag("dry-run"):
        return
    _build_newer(context, manifest, upgraded)
    _update(context, profile, manifest)


def _may_be_upgraded(context: Context, element: ProfileElement) -> bool:
    from frazil.fetch.inputs import is_locked

    if element.source is None:
        context.warn(
            f"Found package '{element.identifier}', but it was not added from a flake, so it can't be checked for "
            "upgrades!"
        )
        return False
    if is_locked(dict(element.source.original.attributes), context.fetch_settings):
        context.warn(
            f"Found package '{element.identifier}', but it was added from a locked flake reference so it can't be "
            "upgraded!"
        )
        return False
    return True


def _newer(
    context: Context, arguments: Arguments, manifest: ProfileManifest, names: Sequence[str]
) -> dict[str, Target]:
    """Of those whose flake has changed."""
    from frazil.cli.installables import Opened
    from frazil.fetch.inputs import is_locked
    from frazil.flake.installable import FlakeInstallable

    opened = Opened(context, arguments)
    found = {}
    for name in names:
        source = manifest.elements[name].source
        assert source is not None
        installable = FlakeInstallable(
            opened.trees, source.original, "", source.outputs, [source.attribute_path], [], opened.flags
        )
        targets = installable.targets()
        if not targets or targets[0].locked is None:
            continue
        locked = targets[0].locked
        if is_locked(dict(locked.attributes), context.fetch_settings) and str(locked) == str(source.locked):
            continue
        context.note(f"upgrading '{source.attribute_path}' from flake '{source.locked}' to '{locked}'")
        found[name] = targets[0]
    opened.session.flush()
    return found


def _build_newer(context: Context, manifest: ProfileManifest, upgraded: dict[str, Target]) -> None:
    from frazil.cli.build_command import build_paths

    build_paths(context, [target.path for target in upgraded.values()])
    for name, target in upgraded.items():
        element = manifest.elements[name]
        assert element.source is not None and target.locked is not None
        source = ElementSource(
            element.source.original, target.locked, target.attribute_path or "", element.source.outputs
        )
        manifest.elements[name] = with_paths(element, source, _built(context, [target]))


# -- looking -------------------------------------------------------------------------------------------------------


def list_packages(context: Context, arguments: Arguments) -> None:
    manifest = ProfileManifest.read(context, _profile(context, arguments).path)
    if arguments.flag("json"):
        from frazil.cli.flake_options import print_json

        print_json(context, arguments, manifest.to_json(context))
        return
    bold, red, normal = _colours(context)
    for number, (name, element) in enumerate(manifest.sorted()):
        if number:
            context.print()
        inactive = "" if element.active else f" {red}(inactive){normal}"
        context.print(f"Name:               {bold}{name}{normal}{inactive}")
        if element.source is not None:
            context.print(f"Flake attribute:    {element.source.attribute_path}{element.source.outputs}")
            context.print(f"Original flake URL: {element.source.original}")
            context.print(f"Locked flake URL:   {element.source.locked}")
        paths = " ".join(context.store.show(path) for path in sorted(element.store_paths))
        context.print(f"Store paths:        {paths}")


def _colours(context: Context) -> tuple[str, str, str]:
    return ("\x1b[1m", "\x1b[31;1m", "\x1b[0m") if context.output_colours else ("", "", "")


def history(context: Context, arguments: Arguments) -> None:
    profile = _profile(context, arguments)
    current = profile.current()
    bold, _, normal = _colours(context)
    green = "\x1b[32;1m" if bold else ""
    before: tuple[int, ProfileManifest] | None = None
    for generation in profile.generations():
        manifest = ProfileManifest.read(context, generation.link)
        if before is not None:
            context.print()
        date = time.strftime("%Y-%m-%d", time.gmtime(generation.created))
        mark = green if generation.number == current else bold
        since = "" if before is None else f" <- {before[0]}"
        context.print(f"Version {mark}{generation.number}{normal} ({date}){since}:")
        for line in _changes(before[1] if before is not None else ProfileManifest(), manifest):
            context.print("  " + line)
        before = generation.number, manifest


def _changes(before: ProfileManifest, after: ProfileManifest) -> list[str]:
    lines = []
    for name in sorted({*before.elements, *after.elements}):
        old, new = before.elements.get(name), after.elements.get(name)
        if old is None and new is not None:
            lines.append(f"{new.identifier}: ∅ -> {new.versions}")
        elif new is None and old is not None:
            lines.append(f"{old.identifier}: {old.versions} -> ∅")
        elif old is not None and new is not None and old.versions != new.versions:
            lines.append(f"{old.identifier}: {old.versions} -> {new.versions}")
    return lines or ["No changes."]


def diff_closures(context: Context, arguments: Arguments) -> None:
    from frazil.cli.closure_difference import run_difference

    store = context.store
    generations = _profile(context, arguments).generations()
    for number, (before, after) in enumerate(pairwise(generations)):
        if number:
            context.print()
        context.print(f"Version {before.number} -> {after.number}:")
        one, other = (store.follow_links_to_store_path(generation.link) for generation in (before, after))
        run_difference(context, one, other, "  ")


# -- versions ------------------------------------------------------------------------------------------------------


def rollback(context: Context, arguments: Arguments) -> None:
    profile = _profile(context, arguments)
    text = arguments.value("to")
    if text is not None and not (text.isascii() and text.isdigit()):
        raise UsageError(f"'{text}' is not a version of a profile")
    before = profile.current()
    generation = profile.switch(None if text is None else int(text), dry_run=arguments.flag("dry-run"))
    context.note(f"switching profile from version {before} to {generation.number}", Verbosity.NOTICE)


def wipe_history(context: Context, arguments: Arguments) -> None:
    from frazil.cli.legacy_misc import tell_deleted
    from frazil.store.profile import parse_age

    profile = _profile(context, arguments)
    dry = arguments.flag("dry-run")
    age = arguments.value("older-than")
    deleted = profile.delete_old(dry_run=dry) if age is None else profile.delete_older_than(parse_age(age), dry_run=dry)
    tell_deleted(context, deleted, dry_run=dry)


PROFILE = (Option("--profile", "Work on the profile *path*.", "path"),)
CHOICE = (
    Option("--all", "All packages of the profile."),
    Option("--regex", "Packages that the regular expression *pattern* matches.", "pattern", kind=APPEND),
)
DRY = (Option("--dry-run", "Only say what would be done."),)


def _add_command() -> Command:
    return Command(
        add,
        "add packages to a profile",
        INSTALLABLES,
        PROFILE,
        (
            Option("--stdin", "Read more installables from standard input."),
            Option("--priority", "The *priority* of the packages: a lower number wins.", "priority"),
        ),
        positional="installables…",
        at_most=None,
        examples=[("Install a package", "frazil profile add nixpkgs#hello")],
    )


COMMANDS = {
    "profile add": _add_command(),
    "profile remove": Command(
        remove,
        "remove packages from a profile",
        PROFILE,
        CHOICE,
        positional="elements…",
        at_most=None,
        examples=[("Remove a package", "frazil profile remove hello")],
    ),
    "profile upgrade": Command(
        upgrade,
        "upgrade packages to what their flakes provide now",
        INSTALLABLES,
        PROFILE,
        CHOICE,
        DRY,
        positional="elements…",
        at_most=None,
        examples=[("Upgrade everything", "frazil profile upgrade --all")],
    ),
    "profile list": Command(
        list_packages,
        "list the packages of a profile",
        PROFILE,
        JSON,
        examples=[("What is installed?", "frazil profile list")],
    ),
    "profile history": Command(
        history,
        "show what changed between the versions of a profile",
        PROFILE,
        examples=[("What did I install when?", "frazil profile history")],
    ),
    "profile diff-closures": Command(
        diff_closures,
        "show what changed between the closures of a profile's versions",
        PROFILE,
        examples=[("Which versions came and went?", "frazil profile diff-closures")],
    ),
    "profile rollback": Command(
        rollback,
        "go back to an earlier version of a profile",
        PROFILE,
        DRY,
        (Option("--to", "Go to this *version*.", "version"),),
        examples=[("Undo the last change", "frazil profile rollback")],
    ),
    "profile wipe-history": Command(
        wipe_history,
        "delete earlier versions of a profile",
        PROFILE,
        DRY,
        (Option("--older-than", "Only versions that were replaced before *age* (such as 30d).", "age"),),
        examples=[("Keep the last month", "frazil profile wipe-history --older-than 30d")],
    ),
}
