"""`path-info`, `log`, `why-depends`, `store diff-closures`, `derivation show|add`, `nar …`.

Source: the manual pages of these commands.
"""

from __future__ import annotations

import os
import sys

from frazil.activity import Verbosity
from frazil.cli.common_options import INSTALLABLES, JSON, STDIN
from frazil.cli.context import Context, require_feature
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.store_paths import STORE_PATHS, derived_paths, paths_meant, store_paths, what
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import IO

    from frazil.store.derivation import Derivation
    from frazil.store.interface import Store
    from frazil.store.path import StorePath
    from frazil.store.path_info import PathInfo


def print_json(context: Context, arguments: Arguments, value: object) -> None:
    import json

    pretty = arguments.flag("pretty") or (os.isatty(1) and not arguments.flag("no-pretty"))
    separators = None if pretty else (",", ":")
    text = json.dumps(value, indent=2 if pretty else None, separators=separators, sort_keys=True, ensure_ascii=False)
    context.print(text)


# -- path-info -----------------------------------------------------------------------------------------------------


def path_info(context: Context, arguments: Arguments) -> None:
    paths = store_paths(context, arguments)
    if arguments.has("graph"):
        _draw_sizes(context, arguments, paths)
    if arguments.flag("json"):
        print_json(context, arguments, _infos_as_json(context, arguments, paths))
        return
    store = context.any_store
    shown = [store.show(path) for path in paths]
    size, closure, sigs = (arguments.flag(key) for key in ("size", "closure-size", "sigs"))
    if not (size or closure or sigs):
        from frazil.store.copying import require_valid

        require_valid(store, paths)
        if shown:
            context.print("\n".join(shown))
        return
    width = max(map(len, shown), default=0)
    human = arguments.flag("human-readable")
    if not closure:
        context.print_lines(
            text.ljust(width) + (_size(info.nar_size, human) if size else "") + (_marks(info) if sigs else "")
            for info, text in zip(store.query_infos(paths), shown)
        )
        return
    sizes = ClosureSizes(store, paths)
    columns = [iter([text.ljust(width) for text in shown])]
    if size:
        columns.append(_size(sizes.own(path), human) for path in paths)
    columns.append(_size(sizes.of(path), human) for path in paths)
    if sigs:
        columns.append(map(_marks, store.query_infos(paths)))
    context.print_lines(map("".join, zip(*columns)))


def _infos_as_json(context: Context, arguments: Arguments, paths: list[StorePath]) -> object:
    text = arguments.value("json-format")
    if text is None:
        context.warn(
            "'--json' without '--json-format' is deprecated; please specify '--json-format 1' or '--json-format 2'. "
            "This will become an error in a future release."
        )
    elif text not in {"1", "2", "3"}:
        raise UsageError(f"unsupported path info JSON format version {text}; supported versions are 1, 2 and 3")
    version = int(text or "1")
    records: dict[str, object] = {}
    infos = {info.path: info for info in context.any_store.find_infos(paths) if info is not None}
    sizes = ClosureSizes(context.any_store, infos) if arguments.flag("closure-size") else None
    for path in paths:
        known = infos.get(path)
        key = context.any_store.show(path) if version == 1 else path.base
        if known is None:
            records[key] = None
            continue
        record = known.to_json(context.any_store.directory, version=version) | _download(context, path, version)
        if sizes is not None:
            record["closureSize"] = sizes.of(path)
        records[key] = record
    if version == 1:
        return records
    return {"version": version, "storeDir": context.any_store.directory.path, "info": records}


def _download(context: Context, path: StorePath, version: int) -> dict[str, object]:
    """What a binary cache says of the file to fetch."""
    from frazil.store.binary_cache import BinaryCache

    store = context.any_store
    found = store.narinfo(path) if isinstance(store, BinaryCache) else None
    return {} if found is None else found.download_json(version)


def _draw_sizes(context: Context, arguments: Arguments, paths: list[StorePath]) -> None:
    """All that the paths need, as areas of one picture."""
    from frazil.cli.pictures import treemap, write_picture
    from frazil.store.garbage import render_size

    if not arguments.flag("closure-size"):
        raise UsageError("'--graph' shows sizes of closures: say '--closure-size', too")
    store = context.any_store
    sizes = {info.path.base: info.nar_size for info in store.query_infos(sorted(store.closure(paths)))}
    title = f"{len(sizes)} paths, {render_size(sum(sizes.values()))}"
    place = arguments.value("graph") or ""
    write_picture(
        place, title, treemap({base[33:] + " " + base[:6]: size for base, size in sizes.items()}, render_size)
    )
    context.note(f"wrote '{place}': {title}")


