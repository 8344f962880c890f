"""`flake.nix`: its schema, read without evaluating more than Nix does.

In: the folder of a fetched flake. Out: `Flake`. Only literal values are looked at: an input that would have to be
computed is an error, so that locking never runs a flake's code. Source: the manual page of `nix flake`
("Flake format", "Flake inputs").
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from frazil.errors import FrazilError, TraceFrame
from frazil.flake.errors import BadFlake
from frazil.flake.lock import InputPath, parse_input_path
from frazil.flake.reference import Attribute, FlakeReference
from frazil.position import Position
from frazil.record import EMPTY, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.flake.tree import Trees

ConfigValue = str | int | bool | tuple[str, ...]
MAX_TEXT = 64 << 20


def add_trace(error: FrazilError, text: str, position: Position | None = None) -> None:
    """Notes what was being done, as the outermost step so far."""
    from frazil.lang.errors import EvalBaseError, byte_string

    if isinstance(error, EvalBaseError):
        error.add_trace(0, byte_string(text), position)
    else:
        error.trace.insert(0, TraceFrame(text, position))


def folder_in(root: str, subdirectory: str) -> str:
    """A flake's folder in its tree; `..` does not lead out of the tree."""
    return root + os.path.normpath("/" + subdirectory.lstrip("/")).rstrip("/")


