from frazil.lang.registry import BuiltinSpec

BUILTINS: list[BuiltinSpec]
