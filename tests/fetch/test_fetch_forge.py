from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frazil.fetch.errors import FetchError
from frazil.fetch.forge_scheme import GitLabScheme, access_token
from frazil.fetch.inputs import fetch_tree, url_to_attributes

if TYPE_CHECKING:
    from conftest import Fetcher, Server

REV = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FRAZIL_FORGE_HTTP", "1")


def tarball() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT, pax_headers={"comment": REV}) as file:
        info = tarfile.TarInfo("repo-0123/flake.nix")
        info.size, info.mtime = 2, 1_600_000_000
        file.addfile(info, io.BytesIO(b"{}"))
    return out.getvalue()


def check(fetcher: Fetcher, url: str, kind: str) -> None:
    tree = fetcher.fetch(url)
    assert Path(tree.real_path, "flake.nix").read_bytes() == b"{}"
    expected = {"type": kind, "owner": "o", "repo": "r", "rev": REV, "lastModified": 1_600_000_000}
    assert {n: v for n, v in tree.attributes.items() if n not in ("host", "narHash")} == expected


def test_github(fetcher: Fetcher, server: Server) -> None:
    commit = json.dumps({"sha": REV, "commit": {"tree": {"sha": REV}}}).encode()
    server.add("/api/v3/repos/o/r/commits/HEAD", commit)
    server.add("/api/v3/repos/o/r/commits/feature/x", commit)
    server.add(f"/api/v3/repos/o/r/tarball/{REV}", tarball())
    check(fetcher, f"github:o/r?host={server.address}", "github")
    check(fetcher, f"github:o/r/feature/x?host={server.address}", "github")
    check(fetcher, f"github:o/r/{REV}?host={server.address}", "github")
    assert server.count(f"/api/v3/repos/o/r/tarball/{REV}") == 1
    fetcher.fetch(f"github:o/r?host={server.address}")
    assert server.count("/api/v3/repos/o/r/commits/HEAD") == 1
    fetcher.with_settings(refresh=True).fetch(f"github:o/r?host={server.address}")
    assert server.count("/api/v3/repos/o/r/commits/HEAD") == 2


def test_gitlab(fetcher: Fetcher, server: Server) -> None:
    base = "/api/v4/projects/o%2Fr/repository"
    server.add(f"{base}/commits?ref_name=main", json.dumps([{"id": REV}]).encode())
    server.add(f"{base}/commits?ref_name=gone", b"[]")
    server.add(f"{base}/archive.tar.gz?sha={REV}", tarball())
    check(fetcher, f"gitlab:o/r/main?host={server.address}", "gitlab")
    with pytest.raises(FetchError, match="does the git ref really exist"):
        fetcher.fetch(f"gitlab:o/r/gone?host={server.address}")


def test_sourcehut(fetcher: Fetcher, server: Server) -> None:
    server.add("/o/r/HEAD", b"ref: refs/heads/main\n")
    server.add("/o/r/info/refs", f"{'1' * 40}\trefs/heads/other\n{REV}\trefs/heads/main\n".encode())
    server.add(f"/o/r/archive/{REV}.tar.gz", tarball())
    check(fetcher, f"sourcehut:o/r?host={server.address}", "sourcehut")
    check(fetcher, f"sourcehut:o/r/main?host={server.address}", "sourcehut")
    with pytest.raises(FetchError, match="couldn't find ref 'nope'"):
        fetcher.fetch(f"sourcehut:o/r/nope?host={server.address}")


@pytest.mark.parametrize("answer", [b"", b"[", b"{}", b'{"sha": 1}', b'{"sha": "../x"}', b"[]", b"null"])
def test_strange_answers(fetcher: Fetcher, server: Server, answer: bytes) -> None:
    server.add("/api/v3/repos/o/r/commits/HEAD", answer)
    with pytest.raises(FetchError, match="unexpected answer"):
        fetcher.fetch(f"github:o/r?host={server.address}")


def test_unreachable_forge_uses_what_is_known(fetcher: Fetcher, server: Server) -> None:
    server.add("/api/v3/repos/o/r/commits/HEAD", json.dumps({"sha": REV}).encode())
    server.add(f"/api/v3/repos/o/r/tarball/{REV}", tarball())
    url = f"github:o/r?host={server.address}"
    known = fetcher.fetch(url)
    assert fetcher.with_settings(offline=True).fetch(url).store_path == known.store_path


def test_tokens(fetcher: Fetcher, server: Server) -> None:
    server.add(f"/api/v3/repos/o/r/tarball/{REV}", tarball())
    tokens = {server.address: "general", f"{server.address}/o": "special", f"{server.address}/other": "wrong"}
    attributes = url_to_attributes(f"github:o/r/{REV}?host={server.address}")
    fetch_tree(attributes, fetcher.with_settings(access_tokens=tokens).context)
    assert server.requests[0][1]["authorization"] == "token special"


def test_choice_of_token() -> None:
    tokens = {"h": "1", "h/o": "2", "h/o/r": "3"}
    assert [access_token(tokens, "h", place) for place in ("h/o/r", "h/o/rr", "h/oo/r", "h/x/y")] == [
        "3",
        "2",
        "1",
        "1",
    ]
    assert access_token(tokens, "g", "g/o/r") is None


@pytest.mark.parametrize(
    ("token", "header"),
    [
        ("OAuth2:x", ("Authorization", "Bearer x")),
        ("PAT:x:y", ("Private-token", "x:y")),
        ("Job-Token:x", ("Job-Token", "x")),
    ],
)
def test_gitlab_tokens(token: str, header: tuple[str, str]) -> None:
    assert GitLabScheme().token_header(token) == dict([header])


def test_names_of_references_are_encoded(fetcher: Fetcher, server: Server) -> None:
    server.add("/api/v3/repos/o/r/commits/fix/a%23b%25c", json.dumps({"sha": REV}).encode())
    server.add(f"/api/v3/repos/o/r/tarball/{REV}", tarball())
    attributes = {"type": "github", "owner": "o", "repo": "r", "host": server.address}
    assert fetch_tree({**attributes, "ref": "fix/a#b%c"}, fetcher.context).attributes["rev"] == REV
    server.add("/api/v4/projects/o%2Fr/repository/commits?ref_name=a%26b%2Bc", json.dumps([{"id": REV}]).encode())
    server.add(f"/api/v4/projects/o%2Fr/repository/archive.tar.gz?sha={REV}", tarball())
    gitlab = {**attributes, "type": "gitlab", "ref": "a&b+c"}
    assert fetch_tree(gitlab, fetcher.context).attributes["rev"] == REV
