"""`hash file|path|convert|to-*`: computing and converting hashes.

Source: Nix's manual, `command-ref/new-cli/nix3-hash-*`.
"""

from __future__ import annotations

from frazil.cli.context import Context, require_feature
from frazil.cli.options import Arguments, Command, Option
from frazil.digest import ALGORITHMS, DigestError, Hash
from frazil.digest import new as new_hash
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FORMATS = ("base16", "base32", "nix32", "base64", "sri")
OUTPUT = (
    Option("--base16", "Print in base 16."),
    Option("--base32", "Print in Nix's base 32."),
    Option("--base64", "Print in base 64."),
    Option("--sri", "Print as an SRI hash (the default)."),
)
TYPE = (Option("--type --algo", "blake3, md5, sha1, sha256 or sha512.", "hash-algo", key="algo"),)
PATHS = (
    *OUTPUT,
    *TYPE,
    Option("--mode", "How the path is serialised: nar, flat or git.", "mode"),
    Option("--format", "base16, nix32, base64 or sri.", "hash-format"),
)


def algorithm_of(arguments: Arguments, default: str | None) -> str | None:
    name = arguments.value("algo", default)
    if name is not None:
        known_algorithm(name)
    return name


def known_algorithm(name: str) -> None:
    """Raises UsageError, also for one whose feature is off."""
    if name not in ALGORITHMS:
        from frazil.cli.suggest import did_you_mean

        raise UsageError(
            f"unknown hash algorithm '{name}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'",
            hint=did_you_mean(name, ALGORITHMS),
        )
    if name == "blake3":
        new_hash(name)  # an error where the feature is off


def chosen_format(context: Context, arguments: Arguments, default: str = "sri") -> str:
    named = arguments.value("format") or arguments.value("to")
    if named is not None:
        if named not in FORMATS:
            raise UsageError(f"unknown hash format '{named}', expect 'base16', 'base32', 'base64', or 'sri'")
        if named == "base32":
            context.warn('"base32" is a deprecated alias for hash format "nix32".')
        return named
    found = [key for key, value in arguments.order if key in FORMATS and value]
    return found[-1] if found else default


def hash_of_path(context: Context, path: str, algorithm: str, mode: str) -> Hash:
    from frazil.store import nar

    if mode == "nar":
        return nar.hash_path(path, algorithm, case_hack=context.settings.boolean("use-case-hack"))[0]
    if mode == "git":
        from frazil.store.git_hash import hash_tree

        return hash_tree(path, algorithm, None)
    return hash_file(path, algorithm)


def hash_file(path: str, algorithm: str) -> Hash:
    """Of anything that can be read to an end, pipes too."""
    state = new_hash(algorithm)
    try:
        with open(path, "rb") as file:
            while data := file.read(1 << 20):
                state.update(data)
    except OSError as error:
        raise FrazilError(f'opening file "{path}": {error.strerror}') from error
    return Hash(algorithm, state.digest())


def run_paths(mode: str) -> Callable[[Context, Arguments], None]:
    def run(context: Context, arguments: Arguments) -> None:
        algorithm = algorithm_of(arguments, "sha256") or "sha256"
        chosen = arguments.value("mode", mode) or mode
        if chosen not in {"nar", "flat", "git"}:
            raise UsageError(f"Unknown file ingestion method '{chosen}', expect `flat`, `nar`, or `git`")
        if chosen == "git":
            require_feature(context, "git-hashing")
        form = chosen_format(context, arguments)
        for path in arguments.positional:
            context.print(hash_of_path(context, path, algorithm, chosen).render(form, prefix=False))

    return run


def run_to(base: str) -> Callable[[Context, Arguments], None]:
    def run(context: Context, arguments: Arguments) -> None:
        name = "sri" if base == "sri" else base
        context.warn(
            "The old format conversion subcommands of `nix hash` were deprecated in favor of `nix hash convert`."
        )
        for text in arguments.positional:
            context.print(Hash.parse(text, algorithm_of(arguments, None)).render(name, prefix=False))

    return run


def run_convert(context: Context, arguments: Arguments) -> None:
    algorithm = algorithm_of(arguments, None)
    source = arguments.value("from")
    if source is not None and source not in FORMATS:
        raise UsageError(f"unknown hash format '{source}', expect 'base16', 'base32', 'base64', or 'sri'")
    if source == "base32":
        context.warn('"base32" is a deprecated alias for hash format "nix32".')
    target = chosen_format(context, arguments)
    for text in arguments.positional:
        parsed = Hash.parse(text, algorithm)
        if source is not None and not _is_written_in(text, parsed, source):
            raise DigestError(
                f"input hash '{text}' has format '{_format_of(text, parsed)}', but '--from {source}' was specified"
            )
        context.print(parsed.render(target, prefix=False))


def _format_of(text: str, parsed: Hash) -> str:
    for form in ("sri", "base16", "nix32", "base64"):
        if _is_written_in(text, parsed, form):
            return form
    return "base64"


def _is_written_in(text: str, parsed: Hash, form: str) -> bool:
    bare = text.removeprefix(parsed.algorithm + ":")
    if form == "base16":
        return bare.lower() == parsed.base16
    if form == "sri":
        return bare.rstrip("=") == parsed.sri.rstrip("=")
    return bare == parsed.render("nix32" if form == "base32" else form, prefix=False)


COMMANDS = {
    "hash file": Command(
        run_paths("flat"),
        "print the hash of a file",
        PATHS,
        positional="paths…",
        at_most=None,
        examples=[("The SRI hash of a file", "frazil hash file ./source.tar.gz")],
    ),
    "hash path": Command(
        run_paths("nar"),
        "print the hash of a path's NAR serialisation",
        PATHS,
        positional="paths…",
        at_most=None,
        examples=[("The hash of a folder", "frazil hash path ./source")],
    ),
    "hash convert": Command(
        run_convert,
        "convert hashes between formats",
        (
            Option(
                "--hash-algo --algo --type", "The algorithm, where the hash does not name it.", "hash-algo", key="algo"
            ),
            Option("--from", "The format the hashes are in.", "hash-format"),
            Option("--to", "The format to print (default: sri).", "hash-format"),
        ),
        positional="hashes…",
        at_most=None,
        examples=[
            (
                "To the format of lock files",
                "frazil hash convert --hash-algo sha256 --to sri 1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
            )
        ],
    ),
    **{
        f"hash to-{base}": Command(
            run_to(base),
            f"convert a hash to {base}",
            TYPE,
            positional="strings…",
            at_most=None,
            examples=[
                (
                    "Convert a hash",
                    "frazil hash to-sri --type sha256 1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s",
                )
            ],
        )
        for base in ("base16", "base32", "base64", "sri")
    },
}
