"""Remembered answers about a local flake, found before anything of a flake is opened.

In: a command's arguments, which name a flake in a folder. Out: what an earlier run answered, where the tree's state and
all that locking depends on are the same; what locking said is said again. Neither evaluator nor fetchers nor git are
imported for that. After an evaluation `Doorstep.keep` notes how the flake was locked, for the next run.
"""

from __future__ import annotations

import os

from frazil.cli.base_directory import base_directory
from frazil.cli.evaluation import wants_evaluation
from frazil.cli.remembered import fetch_again, object_hash, repeat_messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from frazil.cli.context import Context
    from frazil.cli.options import Arguments
    from frazil.evalcache.cache import EvaluationCache, Question, Subject
    from frazil.evalcache.database import Database
    from frazil.flake.local_tree import Place
    from frazil.flake.memory import FlakeMemory

UNUSUAL = (
    "file",
    "expr",
    "attr",
    "stdin",
    "arg",
    "argstr",
    "arg-from-file",
    "override-flake",
    "override-input",
    "inputs-from",
    "update-input",
    "recreate-lock-file",
    "reference-lock-file",
    "output-lock-file",
    "commit-lock-file",
    "refresh",
    "eval-store",
)
"""Options with which a flake is always opened."""
_FRAGMENT = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+")


class Wanted:
    """One installable, as read here. `outputs`: names after `^`, `*` as None; () where nothing is written."""

    def __init__(self, reference: str, fragment: str, outputs: tuple[str, ...] | None) -> None:
        self.reference, self.fragment, self.outputs = reference, fragment, outputs


def read_installable(text: str) -> Wanted | None:
    """None for what is not plain enough to be read without the parser of references."""
    text, caret, names = text.partition("^")
    outputs: tuple[str, ...] | None = () if not caret else None if names == "*" else tuple(names.split(","))
    if outputs and not all(name and _FRAGMENT.issuperset(name) for name in outputs):
        return None
    reference, _, fragment = text.partition("#")
    return Wanted(reference, fragment, outputs) if _FRAGMENT.issuperset(fragment) else None


