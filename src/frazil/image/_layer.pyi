from collections.abc import Callable

class Unfit(ValueError):
    """(reason, path): `type` of what no image can hold, `changed` of what was not as it was listed."""

class Layer:
    """The tar of some store objects. Listed when it is made; OSError and Unfit say what cannot be."""

    def __init__(
        self,
        objects: list[tuple[bytes, bytes]],
        parents: list[bytes],
        owner: tuple[int, int, bytes, bytes, int],
        most: int,
        /,
    ) -> None:
        """`objects`: names in the image and places on disk; `parents`: folders above them; `owner`: uid, gid, their
        names, time; `most`: how many entries are held in memory."""

    @property
    def size(self) -> int: ...
    def write(self, target: int | Callable[[bytes], object] | None, /) -> str:
        """To a file's number, to a function, or nowhere. Returns the digest in base 16. The interpreter's lock is not
        held meanwhile, but for calling the function and looking for signals."""

def header(
    name: bytes,
    target: bytes,
    type: str,
    mode: int,
    size: int,
    owner: tuple[int, int, bytes, bytes, int],
    /,
) -> bytes:
    """What comes before an entry's bytes."""
