"""Elements of string contexts as texts: `/nix/store/…`, `!OUTPUT!/nix/store/….drv`, `=/nix/store/….drv`.

An output of a derivation that is itself an output (dynamic derivations) is written `!OUTER!INNER!/nix/store/….drv`.
"""

from __future__ import annotations

from frazil.record import Record


class Built(Record):
    """`through`: outputs of derivations that are derivations in turn, from the inside out; usually empty."""

    derivation: str
    output: str
    through: tuple[str, ...] = ()


def parse_built(element: str) -> Built:
    """An element that begins with `!`."""
    output, *rest = element[1:].split("!")
    return Built(rest[-1], output, tuple(reversed(rest[:-1])))


def show_element(element: str) -> str:
    """As messages show it: `/nix/store/….drv^out`."""
    if element.startswith("!"):
        built = parse_built(element)
        return "^".join([built.derivation, *built.through, built.output])
    return element
