"""From derivations' attributes to store derivations: their text, output paths and own paths, all as byte strings.

In: a `Draft` (what `derivationStrict` read). Out: `Instantiated`. Derivations are kept in memory and written by
`flush`, in one transaction. Source of truth: the manual's `store/derivation/outputs` (input-addressing) and
`protocols/derivation-aterm`. The common case (outputs addressed by inputs that are all known) is done here on plain
texts, as evaluation of a package set makes thousands; all others go through `store.derivation`.
"""

from __future__ import annotations

import re
from hashlib import sha256

from frazil.lang.errors import EvalError
from frazil.store.derivation import (
    Deferred,
    Derivation,
    DerivationOutput,
    Fixed,
    HashModulo,
    InputNode,
    ModuloCache,
    fill_in_output_paths,
    hash_modulo,
    parse,
)
from frazil.store.path import StoreDirectory, StorePath, output_path_name, unknown_output_placeholder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SPECIAL = re.compile(r'[\\"\n\r\t]')
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def quote(text: str) -> str:
    """An ATerm string."""
    if _SPECIAL.search(text):
        text = _SPECIAL.sub(lambda match: _ESCAPES[match[0]], text)
    return f'"{text}"'


def quoted_names(names: set[str] | frozenset[str]) -> str:
    return '["' + '","'.join(sorted(names)) + '"]' if names else "[]"


class _QuotedKeys(dict[str, str]):
    """Names of variables, quoted once: the same few are in every derivation."""

    def __missing__(self, key: str) -> str:
        found = self[key] = quote(key)
        return found


_QUOTED_KEYS = _QuotedKeys()


class Draft:
    """A derivation before its paths are known. `inputs`: derivation path -> outputs; `dynamic`: (path, through,
    output) triples; `sources`: store paths. `outputs`: name -> None for addressed by inputs, or how."""

    __slots__ = ("arguments", "builder", "dynamic", "environment", "inputs", "name", "outputs", "platform", "sources")

    def __init__(self, name: str) -> None:
        self.name = name
        self.platform = ""
        self.builder = ""
        self.arguments: list[str] = []
        self.environment: dict[str, str] = {}
        self.inputs: dict[str, set[str]] = {}
        self.dynamic: list[tuple[str, tuple[str, ...], str]] = []
        self.sources: set[str] = set()
        self.outputs: dict[str, DerivationOutput | None] = {}


class Instantiated:
    """`outputs`: name -> path as text, or a placeholder where it is not known before building."""

    __slots__ = ("outputs", "path")

    def __init__(self, path: str, outputs: dict[str, str]) -> None:
        self.path = path
        self.outputs = outputs


