"""What the fetchers' tests share: a scratch store, a reporter that remembers, git repositories, a loopback server."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from frazil.activity import SilentReporter, Started, Verbosity
from frazil.fetch.inputs import FetchContext, FetchedTree, FetchSettings, InputAttributes, fetch_tree, url_to_attributes
from frazil.store.config import StoreConfig
from frazil.store.local import LocalStore


class Remembering(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.activities: list[str] = []

    def log(self, level: Verbosity, text: str) -> None:
        self.lines.append(text)

    def start(self, activity: Started) -> None:
        self.activities.append(activity.text)


@dataclass
class Fetcher:
    """A store and a cache of its own below `folder`."""

    folder: Path
    context: FetchContext
    reporter: Remembering

    def fetch(self, what: str | InputAttributes) -> FetchedTree:
        return fetch_tree(url_to_attributes(what) if isinstance(what, str) else what, self.context)

    def with_settings(self, **changes: object) -> Fetcher:
        """The same store and cache, other settings; the cache is read anew."""
        settings = self.context.settings.with_(**changes)
        ttl = 0 if settings.refresh else settings.tarball_ttl
        cache = self.context.cache.with_ttl(ttl, offline=settings.offline)
        return Fetcher(self.folder, FetchContext(self.context.store, settings, self.reporter, cache), self.reporter)


def make_fetcher(folder: Path, *, compute_only: bool = False, **settings: object) -> Fetcher:
    reporter = Remembering()
    store = LocalStore(StoreConfig.from_uri(f"local?root={folder}/root"), compute_only=compute_only)
    values = {
        "cache_directory": str(folder / "cache"),
        "config_directory": str(folder / "config"),
        "system_config_directory": str(folder / "system"),
        "flake_registry": "",
        "download_attempts": 2,
        "netrc_file": "",
        **settings,
    }
    context = FetchContext.create(store, FetchSettings(**values), reporter)  # type: ignore[arg-type]
    return Fetcher(folder, context, reporter)


@pytest.fixture
def new_fetcher() -> Iterator[Callable[..., Fetcher]]:
    """`new_fetcher(folder, **settings)`: further ones, closed at the end."""
    made: list[Fetcher] = []

    def make(folder: Path, **settings: object) -> Fetcher:
        made.append(make_fetcher(folder, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.context.cache.close()
        each.context.store.close()


@pytest.fixture
def fetcher(tmp_path: Path, new_fetcher: Callable[..., Fetcher]) -> Fetcher:
    return new_fetcher(tmp_path)


@dataclass
class GitFolder:
    path: Path

    def git(self, *arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@example.org",
            "GIT_AUTHOR_DATE": "1700000000 +0000",
            "GIT_COMMITTER_DATE": "1700000001 +0000",
        }
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],
            cwd=self.path,
            env=environment,
            capture_output=True,
            check=True,
        )
        return done.stdout.decode()

    def write(self, name: str, contents: str = "x\n") -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents)

    def commit(self, message: str = "m") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    @property
    def url(self) -> str:
        return f"git+file://{self.path}"


@pytest.fixture
def make_repository(tmp_path: Path) -> Callable[[str], GitFolder]:
    def make(name: str) -> GitFolder:
        folder = GitFolder(tmp_path / name)
        folder.path.mkdir()
        folder.git("init", "-q", "-b", "main")
        return folder

    return make


@pytest.fixture
def repository(make_repository: Callable[[str], GitFolder]) -> GitFolder:
    """Two files, a link, an executable, a folder; one commit."""
    made = make_repository("repo")
    made.write("a", "a\n")
    made.write("run.sh", "#!/bin/sh\n")
    (made.path / "run.sh").chmod(0o755)
    (made.path / "link").symlink_to("a")
    made.write("dir/deep/f", "deep\n")
    made.commit()
    return made


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Server:
    """Answers by path (with query); `requests` are (path, headers) in order."""

    address: str
    routes: dict[str, Answer | Callable[[dict[str, str]], Answer]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def add(self, path: str, body: bytes, status: int = 200, **headers: str) -> str:
        self.routes[path] = (status, {k.replace("_", "-"): v for k, v in headers.items()}, body)
        return f"http://{self.address}{path}"

    def count(self, path: str) -> int:
        return sum(1 for asked, _ in self.requests if asked == path)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server("")

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.requests.append((self.path, headers))
            route = made.routes.get(self.path, (404, {}, b"no such page"))
            status, extra, body = route(headers) if callable(route) else route
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            if "Content-Length" not in extra:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener.daemon_threads = True
    made.address = f"127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    listener.shutdown()
    listener.server_close()
    thread.join()
