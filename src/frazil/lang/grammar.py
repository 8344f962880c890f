"""The grammar of the language as data: tokens with the names that messages use, precedences, productions.

The order of tokens and of productions is that of Nix's `parser.y`: messages list expected tokens in it, and default
reductions depend on it. Used only to word syntax errors; `parser` reads well-formed text.
"""

from __future__ import annotations

TOKENS: tuple[tuple[str, str], ...] = (
    ("$end", "end of file"),
    ("error", "error"),
    ("$undefined", "invalid token"),
    ("ID", "identifier"),
    ("STR", "string"),
    ("IND_STR", "indented string"),
    ("INT_LIT", "integer"),
    ("FLOAT_LIT", "floating-point literal"),
    ("PATH", "path"),
    ("HPATH", "'~/…' path"),
    ("SPATH", "'<…>' path"),
    ("PATH_END", "end of path"),
    ("URI", "URI"),
    ("IF", "'if'"),
    ("THEN", "'then'"),
    ("ELSE", "'else'"),
    ("ASSERT", "'assert'"),
    ("WITH", "'with'"),
    ("LET", "'let'"),
    ("IN_KW", "'in'"),
    ("REC", "'rec'"),
    ("INHERIT", "'inherit'"),
    ("EQ", "'=='"),
    ("NEQ", "'!='"),
    ("LEQ", "'<='"),
    ("GEQ", "'>='"),
    ("UPDATE", "'//'"),
    ("CONCAT", "'++'"),
    ("AND", "'&&'"),
    ("OR", "'||'"),
    ("IMPL", "'->'"),
    ("OR_KW", "'or'"),
    ("PIPE_FROM", "'<|'"),
    ("PIPE_INTO", "'|>'"),
    ("DOLLAR_CURLY", "'${'"),
    ("IND_STRING_OPEN", "start of an indented string"),
    ("IND_STRING_CLOSE", "end of an indented string"),
    ("ELLIPSIS", "'...'"),
    ("REPL_BINDINGS", "start of REPL bindings"),
    *((c, c if len(c) > 1 else f"'{c}'") for c in '< > NOT + - * / ? NEGATE : @ ; ! . " ( ) { } [ ] = ,'.split()),
)

PRECEDENCE: tuple[tuple[str, str], ...] = (
    ("right", "IMPL"),
    ("left", "OR"),
    ("left", "AND"),
    ("nonassoc", "EQ NEQ"),
    ("nonassoc", "< > LEQ GEQ"),
    ("right", "UPDATE"),
    ("left", "NOT"),
    ("left", "+ -"),
    ("left", "* /"),
    ("right", "CONCAT"),
    ("nonassoc", "?"),
    ("nonassoc", "NEGATE"),
)

# One alternative a line; `%prec X` at its end.
RULES = """
start = expr
start = REPL_BINDINGS binds1
expr = expr_function
expr_function = ID : expr_function
expr_function = formal_set : expr_function
expr_function = formal_set @ ID : expr_function
expr_function = ID @ formal_set : expr_function
expr_function = ASSERT expr ; expr_function
expr_function = WITH expr ; expr_function
expr_function = LET binds IN_KW expr_function
expr_function = expr_if
expr_if = IF expr THEN expr ELSE expr
expr_if = expr_pipe_from
expr_if = expr_pipe_into
expr_if = expr_op
expr_pipe_from = expr_op PIPE_FROM expr_pipe_from
expr_pipe_from = expr_op PIPE_FROM expr_op
expr_pipe_into = expr_pipe_into PIPE_INTO expr_op
expr_pipe_into = expr_op PIPE_INTO expr_op
expr_op = ! expr_op %prec NOT
expr_op = - expr_op %prec NEGATE
expr_op = expr_op EQ expr_op
expr_op = expr_op NEQ expr_op
expr_op = expr_op < expr_op
expr_op = expr_op LEQ expr_op
expr_op = expr_op > expr_op
expr_op = expr_op GEQ expr_op
expr_op = expr_op AND expr_op
expr_op = expr_op OR expr_op
expr_op = expr_op IMPL expr_op
expr_op = expr_op UPDATE expr_op
expr_op = expr_op ? attrpath
expr_op = expr_op + expr_op
expr_op = expr_op - expr_op
expr_op = expr_op * expr_op
expr_op = expr_op / expr_op
expr_op = expr_op CONCAT expr_op
expr_op = expr_app
expr_app = expr_app expr_select
expr_app = expr_select
expr_select = expr_simple . attrpath
expr_select = expr_simple . attrpath OR_KW expr_select
expr_select = expr_simple OR_KW
expr_select = expr_simple
expr_simple = ID
expr_simple = INT_LIT
expr_simple = FLOAT_LIT
expr_simple = " string_parts "
expr_simple = IND_STRING_OPEN ind_string_parts IND_STRING_CLOSE
expr_simple = path_start PATH_END
expr_simple = path_start string_parts_interpolated PATH_END
expr_simple = SPATH
expr_simple = URI
expr_simple = ( expr )
expr_simple = LET { binds }
expr_simple = REC { binds }
expr_simple = { binds1 }
expr_simple = { }
expr_simple = [ list ]
string_parts = STR
string_parts = string_parts_interpolated
string_parts =
string_parts_interpolated = string_parts_interpolated STR
string_parts_interpolated = string_parts_interpolated DOLLAR_CURLY expr }
string_parts_interpolated = DOLLAR_CURLY expr }
string_parts_interpolated = STR DOLLAR_CURLY expr }
path_start = PATH
path_start = HPATH
ind_string_parts = ind_string_parts IND_STR
ind_string_parts = ind_string_parts DOLLAR_CURLY expr }
ind_string_parts =
binds = binds1
binds =
binds1 = binds1 attrpath = expr ;
binds1 = binds INHERIT attrs ;
binds1 = binds INHERIT ( expr ) attrs ;
binds1 = attrpath = expr ;
attrs = attrs attr
attrs = attrs string_attr
attrs =
attrpath = attrpath . attr
attrpath = attrpath . string_attr
attrpath = attr
attrpath = string_attr
attr = ID
attr = OR_KW
string_attr = " string_parts "
string_attr = DOLLAR_CURLY expr }
list = list expr_select
list =
formal_set = { formals , ELLIPSIS }
formal_set = { ELLIPSIS }
formal_set = { formals , }
formal_set = { formals }
formal_set = { }
formals = formals , formal
formals = formal
formal = ID
formal = ID ? expr
"""
