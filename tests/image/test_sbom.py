"""Lists of what is in an image: licences, the forms' own rules, and other people's validators where they are there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frazil.image.inventory import Package
from frazil.image.licences import expression, from_debian, of_packages, references
from frazil.image.sbom import cyclonedx, provenance, spdx

FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n\n"
HASH = "sha256-" + "A" * 43 + "="


def package(name: str, version: str | None = "1.0", references: tuple[str, ...] = ()) -> Package:
    base = f"/nix/store/{name[0] * 32}-{name}" + (f"-{version}" if version else "")
    return Package(base, name, version, HASH, 10, references, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("GPL-3+", "GPL-3.0-or-later"),
        ("GPL-2", "GPL-2.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("Expat", "MIT"),
        ("BSD-3-clause or GPL-2", "BSD-3-Clause OR GPL-2.0-only"),
        ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
        ("Expat and ISC", "MIT AND ISC"),
        ("LGPL-3+ or GPL-2+ and Expat", "LGPL-3.0-or-later OR (GPL-2.0-or-later AND MIT)"),
        ("GPL-2+ and Expat, or ISC", None),
        ("some-words-of-its-own", "LicenseRef-some-words-of-its-own"),
        ("GPL-2 and Nobody_knows", "GPL-2.0-only AND LicenseRef-Nobody-knows"),
        ("Public-Domain", "LicenseRef-public-domain"),
        ("BSD3", "BSD-3-Clause"),
    ],
)
def test_debians_copyright_files(text: str, expected: str | None) -> None:
    content = f"{FORMAT}Files: debian/*\nLicense: ISC\n\nFiles: *\nCopyright: 2020 A\nLicense: {text}\n The text.\n\n"
    assert from_debian(content) == expected
    assert from_debian(f"{FORMAT}Files:\n *\nLicense: Expat\n") == "MIT"


@given(st.text(max_size=300))
def test_copyright_files_of_any_kind(text: str) -> None:
    for content in (text, FORMAT + text, f"{FORMAT}Files: *\nLicense: {text}\n"):
        found = from_debian(content)
        assert found is None or re.fullmatch(r"[A-Za-z0-9.() -]+", found)


@given(st.lists(st.text(max_size=30), max_size=4))
def test_expressions_are_well_formed(names: list[str]) -> None:
    found = expression(names)
    if found is not None:
        for word in re.split(r" AND ", found):
            assert re.fullmatch(r"[A-Za-z0-9.-]+", word) or word.isspace() or not word.isascii()


def test_what_is_known_of_licences(tmp_path: Path) -> None:
    for name, text in (("listed", "free"), ("read", f"{FORMAT}Files: *\nLicense: ISC\n"), ("odd", "no format")):
        (tmp_path / name / "share/doc" / name).mkdir(parents=True)
        (tmp_path / name / "share/doc" / name / "copyright").write_text(text)
    packages = [package(name) for name in ("listed", "read", "odd", "said", "unknown")]
    real = {one.path: str(tmp_path / one.name) for one in packages}
    said = {packages[3].path: ["GPL-3.0-or-later", "Public Domain"]}
    found = of_packages(packages, real, said, {"listed": ["MIT"]})
    assert found == {
        packages[0].path: "MIT",
        packages[1].path: "ISC",
        packages[3].path: "GPL-3.0-or-later AND LicenseRef-Public-Domain",
    }
    assert references(found.values()) == ["LicenseRef-Public-Domain"]


def test_copyright_files_in_words(tmp_path: Path) -> None:
    """And those that are a link to another package's, which is not there."""
    packages = [package("nss-cacert"), package("libstdc++6"), package("own")]
    real = {one.path: str(tmp_path / one.name) for one in packages}
    docs = tmp_path / "own/share/doc"
    docs.mkdir(parents=True)
    (docs / "libncursesw6").symlink_to("libtinfo6")
    found = of_packages(packages, real, {}, {})
    assert [found[one.path] for one in packages] == [
        "MPL-2.0",
        "GPL-3.0-or-later WITH GCC-exception-3.1",
        "X11-distribute-modifications-variant",
    ]


def sample() -> tuple[list[Package], dict[str, str]]:
    lib = package("lib", "2.0")
    app = package("app", None, (lib.path,))
    tool = package("tool", "3", (lib.path, app.path))
    return [app, lib, tool], {lib.path: "LGPL-2.1-or-later", app.path: "MIT AND LicenseRef-Own-Words"}


def test_spdx_keeps_its_rules() -> None:
    packages, licences = sample()
    value = spdx("image:1", packages, licences=licences)
    identifiers = {one["SPDXID"] for one in value["packages"]}
    assert len(identifiers) == 3 and all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", one) for one in identifiers)
    for relation in value["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= identifiers | {"SPDXRef-DOCUMENT"}
    declared = {one["name"]: one["licenseDeclared"] for one in value["packages"]}
    assert declared == {"app": "MIT AND LicenseRef-Own-Words", "lib": "LGPL-2.1-or-later", "tool": "NOASSERTION"}
    assert [one["licenseId"] for one in value["hasExtractedLicensingInfos"]] == ["LicenseRef-Own-Words"]
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", value["creationInfo"]["created"])
    assert value == spdx("image:1", packages, licences=licences)


def test_cyclonedx_keeps_its_rules() -> None:
    packages, licences = sample()
    value = cyclonedx("image:1", packages, licences=licences)
    references = {one["bom-ref"] for one in value["components"]}
    assert len(references) == 3
    for dependency in value["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= references | {"image"}
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value["serialNumber"])
    assert value["components"][1]["licenses"] == [{"expression": "LGPL-2.1-or-later"}]
    assert "licenses" not in value["components"][2]


def test_provenance_keeps_its_rules() -> None:
    packages, _ = sample()
    value = provenance("image:1", "sha256:" + "a" * 64, packages, {"installable": ".#app"}, "1.0")
    assert value["_type"] == "https://in-toto.io/Statement/v1"
    assert value["subject"] == [{"name": "image:1", "digest": {"sha256": "a" * 64}}]
    definition = value["predicate"]["buildDefinition"]
    assert definition["externalParameters"] == {"installable": ".#app"}
    assert all(re.fullmatch(r"[0-9a-f]{64}", one["digest"]["sha256"]) for one in definition["resolvedDependencies"])
    assert value["predicate"]["runDetails"]["builder"]["id"]


def test_spdx_is_valid_to_others(tmp_path: Path) -> None:
    parser = pytest.importorskip("spdx_tools.spdx.parser.parse_anything")
    validator: Any = pytest.importorskip("spdx_tools.spdx.validation.document_validator")
    packages, licences = sample()
    (tmp_path / "x.spdx.json").write_text(json.dumps(spdx("image:1", packages, licences=licences)))
    document = parser.parse_file(str(tmp_path / "x.spdx.json"))
    assert [message.validation_message for message in validator.validate_full_spdx_document(document)] == []


def test_cyclonedx_is_valid_to_others() -> None:
    validation: Any = pytest.importorskip("cyclonedx.validation.json")
    schema: Any = pytest.importorskip("cyclonedx.schema")
    packages, licences = sample()
    text = json.dumps(cyclonedx("image:1", packages, licences=licences))
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_5).validate_str(text) is None
