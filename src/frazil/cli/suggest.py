"""Did you mean: the closest of a few known words."""

from __future__ import annotations

from frazil.errors import edit_distance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def closest(word: str, known: Iterable[str], *, within: int = 2, limit: int = 3) -> list[str]:
    """The known words at most `within` edits away, nearest first."""
    near = sorted((edit_distance(word, k, within), k) for k in set(known) if abs(len(k) - len(word)) <= within)
    return [k for d, k in near if d <= within][:limit]


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    found = closest(word, known)
    if not found:
        return None
    if len(found) == 1:
        return f"did you mean {found[0]}?"
    return f"did you mean one of {', '.join(found[:-1])} or {found[-1]}?"
