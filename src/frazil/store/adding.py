"""How contents become store objects: hashed, put in place canonically, registered.

In: bytes, file trees, archives. Out: valid store paths. Order matters for crash safety: a temporary root first, then
the files under the path's lock, then one transaction. A death before that leaves an invalid path, which the next
writer replaces and a collection removes.
"""

from __future__ import annotations

import fcntl
import io
import os
import stat
import time

from frazil._native import exists, receive
from frazil.digest import Hash
from frazil.record import Record
from frazil.store import nar
from frazil.store.content_address import ContentAddress, check_algorithm, check_method
from frazil.store.errors import BadArchive, HashMismatch, StoreError, from_os_error
from frazil.store.metadata import canonicalise, delete_tree, sync_tree
from frazil.store.path import References, StorePath
from frazil.store.path_info import PathInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from frazil.store.ahead import Ahead
    from frazil.store.local import LocalStore
    from frazil.store.path import StoreDirectory


class Computed(Record):
    """An object whose path was computed but which was not written: its file contents, or where its source lies."""

    info: PathInfo
    contents: bytes | None = None
    source: str | None = None
    executable: bool = False
    """Of the file whose contents are kept."""


class Addition(Record):
    """How an object is to be called, and how its path follows from what it holds."""

    name: str
    method: str = "nar"
    algorithm: str = "sha256"
    references: frozenset[StorePath] = frozenset()
    repair: bool = False

    def check(self) -> None:
        """Raises StoreError for a method or algorithm that does not exist."""
        check_method(self.method)
        check_algorithm(self.algorithm)

    @property
    def is_flat(self) -> bool:
        """Whether it is hashed as the one file that it is, without an archive around it."""
        return self.method in ("flat", "text")

    def info(self, directory: StoreDirectory, content: Hash, archive: Hash, size: int) -> PathInfo:
        """`content`: the hash by its method; `archive`, `size`: of its archive."""
        path = directory.make_fixed_output_path(self.method, content, self.name, References(self.references))
        address = ContentAddress(self.method, content)
        return PathInfo(path, archive, size, self.references, None, int(time.time()), content_address=address)


