"""`sqlite3` where starting fast counts.

Without its Python half, which brings `datetime` for types nobody here uses, and without `functools`, which brings
`collections`: importing that takes as long as asking.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
else:

    def _compiled_half():
        """What `sqlite3` itself uses. Of `functools` it wants `lru_cache`, which is C but for its arguments."""
        import _thread
        import sys

        if "functools" in sys.modules or _thread._count():
            import _sqlite3

            return _sqlite3
        from _functools import _lru_cache_wrapper

        stand_in = type(sys)("functools")
        stand_in.lru_cache = lambda size: lambda function: _lru_cache_wrapper(function, size, False, tuple)
        sys.modules["functools"] = stand_in
        try:
            import _sqlite3
        finally:
            del sys.modules["functools"]
        return _sqlite3

    try:
        sqlite3 = _compiled_half()
    except ImportError:
        import sqlite3

__all__ = ["sqlite3"]
