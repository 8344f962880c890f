# cython: boundscheck=False, wraparound=False, cdivision=True
"""Literals: numbers, strings, paths and URIs, with the expressions interpolated in them.

In: a scanner at the token that begins one. Out: an expression; the scanner is past it. Source of truth: Nix's `lexer.l`
and `parser.y`.
"""

import cython
from cython.cimports.frazil.lang.endings import another
from cython.cimports.frazil.lang.functions import CallNode
from cython.cimports.frazil.lang.indentation import find_quote, has_null, strip_indentation, strip_text
from cython.cimports.frazil.lang.nodes import new_join
from cython.cimports.frazil.lang.scanner import EOF, HPATH, Scanner
from cython.cimports.frazil.lang.values import Expr, PathValue, new_int, quiet
from cython.cimports.frazil.lang.variables import Literal, PathLiteral, Var

from frazil.lang.errors import ParseError, byte_string, warning_text
from frazil.lang.runtime import canonical_path


def new_literal(state, pos, value):
    """`pos`: where it is written, of which only errors laid out in our own way tell."""
    node = cython.cast(Literal, another(LITERAL))
    node.state = state
    node.pos = quiet(pos)
    node.value = value
    return node


@cython.cclass
class LiteralReader(Scanner):
    """Reads literals; `directory`: where relative paths start."""

    def parse_expr(self):
        """An expression, as what comes later reads it."""
        raise NotImplementedError

    def parse_integer(self):
        digits: str = self.text(self.start, self.end)
        value: object = int(digits) if len(digits) < 200 else 2**64
        if value > 2**63 - 1:
            raise self.error_at(f"invalid integer '{digits}'", self.start)
        pos: cython.Py_ssize_t = self.base + self.start
        self.advance()
        return new_literal(self.state, pos, value)

    def parse_float(self):
        digits: str = self.text(self.start, self.end)
        value = float(digits)
        mantissa = digits.lower().split("e")[0]
        if value == float("inf") or (value < 2.2250738585072014e-308 and mantissa.strip("0.")):
            raise self.error_at(f"invalid float '{digits}'", self.start)
        pos: cython.Py_ssize_t = self.base + self.start
        self.advance()
        return new_literal(self.state, pos, value)

    def unescape(self, start, end):
        """The text of a piece of a string with escapes and line ends resolved."""
        p = self.p
        i: cython.Py_ssize_t = start
        plain: cython.bint = True
        while i < end:
            if p[i] == 92 or p[i] == 13:
                plain = False
                break
            if p[i] == 0:
                break
            i += 1
        if i < end:
            self.refuse_null(start, end)
        if plain:
            return self.text(start, end)
        out: object = bytearray()
        i = start
        while i < end:
            c: cython.int = p[i]
            i += 1
            if c == 92:
                c = p[i]
                i += 1
                if c == 110:
                    c = 10
                elif c == 114:
                    c = 13
                elif c == 116:
                    c = 9
            elif c == 13:
                c = 10
                if i < end and p[i] == 10:
                    i += 1
            out.append(c)
        return out.decode("latin-1")

    def refuse_null(self, start, end):
        piece = self.data[start:end]
        if b"\0" in piece:
            shown = piece.replace(b"\0", byte_string("␀").encode("latin-1")).decode("latin-1")
            raise self.error_at(
                f"input string '{shown}' cannot be represented as Nix string because it contains null bytes", start
            )

    def parse_interpolation(self, i):
        """At `${`: the expression; self.end is then after its `}`, and no token has been read beyond it."""
        self.end = i + 2
        self.advance()
        expr: Expr = self.parse_expr()
        if self.tok != 125:
            self.fail()
        return expr

    def string_parts(self, i):
        """Inside a quoted string from i: [(position, text or expression)]; self.end is then after the closing quote."""
        p = self.p
        n: cython.Py_ssize_t = self.n
        parts: list = []
        piece: cython.Py_ssize_t = i
        while True:
            c: cython.int = p[i]
            if c == 34:
                break
            if c == 92:
                i += 2
            elif c == 36 and p[i + 1] == 123:
                if i > piece:
                    parts.append((self.base + piece, self.unescape(piece, i)))
                parts.append((self.base + i, self.parse_interpolation(i)))
                i = self.end
                piece = i
            elif c == 36 and p[i + 1] != 34 and p[i + 1] != 92:
                i += 2
            else:
                i += 1
            if i >= n:
                self.start = n
                self.end = n
                self.tok = EOF
                self.fail()
        if i > piece:
            parts.append((self.base + piece, self.unescape(piece, i)))
        self.end = i + 1
        return parts

    def parse_string(self):
        start: cython.Py_ssize_t = self.start
        p = self.p
        i: cython.Py_ssize_t = self.end
        while p[i] != 34 and p[i] != 36 and p[i] != 92 and p[i] != 13 and p[i] != 0:
            i += 1
        if p[i] == 34:
            # Most are nothing but text.
            value: str = self.text(start + 1, i)
            self.end = i + 1
            self.advance()
            return new_literal(self.state, self.base + start, value)
        parts: list = self.string_parts(self.end)
        self.advance()
        if not parts:
            return new_literal(self.state, self.base + start, "")
        if len(parts) == 1 and type(parts[0][1]) is str:
            return new_literal(self.state, self.base + start, parts[0][1])
        return self.join_parts(self.base + start + 1, True, parts)

    def join_parts(self, pos, force_string, parts):
        state = self.state
        # No larger than they must be, as they stay.
        exprs: list = [None] * len(parts)
        places: list = [None] * len(parts)
        for i, (where, part) in enumerate(parts):
            exprs[i] = new_literal(state, where, part) if type(part) is str else part
            places[i] = new_int(where - pos)
        return new_join(state, pos, force_string, exprs, places)

    def parse_indented(self):
        """`''…''`."""
        start: cython.Py_ssize_t = self.start
        p = self.p
        n: cython.Py_ssize_t = self.n
        i: cython.Py_ssize_t = self.end
        parts: list = None
        base = self.base
        piece: cython.Py_ssize_t = i
        while True:
            # Most are nothing but text.
            i = find_quote(p, i, n)
            if i + 1 >= n or p[i + 1] == 39 or p[i] == 36 and p[i + 1] == 123 or p[i] == 39 and p[i + 1] == 36:
                break
            i += 2
        if i + 1 < n and p[i] == 39 and p[i + 1] == 39 and p[i + 2] != 36 and p[i + 2] != 39 and p[i + 2] != 92:
            if has_null(p, piece, i):
                self.refuse_null(piece, i)
            self.end = i + 2
            self.advance()
            return new_literal(self.state, base + start, strip_text(p, piece, i))
        i = piece
        parts = []
        while True:
            if i >= n:
                self.start = n
                self.end = n
                self.tok = EOF
                self.fail()
            c: cython.int = p[i]
            d: cython.int = p[i + 1]
            if c == 39 and d == 39:
                third: cython.int = p[i + 2]
                if third == 36:
                    parts.append((base + i, False, "$"))
                    i += 3
                elif third == 39:
                    parts.append((base + i, False, "''"))
                    i += 3
                elif third == 92 and i + 3 < n:
                    parts.append((base + i, False, self.unescape(i + 2, i + 4)))
                    i += 4
                else:
                    break
            elif c == 36 and d == 123:
                parts.append((base + i, False, self.parse_interpolation(i)))
                i = self.end
            elif c == 36 and (d == 39 or i + 1 >= n):
                parts.append((base + i, False, "$"))
                i += 1
            elif c == 39 and (d == 36 or i + 1 >= n):
                parts.append((base + i, False, "'"))
                i += 1
            else:
                piece = i
                while True:
                    i = find_quote(p, i, n)
                    if i + 1 >= n:
                        break
                    c = p[i]
                    d = p[i + 1]
                    if d == 39 or c == 36 and d == 123 or c == 39 and d == 36:
                        break
                    i += 2
                if has_null(p, piece, i):
                    self.refuse_null(piece, i)
                parts.append((base + piece, True, self.text(piece, i)))
        self.end = i + 2
        self.advance()
        stripped = strip_indentation(parts)
        if not stripped:
            return new_literal(self.state, base + start, "")
        if len(stripped) == 1 and type(stripped[0][1]) is str:
            return new_literal(self.state, base + start, stripped[0][1])
        if len(stripped) == 1 and type(stripped[0][1]) is Literal:
            constant = cython.cast(Literal, stripped[0][1])
            if type(constant.value) is str:
                return constant
        return self.join_parts(base + start, True, stripped)

    def note_home(self):
        """Where `~` is depends on who evaluates."""
        hook = getattr(self.state.effects, "home_used", None)
        if hook is not None:
            hook(self.home)

    def parse_path(self):
        start: cython.Py_ssize_t = self.start
        end: cython.Py_ssize_t = self.end
        literal: str = self.text(start, end)
        if self.tok == HPATH:
            self.note_home()
        head = PathLiteral(self.state, quiet(self.base + start), PathValue(self.path_text(literal, self.tok == HPATH)))
        p = self.p
        i: cython.Py_ssize_t = end
        parts: list = [(self.base + start, head)]
        slash: cython.bint = p[i - 1] == 47
        interpolated: cython.bint = False
        while True:
            if p[i] == 36 and p[i + 1] == 123:
                parts.append((self.base + i, self.parse_interpolation(i)))
                interpolated = True
                i = self.end
                slash = False
                continue
            j: cython.Py_ssize_t = self.path_piece_end(i)
            if j == i:
                break
            parts.append((self.base + i, self.text(i, j)))
            slash = p[j - 1] == 47
            i = j
        if slash:
            raise self.error_at("path has a trailing slash", i)
        self.start = i
        self.end = i
        if len(parts) > 1 and not interpolated:
            self.fail()
        self.advance()
        if len(parts) == 1:
            return head
        return self.join_parts(self.base + start, False, parts)

    def path_text(self, literal, home):
        """The absolute path of a literal; a trailing slash stays, for the interpolation that follows it."""
        if home:
            if self.pure:
                raise ParseError(f"the path '{literal}' can not be resolved in pure mode")
            if self.lints is not None:
                self.lint_absolute(literal, "home")
            return self.home + literal[1:]
        if self.lints is not None:
            if literal.startswith("/"):
                self.lint_absolute(literal, "absolute")
            elif not literal.startswith("."):
                self.lint_short(literal)
        text = canonical_path(literal if literal.startswith("/") else self.directory + "/" + literal)
        if len(literal) > 1 and literal.endswith("/") and not text.endswith("/"):
            text += "/"
        return text

    def parse_search_path(self):
        state = self.state
        pos: cython.Py_ssize_t = self.base + self.start
        name = new_literal(state, pos, self.text(self.start + 1, self.end - 1))
        self.advance()
        return CallNode(state, pos, Var(state, 0, "__findFile"), [Var(state, 0, "__nixPath"), name])

    def lint(self, name, level, message, offset):
        message = f"{message} (lint-{name})"
        if level == "fatal":
            raise self.error_at(message, offset)
        if level == "warn":
            position = self.state.positions.position(self.base + offset)
            self.state.effects.trace(warning_text(message, position))

    def lint_url(self, url):
        level = self.lints.lint_url_literals
        word = "disallowed" if level == "fatal" else "discouraged"
        self.lint(
            "url-literals",
            level,
            f'URL literals are {word}. Consider using a string literal "{url}" instead',
            self.start,
        )

    def lint_absolute(self, literal, kind):
        self.lint(
            "absolute-path-literals",
            self.lints.lint_absolute_path_literals,
            f"{kind} path literals are not portable. Consider replacing path literal '{literal}'"
            " by a string, relative path, or parameter",
            self.start,
        )

    def lint_short(self, literal):
        self.lint(
            "short-path-literals",
            self.lints.lint_short_path_literals,
            f"relative path literal '{literal}' should be prefixed with '.' for clarity: './{literal}'",
            self.start,
        )


# What others are copied from.
LITERAL = cython.declare(object, None)
LITERAL = Literal.__new__(Literal)
