"""The worker protocol: numbers, versions, and the greeting. Spoken over the daemon's socket and by `ssh-ng://`.

Both sides say hello with a magic number and their version, and speak the older one; from 1.38 on they also tell the
names of features they have, and use those that both do. Source of truth: libstore's worker protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from frazil.protocol.errors import ProtocolError
from frazil.protocol.values import REALISATION_WITH_PATH, Dialect
from frazil.protocol.wire import Reader, Writer
from frazil.store.path import StoreDirectory

CLIENT_MAGIC = 0x6E697863
SERVER_MAGIC = 0x6478696F
LATEST = (1, 38)
MINIMUM = (1, 18)
_OLDEST_PEER = (1, 10)

DELETE_REFERRERS = "delete-dead-specific-referrers"
NO_SET_OPTIONS = "disable-set-options"
ADD_SCANNING = "add-to-store-scanning"
SUBMIT_OUTPUT = "submit-output"
SERVER_FEATURES = frozenset({REALISATION_WITH_PATH, DELETE_REFERRERS})
CLIENT_FEATURES = SERVER_FEATURES | {NO_SET_OPTIONS, ADD_SCANNING, SUBMIT_OUTPUT}
RECURSIVE_FEATURES = SERVER_FEATURES | {NO_SET_OPTIONS, ADD_SCANNING}
"""What a builder's own daemon can do."""
SUBMITTING_FEATURES = frozenset({REALISATION_WITH_PATH, NO_SET_OPTIONS, ADD_SCANNING, SUBMIT_OUTPUT})
"""The same for a builder that hands in its outputs (`builder-rpc-v0`): visible to builders, so fixed for ever."""
MAXIMUM_FEATURES = 1 << 10


class Stderr(IntEnum):
    """What a server may send before its reply."""

    NEXT = 0x6F6C6D67
    READ = 0x64617461
    WRITE = 0x64617416
    LAST = 0x616C7473
    ERROR = 0x63787470
    START_ACTIVITY = 0x53545254
    STOP_ACTIVITY = 0x53544F50
    RESULT = 0x52534C54


class Op(IntEnum):
    """What a client may ask for. Numbers that are missing belonged to requests of long ago."""

    IS_VALID_PATH = 1
    QUERY_REFERRERS = 6
    ADD_TO_STORE = 7
    ADD_TEXT_TO_STORE = 8
    BUILD_PATHS = 9
    ENSURE_PATH = 10
    ADD_TEMP_ROOT = 11
    ADD_INDIRECT_ROOT = 12
    SYNC_WITH_GC = 13
    FIND_ROOTS = 14
    QUERY_DERIVER = 18
    SET_OPTIONS = 19
    COLLECT_GARBAGE = 20
    QUERY_SUBSTITUTABLE_PATH_INFO = 21
    QUERY_DERIVATION_OUTPUTS = 22
    QUERY_ALL_VALID_PATHS = 23
    QUERY_PATH_INFO = 26
    QUERY_DERIVATION_OUTPUT_NAMES = 28
    QUERY_PATH_FROM_HASH_PART = 29
    QUERY_SUBSTITUTABLE_PATH_INFOS = 30
    QUERY_VALID_PATHS = 31
    QUERY_SUBSTITUTABLE_PATHS = 32
    QUERY_VALID_DERIVERS = 33
    OPTIMISE_STORE = 34
    VERIFY_STORE = 35
    BUILD_DERIVATION = 36
    ADD_SIGNATURES = 37
    NAR_FROM_PATH = 38
    ADD_TO_STORE_NAR = 39
    QUERY_MISSING = 40
    QUERY_DERIVATION_OUTPUT_MAP = 41
    REGISTER_DRV_OUTPUT = 42
    QUERY_REALISATION = 43
    ADD_MULTIPLE_TO_STORE = 44
    ADD_BUILD_LOG = 45
    BUILD_PATHS_WITH_RESULTS = 46
    ADD_PERM_ROOT = 47
    SUBMIT_OUTPUT = 1000
    ADD_TO_STORE_SCANNING = 1001


BUILD_MODES = ("normal", "repair", "check")
"""By their number."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server tells of itself. `trusts_us`: None where it does not say."""

    nix_version: str | None = None
    trusts_us: bool | None = None


def _version(number: int) -> tuple[int, int]:
    return (number & 0xFF00) >> 8, number & 0xFF


def _number(version: tuple[int, int]) -> int:
    return version[0] << 8 | version[1]


