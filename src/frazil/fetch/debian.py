"""`debian:SUITE` inputs, and files of Debian's archive for fixed-output derivations.

In: the attributes of a `debian` input. Out: the tree that docs/design/debian.md describes. Trust comes from the
signature of `InRelease` alone; mirrors and proxies are found through apt's configuration or `debian-mirrors`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frazil.activity import Activity, ActivityType
from frazil.digest import Hash
from frazil.fetch import attributes as attr
from frazil.fetch.apt import apt_directory, debian_mirrors, is_false, parse_stanzas, read_apt_conf
from frazil.fetch.archive_transfer import download_verified, fetch_any
from frazil.fetch.attributes import InputAttributes
from frazil.fetch.errors import BadSignature, DownloadError, FetchError
from frazil.fetch.openpgp import find_keyring, verify_signed_text
from frazil.fetch.scheme import FetchContext, FetchedTree
from frazil.fetch.settings import FetchSettings, cache_directory
from frazil.fetch.tree import add_tree, find_cached_tree, find_tree, temporary_directory, write_atomically

if TYPE_CHECKING:
    from frazil.store.path import StorePath

__all__ = ["download_verified", "fetch_debian", "resolve_mirror"]

_MIRROR_SCHEME = "mirror://debian/"
_CLOCK_TOLERANCE = 24 * 3600
_MAXIMUM_INDEX = 16 << 20
_MAXIMUM_PACKAGES = 1 << 30
_FORMAT_KEY = 1


@dataclass(frozen=True, slots=True)
class Release:
    """A signed index. `files`: path below the suite → (SHA-256 digits, size). `digest`: of the whole signed file."""

    digest: Hash
    fields: dict[str, str]
    files: dict[str, tuple[str, int]]
    date: int


def mirrors(settings: FetchSettings) -> list[str]:
    """Base addresses to try in this order. Raises FetchError where none is known."""
    found = [address.rstrip("/") for address in settings.debian_mirrors] or debian_mirrors(apt_directory())
    if not found:
        raise FetchError(
            "no mirror of Debian is known: this machine has no apt sources for it",
            hint="name one by the setting `debian-mirrors`",
        )
    return found


def resolve_mirror(uri: str, settings: FetchSettings) -> list[str]:
    """The addresses of `mirror://debian/PATH`; any other URI stands for itself."""
    if not uri.startswith(_MIRROR_SCHEME):
        return [uri]
    path = uri[len(_MIRROR_SCHEME) :].lstrip("/")
    return [f"{base}/{path}" for base in mirrors(settings)]


def fetch_debian(attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    pinned = attr.nar_hash(attributes)
    if pinned is not None and "release" in attributes:
        stored = find_tree(context, pinned)
        if stored is not None:
            return FetchedTree(stored, context.store.real_path(stored), dict(attributes))
    release = _locked_release(attributes, context) if "release" in attributes else _current_release(attributes, context)
    found = _build_tree(attributes, release, context)
    result = dict(attributes)
    result.update(release=release.digest.sri, lastModified=release.date, narHash=found[1].sri)
    return FetchedTree(found[0], context.store.real_path(found[0]), result)


# --------------------------------------------------------------------------------------------------- signed index


def _index_file(digest: Hash, settings: FetchSettings) -> str:
    return os.path.join(cache_directory(settings), "debian", f"InRelease-{digest.base16}")


def _suite_path(attributes: InputAttributes) -> str:
    return f"dists/{attr.text(attributes, 'suite')}"


def _kept_release(digest: Hash, suite: str, context: FetchContext) -> Release | None:
    """A signed index that was fetched before; its signature is checked again."""
    path = _index_file(digest, context.settings)
    try:
        with open(path, "rb") as file:
            data = file.read(_MAXIMUM_INDEX)
    except OSError:
        return None
    if Hash.of("sha256", data) != digest:
        return None
    return read_release(data, suite, context.settings, path, check_date=False)


def _locked_release(attributes: InputAttributes, context: FetchContext) -> Release:
    suite, wanted = attr.text(attributes, "suite"), attr.parse_sri(attr.text(attributes, "release"))
    kept = _kept_release(wanted, suite, context)
    if kept is not None:
        return kept
    current = _download_release(attributes, context, check_date=False)
    if current.digest != wanted:
        import time

        date = time.strftime("%Y-%m-%d", time.gmtime(current.date))
        raise FetchError(
            f"the index of Debian suite '{suite}' that is locked ({wanted.sri}) is no longer on the mirrors; "
            f"they carry that of {date} ({current.digest.sri})",
            hint="lock the current one: frazil flake update, with the name of the input",
        )
    return current


def _current_release(attributes: InputAttributes, context: FetchContext) -> Release:
    """The newest, looked for again after `tarball-ttl` seconds; while no mirror answers, the one known."""
    suite = attr.text(attributes, "suite")
    entry = context.cache.lookup("debian-release", suite)
    kept = None
    if entry is not None and isinstance(entry.value.get("release"), str):
        with contextlib.suppress(FetchError):
            kept = _kept_release(attr.parse_sri(entry.value["release"]), suite, context)
        if kept is not None and not entry.expired:
            return kept
    try:
        release = _download_release(attributes, context, check_date=True)
    except DownloadError as error:
        if kept is None:
            raise
        context.warn(f"{error.message}; using cached version")
        return kept
    context.cache.put("debian-release", suite, {"release": release.digest.sri})
    return release


def _download_release(attributes: InputAttributes, context: FetchContext, *, check_date: bool) -> Release:
    """From the first mirror that gives a file with a good signature."""
    suite, settings = attr.text(attributes, "suite"), context.settings
    failure: FetchError | None = None
    for base in mirrors(settings):
        uri = f"{base}/{_suite_path(attributes)}/InRelease"
        try:
            with temporary_directory(context) as scratch:
                path = os.path.join(scratch, "InRelease")
                fetch_any(uri, path, settings, context.reporter, maximum=_MAXIMUM_INDEX)
                with open(path, "rb") as file:
                    data = file.read(_MAXIMUM_INDEX)
            release = read_release(data, suite, settings, uri, check_date=check_date)
        except (DownloadError, BadSignature) as error:
            # A wrong signature says more than a mirror that lacks the suite.
            if failure is None or not isinstance(failure, BadSignature):
                failure = error
            continue
        with contextlib.suppress(FetchError):  # kept for a locked suite that the mirrors drop; not needed now
            write_atomically(_index_file(release.digest, settings), data)
        return release
    assert failure is not None
    if isinstance(failure, DownloadError):
        raise DownloadError(
            f"no mirror has the Debian suite '{suite}': {failure.message}",
            status=failure.status,
            hint="is the name right? Mirrors come from apt's configuration or the setting `debian-mirrors`",
        ) from failure
    raise failure


def read_release(data: bytes, suite: str, settings: FetchSettings, shown: str, *, check_date: bool) -> Release:
    """Checks signature, suite and dates of an `InRelease`. Raises BadSignature, FetchError."""
    signed = verify_signed_text(data, find_keyring(settings.debian_keyring), shown)
    stanzas = parse_stanzas(signed.decode("utf-8", "replace"))
    if len(stanzas) != 1:
        raise FetchError(f"'{shown}' is not a Debian index")
    fields = stanzas[0]
    if suite not in _names_of(fields):
        raise BadSignature(
            f"'{shown}' is the index of suite '{fields.get('codename', fields.get('suite', '?'))}', not of '{suite}'"
        )
    date = parse_date(fields.get("date", ""))
    if date is None:
        raise FetchError(f"'{shown}' has no date")
    if check_date:
        _check_dates(fields, date, shown)
    return Release(Hash.of("sha256", data), fields, _listed_files(fields.get("sha256", "")), date)


def _names_of(fields: dict[str, str]) -> set[str]:
    names = {fields[name] for name in ("suite", "codename") if fields.get(name)}
    return names | {name.replace("/", "-") for name in names}


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse_date(text: str) -> int | None:
    """Seconds of `Sat, 12 Sep 2026 07:55:41 UTC`, whatever the locale is."""
    match = re.fullmatch(r"\w{3}, +(\d{1,2}) (\w{3}) (\d{4}) (\d{1,2}):(\d\d):(\d\d) (?:UTC|GMT|[+]0000|Z)", text)
    if not match or match.group(2) not in _MONTHS:
        return None
    import calendar

    day, _, year, hour, minute, second = match.groups()
    month = _MONTHS.index(match.group(2)) + 1
    return calendar.timegm((int(year), month, int(day), int(hour), int(minute), int(second)))


def _check_dates(fields: dict[str, str], date: int, shown: str) -> None:
    """As apt does, with apt's own options to turn it off."""
    import time

    conf = read_apt_conf(apt_directory())
    now = time.time()
    if date > now + _CLOCK_TOLERANCE and not is_false(conf.get("acquire::check-date")):
        raise BadSignature(f"'{shown}' is dated {fields['date']}, in the future", hint="is the machine's clock right?")
    until = parse_date(fields.get("valid-until", ""))
    if until is not None and until < now and not is_false(conf.get("acquire::check-valid-until")):
        raise BadSignature(
            f"'{shown}' has expired: it was valid until {fields['valid-until']}",
            hint="the mirror is not kept up to date, or someone holds updates back; is the machine's clock right?",
        )


