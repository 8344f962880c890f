"""Answers in a folder, for other machines: written by one cache, read by another.

`entries/HASH.json` is an answer with the digest of its question, named by its own hash, perhaps signed; `facts/ID` is
what it rests on; `questions/DIGEST` names the answers to a question, the newest first; `objects/BASE` the store
derivations and sources that answers name, with all that these refer to. An answer is only a claim: whoever reads one
checks its facts on his own files, and store paths are computed from the contents that come along. What remains to be
trusted is that the writer evaluated honestly; signatures say who it was.
Everything read is taken for hostile: bounded, checked by hash.
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib

from frazil.errors import FrazilError
from frazil.evalcache.database import Entry, Group, group_id, inflate, split_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from frazil.evalcache.database import Database, Row
    from frazil.store.local import LocalStore
    from frazil.store.path import StorePath
    from frazil.store.signatures import PublicKey, SecretKey

FORMAT = 3
MAX_ENTRY = 64 << 20
MAX_OBJECT = 256 << 20
MAX_ENTRIES = 1_000_000
MAX_LIST = 1 << 16
MAX_DETAIL = 1 << 20
MOST_ANSWERS = 32
"""To one question, of one folder."""
IMPORTED = ""
"""The root of answers that came from elsewhere: they hold wherever their facts do."""


class ShareError(FrazilError):
    """A folder that cannot be written or read."""


class Unshareable(Exception):
    """An answer that cannot be of use elsewhere, or that is not what it should be."""


_REFUSALS = (Unshareable, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, FrazilError)
"""What reading somebody else's files may come to."""


# -- writing -------------------------------------------------------------------------------------------------------


