"""What is probably wrong with a text that is no expression. In: the text, where the parser gave up and what it said.
Out: a sentence for `hint:`, and a better place to look at where there is one.

Judged by the brackets and words that are open at the place: `[`, `{`, `(`, `${`, strings, `let` without `in`, `if`
without `else`.
"""

from __future__ import annotations

from itertools import pairwise

from frazil.lang.syntax_error import BLANK, Scanner

NAMES = {"{": "{", "DOLLAR_CURLY": "${", "(": "(", "[": "[", '"': '"', "IND_STRING_OPEN": "''"}
CLOSERS = {"{": "}", "DOLLAR_CURLY": "}", "(": ")", "[": "]"}
ENDS = {("IND_STRING_OPEN", "IND_STRING_CLOSE"), ("LET", "IN_KW"), ("THEN", "ELSE")}
WORDS = frozenset({"IF", "THEN", "ELSE", "ASSERT", "WITH", "LET", "IN_KW", "REC", "INHERIT"})
TYPOGRAPHIC = {0x201C: '"', 0x201D: '"', 0x201E: '"', 0x2018: '"', 0x2019: '"', 0x2013: "-", 0x2014: "-", 0x2026: "..."}
BLANKS = frozenset({0xA0, 0x2007, 0x202F, 0x200B, 0xFEFF, 0x3000})
LONGEST_SHOWN = 30


OPERATORS = frozenset(
    {"+", "-", "*", "/", "EQ", "NEQ", "<", ">", "LEQ", "GEQ", "AND", "OR", "IMPL", "UPDATE", "CONCAT"}
)
SHELL = "${…} in a string holds a Nix expression; for the shell's own write ''${…} in ''…'', \\${…} in \"…\""


class Reading:
    """The tokens before a place. `open`: what is open there, outermost first: (kind, offset)."""

    def __init__(self, text: bytes, offset: int) -> None:
        self.text = text
        self.offset = offset
        self.tokens: list[tuple[str, int]] = []
        self.open: list[tuple[str, int]] = []
        self.found: tuple[str, int] = ("$end", len(text))
        self.after: tuple[str, int] = ("$end", len(text))
        self._read()

    def _read(self) -> None:
        scanned = Scanner(self.text).tokens()
        for name, start in scanned:
            if start >= self.offset and name != "PATH_END":
                self.found = (name, start)
                self.after = next(scanned, ("$end", len(self.text)))
                return
            self._follow(name, start)
            self.tokens.append((name, start))

    def _follow(self, name: str, start: int) -> None:
        inner = self.open[-1][0] if self.open else ""
        if name in ("{", "DOLLAR_CURLY", "(", "[", "IND_STRING_OPEN", "LET", "IF"):
            self.open.append((name, start))
        elif name == '"':
            if inner == '"':
                self.open.pop()
            else:
                self.open.append((name, start))
        elif CLOSERS.get(inner) == name or (inner, name) in ENDS:
            self.open.pop()
        elif name == "THEN" and inner == "IF":
            self.open[-1] = ("THEN", self.open[-1][1])

    @property
    def innermost(self) -> str:
        return self.open[-1][0] if self.open else ""

    def end_before(self, offset: int) -> int:
        """Where the last thing before an offset ends: blanks and comments are passed over."""
        start = next((at for name, at in reversed(self.tokens) if at < offset), 0)
        for blank in BLANK.finditer(self.text, start, offset):
            if blank.end() == offset:
                return blank.start()
        return offset

    def line(self, offset: int) -> int:
        return 1 + self.text.count(b"\n", 0, offset)

    def place(self, offset: int) -> str:
        return f"line {self.line(offset)}, column {offset - self.line_start(offset) + 1}"

    def piece(self, start: int, end: int) -> str:
        """Source text for a sentence."""
        shown = " ".join(self.text[start:end].decode("utf-8", "replace").split())
        return shown if len(shown) <= LONGEST_SHOWN else "…" + shown[1 - LONGEST_SHOWN :]

    def line_start(self, offset: int) -> int:
        return self.text.rfind(b"\n", 0, offset) + 1


Advice = tuple[str, int | None]


def syntax_advice(text: bytes, offset: int, message: str) -> Advice | None:
    """(hint, a better offset or None); None where nothing can be told."""
    encoded = _encoding(text, offset)
    if encoded is not None:
        return encoded
    reading = Reading(text, offset)
    for rule in RULES:
        found = rule(reading, message)
        if found is not None:
            return found
    return None


