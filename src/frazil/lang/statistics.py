"""What NIX_SHOW_STATS prints of an evaluation.

In: an `Observer` that counted. Out: a set for JSON, with the names that Nix uses. Calls, selections, environments and
the thunks of arguments are counted; sizes are those of frazil's own objects, and values are the objects of the
language's types that are still alive: nothing is counted while they are made. Source of truth: `printStatistics` in
Nix's `eval.cc`; the manual's `env-common.md`.
"""

from __future__ import annotations

import os
import resource
import sys
from typing import Any

from frazil.lang.errors import display
from frazil.lang.values import Attrs, Env, Thunk


def statistics(observer: Any) -> dict[str, Any]:
    evaluator = observer.evaluator
    usage = resource.getrusage(resource.RUSAGE_SELF)
    sizes = {"Env": Env.__basicsize__, "Value": Thunk.__basicsize__, "Bindings": Attrs.__basicsize__, "Attr": 8}
    blocks = sys.getallocatedblocks()
    symbols = evaluator.symbols
    found: dict[str, Any] = {
        "cpuTime": usage.ru_utime,
        "time": {"cpu": usage.ru_utime, "gc": 0.0, "gcFraction": 0.0},
        "envs": {
            "number": observer.environments,
            "elements": observer.environment_slots,
            "bytes": observer.environments * sizes["Env"] + 8 * observer.environment_slots,
        },
        "nrExprs": observer.expressions,
        "list": {"elements": observer.list_elements, "bytes": 8 * observer.list_elements, "concats": observer.concats},
        "values": {"number": blocks, "bytes": blocks * sizes["Value"]},
        "symbols": {"number": len(symbols), "bytes": sum(len(name) for name in symbols)},
        "sets": {
            "number": observer.sets,
            "bytes": observer.sets * sizes["Bindings"] + 8 * observer.set_elements,
            "elements": observer.set_elements,
        },
        "sizes": sizes,
        "nrOpUpdates": observer.updates,
        "nrOpUpdateValuesCopied": observer.updated_values,
        "nrThunks": observer.thunks,
        "nrAvoided": observer.avoided,
        "nrLookups": observer.lookups,
        "nrPrimOpCalls": sum(observer.primop_calls.values()),
        "nrFunctionCalls": sum(observer.function_calls.values()),
        "gc": {"heapSize": usage.ru_maxrss * 1024, "totalBytes": blocks * sizes["Value"], "cycles": 0},
    }
    if observer.counting_calls:
        found |= calls(observer)
    if os.environ.get("NIX_SHOW_SYMBOLS", "0") != "0":
        found["symbols"] = [display(name) for name in symbols]
    return found


def calls(observer: Any) -> dict[str, Any]:
    """What NIX_COUNT_CALLS adds, the most frequent first."""
    positions = observer.evaluator.positions

    def place(pos: int) -> dict[str, Any]:
        found = positions.file_line_column(pos)
        if found is None:
            return {}
        name, is_path, line, column = found
        return ({"file": display(name)} if is_path else {}) | {"line": line, "column": column}

    functions = sorted(observer.function_calls.items(), key=lambda item: -item[1])
    attributes = sorted(observer.attribute_selections.items(), key=lambda item: -item[1])
    return {
        "primops": dict(sorted(observer.primop_calls.items())),
        "functions": [
            {"name": None if expr.name is None else display(expr.name), **place(expr.pos), "count": count}
            for expr, count in functions
        ],
        "attributes": [{**place(pos), "count": count} for pos, count in attributes],
    }
