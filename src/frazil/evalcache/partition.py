"""Sets of bits, cut into the parts that they share.

In: a set for each answer, as an integer: the facts that it rests on. Out: groups of facts to be kept once each.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def numbers_of(bits: int) -> list[int]:
    """Whose bits these are."""
    text = bin(bits)[:1:-1]
    found = []
    number = text.find("1")
    while number >= 0:
        found.append(number)
        number = text.find("1", number + 1)
    return found


def partition(sets: Sequence[int]) -> tuple[list[list[int]], list[list[int]]]:
    """The fewest disjoint parts that each of these sets of bits is made of: (the numbers of the bits of each part, the
    parts of each set)."""
    trunk = _trunk(sets)
    has_trunk = [bool(trunk) and bits & trunk == trunk for bits in sets]
    rests = [numbers_of(bits & ~trunk if has else bits) for bits, has in zip(sets, has_trunk, strict=True)]
    shared = numbers_of(trunk)
    part_of: dict[int, int] = {}
    last = 0
    for rest in [shared, *rests]:
        split: dict[int, int] = {}
        for number in rest:
            old = part_of.get(number, 0)
            if old not in split:
                last += 1
                split[old] = last
            part_of[number] = split[old]
    members: dict[int, list[int]] = {}
    for number in sorted(part_of):
        members.setdefault(part_of[number], []).append(number)
    order = {part: index for index, part in enumerate(members)}
    in_trunk = {order[part_of[number]] for number in shared}
    made_of = [
        sorted({order[part_of[number]] for number in rest} | (in_trunk if has else set()))
        for rest, has in zip(rests, has_trunk, strict=True)
    ]
    return list(members.values()), made_of


def _trunk(sets: Sequence[int]) -> int:
    """What the large ones have in common: mostly nearly all of each."""
    least = max((bits.bit_count() for bits in sets), default=0) // 2
    found = -1
    for bits in sets:
        if bits.bit_count() > least:
            found &= bits
    return max(found, 0)
