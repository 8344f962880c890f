"""Store objects under the address that their contents give them.

In: valid paths. Out: copies of their closures, references rewritten from the leaves up, each at the path that follows
from its bytes. Source of truth: the manual page of `nix store make-content-addressed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO, TYPE_CHECKING

from frazil.store.content_address import ContentAddress
from frazil.store.nar import CountingHash
from frazil.store.path import References, StorePath
from frazil.store.path_info import PathInfo
from frazil.store.references import ModuloHash, Rewriter

if TYPE_CHECKING:
    from frazil.store.interface import Store

SPOOL = 64 << 20
"""Archives up to this size pass through memory, bytes."""
_CHUNK = 1 << 18


def make_content_addressed(
    source: Store,
    target: Store,
    paths: Iterable[StorePath],
    tell: Callable[[StorePath, StorePath], object] = lambda old, new: None,
) -> dict[StorePath, StorePath]:
    """Old path → new one, of the whole closure. `tell` is called before each is added."""
    moved: dict[StorePath, StorePath] = {}
    for path in source.topological(source.closure(list(paths))):
        moved[path] = _add(source, target, path, moved, tell)
    return moved


def _add(
    source: Store,
    target: Store,
    path: StorePath,
    moved: dict[StorePath, StorePath],
    tell: Callable[[StorePath, StorePath], object],
) -> StorePath:
    import tempfile

    references = source.query_info(path).references_split()
    show = source.directory.show
    rewrites = {show(other).encode(): show(moved[other]).encode() for other in references.others}
    others = References(frozenset([moved[other] for other in references.others]), references.self_reference)
    with tempfile.SpooledTemporaryFile(SPOOL) as first, tempfile.SpooledTemporaryFile(SPOOL) as second:
        rewriter = Rewriter(rewrites, first.write)
        source.dump_nar(path, rewriter.write)
        rewriter.finish()
        modulo = ModuloHash("sha256", path.hash_part)
        _pass(first, modulo.write)
        address = ContentAddress("nar", modulo.result()[0])
        new = address.store_path(target.directory, path.name, others)
        tell(path, new)
        whole = CountingHash("sha256")

        def write(data: bytes) -> None:
            whole.write(data)
            second.write(data)

        own = Rewriter({path.hash_part.encode(): new.hash_part.encode()}, write)
        _pass(first, own.write)
        own.finish()
        itself = {new} if others.self_reference else set()
        info = PathInfo(new, *whole.result(), references=others.others | itself, content_address=address)
        second.seek(0)
        target.add_nar(info, second.read)
    return new


def _pass(file: IO[bytes], write: Callable[[bytes], object]) -> None:
    file.seek(0)
    while data := file.read(_CHUNK):
        write(data)
