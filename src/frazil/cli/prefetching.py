"""`store prefetch-file` and `nix-prefetch-url`: a file from somewhere becomes a store object; its hash is told.

Source: their manual pages.
"""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.common_options import EVALUATION, JSON
from frazil.cli.context import Context
from frazil.cli.hash_commands import algorithm_of
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.digest import Hash
from frazil.errors import FrazilError, UsageError
from frazil.store.path import check_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from frazil.store.path import StorePath


class Wanted:
    """What the command line says of a file."""

    def __init__(self, arguments: Arguments, url: str, expected: str | None, algorithm: str) -> None:
        self.url = url
        self.unpack = arguments.flag("unpack")
        self.executable = arguments.flag("executable")
        self.method = "nar" if self.unpack or self.executable else "flat"
        self.name = arguments.value("name") or name_of(url)
        check_name(self.name)
        self.expected = Hash.parse(expected, algorithm) if expected is not None else None
        self.algorithm = self.expected.algorithm if self.expected is not None else algorithm


def name_of(url: str) -> str:
    """The last part of its path. Raises FrazilError where there is none that a store object could have."""
    from urllib.parse import unquote

    from frazil.store.errors import BadStorePath

    _, scheme, rest = url.partition("#")[0].partition("?")[0].partition("://")
    name = unquote(os.path.basename(rest.partition("/")[2].rstrip("/")) if scheme else os.path.basename(url))
    if not name:
        raise FrazilError(f"cannot figure out file name for '{url}'", hint="say `--name NAME`")
    try:
        check_name(name)
    except BadStorePath as error:
        raise FrazilError(
            f"file name '{name}' was extracted from URL '{url}': {error.message}", hint="say `--name NAME`"
        ) from error
    return name


def prefetch(context: Context, wanted: Wanted) -> tuple[StorePath, Hash]:
    """Nothing is fetched where the store has what is expected. Raises FrazilError where something else came."""
    import tempfile

    from frazil.fetch.download import download

    store = context.store
    if wanted.expected is not None:
        known = store.directory.make_fixed_output_path(wanted.method, wanted.expected, wanted.name)
        if store.is_valid(known):
            return known, wanted.expected
    with tempfile.TemporaryDirectory(prefix="frazil-prefetch-") as folder:
        file = os.path.join(folder, "file")
        download(wanted.url, file, context.fetch_settings, context.reporter)
        os.chmod(file, 0o755 if wanted.executable else 0o644)
        if wanted.unpack:
            from frazil.fetch.archive import top_directory, unpack

            target = os.path.join(folder, "unpacked")
            os.mkdir(target)
            unpack(file, target, context.fetch_settings.maximum_unpacked)
            if not os.listdir(target):
                raise FrazilError(f"archive '{wanted.url}' is empty")
            file = top_directory(target)
        digest = store.compute_path(wanted.name, file, wanted.method, wanted.algorithm)[1]
        if wanted.expected is not None and digest != wanted.expected:
            raise FrazilError(
                f"hash mismatch for '{wanted.url}'", hint=f"it has {digest.sri}, not {wanted.expected.sri}"
            )
        path = store.add_path(wanted.name, file, method=wanted.method, algorithm=wanted.algorithm)
        store.flush()  # a store that only hands on reads the file now
        return path, digest


# -- store prefetch-file -------------------------------------------------------------------------------------------


def prefetch_file(context: Context, arguments: Arguments) -> None:
    (url,) = arguments.positional
    algorithm = algorithm_of(arguments, "sha256") or "sha256"
    path, digest = prefetch(context, Wanted(arguments, url, arguments.value("expected-hash"), algorithm))
    shown = context.store.show(path)
    if arguments.flag("json"):
        from frazil.cli.flake_options import print_json

        print_json(context, arguments, {"hash": digest.sri, "storePath": shown})
    else:
        context.note(f"Downloaded '{url}' to '{shown}' (hash '{digest.sri}').")


COMMANDS = {
    "store prefetch-file": Command(
        prefetch_file,
        "download a file into the store",
        JSON,
        (
            Option("--name", "The name in the store; by default the last part of the URL.", "name"),
            Option("--expected-hash", "What its hash must be; where the store has it, nothing is fetched.", "hash"),
            Option("--hash-type --hash-algo", "The hash algorithm.", "hash-algo", key="algo"),
            Option("--executable", "Make the file executable; its hash is then that of its archive."),
            Option("--unpack", "Unpack the archive first."),
        ),
        positional="url",
        at_least=1,
        at_most=1,
        examples=[("Fetch a file and print its hash", "frazil store prefetch-file https://example.org/source.tar.gz")],
    )
}


