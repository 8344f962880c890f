# cython: boundscheck=False, wraparound=False, cdivision=True
"""From source text (bytes) to an expression: scanner and parser in one, by recursive descent with precedence climbing.

Source of truth: Nix's `lexer.l` and `parser.y`. Only well-formed text is understood here; where text is wrong,
`fail` lets `syntax_error` read it again with the grammar's LALR(1) automaton, which words the message as Nix's does.
"""

import cython
from cython.cimports.frazil.lang.concatenation import ConcatLists, ConcatStrings
from cython.cimports.frazil.lang.functions import CallNode, Formal, FormalsLambda, SimpleLambda, set_name
from cython.cimports.frazil.lang.operators import And, Arithmetic, Assert, Equals, If, Implies, Not, Or, Update
from cython.cimports.frazil.lang.selection import HasAttr, Select
from cython.cimports.frazil.lang.sets import AttrDef, AttrsExpr, LetExpr, ListExpr
from cython.cimports.frazil.lang.values import Expr, LambdaExpr, PathValue, State, stack_is_low, stack_overflow
from cython.cimports.frazil.lang.variables import CurrentPosition, Literal, PathLiteral, Var, With

from frazil.lang.attribute_merge import add_attribute, add_inherited
from frazil.lang.errors import ParseError, byte_string, warning_text
from frazil.lang.indentation import strip_indentation
from frazil.lang.runtime import canonical_path

# Tokens. Single characters stand for themselves.
EOF = cython.declare(cython.int, 256)
ID = cython.declare(cython.int, 257)
INT = cython.declare(cython.int, 258)
FLOAT = cython.declare(cython.int, 259)
PATH = cython.declare(cython.int, 260)
HPATH = cython.declare(cython.int, 261)
SPATH = cython.declare(cython.int, 262)
URI = cython.declare(cython.int, 263)
IF = cython.declare(cython.int, 264)
THEN = cython.declare(cython.int, 265)
ELSE = cython.declare(cython.int, 266)
ASSERT = cython.declare(cython.int, 267)
WITH = cython.declare(cython.int, 268)
LET = cython.declare(cython.int, 269)
IN = cython.declare(cython.int, 270)
REC = cython.declare(cython.int, 271)
INHERIT = cython.declare(cython.int, 272)
EQ = cython.declare(cython.int, 273)
NEQ = cython.declare(cython.int, 274)
LEQ = cython.declare(cython.int, 275)
GEQ = cython.declare(cython.int, 276)
UPDATE = cython.declare(cython.int, 277)
CONCAT = cython.declare(cython.int, 278)
AND = cython.declare(cython.int, 279)
OR = cython.declare(cython.int, 280)
IMPL = cython.declare(cython.int, 281)
OR_KW = cython.declare(cython.int, 282)
PIPE_FROM = cython.declare(cython.int, 283)
PIPE_INTO = cython.declare(cython.int, 284)
DOLLAR_CURLY = cython.declare(cython.int, 285)
IND_OPEN = cython.declare(cython.int, 286)
ELLIPSIS = cython.declare(cython.int, 287)
EOF = 256
ID = 257
INT = 258
FLOAT = 259
PATH = 260
HPATH = 261
SPATH = 262
URI = 263
IF = 264
THEN = 265
ELSE = 266
ASSERT = 267
WITH = 268
LET = 269
IN = 270
REC = 271
INHERIT = 272
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

KEYWORDS = {
    "if": 264,
    "then": 265,
    "else": 266,
    "assert": 267,
    "with": 268,
    "let": 269,
    "in": 270,
    "rec": 271,
    "inherit": 272,
    "or": 282,
}

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

LONGEST_CHAIN = cython.declare(cython.int)
LONGEST_CHAIN = 30_000


