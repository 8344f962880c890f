"""The folders a local store needs, made on first use.

Source of truth: C++ Nix's local store (modes, `db/reserved`).
"""

from __future__ import annotations

import os
import stat

from frazil.store.config import StoreConfig, StoreSettings
from frazil.store.errors import StoreError, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def prepare_directories(config: StoreConfig, settings: StoreSettings, warn: Callable[[str], None]) -> None:
    """Raises StoreError, with a hint, where they cannot be made, or where the store lies behind a link."""
    state = config.state_dir
    needed = (
        config.real_store_dir,
        config.real_store_dir + "/.links",
        state + "/profiles",
        state + "/profiles/per-user",
        state + "/temproots",
        state + "/db",
        state + "/gcroots",
        state + "/gcroots/per-user",
    )
    try:
        for path in needed:
            if not os.path.isdir(path):
                os.makedirs(path, exist_ok=True)
                if path.endswith("/per-user"):
                    os.chmod(path, 0o755)
        if os.geteuid() == 0 and settings.build_users_group:
            _share_with_builders(config, settings, warn)
    except OSError as error:
        raise from_os_error(error, f"creating directory '{error.filename}'") from error
    if not settings.allow_symlinked_store:
        _check_no_links(config.real_store_dir)
    _reserve(state + "/db/reserved", settings.reserved_space)


def _share_with_builders(config: StoreConfig, settings: StoreSettings, warn: Callable[[str], None]) -> None:
    import grp

    try:
        group = grp.getgrnam(settings.build_users_group).gr_gid
    except KeyError:
        warn(f"the group '{settings.build_users_group}' specified in 'build-users-group' does not exist")
        return
    status = os.stat(config.real_store_dir)
    if status.st_uid != 0 or status.st_gid != group or stat.S_IMODE(status.st_mode) != 0o1775:
        os.chown(config.real_store_dir, 0, group)
        os.chmod(config.real_store_dir, 0o1775)


def _check_no_links(path: str) -> None:
    while path != "/":
        if os.path.islink(path):
            raise StoreError(
                f"the path '{path}' is a symlink; this is not allowed for the Nix store and its parent directories",
                hint="say where it really is, or set `allow-symlinked-store`",
            )
        path = os.path.dirname(path)


def _reserve(path: str, size: int) -> None:
    """Space that a garbage collection gives back first, so that the database can be written on a full disk."""
    try:
        if os.stat(path).st_size == size:
            return
    except OSError:
        pass
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)
    except OSError:
        pass  # only a precaution
