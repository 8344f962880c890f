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
from _frozen_importlib import BuiltinImporter, FrozenImporter, ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, ExtensionFileLoader, PathFinder, SourceFileLoader
from _imp import create_dynamic, exec_dynamic, extension_suffixes
from os import environ, fsencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from frazil.api.default import close, evaluate, evaluate_file, get_flake, realise, to_nix
    from frazil.api.session import Session
    from frazil.api.values import AttrSet, Derivation, Function, List, Output, String
    from frazil.build.errors import BuildFailed
    from frazil.errors import FrazilError
    from frazil.lang.errors import EvalError, MissingAttribute, ParseError, ThrownError, UndefinedVariable

else:
    ModuleType = type(sys)  # as in `types`

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
    others where their names say. What is not where it should be is left to Python's own search."""

    rooms = ("frazil.lang", "frazil.instantiate", "frazil.store", "frazil.evalcache")
    compiled: frozenset[str] | None = None
    object = ""
    create: Callable[[ModuleSpec], ModuleType]

    @classmethod
    def compiled_modules(cls) -> frozenset[str]:
        """Nothing where there is no compiler, or where the sources are asked for."""
        if cls.compiled is None:
            cls.compiled = frozenset()
            if environ.get("FRAZIL_PURE") != "1":
                module = sys.modules.get("frazil._compiled")  # another one, where it is trained
                if module is None:
                    spec = _extension("frazil._compiled", __path__[0])
                    if spec is None:
                        return cls.compiled
                    module = create_dynamic(spec)
                cls.compiled, cls.object, cls.create = module.MODULES, str(module.__file__), module.create
        return cls.compiled

    @classmethod
    def find_spec(cls, name, path=None, target=None):  # type: ignore[no-untyped-def]
        if not name.startswith("frazil.") or not path:
            if path is None and _site_is_due and name not in sys.stdlib_module_names:
                complete_site()
            return None
        room, _, stem = name.rpartition(".")
        if room in cls.rooms and name in cls.compiled_modules():
            spec = ModuleSpec(name, ExtensionFileLoader(name, cls.object), origin=cls.object)
        elif stem.startswith("_") and (extension := _extension(name, path[0])) is not None:
            return extension
        elif name in _PACKAGES and (loader := _source(name, f"{path[0]}/{stem}", "__init__")) is not None:
            spec = ModuleSpec(name, loader, origin=loader.path, is_package=True)
            spec.submodule_search_locations = [f"{path[0]}/{stem}"]
            spec.cached = loader.cached
        elif (loader := _source(name, path[0], stem)) is not None:
            spec = ModuleSpec(name, loader, origin=loader.path)
            spec.cached = loader.cached
        else:
            return None
        spec.has_location = True
        return spec


def _extension(name: str, folder: str) -> ModuleSpec | None:
    """A shared object of ours; None where there is none of that name."""
    file = f"{folder}/{name.rpartition('.')[2]}{_SUFFIX}"
    try:
        posix.stat(file)
    except (OSError, ValueError):
        return None
    spec = ModuleSpec(name, ExtensionFileLoader(name, file), origin=file)
    spec.has_location = True
    return spec


class _Source(SourceFileLoader):
    """Reads a module's byte code with four system calls instead of a dozen; all else is as usual."""

    cached: str
    header: bytes

    def get_code(self, fullname):  # type: ignore[no-untyped-def]
        buffer = _buffers.pop() if _buffers else bytearray(_LARGEST)
        try:
            descriptor = posix.open(self.cached, posix.O_RDONLY | posix.O_CLOEXEC)
            try:
                size = posix.readv(descriptor, [buffer])
            finally:
                posix.close(descriptor)
        except OSError:
            return super().get_code(fullname)
        if size == _LARGEST or not buffer.startswith(self.header):
            return super().get_code(fullname)
        code = marshal.loads(memoryview(buffer)[16:size])
        _buffers.append(buffer)
        return code


_site_is_due = False


