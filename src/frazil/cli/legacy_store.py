"""`nix-store`: operations on a store. Source: its manual page. Queries are in `legacy_store_query`."""

from __future__ import annotations

import os
import sys

from frazil.activity import Verbosity
from frazil.cli.common_options import GLOBAL, LEGACY_GLOBAL
from frazil.cli.context import Context
from frazil.cli.hash_commands import known_algorithm
from frazil.cli.options import Arguments, Command, Option
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from frazil.store.derivation import Derivation
    from frazil.store.derived_path import DerivedPath
    from frazil.store.garbage import Results
    from frazil.store.path import StorePath


def run_store(context: Context, arguments: Arguments) -> int | None:
    chosen = [key for key, _ in arguments.order if key in OPERATIONS]
    if not chosen:
        raise UsageError("no operation specified")
    if len(set(chosen)) > 1:
        raise UsageError("only one operation may be specified")
    name = chosen[0]
    if arguments.flag("stdin") and not os.isatty(0):
        arguments.positional += sys.stdin.read().split()
    operation, flags = OPERATIONS[name]
    if arguments.unknown:
        raise UsageError(_unknown_flag(name, arguments.unknown[0]))
    for key, _ in arguments.order:
        if key not in flags and key not in COMMON and key not in OPERATIONS:
            raise UsageError(_unknown_flag(name, f"--{key}"))
    return operation(context, arguments)


def _unknown_flag(operation: str, flag: str) -> str:
    return f"bad sub-operation '{flag}' in GC" if operation == "gc" else f"unknown flag '{flag}'"


def store_paths(context: Context, arguments: Arguments) -> list[StorePath]:
    store, texts = context.store, arguments.positional
    plain = store.directory.parse_each(texts)
    return [store.follow_links_to_store_path(text) if path is None else path for text, path in zip(texts, plain)]


def no_arguments(arguments: Arguments) -> None:
    if arguments.positional:
        raise UsageError("no arguments expected")


# -- realising -----------------------------------------------------------------------------------------------------


def realise(context: Context, arguments: Arguments) -> None:
    from frazil.cli.build_command import build_paths, print_missing

    wanted = [with_outputs(context, text) for text in arguments.positional]
    if arguments.flag("ignore-unknown"):
        wanted = [w for w in wanted if w.is_built or context.store.is_valid(w.base)]
    if arguments.flag("dry-run"):
        print_missing(context, wanted, Verbosity.INFO)
        return
    mode = "repair" if arguments.flag("repair") else "check" if arguments.flag("check") else "normal"
    build_paths(context, wanted, mode=mode)
    if arguments.flag("ignore-unknown"):
        return
    roots = Roots(context, arguments.value("add-root"))
    for path in wanted:
        for line in roots.add(path):
            if not arguments.flag("no-output"):
                context.print(line)


def with_outputs(context: Context, text: str) -> DerivedPath:
    """`PATH!out,dev`; a derivation alone means all of its outputs."""
    from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath, OutputsSpec

    head, mark, outputs = text.partition("!")
    path = context.store.follow_links_to_store_path(head)
    if mark:
        return DerivedPath(path, OutputsSpec.parse(outputs))
    return DerivedPath(path, ALL_OUTPUTS if path.is_derivation else None)


class Roots:
    """Makes the numbered links of --add-root, or warns once where there are none."""

    def __init__(self, context: Context, link: str | None) -> None:
        self.context, self.link = context, link
        self.number = 0

    def add(self, path: DerivedPath) -> list[str]:
        from frazil.cli.build_command import outputs_of

        self.number += 1
        found = outputs_of(self.context, path)
        if path.outputs is not None and path.outputs.names is not None:
            self._check_outputs(path, {name for name, _ in found})
        if self.link is None:
            if self.number == 1 and not self.context.no_gc_warning and not self.context.store_is_cache:
                self.context.warn(
                    "you did not specify '--add-root'; the result might be removed by the garbage collector"
                )
            return sorted(self.context.store.show(output) for _, output in found)
        lines = []
        for name, output in found:
            link = os.path.abspath(self.link) + (f"-{self.number}" if self.number > 1 else "")
            link += f"-{name}" if name not in {"", "out"} else ""
            lines.append(self.context.store.add_permanent_root(output, link))
        return sorted(lines)

    def _check_outputs(self, path: DerivedPath, found: set[str]) -> None:
        assert path.outputs is not None
        for name in sorted(path.outputs.names or ()):
            if name not in found:
                shown = self.context.store.show(path.base)
                raise FrazilError(f"derivation '{shown}' does not have an output named '{name}'")