class _Memory:
    """Collects an archive while it is small enough, between hashing and unpacking."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.pieces: list[bytes] | None = []
        self.size = 0

    def write(self, data: bytes) -> None:
        if self.pieces is None:
            return
        self.size += len(data)
        if self.size > self.limit:
            self.pieces = None
        else:
            self.pieces.append(data)

    def reader(self) -> nar.Read | None:
        if self.pieces is None:
            return None
        return io.BytesIO(b"".join(self.pieces)).read


def hash_source(source: str, method: str, algorithm: str, filter: nar.Filter | None = None) -> Hash:
    """What `method` ("nar", "flat", "git", "text") makes of a file tree, hashed."""
    check_method(method)
    check_algorithm(algorithm)
    if method == "nar":
        return nar.hash_path(source, algorithm, filter=filter)[0]
    if method == "git":
        from frazil.store.git_hash import hash_tree

        return hash_tree(source, algorithm, filter)
    return nar.hash_flat(source, algorithm)[0]


# ------------------------------------------------------------------------------------------------------- single files


def add_text_at(store: LocalStore, path: StorePath, contents: bytes, references: frozenset[StorePath]) -> None:
    """A text object at a path that is known to follow from it."""
    if store.compute_only:
        if path not in store.computed:
            store.computed[path] = Computed(text_info(path, contents, references), contents=contents)
        return
    store.add_temporary_root(path)
    if store.is_valid(path) and not store.repairs:
        return
    _place_file(store, path, contents, executable=False)
    store.register([text_info(path, contents, references)], computed=True)


def add_texts(
    store: LocalStore, texts: Sequence[tuple[StorePath, bytes, Collection[str]]], ahead: Ahead | None = None
) -> None:
    """`ahead`: who may have written some of them already."""
    parse = store.directory.parse
    if store.compute_only:
        for path, contents, references in texts:
            add_text_at(store, path, contents, frozenset([parse(text) for text in references]))
        return
    paths = [path for path, _, _ in texts]
    store.add_temporary_roots(paths)
    valid = store.valid_among(paths) if not store.repairs else set()
    missing = [entry for entry in texts if entry[0] not in valid]
    parsed: dict[str, StorePath] = {}
    for _, _, references in missing:
        for text in references:
            if text not in parsed:
                parsed[text] = parse(text)
    infos = ahead.place_texts(missing, parsed) if ahead is not None else []
    placed = {info.path for info in infos}
    for path, contents, references in missing:
        if path in placed:
            store.unlocked[path] = contents, False
        else:
            _place_file(store, path, contents, executable=False)
            infos.append(text_info(path, contents, frozenset([parsed[text] for text in references])))
    if infos:
        store.collect_if_needed()
        store.register(infos, computed=True)


def text_info(path: StorePath, contents: bytes, references: frozenset[StorePath]) -> PathInfo:
    digest, size = nar.hash_file_archive(contents)
    address = ContentAddress("text", Hash.of("sha256", contents))
    return PathInfo(path, digest, size, references, None, int(time.time()), content_address=address)


def add_bytes(
    store: LocalStore, addition: Addition, contents: bytes, executable: bool = False, source: str | None = None
) -> StorePath:
    """`source`: where the file is that these contents were read from."""
    archive, size = nar.hash_file_archive(contents, executable=executable)
    info = addition.info(store.directory, _hash_bytes(addition, contents, executable, archive), archive, size)
    path = info.path
    if store.compute_only:
        kept = contents if source is None else None
        store.computed[path] = Computed(info, contents=kept, source=source, executable=executable)
        return path
    store.add_temporary_root(path)
    if addition.repair or not store.is_valid(path):
        _place_file(store, path, contents, executable=executable)
        store.register([info], computed=True)
    return path


def _hash_bytes(addition: Addition, contents: bytes, executable: bool, archive: Hash) -> Hash:
    """By the addition's method; `archive`: the SHA-256 of the file's archive."""
    addition.check()
    if addition.is_flat:
        if executable:
            raise StoreError("a flat content address cannot tell an executable file from another")
        return Hash.of(addition.algorithm, contents)
    if addition.method == "git":
        from frazil.store.git_hash import hash_blob

        return hash_blob(contents, addition.algorithm)
    if addition.algorithm == "sha256":
        return archive
    counter = nar.CountingHash(addition.algorithm)
    nar.dump_file(contents, counter.write, executable=executable)
    return counter.result()[0]


def _place_file(store: LocalStore, path: StorePath, contents: bytes, *, executable: bool) -> None:
    """Complete under another name, then renamed: equal paths have equal contents, so no lock is needed. But who has
    the lock, if it is not frazil, may take it away as garbage until it is registered: `confirm_files`."""
    store.require_writable()
    store.unlocked[path] = contents, executable
    _write_file(store, path, contents, executable=executable)


def confirm_files(store: LocalStore, paths: Iterable[StorePath]) -> None:
    """After a registration: files that were placed without a lock are there. From now on nobody takes them away."""
    prefix = os.fsencode(store.config.real_store_dir) + b"/"
    for path in paths:
        placed = store.unlocked.pop(path, None)
        if placed is not None and not exists(prefix + path.base.encode("ascii")):
            contents, executable = placed
            _write_file(store, path, contents, executable=executable)


def _write_file(store: LocalStore, path: StorePath, contents: bytes, *, executable: bool) -> None:
    final = f"{store.config.real_store_dir}/{path.base}"
    for attempt in range(_ATTEMPTS):
        try:
            _place_file_once(store, store.working_path("file", check=attempt > 0), final, contents, executable)
            break
        except FileNotFoundError as error:
            if attempt == _ATTEMPTS - 1:
                raise from_os_error(error, f"writing '{final}'") from error
    store.collect_if_needed()
    if store.settings.auto_optimise_store:
        from frazil.store.optimise import optimise_path

        optimise_path(store, final)


_ATTEMPTS = 5
"""A collector that does not know our working folder may delete it under us."""


def _place_file_once(store: LocalStore, temporary: str, final: str, contents: bytes, executable: bool) -> None:
    mode = 0o555 if executable else 0o444
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            nar.write_all(descriptor, contents)
            if store.keeps_modes is None:
                store.keeps_modes = stat.S_IMODE(os.fstat(descriptor).st_mode) == mode
            if not store.keeps_modes:
                os.fchmod(descriptor, mode)
            os.utime(descriptor, ns=(time.time_ns(), 1_000_000_000))
            if store.settings.fsync_store_paths:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if store.has_default_acl:
            canonicalise(temporary, ignored_attributes=store.settings.ignored_acls)
        try:
            os.rename(temporary, final)
        except IsADirectoryError:
            delete_tree(final)
            os.rename(temporary, final)
    except FileNotFoundError:
        raise
    except OSError as error:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise from_os_error(error, f"writing '{final}'") from error


# --------------------------------------------------------------------------------------------------------- file trees


def add_path(store: LocalStore, addition: Addition, source: str, filter: nar.Filter | None) -> StorePath:
    limit = store.settings.nar_buffer_size
    status = _lstat(source)
    if stat.S_ISREG(status.st_mode) and addition.method in ("nar", "flat") and status.st_size <= limit:
        executable = addition.method == "nar" and bool(status.st_mode & 0o100)
        return add_bytes(store, addition, _read_file(source, status.st_size), executable, source)
    if stat.S_ISREG(status.st_mode) and addition.method in ("nar", "flat") and not store.compute_only:
        return _add_large(store, addition, source, None)
    remembered = remember_answers(filter)
    if remembered is None and addition.method == "nar" and addition.algorithm == "sha256":
        packed = nar.pack_tree(source, 0 if store.compute_only else limit)
        digest = Hash("sha256", packed.digest)
        info = addition.info(store.directory, digest, digest, packed.size)
        contents = packed.contents
        read: nar.Read | None = None if contents is None else io.BytesIO(contents).read
    else:
        memory = _Memory(limit)
        info = addition.info(store.directory, *_hash_for_adding(source, addition, remembered, memory))
        read = memory.reader()
    if store.compute_only:
        store.computed[info.path] = Computed(info, source=source)
        return info.path
    store.add_temporary_root(info.path)
    if store.is_valid(info.path) and not addition.repair:
        return info.path
    if read is None:
        return _add_large(store, addition, source, remembered)
    _unpack_and_register(store, info, read, addition.repair)
    return info.path


def _read_file(source: str, size: int) -> bytes:
    pieces: list[bytes] = []
    nar.copy_flat(source, pieces.append)
    contents = b"".join(pieces)
    if len(contents) != size:
        raise StoreError(f"file '{source}' changed while it was read")
    return contents


def remember_answers(filter: nar.Filter | None) -> nar.Filter | None:
    """Asks the filter once for each path, however often the tree is read."""
    if filter is None:
        return None
    known: dict[str, bool] = {}
    ask = filter

    def remembered(path: str, kind: str) -> bool:
        answer = known.get(path)
        if answer is None:
            answer = known[path] = ask(path, kind)
        return answer

    return remembered


def _hash_for_adding(
    source: str, addition: Addition, filter: nar.Filter | None, memory: _Memory
) -> tuple[Hash, Hash, int]:
    """(content hash, archive hash, archive size), reading the source once where the method allows."""
    addition.check()
    method, algorithm = addition.method, addition.algorithm
    archive = nar.CountingHash("sha256")
    writers: list[nar.Write] = [archive.write, memory.write]
    extra = nar.CountingHash(algorithm) if method == "nar" and algorithm != "sha256" else None
    if extra is not None:
        writers.append(extra.write)

    def tee(data: bytes) -> None:
        for write in writers:
            write(data)

    if addition.is_flat:
        if not stat.S_ISREG(_lstat(source).st_mode):
            raise StoreError(f"path '{source}' is not a regular file, as flat hashing needs")
        content = _flat(source, algorithm, tee)
        return content, *archive.result()
    nar.dump_path(source, tee, filter=filter)
    digest, size = archive.result()
    if extra is not None:
        content = extra.result()[0]
    else:
        content = digest if method == "nar" else hash_source(source, method, algorithm, filter)
    return content, digest, size


def _lstat(path: str) -> os.stat_result:
    try:
        return os.lstat(path)
    except OSError as error:
        raise from_os_error(error, f"reading '{path}'") from error


def _flat(source: str, algorithm: str, tee: nar.Write) -> Hash:
    """A flat object is not executable, whatever its source was."""
    counter = nar.CountingHash(algorithm)
    size = _lstat(source).st_size
    nar.begin_file(size, tee)

    def both(data: bytes) -> None:
        counter.write(data)
        tee(data)

    nar.copy_flat(source, both)
    content, seen = counter.result()
    if seen != size:
        raise StoreError(f"file '{source}' changed while it was read")
    nar.end_file(size, tee)
    return content


def _unpack_and_register(store: LocalStore, info: PathInfo, read: nar.Read, repair: bool) -> None:
    real = f"{store.config.real_store_dir}/{info.path.base}"
    with store.path_locks([info.path]) as lock:
        if repair or not store.is_registered(info.path):
            delete_tree(real)
            nar.unpack(read, real)
            _finish(store, info, real, repair)
            store.flush()
        lock.delete_files = True


def _finish(store: LocalStore, info: PathInfo, real: str, repair: bool) -> None:
    """The path was computed here from what lies at `real`."""
    _settle(store, real, repair)
    store.register([info], computed=True)


def _settle(store: LocalStore, real: str, repair: bool) -> None:
    """What is done with files in their place before they are registered."""
    store.collect_if_needed()
    if store.has_default_acl:
        canonicalise(real, ignored_attributes=store.settings.ignored_acls)
    if store.settings.auto_optimise_store:
        from frazil.store.optimise import optimise_path

        optimise_path(store, real, repair=repair)
    if store.settings.fsync_store_paths:
        sync_tree(real)


def _add_large(store: LocalStore, addition: Addition, source: str, filter: nar.Filter | None) -> StorePath:
    """Copies and hashes what is copied, so that this is what is registered."""
    addition.check()
    temporary = store.working_path("tree")
    try:
        archive, size = copy_tree(source, temporary, filter, follow_executable=not addition.is_flat)
        content = archive
        if addition.method != "nar" or addition.algorithm != "sha256":
            content = hash_source(temporary, addition.method, addition.algorithm)
        info = addition.info(store.directory, content, archive, size)
        store.add_temporary_root(info.path)
        if addition.repair or not store.is_valid(info.path):
            _move_and_register(store, info, temporary, addition.repair)
    finally:
        delete_tree(temporary)
    return info.path


def _move_and_register(store: LocalStore, info: PathInfo, temporary: str, repair: bool) -> None:
    real = f"{store.config.real_store_dir}/{info.path.base}"
    with store.path_locks([info.path]) as lock:
        if repair or not store.is_registered(info.path):
            delete_tree(real)
            move_into_place(temporary, real)
            _finish(store, info, real, repair)
            store.flush()
        lock.delete_files = True


def move_into_place(source: str, destination: str) -> None:
    """Renames a canonical tree. A read-only folder must be writable for a moment to get another parent."""
    try:
        is_directory = stat.S_ISDIR(os.lstat(source).st_mode)
        if is_directory:
            os.chmod(source, 0o755)
        os.rename(source, destination)
        if is_directory:
            os.chmod(destination, 0o555)
            os.utime(destination, ns=(time.time_ns(), 1_000_000_000))
    except OSError as error:
        raise from_os_error(error, f"moving '{source}' to '{destination}'") from error


def copy_tree(
    source: str, destination: str, filter: nar.Filter | None = None, *, follow_executable: bool = True
) -> tuple[Hash, int]:
    """A canonical copy of a file tree; hash and size of its archive. The archive format decides what of it counts."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, _PIPE)
    except OSError:
        pass  # more than this user may have: then it goes in smaller pieces
    failure: list[BaseException] = []

    def produce() -> None:
        try:
            with open(write_end, "wb", buffering=0) as file:

                def write(data: bytes) -> None:
                    nar.write_all(file.fileno(), data)

                if follow_executable and filter is None:
                    nar.dump_to(source, file.fileno())
                elif follow_executable:
                    nar.dump_path(source, write, filter=filter)
                else:
                    _flat(source, "sha256", write)
        except BaseException as error:
            failure.append(error)

    import threading

    producer = threading.Thread(target=produce, name="archive")
    producer.start()
    try:
        with open(read_end, "rb", buffering=0) as file:
            copied = nar.unpack(file.read, destination)
    except StoreError:
        producer.join()
        if failure and not isinstance(failure[0], BrokenPipeError):
            raise failure[0] from None
        raise
    producer.join()
    if failure:
        raise failure[0]
    return copied


