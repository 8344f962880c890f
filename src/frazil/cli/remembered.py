"""Answers of earlier evaluations of files and expressions: what commands ask before they evaluate.

In: a command's arguments. Out: what an earlier run answered, where everything that it rests on is as it was; else a
recorder for the evaluation that follows. Nothing of the evaluator is imported to find an answer.
"""

from __future__ import annotations

import os

from frazil.cli.base_directory import base_directory
from frazil.cli.evaluation import can_be_remembered, peek_input
from frazil.cli.evaluation_caches import open_lender

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from frazil.cli.context import Context
    from frazil.cli.options import Arguments
    from frazil.cli.remembered_tree import DerivationTree
    from frazil.evalcache.cache import EvaluationCache, Question, Subject
    from frazil.evalcache.database import Database
    from frazil.evalcache.recorder import Recorder
    from frazil.flake.installable import Target
    from frazil.instantiate.session import Session
    from frazil.store.path import StorePath


MANY = 64
"""Answers of one command; with fewer, what each rests on is told apart to the end."""
SAMPLES = (8, 64)


def root_of(path: bytes) -> bytes:
    """The folder that holds what belongs together: that of the version control, else the file's own. Links followed."""
    folder = os.path.realpath(path)
    if not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    own = folder
    while folder != b"/":
        if os.path.lexists(folder + b"/.git"):
            return folder
        folder = os.path.dirname(folder)
    return own


def below(path: bytes, root: bytes) -> str:
    """A path for the question: relative to the root where it lies there, so that it is the same for any checkout."""
    if path == root:
        return "."
    shown = path[len(root) + 1 :] if path.startswith(root + b"/") else path
    return shown.decode("latin-1")


def given_arguments(arguments: Arguments) -> list[list[str]]:
    """`--arg` and its kin; of a file its contents, by their hash. Raises OSError."""
    from frazil.evalcache.facts import sha256

    found = []
    for key, value in arguments.order:
        if key in ("arg", "argstr"):
            found.append([key, *value])
        elif key == "arg-from-file":
            with open(value[1], "rb") as file:
                found.append([key, value[0], sha256(file.read())])
    return found


def _shown_file(file: str | list[str] | None) -> str:
    """As `open_remembered` puts it: a byte string, or what is searched for."""
    return file[-1] if isinstance(file, list) else os.fsdecode((file or "").encode("latin-1"))


def _shown_attribute(attribute: object) -> str:
    return " ".join(map(str, attribute)) if isinstance(attribute, list) else str(attribute)


