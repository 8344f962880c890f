"""Cooperating tasks and the loop that runs them.

A goal is a generator. It yields what it waits for: a list of other goals, `SLOT` (a free place for a builder),
`A_WHILE` (a lock to be tried again), a `Child` (its next event), or a `Job` (something that another thread does, such
as fetching). One thread runs all goals with `poll`: builders are processes of their own, all that happens here is
moving log bytes and registering outputs. Source of truth for what a failure does to others: libstore's `Goal` and
`Worker`.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from frazil.build.errors import DerivationFailed, Failure
from frazil.build.result import Status
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from concurrent.futures import Future

    from frazil.build.cgroups import Usage

SLOT = "slot"
A_WHILE = "a while"
READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Done:
    """A goal's success."""

    status: Status
    outputs: Mapping[str, StorePath] = field(default_factory=dict)
    derivation: StorePath | None = None
    start_time: int = 0
    stop_time: int = 0
    usage: Usage | None = None
    """What the builder used, where its control group says."""


Outcome = Done | DerivationFailed


@dataclass(frozen=True, slots=True)
class Output:
    """`descriptor`: where it came from, for a child with two."""

    data: bytes
    descriptor: int = field(default=-1, compare=False)


@dataclass(frozen=True, slots=True)
class EndOfFile:
    descriptor: int = field(default=-1, compare=False)


@dataclass(frozen=True, slots=True)
class TimedOut:
    seconds: int


Event = Output | EndOfFile | TimedOut
Wait: TypeAlias = "Sequence[Goal] | str | Child | Job"
Steps = Generator[Wait, Event | None, Outcome]


class Goal:
    """`quiet`: whoever waits for it reports its failure itself."""

    __slots__ = ("failed", "key", "outcome", "quiet", "rank", "steps", "waiters", "waiting")

    def __init__(self, key: object, *, quiet: bool = False) -> None:
        self.key = key
        self.quiet = quiet
        self.steps: Steps | None = None
        self.outcome: Outcome | None = None
        self.waiters: list[Goal] = []
        self.waiting: set[Goal] = set()
        self.failed = 0
        """How many of the goals it waited for last have failed."""
        self.rank: float | None = None
        """How long the longest chain of what waits for it takes; None until asked for."""

    @property
    def done(self) -> Done | None:
        return self.outcome if isinstance(self.outcome, Done) else None


class Child:
    """What a running program writes, to one descriptor or two, and its time limits (seconds, 0 for none).

    `exit_descriptor` becomes readable when the builder itself ends, -1 for none; `on_exit` then ends what it left
    running, which would otherwise hold the terminal open.
    """

    __slots__ = ("descriptor", "exit_descriptor", "goal", "heard", "on_exit", "second", "silence", "started", "total")

    def __init__(
        self,
        descriptor: int,
        total: int = 0,
        silence: int = 0,
        exit_descriptor: int = -1,
        on_exit: Callable[[], None] = lambda: None,
        second: int = -1,
    ) -> None:
        self.descriptor = descriptor
        self.second = second
        self.exit_descriptor = exit_descriptor
        self.on_exit = on_exit
        self.total = total
        self.silence = silence
        self.started = self.heard = time.monotonic()
        self.goal: Goal | None = None

    def deadline(self) -> tuple[float, int] | None:
        """When it times out, and after how long."""
        limits = []
        if self.silence:
            limits.append((self.heard + self.silence, self.silence))
        if self.total:
            limits.append((self.started + self.total, self.total))
        return min(limits) if limits else None


class Job:
    """What a thread does. The goal that waits for it asks `future` for what came of it."""

    __slots__ = ("future", "goal")

    def __init__(self, future: Future[Any]) -> None:
        self.future = future
        self.goal: Goal | None = None


