"""The slow machine for regular expressions that repeat what may read nothing.

In: the automaton of `regex_parser`. Branches are numbered, and each (branch, position) is solved once for a text; while
nothing is read, how often each repetition was entered belongs to what is solved. Source of truth: libstdc++, which
enters such a repetition twice at most.
"""

from __future__ import annotations

import cython

from frazil.lang.regex_parser import ACCEPT, BRANCHING, CLOSE, END, MATCH, OPEN, REPEAT, SPLIT, START, RegexError

MEMORY_LIMIT = 1 << 27
ODD_LIMIT = 50_000
ODD_LIMIT_PER_CHARACTER = 64
ODD_LIMIT_AT_MOST = 1 << 22
"""How much is remembered of ways through repetitions that read nothing: nested ones have 3^depth at each position."""


def empty_loops(parser) -> set:
    """The repetitions that can be entered again without having consumed a character."""
    result = set()
    for state, code in enumerate(parser.codes):
        if code != REPEAT:
            continue
        seen = set()
        waiting = [parser.other[state]]
        while waiting:
            here = waiting.pop()
            if here < 0 or here in seen:
                continue
            seen.add(here)
            if parser.codes[here] == MATCH:
                continue
            waiting.append(parser.next[here])
            if parser.codes[here] in BRANCHING:
                waiting.append(parser.other[here])
        if state in seen:
            result.add(state)
    return result