class ClosureSizes:
    """How large each of some paths is with all that it needs; the store is asked once for all of them."""

    def __init__(self, store: Store, paths: Iterable[StorePath]) -> None:
        found: dict[StorePath, tuple[int, Collection[StorePath]]] = {}
        level = set(paths)
        while level:
            new = store.query_sizes(level)
            found |= new
            level = {path for _, references in new.values() for path in references if path not in found}
        self._numbers = {path: number for number, path in enumerate(found)}
        self._sizes = [size for size, _ in found.values()]
        self._references = [[self._numbers[other] for other in others] for _, others in found.values()]

    def own(self, path: StorePath) -> int:
        """Without what it needs."""
        return self._sizes[self._numbers[path]]

    def of(self, path: StorePath) -> int:
        start = self._numbers[path]
        if not self._references[start]:
            return self._sizes[start]
        found, pending = {start}, [start]
        references = self._references
        while pending:
            for other in references[pending.pop()]:
                if other not in found:
                    found.add(other)
                    pending.append(other)
        sizes = self._sizes
        return sum([sizes[number] for number in found])


def _size(size: int, human: bool) -> str:
    if not human:
        return f"\t{size:11}"
    from frazil.store.garbage import render_size

    return "\t" + render_size(size).rjust(10)


def _marks(info: PathInfo) -> str:
    marks = ["ultimate"] if info.ultimate else []
    if info.content_address is not None:
        marks.append(f"ca:{info.content_address}")
    return "\t" + " ".join(marks + sorted(info.signatures))


# -- log -----------------------------------------------------------------------------------------------------------


def log(context: Context, arguments: Arguments) -> None:
    for path, text in zip(derived_paths(context, arguments), arguments.positional or [""]):
        name = what(context, arguments, text, path)
        found = log_of(context, path.base)
        if found is None:
            raise FrazilError(f"build log of '{name}' is not available")
        log_text, store = found
        context.note(f"got build log for '{name}' from '{store.uri}'")
        context.print_bytes(log_text)
        return


def log_of(context: Context, path: StorePath) -> tuple[bytes, Store] | None:
    """And who had it: the store, else one of the substituters; who of them cannot be asked is named and passed over. A
    derivation with floating inputs was built under another path."""
    from frazil.build.resolution import resolved_path
    from frazil.store.errors import UnsupportedOperation

    store = context.any_store
    candidates = [path]
    known = store.query_info_or_none(path)
    if not path.is_derivation and known is not None and known.deriver is not None:
        candidates.append(known.deriver)
    elif path.is_derivation and known is not None:
        resolved = resolved_path(store, path)
        candidates += [resolved] if resolved is not None else []
    for candidate in candidates:
        try:
            found = store.build_log(candidate)
        except UnsupportedOperation:
            break  # others may have it
        if found is not None:
            return found, store
    for other in context.substituters.stores:
        try:
            found = next(filter(None, (other.build_log(candidate) for candidate in reversed(candidates))), None)
        except FrazilError as error:
            context.warn(error.message)
            continue
        if found is not None:
            return found, other
    return None


# -- why-depends ---------------------------------------------------------------------------------------------------


def why_depends(context: Context, arguments: Arguments) -> None:
    from frazil.cli.build_command import build_paths

    package_text, dependency_text = arguments.positional
    (package,) = derived_paths(context, arguments, [package_text])
    if package.outputs is not None and not arguments.flag("derivation"):
        build_paths(context, [package])
    (dependency,) = derived_paths(context, arguments, [dependency_text])
    start = paths_meant(context, arguments, package)[0]
    targets = paths_meant(context, arguments, dependency)
    closure = context.store.closure([start])
    if not targets or targets[0] not in closure:
        names = what(context, arguments, package_text, package), what(context, arguments, dependency_text, dependency)
        context.note("'{}' does not depend on '{}'".format(*names), Verbosity.ERROR)
        return
    distances = _distances(context, closure, targets[0])
    if arguments.has("graph"):
        _draw_ways(context, arguments.value("graph") or "", start, targets[0], distances)
    if not arguments.flag("precise"):
        context.print(context.store.show(start))
    _Explanation(context, arguments, start, targets[0], distances).show(start, "", "")


