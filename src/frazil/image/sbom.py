"""What is in an image, and where it comes from, in the forms that others read: SPDX, CycloneDX, in-toto with SLSA.

In: the packages of a closure (known exactly, from the store), the image's digest. Out: JSON values that depend on
nothing else: no time of the day, no random numbers. Source of truth: SPDX 2.3; CycloneDX 1.5; in-toto Statement 1 and
SLSA provenance 1.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from frazil.image.inventory import Package
from frazil.image.licences import references

_NAMESPACE = uuid.UUID("7b0d4c5e-8f0b-4f0e-9a53-5b6f4c7d2a11")
EPOCH = "1970-01-01T00:00:01Z"


def _purl(package: Package) -> str:
    version = f"@{quote(package.version, safe='')}" if package.version else ""
    return f"pkg:nix/{quote(package.name, safe='')}{version}?path={quote(package.path, safe='')}"


def _sha256(package: Package) -> str:
    return base64.b64decode(package.nar_hash.partition("-")[2]).hex()


def _identifier(packages: Sequence[Package]) -> str:
    return hashlib.sha256("\n".join(package.path + package.nar_hash for package in packages).encode()).hexdigest()


def spdx(
    name: str, packages: Sequence[Package], created: str = EPOCH, licences: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`licences`: SPDX expressions by path."""
    licences = licences or {}
    identifiers = {package.path: "SPDXRef-" + package.path.rsplit("/", 1)[-1][:32] for package in packages}
    listed = [
        {
            "SPDXID": identifiers[package.path],
            "name": package.name,
            **({"versionInfo": package.version} if package.version else {}),
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION",
            "licenseDeclared": licences.get(package.path, "NOASSERTION"),
            "copyrightText": "NOASSERTION",
            "comment": package.path,
            "externalRefs": [
                {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": _purl(package)}
            ],
        }
        for package in packages
    ]
    depends = [
        {
            "spdxElementId": identifiers[package.path],
            "relationshipType": "DEPENDS_ON",
            "relatedSpdxElement": identifiers[reference],
        }
        for package in packages
        for reference in package.references
        if reference in identifiers
    ]
    describes = [
        {
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": identifiers[package.path],
        }
        for package in packages
    ]
    own = [
        {"licenseId": one, "name": one.removeprefix("LicenseRef-").replace("-", " "), "extractedText": "NOASSERTION"}
        for one in references(licences.values())
    ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"urn:frazil:sbom:{_identifier(packages)}",
        "creationInfo": {"created": created, "creators": ["Tool: frazil"]},
        "packages": listed,
        "relationships": describes + depends,
        **({"hasExtractedLicensingInfos": own} if own else {}),
    }


def cyclonedx(
    name: str, packages: Sequence[Package], created: str = EPOCH, licences: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """`licences`: SPDX expressions by path."""
    licences = licences or {}
    present = {package.path for package in packages}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, _identifier(packages))}",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "tools": {"components": [{"type": "application", "name": "frazil"}]},
            "component": {"type": "container", "bom-ref": "image", "name": name},
        },
        "components": [
            {
                "type": "library",
                "bom-ref": package.path,
                "name": package.name,
                **({"version": package.version} if package.version else {}),
                **({"licenses": [{"expression": licences[package.path]}]} if package.path in licences else {}),
                "purl": _purl(package),
                "properties": [
                    {"name": "nix:store_path", "value": package.path},
                    {"name": "nix:nar_hash", "value": package.nar_hash},
                    {"name": "nix:nar_size", "value": str(package.nar_size)},
                    *([{"name": "nix:drv_path", "value": package.deriver}] if package.deriver else []),
                ],
            }
            for package in packages
        ],
        "dependencies": [
            {"ref": "image", "dependsOn": sorted(present)},
            *(
                {"ref": package.path, "dependsOn": [path for path in package.references if path in present]}
                for package in packages
            ),
        ],
    }


def provenance(
    name: str, digest: str, packages: Sequence[Package], parameters: Mapping[str, Any], version: str
) -> dict[str, Any]:
    """`digest`: of the image's manifest. Materials are the store objects in it and the derivations they come from."""
    materials = [
        {
            "uri": f"nix:{package.path}",
            "digest": {"sha256": _sha256(package)},
            **({"annotations": {"deriver": package.deriver}} if package.deriver else {}),
        }
        for package in packages
    ]
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest.partition(":")[2]}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:frazil:image:1",
                "externalParameters": dict(parameters),
                "internalParameters": {},
                "resolvedDependencies": materials,
            },
            "runDetails": {"builder": {"id": "urn:frazil", "version": {"frazil": version}}, "metadata": {}},
        },
    }
