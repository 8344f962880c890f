from typing import Any

from frazil.lang.values import State

UNLIMITED: int

def quote_string(text: str, limit: int = ..., ansi: bool = ...) -> str: ...
def attribute_name(name: str) -> str: ...
def is_variable_name(name: str) -> bool: ...
def function_text(state: State, value: Any) -> str: ...
def printable(text: str, keep_colors: bool = ...) -> str: ...
def print_value(
    state: State,
    value: Any,
    *,
    evaluate: bool = ...,
    derivation_paths: bool = ...,
    track_repeated: bool = ...,
    max_depth: int = ...,
    max_attributes: int = ...,
    max_items: int = ...,
    max_string: int = ...,
    indent: int = ...,
    errors: str = ...,
    ansi: bool = ...,
    context: set[str] | None = ...,
) -> str: ...
def print_ambiguous(state: State, value: Any, track_repeated: bool = ..., context: set[str] | None = ...) -> str: ...
