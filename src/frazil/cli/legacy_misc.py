"""`nix-hash`, `nix-prefetch-url`, `nix-collect-garbage`, and programs that frazil does not replace.

Source: their manual pages.
"""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.common_options import EVALUATION
from frazil.cli.context import Context
from frazil.cli.hash_commands import algorithm_of, chosen_format, hash_of_path
from frazil.cli.options import APPEND, Arguments, Command, Option
from frazil.digest import Hash
from frazil.errors import FrazilError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from frazil.store.path import StorePath

BASES = (
    Option("--base16", "Base 16."),
    Option("--base32", "Nix's base 32."),
    Option("--base64", "Base 64."),
    Option("--sri", "SRI."),
)


# -- nix-hash ------------------------------------------------------------------------------------------------------


def run_hash(context: Context, arguments: Arguments) -> None:
    algorithm = algorithm_of(arguments, None)
    for base in ("base16", "base32", "base64", "sri"):
        if arguments.flag(f"to-{base}"):
            for text in arguments.positional:
                context.print(Hash.parse(text, algorithm or _named_algorithm(text)).render(base, prefix=False))
            return
    form = chosen_format(arguments, "base16")
    mode = "flat" if arguments.flag("flat") else "nar"
    for path in arguments.positional:
        digest = hash_of_path(context, path, algorithm or "md5", mode)
        context.print(_rendered(digest, form, truncate=arguments.flag("truncate")))


def _named_algorithm(text: str) -> str | None:
    """A bare hash without --type is MD5's, as ever."""
    return None if ":" in text or "-" in text else "md5"


def _rendered(digest: Hash, form: str, *, truncate: bool) -> str:
    if not truncate or len(digest.digest) <= 20:
        return digest.render(form, prefix=False)
    import base64

    from frazil.digest import compress, encode_base32

    data = compress(digest.digest, 20)
    if form == "base16":
        return data.hex()
    if form == "base64":
        return base64.b64encode(data).decode("ascii")
    if form == "sri":
        return f"{digest.algorithm}-{base64.b64encode(data).decode('ascii')}"
    return encode_base32(data)


# -- nix-prefetch-url ----------------------------------------------------------------------------------------------


def run_prefetch(context: Context, arguments: Arguments) -> None:
    url, expected = _prefetch_source(context, arguments)
    algorithm = algorithm_of(arguments, "sha256") or "sha256"
    name = arguments.value("name") or os.path.basename(url.rstrip("/"))
    if not name:
        raise UsageError(f"cannot figure out file name for '{url}'")
    wanted = Hash.parse(expected, algorithm) if expected is not None else None
    method = "nar" if arguments.flag("unpack") or arguments.flag("executable") else "flat"
    if wanted is not None:
        known = context.store.directory.make_fixed_output_path(method, wanted, name)
        if context.store.is_valid(known):
            _show_prefetched(context, arguments, known, wanted)
            return
    path, digest = _prefetch(context, arguments, url, name, method, algorithm)
    if wanted is not None and digest != wanted:
        raise FrazilError(f"hash mismatch for '{url}'", hint=f"it has {digest.sri}, not {wanted.sri}")
    _show_prefetched(context, arguments, path, digest)


def _prefetch_source(context: Context, arguments: Arguments) -> tuple[str, str | None]:
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
        file = file_argument(session, (arguments.positional or ["."])[0])
        given = auto_arguments(session, arguments)
        value = select_path(session, session.evaluator.eval_file(file), arguments.all("attr")[-1], given)
        urls = session.evaluator.get_attr(value, "urls")
        if not isinstance(urls, list) or not urls:
            raise FrazilError("'urls' list is empty")
        text = session.evaluator.coerce_to_string(session.evaluator.force(urls[0]), set())
        return text.encode("latin-1").decode("utf-8", "surrogateescape")

    return str(with_deep_stack(evaluate)), None


def _prefetch(
    context: Context, arguments: Arguments, url: str, name: str, method: str, algorithm: str
) -> tuple[StorePath, Hash]:
    import tempfile

    from frazil.fetch.download import download

    with tempfile.TemporaryDirectory(prefix="nix-prefetch-url-") as folder:
        file = os.path.join(folder, "file")
        download(url, file, context.fetch_settings, context.reporter)
        os.chmod(file, 0o755 if arguments.flag("executable") else 0o644)
        if arguments.flag("unpack"):
            from frazil.fetch.archive import top_directory, unpack

            target = os.path.join(folder, "unpacked")
            os.mkdir(target)
            unpack(file, target, context.fetch_settings.maximum_unpacked)
            file = top_directory(target)
        path = context.store.add_path(name, file, method=method, algorithm=algorithm)
        return path, context.store.compute_path(name, file, method=method, algorithm=algorithm)[1]


