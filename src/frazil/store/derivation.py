"""Store derivations: what to build, from what, and where the outputs go.

In: ATerm bytes, JSON, or parts given by the evaluator. Out: validated `Derivation`s, their ATerm bytes (byte for byte
as C++ Nix writes them), their store paths. Texts inside are byte strings (one character a byte). Source of truth: the
manual's `protocols/derivation-aterm`, `store/derivation`.
"""

from __future__ import annotations

from frazil._native import sha256, sha256_hex
from frazil.digest import DigestError
from frazil.record import Record
from frazil.store.aterm import quote, quoted_names
from frazil.store.content_address import (
    METHOD_PREFIXES,
    ContentAddress,
    check_algorithm,
    check_method,
    parse_bare_hash,
    parse_method_algorithm,
)
from frazil.store.errors import FormatError, StoreError
from frazil.store.path import DERIVATION_EXTENSION, StoreDirectory, StorePath, output_path_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

STRUCTURED_ATTRIBUTES = "__json"
"""The environment variable that carries structured attributes inside a derivation."""
SUBMITTING = "builder-rpc-v0"
"""The system feature of builders that hand in their outputs."""
MAXIMUM_DYNAMIC_DEPTH = 64
_NO_DYNAMIC: Any = {}


class InputAddressed(Record):
    path: StorePath


class Fixed(Record):
    """An output whose content address is known beforehand."""

    content_address: ContentAddress

    def path(self, directory: StoreDirectory, derivation_name: str, output: str) -> StorePath:
        return self.content_address.store_path(directory, output_path_name(derivation_name, output))


class Floating(Record):
    """Content-addressed, the address known after the build only."""

    method: str
    algorithm: str

    def __init__(self, method: str, algorithm: str) -> None:
        super().__init__(check_method(method), check_algorithm(algorithm))


class Deferred(Record):
    """Input-addressed, but an input's address is not known yet; also "please compute" for `fill_in_output_paths`."""


class Impure(Record):
    """Content-addressed and built anew each time."""

    method: str
    algorithm: str

    def __init__(self, method: str, algorithm: str) -> None:
        super().__init__(check_method(method), check_algorithm(algorithm))


DerivationOutput = InputAddressed | Fixed | Floating | Deferred | Impure


class InputNode(Record):
    """Wanted outputs of an input, and outputs of outputs of it that are derivations themselves."""

    outputs: frozenset[str] = frozenset()
    dynamic: Mapping[str, InputNode] = _NO_DYNAMIC


class DerivationType(Record):
    """`kind`: "input-addressed", "deferred", "fixed", "floating" or "impure"."""

    kind: str

    @property
    def is_content_addressed(self) -> bool:
        return self.kind in ("fixed", "floating", "impure")

    @property
    def is_fixed(self) -> bool:
        return self.kind == "fixed"

    @property
    def has_known_output_paths(self) -> bool:
        return self.kind in ("fixed", "input-addressed")

    @property
    def is_sandboxed(self) -> bool:
        """Whether the network stays shut."""
        return self.kind not in ("fixed", "impure")


