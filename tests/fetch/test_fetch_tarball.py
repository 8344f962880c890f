from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frazil.fetch.errors import DownloadError, FetchError
from frazil.fetch.inputs import url_to_attributes
from frazil.fetch.tarball import download_file, download_tarball
from frazil.store import nar

if TYPE_CHECKING:
    from conftest import Fetcher, Server


def tarball(text: str = "hello", time: int = 1_600_000_000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as file:
        info = tarfile.TarInfo("top/a")
        info.size, info.mtime = len(text), time
        file.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def test_local_tarball(fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "t.tar.gz").write_bytes(tarball())
    tree = fetcher.fetch(f"file://{tmp_path}/t.tar.gz")
    assert Path(tree.real_path, "a").read_text() == "hello"
    assert tree.attributes == {
        "type": "tarball",
        "url": f"file://{tmp_path}/t.tar.gz",
        "lastModified": 1_600_000_000,
        "narHash": nar.hash_path(tree.real_path)[0].sri,
    }
    assert tree.store_path.name == "source"


def test_given_time_is_kept(fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(tarball())
    assert fetcher.fetch(f"file://{tmp_path}/t.tar?lastModified=5").attributes["lastModified"] == 5


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.tar.gz", "does not exist"), ("repo", "is a git repository"), ("folder", "is a directory, not a file")],
)
def test_common_mistakes(fetcher: Fetcher, tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "repo/.git").mkdir(parents=True)
    with pytest.raises(FetchError, match=message):
        fetcher.fetch(f"tarball+file://{tmp_path}/{name}")


def test_freshness(fetcher: Fetcher, server: Server) -> None:
    url = server.add("/t.tar.gz", tarball("1"), ETag='"1"')
    first = fetcher.fetch(url)
    server.add("/t.tar.gz", tarball("2"), ETag='"2"')
    assert fetcher.fetch(url).store_path == first.store_path and server.count("/t.tar.gz") == 1
    second = fetcher.with_settings(tarball_ttl=0).fetch(url)
    assert second.store_path != first.store_path
    assert server.requests[-1][1]["if-none-match"] == '"1"'
    server.add("/t.tar.gz", b"", 304)
    assert fetcher.with_settings(tarball_ttl=0).fetch(url).store_path == second.store_path


def test_server_gone(fetcher: Fetcher, server: Server) -> None:
    url = server.add("/t.tar.gz", tarball())
    first = fetcher.fetch(url)
    server.add("/t.tar.gz", b"", 404)
    stale = fetcher.with_settings(refresh=True).fetch(url)
    assert stale.store_path == first.store_path
    assert any("using cached version" in line for line in fetcher.reporter.lines)
    assert fetcher.with_settings(offline=True).fetch(url).store_path == first.store_path


def test_immutable_link(fetcher: Fetcher, server: Server) -> None:
    fixed = f"http://{server.address}/fixed.tar.gz?rev=0123456789abcdef0123456789abcdef01234567&revCount=7"
    url = server.add("/latest.tar.gz", tarball(), Link=f'<{fixed}>; rel="immutable"')
    tree = fetcher.fetch(url)
    assert tree.attributes["url"] == f"http://{server.address}/fixed.tar.gz"
    assert tree.attributes["rev"] == "0123456789abcdef0123456789abcdef01234567"
    assert tree.attributes["revCount"] == 7


def test_immutable_link_elsewhere(fetcher: Fetcher, server: Server) -> None:
    url = server.add("/t.tar.gz", tarball(), Link='<http://127.0.0.1/x.txt>; rel="immutable"')
    assert fetcher.fetch(url).attributes["url"] == "http://127.0.0.1/x.txt"
    assert url_to_attributes("http://127.0.0.1/x.txt")["type"] == "tarball"


def test_file_input(fetcher: Fetcher, server: Server) -> None:
    url = server.add("/a.txt", b"text\n")
    tree = fetcher.fetch(f"file+{url}")
    assert Path(tree.real_path).read_bytes() == b"text\n"
    assert tree.attributes["narHash"] == nar.hash_file_archive(b"text\n")[0].sri
    assert "lastModified" not in tree.attributes
    assert fetcher.fetch(f"file+{url}").store_path == tree.store_path and server.count("/a.txt") == 1


def test_flat_files_and_names(fetcher: Fetcher, server: Server) -> None:
    server.add("/start", b"", 302, Location="/a.txt")
    url = server.add("/a.txt", b"text\n")
    found = download_file(f"http://{server.address}/start", "name", fetcher.context)
    assert found.store_path.name == "name" and found.effective_url == url
    again = download_file(url, "name", fetcher.context)
    assert again.store_path == found.store_path and server.count("/a.txt") == 1
    tree = download_tarball(server.add("/t.tar", tarball()), fetcher.context, name="pkgs")
    assert tree.store_path.name == "pkgs"


def test_missing(fetcher: Fetcher, server: Server) -> None:
    with pytest.raises(DownloadError) as caught:
        fetcher.fetch(f"http://{server.address}/none.tar.gz")
    assert caught.value.status == 404


def test_two_at_once_download_once(fetcher: Fetcher, server: Server) -> None:
    import time
    from concurrent.futures import ThreadPoolExecutor

    def slowly(_: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        time.sleep(0.3)
        return 200, {}, tarball()

    server.routes["/t.tar.gz"] = slowly
    with ThreadPoolExecutor(2) as pool:
        trees = list(pool.map(fetcher.fetch, [f"http://{server.address}/t.tar.gz"] * 2))
    assert trees[0].store_path == trees[1].store_path and server.count("/t.tar.gz") == 1
    assert any("waiting for another Nix process" in line for line in fetcher.reporter.lines)


def test_local_files_are_announced_too(fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "t.tar").write_bytes(tarball())
    fetcher.fetch(f"tarball+file://{tmp_path}/t.tar")
    assert f"downloading 'file://{tmp_path}/t.tar'" in fetcher.reporter.activities