def _distances(context: Context, closure: set[StorePath], target: StorePath) -> dict[StorePath, int]:
    """Steps to the target, for every path that leads to it."""
    referrers: dict[StorePath, set[StorePath]] = {}
    for path in closure:
        for reference in context.store.query_references(path):
            referrers.setdefault(reference, set()).add(path)
    distances = {target: 0}
    pending = [target]
    for path in pending:
        for referrer in sorted(referrers.get(path, ())):
            if referrer not in distances:
                distances[referrer] = distances[path] + 1
                pending.append(referrer)
    return distances


def _draw_ways(
    context: Context, place: str, start: StorePath, target: StorePath, distances: dict[StorePath, int]
) -> None:
    """All that lies between the two, the shortest way lit."""
    from frazil.cli.pictures import dependency_graph, in_order, write_picture

    store = context.store
    between = store.closure([start]) & distances.keys()
    levels = [[start.base]]
    arrows = []
    seen, column = {start}, [start]
    while column:
        following = set()
        for path in column:
            others = sorted(store.query_references(path) & between - {path})
            arrows += [(path.base, other.base) for other in others]
            following |= {other for other in others if other not in seen}
        seen |= following
        column = sorted(following)
        levels.append([path.base for path in column])
    way = [start]
    while way[-1] != target:
        way.append(min(store.query_references(way[-1]) & between - {way[-1]}, key=lambda path: (distances[path], path)))
    title = f"why {start.name} depends on {target.name}"
    write_picture(place, title, dependency_graph(in_order(levels[:-1], arrows), arrows, [path.base for path in way]))
    context.note(f"wrote '{place}': {title}")


class _Explanation:
    """Prints the ways from one path to another, shortest first."""

    def __init__(
        self,
        context: Context,
        arguments: Arguments,
        start: StorePath,
        target: StorePath,
        distances: dict[StorePath, int],
    ) -> None:
        self.context, self.start, self.target, self.distances = context, start, target, distances
        self.all, self.precise = arguments.flag("all"), arguments.flag("precise")
        self.visited: set[StorePath] = set()

    def show(self, path: StorePath, first: str, rest: str) -> bool:
        """False once the target is reached and one way is enough."""
        if self.precise:
            self.context.print(first + ("→ " if first else "") + self.context.store.show(path))
        if path == self.target and not self.all and self.start != self.target:
            return False
        if path in self.visited:
            return True
        self.visited.add(path)
        below = [
            p
            for p in self.context.store.query_references(path)
            if p in self.distances and (p != path or self.start == self.target)
        ]
        below.sort(key=lambda p: (self.distances[p], p))
        for number, reference in enumerate(below):
            last = not self.all or number == len(below) - 1
            self.explain(path, reference, first, rest, last=last)
            inner = rest + ("    " if last else "│   ")
            if not self.show(reference, inner, inner):
                return False
        return True

    def explain(self, path: StorePath, reference: StorePath, first: str, rest: str, *, last: bool) -> None:
        if not self.precise:
            self.context.print(first + ("└───" if last else "├───") + self.context.store.show(reference))
            return
        for number, hit in enumerate(_files_naming(self.context, path, reference)):
            if number == 0:
                mark = "└───" if last else "├───"
            else:
                mark = "    " if last else "│   "
            self.context.print(rest + mark + hit)
            if not self.all:
                return


def _files_naming(context: Context, path: StorePath, reference: StorePath) -> Iterator[str]:
    """The files of an object that name another, with what stands around it."""
    wanted = reference.hash_part.encode()
    root = context.store.real_path(path)
    for name in _files_below(root):
        shown = os.path.relpath(name, root) if name != root else "/"
        if os.path.islink(name):
            target = os.fsencode(os.readlink(name))
            if wanted in target:
                yield f"{shown} -> {os.fsdecode(target)}"
            continue
        found = _around(name, wanted)
        if found is not None:
            text = "".join(chr(b) if 32 <= b < 127 else "." for b in found)
            yield f"{shown}: …{text}…"


def _around(name: str, wanted: bytes) -> bytes | None:
    """Where a file first holds some bytes, with 32 on either side of them. It may be larger than memory."""
    with open(name, "rb") as file:
        window, start = b"", 0
        while data := file.read(1 << 20):
            window += data
            at = window.find(wanted)
            if at >= 0:
                file.seek(max(0, start + at - 32))
                return file.read(min(start + at, 32) + len(wanted) + 32)
            start += max(0, len(window) - len(wanted))
            window = window[-len(wanted) :]
    return None


