"""Whether outputs are as their derivation says: hash, references, size.

Source of truth: libstore's derivation checks; the manual's `allowedReferences`, `outputChecks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from frazil.build.errors import DerivationFailed, Failure
from frazil.build.options import DerivationOptions, OutputChecks, Reference
from frazil.store.derivation import Derivation, Fixed
from frazil.store.path import StorePath, output_path_name
from frazil.store.path_info import PathInfo

if TYPE_CHECKING:
    from frazil.store.local import LocalStore


def rejected(message: str) -> DerivationFailed:
    return DerivationFailed(Failure.OUTPUT_REJECTED, message)


def check_fixed(store: LocalStore, drv_path: StorePath, output: Fixed, info: PathInfo) -> None:
    """The hash that was promised, and no references."""
    wanted = output.content_address.hash
    got = info.content_address.hash if info.content_address is not None else wanted
    if wanted != got:
        raise DerivationFailed(
            Failure.HASH_MISMATCH,
            f"hash mismatch in fixed-output derivation '{store.show(drv_path)}':\n"
            f"  specified: {wanted.sri}\n"
            f"     got:    {got.sri}",
        )
    if info.references:
        raise DerivationFailed(
            Failure.HASH_MISMATCH,
            f"fixed-output derivations must not reference store paths: '{store.show(drv_path)}' references "
            f"{len(info.references)} distinct paths, e.g. '{store.show(min(info.references))}'",
        )


def check_outputs(
    store: LocalStore,
    drv_path: StorePath,
    drv: Derivation,
    options: DerivationOptions,
    infos: Mapping[str, PathInfo],
) -> None:
    """Raises DerivationFailed for the first output, by name, that breaks a rule."""
    for name in sorted(infos):
        info = infos[name]
        wanted = output_path_name(drv.name, name)
        if info.path.name != wanted:
            raise rejected(
                f"derivation '{store.show(drv_path)}' output '{name}' (at '{store.show(info.path)}') was named "
                f"'{info.path.name}', expected '{wanted}'"
            )
        output = drv.outputs[name]
        if isinstance(output, Fixed):
            check_fixed(store, drv_path, output, info)
        checks = options.checks_for(name)
        if checks is not None:
            _Checker(store, drv_path, infos, name, checks).run()


class _Checker:
    def __init__(
        self,
        store: LocalStore,
        drv_path: StorePath,
        infos: Mapping[str, PathInfo],
        name: str,
        checks: OutputChecks,
    ) -> None:
        self.store, self.drv_path, self.infos, self.name, self.checks = store, drv_path, infos, name, checks
        self.info = infos[name]
        self.by_path = {info.path: info for info in infos.values()}

    def run(self) -> None:
        checks, info = self.checks, self.info
        if checks.max_size is not None and info.nar_size > checks.max_size:
            raise rejected(
                f"path '{self.store.show(info.path)}' is too large at {info.nar_size} bytes; "
                f"limit is {checks.max_size} bytes"
            )
        if checks.max_closure_size is not None:
            size = self._closure()[1]
            if size > checks.max_closure_size:
                raise rejected(
                    f"closure of path '{self.store.show(info.path)}' is too large at {size} bytes; "
                    f"limit is {checks.max_closure_size} bytes"
                )
        if checks.allowed_references is not None:
            self._refuse(checks.allowed_references, recursive=False, bad=lambda path, listed: path not in listed)
        if checks.allowed_requisites is not None:
            self._refuse(checks.allowed_requisites, recursive=True, bad=lambda path, listed: path not in listed)
        if checks.disallowed_references:
            self._refuse(checks.disallowed_references, recursive=False, bad=lambda path, listed: path in listed)
        if checks.disallowed_requisites:
            self._refuse(checks.disallowed_requisites, recursive=True, bad=lambda path, listed: path in listed)

    def _closure(self) -> tuple[set[StorePath], int]:
        """Also through outputs that are not registered yet."""
        found, pending, size = {self.info.path}, [self.info.path], 0
        while pending:
            path = pending.pop()
            info = self.by_path.get(path) or self.store.query_info(path)
            size += info.nar_size
            pending += [other for other in info.references if other not in found]
            found |= info.references
        return found, size

    def _listed(self, references: frozenset[Reference]) -> set[StorePath]:
        listed = set()
        for reference in references:
            if isinstance(reference, StorePath):
                listed.add(reference)
            elif reference in self.infos:
                listed.add(self.infos[reference].path)
            else:
                raise rejected(
                    f"derivation '{self.store.show(self.drv_path)}' output check for '{self.name}' contains output "
                    f"name '{reference}', but this is not a valid output of this derivation. "
                    f"(Valid outputs are [{', '.join(sorted(self.infos))}].)"
                )
        return listed

    def _refuse(
        self,
        references: frozenset[Reference],
        *,
        recursive: bool,
        bad: Callable[[StorePath, set[StorePath]], bool],
    ) -> None:
        listed = self._listed(references)
        used = self._closure()[0] if recursive else set(self.info.references)
        if recursive and self.checks.ignore_self_references:
            used.discard(self.info.path)
        wrong = sorted(path for path in used if bad(path, listed))
        if wrong:
            lines = "".join(f"\n  {self.store.show(path)}" for path in wrong)
            raise rejected(
                f"output '{self.store.show(self.info.path)}' is not allowed to refer to the following paths:{lines}"
            )