@cython.cfunc
@cython.inline
def precedence(tok: cython.int) -> cython.int:
    """Of a binary operator; 0 for other tokens."""
    if tok == 43 or tok == 45:  # + -
        return 8
    if tok == 42 or tok == 47:  # * /
        return 9
    if tok == 63:  # ?
        return 11
    if tok == 60 or tok == 62 or tok == LEQ or tok == GEQ:
        return 5
    if tok < 273:
        return 0
    if tok == EQ or tok == NEQ:
        return 4
    if tok == UPDATE:
        return 6
    if tok == CONCAT:
        return 10
    if tok == AND:
        return 3
    if tok == OR:
        return 2
    if tok == IMPL:
        return 1
    return 0


@cython.final
@cython.cclass
class Parser:
    """One source text being read. `base`: its place in the table of positions; `directory`: where relative paths
    start."""

    def __init__(self, state, data, base, directory):
        self.state = state
        self.data = data + b"\0\0\0"
        self.p = self.data
        self.n = len(data)
        self.base = base
        self.directory = directory
        self.tok = EOF
        self.start = 0
        self.end = 0
        settings = cython.cast(State, state).settings
        self.pipes = "pipe-operators" in settings.experimental_features
        self.pure = settings.pure
        self.home = settings.home_directory
        self.lints = None
        if (
            settings.lint_url_literals != "ignore"
            or settings.lint_short_path_literals != "ignore"
            or settings.lint_absolute_path_literals != "ignore"
        ):
            self.lints = settings
        self.doc_start = -1
        self.doc_end = -1
        self.docs = {}
        self.or_start = -1
        self.or_end = -1

    def parse(self):
        """The whole text as one expression."""
        self.advance()
        try:
            expr = self.parse_expr()
        except RecursionError:
            raise stack_overflow(self.state, self.base + self.start) from None
        if self.tok != EOF:
            self.fail()
        return expr

    def parse_definitions(self):
        """The whole text as bindings, as a REPL takes them; gives a set literal."""
        self.advance()
        if self.tok == EOF:
            self.fail()
        return self.parse_bindings(0, EOF, None, 0)

    # --- scanner

    def symbol(self, start, end):
        name: str = self.p[start:end].decode("latin-1")
        symbols = self.state.symbols
        known = symbols.get(name)
        if known is None:
            symbols[name] = name
            return name
        return known

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
                if p[i + 2] == 42 and close > i + 2:
                    self.doc_start = i
                    self.doc_end = close + 2
                i = close + 2
            else:
                return i

    def path_end(self, i):
        """Where a path that starts at i ends, or i where there is none. Includes one trailing slash."""
        p = self.p
        j: cython.Py_ssize_t = i
        while C[p[j]] & PATH_CHAR:
            j += 1
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
            k = i
            while C[p[k]] & SCHEME_CHAR:
                k += 1
            if p[k] == 58 and C[p[k + 1]] & URI_CHAR and k >= j:
                k += 1
                while C[p[k]] & URI_CHAR:
                    k += 1
                self.tok = URI
                self.end = k
                return 0
        self.end = j
        self.tok = ID
        c = p[i]
        if j - i <= 7 and (c == 105 or c == 116 or c == 101 or c == 97 or c == 119 or c == 108 or c == 114 or c == 111):
            found: object = KEYWORDS.get(self.text(i, j))
            if found is not None:
                self.tok = found
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

    def fraction_end(self, j: cython.Py_ssize_t) -> cython.Py_ssize_t:
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

    def scan_less(self, i: cython.Py_ssize_t) -> cython.int:
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

    # --- errors

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

    # --- expressions

    def parse_expr(self):
        """Rule `expr_function`."""
        if stack_is_low():
            raise stack_overflow(self.state, self.base + self.start)
        start: cython.Py_ssize_t = self.start
        tok: cython.int = self.tok
        state = self.state
        if tok == ID:
            end: cython.Py_ssize_t = self.end
            self.advance()
            if self.tok == 58:  # :
                name: str = self.symbol(start, end)
                doc = self.doc_before(start)
                self.advance()
                result: Expr = SimpleLambda(state, self.base + start, name, self.parse_expr())
                if doc is not None:
                    self.docs[self.base + start] = doc
                return result
            if self.tok == 64:  # @
                return self.parse_argument_at(start, self.symbol(start, end))
            return self.parse_pipes(self.name_expr(start, end), start)
        if tok == 123:  # {
            first: Expr = self.parse_brace()
            if isinstance(first, LambdaExpr):
                return first
            return self.parse_pipes(first, start)
        if tok == LET:
            return self.parse_let()
        if tok == IF:
            return self.parse_if()
        if tok == WITH or tok == ASSERT:
            self.advance()
            condition: Expr = self.parse_expr()
            self.expect(59)
            body: Expr = self.parse_expr()
            if tok == WITH:
                return With(state, self.base + start, condition, body)
            return Assert(state, self.base + start, condition, body)
        return self.parse_pipes(None, start)

    def doc_before(self, start):
        """The documentation comment that ends right before a place, if any."""
        if self.doc_end < 0 or self.doc_end > start:
            return None
        if self.data[self.doc_end : start].strip(b" \t\r\n"):
            return None
        return (self.base + self.doc_start, self.base + self.doc_end)

    def parse_argument_at(self, start: cython.Py_ssize_t, argument):
        """After `args`, at `@`: formals must follow."""
        self.advance()
        if self.tok != 123:
            self.fail()
        self.advance()
        return self.parse_formals(start, argument, None, 0)

    def parse_let(self):
        start: cython.Py_ssize_t = self.start
        self.advance()
        if self.tok == 123:
            return self.parse_pipes(self.old_let(start), start)
        attrs: AttrsExpr = self.parse_bindings(0, IN, None, 0)
        self.advance()
        body: Expr = self.parse_expr()
        if attrs.dynamic is not None:
            raise self.error_at("dynamic attributes not allowed in let", start)
        return LetExpr(self.state, attrs, body)

    def old_let(self, start: cython.Py_ssize_t) -> Expr:
        """`let { …; body = …; }`, at the brace."""
        self.advance()
        attrs: AttrsExpr = self.parse_bindings(self.base + start, 125, None, 0)
        attrs.recursive = True
        self.advance()
        return self.parse_select(Select(self.state, self.base + start, attrs, ["body"], None), start)

    def parse_if(self):
        start: cython.Py_ssize_t = self.start
        self.advance()
        condition: Expr = self.parse_expr()
        self.expect(THEN)
        then: Expr = self.parse_expr()
        self.expect(ELSE)
        return If(self.state, self.base + start, condition, then, self.parse_expr())

    def parse_pipes(self, first, start):
        """Rules `expr_pipe_from`, `expr_pipe_into`, `expr_op`. `first`: an operand's beginning that is already read."""
        left: Expr = self.parse_op(1, first, start)
        pos: cython.Py_ssize_t
        if self.tok == PIPE_INTO:
            while self.tok == PIPE_INTO:
                pos = self.base + self.start
                self.advance()
                right: Expr = self.parse_op(1, None, self.start)
                left = self.make_call(pos, right, left)
            if self.tok == PIPE_FROM:
                self.fail()
        elif self.tok == PIPE_FROM:
            operands: list = [left]
            places: list = []
            while self.tok == PIPE_FROM:
                places.append(self.base + self.start)
                self.advance()
                operands.append(self.parse_op(1, None, self.start))
            if self.tok == PIPE_INTO:
                self.fail()
            left = operands.pop()
            while operands:
                left = self.make_call(places.pop(), operands.pop(), left)
        return left

    def make_call(self, pos: cython.Py_ssize_t, function, argument):
        if type(function) is CallNode:
            call: CallNode = function
            call.arguments.append(argument)
            return call
        return CallNode(self.state, pos, function, [argument])

    def parse_op(self, minimum, first, start):
        """Operators that bind at least as strongly as `minimum`."""
        if stack_is_low():
            raise stack_overflow(self.state, self.base + self.start)
        state = self.state
        left: Expr
        tok: cython.int = self.tok
        if first is None and tok == 33:  # !
            self.advance()
            left = Not(state, self.parse_op(8, None, self.start))
        elif first is None and tok == 45:  # -
            self.advance()
            zero = Literal(state, 0, 0)
            left = Arithmetic(state, self.base + start, 0, zero, self.parse_op(13, None, self.start))
        else:
            left = self.parse_application(first, start)
        level: cython.int
        pos: cython.Py_ssize_t
        right_start: cython.Py_ssize_t
        length: cython.int = 0
        while True:
            tok = self.tok
            level = precedence(tok)
            if level == 0 or level < minimum:
                return left
            pos = self.base + self.start
            length += 1
            if length > LONGEST_CHAIN and tok != 43:
                # Freeing so deep a tree would need more stack than a thread may have.
                raise stack_overflow(self.state, pos)
            self.advance()
            if tok == 63:
                left = HasAttr(state, left, self.parse_attr_path())
                continue
            right_start = self.start
            right: Expr = self.parse_op(
                level if tok == UPDATE or tok == CONCAT or tok == IMPL else level + 1, None, right_start
            )
            left = self.binary(tok, pos, left, start, right, right_start)
            if (level == 4 or level == 5) and precedence(self.tok) == level:
                self.fail()

    def binary(self, tok, pos, left, left_start, right, right_start):
        state = self.state
        if tok == 43:
            return ConcatStrings(state, pos, False, [left, right], [self.base + left_start, self.base + right_start])
        if tok == UPDATE:
            return Update(state, pos, left, right)
        if tok == CONCAT:
            return ConcatLists(state, pos, left, right)
        if tok == EQ:
            return Equals(state, pos, left, right, False)
        if tok == NEQ:
            return Equals(state, pos, left, right, True)
        if tok == AND:
            return And(state, pos, left, right)
        if tok == OR:
            return Or(state, pos, left, right)
        if tok == IMPL:
            return Implies(state, pos, left, right)
        if tok == 45:
            return Arithmetic(state, pos, 0, left, right)
        if tok == 42:
            return Arithmetic(state, pos, 1, left, right)
        if tok == 47:
            return Arithmetic(state, pos, 2, left, right)
        if tok == 60:
            return Arithmetic(state, pos, 3, left, right)
        if tok == 62:
            return Arithmetic(state, pos, 3, right, left)
        if tok == LEQ:
            return Not(state, Arithmetic(state, pos, 3, right, left))
        return Not(state, Arithmetic(state, pos, 3, left, right))

    def parse_application(self, first, start):
        """Rule `expr_app`: a function and its arguments."""
        function: Expr = self.parse_select(first, start)
        tok: cython.int = self.tok
        fresh: cython.bint = type(function) is not CallNode
        while (
            tok == ID
            or tok == 123
            or tok == 40
            or tok == 91
            or tok == 34
            or (tok >= 258 and tok <= 263)
            or tok == IND_OPEN
            or tok == REC
            or tok == LET
        ):
            argument: Expr = self.parse_operand()
            if fresh:
                function = CallNode(self.state, self.base + start, function, [argument])
                fresh = False
            else:
                cython.cast(CallNode, function).arguments.append(argument)
            tok = self.tok
        return function

    def parse_select(self, first, start):
        """Rule `expr_select`."""
        subject: Expr = first
        if subject is None:
            subject = self.parse_simple()
        state = self.state
        if self.tok == 46:
            self.advance()
            path: list = self.parse_attr_path()
            default: Expr = None
            if self.tok == OR_KW:
                self.advance()
                default = self.parse_operand()
            return Select(state, self.base + start, subject, path, default)
        if self.tok == OR_KW:
            word = Var(state, self.base + start, self.symbol(self.start, self.end))
            self.or_start = start
            self.or_end = self.end
            self.advance()
            return CallNode(state, self.base + start, subject, [word])
        return subject

    def parse_operand(self):
        """Rule `expr_select` where `x or` will mean something else once `or` is an ordinary name."""
        start: cython.Py_ssize_t = self.start
        expr: Expr = self.parse_select(None, start)
        if self.or_start == start:
            self.warn_of_or()
        return expr

    def warn_of_or(self):
        position = self.state.positions.position(self.base + self.or_start)
        text = self.text(self.or_start, self.or_end).replace("\r\n", "\n").replace("\r", "\n")
        self.state.effects.trace(
            f"warning: at {byte_string(str(position))}: This expression uses `or` as an identifier in a way that will"
            " change in a future Nix release.\n"
            "Wrap this entire expression in parentheses to preserve its current meaning:\n"
            f"    ({text})\n"
            "Give feedback at https://github.com/NixOS/nix/pull/11121"
        )

    def name_expr(self, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> Expr:
        name: str = self.symbol(start, end)
        if name == "__curPos":
            return CurrentPosition(self.state, self.base + start)
        return Var(self.state, self.base + start, name)

    def parse_simple(self):
        """Rule `expr_simple`."""
        tok: cython.int = self.tok
        start: cython.Py_ssize_t = self.start
        result: Expr
        if tok == ID:
            result = self.name_expr(start, self.end)
            self.advance()
            return result
        if tok == 34:
            return self.parse_string()
        if tok == 40:
            self.advance()
            result = self.parse_expr()
            self.expect(41)
            return result
        if tok == 123:
            self.advance()
            result = self.parse_bindings(self.base + start, 125, None, 0)
            self.advance()
            return result
        if tok == 91:
            return self.parse_list()
        if tok == INT:
            return self.parse_integer()
        if tok == IND_OPEN:
            return self.parse_indented()
        if tok == PATH or tok == HPATH:
            return self.parse_path()
        if tok == REC:
            self.advance()
            self.expect(123)
            attrs: AttrsExpr = self.parse_bindings(self.base + start, 125, None, 0)
            attrs.recursive = True
            self.advance()
            return attrs
        if tok == FLOAT:
            return self.parse_float()
        if tok == SPATH:
            return self.parse_search_path()
        if tok == URI:
            value: str = self.text(start, self.end)
            if self.lints is not None:
                self.lint_url(value)
            self.advance()
            return Literal(self.state, 0, value)
        if tok == LET:
            self.advance()
            if self.tok == 123:
                self.advance()
                attrs = self.parse_bindings(self.base + start, 125, None, 0)
                attrs.recursive = True
                self.advance()
                return Select(self.state, self.base + start, attrs, ["body"], None)
        self.fail()

    def parse_list(self):
        if stack_is_low():
            raise stack_overflow(self.state, self.base + self.start)
        elements: list = []
        self.advance()
        while self.tok != 93:
            elements.append(self.parse_operand())
        self.advance()
        return ListExpr(self.state, elements)

    # --- literals

    def parse_integer(self):
        digits: str = self.text(self.start, self.end)
        value: object = int(digits) if len(digits) < 200 else 2**64
        if value > 2**63 - 1:
            raise self.error_at(f"invalid integer '{digits}'", self.start)
        self.advance()
        return Literal(self.state, 0, value)

    def parse_float(self):
        digits: str = self.text(self.start, self.end)
        value = float(digits)
        mantissa = digits.lower().split("e")[0]
        if value == float("inf") or (value < 2.2250738585072014e-308 and mantissa.strip("0.")):
            raise self.error_at(f"invalid float '{digits}'", self.start)
        self.advance()
        return Literal(self.state, 0, value)

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
        out = bytearray()
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

    def refuse_null(self, start: cython.Py_ssize_t, end: cython.Py_ssize_t):
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
        parts: list = self.string_parts(self.end)
        self.advance()
        if not parts:
            return Literal(self.state, 0, "")
        if len(parts) == 1 and type(parts[0][1]) is str:
            return Literal(self.state, 0, parts[0][1])
        return self.join_parts(self.base + start + 1, True, parts)

    def join_parts(self, pos: cython.Py_ssize_t, force_string: cython.bint, parts):
        state = self.state
        exprs = [Literal(state, 0, part) if type(part) is str else part for _, part in parts]
        return ConcatStrings(state, pos, force_string, exprs, [where for where, _ in parts])

    def parse_indented(self):
        """`''…''`."""
        start: cython.Py_ssize_t = self.start
        p = self.p
        n: cython.Py_ssize_t = self.n
        i: cython.Py_ssize_t = self.end
        parts: list = []
        base = self.base
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
                piece: cython.Py_ssize_t = i
                while i < n:
                    c = p[i]
                    d = p[i + 1]
                    if c == 36:
                        if d == 123 or d == 39 or i + 1 >= n:
                            break
                        i += 2
                    elif c == 39:
                        if d == 39 or d == 36 or i + 1 >= n:
                            break
                        i += 2
                    else:
                        i += 1
                self.refuse_null(piece, i)
                parts.append((base + piece, True, self.text(piece, i)))
        self.end = i + 2
        self.advance()
        stripped = strip_indentation(parts)
        if not stripped:
            return Literal(self.state, 0, "")
        if len(stripped) == 1 and type(stripped[0][1]) is str:
            return Literal(self.state, 0, stripped[0][1])
        return self.join_parts(base + start, True, stripped)

    # --- paths

    def parse_path(self):
        start: cython.Py_ssize_t = self.start
        end: cython.Py_ssize_t = self.end
        literal: str = self.text(start, end)
        head = PathLiteral(self.state, 0, PathValue(self.path_text(literal, self.tok == HPATH)))
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

    def path_piece_end(self, i: cython.Py_ssize_t) -> cython.Py_ssize_t:
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

    def path_text(self, literal, home: cython.bint):
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
        name = Literal(state, 0, self.text(self.start + 1, self.end - 1))
        self.advance()
        return CallNode(state, pos, Var(state, 0, "__findFile"), [Var(state, 0, "__nixPath"), name])

    # --- lints

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

    # --- attributes

    def parse_attr_name(self):
        """A name (str) or an expression that computes one."""
        tok: cython.int = self.tok
        if tok == ID or tok == OR_KW:
            name: str = self.symbol(self.start, self.end)
            self.advance()
            return name
        expr: Expr
        if tok == 34:
            expr = self.parse_string()
        elif tok == DOLLAR_CURLY:
            expr = self.parse_interpolation(self.start)
            self.advance()
        else:
            self.fail()
        if type(expr) is Literal and type(cython.cast(Literal, expr).value) is str:
            text: str = cython.cast(Literal, expr).value
            return self.state.symbols.setdefault(text, text)
        return expr

    def parse_attr_path(self):
        path: list = [self.parse_attr_name()]
        while self.tok == 46:
            self.advance()
            path.append(self.parse_attr_name())
        return path

    def parse_bindings(self, pos, closing, first_name, first_start):
        """Definitions up to the closing token, which is not consumed. `first_name`: a name that is already read."""
        if stack_is_low():
            raise stack_overflow(self.state, self.base + self.start)
        attrs: AttrsExpr = AttrsExpr(self.state, pos)
        if first_name is not None:
            self.parse_binding(attrs, first_name, first_start)
        while self.tok != closing:
            if self.tok == INHERIT:
                self.parse_inherit(attrs)
            else:
                self.parse_binding(attrs, None, self.start)
        return attrs

    def parse_binding(self, attrs, first_name, first_start):
        """`a.b = e;`."""
        path: list
        if first_name is not None:
            path = [first_name]
            while self.tok == 46:
                self.advance()
                path.append(self.parse_attr_name())
        else:
            path = self.parse_attr_path()
        self.expect(61)
        doc = self.doc_before(first_start)
        expr: Expr = self.parse_expr()
        self.expect(59)
        pos: cython.Py_ssize_t = self.base + first_start
        if len(path) == 1 and type(path[0]) is str and path[0] not in attrs.defs:
            if isinstance(expr, LambdaExpr):
                set_name(expr, path[0])
            attrs.defs[path[0]] = AttrDef(expr, pos)
        else:
            add_attribute(self.state, attrs, path, expr, pos)
        if doc is not None:
            self.docs[pos] = doc
        return None

    def parse_inherit(self, attrs):
        """`inherit a b;` and `inherit (e) a b;`."""
        state = self.state
        self.advance()
        source: Expr = None
        where: cython.Py_ssize_t = 0
        if self.tok == 40:
            self.advance()
            where = self.base + self.start
            source = self.parse_expr()
            self.expect(41)
        names: list = []
        while self.tok != 59:
            pos: cython.Py_ssize_t = self.base + self.start
            name = self.parse_attr_name()
            if type(name) is not str:
                raise ParseError("dynamic attributes not allowed in inherit", pos=pos, positions=state.positions)
            names.append((name, pos))
        self.advance()
        add_inherited(state, attrs, source, where, names)
        return None

    # --- functions with formals

    def parse_brace(self):
        """At `{`: a set or a function."""
        start: cython.Py_ssize_t = self.start
        self.advance()
        attrs: AttrsExpr
        if self.tok == 125:
            self.advance()
            if self.tok == 58 or self.tok == 64:
                return self.after_formals(start, [], False, None)
            return AttrsExpr(self.state, self.base + start)
        if self.tok == ELLIPSIS:
            return self.parse_formals(start, None, None, 0)
        if self.tok == ID:
            name_start: cython.Py_ssize_t = self.start
            name: str = self.symbol(self.start, self.end)
            self.advance()
            if self.tok == 44 or self.tok == 63 or self.tok == 125:
                return self.parse_formals(start, None, name, name_start)
            attrs = self.parse_bindings(self.base + start, 125, name, name_start)
        else:
            attrs = self.parse_bindings(self.base + start, 125, None, 0)
        self.advance()
        return attrs

    def parse_formals(self, start, argument, first_name, first_start):
        """After `{` (and a first name, where given): formals, then `:` or `@ args :`, and the body."""
        formals: list = []
        ellipsis: cython.bint = False
        if first_name is not None or self.tok == ID:
            formals = self.parse_formal_list(first_name, first_start)
        if self.tok == ELLIPSIS:
            ellipsis = True
            self.advance()
        self.expect(125)
        return self.after_formals(start, formals, ellipsis, argument)

    def parse_formal_list(self, first_name, first_start):
        formals: list = []
        name: str = first_name
        where: cython.Py_ssize_t = first_start
        while True:
            if name is None:
                if self.tok != ID:
                    if formals and (self.tok == 125 or self.tok == ELLIPSIS):
                        return formals
                    self.fail()
                where = self.start
                name = self.symbol(self.start, self.end)
                self.advance()
            default: Expr = None
            if self.tok == 63:
                self.advance()
                default = self.parse_expr()
            formals.append(Formal(name, self.base + where, default))
            name = None
            if self.tok != 44:
                if self.tok != 125:
                    self.fail()
                return formals
            self.advance()

    def after_formals(self, start: cython.Py_ssize_t, formals, ellipsis, argument):
        if argument is None and self.tok == 64:  # @
            self.advance()
            if self.tok != ID:
                self.fail()
            argument = self.symbol(self.start, self.end)
            self.advance()
        if self.tok != 58:
            self.fail()
        doc = self.doc_before(start)
        self.advance()
        result = self.new_lambda(start, formals, ellipsis, argument)
        if doc is not None:
            self.docs[self.base + start] = doc
        return result

    def new_lambda(self, start, formals, ellipsis, argument):
        """The body follows; names of arguments are checked after it, as in Nix."""
        body: Expr = self.parse_expr()
        pos: cython.Py_ssize_t = self.base + start
        seen = set()
        for item in formals:
            formal: Formal = item
            if formal.name in seen:
                raise ParseError(
                    f"duplicate formal function argument '{formal.name}'",
                    pos=formal.pos,
                    positions=self.state.positions,
                )
            seen.add(formal.name)
        if argument is not None and argument in seen:
            raise ParseError(
                f"duplicate formal function argument '{argument}'", pos=pos, positions=self.state.positions
            )
        return FormalsLambda(self.state, pos, formals, ellipsis, argument, body)
