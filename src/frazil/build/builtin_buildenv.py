"""The builder `builtin:buildenv`: one tree of links to many packages, as `nix-env` makes profiles.

In: the attributes `derivations` (active priority outputs path…) and `manifest`. Out: `out`. Of two packages with the
same file the lower priority number wins; equal numbers are an error. Source of truth: libstore's `buildenv`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from frazil.build.builtin import BuiltinContext, BuiltinFailed
from frazil.build.options import tokens
from frazil.store.failures import quoted_place

_LEFT_OUT = (
    "/propagated-build-inputs",
    "/nix-support",
    "/perllocal.pod",
    "/info/dir",
    "/log",
    "/manifest.nix",
    "/manifest.json",
)
_FIRST_PROPAGATED_PRIORITY = 1000
_MAXIMUM_LINKS = 40


class FileConflict(BuiltinFailed):
    """Two packages of one priority have the same file."""

    def __init__(self, first: str, second: str, priority: int) -> None:
        super().__init__(
            f"Unable to build profile. There is a conflict for the following files:\n\n  {first}\n  {second}"
        )
        self.first, self.second, self.priority = first, second, priority


@dataclass(frozen=True, slots=True, order=True)
class Package:
    priority: int
    path: str
    active: bool = True


@dataclass
class Environment:
    """Links below `real_out` lead to logical paths; `real_path` finds what they mean on this machine."""

    real_out: str
    real_path: Callable[[str], str]
    warn: Callable[[str], None]
    priorities: dict[str, int] = field(default_factory=dict)

    def build(self, packages: list[Package]) -> None:
        done: set[str] = set()
        postponed: set[str] = set()
        for package in sorted(packages):
            if package.active:
                self._add(package.path, package.priority, done, postponed)
        priority = _FIRST_PROPAGATED_PRIORITY
        while postponed:
            now, postponed = sorted(postponed), set()
            for path in now:
                self._add(path, priority, done, postponed)
                priority += 1

    def _add(self, path: str, priority: int, done: set[str], postponed: set[str]) -> None:
        if path in done:
            return
        done.add(path)
        self.create_links(path, self.real_out, priority)
        try:
            with open(self.resolve(f"{path}/nix-support/propagated-user-env-packages"), encoding="utf-8") as file:
                postponed.update(name for name in file.read().split() if name not in done)
        except (FileNotFoundError, NotADirectoryError):
            pass

    def resolve(self, path: str) -> str:
        """The real path of a logical one, following links between store objects too. Absent parts stay as they are."""
        pending, found, count = path.strip("/").split("/"), "", 0
        while pending:
            name = pending.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                found = found.rpartition("/")[0]
                continue
            candidate = f"{found}/{name}"
            try:
                target = os.readlink(self.real_path(candidate))
            except OSError:
                found = candidate
                continue
            count += 1
            if count > _MAXIMUM_LINKS:
                raise BuiltinFailed(f"too many symbolic links in '{path}'")
            pending[:0] = target.split("/")
            found = "" if target.startswith("/") else found
        return self.real_path(found or "/")

    def create_links(self, source: str, destination: str, priority: int) -> None:
        """`source`: logical; `destination`: real."""
        try:
            names = sorted(os.listdir(self.resolve(source)))
        except NotADirectoryError:
            self.warn(f"not including {quoted_place(source)} in the user environment because it's not a directory")
            return
        for name in names:
            if not name.startswith("."):
                self._create_link(f"{source}/{name}", f"{destination}/{name}", priority)

    def _create_link(self, source: str, destination: str, priority: int) -> None:
        try:
            mode = os.stat(self.resolve(source)).st_mode
        except OSError:
            self.warn(f"skipping dangling symlink '{destination}'")
            return
        if source.endswith(_LEFT_OUT):
            return
        try:
            present = os.lstat(destination).st_mode
        except FileNotFoundError:
            present = None
        merged = False
        if present is not None:
            if stat.S_ISDIR(mode):
                merged = self._merge_folders(source, destination, present, priority)
            else:
                merged = self._displace(source, destination, present, priority)
        if not merged:
            os.symlink(source, destination)
            self.priorities[destination] = priority

    def _merge_folders(self, source: str, destination: str, present: int, priority: int) -> bool:
        if stat.S_ISDIR(present):
            self.create_links(source, destination, priority)
            return True
        if not stat.S_ISLNK(present):
            return False
        target = os.readlink(destination)
        if not stat.S_ISDIR(os.stat(self.resolve(target)).st_mode):
            raise BuiltinFailed(f'collision between "{source}" and non-directory "{target}"')
        os.unlink(destination)
        os.mkdir(destination, 0o755)
        self.create_links(target, destination, self.priorities[destination])
        self.create_links(source, destination, priority)
        return True

    def _displace(self, source: str, destination: str, present: int, priority: int) -> bool:
        """Whether what is there stays."""
        if stat.S_ISDIR(present):
            raise BuiltinFailed(f"collision between non-directory '{source}' and directory '{destination}'")
        previous = self.priorities[destination]
        if previous == priority:
            raise FileConflict(os.readlink(destination), source, priority)
        if previous < priority:
            return True
        os.unlink(destination)
        return False


def parse_packages(text: str) -> list[Package]:
    """Raises BuiltinFailed for what is cut off or no number."""
    words = iter(tokens(text))
    packages = []
    try:
        for word in words:
            active, priority, outputs = word != "false", int(next(words)), int(next(words))
            packages += [Package(priority, next(words), active) for _ in range(outputs)]
    except (StopIteration, RuntimeError, ValueError) as error:
        raise BuiltinFailed("the attribute 'derivations' is malformed") from error
    return packages


def build(context: BuiltinContext) -> None:
    real_out = context.real_output()
    os.makedirs(real_out, exist_ok=True)
    environment = Environment(real_out, context.real_path, lambda text: context.log(f"warning: {text}"))
    environment.build(parse_packages(context.attribute("derivations")))
    os.symlink(context.attribute("manifest"), f"{real_out}/manifest.nix")