def was_launched(name: str, without_site: bool) -> None:
    """The installed program's first words. `without_site`: that is how this package was found.

    What `site` does (other packages' folders, `.pth` files, `sitecustomize`, `sys.prefix` of a virtual environment)
    is a seventh of the start, and little of frazil needs it: it is done when a module is first asked for that is
    neither Python's nor ours.
    """
    global _site_is_due

    _site_is_due = without_site
    try:
        # What the system calls the process: the script's name, as if that had been started.
        descriptor = posix.open("/proc/self/comm", posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(descriptor, fsencode(name).rpartition(b"/")[2][:15])
        finally:
            posix.close(descriptor)
    except OSError:
        pass


def complete_site() -> None:
    """What was left out at the start. Call it before `sys.path` or `sys.prefix` is looked at."""
    global _site_is_due

    if _site_is_due:
        _site_is_due = False
        import site

        site.main()


_MAGIC = MAGIC_NUMBER + bytes(4)
_SIZES = 0xFFFFFFFF << 32
_TAG = f".{sys.implementation.cache_tag}.pyc"
_SUFFIX = extension_suffixes()[0]
_LARGEST = 1 << 16
"""Beyond 128 KiB memory comes from the system, page by page."""
_buffers: list[bytearray] = []
"""One, except while threads import."""
_PACKAGES = frozenset(
    [f"frazil.{room}" for room in ("build", "cli", "evalcache", "fetch", "flake", "instantiate", "lang", "store")]
)


def _source(name: str, folder: str, stem: str) -> _Source | None:
    file, cached = f"{folder}/{stem}.py", f"{folder}/__pycache__/{stem}{_TAG}"
    if sys.pycache_prefix is not None or sys.flags.optimize:
        return None
    try:
        status = posix.stat(file)
    except (OSError, ValueError):
        return None
    loader = _Source(name, file)
    loader.cached = cached
    # Of byte code that is checked by its source's time and size (PEP 552).
    stamps = (status.st_size << 32 & _SIZES) | (int(status.st_mtime) & 0xFFFFFFFF)
    loader.header = _MAGIC + stamps.to_bytes(8, "little")
    return loader


# Ahead of the search for files only: tools that change what is imported come first.
sys.meta_path.insert(sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0, _OwnModules)


def load_ahead(names: Iterable[str]) -> None:
    """Imports modules of ours, each after those that it imports, without the ceremony of `importlib`, which is half of
    what importing a small module costs. Where anything is unusual nothing is done: they are imported when needed."""
    for finder in sys.meta_path:
        if finder is _OwnModules:
            break
        if finder is not BuiltinImporter and finder is not FrozenImporter and _name(finder) != "DistutilsMetaFinder":
            return  # it wants to know of every import
    if "importtime" in sys._xoptions:
        return
    modules = sys.modules
    for name in names:
        if name not in modules:
            parent = modules.get(name.rpartition(".")[0])
            spec = None if parent is None else _OwnModules.find_spec(name, parent.__path__)  # type: ignore[no-untyped-call]
            if spec is None:
                return
            _load(spec, parent)  # type: ignore[no-untyped-call]


def _load(spec, parent):  # type: ignore[no-untyped-def]
    """As importlib's function of that name. No locks: only one thread runs when a program starts."""
    name, loader, modules = spec.name, spec.loader, sys.modules
    spec._initializing = False  # every import of it looks; where this is missing, an error is made, and dropped
    if type(loader) is not ExtensionFileLoader:
        module = ModuleType(name)
    elif spec.origin == _OwnModules.object:
        module = _OwnModules.create(spec)
    else:
        module = create_dynamic(spec)
    fields = module.__dict__
    fields.update(__spec__=spec, __loader__=loader, __file__=spec.origin, __package__=parent.__name__)
    if spec.submodule_search_locations is not None:
        fields["__package__"] = name
        fields["__path__"] = spec.submodule_search_locations
    modules[name] = module
    try:
        if type(loader) is ExtensionFileLoader:
            exec_dynamic(module)
        else:
            fields["__cached__"] = spec.cached
            exec(loader.get_code(name), fields)
    except BaseException:
        del modules[name]
        raise
    setattr(parent, name.rpartition(".")[2], modules[name])


def _name(finder: object) -> str:
    return type(finder).__name__
