"""How long builds took, for telling how long the next ones may: by name without version, in the user's cache.

In: what was built, and for how many seconds. Out: what to expect. Best effort: what cannot be read is not known, what
cannot be written is lost.
"""

from __future__ import annotations

import fcntl
import os
import re

FILE = "build-times"
WORTH_NOTING = 1.0
"""Seconds: what is quicker is not noted."""
_MOST_NAMES = 4000
_MOST_BYTES = 1 << 20
_VERSION = re.compile(r"-(?=[^A-Za-z])")


def name_of(derivation: str) -> str:
    """`hello-2.12.1.drv` or `hello-2.12.1` → `hello`."""
    return _VERSION.split(derivation.removesuffix(".drv"), maxsplit=1)[0]


def _read(path: str) -> dict[str, float]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read(_MOST_BYTES)
    except OSError:
        return {}
    found = {}
    for line in text.splitlines():
        seconds, _, name = line.partition(" ")
        try:
            value = float(seconds)
        except ValueError:
            continue
        if name and 0 < value < 1e8:
            found[name] = value
    return found


class BuildTimes:
    """`folder`: the cache; None: nothing is known or kept."""

    def __init__(self, folder: str | None) -> None:
        self.folder = folder
        self._known: dict[str, float] | None = None
        self._new: dict[str, float] = {}

    @property
    def known(self) -> dict[str, float]:
        if self._known is None:
            self._known = _read(f"{self.folder}/{FILE}") if self.folder is not None else {}
        return self._known

    def expected(self, derivation: str) -> float | None:
        return self.known.get(name_of(derivation))

    def usual(self) -> float:
        """Of what was never built before: as long as others, in the middle."""
        times = sorted(self.known.values())
        return times[len(times) // 2] if times else WORTH_NOTING

    def note(self, derivation: str, seconds: float) -> None:
        if self.folder is not None and (seconds >= WORTH_NOTING or name_of(derivation) in self.known):
            self._new[name_of(derivation)] = max(seconds, 0.01)

    def save(self) -> None:
        """Later builds count as much as all before them."""
        if not self._new or self.folder is None:
            return
        from frazil.cache_folder import make_optional_folder

        path = f"{self.folder}/{FILE}"
        try:
            make_optional_folder(self.folder)
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._merge(path)
            finally:
                os.close(lock)
        except OSError:
            return
        self._new = {}

    def _merge(self, path: str) -> None:
        merged = _read(path)
        for name, seconds in self._new.items():
            before = merged.pop(name, None)  # the newest come last, and stay longest
            merged[name] = seconds if before is None else (before + seconds) / 2
        kept = list(merged.items())[-_MOST_NAMES:]
        temporary = f"{path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            file.writelines(f"{seconds:.2f} {name}\n" for name, seconds in kept)
        os.replace(temporary, path)
