"""Who we are to a registry, as container programs know it: `auth.json`, `config.json`, credential helpers.

Source of truth: containers-auth.json(5); Docker's credential helper protocol. Secrets go to the registry and its token
server alone, and into no message.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from frazil.image.errors import ImageError

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Credentials:
    """`token`: an identity token, which stands for both."""

    user: str
    password: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def _files(environment: Mapping[str, str]) -> Iterator[str]:
    explicit = environment.get("REGISTRY_AUTH_FILE")
    if explicit:
        yield explicit
        return
    home = environment.get("HOME") or os.path.expanduser("~")
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime:
        yield os.path.join(runtime, "containers/auth.json")
    else:
        yield f"/run/containers/{os.getuid()}/auth.json"
    config = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    yield os.path.join(config, "containers/auth.json")
    yield os.path.join(environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json")


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ImageError(f"cannot read '{path}': {error.strerror}") from error
    except ValueError as error:
        raise ImageError(f"'{path}' is not JSON", hint="log in again, for example with podman login") from error
    return found if isinstance(found, dict) else None


def _keys(registry: str, repository: str) -> Iterator[str]:
    """The most particular first: `host/team/app`, `host/team`, `host`, and how Docker calls its own."""
    parts = repository.split("/")
    for count in range(len(parts), 0, -1):
        yield f"{registry}/{'/'.join(parts[:count])}"
    yield registry
    if registry == "registry-1.docker.io":
        yield from ("docker.io", "index.docker.io", "https://index.docker.io/v1/")
    yield from (f"https://{registry}", f"https://{registry}/v2/", f"https://{registry}/v1/")


def find_credentials(
    registry: str, repository: str, environment: Mapping[str, str] | None = None
) -> Credentials | None:
    """None: nobody in particular. Raises ImageError for files and helpers that fail."""
    environment = os.environ if environment is None else environment
    for path in _files(environment):
        content = _read(path)
        if content is None:
            continue
        helpers = content.get("credHelpers")
        auths = content.get("auths")
        for key in _keys(registry, repository):
            if isinstance(helpers, dict) and isinstance(helpers.get(key), str):
                found = _ask_helper(helpers[key], key, environment)
                if found is not None:
                    return found
            if isinstance(auths, dict) and isinstance(auths.get(key), dict):
                found = _decode(auths[key], path)
                if found is not None:
                    return found
        store = content.get("credsStore")
        if isinstance(store, str) and store:
            found = _ask_helper(store, registry, environment)
            if found is not None:
                return found
    return None


def _decode(entry: dict[str, Any], path: str) -> Credentials | None:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials("<token>", "", token)
    text = entry.get("auth")
    if not isinstance(text, str) or not text:
        return None
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise ImageError(f"'{path}' has credentials that cannot be read", hint="log in again")
    return Credentials(user, password.rstrip("\0"))


def _ask_helper(name: str, server: str, environment: Mapping[str, str]) -> Credentials | None:
    import subprocess

    if "/" in name:
        raise ImageError(f"'{name}' is not the name of a credential helper")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"], input=server.encode(), capture_output=True, env=dict(environment), timeout=60
        )
    except FileNotFoundError:
        raise ImageError(f"the credential helper '{program}' is not there") from None
    except subprocess.TimeoutExpired:
        raise ImageError(f"the credential helper '{program}' does not answer") from None
    if done.returncode:
        if b"not found" in done.stdout + done.stderr:
            return None
        message = (done.stderr or done.stdout).decode(errors="replace").strip()[:300]
        raise ImageError(f"the credential helper '{program}' failed: {message}")
    try:
        answer = json.loads(done.stdout)
        user, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        raise ImageError(f"the credential helper '{program}' answers something else than credentials") from None
    return Credentials(user, "", secret) if user == "<token>" else Credentials(user, secret)
