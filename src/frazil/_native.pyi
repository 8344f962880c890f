"""See _native.c. Pieces of what is hashed are bytes, or texts of Latin-1 characters, the language's byte strings."""

from collections.abc import Callable
from typing import Any, Self

class Unfit(ValueError):
    """What an archive cannot hold: a reason ("depth", "type", "changed", "shorter") and a path."""

class Unsound(ValueError):
    """What is wrong with an archive that is unpacked: ("archive", message), or ("longer", "") than was allowed."""

class Sha256:
    """As `hashlib.sha256`."""

    def __init__(self, data: bytes | bytearray | memoryview = b"", /) -> None: ...
    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...

class Archive:
    """A file tree as an archive. `contents`: None where it was larger than was to be kept, or given away."""

    digest: bytes
    """SHA-256."""
    size: int
    contents: bytes | None

class Unpacker:
    """An archive, from anywhere, that comes in pieces: into files as the store keeps them, and hashed."""

    doing: tuple[str, bytes]
    """What failed with an OSError, and what to say after the path."""
    def __init__(self, folder: bytes, name: bytes, limit: int, /) -> None:
        """To `name`, which must not exist, in `folder`. `limit`: of bytes in all. Raises OSError."""

    def feed(self, data: bytes | bytearray | memoryview, /) -> None:
        """Raises Unsound, OSError; what was made before that stays, and no more is taken."""

    def finish(self) -> tuple[bytes, int]:
        """SHA-256 and size of the whole archive. Raises Unsound where it is not whole."""

    def close(self) -> None: ...

class Writer:
    """A thread that writes store objects into a folder, under their numbers.

    In a forked process it does nothing, and nothing counts as written.
    """

    def __init__(self, folder: str | bytes, /) -> None: ...
    def add_archive(self, archive: Archive, /) -> int:
        """Its number; -1 where the contents are not there, or too much is waiting already. Takes the contents away."""

    def add_file(self, contents: bytes, /) -> int:
        """A plain file; its number, or -1."""

    def finish(self) -> None:
        """Waits until all is written."""

    def stop(self) -> None:
        """Ends the thread. What is not written yet never will be."""

    def written(self, number: int, /) -> bool: ...
    def is_folder(self, number: int, /) -> bool: ...
    def digest(self, number: int, /) -> bytes:
        """The hash of a file's archive. Raises ValueError where it was not written."""

    def place(self, number: int, path: str | bytes, /) -> None:
        """Gives an object its name. Raises OSError, ValueError where it was not written (or placed already)."""

def sha256(*pieces: bytes | str) -> bytes: ...
def sha256_hex(*pieces: bytes | str) -> str: ...
def hash_part(*pieces: bytes | str) -> str:
    """The hash part of the store path that these pieces describe: SHA-256, folded to 160 bits, in base 32."""

def base32(data: bytes, /) -> str:
    """In Nix's base 32."""

def from_base32(text: str, /) -> bytes | None:
    """None where it holds another character, or a digit that has no room."""

def split_base(text: str, start: int, /) -> tuple[str, str] | None:
    """Hash part and name of a store path whose base name is the text's rest; None where that is none."""

def join(*pieces: bytes | str) -> bytes: ...
def variables(environment: dict[str, str], names: list[str], blank: list[str], /) -> tuple[bytes, list[int]]:
    """A derivation's environment as an ATerm: `("NAME","VALUE")` for each of `names`, separated by commas.

    -> also the places of the values of those in `blank`, which are empty. Raises KeyError, TypeError.
    """

def wanted(inputs: dict[str, set[str]] | dict[str, frozenset[str]], /) -> bytes:
    """A derivation's inputs as an ATerm, without the list's brackets: `("PATH",["OUTPUT",…])` for each, separated by
    commas; paths and outputs are sorted. Raises TypeError."""

def is_name(text: str, /) -> bool:
    """Whether a store path may have this name."""

def is_hash_part(text: str, /) -> bool:
    """Whether these are 32 characters of Nix's base 32."""

def choose_plain(plain: bool, /) -> bool:
    """Whether to do without the processor's instructions for SHA-256. -> whether they are used now."""

def read_file(path: bytes, /) -> bytes:
    """Raises OSError, ValueError for a zero byte in the path."""

def list_folder(path: bytes, /) -> dict[str, str]:
    """Name -> "regular", "directory", "symlink" or "unknown". Raises as `read_file`."""

def exists(path: bytes, /) -> bool:
    """Whether there is something, be it a link to nowhere."""

def is_plain_file(path: bytes, /) -> bool:
    """Whether there is a plain file, perhaps through links."""

def line_starts(text: bytes, /) -> bytes:
    """Where lines begin: machine numbers of two bytes where the text is shorter than 65,536, else of four."""

def archive(path: str | bytes, keep: int, /) -> Archive:
    """Packs a file tree. Its contents are kept where they are not longer than `keep`. Raises OSError, Unfit."""

def dump(path: str | bytes, to: int | Callable[[bytes], object], /) -> int:
    """Packs a file tree to a descriptor, or to a function in pieces; -> its size.

    Raises OSError (with a file name where it is about the tree), Unfit, and what the function raises.
    """

def receive(folder: bytes, name: bytes, real: bytes, archive: bytes, digest: bytes, /) -> bool:
    """A whole archive into files at `real`, where nothing may be yet, by way of `name` in a folder.

    True where it is of that SHA-256 and lies there as the store keeps files; else something may be left under either
    name, and nothing is said: whoever wants to know does it by `Unpacker`.
    """

def exchange(descriptor: int, request: bytes, maximum: int, patience: int, /) -> tuple[bytes, int, bool]:
    """Sends a request (HTTP/1.1) and takes the answer, of `maximum` bytes at most.

    -> the bytes that came, how many of them are the head, and whether they are a whole plain answer; if not, there is
    more to read, or nothing but the end. `patience`: milliseconds without anything, 0 for no limit. Raises OSError.
    """

class Exchanges:
    """Many of these at once, each over a connection of its own."""

    def __new__(cls, maximum: int, patience: int, /) -> Self: ...
    def start(self, descriptor: int, request: bytes, key: object, /) -> None:
        """64 at once at most."""

    def wait(self) -> list[tuple[Any, bytes | int, int, bool]]:
        """What is over: keys, answers as those of `exchange`, or an error's number. Nothing after a moment."""
