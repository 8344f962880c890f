"""Kinds of installables: a store path, an output of a flake, an attribute of an expression.

In: references, fragments, values. Out: cursors on values, `Target`s to build, `App`s to run. What a flake's outputs
evaluated to is remembered (`cache`). Source: the manual page of `nix` ("Installables") and of `nix run`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from frazil.errors import FrazilError
from frazil.flake.attribute_paths import attribute_paths
from frazil.flake.cursor import Cursor, Suggestions, parse_attribute_path, trim
from frazil.flake.errors import FlakeError, OutputNotFound
from frazil.flake.reference import FlakeReference, OutputsSpecification
from frazil.flake.selection import select
from frazil.lang.values import take_marks
from frazil.record import Record
from frazil.store.derived_path import DerivedPath, OutputsSpec
from frazil.store.path import StorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.flake.locking import LockedFlake, LockFlags
    from frazil.flake.memory import FlakeMemory
    from frazil.flake.tree import Trees

    Value = Any


class Target(Record):
    """One thing to build or fetch. The rest is what a profile remembers of where it came from."""

    path: DerivedPath
    attribute_path: str | None = None
    priority: int | None = None
    original: FlakeReference | None = None
    locked: FlakeReference | None = None
    outputs: OutputsSpecification | None = None


class App(Record):
    """A program (a path in the store, perhaps with placeholders) and what must be built first."""

    program: str
    context: tuple[DerivedPath, ...]


class Installable:
    """What all kinds have."""

    def what(self) -> str:
        """For messages."""
        raise NotImplementedError

    def targets(self) -> list[Target]:
        raise NotImplementedError

    def target(self) -> Target:
        """The one target. Raises FlakeError for none or several."""
        found = self.targets()
        if len(found) != 1:
            raise FlakeError(
                f"installable '{self.what()}' evaluates to {len(found)} derivations, where only one is expected"
            )
        return found[0]


class StorePathInstallable(Installable):
    def __init__(self, path: DerivedPath, trees: Trees) -> None:
        self.path, self.directory = path, trees.context.store.directory

    def what(self) -> str:
        return self.path.show(self.directory)

    def targets(self) -> list[Target]:
        return [Target(self.path)]


class ValueInstallable(Installable):
    """An installable that is a value of the language. `trees` gives evaluator and store."""

    trees: Trees

    def cursors(self, *, auto_call: bool = False) -> list[Cursor]:
        """At least one."""
        raise NotImplementedError

    def cursor(self, *, auto_call: bool = False) -> Cursor:
        return self.cursors(auto_call=auto_call)[0]

    def value(self, *, auto_call: bool = False) -> Value:
        return self.cursor(auto_call=auto_call).force()

    def store_path(self, text: str) -> StorePath:
        return self.trees.context.store.directory.parse(_display(text))

    def single_path(self, value: Value, trace: str) -> DerivedPath | None:
        """A path (copied to the store) or a string that is one store object; None for other values."""
        from frazil.lang.values import PathValue

        if isinstance(value, PathValue):
            return DerivedPath(self.store_path(self.trees.effects.copy_path_to_store(value.text)))
        if not isinstance(value, str) and not hasattr(value, "context"):
            return None
        context: frozenset[str] = getattr(value, "context", frozenset())
        text = value if isinstance(value, str) else value.text
        return self.derived_path(text, context, trace)

    def derived_path(self, text: str, context: frozenset[str], trace: str) -> DerivedPath:
        from frazil.flake.flake_file import add_trace
        from frazil.lang.errors import EvalError

        try:
            if len(context) != 1:
                raise EvalError(
                    f"string '{text}' has {len(context)} entries in its context. It should only have exactly one entry",
                    hint=None if context else "this is text and no package, there is nothing to build: 'eval' shows it",
                )
            (element,) = context
            if element.startswith("="):
                raise EvalError(
                    f"string '{text}' has a context which refers to a complete source and binary closure. "
                    "This is not supported at this time"
                )
            path = self.context_path(element)
            self.check_text(text, path)
            return path
        except FrazilError as error:
            add_trace(error, trace)
            raise

    def check_text(self, text: str, path: DerivedPath) -> None:
        """A string must be the object that its context names, not something in it."""
        from frazil.lang.errors import EvalError

        directory = self.trees.context.store.directory
        shown = directory.show(path.base)
        if path.outputs is None:
            if text != shown:
                raise EvalError(f"path string '{text}' has context with the different path '{shown}'")
            return
        if not directory.is_inside(text):
            return  # a placeholder: the output's path is not known before it is built
        expected = directory.show(directory.split(text)[0])
        if text != expected:
            (name,) = path.outputs.names or ("*",)
            raise EvalError(
                f"string '{text}' has context with the output '{name}' from derivation '{shown}', but the string is "
                f"not the right placeholder for this derivation output. It should be '{expected}'"
            )

    def context_path(self, element: str) -> DerivedPath:
        """A context element as something to build: `/nix/store/…`, `!OUTPUT!/nix/store/….drv`, `=/nix/store/….drv`."""
        if element.startswith("="):
            return DerivedPath(self.store_path(element[1:]), OutputsSpec(None))
        if not element.startswith("!"):
            return DerivedPath(self.store_path(element))
        *names, base = element[1:].split("!")
        through = tuple(reversed(names[1:]))
        return DerivedPath(self.store_path(base), OutputsSpec(frozenset({names[0]})), through)

    def context_element(self, path: DerivedPath) -> str:
        """The inverse of `context_path`."""
        base = self.trees.context.store.directory.show(path.base)
        if path.outputs is None:
            return base
        if path.outputs.names is None:
            return f"={base}"
        (name,) = path.outputs.names
        return "!" + "!".join([name, *reversed(path.through), base])

    # -- apps -------------------------------------------------------------------------------------

    def app(self) -> App:
        """The program that `run` starts."""
        program, context = self.program()
        return App(_display(program), tuple(self.context_path(element) for element in context))

    def program(self) -> tuple[str, list[str]]:
        """The program, and the context elements to build first."""
        cursor = self.cursor(auto_call=True)
        kind = cursor.get("type").string()
        expected = "app" if cursor.path and cursor.path[0] in ("apps", "defaultApp") else "derivation"
        if kind != expected:
            raise FlakeError(f"attribute '{cursor.name}' should have type '{expected}'").about(cursor.positions)
        if kind == "app":
            program, context = cursor.get("program").string_with_context()
            return program, sorted(context)
        element = f"!{cursor.get('outputName').string()}!{cursor.get('drvPath').string()}"
        return f"{cursor.get('outPath').string()}/bin/{main_program(cursor)}", [element]


def main_program(cursor: Cursor) -> str:
    """`meta.mainProgram`, else `pname`, else the name without its version."""
    name = cursor.get("name").string()
    pname = cursor.maybe("pname")
    meta = cursor.maybe("meta")
    main = meta.maybe("mainProgram") if meta is not None else None
    if main is not None:
        return main.string()
    return pname.string() if pname is not None else name_without_version(name)


def name_without_version(name: str) -> str:
    """`hello-2.12` is `hello`: a version starts after a dash that no letter follows."""
    import re

    found = re.search(r"-[^A-Za-z]", name)
    return name[: found.start()] if found else name


class FlakeInstallable(ValueInstallable):
    """`REFERENCE#FRAGMENT`. The flake is locked when first needed."""

    def __init__(
        self,
        trees: Trees,
        reference: FlakeReference,
        fragment: str,
        outputs: OutputsSpecification,
        default_paths: Sequence[str],
        prefixes: Sequence[str],
        flags: LockFlags,
    ) -> None:
        self.trees, self.reference, self.outputs, self.flags = trees, reference, outputs, flags
        self.fragment = fragment
        self.default_paths, self.prefixes = tuple(default_paths), tuple(prefixes)
        self._locked: LockedFlake | None = None

    def what(self) -> str:
        return f"{self.reference}#{self.attribute_paths()[0]}"

    def attribute_paths(self) -> list[str]:
        """In the order they are tried."""
        return attribute_paths(self.fragment, tuple(self.default_paths), tuple(self.prefixes))

    def locked_flake(self) -> LockedFlake:
        if self._locked is None:
            self._locked = self.trees.lock(self.reference, self.flags)
        return self._locked

    def cursors(self, *, auto_call: bool = False) -> list[Cursor]:
        from frazil.lang.errors import TypeMismatch

        root = self.trees.outputs(self.locked_flake())
        root.force()  # an error of the flake as a whole is no reason to try the next path
        suggestions: Suggestions = set()
        found = []
        paths = self.attribute_paths()
        for text in paths:
            try:
                cursor = root.find(parse_attribute_path(_byte_string(text)), suggestions)
            except TypeMismatch:
                continue
            if cursor is not None:
                found.append(cursor)
        if not found:
            raise OutputNotFound(
                f"flake '{self.reference}' does not provide attribute {_alternatives(paths)}",
                trim(suggestions),
                lambda: self._provided(root),
            )
        return found

    def _provided(self, root: Cursor) -> str | None:
        from frazil.flake.provided import what_there_is

        return what_there_is(root, [parse_attribute_path(_byte_string(text)) for text in self.attribute_paths()])

    def targets(self) -> list[Target]:
        answer = self.remembered("target", self.evaluate_target)
        if "drvPath" not in answer:
            return [Target(self.context_path(answer["needs"][0]))]
        names = frozenset(answer["outputs"]) if self.outputs.default else self.outputs.names
        return [
            Target(
                DerivedPath(self.store_path(answer["drvPath"]), OutputsSpec(names)),
                _display(answer["path"]),
                answer["priority"],
                self.reference,
                self.locked_flake().flake.locked,
                self.outputs,
            )
        ]

    def evaluate_target(self) -> dict[str, Any]:
        """As plain data: `needs` holds context elements that must exist for the answer to be good."""
        cursor = self.cursor()
        if cursor.is_derivation():
            drv_path = cursor.get("drvPath").string()
            return {
                "drvPath": drv_path,
                "outputs": sorted(self.default_outputs(cursor)),
                "path": cursor.name,
                "priority": self.priority(cursor),
                "needs": [drv_path],
            }
        value = cursor.force()
        path = self.single_path(value, f"while evaluating the flake output attribute '{cursor.name}'")
        if path is None:
            raise FlakeError(
                f"expected flake output attribute '{_display(cursor.name)}' to be a derivation or path but found "
                f"{self.trees.evaluator.type_name(value)}: {self.trees.show_value(value)}"
            ).about(cursor.positions)
        return {"needs": [self.context_element(path)]}

    def program(self) -> tuple[str, list[str]]:
        def evaluate() -> dict[str, Any]:
            program, context = super(FlakeInstallable, self).program()
            return {"program": program, "needs": context}

        answer = self.remembered("program", evaluate)
        return answer["program"], answer["needs"]

    def remembered(self, question: str, evaluate: Callable[[], dict[str, Any]]) -> Mapping[str, Any]:
        """The answer of an earlier evaluation of the same flake, where all that it needs still exists."""
        memory = self.memory()
        if memory is None:
            return evaluate()
        detail = {"kind": question, "paths": self.attribute_paths()}
        known = memory.ask(detail, lambda answer: self.is_good(question, answer))
        if known is not None:
            return known
        if self.trees.effects.marks_reads:
            take_marks()
        answer = evaluate()
        marks = take_marks() if self.trees.effects.marks_reads else None
        outputs = self.output_paths(answer["needs"])
        memory.keep(detail, {**answer, "outPaths": outputs}, marks=marks)
        return answer

    def output_paths(self, elements: Sequence[str]) -> dict[str, dict[str, str]]:
        """Of the derivations among context elements, the outputs whose places are known before they are built."""
        instantiator, directory = self.trees.effects.instantiator, self.trees.context.store.directory
        found = {}
        for element in elements:
            path = self.context_path(element)
            if path.base.is_derivation and not path.through:
                outputs = instantiator.read(path.base).output_paths(directory)
                found[directory.show(path.base)] = {n: directory.show(p) for n, p in outputs.items() if p is not None}
        return found

    def memory(self) -> FlakeMemory | None:
        """What earlier evaluations of the flake found out."""
        return self.trees.memory(self.locked_flake())

    def is_good(self, question: str, answer: Mapping[str, Any]) -> bool:
        """Whether remembered data has its shape, and its store objects are there."""
        needs = answer.get("needs")
        if not isinstance(needs, list) or not all(isinstance(element, str) for element in needs):
            return False
        if question == "program" and not isinstance(answer.get("program"), str):
            return False
        if "drvPath" in answer:
            outputs = answer.get("outputs")
            shape = isinstance(answer["drvPath"], str) and isinstance(answer.get("path"), str)
            if not shape or not isinstance(outputs, list) or not all(isinstance(name, str) for name in outputs):
                return False
        try:
            store = self.trees.context.store
            paths = [self.context_path(element).base for element in needs]
            store.add_temporary_roots(paths)
            return all(store.is_registered(path) for path in paths)
        except FrazilError:
            return False

    def priority(self, cursor: Cursor) -> int | None:
        if cursor.maybe("outputSpecified") is not None:
            return None
        meta = cursor.maybe("meta")
        priority = meta.maybe("priority") if meta is not None else None
        return None if priority is None else priority.integer()

    def default_outputs(self, cursor: Cursor) -> frozenset[str]:
        names: set[str] = set()
        specified, meta = cursor.maybe("outputSpecified"), cursor.maybe("meta")
        if specified is not None:
            name = cursor.maybe("outputName")
            if specified.boolean() and name is not None:
                names.add(name.string())
        elif meta is not None:
            wanted = meta.maybe("outputsToInstall")
            if wanted is not None:
                names.update(wanted.strings())
        return frozenset(names or {"out"})

    def nixpkgs_reference(self) -> FlakeReference:
        """Where `bashInteractive` comes from: the flake's own input `nixpkgs`, else the registry's."""
        from frazil.flake.lock import LockedNode

        node = self.locked_flake().lock_file.find_input(("nixpkgs",))
        if isinstance(node, LockedNode) and node.is_flake:
            return node.locked
        return FlakeReference({"type": "indirect", "id": "nixpkgs"})


class AttributeInstallable(ValueInstallable):
    """An attribute path of the value of `--file` or `--expr`, arguments of functions on the way filled in."""

    def __init__(
        self,
        trees: Trees,
        root: Value,
        attribute_path: str,
        outputs: OutputsSpecification,
        auto_arguments: Mapping[str, Value],
    ) -> None:
        self.trees, self.root, self.outputs, self.auto_arguments = trees, root, outputs, auto_arguments
        self.attribute_path = "" if attribute_path == "." else attribute_path

    def what(self) -> str:
        return self.attribute_path

    def cursors(self, *, auto_call: bool = False) -> list[Cursor]:
        names = parse_attribute_path(_byte_string(self.attribute_path))
        evaluator = self.trees.evaluator
        called = self.trees.called_root(self.root, self.auto_arguments)
        value = select(evaluator, self.root, names, self.auto_arguments, called)
        if auto_call:
            value = evaluator.auto_call(evaluator.force(value), self.auto_arguments)
        return [Cursor(evaluator, value)]

    def targets(self) -> list[Target]:
        from frazil.flake.derivations import find_derivations

        value = self.value()
        path = self.single_path(value, f"while evaluating the attribute '{self.attribute_path}'")
        if path is not None:
            return [Target(path)]
        directory = self.trees.context.store.directory
        wanted: dict[StorePath, OutputsSpec] = {}
        for package in find_derivations(self.trees.evaluator, value, directory, self.auto_arguments):
            drv_path = package.drv_path
            if drv_path is None:
                raise FlakeError(f"'{self.what()}' is not a derivation")
            names = self.outputs.names
            if self.outputs.default:
                names = frozenset(package.outputs_to_install() or ["out"])
            spec = OutputsSpec(names)
            wanted[drv_path] = wanted[drv_path].union(spec) if drv_path in wanted else spec
        return [Target(DerivedPath(drv_path, spec), outputs=self.outputs) for drv_path, spec in sorted(wanted.items())]


def _alternatives(paths: Sequence[str]) -> str:
    """`'a', 'b' or 'c'`."""
    quoted = [f"'{path}'" for path in paths]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _display(text: str) -> str:
    """A string of the language as ordinary text."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def _byte_string(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