# -- nix-prefetch-url ----------------------------------------------------------------------------------------------


def run_prefetch(context: Context, arguments: Arguments) -> None:
    if len(arguments.positional) > 2:
        raise UsageError("too many arguments")
    url, expected = _source(context, arguments)
    url = _from_mirror(context, arguments, url)
    path, digest = prefetch(context, Wanted(arguments, url, expected, algorithm_of(arguments, "sha256") or "sha256"))
    shown = context.store.show(path)
    print_path = arguments.flag("print-path") or context.settings.environment.get("PRINT_PATH") == "1"
    if not print_path:
        context.note(f"path is '{shown}'", Verbosity.INFO)
    context.print(digest.base16 if digest.algorithm == "md5" else digest.base32)
    if print_path:
        context.print(shown)


def _source(context: Context, arguments: Arguments) -> tuple[str, str | None]:
    """-> (URL, expected hash). With -A they are the attributes of a fixed-output derivation."""
    if not arguments.has("attr"):
        if not arguments.positional:
            raise UsageError("you must specify a URL")
        url, *rest = arguments.positional
        return url, rest[0] if rest else None
    from frazil.cli.evaluation import auto_arguments, file_argument, make_session, with_deep_stack
    from frazil.cli.legacy_instantiate import select_path

    def evaluate() -> str:
        session = make_session(context, arguments, pure=False, read_only=True)
        evaluator = session.evaluator
        file = file_argument(session, (arguments.positional or ["."])[0])
        given = auto_arguments(session, arguments)
        value = select_path(session, evaluator.eval_file(file), arguments.all("attr")[-1], given)
        urls = evaluator.get_attr(value, "urls")
        if urls is None:
            raise FrazilError("attribute 'urls' missing")
        if not isinstance(urls, list) or not urls:
            raise FrazilError("'urls' list is empty")
        mode, name = evaluator.get_attr(value, "outputHashMode"), evaluator.get_attr(value, "name")
        if mode is None:
            context.warn("this does not look like a fetchurl call")
        elif mode == "recursive":
            arguments.values["unpack"] = True
        if name is not None and not arguments.has("name"):
            arguments.values["name"] = _text(evaluator.coerce_to_string(name, set()))
        return _text(evaluator.coerce_to_string(evaluator.force(urls[0]), set()))

    rest = arguments.positional[1:]
    return str(with_deep_stack(evaluate)), rest[0] if rest else None


def _from_mirror(context: Context, arguments: Arguments, url: str) -> str:
    """`mirror://NAME/…`: at the first of the mirrors that nixpkgs knows under that name."""
    if not url.startswith("mirror://"):
        return url
    name, slash, rest = url.removeprefix("mirror://").partition("/")
    if not slash:
        raise FrazilError(f"invalid mirror URL '{url}'")
    from frazil.cli.evaluation import make_session, with_deep_stack, working_directory

    def evaluate() -> str:
        session = make_session(context, arguments, pure=False, read_only=True)
        evaluator = session.evaluator
        text = b"import <nixpkgs/pkgs/build-support/fetchurl/mirrors.nix>"
        mirrors = evaluator.get_attr(evaluator.evaluate(evaluator.parse_string(text, working_directory())), name)
        if mirrors is None:
            raise FrazilError(f"unknown mirror name '{name}'")
        if not isinstance(mirrors, list) or not mirrors:
            raise FrazilError(f"mirror URL '{url}' did not expand to anything")
        return _text(evaluator.coerce_to_string(evaluator.force(mirrors[0]), set()))

    mirror = str(with_deep_stack(evaluate))
    return mirror + ("" if mirror.endswith("/") else "/") + rest


def _text(found: str) -> str:
    return found.encode("latin-1").decode("utf-8", "surrogateescape")


PROGRAMS = {
    "nix-prefetch-url": Command(
        run_prefetch,
        "copy a file from a URL into the store and print its hash",
        EVALUATION,
        (
            Option("--type", "The hash algorithm.", "hash-algo", key="algo"),
            Option("--print-path", "Print the store path, too."),
            Option("--unpack", "Unpack the archive first."),
            Option("--executable", "Make the file executable."),
            Option("--name", "The name in the store.", "name"),
            Option("--attr -A", "Take the URL from a derivation.", "path", kind=APPEND),
        ),
        positional="url hash",
        at_most=None,
        examples=[("Fetch a file and print its hash", "nix-prefetch-url https://example.org/source.tar.gz")],
    ),
}
