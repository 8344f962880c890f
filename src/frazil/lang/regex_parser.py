"""Reads regular expressions: the automaton that `regex` runs, and the same pattern for Python's `re`.

In: a POSIX extended regular expression as libstdc++'s `std::regex` reads it with the flag `extended` (strict: a
backslash may only stand before one of `. [ \\ ( ) * + ? { | ^ $`; inside brackets it is an ordinary character), a byte
string. Out: opcodes and links in `Parser`, and a `Fragment` that tells what may be done with them. Source of truth: the
behaviour of libstdc++.
"""

from __future__ import annotations

import cython

STATE_LIMIT = 100_000
NESTING_LIMIT = 1_000

MATCH, SPLIT, REPEAT, OPEN, CLOSE, START, END, EMPTY, ACCEPT = range(9)
BRANCHING = (SPLIT, REPEAT)

ESCAPABLE = frozenset(".[\\()*+?{|^$")
COLLATING_NAMES = (
    "NUL SOH STX ETX EOT ENQ ACK alert backspace tab newline vertical-tab form-feed carriage-return SO SI DLE DC1 DC2"
    " DC3 DC4 NAK SYN ETB CAN EM SUB ESC IS4 IS3 IS2 IS1 space exclamation-mark quotation-mark number-sign dollar-sign"
    " percent-sign ampersand apostrophe left-parenthesis right-parenthesis asterisk plus-sign comma hyphen period slash"
    " zero one two three four five six seven eight nine colon semicolon less-than-sign equals-sign greater-than-sign"
    " question-mark commercial-at A B C D E F G H I J K L M N O P Q R S T U V W X Y Z left-square-bracket backslash"
    " right-square-bracket circumflex underscore grave-accent a b c d e f g h i j k l m n o p q r s t u v w x y z"
    " left-curly-bracket vertical-line right-curly-bracket tilde DEL"
).split()

_DIGIT = frozenset(range(48, 58))
_UPPER = frozenset(range(65, 91))
_LOWER = frozenset(range(97, 123))
_ALPHA = _UPPER | _LOWER
_ALNUM = _ALPHA | _DIGIT
_GRAPH = frozenset(range(33, 127))
_SPACE = frozenset([9, 10, 11, 12, 13, 32])
CLASSES = {
    "d": _DIGIT,
    "w": _ALNUM | {95},
    "s": _SPACE,
    "alnum": _ALNUM,
    "alpha": _ALPHA,
    "blank": frozenset([9, 32]),
    "cntrl": frozenset(range(32)) | {127},
    "digit": _DIGIT,
    "graph": _GRAPH,
    "lower": _LOWER,
    "print": _GRAPH | {32},
    "punct": _GRAPH - _ALNUM,
    "space": _SPACE,
    "upper": _UPPER,
    "xdigit": _DIGIT | frozenset(range(65, 71)) | frozenset(range(97, 103)),
}
ANY = frozenset(range(1, 256))
EVERY = frozenset(range(256))


class RegexError(ValueError):
    """An invalid pattern; `too_large` where it would take more memory than allowed."""

    def __init__(self, too_large: bool = False) -> None:
        super().__init__("memory limit exceeded" if too_large else "invalid")
        self.too_large = too_large


def _signed(code: cython.int) -> cython.int:
    """Ranges compare C's signed characters."""
    return code - 256 if code > 127 else code


class Fragment:
    """A piece of automaton under construction and what is known about the pattern it came from.

    `source` is the same piece for Python's `re`; `first` the bytes a non-empty match may start with.
    """

    def __init__(self, begin, end, source, first, nullable):
        self.begin = begin
        self.end = end
        self.source = source
        self.first = first
        self.nullable = nullable
        self.stars = 0  # nesting of unbounded repetitions
        self.loops = 0  # unbounded repetitions in a row
        self.simple = True  # the first success of backtracking is the wanted whole match
        self.decided = True  # ... and also the wanted match of a search
        self.varies = False  # it can match in ways of different length
        self.atomic = False  # may be quantified in `source` as it stands
        self.faithful = True  # `source` says the same as the automaton, and repeats nothing that may be empty


