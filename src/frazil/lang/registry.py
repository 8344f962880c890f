"""How builtins are declared.

Each file `lang/builtins_TOPIC.py` ends in a table `BUILTINS: list[BuiltinSpec]`; `lang/builtins.py` assembles them,
and other rooms pass theirs to `Evaluator(extra_builtins=…)`.

A builtin is `def name(evaluator, arguments): …` with `arity` values or thunks in `arguments` (a list it must not
keep or change). `name` in the spec has no leading underscores; builtins with a global name (`map`, `toString`,
`throw`, …)
are listed in `evaluator.GLOBAL_NAMES`, all others are reachable as `builtins.NAME` and globally as `__NAME`.
A spec of arity 0 is a constant: `function(evaluator, [])` is called at most once, lazily.

Inside:
- `force(value)` gives the value of anything; `force_int(value, "while evaluating the first argument passed to
  builtins.add")` and its siblings in `runtime` check the type and raise Nix's error with that trace line;
- iterate a set: `for name, value in attrs.items()` (sorted; value may be a thunk); `attrs.lookup(name)` is MISSING
  where absent (None is null); build a set: `attrs_from_dict({name: value_or_thunk}, positions)`;
- a delayed call: `delayed_call(function, argument)`, `delayed_call2(function, a, b)`;
- contexts: `force_string(value, context, trace)` returns the text and adds the elements to the set `context`;
  give back `make_string(text, context)`; `force_string_no_context` refuses contexts;
- errors: `raise EvalError("…", pos=CALL_SITE)` puts the position of the call of the builtin (messages are byte
  strings); `trace_lines` are added by the helpers.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    class BuiltinSpec:
        """One builtin. `experimental`: the feature that must be on; `internal`: not an attribute of `builtins`.

        `add_trace`: whether errors say "while calling the 'NAME' builtin". `impure`: absent from pure evaluation.
        Nothing of it changes.
        """

        name: str
        arity: int
        function: Callable[[Any, list[Any]], Any]
        experimental: str | None
        internal: bool
        add_trace: bool
        documentation: str
        argument_names: tuple[str, ...]
        impure: bool

        def __init__(
            self,
            name: str,
            arity: int,
            function: Callable[[Any, list[Any]], Any],
            experimental: str | None = None,
            internal: bool = False,
            add_trace: bool = True,
            documentation: str = "",
            argument_names: tuple[str, ...] = (),
            impure: bool = False,
        ) -> None: ...

else:
    # There are more than a hundred, made at each start: compiled, they take a tenth of the time.
    from frazil.lang.functions import BuiltinSpec

__all__ = ["BuiltinSpec"]
