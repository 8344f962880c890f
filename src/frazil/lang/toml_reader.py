"""`builtins.fromTOML`: TOML 1.0 text to plain Python data.

In: a byte string. Out: nested dicts, lists, `str` (byte strings), int, float, bool and `Timestamp`, or TOMLError, whose
message shows the line with a mark under the place, in the style of the library that Nix uses (toml11). Source of
truth: the TOML 1.0.0 specification; Nix's `fromTOML.cc` for timestamps and limits.
"""

from __future__ import annotations

import re
from typing import Any

from cython.cimports.frazil.lang.values import spend

from frazil.lang.toml_places import places_shown

INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1
NESTING_LIMIT = 500

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DECIMAL = re.compile(r"[+-]?(?:0|[1-9](?:_?[0-9])*)(?![0-9_])")
_RADIX = re.compile(r"0(?:x[0-9A-Fa-f](?:_?[0-9A-Fa-f])*|o[0-7](?:_?[0-7])*|b[01](?:_?[01])*)")
_FLOAT = re.compile(
    r"[+-]?(?:inf|nan|(?:0|[1-9](?:_?[0-9])*)"
    r"(?:\.[0-9](?:_?[0-9])*(?:[eE][+-]?[0-9](?:_?[0-9])*)?|[eE][+-]?[0-9](?:_?[0-9])*))"
)
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?")
_OFFSET = re.compile(r"[Zz]|([+-])([0-9]{2}):([0-9]{2})")
_WORD = re.compile(r"[^\s,\]}#]*")
_PLAIN = re.compile(r'[^"\\\x00-\x08\x0a-\x1f\x7f]+')
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class TOMLError(ValueError):
    """`message` may span lines."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Timestamp:
    """A date, time or both; `text` as it is written canonically."""

    def __init__(self, text: str) -> None:
        self.text = text


Place = tuple[int, int]
"""Start and end of what made a value: of itself, or of the key or header that made a table."""


class _Table(dict):  # type: ignore[type-arg]
    """`kind`: "implicit" (made on the way), "header", "dotted", or "inline". `places`: of its values."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.places: dict[str, Place] = {}

    def put(self, name: str, value: Any, place: Place) -> Any:
        self[name] = value
        self.places[name] = place
        return value


class _TableArray(list):  # type: ignore[type-arg]
    """What `[[name]]` appends to."""


def parse_toml(text: str) -> Any:
    """Raises TOMLError."""
    reader = _Reader(text)
    try:
        return reader.document()
    except RecursionError:
        raise reader.fail("toml::parse_value: too deeply nested") from None


