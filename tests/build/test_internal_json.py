"""internal-json, read as strictly as nix-output-monitor reads it: what it cannot parse is an error on its screen."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from frazil.build.errors import BuildFailed
from frazil.build.scheduler import realise
from frazil.cli.reporter import JsonReporter
from frazil.store.copying import copy_closure
from frazil.store.derived_path import DerivedPath
from frazil.store.opening import open_store

from .support import Lab

_OBJECT = re.compile(r"/[^ ]*/[0-9a-z]{32}-[^/]+")
_FIELDS = {100: "ppp", 101: "s", 105: "dsii", 108: "ps", 109: "ps", 110: "d"}
"""Kind of activity → its fields: object or place, text, derivation, number."""
_RESULTS = {100: "ii", 101: "s", 102: "p", 103: "p", 104: "s", 105: "iiii", 106: "ii", 107: "s", 108: "s"}


def _fits(kinds: str, fields: list[object]) -> bool:
    if len(kinds) != len(fields):
        return False
    for kind, value in zip(kinds, fields):
        if isinstance(value, str) != (kind != "i") or isinstance(value, bool):
            return False
        if kind == "d" and not (_OBJECT.fullmatch(str(value)) and str(value).endswith(".drv")):
            return False
    return kinds[0] != "p" or bool(_OBJECT.fullmatch(str(fields[0])))


class Reader:
    def __init__(self) -> None:
        self.running: dict[int, int] = {}
        self.kinds: list[int] = []
        self.texts: list[tuple[int, str]] = []
        self.errors: list[str] = []

    def write(self, line: str) -> None:
        assert line.startswith("@nix {") and line.endswith("}\n"), line
        record = json.loads(line[5:])
        getattr(self, "_" + record.pop("action"))(record)

    def _msg(self, record: dict[str, object]) -> None:
        assert record["level"] in range(8) and isinstance(record["msg"], str), record
        if record["level"] == 0 and str(record["msg"]).startswith("error:"):
            self.errors.append(str(record["msg"]))
            assert isinstance(record["raw_msg"], str) and {"line", "column", "file"} <= set(record)

    def _start(self, record: dict[str, object]) -> None:
        number, kind = record["id"], record["type"]
        assert isinstance(number, int) and number > 0 and number not in self.running
        assert isinstance(kind, int) and (kind == 0 or kind in range(100, 113)), record
        assert record["level"] in range(8) and isinstance(record["text"], str) and isinstance(record["parent"], int)
        fields = record.get("fields", [])
        assert isinstance(fields, list)
        assert kind not in _FIELDS or _fits(_FIELDS[kind], fields), record
        self.running[number] = kind
        self.kinds.append(kind)

    def _stop(self, record: dict[str, object]) -> None:
        assert isinstance(record["id"], int)
        del self.running[record["id"]]

    def _result(self, record: dict[str, object]) -> None:
        kind, fields, number = record["type"], record["fields"], record["id"]
        assert isinstance(kind, int) and isinstance(fields, list) and isinstance(number, int)
        assert _fits(_RESULTS[kind], fields), record
        assert number in self.running
        if kind in (101, 104):
            self.texts.append((self.running[number], fields[0]))


def _listen(lab: Lab) -> Reader:
    reader = Reader()
    lab.events = JsonReporter(write=reader.write)  # type: ignore[assignment]
    return reader


def test_builds_and_failures(lab: Lab) -> None:
    phase = '\'@nix {"action":"setPhase","phase":"buildPhase"}\''
    good = f"echo hello; echo {phase} >&2; echo > $out"
    before = lab.events
    reader = _listen(lab)
    try:
        below = lab.derivation(good, name="below")
        lab.build(lab.derivation("cat @below@ > $out", name="above", needs=[below]))
        assert reader.kinds.count(105) == 2 and {102, 103, 104} <= set(reader.kinds)
        assert (105, "hello") in reader.texts and (105, "buildPhase") in reader.texts
        assert not reader.running and not reader.errors
        drvs = [lab.derivation(f"echo; exit {number}", name=f"bad-{number}") for number in (3, 4)]
        with pytest.raises(BuildFailed):
            lab.build(*drvs, keep_going=True)
        # What it takes the exit status of a build from.
        pattern = r"error: Cannot build '\S+-bad-[34]\.drv'\.\n       Reason: builder failed with exit code [34]\.\n"
        assert len(reader.errors) == 2 and all(re.match(pattern, text) for text in reader.errors)
        assert not reader.running
    finally:
        lab.events = before


def test_substitution(lab: Lab, tmp_path: Path) -> None:
    (result,) = lab.build(lab.derivation("echo > $out", name="fetched-1.0"))
    path = result.outputs["out"]
    address = f"file://{tmp_path}/cache?trusted=true"
    cache = open_store(address, lab.store.settings, lab.events, {})
    copy_closure(lab.store, cache, [path], lab.events, check_signatures=False)
    cache.close()
    there = Lab(tmp_path / "there")
    reader = _listen(there)
    with there.store:
        settings = there.settings(substituters=(address,))
        realise(there.store, [DerivedPath(path)], settings, there.events)
        assert there.store.is_registered(path)
    assert {100, 108, 109} <= set(reader.kinds)
    assert not reader.running
