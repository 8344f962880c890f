"""Which host paths a sandbox shows besides the inputs.

In: settings (`sandbox-paths`, `sandbox-shell`), a derivation's `__impureHostDeps`, the pre-build hook. Out: mounts,
with the closures of store objects among them. Source of truth: the manual's `sandbox-paths` and `pre-build-hook`.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from frazil.build.errors import BuildError
from frazil.build.options import DerivationOptions
from frazil.build.sandbox import Mount
from frazil.build.settings import BuildSettings
from frazil.build.shell import find_shell
from frazil.store.errors import InvalidPath
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from frazil.store.local import LocalStore


def parse_mount(text: str) -> Mount:
    """`TARGET=SOURCE` or `PATH`, with `?` at the end where the source may be absent."""
    optional = text.endswith("?")
    text = text[:-1] if optional else text
    target, mark, source = text.partition("=")
    return Mount(target, source if mark else target, optional)


@cache
def _shell(configured: str | None) -> tuple[tuple[str, str], ...]:
    if configured is None:
        return tuple(find_shell())
    return (("/bin/sh", os.path.realpath(configured)),) if configured else ()


def _configured(store: LocalStore, settings: BuildSettings) -> dict[str, Mount]:
    mounts = {mount.target: mount for mount in map(parse_mount, settings.sandbox_paths)}
    if "/bin/sh" not in mounts and "/bin" not in mounts:
        for target, source in _shell(settings.sandbox_shell):
            mounts.setdefault(target, Mount(target, store.to_real(source), read_only=True))
    closure: set[StorePath] = set()
    for target, mount in list(mounts.items()):
        if not store.directory.is_inside(mount.source):
            continue
        try:
            closure |= store.closure([store.directory.split(mount.source)[0]])
        except InvalidPath:
            pass
        real = store.to_real(mount.source)
        mounts[target] = Mount(target, real, mount.optional, read_only=True)
    for path in closure:
        mounts[store.show(path)] = Mount(store.show(path), store.real_path(path), read_only=True)
    return mounts


def _impure(settings: BuildSettings, store: LocalStore, drv_path: StorePath, options: DerivationOptions) -> list[Mount]:
    found = []
    for path in sorted(options.impure_host_dependencies):
        clean = os.path.normpath(path)
        allowed = [os.path.normpath(prefix) for prefix in settings.allowed_impure_host_deps]
        if not any(clean == prefix or clean.startswith(prefix.rstrip("/") + "/") for prefix in allowed):
            raise BuildError(
                f"derivation '{store.show(drv_path)}' requested impure path '{path}', but it was not in "
                "allowed-impure-host-deps"
            )
        found.append(Mount(path, path, optional=True))
    return found


def _from_hook(settings: BuildSettings, drv: str, chroot: str) -> list[Mount]:
    if not settings.pre_build_hook:
        return []
    import subprocess

    try:
        command = [settings.pre_build_hook, drv, chroot]
        lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.split("\n")
    except subprocess.CalledProcessError as error:
        how = f"failed with exit code {error.returncode}"
        if error.returncode < 0:
            how = f"failed due to signal {-error.returncode}"
        raise BuildError(f'program "{settings.pre_build_hook}" {how}') from error
    except OSError as error:
        raise BuildError(f"cannot run the pre-build hook '{settings.pre_build_hook}': {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BuildError(f"the pre-build hook '{settings.pre_build_hook}' does not write UTF-8") from error
    found, listing = [], False
    for line in lines[:-1]:
        if not listing:
            if line not in ("extra-sandbox-paths", "extra-chroot-dirs"):
                raise BuildError(f"unknown pre-build hook command '{line}'")
            listing = True
        elif line == "":
            listing = False
        else:
            target, mark, source = line.partition("=")
            found.append(Mount(target, source if mark else target))
    return found


def all_mounts(
    store: LocalStore, settings: BuildSettings, drv_path: StorePath, options: DerivationOptions, chroot: str
) -> list[Mount]:
    """Raises BuildError for a path that is not allowed or a hook that fails."""
    inside = settings.sandbox_build_dir.rstrip("/")
    if store.directory.path == inside or store.directory.path.startswith(inside + "/"):
        raise BuildError("`sandbox-build-dir` must not contain the storeDir")
    mounts = _configured(store, settings)
    for mount in _impure(settings, store, drv_path, options):
        mounts[mount.target] = mount
    for mount in _from_hook(settings, store.show(drv_path), f"{chroot}/root"):
        mounts[mount.target] = mount
    return list(mounts.values())
