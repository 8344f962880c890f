"""Regular expressions of `builtins.match` and `builtins.split`, on byte strings (one character a byte).

In: a POSIX extended regular expression as libstdc++'s `std::regex` reads it with the flag `extended` (strict: a
backslash may only stand before one of `. [ \\ ( ) * + ? { | ^ $`; inside brackets it is an ordinary character).
Out: the groups of a whole match, or the pieces of a split. Source of truth: the behaviour of `std::regex_match` and
`std::regex_iterator`, which is neither Perl's nor POSIX's: a repetition keeps its first success, an alternative is
tried on both sides and the longer overall match wins, the first of equal ones.

Two machines do the matching. Patterns for which both rules give what a backtracking matcher finds first go to `re`; so
do, for whole matches, those that can read no text in two ways (`_deterministic`).
All others go to a matcher of our own that remembers what it found for each (branch, position), so that its time is
bounded by pattern size times text length.
"""

from __future__ import annotations


import cython

STATE_LIMIT = 100_000
NESTING_LIMIT = 1_000
DETERMINISM_LIMIT = 500
MEMORY_LIMIT = 1 << 27
CACHE_LIMIT = 10_000
UNLIMITED = -1

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
        elif counts:
            self.odd_memory[(state, position, counts)] = value
        else:
            self.memory[position * self.branches + self.numbers[state]] = value

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


class Regex:
    """A compiled pattern. `groups`: how many parentheses it has."""

    def __init__(self, pattern: str) -> None:
        parser = Parser(pattern)
        try:
            body = parser.parse()
        except RecursionError:
            raise RegexError(too_large=True) from None
        self.groups = parser.groups
        self.nullable = body.nullable
        backtracks = body.simple and body.stars <= 1 and body.loops <= 4 and parser.groups <= 90
        if not backtracks and parser.groups <= 90:
            backtracks = body.faithful and _deterministic(parser, body.begin)
        self._pattern = None
        if backtracks and len(body.source) < 20_000 and "((((((((((((((((((((" not in body.source:
            import re

            self._pattern = re.compile(body.source, re.DOTALL)
        self._search = self._pattern if body.simple and body.decided and body.stars <= 1 and body.loops <= 4 else None
        self._automaton = Automaton(parser, body.begin)

    def match(self, text: str):
        """The groups of a match of the whole text (None: a group without a part), or None."""
        if self._pattern is not None:
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
        if self._search is not None and not self.nullable:
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