_PIPE = 1 << 20


# ----------------------------------------------------------------------------------------------------------- archives


def add_nar(
    store: LocalStore,
    info: PathInfo,
    read: nar.Read,
    *,
    repair: bool = False,
    check_signatures: bool = False,
    locked: bool = False,
) -> None:
    """`locked`: the caller holds the path's lock."""
    if check_signatures:
        require_signature(store, info)
    store.add_temporary_root(info.path)
    if store.is_valid(info.path) and not repair:
        skip_archive(read)
        return
    lock = None if locked else store.path_locks([info.path])
    if lock is not None:
        lock.acquire()
    try:
        if repair or not store.is_registered(info.path):
            unpack_promised(store, info, read, repair=repair)
            store.register([info])
        else:
            skip_archive(read)
        if lock is not None:
            lock.delete_files = True
    finally:
        if lock is not None:
            lock.release()


def is_untrusted(store: LocalStore, info: PathInfo) -> bool:
    """Whether a path lacks what makes it trusted: a content address, or a signature by a trusted key."""
    if not store.settings.require_signatures or info.is_content_addressed(store.directory):
        return False
    from frazil.store.signatures import count_good_signatures

    return not info.signatures or not count_good_signatures(info, store.directory, store.trusted_keys)


def require_signature(store: LocalStore, info: PathInfo) -> None:
    """Raises StoreError."""
    if is_untrusted(store, info):
        raise StoreError(
            f"cannot add path '{store.show(info.path)}' because it lacks a signature by a trusted key",
            hint="add the key that signed it to `trusted-public-keys`, or say `--no-check-sigs`",
        )


