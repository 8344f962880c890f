"""Signatures beside images: made, checked, refused; skopeo and openssl agree."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import Run, run  # noqa: F401
from tests.image.conftest import FakeRegistry
from tests.image.test_commands import add, failure, need, registry  # noqa: F401


def key_pair(folder: Path, name: str = "key") -> tuple[str, str]:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = generate_private_key(SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(private), str(public)


def test_signed_and_checked(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    private, public = key_pair(tmp_path)
    _, other = key_pair(tmp_path, "other")
    path = add(run, tmp_path / "greet-1.0")
    name = f"{fake.host}/team/greet:1"
    pushed = run("frazil", "image", "push", path, name)
    assert "it has no signature" in failure(run("frazil", "image", "verify", name, "--key", public))
    assert "it has no signature" in failure(run("frazil", "image", "pull", name, "oci:never", "--key", public))
    assert not (tmp_path / "never").exists()
    signed = run("frazil", "image", "sign", name, "--key", private)
    assert signed.status == 0 and signed.out == pushed.out, signed.err
    assert "was signed with this key before" in run("frazil", "image", "sign", name, "--key", private).err
    assert run("frazil", "image", "verify", name, "--key", public).out == pushed.out
    assert "none of its 1 signatures" in failure(run("frazil", "image", "verify", name, "--key", other))
    assert run("frazil", "image", "pull", name, "oci:pulled", "--key", public).out == pushed.out
    # Another image under the name has no signature, and that of the first is none for it.
    changed = run("frazil", "image", "push", path, name, "--user", "1000")
    assert "it has no signature" in failure(run("frazil", "image", "verify", name, "--key", public))
    media, content = fake.manifests["team/greet", pushed.out.strip().replace(":", "-") + ".sig"]
    fake.manifests["team/greet", changed.out.strip().replace(":", "-") + ".sig"] = (media, content)
    assert "none of its 1 signatures" in failure(run("frazil", "image", "verify", name, "--key", public))
    # Nor is a signature that was made for another repository.
    other_name = f"{fake.host}/team/other:1"
    assert run("frazil", "image", "push", path, other_name).out == pushed.out
    for key, value in list(fake.blobs.items()):
        fake.blobs["team/other", key[1]] = value
    fake.manifests["team/other", pushed.out.strip().replace(":", "-") + ".sig"] = (media, content)
    assert "none of its 1 signatures" in failure(run("frazil", "image", "verify", other_name, "--key", public))
    # Pushed and signed in one go.
    assert "signed sha256:" in run("frazil", "image", "push", path, other_name, "--sign-key", private).err
    assert run("frazil", "image", "verify", other_name, "--key", public).status == 0


def test_keys_that_are_none(run: Run, tmp_path: Path, fake: FakeRegistry) -> None:  # noqa: F811
    from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    name = f"{fake.host}/team/greet:1"
    path = add(run, tmp_path / "greet-1.0")
    (tmp_path / "text").write_text("text")
    large = generate_private_key(SECP384R1())
    (tmp_path / "large").write_bytes(large.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "cosign").write_text("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n")
    for key, message in (
        ("missing", "cannot read the key"),
        ("text", "holds no private key"),
        ("large", "not one of the curve P-256"),
        ("cosign", "encrypted in cosign's own way"),
    ):
        assert message in failure(run("frazil", "image", "push", path, name, "--sign-key", key))
    assert not fake.manifests and not fake.blobs
    assert "holds no public key" in failure(run("frazil", "image", "verify", name, "--key", "text"))
    assert "say which key" in failure(run("frazil", "image", "verify", name))
    done = run("frazil", "image", "build", path, "--sign-key", "text")
    assert "signatures lie in registries" in failure(done)


def test_openssl_and_skopeo_agree(run: Run, tmp_path: Path, registry: str) -> None:  # noqa: F811
    need("openssl", "skopeo")
    private, public = key_pair(tmp_path)
    _, other = key_pair(tmp_path, "other")
    path = add(run, tmp_path / "greet-1.0")
    pushed = run("frazil", "image", "push", path, f"{registry}/team/greet:1", "--sign-key", private)
    assert pushed.status == 0, pushed.err
    tag = pushed.out.strip().replace(":", "-") + ".sig"
    source = f"docker://{registry}/team/greet:{tag}"
    manifest = json.loads(subprocess.check_output(["skopeo", "inspect", "--raw", "--tls-verify=false", source]))
    (layer,) = manifest["layers"]
    (tmp_path / "signature").write_bytes(base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"]))
    text = tmp_path / "registry/docker/registry/v2/blobs/sha256" / layer["digest"][7:9] / layer["digest"][7:] / "data"
    command = ["openssl", "dgst", "-sha256", "-verify", public, "-signature", str(tmp_path / "signature"), str(text)]
    assert "Verified OK" in subprocess.run(command, capture_output=True, text=True).stdout
    (tmp_path / "registries.d").mkdir()
    (tmp_path / "registries.d/all.yaml").write_text("default-docker:\n  use-sigstore-attachments: true\n")
    for key, expected in ((public, True), (other, False)):
        rule = {"type": "sigstoreSigned", "keyPath": key, "signedIdentity": {"type": "matchRepository"}}
        policy = {"default": [{"type": "reject"}], "transports": {"docker": {registry: [rule]}}}
        (tmp_path / "policy.json").write_text(json.dumps(policy))
        options = ["--policy", f"{tmp_path}/policy.json", "--registries.d", f"{tmp_path}/registries.d"]
        copy = ["copy", "-q", "--src-tls-verify=false", "--remove-signatures", f"docker://{registry}/team/greet:1"]
        done = subprocess.run(
            ["skopeo", *options, *copy, f"dir:{tmp_path}/copied"],
            capture_output=True,
            text=True,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        if "unknown policy requirement type" in done.stderr.lower() or "sigstore disabled" in done.stderr:
            pytest.skip("this skopeo does not know signatures of this kind")
        assert (done.returncode == 0) is expected, done.stderr
