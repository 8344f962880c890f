"""Values of the language as Python programs see them: views that evaluate what is looked at, and nothing else.

A view belongs to the session it came from, and may be used from any thread.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self, overload

if TYPE_CHECKING:
    from frazil.api.session import Session

SHOWN_ITEMS = 20
SHOWN_TEXT = 200


class String(str):
    """A string that depends on store objects: `context` says on which, as `builtins.getContext` would."""

    __slots__ = ("context",)
    context: frozenset[str]

    def __new__(cls, text: str, context: frozenset[str] = frozenset()) -> String:
        made = super().__new__(cls, text)
        made.context = context
        return made


class Output(NamedTuple):
    """One output of a build. `path`: in the store, as Nix names it; `real`: where its files are on this machine."""

    name: str
    path: str
    real: Path


class View:
    """What the views have in common."""

    __slots__ = ("_session", "_value")

    def __init__(self, session: Session, value: Any) -> None:
        self._session = session
        self._value = value

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a frazil.{type(self).__name__} is part of its session and cannot be pickled or copied deeply; "
            "to_python() gives plain lists and dicts, to_json() text"
        )

    def __copy__(self) -> Self:
        return self  # values never change

    def to_json(self) -> str:
        """As `builtins.toJSON`; evaluates everything."""
        return self._session._json(self._value)

    def to_nix(self) -> str:
        """An expression of the language for the value; evaluates everything."""
        return self._session._printed(self._value, evaluate=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._session._printed(self._value)}>"


class List(View, Sequence[Any]):
    """A list. Elements are evaluated when they are looked at."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._value)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self._session._view(item) for item in self._value[index]]
        return self._session._view(self._value[index])

    def __iter__(self) -> Iterator[Any]:
        for item in self._value:
            yield self._session._view(item)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def to_python(self) -> list[Any]:
        """Plain lists, dicts and values all the way down. Derivations and paths stay what they are."""
        return [_plain(item) for item in self]

    def _repr_html_(self) -> str:
        shown = self._session._shown_items(self._value[:SHOWN_ITEMS])
        rows = [_row(str(index), text) for index, text in enumerate(shown)]
        return _table("List", rows, len(self))


class AttrSet(View, Mapping[str, Any]):
    """An attribute set. Attributes are evaluated when they are looked at, by `value["name"]` or `value.name`."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __getitem__(self, name: str) -> Any:
        return self._session._attribute(self._value, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._session._names(self._value))

    def __len__(self) -> int:
        return len(self._value)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._session._has(self._value, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(name for name in self if name.isidentifier())]

    def select(self, path: str) -> Any:
        """What `-A` finds: `"a.b.0.c"`, calling functions on the way whose arguments all have defaults.

        Raises MissingAttribute.
        """
        return self._session._select(self._value, path)

    def to_python(self) -> dict[str, Any]:
        """Plain lists, dicts and values all the way down. Derivations and paths stay what they are."""
        return {name: _plain(item) for name, item in self.items()}

    def _ipython_key_completions_(self) -> list[str]:
        return list(self)

    def _repr_html_(self) -> str:
        names = list(self)
        rows = [_row(name, self._session._shown(self._value, name)) for name in names[:SHOWN_ITEMS]]
        return _table(type(self).__name__, rows, len(names))


class Derivation(AttrSet):
    """A set with `type = "derivation"`: something that can be built."""

    __slots__ = ()

    @property
    def drv_path(self) -> str:
        """Of the store derivation, which is written now."""
        return self._session._derivation_path(self)

    @property
    def out_path(self) -> str:
        """Where the default output is or will be; a placeholder where only the build will tell."""
        return str(self["outPath"])

    def show(self) -> dict[str, Any]:
        """The store derivation as `frazil derivation show` prints it."""
        return self._session._show_derivation(self)

    def build(self) -> dict[str, Output]:
        """All outputs by name, built where the store lacks them. Raises BuildFailed."""
        return self._session.realise(self)[0]

    def __eq__(self, other: object) -> bool:
        # By path: a derivation contains itself (`drv.out`), so comparing the attributes would never end.
        return isinstance(other, Derivation) and self.drv_path == other.drv_path

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.drv_path)

    def __repr__(self) -> str:
        return f"<Derivation {self.get('name', '?')}>"

    def _repr_html_(self) -> str:
        rows = [_row(name, str(self[name])) for name in ("name", "system", "drvPath", "outPath") if name in self]
        return _table("Derivation", rows, len(rows))


class Function(View):
    """A function: `f(a, b)` for `f a b`, `f(x=1, y=2)` for `f { x = 1; y = 2; }`."""

    __slots__ = ()

    def __call__(self, *arguments: Any, **attributes: Any) -> Any:
        if arguments and attributes:
            raise TypeError("give arguments or attributes, not both")
        if not arguments and not attributes and self.formals is None:
            raise TypeError("this function takes an argument")
        return self._session._call(self._value, arguments or (attributes,))

    @property
    def formals(self) -> dict[str, bool] | None:
        """The names in `{ a, b ? c }:` with whether they have a default; None for any other function."""
        return self._session._formals(self._value)


def _row(name: str, shown: str) -> str:
    short = shown if len(shown) <= SHOWN_TEXT else shown[:SHOWN_TEXT] + "…"
    return f"<tr><th>{html.escape(name)}</th><td><code>{html.escape(short)}</code></td></tr>"


def _table(title: str, rows: list[str], count: int) -> str:
    if count > len(rows):
        rows = [*rows, f"<tr><td colspan=2>… {count - len(rows)} more</td></tr>"]
    return f"<table><caption>{html.escape(title)}</caption>{''.join(rows)}</table>"


def _plain(value: Any) -> Any:
    if isinstance(value, AttrSet | List) and not isinstance(value, Derivation):
        return value.to_python()
    return value
