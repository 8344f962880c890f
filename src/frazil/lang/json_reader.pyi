from typing import Any

class JSONError(ValueError):
    message: str
    syntax: bool
    def __init__(self, message: str, syntax: bool = ...) -> None: ...

def parse_json(text: str) -> Any: ...
