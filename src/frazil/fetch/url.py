"""URLs as Nix reads and writes them: text in, `ParsedURL` out, and back.

Source of truth: RFC 3986 with Nix's leniencies (unescaped blanks and quotes in queries and fragments), and git's
SCP-like addresses. Percent-decoded parts hold undecodable bytes as surrogates.
"""

from __future__ import annotations

from collections.abc import Mapping

from frazil.fetch.errors import BadURL
from frazil.record import EMPTY, Record

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Sets, not regular expressions: compiling those took longer than all the parsing that a run ever does.
_PCHAR = _UNRESERVED | frozenset("!$&'()*+,;=:@%")
_PATH = _PCHAR | {"/"}
_QUERY = _PCHAR | frozenset("/?[]")
_FRAGMENT = _PCHAR | frozenset("/?#[]")
_SCHEME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-.")
_HEX = frozenset("0123456789abcdefABCDEF")
_AUTHORITY = (
    r"(?:(?P<user>(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::(?P<password>(?:[A-Za-z0-9\-._~!$&'()*+,;=:]"
    r"|%[0-9A-Fa-f]{2})*))?@)?(?P<host>\[[0-9A-Fa-f:.]+(?:%25[A-Za-z0-9\-._~%]+)?\]|\[v[0-9A-Fa-f]+\.[^\]]+\]"
    r"|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::(?P<port>[0-9]*))?\Z"
)
MAXIMUM_LENGTH = 64 * 1024
"""Longer texts are refused: no URL that means anything is longer."""


def _is_made_of(text: str, allowed: frozenset[str]) -> bool:
    """Whether a text holds nothing else, and each `%` has its two digits."""
    return allowed.issuperset(text) and ("%" not in text or _has_good_escapes(text))


def _has_good_escapes(text: str) -> bool:
    return all(len(part) >= 2 and _HEX.issuperset(part[:2]) for part in text.split("%")[1:])


def percent_encode(text: str, keep: str = "") -> str:
    """Everything but unreserved characters and those in `keep` as `%XX`, of the UTF-8 bytes."""
    if all(c in _UNRESERVED or c in keep for c in text):
        return text
    encoded = []
    for byte in text.encode("utf-8", "surrogateescape"):
        character = chr(byte)
        encoded.append(character if byte < 128 and (character in _UNRESERVED or character in keep) else f"%{byte:02X}")
    return "".join(encoded)


def percent_decode(text: str) -> str:
    if "%" not in text:
        return text
    if not _has_good_escapes(text):
        raise BadURL(f"invalid URI parameter '{text}': incomplete encoding")
    parts = text.split("%")
    decoded = bytearray(parts[0].encode("utf-8", "surrogateescape"))
    for part in parts[1:]:
        decoded.append(int(part[:2], 16))
        decoded += part[2:].encode("utf-8", "surrogateescape")
    return decoded.decode("utf-8", "surrogateescape")


def _escape(text: str, characters: str) -> str:
    for character in characters:
        if character in text:
            text = text.replace(character, f"%{ord(character):02X}")
    return text


def decode_query(query: str, *, lenient: bool = False) -> dict[str, str]:
    """The first of repeated names wins; a parameter without `=` is left out."""
    if lenient:
        query = _escape(query, ' "')
    if not _is_made_of(query, _QUERY):
        raise BadURL(f"invalid URI query '{query}'")
    result: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, mark, value = part.partition("=")
        if mark:
            result.setdefault(percent_decode(name), percent_decode(value))
    return result


def encode_query(query: Mapping[str, str]) -> str:
    keep = ":@/?"
    return "&".join(
        f"{percent_encode(name, keep)}={percent_encode(query[name], keep)}"
        for name in sorted(query, key=lambda n: n.encode("utf-8", "surrogateescape"))
    )


class Authority(Record):
    host: str = ""
    user: str | None = None
    password: str | None = None
    port: int | None = None
    bracketed: bool = False

    @classmethod
    def parse(cls, text: str) -> Authority:
        if not text:
            return cls()
        import re

        match = re.match(_AUTHORITY, text)
        if not match:
            raise BadURL(f"invalid URL authority: '{text}'")
        user, password, host, port = match.group("user", "password", "host", "port")
        number = int(port) if port else None
        if number is not None and number > 65535:
            raise BadURL(f"port '{port}' is invalid")
        bracketed = host.startswith("[")
        return cls(
            percent_decode(host[1:-1] if bracketed else host),
            None if user is None else percent_decode(user),
            None if password is None else percent_decode(password),
            number,
            bracketed,
        )

    def __str__(self) -> str:
        text = ""
        if self.user is not None:
            text = percent_encode(self.user)
            if self.password is not None:
                text += ":" + percent_encode(self.password)
            text += "@"
        text += f"[{percent_encode(self.host, ':')}]" if self.bracketed else percent_encode(self.host)
        return text if self.port is None else f"{text}:{self.port}"


