# cython: boundscheck=False, wraparound=False
"""The quick machine for regular expressions in which every character decides alone how a match goes on.

In: the automaton of `regex_parser`. Out: a table with a row for each place in the pattern: which byte leads to which
row, and which groups begin or end there. Such a pattern can read no text in two ways, so all rules about which match is
wanted agree, and one pass over the text finds it.
"""

from __future__ import annotations

import cython
from cython.cimports.frazil.lang.values import byte_pointer, latin1, word_pointer

from frazil.lang.regex_parser import ACCEPT, BRANCHING, CLOSE, END, MATCH, OPEN, START, members

LIMIT = 255
"""Rows, ways between them, and actions are numbered in one byte."""
STATE_LIMIT = 2000
AT_START = 1
AT_END = 2
FREE_WORK = 4096
WORK_PER_BYTE = 32
EXHAUSTED = -2


def closure(parser, start):
    """What can be reached from a state without reading: (state, actions on the way, conditions), each in one way only.

    None where something can be reached in two ways. An action is 2 * group where the group begins, one more where it
    ends; the whole match is no group here.
    """
    found: list = []
    seen: set = set()
    waiting: list = [(start, b"", 0)]
    while waiting:
        state, actions, conditions = waiting.pop()
        if state in seen:
            return None
        seen.add(state)
        code = parser.codes[state]
        if code == MATCH or code == ACCEPT:
            found.append((state, actions, conditions))
            continue
        if code == OPEN or code == CLOSE:
            if parser.data[state]:
                if parser.data[state] > LIMIT >> 1:
                    return None
                actions += bytes((2 * parser.data[state] + (code == CLOSE),))
        elif code == START:
            conditions |= AT_START
        elif code == END:
            conditions |= AT_END
        elif code in BRANCHING:
            waiting.append((parser.other[state], actions, conditions))
        waiting.append((parser.next[state], actions, conditions))
    return found


def table_of(parser, start):
    """The table of a pattern, or None where it has none."""
    if len(parser.codes) > STATE_LIMIT:
        return None
    table = Table()
    table.groups = parser.groups
    places: list = [start]
    index: dict = {start: 0}
    ways: list = [(0, b"", 0)]
    accepting = bytearray()
    rows: list = []
    at: cython.Py_ssize_t = 0
    while at < len(places):
        found = closure(parser, places[at])
        at += 1
        if found is None or len(places) > LIMIT or len(ways) + len(found) > LIMIT:
            return None
        row = bytearray(256)
        taken: object = 0
        accepting.append(0)
        for state, actions, conditions in found:
            if parser.codes[state] == ACCEPT:
                accepting[at - 1] = len(ways)
                ways.append((0, actions, conditions))
                continue
            characters = parser.data[state]
            if taken & characters:
                return None
            taken |= characters
            if conditions & AT_END:
                continue
            after = parser.next[state]
            if after not in index:
                index[after] = len(places)
                places.append(after)
            for byte in members(characters):
                row[byte] = len(ways)
            ways.append((index[after], actions, conditions))
        rows.append(bytes(row))
    return table if table.fill(rows, ways, bytes(accepting)) else None