class Instantiator:
    """All derivations of one evaluation. `read_stored` reads one that is not among them."""

    def __init__(self, directory: StoreDirectory, read_stored: Callable[[StorePath], Derivation]) -> None:
        self.directory = directory
        self._read_stored = read_stored
        self._modulo: dict[str, str | dict[str, str] | None] = {}
        """Derivation path -> hex digest; for fixed ones output -> hex digest; None: deferred."""
        self._same: dict[tuple[str, str], Instantiated] = {}
        self.pending: dict[str, tuple[bytes, frozenset[str]]] = {}
        """Not yet written: path -> (contents, references)."""
        self.made: dict[str, tuple[bytes, frozenset[str]]] = {}
        """All of this evaluation."""
        self.known_outputs: dict[str, dict[str, str]] = {}
        """Derivation path -> output paths, computed here, so that the store need not check them again."""
        self._from_store = ModuloCache(directory, self.read)

    # -- reading -----------------------------------------------------------------------------------------------

    def read(self, path: StorePath) -> Derivation:
        made = self.made.get(self.directory.show(path))
        if made is not None:
            return parse(made[0], path.derivation_name, self.directory)
        return self._read_stored(path)

    def modulo(self, path: str) -> str | dict[str, str] | None:
        """What the derivation contributes to the hashes of those that use it."""
        try:
            return self._modulo[path]
        except KeyError:
            found = self._from_store(self.directory.parse(path))
            result = found.digest if found.digest is not None else dict(found.outputs) if found.outputs else None
            self._modulo[path] = result
            return result

    def _lookup(self, path: StorePath) -> HashModulo:
        found = self.modulo(self.directory.show(path))
        if isinstance(found, dict):
            return HashModulo(outputs=found)
        return HashModulo(found)

    # -- making ------------------------------------------------------------------------------------------------

    def instantiate(self, draft: Draft) -> Instantiated:
        if not draft.dynamic and all(kind is None for kind in draft.outputs.values()):
            masked = self._masked_inputs(draft.inputs)
            if masked is not None:
                return self._input_addressed(draft, masked)
        only = draft.outputs.get("out") if len(draft.outputs) == 1 and not draft.dynamic else None
        if isinstance(only, Fixed):
            return self._fixed(draft, only)
        return self._general(draft)

    def _masked_inputs(self, inputs: dict[str, set[str]]) -> str | None:
        """The inputs with each derivation's path replaced by its hash; None where one is deferred."""
        merged: dict[str, set[str]] = {}
        for path, outputs in inputs.items():
            known = self._modulo[path] if path in self._modulo else self.modulo(path)
            if known is None:
                return None
            if isinstance(known, str):
                present = merged.get(known)
                merged[known] = outputs if present is None else present | outputs
                continue
            for output in outputs:
                digest = known.get(output)
                if digest is None:
                    raise EvalError(f"derivation '{path}' does not have output '{output}'")
                merged.setdefault(digest, {"out"}).add("out")
        return ",".join([f'("{digest}",{quoted_names(merged[digest])})' for digest in sorted(merged)])

    def _input_addressed(self, draft: Draft, masked: str) -> Instantiated:
        environment = draft.environment
        names = sorted(draft.outputs)
        for name in names:
            environment[name] = ""
        keys = sorted(environment)
        pairs = [f"({_QUOTED_KEYS[key]},{quote(environment[key])})" for key in keys]
        sources = quoted_names(draft.sources)
        arguments = ",".join([quote(argument) for argument in draft.arguments])
        middle = f'],{sources},"{draft.platform}",{quote(draft.builder)},[{arguments}],['
        blank = ",".join([f'("{name}","","","")' for name in names])
        text = f"Derive([{blank}],[{masked}{middle}{','.join(pairs)}])"
        digest = sha256(text.encode("latin-1")).hexdigest()
        inputs = ",".join([f'("{path}",{quoted_names(outputs)})' for path, outputs in sorted(draft.inputs.items())])
        same = self._same.get((digest, inputs))
        if same is not None:
            return same
        outputs = {}
        directory = self.directory
        for name in names:
            path = directory.show(directory.make_output_path(name, digest, draft.name))
            outputs[name] = path
            pairs[keys.index(name)] = f'({quote(name)},"{path}")'
        shown = ",".join([f'("{name}","{path}","","")' for name, path in outputs.items()])
        end = f"{middle}{','.join(pairs)}])"
        modulo = sha256(f"Derive([{shown}],[{masked}{end}".encode("latin-1")).hexdigest()
        contents = f"Derive([{shown}],[{inputs}{end}".encode("latin-1")
        made = Instantiated(self._add(draft.name, contents, frozenset(draft.sources).union(draft.inputs)), outputs)
        self._modulo[made.path] = modulo
        self.known_outputs[made.path] = outputs
        self._same[digest, inputs] = made
        return made

    def _fixed(self, draft: Draft, output: Fixed) -> Instantiated:
        """One output whose path is known: `environment` names it already."""
        path, address = draft.environment["out"], output.content_address
        method, digest = address.method_algorithm, address.hash.base16
        pairs = ",".join([f"({_QUOTED_KEYS[key]},{quote(value)})" for key, value in sorted(draft.environment.items())])
        inputs = ",".join([f'("{drv}",{quoted_names(names)})' for drv, names in sorted(draft.inputs.items())])
        arguments = ",".join([quote(argument) for argument in draft.arguments])
        text = (
            f'Derive([("out","{path}","{method}","{digest}")],[{inputs}],{quoted_names(draft.sources)},'
            f'"{draft.platform}",{quote(draft.builder)},[{arguments}],[{pairs}])'
        )
        own = self._add(draft.name, text.encode("latin-1"), frozenset(draft.sources).union(draft.inputs))
        if own not in self._modulo:
            contribution = f"fixed:out:{method}:{digest}:{path}".encode("latin-1")
            self._modulo[own] = {"out": sha256(contribution).hexdigest()}
        return Instantiated(own, {"out": path})

    def _general(self, draft: Draft) -> Instantiated:
        drv = self._derivation(draft)
        directory = self.directory
        drv = fill_in_output_paths(drv, directory, self._lookup)
        contents = drv.unparse(directory)
        path = self._add(draft.name, contents, frozenset(directory.show(p) for p in drv.references()))
        if path not in self._modulo:
            modulo = hash_modulo(drv, directory, self._lookup)
            self._modulo[path] = (
                modulo.digest if modulo.digest is not None else (dict(modulo.outputs) if modulo.outputs else None)
            )
        own = directory.parse(path)
        outputs = {
            name: directory.show(known) if known is not None else unknown_output_placeholder(own, name)
            for name, known in drv.output_paths(directory).items()
        }
        return Instantiated(path, outputs)

    def _derivation(self, draft: Draft) -> Derivation:
        parse_path = self.directory.parse
        dynamic: dict[StorePath, dict[str, InputNode]] = {}
        for path, through, output in draft.dynamic:
            nodes = dynamic.setdefault(parse_path(path), {})
            nodes[through[0]] = _add_dynamic(nodes.get(through[0], InputNode()), through[1:], output)
        return Derivation(
            name=draft.name,
            outputs={name: Deferred() if kind is None else kind for name, kind in draft.outputs.items()},
            input_derivations={parse_path(path): frozenset(outputs) for path, outputs in draft.inputs.items()},
            input_sources=frozenset(parse_path(path) for path in draft.sources),
            platform=draft.platform,
            builder=draft.builder,
            arguments=tuple(draft.arguments),
            environment=draft.environment,
            dynamic_inputs=dynamic,
        )

    def _add(self, name: str, contents: bytes, references: frozenset[str]) -> str:
        kind = ":".join(["text", *sorted(references)]) if references else "text"
        digest = sha256(contents).hexdigest()
        path = self.directory.show(self.directory.make_store_path(kind, f"sha256:{digest}", name + ".drv"))
        if path not in self.made:
            self.made[path] = self.pending[path] = contents, references
        return path


def _add_dynamic(node: InputNode, through: tuple[str, ...], output: str) -> InputNode:
    if not through:
        return InputNode(node.outputs | {output}, node.dynamic)
    inner = _add_dynamic(node.dynamic.get(through[0], InputNode()), through[1:], output)
    return InputNode(node.outputs, {**node.dynamic, through[0]: inner})


__all__ = ["Draft", "Instantiated", "Instantiator", "output_path_name", "quote"]
