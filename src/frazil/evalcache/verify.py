"""Whether facts still hold: the world is asked again, and no more of it than the facts name.

In: facts and the stamps kept with them. Out: what no longer holds, or None; and stamps to keep for the next time. What
a work tree shows of its files (all of them, or those that git tracks) is a `View`.
"""

from __future__ import annotations

import os
import stat
import time

from frazil.evalcache.facts import LETTERS, Fact, listing_hash, quote, read_verdicts, sha256, unquote
from frazil.evalcache.stamps import (
    can_be_copied,
    file_kind,
    is_as_stamped,
    keep_by_verdict,
    listed_tree_stamp,
    settled_stamp,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_KIND_LETTERS = {stat.S_IFREG: "r", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}
MAX_READ = 1 << 32


class View:
    """The files at and below a root as they are. Places are absolute."""

    def __init__(self, root: bytes) -> None:
        self.root = root
        self._seen: dict[bytes, os.stat_result | None] = {}

    def status(self, path: bytes) -> os.stat_result | None:
        """As lstat; None where there is nothing. Raises OSError for what cannot be looked at."""
        try:
            return self._seen[path]
        except KeyError:
            pass
        try:
            found: os.stat_result | None = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            found = None
        self._seen[path] = found
        return found

    def listing(self, path: bytes) -> dict[str, str]:
        """Name (byte string) to kind."""
        with os.scandir(path) as entries:
            return {e.name.decode("latin-1"): file_kind(e.stat(follow_symlinks=False).st_mode) for e in entries}

    def keep(self) -> Callable[[str, str], bool] | None:
        """Which files of the root are part of it, for copying; None for all."""
        return None


class Verifier:
    """One look at the world: what was found out is not asked again.

    `object_hash`: as for `Recorder.settle`. `fetch`: attributes to the attributes that fetching gives now (raises
    whatever fetching raises). `home`: a byte string.
    """

    def __init__(
        self,
        view: View,
        *,
        environment: Mapping[bytes, bytes],
        home: str,
        object_hash: Callable[[str], str | None],
        fetch: Callable[[str], str],
    ) -> None:
        self.view = view
        self._environment = environment
        self._home = home
        self._object_hash = object_hash
        self._fetch = fetch
        self._checked: dict[Fact, bool] = {}
        self._found: dict[tuple[str, bytes], str] = {}

    def place(self, place: str) -> bytes:
        if place == ".":
            return self.view.root
        if place.startswith("./"):
            return self.view.root + b"/" + unquote(place[2:])
        return unquote(place)

    def check(self, facts: Sequence[Fact], stamps: Sequence[str]) -> tuple[Fact | None, list[str]]:
        """(the first fact that no longer holds, stamps as they are now). Stamps may be missing."""
        found: list[str] = []
        known = iter(stamps)
        view_status, root = self.view.status, self.view.root + b"/"
        for fact in facts:
            kind, outcome, place = fact
            try:
                if kind not in "kcdlsp":
                    if not self._other(fact):
                        return fact, found
                    continue
                if place[:2] == "./" and "%" not in place:
                    path = root + place[2:].encode("ascii")
                else:
                    path = self.place(place)
                if kind == "k" or kind == "l":
                    status = view_status(path)
                    if kind == "k":
                        letter = "-" if status is None else _KIND_LETTERS.get(stat.S_IFMT(status.st_mode), "u")
                        if letter != outcome:
                            return fact, found
                    elif not self._link_holds(path, status, outcome):
                        return fact, found
                else:
                    holds, mark = self._stamped(fact, path, next(known, ""))
                    if not holds:
                        return fact, found
                    found.append(mark)
            except (OSError, LookupError, ValueError, RecursionError):
                return fact, found
        return None, found

    def _link_holds(self, path: bytes, status: os.stat_result | None, outcome: str) -> bool:
        is_link = status is not None and stat.S_ISLNK(status.st_mode)
        if outcome == "-" or not is_link:
            return is_link == (outcome != "-")
        return quote(os.readlink(path)) == ("" if outcome == "%" else outcome)

    def _stamped(self, fact: Fact, path: bytes, known: str) -> tuple[bool, str]:
        """Whether it holds, and the stamp to keep."""
        if known and (fact.kind not in "sp" or self.view.keep() is None) and is_as_stamped(path, known):
            return True, known
        status = self.view.status(path)
        if status is None:
            return False, ""
        if fact.kind in "sp":
            return self._source_holds(path, status, fact, known)
        if fact.kind == "d":
            if not stat.S_ISDIR(status.st_mode):
                return False, ""
            mark = settled_stamp(status, time.time_ns())
            return self._once("d", path, lambda: listing_hash(self.view.listing(path))) == fact.outcome, mark
        if not stat.S_ISREG(status.st_mode):
            return False, ""
        mark = settled_stamp(status, time.time_ns())
        return self._once("c", path, lambda: self._contents(path)) == fact.outcome, mark

    def _once(self, what: str, path: bytes, look: Callable[[], str]) -> str:
        """Several answers may ask the same."""
        known = self._found.get((what, path))
        if known is None:
            known = self._found[what, path] = look()
        return known

    def _contents(self, path: bytes) -> str:
        with open(path, "rb", buffering=0) as file:
            return sha256(file.read(MAX_READ))

    def _source_holds(self, path: bytes, status: os.stat_result, fact: Fact, known: str) -> tuple[bool, str]:
        method, _, rest = fact.outcome.partition(":")
        digest, colon, text = rest.partition(":")
        verdicts = read_verdicts(text) if colon else None
        now = time.time_ns()
        own = self.view.keep()
        if own is not None and verdicts is None and stat.S_ISDIR(status.st_mode):
            # Only part of what is there belongs to the tree: no stamp of all of it says anything.
            mark = ""
        elif stat.S_ISDIR(status.st_mode):
            mark = (
                self._once("t", path, lambda: listed_tree_stamp(path, now))
                if verdicts is None
                else listed_tree_stamp(path, now, verdicts)
            )
        else:
            mark = settled_stamp(status, now)
        if known and (known == mark):
            return True, known
        if fact.kind == "p":
            return can_be_copied(path, own), mark
        return self._hash_source(path, method, verdicts, own) == digest, mark

    def _hash_source(
        self,
        path: bytes,
        method: str,
        verdicts: Mapping[str, tuple[str, bool]] | None,
        own: Callable[[str, str], bool] | None,
    ) -> str:
        from frazil.store import nar

        name = os.fsdecode(path)
        if method == "flat":
            return nar.hash_flat(name, "sha256")[0].base16
        if verdicts is None:
            return self._once("s", path, lambda: nar.hash_path(name, "sha256", filter=own)[0].base16)
        keep = by_verdict = keep_by_verdict(verdicts, name)
        if own is not None:
            shown = own
            keep = lambda inner, kind: shown(inner, kind) and by_verdict(inner, kind)  # noqa: E731
        return nar.hash_path(name, "sha256", filter=keep)[0].base16

    def _other(self, fact: Fact) -> bool:
        known = self._checked.get(fact)
        if known is None:
            known = self._checked[fact] = self._look(fact)
        return known

    def _look(self, fact: Fact) -> bool:
        kind, outcome, place = fact
        if kind == "C":
            return self._contents(self.place(place)) == outcome
        if kind == "e":
            name = b"" if place == "%" else unquote(place)
            return sha256(self._environment.get(name, b"")) == outcome
        if kind == "h":
            return sha256(self._home.encode("latin-1")) == outcome
        if kind == "o":
            return self._object_hash(place) == outcome
        return self._fetch(unquote(place).decode("utf-8")) == unquote(outcome).decode("utf-8")


def explain(fact: Fact) -> str:
    """What is different, for people."""
    kind, outcome, place = fact
    name = place if kind in "hof" else os.fsdecode(unquote(place))
    if kind in "cC":
        return f"the file '{name}' has other contents, or is gone"
    if kind == "d":
        return f"the folder '{name}' has other entries, or is gone"
    if kind == "k":
        words = {letter: word for word, letter in LETTERS.items()}
        if outcome == "-":
            return f"'{name}' did not exist, and does now"
        return f"'{name}' is no longer what it was ({words.get(outcome, outcome)})"
    if kind == "l":
        if outcome == "-":
            return f"'{name}' became a symbolic link"
        return f"the symbolic link '{name}' leads elsewhere, or is none"
    if kind == "s":
        return f"the source '{name}' that is copied to the store changed"
    if kind == "p":
        return f"'{name}', in which something was read after copying it to the store, cannot be copied now"
    if kind == "e":
        return f"the environment variable '{name}' has another value"
    if kind == "h":
        return "the home folder is another"
    if kind == "o":
        return f"the store path '{name}' that was read is not there, or is another"
    return f"fetching {os.fsdecode(unquote(place))} gives another tree"
