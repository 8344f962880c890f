"""Values of a store as both protocols write them: paths, path infos, derivations, build results, realisations.

In: a `Reader` or `Writer`, the logical store directory, and the version agreed on. Out: checked values. What depends on
the protocol and its version is said by a `Dialect`. Source of truth: libstore's serialisers, whose names these have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from frazil.digest import Hash
from frazil.protocol.errors import ProtocolError
from frazil.protocol.wire import Reader, Writer
from frazil.store.content_address import (
    METHOD_PREFIXES,
    ContentAddress,
    check_algorithm,
    parse_method_algorithm,
)
from frazil.store.derivation import Derivation, output_fields, parse_output
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath, OutputsSpec
from frazil.store.errors import FormatError
from frazil.store.path import StoreDirectory, StorePath
from frazil.store.path_info import PathInfo

MAXIMUM_PATH = 4096
"""The longest text that may be a store path, with what may follow it."""
MAXIMUM_NAME = 1 << 16
MAXIMUM_DERIVED_PATH = 1 << 20
REALISATION_WITH_PATH = "realisation-with-path-not-hash"
DUMMY_HASH = "sha256:" + "0" * 64
"""Stands in older replies where derivations had a hash of their own."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which protocol and version two peers speak. `serve`: that of `nix-store --serve`."""

    directory: StoreDirectory
    version: tuple[int, int]
    features: frozenset[str] = frozenset()
    serve: bool = False

    @property
    def has_realisations(self) -> bool:
        return self.version >= (2, 8) if self.serve else REALISATION_WITH_PATH in self.features


@dataclass(frozen=True, slots=True)
class Realisation:
    """Where an output of a derivation was found to be."""

    path: StorePath
    signatures: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A build result as it is sent. `status`: the protocol's number; an error has a `message`."""

    status: int
    message: str = ""
    times_built: int = 0
    is_non_deterministic: bool = False
    start_time: int = 0
    stop_time: int = 0
    cpu_user: int | None = None
    """Microseconds."""
    cpu_system: int | None = None
    outputs: Mapping[str, Realisation] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return self.status in SUCCESSES


BUILT, SUBSTITUTED = 0, 1
SUCCESSES = frozenset({BUILT, SUBSTITUTED, 2, 13})
MAXIMUM_STATUS = 14
MAXIMUM_ARCHIVE = (1 << 63) - 1
_OUTPUT_REJECTED, _HASH_MISMATCH = 5, 15


# -- paths ---------------------------------------------------------------------------------------------------------


def read_path(reader: Reader, directory: StoreDirectory) -> StorePath:
    return directory.parse(reader.text(MAXIMUM_PATH))


def read_optional_path(reader: Reader, directory: StoreDirectory) -> StorePath | None:
    text = reader.text(MAXIMUM_PATH)
    return directory.parse(text) if text else None


def write_optional_path(writer: Writer, directory: StoreDirectory, path: StorePath | None) -> None:
    writer.text("" if path is None else directory.show(path))


def read_paths(reader: Reader, directory: StoreDirectory) -> frozenset[StorePath]:
    parse, text = directory.parse, reader.text
    return frozenset([parse(text(MAXIMUM_PATH)) for _ in range(reader.count())])


def write_paths(writer: Writer, directory: StoreDirectory, paths: Iterable[StorePath]) -> None:
    """In the order of their base names, as a set in Nix."""
    show = directory.show
    writer.texts([show(path) for path in sorted(paths)])


def read_derived_path(reader: Reader, dialect: Dialect) -> DerivedPath:
    """`PATH!out,dev`; before 1.30 a derivation without outputs means all of them."""
    text = reader.text(MAXIMUM_DERIVED_PATH)
    found = DerivedPath.parse(text, dialect.directory, "!")
    is_old = dialect.serve or dialect.version < (1, 30)
    if is_old and found.outputs is None and found.base.is_derivation:
        return DerivedPath(found.base, ALL_OUTPUTS)
    return found


def write_derived_path(writer: Writer, dialect: Dialect, path: DerivedPath) -> None:
    """Raises ProtocolError for what older protocols cannot say."""
    is_old = dialect.serve or dialect.version < (1, 30)
    if is_old and path.through:
        raise ProtocolError(
            "wanted to build a derivation that is itself a build product, but protocols do not support that. "
            "Try upgrading the Nix on the other end of this connection"
        )
    if is_old and path.outputs is None and path.base.is_derivation:
        shown = dialect.directory.show(path.base)
        major, minor = dialect.version
        raise ProtocolError(
            f"trying to request '{shown}', but daemon protocol {major}.{minor} is too old (< 1.29) to request a "
            "derivation file"
        )
    if is_old and path.outputs == ALL_OUTPUTS:
        writer.text(dialect.directory.show(path.base))
    else:
        writer.text(path.show(dialect.directory, "!"))


def outputs_spec(names: Iterable[str]) -> OutputsSpec:
    return OutputsSpec(frozenset(names))


