from collections.abc import Callable, Iterable
from typing import Any

Value = Any
MISSING: Any
EMPTY_ATTRS: Attrs

class State:
    effects: Any
    settings: Any
    positions: Any
    call_depth: int
    max_call_depth: int
    show_trace: bool

class Env:
    up: Env | None
    payload: Any

class Expr:
    pos: int

class LambdaExpr(Expr):
    name: str | None
    def position(self) -> Any: ...

class Thunk:
    def __init__(self, expr: Expr, slot: Any) -> None: ...

class Shape:
    count: int
    names: tuple[str, ...]
    index: dict[str, int]
    nowhere: Any

class Attrs:
    pos: int
    def lookup(self, name: str) -> Value: ...
    def has(self, name: str) -> bool: ...
    def size(self) -> int: ...
    def names(self) -> tuple[str, ...] | list[str]: ...
    def items(self) -> list[tuple[str, Value]]: ...
    def raw_values(self) -> list[Value]: ...
    def position(self, name: str) -> int: ...
    def copy_table(self) -> dict[str, Value]: ...
    def origins(self) -> Any: ...
    def __len__(self) -> int: ...

def attrs_from_dict(table: dict[str, Value], positions: Any = ..., pos: int = ...) -> Attrs: ...
def shape_of(names: tuple[str, ...]) -> Shape: ...

class Lambda:
    expr: LambdaExpr

class Primop:
    name: str
    arity: int
    function: Callable[..., Value]
    internal: bool
    def __init__(self, name: str, arity: int, function: Callable[..., Value], internal: bool = ...) -> None: ...

class PrimopApplication:
    primop: Primop
    arguments: list[Value]
    def __init__(self, primop: Primop, arguments: list[Value]) -> None: ...

class PathValue:
    text: str
    def __init__(self, text: str) -> None: ...

class ContextString:
    text: str
    context: frozenset[str]
    def __init__(self, text: str, context: frozenset[str]) -> None: ...

def make_string(text: str, context: Iterable[str]) -> str | ContextString: ...
def thunk_state(thunk: Thunk) -> tuple[str, Value]: ...
def copy_error(error: Any) -> Any: ...
