"""`store …`: looking into and after a store. Source: the manual pages of `nix store`."""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.common_options import JSON
from frazil.cli.context import Context
from frazil.cli.legacy_store import delete_paths, print_freed
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.store_paths import STORE_PATHS, store_paths
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.interface import Store
    from frazil.store.path import StorePath
    from frazil.store.path_info import PathInfo
    from frazil.store.tree import Node, Tree


# -- looking -------------------------------------------------------------------------------------------------------


def _opened(context: Context, text: str) -> tuple[Tree, str]:
    """A path inside a store object -> a look into the object, the path in it. Raises InvalidPath."""
    store = context.any_store
    if text.startswith("/"):
        text = os.path.normpath(text)
    path, rest = store.directory.split(text)
    return store.tree(path), rest


def ls(context: Context, arguments: Arguments) -> None:
    text = arguments.positional[0]
    tree, inner = _opened(context, text)
    try:
        _list(context, arguments, tree, inner, text)
    finally:
        tree.close()


def _list(context: Context, arguments: Arguments, tree: Tree, inner: str, text: str) -> None:
    from frazil.store.tree import listing

    node = tree.node(inner)
    if node is None:
        raise FrazilError(f"path '{text}' does not exist")
    if arguments.flag("json"):
        if arguments.flag("directory"):
            raise UsageError("'--directory' is useless with '--json'")
        import json

        found = listing(tree, inner, deep=arguments.flag("recursive"))
        context.print(json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
        return
    # As in C++ Nix an archive that is a file, not a folder, has no name in itself.
    name = "." if node.kind == "directory" else os.path.basename(inner)
    if name == "." and not arguments.flag("directory"):
        _list_folder(context, arguments, tree, inner, name, node)
    else:
        _list_file(context, arguments, tree, inner, name, node)


def _list_folder(context: Context, arguments: Arguments, tree: Tree, path: str, shown: str, node: Node) -> None:
    for name in node.names:
        inner = tree.node(f"{path}/{name}")
        if inner is not None:
            _list_file(context, arguments, tree, f"{path}/{name}", f"{shown}/{name}", inner)


def _list_file(context: Context, arguments: Arguments, tree: Tree, path: str, shown: str, node: Node) -> None:
    line = shown
    if arguments.flag("long"):
        if node.kind == "symlink":
            line = f"lrwxrwxrwx {0:20} {shown} -> {node.target}"
        elif node.kind == "directory":
            line = f"dr-xr-xr-x {0:20} {shown}"
        else:
            mode = "-r-xr-xr-x" if node.executable else "-r--r--r--"
            line = f"{mode} {node.size:20} {shown}"
    context.print(line)
    if node.kind == "directory" and arguments.flag("recursive"):
        _list_folder(context, arguments, tree, path, shown, node)


def cat(context: Context, arguments: Arguments) -> None:
    text = arguments.positional[0]
    tree, inner = _opened(context, text)
    try:
        node = tree.node(inner)
        if node is None or node.kind != "regular":
            problem = "does not exist" if node is None else "is not a regular file"
            raise FrazilError(f"path '{text}' {problem}")
        for data in tree.contents(inner):
            context.print_bytes(data)
    finally:
        tree.close()


def dump_path(context: Context, arguments: Arguments) -> None:
    (path,) = _exactly_one(store_paths(context, arguments))
    context.any_store.dump_nar(path, context.print_bytes)


def _exactly_one(paths: list[StorePath]) -> list[StorePath]:
    if len(paths) != 1:
        raise UsageError("this command requires exactly one store path")
    return paths


def info(context: Context, arguments: Arguments) -> None:
    """Of whatever store `--store` names. Its address is said whether or not it can be reached."""
    from frazil.store.local import LocalStore

    store = context.any_store
    ours = isinstance(store, LocalStore) and not store.builds_elsewhere
    found: dict[str, object] = {"url": _address(store, ours=ours)}
    plain = not arguments.flag("json")
    if plain:
        context.note(f"Store URL: {found['url']}", Verbosity.NOTICE)
    try:
        store.open()
        version, trusted = store.version or (_version() if ours else None), store.trusts_us
        if version is not None:
            found["version"] = version
        if trusted is not None:
            found["trusted"] = trusted
    finally:
        if not plain:
            import json

            context.print(json.dumps(found, sort_keys=True, separators=(",", ":")))
    if plain and version is not None:
        context.note(f"Version: {version}", Verbosity.NOTICE)
    if plain and trusted is not None:
        context.note(f"Trusted: {int(trusted)}", Verbosity.NOTICE)


def _address(store: Store, *, ours: bool) -> str:
    """With its parameters; a store of this machine is `local`, wherever it is."""
    from frazil.store.recorded import RecordedStore

    if not isinstance(store, RecordedStore):
        return store.uri
    from urllib.parse import parse_qsl, urlencode

    if not ours:
        parameters = store.config.parameters
        return store.uri + ("?" + urlencode(parameters, safe="/:") if parameters else "")
    if store.uri.partition(":")[0].partition("?")[0] != "local":
        return store.uri
    stated = sorted(parse_qsl(store.config.uri.partition("?")[2]))
    return "local://?" + urlencode(stated, safe="/:") if stated else "local"


def _version() -> str:
    from frazil.cli.program import NIX_VERSION

    return NIX_VERSION


# -- adding --------------------------------------------------------------------------------------------------------


def add(context: Context, arguments: Arguments) -> None:
    _add(context, arguments, arguments.value("mode", "nar") or "nar")


def add_file(context: Context, arguments: Arguments) -> None:
    _add(context, arguments, "flat")


def add_path(context: Context, arguments: Arguments) -> None:
    _add(context, arguments, "nar")


def _add(context: Context, arguments: Arguments, mode: str) -> None:
    from frazil.cli.hash_commands import algorithm_of

    if mode not in {"nar", "flat", "text", "git"}:
        raise UsageError(f"Unknown file ingestion method '{mode}', expect `flat`, `nar`, or `git`")
    source = os.path.abspath(arguments.positional[0])
    name = arguments.value("name") or os.path.basename(source)
    algorithm = algorithm_of(arguments, "sha256") or "sha256"
    if arguments.flag("scan"):
        if arguments.flag("dry-run"):
            raise UsageError("Cannot dry-run while scanning")
        path = _add_scanning(context, name, source, mode, algorithm)
    elif arguments.flag("dry-run"):
        path, _ = context.store.compute_path(name, source, method=mode, algorithm=algorithm)
    else:
        path = context.store.add_path(name, source, method=mode, algorithm=algorithm)
    context.print(context.store.show(path))


def _add_scanning(context: Context, name: str, source: str, mode: str, algorithm: str) -> StorePath:
    from frazil.protocol.remote import RemoteStore
    from frazil.store import nar
    from frazil.store.adding import Addition

    store = context.store
    if not isinstance(store, RemoteStore):
        store.unsupported("Submit outputs for a currently running derivation")
    addition = Addition(name, mode, algorithm)

    def send(write: nar.Write) -> None:
        (nar.copy_flat if addition.is_flat else nar.dump_path)(source, write)

    return store.add_scanning(addition, send)


def submit_output(context: Context, arguments: Arguments) -> None:
    """`store submit-output PATH OUTPUT`: for builders with the feature `builder-rpc-v0`."""
    from frazil.cli.context import require_feature
    from frazil.protocol.remote import RemoteStore
    from frazil.store.derived_path import DerivedPath

    require_feature(context, "dynamic-derivations")
    store = context.store
    if not isinstance(store, RemoteStore):
        store.unsupported("Submit outputs for a currently running derivation")
    text, output = arguments.positional
    store.submit_output(DerivedPath.parse(text, store.directory), output)


# -- looking after -------------------------------------------------------------------------------------------------


def delete(context: Context, arguments: Arguments) -> None:
    delete_paths(
        context,
        store_paths(context, arguments),
        ignore_liveness=arguments.flag("ignore-liveness"),
        skip_alive=arguments.flag("skip-alive"),
        also_referrers=arguments.flag("also-referrers"),
    )


def collect(context: Context, arguments: Arguments) -> None:
    from frazil.cli.settings import parse_bytes
    from frazil.store.garbage import DELETE_DEAD, RETURN_DEAD, Options

    limit = arguments.value("max")
    dry = arguments.flag("dry-run")
    if arguments.flag("plan"):
        from frazil.cli.gc_plan import show_plan

        show_plan(context, arguments)
        return
    if dry and limit is not None:
        raise UsageError("options --max and --dry-run cannot be combined")
    options = Options(
        action=RETURN_DEAD if dry else DELETE_DEAD, max_freed=None if limit is None else parse_bytes(limit)
    )
    results = context.store.collect_garbage(options)
    if dry:
        context.print(f"{len(results.paths)} store paths would be deleted")
    else:
        print_freed(context, results)


def verify(context: Context, arguments: Arguments) -> int:
    """Exit status: 1 corrupt, 2 untrusted, 4 failed, added up."""
    from frazil.store.nar import CountingHash

    if arguments.flag("check-contents"):
        from frazil.cli.legacy_store import verify as verify_store

        return verify_store(context, arguments)

    store = context.any_store
    substituters = [context.open_address(address) for address in arguments.all("substituter")]
    corrupted = untrusted = failed = False
    for path in store_paths(context, arguments):
        shown = store.show(path)
        try:
            known = store.query_info(path)
            context.note(f"checking '{shown}'...", Verbosity.INFO)
            if not arguments.flag("no-contents"):
                counter = CountingHash(known.nar_hash.algorithm)
                store.dump_nar(path, counter.write)
                actual, _ = counter.result()
                if actual != known.nar_hash:
                    corrupted = True
                    context.note(
                        f"path '{shown}' was modified! expected hash '{known.nar_hash}', got '{actual}'",
                        Verbosity.ERROR,
                    )
            if not arguments.flag("no-trust") and not _is_trusted(context, arguments, known, substituters):
                untrusted = True
                context.note(f"path '{shown}' is untrusted", Verbosity.ERROR)
        except FrazilError as error:
            failed = True
            context.note(f"error: {error.message}", Verbosity.ERROR)
    return (1 if corrupted else 0) | (2 if untrusted else 0) | (4 if failed else 0)


def _is_trusted(context: Context, arguments: Arguments, known: PathInfo, substituters: list[Store]) -> bool:
    """By its own signatures, else with those that substituters have of the same contents."""

    from frazil.cli.settings import parse_integer
    from frazil.store.signatures import count_good_signatures, own_trusted_keys

    store = context.any_store
    needed = parse_integer("sigs-needed", arguments.value("sigs-needed", "0") or "0")
    if known.is_content_addressed(store.directory) or (not needed and known.ultimate):
        return True
    keys = own_trusted_keys(store.settings)
    signatures = set(known.signatures)
    for other in [None, *substituters]:
        if other is not None:
            found = other.query_info_or_none(known.path)
            if found is not None and found.nar_hash == known.nar_hash:
                signatures |= found.signatures
        merged = known.with_(signatures=frozenset(signatures))
        if count_good_signatures(merged, store.directory, keys) >= max(1, needed):
            return True
    return False


def optimise(context: Context, arguments: Arguments) -> None:
    from frazil.cli.legacy_store import optimise as run

    run(context, arguments)


def repair(context: Context, arguments: Arguments) -> None:
    from frazil.cli.legacy_store import repair_path

    arguments.positional = [context.store.show(path) for path in store_paths(context, arguments)]
    repair_path(context, arguments)


def path_from_hash_part(context: Context, arguments: Arguments) -> None:
    found = context.any_store.query_from_hash_part(arguments.positional[0])
    if found is None:
        raise FrazilError(f"there is no store path corresponding to '{arguments.positional[0]}'")
    context.print(context.any_store.show(found))


def why_alive(context: Context, arguments: Arguments) -> int:
    from frazil.cli.gc_plan import why_alive as run

    return run(context, arguments)


def diff_closures(context: Context, arguments: Arguments) -> None:
    from frazil.cli.build_command import build_paths
    from frazil.cli.closure_difference import run_difference
    from frazil.cli.store_paths import derived_paths, paths_meant

    ends = []
    for text in arguments.positional:
        (derived,) = derived_paths(context, arguments, [text])
        if derived.outputs is not None and not arguments.flag("derivation"):
            build_paths(context, [derived])
        ends.append(paths_meant(context, arguments, derived)[0])
    run_difference(context, ends[0], ends[1])


LISTING = (
    Option("--recursive -R", "List folders below, too."),
    Option("--long -l", "Show types and sizes."),
    Option("--directory -d", "Show a folder itself, not what is in it."),
    *JSON,
)
ADDING = (
    Option("--name -n", "The name in the store (default: the file's).", "name"),
    Option("--dry-run", "Only print the store path."),
    Option("--mode", "How contents are hashed: nar, flat, text or git.", "mode"),
    Option("--hash-algo --algo", "The hash algorithm.", "hash-algo", key="algo"),
    Option("--scan", "Find references in the contents; only in builders with the feature `recursive-nix`."),
)
SKIP = (
    Option("--check-contents", "Check the whole store: its database against its files, and every path's contents."),
    Option("--no-contents", "Do not check contents."),
    Option("--no-trust", "Do not check signatures."),
    Option("--sigs-needed -n", "Ask for signatures by *n* keys.", "n"),
    Option("--substituter -s", "Use signatures of this store, too; may be repeated.", "store-uri", kind="append"),
)

COMMANDS = {
    "store ls": Command(
        ls,
        "list what a store path holds",
        LISTING,
        positional="path",
        at_least=1,
        at_most=1,
        examples=[("List a package's programs", "frazil store ls -l /nix/store/…-hello-2.12/bin")],
    ),
    "store cat": Command(
        cat,
        "print a file in the store",
        positional="path",
        at_least=1,
        at_most=1,
        examples=[("Read a file of a package", "frazil store cat /nix/store/…-hello-2.12/bin/hello")],
    ),
    "store add": Command(
        add,
        "add a file or folder to the store",
        ADDING,
        positional="path",
        at_least=1,
        at_most=1,
        examples=[("Add a folder", "frazil store add ./source --name source")],
    ),
    "store submit-output": Command(
        submit_output,
        "hand in a store object as an output of the build that runs this",
        positional="path output",
        at_least=2,
        at_most=2,
        examples=[("In a builder", 'frazil store submit-output "$(frazil store add --scan ./result)" out')],
    ),
    "store add-file": Command(
        add_file,
        "add a file to the store, hashed flat",
        ADDING,
        positional="path",
        at_least=1,
        at_most=1,
        examples=[("Add a file, hashed flat", "frazil store add-file ./source.tar.gz")],
    ),
    "store add-path": Command(
        add_path,
        "add a path to the store",
        ADDING,
        positional="path",
        at_least=1,
        at_most=1,
        examples=[("Add a folder", "frazil store add-path ./source")],
    ),
    "store diff-closures": Command(
        diff_closures,
        "show what changed between two closures",
        STORE_PATHS,
        positional="before after",
        at_least=2,
        at_most=2,
        examples=[("What did an update change?", "frazil store diff-closures ./result-old ./result")],
    ),
    "store delete": Command(
        delete,
        "delete paths from the store",
        STORE_PATHS,
        (
            Option("--ignore-liveness", "Delete what is alive, too."),
            Option("--skip-alive --skip-live", "Leave out what is alive instead of failing."),
            Option("--also-referrers", "Delete what refers to the paths, too."),
        ),
        positional="installables…",
        at_most=None,
        examples=[("Delete a path that nothing needs", "frazil store delete /nix/store/…-hello-2.12")],
    ),
    "store gc": Command(
        collect,
        "collect garbage",
        (
            Option("--dry-run", "Only say how much would be deleted."),
            Option("--max", "Stop after *n* bytes.", "n"),
            Option("--plan", "Only show what would go, oldest first, and who keeps the rest."),
            Option("--all-paths", "With --plan: show everything."),
        ),
        JSON,
        examples=[
            ("Free ten gigabytes at most", "frazil store gc --max 10G"),
            ("What would go, and why does the rest stay?", "frazil store gc --plan"),
        ],
    ),
    "store why-alive": Command(
        why_alive,
        "show which roots keep a store path, and how",
        STORE_PATHS,
        JSON,
        (Option("--all-roots", "Show the way from every root."),),
        positional="installables…",
        at_most=None,
        examples=[("Why was this not collected?", "frazil store why-alive /nix/store/…-hello-2.12")],
    ),
    "store verify": Command(
        verify,
        "check the integrity of store paths",
        STORE_PATHS,
        SKIP,
        positional="installables…",
        at_most=None,
        examples=[("Check the whole store", "frazil store verify --all")],
    ),
    "store repair": Command(
        repair,
        "build damaged store paths again",
        STORE_PATHS,
        positional="installables…",
        at_most=None,
        examples=[("Build a damaged path again", "frazil store repair /nix/store/…-hello-2.12")],
    ),
    "store optimise": Command(
        optimise,
        "replace equal files in the store by hard links",
        examples=[("Share equal files", "frazil store optimise")],
    ),
    "store dump-path": Command(
        dump_path,
        "write a store path's archive to standard output",
        STORE_PATHS,
        positional="installable",
        at_most=1,
        examples=[("Copy a path elsewhere", "frazil store dump-path ./result > result.nar")],
    ),
    "store info": Command(
        info,
        "test whether the store can be accessed",
        JSON,
        examples=[("Can this store be opened?", "frazil store info --store ./other-root")],
    ),
    "store path-from-hash-part": Command(
        path_from_hash_part,
        "find a store path by its hash part",
        positional="hash-part",
        at_least=1,
        at_most=1,
        examples=[("The path of a hash", "frazil store path-from-hash-part 0p8fvijy0k2zxx1sh5cb466m468xnfbd")],
    ),
}
