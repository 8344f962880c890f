# cython: boundscheck=False, wraparound=False
"""`builtins.fromJSON`: JSON text to values.

In: a byte string. Out: a value of the language, or JSONError with the message that Nix's JSON library (nlohmann) gives.
Valid text goes through a quick reader; what that refuses is read again by the exact reader below, which has no
recursion, knows where it stands, and judges the rarer cases. Source of truth: RFC 8259,
nlohmann/json's lexer and parser (messages), Nix's `json-to-value.cc` (numbers, null bytes).
"""

from __future__ import annotations

import cython
from cython.cimports.frazil.lang.values import attrs_from_dict, latin1

INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1
UNSIGNED_MAX = (1 << 64) - 1
NESTING_LIMIT = 1000 if cython.compiled else 100

CONTROL_NAMES = (
    "NUL SOH STX ETX EOT ENQ ACK BEL BS HT LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US"
).split()
SHORT_ESCAPES = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
UNESCAPED = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
LITERALS = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
STRUCTURE = {"[": "'['", "]": "']'", "{": "'{'", "}": "'}'", ":": "':'", ",": "','"}
VALUE_START = "'[', '{', or a literal"


class JSONError(ValueError):
    """`syntax` is false for what is well-formed but cannot be a value (reported without "while decoding …")."""

    def __init__(self, message: str, syntax: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.syntax = syntax


class _Retry(Exception):
    """The quick reader met something that only the exact one judges."""


def parse_json(text: str):
    """The value of a JSON text; raises JSONError."""
    try:
        if not text.isascii():
            # Whatever holds no UTF-8 is an error, wherever it stands.
            text.encode("latin-1").decode("utf-8")
        return _Quick().read(text)
    except (_Retry, ValueError):
        return _Exact(text).parse()


def _integer(text: str):
    value = int(text) if len(text) < 25 else UNSIGNED_MAX + 1
    if INT_MIN <= value <= INT_MAX:
        return value
    if 0 <= value <= UNSIGNED_MAX:
        raise _Retry
    return _real(text)


def _real(text: str):
    value = float(text)
    if value - value != 0.0:
        raise _Retry
    return value


@cython.final
@cython.cclass
class _Quick:
    """Reads valid text in one pass. The text is followed by a zero byte, which is no part of any valid text."""

    text: str
    at: cython.Py_ssize_t
    depth: cython.int
    keys: dict

    def read(self, text):
        self.text = text
        self.at = 0
        self.depth = 0
        self.keys = {}
        value = self.value()
        if self.skip() != 0 or self.at != len(text):
            raise _Retry
        return value

    @cython.cfunc
    def skip(self) -> cython.int:
        """The next byte that is no blank."""
        data: cython.p_const_uchar = latin1(self.text)
        at: cython.Py_ssize_t = self.at
        while data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9:
            at += 1
        self.at = at
        return data[at]

    @cython.cfunc
    def value(self) -> object:
        c: cython.int = self.skip()
        if c == 34:
            return self.string()
        if c == 123 or c == 91:
            self.depth += 1
            if self.depth > NESTING_LIMIT:
                raise _Retry
            self.at += 1
            value: object = self.table() if c == 123 else self.array()
            self.depth -= 1
            return value
        if c == 45 or 48 <= c <= 57:
            return self.number()
        if c == 116 and self.text.startswith("true", self.at):
            self.at += 4
            return True
        if c == 102 and self.text.startswith("false", self.at):
            self.at += 5
            return False
        if c == 110 and self.text.startswith("null", self.at):
            self.at += 4
            return None
        raise _Retry

    @cython.cfunc
    def array(self) -> list:
        items: list = []
        if self.skip() == 93:
            self.at += 1
            return items
        while True:
            items.append(self.value())
            c: cython.int = self.skip()
            self.at += 1
            if c == 93:
                return items
            if c != 44:
                raise _Retry

    @cython.cfunc
    def table(self) -> object:
        table: dict = {}
        if self.skip() == 125:
            self.at += 1
            return attrs_from_dict(table)
        while True:
            if self.skip() != 34:
                raise _Retry
            key: str = self.string()
            known: object = self.keys.get(key)
            if known is None:
                self.keys[key] = known = key
            if self.skip() != 58:
                raise _Retry
            self.at += 1
            table[known] = self.value()
            c: cython.int = self.skip()
            self.at += 1
            if c == 125:
                return attrs_from_dict(table)
            if c != 44:
                raise _Retry

    @cython.cfunc
    def string(self) -> str:
        data: cython.p_const_uchar = latin1(self.text)
        start: cython.Py_ssize_t = self.at + 1
        at: cython.Py_ssize_t = start
        parts: list = None
        while True:
            while data[at] >= 32 and data[at] != 34 and data[at] != 92:
                at += 1
            if data[at] == 34:
                self.at = at + 1
                if parts is None:
                    return self.text[start:at]
                parts.append(self.text[start:at])
                return "".join(parts)
            if data[at] != 92:
                raise _Retry
            if parts is None:
                parts = []
            parts.append(self.text[start:at])
            self.at = at + 1
            parts.append(self.escape())
            start = at = self.at

    @cython.cfunc
    def escape(self) -> str:
        """What comes after a backslash."""
        c: cython.Py_UCS4 = self.text[self.at] if self.at < len(self.text) else "\0"
        self.at += 1
        if c != "u":
            found: object = UNESCAPED.get(c)
            if found is None:
                raise _Retry
            return found
        code: cython.int = self.hexadecimal()
        if 0xD800 <= code <= 0xDBFF:
            if not self.text.startswith("\\u", self.at):
                raise _Retry
            self.at += 2
            low: cython.int = self.hexadecimal()
            if not 0xDC00 <= low <= 0xDFFF:
                raise _Retry
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        elif code == 0 or 0xDC00 <= code <= 0xDFFF:
            raise _Retry
        return chr(code).encode("utf-8").decode("latin-1")

    @cython.cfunc
    @cython.exceptval(-1)
    def hexadecimal(self) -> cython.int:
        digits: str = self.text[self.at : self.at + 4]
        self.at += 4
        if len(digits) != 4 or not digits.isalnum() or not digits.isascii():
            raise _Retry
        return int(digits, 16)

    @cython.cfunc
    def number(self) -> object:
        data: cython.p_const_uchar = latin1(self.text)
        start: cython.Py_ssize_t = self.at
        at: cython.Py_ssize_t = start
        value: cython.longlong = 0
        if data[at] == 45:
            at += 1
        first: cython.Py_ssize_t = at
        while 48 <= data[at] <= 57:
            if at - first < 18:
                value = 10 * value + (data[at] - 48)
            at += 1
        if at == first or (data[first] == 48 and at - first > 1):
            raise _Retry
        if data[at] == 46 or data[at] == 101 or data[at] == 69:
            return self.real(start, at)
        self.at = at
        if at - first > 18:
            return _integer(self.text[start:at])
        return -value if first > start else value

    @cython.cfunc
    def real(self, start: cython.Py_ssize_t, at: cython.Py_ssize_t) -> object:
        """A number with a fraction or an exponent; `at` is where that begins."""
        data: cython.p_const_uchar = latin1(self.text)
        begin: cython.Py_ssize_t
        if data[at] == 46:
            at += 1
            begin = at
            while 48 <= data[at] <= 57:
                at += 1
            if at == begin:
                raise _Retry
        if data[at] == 101 or data[at] == 69:
            at += 1
            if data[at] == 43 or data[at] == 45:
                at += 1
            begin = at
            while 48 <= data[at] <= 57:
                at += 1
            if at == begin:
                raise _Retry
        self.at = at
        return _real(self.text[start:at])


class _Exact:
    """Reads as nlohmann's lexer does, one byte at a time, with its positions and words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 0
        self.column = 0
        self.token_start = 0
        self.token_end = 0
        self.kind = ""
        self.value: object = None
        self.real = False
        self.error = ""

    def parse(self):
        if self.text.startswith("\xef\xbb\xbf"):
            self.at = self.column = 3
        elif self.text.startswith("\xef"):
            self.column = 2 if self.text[1:2] == "\xbb" else 1
            self.column = min(self.column + 1, len(self.text) + 1)
            self.token_end = min(self.column, len(self.text))
            self.kind, self.error = "error", "invalid BOM; must be 0xEF 0xBB 0xBF if given"
            raise self.failure("", "value")
        self.advance()
        result = self.document()
        self.advance()
        if self.kind != "end of input":
            raise self.failure("end of input", "value")
        return result

    def document(self):
        """All nesting is on the stack: (container, key under way or None)."""
        stack: list = []
        while True:
            value = None
            if self.kind == "'{'":
                self.advance()
                if self.kind != "'}'":
                    table: dict = {}
                    stack.append((table, self.key()))
                    continue
                value = attrs_from_dict({})
            elif self.kind == "'['":
                self.advance()
                if self.kind != "']'":
                    stack.append(([], None))
                    continue
                value = []
            elif self.kind == "number literal":
                value = self.convert()
            elif self.kind == "string literal":
                value = self.checked(self.value)
            elif self.kind == "literal":
                value = self.value
            else:
                raise self.no_value()
            while stack:
                value = self.collect(stack, value)
                if value is _OPEN:
                    break
            else:
                return value

    def collect(self, stack, value):
        """Puts a value into the innermost container; gives that container where it ends here, else _OPEN."""
        container, key = stack.pop()
        self.advance()
        if isinstance(container, list):
            container.append(value)
            if self.kind == "','":
                self.advance()
                stack.append((container, None))
                return _OPEN
            if self.kind != "']'":
                raise self.failure("']'", "array")
            return container
        container[key] = value
        if self.kind == "','":
            self.advance()
            stack.append((container, self.key()))
            return _OPEN
        if self.kind != "'}'":
            raise self.failure("'}'", "object")
        return attrs_from_dict(container)

    def key(self) -> str:
        """The current token as a key; leaves the first token of its value current."""
        if self.kind != "string literal":
            raise self.failure("string literal", "object key")
        name = self.checked(self.value)
        self.advance()
        if self.kind != "':'":
            raise self.failure("':'", "object separator")
        self.advance()
        return name

    def checked(self, text) -> str:
        """A string may not hold null bytes."""
        if "\0" in text:
            shown = text.replace("\0", "␀".encode().decode("latin-1"))
            raise JSONError(
                f"input string '{shown}' cannot be represented as Nix string because it contains null bytes",
                syntax=False,
            )
        return text

    def no_value(self) -> JSONError:
        if self.kind == "error":
            return self.failure("", "value")
        if self.kind == "end of input" and self.at == 0:
            return JSONError(
                "[json.exception.parse_error.101] parse error at line 1, column 1: attempting to parse an empty input;"
                " check that your input string or stream contains the expected JSON"
            )
        return self.failure(VALUE_START, "value")

    def failure(self, expected: str, context: str) -> JSONError:
        message = f"syntax error while parsing {context} - "
        if self.kind == "error":
            shown = "".join(
                c if c > "\x1f" else f"<U+{ord(c):04X}>" for c in self.text[self.token_start : self.token_end]
            )
            message += f"{self.error}; last read: '{shown}'"
        else:
            kind = f"{self.value_name()} literal" if self.kind == "literal" else self.kind
            message += f"unexpected {kind}"
        if expected:
            message += f"; expected {expected}"
        return JSONError(
            f"[json.exception.parse_error.101] parse error at line {self.line + 1}, column {self.column}: {message}"
        )

    def value_name(self) -> str:
        return {None: "null", True: "true", False: "false"}[self.value]

    def step(self) -> str:
        """The next byte, "" at the end (which also counts as a column)."""
        self.column += 1
        if self.at >= len(self.text):
            self.token_end = len(self.text)
            return ""
        c = self.text[self.at]
        self.at += 1
        self.token_end = self.at
        if c == "\n":
            self.line += 1
            self.column = 0
        return c

    def fail(self, message: str) -> None:
        self.kind = "error"
        self.error = message

    def advance(self) -> None:
        """Makes the next token current."""
        while True:
            start = self.at
            c = self.step()
            if c not in (" ", "\t", "\n", "\r"):
                break
        if c == "":
            self.kind = "end of input"
        elif c in STRUCTURE:
            self.kind = STRUCTURE[c]
        elif c in LITERALS:
            self.literal(*LITERALS[c])
        elif c == '"':
            self.token_start = start
            self.string()
        elif c == "-" or "0" <= c <= "9":
            self.token_start = start
            self.number(c)
        else:
            self.fail("invalid literal")

    def literal(self, word: str, value: object) -> None:
        for expected in word[1:]:
            if self.step() != expected:
                return self.fail("invalid literal")
        self.kind = "literal"
        self.value = value  # type: ignore[assignment]
        return None

    def number(self, c: str) -> None:
        real = False
        if c == "-":
            c = self.step()
            if not ("0" <= c <= "9"):
                return self.fail("invalid number; expected digit after '-'")
        if c == "0":
            c = self.step()
        else:
            c = self.digits(c)
        if c == ".":
            real = True
            c = self.step()
            if not ("0" <= c <= "9"):
                return self.fail("invalid number; expected digit after '.'")
            c = self.digits(c)
        if c == "e" or c == "E":
            real = True
            c = self.step()
            sign = c == "+" or c == "-"
            if sign:
                c = self.step()
            if not ("0" <= c <= "9"):
                what = "digit after exponent sign" if sign else "'+', '-', or digit after exponent"
                return self.fail(f"invalid number; expected {what}")
            c = self.digits(c)
        self.unstep(c)
        self.kind = "number literal"
        self.value = self.text[self.token_start : self.at]
        self.real = real
        return None

    def digits(self, c: str) -> str:
        """Reads on over digits; the first byte that is none."""
        while c != "" and "0" <= c <= "9":
            c = self.step()
        return c

    def unstep(self, c: str) -> None:
        if c == "\n":
            self.line -= 1
            self.column = 0
        elif self.column > 0:
            self.column -= 1
        if c != "":
            self.at -= 1

    def convert(self):
        text = self.value
        if not self.real and len(text) < 25:
            value = int(text)
            if INT_MIN <= value <= INT_MAX:
                return value
            if 0 <= value <= UNSIGNED_MAX:
                raise JSONError(f"unsigned json number {value} outside of Nix integer range", syntax=False)
        number = float(text)
        if number - number != 0.0:
            raise JSONError(f"[json.exception.out_of_range.406] number overflow parsing '{text}'")
        return number

    def string(self) -> None:
        parts: list = []
        while True:
            c = self.step()
            if c == '"':
                break
            if c == "":
                return self.fail("invalid string: missing closing quote")
            if c == "\\":
                found = self.escape()
                if found is None:
                    return None
                parts.append(found)
            elif c < " ":
                code = ord(c)
                short = f" or \\{SHORT_ESCAPES[code]}" if code in SHORT_ESCAPES else ""
                return self.fail(
                    f"invalid string: control character U+{code:04X} ({CONTROL_NAMES[code]}) must be escaped to"
                    f" \\u{code:04X}{short}"
                )
            elif c < "\x80":
                parts.append(c)
            else:
                found = self.continuation(c)
                if found is None:
                    return self.fail("invalid string: ill-formed UTF-8 byte")
                parts.append(found)
        self.kind = "string literal"
        self.value = "".join(parts)
        return None

    def continuation(self, c: str):
        """The whole UTF-8 sequence that `c` begins, or None."""
        if "\xc2" <= c <= "\xdf":
            count, low, high = 1, "\x80", "\xbf"
        elif "\xe0" <= c <= "\xef":
            count = 2
            low, high = ("\xa0" if c == "\xe0" else "\x80"), ("\x9f" if c == "\xed" else "\xbf")
        elif "\xf0" <= c <= "\xf4":
            count = 3
            low, high = ("\x90" if c == "\xf0" else "\x80"), ("\x8f" if c == "\xf4" else "\xbf")
        else:
            return None
        found = c
        for _ in range(count):
            c = self.step()
            if not (low <= c <= high):
                return None
            found += c
            low, high = "\x80", "\xbf"
        return found

    def hexadecimal(self) -> int:
        """Four digits; -1 where there are none."""
        value = 0
        for _ in range(4):
            c = self.step()
            if c == "" or c not in "0123456789abcdefABCDEF":
                return -1
            value = value * 16 + int(c, 16)
        return value

    def escape(self):
        c = self.step()
        if c in UNESCAPED:
            return UNESCAPED[c]
        if c != "u":
            return self.fail("invalid string: forbidden character after backslash")
        code = self.hexadecimal()
        if code < 0:
            return self.fail("invalid string: '\\u' must be followed by 4 hex digits")
        if 0xD800 <= code <= 0xDBFF:
            lone = "invalid string: surrogate U+D800..U+DBFF must be followed by U+DC00..U+DFFF"
            if self.step() != "\\" or self.step() != "u":
                return self.fail(lone)
            low = self.hexadecimal()
            if low < 0:
                return self.fail("invalid string: '\\u' must be followed by 4 hex digits")
            if not (0xDC00 <= low <= 0xDFFF):
                return self.fail(lone)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        elif 0xDC00 <= code <= 0xDFFF:
            return self.fail("invalid string: surrogate U+DC00..U+DFFF must follow U+D800..U+DBFF")
        return chr(code).encode("utf-8").decode("latin-1")


_OPEN = object()