def _encoding(text: bytes, offset: int) -> Advice | None:
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in text[:64]:
        return "the file is not UTF-8 text (UTF-16?): save it as UTF-8", None
    if text.startswith(b"\xef\xbb\xbf") and offset < 3:
        return (
            "the file begins with an invisible byte order mark: save it as UTF-8 without one ('UTF-8', no 'BOM')",
            None,
        )
    if text[offset : offset + 1] < b"\x80":
        return None
    shown = text[offset : offset + 4].decode("utf-8", "ignore")[:1]
    if not shown:
        return "this byte is no UTF-8: outside strings and comments Nix knows ASCII only", None
    code = ord(shown)
    if code in BLANKS:
        return f"an invisible character stands here (U+{code:04X}), no ordinary space: delete it", None
    if code in TYPOGRAPHIC:
        return f"write {TYPOGRAPHIC[code]} in place of {shown} (a word processor's character)", None
    return f"{shown} can stand in strings and comments only; a name that needs it is written in quotes", None


def _comment(reading: Reading, message: str) -> Advice | None:
    text, offset = reading.text, reading.offset
    opened = next(
        (
            start
            for (name, start), (following, _) in pairwise([*reading.tokens, reading.found, reading.after])
            if name == "/" and following == "*"
        ),
        None,
    )
    if opened is not None and text.find(b"*/", opened) < 0:
        return f"the comment that begins in {reading.place(opened)} has no end: */", opened
    for start in (reading.line_start(offset), reading.line_start(max(reading.line_start(offset) - 1, 0))):
        line = text[start : text.find(b"\n", start) if text.find(b"\n", start) >= 0 else len(text)]
        if line.lstrip().startswith(b"//") and start + line.find(b"//") <= offset:
            return "a comment begins with #; // puts two sets together", start + line.find(b"//")
    return None


def _end(reading: Reading, message: str) -> Advice | None:
    if reading.found[0] != "$end":
        return None
    if not reading.open:
        if not reading.tokens:
            return "there is no expression in it", None
        last = reading.tokens[-1][0]
        if last == ":":
            return "after `:` comes what the function gives", None
        if last == "IN_KW":
            return "after `in` comes the value of the whole", None
        return None
    shell = next((start for kind, start in reading.open if reading.text[start : start + 3] == b"${#"), None)
    if shell is not None:
        return SHELL, shell
    kind, start = reading.open[-1]
    if kind == '"':
        start = _first_over_lines(reading) or start
    where = reading.place(start)
    if kind == '"':
        return f'the string that begins in {where} is never closed: "', start
    if kind == "IND_STRING_OPEN":
        return f"the text that begins in {where} is never closed: '' (two quotes inside a text are written ''')", start
    if kind == "LET":
        return f"the `let` of {where} lacks its `in`, and the value after it", start
    if kind in ("IF", "THEN"):
        return f"the `if` of {where} lacks its `{'then' if kind == 'IF' else 'else'}`: there is always one", start
    return f"the `{NAMES[kind]}` of {where} is never closed: {CLOSERS[kind]}", start


def _first_over_lines(reading: Reading) -> int | None:
    """Where the first `"` string begins that goes on in another line: mostly its end was forgotten."""
    for (name, start), (following, end) in pairwise([*reading.tokens, reading.found]):
        if name == '"' and following == "STR" and b"\n" in reading.text[start : _string_end(reading, end)]:
            return start
    return None


def _string_end(reading: Reading, start: int) -> int:
    end = reading.text.find(b'"', start)
    return len(reading.text) if end < 0 else end


def _torn_string(reading: Reading, message: str) -> Advice | None:
    """What follows the end of a string at once is mostly the next string's content."""
    if not reading.tokens or reading.tokens[-1][0] != '"' or reading.innermost == '"':
        return None
    if reading.tokens[-1][1] + 1 != reading.offset or reading.found[0] in (";", ")", "]", "}", ",", "$end"):
        return None
    start = _first_over_lines(reading)
    if start is None:
        return None
    return f"the string that begins in {reading.place(start)} goes on over lines: is its closing quote missing?", start


def _shell(reading: Reading, message: str) -> Advice | None:
    """`${VAR:-x}` of a shell, in a string."""
    if reading.innermost != "DOLLAR_CURLY" or len(reading.open) < 2:
        return None
    outer = reading.open[-2][0]
    found = reading.found[0]
    if outer not in ('"', "IND_STRING_OPEN") or found not in (
        ":",
        "#",
        "@",
        "%",
        "}",
        "/",
        "URI",
        "PATH",
        "!",
        "-",
        "=",
    ):
        return None
    escape = "''${" if outer == "IND_STRING_OPEN" else "\\${"
    kind = "''…''" if outer == "IND_STRING_OPEN" else '"…"'
    hint = f"${{…}} in a string holds a Nix expression; for the shell's own write {escape}…}} (in {kind})"
    return hint, reading.open[-1][1]


