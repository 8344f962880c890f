"""From what a builder left to valid store objects.

In: files at scratch paths. Out: canonical, scanned, hashed, checked objects in place, registered in one transaction.
Order makes a death at any point harmless: what is moved into the store before its registration is invalid, and is
replaced by the next build. Source of truth: the manual's `store/building`, libstore's `registerOutputs`.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frazil.build.checks import check_fixed, check_outputs, rejected
from frazil.build.errors import DerivationFailed, Failure
from frazil.build.options import DerivationOptions
from frazil.digest import Hash
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import Derivation, DerivationOutput, Fixed, Floating, Impure, InputAddressed
from frazil.store.errors import StoreError
from frazil.store.locks import PathLocks
from frazil.store.metadata import canonicalise, delete_tree, sync_tree
from frazil.store.path import References, StorePath, output_path_name
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from frazil.store.local import LocalStore


@dataclass(slots=True)
class BuiltTree:
    """One output as the builder left it, once canonical and scanned."""

    name: str
    scratch: StorePath
    real: str
    mode: int
    references: frozenset[StorePath]
    nar_hash: Hash | None
    nar_size: int


@dataclass
class Registration:
    """Registers the outputs of one build. `real_of`: where a scratch path lies on the host.

    `known`: output → (final path, whether it is valid already); absent where the path follows from the contents.
    """

    store: LocalStore
    drv_path: StorePath
    drv: Derivation
    options: DerivationOptions
    mode: str
    input_closure: frozenset[StorePath]
    scratch: Mapping[str, StorePath]
    known: Mapping[str, tuple[StorePath, bool]]
    real_of: Callable[[StorePath], str]
    owner: int | None
    on_different: Callable[[str, str], None]
    """(registered object, newly built one) when a check finds a difference."""
    owner_count: int = 1
    """How many ids from `owner` on are the builder's."""
    keep_different: bool = False
    trusted: bool = False
    """Made by our own code: nobody outside can hold a descriptor of it."""

    temporaries: list[str] = field(default_factory=list)
    moved: list[StorePath] = field(default_factory=list)
    final: dict[str, StorePath] = field(default_factory=dict)
    rewrites: dict[bytes, bytes] = field(default_factory=dict)
    seen: set[tuple[int, int]] = field(default_factory=set)
    locks: list[PathLocks] = field(default_factory=list)

    def run(self) -> dict[str, StorePath]:
        """Output → path. Raises DerivationFailed, StoreError."""
        try:
            return self._run()
        except BaseException:
            self._remove_moved()
            raise
        finally:
            for lock in self.locks:
                lock.release()
            for path in self.temporaries:
                delete_tree(path)

    def _remove_moved(self) -> None:
        """What is in place but will not be registered would be garbage; on a full disk it would keep the disk full."""
        for path in self.moved:
            try:
                if not self.store.is_registered(path):
                    delete_tree(self._place(path))
            except (StoreError, OSError):
                pass  # the first failure is the one to tell

    def _run(self) -> dict[str, StorePath]:
        trees = self._collect()
        infos: dict[str, PathInfo] = {}
        for name in self._sorted(trees):
            tree = trees.get(name)
            if tree is None:
                self._finish(name, self.known[name][0])
            else:
                infos[name] = self._register_one(tree)
        check_outputs(self.store, self.drv_path, self.drv, self.options, infos)
        if self.mode == "check":
            return {name: self.known[name][0] for name in self.drv.outputs if name in self.known}
        self.store.register(list({info.path: info for info in infos.values()}.values()))
        for lock in self.locks:
            lock.delete_files = True
        return dict(self.final)

    # ----------------------------------------------------------------------------------------------- what is there

    def _collect(self) -> dict[str, BuiltTree]:
        candidates = self.input_closure.union(self.scratch.values())
        trees = {}
        for name in sorted(self.drv.outputs):
            if self.mode != "check" and name in self.known and self.known[name][1]:
                continue
            real = self.real_of(self.scratch[name])
            try:
                status = os.lstat(real)
            except FileNotFoundError:
                raise rejected(
                    f"builder for '{self.store.show(self.drv_path)}' failed to produce output path for output "
                    f"'{name}' at \"{real}\""
                ) from None
            self._check_owner(name, real, status)
            trees[name] = self._scan(name, real, status.st_mode, candidates)
        return trees

    def _check_owner(self, name: str, real: str, status: os.stat_result) -> None:
        """Someone else may have interfered with a build that others can write."""
        loose = not stat.S_ISLNK(status.st_mode) and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if loose or (self.owner is not None and status.st_uid != self.owner):
            raise rejected(
                f"suspicious ownership or permission on \"{real}\" for output '{name}'; rejecting this build output"
            )

    def _canonicalise(self, real: str, owner: int | None) -> None:
        canonicalise(
            real,
            owner_range=None if owner is None else (owner, owner + self.owner_count - 1),
            ignored_attributes=self.store.settings.ignored_acls,
            seen=self.seen,
        )

    def _scan(self, name: str, real: str, mode: int, candidates: frozenset[StorePath]) -> BuiltTree:
        from frazil.store.references import scan_path

        self._canonicalise(real, self.owner)
        wanted = frozenset() if self.options.discard_references.get(name) else candidates
        references, nar_hash, size = scan_path(real, wanted)
        return BuiltTree(name, self.scratch[name], real, mode, frozenset(references), nar_hash, size)

    def _sorted(self, trees: Mapping[str, BuiltTree]) -> list[str]:
        """Outputs that others refer to first: their final hash parts go into the others."""
        by_path = {self.scratch[name]: name for name in self.drv.outputs}
        order: list[str] = []
        active: list[str] = []

        def visit(name: str, parent: str) -> None:
            if name in active:
                raise rejected(
                    f"cycle detected in build of '{self.store.show(self.drv_path)}' in the references of output "
                    f"'{name}' from output '{parent}'"
                )
            if name in order:
                return
            active.append(name)
            references = trees[name].references if name in trees else frozenset()
            for other in sorted(by_path[path] for path in references if path in by_path):
                if other != name:
                    visit(other, name)
            active.pop()
            order.append(name)

        for name in sorted(self.drv.outputs):
            visit(name, "")
        return order

    # --------------------------------------------------------------------------------------------------- one output

    def _register_one(self, tree: BuiltTree) -> PathInfo:
        output = self.drv.outputs[tree.name]
        match output:
            case InputAddressed(path):
                info = self._input_addressed(tree, path)
            case Fixed(address):
                self._copy_out(tree)
                info = self._content_addressed(tree, address.method, address.hash.algorithm)
            case Floating(method, algorithm):
                info = self._content_addressed(tree, method, algorithm)
            case Impure(method, algorithm):
                self._copy_out(tree)
                info = self._content_addressed(tree, method, algorithm)
            case _:
                raise rejected(f"output '{tree.name}' of '{self.store.show(self.drv_path)}' has no known address")
        known = self.known.get(tree.name)
        if known is None or known[0] != info.path:
            self._lock_final(tree, info, wait=known is None)
        if self.mode == "check":
            self._move(tree, info)
            self._compare(tree, info)
            self._finish(tree.name, info.path)
            return info
        self._move(tree, info)
        info = info.with_(deriver=self.drv_path, ultimate=True, registration_time=int(time.time()))
        info = self.store.sign(info)
        self._finish(tree.name, info.path)
        if info.content_address is not None:
            # Also when the hash turns out wrong: whoever corrects the wanted one need not build again.
            self.store.register([info])
        return info

    def _finish(self, name: str, path: StorePath) -> None:
        self.final[name] = path
        scratch = self.scratch[name]
        if scratch != path:
            self.rewrites[scratch.hash_part.encode()] = path.hash_part.encode()

    def _renamed(self, tree: BuiltTree) -> References:
        """The references with scratch paths of other outputs replaced by their final ones."""
        others = set()
        for path in tree.references - {tree.scratch}:
            part = self.rewrites.get(path.hash_part.encode())
            others.add(StorePath(part.decode(), path.name) if part else path)
        return References(frozenset(others), tree.scratch in tree.references)

    def _rewrite(self, tree: BuiltTree, rewrites: dict[bytes, bytes]) -> None:
        """Replaces hash parts in the whole tree, by way of a copy that the builder cannot reach."""
        if not rewrites:
            return
        import threading

        from frazil.store import nar
        from frazil.store.references import Rewriter

        temporary = self.store.working_path("rewritten")
        self.temporaries.append(temporary)
        read_end, write_end = os.pipe2(os.O_CLOEXEC)
        failures: list[BaseException] = []

        def produce() -> None:
            try:
                with open(write_end, "wb", buffering=0) as file:
                    rewriter = Rewriter(rewrites, lambda data: nar.write_all(file.fileno(), data))
                    nar.dump_path(tree.real, rewriter.write)
                    rewriter.finish()
            except BaseException as error:  # raised again below, in the thread that waits
                failures.append(error)

        producer = threading.Thread(target=produce, name="rewriting")
        producer.start()
        try:
            with open(read_end, "rb", buffering=0) as file:
                nar.unpack(file.read, temporary)
        except StoreError:
            producer.join()
            if failures and not isinstance(failures[0], BrokenPipeError):
                raise failures[0] from None  # what was read is cut off because of that
            raise
        finally:
            producer.join()
        if failures:
            raise failures[0]
        delete_tree(tree.real)
        _rename(temporary, tree.real)
        tree.nar_hash = None

    def _copy_out(self, tree: BuiltTree) -> None:
        """Breaks descriptors that a builder with network may have passed outside."""
        if self.trusted:
            return
        from frazil.store.adding import copy_tree

        temporary = self.store.working_path("output")
        self.temporaries.append(temporary)
        copy_tree(tree.real, temporary)
        tree.real = temporary

    def _archive(self, tree: BuiltTree) -> PathInfo:
        from frazil.store.nar import hash_path

        if tree.nar_hash is None:
            tree.nar_hash, tree.nar_size = hash_path(tree.real)
        return PathInfo(tree.scratch, tree.nar_hash, tree.nar_size)

    def _input_addressed(self, tree: BuiltTree, path: StorePath) -> PathInfo:
        if tree.scratch != path:
            self.rewrites[tree.scratch.hash_part.encode()] = path.hash_part.encode()
        self._rewrite(tree, self.rewrites)
        references = self._renamed(tree)
        own = {path} if references.self_reference else set()
        return self._archive(tree).with_(path=path, references=references.others | own)

    def _content_addressed(self, tree: BuiltTree, method: str, algorithm: str) -> PathInfo:
        if method in ("flat", "text") and (not stat.S_ISREG(tree.mode) or tree.mode & 0o100):
            raise rejected(
                f'output path "{tree.real}" should be a non-executable regular file since recursive hashing is not '
                "enabled (one of outputHashMode={flat,text} is true)"
            )
        self._rewrite(tree, self.rewrites)
        references = self._renamed(tree)
        digest = self._hash(tree, method, algorithm)
        address = ContentAddress(method, digest)
        path = address.store_path(self.store.directory, output_path_name(self.drv.name, tree.name), references)
        if path != tree.scratch and references.self_reference:
            self._rewrite(tree, {tree.scratch.hash_part.encode(): path.hash_part.encode()})
        own = {path} if references.self_reference else set()
        return self._archive(tree).with_(path=path, references=references.others | own, content_address=address)

    def _hash(self, tree: BuiltTree, method: str, algorithm: str) -> Hash:
        from frazil.store import nar
        from frazil.store.references import ModuloHash

        if method == "git":
            from frazil.store.git_hash import hash_tree

            return hash_tree(tree.real, algorithm, None)
        state = ModuloHash(algorithm, tree.scratch.hash_part)
        if method == "nar":
            nar.dump_path(tree.real, state.write)
        else:
            nar.copy_flat(tree.real, state.write)
        return state.result()[0]

    # ----------------------------------------------------------------------------------------------- into the store

    def _place(self, path: StorePath) -> str:
        return f"{self.store.config.real_store_dir}/{path.base}"

    def _lock_final(self, tree: BuiltTree, info: PathInfo, *, wait: bool) -> None:
        """Paths known only now. For a wrong hash nobody is waited for: the build with the right one may be running."""
        lock = PathLocks([self._place(info.path)], wait=wait)
        if lock.acquire():
            self.locks.append(lock)
            return
        delete_tree(tree.real)
        output = self.drv.outputs[tree.name]
        if isinstance(output, Fixed):
            check_fixed(self.store, self.drv_path, output, info)
        raise rejected(f"another process is making '{self.store.show(info.path)}'")

    def _move(self, tree: BuiltTree, info: PathInfo) -> None:
        destination = self._place(info.path)
        self.store.add_temporary_root(info.path)
        if self.mode == "normal" and not self.store.is_registered(info.path):
            self.moved.append(info.path)
        if destination == tree.real or self.mode == "check":
            pass
        elif self.mode == "repair":
            self._replace(tree.real, destination)
        elif self.store.is_registered(info.path):
            delete_tree(tree.real)
            return
        else:
            delete_tree(destination)
            _rename(tree.real, destination)
        if self.mode == "check":
            return
        if self.store.settings.auto_optimise_store and not self.store.is_registered(info.path):
            from frazil.store.optimise import optimise_path

            optimise_path(self.store, destination)
        if self.store.settings.fsync_store_paths:
            sync_tree(destination)

    def _replace(self, source: str, destination: str) -> None:
        """As near to atomic as two renames are; undone where the second fails."""
        old = self.store.working_path("old")
        there = os.path.lexists(destination)
        if there:
            _rename(destination, old)
        try:
            _rename(source, destination)
        except BaseException:
            if there:
                _rename(old, destination)
            raise
        delete_tree(old)

    def _compare(self, tree: BuiltTree, info: PathInfo) -> None:
        """A second build of a valid path must give the same bytes."""
        if not self.store.is_registered(info.path):
            return
        old = self.store.query_info(info.path)
        if old.nar_hash == info.nar_hash:
            return
        place = self._place(info.path)
        message = f"derivation '{self.store.show(self.drv_path)}' may not be deterministic: output \"{place}\" differs"
        if self.keep_different:
            kept = place + ".check"
            delete_tree(kept)
            _rename(tree.real, kept)
            self.on_different(place, kept)
            message += f' from "{kept}"'
        raise DerivationFailed(Failure.NOT_DETERMINISTIC, message)