class Remembered:
    """The questions of one command about one file or expression. `recorder` is for the session that answers them."""

    def __init__(self, context: Context, cache: EvaluationCache, root: bytes, subject: Mapping[str, Any]) -> None:
        from frazil.evalcache.program import identity

        self.context = context
        self.cache = cache
        self.root = root
        self.cache.lender = open_lender(context, cache.database)
        self.subject = subject
        self.read_only = bool(subject.get("readOnly"))
        self.is_brief = False
        """Whether the command ends at once, so that nothing needs to be kept from the collector for it."""
        self._recorder: Recorder | None = None
        self._marks: int | None = None
        self._weighed = self._common_marks = 0
        self._common: Subject | None = None
        self._trees: dict[str, DerivationTree] = {}
        self.program = identity(cache.database.program, cache.database.put_program)

    @property
    def recorder(self) -> Recorder:
        """Only who evaluates needs it."""
        if self._recorder is None:
            from frazil.evalcache.recorder import Recorder

            self._recorder = Recorder(self.root, self.context.store_config.store_dir)
        return self._recorder

    def question(self, detail: Mapping[str, Any]) -> Question:
        from frazil.evalcache.cache import Question, Subject

        words = [
            _shown_file(self.subject.get("file")) or str(self.subject.get("expression") or ""),
            _shown_attribute(detail.get("attribute", "")),
        ]
        description = f"{detail['kind']} {' '.join(word for word in words if word)}"
        if self._common is None:
            self._common = Subject(self.subject, self.program)
        return Question(self._common, detail, self.root, description[:500])

    def ask(self, detail: Mapping[str, Any], shape: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any] | None:
        """An answer whose store objects are there. What the evaluation printed is printed again."""
        found = self.ask_quietly(detail, lambda answer: shape(answer) and self.is_present(answer))
        if found is not None:
            repeat_messages(self.context, found)
        return found

    def ask_quietly(
        self, detail: Mapping[str, Any], is_good: Callable[[Mapping[str, Any]], bool]
    ) -> Mapping[str, Any] | None:
        found = self.cache.ask(self.question(detail), is_good)
        return found if isinstance(found, dict) else None

    def present_among(self, paths: list[str]) -> set[str]:
        """Those that the store has; the others' answers do not count."""
        if self.read_only:
            return set(paths)
        from frazil.store.glance import valid_among

        found = valid_among(self.context.store_config, paths) if self.is_brief else None
        if found is not None:
            return found
        from frazil.evalcache.objects import are_present

        return {path for path in paths if are_present(self.context.store, [path])}

    def is_present(self, answer: Mapping[str, Any]) -> bool:
        return self.read_only or needs_present(self.context, answer, brief=self.is_brief)

    def tree(self, attribute: str) -> DerivationTree:
        """What is remembered of the derivations in an attribute, which is a list or set."""
        from frazil.cli.remembered_tree import DerivationTree

        if attribute not in self._trees:
            self._trees[attribute] = DerivationTree(self, attribute)
        return self._trees[attribute]

    def tell_apart(self, session: Session) -> None:
        """Several answers are to be kept: from here on it is taken down which rests on what."""
        session.effects.mark_reads()
        self._marks = 0

    def begin_answer(self, *, shared: bool = False) -> None:
        """What is read from here on is for the next answer. `shared`: what was read since the last is for all."""
        if self._marks is not None:
            from frazil.lang.values import take_marks

            marks = take_marks()
            self._marks |= marks if shared else 0

    def weigh(self, marks: int, places: int) -> None:
        """`marks`: of one answer of many. What the first of them all rest on counts for every one from then on: mostly
        every one does rest on it, and what rests on nothing else is evaluated as quickly as without marks."""
        if places < MANY:
            return
        self._weighed += 1
        self._common_marks = marks if self._weighed == 1 else self._common_marks & marks
        if self._weighed in SAMPLES:
            from frazil.lang.values import note_always

            note_always(self._common_marks)

    @property
    def tells_apart(self) -> bool:
        return self._marks is not None

    def keep(
        self, detail: Mapping[str, Any], answer: Mapping[str, Any], *texts: bytes, marks: int | None = None
    ) -> None:
        """To be written by `flush`. `texts`: what was printed, which may tell where the root is. `marks`: what the
        answer rests on, besides what all do; by default what was read since it was begun."""
        if self._marks is not None and marks is not None:
            marks |= self._marks
        elif self._marks is not None:
            from frazil.lang.values import note_marks, take_marks

            marks = self._marks | (own := take_marks())
            note_marks(own)
        self.cache.keep(
            self.question(detail),
            answer,
            self.recorder,
            lambda base: object_hash(self.context, base),
            texts=texts,
            marks=marks,
        )

    def flush(self) -> None:
        self.cache.flush()


def repeat_messages(context: Context, answer: Mapping[str, Any]) -> None:
    from frazil.activity import Verbosity

    for level, text in answer.get("messages", ()):
        context.reporter.log(Verbosity(level), text)


def needs_present(context: Context, answer: Mapping[str, Any], *, brief: bool, only: bool = False) -> bool:
    """`brief`: nothing has to be kept from the collector. `only`: the store is not opened to know."""
    needs = answer.get("needs")
    if not isinstance(needs, list) or not all(isinstance(path, str) for path in needs):
        return False
    if brief:
        from frazil.store.glance import valid_among

        found = valid_among(context.store_config, needs)
        if found is not None:
            return found.issuperset(needs)
        if only:
            return False
    from frazil.evalcache.objects import are_present

    return are_present(context.store, needs)


def object_hash(context: Context, base: str) -> str | None:
    from frazil.evalcache.objects import object_hash as look

    return look(context.store, base)


def fetch_again(context: Context, attributes: str) -> str:
    """What fetching gives now. Raises LookupError where it gives nothing."""
    import json

    from frazil.errors import FrazilError
    from frazil.evalcache.recorder import canonical
    from frazil.fetch.inputs import FetchContext, fetch_tree

    try:
        fetch_context = FetchContext.create(context.store, context.fetch_settings, context.reporter)
        return canonical(fetch_tree(json.loads(attributes), fetch_context).attributes)
    except FrazilError as error:
        raise LookupError(error.message) from error


def open_database(context: Context) -> Database:
    from frazil.evalcache.database import Database, cache_folder, default_path

    database = Database(default_path(cache_folder(os.environ)))
    context.at_close(database.close)
    return database


def open_cache(context: Context, root: bytes) -> EvaluationCache:
    """For files and expressions: what depends on where the root is depends on its path."""
    from frazil.evalcache.cache import EvaluationCache

    def verifier() -> Any:
        from frazil.evalcache.verify import Verifier, View

        home = os.fsencode(os.path.expanduser("~")).decode("latin-1")
        return Verifier(
            View(root),
            environment=os.environb,
            home=home,
            object_hash=lambda base: object_hash(context, base),
            fetch=lambda attributes: fetch_again(context, attributes),
        )

    return EvaluationCache(open_database(context), verifier, lambda: os.fsdecode(root))


