# cython: boundscheck=False, wraparound=False
"""The general machine for regular expressions: it tries one way after the other, and none twice.

In: the automaton of `regex_parser`, with no repetition of what may read nothing. A repetition keeps its first success;
an alternative is tried on both sides where the end is open, and the longer match wins, the first of equal ones. What
was found for each (branch, position) is remembered, so that time is bounded by the pattern's size times the text's.
"""

from __future__ import annotations

import sys

import cython
from cython.cimports.frazil.lang.values import byte_pointer, int_pointer, latin1

from frazil.lang.regex_parser import RegexError, members

if not cython.compiled:
    # Compiled, they are constants of regex_backtracking.pxd.
    from frazil.lang.regex_parser import ACCEPT, CLOSE, END, MATCH, OPEN, REPEAT, SPLIT, START

MEMORY_LIMIT = 1 << 27


def packed(parser):
    """(code, next, other, data of each state as C's int; tables of sets of bytes; number of branches)."""
    states: list = []
    sets: dict = {}
    branches: cython.int = 0
    i: cython.Py_ssize_t
    for i in range(len(parser.codes)):
        code = parser.codes[i]
        data = 0
        if code == MATCH:
            data = sets.setdefault(parser.data[i], len(sets))
        elif code == SPLIT or code == REPEAT:
            data = branches
            branches += 1
        elif parser.data[i] is not None:
            data = parser.data[i]
        states.extend((code, parser.next[i], parser.other[i], data))
    tables = bytearray(256 * len(sets))
    for characters, number in sets.items():
        for byte in members(characters):
            tables[256 * number + byte] = 1
    # No module `array`, which takes longer to import than most patterns to match.
    words = [number.to_bytes(4, sys.byteorder, signed=True) for number in states]
    return b"".join(words), bytes(tables), branches


def first_bytes(parser, start):
    """A table of the bytes that a match may begin with, or None where it may be empty."""
    table = bytearray(256)
    seen = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here in seen:
            continue
        seen.add(here)
        code = parser.codes[here]
        if code == MATCH:
            for byte in members(parser.data[here]):
                table[byte] = 1
            continue
        if parser.next[here] < 0:
            return None
        waiting.append(parser.next[here])
        if code == SPLIT or code == REPEAT:
            waiting.append(parser.other[here])
    return bytes(table)