def is_list_of_tables(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(isinstance(item, _Table) for item in value)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.key_end = 0
        self.depth = 0

    def fail(self, message: str, label: str = "here", at: int | None = None) -> TOMLError:
        """An error that shows the line of `at` with a mark."""
        place = self.at if at is None else at
        return TOMLError(places_shown(self.text, message, [(place, place + 1, label)]))

    def document(self) -> Any:
        text = self.text
        try:
            text.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.fail("toml::parse: invalid UTF-8 sequence", at=error.start) from error
        if text.startswith("\xef\xbb\xbf"):
            self.at = 3
        root = _Table("header")
        section: _Table = root
        while True:
            self.blank()
            if self.at >= len(text):
                return root
            c = text[self.at]
            if c == "[":
                section = self.header(root)
            elif c not in "#\r\n":
                self.pair(section)
            self.line_end()

    def blank(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def comment(self) -> None:
        if self.text[self.at : self.at + 1] == "#":
            end = self.text.find("\n", self.at)
            end = len(self.text) if end < 0 else end
            if end > 0 and self.text[end - 1] == "\r":
                end -= 1
            found = _CONTROL.search(self.text, self.at, end)
            if found:
                raise self.fail("toml::parse_comment: invalid character appeared in a comment", at=found.start())
            self.at = end

    def newline(self) -> bool:
        if self.text.startswith("\n", self.at):
            self.at += 1
            return True
        if self.text.startswith("\r\n", self.at):
            self.at += 2
            return True
        return False

    def line_end(self) -> None:
        spend(16)
        self.blank()
        self.comment()
        if self.at < len(self.text) and not self.newline():
            raise self.fail("toml::parse_table: newline (LF / CRLF) or EOF is expected")

    def spaces(self) -> None:
        """Blanks, comments and line ends, as arrays allow them."""
        while True:
            self.blank()
            self.comment()
            if not self.newline():
                return

    def key(self) -> list[str]:
        names = []
        while True:
            self.blank()
            c = self.text[self.at : self.at + 1]
            if c == '"':
                self.at += 1
                names.append(self.basic_string())
            elif c == "'":
                self.at += 1
                names.append(self.literal_string())
            else:
                found = _BARE_KEY.match(self.text, self.at)
                if found is None:
                    raise self.fail("toml::parse_key: invalid key", "valid bare key is expected")
                self.at = found.end()
                names.append(found.group())
            self.key_end = self.at
            self.blank()
            if self.text[self.at : self.at + 1] != ".":
                return names
            self.at += 1

    def header(self, root: _Table) -> _Table:
        start = self.at
        is_array = self.text.startswith("[[", start)
        self.at += 2 if is_array else 1
        names = self.key()
        close = "]]" if is_array else "]"
        if not self.text.startswith(close, self.at):
            what = "array-of-tables" if is_array else "table"
            raise self.fail(f"toml::parse_{what.replace('-', '_')}_key: {what} key must be closed by `{close}`")
        self.at += len(close)
        place = start, self.at
        table = root
        for name in names[:-1]:
            found = table.get(name)
            if found is None:
                found = table.put(name, _Table("implicit"), place)
            elif isinstance(found, _TableArray):
                found = found[-1]
            elif not isinstance(found, _Table) or found.kind == "inline":
                raise self.closed(table, name, place)
            table = found
        name = names[-1]
        if is_array:
            return self.append(table, name, place)
        found = table.get(name)
        if found is None:
            found = table.put(name, _Table("header"), place)
        elif isinstance(found, _Table) and found.kind == "implicit":
            found.kind = "header"
            table.places[name] = place
        else:
            told = "this table is explicitly defined"
            raise self.conflict(
                "failed to insert a table, table already defined", "inserting this", place, told, table, name
            )
        return found  # type: ignore[no-any-return]

    def append(self, table: _Table, name: str, place: Place) -> _Table:
        array = table.get(name)
        if array is None:
            array = table.put(name, _TableArray(), place)
        elif not isinstance(array, _TableArray):
            what, told = "failed to insert an array of tables, value already exists", "non-table value already exists"
            if is_list_of_tables(array):
                what = "failed to insert a table, inline array of tables is immutable"
                told = "this is inline array-of-tables"
            raise self.conflict(what, "while inserting this", place, told, table, name)
        array.append(_Table("header"))
        return array[-1]  # type: ignore[no-any-return]

    def conflict(self, what: str, word: str, place: Place, told: str, table: _Table, name: str) -> TOMLError:
        """`what` is wrong with what is at `place`, since the table has the name already: `told` of that."""
        places = [(*place, word), (*table.places[name], told)]
        return TOMLError(places_shown(self.text, f"toml::insert_value: {what}", places))

    def closed(self, table: _Table, name: str, place: Place) -> TOMLError:
        """Nothing can be put in what has that name."""
        found = table[name]
        if isinstance(found, _Table) and found.kind == "inline":
            what, told = "failed to insert a value: inline table is immutable", "to this table"
            return self.conflict(what, "inserting this", place, told, table, name)
        if isinstance(found, _Table):
            what, told = "reopening a table using dotted keys", "this table is already closed"
            return self.conflict(what, "dotted key cannot reopen a table", place, told, table, name)
        if not is_list_of_tables(found):
            what, told = "failed to insert a value, value already exists", "non-table value already exists"
            return self.conflict(what, "while inserting this", place, told, table, name)
        what, told = "inline array of tables are immutable", "inline array of tables"
        if isinstance(found, _TableArray):
            what, told = "dotted key cannot reopen an array-of-tables", "to this array-of-tables."
        places = [(*place, "inserting this"), (*table.places[name], told)]
        return TOMLError(places_shown(self.text, f"toml::insert_value:{what}", places))

    def pair(self, section: _Table, inline: bool = False) -> None:
        start = self.at
        names = self.key()
        key = start, self.key_end
        if self.text[self.at : self.at + 1] != "=":
            raise self.fail("toml::parse_key_value_pair: invalid key value separator `=`", "expected =")
        self.at += 1
        self.blank()
        begin = self.at
        value = self.value()
        place = begin, self.at
        table = section
        for name in names[:-1]:
            found = table.get(name)
            if found is None:
                found = table.put(name, _Table("dotted"), key)
            elif not isinstance(found, _Table) or found.kind != "dotted":
                raise self.closed(table, name, key)
            table = found
        if names[-1] in table:
            what, told = "failed to insert a value, value already exists", "but value already exists"
            raise self.conflict(what, "inserting this", key, told, table, names[-1])
        table.put(names[-1], value, place)

    def value(self) -> object:
        spend(64)
        text = self.text
        c = text[self.at : self.at + 1]
        if c == '"' or c == "'":
            return self.string(c)
        if c == "[" or c == "{":
            self.depth += 1
            if self.depth > NESTING_LIMIT:
                raise self.fail("toml::parse_value: too deeply nested")
            value = self.array() if c == "[" else self.inline_table()
            self.depth -= 1
            return value
        word = _WORD.match(text, self.at)
        end = word.end() if word else self.at
        if text[self.at : end] in ("true", "false"):
            start = self.at
            self.at = end
            return text[start:end] == "true"
        if c.isdigit() and c.isascii() and (":" in text[self.at : end] or _DATE.match(text, self.at)):
            return self.timestamp()
        return self.number(end)

    def number(self, end: int) -> object:
        text, start = self.text, self.at
        found = _RADIX.match(text, start)
        if found and found.end() == end:
            digits = found.group().replace("_", "")
            value = int(digits[2:], {"x": 16, "o": 8, "b": 2}[digits[1]])
            kind = {"x": "hex", "o": "oct", "b": "bin"}[digits[1]]
            self.at = end
            if value > INT_MAX:
                raise self.fail(
                    f"toml::parse_{kind}_integer: too large integer: current max digits = 2^63", "must be < 2^63"
                )
            return value
        found = _FLOAT.match(text, start)
        if found and found.end() == end:
            self.at = end
            number = float(found.group().replace("_", ""))
            if number - number != 0.0 and found.group()[-1].isdigit():
                raise self.fail("toml::parse_floating: failed to read floating point value from stream")
            return number
        found = _DECIMAL.match(text, start)
        if found and found.end() == end:
            self.at = end
            digits = found.group().replace("_", "")
            value = int(digits) if len(digits) < 25 else INT_MAX + 1
            if not INT_MIN <= value <= INT_MAX:
                raise self.fail(
                    "toml::parse_dec_integer: too large integer: current max digits = 2^63", "must be < 2^63"
                )
            return value
        raise self.fail("toml::parse_value: unknown value appeared")

    def timestamp(self) -> Timestamp:
        date = _DATE.match(self.text, self.at)
        if date is None:
            return Timestamp(self.time())
        year, month, day = (int(part) for part in date.groups())
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month - 1] + (1 if leap and month == 2 else 0):
            raise self.fail("toml::parse_local_date: invalid date", f"{date.group()} is not a date")
        self.at = date.end()
        separator = self.text[self.at : self.at + 1]
        if separator not in ("T", "t", " ") or not _TIME.match(self.text, self.at + 1):
            return Timestamp(date.group())
        self.at += 1
        return Timestamp(f"{date.group()}T{self.time()}{self.offset()}")

    def time(self) -> str:
        found = _TIME.match(self.text, self.at)
        if found is None:
            raise self.fail("toml::parse_local_time: invalid time format")
        hour, minute, second, fraction = found.groups()
        if int(hour) > 23 or int(minute) > 59 or int(second) > 60:
            raise self.fail("toml::parse_local_time: invalid time", f"{found.group()} is not a time")
        self.at = found.end()
        digits = (fraction or "")[:9].ljust(9, "0")
        while digits.endswith("000"):
            digits = digits[:-3]
        return f"{hour}:{minute}:{second}" + (f".{digits}" if digits else "")

    def offset(self) -> str:
        found = _OFFSET.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        sign, hour, minute = found.groups()
        if sign is None or (hour == "00" and minute == "00"):
            return "Z"
        if int(hour) > 23 or int(minute) > 59:
            raise self.fail("toml::parse_offset_datetime: invalid offset")
        return found.group()

    def array(self) -> list[object]:
        self.at += 1
        items: list[object] = []
        while True:
            self.spaces()
            if self.text.startswith("]", self.at):
                self.at += 1
                return items
            items.append(self.value())
            self.spaces()
            if self.text.startswith(",", self.at):
                self.at += 1
            elif not self.text.startswith("]", self.at):
                raise self.fail("toml::parse_array: array does not have closing bracket `]`")

    def inline_table(self) -> _Table:
        self.at += 1
        table = _Table("header")
        self.blank()
        first = True
        while True:
            if first and self.text.startswith("}", self.at):
                break
            first = False
            self.pair(table, inline=True)
            self.blank()
            if self.text.startswith("}", self.at):
                break
            if not self.text.startswith(",", self.at):
                raise self.fail("toml::parse_inline_table: invalid inline table", "missing table separator `,`")
            self.at += 1
            self.blank()
        self.at += 1
        self.freeze(table)
        return table

    def freeze(self, table: _Table) -> None:
        waiting = [table]
        while waiting:
            here = waiting.pop()
            here.kind = "inline"
            waiting.extend(v for v in here.values() if isinstance(v, _Table) and v.kind != "inline")

    def string(self, quote: str) -> str:
        if self.text.startswith(quote * 3, self.at):
            self.at += 3
            self.newline()
            return self.multi_line(quote)
        self.at += 1
        return self.basic_string() if quote == '"' else self.literal_string()

    def literal_string(self) -> str:
        end = self.text.find("'", self.at)
        found = _CONTROL.search(self.text, self.at, end if end >= 0 else len(self.text))
        if end < 0 or found:
            raise self.fail("toml::parse_literal_string: invalid string format")
        start = self.at
        self.at = end + 1
        return self.text[start:end]

    def basic_string(self) -> str:
        parts = []
        while True:
            plain = _PLAIN.match(self.text, self.at)
            if plain is not None:
                parts.append(plain[0])
                self.at = plain.end()
            c = self.text[self.at : self.at + 1]
            if c not in ('"', "\\"):
                raise self.fail("toml::parse_basic_string: invalid string format")
            self.at += 1
            if c == '"':
                return "".join(parts)
            parts.append(self.escape())

    def escape(self) -> str:
        c = self.text[self.at : self.at + 1]
        self.at += 1
        if c in _ESCAPES and c:
            return _ESCAPES[c]
        if c in ("u", "U"):
            size = 4 if c == "u" else 8
            digits = self.text[self.at : self.at + size]
            if len(digits) == size and all(d in "0123456789abcdefABCDEF" for d in digits):
                code = int(digits, 16)
                if code < 0xD800 or 0xE000 <= code <= 0x10FFFF:
                    self.at += size
                    return chr(code).encode("utf-8").decode("latin-1")
            raise self.fail("toml::parse_utf8_codepoint: invalid unicode codepoint")
        raise self.fail("toml::parse_escape_sequence: unknown escape sequence appeared.", at=self.at - 1)

    def multi_line(self, quote: str) -> str:
        parts = []
        while True:
            if self.text.startswith(quote * 3, self.at):
                extra = 0
                while extra < 2 and self.text.startswith(quote, self.at + 3 + extra):
                    extra += 1
                self.at += 3 + extra
                return "".join(parts) + quote * extra
            c = self.text[self.at : self.at + 1]
            start = self.at
            if c == "" or (_CONTROL.match(c) and not self.newline()):
                raise self.fail("toml::parse_multiline_string: invalid string format")
            if self.at > start:
                parts.append(self.text[start : self.at])
                continue
            self.at += 1
            if c == "\\" and quote == '"':
                parts.append("" if self.continued() else self.escape())
            else:
                parts.append(c)

    def continued(self) -> bool:
        """Skips a backslash's line end and the white space after it; false where there is no line end."""
        start = self.at
        self.blank()
        if not self.newline():
            self.at = start
            return False
        while self.at < len(self.text) and (self.text[self.at] in " \t" or self.newline()):
            if self.at < len(self.text) and self.text[self.at] in " \t":
                self.at += 1
        return True