@cython.final
@cython.cclass
class Table:
    """`find` looks for a match, `end` and `parts` tell about it."""

    groups: cython.int
    rows: bytes  # 256 bytes a row: the number of the way, 0 for none
    accepting: bytes  # by row: the way to acceptance
    targets: bytes  # by way: row, conditions, first and last of its actions
    conditions: bytes
    begins: bytes
    ends: bytes
    actions: bytes
    bounds: bytearray
    text: str
    size: cython.Py_ssize_t
    work: cython.Py_ssize_t
    end = cython.declare(cython.Py_ssize_t, visibility="readonly")

    def fill(self, rows, ways, accepting):
        """False where the actions are too many."""
        self.rows = b"".join(rows)
        self.accepting = accepting
        self.targets = bytes([way[0] for way in ways])
        self.conditions = bytes([way[2] for way in ways])
        actions = b""
        begins = bytearray()
        for way in ways:
            begins.append(len(actions))
            actions += way[1]
            if len(actions) > LIMIT:
                return False
        self.begins = bytes(begins)
        begins.append(len(actions))
        self.ends = bytes(begins[1:])
        self.actions = actions
        self.bounds = bytearray(8 * (3 * self.groups + 3))
        self.text = ""
        self.size = self.work = self.end = 0
        return True

    def match(self, text: str):
        """The groups of a match of the whole text, or None."""
        at: cython.Py_ssize_t = 0
        size: cython.Py_ssize_t = len(text)
        row: cython.int = 0
        way: cython.int
        data: cython.p_const_uchar = latin1(text)
        rows: cython.p_const_uchar = byte_pointer(self.rows)
        targets: cython.p_const_uchar = byte_pointer(self.targets)
        conditions: cython.p_const_uchar = byte_pointer(self.conditions)
        while at < size:
            way = rows[row << 8 | data[at]]
            if way == 0 or (conditions[way] != 0 and at != 0):
                return None
            row = targets[way]
            at += 1
        way = byte_pointer(self.accepting)[row]
        if way == 0 or (conditions[way] & AT_START and at != 0):
            return None
        if self.groups == 0:
            return []
        self.text = text
        self.end = size
        return self.parts(0)

    def prepare(self, text: str) -> None:
        """Before `find`."""
        self.text = text
        self.size = len(text)
        self.work = FREE_WORK + WORK_PER_BYTE * self.size

    def find(self, start: cython.Py_ssize_t, barred: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the first match begins that begins at `start` or later and does not end at `barred`; -1: none.

        EXHAUSTED where looking for it takes long: a text can be read far at many places in vain.
        """
        data: cython.p_const_uchar = latin1(self.text)
        rows: cython.p_const_uchar = byte_pointer(self.rows)
        first_accepting: cython.bint = byte_pointer(self.accepting)[0] != 0
        while start <= self.size:
            if self.work < 0:
                return EXHAUSTED
            if not first_accepting:
                while start < self.size and rows[data[start]] == 0:
                    start += 1
                if start == self.size:
                    return -1
            self.end = self.extent(data, start, barred)
            if self.end >= 0:
                return start
            start += 1
        return -1

    @cython.cfunc
    def extent(
        self, data: cython.p_const_uchar, start: cython.Py_ssize_t, barred: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """The end of the longest match that begins here, -1 for none."""
        rows: cython.p_const_uchar = byte_pointer(self.rows)
        targets: cython.p_const_uchar = byte_pointer(self.targets)
        conditions: cython.p_const_uchar = byte_pointer(self.conditions)
        accepting: cython.p_const_uchar = byte_pointer(self.accepting)
        size: cython.Py_ssize_t = self.size
        at: cython.Py_ssize_t = start
        end: cython.Py_ssize_t = -1
        row: cython.int = 0
        way: cython.int
        while True:
            way = accepting[row]
            if way != 0 and at != barred and (conditions[way] == 0 or self.holds(conditions[way], at)):
                end = at
            if at == size:
                break
            way = rows[row << 8 | data[at]]
            if way == 0 or (conditions[way] != 0 and at != 0):
                break
            row = targets[way]
            at += 1
        if end < 0:
            self.work -= at - start + 1
        else:
            self.work -= at - end
        return end

    @cython.cfunc
    def holds(self, condition: cython.int, at: cython.Py_ssize_t) -> cython.bint:
        return not ((condition & AT_START and at != 0) or (condition & AT_END and at != self.size))

    def parts(self, start: cython.Py_ssize_t) -> list:
        """The groups of the match from `start` to `end`."""
        count: cython.int = self.groups
        if count == 0:
            return []
        text: str = self.text
        data: cython.p_const_uchar = latin1(text)
        rows: cython.p_const_uchar = byte_pointer(self.rows)
        targets: cython.p_const_uchar = byte_pointer(self.targets)
        begins: cython.p_const_uchar = byte_pointer(self.begins)
        ends: cython.p_const_uchar = byte_pointer(self.ends)
        actions: cython.p_const_uchar = byte_pointer(self.actions)
        # For each group: where it began and ended last, and where it began while it is under way.
        bounds: cython.p_longlong = word_pointer(self.bounds)
        i: cython.int
        for i in range(3 * count + 3):
            bounds[i] = -1
        at: cython.Py_ssize_t = start
        end: cython.Py_ssize_t = self.end
        row: cython.int = 0
        way: cython.int
        action: cython.int
        while True:
            way = rows[row << 8 | data[at]] if at < end else byte_pointer(self.accepting)[row]
            for i in range(begins[way], ends[way]):
                action = actions[i]
                if action & 1:
                    action = 3 * (action >> 1)
                    bounds[action] = bounds[action + 2]
                    bounds[action + 1] = at
                else:
                    bounds[3 * (action >> 1) + 2] = at
            if at >= end:
                break
            row = targets[way]
            at += 1
        result: list = []
        for i in range(1, count + 1):
            if bounds[3 * i] < 0:
                result.append(None)
            else:
                result.append(text[bounds[3 * i] : bounds[3 * i + 1]])
        return result
