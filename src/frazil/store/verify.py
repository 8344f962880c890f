"""Checking a store: does everything the database says is there exist, and is it what it was.

Source of truth: the manual's `nix-store --verify`, `nix store verify`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from frazil.activity import Verbosity
from frazil.errors import FrazilError
from frazil.store import locks, nar
from frazil.store.errors import BadStorePath, StoreError
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from frazil.store.local import LocalStore

_UNKNOWN = bytes(32)


def verify_store(
    store: LocalStore,
    *,
    check_contents: bool,
    repair: bool,
    repair_path: Callable[[StorePath], None] | None = None,
) -> bool:
    """True where all is well. Vanished paths that nothing refers to are dropped from the database, which is no error.

    `repair`: removes damaged links, and has damaged paths made anew by `repair_path`, which raises where it cannot.
    Those are repaired after the collector's lock is given back: building needs it.
    """
    store.flush()
    store.inform("reading the Nix store...")
    _ = store.database

    def waiting() -> None:
        store.inform("waiting for the big garbage collector lock...")

    check = _Check(store, repair)
    if store.config.read_only:  # nothing changes it, so no lock is needed
        check.run(check_contents)
    else:
        with locks.FileLock(store.config.state_dir + "/gc.lock", exclusive=False, on_wait=waiting):
            check.run(check_contents)
    for path in check.damaged:
        if repair and repair_path is not None:
            try:
                repair_path(path)
                continue
            except FrazilError as error:
                store.warn(error.message)
        check.errors = True
    return not check.errors


class _Check:
    def __init__(self, store: LocalStore, repair: bool) -> None:
        self.store = store
        self.repair = repair
        self.errors = False
        self.valid: set[StorePath] = set()
        self.damaged: list[StorePath] = []

    def _error(self, text: str, damaged: StorePath | None = None) -> None:
        self.store.inform(text, Verbosity.ERROR)
        if damaged is None:
            self.errors = True
        else:
            self.damaged.append(damaged)

    def run(self, check_contents: bool) -> None:
        self.existence()
        if check_contents:
            self.links()
            self.contents()

    def existence(self) -> None:
        present = set()
        for name in os.listdir(self.store.config.real_store_dir):
            try:
                present.add(StorePath.from_base(name))
            except BadStorePath:
                continue
        self.store.inform("checking path existence...")
        registered = self.store.query_all_valid()
        self.valid = registered & present
        missing = registered - present
        if self.store.config.read_only:
            for path in sorted(missing):
                self._error(f"path '{self.store.show(path)}' disappeared", path)
            return
        for path in sorted(missing - self._drop(missing)):
            self._error(f"path '{self.store.show(path)}' disappeared, but it still has valid referrers!", path)

    def _drop(self, missing: set[StorePath]) -> set[StorePath]:
        """Takes vanished paths from the database that nothing present refers to; referrers go first."""
        left = {path: self.store.query_referrers(path) - {path} for path in missing}
        references: dict[StorePath, list[StorePath]] = {}
        for path, referrers in left.items():
            for referrer in referrers:
                references.setdefault(referrer, []).append(path)
        ready = sorted([path for path in missing if not left[path]], reverse=True)
        dropped = set()
        while ready:
            path = ready.pop()
            self.store.inform(f"path '{self.store.show(path)}' disappeared, removing from database...")
            self.store.invalidate(path)
            dropped.add(path)
            for reference in references.get(path, ()):
                left[reference].discard(path)
                if not left[reference]:
                    ready.append(reference)
        return dropped

    def links(self) -> None:
        self.store.inform("checking link hashes...")
        folder = self.store.config.real_store_dir + "/.links"
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            link = f"{folder}/{name}"
            try:
                digest = nar.hash_path(link)[0].base32
            except StoreError as error:
                if os.path.lexists(link):
                    self._error(error.message)
                continue
            if digest == name:
                continue
            self.store.inform(f"link '{link}' was modified! expected hash {name}, got '{digest}'", Verbosity.ERROR)
            if self.repair and not self.store.config.read_only:
                os.unlink(link)
                self.store.inform(f"removed link '{link}'")
            else:
                self.errors = True

    def contents(self) -> None:
        self.store.inform("checking store hashes...")
        for path in sorted(self.valid):
            try:
                self._content(path)
            except StoreError as error:
                level = Verbosity.ERROR if self.store.is_registered(path) else Verbosity.WARN
                self.store.inform(error.message, level)
                self.errors = True

    def _content(self, path: StorePath) -> None:

        info = self.store.query_info(path)
        shown = self.store.show(path)
        self.store.inform(f"checking contents of '{shown}'", Verbosity.TALKATIVE)
        digest, size = nar.hash_path(f"{self.store.config.real_store_dir}/{path.base}")
        known = info.nar_hash.digest != _UNKNOWN
        if known and digest != info.nar_hash:
            self._error(f"path '{shown}' was modified! expected hash '{info.nar_hash}', got '{digest}'", path)
        elif (not known or info.nar_size == 0) and not self.store.config.read_only:
            what = f"updating size field on '{shown}' to {size}" if known else f"fixing missing hash on '{shown}'"
            self.store.inform(what)
            self.store.database.update(info.with_(nar_hash=digest, nar_size=info.nar_size or size))
