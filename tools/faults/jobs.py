"""What is being done when the accident happens: each job works on a ground, and says what it has finished.

A job is a function of a ground, a seed, and `done`, which it calls with each path that is valid from then on. The same
seed means the same work, so that a job which was cut off can be done again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from frazil.activity import SilentReporter
from frazil.build.scheduler import realise
from frazil.store.copying import copy_closure
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath
from frazil.store.garbage import Options
from frazil.store.nar import CountingHash
from frazil.store.opening import open_store
from frazil.store.optimise import optimise_store
from frazil.store.path import StorePath

from .ground import Ground

Done = Callable[[StorePath], None]


@dataclass(frozen=True)
class Job:
    """`prepare` comes before, undisturbed. `lasting`: whether what it has finished stays valid."""

    name: str
    run: Callable[[Ground, str, Done], None]
    prepare: Callable[[Ground, str], None] = lambda ground, seed: None
    lasting: bool = True


def make_sources(ground: Ground, seed: str) -> None:
    ground.tree("tree", seed)
    ground.tree("large", seed, large=True)


def add(ground: Ground, seed: str, done: Done) -> None:
    tree = ground.tree("tree", seed)
    large = ground.tree("large", seed, large=True)
    with ground.open() as store:
        done(store.add_bytes("file", f"file {seed}".encode()))
        made: list[StorePath] = []
        with store.deferred_registration():
            for number in range(4):
                made.append(store.add_text("text", f"{seed} {number}".encode(), made[-1:]))
        for path in made:
            done(path)
        done(store.add_path("tree", tree))
        done(store.add_path("large", large))
        done(store.add_path("other", tree, algorithm="sha512"))


def build(ground: Ground, seed: str, done: Done) -> None:
    with ground.open() as store:
        wanted = ground.derivations(store, seed, f"builder-of-{seed}")
        targets = [DerivedPath(path, ALL_OUTPUTS) for path in wanted]
        for result in realise(store, targets, ground.build_settings(), SilentReporter()):
            for path in result.outputs.values():
                done(path)


def origin(ground: Ground) -> Ground:
    """Where copies come from: its `cache` is the same as a binary cache."""
    return Ground(ground.folder.parent / "origin")


def fill_origin(ground: Ground, seed: str) -> None:
    """Made once: texts that refer to each other, trees, a large one."""
    from frazil.store.signatures import SecretKey, sign_info

    place = origin(ground)
    if (place.folder / "last").exists():
        ground.target = (place.folder / "last").read_text()
        return
    secret = SecretKey.generate("faults")
    with place.open() as store:
        paths: list[StorePath] = []
        for number in range(24):
            text = f"text {number}\n" + "".join(store.show(path) for path in paths[-2:])
            paths.append(store.add_text(f"text-{number}", text.encode() * 20, paths[-2:]))
        for number in range(6):
            tree = place.tree("tree", number, large=number == 5)
            paths.append(store.add_path(f"tree-{number}", tree, references=paths[-1:]))
        for path in paths:
            info = sign_info(store.query_info(path), store.directory, secret)
            store.add_signatures(path, info.signatures)
        with open_store(f"file://{place.folder}/cache?compression=zstd", store.settings, store.reporter, {}) as cache:
            copy_closure(store, cache, paths, store.reporter, check_signatures=False)
    (place.folder / "key").write_text(str(secret.public))
    (place.folder / "last").write_text(store.show(paths[-1]))
    ground.target = store.show(paths[-1])


def forget(ground: Ground, seed: str) -> None:
    """So that there is something to fetch again."""
    fill_origin(ground, seed)
    ground.keys = ((origin(ground).folder / "key").read_text(),)
    with ground.open() as store:
        store.collect_garbage(Options())


def copy(ground: Ground, seed: str, done: Done) -> None:
    with origin(ground).open() as source, ground.open() as store:
        last = store.parse(ground.target)
        copy_closure(source, store, [last], SilentReporter())
        done(last)


def substitute(ground: Ground, seed: str, done: Done, address: str = "") -> None:
    with ground.open() as store:
        last = store.parse(ground.target)
        address = address or f"file://{origin(ground).folder}/cache"
        realise(store, [DerivedPath(last)], ground.build_settings(address), SilentReporter())
        done(last)


def upload(ground: Ground, seed: str, done: Done) -> None:
    """Into a binary cache, which must have no narinfo without its archive."""
    with origin(ground).open() as source:
        address = f"file://{ground.folder}/uploaded-{seed}?compression=zstd"
        with open_store(address, source.settings, source.reporter, {}) as cache:
            last = source.parse(ground.target)
            copy_closure(source, cache, [last], SilentReporter(), check_signatures=False)


def add_garbage(ground: Ground, seed: str) -> None:
    with ground.open() as store:
        for number in range(6):
            path = store.add_path(f"tree-{number}", ground.tree("tree", f"{seed} {number}"))
            texts = [store.add_text(f"text-{number}-{i}", f"{seed} {i}".encode(), [path]) for i in range(4)]
            if number == 0 and len(ground.kept) < 12:
                ground.keep(store, texts[0])
        optimise_store(store)


def collect(ground: Ground, seed: str, done: Done) -> None:
    with ground.open() as store:
        store.collect_garbage(Options())


def add_copies(ground: Ground, seed: str) -> None:
    """Many equal files; some of the trees stay."""
    with ground.open() as store:
        for number in range(4):
            path = store.add_path(f"tree-{number}", ground.tree("tree", f"{seed} {number}"))
            if number == 0 and len(ground.kept) < 12:
                ground.keep(store, path)


def optimise(ground: Ground, seed: str, done: Done) -> None:
    with ground.open() as store:
        optimise_store(store)


JOBS = {
    job.name: job
    for job in (
        Job("build", build),
        Job("add", add, make_sources),
        Job("copy", copy, forget),
        Job("substitute", substitute, forget),
        Job("upload", upload, fill_origin),
        Job("collect", collect, add_garbage, lasting=False),
        Job("optimise", optimise, add_copies),
    )
}


def cache_problems(folder: Path) -> list[str]:
    """A binary cache must hold the archive of every narinfo, whole, and all that it refers to."""
    if not (folder / "nix-cache-info").exists():
        return []
    found = []
    judge = Ground(folder.parent / "judge").open()
    with judge, open_store(f"file://{folder}", judge.settings, judge.reporter, {}) as cache:
        for narinfo in sorted(folder.glob("*.narinfo")):
            path = cache.query_from_hash_part(narinfo.name.partition(".")[0])
            if path is None:
                found.append(f"{narinfo.name} cannot be read")
                continue
            info = cache.query_info(path)
            found += [f"{path.base} lacks {o.base}" for o in info.references if not cache.is_valid(o)]
            counter = CountingHash("sha256")
            cache.dump_nar(path, counter.write)
            if counter.result()[0] != info.nar_hash:
                found.append(f"the archive of {path.base} is not what its narinfo says")
    return found
