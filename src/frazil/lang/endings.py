"""Where expressions are in memory, and their end: a tree of any depth is freed without deep recursion.

In: classes of nodes. What would nest too far waits in a list until the outermost node is done: the thread that lets go
of the last reference need not be evaluation's, and others have no stack for a million nodes.
"""

import cython
from cython.cimports.frazil.lang.runtime import CallExpr
from cython.cimports.frazil.lang.selection import Select

if not cython.compiled:

    def nest_no_deeper(kind):
        """Python's own objects end without deep recursion as they are."""

    def keep_in_pool(kind):
        """They are where Python has them."""

    def another(like):
        """A node of the same class. What its fields are at first is said for the class."""
        return type(like).__new__(type(like))


def end_without_recursion(kind):
    """For a class of nodes and those made from it, without such as are only a base of others: what Cython makes for a
    class calls what its base has. `Select` is both; those made from it add nothing to it. `CallExpr` holds no nodes."""
    made_from_it = kind.__subclasses__()
    if (not made_from_it or kind is Select) and kind is not CallExpr:
        nest_no_deeper(kind)
    if kind is not CallExpr:
        keep_in_pool(kind)
    for other in made_from_it:
        end_without_recursion(other)


def use_pool_for(kinds):
    """For classes whose objects the parser makes in numbers without their being nodes."""
    for kind in kinds:
        keep_in_pool(kind)
