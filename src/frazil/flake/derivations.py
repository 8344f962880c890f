"""Derivations among values: what `nix-build`, `nix-env` and installables find in a set, list or function.

In: a value. Out: `Package`s, each with its store derivation and outputs, in the order Nix finds them. Source: the
manual pages of `nix-build` and `nix-env` (`recurseForDerivations`, `meta.outputsToInstall`).
"""

from __future__ import annotations

from frazil.flake.errors import FlakeError
from frazil.lang.deep_force import determine_pos
from frazil.lang.errors import AssertionFailed, EvalBaseError, EvalError, TypeMismatch
from frazil.lang.runtime import (
    coerce_to_string,
    force,
    force_attrs,
    force_bool,
    force_list,
    force_string_no_context,
    is_derivation,
)
from frazil.lang.values import MISSING, Attrs
from frazil.store.errors import BadStorePath
from frazil.store.path import StoreDirectory, StorePath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Value = Any
_NOT_FIRST = "0123456789+-"
_COMPONENT = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_" + _NOT_FIRST
MAX_DEPTH = 1000
_PLACED = ("expected a Boolean", "expected a string")
"""Errors that Nix shows with the attribute's place, too."""


def to_store_path(evaluator: Any, value: Value, directory: StoreDirectory, trace: str) -> StorePath:
    """What is, used as a string, a store path itself."""
    text = coerce_to_string(evaluator, value, set(), trace, False, False, True)
    try:
        return directory.parse(text.encode("latin-1").decode("utf-8", "surrogateescape"))
    except BadStorePath as error:
        wrong = EvalError(f"path '{text}' is not in the Nix store")
        wrong.add_trace(0, trace)
        raise wrong from error


class _Reading:
    """Entered while an attribute of a package is read. (Imports nothing, as a generator would have to.)"""

    __slots__ = ("_name", "_package", "_trace")

    def __init__(self, package: Package, name: str, trace: str) -> None:
        self._package = package
        self._name = name
        self._trace = trace

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EvalBaseError):
            pos = self._package.attrs.position(self._name)
            error.positions = error.positions or self._package.evaluator.positions
            if error.frames and error.frames[-1] == (0, self._trace, None):
                error.frames[-1] = (pos, self._trace, None)
                if len(error.frames) == 1 and error.raw_message.startswith(_PLACED):
                    error.pos = error.pos if error.pos > 0 else pos


class Package:
    """One derivation. `path`: the attribute path it was found at, joined with dots."""

    __slots__ = ("attrs", "directory", "evaluator", "path")

    def __init__(self, attrs: Attrs, path: str, directory: StoreDirectory, evaluator: Any) -> None:
        self.attrs = attrs
        self.path = path
        self.directory = directory
        self.evaluator = evaluator

    def reading(self, name: str, trace: str) -> _Reading:
        """What goes wrong with an attribute does so where the attribute is defined."""
        return _Reading(self, name, trace)

    def store_path(self, name: str, trace: str, attrs: Attrs | None = None) -> StorePath | None:
        """An attribute's, or None where there is no such attribute. `attrs`: of an output, not the package itself."""
        found = self if attrs is None else Package(attrs, self.path, self.directory, self.evaluator)
        value = found.attrs.lookup(name)
        if value is MISSING:
            return None
        with found.reading(name, trace):
            return to_store_path(self.evaluator, value, self.directory, trace)

    @property
    def name(self) -> str:
        value = self.attrs.lookup("name")
        if value is MISSING:
            raise TypeMismatch("derivation name missing")
        return force_string_no_context(value, "while evaluating the 'name' attribute of a derivation")

    @property
    def drv_path(self) -> StorePath | None:
        """The store derivation; making the value writes it."""
        trace = "while evaluating the 'drvPath' attribute of a derivation"
        found = self.store_path("drvPath", trace)
        if found is not None and not found.is_derivation:
            error = EvalError(f"store path '{found.base}' is not a valid derivation path")
            error.positions = self.evaluator.positions
            error.add_trace(self.attrs.position("drvPath"), trace)
            raise error
        return found

    @property
    def output_name(self) -> str:
        value = self.attrs.lookup("outputName")
        if value is MISSING:
            return ""
        return force_string_no_context(value, "while evaluating the output name of a derivation")

    @property
    def outputs(self) -> list[str]:
        """All outputs, in the order written."""
        value = self.attrs.lookup("outputs")
        if value is MISSING:
            return ["out"]
        trace = "while evaluating the 'outputs' attribute of a derivation"
        with self.reading("outputs", trace):
            elements = force_list(value, trace)
        trace = "while evaluating the name of an output of a derivation"
        with self.reading("outputs", trace):
            return [force_string_no_context(element, trace) for element in elements]

    def outputs_to_install(self) -> list[str]:
        """The output that was selected (`pkg.dev`), else `meta.outputsToInstall`, else all."""
        outputs = self.outputs
        specified = self.attrs.lookup("outputSpecified")
        trace = "while evaluating the 'outputSpecified' attribute of a derivation"
        with self.reading("outputSpecified", trace):
            selected = specified is not MISSING and force_bool(specified, trace)
        if selected:
            if self.output_name not in outputs:
                raise FlakeError(f"derivation does not have output '{self.output_name}'")
            return [self.output_name]
        wanted = self.meta("outputsToInstall")
        if wanted is MISSING:
            return outputs
        bad = FlakeError("this derivation has bad 'meta.outputsToInstall'")
        if not isinstance(wanted, list):
            raise bad
        names = [force(element) for element in wanted]
        if not all(isinstance(name, str) and name in outputs for name in names):
            raise bad
        return names

    def meta(self, name: str) -> Value:
        """An attribute of `meta`, forced; MISSING where there is none or where it holds anything but plain data."""
        table = self.meta_attributes
        value = MISSING if table is None else table.lookup(name)
        return force(value) if value is not MISSING and is_plain(self.evaluator, value) else MISSING

    @property
    def meta_attributes(self) -> Attrs | None:
        """`meta`; None where there is none."""
        value = self.attrs.lookup("meta")
        if value is MISSING:
            return None
        trace = "while evaluating the 'meta' attribute of a derivation"
        with self.reading("meta", trace):
            return force_attrs(value, trace)


