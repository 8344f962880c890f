"""Under which licences the packages in an image are, as SPDX says it.

In: what evaluation says of packages (`meta.license`), the embedded package set's lists, the copyright files that
Debian's packages carry. Out: an SPDX expression for each store object, or nothing where nothing is known. Source of
truth: SPDX 2.3, annex D; Debian's machine-readable copyright format 1.0.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from frazil.image.inventory import Package

_LARGEST = 2 << 20
_MOST_FILES = 64
_REFERENCE = "LicenseRef-"
_WORD = re.compile(r"[A-Za-z0-9.-]+")
_VERSIONED = re.compile(r"(A?GPL|LGPL|GFDL)-([0-9]+(?:\.[0-9]+)?)(\+)?(?:-only|-or-later)?", re.IGNORECASE)
_KNOWN = {
    "expat": "MIT",
    "mit": "MIT",
    "isc": "ISC",
    "zlib": "Zlib",
    "0bsd": "0BSD",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "bsd-4-clause": "BSD-4-Clause",
    "bsd-4-clause-uc": "BSD-4-Clause-UC",
    "apache-2.0": "Apache-2.0",
    "apache-2": "Apache-2.0",
    "artistic": "Artistic-1.0-Perl",
    "artistic-2.0": "Artistic-2.0",
    "artistic-2": "Artistic-2.0",
    "mpl-1.1": "MPL-1.1",
    "mpl-2.0": "MPL-2.0",
    "cc0-1.0": "CC0-1.0",
    "cc0": "CC0-1.0",
    "bsl-1.0": "BSL-1.0",
    "psf-2": "PSF-2.0",
    "psf-2.0": "PSF-2.0",
    "unicode-dfs-2016": "Unicode-DFS-2016",
    "curl": "curl",
    "openssl": "OpenSSL",
    "w3c": "W3C",
    "wtfpl": "WTFPL",
    "bsd2": "BSD-2-Clause",
    "bsd3": "BSD-3-Clause",
    "bsd-3-clause-attribution": "BSD-3-Clause-Attribution",
    "gpl": "GPL-1.0-or-later",
    "lgpl": "LGPL-2.0-or-later",
    "ms-pl": "MS-PL",
    "openldap-2.8": "OLDAP-2.8",
    "public-domain": "LicenseRef-public-domain",
    "sleepycat": "Sleepycat",
    "x11": "X11",
}
_IN_WORDS = {
    "libbz2-1.0": "bzip2-1.0.6",
    "libcrypt1": "LGPL-2.1-or-later",
    "libgnutls30t64": "LGPL-2.1-or-later",
    "libgssapi-krb5-2": "MIT",
    "libk5crypto3": "MIT",
    "libkrb5-3": "MIT",
    "libkrb5support0": "MIT",
    "libmpfr6": "LGPL-3.0-or-later",
    "libncursesw6": "X11-distribute-modifications-variant",
    "librtmp1": "LGPL-2.1-or-later",
    "libstdc++6": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libtasn1-6": "LGPL-2.1-or-later",
    "libtinfo6": "X11-distribute-modifications-variant",
    "nss-cacert": "MPL-2.0",
    "python3": "Python-2.0",
}
"""What many programs need, and whose copyright files say it in words, or are another package's."""

TABLE = """
folder:
let
  lib = import (folder + "/lib");
  named = attrs: license: builtins.map (name: { inherit name license; }) attrs;
  programs = import (folder + "/pkgs/programs.nix") lib;
  libraries = import (folder + "/pkgs/libraries.nix") lib;
  rows =
    builtins.concatMap (p: named [ p.debian ] p.license) (builtins.attrValues programs)
    ++ builtins.concatMap (p: named p.names p.license) (builtins.attrValues libraries);
in
builtins.map (row: { inherit (row) name; licence = (IDENTIFIERS) row.license; }) rows
"""
IDENTIFIERS = """
let
  of = l:
    if builtins.isList l then builtins.concatMap of l
    else if builtins.isString l then [ l ]
    else if builtins.isAttrs l then [ (l.spdxId or l.fullName or l.shortName or "") ]
    else [ ];
in of
"""
"""Functions of the language: a package set's folder to Debian's names and licences; `meta.license` to a list."""


