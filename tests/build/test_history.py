"""How long builds took."""

from __future__ import annotations

from pathlib import Path

from frazil.build.history import FILE, BuildTimes, name_of

from .support import Lab


def test_names() -> None:
    assert name_of("hello-2.12.1.drv") == "hello"
    assert name_of("python3-pip-23.drv") == "python3-pip"
    assert name_of("source") == "source"


def test_there_and_back(tmp_path: Path) -> None:
    folder = str(tmp_path / "cache")
    times = BuildTimes(folder)
    assert times.expected("a-1") is None
    times.note("a-1", 10)
    times.note("quick-1", 0.1)
    times.save()
    again = BuildTimes(folder)
    assert again.expected("a-2.drv") == 10
    assert again.expected("quick") is None
    again.note("a-3", 20)
    again.note("b", 100)
    again.note("c", 200)
    again.save()
    assert BuildTimes(folder).known == {"a": 15, "b": 100, "c": 200}
    assert BuildTimes(folder).usual() == 100


def test_what_is_damaged_or_absent_is_not_known(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"x y\n-1 a\n5\n5 \n\xff\xfe\n1e400 b\n3 c\nnan d\n")
    assert BuildTimes(str(tmp_path)).known == {"c": 3}
    assert BuildTimes(str(tmp_path / "none")).usual() == 1
    nothing = BuildTimes(None)
    nothing.note("a", 5)
    nothing.save()
    blocked = BuildTimes(str(tmp_path / FILE / "under-a-file"))
    blocked.note("a", 5)
    blocked.save()


def test_builds_are_noted(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    lab.build(lab.derivation("sleep 1.1; echo > $out", name="slow-1"), history=str(folder))
    (line,) = (folder / FILE).read_text().splitlines()
    assert line.endswith(" slow")
    assert float(line.split()[0]) >= 1
    lab.build(lab.derivation("echo > $out", name="slow-2"), history=str(folder))
    assert lab.events.estimates
    assert lab.events.estimates[0] >= 1
    assert lab.events.estimates[-1] == 0
