"""JSON for what this program itself writes and reads again, without `json`, which brings `re` and `enum`: importing
those would be a sixth of a command that the evaluation cache answers.

In and out: None, booleans, numbers, strings, lists, dicts with string keys; compact, keys sorted, ASCII. The text is
the one that `json.dumps(value, sort_keys=True, separators=(",", ":"))` gives.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_DEPTH = 500


def _compiled_half() -> Any:
    """What `json` itself uses, where there is such a thing."""
    try:
        import _json
    except ImportError:
        return None
    return _json


_fast = _compiled_half()


def dumps(value: object) -> str:
    if _fast is None:
        import json

        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    out: list[str] = []
    _write(value, out, 0)
    return "".join(out)


def _write(value: object, out: list[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise RecursionError("too deep for JSON")
    if isinstance(value, str):
        out.append(_fast.encode_basestring_ascii(value))
    elif value is None or value is True or value is False:
        out.append("null" if value is None else "true" if value else "false")
    elif isinstance(value, int):
        out.append(int.__repr__(value))
    elif isinstance(value, list | tuple):
        out.append("[")
        for number, item in enumerate(value):
            if number:
                out.append(",")
            _write(item, out, depth + 1)
        out.append("]")
    elif isinstance(value, dict):
        out.append("{")
        for number, name in enumerate(sorted(value)):
            out.append(("," if number else "") + _fast.encode_basestring_ascii(name) + ":")
            _write(value[name], out, depth + 1)
        out.append("}")
    else:
        import json

        out.append(json.dumps(value))


class _Reader:
    """What the scanner asks for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str]

    def __init__(self) -> None:
        self.memo = {}

    @staticmethod
    def parse_constant(name: str) -> float:
        raise ValueError(f"no number: {name}")


def loads(data: str | bytes) -> Any:
    """Raises ValueError for what is no JSON without spaces around it, RecursionError for what is too deep."""
    text = data if isinstance(data, str) else data.decode()
    if _fast is None:
        import json

        return json.loads(text)
    try:
        value, end = _fast.make_scanner(_Reader())(text, 0)
    except StopIteration as error:
        raise ValueError("no JSON") from error
    if end != len(text):
        raise ValueError("text after the end of JSON")
    return value