def _read_features(reader: Reader) -> frozenset[str]:
    count = reader.bounded(MAXIMUM_FEATURES, "number of features")
    return frozenset([reader.text(4096) for _ in range(count)])


def greet_server(
    reader: Reader,
    writer: Writer,
    directory: StoreDirectory,
    *,
    latest: tuple[int, int] = LATEST,
    features: frozenset[str] = CLIENT_FEATURES,
) -> tuple[Dialect, ServerInfo]:
    """The client's part of the greeting, up to the server's first word about its start (`Stderr.LAST`, or an error)."""
    writer.numbers(CLIENT_MAGIC, _number(latest))
    writer.flush()
    if reader.number() != SERVER_MAGIC:
        raise ProtocolError("nix-daemon protocol mismatch")
    theirs = _version(reader.integer())
    if theirs[0] != LATEST[0]:
        raise ProtocolError("Nix daemon protocol version not supported")
    version = min(theirs, latest)
    if version < MINIMUM:
        raise ProtocolError("the Nix daemon version is too old")
    common: frozenset[str] = frozenset()
    if version >= (1, 38):
        writer.texts(sorted(features))
        writer.flush()
        common = _read_features(reader) & features
    writer.numbers(0, 0)  # processor affinity and reserved space, of long ago
    writer.flush()
    nix_version = reader.text(4096) if version >= (1, 33) else None
    trusts = None
    if version >= (1, 35):
        trusts = (None, True, False)[reader.tag(2, "trusted status from remote")]
    return Dialect(directory, version, common), ServerInfo(nix_version, trusts)


def greet_client(
    reader: Reader,
    writer: Writer,
    directory: StoreDirectory,
    info: ServerInfo,
    *,
    latest: tuple[int, int] = LATEST,
    features: frozenset[str] = SERVER_FEATURES,
) -> Dialect:
    """The server's part of the greeting; what it says of its start comes next."""
    if reader.number() != CLIENT_MAGIC:
        raise ProtocolError("protocol mismatch")
    writer.numbers(SERVER_MAGIC, _number(latest))
    writer.flush()
    theirs = _version(reader.integer())
    version = min(theirs, latest)
    common: frozenset[str] = frozenset()
    if version >= (1, 38):
        common = _read_features(reader) & features
        writer.texts(sorted(features))
        writer.flush()
    if version < MINIMUM:
        raise ProtocolError("the Nix client version is too old")
    if reader.integer():  # processor affinity
        reader.integer()
    reader.integer()  # reserved space
    if version >= (1, 33):
        writer.text(info.nix_version or "")
    if version >= (1, 35):
        writer.number(0 if info.trusts_us is None else 1 if info.trusts_us else 2)
    return Dialect(directory, version, common)


# -- what servers say while they work ------------------------------------------------------------------------------

MAXIMUM_FIELDS = 1 << 10
MAXIMUM_TRACES = 1 << 16


def read_fields(reader: Reader) -> list[int | str]:
    """The details of an activity or a result."""
    found: list[int | str] = []
    for _ in range(reader.bounded(MAXIMUM_FIELDS, "number of fields")):
        kind = reader.number()
        if kind > 1:
            raise ProtocolError(f"got unsupported field type {kind:x} from Nix daemon")
        found.append(reader.text() if kind else reader.number())
    return found


def write_fields(writer: Writer, fields: tuple[int | str, ...] | list[int | str]) -> None:
    writer.number(len(fields))
    for value in fields:
        if isinstance(value, str):
            writer.number(1)
            writer.text(value)
        else:
            writer.number(0)
            writer.signed(value)


def read_error(reader: Reader) -> tuple[str, list[str]]:
    """(message, what was being done, innermost first), as sent from 1.26 on."""
    kind = reader.text(4096)
    if kind != "Error":
        raise ProtocolError(f"unexpected error type '{kind}'")
    reader.integer()  # its level
    reader.text()  # a name, of long ago
    message = reader.text()
    if reader.number():
        raise ProtocolError("deserializing error positions is not supported")
    traces = []
    for _ in range(reader.bounded(MAXIMUM_TRACES, "number of traces")):
        if reader.number():
            raise ProtocolError("deserializing error positions is not supported")
        traces.append(reader.text())
    return message, traces


def write_error(writer: Writer, message: str, traces: list[str]) -> None:
    writer.text("Error")
    writer.number(0)
    writer.text("Error")
    writer.text(message)
    writer.number(0)
    writer.number(len(traces))
    for text in traces:
        writer.number(0)
        writer.text(text)
