"""Asking for an answer of an earlier evaluation, and keeping one.

In: a `Question` (all that was asked and every setting that decides the answer), and what a `Recorder` took down. Out:
the answer, as plain JSON data, where each fact that it rests on still holds. Nothing here evaluates.
"""

from __future__ import annotations

import os

from frazil.evalcache.database import About, Database, Entry, Group, Row, group_id, split_ids
from frazil.evalcache.facts import Fact, decode
from frazil.evalcache.verify import explain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from frazil.evalcache.recorder import Known, Recorder
    from frazil.evalcache.share import Lender
    from frazil.evalcache.verify import Verifier

MAX_ANSWER = 64 << 20


class Subject:
    """What many questions have in common: JSON data, and the program that is to answer."""

    def __init__(self, subject: Mapping[str, Any], program: str) -> None:
        from frazil import plain_json
        from frazil.evalcache.hashing import sha256

        self.mapping, self.program = subject, program
        self.digest = sha256(_encoded(plain_json.dumps([program, subject]))).digest()

    def about(self) -> About:
        from frazil.evalcache.subject import about, parts

        return About(about(self.mapping), parts(self.mapping))


class Question:
    """`detail`: JSON data. `root`: the folder that places are relative to. `description`: for people."""

    def __init__(self, subject: Subject, detail: Mapping[str, Any], root: bytes, description: str = "") -> None:
        from frazil import plain_json
        from frazil.evalcache.hashing import sha256

        self.root = os.fsdecode(root)
        self.description = description
        self.subject, self.detail = subject, detail
        self.digest = sha256(subject.digest + _encoded(plain_json.dumps(detail))).digest()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