# -- adding --------------------------------------------------------------------------------------------------------


def add(context: Context, arguments: Arguments) -> None:
    for text in arguments.positional:
        source = os.path.abspath(text)
        context.print(context.store.show(context.store.add_path(os.path.basename(source), source)))


def add_fixed(context: Context, arguments: Arguments) -> None:
    if not arguments.positional:
        raise UsageError("first argument must be hash algorithm")
    algorithm, *files = arguments.positional
    known_algorithm(algorithm)
    method = "nar" if arguments.flag("recursive") else "flat"
    for text in files:
        source = os.path.abspath(text)
        path = context.store.add_path(os.path.basename(source), source, method=method, algorithm=algorithm)
        context.print(context.store.show(path))


def print_fixed_path(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) != 3:
        raise UsageError("'--print-fixed-path' requires three arguments")
    from frazil.digest import Hash

    algorithm, digest, name = arguments.positional
    known_algorithm(algorithm)
    method = "nar" if arguments.flag("recursive") else "flat"
    path = context.store.directory.make_fixed_output_path(method, Hash.parse(digest, algorithm), name)
    context.print(context.store.show(path))


# -- archives ------------------------------------------------------------------------------------------------------


def dump(context: Context, arguments: Arguments) -> None:
    from frazil.store.nar import dump_path

    if len(arguments.positional) != 1:
        raise UsageError("only one argument allowed")
    place = context.store.to_real(arguments.positional[0])
    if context.settings.boolean("use-case-hack"):
        dump_path(place, context.print_bytes, case_hack=True)
    else:
        context.print_archive(place)


def restore(context: Context, arguments: Arguments) -> None:
    from frazil.store.nar import restore as restore_archive

    if len(arguments.positional) != 1:
        raise UsageError("only one argument allowed")
    hack = context.settings.boolean("use-case-hack")
    restore_archive(sys.stdin.buffer.read, arguments.positional[0], case_hack=hack)


def export(context: Context, arguments: Arguments) -> None:
    context.store.export_paths(store_paths(context, arguments), context.print_bytes)


def import_archives(context: Context, arguments: Arguments) -> None:
    no_arguments(arguments)
    for path in context.store.import_paths(sys.stdin.buffer.read):
        context.print(context.store.show(path))


# -- the database --------------------------------------------------------------------------------------------------


def dump_database(context: Context, arguments: Arguments) -> None:
    from frazil.store.exports import dump_database

    paths = store_paths(context, arguments) if arguments.positional else None
    context.print(dump_database(context.store, paths), end="")


def load_database(context: Context, arguments: Arguments) -> None:
    from frazil.store.exports import load_database

    no_arguments(arguments)
    load_database(context.store, _standard_input())


def register_validity(context: Context, arguments: Arguments) -> None:
    from frazil.store.exports import register_validity

    no_arguments(arguments)
    register_validity(
        context.store,
        _standard_input(),
        reregister=arguments.flag("reregister"),
        hash_given=arguments.flag("hash-given"),
    )


def _standard_input() -> str:
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


def check_validity(context: Context, arguments: Arguments) -> None:
    paths = store_paths(context, arguments)
    valid = context.store.valid_among(paths)
    if valid.issuperset(paths):
        return
    for path in paths:
        if path in valid or context.store.is_valid(path):
            continue
        shown = context.store.show(path)
        if not arguments.flag("print-invalid"):
            raise FrazilError(f"path '{shown}' is not valid")
        context.print(shown)