def register_submitted(
    store: LocalStore,
    drv_path: StorePath,
    drv: Derivation,
    options: DerivationOptions,
    submitted: Mapping[str, StorePath],
) -> dict[str, StorePath]:
    """Outputs that the builder handed in through its daemon (`builder-rpc-v0`): valid already, but to be checked.

    Raises DerivationFailed.
    """
    for name in sorted(drv.outputs):
        if name not in submitted:
            raise rejected(f"builder for '{store.show(drv_path)}' failed to submit output path for '{name}'")
    infos = {name: store.query_info(submitted[name]) for name in drv.outputs}
    for name, output in drv.outputs.items():
        _check_address(store, drv_path, name, output, infos[name])
    check_outputs(store, drv_path, drv, options, infos)
    return {name: info.path for name, info in infos.items()}


def _check_address(store: LocalStore, drv_path: StorePath, name: str, output: DerivationOutput, info: PathInfo) -> None:
    """Whether a submitted object is addressed as the output promises."""
    match output:
        case Fixed(address):
            method, algorithm = address.method, address.hash.algorithm
        case Floating(method, algorithm) | Impure(method, algorithm):
            pass
        case _:
            raise rejected(f"output '{name}' of '{store.show(drv_path)}' is not content-addressed")
    found = info.content_address
    if found is None or found.method != method or found.hash.algorithm != algorithm:
        shown = "none" if found is None else f"{found.method}:{found.hash.algorithm}"
        raise rejected(
            f"'{store.show(info.path)}', submitted as output '{name}' of '{store.show(drv_path)}', has another content "
            f"address than it should: {shown} instead of {method}:{algorithm}"
        )


def _rename(source: str, destination: str) -> None:
    from frazil.store.adding import move_into_place

    move_into_place(source, destination)
