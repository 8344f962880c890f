"""Podman and Docker: images go in.

In: an engine's command line, an image. Out: what the engine calls it. An engine fetches an image that is offered on
loopback, and so only what it lacks; one that cannot is given an archive on standard input.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from frazil.image.errors import ImageError, translated
from frazil.image.prepared import Offer
from frazil.packages.oci.image import Image, Packed, describe, write_docker_archive
from frazil.packages.oci.read import StoredImage


def find_engine(wanted: str | None) -> list[str]:
    """The command line: `wanted` (which may have options), else Podman, else Docker. Raises ImageError."""
    if wanted:
        try:
            words = shlex.split(wanted)
        except ValueError as error:
            raise ImageError(f"'{wanted}' is not a command line: {error}") from error
        if not words or shutil.which(words[0]) is None:
            raise ImageError(f"the program '{words[0] if words else ''}' is not there")
        return words
    for name in ("podman", "docker"):
        if shutil.which(name):
            return [name]
    raise ImageError(
        "neither Podman nor Docker is there", hint="install one, or name one: --engine 'podman --root FOLDER'"
    )


def as_archive(image: StoredImage) -> Image:
    """A stored image as one to be written."""
    from frazil.packages.oci.image import Described

    layers = [Described(layer, "layer", layer.diff_id.partition(":")[2]) for layer in image.layers]
    found = _Exact(image.config.get("config") or {}, str(image.config.get("architecture")), "", layers)
    found.exact = image.config_bytes
    return found


class _Exact(Image):
    """Keeps its configuration to the byte, and so its identity."""

    exact: bytes = b""

    def config_json(self, diff_ids: Sequence[str]) -> bytes:
        return self.exact


@dataclass(frozen=True, slots=True)
class Loaded:
    """`sent`, `bytes_sent`: layers that the engine lacked."""

    identity: str
    layers: int
    sent: int
    bytes_sent: int


def knows_layers_of_archives(engine: Sequence[str]) -> bool:
    return not os.path.basename(engine[0]).startswith("docker")


def fetch(engine: Sequence[str], offer: Offer, name: str) -> Loaded | None:
    """Has the engine fetch what it lacks of the image; None where it cannot, and nothing was changed."""
    from frazil.packages.oci.errors import OciError
    from frazil.packages.oci.serve import ImageServer

    kind = os.path.basename(engine[0])
    if not kind.startswith(("podman", "docker")):
        return None
    identity = describe("", offer.config).digest
    if has_image(engine, identity):
        tag(engine, identity, name)
        return Loaded(identity, len(offer.layers), 0, 0)
    options = ["--tls-verify=false"] if kind.startswith("podman") else []
    with ImageServer(offer.config, offer.layers) as server:
        done = subprocess.run([*engine, "pull", "-q", *options, server.reference], capture_output=True)
    if isinstance(server.failure, OciError):
        with translated():
            raise server.failure
    if done.returncode or not has_image(engine, identity):
        return None
    tag(engine, identity, name)
    # Else the image keeps the name it was fetched by.
    forget = ["untag", identity.partition(":")[2]] if kind.startswith("podman") else ["rmi", "--no-prune"]
    subprocess.run([*engine, *forget, server.reference], capture_output=True)
    return Loaded(identity, len(offer.layers), len(server.sent), sum(server.sent.values()))


def load(engine: Sequence[str], image: Image, name: str, learned: list[Packed] | None = None) -> str:
    """Gives the image to the engine under this name. Returns its ID. Raises ImageError."""
    import tempfile

    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*engine, "load"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors, bufsize=1 << 20
        )
        identity = ""
        assert process.stdin is not None
        try:
            try:
                with translated():
                    identity = _write(image, process.stdin, name, learned)
            finally:
                try:
                    process.stdin.close()
                except BrokenPipeError:
                    identity = ""
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.wait()
        errors.seek(max(0, errors.seek(0, 2) - 2000))
        text = errors.read().decode(errors="replace").strip()
    if process.returncode or not identity:
        raise ImageError(f"'{' '.join(engine)} load' failed: {text or process.returncode}")
    return identity


def _write(image: Image, output: IO[bytes], name: str, learned: list[Packed] | None) -> str:
    """Empty where the engine stopped reading: what it says is more to the point."""
    try:
        return write_docker_archive(image, output.write, [name], learned=learned, file=output)
    except BrokenPipeError:
        return ""


def has_image(engine: Sequence[str], identity: str) -> bool:
    done = subprocess.run(
        [*engine, "image", "inspect", identity.partition(":")[2]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return done.returncode == 0


def tag(engine: Sequence[str], identity: str, name: str) -> None:
    done = subprocess.run([*engine, "tag", identity.partition(":")[2], name], capture_output=True, text=True)
    if done.returncode:
        raise ImageError(f"'{' '.join(engine)} tag' failed: {done.stderr.strip()}")