def expression(names: Iterable[str]) -> str | None:
    """Of `meta.license`: identifiers, or names of licences that SPDX does not know. All of them hold."""
    terms = dict.fromkeys(_term(name.strip()) for name in names if name.strip())
    if not terms:
        return None
    return " AND ".join(f"({term})" if " OR " in term and len(terms) > 1 else term for term in terms)


def _term(name: str) -> str:
    """An identifier is one word. A name becomes a reference that `references` explains."""
    if _WORD.fullmatch(name) and not name.islower():
        return name
    return _KNOWN.get(name.lower()) or _reference(name)


def _reference(name: str) -> str:
    return _REFERENCE + re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")


def references(found: Iterable[str]) -> list[str]:
    """The licences in these expressions that are no identifiers."""
    return sorted({word for text in found for word in _WORD.findall(text) if word.startswith(_REFERENCE)})


def from_debian(text: str) -> str | None:
    """What a machine-readable copyright file says of the package as a whole. None where it is of another kind. Licences
    without an identifier are references."""
    paragraphs = re.split(r"\n[ \t]*\n", text)
    if not paragraphs or not re.match(r"\s*Format:", paragraphs[0]):
        return None
    for paragraph in paragraphs[1:]:
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*((?:\n[ \t]+)?\S[^\n]*)?", paragraph, re.MULTILINE))
        if (fields.get("Files") or "").split() == ["*"] and fields.get("License"):
            return _synopsis(fields["License"].strip())
    return None


def _synopsis(text: str) -> str | None:
    """`GPL-2+ or Artistic, and Expat`: `and` binds closer, a comma divides the whole first."""
    alternatives = []
    parts = re.split(r",\s*(?=and\b|or\b)", text)
    if len(parts) > 1 and any(part.startswith("or") for part in parts[1:]) and any(" and " in part for part in parts):
        return None  # rare, and too easily misunderstood
    for alternative in re.split(r",?\s+or\s+", text):
        terms = [_identifier(word) or _reference(word) for word in re.split(r",?\s+and\s+", alternative)]
        alternatives.append(" AND ".join(dict.fromkeys(terms)))
    joined = [f"({one})" if " AND " in one and len(alternatives) > 1 else one for one in alternatives]
    return " OR ".join(dict.fromkeys(joined))


def _identifier(word: str) -> str | None:
    word = word.strip()
    match = _VERSIONED.fullmatch(word)
    if match:
        family, version = match[1].upper(), match[2] if "." in match[2] else match[2] + ".0"
        if family == "GFDL":
            version = match[2]
        later = bool(match[3]) or word.lower().endswith("-or-later")
        return f"{family}-{version}-{'or-later' if later else 'only'}"
    return _KNOWN.get(word.lower())


def of_packages(
    packages: Iterable[Package], real: Mapping[str, str], said: Mapping[str, Iterable[str]], table: Mapping[str, Any]
) -> dict[str, str]:
    """By path. `real`: where the objects lie. `said`: `meta.license` of some. `table`: of Debian's packages."""
    found: dict[str, str] = {}
    for package in packages:
        own = expression(said.get(package.path, ())) or _IN_WORDS.get(package.name)
        if own is None:
            own = _of_object(real.get(package.path, package.path), table)
        if own is not None:
            found[package.path] = own
    return found


def _of_object(place: str, table: Mapping[str, Any]) -> str | None:
    """Of a store object that holds packages of Debian's: all of theirs."""
    folder = os.path.join(place, "share/doc")
    try:
        names = sorted(os.listdir(folder))[:_MOST_FILES]
    except OSError:
        return None
    found: dict[str, None] = {}
    for name in names:
        if name in _IN_WORDS and name not in table:
            found[_IN_WORDS[name]] = None
            continue
        try:
            with open(os.path.join(folder, name, "copyright"), encoding="utf-8", errors="replace") as file:
                text = file.read(_LARGEST)
        except OSError:
            continue
        listed = table.get(name)
        own = expression(listed) if listed else from_debian(text)
        if own is not None:
            found[own] = None
    if len(found) < 2:
        return next(iter(found), None)
    return " AND ".join(f"({one})" if " OR " in one else one for one in found)


def read_table(text: str) -> dict[str, list[str]]:
    """Of what `TABLE` evaluates to, as JSON."""
    return {row["name"]: list(row["licence"]) for row in json.loads(text)}
