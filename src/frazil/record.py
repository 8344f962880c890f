"""Frozen values with named fields, for modules that every start of the program imports. Leaf: standard library only.

What `@dataclass(frozen=True, slots=True)` gives, made without compiling code: importing `dataclasses` takes longer than
evaluating a small expression. Where a start does not pass, and where many are made, use `dataclasses`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, ClassVar, Self, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**options: object) -> Callable[[T], T]:
        return lambda kind: kind


REQUIRED = object()
EMPTY: Any = {}
"""A default for fields that are mappings; nobody changes it."""


@dataclass_transform(frozen_default=True)
class RecordType(type):
    """Makes the annotated names of a class its slots; what they are set to are defaults."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> RecordType:
        names = tuple(n for n, kind in namespace.get("__annotations__", {}).items() if not kind.startswith("ClassVar"))
        defaults = {n: namespace.pop(n, REQUIRED) for n in names}
        namespace["__slots__"] = names
        namespace["__match_args__"] = names
        namespace["field_defaults"] = defaults
        return super().__new__(cls, name, bases, namespace)


class Record(metaclass=RecordType):
    """Base of frozen values. Two are equal where they are of one class and all fields are equal."""

    field_defaults: ClassVar[dict[str, Any]]

    def __init__(self, *values: object, **named: object) -> None:
        put = object.__setattr__
        defaults = type(self).field_defaults
        given = dict(zip(defaults, values))
        fields = {**defaults, **given, **named}
        if len(values) > len(defaults):
            raise TypeError(f"{type(self).__name__} takes {len(defaults)} values, not {len(values)}")
        if len(fields) > len(defaults) or (named and not given.keys().isdisjoint(named)):
            wrong = next(name for name in named if name in given or name not in defaults)
            raise TypeError(f"{type(self).__name__} has no field '{wrong}', or it was given twice")
        for name, value in fields.items():
            if value is REQUIRED:
                raise TypeError(f"{type(self).__name__} needs a value for '{name}'")
            put(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to field '{name}'")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete field '{name}'")

    def values(self) -> tuple[Any, ...]:
        return tuple([getattr(self, name) for name in type(self).field_defaults])

    def with_(self, **changes: object) -> Self:
        """A copy with other values for some fields."""
        return type(self)(**{**dict(zip(type(self).field_defaults, self.values())), **changes})

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        assert isinstance(other, Record)
        return self.values() == other.values()

    def __hash__(self) -> int:
        return hash(self.values())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in type(self).field_defaults)
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.values()


def named_tuple(name: str, fields: str) -> Any:
    """What is needed of `collections.namedtuple`, which compiles a text, in a module that takes long itself."""
    from _collections import _tuplegetter  # type: ignore[import-not-found] # what namedtuple uses

    names = tuple(fields.split())

    def __new__(cls: type[tuple[Any, ...]], *values: object) -> Any:
        if len(values) != len(names):
            raise TypeError(f"{name} takes {len(names)} values, not {len(values)}")
        return tuple.__new__(cls, values)

    def _replace(self: tuple[Any, ...], **changes: object) -> Any:
        fields = {**dict(zip(names, self)), **changes}
        return type(self)(*fields.values())

    def __repr__(self: tuple[Any, ...]) -> str:
        return f"{name}({', '.join([f'{field}={value!r}' for field, value in zip(names, self)])})"

    def __getnewargs__(self: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self)

    def _make(cls: type[tuple[Any, ...]], values: Iterable[object]) -> Any:
        return tuple.__new__(cls, values)

    methods = (__new__, _replace, __repr__, __getnewargs__)
    getters = {field: _tuplegetter(place, field) for place, field in enumerate(names)}
    made = {method.__name__: method for method in methods}
    return type(name, (tuple,), {"__slots__": (), **getters, **made, "_make": classmethod(_make), "_fields": names})