def _quotes_in_text(reading: Reading, message: str) -> Advice | None:
    if reading.text[reading.offset : reading.offset + 1] == b"'" and reading.found[0] == "'":
        return 'strings are written in double quotes: "…"', None
    for name, start in reversed(reading.tokens[-8:]):
        if name == "IND_STRING_CLOSE" and reading.found[0] in ("'", "IND_STRING_OPEN", "-", "|", "&", "$", "`", "\\"):
            return "inside ''…'' two single quotes end the text; write ''' for them", start
    return None


def _binding_start(reading: Reading) -> int | None:
    """Where the attribute path that ends before the place begins: its index among the tokens."""
    index = len(reading.tokens)
    wants_name = True
    while index > 0:
        name = reading.tokens[index - 1][0]
        if wants_name and name in ("ID", "OR_KW"):
            index -= 1
        elif wants_name and name == '"':
            index -= 1
            while index > 0 and reading.tokens[index - 1][0] == "STR":
                index -= 1
            if index == 0 or reading.tokens[index - 1][0] != '"':
                return None
            index -= 1
        elif not wants_name and name == ".":
            index -= 1
        else:
            break
        wants_name = not wants_name
    return index if index < len(reading.tokens) and not wants_name else None


def _missing_semicolon(reading: Reading, message: str) -> Advice | None:
    if (
        "expecting ';'" not in message
        and " or ';'" not in message
        and reading.found[0] not in ("=", "INHERIT", "IN_KW")
    ):
        return None
    if reading.innermost not in ("{", "LET") or (
        reading.tokens and reading.tokens[-1][0] in ("{", ";", "LET", *OPERATORS)
    ):
        return None
    offset, found = reading.offset, reading.found[0]
    if found == "=":
        first = _binding_start(reading)
        if first is None or first == 0:
            return None
        offset = reading.tokens[first][1]
        before = reading.tokens[first - 1][0]
        if before in ("{", ";", "LET", "="):
            if before == "=":
                return "one `=` only: to compare write `==`", reading.offset
            return None
    elif found == "," and reading.innermost == "{":
        return "definitions in a set end with `;`, not with a comma", None
    elif found in ("]", ")"):
        return f"there is no `{'[' if found == ']' else '('}` to which this belongs", None
    end = reading.end_before(offset)
    if reading.line(end) == reading.line(offset) and found != "=":
        return "a `;` is missing here", end
    if reading.line(end) == reading.line(offset):
        return f"a `;` belongs between `{reading.piece(reading.line_start(end), end)}` and what follows", end
    return f"a `;` is missing here, at the end of line {reading.line(end)}", end


def _word(reading: Reading, message: str) -> Advice | None:
    """A word of the language as a name."""
    name, start = reading.found
    if name not in WORDS or reading.innermost not in ("{", "LET"):
        return None
    last = reading.tokens[-1][0] if reading.tokens else ""
    if last not in ("{", ";", "LET", ".") or reading.after[0] not in ("=", "."):
        return None
    end = start
    while reading.text[end : end + 1].isalpha():
        end += 1
    word = reading.text[start:end].decode()
    return f'`{word}` is a word of the language; a name is it in quotes: "{word}"', None


def _value_missing(reading: Reading, message: str) -> Advice | None:
    last = reading.tokens[-1][0] if reading.tokens else ""
    found = reading.found[0]
    if (last in OPERATORS or last == "=") and found in (";", "}", ")", "]", "IN_KW", "THEN", "ELSE", "$end"):
        return "a value is missing here", reading.end_before(reading.offset)
    if found == ";" and last in (";", "{", "LET"):
        return "there is a `;` too many", None
    keyword = next((name for name, _ in reversed(reading.tokens) if name in ("WITH", "ASSERT", "=")), "")
    if keyword in ("WITH", "ASSERT"):
        at = next(index for index in reversed(range(len(reading.tokens))) if reading.tokens[index][0] == keyword)
        ends = [start for name, start in reading.tokens[at:] if name == ";"]
        if (not ends and found == "$end") or (len(ends) == 1 and last == ";" and found in ("}", ")", "]")):
            example = "with pkgs; [ git vim ]" if keyword == "WITH" else "assert x > 0; x"
            return f"after `{keyword.lower()} …` comes `;`, and then the value: {example}", reading.tokens[at][1]
    return None


