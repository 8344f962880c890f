"""The root of an image out of packages: their contents copied into one folder, as `copyToRoot` and `contents` ask."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence

from .errors import OciError


def copy_contents(items: Sequence[str], folder: str, *, keep_directory_links: bool = False) -> None:
    """Copies what the items (folders) hold. A link to a folder becomes that folder's contents, or with
    `keep_directory_links` stays; other links are copied. Folders become 0755. Two different files of one name collide.
    """
    copier = _Copier(keep_directory_links)
    for item in items:
        source = os.fsencode(item)
        if not os.path.isdir(source):
            raise OciError(
                f"'{item}' is a file, and only what folders hold can be copied to an image's root",
                "put it into a folder, for example with pkgs.linkFarm or pkgs.writeTextDir",
            )
        copier.merge(source, os.fsencode(folder))


class _Copier:
    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._from: dict[bytes, bytes] = {}

    def merge(self, source: bytes, target: bytes) -> None:
        for name in sorted(os.listdir(source)):
            self._one(source + b"/" + name, target + b"/" + name)

    def _one(self, source: bytes, target: bytes) -> None:
        mode = os.lstat(source).st_mode
        if stat.S_ISDIR(mode) or (stat.S_ISLNK(mode) and not self._keep and os.path.isdir(source)):
            if not os.path.isdir(target):
                self._refuse_other(source, target)
                os.mkdir(target, 0o755)
                self._from[target] = source
            self.merge(source, target)
            return
        if os.path.lexists(target):
            if same_file(source, target):
                return
            self._refuse_other(source, target)
        self._from[target] = source
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(source), target)
        elif stat.S_ISREG(mode):
            shutil.copyfile(source, target)
            os.chmod(target, mode & 0o777)
        else:
            raise OciError(f"'{os.fsdecode(source)}' is not a file, a folder or a link")

    def _refuse_other(self, source: bytes, target: bytes) -> None:
        if os.path.lexists(target):
            other = os.fsdecode(self._from.get(target, target))
            raise OciError(
                f"two things want the same place in the image: '{os.fsdecode(source)}' and '{other}'",
                "leave one out, or merge them with pkgs.buildEnv, which has priorities",
            )


def same_file(one: bytes, other: bytes) -> bool:
    first, second = os.lstat(one), os.lstat(other)
    if stat.S_IFMT(first.st_mode) != stat.S_IFMT(second.st_mode):
        return False
    if stat.S_ISLNK(first.st_mode):
        return os.readlink(one) == os.readlink(other) or os.path.realpath(one) == os.path.realpath(other)
    import filecmp

    return bool(first.st_mode & 0o111) == bool(second.st_mode & 0o111) and filecmp.cmp(one, other, shallow=False)


def snapshot(folder: str) -> dict[bytes, tuple[object, ...]]:
    """What tells later whether a file of the folder changed."""
    from .tree import walk

    root = os.fsencode(folder)
    walking = walk(root)
    next(walking)
    return {path[len(root) + 1 :]: _stamp(status) for path, status in walking}


def _stamp(status: os.stat_result) -> tuple[object, ...]:
    common = (status.st_mode, status.st_uid, status.st_gid)
    if stat.S_ISDIR(status.st_mode):
        return common
    return (*common, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def changes(before: dict[bytes, tuple[object, ...]], folder: str) -> tuple[set[bytes], set[bytes]]:
    """(new or changed, removed) since the snapshot; of what is removed only the topmost."""
    after = snapshot(folder)
    changed = {name for name, stamp in after.items() if before.get(name) != stamp}
    # A folder is listed with what changed in it, so that its mode is known to whoever unpacks the layer alone.
    for name in list(changed):
        while b"/" in name:
            name = name.rpartition(b"/")[0]
            changed.add(name)
    gone = before.keys() - after.keys()
    return changed, {name for name in gone if name.rpartition(b"/")[0] not in gone}