def read_text(path: str) -> bytes | None:
    """A file outside any tree, named on the command line; None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_TEXT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadFlake(f"cannot read file '{path}': {error.strerror}") from error


class FlakeInput(Record):
    """One entry of `inputs`: a reference, or another input it follows, and overrides of its own inputs."""

    reference: FlakeReference | None = None
    is_flake: bool = True
    follows: InputPath | None = None
    overrides: Mapping[str, FlakeInput] = EMPTY

    def with_flakeness(self, is_flake: bool) -> FlakeInput:
        return self.with_(is_flake=is_flake)


class Flake(Record):
    """`folder`: the logical path of the folder of `flake.nix`, inside the store."""

    original: FlakeReference
    resolved: FlakeReference
    locked: FlakeReference
    folder: str
    description: str | None = None
    inputs: Mapping[str, FlakeInput] = EMPTY
    self_attributes: Mapping[str, Attribute] = EMPTY
    config: Mapping[str, ConfigValue] = EMPTY
    force_dirty: bool = False


References = tuple[FlakeReference, FlakeReference, FlakeReference]
"""As written, resolved through registries, locked."""


def read_flake(trees: Trees, references: References, root: str, subdirectory: str, lock_root: InputPath) -> Flake:
    """`root`: the logical path of the tree; `lock_root`: what the `follows` of this flake are relative to."""
    folder = folder_in(root, subdirectory)
    return _Reader(trees, references, folder, lock_root).read()


class _Reader:
    def __init__(self, trees: Trees, references: References, folder: str, lock_root: InputPath) -> None:
        self.trees, self.references, self.folder, self.lock_root = trees, references, folder, lock_root
        self.evaluator = trees.evaluator

    # -- values ------------------------------------------------------------------------------------

    def trivial(self, value: Any) -> Any:
        """The value where it is written out (a set, list or function may be); else the thunk as it is."""
        from frazil.flake.literal import force_literal

        return force_literal(value)

    def kind(self, value: Any) -> str:
        from frazil.flake.literal import is_thunk

        return "a thunk" if is_thunk(value) else self.evaluator.type_name(value)

    def expect(self, kind: str, value: Any, attrs: Any, name: str) -> Any:
        """The value of an attribute, which must be of a kind ("a set", "a string", …)."""
        value = self.trivial(value)
        found = self.kind(value)
        if found != kind and not (kind == "a function" and found.endswith("function")):
            raise BadFlake(f"expected {kind} but got {found} at {self.place(attrs, name)}", position=None)
        return value

    def place(self, attrs: Any, name: str | None = None) -> str:
        """Where an attribute (or the set itself) is written, for messages."""
        position = self.position(attrs, name)
        return "«none»:0" if position is None else str(position)

    def position(self, attrs: Any, name: str | None = None) -> Position | None:
        number = attrs.pos if name is None else attrs.position(name)
        found: Position | None = self.evaluator.positions.position(number) if number > 0 else None
        return found

    def text(self, value: Any) -> str:
        """A string of the language as ordinary text."""
        text = value if isinstance(value, str) else value.text
        return str(text).encode("latin-1").decode("utf-8", "surrogateescape")

    # -- the file ----------------------------------------------------------------------------------

    def read(self) -> Flake:
        original, resolved, locked = self.references
        path = f"{self.folder}/flake.nix"
        self.trees.require(path, resolved)
        info = self.evaluator.eval_file(path, must_be_trivial=True)
        table = dict(info.items())
        flake = Flake(original, resolved, locked, self.folder)
        if "description" in table:
            text = self.text(self.expect("a string", table["description"], info, "description"))
            flake = flake.with_(description=text)
        inputs: dict[str, FlakeInput] = {}
        if "inputs" in table:
            inputs, self_attributes = self.inputs(table["inputs"], info, "inputs", allow_self=True)
            flake = flake.with_(self_attributes=self_attributes)
        if "outputs" not in table:
            raise BadFlake(f"flake '{resolved}' lacks attribute 'outputs'")
        for name in self.formals(self.expect("a function", table["outputs"], info, "outputs")):
            if name != "self":
                inputs.setdefault(name, FlakeInput(FlakeReference({"type": "indirect", "id": name})))
        config = self.config(table["nixConfig"], info) if "nixConfig" in table else {}
        for name in info.names():
            if name not in ("description", "inputs", "outputs", "nixConfig"):
                raise BadFlake(
                    f"flake '{resolved}' has an unsupported attribute '{self.text(name)}', at {self.place(info, name)}"
                )
        return flake.with_(inputs=inputs, config=config)

    def formals(self, function: Any) -> list[str]:
        from frazil.flake.literal import formal_names

        names = [self.text(name) for name in formal_names(function)]
        for name in names:
            if name != "self":
                FlakeReference.parse(name)  # a formal that is no flake identifier cannot be looked up
        return names

    def inputs(
        self, value: Any, attrs: Any, name: str, *, allow_self: bool
    ) -> tuple[dict[str, FlakeInput], dict[str, Attribute]]:
        value = self.expect("a set", value, attrs, name)
        inputs: dict[str, FlakeInput] = {}
        self_attributes: dict[str, Attribute] = {}
        for raw, item in value.items():
            child = self.text(raw)
            if child == "self":
                if not allow_self:
                    raise BadFlake(f"'self' input attribute not allowed at {self.place(value, raw)}")
                own = self.expect("a set", item, value, raw)
                for key, part in own.items():
                    self_attributes[self.text(key)] = self.attribute(self.text(key), part)
            else:
                inputs[child] = self.input(item, value, raw)
        return inputs, self_attributes

    def input(self, value: Any, attrs: Any, name: str) -> FlakeInput:
        value = self.expect("a set", value, attrs, name)
        found: dict[str, Any] = {"attributes": {}, "url": None}
        for raw, item in value.items():
            key = self.text(raw)
            try:
                self.input_attribute(found, key, raw, item, value)
            except FrazilError as error:
                add_trace(error, f"while evaluating flake attribute '{key}'", self.position(value, raw))
                raise
        attributes: dict[str, Attribute] = found["attributes"]
        reference = None
        if "type" in attributes:
            try:
                reference = FlakeReference.from_attributes(attributes)
            except FrazilError as error:
                add_trace(error, "while evaluating flake input", self.position(attrs, name))
                raise
        else:
            attributes.pop("url", None)
            if attributes:
                raise BadFlake(f"unexpected flake input attribute '{min(attributes)}', at {self.place(attrs, name)}")
            if found["url"] is not None:
                reference = FlakeReference.parse(
                    found["url"],
                    allow_missing=True,
                    is_flake=found.get("is_flake", True),
                    preserve_relative_paths=True,
                )
        follows = found.get("follows")
        if reference is not None and follows is not None:
            raise BadFlake(
                f"flake input has both a flake reference and a follows attribute, at {self.place(attrs, name)}"
            )
        return FlakeInput(reference, found.get("is_flake", True), follows, found.get("overrides", {}))

    def input_attribute(self, found: dict[str, Any], key: str, raw: str, item: Any, attrs: Any) -> None:
        if key == "url":
            found["url"] = found["attributes"]["url"] = self.url(item, attrs, raw)
        elif key == "flake":
            found["is_flake"] = self.expect("a Boolean", item, attrs, raw)
        elif key == "inputs":
            found["overrides"] = self.inputs(item, attrs, raw, allow_self=False)[0]
        elif key == "follows":
            path = parse_input_path(self.text(self.expect("a string", item, attrs, raw)))
            found["follows"] = (*self.lock_root, *path)
        else:
            found["attributes"][key] = self.attribute(key, item)

    def url(self, value: Any, attrs: Any, name: str) -> str:
        from frazil.lang.values import PathValue

        value = self.trivial(value)
        if isinstance(value, PathValue):
            return "path:" + self.relative(self.text(value.text), attrs, name)
        kind = self.kind(value)
        if not kind.startswith("a string"):
            raise BadFlake(f"expected a string or a path but got {kind} at {self.place(attrs, name)}")
        return self.text(value)

    def relative(self, path: str, attrs: Any, name: str) -> str:
        """A path literal, relative to the folder of `flake.nix`; it must lie in the same tree."""
        root = self.trees.root_of(self.folder)
        if path != root and not path.startswith(root + "/"):
            raise BadFlake(
                f"input attribute path '{path}' at {self.place(attrs, name)} must be in the same source tree as "
                f"{self.trees.display(self.folder)}"
            )
        return os.path.relpath(path, self.folder)

    def attribute(self, name: str, value: Any) -> Attribute:
        kind = self.kind(value)
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            if value < 0:
                raise BadFlake(f"negative value given for flake input attribute {name}: {value}")
            return value
        if kind.startswith("a string"):
            return self.text(value)
        if name == "publicKeys":
            return self.public_keys(value)
        raise BadFlake(f"flake input attribute '{name}' is {kind} while a string, Boolean, or integer is expected")

    def public_keys(self, value: Any) -> str:
        if "verified-fetches" not in self.evaluator.settings.experimental_features:
            raise BadFlake(
                "experimental Nix feature 'verified-fetches' is disabled; add "
                "'--extra-experimental-features verified-fetches' to enable it"
            )
        from frazil.lang.json_writer import to_json_text

        return self.text(to_json_text(self.evaluator, value, set(), copy_to_store=True))

    # -- nixConfig ---------------------------------------------------------------------------------

    def config(self, value: Any, attrs: Any) -> dict[str, ConfigValue]:
        value = self.expect("a set", value, attrs, "nixConfig")
        return {self.text(name): self.config_value(self.text(name), item) for name, item in value.items()}

    def config_value(self, name: str, value: Any) -> ConfigValue:
        from frazil.lang.values import PathValue

        value = self.trivial(value)
        kind = self.kind(value)
        if isinstance(value, bool | int):
            return value
        if kind == "a string":
            return self.text(value)
        if isinstance(value, PathValue):
            return self.text(self.evaluator.effects.copy_path_to_store(value.text))
        if kind == "a list":
            return tuple([self.config_element(name, element) for element in value])
        raise BadFlake(f"flake configuration setting '{name}' is {kind}")

    def config_element(self, name: str, value: Any) -> str:
        value = self.trivial(value)
        if self.kind(value) != "a string":
            raise BadFlake(f"list element in flake configuration setting '{name}' is a list while a string is expected")
        return self.text(value)
