"""`__recursive`: the daemon of one build, run by a scheduler and not by people. See `frazil.build.recursive`."""

from __future__ import annotations

import sys

from frazil.cli.context import Context
from frazil.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.daemon.keeper import KeeperClient

_MAXIMUM = 1 << 30
_NOT_TAKEN = frozenset({"warn-short-path-literals", "plugin-files", "store"})


def run_recursive(context: Context, words: list[str]) -> int:
    import json
    import socket

    from frazil.cli.daemon_commands import SettingsHost, load_what_clients_need
    from frazil.daemon.keeper import Keeper
    from frazil.daemon.restricted import RestrictedServer
    from frazil.protocol.wire import Input, Output
    from frazil.store.path import StorePath

    if words or sys.stdin.isatty():
        raise UsageError("this command is started by builds")
    document = json.loads(sys.stdin.buffer.read(_MAXIMUM))
    _take_settings(context, document)
    sockets = {name: socket.socket(fileno=number) for name, number in document["descriptors"].items()}
    for sock in sockets.values():
        sock.set_inheritable(False)
    load_what_clients_need()
    submitting = bool(document["submitting"])

    def serve(descriptor: int, keeper: KeeperClient) -> None:
        host = SettingsHost(context)
        RestrictedServer(Input(descriptor), Output(descriptor), host, keeper, submitting=submitting).run()
        context.close()

    config = context.store_config
    Keeper(
        directory=context.directory,
        real_store_dir=config.real_store_dir,
        state_dir=config.state_dir,
        inputs=frozenset(map(StorePath.from_base, document["inputs"])),
        scratch=document["scratch"],
        serve=serve,
        **sockets,
    ).run()
    return 0


def _take_settings(context: Context, document: dict[str, object]) -> None:
    settings = context.settings
    pairs = document["settings"]
    assert isinstance(pairs, list)
    for name, value in pairs:
        if name in _NOT_TAKEN or settings.values.get(name) == value:
            continue
        try:
            settings.set(name, value)
        except UsageError as error:
            context.warn(error.message)
    settings.set("store", str(document["store"]))