def _listed_files(text: str) -> dict[str, tuple[str, int]]:
    files = {}
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 3 and re.fullmatch(r"[0-9a-f]{64}", parts[0]) and parts[1].isdigit():
            files[parts[2]] = (parts[0], int(parts[1]))
    return files


# ----------------------------------------------------------------------------------------------------------- tree


def _words(attributes: InputAttributes, name: str, default: str) -> list[str]:
    return list(dict.fromkeys((attr.optional_text(attributes, name) or default).split(",")))


def _build_tree(attributes: InputAttributes, release: Release, context: FetchContext) -> tuple[StorePath, Hash]:
    from frazil.fetch.debian_index import write_index

    suite = attr.text(attributes, "suite")
    architectures = _words(attributes, "architectures", "amd64,arm64")
    components = _words(attributes, "components", "main")
    key = [_FORMAT_KEY, suite, release.digest.sri, architectures, components]
    found = find_cached_tree(context, "debian-tree", key, "source")
    if found is not None:
        return found
    information: dict[str, Any] = {
        "suite": suite,
        "codename": release.fields.get("codename", suite),
        "version": release.fields.get("version", ""),
        "date": release.date,
        "release": release.digest.sri,
        "architectures": architectures,
        "components": components,
    }

    def read_packages(architecture: str) -> Iterable[tuple[str, str]]:
        for component in components:
            yield component, _packages_text(attributes, release, f"{component}/binary-{architecture}", context)

    with temporary_directory(context) as scratch:
        target = os.path.join(scratch, "source")
        os.mkdir(target)
        with Activity(context.reporter, ActivityType.UNKNOWN, f"reading the index of Debian suite '{suite}'"):
            write_index(target, information, read_packages)
        found = add_tree(context, target, shown=f"debian:{suite}", scratch=True)
    context.cache.put("debian-tree", key, {"narHash": found[1].sri})
    return found