class Miss:
    """Why there is no answer: a sentence for each answer that was kept and no longer counts."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons


class EvaluationCache:
    """One command's questions; the answers that it keeps share one recorder.

    `verifier` makes one where facts have to be checked: at most once. `identity`: what the root is, for answers that
    depend on it: its path, or for a flake the attributes of its whole tree (it then `covers_contents`: of such answers
    the facts about the tree need no check); None where that cannot be said.
    """

    def __init__(
        self,
        database: Database,
        verifier: Callable[[], Verifier],
        identity: Callable[[], str | None],
        *,
        covers_contents: bool = False,
    ) -> None:
        self.database = database
        self._covers_contents = covers_contents
        self._make_verifier = verifier
        self._verifier: Verifier | None = None
        self._make_identity = identity
        self._identity: str | None = None
        self._verdicts: dict[tuple[bytes, bool], Fact | str | None] = {}
        self.lender: Callable[[], Lender | None] = lambda: None
        """Who may know what is not known here."""
        self._new: list[tuple[Entry, Known]] = []
        self._subjects: dict[bytes, Subject] = {}
        self._recorder: Recorder | None = None

    @property
    def identity(self) -> str | None:
        if self._identity is None:
            self._identity = self._make_identity()
        return self._identity

    @property
    def verifier(self) -> Verifier:
        if self._verifier is None:
            self._verifier = self._make_verifier()
        return self._verifier

    def ask(
        self,
        question: Question,
        is_good: Callable[[Mapping[str, Any]], bool] | None = None,
        adopt: Callable[..., None] | None = None,
    ) -> Mapping[str, Any] | Miss:
        """`is_good`: whether an answer has its shape, and its store objects are there. `adopt`: is told what it rests
        on (as `Recorder.adopt`)."""
        reasons = []
        for row in self.database.find(question.digest, question.root):
            reason = self.why_not(row, question.root)
            if reason is None:
                answer = _read_answer(row)
                if answer is not None and (is_good is None or is_good(answer)):
                    self.database.touch(row)
                    if adopt is not None:
                        self._tell(row, question, adopt)
                    return answer
                reason = "what it names is no longer in the store"
            reasons.append(reason)
        borrowed = self._borrow(question, is_good, adopt)
        return Miss(reasons) if borrowed is None else borrowed

    def _tell(self, row: Row, question: Question, adopt: Callable[..., None]) -> None:
        for name in split_ids(row.groups):
            facts = decode(self.database.group(name) or b"")
            adopt(facts, self.database.stamps(name, question.root), bound=bool(row.bound))
        adopt((), (), bound=bool(row.bound))

    def _borrow(
        self,
        question: Question,
        is_good: Callable[[Mapping[str, Any]], bool] | None,
        adopt: Callable[..., None] | None,
    ) -> Mapping[str, Any] | None:
        """An answer that another machine found, whose facts hold here."""
        lender = self.lender()
        for offer in () if lender is None else lender.offers(question.digest):
            assert lender is not None
            new = offer.entry
            asked = new.description, new.program, new.subject, new.detail
            row = Row(0, new.question, new.root, new.bound, 0, 0, new.answer, new.groups, *asked)
            if self.why_not(row, question.root, offer.facts) is None and lender.accept(offer):
                answer = _read_answer(row)
                if answer is not None and (is_good is None or is_good(answer)):
                    if adopt is not None:
                        self._tell(row, question, adopt)
                    return answer
        return None

    def why_not(self, row: Row, root: str, offered: Mapping[bytes, bytes] | None = None) -> str | None:
        """Why what an answer rests on does not hold; None where it does. `offered`: the facts of an answer that is not
        in the database."""
        if row.bound and row.bound != self.identity:
            return "it depends on where the tree is, or on all of it, and that is different now"
        covered = bool(row.bound) and self._covers_contents
        for name in split_ids(row.groups):
            key = (name, covered)
            if key not in self._verdicts:
                facts = self.database.group(name) if offered is None else offered.get(name)
                if facts is None:
                    return "part of what is known about it was lost"
                self._verdicts[key] = self._look(name, facts, root, covered)
            verdict = self._verdicts[key]
            if verdict is not None:
                return verdict if isinstance(verdict, str) else explain(verdict)
        return None

    def _look(self, name: bytes, data: bytes, root: str, covered: bool) -> Fact | str | None:
        try:
            facts = decode(data)
        except ValueError:
            return "part of what is known about it is damaged"
        if covered:
            rest = [fact for fact in facts if fact.place != "." and not fact.place.startswith("./")]
            return self.verifier.check(rest, ())[0]
        stamps = self.database.stamps(name, root)
        failed, found = self.verifier.check(facts, stamps)
        if failed is None and found != stamps:
            self.database.put_stamps(name, root, found)
        return failed

    def keep(
        self,
        question: Question,
        answer: Mapping[str, Any],
        recorder: Recorder,
        object_hash: Callable[[str], str | None],
        *,
        texts: Sequence[bytes] = (),
        identity: str | None = None,
        marks: int | None = None,
    ) -> bool:
        """Whether it will be kept, by `flush`.

        `texts`: what was printed, which may tell where the root is. `identity`: of the tree as it was read. `marks`:
        what the answer's values are marked with; without them everything read so far is taken for needed.
        """
        from frazil import plain_json

        shown = recorder.printed(texts)
        marks = None if marks is None else marks | shown
        recorder.settle(object_hash)
        known = recorder.known(marks)
        place = recorder.root if recorder.tree is None else recorder.tree.encode()
        said = [os.fsencode(text) for _, text in known.messages]
        if known.refusal is not None:
            return False
        bound = ""
        if known.bound or any(place in text for text in (*texts, *said)):
            identity = identity or self.identity
            if not identity:
                return False
            bound = identity
        answer = {**answer, "messages": known.messages}
        data = plain_json.dumps(answer).encode("ascii")
        if len(data) > MAX_ANSWER:
            return False
        self._recorder = recorder
        subject = question.subject
        self._subjects[subject.digest] = subject
        asked = question.description, subject.program, subject.digest, plain_json.dumps(question.detail)
        self._new.append((Entry(question.digest, question.root, bound, data, b"", *asked), known))
        return True

    def flush(self) -> None:
        """Writes what was kept."""
        kept, self._new = self._new, []
        if not kept or self._recorder is None:
            return
        from frazil.evalcache.partition import partition

        parts, made_of = partition([known.facts for _, known in kept])
        names: list[bytes] = []
        groups: dict[bytes, Group] = {}
        for part in parts:
            encoded, stamps = self._recorder.encoded(part)
            names.append(group_id(encoded))
            groups[names[-1]] = Group(encoded, stamps)
        entries = [
            entry._replace(groups=b"".join([names[index] for index in indices]))
            for (entry, _), indices in zip(kept, made_of, strict=True)
        ]
        about = {digest: subject.about() for digest, subject in self._subjects.items()}
        self._subjects.clear()
        self.database.put(groups, entries, about)
        self.database.collect_if_large()


def _read_answer(row: Row) -> Mapping[str, Any] | None:
    from frazil import plain_json

    try:
        answer = plain_json.loads(row.answer)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) and _are_messages(answer.get("messages", [])) else None


def _are_messages(rows: object) -> bool:
    """Levels and texts: others' answers may hold anything."""
    return isinstance(rows, list) and all(
        isinstance(row, list) and len(row) == 2 and type(row[0]) is int and 0 <= row[0] <= 7 and isinstance(row[1], str)
        for row in rows
    )
