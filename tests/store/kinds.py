"""Every kind of store, opened for tests: what it is made of, how it is filled, what it can do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.store import azure_server
from tests.store.conftest import RecordingReporter
from tests.store.http_server import serving
from tests.store.s3_server import serving_bucket

from frazil.store.config import LookupSettings, StoreSettings, TransferSettings
from frazil.store.interface import Store
from frazil.store.metadata import delete_tree
from frazil.store.opening import open_store
from frazil.store.signatures import SecretKey

LISTS = "queryAllValidPaths"
REFERRERS = "queryReferrers"
HASH_PARTS = "queryPathFromHashPart"
REALISATIONS = "registerDrvOutput"
ADDS = "addToStore"
SIGNATURES = "addSignatures"
LOGS = "addBuildLog"
READS_LOGS = "getBuildLogExact"
EVERYTHING = frozenset({LISTS, REFERRERS, HASH_PARTS, REALISATIONS, ADDS, SIGNATURES, LOGS, READS_LOGS})

KEY = SecretKey.generate("contract-1")
_CONFIGURATION = {
    "NIX_CONFIG": "extra-experimental-features = mounted-ssh-store ca-derivations\n"
    f"trusted-public-keys = {KEY.public}\n",
    "NIX_CONF_DIR": "/var/empty",
}
"""For servers."""
AWS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret/+%"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a store of a test is. `below`: an address that puts things in without asking the store itself."""

    address: str
    environment: dict[str, str]
    folder: Path
    below: str | None = None
    certificate: str | None = None
    """Whom to trust."""

    def open(self, address: str | None = None) -> Store:
        settings = StoreSettings(
            reserved_space=4096,
            transfer=TransferSettings(attempts=2, retry_delay=1, stalled_timeout=20, ssl_cert_file=self.certificate),
            lookup=LookupSettings(directory=str(self.folder / "lookups")),
        )
        environment = {"HOME": str(self.folder), **self.environment}
        return open_store(address or self.address, settings, RecordingReporter(), environment)

    def open_below(self) -> Store:
        """A store that shares what this one has, and can be written to."""
        return self.open(self.below)


@dataclass(frozen=True, slots=True)
class Kind:
    """`abilities`: which operations it supports; of the others it says that it does not."""

    name: str
    abilities: frozenset[str]
    make: Callable[[Path, ExitStack], Place]


def program(folder: Path, name: str) -> Path:
    """This frazil, under one of Nix's names."""
    import frazil

    source = os.path.dirname(os.path.dirname(os.path.abspath(frazil.__file__)))
    file = folder / name
    file.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {source!r})\nsys.argv[0] = {name!r}\n"
        "from frazil.cli import main\nsys.exit(main())\n"
    )
    file.chmod(0o755)
    return file


def _local(folder: Path, stack: ExitStack) -> Place:
    """Its logical store directory is its physical one."""
    places = {"store": folder / "local/store", "state": folder / "local/state", "log": folder / "local/log"}
    address = "local?store=/nix/store&real={store}&state={state}&log={log}".format(**places)
    return Place(address, {}, folder)


def _chroot(folder: Path, stack: ExitStack) -> Place:
    return Place(f"{folder}/chroot", {}, folder)


def _read_only(folder: Path, stack: ExitStack) -> Place:
    return Place(f"local?root={folder}/still&read-only=true", {}, folder, f"local?root={folder}/still")


def _overlay(folder: Path, stack: ExitStack) -> Place:
    """Not mounted: one folder plays both the upper layer and what is seen."""
    upper = folder / "merged/nix/store"
    return Place(
        f"local-overlay://?root={folder}/merged&lower-store={folder}/lower&upper-layer={upper}&check-mount=false",
        {},
        folder,
    )


def _lower(folder: Path, stack: ExitStack) -> Place:
    """The same where all that there is lies below, and is seen there."""
    return Place(
        f"local-overlay://?root={folder}/merged&real={folder}/lower/nix/store&lower-store={folder}/lower"
        f"&upper-layer={folder}/upper&check-mount=false",
        {},
        folder,
        f"{folder}/lower",
    )