def init(context: Context, arguments: Arguments) -> None:
    no_arguments(arguments)
    context.store.open()


# -- looking after the store ---------------------------------------------------------------------------------------


def collect_garbage(context: Context, arguments: Arguments) -> None:
    from frazil.cli.settings import parse_limit
    from frazil.store.garbage import Options

    no_arguments(arguments)
    limit = arguments.value("max-freed")
    prints = arguments.flag("print-live") or arguments.flag("print-dead") or arguments.flag("print-roots")
    if limit is not None and prints:
        raise UsageError("option --max-freed cannot be combined with --print-live, --print-dead, or --print-roots")
    if arguments.flag("print-roots"):
        print_roots(context)
        return
    action = "live" if arguments.flag("print-live") else "dead" if arguments.flag("print-dead") else ""
    options = Options(action=_action(action), max_freed=None if limit is None else parse_limit(limit))
    results = context.store.collect_garbage(options)
    if action:
        for text in results.paths:
            context.print(text)
    else:
        print_freed(context, results)


def _action(kind: str) -> str:
    from frazil.store import garbage

    return {"live": garbage.RETURN_LIVE, "dead": garbage.RETURN_DEAD, "": garbage.DELETE_DEAD}[kind]


def print_roots(context: Context) -> None:
    from frazil.store.failures import quoted_place

    pairs = sorted(
        (link, context.store.show(path)) for path, links in context.store.find_roots().items() for link in links
    )
    for link, target in pairs:
        context.print(f"{quoted_place(link)} -> {target}")


def print_freed(context: Context, results: Results) -> None:
    from frazil.store.garbage import render_size

    context.print(f"{len(results.paths)} store paths deleted, {render_size(results.bytes_freed)} freed")


def delete(context: Context, arguments: Arguments) -> None:
    delete_paths(context, store_paths(context, arguments), ignore_liveness=arguments.flag("ignore-liveness"))


def delete_paths(context: Context, paths: list[StorePath], **options: bool) -> None:
    """What was freed is said where something went wrong, too."""
    from frazil.store.garbage import Results

    results = Results()
    try:
        results = context.store.delete(paths, **options)
    finally:
        print_freed(context, results)


def verify(context: Context, arguments: Arguments) -> int:
    no_arguments(arguments)
    good = context.store.verify(
        check_contents=arguments.flag("check-contents"),
        repair=arguments.flag("repair"),
        repair_path=lambda path: _mend(context, path),
    )
    if not good:
        context.warn("not all store errors were fixed")
    return 0 if good else 1


def verify_path(context: Context, arguments: Arguments) -> int:
    from frazil.store.nar import hash_path

    status = 0
    for path in store_paths(context, arguments):
        shown = context.store.show(path)
        context.note(f"checking path '{shown}'...", Verbosity.TALKATIVE)
        expected = context.store.query_info(path).nar_hash
        actual, _ = hash_path(context.store.real_path(path), expected.algorithm)
        if actual != expected:
            context.note(f"path '{shown}' was modified! expected hash '{expected}', got '{actual}'", Verbosity.ERROR)
            status = 1
    return status


def _mend(context: Context, path: StorePath) -> None:
    """Fetches a path again, or builds it again."""
    from frazil.cli.build_command import build_paths
    from frazil.store.derived_path import DerivedPath

    build_paths(context, [DerivedPath(path)], mode="repair")


def repair_path(context: Context, arguments: Arguments) -> None:
    for path in store_paths(context, arguments):
        _mend(context, path)


def optimise(context: Context, arguments: Arguments) -> None:
    no_arguments(arguments)
    context.store.optimise()


def print_environment(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) != 1:
        raise UsageError("'--print-env' requires one derivation store path")
    derivation = context.store.read_derivation(context.store.parse(arguments.positional[0]))
    for name, value in sorted(plain_environment(derivation).items()):
        context.print_byte_string(f"export {name}; {name}={quote(value)}\n")
    context.print_byte_string(f"export _args; _args={quote(' '.join(derivation.arguments))}")


