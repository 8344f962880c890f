"""The serve protocol: numbers and greeting. Spoken by `nix-store --serve`, for `ssh://` stores.

Source of truth: libstore's serve protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from frazil.digest import Hash
from frazil.protocol.errors import ProtocolError
from frazil.protocol.values import (
    MAXIMUM_NAME,
    Dialect,
    read_content_address,
    read_optional_path,
    read_paths,
    read_signatures,
    write_content_address,
    write_optional_path,
    write_paths,
    write_signatures,
)
from frazil.protocol.wire import Reader, Writer
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

CLIENT_MAGIC = 0x390C9DEB
SERVER_MAGIC = 0x5452EECB
LATEST = (2, 8)
_OLDEST_SERVER = (2, 5)


class Command(IntEnum):
    QUERY_VALID_PATHS = 1
    QUERY_PATH_INFOS = 2
    DUMP_STORE_PATH = 3
    IMPORT_PATHS = 4
    BUILD_PATHS = 6
    QUERY_CLOSURE = 7
    BUILD_DERIVATION = 8
    ADD_TO_STORE_NAR = 9


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """Times in seconds, sizes in bytes."""

    max_silent_time: int = 0
    timeout: int = 0
    max_log_size: int = 0
    repeats: int = 0
    enforce_determinism: bool = False
    keep_failed: bool = False


def greet_server(
    reader: Reader, writer: Writer, directory: StoreDirectory, host: str, *, latest: tuple[int, int] = LATEST
) -> Dialect:
    writer.numbers(CLIENT_MAGIC, latest[0] << 8 | latest[1])
    writer.flush()
    if reader.number() != SERVER_MAGIC:
        raise ProtocolError(f"'nix-store --serve' protocol mismatch from '{host}'")
    number = reader.integer()
    theirs = (number >> 8 & 0xFF, number & 0xFF)
    if theirs[0] != 2 or theirs < _OLDEST_SERVER:
        raise ProtocolError(f"unsupported 'nix-store --serve' protocol version on '{host}'")
    return Dialect(directory, min(theirs, latest), serve=True)


def greet_client(
    reader: Reader, writer: Writer, directory: StoreDirectory, *, latest: tuple[int, int] = LATEST
) -> Dialect:
    if reader.number() != CLIENT_MAGIC:
        raise ProtocolError("protocol mismatch")
    writer.numbers(SERVER_MAGIC, latest[0] << 8 | latest[1])
    writer.flush()
    number = reader.integer()
    return Dialect(directory, min((number >> 8 & 0xFF, number & 0xFF), latest), serve=True)


def read_options(reader: Reader, dialect: Dialect) -> BuildOptions:
    version = dialect.version
    silent, timeout = reader.integer(), reader.integer()
    log = reader.number() if version >= (2, 2) else 0
    repeats = enforce = 0
    if version >= (2, 3):
        repeats, enforce = reader.integer(), reader.integer()
    keep = version >= (2, 7) and reader.boolean()
    return BuildOptions(silent, timeout, log, repeats, bool(enforce), keep)


def write_options(writer: Writer, dialect: Dialect, options: BuildOptions) -> None:
    version = dialect.version
    writer.numbers(options.max_silent_time, options.timeout)
    if version >= (2, 2):
        writer.number(options.max_log_size)
    if version >= (2, 3):
        writer.number(options.repeats)
        writer.boolean(options.enforce_determinism)
    if version >= (2, 7):
        writer.boolean(options.keep_failed)


def read_info(reader: Reader, dialect: Dialect, path: StorePath) -> PathInfo:
    directory = dialect.directory
    deriver = read_optional_path(reader, directory)
    references = read_paths(reader, directory)
    reader.number()  # the size of a download
    size = reader.number()
    if dialect.version < (2, 4):
        raise ProtocolError("NAR hash is now mandatory")
    text = reader.text(MAXIMUM_NAME)
    if not text:
        raise ProtocolError("NAR hash is now mandatory")
    address = read_content_address(reader)
    signatures = read_signatures(reader)
    return PathInfo(path, Hash.parse(text), size, references, deriver, signatures=signatures, content_address=address)


def write_info(writer: Writer, dialect: Dialect, info: PathInfo) -> None:
    directory = dialect.directory
    write_optional_path(writer, directory, info.deriver)
    write_paths(writer, directory, info.references)
    writer.numbers(info.nar_size, info.nar_size)
    if dialect.version >= (2, 4):
        writer.text(str(info.nar_hash))
        write_content_address(writer, info.content_address)
        write_signatures(writer, info.signatures)
