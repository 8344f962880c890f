"""Remembered answers about a flake's outputs.

In: a locked flake and a question. Out: the answer of an earlier evaluation, where every file of the tree that it read,
and all else that it rests on, is as it was; so an edit of a file that an output does not read does not concern it. An
output that looked at the tree as a whole (`self.rev`, `"${self}"`, the text of a path in it) depends on all of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.evalcache.cache import Question, Subject
    from frazil.evalcache.recorder import Recorder
    from frazil.evalcache.verify import Verifier
    from frazil.flake.locking import LockedFlake
    from frazil.flake.tree import Trees


def has_locked_inputs(locked: LockedFlake) -> bool:
    """Whether the lock file says what all inputs are."""
    from frazil.fetch.inputs import is_locked

    for node in locked.lock_file.nodes():
        own = node.locked
        if own.relative_path is None and "narHash" not in own.attributes and not is_locked(dict(own.attributes)):
            return False
    return True


def open_memory(trees: Trees, locked: LockedFlake) -> FlakeMemory | None:
    """None where answers must not, or cannot, be remembered."""
    recorder = trees.effects.recorder
    if recorder is None or not trees.use_cache or not has_locked_inputs(locked):
        return None
    return FlakeMemory(trees, locked, recorder)


def place_of(detail: Mapping[str, Any]) -> str:
    """The attribute that a question is about, for people."""
    path = detail.get("path")
    if path is None:
        return str((detail.get("paths") or [""])[0])
    return path if isinstance(path, str) else ".".join(path)


class FlakeMemory:
    """The questions of one command about one flake."""

    def __init__(self, trees: Trees, locked: LockedFlake, recorder: Recorder) -> None:
        from frazil.evalcache.cache import EvaluationCache
        from frazil.evalcache.database import Database, cache_folder, default_path
        from frazil.evalcache.program import identity

        self.trees, self.locked, self.recorder = trees, locked, recorder
        self.tree = trees.root_of(locked.flake.folder)
        base = os.path.basename(self.tree)
        self._may_keep = recorder.set_tree(base)
        self._kept = False
        self._common: Subject | None = None
        database = Database(default_path(cache_folder(os.environ)))
        self.cache = EvaluationCache(database, self.verifier, self.identity, covers_contents=True)
        self.cache.lender = trees.lender(database)
        self.program = identity(database.program, database.put_program)
        source = trees.source_directory(locked.flake.resolved)
        self.root = os.fsencode(source or str(locked.flake.resolved))
        self.said = list(trees.heard)
        """What was printed until the flake was locked."""

    def identity(self) -> str:
        """All that the flake can know of its tree; not where it was fetched from."""
        from frazil.evalcache.recorder import canonical

        flake = self.locked.flake
        known = {name: value for name, value in flake.locked.cheap_attributes().items() if name != "url"}
        return canonical({**known, "forceDirty": flake.force_dirty, "path": self.tree})

    def shape(self) -> list[object]:
        """Which attributes `self` has: `self ? rev` and `self.rev or null` look at no attribute."""
        flake = self.locked.flake
        return [sorted(flake.locked.attributes), flake.locked.type, flake.force_dirty]

    def verifier(self) -> Verifier:
        from frazil.evalcache.objects import object_hash
        from frazil.evalcache.verify import Verifier, View

        trees = self.trees
        return Verifier(
            View(bytes(trees.effects.real(self.tree))),
            environment=os.environb,
            home=trees.effects.settings.home_directory,
            object_hash=lambda base: object_hash(trees.context.store, base),
            fetch=self.fetch_again,
        )

    def fetch_again(self, attributes: str) -> str:
        """What fetching gives now. Raises LookupError where it gives nothing."""
        import json

        from frazil.errors import FrazilError
        from frazil.evalcache.recorder import canonical
        from frazil.fetch.inputs import fetch_tree

        try:
            return canonical(fetch_tree(json.loads(attributes), self.trees.context).attributes)
        except FrazilError as error:
            raise LookupError(error.message) from error

    def subject(self) -> dict[str, Any]:
        """What the flake is, apart from its files."""
        flake = self.locked.flake
        lock = self.locked.lock_file.to_json()[0]
        return {"flake": flake.folder[len(self.tree) :], "shape": self.shape(), "lock": lock}

    def is_lock_complete(self) -> bool:
        """Whether locking again would look at the tree alone: its lock file says what all inputs are."""
        from frazil.flake.lock import LockFile

        path = f"{self.locked.flake.folder}/flake.lock"
        if self.trees.file_type(path) is None:
            return not self.locked.lock_file.root.inputs
        known = LockFile.parse(self.trees.read_file(path), path, warn=lambda _: None)
        return known == self.locked.lock_file

    def question(self, detail: Mapping[str, Any]) -> Question:
        from frazil.evalcache.cache import Question, Subject
        from frazil.evalcache.subject import settings_subject

        flake = self.locked.flake
        if self._common is None:
            effects = self.trees.effects
            settings = {"settings": settings_subject(effects.settings), "readOnly": effects.read_only}
            self._common = Subject({**self.subject(), **settings}, self.program)
        return Question(self._common, detail, self.root, f"{detail['kind']} {flake.resolved}#{place_of(detail)}")

    def ask(self, detail: Mapping[str, Any], is_good: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any] | None:
        from frazil.activity import Verbosity

        found = self.cache.ask(self.question(detail), is_good)
        self.cache.database.close()
        if not isinstance(found, dict):
            return None
        for level, text in found.get("messages", ()):
            self.trees.session.reporter.log(Verbosity(level), text)
        return found

    def ask_part(
        self, detail: Mapping[str, Any], is_good: Callable[[Mapping[str, Any]], bool], again: Callable[[str], None]
    ) -> Mapping[str, Any] | None:
        """An answer that becomes part of another, which rests on what it rests on. `again` is told why there is none
        any longer."""
        from frazil.evalcache.cache import Miss

        found = self.cache.ask(self.question(detail), is_good, self.recorder.adopt)
        if not isinstance(found, Miss):
            return found
        for reason in found.reasons[:1]:
            again(f"evaluating '{place_of(detail)}' again: {reason}")
        return None

    def say_again(self, text: str) -> None:
        from frazil.activity import Verbosity

        self.trees.session.reporter.log(Verbosity.TALKATIVE, text)

    def keep(
        self,
        detail: Mapping[str, Any],
        answer: Mapping[str, Any],
        *texts: bytes,
        marks: int | None = None,
        whole: bool = False,
    ) -> None:
        """`texts`: what was printed. `marks`: what the answer's values are marked with. `whole`: it is all that the
        command says."""
        if not self._may_keep or (marks is None and self.recorder.messages and self._kept and not whole):
            return  # of several answers nobody knows whose the messages are
        self._kept = True
        self._keep(detail, answer, texts, marks)
        self.flush()

    def keep_part(self, detail: Mapping[str, Any], answer: Mapping[str, Any], marks: int) -> None:
        """To be written by `flush`."""
        from frazil import plain_json

        if self._may_keep:
            self._keep(detail, answer, (plain_json.dumps(answer).encode("ascii"),), marks)

    def _keep(
        self, detail: Mapping[str, Any], answer: Mapping[str, Any], texts: Sequence[bytes], marks: int | None
    ) -> None:
        from frazil.evalcache.objects import object_hash

        store = self.trees.context.store
        self.cache.keep(
            self.question(detail),
            answer,
            self.recorder,
            lambda base: object_hash(store, base),
            texts=texts,
            marks=marks,
        )

    def flush(self) -> None:
        self.cache.flush()
        self.cache.database.close()
