"""The loop of goals, without any builder."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from frazil.build.errors import DerivationFailed, Failure
from frazil.build.goals import A_WHILE, SLOT, Child, Done, EndOfFile, Goal, Loop, Output, Steps, TimedOut
from frazil.build.result import Status

OK = Done(Status.BUILT)


def loop(*, max_jobs: int = 1, keep_going: bool = False) -> Loop:
    return Loop(max_jobs=max_jobs, keep_going=keep_going, poll_interval=0.001)


def fail() -> Steps:
    raise DerivationFailed(Failure.PERMANENT_FAILURE, "no")
    yield


def wait_for(others: Sequence[Goal], log: list[str], name: str) -> Steps:
    try:
        yield others
        log.append(f"{name}: {sum(other.done is None for other in others)}")
        if any(other.done is None for other in others):
            raise DerivationFailed(Failure.DEPENDENCY_FAILED, name)
        return OK
    finally:
        log.append(f"{name} ends")


def test_goals_wait_for_each_other() -> None:
    log: list[str] = []
    run = loop()
    leaf = run.add(Goal("leaf"), wait_for([], log, "leaf"))
    top = run.add(Goal("top"), wait_for([leaf], log, "top"))
    run.run([top])
    assert log == ["leaf: 0", "leaf ends", "top: 0", "top ends"]
    assert top.done is OK


def test_a_failure_climbs_and_cuts_off_the_rest() -> None:
    log: list[str] = []

    def never() -> Steps:
        try:
            while True:
                yield A_WHILE
        finally:
            log.append("cut off")

    run = loop()
    bad, endless = Goal("bad"), Goal("endless")
    run.add(endless, never())
    run.add(bad, fail())
    top = run.add(Goal("top"), wait_for([bad, endless], log, "top"))
    run.run([top])
    assert isinstance(top.outcome, DerivationFailed)
    assert endless.outcome is None
    assert log == ["top: 2", "top ends", "cut off"]


def test_keep_going_waits_for_all() -> None:
    log: list[str] = []
    run = loop(keep_going=True)
    bad = run.add(Goal("bad"), fail())
    good = run.add(Goal("good"), wait_for([], log, "good"))
    top = run.add(Goal("top"), wait_for([bad, good], log, "top"))
    run.run([top])
    assert "top: 1" in log
    assert good.done is OK


def test_slots_are_handed_on() -> None:
    log: list[str] = []
    run = loop(max_jobs=1)

    def job(name: str) -> Steps:
        while run.running >= run.max_jobs:
            yield SLOT
        run.running += 1
        log.append(f"{name} starts")
        yield A_WHILE
        log.append(f"{name} ends")
        run.running -= 1
        return OK

    goals = [run.add(Goal(name), job(name)) for name in "abc"]
    run.run(goals)
    assert log == ["a starts", "a ends", "b starts", "b ends", "c starts", "c ends"]


def test_the_longest_chain_comes_first() -> None:
    """a and b are alone; c is what the chain d, e waits for, and d takes long; the last of the three starts first."""
    log: list[str] = []
    run = loop(max_jobs=1)
    run.cost = lambda key: {"d": 10.0}.get(str(key), 1.0)

    def job(name: str, needs: list[Goal]) -> Steps:
        if needs:
            yield needs
        while True:
            yield SLOT
            if run.running < run.max_jobs:
                break
        run.running += 1
        log.append(name)
        yield A_WHILE
        run.running -= 1
        return OK

    a, b, c, x = (run.add(Goal(name), job(name, [])) for name in "abcx")
    d = run.add(Goal("d"), job("d", [c]))
    e = run.add(Goal("e"), job("e", [d]))
    y = run.add(Goal("y"), job("y", [x]))
    run.run([a, b, e, y])
    assert log == ["c", "d", "x", "a", "b", "e", "y"]


def test_events_of_a_child() -> None:
    ours, theirs = os.pipe()
    seen: list[object] = []

    def follow() -> Steps:
        child = Child(ours, 0, 0, -1, lambda: None)
        while True:
            event = yield child
            seen.append(event)
            if isinstance(event, EndOfFile):
                return OK

    run = loop()
    os.write(theirs, b"text")
    os.close(theirs)
    run.run([run.add(Goal("child"), follow())])
    os.close(ours)
    assert seen == [Output(b"text"), EndOfFile()]


def test_a_silent_child_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()

    def follow() -> Steps:
        child = Child(ours, 0, 1, -1, lambda: None)
        child.heard -= 0.95
        event = yield child
        assert event == TimedOut(1)
        return OK

    run = loop()
    goal = run.add(Goal("child"), follow())
    run.run([goal])
    os.close(ours)
    os.close(theirs)
    assert goal.done is OK


def test_goals_that_wait_for_each_other_in_a_circle_are_a_bug() -> None:
    run = loop()
    one, two = Goal("one"), Goal("two")
    run.add(one, wait_for([two], [], "one"))
    run.add(two, wait_for([one], [], "two"))
    with pytest.raises(RuntimeError, match="wait for each other"):
        run.run([one])


def test_a_goal_that_cannot_clean_up_keeps_no_other_from_it() -> None:
    log: list[str] = []

    def sleeping(name: str) -> Steps:
        try:
            yield A_WHILE
            raise AssertionError("nobody wakes it")
        finally:
            log.append(name)
            if name == "b":
                raise OSError("no")

    run = Loop(max_jobs=1, keep_going=False, poll_interval=60)
    for name in "abc":
        run.add(Goal(name), sleeping(name))
    top = run.add(Goal("top"), fail())
    with pytest.raises(OSError, match="no"):
        run.run([top])
    assert log == ["c", "b", "a"]