def skip_archive(read: nar.Read) -> None:
    """Reads to its end what nobody needs."""
    nar.parse(nar.Source(read), nar.Check())


def unpack_promised(
    store: LocalStore, info: PathInfo, read: nar.Read, *, whole: bool = False, repair: bool = False
) -> None:
    """Unpacks an archive beside its place and puts it there, where it is what `info` promises; the caller holds the
    lock and registers it.

    `whole`: the stream holds nothing but this archive. Raises HashMismatch, BadArchive; then nothing is left.
    """
    real = f"{store.config.real_store_dir}/{info.path.base}"
    beside = store.working_path("unpacked")
    try:
        try:
            digest, size = nar.unpack(read, beside, promised=info.nar_size, whole=whole)
        except nar.TooLong as error:
            raise _other_size(store, info, "more") from error
        except BadArchive as error:
            raise BadArchive(f"cannot import path '{store.show(info.path)}': {error.message}") from error
        _check_promise(store, info, digest, size)
        if info.content_address is not None:
            _check_content_address(store, info, info.content_address, beside)
        if _is_folder(beside) or _is_folder(real):
            delete_tree(real)
        # Else a file takes the place of a file at once: it may be another process's, which needs no lock for it.
        move_into_place(beside, real)
    except BaseException:
        delete_tree(beside)
        raise
    _settle(store, real, repair)


