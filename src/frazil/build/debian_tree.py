"""Debian packages merged into one prefix: where each file goes, and links that follow.

In: `.deb` files. Out: a directory tree without `/usr`, with `sbin`, `games` and multiarch library folders folded into
`bin` and `lib`; symbolic links resolved within the tree or to dependencies. Source of truth: the file system standard
as Debian uses it (usr-merge, multiarch), docs/design/packages.md. Nothing is ever written through a symbolic link of a
package: links are kept in memory until all files are in place.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from frazil.build.deb_archive import BadArchive, Entry, read_package
from frazil.build.debian_plan import Plan

# What no program reads at run time; licences (share/doc/*/copyright) stay.
_DROPPED_TOP = frozenset({"var", "run", "tmp", "boot", "proc", "sys", "dev", "root", "home", "mnt", "media", "srv"})
_DROPPED = ("share/lintian", "share/bug", "share/doc-base", "share/menu", "share/debhelper", "share/apport")
_KEPT_LINK_TARGETS = ("dev", "proc", "run", "sys")


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path or one of its parents matches one of the shell patterns (`*` also crosses `/`)."""
    return any(fnmatchcase(path, pattern) or path.startswith(pattern + "/") for pattern in patterns)


class MergedTree:
    """The tree being made at `root`; paths inside are relative texts with surrogate escapes."""

    def __init__(self, root: str, output: str, plan: Plan, real_path: Callable[[str], str]) -> None:
        self.root = root
        self.output = output
        self.plan = plan
        self.real_path = real_path
        self.files: dict[str, bool] = {}  # path -> executable
        self.links: dict[str, str] = {}  # path -> target in Debian's own coordinates, absolute
        self.directories: set[str] = set()
        self.dropped_links: list[str] = []
        self.final_links: dict[str, str] = {}

    # Names

    def place(self, name: str) -> str:
        """Where a path of a package (relative to `/`) goes in the merged prefix."""
        parts = name.split("/")
        if parts[0] == "usr":
            parts = parts[1:]
        if parts and parts[0] == "local":
            parts = parts[1:]
        if not parts:
            return ""
        if parts[0] in ("sbin", "games"):
            parts[0] = "bin"
        elif parts[0] in ("lib64", "libx32"):
            parts[0] = "lib"
        if len(parts) > 1 and parts[0] == "lib" and parts[1] == self.plan.triplet and not self.plan.nested_libraries:
            del parts[1]
        return "/".join(parts)

    def _wanted(self, path: str) -> bool:
        top = path.split("/", 1)[0]
        if top in _DROPPED_TOP or matches(path, _DROPPED):
            return False
        if path.startswith("share/doc/") and not path.endswith("/copyright"):
            return False
        if self.plan.only and not matches(path, self.plan.only):
            return False
        return not matches(path, self.plan.exclude)

    def real(self, path: str) -> str:
        """The place in the file system of a path of the tree."""
        return f"{self.root}/{path}" if path else self.root

    # Unpacking

    def unpack(self, package: str) -> None:
        """Adds one `.deb` file; raises BadArchive."""
        with open(package, "rb") as file:
            for entry in read_package(file):
                name = os.fsdecode(entry.name)
                path = self.place(name)
                if path and self._wanted(path):
                    self._add(entry, name, path)

    def _add(self, entry: Entry, name: str, path: str) -> None:
        if entry.kind == "directory":
            if path not in self.links:
                self._make_directory(path)
            return
        if path in self.directories:
            if entry.kind == "symlink":  # usr-merge and multiarch folding turn such links into the folder itself
                return
            raise BadArchive(f"'{path}' is both a directory and a file")
        self._make_directory(posixpath.dirname(path))
        if entry.kind == "symlink":
            if path not in self.files:
                self.links[path] = posixpath.normpath(
                    posixpath.join("/", posixpath.dirname(name), os.fsdecode(entry.target))
                )
            return
        self._write(entry, path)

    def _make_directory(self, path: str) -> None:
        if not path or path in self.directories:
            return
        if path in self.files or path in self.links:
            raise BadArchive(f"'{path}' is both a directory and a file")
        self._make_directory(posixpath.dirname(path))
        os.mkdir(self.real(path), 0o755)
        self.directories.add(path)

    def _write(self, entry: Entry, path: str) -> None:
        self.links.pop(path, None)
        if path in self.files:
            os.unlink(self.real(path))
        if entry.kind == "hardlink":
            source = self.place(os.fsdecode(entry.target))
            if source not in self.files:
                raise BadArchive(f"hard link '{path}' to '{source}', which is not there")
            shutil.copyfile(self.real(source), self.real(path), follow_symlinks=False)
            executable = self.files[source]
        else:
            assert entry.stream is not None
            executable = entry.executable
            with open(self.real(path), "xb") as out:
                shutil.copyfileobj(entry.stream, out, 1 << 18)
        os.chmod(self.real(path), 0o755 if executable else 0o644)
        self.files[path] = executable

    # Finding things in the tree and in dependencies

    def resolve(self, path: str, depth: int = 0) -> str | None:
        """A path of the tree with links followed, where it exists (or leaves the tree: an absolute path)."""
        if depth > 40:
            return None
        done = ""
        parts = path.split("/")
        for index, part in enumerate(parts):
            done = f"{done}/{part}" if done else part
            if done in self.links:
                located = self.locate(self.links[done], depth + 1)
                rest = "/".join(parts[index + 1 :])
                if located is None or located.startswith("/"):
                    return f"{located}/{rest}" if located and rest else located
                return self.resolve(f"{located}/{rest}" if rest else located, depth + 1)
        return path if path in self.files or path in self.directories else None

    def locate(self, debian_path: str, depth: int = 0) -> str | None:
        """Where an absolute path of a Debian system is: a relative path of this tree, an absolute one of a dependency,
        or None."""
        path = self.place(debian_path.lstrip("/"))
        if path == "":
            return None
        if path in self.links or path in self.files or path in self.directories:
            return path
        resolved = self.resolve(path, depth)
        if resolved is not None:
            return resolved
        for prefix in self.plan.depends:
            if os.path.lexists(f"{self.real_path(prefix)}/{path}"):
                return f"{prefix}/{path}"
        return None

    def finish_links(self) -> None:
        """Creates the symbolic links; those that lead nowhere are left out and noted in `dropped_links`."""
        for path, target in sorted(self.links.items()):
            located = self.locate(target)
            if located is not None and not located.startswith("/") and self.resolve(located) is None:
                located = None
            if located is None and target.split("/")[1:2] and target.split("/")[1] in _KEPT_LINK_TARGETS:
                located = target
            if located is None:
                self.dropped_links.append(f"{path} -> {target}")
                continue
            text = located if located.startswith("/") else posixpath.relpath(located, posixpath.dirname(path) or ".")
            self.add_link(path, text)

    def add_link(self, path: str, text: str) -> None:
        """Makes a symbolic link with this very text, replacing what is there."""
        real = self.real(path)
        if path in self.files:
            os.unlink(real)
            del self.files[path]
        elif path in self.final_links:
            os.unlink(real)
        self.make_parents(path)
        os.symlink(text, real)
        self.final_links[path] = text

    def make_parents(self, path: str) -> None:
        """The directories above a path that is about to be written by us."""
        parent = posixpath.dirname(path)
        missing = []
        while parent and parent not in self.directories:
            missing.append(parent)
            parent = posixpath.dirname(parent)
        for directory in reversed(missing):
            if directory in self.files or directory in self.final_links:
                raise BadArchive(f"'{directory}' is both a directory and a file")
            os.mkdir(self.real(directory), 0o755)
            self.directories.add(directory)

    def add_file(self, path: str, data: bytes, executable: bool) -> None:
        """Writes a file of our own, replacing what is there."""
        real = self.real(path)
        if path in self.files or path in self.final_links:
            os.unlink(real)
            self.final_links.pop(path, None)
        self.make_parents(path)
        with open(real, "xb") as out:
            out.write(data)
        os.chmod(real, 0o755 if executable else 0o644)
        self.files[path] = executable

    def fold(self) -> None:
        """Multiarch headers also at their plain place, and the plain names of folded folders."""
        triplet = self.plan.triplet
        nested = f"include/{triplet}/"
        tops = {p[len(nested) :].split("/")[0] for p in [*self.files, *self.final_links] if p.startswith(nested)}
        for top in sorted(tops):
            if not os.path.lexists(self.real(f"include/{top}")):
                self.add_link(f"include/{top}", f"{triplet}/{top}")
        if "lib" in self.directories and not self.plan.nested_libraries:
            for alias in (f"lib/{triplet}", "lib64"):
                if not os.path.lexists(self.real(alias)) and (alias != "lib64" or self.plan.interpreter == ""):
                    self.add_link(alias, "." if alias != "lib64" else "lib")
        if (
            "bin" in self.directories
            and not os.path.lexists(self.real("sbin"))
            and any(p.startswith("bin/") for p in self.files)
        ):
            self.add_link("sbin", "bin")
