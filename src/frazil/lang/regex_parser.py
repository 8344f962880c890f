# cython: boundscheck=False, wraparound=False
"""Reads regular expressions: the automaton that `regex` runs.

In: a POSIX extended regular expression as libstdc++'s `std::regex` reads it with the flag `extended` (strict: a
backslash may only stand before one of `. [ \\ ( ) * + ? { | ^ $`; inside brackets it is an ordinary character), a byte
string. Out: opcodes and links in `Parser`. Source of truth: the behaviour of libstdc++.

A set of bytes is an integer of 256 bits.
"""

from __future__ import annotations

import cython

STATE_LIMIT = 100_000
NESTING_LIMIT = 1_000

MATCH, SPLIT, REPEAT, OPEN, CLOSE, START, END, EMPTY, ACCEPT = range(9)
BRANCHING = (SPLIT, REPEAT)

ESCAPABLE = ".[\\()*+?{|^$"
COLLATING_NAMES = (
    "NUL SOH STX ETX EOT ENQ ACK alert backspace tab newline vertical-tab form-feed carriage-return SO SI DLE DC1 DC2"
    " DC3 DC4 NAK SYN ETB CAN EM SUB ESC IS4 IS3 IS2 IS1 space exclamation-mark quotation-mark number-sign dollar-sign"
    " percent-sign ampersand apostrophe left-parenthesis right-parenthesis asterisk plus-sign comma hyphen period slash"
    " zero one two three four five six seven eight nine colon semicolon less-than-sign equals-sign greater-than-sign"
    " question-mark commercial-at A B C D E F G H I J K L M N O P Q R S T U V W X Y Z left-square-bracket backslash"
    " right-square-bracket circumflex underscore grave-accent a b c d e f g h i j k l m n o p q r s t u v w x y z"
    " left-curly-bracket vertical-line right-curly-bracket tilde DEL"
).split()


def span(first: cython.int, last: cython.int):
    """The set of the bytes from `first` to `last`."""
    one: object = 1
    return ((one << (last - first + 1)) - 1) << first


def members(characters) -> list:
    """The bytes of a set."""
    found = _members.get(characters)
    if found is None:
        if len(_members) > 1000:
            _members.clear()
        found = _members[characters] = [i for i, bit in enumerate(reversed(bin(characters)[2:])) if bit == "1"]
    return found  # type: ignore[no-any-return]


_members: dict = {}
_DIGIT = span(48, 57)
_UPPER = span(65, 90)
_LOWER = span(97, 122)
_ALPHA = _UPPER | _LOWER
_ALNUM = _ALPHA | _DIGIT
_GRAPH = span(33, 126)
CLASSES = {
    "d": _DIGIT,
    "w": _ALNUM | span(95, 95),
    "s": span(9, 13) | span(32, 32),
    "alnum": _ALNUM,
    "alpha": _ALPHA,
    "blank": span(9, 9) | span(32, 32),
    "cntrl": span(0, 31) | span(127, 127),
    "digit": _DIGIT,
    "graph": _GRAPH,
    "lower": _LOWER,
    "print": _GRAPH | span(32, 32),
    "punct": _GRAPH & ~_ALNUM,
    "space": span(9, 13) | span(32, 32),
    "upper": _UPPER,
    "xdigit": _DIGIT | span(65, 70) | span(97, 102),
}
ANY = span(1, 255)
EVERY = span(0, 255)


class RegexError(ValueError):
    """An invalid pattern; `too_large` where it would take more memory than allowed."""

    def __init__(self, too_large: bool = False) -> None:
        super().__init__("memory limit exceeded" if too_large else "invalid")
        self.too_large = too_large


def _signed(code: cython.int) -> cython.int:
    """Ranges compare C's signed characters."""
    return code - 256 if code > 127 else code


@cython.final
@cython.cclass
class Fragment:
    """A piece of automaton under construction: its first and its last state."""

    begin: cython.int
    end: cython.int

    def __init__(self, begin, end):
        self.begin = begin
        self.end = end


