"""Derivations in a list or set, each remembered for itself: an edit evaluates again what read the edited file.

In: a value that may hold derivations, and what is remembered of an attribute. Out: (derivation, output) pairs in the
order of `flake.derivations.find_derivations`. Each place in the value is a question: what is there (a derivation, a set
with these names, a list this long, nothing of interest), and its answer rests on what was read to find that.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from frazil.cli.remembered import Remembered
    from frazil.instantiate.session import Session
    from frazil.store.path import StorePath

    Pair = tuple[StorePath, str]
    Place = tuple[str, ...]
    Node = Mapping[str, Any]

MOST_PLACES = 200_000


class DerivationTree:
    """What is remembered of one attribute's value. `nodes`: by place, as far as it holds."""

    def __init__(self, remembered: Remembered, attribute: str) -> None:
        self.remembered, self.attribute = remembered, attribute
        self.nodes: dict[Place, Node] = {}
        self.is_complete = True
        self.stale: list[Place] = []
        """Places about which nothing is known that holds."""

    def detail(self, place: Place) -> dict[str, Any]:
        return {"kind": "place", "attribute": self.attribute, "place": list(place)}

    # -- asking ----------------------------------------------------------------------------------------------------

    def ask(self, *, quietly: bool = False) -> list[Pair] | None:
        """All of it, where all of it is remembered. `quietly`: without what the evaluation printed."""
        pending: list[Place] = [()]
        while pending and len(self.nodes) < MOST_PLACES:
            place = pending.pop()
            node = self.remembered.ask_quietly(self.detail(place), is_node)
            if node is None:
                self.is_complete = False
                self.stale.append(place)
                if not place:
                    return None
                continue
            self.nodes[place] = node
            pending += [(*place, name) for name in reversed(children(node))]
        self._drop_absent()
        if not quietly:
            self._say()
        return self._pairs() if self.is_complete and not pending else None

    def _drop_absent(self) -> None:
        paths = {place: node["drv"][0] for place, node in self.nodes.items() if "drv" in node}
        present = self.remembered.present_among(sorted(set(paths.values())))
        for place, path in paths.items():
            if path not in present:
                self.is_complete = False
                del self.nodes[place]

    def _say(self) -> None:
        """What the evaluation printed, each message once."""
        from frazil.cli.remembered import repeat_messages

        said: set[tuple[int, str]] = set()
        for node in self.nodes.values():
            new = [message for message in node.get("messages", ()) if tuple(message) not in said]
            said.update(tuple(message) for message in new)
            repeat_messages(self.remembered.context, {"messages": new})

    def _pairs(self) -> list[Pair] | None:
        from frazil.store.errors import BadStorePath

        try:
            return [self._pair(node["drv"]) for node in self._in_order(()) if "drv" in node]
        except BadStorePath:
            return None

    def _pair(self, row: list[str]) -> Pair:
        return self.remembered.context.directory.parse(row[0]), row[1]

    def _in_order(self, top: Place) -> list[Node]:
        found = []
        pending = [top]
        while pending:
            place = pending.pop()
            node = self.nodes[place]
            found.append(node)
            pending += [(*place, name) for name in reversed(children(node))]
        return found

    # -- evaluating ------------------------------------------------------------------------------------------------

    def evaluate(self, session: Session, value: Any, given: dict[str, Any]) -> list[Pair] | None:
        """`value`: in weak head normal form; its places that are remembered are not evaluated. None where that cannot
        be told from evaluating all."""
        known = self.nodes
        self.nodes = {}
        search = _Search(self, session, given, known)
        search.look(value, ())
        found = [node["drv"] for node in self._in_order(()) if "drv" in node]
        if search.reused and len({path for path, _ in found}) < len(found):
            return None  # perhaps one value in two places, which counts once
        for place, (node, marks) in search.made.items():
            self.remembered.keep(self.detail(place), node, marks=marks)
        return [self._pair(row) for row in found]


