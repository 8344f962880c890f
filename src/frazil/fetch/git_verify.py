"""Signatures of git commits by SSH keys. Source of truth: `fetchGit`'s `verifyCommit` and `git-verify-commit(1)`."""

from __future__ import annotations

import re
import tempfile

from frazil.digest import Hash
from frazil.fetch.errors import BadSignature
from frazil.fetch.git_program import run_git_status
from frazil.fetch.git_repository import Repository

_KEY_TYPES = {
    "ssh-dsa": "ssh-dsa",
    "ssh-ecdsa": "ssh-ecdsa",
    "ssh-ecdsa-sk": "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-ed25519": "ssh-ed25519",
    "ssh-ed25519-sk": "sk-ssh-ed25519@openssh.com",
    "ssh-rsa": "ssh-rsa",
}
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}\Z")


def _fingerprint(key: str) -> str:
    import base64

    return Hash.of("sha256", base64.b64decode(key)).base64.rstrip("=")


def verify_commit(repository: Repository, revision: str, keys: list[dict[str, str]]) -> None:
    """Raises BadSignature unless one of the keys has signed the commit."""
    lines = []
    for key in keys:
        if key["type"] not in _KEY_TYPES:
            known = "\n".join(f"  {name}" for name in _KEY_TYPES)
            raise BadSignature(f"Invalid SSH key type '{key['type']}' in publicKeys.\nPlease use one of:\n{known}")
        if not _BASE64.match(key["key"]) or len(key["key"]) % 4:
            raise BadSignature(f"public key '{key['key']}' is not base-64")
        lines.append(f"* {_KEY_TYPES[key['type']]} {key['key']}\n")
    with tempfile.NamedTemporaryFile("w", suffix="-allowed-signers") as file:
        file.writelines(lines)
        file.flush()
        option = f"gpg.ssh.allowedSignersFile={file.name}"
        status, words = run_git_status(["-c", option, "verify-commit", revision], repository.git_directory)
    # Git may also be content with an OpenPGP key of the user's: one of ours has to be named.
    names = [f"SHA256:{_fingerprint(key['key'])}" for key in keys]
    good = re.findall(r'^Good "git" signature for \* with \S+ key (SHA256:\S+)$', words, re.M)
    if status != 0 or not set(good) & set(names):
        raise BadSignature(f"Commit signature verification on commit {revision} failed: {words}")