# -- path infos ----------------------------------------------------------------------------------------------------


def read_signatures(reader: Reader) -> frozenset[str]:
    return frozenset([reader.text(MAXIMUM_NAME) for _ in range(reader.count())])


def write_signatures(writer: Writer, signatures: Iterable[str]) -> None:
    writer.texts(sorted(signatures))


def read_content_address(reader: Reader) -> ContentAddress | None:
    text = reader.text(MAXIMUM_NAME)
    return ContentAddress.parse(text) if text else None


def write_content_address(writer: Writer, address: ContentAddress | None) -> None:
    writer.text("" if address is None else str(address))


def show_method(method: str, algorithm: str) -> str:
    """`fixed:r:sha256`, `text:sha256`: a content address without its hash."""
    prefix = "" if method == "text" else "fixed:"
    return f"{prefix}{METHOD_PREFIXES[method]}{algorithm}"


def parse_method(text: str) -> tuple[str, str]:
    """(method, algorithm) from what `show_method` gives. Raises FormatError."""
    prefix, mark, rest = text.partition(":")
    if mark and prefix == "text":
        return "text", check_algorithm(rest)
    if not mark or prefix != "fixed":
        raise FormatError(
            f"content address prefix '{prefix}' is unrecognized. Recogonized prefixes are 'text' or 'fixed'"
        )
    return parse_method_algorithm(rest)


def read_hash(reader: Reader) -> Hash:
    return Hash.parse(reader.text(MAXIMUM_NAME), "sha256")


def read_info(reader: Reader, dialect: Dialect, path: StorePath) -> PathInfo:
    """What follows the path itself, in the worker protocol."""
    directory = dialect.directory
    deriver = read_optional_path(reader, directory)
    nar_hash = read_hash(reader)
    references = read_paths(reader, directory)
    registered, size = reader.signed(), reader.number()
    ultimate, signatures, address = False, frozenset[str](), None
    if dialect.version >= (1, 16):
        ultimate = reader.boolean()
        signatures = read_signatures(reader)
        address = read_content_address(reader)
    return PathInfo(path, nar_hash, size, references, deriver, registered, ultimate, signatures, address)


def read_added_info(reader: Reader, directory: StoreDirectory) -> PathInfo:
    """What is said of an archive that is about to come."""
    info = read_info(reader, Dialect(directory, (1, 16)), read_path(reader, directory))
    if info.nar_size > MAXIMUM_ARCHIVE:
        raise ProtocolError(f"size of an archive {info.nar_size} is out of range")
    return info


def write_added_info(writer: Writer, directory: StoreDirectory, info: PathInfo) -> None:
    writer.text(directory.show(info.path))
    write_info(writer, Dialect(directory, (1, 16)), info)


def write_info(writer: Writer, dialect: Dialect, info: PathInfo) -> None:
    directory = dialect.directory
    write_optional_path(writer, directory, info.deriver)
    writer.text(info.nar_hash.base16)
    write_paths(writer, directory, info.references)
    writer.signed(info.registration_time)
    writer.number(info.nar_size)
    if dialect.version >= (1, 16):
        writer.boolean(info.ultimate)
        write_signatures(writer, info.signatures)
        write_content_address(writer, info.content_address)


# -- realisations and build results --------------------------------------------------------------------------------


def read_realisation(reader: Reader, dialect: Dialect) -> Realisation:
    _need_realisations(dialect, "understand build trace")
    return Realisation(read_path(reader, dialect.directory), read_signatures(reader))


def write_realisation(writer: Writer, dialect: Dialect, realisation: Realisation) -> None:
    _need_realisations(dialect, "understand build trace")
    writer.text(dialect.directory.show(realisation.path))
    write_signatures(writer, realisation.signatures)


def _need_realisations(dialect: Dialect, what: str) -> None:
    if dialect.has_realisations:
        return
    if dialect.serve:
        major, minor = dialect.version
        raise ProtocolError(
            f"serve protocol {major}.{minor} is too old (< 2.8) to support content-addressing derivations"
        )
    raise ProtocolError(f"the daemon is missing the '{REALISATION_WITH_PATH}' protocol feature, needed to {what}")


def read_output_id(reader: Reader, dialect: Dialect) -> tuple[StorePath, str]:
    """Derivation and output name."""
    _need_realisations(dialect, "support content-addressing derivations")
    return read_path(reader, dialect.directory), reader.text(MAXIMUM_NAME)


def write_output_id(writer: Writer, dialect: Dialect, derivation: StorePath, output: str) -> None:
    _need_realisations(dialect, "support content-addressing derivations")
    writer.text(dialect.directory.show(derivation))
    writer.text(output)


def _read_time(reader: Reader) -> int | None:
    return reader.signed() if reader.tag(1, "optional tag from remote") else None


def _write_time(writer: Writer, value: int | None) -> None:
    if value is None:
        writer.number(0)
    else:
        writer.number(1)
        writer.signed(value)


