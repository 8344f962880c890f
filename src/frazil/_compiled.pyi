"""See tools/native/table.c."""

from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES: frozenset[str]

def create(spec: ModuleSpec, /) -> ModuleType: ...
