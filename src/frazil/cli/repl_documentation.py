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
MOST_FUNCTORS = 100


def show_documentation(repl: Repl, rest: str, word: str) -> None:
    repl.parse(rest)  # an incomplete or wrong expression says so before anything is looked up
    fallback = repl.on_deep_stack(lambda: _attribute(repl, rest))
    text = repl.on_deep_stack(lambda: documentation(repl, repl.evaluator.evaluate(repl.parse(rest)))) or fallback
    if text is None:
        raise FrazilError("value does not have documentation")
    repl.context.print(text.strip())


def documentation(repl: Repl, value: Any) -> str | None:
    """Of a builtin or a function; a set that can be called is asked for what it calls."""
    from frazil.lang.values import Attrs, Lambda, Primop

    evaluator = repl.evaluator
    for _ in range(MOST_FUNCTORS):
        value = evaluator.force(value)
        if isinstance(value, Primop):
            return _builtin(repl, value.name)
        if isinstance(value, Lambda):
            return _function(repl, value)
        functor = evaluator.get_attr(value, "__functor") if isinstance(value, Attrs) else None
        if functor is None:
            return None
        value = evaluator.call(functor, value)
    return None


def _builtin(repl: Repl, name: str) -> str | None:
    spec = repl.evaluator.registered.get(name.removeprefix("__"))
    if spec is None or not spec.documentation:
        return None
    synopsis = " ".join(["Synopsis:", f"builtins.{spec.name}", *spec.argument_names]) + "\n\n"
    return (synopsis if spec.argument_names else "") + render(spec.documentation)


def _function(repl: Repl, value: Any) -> str:
    place = value.expr.position()
    name = value.expr.name
    where = f"defined at {place}" if place is not None else ""
    head = f"Function {name}\n  … {where}" if name else f"Function {where}"
    comment = comment_before(repl, value.expr.pos)
    return head + (f"\n\n{render(comment)}" if comment else "")


def _attribute(repl: Repl, text: str) -> str | None:
    """For `SET.NAME`: where the attribute is defined and the comment before it."""
    from frazil.lang.values import Attrs

    head, dot, name = text.rpartition(".")
    if not dot or not name.replace("_", "").replace("-", "").replace("'", "").isalnum():
        return None
    try:
        value = repl.evaluator.force(repl.evaluator.evaluate(repl.parse(head)))
    except FrazilError:
        return None  # the expression itself will be evaluated next, and says what is wrong
    name = os.fsencode(name).decode("latin-1")
    position = value.position(name) if isinstance(value, Attrs) and value.has(name) else 0
    if not position:
        return None
    comment = comment_before(repl, position)
    found = render(comment) if comment else "No documentation found."
    return f"Attribute {name}\n\n  … defined at {repl.evaluator.positions.position(position)}\n\n{found}"


# -- comments ------------------------------------------------------------------------------------------------------


def comment_before(repl: Repl, position: int) -> str | None:
    """The text of the `/** … */` right before a place; for a function in `name = …` also that before the name."""
    found = repl.evaluator.positions.locate(position)
    if found is None:
        return None
    _, _, source, offset = found
    before = source[:offset].rstrip()
    own = _ending_comment(before)
    if own is not None or not before.endswith(b"="):
        return own
    name = before[:-1].rstrip()
    while name and (name[-1:].isalnum() or name[-1:] in b"_'-.\"" or name[-1] >= 128):
        name = name[:-1]
    return _ending_comment(name.rstrip())


def _ending_comment(text: bytes) -> str | None:
    if not text.endswith(b"*/"):
        return None
    begin = text.rfind(b"/**")
    if begin < 0 or b"*/" in text[begin + 3 : -2] or begin + 3 > len(text) - 2:
        return None
    return textwrap.dedent("   " + text[begin + 3 : -2].decode("utf-8", "replace"))


def render(text: str) -> str:
    """Markdown's paragraphs filled, code set off by a bar, as Nix shows them in a terminal."""
    out: list[str] = []
    code = False
    paragraph: list[str] = []

    def flush() -> None:
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
        elif not line.strip():
            flush()
            out.append("")
        elif line.lstrip()[:2] in {"- ", "* ", "# "} or line.lstrip().startswith("##"):
            flush()
            paragraph.append(line.strip().replace("`", ""))
        else:
            paragraph.append(line.strip().replace("`", "").replace("**", ""))
    flush()
    return "\n".join(out)