class Derivation(Record):
    """`dynamic_inputs`: inputs that are outputs of derivations' outputs; their plain outputs are in
    `input_derivations` all the same."""

    name: str
    outputs: Mapping[str, DerivationOutput]
    input_derivations: Mapping[StorePath, frozenset[str]]
    input_sources: frozenset[StorePath]
    platform: str
    builder: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    dynamic_inputs: Mapping[StorePath, Mapping[str, InputNode]] = _NO_DYNAMIC

    def type(self) -> DerivationType:
        """Raises StoreError where outputs of different kinds are mixed."""
        kinds = {_output_kind(output) for output in self.outputs.values()}
        if not kinds:
            raise StoreError("must have at least one output")
        if len(kinds) > 1:
            raise StoreError("can't mix derivation output types")
        kind = kinds.pop()
        if kind == "fixed":
            if len(self.outputs) > 1:
                raise StoreError("only one fixed output is allowed for now")
            if "out" not in self.outputs:
                raise StoreError('single fixed output must be named "out"')
        if kind == "floating" and len({o.algorithm for o in self.outputs.values() if isinstance(o, Floating)}) > 1:
            raise StoreError("all floating outputs must use the same hash algorithm")
        return DerivationType(kind)

    @property
    def is_builtin(self) -> bool:
        return self.builder.startswith("builtin:")

    def output_paths(self, directory: StoreDirectory) -> dict[str, StorePath | None]:
        """Output name → path, None where it is not known before building."""
        return {name: output_path(output, directory, self.name, name) for name, output in self.outputs.items()}

    def references(self) -> frozenset[StorePath]:
        """What the derivation as a store object refers to."""
        return self.input_sources.union(self.input_derivations, self.dynamic_inputs)

    def input_node(self, path: StorePath) -> InputNode:
        return InputNode(self.input_derivations.get(path, frozenset()), self.dynamic_inputs.get(path, {}))

    def unparse(self, directory: StoreDirectory) -> bytes:
        return _encode(unparse_text(self, directory))

    def store_path(self, directory: StoreDirectory, contents: bytes | None = None) -> StorePath:
        """Where the derivation itself belongs. `contents`: what `unparse` gave, to spare doing it again."""
        digest = sha256(self.unparse(directory) if contents is None else contents)
        return directory.make_text_path(self.name + DERIVATION_EXTENSION, digest, self.references())


def _output_kind(output: DerivationOutput) -> str:
    match output:
        case InputAddressed():
            return "input-addressed"
        case Fixed():
            return "fixed"
        case Floating():
            return "floating"
        case Deferred():
            return "deferred"
        case Impure():
            return "impure"


def output_path(
    output: DerivationOutput, directory: StoreDirectory, derivation_name: str, name: str
) -> StorePath | None:
    if isinstance(output, InputAddressed):
        return output.path
    if isinstance(output, Fixed):
        return output.path(directory, derivation_name, name)
    return None


# ---------------------------------------------------------------------------------------------------- writing ATerms


