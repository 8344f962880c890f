"""Signatures of images, kept beside them in their repository, as cosign keeps and skopeo and Podman check them.

In: a registry, an image's digest, a key of the curve P-256. Out: a manifest under the tag `sha256-DIGEST.sig`, a layer
for each signature: a small JSON text that names the digest, signed with ECDSA and SHA-256. Source of truth: cosign's
SIGNATURE_SPEC and simple signing; containers-policy.json(5), `sigstoreSigned`. No certificate and no log takes part.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from typing import TYPE_CHECKING, Any

from frazil.image.errors import ImageError, RegistryError, translated
from frazil.image.registry import Registry
from frazil.packages.oci.errors import BadImage
from frazil.packages.oci.image import CONFIG_MEDIA, MANIFEST_MEDIA, Descriptor, canonical_json, describe, manifest_json
from frazil.packages.oci.read import parse_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

PAYLOAD_MEDIA = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
_LARGEST = 1 << 16
_MOST = 100
_HINT = (
    "a pair is made with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem && "
    "openssl pkey -in key.pem -pubout -out key.pub"
)


def _key_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise ImageError(f"cannot read the key '{path}': {error.strerror}", hint=_HINT) from error


def private_key(path: str) -> EllipticCurvePrivateKey:
    """Raises ImageError. A passphrase is taken from COSIGN_PASSWORD."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _key_file(path)
    if b"ENCRYPTED SIGSTORE" in content or b"ENCRYPTED COSIGN" in content:
        raise ImageError(f"the key '{path}' is encrypted in cosign's own way", hint=_HINT)
    password = os.environ.get("COSIGN_PASSWORD", "").encode() if b"ENCRYPTED" in content else None
    try:
        key = load_pem_private_key(content, password)
    except (ValueError, TypeError) as error:
        raise ImageError(f"'{path}' holds no private key that can be read: {_first(error)}", hint=_HINT) from None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ImageError(f"the key '{path}' is not one of the curve P-256", hint=_HINT)
    return key


def public_key(path: str) -> EllipticCurvePublicKey:
    """Raises ImageError. Of a pair the private half will do."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _key_file(path)
    if b"PRIVATE KEY" in content:
        return private_key(path).public_key()
    try:
        key = load_pem_public_key(content)
    except ValueError as error:
        raise ImageError(f"'{path}' holds no public key that can be read: {_first(error)}", hint=_HINT) from None
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise ImageError(f"the key '{path}' is not one of the curve P-256", hint=_HINT)
    return key


def _first(error: BaseException) -> str:
    """The sentence that says what is wrong; others tell where to read more."""
    return str(error).partition(". ")[0]


def payload(reference: str, digest: str) -> bytes:
    """What is signed. `reference`: registry and repository."""
    critical = {
        "identity": {"docker-reference": reference},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return canonical_json({"critical": critical, "optional": None})


def signature_tag(digest: str) -> str:
    return digest.replace(":", "-") + ".sig"


def reference_of(registry: Registry) -> str:
    """As container programs write it in full."""
    name = registry.name
    host = "docker.io" if name.host == "registry-1.docker.io" else name.host
    return f"{host}/{name.path}"


def sign(registry: Registry, digest: str, key: EllipticCurvePrivateKey) -> bool:
    """Adds a signature to those that are there. False where one with this key was. Raises ImageError."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    with translated():
        there = _signatures(registry, digest)
        text = payload(reference_of(registry), digest)
        if any(_is_good(registry, layer, digest, key.public_key()) for layer in there):
            return False
        signature = base64.b64encode(key.sign(text, ECDSA(SHA256()))).decode()
        described = describe(PAYLOAD_MEDIA, text)
        own = Descriptor(described.media, described.digest, described.size, ((ANNOTATION, signature),))
        layers = [*there, own]
        config = canonical_json(
            {
                "architecture": "",
                "config": {},
                "created": "1970-01-01T00:00:01Z",
                "history": [{"created": "1970-01-01T00:00:01Z"}] * len(layers),
                "os": "",
                "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
            }
        )
        manifest = manifest_json(describe(CONFIG_MEDIA, config), layers)
        for content in (text, config):
            registry.send_small(describe("", content).digest, content)
        registry.put_manifest(signature_tag(digest), MANIFEST_MEDIA, manifest)
    return True


def verify(registry: Registry, digest: str, key: EllipticCurvePublicKey) -> None:
    """Raises ImageError where no signature with this key says that this is the image."""
    with translated():
        there = _signatures(registry, digest)
        if any(_is_good(registry, layer, digest, key) for layer in there):
            return
    what = f"none of its {len(there)} signatures is by this key" if there else "it has no signature"
    raise ImageError(f"the image '{registry.name.at(digest)}' is not to be trusted: {what}")


def _signatures(registry: Registry, digest: str) -> list[Descriptor]:
    try:
        _, content = registry.manifest(signature_tag(digest))
    except RegistryError as error:
        if error.status == 404:
            return []
        raise
    manifest = parse_json(content, "the signatures' manifest")
    layers = manifest.get("layers") if isinstance(manifest, dict) else None
    if not isinstance(layers, list) or len(layers) > _MOST:
        raise BadImage("the signatures' manifest lists no layers, or more than anybody signs")
    return [_descriptor(layer) for layer in layers]


def _descriptor(layer: Any) -> Descriptor:
    try:
        annotations = tuple((str(key), str(value)) for key, value in (layer.get("annotations") or {}).items())
        return Descriptor(str(layer["mediaType"]), str(layer["digest"]), int(layer["size"]), annotations)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise BadImage("the signatures' manifest has a layer that is none") from None


def _is_good(registry: Registry, layer: Descriptor, digest: str, key: EllipticCurvePublicKey) -> bool:
    """Whether the layer is a text about this image of this repository, signed with the key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    signature = dict(layer.annotations).get(ANNOTATION)
    if layer.media != PAYLOAD_MEDIA or signature is None or layer.size > _LARGEST:
        return False
    content = registry.read_small(layer.digest, layer.size)
    try:
        key.verify(base64.b64decode(signature, validate=True), content, ECDSA(SHA256()))
        critical = json.loads(content)["critical"]
        said = critical["image"]["docker-manifest-digest"]
        kind, place = critical["type"], critical["identity"]["docker-reference"]
    except (InvalidSignature, binascii.Error, ValueError, KeyError, TypeError):
        return False
    repository = str(place).split("@")[0]
    head, _, tail = repository.rpartition("/")
    repository = f"{head}/{tail.partition(':')[0]}"
    return bool(said == digest and kind == "cosign container image signature" and repository == reference_of(registry))