def export(
    database: Database, store: LocalStore, folder: str, program: str, keys: Iterable[SecretKey] = ()
) -> tuple[int, int, int]:
    """Adds all answers that may hold elsewhere to a folder. `program`: whose answers; nobody asks for those of others
    again. -> (written or there already, left out, of other programs)"""
    written = left_out = old = 0
    signing = list(keys)
    try:
        for name in ("entries", "facts", "objects", "questions"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        for row in database.every():
            if row.program != program:
                old += 1
                continue
            try:
                _export_row(database, store, folder, row, signing)
                written += 1
            except Unshareable:
                left_out += 1
    except OSError as error:
        raise ShareError(f"writing to '{folder}': {error.strerror}") from error
    return written, left_out, old


def may_hold_elsewhere(bound: str) -> bool:
    """What a flake's tree is, as JSON, may be the same elsewhere; a folder, and the state of its files, are not."""
    return not bound or bound.startswith("{")


def _export_row(database: Database, store: LocalStore, folder: str, row: Row, keys: list[SecretKey]) -> None:
    if not may_hold_elsewhere(row.bound):
        raise Unshareable("it depends on where the tree is")
    names = []
    for identifier in split_ids(row.groups):
        facts = database.group(identifier)
        if facts is None:
            raise Unshareable("its facts were lost")
        names.append(identifier.hex())
        _write_once(os.path.join(folder, "facts", identifier.hex()), zlib.compress(facts, 6))
    answer = json.loads(row.answer)
    for path in needed(store, answer):
        _export_closure(store, folder, path)
    body = {
        "format": FORMAT,
        "question": row.question.hex(),
        "bound": row.bound,
        "answer": answer,
        "facts": names,
        "description": row.description,
        "detail": row.detail,
        "program": row.program,
        "storeDir": store.directory.path,
    }
    text = _canonical(body)
    signatures = [str(key.sign(text)) for key in keys]
    data = json.dumps({"body": body, "signatures": signatures}, sort_keys=True).encode("ascii")
    from hashlib import sha256

    name = sha256(text).hexdigest() + ".json"
    target = os.path.join(folder, "entries", name)
    if signatures:
        _write(target, data)
    else:
        _write_once(target, data)
    _list_answer(os.path.join(folder, "questions", row.question.hex()), name)


def _list_answer(path: str, name: str) -> None:
    """Two writers at once may lose each other's line, and the next export adds it again."""
    known: list[str] = []
    if os.path.lexists(path):
        known = read_bounded(path, MAX_LIST).decode("ascii", "replace").split()
    if name not in known:
        _write(path, "".join(f"{line}\n" for line in [name, *known][:MOST_ANSWERS]).encode("ascii", "replace"))


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")


def needed(store: LocalStore, answer: Mapping[str, Any]) -> list[StorePath]:
    """The store paths that an answer names; of a built output its derivation. Raises Unshareable."""
    from frazil.store.errors import BadStorePath

    if "environment" in answer:
        raise Unshareable("it is a built environment")
    found = []
    for text in answer.get("needs", ()):
        if not isinstance(text, str):
            raise Unshareable("damaged")
        try:
            found.append(store.directory.parse(text.lstrip("=").rpartition("!")[2]))
        except BadStorePath as error:
            raise Unshareable(error.message) from error
    return found


def _export_closure(store: LocalStore, folder: str, path: StorePath) -> None:
    pending = [path]
    while pending:
        current = pending.pop()
        target = os.path.join(folder, "objects", current.base)
        if os.path.lexists(target):
            continue  # what it refers to was written before it
        info = store.query_info_or_none(current)
        if info is None or info.content_address is None:
            raise Unshareable(f"'{current.base}' is not addressed by its contents")
        missing = [
            other
            for other in info.references
            if other != current and not os.path.lexists(os.path.join(folder, "objects", other.base))
        ]
        if missing:
            pending += [current, *missing]
            continue
        method = info.content_address.method
        if method not in ("text", "nar", "flat") or (method != "text" and info.references):
            raise Unshareable(f"'{current.base}' cannot be made again from its contents alone")
        if info.nar_size > MAX_OBJECT:
            raise Unshareable(f"'{current.base}' is too large")
        header = {"method": method, "references": sorted(other.base for other in info.references)}
        data = _contents(store, current, method)
        _write_once(target, json.dumps(header).encode("ascii") + b"\n" + zlib.compress(data, 6))


def _contents(store: LocalStore, path: StorePath, method: str) -> bytes:
    if method != "nar":
        with open(store.real_path(path), "rb") as file:
            return file.read(MAX_OBJECT)
    from frazil.store import nar

    parts: list[bytes] = []
    nar.dump_path(store.real_path(path), parts.append)
    return b"".join(parts)


def _write_once(path: str, data: bytes) -> None:
    if not os.path.lexists(path):
        _write(path, data)


def _write(path: str, data: bytes) -> None:
    """Readers see all of it or nothing."""
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


# -- reading -------------------------------------------------------------------------------------------------------


def import_(
    database: Database,
    store: LocalStore,
    folder: str,
    program: str,
    trusted: Iterable[PublicKey] | None,
    complain: Callable[[str], None],
) -> tuple[int, int]:
    """Takes over the answers of a folder. -> (taken, refused). `program`: who is to ask for them. `trusted`: None for
    no signature needed."""
    taken = refused = 0
    keys = None if trusted is None else list(trusted)
    reader = _Reader(database, store, program, lambda name, limit: read_bounded(os.path.join(folder, name), limit))
    try:
        names = sorted(os.listdir(os.path.join(folder, "entries")))[:MAX_ENTRIES]
    except OSError as error:
        raise ShareError(
            f"reading '{folder}': {error.strerror}", hint="`frazil eval-cache export` writes such a folder"
        ) from error
    for name in names:
        if not name.endswith(".json"):
            continue
        try:
            reader.take(name, keys)
            taken += 1
        except _REFUSALS as error:
            refused += 1
            complain(f"'{name}' is not taken over: {error}")
    return taken, refused


class Offer:
    """An answer that somebody else computed. `accept` takes it over, with the store objects that it names."""

    def __init__(self, entry: Entry, facts: Mapping[bytes, bytes], accept: Callable[[], None]) -> None:
        self.entry, self.facts, self.accept = entry, facts, accept


class Lender:
    """Places to look for answers that are not known here. `places`: by name, how to read a file of each."""

    def __init__(
        self,
        database: Database,
        store: Callable[[], LocalStore],
        program: Callable[[], str],
        places: Mapping[str, Callable[[str, int], bytes]],
        keys: list[PublicKey] | None,
        complain: Callable[[str], None],
    ) -> None:
        self.database, self.places, self.keys, self.complain = database, dict(places), keys, complain
        self._store, self._program = store, program

    def offers(self, question: bytes) -> Iterator[Offer]:
        """Answers to a question. What is wrong with one is said, and the next is tried."""
        for place, fetch in list(self.places.items()):
            names = self._names(place, fetch, question)
            reader = _Reader(self.database, self._store(), self._program(), fetch) if names else None
            for name in names:
                assert reader is not None
                try:
                    offer = reader.offer(name, self.keys)
                    if offer.entry.question != question:
                        raise Unshareable("it answers another question")
                except _REFUSALS as error:
                    self.complain(f"'{name}' of '{place}' is not taken over: {error}")
                    continue
                yield offer

    def _names(self, place: str, fetch: Callable[[str, int], bytes], question: bytes) -> list[str]:
        try:
            names = fetch(f"questions/{question.hex()}", MAX_LIST).decode("ascii", "replace").split()
        except FileNotFoundError:
            return []
        except _REFUSALS as error:
            self.complain(f"evaluations at '{place}' cannot be read: {error}")
            del self.places[place]
            return []
        return [name for name in names[:MOST_ANSWERS] if name.removesuffix(".json").isalnum()]

    def accept(self, offer: Offer) -> bool:
        try:
            offer.accept()
        except _REFUSALS as error:
            self.complain(f"an answer is not taken over: {error}")
            return False
        return True


class _Reader:
    """`fetch(name, limit)`: the bytes of a file of the folder; raises OSError, or whatever a FrazilError says."""

    def __init__(self, database: Database, store: LocalStore, program: str, fetch: Callable[[str, int], bytes]) -> None:
        self.database, self.store, self.program, self.fetch = database, store, program, fetch
        self._present: set[str] = set()

    def take(self, name: str, keys: list[PublicKey] | None) -> None:
        self.offer(name, keys).accept()

    def offer(self, name: str, keys: list[PublicKey] | None) -> Offer:
        """An answer as it is there, whole and signed; nothing was taken over yet."""
        record = json.loads(self.fetch(f"entries/{name}", MAX_ENTRY))
        body = record["body"]
        text = _canonical(body)
        if keys is not None:
            _check_signatures(text, record["signatures"], keys)
        if body["format"] != FORMAT or body["storeDir"] != self.store.directory.path:
            raise Unshareable("it is of another format, or for another store directory")
        if body["program"] != self.program:
            raise Unshareable("another version of the program computed it")
        question, answer, bound = bytes.fromhex(body["question"]), body["answer"], body["bound"]
        if not isinstance(answer, dict) or not isinstance(bound, str) or len(question) != 32:
            raise Unshareable("it is damaged")
        if not may_hold_elsewhere(bound):
            raise Unshareable("it depends on where a tree is")
        groups = self._groups(body["facts"])
        data = _canonical(answer)
        said, detail = str(body["description"])[:500], str(body["detail"])[:MAX_DETAIL]
        entry = Entry(question, IMPORTED, bound, data, b"".join(groups), said, self.program, b"", detail)

        def accept() -> None:
            for path in needed(self.store, answer):
                self._add(path)
            self.database.put(groups, [entry])

        return Offer(entry, {name: group.facts for name, group in groups.items()}, accept)

    def _groups(self, names: list[str]) -> dict[bytes, Group]:
        found: dict[bytes, Group] = {}
        for name in [bytes.fromhex(text) for text in names]:
            facts = inflate(self.fetch(f"facts/{name.hex()}", MAX_OBJECT))
            if group_id(facts) != name:
                raise Unshareable("its facts are damaged")
            found[name] = Group(facts, ())
        return found

    def _add(self, path: StorePath) -> None:
        """A store object and all that it refers to; each is where its contents say."""
        pending: list[tuple[StorePath, tuple[dict[str, Any], bytes] | None]] = [(path, None)]
        waiting: set[str] = set()
        while pending:
            current, known = pending.pop()
            if current.base in self._present or self.store.is_valid(current):
                self._present.add(current.base)
                continue
            header, data = known or self._object(current)
            references = [type(current).from_base(base) for base in header["references"]]
            missing = [other for other in references if other != current and not self.store.is_valid(other)]
            if missing and current.base in waiting:
                raise Unshareable(f"'{current.base}' refers to itself in a circle")
            if missing:
                waiting.add(current.base)
                pending.append((current, (header, data)))
                pending += [(other, None) for other in missing]
                continue
            if self._make(current, header["method"], data, references) != current:
                raise Unshareable(f"'{current.base}' is not what its name says")
            self._present.add(current.base)

    def _object(self, path: StorePath) -> tuple[dict[str, Any], bytes]:
        head, _, data = self.fetch(f"objects/{path.base}", MAX_OBJECT).partition(b"\n")
        header = json.loads(head)
        if not isinstance(header, dict) or not isinstance(header.get("references"), list):
            raise Unshareable(f"'{path.base}' is damaged")
        return header, inflate(data)

    def _make(self, path: StorePath, method: str, data: bytes, references: list[StorePath]) -> StorePath:
        """Refuses before anything is written what would end elsewhere."""
        from frazil.digest import Hash

        directory = self.store.directory
        if method == "text":
            wanted = directory.make_text_path(path.name, Hash.of("sha256", data).digest, frozenset(references))
            return self.store.add_text(path.name, data, references) if wanted == path else wanted
        if references or method not in ("nar", "flat"):
            raise Unshareable(f"'{path.base}' cannot be made from its contents")
        wanted = directory.make_fixed_output_path(method, Hash.of("sha256", data), path.name)
        if wanted != path:
            return wanted
        if method == "flat":
            return self.store.add_bytes(path.name, data, method="flat")
        return self._restore(path, data)

    def _restore(self, path: StorePath, data: bytes) -> StorePath:
        import io

        from frazil.store import nar

        with tempfile.TemporaryDirectory(prefix="frazil-import-") as scratch:
            target = os.path.join(scratch, "object")
            nar.restore(io.BytesIO(data).read, target)
            return self.store.add_path(path.name, target)


def read_bounded(path: str, limit: int) -> bytes:
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Unshareable(f"'{os.path.basename(path)}' is too large")
    return data


def _check_signatures(text: bytes, signatures: object, keys: list[PublicKey]) -> None:
    from frazil.store.signatures import Signature

    if isinstance(signatures, list):
        for written in signatures[:100]:
            signature = Signature.parse(str(written))
            if any(key.verifies(text, signature) for key in keys):
                return
    raise Unshareable("it is not signed by a trusted key")


def folder_of(text: str) -> str:
    """A folder, also as a `file://` URL. Raises ShareError."""
    if text.startswith("file://"):
        from urllib.parse import unquote

        text = unquote(text[len("file://") :])
    elif "://" in text:
        raise ShareError(
            f"'{text}' is no folder", hint="answers of a web server are used by the setting frazil-evaluation-caches"
        )
    if not text or "\0" in text:
        raise ShareError("the name of the folder is missing")
    return os.path.abspath(text)