def _daemon(folder: Path, stack: ExitStack) -> Place:
    """A daemon in a process of its own."""
    socket, root = folder / "socket", folder / "served"
    environment = {**os.environ, **_CONFIGURATION, "NIX_DAEMON_SOCKET_PATH": str(socket), "HOME": str(folder)}
    command = [str(program(folder, "nix-daemon")), "--store", f"local?root={root}"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    while not socket.exists():
        assert process.poll() is None, "the daemon has ended"
        time.sleep(0.01)
    return Place(f"unix://{socket}?root={root}", {}, folder)


def _ssh(folder: Path, stack: ExitStack, scheme: str, name: str, more: str = "") -> Place:
    """`localhost` alone needs no `ssh`."""
    words = f"remote-program={program(folder, name)}&remote-store=local%3Froot={folder}/remote"
    return Place(f"{scheme}://localhost?{words}{more}", {**_CONFIGURATION, "PATH": os.environ["PATH"]}, folder)


def _legacy_ssh(folder: Path, stack: ExitStack) -> Place:
    return _ssh(folder, stack, "ssh", "nix-store")


def _ssh_ng(folder: Path, stack: ExitStack) -> Place:
    return _ssh(folder, stack, "ssh-ng", "nix-daemon")


def _mounted(folder: Path, stack: ExitStack) -> Place:
    return _ssh(folder, stack, "mounted-ssh-ng", "nix-daemon", f"&root={folder}/remote")


def _file(folder: Path, stack: ExitStack) -> Place:
    return Place(f"file://{folder}/cache?write-nar-listing=1", {}, folder)


def _http(folder: Path, stack: ExitStack) -> Place:
    (folder / "cache").mkdir()
    server = stack.enter_context(serving(folder / "cache"))
    return Place(f"{server.url}?compression=zstd", {}, folder)


def _https(folder: Path, stack: ExitStack) -> Place:
    from tests.store.http2_server import make_certificate

    (folder / "cache").mkdir()
    certificate = make_certificate(folder)
    server = stack.enter_context(serving(folder / "cache", certificate))
    assert server.url.startswith("https://")
    return Place(server.url, {}, folder, certificate=str(certificate))


def _really_mounted(folder: Path, stack: ExitStack) -> Place:
    """The kernel shows the layers as one; the store below lies in a folder of its own."""
    if os.geteuid():
        pytest.skip("mounting an overlay needs root")
    seen = folder / "merged/nix/store"
    layers = [folder / "lower/nix/store", folder / "upper", folder / "work", seen]
    for layer in layers:
        layer.mkdir(parents=True)
    options = f"lowerdir={layers[0]},upperdir={layers[1]},workdir={layers[2]}"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, str(seen)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no overlay can be mounted here: {done.stderr.strip()}")
    stack.callback(subprocess.run, ["umount", "-l", str(seen)], check=True)
    words = f"root={folder}/merged&lower-store={folder}/lower&upper-layer={folder}/upper"
    return Place(f"local-overlay://?{words}", {}, folder)


def _s3(folder: Path, stack: ExitStack) -> Place:
    pytest.importorskip("obstore", reason="obstore is not installed")
    _, url = stack.enter_context(serving_bucket({AWS["AWS_ACCESS_KEY_ID"]: AWS["AWS_SECRET_ACCESS_KEY"]}))
    return Place(f"s3://bucket/some/place?endpoint={url}&region=eu-west-1&compression=none", AWS, folder)


def _gs(folder: Path, stack: ExitStack) -> Place:
    """Google's servers speak nearly the protocol of Amazon's, but for who asks."""
    pytest.importorskip("obstore", reason="obstore is not installed")
    _, url = stack.enter_context(serving_bucket())
    return Place(f"gs://bucket/some/place?endpoint={url}&compression=none", {"HOME": "/var/empty"}, folder)


def _az(folder: Path, stack: ExitStack) -> Place:
    pytest.importorskip("obstore", reason="obstore is not installed")
    _, url = stack.enter_context(azure_server.serving_container())
    address = f"az://container/some/place?account={azure_server.ACCOUNT}&endpoint={url}&compression=none"
    return Place(address, {"AZURE_STORAGE_ACCOUNT_KEY": azure_server.KEY}, folder)


CACHE = frozenset({HASH_PARTS, REALISATIONS, ADDS, SIGNATURES, LOGS, READS_LOGS})
KINDS = (
    Kind("local", EVERYTHING, _local),
    Kind("chroot", EVERYTHING, _chroot),
    Kind("read-only", EVERYTHING - {ADDS, SIGNATURES, REALISATIONS}, _read_only),
    Kind("overlay", EVERYTHING, _overlay),
    Kind("overlay-lower", EVERYTHING, _lower),
    Kind("overlay-mounted", EVERYTHING, _really_mounted),
    Kind("daemon", EVERYTHING, _daemon),
    Kind("ssh-ng", EVERYTHING - {READS_LOGS}, _ssh_ng),
    Kind("mounted-ssh-ng", EVERYTHING, _mounted),
    Kind("ssh", frozenset({ADDS}), _legacy_ssh),
    Kind("file", CACHE | {LISTS}, _file),
    Kind("http", CACHE, _http),
    Kind("https", CACHE, _https),
    Kind("s3", CACHE | {LISTS}, _s3),
    Kind("gs", CACHE | {LISTS}, _gs),
    Kind("az", CACHE | {LISTS}, _az),
)


@contextmanager
def made(kind: Kind, folder: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        stack.callback(delete_tree, str(folder))
        folder.mkdir()
        yield kind.make(folder, stack)