def _encode(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise FormatError("a derivation's texts must be byte strings") from error


def output_fields(
    output: DerivationOutput, directory: StoreDirectory, derivation_name: str, name: str
) -> tuple[str, str, str]:
    """(path, method and algorithm, hash), as in ATerms and on the wire."""
    match output:
        case InputAddressed(path):
            return directory.show(path), "", ""
        case Fixed(address):
            path = output.path(directory, derivation_name, name)
            return directory.show(path), address.method_algorithm, address.hash.base16
        case Floating(method, algorithm):
            return "", METHOD_PREFIXES[method] + algorithm, ""
        case Impure(method, algorithm):
            return "", METHOD_PREFIXES[method] + algorithm, "impure"
        case Deferred():
            return "", "", ""


def _unparse_node(outputs: frozenset[str], dynamic: Mapping[str, InputNode] | None) -> str:
    if not dynamic:
        return quoted_names(outputs)
    children = ",".join(
        f'("{name}",{_unparse_node(dynamic[name].outputs, dynamic[name].dynamic)})' for name in sorted(dynamic)
    )
    return f"({quoted_names(outputs)},[{children}])"


def _assemble(
    head: str, outputs: str, inputs: str, drv: Derivation, directory: StoreDirectory, environment: str
) -> str:
    sources = quoted_names([directory.show(path) for path in drv.input_sources])
    arguments = ",".join([quote(argument) for argument in drv.arguments])
    return (
        f'{head}[{outputs}],[{inputs}],{sources},"{drv.platform}",{quote(drv.builder)},[{arguments}],[{environment}])'
    )


def _environment_text(environment: Mapping[str, str]) -> str:
    return ",".join([f"({quote(key)},{quote(environment[key])})" for key in sorted(environment)])


def _outputs_text(drv: Derivation, directory: StoreDirectory) -> str:
    return ",".join(
        '("{}","{}","{}","{}")'.format(name, *output_fields(drv.outputs[name], directory, drv.name, name))
        for name in sorted(drv.outputs)
    )


def unparse_text(drv: Derivation, directory: StoreDirectory) -> str:
    """The ATerm as a byte string."""
    dynamic = drv.dynamic_inputs
    show = directory.show
    paths = sorted({*drv.input_derivations, *dynamic}) if dynamic else sorted(drv.input_derivations)
    inputs = ",".join(
        [
            f'("{show(path)}",{_unparse_node(drv.input_derivations.get(path, frozenset()), dynamic.get(path))})'
            for path in paths
        ]
    )
    head = 'DrvWithVersion("xp-dyn-drv",' if any(dynamic.values()) else "Derive("
    return _assemble(head, _outputs_text(drv, directory), inputs, drv, directory, _environment_text(drv.environment))


# ---------------------------------------------------------------------------------------------------- reading ATerms

_STRING = r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_ESCAPE = r"\\(.)"
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


class _Reader:
    """A cursor over an ATerm."""

    __slots__ = ("_escape", "_string", "position", "text")

    def __init__(self, text: str) -> None:
        import re  # evaluation most often reads no derivation

        self.text = text
        self.position = 0
        self._string = re.compile(_STRING, re.S)
        self._escape = re.compile(_ESCAPE, re.S)

    def expect(self, wanted: str) -> None:
        if not self.text.startswith(wanted, self.position):
            raise FormatError(f"expected string '{wanted}'")
        self.position += len(wanted)

    def string(self) -> str:
        match = self._string.match(self.text, self.position)
        if match is None:
            self.expect('"')
            raise FormatError("unterminated string in derivation")
        self.position = match.end()
        text = match[1]
        return self._escape.sub(lambda m: _ESCAPED.get(m[1], m[1]), text) if "\\" in text else text

    def end_of_list(self) -> bool:
        """Nix's own rule, which also lets a list begin or end with a comma."""
        character = self.text[self.position : self.position + 1]
        if character == ",":
            self.position += 1
            return False
        if character == "]":
            self.position += 1
            return True
        return False

    def strings(self) -> list[str]:
        self.expect("[")
        found = []
        while not self.end_of_list():
            found.append(self.string())
        return found


def parse(contents: bytes, name: str, directory: StoreDirectory) -> Derivation:
    """`name`: without `.drv`. Raises FormatError or BadStorePath; never trusts its input."""
    reader = _Reader(contents.decode("latin-1"))
    reader.expect("D")
    if reader.text.startswith("erive(", 1):
        reader.expect("erive(")
        versioned = False
    elif reader.text.startswith("r", 1):
        reader.expect("rvWithVersion(")
        version = reader.string()
        if version != "xp-dyn-drv":
            raise FormatError(f"Unknown derivation ATerm format version '{version}'")
        reader.expect(",")
        versioned = True
    else:
        raise FormatError("derivation does not start with 'Derive' or 'DrvWithVersion'")
    outputs = _parse_outputs(reader, name, directory)
    reader.expect(",")
    inputs, dynamic = _parse_inputs(reader, versioned, directory)
    reader.expect(",")
    sources = frozenset([directory.parse_canonical(text) for text in reader.strings()])
    reader.expect(",")
    platform = reader.string()
    reader.expect(",")
    builder = reader.string()
    reader.expect(",")
    arguments = tuple(reader.strings())
    reader.expect(",")
    environment = _parse_environment(reader)
    reader.expect(")")
    return Derivation(name, outputs, inputs, sources, platform, builder, arguments, environment, dynamic)


def _parse_outputs(reader: _Reader, name: str, directory: StoreDirectory) -> dict[str, DerivationOutput]:
    reader.expect("[")
    outputs: dict[str, DerivationOutput] = {}
    while not reader.end_of_list():
        reader.expect("(")
        fields = []
        for _ in range(3):
            fields.append(reader.string())
            reader.expect(",")
        digest = reader.string()
        reader.expect(")")
        outputs.setdefault(fields[0], parse_output(name, fields[0], fields[1], fields[2], digest, directory))
    return outputs


def parse_output(
    derivation_name: str, output: str, path: str, method_algorithm: str, digest: str, directory: StoreDirectory
) -> DerivationOutput:
    """The three texts of `output_fields`, checked against each other."""
    if not method_algorithm:
        return InputAddressed(directory.parse_canonical(path)) if path else Deferred()
    method, algorithm = parse_method_algorithm(method_algorithm)
    if digest == "impure":
        if path:
            raise FormatError("impure derivation output should not specify output path")
        return Impure(method, algorithm)
    if not digest:
        if path:
            raise FormatError("content-addressing derivation output should not specify output path")
        return Floating(method, algorithm)
    stated = directory.parse_canonical(path)
    try:
        fixed = Fixed(ContentAddress(method, parse_bare_hash(digest, algorithm)))
    except DigestError as error:
        raise FormatError(error.message) from error
    if fixed.path(directory, derivation_name, output) != stated:
        raise FormatError(f"derivation output '{output}' has path '{path}', which does not match its content address")
    return fixed


def _parse_inputs(
    reader: _Reader, versioned: bool, directory: StoreDirectory
) -> tuple[dict[StorePath, frozenset[str]], dict[StorePath, Mapping[str, InputNode]]]:
    inputs: dict[StorePath, frozenset[str]] = {}
    dynamic: dict[StorePath, Mapping[str, InputNode]] = {}
    reader.expect("[")
    while not reader.end_of_list():
        reader.expect("(")
        path = directory.parse_canonical(reader.string())
        reader.expect(",")
        node = _parse_input_node(reader, versioned, 0)
        reader.expect(")")
        if not node.outputs and not node.dynamic:
            raise FormatError(f"inputDrvs entry for '{directory.show(path)}' specifies no outputs")
        inputs.pop(path, None)
        dynamic.pop(path, None)
        if node.outputs:
            inputs[path] = node.outputs
        if node.dynamic:
            dynamic[path] = node.dynamic
    return inputs, dynamic


def _parse_input_node(reader: _Reader, versioned: bool, depth: int) -> InputNode:
    if depth > MAXIMUM_DYNAMIC_DEPTH:
        raise FormatError(f"derivation has dynamic inputs nested deeper than {MAXIMUM_DYNAMIC_DEPTH}")
    if not versioned or reader.text.startswith("[", reader.position):
        return InputNode(frozenset(reader.strings()))
    if not reader.text.startswith("(", reader.position):
        raise FormatError("invalid inputDrvs entry in derivation")
    reader.expect("(")
    outputs = frozenset(reader.strings())
    reader.expect(",[")
    children: dict[str, InputNode] = {}
    while not reader.end_of_list():
        reader.expect("(")
        name = reader.string()
        reader.expect(",")
        children[name] = _parse_input_node(reader, versioned, depth + 1)
        reader.expect(")")
    reader.expect(")")
    return InputNode(outputs, children)


def _parse_environment(reader: _Reader) -> dict[str, str]:
    environment: dict[str, str] = {}
    reader.expect("[")
    while not reader.end_of_list():
        reader.expect("(")
        key = reader.string()
        reader.expect(",")
        environment[key] = reader.string()
        reader.expect(")")
    return environment


# ------------------------------------------------------------------------------------------------------ hash modulo


class HashModulo(Record):
    """What a derivation contributes to the hash of those that use it.

    `digest`: hex, for a regular one; `outputs`: output → hex, for a fixed one; both None: deferred.
    """

    digest: str | None = None
    outputs: Mapping[str, str] | None = None


DEFERRED_MODULO = HashModulo()
if TYPE_CHECKING:
    ModuloLookup = Callable[[StorePath], HashModulo]


def _inputs_modulo(drv: Derivation, lookup: ModuloLookup) -> str | None:
    """The inputs with each derivation replaced by its hash; None where one is not known yet."""
    if any(drv.dynamic_inputs.values()):
        return None
    merged: dict[str, frozenset[str]] = {}
    only_out = frozenset(("out",))
    for path, outputs in drv.input_derivations.items():
        modulo = lookup(path)
        if modulo.digest is not None:
            present = merged.get(modulo.digest)
            merged[modulo.digest] = outputs if present is None else present | outputs
        elif modulo.outputs is not None:
            for output in outputs:
                digest = modulo.outputs.get(output)
                if digest is None:
                    raise StoreError(f"no hash for output '{output}' of derivation '{drv.name}'")
                merged[digest] = merged.get(digest, only_out) | only_out
        else:
            return None
    return ",".join([f'("{digest}",{quoted_names(merged[digest])})' for digest in sorted(merged)])


def hash_modulo(drv: Derivation, directory: StoreDirectory, lookup: ModuloLookup) -> HashModulo:
    """The derivation as an input of others. `lookup` gives the same of its own inputs (memoised by the caller)."""
    if drv.type().is_fixed:
        digests = {}
        for name, output in drv.outputs.items():
            path, method_algorithm, digest = output_fields(output, directory, drv.name, name)
            text = f"fixed:out:{method_algorithm}:{digest}:{path}"
            digests[name] = sha256_hex(text.encode("utf-8", "backslashreplace"))
        return HashModulo(outputs=digests)
    if not all(isinstance(output, InputAddressed) for output in drv.outputs.values()):
        return DEFERRED_MODULO
    inputs = _inputs_modulo(drv, lookup)
    if inputs is None:
        return DEFERRED_MODULO
    text = _assemble(
        "Derive(", _outputs_text(drv, directory), inputs, drv, directory, _environment_text(drv.environment)
    )
    return HashModulo(sha256_hex(_encode(text)))


def masked_hash(drv: Derivation, directory: StoreDirectory, lookup: ModuloLookup) -> str | None:
    """Hex; the derivation without its own output paths, from which these follow. None: not known yet."""
    inputs = _inputs_modulo(drv, lookup)
    if inputs is None:
        return None
    environment = {**drv.environment, **{name: "" for name in drv.outputs if name in drv.environment}}
    outputs = ",".join([f'("{name}","","","")' for name in sorted(drv.outputs)])
    text = _assemble("Derive(", outputs, inputs, drv, directory, _environment_text(environment))
    return sha256_hex(_encode(text))


class ModuloCache:
    """Memoised `hash_modulo`, reading derivations that were not met before by `read`."""

    def __init__(self, directory: StoreDirectory, read: Callable[[StorePath], Derivation]) -> None:
        self.directory = directory
        self._read = read
        self._known: dict[StorePath, HashModulo] = {}

    def add(self, path: StorePath, drv: Derivation) -> HashModulo:
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = hash_modulo(drv, self.directory, self)
        return known

    def __call__(self, path: StorePath) -> HashModulo:
        known = self._known.get(path)
        return known if known is not None else self._resolve(path)

    def _resolve(self, path: StorePath) -> HashModulo:
        """Depth first with a list of its own: a chain of derivations may be longer than Python's stack."""
        pending: list[tuple[StorePath, Derivation]] = [(path, self._read(path))]
        entered = {path}
        while pending:
            current, drv = pending[-1]
            missing = [] if drv.type().is_fixed else [p for p in drv.input_derivations if p not in self._known]
            for child in missing:
                if child in entered:
                    raise StoreError(f"derivation '{self.directory.show(child)}' depends on itself")
            if missing:
                entered.add(missing[0])
                pending.append((missing[0], self._read(missing[0])))
                continue
            self.add(current, drv)
            entered.discard(current)
            pending.pop()
        return self._known[path]


# ---------------------------------------------------------------------------------------------------- output paths


def fill_in_output_paths(drv: Derivation, directory: StoreDirectory, lookup: ModuloLookup) -> Derivation:
    """The derivation with `Deferred` outputs made `InputAddressed` where that can be, and output variables set.

    Raises StoreError where a stated path or variable is wrong.
    """
    kind = drv.type().kind
    if kind in ("floating", "impure"):
        return drv
    _check_submitting(drv, kind)
    environment = dict(drv.environment)
    if kind == "fixed":
        if submits_outputs(drv):
            return drv
        for name, output in drv.outputs.items():
            path = output_path(output, directory, drv.name, name)
            assert path is not None
            _set_output_variable(environment, name, directory.show(path))
        return drv.with_(environment=environment)
    digest = masked_hash(drv, directory, lookup)
    outputs: dict[str, DerivationOutput] = {}
    for name, output in drv.outputs.items():
        stated = output.path if isinstance(output, InputAddressed) else None
        if digest is None:
            if stated is not None:
                raise StoreError(f"derivation has incorrect output '{directory.show(stated)}', should be deferred")
            outputs[name] = output
            continue
        path = directory.make_output_path(name, digest, drv.name)
        text = directory.show(path)
        if stated is None:
            environment[name] = text
        elif stated != path:
            raise StoreError(f"derivation has incorrect output '{directory.show(stated)}', should be '{text}'")
        else:
            _set_output_variable(environment, name, text)
        outputs[name] = InputAddressed(path)
    return drv.with_(outputs=outputs, environment=environment)


def submits_outputs(drv: Derivation) -> bool:
    """Whether its builder hands in the outputs (`builder-rpc-v0`) instead of making them where variables say."""
    structured = drv.environment.get(STRUCTURED_ATTRIBUTES)
    if structured is None:
        return SUBMITTING in drv.environment.get("requiredSystemFeatures", "").split()
    if SUBMITTING not in structured:
        return False
    import json

    try:
        attributes = json.loads(structured.encode("latin-1"))
    except (ValueError, RecursionError):
        return False  # whoever builds it says what is wrong
    features = attributes.get("requiredSystemFeatures") if isinstance(attributes, dict) else None
    return isinstance(features, list) and SUBMITTING in features


def _check_submitting(drv: Derivation, kind: str) -> None:
    if kind != "fixed" and submits_outputs(drv):
        raise StoreError(
            f"derivation uses the '{SUBMITTING}' feature, which may only be used with content-addressing derivations"
        )


def _set_output_variable(environment: dict[str, str], name: str, text: str) -> None:
    present = environment.get(name, "")
    if present == "":
        environment[name] = text
    elif present != text:
        raise StoreError(
            f"derivation has incorrect environment variable '{name}', should be '{text}' but is actually '{present}'"
        )


def check_invariants(drv: Derivation, path: StorePath, directory: StoreDirectory, lookup: ModuloLookup) -> None:
    """Raises StoreError where `drv`, found at `path`, states other output paths than it should."""
    if path.derivation_name != drv.name:
        raise StoreError(f"derivation '{directory.show(path)}' has name '{drv.name}' which does not match its path")
    kind = drv.type().kind
    if kind in ("floating", "impure"):
        return
    _check_submitting(drv, kind)
    digest = masked_hash(drv, directory, lookup) if kind != "fixed" else None
    for name, output in drv.outputs.items():
        stated = output_path(output, directory, drv.name, name)
        if stated is None:
            continue
        if kind != "fixed":
            if digest is None:
                raise StoreError(f"derivation has incorrect output '{directory.show(stated)}', should be deferred")
            right = directory.make_output_path(name, digest, drv.name)
            if right != stated:
                raise StoreError(
                    f"derivation has incorrect output '{directory.show(stated)}', should be '{directory.show(right)}'"
                )
        if submits_outputs(drv):
            continue
        text = directory.show(stated)
        if name not in drv.environment:
            raise StoreError(
                f"derivation has missing environment variable '{name}', should be '{text}' but is not present"
            )
        if drv.environment[name] != text:
            raise StoreError(
                f"derivation has incorrect environment variable '{name}', should be '{text}' "
                f"but is actually '{drv.environment[name]}'"
            )


def rewrite(drv: Derivation, rewrites: Mapping[str, str]) -> Derivation:
    """Replaces placeholders in builder, arguments and environment (resolving a derivation)."""
    if not rewrites:
        return drv
    import re

    pattern = re.compile("|".join(map(re.escape, rewrites)))

    def change(text: str) -> str:
        return pattern.sub(lambda match: rewrites[match[0]], text)

    return drv.with_(
        builder=change(drv.builder),
        arguments=tuple(map(change, drv.arguments)),
        environment={change(key): change(value) for key, value in drv.environment.items()},
    )