def _files_below(root: str) -> Iterator[str]:
    """Files and links, in the order of an archive."""
    pending = [root]
    while pending:
        name = pending.pop()
        if os.path.isdir(name) and not os.path.islink(name):
            pending += [f"{name}/{inner}" for inner in sorted(os.listdir(name), key=os.fsencode, reverse=True)]
        else:
            yield name


# -- derivations ---------------------------------------------------------------------------------------------------


def derivation_show(context: Context, arguments: Arguments) -> None:
    from frazil.store.derivation_json import show_derivations

    wanted: list[StorePath] = []
    for path in derived_paths(context, arguments):
        if path.base.is_derivation:
            wanted.append(path.base)
            continue
        deriver = context.store.query_info(path.base).deriver
        if deriver is None:
            raise FrazilError(f"'{context.store.show(path.base)}' does not have a known deriver")
        wanted.append(deriver)
    if arguments.flag("recursive"):
        wanted = [p for p in context.store.closure(wanted) if p.is_derivation]
    print_json(context, arguments, show_derivations((p, context.store.read_derivation(p)) for p in set(wanted)))


def derivation_add(context: Context, arguments: Arguments) -> None:
    from frazil.store.derivation import fill_in_output_paths
    from frazil.store.derivation_json import parse_text

    text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    store = context.store
    parsed = parse_text(text)
    for feature in features_of(parsed):
        require_feature(context, feature)
    derivation = fill_in_output_paths(parsed, store.directory, store.modulo)
    if arguments.flag("dry-run"):
        path = derivation.store_path(store.directory)
    else:
        path = store.write_derivation(derivation)
    context.print(store.show(path))


def features_of(derivation: Derivation) -> list[str]:
    """The experimental features that a derivation's outputs need."""
    from frazil.store.derivation import Floating, Impure

    kinds = {type(output) for output in derivation.outputs.values()}
    return [name for kind, name in ((Floating, "ca-derivations"), (Impure, "impure-derivations")) if kind in kinds]


# -- archives ------------------------------------------------------------------------------------------------------


def nar_dump(context: Context, arguments: Arguments) -> None:
    from frazil.store.nar import dump_path

    if context.settings.boolean("use-case-hack"):
        dump_path(arguments.positional[0], context.print_bytes, case_hack=True)
    else:
        context.print_archive(arguments.positional[0])


def _seekable(archive: str) -> IO[bytes]:
    """An archive's file; what comes through a pipe is kept in a temporary one."""
    import shutil
    import tempfile

    try:
        file = open(archive, "rb")  # noqa: SIM115 (the caller closes it)
    except OSError as error:
        raise FrazilError(f'opening NAR file "{archive}": {error.strerror}') from error
    if file.seekable():
        return file
    spool = tempfile.SpooledTemporaryFile(1 << 24)  # noqa: SIM115
    with file:
        shutil.copyfileobj(file, spool)
    spool.seek(0)
    return spool


def nar_cat(context: Context, arguments: Arguments) -> None:
    from frazil.store.nar import find_node, list_archive

    archive, inner = arguments.positional
    with _seekable(archive) as file:
        node = find_node(list_archive(file.read), inner)
        if node is None or node["type"] != "regular":
            raise FrazilError(f"NAR does not contain regular file '{inner}'")
        left, offset = node["size"], node["narOffset"]
        assert isinstance(left, int) and isinstance(offset, int)
        file.seek(offset)
        while left > 0 and (data := file.read(min(left, 1 << 18))):
            context.print_bytes(data)
            left -= len(data)


def nar_ls(context: Context, arguments: Arguments) -> None:
    from frazil.store.nar import find_node, list_archive

    archive, inner = arguments.positional
    with _seekable(archive) as file:
        node = find_node(list_archive(file.read), inner)
    if node is None:
        raise FrazilError(f"path '{inner}' does not exist")
    if arguments.flag("json"):
        print_json(context, arguments, node if arguments.flag("recursive") else _shallow(node))
        return
    entries = node.get("entries")
    if isinstance(entries, dict) and not arguments.flag("directory"):
        _nar_folder(context, arguments, entries, ".")
    else:
        name = "." if isinstance(entries, dict) else os.path.basename(inner.rstrip("/"))
        _nar_line(context, arguments, node, name)