def receive_small(store: LocalStore, info: PathInfo, contents: bytes) -> bool:
    """As `unpack_promised` for a small archive, in one call and without the interpreter's lock. False where more is to
    be done or something is wrong: `unpack_promised` does it, or tells what."""
    settings = store.settings
    special = settings.auto_optimise_store or settings.fsync_store_paths or info.content_address is not None
    if special or store.has_default_acl or len(contents) != info.nar_size:
        return False
    beside = store.working_path("unpacked", check=False)
    folder, name = os.path.split(os.fsencode(beside))
    real = os.fsencode(f"{store.config.real_store_dir}/{info.path.base}")
    if not receive(folder, name, real, contents, info.nar_hash.digest):
        delete_tree(beside)
        return False
    store.collect_if_needed()
    return True


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _check_promise(store: LocalStore, info: PathInfo, digest: Hash, size: int) -> None:
    if digest != info.nar_hash:
        raise HashMismatch(
            f"hash mismatch importing path '{store.show(info.path)}';\n  specified: {info.nar_hash.sri}\n"
            f"  got:       {digest.sri}"
        )
    if size != info.nar_size:
        raise _other_size(store, info, str(size))


def _other_size(store: LocalStore, info: PathInfo, got: str) -> HashMismatch:
    return HashMismatch(
        f"size mismatch importing path '{store.show(info.path)}';\n  specified: {info.nar_size}\n  got:       {got}"
    )