def _packages_text(attributes: InputAttributes, release: Release, folder: str, context: FetchContext) -> str:
    """The text of one `Packages`, checked against the signed index compressed and uncompressed."""
    listed = [name for name in (f"{folder}/Packages{s}" for s in (".xz", ".gz", "")) if name in release.files]
    plain = f"{folder}/Packages"
    if not listed or plain not in release.files:
        known = sorted({n.split("/")[1].removeprefix("binary-") for n in release.files if "/binary-" in n})
        raise FetchError(
            f"Debian suite '{attr.text(attributes, 'suite')}' has no '{folder}'",
            hint=f"its architectures are {release.fields.get('architectures', ', '.join(known))}; "
            f"its components {release.fields.get('components', '?')}",
        )
    digest, size = release.files[listed[0]]
    with temporary_directory(context) as scratch:
        path = os.path.join(scratch, "Packages")
        download_verified(
            _index_uris(attributes, release, listed[0], digest, context.settings),
            digest,
            size,
            path,
            context.reporter,
            context.settings,
        )
        data = _decompress(path, listed[0])
    wanted, length = release.files[plain]
    if len(data) != length or Hash.of("sha256", data).base16 != wanted:
        raise BadSignature(f"'{plain}' is not what the signed index says")
    return data.decode("utf-8", "replace")


def _index_uris(
    attributes: InputAttributes, release: Release, name: str, digest: str, settings: FetchSettings
) -> Sequence[str]:
    """By hash first: that stays when the suite moves on."""
    uris = []
    for base in mirrors(settings):
        place = f"{base}/{_suite_path(attributes)}"
        if release.fields.get("acquire-by-hash") == "yes":
            uris.append(f"{place}/{name.rpartition('/')[0]}/by-hash/SHA256/{digest}")
        uris.append(f"{place}/{name}")
    return uris


def _decompress(path: str, name: str) -> bytes:
    import lzma
    import zlib

    try:
        if name.endswith(".xz"):
            with lzma.open(path) as file:
                data = file.read(_MAXIMUM_PACKAGES)
        elif name.endswith(".gz"):
            import gzip

            with gzip.open(path) as packed:
                data = packed.read(_MAXIMUM_PACKAGES)
        else:
            with open(path, "rb") as raw:
                data = raw.read(_MAXIMUM_PACKAGES)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise FetchError(f"damaged package index '{name}': {error}") from error
    return data
