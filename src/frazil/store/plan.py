"""What a garbage collection would delete, and why the rest stays. Nothing is deleted, and no link removed.

In: a local store. Out: dead paths with sizes and ages; for each project (a folder with result links, a profile, a
development shell, running programs) what it keeps and what it alone keeps; chains of references from roots to a path.
Sizes are those of archives, in bytes: hard links make the files smaller.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frazil.store import roots as root_search
from frazil.store.garbage import ReferenceGraph
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from frazil.store.local import LocalStore

RESULT, PROFILE, SHELL, PROCESS, TEMPORARY = "result", "profile", "shell", "process", "temporary"
_PROJECT_FILES = (".envrc", "flake.nix", "shell.nix", "default.nix", "devenv.nix")
_SHELL_FOLDERS = ("/.direnv/", "/.frazil/", "/.devenv/")


@dataclass(frozen=True, slots=True)
class DeadPath:
    """`registered`: when it came into the store, seconds since 1970."""

    path: StorePath
    size: int
    registered: int


@dataclass(frozen=True, slots=True)
class Project:
    """`place`: a folder, a profile, or a word for what is no place. `age` of its youngest root (seconds since 1970, 0:
    unknown). `kept`: bytes reachable from it; `alone`: those that nothing else keeps. `vanished`: there is no project
    in that folder any more."""

    place: str
    kind: str
    roots: tuple[str, ...]
    age: int
    kept: int
    alone: int
    vanished: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`stale`: links below `gcroots/auto` that lead nowhere, with where they led."""

    dead: tuple[DeadPath, ...]
    dead_size: int
    live_count: int
    live_size: int
    projects: tuple[Project, ...]
    stale: tuple[tuple[str, str], ...] = ()
    unregistered: tuple[str, ...] = ()
    """Names in the store's folder that are no valid paths: left behind by what was interrupted."""


@dataclass(slots=True)
class _Holder:
    kind: str
    links: list[str] = field(default_factory=list)
    starts: set[StorePath] = field(default_factory=set)
    age: int = 0


def make_plan(store: LocalStore) -> Plan:
    stale = tuple(_stale_links(store))
    roots = _find(store)
    graph = _graph(store)
    facts = {
        number: (size or 0, registered or 0)
        for number, size, registered in store.database.rows("select id, narSize, registrationTime from ValidPaths")
    }
    live = graph.reachable(roots)
    dead = [DeadPath(graph.names[number], *facts.get(number, (0, 0))) for number in set(graph.names) - live]
    dead.sort(key=lambda one: (one.registered, -one.size, one.path))
    holders = _holders(store, roots)
    return Plan(
        tuple(dead),
        sum(one.size for one in dead),
        len(live),
        sum(facts[number][0] for number in live if number in facts),
        tuple(_projects(graph, holders, {number: size for number, (size, _) in facts.items()})),
        stale,
        tuple(_unregistered(store, graph)),
    )


def _graph(store: LocalStore) -> ReferenceGraph:
    settings = store.settings
    return ReferenceGraph(store, keep_outputs=settings.keep_outputs, keep_derivations=settings.keep_derivations)


def _find(store: LocalStore) -> dict[StorePath, set[str]]:
    """All roots, those of running programs too."""
    found = root_search.find_lasting_roots(store, tidy=False)
    for path, holders in root_search.find_temporary_roots(store).items():
        found.setdefault(path, set()).update(holders)
    return found


def _stale_links(store: LocalStore) -> Iterator[tuple[str, str]]:
    folder = f"{store.config.state_dir}/gcroots/auto"
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        link = f"{folder}/{name}"
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if not os.path.lexists(target):
            yield link, target


def _unregistered(store: LocalStore, graph: ReferenceGraph) -> Iterator[str]:
    from frazil.store.errors import BadStorePath

    for name in sorted(os.listdir(store.config.real_store_dir)):
        try:
            path = StorePath.from_base(name)
        except BadStorePath:
            continue
        if path not in graph.numbers and not name.endswith(".lock"):
            yield name


# -- who keeps what ------------------------------------------------------------------------------------------------