class ParsedURL(Record):
    """`path`: the decoded segments between slashes; an absolute path starts with an empty one."""

    scheme: str
    authority: Authority | None = None
    path: tuple[str, ...] = ()
    query: dict[str, str] = EMPTY
    fragment: str = ""

    def __str__(self) -> str:
        text = f"{self.scheme}:"
        if self.authority is not None:
            text += f"//{self.authority}"
        text += "/".join([percent_encode(segment, ":@") for segment in self.path])
        if self.query:
            text += "?" + encode_query(self.query)
        return f"{text}#{percent_encode(self.fragment)}" if self.fragment else text

    @property
    def segments(self) -> list[str]:
        """The path's segments without empty ones."""
        return [segment for segment in self.path if segment]

    @property
    def application(self) -> str | None:
        """`git` of `git+https`."""
        head, mark, _ = self.scheme.partition("+")
        return head if mark else None

    @property
    def transport(self) -> str:
        """`https` of `git+https`."""
        head, mark, tail = self.scheme.partition("+")
        return tail if mark else head

    def with_scheme(self, scheme: str) -> ParsedURL:
        return self.with_(scheme=scheme)

    def with_query(self, query: Mapping[str, str]) -> ParsedURL:
        return self.with_(query=dict(query))

    def without(self, *names: str) -> ParsedURL:
        """Leaves out query parameters."""
        return self.with_(query={n: v for n, v in self.query.items() if n not in names})


def parse_url(text: str, *, lenient: bool = False) -> ParsedURL:
    """Raises BadURL. `lenient` takes blanks and quotes in the query and the fragment, and `^` in the fragment."""
    if len(text) > MAXIMUM_LENGTH:
        raise BadURL(f"'{text[:60]}…' is not a valid URL: it is longer than {MAXIMUM_LENGTH} characters")
    scheme, mark, rest = text.partition(":")
    if not mark or not scheme[:1].isalpha() or not _SCHEME.issuperset(scheme):
        raise BadURL(f"'{text}' doesn't have a scheme" if not mark else f"'{text}' is not a valid URL")
    rest, _, fragment = rest.partition("#")
    rest, _, query = rest.partition("?")
    authority = None
    if rest.startswith("//"):
        host, slash, rest = rest[2:].partition("/")
        authority = Authority.parse(host)
        rest = slash + rest
    if lenient:
        query, fragment = _escape(query, ' "'), _escape(fragment, ' "^')
    if not (_is_made_of(rest, _PATH) and _is_made_of(query, _QUERY) and _is_made_of(fragment, _FRAGMENT)):
        raise BadURL(f"'{text}' is not a valid URL")
    is_file = scheme.rpartition("+")[2] == "file"
    if authority is not None and authority.host and is_file:
        raise BadURL(f"file:// URL '{text}' has unexpected authority '{authority}'")
    if is_file and not rest:
        rest = "/"
    path = tuple([percent_decode(segment) for segment in rest.split("/")])
    return ParsedURL(scheme, authority, path, decode_query(query), percent_decode(fragment))


def path_to_url_path(path: str) -> tuple[str, ...]:
    """Repeated slashes are one; an absolute path starts with an empty segment, a trailing slash ends with one."""
    parts = [part for part in path.split("/") if part]
    if path.startswith("/"):
        parts.insert(0, "")
    if not path or path.endswith("/"):
        parts.append("")
    return tuple(parts)


def url_path_to_path(segments: tuple[str, ...]) -> str:
    """Raises BadURL for a segment that holds an encoded slash or NUL."""
    for segment in segments:
        if "/" in segment:
            raise BadURL(f"URL path component '{segment}' contains '/', which is not allowed in file names")
        if "\0" in segment:
            shown = segment.replace("\0", "␀")
            raise BadURL(f"URL path component '{shown}' contains NUL byte which is not allowed")
    if not segments:
        return ""
    absolute = segments[0] == ""
    rest = segments[1:] if absolute else segments
    joined = "/".join([segment for segment in rest if segment])
    if joined and rest[-1] == "":
        joined += "/"
    return "/" + joined if absolute else joined


_GIT_SCHEMES = {prefix + s for s in ("ssh", "http", "https", "file", "ftp", "ftps", "git") for prefix in ("", "git+")}


def _split_scp(text: str) -> tuple[str, str] | None:
    """Host and path of `user@host:path`, or None where git would not read it so."""
    if "://" in text or ":" not in text:
        return None
    host, _, path = text.partition(":")
    if "/" in host or host in _GIT_SCHEMES:
        return None
    start = text.find("@[") + 1 if "@[" in text else 0 if text.startswith("[") else -1
    if start >= 0:
        close = text.find("]", start + 1)
        if close >= 0:
            if text[close + 1 : close + 2] != ":":
                return None
            host, path = text[: close + 1], text[close + 2 :]
    return host, path


def _parse_scp(text: str) -> ParsedURL | None:
    split = _split_scp(text)
    if split is None:
        return None
    host, path = split
    user, mark, name = host.partition("@")
    if not mark:
        user, name = "", host
    bracketed = name.startswith("[") and name.endswith("]")
    if bracketed:
        name = _ipv6(name[1:-1])
    if not path:
        raise BadURL(f"SCP-style Git URL '{text}' has an empty path")
    segments = tuple(path.split("/"))
    if segments[0]:
        segments = ("", *segments)
    return ParsedURL("ssh", Authority(name, user if mark else None, bracketed=bracketed), segments)


def _ipv6(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError as error:
        raise BadURL(
            f"Git SCP bracketed URL is not valid: '{text}' is not a valid IPv6 address",
        ) from error


def fix_git_url(text: str) -> ParsedURL:
    """A path, an SCP-like address or a URL as git takes them, as a URL without `git+`."""
    if text.startswith("/"):
        return ParsedURL("file", Authority(), path_to_url_path(text))
    scp = _parse_scp(text)
    if scp is not None:
        return scp
    url = parse_url(text)
    return url.with_scheme(url.transport) if url.application == "git" else url