class _Search:
    def __init__(self, tree: DerivationTree, session: Session, given: dict[str, Any], known: dict[Place, Node]) -> None:
        from frazil.flake.derivations import Finder

        self.tree, self.known = tree, known
        self.evaluator, self.directory = session.evaluator, session.effects.directory
        self.finder = Finder(session.evaluator, session.effects.directory, given)
        self.first: dict[int, int] = {}
        self.made: dict[Place, tuple[Node, int]] = {}
        self.reused = False
        self.places = 1

    def look(self, value: Any, place: Place, *, item: bool = False) -> None:
        """`item`: an element of a set, in which only what says so is searched."""
        from frazil.lang.values import note_marks, take_marks

        outer = take_marks()
        node, holder, inner = self._node(value, place, item)
        own = take_marks()
        note_marks(outer)
        self.tree.nodes[place] = node
        self.places += len(inner)
        if place not in self.known:
            self.made[place] = (node, own)
        for name, child in inner:
            below = (*place, name)
            if self._is_known(below):
                self._reuse(below)
            else:
                self._look_below(holder, child, below)

    def _look_below(self, holder: Any, child: Any, place: Place) -> None:
        from frazil.lang.errors import EvalError
        from frazil.lang.values import Attrs

        try:
            self.look(child, place, item=isinstance(holder, Attrs) and not holder.has("_combineChannels"))
        except EvalError as error:
            if isinstance(holder, Attrs):
                error.add_trace(holder.position(place[-1]), f"while evaluating the attribute '{place[-1]}'")
            raise

    def _is_known(self, place: Place) -> bool:
        """With all that is below."""
        node = self.known.get(place)
        return node is not None and all(self._is_known((*place, name)) for name in children(node))

    def _reuse(self, place: Place) -> None:
        self.reused = True
        node = self.tree.nodes[place] = self.known[place]
        for name in children(node):
            self._reuse((*place, name))

    def _node(self, value: Any, place: Place, item: bool) -> tuple[Node, Any, list[tuple[str, Any]]]:
        """What is there, and what is in it."""
        from frazil.flake.derivations import package_of
        from frazil.lang.runtime import force
        from frazil.lang.values import Attrs

        package = package_of(self.evaluator, value, self.directory, ".".join(place)) if place else None
        if package is None and item and not self.finder.recurses(force(value)):
            return {"none": True, "needs": []}, None, []
        if package is None:
            value = self.evaluator.auto_call(force(value), self.finder.auto_arguments)
            package = package_of(self.evaluator, value, self.directory, ".".join(place))
        if package is not None:
            return self._derivation(package), None, []
        inner = self.finder.elements(value)
        shown: Node = {"names": [name for name, _ in inner]} if isinstance(value, Attrs) else {"length": len(inner)}
        return {**shown, "needs": []}, value, inner

    def _derivation(self, package: Any) -> Node:
        from frazil.flake.derivations import derivation_and_output
        from frazil.lang.values import note_marks, take_marks

        known = self.first.get(id(package.attrs))
        if known is not None:
            note_marks(known)
            return {"none": True, "needs": []}
        path, output = derivation_and_output(package)
        marks = take_marks()
        note_marks(marks)
        self.tree.remembered.weigh(marks, self.places)
        self.first[id(package.attrs)] = marks
        self.finder.found.append(package)
        shown = self.directory.show(path)
        return {"drv": [shown, output], "needs": [shown]}


def children(node: Node) -> list[str]:
    names = node.get("names")
    return list(names) if names is not None else [str(index) for index in range(node.get("length", 0))]


def is_node(answer: Mapping[str, Any]) -> bool:
    """The shape of what is remembered of a place."""
    drv, names, length = answer.get("drv"), answer.get("names"), answer.get("length")
    if drv is not None:
        return isinstance(drv, list) and len(drv) == 2 and all(isinstance(word, str) for word in drv)
    if names is not None:
        return isinstance(names, list) and all(isinstance(name, str) for name in names)
    if length is not None:
        return isinstance(length, int) and 0 <= length < MOST_PLACES
    return answer.get("none") is True
