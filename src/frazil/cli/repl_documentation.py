"""`:doc`: what a builtin, a function or an attribute says about itself.

In: an expression. Out: the documentation of a builtin, or the `/** … */` comment right before a function or attribute.
"""

from __future__ import annotations

import os
import textwrap

from frazil.errors import FrazilError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.cli.repl import Repl

WIDTH = 80


def show_documentation(repl: Repl, rest: str, word: str) -> None:
    repl.parse(rest)  # an incomplete or wrong expression says so before anything is looked up
    fallback = repl.on_deep_stack(lambda: _attribute(repl, rest))
    text = repl.on_deep_stack(lambda: documentation(repl, repl.evaluator.evaluate(repl.parse(rest)))) or fallback
    if text is None:
        raise FrazilError("value does not have documentation")
    raw = os.environ.get("_NIX_TEST_RAW_MARKDOWN") == "1"
    repl.context.print((text if raw else render(text)).strip())


def documentation(repl: Repl, value: Any) -> str | None:
    """Markdown, of a builtin or a function; a set that can be called is asked for what it calls."""
    from frazil.lang.errors import EvalBaseError
    from frazil.lang.values import Attrs, Lambda, Primop

    evaluator = repl.evaluator
    value = evaluator.force(value)
    if isinstance(value, Primop):
        return _builtin(repl, value.name)
    if isinstance(value, Lambda):
        return _function(repl, value)
    functor = evaluator.get_attr(value, "__functor") if isinstance(value, Attrs) else None
    if functor is None:
        return None
    depth = evaluator.call_depth
    try:
        called = evaluator.call(functor, value)
        evaluator.call_depth = depth + 1  # what calls itself for ever ends as any such evaluation does
        return documentation(repl, called)
    except EvalBaseError as error:
        error.add_trace(0, "while partially calling '__functor' to retrieve documentation")
        raise
    finally:
        evaluator.call_depth = depth


def _builtin(repl: Repl, name: str) -> str | None:
    spec = repl.evaluator.registered.get(name.removeprefix("__"))
    if spec is None or not spec.documentation:
        return None
    arguments = " ".join(f"*{argument}*" for argument in spec.argument_names)
    synopsis = f"**Synopsis:** `builtins.{spec.name}` {arguments}\n\n" if arguments else ""
    return synopsis + dedent(spec.documentation)


def _function(repl: Repl, value: Any) -> str:
    place = value.expr.position()
    name = value.expr.name
    head = f"Function `{name}`\\\n  … " if name else "Function "
    text = head + (f"defined at {place}" if place is not None else "")
    comment = comment_before(repl, value.expr.pos)
    return text + (f"\n\n{comment}" if comment else "")


def _attribute(repl: Repl, text: str) -> str | None:
    """For `SET.NAME`: where the attribute is defined and the comment before it."""
    from frazil.lang.runtime import force_attrs

    found = repl.evaluator.evaluate_holder(repl.parse(text))
    if found is None:
        return None
    value, name = found
    attrs = force_attrs(value, "while evaluating an attribute set to look for documentation")
    position = attrs.position(name) if attrs.has(name) else 0
    if not position:
        return None
    comment = comment_before(repl, position) or "No documentation found."
    shown = name.encode("latin-1").decode("utf-8", "replace")
    return f"Attribute `{shown}`\n\n  … defined at {repl.evaluator.positions.position(position)}\n\n{comment}"


# -- comments ------------------------------------------------------------------------------------------------------


def comment_before(repl: Repl, position: int) -> str | None:
    """The text of the `/** … */` right before a place; for a function in `name = …` also that before the name."""
    positions = repl.evaluator.positions
    found, source = positions.locate(position), positions.text_at(position)
    if found is None or source is None:
        return None
    before = source[: found[2]].rstrip()
    while True:
        own = _ending_comment(before)
        if own is not None:
            return own
        if before.endswith(b"="):
            return _ending_comment(_without_name(before[:-1].rstrip()))
        outer = _without_argument(before)
        if outer is None:
            return None
        before = outer


def _without_name(text: bytes) -> bytes:
    while text and (text[-1:].isalnum() or text[-1:] in b"_'-.\"" or text[-1] >= 128):
        text = text[:-1]
    return text.rstrip()


def _without_argument(text: bytes) -> bytes | None:
    """Without the `name:` that it ends in: a function inside another one is documented with it."""
    if not text.endswith(b":"):
        return None
    name = text[:-1].rstrip()
    shorter = _without_name(name)
    return shorter if shorter != name else None


def _ending_comment(text: bytes) -> str | None:
    if not text.endswith(b"*/"):
        return None
    begin = text.rfind(b"/**")
    if begin < 0 or b"*/" in text[begin + 3 : -2] or begin + 3 > len(text) - 2:
        return None
    return dedent("   " + text[begin + 3 : -2].decode("utf-8", "replace"))


def dedent(text: str) -> str:
    """Without what all lines are indented by; the opening of a comment counts as indentation."""
    lines = text.split("\n")
    widths = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" ")]
    return "\n".join(line[min(widths, default=0) :] for line in lines)


def plain(text: str) -> str:
    """Without marks of emphasis and code."""
    import re

    return re.sub(r"\*(\w[^*]*)\*", r"\1", text.replace("`", "").replace("**", ""))


def render(text: str) -> str:
    """Markdown's paragraphs filled, code set off by a bar, as Nix shows them in a terminal."""
    out: list[str] = []
    code = False
    paragraph: list[str] = []

    def flush() -> None:
        while paragraph and paragraph[0].endswith("\\"):  # the line ends here
            out.append(paragraph.pop(0)[:-1])
        if paragraph:
            out.extend(textwrap.wrap(" ".join(paragraph), WIDTH - 20, break_long_words=False, break_on_hyphens=False))
            paragraph.clear()

    for line in textwrap.dedent(text).strip("\n").split("\n"):
        if line.lstrip().startswith("```"):
            flush()
            code = not code
        elif code or line.startswith("    "):
            flush()
            out.append(f"  │ {line if code else line[4:]}".rstrip())
        elif line.startswith("  … "):
            flush()
            out.append(line)
        elif not line.strip():
            flush()
            out.append("")
        elif line.lstrip()[:2] in {"- ", "* ", "# "} or line.lstrip().startswith("##"):
            flush()
            paragraph.append(plain(line.strip()))
        else:
            paragraph.append(plain(line.strip()))
    flush()
    return "\n".join(out)
