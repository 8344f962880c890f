"""Inputs made from seeds, the same ones for the same number.

In: seeds, words, a random generator. Out: bytes of a bounded length.
"""

from __future__ import annotations

from random import Random

MAXIMUM = 16384
NUMBERS = (0, 1, 127, 128, 255, 256, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**63, 2**64 - 1)


def mutate(chance: Random, corpus: list[bytes], words: tuple[bytes, ...]) -> bytes:
    """One to eight changes of one of the corpus."""
    data = bytearray(chance.choice(corpus))
    for _ in range(1 + int(chance.expovariate(0.6)) % 8):
        _change(chance, data, corpus, words)
    return bytes(data[:MAXIMUM])


def _change(chance: Random, data: bytearray, corpus: list[bytes], words: tuple[bytes, ...]) -> None:
    start = chance.randint(0, len(data))
    end = min(len(data), start + chance.choice((0, 1, 1, 2, 4, 8, 30)))
    kind = chance.randrange(8)
    if kind == 0:
        del data[start:end]
    elif kind == 1:
        data[start:end] = chance.randbytes(chance.randint(1, 4))
    elif kind == 2 and data:
        data[min(start, len(data) - 1)] ^= 1 << chance.randrange(8)
    elif kind == 3:
        data[start:start] = data[start:end] * chance.choice((1, 2, 3, 40))
    elif kind == 4:
        other = chance.choice(corpus)
        cut = chance.randint(0, len(other))
        data[start:end] = other[cut : cut + chance.randint(0, 60)]
    elif kind == 5:
        data[start : start + 8] = chance.choice(NUMBERS).to_bytes(8, chance.choice(("little", "big")))  # type: ignore[arg-type]
    elif words:
        data[start:end] = chance.choice(words) * chance.choice((1, 1, 1, 1, 2, 50))
