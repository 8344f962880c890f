"""frazil: flakes from a development shell to production machines, without root, daemon or installed Nix.

For Python programs:

    import frazil

    frazil.evaluate("map (x: x * 2) [ 1 2 3 ]")          # a list, evaluated as it is looked at
    frazil.evaluate("f 20 + 1", scope={"f": lambda x: 2 * x})
    frazil.get_flake(".").packages["x86_64-linux"].default.build()

These use one session for the whole process; `frazil.Session` makes others, with settings of their own. Everything is
imported when it is first used.
"""

from __future__ import annotations

__version__ = "0.1.0"

import marshal
import posix
import sys

# `importlib.machinery` has these, too, and takes longer.
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, ExtensionFileLoader, PathFinder, SourceFileLoader
from os import environ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.api.default import close, evaluate, evaluate_file, get_flake, realise, to_nix
    from frazil.api.session import Session
    from frazil.api.values import AttrSet, Derivation, Function, List, Output, String
    from frazil.build.errors import BuildFailed
    from frazil.errors import FrazilError
    from frazil.lang.errors import EvalError, MissingAttribute, ParseError, ThrownError, UndefinedVariable

__all__ = [
    "AttrSet",
    "BuildFailed",
    "Derivation",
    "EvalError",
    "FrazilError",
    "Function",
    "List",
    "MissingAttribute",
    "Output",
    "ParseError",
    "Session",
    "String",
    "ThrownError",
    "UndefinedVariable",
    "close",
    "evaluate",
    "evaluate_file",
    "get_flake",
    "realise",
    "to_nix",
]

_PLACES = {
    **dict.fromkeys(("close", "evaluate", "evaluate_file", "get_flake", "realise", "to_nix"), "api.default"),
    **dict.fromkeys(("AttrSet", "Derivation", "Function", "List", "Output", "String"), "api.values"),
    **dict.fromkeys(("EvalError", "MissingAttribute", "ParseError", "ThrownError", "UndefinedVariable"), "lang.errors"),
    "Session": "api.session",
    "BuildFailed": "build.errors",
    "FrazilError": "errors",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'frazil' has no attribute '{name}'")
    from importlib import import_module

    found = globals()[name] = getattr(import_module(f"frazil.{place}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _OwnModules:
    """Finds this package's modules without searching: compiled ones are in one shared object, `frazil._compiled`, and
    others where their names say. Packages, and what is not where it should be, are left to Python's own search."""

    rooms = ("frazil.lang", "frazil.instantiate", "frazil.store")
    compiled: frozenset[str] | None = None
    object = ""

    @classmethod
    def compiled_modules(cls) -> frozenset[str]:
        """Nothing where there is no compiler, or where the sources are asked for."""
        if cls.compiled is None:
            cls.compiled = frozenset()
            if environ.get("FRAZIL_PURE") != "1":
                try:
                    from frazil import _compiled
                except ModuleNotFoundError:
                    return cls.compiled
                cls.compiled, cls.object = _compiled.MODULES, _compiled.__file__
        return cls.compiled

    @classmethod
    def find_spec(cls, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if not name.startswith("frazil.") or not path:
            return None
        room, _, stem = name.rpartition(".")
        if room in cls.rooms and name in cls.compiled_modules():
            spec = ModuleSpec(name, ExtensionFileLoader(name, cls.object), origin=cls.object)
        elif (loader := _source(name, f"{path[0]}/{stem}.py", f"{path[0]}/__pycache__/{stem}{_TAG}")) is not None:
            spec = ModuleSpec(name, loader, origin=loader.path)
            spec.cached = loader.cached
        else:
            return None
        spec.has_location = True
        return spec


class _Source(SourceFileLoader):
    """Reads a module's byte code with four system calls instead of a dozen; all else is as usual."""

    cached: str
    header: bytes

    def get_code(self, fullname):  # type: ignore[no-untyped-def]
        try:
            descriptor = posix.open(self.cached, posix.O_RDONLY | posix.O_CLOEXEC)
            try:
                data = posix.read(descriptor, _LARGEST)
            finally:
                posix.close(descriptor)
        except OSError:
            return super().get_code(fullname)
        if len(data) == _LARGEST or not data.startswith(self.header):
            return super().get_code(fullname)
        return marshal.loads(memoryview(data)[16:])


_TAG = f".{sys.implementation.cache_tag}.pyc"
_LARGEST = 1 << 20


def _source(name: str, file: str, cached: str) -> _Source | None:
    if sys.pycache_prefix is not None or sys.flags.optimize:
        return None
    try:
        status = posix.stat(file)
    except (OSError, ValueError):
        return None
    loader = _Source(name, file)
    loader.cached = cached
    # Of byte code that is checked by its source's time and size (PEP 552).
    stamps = (int(status.st_mtime), status.st_size)
    loader.header = MAGIC_NUMBER + bytes(4) + b"".join((stamp & 0xFFFFFFFF).to_bytes(4, "little") for stamp in stamps)
    return loader


# Ahead of the search for files only: tools that change what is imported come first.
sys.meta_path.insert(sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0, _OwnModules)