def _has_times(dialect: Dialect) -> bool:
    return dialect.version >= ((2, 3) if dialect.serve else (1, 29))


def _has_old_outputs(dialect: Dialect) -> bool:
    return dialect.version >= ((2, 6) if dialect.serve else (1, 28))


def read_outcome(reader: Reader, dialect: Dialect) -> Outcome:
    status = reader.number()
    if status > MAXIMUM_STATUS:
        raise ProtocolError(f"Invalid BuildResult status {status} from remote")
    message = reader.text()
    times, different, start, stop = 0, False, 0, 0
    user: int | None = None
    system: int | None = None
    if _has_times(dialect):
        times, different = reader.number(), reader.boolean()
        start, stop = reader.signed(), reader.signed()
    if not dialect.serve and dialect.version >= (1, 37):
        user, system = _read_time(reader), _read_time(reader)
    outputs: dict[str, Realisation] = {}
    if dialect.has_realisations:
        for _ in range(reader.count()):
            name = reader.text(MAXIMUM_NAME)
            outputs[name] = read_realisation(reader, dialect)
    elif _has_old_outputs(dialect):
        outputs = _read_old_outputs(reader)
    return Outcome(status, message, times, different, start, stop, user, system, outputs)


def _read_old_outputs(reader: Reader) -> dict[str, Realisation]:
    """`HASH!OUTPUT` → JSON of which only the path still means anything."""
    import json

    outputs = {}
    for _ in range(reader.count()):
        identifier, text = reader.text(MAXIMUM_NAME), reader.text()
        _, mark, name = identifier.partition("!")
        if not mark:
            raise ProtocolError(f"Invalid derivation output id {identifier}")
        try:
            base = json.loads(text)["outPath"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ProtocolError(f"a realisation of '{identifier}' is malformed") from error
        if not isinstance(base, str):
            raise ProtocolError(f"a realisation of '{identifier}' is malformed")
        outputs[name] = Realisation(StorePath.from_base(base))
    return outputs


def write_outcome(writer: Writer, dialect: Dialect, outcome: Outcome) -> None:
    writer.number(_OUTPUT_REJECTED if outcome.status == _HASH_MISMATCH else outcome.status)
    writer.text("" if outcome.succeeded else outcome.message)
    if _has_times(dialect):
        writer.number(outcome.times_built)
        writer.boolean(outcome.is_non_deterministic)
        writer.signed(outcome.start_time)
        writer.signed(outcome.stop_time)
    if not dialect.serve and dialect.version >= (1, 37):
        _write_time(writer, outcome.cpu_user)
        _write_time(writer, outcome.cpu_system)
    outputs = outcome.outputs if outcome.succeeded else {}
    if dialect.has_realisations:
        writer.number(len(outputs))
        for name in sorted(outputs):
            writer.text(name)
            write_realisation(writer, dialect, outputs[name])
    elif _has_old_outputs(dialect):
        writer.number(len(outputs))
        for name in sorted(outputs):
            identifier = f"{DUMMY_HASH}!{name}"
            writer.text(identifier)
            writer.text(f'{{"id":"{identifier}","outPath":"{outputs[name].path.base}"}}')


# -- derivations ---------------------------------------------------------------------------------------------------


def read_derivation(reader: Reader, directory: StoreDirectory, name: str) -> Derivation:
    """A derivation whose inputs are plain store paths. `name`: without `.drv`."""
    outputs = {}
    for _ in range(reader.count()):
        output = reader.byte_text(MAXIMUM_NAME)
        path, method, digest = (reader.byte_text(MAXIMUM_NAME) for _ in range(3))
        outputs[output] = parse_output(name, output, path, method, digest, directory)
    sources = read_paths(reader, directory)
    platform, builder = reader.byte_text(), reader.byte_text()
    arguments = tuple([reader.byte_text() for _ in range(reader.count())])
    environment = {}
    for _ in range(reader.count()):
        key = reader.byte_text()
        environment[key] = reader.byte_text()
    return Derivation(name, outputs, {}, sources, platform, builder, arguments, environment)


def write_derivation(writer: Writer, directory: StoreDirectory, drv: Derivation) -> None:
    """Raises ProtocolError for one whose inputs are still to be built."""
    if drv.input_derivations or drv.dynamic_inputs:
        raise ProtocolError("a derivation must be resolved before it is sent to a builder")
    writer.number(len(drv.outputs))
    for output in sorted(drv.outputs):
        writer.byte_text(output)
        for text in output_fields(drv.outputs[output], directory, drv.name, output):
            writer.byte_text(text)
    write_paths(writer, directory, drv.input_sources)
    writer.byte_text(drv.platform)
    writer.byte_text(drv.builder)
    writer.number(len(drv.arguments))
    for argument in drv.arguments:
        writer.byte_text(argument)
    writer.number(len(drv.environment))
    for key in sorted(drv.environment):
        writer.byte_text(key)
        writer.byte_text(drv.environment[key])
