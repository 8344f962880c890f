from typing import Any

from frazil.lang.values import State

Value = Any

def force_deep(state: State, value: Value) -> Value: ...
def determine_pos(value: Value) -> int: ...
