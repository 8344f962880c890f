"""Regular expressions of `builtins.match` and `builtins.split`, on byte strings (one character a byte).

In: a POSIX extended regular expression as libstdc++'s `std::regex` reads it with the flag `extended` (strict: a
backslash may only stand before one of `. [ \\ ( ) * + ? { | ^ $`; inside brackets it is an ordinary character).
Out: the groups of a whole match, or the pieces of a split. Source of truth: the behaviour of `std::regex_match` and
`std::regex_iterator`, which is neither Perl's nor POSIX's: a repetition keeps its first success, an alternative is
tried on both sides and the longer overall match wins, the first of equal ones.

Three machines do the matching, none of which takes longer than some multiple of pattern size times text length: a table
for patterns that can read no text in two ways (`regex_table`), backtracking that tries nothing twice
(`regex_backtracking`), and a slow one for patterns that repeat what may read nothing (`regex_looping`).
"""

from __future__ import annotations

import cython

from frazil.lang.regex_backtracking import Backtracker
from frazil.lang.regex_looping import LoopingAutomaton, empty_loops
from frazil.lang.regex_parser import Parser, RegexError
from frazil.lang.regex_table import EXHAUSTED, table_of

CACHE_LIMIT = 10_000


class Regex:
    """A compiled pattern. `groups`: how many parentheses it has."""

    def __init__(self, pattern: str) -> None:
        parser = Parser(pattern)
        try:
            start = parser.parse()
        except RecursionError:
            raise RegexError(too_large=True) from None
        self.groups = parser.groups
        self._parser = parser
        self._start = start
        self._general = None
        self._table = table_of(parser, start)
        self._machine = self._table if self._table is not None else self._general_machine()

    def _general_machine(self):
        """The machine for all patterns."""
        if self._general is None:
            kind = LoopingAutomaton if empty_loops(self._parser) else Backtracker
            self._general = kind(self._parser, self._start)
        return self._general

    def match(self, text: str):
        """The groups of a match of the whole text (None: a group without a part), or None."""
        return self._machine.match(text)

    def matcher(self):
        """`match` as a function, without a detour."""
        return self._machine.match

    def split(self, text: str) -> list:
        """Strings between matches and lists of groups, alternating; one element where nothing matches."""
        machine = self._machine
        machine.prepare(text)
        result: list = []
        previous: cython.Py_ssize_t = 0
        size: cython.Py_ssize_t = len(text)
        barred: cython.Py_ssize_t = -1
        begin: cython.Py_ssize_t
        while True:
            begin = machine.find(previous, barred)
            if begin == EXHAUSTED:
                machine = self._general_machine()
                machine.prepare(text)
                begin = machine.find(previous, barred)
            if begin < 0:
                break
            result.append(text[previous:begin])
            result.append(machine.parts(begin))
            previous = machine.end
            barred = -1
            if begin == previous:
                if begin == size:
                    break
                # After a match of nothing the next one may begin here, but must not be of nothing again.
                barred = begin
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