def plain_environment(derivation: Derivation) -> dict[str, str]:
    """Without the variable that a derivation with structured attributes holds them in."""
    from frazil.store.derivation import STRUCTURED_ATTRIBUTES

    return {name: value for name, value in derivation.environment.items() if name != STRUCTURED_ATTRIBUTES}


def quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def read_log(context: Context, arguments: Arguments) -> None:
    from frazil.cli.path_commands import log_of

    for path in store_paths(context, arguments):
        log = log_of(context, path)
        if log is None:
            raise FrazilError(f"build log of derivation '{context.store.show(path)}' is not available")
        context.print_bytes(log[0])


def query(context: Context, arguments: Arguments) -> None:
    from frazil.cli.legacy_store_query import run_query

    run_query(context, arguments)


def serve(context: Context, arguments: Arguments) -> None:
    """Whoever is at the other end sees errors only as we leave."""
    from frazil.cli.daemon_commands import SettingsHost
    from frazil.daemon.serve import ServeServer
    from frazil.protocol.wire import Input, Output

    no_arguments(arguments)
    context.build_logs = True
    host = SettingsHost(context)
    ServeServer(Input(0), Output(1), host, context.reporter, may_write=arguments.flag("write")).run()


def generate_key(context: Context, arguments: Arguments) -> None:
    from frazil.store.failures import quoted_place
    from frazil.store.signatures import SecretKey

    if len(arguments.positional) != 3:
        raise UsageError("three arguments expected")
    name, secret_file, public_file = arguments.positional
    key = SecretKey.generate(name)
    for path, text, mode in ((public_file, str(key.public), 0o666), (secret_file, str(key), 0o600)):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        except OSError as error:
            raise FrazilError(f"opening file {quoted_place(path)}: {error.strerror}") from error
        with open(descriptor, "w") as file:
            if mode == 0o600:
                os.fchmod(file.fileno(), mode)
            file.write(text)


COMMON = frozenset({"add-root", "indirect", "stdin", "no-output"}) | {o.key for o in (*GLOBAL, *LEGACY_GLOBAL)}
_QUERY_FLAGS = """
outputs requisites references referrers referrers-closure deriver valid-derivers binding hash size tree
graph graphml resolve roots use-output force-realise include-outputs
"""
QUERY_FLAGS = frozenset(_QUERY_FLAGS.split())
OPERATIONS: dict[str, tuple[Callable[[Context, Arguments], int | None], frozenset[str]]] = {
    "realise": (realise, frozenset({"dry-run", "repair", "check", "ignore-unknown"})),
    "add": (add, frozenset()),
    "add-fixed": (add_fixed, frozenset({"recursive"})),
    "print-fixed-path": (print_fixed_path, frozenset({"recursive"})),
    "delete": (delete, frozenset({"ignore-liveness"})),
    "query": (query, QUERY_FLAGS),
    "print-env": (print_environment, frozenset()),
    "read-log": (read_log, frozenset()),
    "dump-db": (dump_database, frozenset()),
    "load-db": (load_database, frozenset()),
    "register-validity": (register_validity, frozenset({"reregister", "hash-given"})),
    "check-validity": (check_validity, frozenset({"print-invalid"})),
    "gc": (collect_garbage, frozenset({"print-roots", "print-live", "print-dead", "max-freed"})),
    "dump": (dump, frozenset()),
    "restore": (restore, frozenset()),
    "export": (export, frozenset()),
    "import": (import_archives, frozenset()),
    "init": (init, frozenset()),
    "serve": (serve, frozenset({"write"})),
    "generate-binary-cache-key": (generate_key, frozenset()),
    "verify": (verify, frozenset({"check-contents", "repair"})),
    "verify-path": (verify_path, frozenset()),
    "repair-path": (repair_path, frozenset()),
    "optimise": (optimise, frozenset()),
}

