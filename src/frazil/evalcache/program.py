"""Which program computed an answer: another version, or another text of this one, may answer otherwise.

Out: a digest over the sources of everything that decides results. They are read once; afterwards their stamps say
that they are the same, so that a checkout under development never serves what an older text of it computed.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = 1
"""Of facts and answers."""
ROOMS = ("evalcache", "fetch", "flake", "instantiate", "instantiate/internal", "instantiate/nix", "lang", "store")
_SUFFIXES = (".py", ".pyx", ".pxd", ".so", ".nix")


def _package() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def code_stamp() -> str:
    """Changes with every file of the program that matters, compiled ones included; says nothing elsewhere."""
    from frazil.evalcache.hashing import sha256

    package = _package()
    rows = []
    for room in ("", *ROOMS):
        with os.scandir(os.path.join(package, room)) as entries:
            for entry in entries:
                if entry.name.endswith(_SUFFIXES):
                    status = entry.stat()
                    rows.append(f"{room}/{entry.name} {status.st_size} {status.st_mtime_ns} {status.st_ino}")
    rows.sort()
    return sha256("\n".join([package, *rows]).encode("utf-8", "surrogateescape")).hexdigest()


def code_digest() -> str:
    """The same for the same sources on every machine."""
    import hashlib

    import frazil

    package = _package()
    state = hashlib.sha256(f"{FORMAT} {frazil.__version__}".encode())
    for room in ROOMS:
        for name in sorted(os.listdir(os.path.join(package, room))):
            if name.endswith(_SUFFIXES) and not name.endswith(".so"):
                with open(os.path.join(package, room, name), "rb") as file:
                    state.update(f"\0{room}/{name}\0".encode() + file.read())
    return state.hexdigest()


def is_stale() -> bool:
    """Whether a compiled module is older than its source: then the sources do not say what runs."""
    try:
        from frazil import _compiled
    except ModuleNotFoundError:
        return False
    made = os.stat(_compiled.__file__).st_mtime_ns
    try:
        names = [name for name in _compiled.MODULES if "._" not in name]  # those are C, and decide no value
        return any(os.stat(_source(name)).st_mtime_ns > made for name in names)
    except FileNotFoundError:
        return True


def _source(module: str) -> str:
    return os.path.join(_package(), *module.split(".")[1:]) + ".py"


def identity(remembered: Callable[[str], str | None], remember: Callable[[str, str], None]) -> str:
    """`code_digest`, where the stamp is known without reading the sources."""
    key = code_stamp()
    known = remembered(key)
    if known is None:
        known = f"{code_digest()} {key}" if is_stale() else code_digest()
        remember(key, known)
    return known
