"""The builder `builtin:fetchurl`: one URL to one output.

In: the attributes `url`, `unpack` ("1": the bytes are a NAR, compressed if the URL ends in `.xz`) and `executable`;
URLs `file:`, `http:`, `https:` and `mirror://debian/PATH`. Out: `out`, whose hash the caller checks. Source of truth:
libstore's `fetchurl`, the settings `hashed-mirrors`, `netrc-file`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from frazil.activity import Field, Reporter, ResultType, Started, Verbosity
from frazil.build.builtin import BuiltinContext, BuiltinFailed
from frazil.store.derivation import Fixed

if TYPE_CHECKING:
    from frazil.fetch.settings import FetchSettings


class LogReporter(Reporter):
    """Writes `@nix {…}` lines to the build log, which the parent turns back into events."""

    def _write(self, message: dict[str, object]) -> None:
        import json

        data = b"@nix " + json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(2, data) :]

    def log(self, level: Verbosity, text: str) -> None:
        self._write({"action": "msg", "level": int(level), "msg": text})

    def start(self, activity: Started) -> None:
        self._write(activity.record())

    def result(self, identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        self._write({"action": "result", "id": identifier, "type": int(kind), "fields": list(fields)})

    def stop(self, identifier: int) -> None:
        self._write({"action": "stop", "id": identifier})


def _hashed_urls(context: BuiltinContext) -> list[str]:
    output = context.derivation.outputs["out"]
    if not isinstance(output, Fixed) or output.content_address.method != "flat":
        return []
    digest = output.content_address.hash
    return [f"{mirror.rstrip('/')}/{digest.algorithm}/{digest.base16}" for mirror in context.hashed_mirrors]


def _sha256(context: BuiltinContext) -> str | None:
    """The promised SHA-256 of the file itself, where that is what was promised."""
    output = context.derivation.outputs["out"]
    if isinstance(output, Fixed) and output.content_address.method == "flat":
        digest = output.content_address.hash
        return digest.base16 if digest.algorithm == "sha256" else None
    return None


def _fetch_from_mirror(
    context: BuiltinContext, url: str, destination: str, settings: FetchSettings, reporter: LogReporter
) -> None:
    from frazil.fetch.archive_transfer import download_verified, fetch_any
    from frazil.fetch.debian import resolve_mirror
    from frazil.fetch.errors import HashMismatch

    addresses = resolve_mirror(url, settings)
    wanted = _sha256(context)
    if wanted is None:
        fetch_any(addresses[0], destination, settings, reporter)
        return
    try:
        download_verified(addresses, wanted, None, destination, reporter, settings)
    except HashMismatch:
        # What came instead goes to the caller, whose message shows both hashes.
        fetch_any(addresses[0], destination, settings, reporter)


def _fetch(context: BuiltinContext, url: str, destination: str, settings: FetchSettings, reporter: LogReporter) -> None:
    from frazil.fetch.download import download

    if url.startswith("mirror://"):
        _fetch_from_mirror(context, url, destination, settings, reporter)
    else:
        download(url, destination, settings, reporter)


def _fetch_hashed(context: BuiltinContext, destination: str, settings: FetchSettings, reporter: LogReporter) -> bool:
    from frazil.fetch.errors import FetchError

    for url in _hashed_urls(context):
        try:
            _fetch(context, url, destination, settings, reporter)
            return True
        except FetchError as error:
            reporter.log(Verbosity.DEBUG, error.message)
    return False


def _unpack(source: str, destination: str, compressed: bool) -> None:
    from frazil.store.nar import restore

    if not compressed:
        with open(source, "rb") as file:
            restore(file.read, destination)
        return
    import lzma

    try:
        with lzma.open(source, "rb") as unpacked:
            restore(unpacked.read, destination)
    except (lzma.LZMAError, EOFError) as error:
        raise BuiltinFailed(f"cannot decompress what was fetched: {error}") from error


def build(context: BuiltinContext) -> None:
    if "out" not in context.derivation.outputs:
        raise BuiltinFailed("'builtin:fetchurl' requires an 'out' output")
    if context.derivation.type().kind not in ("fixed", "impure"):
        raise BuiltinFailed("'builtin:fetchurl' must be a fixed-output or impure derivation")
    url = context.attribute("url")
    unpack = context.environment.get("unpack") == "1"
    real_out = context.real_output()
    destination = f"{context.temporary_directory}/download" if unpack else real_out
    settings, reporter = context.fetch_settings, LogReporter()
    if not _fetch_hashed(context, destination, settings, reporter):
        _fetch(context, url, destination, settings, reporter)
    if unpack:
        _unpack(destination, real_out, url.endswith(".xz"))
    mode = 0o755 if context.environment.get("executable") == "1" else 0o644
    if os.path.isfile(real_out) and not os.path.islink(real_out) and (not unpack or mode == 0o755):
        os.chmod(real_out, mode)
