"""`runAsRoot` and `fakeRootCommands` inside an image's own file system: a script in a namespace where it is root.

In: the base image, what is copied to the root, the script; out: a layer with what the script changed, owners as it set
them (fakeroot keeps them, since a build's namespace knows one user alone). The store is bound at its place while the
script runs and is no part of the layer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import BadImage, OciError
from .root import changes, copy_contents, snapshot
from .streams import Meter
from .tar import Entry
from .times import resolve_time
from .tree import FolderLayer, write_entries


@contextmanager
def fake_root(spec: dict[str, Any]) -> Iterator[None]:
    """What is run inside sees its own idea of who owns what; this process too, once it has started itself again."""
    started = subprocess.run([spec["faked"]], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    key, _, process = started.partition(":")
    # A namespace with one user answers a change of owner with EINVAL, which fakeroot would take for a real error.
    added = {"FAKEROOTKEY": key, "LD_PRELOAD": spec["libfakeroot"], "FAKEROOTDONTTRYCHOWN": "1"}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        try:
            os.kill(int(process), signal.SIGTERM)
        except (ProcessLookupError, ValueError):
            pass


def again(spec: dict[str, Any]) -> bool:
    """Starts this process again under fakeroot, whose library must be there from the beginning. False: it is."""
    if "FAKEROOTKEY" in os.environ:
        return False
    with fake_root(spec):
        status = subprocess.run([sys.executable, *sys.orig_argv[1:]]).returncode
    if status:
        raise OciError(f"the image's root could not be made (status {status})")
    return True


def root_folder() -> str:
    root = os.path.join(os.environ.get("TMPDIR", "/tmp"), "image-root")
    os.mkdir(root)
    os.chown(root, 0, 0)
    return root


def run(spec: dict[str, Any], output: str) -> None:
    """`ready`: `folder` lies there with all that the script shall find, and all of it is in the layer."""
    if again(spec):
        return
    if spec.get("ready"):
        root = os.path.abspath(spec["folder"])
        before: dict[bytes, tuple[object, ...]] = {}
    else:
        root = root_folder()
        if spec.get("fromImage"):
            from .builder import unpack

            unpack({**spec, "owners": True}, root)
        before = snapshot(root)
        if spec.get("contents"):
            copy_contents(spec["contents"], root, keep_directory_links=bool(spec.get("keepContentsDirlinks")))
    if spec.get("chroot"):
        mounts = _mount_points(root, spec["storeDir"])
        _in_root(spec, root)
        for folder in reversed(mounts):
            if os.path.isdir(folder) and not os.listdir(folder):
                os.rmdir(folder)
    else:
        _checked(subprocess.run([spec["shell"], "-e", spec["script"]], cwd=root).returncode)
    if spec.get("includeNixDB"):
        from .builder import store_database

        store_database(spec, root)
    extra = spec.get("extraCommands")
    if extra and not spec.get("ready"):
        _checked(subprocess.run([spec["shell"], "-e", "-c", extra], cwd=root).returncode)
    changed, gone = changes(before, root)
    _write_layer(spec, root, changed, gone, output)


def _mount_points(root: str, store: str) -> list[str]:
    """Makes them; returns those that were not there, outermost first."""
    made = []
    for name in ("dev", "proc", "sys", *_steps(store)):
        folder = os.path.join(root, name)
        if os.path.islink(folder):
            raise BadImage(f"the base image has a link at /{name}, where commands that run as root need a folder")
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o755)
            made.append(folder)
    return made


def _steps(path: str) -> list[str]:
    parts = path.strip("/").split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


_SETUP = """
set -e
mount --rbind /dev "$1/dev"
mount --rbind "$2" "$1$2"
mount --rbind /proc "$1/proc" 2>/dev/null || true
mount --rbind /sys "$1/sys" 2>/dev/null || true
cd "$1"
export LD_PRELOAD=$5 FAKEROOTKEY=$6 FAKEROOTDONTTRYCHOWN=1
exec chroot "$1" "$3" -e "$4"
"""


def _in_root(spec: dict[str, Any], root: str) -> None:
    """The namespace is made without fakeroot, which would hide from `unshare` who the user is."""
    shell, store = spec["shell"], spec["storeDir"]
    command = ["unshare", "--map-root-user", "--mount", "--propagation", "private", shell, "-c", _SETUP, "setup"]
    command += [root, store, shell, spec["script"], spec["libfakeroot"], os.environ["FAKEROOTKEY"]]
    hidden = ("LD_PRELOAD", "FAKEROOTKEY", "FAKEROOTDONTTRYCHOWN")
    plain = {name: value for name, value in os.environ.items() if name not in hidden}
    _checked(subprocess.run(command, env=plain).returncode)


def _checked(status: int) -> None:
    if status:
        raise OciError(f"the commands that run as root failed with status {status}")


def _write_layer(spec: dict[str, Any], root: str, changed: set[bytes], gone: set[bytes], output: str) -> None:
    mtime = resolve_time(spec.get("mtime", spec.get("created", 1)))[1]
    whole = FolderLayer(root, None, mtime)
    kept = [(entry, file) for entry, file in whole.entries() if entry.name in changed]
    kept = _without_outer_links(kept, changed)
    for name in sorted(gone):
        folder, _, base = name.rpartition(b"/")
        kept.append((Entry((folder + b"/" if folder else b"") + b".wh." + base, mtime=mtime), b""))
    kept.sort(key=lambda pair: pair[0].name.split(b"/"))
    os.makedirs(output, exist_ok=True)
    with open(os.path.join(output, "layer.tar"), "wb", buffering=1 << 20) as file:
        meter = Meter(file.write)
        write_entries(iter(kept), meter.write)
    with open(os.path.join(output, "checksum"), "w", encoding="ascii") as checksum:
        checksum.write(meter.hexdigest + "\n")


def _without_outer_links(kept: list[tuple[Entry, bytes]], changed: set[bytes]) -> list[tuple[Entry, bytes]]:
    """A hard link to a file that is not in this layer becomes that file."""
    from dataclasses import replace

    return [
        (replace(entry, kind="file", target=b"", size=os.lstat(file).st_size), file)
        if entry.kind == "link" and entry.target not in changed
        else (entry, file)
        for entry, file in kept
    ]