def _holders(store: LocalStore, roots: dict[StorePath, set[str]]) -> dict[tuple[str, str], _Holder]:
    found: dict[tuple[str, str], _Holder] = {}
    for path, links in roots.items():
        for link in links:
            place, kind = place_of(store, link)
            holder = found.setdefault((place, kind), _Holder(kind))
            holder.links.append(link)
            holder.starts.add(path)
            try:
                holder.age = max(holder.age, int(os.lstat(link).st_mtime))
            except OSError:
                pass  # a process, or a link that went meanwhile
    return found


def place_of(store: LocalStore, link: str) -> tuple[str, str]:
    """(project, kind) of what holds a root."""
    if link.startswith("{temp:"):
        return "programs that add to the store now", TEMPORARY
    if not link.startswith("/") or link.startswith("/proc/"):
        return "running programs", PROCESS
    for part in _SHELL_FOLDERS:
        if part in link:
            return link.partition(part)[0], SHELL
    folder, name = os.path.split(link)
    if link.startswith(f"{store.config.state_dir}/profiles/") or "/nix/profiles/" in link:
        return f"{folder}/{_profile_name(name)}", PROFILE
    return folder, RESULT


def _profile_name(name: str) -> str:
    """`default-7-link` → `default`."""
    stem, mark, rest = name.removesuffix("-link").rpartition("-")
    return stem if mark and name.endswith("-link") and rest.isdigit() else name


def _projects(graph: ReferenceGraph, holders: dict[tuple[str, str], _Holder], sizes: dict[int, int]) -> list[Project]:
    """The one that keeps most alone comes first."""
    reached = {key: graph.reachable(holder.starts) for key, holder in holders.items()}
    times: dict[int, int] = {}
    for numbers in reached.values():
        for number in numbers:
            times[number] = times.get(number, 0) + 1
    found = []
    for (place, kind), holder in holders.items():
        numbers = reached[place, kind]
        found.append(
            Project(
                place,
                kind,
                tuple(sorted(holder.links)),
                holder.age,
                sum(sizes.get(number, 0) for number in numbers),
                sum(sizes.get(number, 0) for number in numbers if times[number] == 1),
                has_vanished(place, kind),
            )
        )
    return sorted(found, key=lambda one: (-one.alone, -one.kept, one.place))


def has_vanished(place: str, kind: str) -> bool:
    """Whether a development shell is kept for a folder in which there is nothing to develop any more."""
    return kind == SHELL and not any(os.path.lexists(f"{place}/{name}") for name in _PROJECT_FILES)


# -- why a path is alive -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chain:
    """From a root to the path in question, both included. `links`: what holds the root."""

    links: tuple[str, ...]
    paths: tuple[StorePath, ...]


def why_alive(store: LocalStore, path: StorePath) -> list[Chain]:
    """The shortest chain from each root, the shortest first; none for a dead path."""
    roots = _find(store)
    graph = _graph(store)
    target = graph.numbers.get(path)
    if target is None:
        return []
    towards = _towards(graph, target)
    chains = []
    for root, links in roots.items():
        number = graph.numbers.get(root)
        if number is not None and number in towards:
            steps = [number]
            while steps[-1] != target:
                steps.append(towards[steps[-1]])
            chains.append(Chain(tuple(sorted(links)), tuple([graph.names[step] for step in steps])))
    return sorted(chains, key=lambda chain: (len(chain.paths), chain.links))


def _towards(graph: ReferenceGraph, target: int) -> dict[int, int]:
    """For each path that leads to the target, the next one on a shortest way."""
    backward: dict[int, list[int]] = {}
    for number, others in graph.forward.items():
        for other in others:
            backward.setdefault(other, []).append(number)
    towards = {target: target}
    pending = deque([target])
    while pending:
        number = pending.popleft()
        for other in backward.get(number, ()):
            if other not in towards:
                towards[other] = number
                pending.append(other)
    return towards


def describe_step(graph_store: LocalStore, before: StorePath, after: StorePath) -> str:
    """How one path keeps the next."""
    if after in graph_store.query_references(before):
        return "refers to"
    if after.is_derivation:
        return "was built by (keep-derivations)"
    return "builds (keep-outputs)"
