"""Flake references: what names a flake on the command line, in `flake.nix` and in a lock file.

In: a text (`.`, `./sub?dir=x#attr^out`, `github:o/r`, `nixpkgs/branch`) or attributes. Out: `FlakeReference`.
Source: the manual page of `nix flake` ("Flake references", "Path-like syntax") and the glossary of input types.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from frazil.fetch.errors import BadURL
from frazil.fetch.url import (
    Authority,
    ParsedURL,
    decode_query,
    parse_url,
    path_to_url_path,
    percent_decode,
    url_path_to_path,
)
from frazil.flake.errors import BadFlakeReference, FlakeNotFound
from frazil.record import Record

Attribute = str | int | bool
Notice = Callable[[str], None]

FLAKE_ID = r"[a-zA-Z][a-zA-Z0-9_-]*"
_REVISION = r"[0-9a-fA-F]{40}"
_REF = r"[a-zA-Z0-9@][a-zA-Z0-9_./@+-]*"
_FRAGMENT = r"(?:[a-zA-Z0-9._~!$&'\"()*+,;=:@/? ^-]|%[0-9a-fA-F]{2})*"
_ID_REFERENCE = rf"({FLAKE_ID}(?:/(?:{_REVISION}|{_REF}(?:/{_REVISION})?))?)(?:#({_FRAGMENT}))?\Z"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_OUTPUT_NAME = _LETTERS | frozenset("0123456789+-._?=")
_MAX_OUTPUT_NAME = 211
_MAX_LENGTH = 65536


def is_flake_id(text: str) -> bool:
    return text[:1] in _LETTERS and _LETTERS.union("0123456789_-").issuperset(text)


def _ignore(_: str) -> None:
    pass


class FlakeReference(Record):
    """An input and the folder of the flake within it. `attributes` hold no `dir`; treat them as immutable."""

    attributes: Mapping[str, Attribute]
    subdirectory: str = ""

    def __init__(self, attributes: Mapping[str, Attribute], subdirectory: str = "") -> None:
        if not isinstance(attributes.get("type"), str):
            raise BadFlakeReference("'type' attribute to specify input scheme is required but not provided")
        super().__init__(attributes, subdirectory)

    @property
    def type(self) -> str:
        return str(self.attributes["type"])

    @property
    def relative_path(self) -> str | None:
        """The path of a `path:` input that is relative to the flake naming it."""
        path = self.attributes.get("path")
        return path if self.type == "path" and isinstance(path, str) and not path.startswith("/") else None

    @property
    def last_modified(self) -> int | None:
        value = self.attributes.get("lastModified")
        return value if isinstance(value, int) else None

    @property
    def revision(self) -> str | None:
        value = self.attributes.get("rev")
        return value if isinstance(value, str) else None

    def to_attributes(self) -> dict[str, Attribute]:
        """With `dir`; what a lock file and `--json` show."""
        attributes = dict(self.attributes)
        if self.subdirectory:
            attributes.setdefault("dir", self.subdirectory)
        return attributes

    def cheap_attributes(self) -> dict[str, Attribute]:
        """Without the number of a git commit's ancestors: it follows from `rev`, and costs a walk through history."""
        implied = self.attributes.get("type") == "git"
        return {name: self.attributes[name] for name in self.attributes if not implied or name != "revCount"}

    def __str__(self) -> str:
        from frazil.fetch.inputs import attributes_to_url

        url = attributes_to_url(self.cheap_attributes())
        if not self.subdirectory:
            return url
        parsed = parse_url(url)
        return str(parsed.with_query({"dir": self.subdirectory, **parsed.query}))

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Attribute]) -> FlakeReference:
        """Checks the attributes against their type. Raises FetchError or BadFlakeReference."""
        from frazil.fetch.inputs import check_attributes

        directory = attributes.get("dir", "")
        if not isinstance(directory, str):
            raise BadFlakeReference("input attribute 'dir' is not a string")
        rest = {name: value for name, value in attributes.items() if name != "dir"}
        if "type" not in rest:
            raise BadFlakeReference("'type' attribute to specify input scheme is required but not provided")
        return cls(check_attributes(rest), directory)

    def canonical(self) -> FlakeReference:
        """For comparing with old lock files, which kept `?dir=` inside `url`."""
        url = self.attributes.get("url")
        if not isinstance(url, str):
            return self
        try:
            parsed = parse_url(url, lenient=True)
        except BadURL:
            return self
        if self.subdirectory and parsed.query.get("dir") == self.subdirectory:
            parsed = parsed.without("dir")
        return FlakeReference({**self.attributes, "url": str(parsed)}, self.subdirectory)

    @classmethod
    def parse(
        cls,
        text: str,
        base_directory: str | None = None,
        *,
        allow_missing: bool = False,
        is_flake: bool = True,
        preserve_relative_paths: bool = False,
        notice: Notice = _ignore,
        warn: Notice = _ignore,
    ) -> FlakeReference:
        """Like `parse_with_fragment`, and a fragment is an error."""
        reference, fragment = parse_with_fragment(
            text,
            base_directory,
            allow_missing=allow_missing,
            is_flake=is_flake,
            preserve_relative_paths=preserve_relative_paths,
            notice=notice,
            warn=warn,
        )
        if fragment:
            raise BadFlakeReference(f"unexpected fragment '{fragment}' in flake reference '{text}'")
        return reference