@cython.final
@cython.cclass
class Backtracker:
    """`find` looks for a match, `end` and `parts` tell about it."""

    def __init__(self, parser, start) -> None:
        self.groups = parser.groups
        self.start = start
        self.states, self.tables, self.branches = packed(parser)
        self.first = first_bytes(parser, start)
        self.text = ""
        self.size = 0
        self.exact = False
        self.barred = -1
        self.at = 0
        self.end = -1
        self.memory = self.stack = bytearray(0)

    def match(self, text: str):
        """The groups of a match of the whole text, or None."""
        self.open(text, True)
        self.end = self.solve(0)
        return None if self.end < 0 else self.parts(0)

    def prepare(self, text: str) -> None:
        """Before `find`."""
        self.open(text, False)

    def open(self, text, exact):
        # One more line for a position that is barred.
        count: cython.Py_ssize_t = (len(text) + 2) * max(1, self.branches)
        if count > MEMORY_LIMIT:
            raise RegexError(too_large=True)
        self.text = text
        self.size = len(text)
        self.exact = exact
        self.barred = -1
        self.memory = bytearray(4 * count)
        if len(self.stack) == 0:
            self.stack = bytearray(1024)

    def find(self, start: cython.Py_ssize_t, barred: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the first match begins that begins at `start` or later and does not end at `barred`; -1: none."""
        data: cython.p_const_uchar = latin1(self.text)
        self.barred = barred
        if barred >= 0:
            memory: cython.p_int = int_pointer(self.memory)
            i: cython.Py_ssize_t
            for i in range((self.size + 1) * self.branches, (self.size + 2) * self.branches):
                memory[i] = 0
        while start <= self.size:
            if self.first is not None:
                while start < self.size and byte_pointer(self.first)[data[start]] == 0:
                    start += 1
                if start == self.size:
                    return -1
            self.end = self.solve(start)
            if self.end >= 0:
                return start
            start += 1
        return -1

    def run(self, state, position):
        """Follows states without a choice to the next branch or acceptance, or -1; `at` tells the position."""
        states: cython.p_int = int_pointer(self.states)
        tables: cython.p_const_uchar = byte_pointer(self.tables)
        data: cython.p_const_uchar = latin1(self.text)
        code: cython.int
        while True:
            code = states[4 * state]
            if code == MATCH:
                if position >= self.size or tables[256 * states[4 * state + 3] + data[position]] == 0:
                    return -1
                position += 1
            elif code == SPLIT or code == REPEAT:
                break
            elif code == START:
                if position != 0:
                    return -1
            elif code == END:
                if position != self.size:
                    return -1
            elif code == ACCEPT:
                if (self.exact and position != self.size) or position == self.barred:
                    return -1
                break
            state = states[4 * state + 1]
        self.at = position
        return state

    def place(self, state, position):
        """Where it is remembered what this branch comes to: 0 nothing yet, 1 failure, else 2 * end + 2 + choice."""
        if position == self.barred:
            position = self.size + 1
        return position * self.branches + int_pointer(self.states)[4 * state + 3]

    def solve(self, origin):
        """The end of the best match from `origin`, or -1."""
        state: cython.int = self.run(self.start, origin)
        position: cython.Py_ssize_t = self.at
        states: cython.p_int = int_pointer(self.states)
        memory: cython.p_int = int_pointer(self.memory)
        # A frame: state, position, choice under way, best value so far.
        stack: cython.p_int = int_pointer(self.stack)
        room: cython.Py_ssize_t = len(self.stack) >> 2
        top: cython.Py_ssize_t = 0
        result: cython.Py_ssize_t = -1
        known: cython.int
        while True:
            if state >= 0:
                if states[4 * state] == ACCEPT:
                    result = position
                else:
                    known = memory[self.place(state, position)]
                    if known == 0:
                        if top == room:
                            stack = int_pointer(self.grow())
                            room *= 2
                        stack[top] = state
                        stack[top + 1] = cython.cast(cython.int, position)
                        stack[top + 2] = 0
                        stack[top + 3] = 1
                        top += 4
                        state = self.run(states[4 * state + 2], position)
                        position = self.at
                        continue
                    result = (known >> 1) - 1
            else:
                result = -1
            # Hand `result` down to the frames that wait for it.
            state = -1
            while top > 0:
                known = stack[top - 1]
                if result >= 0 and result > (known >> 1) - 1:
                    known = cython.cast(cython.int, 2 * result + 2 + stack[top - 2])
                    stack[top - 1] = known
                if stack[top - 2] == 0 and (known == 1 or (states[4 * stack[top - 4]] == SPLIT and not self.exact)):
                    stack[top - 2] = 1
                    state = self.run(states[4 * stack[top - 4] + 1], stack[top - 3])
                    if state >= 0:
                        position = self.at
                        break
                    result = -1
                    continue
                top -= 4
                memory[self.place(stack[top], stack[top + 1])] = known
                result = (known >> 1) - 1
            if state < 0:
                return result

    def grow(self):
        """The stack, twice as large."""
        bigger = bytearray(2 * len(self.stack))
        bigger[: len(self.stack)] = self.stack
        self.stack = bigger
        return bigger

    def parts(self, begin):
        """The groups of the match that begins here: the remembered choices lead through it."""
        if self.groups == 0:
            return []
        states: cython.p_int = int_pointer(self.states)
        memory: cython.p_int = int_pointer(self.memory)
        opened: list = [-1] * (self.groups + 1)
        found: list = [None] * (self.groups + 1)
        state: cython.int = self.start
        position: cython.Py_ssize_t = begin
        code: cython.int = states[4 * state]
        while code != ACCEPT:
            if code == MATCH:
                position += 1
            elif code == OPEN:
                opened[states[4 * state + 3]] = position
            elif code == CLOSE:
                found[states[4 * state + 3]] = (opened[states[4 * state + 3]], position)
            elif (code == SPLIT or code == REPEAT) and memory[self.place(state, position)] & 1 == 0:
                state = states[4 * state + 2]
                code = states[4 * state]
                continue
            state = states[4 * state + 1]
            code = states[4 * state]
        return [None if part is None else self.text[part[0] : part[1]] for part in found[1:]]