OPTIONS = (
    Option("--realise --realize -r", "Build or fetch paths."),
    Option("--add -A", "Add files to the store."),
    Option("--add-fixed", "Add files as fixed outputs: ALGORITHM FILE…"),
    Option("--print-fixed-path", "Print where a fixed output is: ALGORITHM HASH NAME."),
    Option("--delete", "Delete paths."),
    Option("--query -q", "Ask about paths."),
    Option("--print-env", "Print a derivation's environment for a shell."),
    Option("--read-log -l", "Print build logs."),
    Option("--dump-db", "Print what is registered."),
    Option("--load-db", "Register what --dump-db printed."),
    Option("--register-validity", "Register paths described on standard input."),
    Option("--check-validity", "Fail where a path is not valid."),
    Option("--gc", "Collect garbage."),
    Option("--dump", "Write a path's archive to standard output."),
    Option("--restore", "Unpack an archive from standard input."),
    Option("--export", "Write paths with their metadata to standard output."),
    Option("--import", "Add what --export wrote."),
    Option("--serve", "Serve this store to whoever is at the other end of standard input and output."),
    Option("--write", "With --serve: let the client add and build."),
    Option("--generate-binary-cache-key", "Make a key pair: NAME SECRET-KEY-FILE PUBLIC-KEY-FILE."),
    Option("--init", "Create the store's database."),
    Option("--verify", "Check the database."),
    Option("--verify-path", "Check the contents of paths."),
    Option("--repair-path", "Build damaged paths again."),
    Option("--optimise --optimize", "Replace equal files by hard links."),
    Option("--dry-run", "With --realise: only say what would be done."),
    Option("--repair", "Replace what is damaged."),
    Option("--check", "With --realise: build again and compare."),
    Option("--ignore-unknown", "With --realise: leave out what cannot be had."),
    Option("--recursive", "With --add-fixed: hash the archive, not the file."),
    Option("--ignore-liveness", "With --delete: delete what is alive, too."),
    Option("--reregister", "With --register-validity: also what is valid already."),
    Option("--hash-given", "With --register-validity: hashes are given."),
    Option("--print-invalid", "With --check-validity: print invalid paths instead of failing."),
    Option("--print-roots", "With --gc: print the roots."),
    Option("--print-live", "With --gc: print what is reachable."),
    Option("--print-dead", "With --gc: print what would be deleted."),
    Option("--max-freed", "With --gc: stop after so many *bytes*.", "bytes"),
    Option("--check-contents", "With --verify: check the contents, too."),
    Option("--outputs", "With --query: the outputs of derivations."),
    Option("--requisites -R", "With --query: the closure."),
    Option("--references", "With --query: what paths refer to."),
    Option("--referrers --referers", "With --query: what refers to paths."),
    Option("--referrers-closure --referers-closure", "With --query: all that needs paths."),
    Option("--deriver -d", "With --query: the derivation of paths."),
    Option("--valid-derivers", "With --query: all valid derivations of paths."),
    Option("--binding -b", "With --query: the variable named by the first argument."),
    Option("--hash", "With --query: the hash of contents."),
    Option("--size", "With --query: the size of contents."),
    Option("--tree", "With --query: references as a tree."),
    Option("--graph", "With --query: references for Graphviz."),
    Option("--graphml", "With --query: references as GraphML."),
    Option("--resolve", "With --query: the store path that a link leads to."),
    Option("--roots", "With --query: the roots that keep paths."),
    Option("--use-output -u", "With --query: ask about a derivation's outputs."),
    Option("--force-realise --force-realize -f", "With --query: realise first."),
    Option("--include-outputs", "With --query --requisites: outputs of derivations, too."),
    Option("--add-root", "Make *path* a link to the result, and a root.", "path"),
    Option("--indirect", "No longer means anything.", hidden=True),
    Option("--stdin", "Read more paths from standard input."),
    Option("--no-output", "Print no paths."),
)

PROGRAMS = {
    "nix-store": Command(
        run_store,
        "manipulate or query the Nix store",
        OPTIONS,
        positional="operation arguments…",
        at_most=None,
        keep_unknown=True,
        examples=[
            ("Build a derivation", "nix-store --realise /nix/store/….drv"),
            ("All that a path needs", "nix-store --query --requisites ./result"),
        ],
    )
}
