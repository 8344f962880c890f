"""`nix-hash` and `nix-collect-garbage`. Source: their manual pages."""

from __future__ import annotations

import os

from frazil.activity import Verbosity
from frazil.cli.context import Context
from frazil.cli.hash_commands import algorithm_of, chosen_format, hash_of_path
from frazil.cli.options import Arguments, Command, Option
from frazil.digest import Hash
from frazil.errors import UsageError

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
                context.print(Hash.parse(text, algorithm).render(base, prefix=False))
            return
    form = chosen_format(context, arguments, "base16")
    mode = "flat" if arguments.flag("flat") else "nar"
    for path in arguments.positional:
        digest = hash_of_path(context, path, algorithm or "md5", mode)
        context.print(_rendered(digest, form, truncate=arguments.flag("truncate")))


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


# -- nix-collect-garbage -------------------------------------------------------------------------------------------


def run_collect(context: Context, arguments: Arguments) -> None:
    from frazil.cli.legacy_store import print_freed
    from frazil.cli.settings import parse_limit
    from frazil.store.garbage import DELETE_DEAD, RETURN_DEAD, Options

    dry = arguments.flag("dry-run")
    limit = arguments.value("max-freed")
    if dry and limit is not None:
        raise UsageError("options --max-freed and --dry-run cannot be combined")
    if arguments.flag("delete-old") or arguments.has("delete-older-than"):
        delete_generations(context, arguments.value("delete-older-than"), dry_run=dry)
    options = Options(
        action=RETURN_DEAD if dry else DELETE_DEAD,
        max_freed=None if limit is None else parse_limit(limit),
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
            deleted = profile.delete_old(dry_run=dry_run)
        else:
            deleted = profile.delete_older_than(moment, dry_run=dry_run)
        tell_deleted(context, deleted, dry_run=dry_run)


def tell_deleted(context: Context, generations: list[int], *, dry_run: bool) -> None:
    verb = "would remove" if dry_run else "removing"
    for number in generations:
        context.note(f"{verb} profile version {number}", Verbosity.NOTICE)


def _may_change(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK)


PROGRAMS = {
    "nix-hash": Command(
        run_hash,
        "compute hashes of paths",
        BASES,
        (
            Option("--flat", "Hash the file itself, not its archive."),
            Option("--type", "blake3, md5, sha1, sha256 or sha512.", "hash-algo", key="algo"),
            Option("--truncate", "Fold the hash to 160 bits."),
            *(Option(f"--to-{base}", f"Convert hashes to {base}.") for base in ("base16", "base32", "base64", "sri")),
        ),
        positional="paths…",
        at_most=None,
        examples=[("The hash of a folder", "nix-hash --type sha256 ./source")],
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
}