@cython.cclass
class LoopingAutomaton:
    """`find` looks for a match, `end` and `parts` tell about it."""

    codes: list
    next: list
    other: list
    data: list
    numbers: dict
    looping: set
    groups: cython.int
    start: cython.int
    branches: cython.int
    text: str
    end = cython.declare(cython.Py_ssize_t, visibility="readonly")
    found: list
    length: cython.Py_ssize_t
    exact: cython.bint
    barred: cython.Py_ssize_t
    odd_limit: cython.Py_ssize_t
    memory: object
    odd_memory: dict
    barred_memory: dict

    def __init__(self, parser, start) -> None:
        self.codes = parser.codes
        self.next = parser.next
        self.other = parser.other
        self.data = parser.data
        self.groups = parser.groups
        self.start = start
        self.numbers = {s: i for i, s in enumerate(s for s, c in enumerate(self.codes) if c in BRANCHING)}
        self.branches = len(self.numbers)
        self.text = ""
        self.length = 0
        self.end = -1
        self.found = []
        self.exact = False
        self.barred = -1
        self.odd_limit = 0
        self.memory = None
        self.odd_memory = {}
        self.barred_memory = {}
        self.looping = empty_loops(parser)

    def match(self, text: str):
        """The groups of a match of the whole text, or None."""
        self.prepare(text, True)
        return self.parts(0) if self.search(0, -1) else None

    def prepare(self, text: str, exact: bool = False) -> None:
        """Forgets what was known; `exact`: only a match up to the end counts."""
        size: cython.Py_ssize_t = (len(text) + 1) * max(1, self.branches)
        if size > MEMORY_LIMIT:
            raise RegexError(too_large=True)
        self.text = text
        self.length = len(text)
        self.exact = exact
        self.memory = memoryview(bytearray(4 * size)).cast("i")
        self.odd_memory = {}
        self.odd_limit = min(ODD_LIMIT_AT_MOST, ODD_LIMIT + ODD_LIMIT_PER_CHARACTER * len(text))

    def find(self, start: cython.Py_ssize_t, barred: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the first match begins that begins at `start` or later and does not end at `barred`; -1: none."""
        while start <= self.length:
            if self.search(start, barred):
                return start
            start += 1
        return -1

    def parts(self, begin) -> list:
        """The groups of the match found last."""
        found = self.found
        return [
            self.text[found[2 * i] : found[2 * i + 1]] if found[2 * i + 1] >= 0 else None
            for i in range(1, self.groups + 1)
        ]

    def search(self, position, barred) -> bool:
        """Whether a match begins here; its groups' bounds are in `found` ([start, end, …]; -1: no part)."""
        self.barred = barred
        self.barred_memory = {}
        self.end = self.solve(position)
        if self.end < 0:
            return False
        self.found = self.trace(position)
        return True

    def run(self, state: cython.int, position: cython.Py_ssize_t):
        """Follows states without a choice: (state, position) of the next branch or acceptance, or None."""
        text: str = self.text
        while True:
            code: cython.int = self.codes[state]
            if code == MATCH:
                if position >= self.length or not self.data[state] >> ord(text[position]) & 1:
                    return None
                position += 1
            elif code == START:
                if position != 0:
                    return None
            elif code == END:
                if position != self.length:
                    return None
            elif code == SPLIT or code == REPEAT:
                return state, position
            elif code == ACCEPT:
                if (self.exact and position != self.length) or position == self.barred:
                    return None
                return state, position
            state = self.next[state]

    def recall(self, state, position: cython.Py_ssize_t, counts):
        """What is known about this branch: 0 nothing, 1 failure, else 2 * end + 2 + choice."""
        if position == self.barred:
            return self.barred_memory.get((state, counts), 0)
        if counts:
            return self.odd_memory.get((state, position, counts), 0)
        return self.memory[position * self.branches + self.numbers[state]]

    def remember(self, state, position: cython.Py_ssize_t, counts, value) -> None:
        if position == self.barred:
            self.barred_memory[(state, counts)] = value
            self.check_odd(len(self.barred_memory))
        elif counts:
            self.odd_memory[(state, position, counts)] = value
            self.check_odd(len(self.odd_memory))
        else:
            self.memory[position * self.branches + self.numbers[state]] = value

    def check_odd(self, size: cython.Py_ssize_t) -> None:
        if size > self.odd_limit:
            raise RegexError(too_large=True)

    def step(self, state, position, counts, choice):
        """The place reached by one branch of `state`: (state, position, counts), or None."""
        if choice == 0:
            if self.codes[state] == REPEAT and state in self.looping:
                seen = 0
                for node, count in counts:
                    if node == state:
                        seen = count
                if seen >= 2:
                    return None
                counts = tuple(sorted([(n, c) for n, c in counts if n != state] + [(state, seen + 1)]))
            target = self.other[state]
        else:
            target = self.next[state]
        place = self.run(target, position)
        if place is None:
            return None
        return place[0], place[1], counts if place[1] == position else ()

    def solve(self, origin) -> object:
        """The end of the best match from `origin`, or -1."""
        place = self.run(self.start, origin)
        if place is None:
            return -1
        # A frame: [state, position, counts, choice under way, best value so far].
        stack: list = []
        result: cython.Py_ssize_t = -1
        pending = (place[0], place[1], ())
        while True:
            if pending is not None:
                state, position, counts = pending
                if self.codes[state] == ACCEPT:
                    result = position
                else:
                    known = self.recall(state, position, counts)
                    if known == 0:
                        stack.append([state, position, counts, 0, 1])
                        pending = self.step(state, position, counts, 0)
                        if pending is not None:
                            continue
                        result = -1
                    else:
                        result = (known >> 1) - 1
            else:
                result = -1
            pending = None
            # Hand `result` down to the frames that wait for it.
            while stack:
                frame = stack[len(stack) - 1]
                choice = frame[3]
                if result >= 0 and result > (frame[4] >> 1) - 1:
                    frame[4] = 2 * result + 2 + choice
                if choice == 0 and (frame[4] == 1 or (self.codes[frame[0]] == SPLIT and not self.exact)):
                    frame[3] = 1
                    pending = self.step(frame[0], frame[1], frame[2], 1)
                    if pending is not None:
                        break
                    result = -1
                    continue
                stack.pop()
                self.remember(frame[0], frame[1], frame[2], frame[4])
                result = (frame[4] >> 1) - 1
            if pending is None and not stack:
                return result

    def trace(self, origin) -> list:
        """Walks along the remembered choices and notes where groups begin and end."""
        bounds: list = [-1] * (2 * self.groups + 2)
        opened: list = [-1] * (self.groups + 1)
        state = self.start
        position = origin
        counts: tuple = ()
        while True:
            code: cython.int = self.codes[state]
            if code == ACCEPT:
                return bounds
            if code == MATCH:
                position += 1
                counts = ()
            elif code == OPEN:
                opened[self.data[state]] = position
            elif code == CLOSE:
                group = self.data[state]
                bounds[2 * group] = opened[group]
                bounds[2 * group + 1] = position
            elif code == SPLIT or code == REPEAT:
                if self.recall(state, position, counts) & 1 == 0:
                    if code == REPEAT and state in self.looping:
                        seen = dict(counts)
                        seen[state] = seen.get(state, 0) + 1
                        counts = tuple(sorted(seen.items()))
                    state = self.other[state]
                    continue
            state = self.next[state]
