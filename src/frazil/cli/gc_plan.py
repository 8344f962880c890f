"""`store gc --plan` and `store why-alive`: what a collection would do, and why something stays."""

from __future__ import annotations

import time

from frazil.cli.context import Context
from frazil.cli.options import Arguments
from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from frazil.store.local import LocalStore
    from frazil.store.plan import Chain, DeadPath, Plan, Project

_DAY = 24 * 3600
_AGES = ((1, "today"), (7, "this week"), (31, "this month"), (365, "this year"))
_SHOWN = 20
"""Dead paths and projects that are listed without --all-paths."""


def show_plan(context: Context, arguments: Arguments) -> None:
    from frazil.store.plan import make_plan

    plan = make_plan(_own_store(context, "plan its collection"))
    if arguments.flag("json"):
        from frazil.cli.flake_options import print_json

        print_json(context, arguments, _record(context, plan))
        return
    limit = None if arguments.flag("all-paths") else _SHOWN
    for line in _lines(context, plan, limit):
        context.print(line)


def _lines(context: Context, plan: Plan, limit: int | None) -> Iterable[str]:
    from frazil.store.garbage import render_size

    total = len(plan.dead) + plan.live_count
    yield f"A collection would delete {len(plan.dead)} of {total} store paths, {render_size(plan.dead_size)}."
    if plan.unregistered:
        yield f"It would also remove {len(plan.unregistered)} leftovers of what was interrupted."
    if plan.dead:
        yield ""
        yield "By when they came into the store:"
        yield from _ages(plan.dead)
        yield ""
        yield "Oldest first:"
        for one in plan.dead[:limit]:
            yield f"  {_date(one.registered)}  {render_size(one.size):>10}  {context.store.show(one.path)}"
        yield from _more(len(plan.dead), limit, "--all-paths shows them")
    yield ""
    yield f"{plan.live_count} paths stay, {render_size(plan.live_size)}, because of:"
    for project in plan.projects[:limit]:
        yield f"  {render_size(project.kept):>10}, {render_size(project.alone):>10} alone  {_project(project)}"
    yield from _more(len(plan.projects), limit, "--all-paths shows them")
    yield from _noticed(plan)


def _more(count: int, limit: int | None, hint: str) -> Iterable[str]:
    if limit is not None and count > limit:
        yield f"  … and {count - limit} more ({hint})"


def _ages(dead: Sequence[DeadPath]) -> Iterable[str]:
    from frazil.store.garbage import render_size

    now = time.time()
    groups: dict[str, list[int]] = {}
    for one in dead:
        days = (now - one.registered) / _DAY
        name = next((word for limit, word in _AGES if days < limit), "earlier")
        groups.setdefault(name, []).append(one.size)
    for name in ("earlier", *(word for _, word in reversed(_AGES))):
        sizes = groups.get(name)
        if sizes:
            yield f"  {name:<11} {render_size(sum(sizes)):>10}  {len(sizes)} paths"


def _date(moment: int) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment)) if moment else "unknown   "


def _project(project: Project) -> str:
    kinds = {"shell": "development shell of ", "profile": "profile ", "result": "results in "}
    text = kinds.get(project.kind, "") + project.place
    if len(project.roots) > 1:
        text += f" ({len(project.roots)} roots)"
    return text + (f", since {_date(project.age)}" if project.age else "")


def _noticed(plan: Plan) -> Iterable[str]:
    """What is kept, or was kept, for nothing."""
    vanished = [project for project in plan.projects if project.vanished]
    if vanished:
        yield ""
        yield "Development shells of projects that are gone:"
        for project in vanished:
            for root in project.roots:
                yield f"  {root}"
        yield "Remove these links to let what they keep go."
    if plan.stale:
        yield ""
        yield "Links that lead nowhere any more, removed by the next collection:"
        for _, target in plan.stale:
            yield f"  {target}"


def _record(context: Context, plan: Plan) -> dict[str, object]:
    show = context.store.show
    return {
        "dead": [
            {"path": show(one.path), "narSize": one.size, "registrationTime": one.registered} for one in plan.dead
        ],
        "deadSize": plan.dead_size,
        "liveCount": plan.live_count,
        "liveSize": plan.live_size,
        "projects": [
            {
                "place": project.place,
                "kind": project.kind,
                "roots": list(project.roots),
                "lastChanged": project.age or None,
                "kept": project.kept,
                "keptAlone": project.alone,
                "vanished": project.vanished,
            }
            for project in plan.projects
        ],
        "staleLinks": [{"link": link, "target": target} for link, target in plan.stale],
        "leftovers": list(plan.unregistered),
    }


def _own_store(context: Context, wanted: str) -> LocalStore:
    """One that is in the file system."""
    store = context.store
    if context.store_is_cache:
        raise FrazilError(f"Garbage collection not supported by store '{store.uri}'")
    if store.builds_elsewhere:
        raise FrazilError(
            f"only who looks after the store itself can {wanted}",
            hint="say `--store local`, as the user whom the store belongs to",
        )
    return store


# -- why-alive -----------------------------------------------------------------------------------------------------


def why_alive(context: Context, arguments: Arguments) -> int:
    """Exit status 1 where a path is dead."""
    from frazil.cli.store_paths import store_paths
    from frazil.store.plan import why_alive as find_chains

    _own_store(context, "say what keeps a path")
    status = 0
    records: dict[str, object] = {}
    for number, path in enumerate(store_paths(context, arguments)):
        context.store.query_info(path)
        chains = find_chains(context.store, path)
        shown = context.store.show(path)
        if not chains:
            status = 1
        if arguments.flag("json"):
            records[shown] = [_chain_record(context, chain) for chain in chains]
            continue
        if number:
            context.print()
        for line in _chain_lines(context, shown, chains, None if arguments.flag("all-roots") else 5):
            context.print(line)
    if arguments.flag("json"):
        from frazil.cli.flake_options import print_json

        print_json(context, arguments, records)
    return status


def _chain_record(context: Context, chain: Chain) -> dict[str, object]:
    return {"roots": list(chain.links), "path": [context.store.show(step) for step in chain.paths]}


def _chain_lines(context: Context, shown: str, chains: Sequence[Chain], limit: int | None) -> Iterable[str]:
    from frazil.store.plan import describe_step

    if not chains:
        yield f"'{shown}' is dead: no root leads to it. The next collection deletes it."
        return
    count = sum(len(chain.links) for chain in chains)
    plural = "one root keeps" if count == 1 else f"{count} roots keep"
    yield f"{plural} '{shown}' alive:"
    for chain in chains[:limit]:
        yield ""
        yield from chain.links
        yield f"  → {context.store.show(chain.paths[0])}"
        for depth, (before, after) in enumerate(zip(chain.paths, chain.paths[1:]), 2):
            word = describe_step(context.store, before, after)
            yield f"{'  ' * depth}{word} {context.store.show(after)}"
    if limit is not None and len(chains) > limit:
        yield ""
        more = sum(len(chain.links) for chain in chains[limit:])
        yield f"… and {more} more root{'' if more == 1 else 's'} (--all-roots shows them)"