def _set_begins_wrongly(reading: Reading, message: str) -> Advice | None:
    found, inner = reading.found[0], reading.innermost
    last = reading.tokens[-1][0] if reading.tokens else ""
    if inner == "{" and last in ("{", ";"):
        if found in ("WITH", "ASSERT", "LET"):
            word = found.lower()
            return f"a set holds definitions (`name = value;`): `{word} …` stands before its brace", None
        if found in ("INT_LIT", "FLOAT_LIT"):
            return 'a name that begins with a digit is written in quotes: "1"', None
    if inner == "{" and "'.' or '='" in message:
        if found == "EQ":
            return "to define write one `=`", None
        if found == ";":
            return "a definition has a value: `name = value;`; a name taken from around the set: `inherit name;`", None
        if found == "ID":
            return "a name is followed by `= value;`; arguments of a function are separated by commas", None
    if inner == "{" and "'}' or ','" in message:
        return "the arguments of a function are separated by commas: { a, b, ... }", reading.end_before(reading.offset)
    if inner == "LET" and "expecting 'in'" in message:
        return f"`in` is missing here: it ends the `let` of {reading.place(reading.open[-1][1])}", None
    if inner == "" and found == "=" and all(name in ("ID", ".", "STR", '"') for name, _ in reading.tokens):
        return "definitions stand in braces: { name = value; }", None
    return None


def _lists_and_sets(reading: Reading, message: str) -> Advice | None:
    found, inner = reading.found[0], reading.innermost
    last = reading.tokens[-1][0] if reading.tokens else ""
    if found == "," and inner == "[":
        return "elements of a list are separated by spaces: [ 1 2 3 ]", None
    if found == "," and inner == "(":
        return "arguments follow the function one after the other: f x y", None
    if found == "," and inner == "{":
        if "INHERIT" in [name for name, _ in reading.tokens[-8:]]:
            return "names after `inherit` are separated by spaces and end with `;`", None
        return "definitions in a set end with `;`, not with a comma", None
    if found == ":" and inner == "{" and last in ("ID", '"'):
        return "in a set it is `name = value;`", None
    if found == "=" and inner == "[":
        return "a list holds values without names; names belong in a set: { name = value; }", None
    if found == "=" and inner in ("(", "IF", "DOLLAR_CURLY", ""):
        return "`=` defines; to compare write `==`", None
    if inner == "{" and found == "}" and last not in (";", "{") and "'='" in message:
        return "a set holds definitions: `name = value;`", None
    return None


def _mismatch(reading: Reading, message: str) -> Advice | None:
    found, inner = reading.found[0], reading.innermost
    if not inner:
        if found in ("}", "]", ")"):
            return f"this `{found}` closes nothing: is there one too many?", None
        if found == "IN_KW":
            return "this `in` has no `let`: is there a `;` or an `in` too many?", None
        return None
    start = reading.open[-1][1]
    where = reading.place(start)
    if inner in CLOSERS and found in (";", "}", "]", ")", "IN_KW", "THEN", "ELSE") and found != CLOSERS[inner]:
        if found == ";" and inner == "{":
            return None
        return f"the `{NAMES[inner]}` of {where} is not closed yet: `{CLOSERS[inner]}` is missing before this", None
    if inner in ("IF", "THEN") and found in (";", "}", "]", ")", "IN_KW"):
        lacking = "then" if inner == "IF" else "else"
        return f"the `if` of {where} lacks its `{lacking}`: there is always one", None
    if inner == "LET" and found in ("}", "]", ")", "THEN", "ELSE"):
        return f"the `let` of {where} lacks its `in`", None
    return None


def _rest(reading: Reading, message: str) -> Advice | None:
    found = reading.found[0]
    if "expecting ':' or '@'" in message or message.endswith("expecting ':'"):
        return "arguments in braces make a function: after `}` comes `:`", reading.end_before(reading.offset)
    if found in ("&", "|"):
        return f"`{found * 2}` is meant?", None
    if found == "=" and reading.tokens and reading.tokens[-1][0] in ("=", "EQ", "NEQ"):
        return "to compare write `==` or `!=`", None
    if found in ("ELSE", "THEN"):
        return f"this `{found.lower()}` belongs to no `if`", None
    return None


RULES = (
    _comment,
    _torn_string,
    _value_missing,
    _end,
    _shell,
    _quotes_in_text,
    _word,
    _set_begins_wrongly,
    _missing_semicolon,
    _lists_and_sets,
    _mismatch,
    _rest,
)
