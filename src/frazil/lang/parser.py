# cython: boundscheck=False, wraparound=False, cdivision=True
"""From source text (bytes) to an expression, by recursive descent with precedence climbing.

Source of truth: Nix's `parser.y`. Only well-formed text is understood here; where text is wrong,
`fail` lets `syntax_error` read it again with the grammar's LALR(1) automaton, which words the message as Nix's does.
"""

import cython
from cython.cimports.frazil.lang.attribute_merge import add_attribute, add_inherited
from cython.cimports.frazil.lang.definitions import find_definition, with_definition
from cython.cimports.frazil.lang.functions import CallNode, Formal, add_argument, set_name
from cython.cimports.frazil.lang.literals import LiteralReader, new_literal
from cython.cimports.frazil.lang.nodes import (
    new_application,
    new_binary,
    new_equals,
    new_formal,
    new_formals_lambda,
    new_function,
    new_has_attr,
    new_if,
    new_join,
    new_list,
    new_select,
    new_set,
    new_var,
)
from cython.cimports.frazil.lang.operators import Arithmetic, Assert, Not
from cython.cimports.frazil.lang.scanner import (
    AND,
    ASSERT_KW,
    CONCAT,
    DOLLAR_CURLY,
    ELLIPSIS,
    ELSE_KW,
    EOF,
    EQ,
    FLOAT,
    GEQ,
    HPATH,
    ID,
    IF_KW,
    IMPL,
    IN_KW,
    IND_OPEN,
    INHERIT_KW,
    INT,
    LEQ,
    LET_KW,
    NEQ,
    OR,
    OR_KW,
    PATH,
    PIPE_FROM,
    PIPE_INTO,
    REC_KW,
    SPATH,
    THEN_KW,
    UPDATE,
    URI,
    WITH_KW,
)
from cython.cimports.frazil.lang.sets import AttrsExpr, LetExpr
from cython.cimports.frazil.lang.values import Expr, LambdaExpr, State, new_int, stack_is_low, stack_overflow
from cython.cimports.frazil.lang.variables import CurrentPosition, Literal, Var, With

from frazil.lang.errors import ParseError, byte_string

MOST_FORMALS = 65535


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


@cython.cfunc
@cython.inline
def is_end(tok: cython.int) -> cython.bint:
    """Whether an expression surely ends before it: `;`, `)`, `}`, `,`."""
    return tok == 59 or tok == 41 or tok == 125 or tok == 44