class Doorstep:
    """The questions of one command about the flake at one place."""

    def __init__(
        self, context: Context, arguments: Arguments, place: Place, state: str | None, *, command: str, read_only: bool
    ) -> None:
        from frazil.evalcache.database import Database, cache_folder, default_path

        self.context, self.arguments, self.place, self.state = context, arguments, place, state
        self.command = command
        self.read_only = read_only or context.read_only
        self.database: Database = Database(default_path(cache_folder(os.environ)))
        context.at_close(self.database.close)
        self._program = ""
        self._lock: Mapping[str, Any] | None = None
        self._cache: EvaluationCache | None = None
        self._subject: Subject | None = None
        self._was_told = False

    @property
    def program(self) -> str:
        if not self._program:
            from frazil.evalcache.program import identity

            self._program = identity(self.database.program, self.database.put_program)
        return self._program

    # -- how the flake was locked ----------------------------------------------------------------------------------

    def _question(self) -> Question:
        from frazil.evalcache.cache import Question, Subject

        settings = self.context.settings
        options = [
            name for name in ("no-update-lock-file", "no-write-lock-file", "impure") if self.arguments.flag(name)
        ]
        subject = {
            "kind": "doorstep",
            "place": [self.place.kind, self.place.folder, self.place.shallow],
            "options": options,
            "values": settings.values,
            "offline": self.context.offline,
            "settings": self._settings(),
        }
        return Question(Subject(subject, self.program), {}, os.fsencode(self.place.root), f"lock {self.place.root}")

    def _settings(self) -> dict[str, Any]:
        from frazil.cli.room_settings import eval_settings
        from frazil.evalcache.subject import settings_subject

        settings = eval_settings(
            self.context.settings,
            pure=not self.arguments.flag("impure"),
            search_path=self.arguments.all("include"),
            store_dir=self.context.store_config.store_dir,
        )
        return settings_subject(settings)

    def lock(self) -> Mapping[str, Any] | None:
        """What an earlier run noted about the tree in its present state."""
        if self._lock is None and self.state is not None:
            from frazil import plain_json

            question = self._question()
            for row in self.database.find(question.digest, question.root):
                if row.bound == self.state and row.root == question.root:
                    found = plain_json.loads(row.answer)
                    if is_lock(found) and os.path.lexists(self._real_tree(found["tree"])):
                        self.database.touch(row)
                        self._lock = found
                        break
        return self._lock

    def _real_tree(self, base: str) -> str:
        return os.path.join(self.context.store_config.real_store_dir, base)

    def title(self) -> str:
        """The locked flake's reference."""
        lock = self.lock()
        return "" if lock is None else str(lock["reference"])

    def is_about(self, memory: FlakeMemory) -> bool:
        folder = memory.locked.flake.folder[len(memory.tree) :].lstrip("/")
        return os.fsdecode(memory.root) == self.place.root and folder == self.place.folder

    def keep(self, memory: FlakeMemory) -> None:
        """After an evaluation: notes how the flake was locked, unless something changed meanwhile."""
        from frazil.evalcache.database import Entry
        from frazil.flake.local_tree import state_of

        if self._lock is not None or self.state is None or not memory.is_lock_complete():
            return
        tree = os.path.basename(memory.tree)
        if not os.path.lexists(self._real_tree(tree)):
            return
        if memory.locked.flake.config or state_of(self.place) != self.state:
            return
        from frazil import plain_json

        question = self._question()
        answer = {
            "subject": memory.subject(),
            "identity": memory.identity(),
            "tree": tree,
            "reference": str(memory.locked.flake.locked),
            "messages": memory.said,
        }
        data = plain_json.dumps(answer).encode("ascii")
        asked = question.description, self.program, b"", ""
        entry = Entry(question.digest, question.root, self.state, data, b"", *asked)
        self.database.put({}, [entry])

    # -- answers ---------------------------------------------------------------------------------------------------

    def paths(self, wanted: Wanted) -> list[str]:
        from frazil.cli.settings import default_system
        from frazil.flake.attribute_paths import attribute_path_prefixes, attribute_paths, default_attribute_paths

        settings = self.context.settings
        system = settings.text("eval-system") or settings.text("system") or default_system()
        defaults = default_attribute_paths(system, self.command)
        return attribute_paths(wanted.fragment, defaults, attribute_path_prefixes(system, self.command))

    def ask(self, detail: Mapping[str, Any], is_good: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any] | None:
        """An answer. What locking and evaluation printed is printed again."""
        from frazil.evalcache.cache import Question, Subject

        lock = self.lock()
        if lock is None:
            return None
        if self._cache is None:
            self._cache = self._open_cache(lock)
        if self._subject is None:
            subject = {**lock["subject"], "settings": self._settings(), "readOnly": self.read_only}
            self._subject = Subject(subject, self.program)
        question = Question(self._subject, detail, os.fsencode(self.place.root))
        found = self._cache.ask(question, is_good)
        return found if isinstance(found, dict) else None

    def say(self, answers: list[Mapping[str, Any]]) -> None:
        """What was printed when the answers were found."""
        if not self._was_told and self._lock is not None:
            repeat_messages(self.context, self._lock)
            self._was_told = True
        for answer in answers:
            repeat_messages(self.context, answer)

    def _open_cache(self, lock: Mapping[str, Any]) -> EvaluationCache:
        from frazil.evalcache.cache import EvaluationCache

        def verifier() -> Any:
            from frazil.evalcache.verify import Verifier, View

            return Verifier(
                View(os.fsencode(self._real_tree(lock["tree"]))),
                environment=os.environb,
                home=os.fsencode(os.path.expanduser("~")).decode("latin-1"),
                object_hash=lambda base: object_hash(self.context, base),
                fetch=lambda attributes: fetch_again(self.context, attributes),
            )

        return EvaluationCache(self.database, verifier, lambda: str(lock["identity"]), covers_contents=True)


def is_lock(answer: object) -> bool:
    """The shape of a note by `Doorstep.keep`."""
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("subject"), dict)
        and isinstance(answer.get("identity"), str)
        and isinstance(answer.get("tree"), str)
        and isinstance(answer.get("reference"), str)
        and "/" not in answer["tree"]
        and isinstance(answer.get("messages"), list)
    )


def open_doorstep(
    context: Context, arguments: Arguments, reference: str, *, command: str = "build", read_only: bool = False
) -> Doorstep | None:
    """None for a flake that is not in a folder, or where options change what it is."""
    if wants_evaluation(context, arguments) or any(arguments.has(name) for name in UNUSUAL):
        return None
    settings = context.settings
    if "flakes" not in settings.features or settings.mapping("frazil-input-overrides"):
        return None
    from frazil.flake.local_tree import find_tree, state_of

    if context.store_is_cache or context.store_config.is_dummy or context.store_config.scheme != "local":
        return None
    place = find_tree(reference, base_directory(), context.store_config.store_dir)
    if place is None:
        return None
    return Doorstep(context, arguments, place, state_of(place), command=command, read_only=read_only)
