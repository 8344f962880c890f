"""A scratch store, what is put into it, and what must hold of it whatever happens.

`Ground.problems` opens the store anew, as the next command after an accident would, and says in words what is wrong:
a damaged database, a valid path that is not there or not what it was, a reference to nothing, a kept path that is lost.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from random import Random

from frazil.activity import SilentReporter, Verbosity
from frazil.build.directories import remove_stale
from frazil.build.settings import BuildSettings, current_system
from frazil.digest import Hash
from frazil.store.config import LookupSettings, StoreConfig, StoreSettings, TransferSettings
from frazil.store.derivation import Deferred, Derivation, fill_in_output_paths
from frazil.store.garbage import Options
from frazil.store.local import LocalStore
from frazil.store.path import StorePath

FILES = 14
BUFFER = 96 << 10
"""Trees above this size go the way of large ones, which are copied first and hashed then."""


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.errors: list[str] = []

    def log(self, level: Verbosity, text: str) -> None:
        if level <= Verbosity.ERROR:
            self.errors.append(text)


class Ground:
    """`keys`: whose signatures the store trusts; without any it takes everything."""

    def __init__(self, folder: Path, keys: tuple[str, ...] = ()) -> None:
        self.folder = folder
        self.keys = keys
        self.kept: dict[StorePath, Hash] = {}
        """Paths with a root, which no accident may take away."""
        self.target = ""
        """What jobs fetch, with all that it needs."""
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def config(self) -> StoreConfig:
        return StoreConfig.from_uri(f"local?root={self.folder}/root", {})

    def open(self, **changes: object) -> LocalStore:
        settings = StoreSettings(
            reserved_space=4096,
            nar_buffer_size=BUFFER,
            require_signatures=bool(self.keys),
            trusted_public_keys=self.keys,
            transfer=TransferSettings(retry_delay=1, retry_delay_rate_limited=1, attempts=2, stalled_timeout=1),
            lookup=LookupSettings(directory=f"{self.folder}/lookups"),
            **changes,  # type: ignore[arg-type]
        )
        return LocalStore(self.config, settings, Listener())

    def build_settings(self, *substituters: str) -> BuildSettings:
        return BuildSettings(max_jobs=3, substituters=substituters)

    def tree(self, name: str, seed: object, *, large: bool = False) -> str:
        """A folder to add: files, some equal to others of the same name, links, a program, a folder in a folder."""
        chance = Random(f"{name} {seed}")
        top = self.folder / "sources" / str(seed) / name
        if top.exists():
            return str(top)
        work = top.with_name(f"{name}-{os.getpid()}")
        (work / "deep/deeper").mkdir(parents=True)
        (work / "link").symlink_to("deep")
        for number in range(FILES):
            place = work / ("deep/deeper" if number % 3 else ".") / f"file-{number}"
            shared = number < FILES // 2
            source = Random(number if shared else f"{seed} {number}")
            place.write_bytes(source.randbytes(1500 if shared else chance.randrange(200, 4000)))
        (work / "program").write_bytes(b"#!/bin/sh\n")
        (work / "program").chmod(0o755)
        (work / "large").write_bytes(chance.randbytes(3 * BUFFER) if large else b"")
        work.rename(top)
        return str(top)

    def forget_sources(self) -> None:
        shutil.rmtree(self.folder / "sources", ignore_errors=True)

    def derivations(self, store: LocalStore, seed: object, mark: str) -> list[StorePath]:
        """Three in a chain and two beside it; the first two builders carry `mark` on their command line."""
        paths: list[StorePath] = []
        for number in range(5):
            needs = paths[number - 1 : number] if 0 < number < 3 else []
            outputs = [store.read_derivation(need).output_paths(store.directory)["out"] for need in needs]
            words = " ".join(store.show(path) for path in outputs if path is not None)
            script = (
                f": {mark}; mkdir $out; for i in 1 2 3 4; do echo {seed} $i {words} > $out/f$i; done; echo {number}"
            )
            drv = Derivation(
                name=f"built-{number}",
                outputs={"out": Deferred()},
                input_derivations={need: frozenset(["out"]) for need in needs},
                input_sources=frozenset(),
                platform=current_system(),
                builder="/bin/sh",
                arguments=("-c", script),
                environment={"name": f"built-{number}", "out": ""},
            )
            drv = fill_in_output_paths(drv, store.directory, store.modulo)
            paths.append(store.write_derivation(drv, check=False))
        return paths

    def keep(self, store: LocalStore, path: StorePath) -> None:
        """Gives it a root, and expects it for ever."""
        store.add_permanent_root(path, f"{self.folder}/roots/{path.base}")
        self.kept[path] = store.query_info(path).nar_hash

    # ------------------------------------------------------------------------------------------------------ judgement

    def problems(self, *, clean: bool = False) -> list[str]:
        """What is wrong. `clean`: nobody works on the store now, and what was cut off has been done again."""
        found = self._database_problems()
        if found:
            return found
        with self.open() as store:
            found += self._missing(store)
            listener = store.reporter
            assert isinstance(listener, Listener)
            if not store.verify(check_contents=True):
                found.append("does not verify")
            found += [f"verify says: {text}" for text in listener.errors]
            valid = store.query_all_valid()
            for info in store.query_infos(sorted(valid)):
                found += [f"{info.path.base} refers to {o.base}, not valid" for o in info.references - valid]
                if clean and (text := _not_canonical(store.real_path(info.path))):
                    found.append(text)
            for path, nar_hash in self.kept.items():
                if path not in valid:
                    found.append(f"{path.base} was kept and is gone")
                elif store.query_info(path).nar_hash != nar_hash:
                    found.append(f"{path.base} was kept and is another")
        return found

    def _database_problems(self) -> list[str]:
        file = f"{self.config.state_dir}/db/db.sqlite"
        if not os.path.exists(file):
            return []
        connection = sqlite3.connect(file)
        try:
            answers = [row[0] for row in connection.execute("pragma integrity_check")]
            strays = list(connection.execute("pragma foreign_key_check"))
        finally:
            connection.close()
        found = [] if answers == ["ok"] else [f"database: {text}" for text in answers]
        return found + [f"database: a row without what it belongs to: {row}" for row in strays]

    def _missing(self, store: LocalStore) -> list[str]:
        """Before `verify`, which takes vanished paths from the database."""
        valid = store.query_all_valid()
        return [f"{path.base} is valid and not there" for path in valid if not os.path.lexists(store.real_path(path))]

    def collect(self) -> list[str]:
        """Deletes what has no root; what is wrong afterwards."""
        with self.open() as store:
            store.collect_garbage(Options())
            closure = store.closure(self.kept)
            expected = {path.base for path in closure} | {".links"}
            left = set(os.listdir(store.config.real_store_dir)) - expected
            extra = {path.base for path in store.query_all_valid()} - expected
            working = {name for name in left if name.startswith("tmp-")}
        found = [f"{name} outlived a collection" for name in sorted(left - working)]
        found += [f"{name} is valid after a collection" for name in sorted(extra)]
        builds = f"{self.config.state_dir}/builds"
        remove_stale(builds, lambda text: None)
        if os.path.isdir(builds):
            found += [f"the build directory {name} is left" for name in os.listdir(builds)]
        return found


def _not_canonical(top: str) -> str | None:
    """Why a tree is not as it was registered: writable, or of another time than all store objects are."""
    pending = [top]
    while pending:
        path = pending.pop()
        status = os.lstat(path)
        if os.path.islink(path):
            continue
        if status.st_mode & 0o222:
            return f"{path} is writable"
        if int(status.st_mtime) != 1:
            return f"{path} is of the time {status.st_mtime}"
        if os.path.isdir(path):
            pending += [entry.path for entry in os.scandir(path)]
    return None
