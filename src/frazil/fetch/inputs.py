"""The door of the room: URLs and attributes of inputs, and fetching them.

Attributes (`InputAttributes`) or a URL come in; `FetchedTree` goes out. Source of truth: Nix's `fetchTree` and flake
reference chapters. Text is `str` as of `os.fsdecode`: callers from the language convert their byte strings.
"""

from __future__ import annotations

import functools
import os

from frazil.errors import FrazilError, TraceFrame
from frazil.fetch import attributes as attr
from frazil.fetch.attributes import InputAttributes, attributes_from_json, show_attributes
from frazil.fetch.errors import BadAttributes, FetchError, HashMismatch
from frazil.fetch.scheme import FetchContext, FetchedTree, InputScheme
from frazil.fetch.settings import FetchSettings
from frazil.fetch.url import ParsedURL, parse_url

__all__ = [
    "FetchContext",
    "FetchSettings",
    "FetchedTree",
    "InputAttributes",
    "apply_overrides",
    "attributes_from_json",
    "attributes_to_url",
    "check_attributes",
    "clone_input",
    "contains",
    "experimental_feature",
    "fetch_tree",
    "is_direct",
    "is_locked",
    "put_file",
    "relative_path",
    "source_directory",
    "url_to_attributes",
]

# Loaded one by one when first needed: a run rarely meets more than two types.
_CLASSES = {
    "debian": ("other_schemes", "DebianScheme"),
    "file": ("tarball_scheme", "FileScheme"),
    "frazilpkgs": ("other_schemes", "FrazilpkgsScheme"),
    "git": ("git_scheme", "GitScheme"),
    "github": ("forge_scheme", "GitHubScheme"),
    "gitlab": ("forge_scheme", "GitLabScheme"),
    "hg": ("git_scheme", "MercurialScheme"),
    "indirect": ("other_schemes", "IndirectScheme"),
    "path": ("path_scheme", "PathScheme"),
    "sourcehut": ("forge_scheme", "SourceHutScheme"),
    "tarball": ("tarball_scheme", "TarballScheme"),
}


@functools.cache
def _find_scheme(kind: str) -> InputScheme | None:
    place = _CLASSES.get(kind)
    if place is None:
        return None
    import importlib

    module = importlib.import_module(f"frazil.fetch.{place[0]}")
    scheme: InputScheme = getattr(module, place[1])()
    return scheme


def _kinds_of(url: ParsedURL) -> tuple[str, ...]:
    """The types that may take a URL."""
    if url.scheme == "flake":
        return ("indirect",)
    if url.application in ("git", "hg"):
        return (url.application,)
    if url.scheme in _CLASSES and url.scheme not in ("file", "tarball"):
        return (url.scheme,)
    return ("file", "tarball")


def url_to_attributes(url: str | ParsedURL, *, require_tree: bool = True) -> InputAttributes:
    """The input that a URL names. `require_tree` takes an `https` URL of unknown extension for an archive, not a file.

    `dir` is the flake reference's affair: take it out of the query before. Raises BadURL, BadAttributes.
    """
    parsed = parse_url(url) if isinstance(url, str) else url
    for kind in _kinds_of(parsed):
        scheme = _find_scheme(kind)
        found = scheme.from_url(parsed, require_tree) if scheme else None
        if found is not None:
            _check_common(found)
            return found
    if parsed.application == "file" and parsed.transport == "git":
        raise BadAttributes(f"input '{parsed}' is unsupported; did you mean 'git+file' instead of 'file+git'?")
    raise BadAttributes(f"input '{parsed}' is unsupported")


def check_attributes(attributes: InputAttributes) -> InputAttributes:
    """The attributes, normalised (git's `url` without `git+`). Those of an unknown type pass as they are."""
    kind = attr.optional_text(attributes, "type")
    if kind is None:
        raise BadAttributes("'type' attribute to specify input scheme is required but not provided")
    scheme = _find_scheme(kind)
    if scheme is None:
        _check_common(attributes)
        return dict(attributes)
    for name in sorted(attributes):
        if name not in scheme.allowed and name not in ("type", "__final"):
            raise BadAttributes(f"input attribute '{name}' not supported by scheme '{kind}'")
    checked = scheme.check(attributes)
    _check_common(checked)
    return checked


def _check_common(attributes: InputAttributes) -> None:
    attr.text(attributes, "type")
    attr.optional_text(attributes, "ref")
    attr.optional_integer(attributes, "revCount")
    attr.optional_integer(attributes, "lastModified")


def _scheme(attributes: InputAttributes, action: str) -> InputScheme:
    scheme = _find_scheme(attr.text(attributes, "type"))
    if scheme is None:
        raise BadAttributes(f"cannot {action} unsupported input '{show_attributes(attributes)}'")
    return scheme


def attributes_to_url(attributes: InputAttributes, extra_query: dict[str, str] | None = None) -> str:
    """The URL of an input; `extra_query` (as `dir`) is added where the name is not yet in it."""
    url = _scheme(attributes, "show").to_url(attributes)
    if extra_query:
        url = url.with_query({**extra_query, **url.query})
    return str(url)


def experimental_feature(attributes: InputAttributes) -> str | None:
    """The feature that using this kind of input asks for, as `flakes`."""
    scheme = _find_scheme(attr.text(attributes, "type"))
    return scheme.experimental_feature if scheme else None


