from typing import Any

Value = Any

def print_value(
    state: Any,
    value: Value,
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
def print_ambiguous(state: Any, value: Value, track_repeated: bool = ..., context: set[str] | None = ...) -> str: ...
def to_json_text(state: Any, value: Value, context: set[str], *, copy_to_store: bool = ...) -> str: ...
def to_xml_text(state: Any, value: Value, context: set[str], *, strict: bool = ..., location: bool = ...) -> str: ...
def attribute_name(name: str) -> str: ...
def quote_string(text: str, limit: int = ..., ansi: bool = ...) -> str: ...