def _show_prefetched(context: Context, arguments: Arguments, path: StorePath, digest: Hash) -> None:
    shown = context.store.show(path)
    if not arguments.flag("print-path"):
        context.note(f"path is '{shown}'", Verbosity.INFO)
    context.print(digest.base16 if digest.algorithm == "md5" else digest.base32)
    if arguments.flag("print-path"):
        context.print(shown)


# -- nix-collect-garbage -------------------------------------------------------------------------------------------


def run_collect(context: Context, arguments: Arguments) -> None:
    from frazil.cli.legacy_store import print_freed
    from frazil.cli.settings import parse_bytes
    from frazil.store.garbage import DELETE_DEAD, RETURN_DEAD, Options

    dry = arguments.flag("dry-run")
    limit = arguments.value("max-freed")
    if dry and limit is not None:
        raise UsageError("options --max-freed and --dry-run cannot be combined")
    if arguments.flag("delete-old") or arguments.has("delete-older-than"):
        delete_generations(context, arguments.value("delete-older-than"), dry_run=dry)
    options = Options(
        action=RETURN_DEAD if dry else DELETE_DEAD,
        max_freed=None if limit is None else parse_bytes(limit.lstrip("-")),
    )
    results = context.store.collect_garbage(options)
    if dry:
        context.print(f"{len(results.paths)} store paths would be deleted")
    else:
        print_freed(context, results)


def profile_folders(context: Context) -> list[str]:
    environment = context.settings.environment
    home = environment.get("HOME") or os.path.expanduser("~")
    state = environment.get("XDG_STATE_HOME") or os.path.join(home, ".local", "state")
    own = environment.get("NIX_STATE_HOME") or os.path.join(state, "nix")
    return [os.path.join(own, "profiles"), os.path.join(context.store_config.state_dir, "profiles")]


def delete_generations(context: Context, older_than: str | None, *, dry_run: bool) -> None:
    from frazil.cli.legacy_env import default_profile
    from frazil.store.profile import Profile, find_profiles, parse_age

    moment = None if older_than is None else parse_age(older_than)
    found = [path for folder in profile_folders(context) for path in find_profiles(folder) if _may_change(folder)]
    own = default_profile(context)  # may be anywhere
    if Profile(own).current() is not None and _may_change(os.path.dirname(own)):
        found.append(own)
    for path in dict.fromkeys(map(os.path.abspath, found)):
        context.note(f"removing old generations of profile {path}")
        profile = Profile(path)
        if moment is None:
            profile.delete_old(dry_run=dry_run)
        else:
            profile.delete_older_than(moment, dry_run=dry_run)


def _may_change(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


# -- not replaced --------------------------------------------------------------------------------------------------


def unsupported(name: str, hint: str) -> Callable[[Context, Arguments], None]:
    def run(context: Context, arguments: Arguments) -> None:
        raise UsageError(f"frazil does not replace '{name}'", hint=hint)

    return run


PROGRAMS = {
    "nix-hash": Command(
        run_hash,
        "compute hashes of paths",
        BASES,
        (
            Option("--flat", "Hash the file itself, not its archive."),
            Option("--type", "md5, sha1, sha256 or sha512.", "hash-algo", key="algo"),
            Option("--truncate", "Fold the hash to 160 bits."),
            *(Option(f"--to-{base}", f"Convert hashes to {base}.") for base in ("base16", "base32", "base64", "sri")),
        ),
        positional="paths…",
        at_most=None,
        examples=[("The hash of a folder", "nix-hash --type sha256 ./source")],
    ),
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
        at_most=2,
        examples=[("Fetch a file and print its hash", "nix-prefetch-url https://example.org/source.tar.gz")],
    ),
    "nix-collect-garbage": Command(
        run_collect,
        "delete unreachable store objects",
        (
            Option("--delete-old -d", "Delete all old generations of profiles first."),
            Option("--delete-older-than", "Delete generations older than *period* (such as 30d) first.", "period"),
            Option("--dry-run", "Only say how much."),
            Option("--max-freed", "Stop after so many *bytes*.", "bytes"),
        ),
        examples=[
            ("Delete old generations, then all that nothing needs", "nix-collect-garbage --delete-older-than 30d")
        ],
    ),
    "nix-channel": Command(
        unsupported("nix-channel", "flakes take the place of channels: see 'frazil flake' and 'frazil registry'"),
        "manage channels (not supported)",
        positional="arguments…",
        at_most=None,
        keep_unknown=True,
        examples=[("Instead", "frazil registry add nixpkgs github:NixOS/nixpkgs/nixos-unstable")],
    ),
}
