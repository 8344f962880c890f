"""`key …` and `store sign`: signing keys. Source: the manual pages of `nix key` and `nix store sign`."""

from __future__ import annotations

import sys

from frazil.cli.context import Context
from frazil.cli.options import Arguments, Command, Option
from frazil.cli.store_paths import STORE_PATHS, store_paths
from frazil.errors import UsageError

LARGEST_KEY = 1 << 16


def generate_secret(context: Context, arguments: Arguments) -> None:
    from frazil.store.signatures import SecretKey

    context.print(str(SecretKey.generate(_required(arguments, "key-name"))), end="")


def convert_to_public(context: Context, arguments: Arguments) -> None:
    from frazil.store.signatures import SecretKey

    text = sys.stdin.buffer.read(LARGEST_KEY).decode("utf-8", "replace")
    context.print(str(SecretKey.parse(text).public), end="")


def sign(context: Context, arguments: Arguments) -> None:
    from frazil.store.signatures import read_secret_key, sign_info

    key = read_secret_key(_required(arguments, "key-file"))
    store = context.any_store
    added = 0
    for item in store_paths(context, arguments):
        known = store.query_info(item)
        new = sign_info(known, store.directory, key).signatures - known.signatures
        if new:
            store.add_signatures(item, new)
            added += 1
    context.note(f"added {added} signatures")


def _required(arguments: Arguments, key: str) -> str:
    value = arguments.value(key)
    if value is None:
        raise UsageError(f"required argument '--{key}' is missing")
    return value


COMMANDS = {
    "key generate-secret": Command(
        generate_secret,
        "make a secret key for signing store paths",
        (Option("--key-name", "The key's name, for example `cache.example.org-1`.", "name"),),
        examples=[("Make a key", "frazil key generate-secret --key-name cache.example.org-1 > secret-key")],
    ),
    "key convert-secret-to-public": Command(
        convert_to_public,
        "print the public key of a secret key",
        description="The secret key is read from standard input.",
        examples=[("The public key of a secret one", "frazil key convert-secret-to-public < secret-key")],
    ),
    "store sign": Command(
        sign,
        "sign store paths with a key",
        STORE_PATHS,
        (Option("--key-file -k", "The file that holds the secret key.", "file"),),
        positional="installables…",
        at_most=None,
        examples=[("Sign a package and all it needs", "frazil store sign --key-file ./secret-key --recursive .#hello")],
    ),
}