class Parser:
    """One pass over the pattern: builds the automaton (opcodes and links) and the text for `re`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.groups = 0
        self.codes: list = []
        self.next: list = []
        self.other: list = []
        self.data: list = []

    def state(self, code, other=-1, data=None):
        self.codes.append(code)
        self.next.append(-1)
        self.other.append(other)
        self.data.append(data)
        if len(self.codes) > STATE_LIMIT:
            raise RegexError(too_large=True)
        return len(self.codes) - 1

    def parse(self) -> Fragment:
        group = self.state(OPEN, data=0)
        body = self.alternatives()
        if self.at < len(self.text):
            raise RegexError()
        self.next[group] = body.begin
        close = self.state(CLOSE, data=0)
        self.next[body.end] = close
        self.next[close] = self.state(ACCEPT)
        body.begin = group
        return body

    def alternatives(self) -> Fragment:
        result = self.sequence()
        while self.at < len(self.text) and self.text[self.at] == "|":
            self.at += 1
            result = self.join(result, self.sequence())
        return result

    def join(self, left: Fragment, right: Fragment) -> Fragment:
        end = self.state(EMPTY)
        self.next[left.end] = end
        self.next[right.end] = end
        begin = self.state(SPLIT, other=left.begin)
        self.next[begin] = right.begin
        result = Fragment(
            begin, end, f"{left.source}|{right.source}", left.first | right.first, left.nullable or right.nullable
        )
        result.stars = max(left.stars, right.stars)
        result.loops = max(left.loops, right.loops)
        result.simple = left.simple and right.simple
        result.varies = left.varies or right.varies
        result.faithful = left.faithful and right.faithful
        exclusive = not result.nullable and left.first.isdisjoint(right.first)
        result.decided = left.decided and right.decided and exclusive
        return result

    def sequence(self) -> Fragment:
        result = Fragment(-1, -1, "", frozenset(), True)
        parts = []
        while True:
            part = self.term()
            if part is None:
                break
            parts.append(part.source)
            if result.begin < 0:
                result.begin = part.begin
            else:
                self.next[result.end] = part.begin
            result.end = part.end
            if result.nullable:
                result.first = result.first | part.first
                result.nullable = part.nullable
            result.stars = max(result.stars, part.stars)
            result.loops += part.loops
            result.simple = result.simple and part.simple
            result.decided = result.decided and part.decided
            result.varies = result.varies or part.varies
            result.faithful = result.faithful and part.faithful
        end = self.state(EMPTY)
        if result.begin < 0:
            result.begin = end
        else:
            self.next[result.end] = end
        result.end = end
        result.source = "".join(parts)
        return result

    def term(self):
        if self.at >= len(self.text):
            return None
        c = self.text[self.at]
        if c == "^" or c == "$":
            self.at += 1
            here = self.state(START if c == "^" else END)
            return Fragment(here, here, r"\A" if c == "^" else r"\Z", frozenset(), True)
        atom = self.atom(c)
        if atom is None:
            return None
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == "*":
                self.at += 1
                atom = self.star(atom)
            elif c == "+":
                self.at += 1
                atom = self.plus(atom)
            elif c == "?":
                self.at += 1
                atom = self.optional(atom)
            elif c == "{":
                atom = self.interval(atom)
            else:
                break
        return atom

    def atom(self, c):
        if c == "|" or c == ")" or c == "*" or c == "+" or c == "?" or c == "{":
            return None
        self.at += 1
        if c == "(":
            return self.group()
        if c == ".":
            return self.one(ANY)
        if c == "[":
            return self.one(self.bracket())
        if c == "\\":
            if self.at >= len(self.text) or self.text[self.at] not in ESCAPABLE:
                raise RegexError()
            c = self.text[self.at]
            self.at += 1
        elif c == "\0":
            raise RegexError()
        return self.one(frozenset((ord(c),)))

    def one(self, characters) -> Fragment:
        here = self.state(MATCH, data=characters)
        fragment = Fragment(here, here, _class_source(characters), characters, False)
        fragment.atomic = True
        return fragment

    def group(self) -> Fragment:
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            raise RegexError(too_large=True)
        self.groups += 1
        number = self.groups
        begin = self.state(OPEN, data=number)
        body = self.alternatives()
        if self.at >= len(self.text) or self.text[self.at] != ")":
            raise RegexError()
        self.at += 1
        self.depth -= 1
        self.next[begin] = body.begin
        end = self.state(CLOSE, data=number)
        self.next[body.end] = end
        body.begin = begin
        body.end = end
        body.source = f"({body.source})"
        body.atomic = True
        return body

    def repeated(
        self, body: Fragment, begin, end, mark: str, unbounded: bool, nullable: bool, exact: bool = False
    ) -> Fragment:
        source = body.source if body.atomic else f"(?:{body.source})"
        result = Fragment(begin, end, source + mark, body.first, nullable)
        result.stars = body.stars + (1 if unbounded else 0)
        result.loops = body.loops + (1 if unbounded else 0)
        # How often an empty body is entered is counted differently from `re`.
        result.simple = body.simple and not body.nullable
        result.faithful = body.faithful and not body.nullable
        if mark != "?":
            # Several ways to go through the body would multiply with every repetition.
            result.simple = result.simple and body.decided and not body.varies
        result.varies = body.varies or not exact
        result.decided = body.decided
        return result

    def star(self, body: Fragment) -> Fragment:
        repeat = self.state(REPEAT, other=body.begin)
        self.next[body.end] = repeat
        return self.repeated(body, repeat, repeat, "*", True, True)

    def plus(self, body: Fragment) -> Fragment:
        repeat = self.state(REPEAT, other=body.begin)
        self.next[body.end] = repeat
        return self.repeated(body, body.begin, repeat, "+", True, body.nullable)

    def optional(self, body: Fragment) -> Fragment:
        end = self.state(EMPTY)
        repeat = self.state(REPEAT, other=body.begin)
        self.next[body.end] = end
        self.next[repeat] = end
        return self.repeated(body, repeat, end, "?", False, True)

    def number(self):
        """The digits at the current place, None without any; wraps like C's int."""
        start = self.at
        while self.at < len(self.text) and "0" <= self.text[self.at] <= "9":
            self.at += 1
        if start == self.at:
            return None
        if self.at - start > 4000:
            raise RegexError(too_large=True)
        value = int(self.text[start : self.at]) & 0xFFFFFFFF
        return value - (1 << 32) if value >> 31 else value

    def interval(self, body: Fragment) -> Fragment:
        self.at += 1
        least = self.number()
        if least is None:
            raise RegexError()
        extra = 0
        unbounded = False
        if self.at < len(self.text) and self.text[self.at] == ",":
            self.at += 1
            most = self.number()
            if most is None:
                unbounded = True
            else:
                extra = most - least
        if self.at >= len(self.text) or self.text[self.at] != "}":
            raise RegexError()
        self.at += 1
        if extra < 0 and least < 0:
            raise RegexError()
        begin = self.state(EMPTY)
        end = begin
        for _ in range(least):
            first, last = self.clone(body)
            self.next[end] = first
            end = last
        if unbounded:
            first, last = self.clone(body)
            repeat = self.state(REPEAT, other=first)
            self.next[last] = repeat
            self.next[end] = repeat
            end = repeat
            mark = f"{{{least},}}"
        else:
            if extra < 0:
                raise RegexError()
            end = self.chain(body, end, extra)
            mark = f"{{{least},{least + extra}}}"
        exact = not unbounded and extra == 0
        result = self.repeated(body, begin, end, mark, unbounded, body.nullable or least <= 0, exact)
        expressible = least >= 0 and least + extra < 65536
        result.simple = result.simple and expressible
        result.faithful = result.faithful and expressible
        return result

    def chain(self, body: Fragment, end, count):
        """`count` optional copies, each only after the one before."""
        out = self.state(EMPTY)
        for _ in range(count):
            first, last = self.clone(body)
            repeat = self.state(REPEAT, other=first)
            self.next[repeat] = out
            self.next[end] = repeat
            end = last
        self.next[end] = out
        return out

    def clone(self, body: Fragment):
        copies: dict = {}
        waiting = [body.begin]
        while waiting:
            old = waiting.pop()
            if old in copies:
                continue
            copies[old] = self.state(self.codes[old], self.other[old], self.data[old])
            if self.other[old] >= 0:
                waiting.append(self.other[old])
            if old != body.end and self.next[old] >= 0:
                waiting.append(self.next[old])
        for old, new in copies.items():
            if self.other[old] >= 0:
                self.other[new] = copies[self.other[old]]
            if old != body.end and self.next[old] >= 0:
                self.next[new] = copies[self.next[old]]
        return copies[body.begin], copies[body.end]

    def bracket(self):
        """The set of bytes of a bracket expression; the opening bracket is read already."""
        negated = self.at < len(self.text) and self.text[self.at] == "^"
        if negated:
            self.at += 1
        found: set = set()
        last = None  # a character that may begin a range
        after_class = False
        kind, value = self.bracket_token(True)
        if kind == "char" or kind == "dash":
            last = value
            found.add(value)
            kind, value = self.bracket_token(False)
        while kind != "end":
            if kind == "set":
                found |= value
                last = None
                after_class = True
            elif kind == "char":
                last = value
                found.add(value)
                after_class = False
            else:
                kind, value = self.bracket_token(False)
                if kind == "end":
                    found.add(45)
                    break
                if after_class or last is None or kind == "set":
                    raise RegexError()
                if _signed(last) > _signed(value):
                    raise RegexError()
                found.update(c & 255 for c in range(_signed(last), _signed(value) + 1))
                last = None
                after_class = False
            kind, value = self.bracket_token(False)
        return EVERY - found if negated else frozenset(found)

    def bracket_token(self, first: bool):
        """("char", code) | ("dash", 45) | ("set", codes) | ("end", None)."""
        if self.at >= len(self.text):
            raise RegexError()
        c = self.text[self.at]
        self.at += 1
        if c == "-":
            return "dash", 45
        if c == "]" and not first:
            return "end", None
        if c == "[":
            if self.at >= len(self.text):
                raise RegexError()
            mark = self.text[self.at]
            if mark == "." or mark == ":" or mark == "=":
                return self.named(mark)
        return "char", ord(c)

    def named(self, mark: str):
        """`[.name.]`, `[:name:]` or `[=name=]` inside a bracket expression."""
        end = self.text.find(mark, self.at + 1)
        if end < 0 or self.text[end + 1 : end + 2] != "]":
            raise RegexError()
        name = self.text[self.at + 1 : end]
        self.at = end + 2
        if mark == ":":
            # Only ASCII letters are lowered.
            members = CLASSES.get(name.lower() if name.isascii() else name)
            if members is None:
                raise RegexError()
            return "set", members
        if name not in COLLATING_NAMES:
            raise RegexError()
        code = COLLATING_NAMES.index(name)
        if mark == ".":
            return "char", code
        letter = chr(code)
        return "set", frozenset((ord(letter.lower()), ord(letter.upper())))


def _class_source(characters) -> str:
    """The set as a class of Python's `re`, with all bytes written in hexadecimal."""
    if characters == ANY:
        return r"[^\x00]"
    if len(characters) == 1:
        return _quote(min(characters))
    if not characters:
        return r"(?!)"
    if characters == EVERY:
        return r"[\x00-\xff]"
    negated = len(characters) > 128
    members = sorted(EVERY - characters if negated else characters)
    parts = ["[^" if negated else "["]
    position = 0
    while position < len(members):
        run = position
        while run + 1 < len(members) and members[run + 1] == members[run] + 1:
            run += 1
        parts.append(_quote(members[position]))
        if run > position:
            parts.append("-" + _quote(members[run]))
        position = run + 1
    parts.append("]")
    return "".join(parts)


def _quote(code: cython.int) -> str:
    c = chr(code)
    return c if c.isascii() and c.isalnum() else f"\\x{code:02x}"