def parse_with_fragment(
    text: str,
    base_directory: str | None = None,
    *,
    allow_missing: bool = False,
    is_flake: bool = True,
    preserve_relative_paths: bool = False,
    notice: Notice = _ignore,
    warn: Notice = _ignore,
) -> tuple[FlakeReference, str]:
    """A reference and what follows `#`.

    With `base_directory`, paths are taken relative to it and searched upwards for `flake.nix` and a git repository.
    `preserve_relative_paths` keeps `./x` relative: an input of a flake. Raises BadFlakeReference, FlakeNotFound,
    FetchError.
    """
    if len(text) > _MAX_LENGTH:
        raise BadFlakeReference(f"flake reference '{text[:60]}…' is too long ({len(text)} characters)")
    if text[:1] in _LETTERS:
        import re

        if match := re.match(_ID_REFERENCE, text):
            url = ParsedURL("flake", None, tuple(match[1].split("/")), {}, percent_decode(match[2] or ""))
            return _from_url(url, is_flake)
    _warn_dubious_query(text, warn)
    by_url = _parse_url(text, base_directory, is_flake)
    if by_url is not None:
        return by_url
    place, _, after = text.partition("#")
    path, _, asked = place.partition("?")
    query, fragment = decode_query(asked, lenient=True), percent_decode(after)
    if base_directory is None:
        if not preserve_relative_paths and not path.startswith("/"):
            raise BadFlakeReference(f"flake reference '{text}' is not an absolute path")
    else:
        path = os.path.realpath(os.path.join(base_directory, path))
        if is_flake:
            path = find_flake_directory(path, allow_missing, notice, warn)
            repository = _git_repository(path, query, text)
            if repository is not None:
                url_path, query = repository
                return _from_url(ParsedURL("git+file", Authority(), url_path, query, fragment), is_flake)
    authority = Authority() if path.startswith("/") else None
    return _from_url(ParsedURL("path", authority, path_to_url_path(path), query, fragment), is_flake)


def _warn_dubious_query(text: str, warn: Notice) -> None:
    query = text.partition("#")[0].partition("?")[2]
    for part in query.split("&") if query else ():
        if "=" not in part:
            warn(f"dubious URI query '{part}' is missing equal sign '=', ignoring")


def _from_url(url: ParsedURL, is_flake: bool) -> tuple[FlakeReference, str]:
    from frazil.fetch.inputs import url_to_attributes

    bare = url.without("dir").with_(fragment="")
    attributes = url_to_attributes(bare, require_tree=is_flake)
    return FlakeReference(attributes, url.query.get("dir", "")), url.fragment


def _parse_url(text: str, base_directory: str | None, is_flake: bool) -> tuple[FlakeReference, str] | None:
    """None where `text` is no URL (then it is taken as a path)."""
    try:
        url = parse_url(text, lenient=True)
        if base_directory is not None and url.scheme in ("path", "git+file"):
            path = url_path_to_path(url.path)
            if not path.startswith("/"):
                url = url.with_(path=path_to_url_path(os.path.normpath(os.path.join(base_directory, path))))
        return _from_url(url, is_flake)
    except BadURL:
        return None


