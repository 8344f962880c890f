"""Lines, messages and files of build logs."""

from __future__ import annotations

import bz2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.build.log import MAXIMUM_LINE, BuildLog, LogFile, log_path, read_log
from frazil.errors import FrazilError

from .support import Events

BASE = "abcdefghijklmnopqrstuvwxyz012345-x.drv"


def feed(*chunks: bytes, tail: int = 25) -> tuple[Events, BuildLog]:
    events = Events()
    with Activity(events, ActivityType.BUILD, "building") as activity:
        log = BuildLog(activity, tail)
        for chunk in chunks:
            log.feed(chunk)
        log.close()
    return events, log


@given(st.lists(st.binary(max_size=8).filter(lambda b: b"\r" not in b and b"@" not in b)))
def test_chunks_do_not_matter(chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    lines = [line.decode("utf-8", "replace") for line in whole.split(b"\n")]
    if lines[-1] == "":
        lines.pop()
    assert feed(*chunks)[0].lines == lines


def test_carriage_returns() -> None:
    assert feed(b"10%\r20%\r100%\nplain\r", b"\nlast\r")[0].lines == ["100%", "plain", "last"]


def test_the_tail_is_bounded() -> None:
    assert list(feed(b"1\n2\n3\n", tail=2)[1].tail) == ["2", "3"]
    assert list(feed(b"1\n", tail=0)[1].tail) == []


def test_a_line_without_end_is_cut() -> None:
    events, _ = feed(b"x" * (MAXIMUM_LINE + 1), b"y\n")
    assert len(events.lines) == 2


def test_transfers_become_activities_and_others_do_not() -> None:
    start = b'@nix {"action":"start","id":5,"level":3,"type":%d,"text":"t","fields":["u",1]}\n'
    events, _ = feed(start % 101, b'@nix {"action":"result","id":5,"type":105,"fields":[1,2,0,0]}\n', start % 104)
    assert [text for kind, text in events.started if kind is ActivityType.FILE_TRANSFER] == ["t"]
    assert not events.running


@pytest.mark.parametrize(
    "payload",
    [b"{", b"[]", b"{}", b'{"action":5}', b'{"action":"setPhase"}', b'{"action":"setPhase","phase":1}', b"[" * 99999],
)
def test_bad_messages_are_lines(payload: bytes) -> None:
    events, _ = feed(b"@nix " + payload + b"\n")
    assert len(events.lines) == 1
    assert events.messages[0][0] is Verbosity.WARN


def test_files_are_kept_compressed(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path), BASE, compress=True)
    file.write(b"line\n")
    file.close()
    path = tmp_path / "drvs" / BASE[:2] / (BASE[2:] + ".bz2")
    assert bz2.decompress(path.read_bytes()) == b"line\n"
    assert read_log(str(tmp_path), BASE) == b"line\n"
    path.write_bytes(b"BZh9garbage that is no archive at all")
    with pytest.raises(FrazilError, match="is corrupt"):
        read_log(str(tmp_path), BASE)


def test_files_can_be_plain_or_absent(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path), BASE, compress=False)
    file.write(b"x")
    file.close()
    assert log_path(str(tmp_path), BASE) == str(tmp_path / "drvs" / BASE[:2] / BASE[2:])
    assert read_log(str(tmp_path), "zz" + BASE) is None
    LogFile(None, BASE, compress=True).write(b"nowhere")


def test_an_unfinished_log_reads_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "drvs" / BASE[:2]
    path.mkdir(parents=True)
    (path / (BASE[2:] + ".bz2")).write_bytes(b"")
    assert read_log(str(tmp_path), BASE) == b""
