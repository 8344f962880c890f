"""The machine's own apt configuration: which mirrors it uses, through which proxies.

In: the folder `/etc/apt` (or another). Out: mirror addresses and options. Source of truth: `sources.list(5)` (both
formats) and `apt.conf(5)`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

APT_DIRECTORY = "/etc/apt"
APT_HELPER = "/usr/lib/apt/apt-helper"
_MAXIMUM_FILE = 4 << 20
_TRUE = frozenset({"yes", "true", "with", "on", "enable", "1"})
_FALSE = frozenset({"no", "false", "without", "off", "disable", "0"})


@dataclass(frozen=True, slots=True)
class AptSource:
    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]


def apt_directory() -> str:
    """`/etc/apt`, or what the variable FRAZIL_APT_DIRECTORY says."""
    return os.environ.get("FRAZIL_APT_DIRECTORY") or APT_DIRECTORY


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_MAXIMUM_FILE)
    except OSError:
        return ""


def _files(folder: str, *suffixes: str) -> list[str]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    good = [name for name in names if name.endswith(suffixes) and not name.startswith(".")]
    return [os.path.join(folder, name) for name in good]


def read_sources(directory: str) -> list[AptSource]:
    """All enabled `deb` sources, in apt's order."""
    found = parse_one_line(_read(os.path.join(directory, "sources.list")))
    for path in _files(os.path.join(directory, "sources.list.d"), ".list", ".sources"):
        text = _read(path)
        found += parse_one_line(text) if path.endswith(".list") else parse_deb822(text)
    return found


def parse_one_line(text: str) -> list[AptSource]:
    """`deb [options] URI SUITE COMPONENT…`; lines that are none are left out."""
    found = []
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        match = re.match(r"deb\s+(?:\[[^\]]*\]\s*)?(\S+)\s+(\S+)\s*(.*)$", line)
        if match:
            uri, suite, components = match.groups()
            found.append(AptSource((uri.strip('"'),), (suite,), tuple(components.split())))
    return found


def parse_stanzas(text: str) -> list[dict[str, str]]:
    """deb822 paragraphs: field names in lower case, continuation lines joined by newlines, comment lines dropped."""
    stanzas: list[dict[str, str]] = []
    current: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if current:
                stanzas.append(current)
            current, name = {}, ""
        elif line[0] in " \t":
            if name:
                current[name] += "\n" + line.strip()
        else:
            head, mark, value = line.partition(":")
            name = head.strip().lower() if mark else ""
            if name:
                current[name] = value.strip()
    return stanzas


def parse_deb822(text: str) -> list[AptSource]:
    found = []
    for stanza in parse_stanzas(text):
        enabled = stanza.get("enabled", "yes").lower() not in _FALSE
        if enabled and "deb" in stanza.get("types", "").split():
            fields = [tuple(stanza.get(name, "").split()) for name in ("uris", "suites", "components")]
            found.append(AptSource(*fields))
    return found


def debian_mirrors(directory: str) -> list[str]:
    """Addresses that may be mirrors of Debian itself, likeliest first, without a final slash.

    Whether one really is shows in the signature of what it gives.
    """
    ranked: dict[str, int] = {}
    for source in read_sources(directory):
        if "main" not in source.components:
            continue
        for uri in source.uris:
            for address in _expand(uri):
                last = address.rsplit("/", 1)[-1]
                if "security" not in last:
                    ranked.setdefault(address, 0 if last == "debian" else 1)
    return sorted(ranked, key=lambda address: ranked[address])


def _expand(uri: str) -> list[str]:
    """The addresses behind a source's URI: mirror lists in files are read, media and Tor left out."""
    uri = re.sub(r"\$\(ARCH\)", "amd64", uri).rstrip("/")
    scheme = uri.partition(":")[0]
    if scheme in ("http", "https", "file"):
        return [uri.replace("file:/", "file:///", 1) if re.match(r"file:/(?!/)", uri) else uri]
    if scheme == "copy":
        return [f"file://{uri.partition(':')[2]}"]
    if scheme == "mirror+file":
        lines = _read(re.sub(r"^mirror\+file:(//)?", "", uri)).splitlines()
        inner = [line.split()[0].rstrip("/") for line in lines if line.strip() and not line.startswith("#")]
        return [address for address in inner if address.partition(":")[0] in ("http", "https", "file")]
    if scheme.startswith("mirror"):
        return [uri]
    return []


# ------------------------------------------------------------------------------------------------------- apt.conf

_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|#(?!clear|include)[^\n]*|"([^"\n]*)"|([{};])|([^\s{};"]+)', re.S)


def parse_apt_conf(text: str) -> dict[str, str]:
    """Values by lower-case `scope::name`; of repeated ones the last. Lists keep their last element only."""
    values: dict[str, str] = {}
    scopes: list[str] = []
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        quoted, mark, word = match.groups()
        if quoted is not None or word is not None:
            words.append(quoted if quoted is not None else word)
        elif mark == "{":
            scopes.append(words[0] if words else "")
            words = []
        elif mark is not None:
            if len(words) >= 2:
                values["::".join([*scopes, words[0]]).lower()] = words[1]
            if mark == "}" and scopes:
                scopes.pop()
            words = []
    return values


def read_apt_conf(directory: str) -> dict[str, str]:
    values: dict[str, str] = {}
    folder = os.path.join(directory, "apt.conf.d")
    try:
        names = sorted(name for name in os.listdir(folder) if re.fullmatch(r"[A-Za-z0-9_-]+(\.conf)?", name))
    except OSError:
        names = []
    for path in [*(os.path.join(folder, name) for name in names), os.path.join(directory, "apt.conf")]:
        values.update(parse_apt_conf(_read(path)))
    return values


def proxy_for(conf: dict[str, str], uri: str) -> str | None:
    """The proxy that apt would use, `DIRECT` for none at all, None where apt says nothing."""
    scheme, _, rest = uri.partition("://")
    host = re.split(r"[/:]", rest.rpartition("@")[2] if "@" in rest.split("/")[0] else rest)[0]
    for name in (f"acquire::{scheme}::proxy::{host.lower()}", f"acquire::{scheme}::proxy"):
        if conf.get(name):
            return conf[name]
    return conf.get("acquire::http::proxy") or None if scheme == "https" else None


def is_false(value: str | None) -> bool:
    return value is not None and value.lower() in _FALSE


def is_true(value: str | None) -> bool:
    return value is not None and value.lower() in _TRUE
