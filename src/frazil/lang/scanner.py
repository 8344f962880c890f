# cython: boundscheck=False, wraparound=False, cdivision=True
"""The scanner: bytes to tokens, one at a time, each byte looked at a bounded number of times.

In: source text. Out: `tok`, `start`, `end` of the next token after each `advance`. Source of truth: Nix's `lexer.l`.
"""

import cython
from cython.cimports.frazil.lang.values import State, symbol_of

from frazil.lang.errors import ParseError

if not cython.compiled:
    # Tokens; single characters stand for themselves. Compiled, they are constants of scanner.pxd.
    EOF = 256
    ID = 257
    INT = 258
    FLOAT = 259
    PATH = 260
    HPATH = 261
    SPATH = 262
    URI = 263
    IF_KW = 264
    THEN_KW = 265
    ELSE_KW = 266
    ASSERT_KW = 267
    WITH_KW = 268
    LET_KW = 269
    IN_KW = 270
    REC_KW = 271
    INHERIT_KW = 272
    EQ = 273
    NEQ = 274
    LEQ = 275
    GEQ = 276
    UPDATE = 277
    CONCAT = 278
    AND = 279
    OR = 280
    IMPL = 281
    OR_KW = 282
    PIPE_FROM = 283
    PIPE_INTO = 284
    DOLLAR_CURLY = 285
    IND_OPEN = 286
    ELLIPSIS = 287


@cython.cfunc
@cython.inline
def is_rest(p: cython.p_const_uchar, i: cython.Py_ssize_t, rest: cython.p_const_uchar, size: cython.int) -> cython.bint:
    j: cython.int
    for j in range(size):
        if p[i + j] != rest[j]:
            return False
    return True