class Loop:
    """Runs goals until the wanted ones are done."""

    def __init__(self, *, max_jobs: int, keep_going: bool, poll_interval: float) -> None:
        self.max_jobs = max_jobs
        self.keep_going = keep_going
        self.poll_interval = poll_interval
        self.tick: tuple[float, Callable[[], None]] | None = None
        """(seconds, what to do at least that often while waiting)."""
        self.running = 0
        """Builders that occupy a slot; counted by those who start them."""
        self.stopping = False
        self._ready: deque[tuple[Goal, Event | None]] = deque()
        self._for_slot: list[Goal] = []
        self.cost: Callable[[object], float] = lambda key: 1.0
        """How long the goal of a key may take; what the longest chain waits for is started first."""
        self._sleeping: list[tuple[float, Goal]] = []
        self._children: dict[int, Child] = {}
        self._goals: list[Goal] = []
        self._jobs = 0
        self._finished: deque[Job] = deque()
        self._bell = -1
        """Rung by threads whose job is done, as long as somebody listens."""
        self._bell_mutex = threading.Lock()
        self.idle: Callable[[], float | None] = lambda: None
        """Called when nothing is left to do but wait; tells after how many seconds it wants to be called again."""

    def add(self, goal: Goal, steps: Steps) -> Goal:
        goal.steps = steps
        self._goals.append(goal)
        self._ready.append((goal, None))
        return goal

    def run(self, top: Sequence[Goal]) -> None:
        """Without `keep_going` the first top goal that fails ends everything; goals cut off stay without outcome."""
        open_ones = list(top)

        def going_on() -> bool:
            while open_ones and open_ones[-1].outcome is not None:
                open_ones.pop()
            return bool(open_ones) and not self.stopping

        try:
            wanted = set(top)
            while going_on():
                self._run_ready(wanted)
                if going_on():
                    self._wait()
        finally:
            self._close()

    def _run_ready(self, top: set[Goal]) -> None:
        while not self.stopping and (self._ready or self._give_slot()):
            goal, event = self._ready.popleft()
            if goal.outcome is None:
                self._step(goal, event)
                self.stopping = self._has_failed(goal) and goal in top and not self.keep_going

    @staticmethod
    def _has_failed(goal: Goal) -> bool:
        return isinstance(goal.outcome, DerivationFailed)

    @staticmethod
    def _ends_waiting(goal: Goal) -> bool:
        """That nobody has a path is no failure yet: what waits for it may do without."""
        outcome = goal.outcome
        return isinstance(outcome, DerivationFailed) and outcome.failure is not Failure.NO_SUBSTITUTERS

    def _step(self, goal: Goal, event: Event | None) -> None:
        assert goal.steps is not None
        try:
            wait = goal.steps.send(event)
        except StopIteration as stop:
            self._finish(goal, stop.value)
            return
        except DerivationFailed as failure:
            self._finish(goal, failure)
            return
        if isinstance(wait, Child):
            wait.goal = goal
            for descriptor in (wait.descriptor, wait.second):
                if descriptor >= 0:
                    self._children[descriptor] = wait
        elif isinstance(wait, Job):
            self._await_job(goal, wait)
        elif wait == SLOT:
            self._for_slot.append(goal)
        elif wait == A_WHILE:
            self._sleeping.append((time.monotonic() + self.poll_interval, goal))
        else:
            assert not isinstance(wait, str)
            self._await(goal, wait)

    def _await_job(self, goal: Goal, job: Job) -> None:
        job.goal = goal
        if job.future.done():
            self._ready.append((goal, None))
            return
        if self._bell < 0:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._jobs += 1

        def done(_: object) -> None:
            with self._bell_mutex:
                if self._bell >= 0:
                    self._finished.append(job)
                    os.eventfd_write(self._bell, 1)

        job.future.add_done_callback(done)

    def _hear_bell(self) -> None:
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            pass
        while self._finished:
            job = self._finished.popleft()
            self._jobs -= 1
            assert job.goal is not None
            self._ready.append((job.goal, None))

    def _await(self, goal: Goal, others: Sequence[Goal]) -> None:
        goal.failed = sum(isinstance(other.outcome, DerivationFailed) for other in others)
        goal.waiting = {other for other in others if other.outcome is None}
        ends = not self.keep_going and any(self._ends_waiting(other) for other in others)
        if not goal.waiting or ends:
            goal.waiting = set()
            self._ready.append((goal, None))
            return
        for other in goal.waiting:
            other.waiters.append(goal)
            other.rank = None

    def _finish(self, goal: Goal, outcome: Outcome) -> None:
        goal.outcome = outcome
        failed = isinstance(outcome, DerivationFailed)
        ends = not self.keep_going and self._ends_waiting(goal)
        waiters, goal.waiters = goal.waiters, []
        for waiter in waiters:
            if goal not in waiter.waiting:
                continue
            waiter.waiting.discard(goal)
            waiter.failed += failed
            if not waiter.waiting or ends:
                waiter.waiting = set()
                # Before everything else: a failure climbs to the top before anything new is started.
                (self._ready.appendleft if failed else self._ready.append)((waiter, None))

    def _give_slot(self) -> bool:
        """A free place goes to the goal that the longest chain waits for: the critical path. Only when nothing else
        can go on is known what waits for what."""
        if not self._for_slot or self.running >= self.max_jobs:
            return False
        best = max(self._for_slot, key=self.rank)  # the first of equal ones
        self._for_slot.remove(best)
        self._ready.append((best, None))
        return True

    def rank(self, goal: Goal) -> float:
        """How long it takes from its start to the end of the longest chain of what waits for it."""
        stack = [goal]
        while stack:
            current = stack[-1]
            unknown = [waiter for waiter in current.waiters if waiter.rank is None] if current.rank is None else []
            if unknown:
                stack += unknown
                continue
            stack.pop()
            if current.rank is None:
                above = max((waiter.rank or 0.0 for waiter in current.waiters), default=0.0)
                current.rank = self.cost(current.key) + above
        assert goal.rank is not None
        return goal.rank

    def forget(self, child: Child) -> None:
        self._children.pop(child.descriptor, None)
        self._children.pop(child.second, None)

    # -------------------------------------------------------------------------------------------------------- waiting

    def _wait(self) -> None:
        now = time.monotonic()
        deadlines = [when for when, _ in self._sleeping]
        again = self.idle()
        if again is not None:
            deadlines.append(now + again)
        if self.tick is not None and (self._children or self._jobs):
            self.tick[1]()
            deadlines.append(now + self.tick[0])
        for child in self._children.values():
            limit = child.deadline()
            if limit is not None:
                deadlines.append(limit[0])
        if not self._children and not deadlines and not self._jobs:
            raise RuntimeError("goals wait for each other")
        poll = select.poll()
        exits = {}
        for descriptor, child in self._children.items():
            poll.register(descriptor, select.POLLIN)
            if child.exit_descriptor >= 0:
                poll.register(child.exit_descriptor, select.POLLIN)
                exits[child.exit_descriptor] = child
        if self._jobs:
            poll.register(self._bell, select.POLLIN)
        # Rounded up: a wait that ends a moment early would spin.
        timeout = max(0, int((min(deadlines) - now) * 1000) + 1) if deadlines else None
        for descriptor, _ in poll.poll(timeout):
            if descriptor == self._bell:
                self._hear_bell()
            elif descriptor in exits:
                exits[descriptor].exit_descriptor = -1
                exits[descriptor].on_exit()
            elif descriptor in self._children:
                self._read(self._children[descriptor], descriptor)
        now = time.monotonic()
        self._wake_sleepers(now)
        self._time_out(now)

    def _read(self, child: Child, descriptor: int) -> None:
        try:
            data = os.read(descriptor, READ_SIZE)
        except OSError:  # a terminal whose other side is closed says EIO
            data = b""
        assert child.goal is not None
        self.forget(child)
        child.heard = time.monotonic()
        self._ready.append((child.goal, Output(data, descriptor) if data else EndOfFile(descriptor)))

    def _wake_sleepers(self, now: float) -> None:
        awake = [goal for when, goal in self._sleeping if when <= now]
        self._sleeping = [(when, goal) for when, goal in self._sleeping if when > now]
        self._ready.extend((goal, None) for goal in awake)

    def _time_out(self, now: float) -> None:
        for child in dict.fromkeys(self._children.values()):
            limit = child.deadline()
            if limit is not None and limit[0] <= now:
                assert child.goal is not None
                self.forget(child)
                self._ready.append((child.goal, TimedOut(limit[1])))

    def _close(self) -> None:
        """Ends goals cut off, the youngest first: their `finally` clauses kill builders and release locks. One that
        cannot clean up keeps no other from doing so."""
        failures: list[Exception] = []
        for goal in reversed(self._goals):
            if goal.outcome is None and goal.steps is not None:
                try:
                    goal.steps.close()
                except Exception as error:
                    failures.append(error)
        self._children.clear()
        with self._bell_mutex:
            if self._bell >= 0:
                os.close(self._bell)
                self._bell = -1
        if failures:
            raise failures[0]
