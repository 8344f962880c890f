"""`frazil.lang.builtins_context`."""

from __future__ import annotations

import pytest
from golden import cases, evaluate

from frazil.lang.effects import FileSystemEffects
from frazil.lang.errors import TypeMismatch
from frazil.lang.evaluator import Evaluator

HASH = "a" * 32
DRV = f"/nix/store/{HASH}-x.drv"
FILE = f"/nix/store/{HASH}-f"
OUTPUT = f'(builtins.appendContext "s" {{ "{DRV}".outputs = [ "out" "dev" ]; }})'
CONSTANT = f'(builtins.appendContext "s" {{ "{DRV}".path = true; }})'
DEEP = f'(builtins.appendContext "s" {{ "{DRV}".allOutputs = true; }})'
TABLE = f"""
builtins.hasContext "s" => false
builtins.hasContext {OUTPUT} => true
builtins.getContext {OUTPUT} => {{ "{DRV}" = {{ outputs = [ "dev" "out" ]; }}; }}
builtins.getContext {DEEP} => {{ "{DRV}" = {{ allOutputs = true; }}; }}
builtins.getContext ({DEEP} + {CONSTANT}) => {{ "{DRV}" = {{ allOutputs = true; path = true; }}; }}
builtins.hasContext (builtins.unsafeDiscardStringContext {OUTPUT}) => false
builtins.getContext (builtins.unsafeDiscardOutputDependency {DEEP}) => {{ "{DRV}" = {{ path = true; }}; }}
builtins.getContext (builtins.addDrvOutputDependencies {CONSTANT}) => {{ "{DRV}" = {{ allOutputs = true; }}; }}
builtins.getContext (builtins.addDrvOutputDependencies {DEEP}) => {{ "{DRV}" = {{ allOutputs = true; }}; }}
builtins.addDrvOutputDependencies "s" => !! context of string 's' must have exactly one element, but has 0
builtins.getContext (builtins.substring 0 0 {CONSTANT}) => {{ "{DRV}" = {{ path = true; }}; }}
builtins.getContext (builtins.concatStringsSep "" [ {CONSTANT} ]) => {{ "{DRV}" = {{ path = true; }}; }}
builtins.getContext (builtins.replaceStrings [ "z" ] [ {DEEP} ] "s") => {{ }}
builtins.getContext (builtins.replaceStrings [ "s" ] [ {CONSTANT} ] "s") => {{ "{DRV}" = {{ path = true; }}; }}
builtins.getContext (builtins.toJSON [ {CONSTANT} ]) => {{ "{DRV}" = {{ path = true; }}; }}
builtins.getContext (builtins.head (builtins.split "q" {CONSTANT})) => {{ "{DRV}" = {{ path = true; }}; }}
builtins.getContext (builtins.hashString "md5" {CONSTANT}) => {{ }}
builtins.appendContext "s" {{ "/x".path = true; }} => !! context key '"/x"' is not a store path
builtins.appendContext "s" {{ "{FILE}".allOutputs = true; }} => !! tried to add all-outputs context of "{FILE}", which is not a derivation, to a string
builtins.appendContext "s" {{ "{FILE}".outputs = [ "out" ]; }} => !! tried to add derivation output context of "{FILE}", which is not a derivation, to a string
builtins.placeholder "out" => "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"
"""


@pytest.mark.parametrize(("expression", "value"), cases(TABLE))
def test_golden(expression: str, value: str) -> None:
    assert evaluate(expression) == value


def test_a_wrong_flag_says_where_it_is_written() -> None:
    evaluator = Evaluator(FileSystemEffects())
    text = f'builtins.appendContext "s" {{ "{FILE}" = {{ path = 1; }}; }}'
    with pytest.raises(TypeMismatch) as caught:
        evaluator.eval_string(text, "/")
    assert caught.value.position is not None
    assert caught.value.position.column == text.index("path = 1") + 1