def open_remembered(
    context: Context, arguments: Arguments, file: str | None, expression: str | None, *, pure: bool, read_only: bool
) -> Remembered | None:
    """None where an answer must not, or cannot, be remembered."""
    if not can_be_remembered(context, arguments, file, expression):
        return None
    from frazil.cli.room_settings import eval_settings
    from frazil.evalcache.subject import settings_subject

    folder = os.fsencode(base_directory())
    settings = eval_settings(
        context.settings,
        pure=pure and not arguments.flag("impure"),
        search_path=arguments.all("include"),
        store_dir=context.store_config.store_dir,
    )
    named = None
    if file is not None and file != "-" and not file.startswith(("<", "flake:", "channel:")) and "://" not in file:
        named = os.path.normpath(os.path.join(folder, os.fsencode(file)))
        if os.path.isdir(named):
            named += b"/default.nix"
    root = root_of(folder if named is None else named)
    try:
        given = given_arguments(arguments)
    except OSError:
        return None
    subject: dict[str, Any] = {"settings": settings_subject(settings), "readOnly": read_only, "arguments": given}
    if named is not None:
        subject["file"] = below(named, root)
    elif file == "-":
        subject["input"] = peek_input(context).decode("latin-1")
    elif file is not None:
        subject["file"] = ["named", file]
    if expression is not None:
        subject["expression"] = expression
    if expression is not None or given or named is None:
        subject["folder"] = below(folder, root)
    return Remembered(context, open_cache(context, root), root, subject)


# -- store derivations -------------------------------------------------------------------------------------------


def has_derivations(answer: Mapping[str, Any]) -> bool:
    """The shape of an answer of `keep_derivations`."""
    rows = answer.get("derivations")
    return isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 2 and all(isinstance(word, str) for word in row) for row in rows
    )


def ask_derivations(remembered: Remembered, attribute: str) -> list[tuple[StorePath, str]] | None:
    """(derivation, output) pairs of an attribute."""
    found = remembered.ask({"kind": "derivations", "attribute": attribute}, has_derivations)
    if found is None:
        return None
    from frazil.store.errors import BadStorePath
    from frazil.store.path import StoreDirectory

    directory = StoreDirectory(remembered.context.store_config.store_dir)
    try:
        return [(directory.parse(path), output) for path, output in found["derivations"]]
    except BadStorePath:
        return None


def keep_derivations(
    remembered: Remembered, session: Session, attribute: str, pairs: Sequence[tuple[StorePath, str]], *, alone: bool
) -> None:
    """`alone`: no other attribute was evaluated; else nobody knows whose the messages are."""
    if remembered.recorder.messages and not alone and not remembered.tells_apart:
        return
    show = session.effects.directory.show
    answer = {
        "derivations": [[show(path), output] for path, output in pairs],
        "needs": sorted({show(path) for path, _ in pairs}),
    }
    remembered.keep({"kind": "derivations", "attribute": attribute}, answer)


# -- targets of an expression ------------------------------------------------------------------------------------


def ask_targets(remembered: Remembered, text: str) -> list[Target] | None:
    """What an installable of `--file` or `--expr` stands for."""
    found = remembered.ask({"kind": "targets", "attribute": text}, lambda answer: bool(answer.get("targets")))
    if found is None:
        return None
    from frazil.errors import FrazilError
    from frazil.flake.installable import Target
    from frazil.flake.reference import split_outputs
    from frazil.store.derived_path import DerivedPath
    from frazil.store.path import StoreDirectory

    directory = StoreDirectory(remembered.context.store_config.store_dir)
    _, outputs = split_outputs(text)
    try:
        return [
            Target(DerivedPath.parse(path, directory), outputs=outputs if selects else None)
            for path, selects in found["targets"]
        ]
    except (FrazilError, TypeError, ValueError):
        return None


def keep_targets(remembered: Remembered, text: str, targets: Sequence[Target], *, alone: bool) -> None:
    """`alone`: no other attribute was evaluated; else nobody knows whose the messages are."""
    if remembered.recorder.messages and not alone and not remembered.tells_apart:
        return
    directory = remembered.context.store.directory
    answer = {
        "targets": [[target.path.show(directory), target.outputs is not None] for target in targets],
        "needs": sorted({directory.show(target.path.base) for target in targets}),
    }
    remembered.keep({"kind": "targets", "attribute": text}, answer)


# -- what was printed --------------------------------------------------------------------------------------------


def ask_output(remembered: Remembered, detail: Mapping[str, Any]) -> bool:
    """Prints what an earlier run printed. -> whether there was one."""
    found = remembered.ask(detail, lambda answer: isinstance(answer.get("output"), str))
    if found is None:
        return False
    remembered.context.print_byte_string(found["output"], end="")
    return True


def keep_output(remembered: Remembered, session: Session, detail: Mapping[str, Any], printed: bytes) -> None:
    answer = {"output": printed.decode("latin-1"), "needs": session.effects.loose_ends()}
    remembered.keep(detail, answer, printed)
    remembered.flush()