def find_flake_directory(path: str, allow_missing: bool, notice: Notice, warn: Notice) -> str:
    """The folder at or above `path` that holds `flake.nix`; stops at a repository's root and at a mount point."""
    try:
        device = os.lstat(path).st_dev
    except OSError as error:
        found = FlakeNotFound(f'getting status of "{path}": {error.strerror}')
        folder, name = os.path.split(path)
        if os.path.exists(os.path.join(folder, "flake.nix")):
            found.hint = f"an attribute of the flake in that folder is written with #, as in .#{name}"
        raise found from error
    if not os.path.isdir(path):
        if os.path.basename(path) != "flake.nix":
            raise FlakeNotFound(f'path "{path}" is not a flake (because it\'s not a directory)')
        parent = os.path.dirname(path)
        warn(
            f"Path \"{path}\" should point at the directory containing the 'flake.nix' file, not the file itself. "
            f'Pretending that you meant "{parent}"'
        )
        path = parent
    if allow_missing or os.path.lexists(os.path.join(path, "flake.nix")):
        return path
    notice(f"path \"{path}\" does not contain a 'flake.nix', searching up")
    start, hint = path, "'frazil flake init' creates one from a template"
    while os.path.dirname(path) != path:
        if os.path.lexists(os.path.join(path, "flake.nix")):
            return path
        if os.path.lexists(os.path.join(path, ".git")):
            raise FlakeNotFound(
                f'path "{path}" is not part of a flake (neither it nor its parent directories contain a '
                "'flake.nix' file)",
                hint=hint,
            )
        if os.lstat(path).st_dev != device:
            raise FlakeNotFound(f'unable to find a flake before encountering filesystem boundary at "{path}"')
        path = os.path.dirname(path)
    raise FlakeNotFound("could not find a flake.nix file", hint=f"searched '{start}' and the folders above it; {hint}")


def _git_repository(path: str, query: dict[str, str], text: str) -> tuple[tuple[str, ...], dict[str, str]] | None:
    """Where `path` lies inside a git repository: its URL path, and the query with `dir` and `shallow` set."""
    root, below = path, ""
    while os.path.dirname(root) != root:
        if os.path.lexists(os.path.join(root, ".git")):
            query = dict(query)
            if below:
                if "dir" in query:
                    raise BadFlakeReference(f"flake URL '{text}' has an inconsistent 'dir' parameter")
                query["dir"] = below
            if os.path.lexists(os.path.join(root, ".git", "shallow")):
                query["shallow"] = "1"
            return path_to_url_path(root), query
        name = os.path.basename(root)
        below = f"{name}/{below}" if below else name
        root = os.path.dirname(root)
    return None


class OutputsSpecification(Record):
    """What follows `^`: `names` None stands for `*`; `default` for nothing written."""

    names: frozenset[str] | None = frozenset()
    default: bool = False

    def __str__(self) -> str:
        if self.default:
            return ""
        return "^*" if self.names is None else "^" + ",".join(sorted(self.names))


DEFAULT_OUTPUTS = OutputsSpecification(default=True)
ALL_OUTPUTS = OutputsSpecification(names=None)


def split_outputs(text: str) -> tuple[str, OutputsSpecification]:
    """`x^out,dev` to (`x`, the outputs). Raises BadFlakeReference where a name is no output name."""
    prefix, caret, outputs = text.rpartition("^")
    if not caret:
        return text, DEFAULT_OUTPUTS
    if outputs == "*":
        return prefix, ALL_OUTPUTS
    names = outputs.split(",")
    if not all(1 <= len(name) <= _MAX_OUTPUT_NAME and _OUTPUT_NAME.issuperset(name) for name in names):
        raise BadFlakeReference(
            f"invalid extended outputs specifier '{text}'", hint="write '^out', '^out,dev' or '^*' after the attribute"
        )
    return prefix, OutputsSpecification(frozenset(names))


def name_from_url(url: ParsedURL) -> str | None:
    """A short name for a URL, as a profile shows it: the last word of its `dir`, fragment, repository or path."""
    if "dir" in url.query:
        return url.query["dir"]
    import re

    last = re.fullmatch(r"((?:[a-zA-Z0-9_-]+\.)*)([a-zA-Z0-9_-]+)(\^.*)?", url.fragment)
    if last and last[1] != "defaultPackage." and last[2] != "default":
        return last[2]
    path, word = "/".join(url.path), "[a-zA-Z0-9_-]+"
    if url.scheme in ("github", "gitlab", "sourcehut") and (m := re.fullmatch(rf"{word}/({word})(?:/.*)?", path)):
        return m[1]
    match = re.fullmatch(rf".*/({word})", path)
    return match[1] if match else None


__all__ = [
    "ALL_OUTPUTS",
    "DEFAULT_OUTPUTS",
    "FlakeReference",
    "OutputsSpecification",
    "find_flake_directory",
    "is_flake_id",
    "name_from_url",
    "parse_with_fragment",
    "split_outputs",
]