@cython.cfunc
def word(p: cython.p_const_uchar, i: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
    """The token of a word: a keyword or a name."""
    c: cython.int = p[i]
    d: cython.int = p[i + 1]
    if size == 2:
        if c == 105:  # i
            return IF_KW if d == 102 else IN_KW if d == 110 else ID
        return OR_KW if c == 111 and d == 114 else ID
    if size == 3:
        if c == 108:
            return LET_KW if is_rest(p, i, b"let", 3) else ID
        return REC_KW if is_rest(p, i, b"rec", 3) else ID
    if size == 4:
        if c == 116:
            return THEN_KW if is_rest(p, i, b"then", 4) else ID
        if c == 101:
            return ELSE_KW if is_rest(p, i, b"else", 4) else ID
        return WITH_KW if is_rest(p, i, b"with", 4) else ID
    if size == 6:
        return ASSERT_KW if is_rest(p, i, b"assert", 6) else ID
    if size == 7:
        return INHERIT_KW if is_rest(p, i, b"inherit", 7) else ID
    return ID


# Classes of bytes, as bits.
ID_START = cython.declare(cython.int, 1)
ID_CHAR = cython.declare(cython.int, 2)
PATH_CHAR = cython.declare(cython.int, 4)
URI_CHAR = cython.declare(cython.int, 8)
SCHEME_CHAR = cython.declare(cython.int, 16)
DIGIT = cython.declare(cython.int, 32)
ID_START = 1
ID_CHAR = 2
PATH_CHAR = 4
URI_CHAR = 8
SCHEME_CHAR = 16
DIGIT = 32


def byte_classes() -> bytes:
    letters = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    digits = b"0123456789"
    table = bytearray(256)
    for members, bit in (
        (letters + b"_", 1),
        (letters + digits + b"_'-", 2),
        (letters + digits + b"._-+", 4),
        (letters + digits + b"%/?:@&=+$,-_.!~*'", 8),
        (letters + digits + b"+-.", 16),
        (digits, 32),
    ):
        for byte in members:
            table[byte] |= bit
    return bytes(table)


CLASS_TABLE = byte_classes()
C = cython.declare(cython.p_const_uchar)
C = CLASS_TABLE


@cython.cclass
class Scanner:
    """One source text being read. `base`: its place in the table of positions."""

    def open_text(self, state, data, base):
        self.state = state
        self.data = data + b"\0\0\0"
        self.p = self.data
        self.n = len(data)
        self.base = base
        self.tok = EOF
        self.start = 0
        self.end = 0
        self.pipes = "pipe-operators" in cython.cast(State, state).settings.experimental_features
        self.run_start = -1
        self.run_end = -1
        self.scheme_start = -1
        self.scheme_end = -1

    def symbol(self, start, end):
        """A name that the text holds there."""
        return symbol_of(self.state.symbols, self.p, start, end)

    def text(self, start, end):
        return self.p[start:end].decode("latin-1")

    def skip(self, i):
        """Past white space and comments."""
        p = self.p
        c: cython.uchar
        while True:
            c = p[i]
            if c == 32 or c == 10 or c == 9 or c == 13:
                i += 1
            elif c == 35:  # '#'
                i += 1
                while i < self.n and p[i] != 10 and p[i] != 13:
                    i += 1
            elif c == 47 and p[i + 1] == 42:  # '/*'
                close: cython.Py_ssize_t = i + 2
                while close < self.n and not (p[close] == 42 and p[close + 1] == 47):
                    close += 1
                if close >= self.n:
                    return i
                i = close + 2
            else:
                return i

    def path_end(self, i):
        """Where a path that starts at i ends, or i where there is none. Includes one trailing slash."""
        p = self.p
        j: cython.Py_ssize_t = self.run_end
        if i < self.run_start or i > j:
            # Where the run of such characters ends is remembered: `-----1` asks at each of them.
            j = i
            while C[p[j]] & PATH_CHAR:
                j += 1
            self.run_start = i
            self.run_end = j
        if p[j] != 47:
            return i
        if p[j + 1] == 36 and p[j + 2] == 123:  # '/${'
            return j + 1
        if not C[p[j + 1]] & PATH_CHAR:
            return i
        while p[j] == 47 and C[p[j + 1]] & PATH_CHAR:
            j += 1
            while C[p[j]] & PATH_CHAR:
                j += 1
        if p[j] == 47:
            j += 1
        return j

    def advance(self):
        """Read the next token into tok, start, end."""
        i: cython.Py_ssize_t = self.skip(self.end)
        p = self.p
        self.start = i
        c: cython.int = p[i]
        k: cython.int = C[c]
        if i >= self.n:
            self.tok = EOF
            self.end = i
            return 0
        if k & ID_START:
            return self.scan_word(i)
        if c == 123 or c == 125 or c == 59 or c == 61 and p[i + 1] != 61 or c == 40 or c == 41 or c == 34:
            self.tok = c
            self.end = i + 1
            return 0
        if k & DIGIT:
            return self.scan_number(i)
        return self.scan_symbol(i)

    def scan_word(self, i):
        """A name, a keyword, a path or a URI."""
        p = self.p
        j: cython.Py_ssize_t = i + 1
        while C[p[j]] & ID_CHAR:
            j += 1
        c: cython.int = p[j]
        if c == 47 or c == 46 or c == 43:  # / . +
            k: cython.Py_ssize_t = self.path_end(i)
            if k > i:
                self.tok = PATH
                self.end = k
                return 0
        if c == 58 or c == 46 or c == 43:  # : . +
            k = self.scheme_end
            if i < self.scheme_start or i > k:
                k = i
                while C[p[k]] & SCHEME_CHAR:
                    k += 1
                self.scheme_start = i
                self.scheme_end = k
            if p[k] == 58 and C[p[k + 1]] & URI_CHAR and k >= j:
                k += 1
                while C[p[k]] & URI_CHAR:
                    k += 1
                self.tok = URI
                self.end = k
                return 0
        self.end = j
        self.tok = word(p, i, j - i) if j - i <= 7 else ID
        return 0

    def scan_number(self, i):
        """An integer, a floating-point number or a path."""
        p = self.p
        k: cython.Py_ssize_t = self.path_end(i)
        if k > i:
            self.tok = PATH
            self.end = k
            return 0
        j: cython.Py_ssize_t = i
        while C[p[j]] & DIGIT:
            j += 1
        self.tok = INT
        if p[j] == 46 and (p[i] != 48 or (j == i + 1 and C[p[j + 1]] & DIGIT)):
            self.tok = FLOAT
            j = self.fraction_end(j)
        self.end = j
        return 0

    def fraction_end(self, j):
        """Past `.`, digits and an exponent."""
        p = self.p
        j += 1
        while C[p[j]] & DIGIT:
            j += 1
        if p[j] == 69 or p[j] == 101:  # E e
            k: cython.Py_ssize_t = j + 1
            if p[k] == 43 or p[k] == 45:
                k += 1
            if C[p[k]] & DIGIT:
                while C[p[k]] & DIGIT:
                    k += 1
                j = k
        return j

    def scan_path(self, i):
        """At a character that may start a path: whether it did."""
        k: cython.Py_ssize_t = self.path_end(i)
        if k == i:
            return 0
        self.tok = PATH
        self.end = k
        return 1

    def scan_symbol(self, i):
        p = self.p
        c: cython.int = p[i]
        d: cython.int = p[i + 1]
        self.end = i + 2
        if c == 46:  # .
            if self.scan_path(i):
                return 0
            if d == 46 and p[i + 2] == 46:
                self.tok = ELLIPSIS
                self.end = i + 3
                return 0
            if C[d] & DIGIT:
                self.tok = FLOAT
                self.end = self.fraction_end(i)
                return 0
        elif c == 43 or c == 45 or c == 47:  # + - /
            if self.scan_path(i):
                return 0
            if c == 43 and d == 43:
                self.tok = CONCAT
                return 0
            if c == 45 and d == 62:
                self.tok = IMPL
                return 0
            if c == 47 and d == 47:
                self.tok = UPDATE
                return 0
        elif c == 61:  # =
            if d == 61:
                self.tok = EQ
                return 0
        elif c == 39:  # '
            if d == 39:
                self.tok = IND_OPEN
                j: cython.Py_ssize_t = i + 2
                while p[j] == 32:
                    j += 1
                if p[j] == 10:
                    self.end = j + 1
                return 0
        elif c == 36:  # $
            if d == 123:
                self.tok = DOLLAR_CURLY
                return 0
        elif c == 33:  # !
            if d == 61:
                self.tok = NEQ
                return 0
        elif c == 38:  # &
            if d == 38:
                self.tok = AND
                return 0
        elif c == 124:  # |
            if d == 124:
                self.tok = OR
                return 0
            if d == 62:
                self.need_pipes(i)
                self.tok = PIPE_INTO
                return 0
        elif c == 62:  # >
            if d == 61:
                self.tok = GEQ
                return 0
        elif c == 60:  # <
            return self.scan_less(i)
        elif c == 126 and d == 47:  # ~/
            if C[p[i + 2]] & PATH_CHAR or (p[i + 2] == 36 and p[i + 3] == 123):
                self.tok = HPATH
                self.end = self.path_end(i + 1)
                return 0
        self.tok = c
        self.end = i + 1
        return 0

    def scan_less(self, i):
        """After `<`: a search path or an operator."""
        p = self.p
        j: cython.Py_ssize_t = i + 1
        while C[p[j]] & PATH_CHAR:
            j += 1
            while p[j] == 47 and C[p[j + 1]] & PATH_CHAR:
                j += 1
        if j > i + 1 and p[j] == 62:
            self.tok = SPATH
            self.end = j + 1
        elif p[i + 1] == 61:
            self.tok = LEQ
            self.end = i + 2
        elif p[i + 1] == 124:
            self.need_pipes(i)
            self.tok = PIPE_FROM
            self.end = i + 2
        else:
            self.tok = 60
            self.end = i + 1
        return 0

    def need_pipes(self, i):
        if not self.pipes:
            raise self.error_at(
                "experimental Nix feature 'pipe-operators' is disabled;"
                " add '--extra-experimental-features pipe-operators' to enable it",
                i,
            )

    def path_piece_end(self, i):
        """Inside a path: the end of the longest piece of it at i."""
        p = self.p
        j: cython.Py_ssize_t = self.path_end(i)
        if j > i:
            return j
        while C[p[j]] & PATH_CHAR:
            j += 1
        if p[j] == 47:
            j += 1
        return j

    def error_at(self, message, offset):
        return ParseError(message, pos=self.base + offset, positions=self.state.positions)

    def fail(self):
        """The text is no expression: say where and what would be."""
        from frazil.lang.syntax_error import describe_syntax_error

        message, offset = describe_syntax_error(self.data[: self.n], self.start, self.pipes)
        raise self.error_at(message, offset)

    def expect(self, tok):
        if self.tok != tok:
            self.fail()
        self.advance()
        return 0