def is_locked(attributes: InputAttributes, settings: FetchSettings | None = None) -> bool:
    """Whether the attributes always give the same tree."""
    scheme = _find_scheme(attr.text(attributes, "type"))
    return scheme is not None and scheme.is_locked(attributes, settings or FetchSettings())


def is_direct(attributes: InputAttributes) -> bool:
    """Whether no registry is needed to find it."""
    scheme = _find_scheme(attr.text(attributes, "type"))
    return scheme is None or scheme.is_direct(attributes)


def relative_path(attributes: InputAttributes) -> str | None:
    """The path of a `path:` input that is not absolute."""
    scheme = _find_scheme(attr.text(attributes, "type"))
    return scheme.relative_path(attributes) if scheme else None


def contains(attributes: InputAttributes, other: InputAttributes) -> bool:
    """Whether `other` is the same input, perhaps at another reference or revision."""
    return attributes in (other, {n: v for n, v in other.items() if n not in ("ref", "rev")})


def apply_overrides(attributes: InputAttributes, ref: str | None, rev: str | None) -> InputAttributes:
    scheme = _find_scheme(attr.text(attributes, "type"))
    return attributes if scheme is None else scheme.apply_overrides(attributes, ref, rev)


def source_directory(attributes: InputAttributes) -> str | None:
    """Where a `path:` input or a local git work tree is in the file system, without fetching it."""
    scheme = _find_scheme(attr.text(attributes, "type"))
    return scheme.source_path(attributes) if scheme else None


def put_file(attributes: InputAttributes, path: str, contents: bytes, commit_message: str | None = None) -> None:
    """Writes a file (a lock file) into a local source; in a git work tree it is added too, and committed if asked."""
    _scheme(attributes, "write to").put_file(attributes, path, contents, commit_message)


def clone_input(attributes: InputAttributes, destination: str, context: FetchContext) -> None:
    if os.path.lexists(destination):
        raise FetchError(f'cannot clone into existing path "{destination}"')
    _scheme(attributes, "clone").clone(attributes, destination, context)


def fetch_tree(attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    """Puts the input's tree into the store, or finds it there.

    The result's attributes are those of the locked input. With `__final` (from a lock file) they are the given ones,
    and a tree that the store holds under the given `narHash` is taken without looking at its source.
    Raises FetchError and its kin with "while fetching the input" as a trace frame; HashMismatch for another `narHash`.
    """
    attributes = check_attributes(attributes)
    scheme = _scheme(attributes, "fetch")
    try:
        pinned = attr.nar_hash(attributes)
        if pinned is not None and attributes.get("__final") is True:
            found = _find_in_store(attributes, context)
            if found is not None:
                return found
        tree = _fetch(scheme, {n: v for n, v in attributes.items() if n != "__final"}, context)
        return tree.with_attributes(_check_locks(scheme, attributes, tree.attributes))
    except FrazilError as error:
        error.trace.append(TraceFrame(f"while fetching the input '{_show(scheme, attributes)}'"))
        raise
    except OSError as error:
        from frazil.store.errors import from_os_error

        place = f" ('{os.fsdecode(error.filename)}')" if error.filename is not None else ""
        raise from_os_error(error, f"fetching the input '{_show(scheme, attributes)}'{place}") from error


def _fetch(scheme: InputScheme, attributes: InputAttributes, context: FetchContext) -> FetchedTree:
    if not scheme.downloads:
        return scheme.fetch(attributes, context)
    from frazil.fetch.locks import input_lock

    with input_lock(attributes, context, _show(scheme, attributes)):
        return scheme.fetch(attributes, context)


def _show(scheme: InputScheme, attributes: InputAttributes) -> str:
    try:
        return str(scheme.to_url(attributes))
    except FetchError:
        return show_attributes(attributes)


def _find_in_store(attributes: InputAttributes, context: FetchContext) -> FetchedTree | None:
    from frazil.fetch.tree import find_tree

    name = attr.optional_text(attributes, "name") or "source"
    hash_ = attr.nar_hash(attributes)
    found = None if hash_ is None else find_tree(context, hash_, name)
    if found is None:
        return None
    return FetchedTree(found, context.store.real_path(found), {n: v for n, v in attributes.items() if n != "__final"})


def _check_locks(scheme: InputScheme, specified: InputAttributes, result: InputAttributes) -> InputAttributes:
    """The attributes to go on with; raises where the fetched tree contradicts what was asked for."""
    wanted = attr.nar_hash(specified)
    got = attr.nar_hash(result)
    if wanted is not None and got != wanted:
        shown = f"got '{got.sri}'" if got else "got none"
        raise HashMismatch(
            f"NAR hash mismatch in input '{_show(scheme, specified)}', expected '{wanted.sri}' but {shown}"
        )
    rev = attr.revision(specified)
    if rev is not None and attr.revision(result) != rev:
        raise FetchError(f"'rev' attribute mismatch in input '{_show(scheme, result)}', expected {rev}")
    if specified.get("__final") is not True:
        return result
    final = {name: value for name, value in specified.items() if name != "__final"}
    for name, value in final.items():
        if name not in ("narHash", "rev") and name in result and result[name] != value:
            raise FetchError(
                f"mismatch in field '{name}' of input '{show_attributes(final)}', got '{show_attributes(result)}'"
            )
    return final
