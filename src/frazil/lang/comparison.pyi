from typing import Any

from frazil.lang.values import State

Value = Any

def equal(state: State, left: Value, right: Value) -> bool: ...
def less_than(state: State, left: Value, right: Value, what: str = ...) -> bool: ...
