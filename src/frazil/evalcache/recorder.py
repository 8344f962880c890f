"""Taking down what an evaluation reads, while it reads.

In: calls of `instantiate.effects` (see `instantiate.recording`), which say what was asked and what the world answered.
Out: facts in the order in which they were first needed, and what stands in the way of remembering. Values are shared
between attributes, so what one reads later may rest on what another read before: the facts of an attribute are all
those since the evaluation began, or, where the evaluator keeps marks, those that its values are marked with.
"""

from __future__ import annotations

import os
import stat
import time

from frazil.evalcache.facts import LETTERS, STAMPED, Fact, encode, listing_hash, quote, sha256, show_verdicts
from frazil.evalcache.partition import numbers_of
from frazil.evalcache.stamps import listed_tree_stamp, settled_stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

INTERNAL = "/__corepkgs__"
MAX_FACTS = 2_000_000


class Known:
    """What one answer rests on. `facts`: bits, one for each row of the recorder."""

    __slots__ = ("bound", "facts", "messages", "refusal")

    def __init__(self, facts: int, messages: list[tuple[int, str]], bound: bool, refusal: str | None) -> None:
        self.facts, self.messages, self.bound, self.refusal = facts, messages, bound, refusal


class Recorder:
    """`root`: the folder that places are relative to, links followed; None where it will be a tree in the store.

    `tree`: the base name of that tree's store path, once `set_tree` has said which it is.
    """

    def __init__(self, root: bytes | None, store_dir: str) -> None:
        self._awaits_tree = root is None
        self.root = root = b"/" if root is None else root
        self.tree: str | None = None
        self._prefix = root if root.endswith(b"/") else root + b"/"
        self._store_prefix = store_dir + "/"
        self._is_virtual: Callable[[str], bool] = lambda base: False
        self._known: dict[tuple[str, ...], int] = {}
        self._facts: list[Fact] = []
        self._stamps: list[str] = []
        self._copies: dict[str, tuple[str, bytes, str, str]] = {}
        self._copy_hashes: dict[bytes, str] = {}
        """Base name of a copy -> path, place in the file system, digest, stamp of what was copied."""
        self.objects: dict[str, None] = {}
        self._object_hashes: dict[str, str | None] = {}
        self._fetched: set[str] = set()
        self._unsettled: dict[str, tuple[Mapping[str, object], Mapping[str, object]]] = {}
        self.bound = False
        """Whether something depends on where the root is (for a flake: on what its whole tree is)."""
        self.refusal: str | None = None
        """Why the answers must not be remembered."""
        self.messages: list[tuple[int, str]] = []
        self._note: Callable[[int], None] | None = None
        self._told = 0
        self._others: dict[int, tuple[str, Any]] = {}
        """Rows that are no facts: something else that marks stand for."""
        self._other_rows = 0
        self._other_bits: dict[tuple[str, Any], int] = {}
        self._base: Known | None = None
        self._base_objects: list[str] = []

    def attach(self, is_virtual: Callable[[str], bool]) -> None:
        """`is_virtual`: whether a store path's contents were made, or hashed, by this evaluation."""
        self._is_virtual = is_virtual

    def set_tree(self, base: str) -> bool:
        """The evaluated flake's tree is known now: what was read of it before counts. -> whether it is the only one."""
        if self._awaits_tree:
            self._awaits_tree = False
            self.tree = base
            self.objects.pop(base, None)
            self._unsettled.pop(base, None)
            own = f"?{base}"
            self._known = {}
            for row, fact in enumerate(self._facts):
                if fact.place == own or fact.place.startswith(own + "/"):
                    fact = self._facts[row] = fact._replace(place="." + fact.place[len(own) :])
                elif fact.place.startswith("?"):
                    self._other_rows |= 1 << row
                if not self._other_rows >> row & 1:
                    self._known[_key(*fact)] = row
        return self.tree == base

    def refuse(self, reason: str) -> None:
        self._mark("refuse", reason)
        if self.refusal is None:
            self.refusal = reason

    def message(self, level: int, text: str) -> None:
        marks = self.printed([os.fsencode(text)])
        if self._note is not None:
            self._note(marks)
        self._mark("message", len(self.messages))
        self.messages.append((level, text))

    def say(self, level: int, text: str) -> None:
        """A message of the command itself: it belongs to what the command says as a whole."""
        self.printed([os.fsencode(text)])
        self.messages.append((level, text))

    def has_messages(self, marks: int) -> bool:
        """Whether the evaluation of something with these marks said something."""
        return any(self._others[number][0] == "message" for number in numbers_of(marks & self._other_rows))

    def _depend_on_place(self) -> None:
        self._mark("bound", "")
        self.bound = True

    # -- evaluation in several processes ---------------------------------------------------------------------------

    def news(self) -> dict[str, Any]:
        """What was read since the last call, as JSON data: in a forked process, for `absorb` in its parent."""
        start, self._told = self._told, len(self._facts)
        rows = [row for row in range(start, len(self._facts)) if not self._other_rows >> row & 1]
        return {
            "facts": [[*self._facts[row], self._stamps[row]] for row in rows],
            "objects": list(self.objects),
            "fetched": sorted(self._fetched),
            "unsettled": [[base, *rest] for base, rest in self._unsettled.items()],
            "copies": [
                [base, path, real.decode("latin-1"), *rest] for base, (path, real, *rest) in self._copies.items()
            ],
            "bound": self.bound,
            "refusal": self.refusal,
        }

    def absorb(self, news: Mapping[str, Any]) -> None:
        for kind, outcome, place, mark in news["facts"]:
            self._add(kind, outcome, place, mark)
        for base in news["fetched"]:
            self.fetched(base)
        for base in news["objects"]:
            self.store_object(base)
        for base, attributes, result in news["unsettled"]:
            self.fetched_unlocked(attributes, result, base)
        for base, path, real, digest, stamp in news["copies"]:
            if base not in self._copies:
                self.copied(base, path, real.encode("latin-1"), digest, stamp)
        if news["bound"]:
            self._depend_on_place()
        if news["refusal"] is not None:
            self.refuse(news["refusal"])

    def adopt(self, facts: Iterable[Fact], stamps: Iterable[str], *, bound: bool) -> None:
        """What an earlier answer rests on, which is part of this one: for an answer that rests on all that was read."""
        note, self._note = self._note, None
        known = iter(stamps)
        for kind, outcome, place in facts:
            self._add(kind, outcome, place, next(known, "") if kind in STAMPED else "")
        if bound:
            self._depend_on_place()
        self._note = note

    # -- which value rests on what ---------------------------------------------------------------------------------

    def tell_marks(self, note: Callable[[int], None]) -> None:
        """From here on `note` is called with a bit for each thing that is read; all that was read before counts for
        every answer."""
        self._base = Known(self._all_facts(), list(self.messages), self.bound, self.refusal)
        self._base_objects = list(self.objects)
        self._note = note

    def _mark(self, kind: str, what: Any) -> None:
        """Something other than a fact."""
        if self._note is not None:
            key = (kind, what)
            bit = self._other_bits.get(key)
            if bit is None:
                row = len(self._facts)
                bit = self._other_bits[key] = 1 << row
                self._others[row] = key
                self._other_rows |= bit
                self._facts.append(Fact("", "", ""))
                self._stamps.append("")
            self._note(bit)

    def _known_by(self, marks: int) -> Known:
        base = self._base
        assert base is not None
        found = Known(base.facts | marks & ~self._other_rows, list(base.messages), base.bound, base.refusal)
        said, objects = [], list(self._base_objects)
        for number in numbers_of(marks & self._other_rows):
            kind, what = self._others.get(number, ("", None))
            if kind == "object":
                objects.append(what)
            elif kind == "message":
                said.append(what)
            elif kind == "bound":
                found.bound = True
            elif found.refusal is None:
                found.refusal = what
        found.messages += [self.messages[number] for number in sorted(said)]
        for base_name in objects:
            if base_name not in self.objects:
                continue  # it follows from a hash
            if self._object_hashes.get(base_name) is None:
                found.refusal = found.refusal or unregistered(base_name)
            else:
                found.facts |= 1 << self._known["o", base_name]
        return found

    # -- files -----------------------------------------------------------------------------------------------------

    def contents(self, path: str, real: bytes, data: bytes, status: os.stat_result | None) -> None:
        """`status`: of lstat, before reading."""
        place = self._place(path, real)
        if place is None:
            return
        if status is not None and stat.S_ISREG(status.st_mode):
            self._add("c", sha256(data), place, settled_stamp(status, time.time_ns()))
        else:
            self._add("C", sha256(data), place)

    def listing(self, path: str, real: bytes, listing: Mapping[str, str], status: os.stat_result | None) -> None:
        if path + "/" == self._store_prefix or self._store_prefix.startswith(path.rstrip("/") + "/"):
            self.refuse(f"the folder '{path}', which leads to the store, was listed")
            return
        place = self._place(path, real)
        if place is None:
            return
        if status is not None and stat.S_ISDIR(status.st_mode):
            self._add("d", listing_hash(listing), place, settled_stamp(status, time.time_ns()))
        else:
            self.refuse(f"the folder '{path}' was listed through a link")

    def kind(self, path: str, real: bytes, kind: str | None) -> None:
        if kind is not None and self._leads_to_root(real):
            return
        place = self._place(path, real)
        if place is not None:
            self._add("k", "-" if kind is None else LETTERS[kind], place)

    def link(self, path: str, real: bytes, target: bytes | None) -> None:
        """`target` is None for what is no link. The root has none above it: that is checked when it is found."""
        if target is None and self._leads_to_root(real):
            return
        place = self._place(path, real)
        if place is not None:
            self._add("l", "-" if target is None else quote(target) or "%", place)

    def source_stamp(self, real: bytes) -> str:
        """Before a source is hashed; for `source`. A single file's is taken from its status."""
        try:
            status = os.lstat(real)
            now = time.time_ns()
            return listed_tree_stamp(real, now) if stat.S_ISDIR(status.st_mode) else settled_stamp(status, now)
        except OSError:
            return ""

    def source(
        self,
        path: str,
        real: bytes,
        method: str,
        digest: str,
        stamp: str = "",
        verdicts: Mapping[str, tuple[str, bool]] | None = None,
    ) -> None:
        """Something was hashed for the store. `digest`: SHA-256, base 16, of what the method says."""
        place = self._place(path, real)
        if place is None:
            return
        if place == ".":
            self._depend_on_place()  # its name may be the root's
        outcome = f"{method}:{digest}" + ("" if verdicts is None else f":{show_verdicts(verdicts)}")
        self._add("s", outcome, place, stamp)

    def copied(self, base: str, path: str, real: bytes, digest: str, stamp: str) -> None:
        """A store path holds all that is at a path, as an archive. What is read in it is read at that path."""
        self._copies[base] = (path, real, digest, stamp)
        self._copy_hashes[base[:32].encode("ascii")] = base

    def copied_to_read(self, base: str) -> None:
        """Somebody looks at what is in such a copy, and not at its name."""
        path, real, _, stamp = self._copies[base]
        place = self._place(path, real)
        if place is not None:
            self._add("p", "-", place, stamp)

    def _copy_shown(self, base: str) -> None:
        path, real, digest, stamp = self._copies[base]
        self.source(path, real, "nar", digest, stamp)

    def printed(self, texts: Iterable[bytes]) -> int:
        """Texts may name copies; -> the marks of that."""
        if not self._copies:
            return 0
        start = os.fsencode(self._store_prefix)
        hashes = {text[at : at + 32] for text in texts for at in _ends(text, start)}
        found = 0

        def collect(marks: int) -> None:
            nonlocal found
            found |= marks

        note, self._note = self._note, collect
        for name in sorted(hashes & self._copy_hashes.keys()):
            self._copy_shown(self._copy_hashes[name])
        self._note = note
        return found

    # -- the rest of the world -------------------------------------------------------------------------------------

    def environment(self, name: str, value: str) -> None:
        self._add("e", sha256(value.encode("latin-1")), quote(name.encode("latin-1")) or "%")

    def home(self, folder: str) -> None:
        self._add("h", sha256(folder.encode("latin-1")), "~")

    def store_object(self, base: str) -> None:
        """Something of a store path was looked at; the outcome is found out when the facts are asked for."""
        if base not in self._fetched and base != self.tree:
            self.objects[base] = None
            self._mark("object", base)

    def fetched(self, base: str) -> None:
        """A tree whose contents follow from a hash that evaluation was given."""
        self._fetched.add(base)
        self.objects.pop(base, None)

    def fetch(self, attributes: Mapping[str, object], result: Mapping[str, object], base: str) -> None:
        """A tree that may be another when it is fetched again."""
        self._add("f", quote(canonical(result)), quote(canonical(attributes)))
        self.fetched(base)

    def fetched_unlocked(self, attributes: Mapping[str, object], result: Mapping[str, object], base: str) -> None:
        """As `fetch`, unless it turns out to be the evaluated tree itself."""
        if base != self.tree and base not in self._fetched:
            self._unsettled[base] = (attributes, result)

    def shown(self, path: str) -> None:
        """A path became text: from here on anything may depend on where things are."""
        if path.startswith(self._store_prefix):
            base = path[len(self._store_prefix) :].partition("/")[0]
            if base == self.tree:
                self._depend_on_place()
            elif base in self._copies:
                self._copy_shown(base)
            return
        if not path.startswith(INTERNAL) and self.tree is None and not self._awaits_tree:
            self._depend_on_place()

    def named(self, path: str) -> None:
        """The base name of a path became text: below the root it is the same wherever the root is."""
        folder, _, base = path.rpartition("/")
        is_name_of_tree = folder + "/" == self._store_prefix and (base == self.tree or base in self._copies)
        if is_name_of_tree or (self.tree is None and not os.fsencode(path.encode("latin-1")).startswith(self._prefix)):
            self.shown(path)

    def compared(self, left: str, right: str, *, pure: bool) -> None:
        """Two paths were compared. Only where no text can tell where the tree is, that says nothing of it."""
        if not (pure and self.tree is not None and self._is_own(left) and self._is_own(right)):
            self.shown(left)
            self.shown(right)

    def _is_own(self, path: str) -> bool:
        """Whether it lies in the evaluated flake's tree."""
        return (path + "/").startswith(f"{self._store_prefix}{self.tree}/")

    def whole_tree(self) -> None:
        """The hash, revision or time of the evaluated tree was looked at."""
        self._depend_on_place()

    # -- places ----------------------------------------------------------------------------------------------------

    def _leads_to_root(self, real: bytes) -> bool:
        if self.root == b"/":
            return False
        return self._prefix.startswith(real.rstrip(b"/") + b"/")

    def _place(self, path: str, real: bytes) -> str | None:
        """None for what needs no fact of its own."""
        if path.startswith(self._store_prefix):
            base, _, rest = path[len(self._store_prefix) :].partition("/")
            if base == self.tree:
                return f"./{quote(rest.encode('latin-1'))}" if rest else "."
            if self._is_virtual(base):
                copy = self._copies.get(base)
                return None if copy is None else self._place(f"{copy[0]}/{rest}" if rest else copy[0], real)
            self.store_object(base)
            if self._awaits_tree:
                return f"?{base}/{quote(rest.encode('latin-1'))}" if rest else f"?{base}"
            return None
        if path.startswith(INTERNAL):
            return None
        if self.tree is None and not self._awaits_tree:
            if real.startswith(self._prefix):
                return f"./{quote(real[len(self._prefix) :])}"
            if real == self.root:
                return "."
            # Named relative to the root or not: who knows.
            self._depend_on_place()
        return quote(real)

    def _add(self, kind: str, outcome: str, place: str, stamp: str = "") -> None:
        key = _key(kind, outcome, place)
        number = self._known.get(key)
        if number is None:
            number = self._known[key] = len(self._facts)
            self._facts.append(Fact(kind, outcome, place))
            self._stamps.append(stamp)
            if number >= MAX_FACTS:
                self.refuse("too much was read")
        elif self._facts[number].outcome != outcome:
            self.refuse(f"'{place}' changed during the evaluation")
        if self._note is not None:
            self._note(1 << number)

    # -- results ---------------------------------------------------------------------------------------------------

    def settle(self, object_hash: Callable[[str], str | None]) -> None:
        """What was only named so far becomes facts. `object_hash`: the NAR hash of a store path that is valid; "-" for
        one that is not there; None refuses."""
        note, self._note = self._note, None
        for base, (attributes, result) in self._unsettled.items():
            self.fetch(attributes, result, base)
            if self._base is not None:
                self._base.facts |= 1 << self._known["f", quote(canonical(attributes))]
        self._unsettled.clear()
        for base in self.objects:
            if base not in self._object_hashes:
                found = self._object_hashes[base] = object_hash(base)
                if found is not None:
                    self._add("o", found, base)
                elif note is None:
                    self.refuse(unregistered(base))
        self._note = note

    def known(self, marks: int | None) -> Known:
        """What an answer with these marks rests on; without any all that was read. After `settle`."""
        if marks is None:
            refusal = self.refusal
            for base in self.objects:
                if refusal is None and self._object_hashes.get(base) is None:
                    refusal = unregistered(base)
            return Known(self._all_facts(), list(self.messages), self.bound, refusal)
        return self._known_by(marks)

    def _all_facts(self) -> int:
        return ((1 << len(self._facts)) - 1) & ~self._other_rows

    def encoded(self, rows: Iterable[int]) -> tuple[bytes, list[str]]:
        """(facts, stamps)"""
        kept = [number for number in rows if not self._is_implied(self._facts[number])]
        marks = [self._stamps[number] for number in kept if self._facts[number].kind in STAMPED]
        return encode([self._facts[number] for number in kept]), marks

    def _is_implied(self, fact: Fact) -> bool:
        """That a regular file was read, or a folder listed, says what kind it is and that it is no link."""
        if self._base is not None:
            return False  # another answer may rest on that
        if fact.kind == "k":
            return (fact.outcome == "r" and ("c", fact.place) in self._known) or (
                fact.outcome == "d" and ("d", fact.place) in self._known
            )
        if fact.kind == "l" and fact.outcome == "-":
            return ("c", fact.place) in self._known or ("d", fact.place) in self._known
        return False


def _key(kind: str, outcome: str, place: str) -> tuple[str, ...]:
    """Of one place several things may be copied."""
    return (kind, place, outcome) if kind == "s" else (kind, place)


def _ends(text: bytes, word: bytes) -> Iterator[int]:
    """Where something begins that follows a word."""
    at = text.find(word)
    while at >= 0:
        yield at + len(word)
        at = text.find(word, at + 1)


def unregistered(base: str) -> str:
    return f"the unregistered store path '{base}' was read"


def canonical(attributes: Mapping[str, object]) -> str:
    from frazil import plain_json

    return plain_json.dumps(dict(attributes))
