"""A hundred thousand of everything, one within the other: an answer or Nix's error, and no crash."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from frazil.errors import FrazilError, TraceFrame
from frazil.lang import is_compiled
from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import ParseError, StackOverflow
from frazil.lang.evaluator import Evaluator, run_with_deep_stack
from frazil.lang.printer import print_ambiguous
from frazil.lang.settings import EvalSettings

pytestmark = pytest.mark.skipif(not is_compiled(), reason="Python's own frames are larger than those of C")
N = 100_000


def within(before: str, core: str, after: str = "") -> str:
    return before * N + core + after * N


FORMS = {
    "parentheses": (within("(", "1", ")"), "1"),
    "lists": (within("[", "", "]"), "[ <CODE> ]"),
    "sets": (within("{a=", "1", ";}"), "{ a = <CODE>; }"),
    "recursive sets": (within("rec{a=", "1", ";}"), "{ a = <CODE>; }"),
    "let, bound": (within("let x=", "1", ";in x"), "1"),
    "let, body": (within("let x=1;in ", "x"), "1"),
    "let with body": (within("let{body=", "1", ";}"), "1"),
    "with, scope": (within("with ", "{}", ";1"), "1"),
    "with, body": (within("with {};", "1"), "1"),
    "assert, condition": (within("assert ", "true", ";true"), "true"),
    "assert, body": (within("assert true;", "1"), "1"),
    "if, condition": (within("if ", "true", " then true else false"), "true"),
    "if, then": (within("if true then ", "1", " else 2"), "1"),
    "if, else": (within("if false then 1 else ", "1"), "1"),
    "functions": (within("x: ", "1"), "<LAMBDA>"),
    "functions of formals": (within("{x}:", "1"), "<LAMBDA>"),
    "functions of formals with a name": (within("a@{...}:", "1"), "<LAMBDA>"),
    "formals, default": (within("{x? ", "1", "}:1"), "<LAMBDA>"),
    "calls, argument": (within("(x: x) (", "1", ")"), "error: stack overflow; max-call-depth exceeded"),
    "calls, arguments in a row": ("(x: 1)" + " 1" * N, "error: attempt to call something which is not a function"),
    "selection, base": (within("(", "{a=1;}", ").a or 2"), "2"),
    "selection, path": ("{a=1;}" + ".a" * N + " or 3", "3"),
    "selection, or": ("{}" + ".a or {}" * N, "{ }"),
    "selection, default": (within("{}.a or (", "1", ")"), "1"),
    "?, base": (within("(", "{}", "?a)"), "false"),
    "?, path": ("{}?a" + ".a" * N, "false"),
    "-": (within("-", "1"), "1"),
    "- in parentheses": (within("-(", "1", ")"), "1"),
    "!": (within("!", "true"), "true"),
    "! in parentheses": (within("!(", "true", ")"), "true"),
    "strings": (within('"${', '"a"', '}"'), '"a"'),
    "strings, in a row": ('"' + '${"a"}' * N + '"', '"aaaa'),
    "indented strings": (within("''${", "''a''", "}''"), '"a"'),
    "indented strings, in a row": ("''" + "${''a''}\n" * N + "''", '"a\\na\\n'),
    "paths, in a row": ("/a" + '${"b"}' * N, "/abbb"),
    "paths, segments": ("/a" * N, "/a/a/"),
    "inherit from": (within("{inherit (", "{a=1;}", ") a;}"), "{ a = <CODE>; }"),
    "dynamic attributes": (within("{${", '"a"', '}="a";}.a'), '"a"'),
    "attributes, path": ("{a" + ".a" * N + "=1;}", "{ a = <CODE>; }"),
    "attributes, one set": ("{" + "".join(f"a.b{i}=1;" for i in range(N)) + "}.a.b9", "1"),
    "comments": ("/* " * N + "*/ 1", "1"),
    "comments, in a row": ("# /*\n/**/" * N + "1", "1"),
    "blanks": (" \n" * N + "1", "1"),
    "formals, many": ("({" + ",".join(f"a{i}?1" for i in range(65535)) + "}: a5) {}", "1"),
    "formals, too many": (
        "({" + ",".join(f"a{i}?1" for i in range(65536)) + "}: a5) {}",
        "error: too many formal arguments, implementation supports at most 65535",
    ),
    "names": ("let " + "a" * N + "=1;in " + "a" * N, "1"),
    "names, near": ("let " + "a" * N + "=1;in b" + "a" * N, "error: undefined variable 'baaa"),
    "integers": ("1" * N, "error: invalid integer '111"),
    "floats": ("1." + "1" * N, "1.11111"),
}
OPERATORS = {
    "+": ("1", "100001", "100001", "100001"),
    "-": ("1", "-99999", "-99999", "1"),
    "*": ("1", "1", "1", "1"),
    "/": ("1", "1", "1", "1"),
    "++": ("[]", "[ ]", "[ ]", "[ ]"),
    "//": ("{}", "{ }", "{ }", "{ }"),
    "==": ("1", "error: syntax", "false", "false"),
    "!=": ("1", "error: syntax", "true", "true"),
    "<": ("1", "error: syntax", "error: cannot compare", "error: cannot compare"),
    "<=": ("1", "error: syntax", "error: cannot compare", "error: cannot compare"),
    ">": ("1", "error: syntax", "error: cannot compare", "error: cannot compare"),
    ">=": ("1", "error: syntax", "error: cannot compare", "error: cannot compare"),
    "&&": ("true", "true", "true", "true"),
    "||": ("false", "false", "false", "false"),
    "->": ("true", "true", "true", "true"),
    "|>": ("(x: x)", "error: stack", "error: stack", "<LAMBDA>"),
    "<|": ("(x: x)", "error: stack", "<LAMBDA>", "error: stack"),
}
UNFINISHED = ("(", "[", "{a=", '"${', "''${", "let x=", "/a${", "rec{", "x: ", "if ", "with ", "{x?", "!", "1+")
STRAY = (")", "+", ".", "@", "$", "''", "]", "}", "*/", "^", "|")


def operators() -> Iterator[tuple[str, str, str]]:
    for operator, (operand, flat, left, right) in OPERATORS.items():
        yield f"{operator} in a row", f"{operand} {operator} " * N + operand, flat
        yield f"{operator}, left", "(" * N + operand + f" {operator} {operand})" * N, left
        yield f"{operator}, right", f"({operand} {operator} " * N + operand + ")" * N, right


CASES = [(name, text, expected) for name, (text, expected) in FORMS.items()] + list(operators())


def outcome(text: str) -> str:
    def work() -> str:
        evaluator = Evaluator(FileSystemEffects(), EvalSettings(experimental_features=frozenset({"pipe-operators"})))
        try:
            return str(print_ambiguous(evaluator, evaluator.eval_string(text, "/")))
        except FrazilError as error:
            return f"error: {error.message}"

    result = run_with_deep_stack(work)
    gc.collect()
    return result


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_nested(text: str, expected: str) -> None:
    found = outcome(text)
    assert found == expected or (len(expected) > 4 and found.startswith(expected)), found[:200]


@pytest.mark.parametrize("piece", [*UNFINISHED, *STRAY])
def test_broken_text(piece: str) -> None:
    with pytest.raises((ParseError, StackOverflow)):
        run_with_deep_stack(lambda: Evaluator(FileSystemEffects()).eval_string(piece * 10_000, "/"))


DEEP = "let deep = end: builtins.foldl' (a: i: {step}) end (builtins.genList (i: i) {n}); in {use}"
USES = {
    "==": "deep 1 == deep 1",
    "<": "deep 1 < deep 2",
    "elem": "builtins.elem (deep 1) [ (deep 2) ]",
    "sort": "builtins.sort (a: b: a < b) [ (deep 1) (deep 2) ]",
    "genericClosure": "builtins.genericClosure { startSet = [ { key = deep 1; } { key = deep 2; } ]; operator = x: [ ]; }",
    "toJSON": "builtins.toJSON (deep 1)",
    "toXML": "builtins.toXML (deep 1)",
    "toString": "toString (deep 1)",
    "deepSeq": "builtins.deepSeq (deep 1) 1",
    "trace": "builtins.trace (deep 1) 1",
    "print": "deep 1",
}


@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
@pytest.mark.parametrize("step", ["[ a ]", "{ x = a; }"], ids=["lists", "sets"])
def test_deep_values(step: str, use: str) -> None:
    """What walks through values ends at the depth of calls; what has no answer for sets says so."""
    found = outcome(DEEP.format(step=step, n=N, use=use))
    short = outcome(DEEP.format(step=step, n=5, use=use))
    if short.startswith("error: cannot"):
        assert found.startswith(short[:20])
    else:
        assert found == "error: stack overflow; max-call-depth exceeded"


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ('(deep "x")', "error: stack overflow"),
        ("builtins.typeOf (deep 1)", '"set"'),
        ("(builtins.tryEval (deep 1)).success", "true"),
    ],
)
@pytest.mark.parametrize("step", ["{ outPath = a; }", "{ __toString = s: a; }"])
def test_deep_coercions(step: str, use: str, expected: str) -> None:
    if use.startswith("(deep"):
        use = f"toString {use}"
    assert outcome(DEEP.format(step=step, n=N, use=use)).startswith(expected)


MILLION = 1_000_000
CHAINS = {
    "&&": ("true" + " && true" * MILLION, "true"),
    "||": ("false" + " || false" * MILLION, "false"),
    "->": ("true" + " -> true" * MILLION, "true"),
    "-": ("1" + " - 1" * MILLION, "-999999"),
    "?": ("{ }" + " ? a" * MILLION, "false"),
    "+, integers": ("1" + " + 1" * MILLION, "1000001"),
    "+, strings": ('builtins.stringLength ("a"' + ' + "b"' * MILLION + ")", "1000001"),
    "++": ("builtins.length ([1]" + " ++ [1]" * MILLION + ")", "1000001"),
    "//": ("{ }" + " // { }" * MILLION, "{ }"),
    "|>": ("x: x" + " |> x" * MILLION, "<LAMBDA>"),
    "undefined": ("(true" + " && true" * MILLION + ") nowhere", "error: undefined variable 'nowhere'"),
    "undefined, deep": ("(x: x" + " |> x" * MILLION + ") nowhere", "error: undefined variable 'nowhere'"),
}


@pytest.mark.parametrize(("text", "expected"), CHAINS.values(), ids=list(CHAINS))
def test_a_million_operators(text: str, expected: str) -> None:
    """Whoever frees the tree in the end, this thread with its small stack, does not need a stack of that depth."""
    assert outcome(text) == expected


@pytest.mark.parametrize(
    "operands",
    [
        ["1", "2", "3.5"],
        ['"a"', '"b"', "{ outPath = 1 + 1; }"],
        ['"a"', '{ outPath = "o"; }', '"c"'],
        ['"a"', '(builtins.placeholder "out")', '"c"'],
        ["/a", '"/../b"', '"c"'],
        ["/a", "/b", "/c/d"],
        ["/", "/", '"b"'],
        ['"a"', '"b"', "1"],
        ['"a"', '"b"', '(throw "t")'],
        ["1", "2", '(throw "t")'],
        ["{ }", "1", "2"],
        ["1", '"a"', "1"],
        ["{ outPath = /x; }", '"a"', '"c"'],
        ["/x", '{ outPath = "y"; }', '"c"'],
    ],
)
def test_long_sums(operands: list[str]) -> None:
    """A chain of many operands gives what each `+` for itself gives."""
    for order in (operands * 5, operands[:1] * 10 + operands[1:], operands + operands[:1] * 10, (operands * 5)[:13]):
        elements = " ".join(order[1:])
        assert outcome(" + ".join(order)) == outcome(f"builtins.foldl' (a: b: a + b) ({order[0]}) [ {elements} ]")


@pytest.mark.parametrize("failing", range(12))
@pytest.mark.parametrize("other", ['"a"', "1", "/a"])
def test_traces_of_long_sums(failing: int, other: str) -> None:
    """Each `+` around the operand that failed says so, the innermost at its own operand."""
    operands = [other] * 12
    operands[failing] = '(throw "t")'

    def work() -> list[int]:
        try:
            Evaluator(FileSystemEffects(), EvalSettings(show_trace=True)).eval_string(" + ".join(operands), "/")
        except FrazilError as error:
            return [f.position.column for f in error.trace if f.text == "in an operand of '+'" and f.position]
        raise AssertionError("nothing was thrown")

    starts = [sum(len(operand) + 3 for operand in operands[:i]) + 1 for i in range(12)]
    own = starts[failing] + 1
    columns = run_with_deep_stack(work)
    assert len(columns) == 12 - max(failing, 1)
    assert columns[-1] == own


def test_nodes_are_outside_the_collector() -> None:
    """A class takes part in it unless it says no and so does its base, where the compiler sees it: in the `.pxd`."""
    import frazil.lang.values

    tracked = []
    waiting: list[type] = [vars(frazil.lang.values)["Expr"]]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__flags__ & 1 << 14:
            tracked.append(kind.__name__)
    assert not tracked


def test_steps_of_endless_recursion_are_made_once() -> None:
    """However many there are: they differ in little."""

    def work() -> list[TraceFrame]:
        with pytest.raises(StackOverflow) as caught:
            evaluator = Evaluator(FileSystemEffects())
            evaluator.force(evaluator.eval_string("let f = x: { d = (f x).d; }; in (f 1).d", "/"))
        return caught.value.trace

    trace = run_with_deep_stack(work)
    assert (len(trace) > 100_000 or not is_compiled()) and len({id(frame) for frame in trace}) < 10
