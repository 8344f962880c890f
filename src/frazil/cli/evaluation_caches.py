"""Where answers of other machines are looked for: the setting `frazil-evaluation-caches`.

In: folders and URLs. Out: a `Lender`. Only answers that a key of `trusted-public-keys` signed are taken, unless the
setting `require-sigs` is off.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from frazil.cli.context import Context
    from frazil.evalcache.database import Database
    from frazil.evalcache.share import Lender

SETTING = "frazil-evaluation-caches"


def open_lender(context: Context, database: Database) -> Callable[[], Lender | None]:
    """Made when something is not known here."""
    made: list[Lender | None] = []

    def lender() -> Lender | None:
        if not made:
            made.append(_make(context, database))
        return made[0]

    return lender


def _make(context: Context, database: Database) -> Lender | None:
    settings = context.settings
    places = settings.words(SETTING)
    if not places or context.store_config.is_dummy:
        return None
    from frazil.evalcache.share import Lender
    from frazil.store.signatures import PublicKey

    keys = None
    if settings.boolean("require-sigs"):
        keys = [PublicKey.parse(text) for text in settings.words("trusted-public-keys")]
    readers = {place: _reader(context, place) for place in places}

    def program() -> str:
        from frazil.evalcache.program import identity

        return identity(database.program, database.put_program)

    return Lender(database, lambda: context.store, program, readers, keys, context.warn)


def _reader(context: Context, place: str) -> Callable[[str, int], bytes]:
    """How to read a file of a folder or of a web server. FileNotFoundError for one that is not there."""
    if place.startswith(("http://", "https://")):
        return lambda name, limit: _download(context, f"{place.rstrip('/')}/{name}", limit)
    from frazil.evalcache.share import folder_of, read_bounded

    folder = folder_of(place)

    def read(name: str, limit: int) -> bytes:
        try:
            return read_bounded(os.path.join(folder, name), limit)
        except FileNotFoundError:
            if os.path.isdir(folder):
                raise
            raise OSError(f"'{folder}' is no folder") from None

    return read


def _download(context: Context, url: str, limit: int) -> bytes:
    import tempfile

    from frazil.fetch.download import download
    from frazil.fetch.errors import DownloadError

    if context.offline:
        raise FileNotFoundError(url)
    with tempfile.TemporaryDirectory(prefix="frazil-borrow-") as scratch:
        target = os.path.join(scratch, "file")
        try:
            download(url, target, context.fetch_settings, context.reporter, maximum=limit)
        except DownloadError as error:
            if error.status in (403, 404, 410):
                raise FileNotFoundError(url) from error
            raise
        with open(target, "rb") as file:
            return file.read(limit)
