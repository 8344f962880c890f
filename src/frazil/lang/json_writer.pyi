from typing import Any

from frazil.lang.values import State

def to_json_text(
    state: State, value: Any, context: set[str], *, copy_to_store: bool = ..., strict: bool = ...
) -> str: ...
