"""Files by hash from several addresses: what fixed-output derivations and package indexes are made of.

In: addresses to try, a SHA-256. Out: a file with exactly that hash. `apt-helper` transfers where apt is (it knows the
machine's proxies, credentials and transports), frazil's own downloads elsewhere. What was fetched is kept by hash: the
archive drops superseded files.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.fetch.apt import APT_HELPER, apt_directory, proxy_for, read_apt_conf
from frazil.fetch.download import download
from frazil.fetch.errors import DownloadError, FetchError, HashMismatch
from frazil.fetch.prune import mark_used, prune_if_due
from frazil.fetch.settings import FetchSettings, cache_directory

if TYPE_CHECKING:
    import subprocess

    from frazil.activity import Reporter

_CHUNK = 1 << 20


def fetch_any(
    uri: str, destination: str, settings: FetchSettings, reporter: Reporter, *, maximum: int | None = None
) -> None:
    """One address, by apt's means if the mirrors are apt's. Raises DownloadError."""
    scheme = uri.partition(":")[0]
    if settings.offline and scheme != "file":
        raise DownloadError(f"unable to download '{uri}': --offline forbids it")
    if _use_apt(settings, scheme):
        _fetch_by_apt(uri, destination, reporter, maximum)
        return
    if scheme == "file":
        download(uri, destination, settings, reporter, maximum=maximum)
        return
    proxy = None if settings.debian_mirrors else proxy_for(read_apt_conf(apt_directory()), uri)
    download(uri, destination, settings, reporter, maximum=maximum, proxy=proxy)


def _use_apt(settings: FetchSettings, scheme: str) -> bool:
    """Not for addresses that the user has named, nor for another configuration than the machine's."""
    if settings.debian_mirrors or scheme == "file" or os.environ.get("FRAZIL_APT_DIRECTORY"):
        return False
    return os.access(APT_HELPER, os.X_OK)


def _fetch_by_apt(uri: str, destination: str, reporter: Reporter, maximum: int | None) -> None:
    import subprocess

    text = f"downloading '{uri}'"
    with (
        Activity(reporter, ActivityType.FILE_TRANSFER, text, fields=(uri,), level=Verbosity.TALKATIVE) as activity,
        subprocess.Popen(
            [APT_HELPER, "-o", "APT::Sandbox::User=root", "-qq", "download-file", uri, destination],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},
        ) as process,
    ):
        try:
            output = _wait(process, destination, activity, maximum)
        except BaseException:
            process.kill()
            raise
        status = process.wait()
    if maximum is not None and os.path.exists(destination) and os.path.getsize(destination) > maximum:
        raise DownloadError(f"unable to download '{uri}': it is larger than {maximum} bytes")
    if status != 0 or not os.path.exists(destination):
        lines = [line[3:] for line in output.splitlines() if line.startswith("E: ")]
        reason = lines[0] if lines else f"apt-helper failed with exit status {status}"
        missing = re.search(r"\b(404)\b", reason)
        raise DownloadError(f"unable to download '{uri}': {reason}", status=404 if missing else None)


def _wait(process: subprocess.Popen[bytes], destination: str, activity: Activity, maximum: int | None) -> str:
    """Apt's words; meanwhile progress is what the file has grown to."""
    import subprocess

    while True:
        try:
            output, _ = process.communicate(timeout=0.25)
            return str(output.decode("utf-8", "replace"))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                size = os.path.getsize(destination)
                activity.progress(size, maximum or 0)
                if maximum is not None and size > maximum:
                    raise DownloadError(f"'{destination}' is larger than {maximum} bytes") from None


def kept_file(sha256: str, settings: FetchSettings) -> str:
    """Where a file of this hash is kept once it was fetched."""
    return os.path.join(cache_directory(settings), "downloads", sha256[:2], sha256)


def _hash_file(path: str) -> tuple[str, int]:
    state, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while data := file.read(_CHUNK):
            state.update(data)
            size += len(data)
    return state.hexdigest(), size


def _copy(source: str, destination: str) -> None:
    import shutil

    with contextlib.suppress(FileNotFoundError):
        os.unlink(destination)
    shutil.copyfile(source, destination)


def _take_kept(sha256: str, destination: str, settings: FetchSettings) -> bool:
    """Copies the kept file if it is whole; a damaged one is removed."""
    path = kept_file(sha256, settings)
    try:
        _copy(path, destination)
        if _hash_file(destination)[0] == sha256:
            mark_used(path)
            return True
        os.unlink(path)
    except OSError:
        pass
    return False


def _keep(sha256: str, source: str, settings: FetchSettings) -> None:
    """Another copy for later; failing to keep one is no failure."""
    path = kept_file(sha256, settings)
    temporary = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _copy(source, temporary)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    prune_if_due(settings)


def download_verified(
    uris: Sequence[str],
    sha256: str,
    size: int | None,
    destination: str,
    reporter: Reporter,
    settings: FetchSettings,
) -> None:
    """Makes the file `destination` with this SHA-256 (64 digits), from what was kept or the first address that has it.

    Raises DownloadError where no address gives anything, HashMismatch where all that came is something else.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise FetchError(f"'{sha256}' is not a SHA-256 in hexadecimal digits")
    if _take_kept(sha256, destination, settings):
        return
    failure: FetchError | None = None
    for uri in uris:
        try:
            fetch_any(uri, destination, settings, reporter, maximum=size)
            got, length = _hash_file(destination)
        except OSError as error:
            raise DownloadError(f"writing '{destination}': {error.strerror}") from error
        except DownloadError as error:
            failure = failure or error
            continue
        if got == sha256 and size in (None, length):
            _keep(sha256, destination, settings)
            return
        failure = HashMismatch(f"hash mismatch in '{uri}': specified sha256 {sha256}, got {got} ({length} bytes)")
    with contextlib.suppress(OSError):
        os.unlink(destination)
    if failure is None:
        raise DownloadError("no address to download from is known")
    if isinstance(failure, DownloadError) and failure.status == 404:
        failure.hint = (
            "the archive drops files when newer versions appear; update the locked suite: frazil flake update"
        )
    raise failure
