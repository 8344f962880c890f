"""Regular expressions of `builtins.match` and `builtins.split`, on byte strings (one character a byte).

In: a POSIX extended regular expression as libstdc++'s `std::regex` reads it with the flag `extended` (strict: a
backslash may only stand before one of `. [ \\ ( ) * + ? { | ^ $`; inside brackets it is an ordinary character).
Out: the groups of a whole match, or the pieces of a split. Source of truth: the behaviour of `std::regex_match` and
`std::regex_iterator`, which is neither Perl's nor POSIX's: a repetition keeps its first success, an alternative is
tried on both sides and the longer overall match wins, the first of equal ones.

Two machines do the matching. Patterns for which both rules give what a backtracking matcher finds first go to `re`; so
do those that can read no text in two ways (`_deterministic`). Everything else, and texts on which backtracking could
take long, go to a matcher of our own that remembers what it found for each (branch, position), so that its time is
bounded by pattern size times text length.
"""

from __future__ import annotations

import cython

from frazil.lang.regex_parser import (
    ACCEPT,
    BRANCHING,
    CLOSE,
    END,
    MATCH,
    OPEN,
    REPEAT,
    SPLIT,
    START,
    Parser,
    RegexError,
)

DETERMINISM_LIMIT = 500
MEMORY_LIMIT = 1 << 27
ODD_LIMIT = 50_000
ODD_LIMIT_PER_CHARACTER = 64
ODD_LIMIT_AT_MOST = 1 << 22
"""How much is remembered of ways through repetitions that read nothing: nested ones have 3^depth at each position."""
CACHE_LIMIT = 10_000
WORK_LIMIT = 1 << 28
"""Steps that backtracking may take at worst; what could take more goes to our own matcher."""


@cython.cclass
class Automaton:
    """The own matcher: branches are numbered, and each (branch, position) is solved once for a text."""

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
        self.exact = False
        self.barred = -1
        self.odd_limit = 0
        self.memory = None
        self.odd_memory = {}
        self.barred_memory = {}
        self.looping = _empty_loops(self)

    def prepare(self, text: str, exact: bool) -> None:
        """Forgets what was known; `exact`: only a match up to the end counts."""
        size: cython.Py_ssize_t = (len(text) + 1) * max(1, self.branches)
        if size > MEMORY_LIMIT:
            raise RegexError(too_large=True)
        self.text = text
        self.length = len(text)
        self.exact = exact
        import array

        self.memory = array.array("i", bytes(4 * size))
        self.odd_memory = {}
        self.odd_limit = min(ODD_LIMIT_AT_MOST, ODD_LIMIT + ODD_LIMIT_PER_CHARACTER * len(text))

    def search(self, position, barred=-1):
        """The list of group bounds [start, end, …] (-1: no part) of the match that starts here, or None.

        `barred`: a position at which the match must not end.
        """
        self.barred = barred
        self.barred_memory = {}
        if self.solve(position) < 0:
            return None
        return self.trace(position)

    def run(self, state: cython.int, position: cython.Py_ssize_t):
        """Follows states without a choice: (state, position) of the next branch or acceptance, or None."""
        text: str = self.text
        while True:
            code: cython.int = self.codes[state]
            if code == MATCH:
                if position >= self.length or ord(text[position]) not in self.data[state]:
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


def _empty_loops(automaton: Automaton) -> set:
    """The repetitions that can be entered again without having consumed a character."""
    result = set()
    for state, code in enumerate(automaton.codes):
        if code != REPEAT:
            continue
        seen = set()
        waiting = [automaton.other[state]]
        while waiting:
            here = waiting.pop()
            if here < 0 or here in seen:
                continue
            seen.add(here)
            if automaton.codes[here] == MATCH:
                continue
            waiting.append(automaton.next[here])
            if automaton.codes[here] in BRANCHING:
                waiting.append(automaton.other[here])
        if state in seen:
            result.add(state)
    return result


def _closure(parser, start):
    """The matching states reachable from `start` without reading, or None where one can be reached in two ways."""
    found = []
    seen = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here in seen:
            return None
        seen.add(here)
        code = parser.codes[here]
        if code == MATCH:
            found.append(here)
        elif code != ACCEPT:
            waiting.append(parser.next[here])
            if code in BRANCHING:
                waiting.append(parser.other[here])
    return found