def _shallow(node: dict[str, object]) -> dict[str, object]:
    entries = node.get("entries")
    return {**node, "entries": {name: {} for name in entries}} if isinstance(entries, dict) else node


def _nar_folder(context: Context, arguments: Arguments, entries: dict[str, dict[str, object]], shown: str) -> None:
    for name, node in sorted(entries.items()):
        _nar_line(context, arguments, node, f"{shown}/{name}")


def _nar_line(context: Context, arguments: Arguments, node: dict[str, object], shown: str) -> None:
    kind = node["type"]
    if arguments.flag("long"):
        mode = {"directory": "dr-xr-xr-x", "symlink": "lrwxrwxrwx"}.get(str(kind))
        if mode is None:
            mode = "-r-xr-xr-x" if node.get("executable") else "-r--r--r--"
        suffix = f" -> {node['target']}" if kind == "symlink" else ""
        context.print(f"{mode} {node.get('size', 0)!s:>20} {shown}{suffix}")
    else:
        context.print(shown)
    below = node.get("entries")
    if arguments.flag("recursive") and isinstance(below, dict):
        _nar_folder(context, arguments, below, shown)


LISTING = (
    Option("--recursive -R", "List folders below, too."),
    Option("--long -l", "Show types and sizes."),
    Option("--directory -d", "Show a folder itself, not what is in it."),
    *JSON,
)

COMMANDS = {
    "path-info": Command(
        path_info,
        "query information about store paths",
        STORE_PATHS,
        JSON,
        (
            Option("--size -s", "Print the size of each path's archive."),
            Option("--closure-size -S", "Print the size of each path's closure."),
            Option("--human-readable -h", "Print sizes with units."),
            Option("--sigs", "Print signatures."),
            Option("--json-format", "The version of the JSON format: 1, 2 or 3.", "version"),
            Option("--graph", "With --closure-size: draw what the closure holds, by size, too.", "file.svg|html"),
        ),
        positional="installables…",
        at_most=None,
        examples=[
            ("What a closure takes", "frazil path-info -rsSh ./result"),
            ("The same as a picture", "frazil path-info -S --graph closure.html ./result"),
        ],
    ),
    "log": Command(
        log,
        "show the build log of a package or path",
        INSTALLABLES,
        positional="installable",
        at_most=1,
        examples=[("Why a build failed", "frazil log .#hello")],
    ),
    "why-depends": Command(
        why_depends,
        "show why a package has another package in its closure",
        INSTALLABLES,
        (
            Option("--all -a", "Show all ways, not just a shortest."),
            Option("--precise", "Show the files that name the dependency."),
            Option("--derivation", "Look at derivations, not outputs."),
            Option("--graph", "Draw all that lies between the two, too.", "file.svg|html"),
        ),
        positional="package dependency",
        at_least=2,
        at_most=2,
        examples=[
            ("Why a package needs another", "frazil why-depends .#hello nixpkgs#glibc"),
            ("The same as a picture", "frazil why-depends --graph why.svg .#hello nixpkgs#glibc"),
        ],
    ),
    "derivation show": Command(
        derivation_show,
        "show the contents of a store derivation",
        INSTALLABLES,
        STDIN,
        (Option("--recursive -r", "All derivations it needs, too."), *JSON),
        positional="installables…",
        at_most=None,
        examples=[("What is built for a package", "frazil derivation show .#hello")],
    ),
    "derivation add": Command(
        derivation_add,
        "add a store derivation that is given as JSON",
        (Option("--dry-run", "Only print where it would be."),),
        examples=[("Put a changed derivation into the store", "frazil derivation add < changed.json")],
    ),
    "nar pack": Command(
        nar_dump,
        "write a path's archive",
        positional="path",
        at_least=1,
        at_most=1,
        examples=[("An archive of a folder", "frazil nar pack ./folder > folder.nar")],
    ),
    "nar cat": Command(
        nar_cat,
        "print a file inside an archive",
        positional="nar path",
        at_least=2,
        at_most=2,
        examples=[("A file of an archive", "frazil nar cat ./folder.nar /README")],
    ),
    "nar ls": Command(
        nar_ls,
        "list what an archive holds",
        LISTING,
        positional="nar path",
        at_least=2,
        at_most=2,
        examples=[("All that an archive holds", "frazil nar ls -lR ./folder.nar /")],
    ),
}
