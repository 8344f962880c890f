# cython: annotation_typing=False
"""From derivations' attributes to store derivations: their text, output paths and own paths, all as byte strings.

In: a `Draft` (what `derivationStrict` read). Out: `Instantiated`. Derivations are kept in memory and written by
`flush`, in one transaction. Source of truth: the manual's `store/derivation/outputs` (input-addressing) and
`protocols/derivation-aterm`. The common case (outputs addressed by inputs that are all known) is done here on plain
texts, as evaluation of a package set makes thousands; all others go through `store.derivation`.
"""

from __future__ import annotations

from cython.cimports.frazil.store.aterm import quote, quoted_names

from frazil._native import hash_part, is_name, join, sha256_hex, variables, wanted
from frazil.lang.errors import EvalError
from frazil.store.content_address import METHOD_PREFIXES
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

    from frazil.store.content_address import ContentAddress

ONLY_OUT = frozenset(("out",))
BEGIN = "Derive(["


class Draft:
    """A derivation before its paths are known. `inputs`: derivation path -> set of outputs; `dynamic`: (path, through,
    output) triples; `sources`: store paths. `outputs`: name -> None for addressed by inputs, or how."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.platform = ""
        self.builder = ""
        self.arguments: list[str] = []
        self.environment: dict[str, str] = {}
        self.inputs: dict[str, frozenset[str]] = {}
        self.dynamic: list[tuple[str, tuple[str, ...], str]] = []
        self.sources: set[str] = set()
        self.outputs: dict[str, DerivationOutput | None] = {}


class Instantiated:
    """`outputs`: name -> path as text, or a placeholder where it is not known before building."""

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
        self._same: dict[str, tuple[Instantiated, int]] = {}
        """Hash with masked inputs -> the one made last, and where in its text its own inputs are."""
        self.pending: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        """Not yet written: path -> (contents, references)."""
        self.made: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        """All of this evaluation."""
        self.known_outputs: dict[str, dict[str, str]] = {}
        """Derivation path -> output paths, computed here, so that the store need not check them again."""
        self.fixed_outputs: dict[tuple[str, str | None, str | None, str], tuple[str, Fixed]] = {}
        """(hash, algorithm, method, derivation name), as written -> what follows from them."""
        self._fixed_texts: dict[bytes, Instantiated] = {}
        self._from_store = ModuloCache(directory, self.read)
        self._prefix = directory.path + "/"
        self._middle = f":{directory.path}:"
        self.made_text: Callable[[str, bytes], None] | None = None
        """Told the base name and the text of each new derivation."""

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
        if not draft.dynamic and not any(draft.outputs.values()):
            masked = self._masked_inputs(draft.inputs)
            if masked is not None:
                return self._input_addressed(draft, masked)
        only = draft.outputs.get("out") if len(draft.outputs) == 1 and not draft.dynamic else None
        if isinstance(only, Fixed):
            return self._fixed(draft, only)
        return self._general(draft)

    def fixed_path(self, address: ContentAddress, name: str) -> str:
        """Where contents with this address belong, under this name."""
        method, digest = address.method, address.hash
        if method == "nar" and digest.algorithm == "sha256":
            return self._store_path("source", digest.base16, name)
        if method == "flat" or method == "nar":
            inner = sha256_hex(f"fixed:out:{METHOD_PREFIXES[method]}{digest.algorithm}:", digest.base16, ":")
            return self._store_path("output:out", inner, name)
        shown: str = self.directory.show(address.store_path(self.directory, name))
        return shown

    def _masked_inputs(self, inputs: dict[str, frozenset[str]]) -> bytes | None:
        """The inputs with each derivation's path replaced by its hash; None where one is deferred."""
        merged: dict[str, frozenset[str]] = {}
        for path, outputs in inputs.items():
            known = self._modulo.get(path)
            if known is None:
                known = self.modulo(path)
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
                present = merged.get(digest)
                merged[digest] = ONLY_OUT if present is None else present | ONLY_OUT
        found: bytes = wanted(merged)
        return found

    def _input_addressed(self, draft: Draft, masked: bytes) -> Instantiated:
        environment = draft.environment
        names: list[str] = sorted(draft.outputs)
        for name in names:
            environment[name] = ""
        text, places = variables(environment, sorted(environment), names)
        sources = quoted_names(draft.sources)
        arguments = ",".join([quote(argument) for argument in draft.arguments])
        middle = f'],{sources},"{draft.platform}",{quote(draft.builder)},[{arguments}],['
        blank = ",".join([f'("{name}","","","")' for name in names])
        digest = sha256_hex("Derive([", blank, "],[", masked, middle, text, "])")
        inputs = wanted(draft.inputs)
        same = self._same.get(digest)
        if same is not None:
            found, begin = same
            known = self.made[found.path][0]
            if known.startswith(inputs, begin) and known.startswith(b"],", begin + len(inputs)):
                return found
        outputs = {}
        end: list[bytes | str] = [middle]
        start = 0
        for name, place in zip(names, places, strict=True):
            path = self._store_path(f"output:{name}", digest, output_path_name(draft.name, name))
            outputs[name] = path
            end.append(text[start:place])
            end.append(path)
            start = place
        end.append(text[start:])
        shown = ",".join([f'("{name}","{path}","","")' for name, path in outputs.items()])
        modulo = sha256_hex("Derive([", shown, "],[", masked, *end, "])")
        contents = join(BEGIN, shown, "],[", inputs, *end, "])")
        made = Instantiated(self._add(draft.name, contents, draft.sources.union(draft.inputs)), outputs)
        self._modulo[made.path] = modulo
        self.known_outputs[made.path] = outputs
        self._same[digest] = made, len(BEGIN) + len(shown) + len("],[")
        return made

    def _fixed(self, draft: Draft, output: Fixed) -> Instantiated:
        """One output whose path is known: `environment` names it already."""
        path, address = draft.environment["out"], output.content_address
        method, digest = address.method_algorithm, address.hash.base16
        environment, _ = variables(draft.environment, sorted(draft.environment), [])
        arguments = ",".join([quote(argument) for argument in draft.arguments])
        text = join(
            f'Derive([("out","{path}","{method}","{digest}")],[',
            wanted(draft.inputs),
            f'],{quoted_names(draft.sources)},"{draft.platform}",{quote(draft.builder)},[{arguments}],[',
            environment,
            "])",
        )
        same = self._fixed_texts.get(text)
        if same is not None:
            return same
        own = self._add(draft.name, text, draft.sources.union(draft.inputs))
        if own not in self._modulo:
            self._modulo[own] = {"out": sha256_hex(f"fixed:out:{method}:{digest}:{path}")}
        made = self._fixed_texts[text] = Instantiated(own, {"out": path})
        self.known_outputs[own] = made.outputs
        return made

    def _general(self, draft: Draft) -> Instantiated:
        # As for outputs whose paths are known at once; those that stay unknown stay empty.
        draft.environment.update((name, "") for name, kind in draft.outputs.items() if kind is None)
        drv = self._derivation(draft)
        directory = self.directory
        drv = fill_in_output_paths(drv, directory, self._lookup)
        contents = drv.unparse(directory)
        path = self._add(draft.name, contents, {directory.show(p) for p in drv.references()})
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

    def _add(self, name: str, contents: bytes, mentioned: set[str]) -> str:
        references = tuple(sorted(mentioned))
        kind = "text:" + ":".join(references) if references else "text"
        path = self._store_path(kind, sha256_hex(contents), name + ".drv")
        if path not in self.made:
            self.made[path] = self.pending[path] = contents, references
            if self.made_text is not None:
                self.made_text(path[len(self._prefix) :], contents)
        return path

    def _store_path(self, kind: str, digest: str, name: str) -> str:
        """As `StoreDirectory.make_store_path`, as text. `digest`: hex SHA-256."""
        part = hash_part(kind, ":sha256:", digest, self._middle, name)
        if not is_name(name):
            StorePath(part, name)  # says what is wrong
        return self._prefix + part + "-" + name


def _add_dynamic(node: InputNode, through: tuple[str, ...], output: str) -> InputNode:
    if not through:
        return InputNode(node.outputs | {output}, node.dynamic)
    inner = _add_dynamic(node.dynamic.get(through[0], InputNode()), through[1:], output)
    return InputNode(node.outputs, {**node.dynamic, through[0]: inner})


__all__ = ["Draft", "Instantiated", "Instantiator"]
