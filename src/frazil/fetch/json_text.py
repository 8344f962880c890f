"""JSON from outside: the text in, plain data out, with its nesting bounded.

Python's own limit of recursion cannot be relied on: evaluation raises it, and reading could then exhaust the stack.
"""

from __future__ import annotations

import re
from typing import Any

MAX_NESTING = 100
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)


def check_nesting(text: str) -> None:
    """Raises ValueError for JSON nested more than a hundred deep."""
    depth = 0
    for bracket in re.findall(r"[][{}]", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_NESTING:
            raise ValueError("it is nested too deeply")


def parse_json(data: bytes | str) -> Any:
    """Raises ValueError for what is no JSON, no UTF-8, or nested too deeply."""
    import json

    def refuse(constant: str) -> None:
        raise ValueError(f"'{constant}' is not JSON")

    text = data.decode("utf-8") if isinstance(data, bytes) else data
    check_nesting(text)
    return json.loads(text, parse_constant=refuse)
