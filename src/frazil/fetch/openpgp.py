"""Signatures of signed text (`InRelease`): the bytes of the file in, the bytes that were really signed out.

Sequoia checks them; where its module is missing, `sqv` or `gpgv` do. Only what was signed is ever given back: text
before and after the signed part is not part of it. Source of truth: RFC 9580, cleartext signatures.
"""

from __future__ import annotations

import os

from frazil.fetch.errors import BadSignature

_KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/etc/apt/trusted.gpg.d",
)


def find_keyring(setting: str | None) -> str:
    """A keyring file or a folder of keys. Raises BadSignature where there is none."""
    if setting:
        if not os.path.exists(setting):
            raise BadSignature(f"keyring '{setting}' does not exist", hint="see the setting `debian-keyring`")
        return setting
    for path in _KEYRINGS:
        if os.path.exists(path):
            return path
    raise BadSignature(
        "cannot check Debian's signature: this machine has no Debian keyring",
        hint="install the package debian-archive-keyring, or name a keyring by the setting `debian-keyring`",
    )


def keyring_files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    return [os.path.join(path, n) for n in sorted(os.listdir(path)) if n.endswith((".gpg", ".asc", ".pgp"))]


def verify_signed_text(data: bytes, keyring: str, shown: str) -> bytes:
    """What at least one key of the keyring has signed. Raises BadSignature."""
    if not data.startswith(b"-----BEGIN PGP SIGNED MESSAGE-----"):
        raise BadSignature(f"'{shown}' is not a signed index")
    try:
        import pysequoia  # noqa: F401
    except ImportError:
        return _verify_by_program(data, keyring, shown)
    return _verify_by_sequoia(data, keyring, shown)


def _verify_by_sequoia(data: bytes, keyring: str, shown: str) -> bytes:
    from pysequoia import Cert, verify

    certificates: list[Cert] = []
    for path in keyring_files(keyring):
        try:
            certificates += Cert.split_file(path)
        except Exception as error:
            raise BadSignature(f"cannot read keyring '{path}': {_first_line(error)}") from error
    try:
        result = verify(data, store=lambda _: certificates)
    except Exception as error:
        raise BadSignature(
            f"the signature of '{shown}' is not valid: {_first_line(error)}",
            hint=f"it should be signed by a key in '{keyring}'; a mirror or a proxy may be giving out something else",
        ) from error
    signed = result.bytes
    if signed is None or not result.valid_sigs:
        raise BadSignature(f"the signature of '{shown}' is not valid")
    return bytes(signed)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0].strip().rstrip(".")


def _verify_by_program(data: bytes, keyring: str, shown: str) -> bytes:
    import shutil
    import subprocess
    import tempfile

    gpgv = shutil.which("gpgv")
    if gpgv is None:
        raise BadSignature(f"cannot check the signature of '{shown}'", hint="install gpgv, or the module pysequoia")
    keyrings = [part for path in keyring_files(keyring) for part in ("--keyring", os.path.abspath(path))]
    with tempfile.TemporaryDirectory(prefix="frazil-gpgv-") as scratch:
        signed, plain = os.path.join(scratch, "signed"), os.path.join(scratch, "plain")
        with open(signed, "wb") as file:
            file.write(data)
        done = subprocess.run(
            [gpgv, "--quiet", "--homedir", scratch, *keyrings, "--output", plain, signed],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            words = done.stderr.decode("utf-8", "replace").strip()
            raise BadSignature(f"the signature of '{shown}' is not valid: {words}")
        with open(plain, "rb") as file:
            return file.read()