def is_plain(evaluator: Any, value: Value) -> bool:
    """Whether a value is data throughout, as `meta` is meant to be. Forces all of it, in order."""
    inside: list[Iterator[Value]] = [iter([value])]  # not by calls: Python's own limit of depth is lower than ours
    while inside:
        for value in inside[-1]:
            if len(inside) > MAX_DEPTH + 1:
                raise EvalError(
                    "stack overflow; max-call-depth exceeded",
                    pos=determine_pos(value),
                    positions=evaluator.positions,
                    hint="'meta' is nested too deeply",
                )
            value = force(value)
            if isinstance(value, list):
                inside.append(iter(value))
                break
            if isinstance(value, Attrs):
                if value.has("outPath"):
                    return False
                inside.append(iter(value.raw_values()))
                break
            if not (isinstance(value, str | int | float) or hasattr(value, "context")):
                return False
        else:
            inside.pop()
    return True


def package_of(evaluator: Any, value: Value, directory: StoreDirectory, path: str = "") -> Package | None:
    """The value as a package, where it is a derivation."""
    value = force(value)
    if not isinstance(value, Attrs) or not is_derivation(value):
        return None
    package = Package(value, path, directory, evaluator)
    _ = package.name  # a derivation without a name is an error at once
    return package


class Finder:
    """Looks for derivations, each once."""

    def __init__(self, evaluator: Any, directory: StoreDirectory, auto_arguments: Mapping[str, Value]) -> None:
        self.evaluator, self.directory, self.auto_arguments = evaluator, directory, auto_arguments
        self.found: list[Package] = []
        self.skip_failing = False
        """Whether what fails an assertion is left out."""
        self.done: dict[int, Attrs] = {}

    def enter(self, value: Value, path: str) -> bool:
        """Whether the value is a derivation, new or seen before."""
        try:
            package = package_of(self.evaluator, value, self.directory, path)
        except AssertionFailed:
            if self.skip_failing:
                return True
            raise
        if package is None:
            return False
        if id(package.attrs) not in self.done:
            self.done[id(package.attrs)] = package.attrs
            self.found.append(package)
        return True

    def search(self, value: Value, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise EvalError("stack overflow; max-call-depth exceeded", hint="sets of derivations are nested too deeply")
        value = self.evaluator.auto_call(force(value), self.auto_arguments)
        if self.enter(value, path):
            return
        inner = self.elements(value)
        if isinstance(value, Attrs):
            self.search_attrs(value, inner, path, depth)
            return
        for name, element in inner:
            place = _join(path, name)
            if not self.enter(element, place):
                self.search(element, place, depth + 1)

    def elements(self, value: Value) -> list[tuple[str, Value]]:
        """What is in a list or set that is searched."""
        if isinstance(value, Attrs):
            return [(name, item) for name, item in value.items() if _is_component(name)]
        if isinstance(value, list):
            return [(str(index), element) for index, element in enumerate(value)]
        raise TypeMismatch("expression does not evaluate to a derivation (or a set or list of those)")

    def search_attrs(self, attrs: Attrs, inner: list[tuple[str, Value]], path: str, depth: int) -> None:
        combine = attrs.has("_combineChannels")
        for name, item in inner:
            place = _join(path, name)
            try:
                if combine or (not self.enter(item, place) and self.recurses(force(item))):
                    self.search(item, place, depth + 1)
            except EvalError as error:
                error.add_trace(attrs.position(name), f"while evaluating the attribute '{name}'")
                raise

    def recurses(self, value: Value) -> bool:
        if not isinstance(value, Attrs):
            return False
        flag = value.lookup("recurseForDerivations")
        trace = "while evaluating the attribute `recurseForDerivations`"
        return flag is not MISSING and force_bool(flag, trace)


def _is_component(name: str) -> bool:
    """Whether a name needs no quotes and could be a part of an attribute path."""
    return name != "" and name[0] not in _NOT_FIRST and not name.strip(_COMPONENT)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def derivation_and_output(package: Package) -> tuple[StorePath, str]:
    """As `nix-instantiate` and `nix-build` want it. Raises FlakeError where one is missing."""
    path = package.drv_path
    if path is None:
        raise FlakeError(
            "derivation does not contain a 'drvPath' attribute", hint=f"it is the one named '{package.name}'"
        )
    output = package.output_name
    if not output:
        raise FlakeError(f"derivation '{package.directory.show(path)}' lacks an 'outputName' attribute")
    return path, output


def find_derivations(
    evaluator: Any,
    value: Value,
    directory: StoreDirectory,
    auto_arguments: Mapping[str, Value] | None = None,
    *,
    path: str = "",
    skip_failing: bool = False,
) -> list[Package]:
    """All derivations that a value (found at `path`) holds, each once. Raises EvalError for a value that can hold none.

    `skip_failing`: those whose assertions fail are left out.
    """
    finder = Finder(evaluator, directory, auto_arguments or {})
    finder.skip_failing = skip_failing
    finder.search(value, path, 0)
    return finder.found
