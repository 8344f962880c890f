"""Names of images (`registry.example/team/app:1.0`, `…@sha256:…`), and destinations (`oci:FOLDER`, `docker://NAME`).

Source of truth: the grammar of the distribution project's `reference` package; containers-transports(5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from frazil.errors import UsageError

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
DEFAULT_REGISTRY = "docker.io"


@dataclass(frozen=True, slots=True)
class ImageName:
    """`registry`: host and port, or None where none was written."""

    registry: str | None
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageName:
        rest, at, digest = text.partition("@")
        if at and not _DIGEST.fullmatch(digest):
            raise UsageError(f"'{digest}' in '{text}' is not a digest", hint="a digest is sha256: and 64 digits")
        first, slash, below = rest.partition("/")
        registry: str | None = None
        if slash and ("." in first or ":" in first or first == "localhost"):
            if not _HOST.fullmatch(first):
                raise UsageError(f"'{first}' in '{text}' is not a registry")
            registry, rest = first, below
        repository, colon, tag = rest.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise UsageError(f"'{tag}' in '{text}' is not a tag")
        if not _REPOSITORY.fullmatch(repository):
            lower = repository != repository.lower() and _REPOSITORY.fullmatch(repository.lower())
            hint = f"names are in lower case: {text.lower()}" if lower else None
            raise UsageError(f"'{text}' is not the name of an image", hint=hint)
        return cls(registry, repository, tag or None, digest or None)

    def at(self, digest: str) -> ImageName:
        """What is there under the digest; the tag stays what it is called here."""
        return ImageName(self.registry, self.repository, self.tag, digest)

    @property
    def host(self) -> str:
        registry = self.registry or DEFAULT_REGISTRY
        return "registry-1.docker.io" if registry in ("docker.io", "index.docker.io") else registry

    @property
    def path(self) -> str:
        """The repository as the registry knows it."""
        if self.host == "registry-1.docker.io" and "/" not in self.repository:
            return "library/" + self.repository
        return self.repository

    @property
    def wanted(self) -> str:
        """What is asked for in a manifest's address."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        text = f"{self.registry}/{self.repository}" if self.registry else self.repository
        if self.tag:
            text += ":" + self.tag
        return f"{text}@{self.digest}" if self.digest else text


@dataclass(frozen=True, slots=True)
class Destination:
    """`kind`: oci, docker-archive, registry, podman or docker. `name`: of a registry, else what the image is called."""

    kind: str
    path: str = ""
    name: ImageName | None = None

    @classmethod
    def parse(cls, text: str) -> Destination:
        kind, colon, rest = text.partition(":")
        if kind == "docker" and rest.startswith("//"):
            return cls("registry", name=ImageName.parse(rest[2:]))
        if kind in ("oci", "docker-archive") and rest:
            path, colon, name = rest.partition(":")
            if kind == "oci" and colon:  # only a tag, or a whole name
                if not _TAG.fullmatch(name):
                    return cls(kind, path, ImageName.parse(name))
                return cls(kind, path, ImageName(None, "image", name))
            return cls(kind, path, ImageName.parse(name) if colon else None)
        if kind in ("podman", "containers-storage", "docker", "docker-daemon"):
            engine = "podman" if kind in ("podman", "containers-storage") else "docker"
            return cls(engine, name=ImageName.parse(rest) if rest else None)
        raise UsageError(
            f"'{text}' is not where an image can go",
            hint="oci:FOLDER, docker-archive:FILE, docker://REGISTRY/NAME:TAG, podman: or docker:",
        )
