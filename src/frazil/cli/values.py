"""Values of the language as output: Nix syntax, JSON, XML, raw strings."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from frazil.instantiate.session import Session


def plain_text(session: Session, value: Any, *, strict: bool) -> str:
    """As `nix-instantiate --eval` prints."""
    from frazil.lang.printer import print_ambiguous

    if strict:
        session.evaluator.force_deep(value)
    return print_ambiguous(session.evaluator, value)


def pretty_text(session: Session, value: Any) -> str:
    """As `nix eval` prints: everything forced, derivations by their paths."""
    from frazil.lang.printer import print_value

    return print_value(session.evaluator, value, evaluate=True, derivation_paths=True)


def json_text(session: Session, value: Any, *, copy_to_store: bool = True, strict: bool = True) -> str:
    from frazil.lang.json_writer import to_json_text

    return to_json_text(session.evaluator, value, set(), copy_to_store=copy_to_store, strict=strict)


def xml_text(
    session: Session, value: Any, *, strict: bool, location: bool, on_failure: Callable[[str], None] | None = None
) -> str:
    """`on_failure` gets what there is of the document where an error ends it."""
    from frazil.lang.xml_writer import to_xml_text

    return to_xml_text(session.evaluator, value, set(), strict=strict, location=location, on_failure=on_failure)


def raw_text(session: Session, value: Any, trace: str) -> str:
    return session.evaluator.coerce_to_string(value, set(), trace=trace, copy_to_store=True)


def indented_json(text: str) -> str:
    """JSON text made readable; both sides byte strings."""
    import json

    value = json.loads(text.encode("latin-1"))
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass").decode("latin-1")