@cython.final
@cython.cclass
class Parser(LiteralReader):
    """One source text being read. `base`: its place in the table of positions; `directory`: where relative paths
    start."""

    def __init__(self, state, data, base, directory):
        self.open_text(state, data, base)
        self.directory = directory
        settings = cython.cast(State, state).settings
        self.pure = settings.pure
        self.home = settings.home_directory
        self.lints = None
        if (
            settings.lint_url_literals != "ignore"
            or settings.lint_short_path_literals != "ignore"
            or settings.lint_absolute_path_literals != "ignore"
        ):
            self.lints = settings
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
                self.advance()
                result: Expr = new_function(state, self.base + start, name, self.parse_expr())
                return result
            if self.tok == 64:  # @
                return self.parse_argument_at(start, self.symbol(start, end))
            result = self.name_expr(start, end)
            return result if is_end(self.tok) else self.parse_pipes(result, start)
        if tok == 34:  # "
            result = self.parse_string()
            return result if is_end(self.tok) else self.parse_pipes(result, start)
        if tok == 123:  # {
            first: Expr = self.parse_brace()
            if isinstance(first, LambdaExpr) or is_end(self.tok):
                return first
            return self.parse_pipes(first, start)
        if tok == LET_KW:
            return self.parse_let()
        if tok == IF_KW:
            return self.parse_if()
        if tok == WITH_KW or tok == ASSERT_KW:
            self.advance()
            condition: Expr = self.parse_expr()
            self.expect(59)
            if tok == WITH_KW:
                return With(state, self.base + start, condition, self.parse_expr())
            return Assert(state, self.base + start, condition, self.parse_expr())
        return self.parse_pipes(None, start)

    def parse_argument_at(self, start, argument):
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
        attrs: AttrsExpr = self.parse_bindings(0, IN_KW, None, 0)
        self.advance()
        body: Expr = self.parse_expr()
        if attrs.dynamic is not None:
            raise self.error_at("dynamic attributes not allowed in let", start)
        return LetExpr(self.state, attrs, body)

    def old_let(self, start):
        """`let { …; body = …; }`, at the brace."""
        self.advance()
        attrs: AttrsExpr = self.parse_bindings(self.base + start, 125, None, 0)
        attrs.recursive = True
        self.advance()
        return self.parse_select(new_select(self.state, self.base + start, attrs, "body", None), start)

    def parse_if(self):
        start: cython.Py_ssize_t = self.start
        self.advance()
        condition: Expr = self.parse_expr()
        self.expect(THEN_KW)
        then: Expr = self.parse_expr()
        self.expect(ELSE_KW)
        return new_if(self.state, self.base + start, condition, then, self.parse_expr())

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

    def make_call(self, pos, function, argument):
        if type(function) is CallNode:
            add_argument(cython.cast(CallNode, function), argument)
            return function
        return new_application(self.state, pos, function, argument)

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
        while True:
            tok = self.tok
            level = precedence(tok)
            if level == 0 or level < minimum:
                return left
            pos = self.base + self.start
            self.advance()
            if tok == 63:
                left = new_has_attr(state, left, self.parse_attr_path())
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
            where: cython.Py_ssize_t = self.base - pos
            return new_join(
                state, pos, False, [left, right], [new_int(where + left_start), new_int(where + right_start)]
            )
        if tok == EQ:
            return new_equals(state, pos, left, right, False)
        if tok == NEQ:
            return new_equals(state, pos, left, right, True)
        if tok == UPDATE or tok == CONCAT or tok == AND or tok == OR or tok == IMPL:
            return new_binary(state, tok, pos, left, right)
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
            or tok == REC_KW
            or tok == LET_KW
        ):
            argument: Expr = self.parse_operand()
            if fresh:
                function = new_application(self.state, self.base + start, function, argument)
                fresh = False
            else:
                add_argument(cython.cast(CallNode, function), argument)
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
            path: object = self.parse_attr_name()
            if self.tok == 46 or type(path) is not str:
                path = self.rest_of_path(path)
            default: Expr = None
            if self.tok == OR_KW:
                self.advance()
                default = self.parse_operand()
            return new_select(state, self.base + start, subject, path, default)
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

    def name_expr(self, start, end):
        name: str = self.symbol(start, end)
        if end - start == 8 and self.p[start] == 95 and name == "__curPos":
            return CurrentPosition(self.state, self.base + start)
        return new_var(self.state, self.base + start, name)

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
        if tok == REC_KW:
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
            return new_literal(self.state, self.base + start, value)
        if tok == LET_KW:
            self.advance()
            if self.tok == 123:
                self.advance()
                attrs = self.parse_bindings(self.base + start, 125, None, 0)
                attrs.recursive = True
                self.advance()
                return new_select(self.state, self.base + start, attrs, "body", None)
        self.fail()

    def parse_list(self):
        if stack_is_low():
            raise stack_overflow(self.state, self.base + self.start)
        start: cython.Py_ssize_t = self.start
        elements: list = []
        self.advance()
        while self.tok != 93:
            elements.append(self.parse_operand())
        self.advance()
        return new_list(self.state, self.base + start, elements)

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
        return self.rest_of_path(self.parse_attr_name())

    def rest_of_path(self, first):
        path: list = [first]
        while self.tok == 46:
            self.advance()
            path.append(self.parse_attr_name())
        return path

    def parse_bindings(self, pos, closing, first_name, first_start):
        """Definitions up to the closing token, which is not consumed. `first_name`: a name that is already read."""
        if stack_is_low():
            raise stack_overflow(self.state, self.base + self.start)
        attrs: AttrsExpr = new_set(self.state, pos)
        if first_name is not None:
            self.parse_binding(attrs, first_name, first_start)
        while self.tok != closing:
            if self.tok == INHERIT_KW:
                self.parse_inherit(attrs)
            else:
                self.parse_binding(attrs, None, self.start)
        return attrs

    def parse_binding(self, attrs, first_name, first_start):
        """`a.b = e;`."""
        path: list = None
        name: object = self.parse_attr_name() if first_name is None else first_name
        if self.tok == 46 or type(name) is not str:
            path = self.rest_of_path(name)
        self.expect(61)
        expr: Expr = self.parse_expr()
        self.expect(59)
        pos: cython.Py_ssize_t = self.base + first_start
        if path is None and find_definition(attrs.defs, name) < 0:
            if isinstance(expr, LambdaExpr):
                set_name(expr, name)
            attrs.defs = with_definition(attrs.defs, name, expr, pos, 0)
        else:
            add_attribute(self.state, attrs, [name] if path is None else path, expr, pos)
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
            return new_set(self.state, self.base + start)
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
            formals.append(new_formal(name, self.base + where, default))
            name = None
            if self.tok != 44:
                if self.tok != 125:
                    self.fail()
                return formals
            self.advance()

    def after_formals(self, start, formals, ellipsis, argument):
        if argument is None and self.tok == 64:  # @
            self.advance()
            if self.tok != ID:
                self.fail()
            argument = self.symbol(self.start, self.end)
            self.advance()
        if self.tok != 58:
            self.fail()
        self.advance()
        result = self.new_lambda(start, formals, ellipsis, argument)
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
        if len(formals) > MOST_FORMALS:
            raise ParseError(
                f"too many formal arguments, implementation supports at most {MOST_FORMALS}",
                pos=pos,
                positions=self.state.positions,
            )
        return new_formals_lambda(self.state, pos, formals, ellipsis, argument, body)