def _check_content_address(store: LocalStore, info: PathInfo, address: ContentAddress, real: str) -> None:
    if address.method == "git" or info.path not in info.references:
        actual = hash_source(real, address.method, address.hash.algorithm)
    else:
        from frazil.store.references import ModuloHash

        modulo = ModuloHash(address.hash.algorithm, info.path.hash_part)
        dump: Callable[[str, nar.Write], None] = nar.dump_path if address.method == "nar" else nar.copy_flat
        dump(real, modulo.write)
        actual = modulo.result()[0]
    if actual != address.hash:
        raise HashMismatch(
            f"ca hash mismatch importing path '{store.show(info.path)}';\n"
            f"  specified: {address.hash}\n  got:       {actual}"
        )


def add_from_nar(store: LocalStore, addition: Addition, read: nar.Read) -> StorePath:
    """Unpacks beside the store, hashes, then moves into place."""
    addition.check()
    if store.compute_only:
        raise StoreError("this store computes paths only and cannot take in an archive")
    temporary = store.working_path("archive")
    archive = nar.CountingHash("sha256")

    def tee(size: int) -> bytes:
        data = read(size)
        archive.write(data)
        return data

    try:
        nar.restore(tee, temporary, canonical=True)
        digest, size = archive.result()
        content = digest
        if addition.method != "nar" or addition.algorithm != "sha256":
            if addition.is_flat and os.path.isfile(temporary):
                canonical_mode(temporary)
                digest, size = nar.hash_path(temporary)
            content = hash_source(temporary, addition.method, addition.algorithm)
        info = addition.info(store.directory, content, digest, size)
        store.add_temporary_root(info.path)
        if addition.repair or not store.is_valid(info.path):
            _move_and_register(store, info, temporary, addition.repair)
    finally:
        delete_tree(temporary)
    return info.path


def canonical_mode(path: str) -> None:
    """A flat object is never executable."""
    os.chmod(path, 0o444)
