from collections.abc import Callable
from typing import Any

from frazil.lang.values import State

def escape(text: str) -> str: ...
def to_xml_text(
    state: State,
    value: Any,
    context: set[str],
    *,
    strict: bool = ...,
    location: bool = ...,
    on_failure: Callable[[str], None] | None = ...,
) -> str: ...