def _deterministic(parser, start) -> bool:
    """Whether every character of a text decides alone how a match goes on.

    Then there is at most one way to match a whole text, and all rules about which one is wanted agree. Backtracking
    cannot take long either: whatever it tries instead fails at the next character.
    """
    if len(parser.codes) > DETERMINISM_LIMIT:
        return False
    waiting = [start]
    seen = {start}
    while waiting:
        found = _closure(parser, waiting.pop())
        if found is None:
            return False
        taken: set = set()
        for state in found:
            if not taken.isdisjoint(parser.data[state]):
                return False
            taken |= parser.data[state]
            after = parser.next[state]
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return True


def _compiled(source: str):
    """The pattern for `re`, or None where that would not read it."""
    if len(source) >= 20_000 or "(((((((((((((((((((((" in source:
        return None
    import re

    return re.compile(source, re.DOTALL)


def _affordable(text: str, power) -> bool:
    return power == 1 or len(text) ** power <= WORK_LIMIT


class Regex:
    """A compiled pattern. `groups`: how many parentheses it has."""

    def __init__(self, pattern: str) -> None:
        parser = Parser(pattern)
        try:
            body = parser.parse()
        except RecursionError:
            raise RegexError(too_large=True) from None
        self.groups = parser.groups
        expressible = parser.groups <= 90
        plain = expressible and body.simple and body.stars <= 1 and body.loops <= 4
        unambiguous = False
        if expressible and body.faithful and (not plain or body.loops > 1):
            unambiguous = _deterministic(parser, body.begin)
        self._pattern = None
        if plain or unambiguous:
            self._pattern = _compiled(body.source)
        # Unbounded repetitions in a row share the text between them in n^k ways; a search begins at n places.
        self._power = 1 if unambiguous else max(1, body.loops)
        self._search = self._pattern if body.decided and not body.nullable else None
        self._search_power = self._power + (1 if body.stars else 0)
        self._automaton = Automaton(parser, body.begin)

    def match(self, text: str):
        """The groups of a match of the whole text (None: a group without a part), or None."""
        if self._pattern is not None and _affordable(text, self._power):
            found = self._pattern.fullmatch(text)
            return None if found is None else list(found.groups())
        automaton = self._automaton
        automaton.prepare(text, True)
        bounds = automaton.search(0)
        return None if bounds is None else self._groups(text, bounds)

    def _groups(self, text: str, bounds: list) -> list:
        return [
            text[bounds[2 * i] : bounds[2 * i + 1]] if bounds[2 * i + 1] >= 0 else None
            for i in range(1, self.groups + 1)
        ]

    def split(self, text: str) -> list:
        """Strings between matches and lists of groups, alternating; one element where nothing matches."""
        if self._search is not None and _affordable(text, self._search_power):
            return self._split_quickly(text)
        result: list = []
        previous = 0
        automaton = self._automaton
        automaton.prepare(text, False)
        start = 0
        barred = -1
        while True:
            bounds = None
            if barred >= 0:
                bounds = automaton.search(barred, barred)
                start = barred + 1
                barred = -1
            while bounds is None and start <= len(text):
                bounds = automaton.search(start)
                start += 1
            if bounds is None:
                break
            begin, end = bounds[0], bounds[1]
            result.append(text[previous:begin])
            result.append(self._groups(text, bounds))
            previous = end
            start = end
            if begin == end:
                if end == len(text):
                    break
                barred = end
        result.append(text[previous:])
        return result

    def _split_quickly(self, text: str) -> list:
        result: list = []
        previous = 0
        for found in self._search.finditer(text):
            result.append(text[previous : found.start()])
            result.append(list(found.groups()))
            previous = found.end()
        result.append(text[previous:])
        return result


_cache: dict = {}


def compile_regex(pattern: str) -> Regex:
    """Raises RegexError."""
    found = _cache.get(pattern)
    if found is None:
        found = Regex(pattern)
        if len(_cache) >= CACHE_LIMIT:
            _cache.clear()
        _cache[pattern] = found
    return found