@cython.final
@cython.cclass
class Parser:
    """One pass over the pattern: builds the automaton (opcodes and links)."""

    text = cython.declare(str, visibility="readonly")
    at: cython.Py_ssize_t
    size: cython.Py_ssize_t
    depth: cython.int
    groups = cython.declare(cython.int, visibility="readonly")
    codes = cython.declare(list, visibility="readonly")
    next = cython.declare(list, visibility="readonly")
    other = cython.declare(list, visibility="readonly")
    data = cython.declare(list, visibility="readonly")

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.size = len(text)
        self.depth = 0
        self.groups = 0
        self.codes = []
        self.next = []
        self.other = []
        self.data = []

    @cython.cfunc
    @cython.exceptval(-1)
    def state(self, code: cython.int, other: cython.int = -1, data: object = None) -> cython.int:
        count: cython.int = cython.cast(cython.int, len(self.codes))
        if count >= STATE_LIMIT:
            raise RegexError(too_large=True)
        self.codes.append(code)
        self.next.append(-1)
        self.other.append(other)
        self.data.append(data)
        return count

    @cython.cfunc
    def peek(self) -> cython.Py_UCS4:
        """The next character, NUL (which nothing special is) at the end."""
        return self.text[self.at] if self.at < self.size else "\0"

    def parse(self):
        """The number of the first state."""
        group: cython.int = self.state(OPEN, -1, 0)
        body: Fragment = self.alternatives()
        if self.at < self.size:
            raise RegexError()
        self.next[group] = body.begin
        close: cython.int = self.state(CLOSE, -1, 0)
        self.next[body.end] = close
        self.next[close] = self.state(ACCEPT)
        return group

    @cython.cfunc
    def alternatives(self) -> Fragment:
        result: Fragment = self.sequence()
        while self.peek() == "|":
            self.at += 1
            right: Fragment = self.sequence()
            end: cython.int = self.state(EMPTY)
            self.next[result.end] = end
            self.next[right.end] = end
            begin: cython.int = self.state(SPLIT, result.begin)
            self.next[begin] = right.begin
            result = Fragment(begin, end)
        return result

    @cython.cfunc
    def sequence(self) -> Fragment:
        result: Fragment = Fragment(-1, -1)
        while True:
            part: object = self.term()
            if part is None:
                break
            self.append(result, part)
        end: cython.int = self.state(EMPTY)
        self.append(result, Fragment(end, end))
        return result

    @cython.cfunc
    def append(self, result: Fragment, part: Fragment) -> object:
        if result.begin < 0:
            result.begin = part.begin
        else:
            self.next[result.end] = part.begin
        result.end = part.end
        return None

    @cython.cfunc
    def term(self) -> object:
        """A Fragment, or None where none begins."""
        if self.at >= self.size:
            return None
        c: cython.Py_UCS4 = self.peek()
        if c == "^" or c == "$":
            self.at += 1
            here: cython.int = self.state(START if c == "^" else END)
            return Fragment(here, here)
        if c == "|" or c == ")" or c == "*" or c == "+" or c == "?" or c == "{":
            return None
        atom: Fragment = self.atom(c)
        while True:
            c = self.peek()
            if c == "*" or c == "+":
                self.at += 1
                atom = self.repeated(atom, c == "+")
            elif c == "?":
                self.at += 1
                atom = self.optional(atom)
            elif c == "{":
                atom = self.interval(atom)
            else:
                return atom

    @cython.cfunc
    def atom(self, c: cython.Py_UCS4) -> Fragment:
        self.at += 1
        if c == "(":
            return self.group()
        if c == ".":
            return self.one(ANY)
        if c == "[":
            return self.one(self.bracket())
        if c == "\\":
            if self.at >= self.size or self.peek() not in ESCAPABLE:
                raise RegexError()
            c = self.peek()
            self.at += 1
        elif c == "\0":
            raise RegexError()
        return self.one(span(ord(c), ord(c)))

    @cython.cfunc
    def one(self, characters: object) -> Fragment:
        here: cython.int = self.state(MATCH, -1, characters)
        return Fragment(here, here)

    @cython.cfunc
    def group(self) -> Fragment:
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            raise RegexError(too_large=True)
        self.groups += 1
        number: cython.int = self.groups
        begin: cython.int = self.state(OPEN, -1, number)
        body: Fragment = self.alternatives()
        if self.peek() != ")":
            raise RegexError()
        self.at += 1
        self.depth -= 1
        self.next[begin] = body.begin
        end: cython.int = self.state(CLOSE, -1, number)
        self.next[body.end] = end
        return Fragment(begin, end)

    @cython.cfunc
    def repeated(self, body: Fragment, needed: cython.bint) -> Fragment:
        """`+` (`needed`) or `*`."""
        repeat: cython.int = self.state(REPEAT, body.begin)
        self.next[body.end] = repeat
        return Fragment(body.begin if needed else repeat, repeat)

    @cython.cfunc
    def optional(self, body: Fragment) -> Fragment:
        end: cython.int = self.state(EMPTY)
        repeat: cython.int = self.state(REPEAT, body.begin)
        self.next[body.end] = end
        self.next[repeat] = end
        return Fragment(repeat, end)

    @cython.cfunc
    def number(self) -> object:
        """The digits at the current place, None without any; wraps like C's int."""
        start: cython.Py_ssize_t = self.at
        while "0" <= self.peek() <= "9":
            self.at += 1
        if start == self.at:
            return None
        if self.at - start > 4000:
            raise RegexError(too_large=True)
        value: object = int(self.text[start : self.at]) & 0xFFFFFFFF
        return value - (1 << 32) if value >> 31 else value

    @cython.cfunc
    def interval(self, body: Fragment) -> Fragment:
        self.at += 1
        least: object = self.number()
        if least is None:
            raise RegexError()
        extra: object = 0
        unbounded: cython.bint = False
        if self.peek() == ",":
            self.at += 1
            most: object = self.number()
            if most is None:
                unbounded = True
            else:
                extra = most - least
        if self.peek() != "}":
            raise RegexError()
        self.at += 1
        if extra < 0:
            raise RegexError()
        begin: cython.int = self.state(EMPTY)
        result: Fragment = Fragment(begin, begin)
        for _ in range(least):
            self.append(result, self.clone(body))
        if unbounded:
            copy: Fragment = self.clone(body)
            repeat: cython.int = self.state(REPEAT, copy.begin)
            self.next[copy.end] = repeat
            self.append(result, Fragment(repeat, repeat))
        else:
            self.chain(body, result, extra)
        return result

    @cython.cfunc
    def chain(self, body: Fragment, result: Fragment, count: object) -> object:
        """`count` optional copies, each only after the one before."""
        out: cython.int = self.state(EMPTY)
        for _ in range(count):
            copy: Fragment = self.clone(body)
            repeat: cython.int = self.state(REPEAT, copy.begin)
            self.next[repeat] = out
            self.append(result, Fragment(repeat, copy.end))
        return self.append(result, Fragment(out, out))

    @cython.cfunc
    def clone(self, body: Fragment) -> Fragment:
        copies: dict = {}
        waiting: list = [body.begin]
        last: object = body.end
        while waiting:
            old = waiting.pop()
            if old in copies:
                continue
            copies[old] = self.state(self.codes[old], self.other[old], self.data[old])
            if self.other[old] >= 0:
                waiting.append(self.other[old])
            if old != last and self.next[old] >= 0:
                waiting.append(self.next[old])
        for old, new in copies.items():
            if self.other[old] >= 0:
                self.other[new] = copies[self.other[old]]
            if old != last and self.next[old] >= 0:
                self.next[new] = copies[self.next[old]]
        return Fragment(copies[body.begin], copies[last])

    @cython.cfunc
    def bracket(self) -> object:
        """The set of bytes of a bracket expression; the opening bracket is read already."""
        negated: cython.bint = self.peek() == "^"
        if negated:
            self.at += 1
        found: object = 0
        last: cython.int = -1  # a character that may begin a range
        after_class: cython.bint = False
        kind, value = self.bracket_token(True)
        if kind == "char" or kind == "dash":
            last = value
            found |= span(value, value)
            kind, value = self.bracket_token(False)
        while kind != "end":
            if kind == "set":
                found |= value
                last = -1
                after_class = True
            elif kind == "char":
                last = value
                found |= span(value, value)
                after_class = False
            else:
                kind, value = self.bracket_token(False)
                if kind == "end":
                    found |= span(45, 45)
                    break
                if after_class or last < 0 or kind == "set":
                    raise RegexError()
                found |= _range(last, value)
                last = -1
                after_class = False
            kind, value = self.bracket_token(False)
        return EVERY & ~found if negated else found

    @cython.cfunc
    def bracket_token(self, first: cython.bint) -> tuple:
        """("char", code) | ("dash", 45) | ("set", codes) | ("end", None)."""
        if self.at >= self.size:
            raise RegexError()
        c: cython.Py_UCS4 = self.peek()
        self.at += 1
        if c == "-":
            return "dash", 45
        if c == "]" and not first:
            return "end", None
        if c == "[":
            if self.at >= self.size:
                raise RegexError()
            mark: str = self.text[self.at]
            if mark == "." or mark == ":" or mark == "=":
                return self.named(mark)
        return "char", ord(c)

    @cython.cfunc
    def named(self, mark: str) -> tuple:
        """`[.name.]`, `[:name:]` or `[=name=]` inside a bracket expression."""
        end = self.text.find(mark, self.at + 1)
        if end < 0 or self.text[end + 1 : end + 2] != "]":
            raise RegexError()
        name = self.text[self.at + 1 : end]
        self.at = end + 2
        if mark == ":":
            # Only ASCII letters are lowered.
            known = CLASSES.get(name.lower() if name.isascii() else name)
            if known is None:
                raise RegexError()
            return "set", known
        if name not in COLLATING_NAMES:
            raise RegexError()
        code = COLLATING_NAMES.index(name)
        if mark == ".":
            return "char", code
        letter = chr(code)
        return "set", span(ord(letter.lower()), ord(letter.lower())) | span(ord(letter.upper()), ord(letter.upper()))


@cython.cfunc
def _range(first: cython.int, last: cython.int) -> object:
    """The bytes from one to another, in the order of signed characters."""
    if _signed(first) > _signed(last):
        raise RegexError()
    if first > 127 and last < 128:
        return span(first, 255) | span(0, last)
    return span(first, last)
