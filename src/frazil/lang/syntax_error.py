"""What Nix says about a text that is no expression.

In: the text. Out: the message (a byte string) and the offset it belongs to. The text is scanned again with the
scanner's modes spelled out, and run through the LALR automaton, whose state at the failure tells what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from frazil.lang.errors import byte_string
from frazil.lang.lalr import automaton

WORD = re.compile(rb"[a-zA-Z_][a-zA-Z0-9_'-]*")
INTEGER = re.compile(rb"[0-9]+")
FLOAT = re.compile(rb"(?:[1-9][0-9]*\.[0-9]*|0?\.[0-9]+)(?:[Ee][+-]?[0-9]+)?")
PATH = re.compile(rb"[a-zA-Z0-9._+-]*(?:/[a-zA-Z0-9._+-]+)+/?")
PATH_SEGMENT = re.compile(rb"[a-zA-Z0-9._+-]*/")
PATH_INTERPOLATED = re.compile(rb"(?:[a-zA-Z0-9._+-]*/|~/)(?=\$\{)")
HOME_PATH = re.compile(rb"~(?:/[a-zA-Z0-9._+-]+)+/?")
SEARCH_PATH = re.compile(rb"<[a-zA-Z0-9._+-]+(?:/[a-zA-Z0-9._+-]+)*>")
URI = re.compile(rb"[a-zA-Z][a-zA-Z0-9+.-]*:[a-zA-Z0-9%/?:@&=+$,_.!~*'-]+")
PATH_RUN = re.compile(rb"[a-zA-Z0-9._+-]*")
SCHEME_RUN = re.compile(rb"[a-zA-Z0-9+.-]*")
PATH_PIECE = re.compile(rb"[a-zA-Z0-9._+-]*(?:/[a-zA-Z0-9._+-]+)+/?|[a-zA-Z0-9._+-]*/|[a-zA-Z0-9._+-]+")
BLANK = re.compile(rb"(?:[ \t\r\n]+|#[^\r\n]*|/\*(?:[^*]|\*+[^*/])*\*+/)+")
STRING = re.compile(rb'(?:[^$"\\]|\$[^{"\\]|\\.|\$\\.)+', re.S)
STRING_DOLLAR = re.compile(rb'(?:[^$"\\]|\$[^{"\\]|\\.|\$\\.)*\$(?=")', re.S)
INDENTED = re.compile(rb"(?:[^$']|\$[^{']|'[^'$])+", re.S)
INDENTED_ESCAPE = re.compile(rb"''\$|'''|''\\.", re.S)
INDENTED_OPEN = re.compile(rb"''(?: *\n)?")
OPERATORS = {
    b"...": "ELLIPSIS",
    b"==": "EQ",
    b"!=": "NEQ",
    b"<=": "LEQ",
    b">=": "GEQ",
    b"&&": "AND",
    b"||": "OR",
    b"->": "IMPL",
    b"//": "UPDATE",
    b"++": "CONCAT",
    b"<|": "PIPE_FROM",
    b"|>": "PIPE_INTO",
    b"${": "DOLLAR_CURLY",
}
KEYWORDS = {
    b"if": "IF",
    b"then": "THEN",
    b"else": "ELSE",
    b"assert": "ASSERT",
    b"with": "WITH",
    b"let": "LET",
    b"in": "IN_KW",
    b"rec": "REC",
    b"inherit": "INHERIT",
    b"or": "OR_KW",
}
PLAIN = (
    (WORD, "ID"),
    (INTEGER, "INT_LIT"),
    (FLOAT, "FLOAT_LIT"),
    (PATH_INTERPOLATED, "PATH_INTERPOLATED"),
    (PATH, "PATH"),
    (HOME_PATH, "HPATH"),
    (SEARCH_PATH, "SPATH"),
    (URI, "URI"),
)


class Scanner:
    """Tokens by name with their offsets; a stack of modes as in the original."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.offset = 0
        self.modes = ["initial"]
        self.runs = {PATH_RUN: (0, -1), SCHEME_RUN: (0, -1)}

    def tokens(self) -> Iterator[tuple[str, int]]:
        previous = 0
        while True:
            mode = self.modes[len(self.modes) - 1]
            if mode in ("string", "indented", "path", "path slash"):
                name, start = getattr(self, "_" + mode.replace(" ", "_"))()
            else:
                name, start = self._plain()
            if name == "PATH_END":
                start = previous
            previous = start
            yield name, start
            if name == "$end":
                return

    def _take(self, name: str, end: int) -> tuple[str, int]:
        start = self.offset
        self.offset = end
        return name, start

    def _interpolation(self) -> tuple[str, int]:
        self.modes.append("default")
        return self._take("DOLLAR_CURLY", self.offset + 2)

    def _plain(self) -> tuple[str, int]:
        blank = BLANK.match(self.text, self.offset)
        if blank:
            self.offset = blank.end()
        if self.offset >= len(self.text):
            return "$end", len(self.text)
        name, end = self._longest()
        start = self.offset
        if name in ("PATH", "HPATH"):
            self.modes.append("path slash" if self.text[end - 1 : end] == b"/" else "path")
        elif name == "ID":
            name = KEYWORDS.get(self.text[start:end], "ID")
        elif name in ("{", "DOLLAR_CURLY"):
            self.modes.append("default")
        elif name == "}" and self.modes[len(self.modes) - 1] != "initial":
            self.modes.pop()
        elif name == '"':
            self.modes.append("string")
        elif name == "IND_STRING_OPEN":
            self.modes.append("indented")
        return self._take(name, end)

    def _longest(self) -> tuple[str, int]:
        """The longest token at the offset; the earlier rule wins a tie."""
        text, start = self.text, self.offset
        best, end = "", start
        for size in (3, 2):
            name = OPERATORS.get(text[start : start + size])
            if name and not best:
                best, end = name, start + size
        opening = INDENTED_OPEN.match(text, start)
        if opening:
            best, end = "IND_STRING_OPEN", opening.end()
        for pattern, name in PLAIN:
            if not self._can_be(name):
                continue
            found = pattern.match(text, start)
            if found and found.end() + (2 if name == "PATH_INTERPOLATED" else 0) > end:
                best, end = name, found.end()
        if best == "PATH_INTERPOLATED":
            best = "HPATH" if text[start : start + 1] == b"~" else "PATH"
        if best:
            return best, end
        return text[start : start + 1].decode("latin-1"), start + 1

    def _can_be(self, name: str) -> bool:
        """Whether what follows the run of characters at the offset allows such a token at all. Where runs end is
        remembered, as `-----1` asks at each character of one."""
        if name in ("PATH", "PATH_INTERPOLATED"):
            end = self._run_end(PATH_RUN)
            return self.text[end : end + 1] == b"/" or self.text[end : end + 1] == b"~"
        if name == "URI":
            end = self._run_end(SCHEME_RUN)
            return self.text[end : end + 1] == b":"
        return True

    def _run_end(self, pattern: re.Pattern[bytes]) -> int:
        start, end = self.runs[pattern]
        if not start <= self.offset <= end:
            found = pattern.match(self.text, self.offset)
            end = found.end() if found else self.offset
            self.runs[pattern] = (self.offset, end)
        return end

    def _string(self) -> tuple[str, int]:
        text, start = self.text, self.offset
        found = STRING.match(text, start)
        dollar = STRING_DOLLAR.match(text, start)
        end = max(found.end() if found else start, dollar.end() if dollar else start)
        if end > start:
            return self._take("STR", end)
        if text[start : start + 2] == b"${":
            return self._interpolation()
        if text[start : start + 1] == b'"':
            self.modes.pop()
            return self._take('"', start + 1)
        return "$end", len(text)

    def _indented(self) -> tuple[str, int]:
        text, start = self.text, self.offset
        for pattern in (INDENTED_ESCAPE, INDENTED):
            found = pattern.match(text, start)
            if found:
                return self._take("IND_STR", found.end())
        if text[start : start + 2] == b"${":
            return self._interpolation()
        if text[start : start + 2] == b"''":
            self.modes.pop()
            return self._take("IND_STRING_CLOSE", start + 2)
        if start < len(text):
            return self._take("IND_STR", start + 1)
        return "$end", len(text)

    def _path(self) -> tuple[str, int]:
        if self.text[self.offset : self.offset + 2] == b"${":
            self.modes[len(self.modes) - 1] = "path"
            return self._interpolation()
        found = PATH_PIECE.match(self.text, self.offset)
        if found:
            ends_in_slash = self.text[found.end() - 1 : found.end()] == b"/"
            self.modes[len(self.modes) - 1] = "path slash" if ends_in_slash else "path"
            return self._take("STR", found.end())
        self.modes.pop()
        return "PATH_END", self.offset

    _path_slash = _path


def describe_syntax_error(text: bytes, offset: int, pipes: bool) -> tuple[str, int]:
    """The message and where it points; `offset` is where the parser gave up, for the case that all is well."""
    machine = automaton()
    grammar = machine.grammar
    undefined = grammar.numbers["$undefined"]

    def numbered() -> Iterator[tuple[int, int]]:
        for name, start in Scanner(text).tokens():
            number = grammar.numbers.get(name, undefined)
            yield number if number < grammar.token_count else undefined, start

    failure = machine.run(numbered())
    if failure is None:
        return "syntax error", offset
    state, token, where = failure
    message = f"syntax error, unexpected {grammar.shown[token]}"
    expected = machine.expected(state)
    if 0 < len(expected) <= 4:
        message += ", expecting " + " or ".join(grammar.shown[t] for t in expected)
    return byte_string(message), len(text) if token == 0 else where
