"""The language: scanner, parser, evaluator, builtins. Compiled by Cython where that was possible.

With FRAZIL_PURE=1 the Python sources are used even where compiled modules lie beside them.
"""

import os
import sys

from frazil import _OwnModules

_COMPILED = True


class _PureFinder:
    """Finds modules as x.py, never as x.so, and `cython.cimports.frazil.x` as `frazil.x`."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):  # type: ignore[no-untyped-def]
        parent, _, stem = name.rpartition(".")
        if name.startswith("cython.cimports.frazil"):
            from importlib.machinery import ModuleSpec

            return ModuleSpec(name, cls)  # type: ignore[arg-type]
        if parent not in _OwnModules.rooms or stem.startswith("_"):
            return None
        from importlib.util import spec_from_file_location

        file = os.path.join(os.path.dirname(os.path.dirname(__file__)), parent.rpartition(".")[2], stem + ".py")
        return spec_from_file_location(name, file) if os.path.exists(file) else None

    @staticmethod
    def create_module(spec):  # type: ignore[no-untyped-def]
        return None

    @staticmethod
    def exec_module(module):  # type: ignore[no-untyped-def]
        from importlib import import_module

        real = import_module(module.__name__.removeprefix("cython.cimports."))
        module.__path__ = []
        module.__getattr__ = lambda name: getattr(real, name)


def _prepare_pure_mode() -> None:
    from importlib.machinery import ModuleSpec

    import cython  # noqa: F401

    # Cython's stand-in for this package lacks what the import system asks of a parent package.
    cimports = sys.modules["cython.cimports"]
    cimports.__spec__ = ModuleSpec("cython.cimports", None)
    setattr(cimports.__spec__, "_initializing", False)
    sys.meta_path.insert(0, _PureFinder)


if not _OwnModules.compiled_modules():
    import importlib.util  # noqa: F401  # the finder must not be asked for what it imports

    _COMPILED = False
    _prepare_pure_mode()


def is_compiled() -> bool:
    """Whether the evaluator runs as machine code."""
    return _COMPILED
