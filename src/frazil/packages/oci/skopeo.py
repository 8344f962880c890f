"""`skopeo` with one more kind of source, `nix:FILE`: an image that is described (see `described`).

The image is offered on loopback (see `serve`) while skopeo runs; everything else is skopeo's.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence

from .builder import say
from .described import open_described
from .errors import OciError
from .serve import ImageServer

_PREFIX = "nix:"
_INSECURE = {"copy": "--src-tls-verify=false", "inspect": "--tls-verify=false"}


def run(program: str, arguments: Sequence[str]) -> int:
    """skopeo's exit status. Raises OciError."""
    own = [number for number, argument in enumerate(arguments) if argument.startswith(_PREFIX)]
    if not own:
        return subprocess.run([program, *arguments]).returncode
    command = next((argument for argument in arguments if argument in _INSECURE), None)
    if len(own) > 1 or command is None:
        raise OciError("nix:FILE is a source of 'copy' and 'inspect'")
    path = os.path.realpath(arguments[own[0]].removeprefix(_PREFIX))
    image = open_described(path)
    layers = [(packed.descriptor, send) for packed, send in zip(image.packed, image.senders(), strict=True)]
    with ImageServer(image.config, layers) as server:
        words = list(arguments)
        words[own[0]] = f"docker://{server.host}/{server.name}:latest"
        words.insert(words.index(command) + 1, _INSECURE[command])
        status = _wait(subprocess.Popen([program, *words]))
    if server.failure is not None:
        raise server.failure
    if command == "copy" and not status:
        total = sum(server.sent.values())
        say(f"{len(server.sent)} of {len(layers)} layers were made and sent ({total} bytes)")
    return status


def _wait(process: subprocess.Popen[bytes]) -> int:
    """An interrupt reaches skopeo from the terminal; its end is awaited."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
