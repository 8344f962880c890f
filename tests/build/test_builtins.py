"""Builders that are part of frazil."""

from __future__ import annotations

import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from frazil.build.builtin import BuiltinFailed
from frazil.build.builtin_buildenv import Package, parse_packages
from frazil.build.errors import BuildFailed
from frazil.digest import Hash
from frazil.store.content_address import ContentAddress
from frazil.store.nar import dump_path

from .support import Lab

HELLO = ContentAddress("flat", Hash.of("sha256", b"hello"))


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes]]]:
    files: dict[str, bytes] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *arguments: object) -> None:
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", files
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def fetch(lab: Lab, url: str, address: ContentAddress = HELLO, name: str = "fetched", **attributes: str) -> Path:
    drv = lab.derivation("", name=name, builder="builtin:fetchurl", fixed=address, url=url, **attributes)
    (result,) = lab.build(drv)
    return lab.real(result)


def test_fetching_a_local_file(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    assert fetch(lab, f"file://{tmp_path}/file").read_bytes() == b"hello"
    with pytest.raises(BuildFailed, match="Could not open file"):
        fetch(lab, f"file://{tmp_path}/absent", name="absent")


def test_fetching_over_http(lab: Lab, server: tuple[str, dict[str, bytes]]) -> None:
    url, files = server
    files["/hello"] = b"hello"
    assert fetch(lab, f"{url}/hello").read_bytes() == b"hello"
    files["/hello"] = b"changed"
    with pytest.raises(BuildFailed, match="hash mismatch in fixed-output derivation") as caught:
        fetch(lab, f"{url}/hello", name="other")
    assert caught.value.exit_status == 102
    with pytest.raises(BuildFailed, match="404"):
        fetch(lab, f"{url}/absent", name="absent")


def test_fetching_an_archive_to_unpack(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "f").write_text("data")
    out = io.BytesIO()
    dump_path(str(tmp_path / "tree"), out.write)
    (tmp_path / "tree.nar").write_bytes(out.getvalue())
    address = ContentAddress("nar", Hash.of("sha256", out.getvalue()))
    assert (fetch(lab, f"file://{tmp_path}/tree.nar", address, unpack="1") / "f").read_text() == "data"
    (tmp_path / "bad.nar").write_bytes(out.getvalue()[:-20])
    with pytest.raises(BuildFailed, match="Cannot build"):
        fetch(lab, f"file://{tmp_path}/bad.nar", address, unpack="1", name="bad")


def test_fetching_a_program(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"hello")
    (tmp_path / "file").chmod(0o755)
    out = io.BytesIO()
    dump_path(str(tmp_path / "file"), out.write)
    address = ContentAddress("nar", Hash.of("sha256", out.getvalue()))
    assert os.access(fetch(lab, f"file://{tmp_path}/file", address, executable="1"), os.X_OK)


def test_fetching_needs_a_hash(lab: Lab) -> None:
    with pytest.raises(BuildFailed, match="must be a fixed-output or impure derivation"):
        lab.build(lab.derivation("", builder="builtin:fetchurl", url="file:///etc/passwd"))


def test_unknown_builders(lab: Lab) -> None:
    with pytest.raises(BuildFailed, match="unsupported builtin builder 'nope'"):
        lab.build(lab.derivation("", builder="builtin:nope"))


def environment(lab: Lab, *packages: tuple[str, int]) -> Path:
    inputs = {name: lab.derivation(script, name=name) for name, script in PACKAGES.items()}
    lab.build(*inputs.values())
    paths = {name: lab.store.query_derivation_outputs(drv)["out"] for name, drv in inputs.items()}
    words = [f"true {priority} 1 {lab.store.show(paths[name] or inputs[name])}" for name, priority in packages]
    drv = lab.derivation(
        "",
        name="env",
        builder="builtin:buildenv",
        needs=list(inputs.values()),
        derivations=" ".join(words),
        manifest="/manifest",
    )
    (result,) = lab.build(drv)
    return lab.real(result)


PACKAGES = {
    "a": "mkdir -p $out/bin $out/share/doc; echo a > $out/bin/a; echo a > $out/bin/both; echo > $out/share/doc/a",
    "b": "mkdir -p $out/bin $out/nix-support; echo b > $out/bin/b; echo b > $out/bin/both; ln -s gone $out/bin/dead",
}


def test_an_environment_of_links(lab: Lab) -> None:
    out = environment(lab, ("a", 5), ("b", 6))
    assert sorted(os.listdir(out / "bin")) == ["a", "b", "both"]
    assert os.readlink(out / "bin" / "both").endswith("-a/bin/both")
    assert os.readlink(out / "share").endswith("-a/share")
    assert os.readlink(out / "manifest.nix") == "/manifest"
    assert not (out / "nix-support").exists()
    assert any("skipping dangling symlink" in line for line in lab.events.lines)


def test_conflicts_of_equal_priority(lab: Lab) -> None:
    with pytest.raises(BuildFailed, match="There is a conflict for the following files"):
        environment(lab, ("a", 5), ("b", 5))


def test_package_lists() -> None:
    assert parse_packages("true 5 2 /a /b false 6 1 /c") == [
        Package(5, "/a"),
        Package(5, "/b"),
        Package(6, "/c", active=False),
    ]
    for text in ("true", "true x 1 /a", "true 5 3 /a"):
        with pytest.raises(BuiltinFailed):
            parse_packages(text)


def tarball(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 4
            archive.addfile(info, io.BytesIO(b"data"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["channel-1/default.nix"], None),
        (["a/x", "b/x"], "contains more than one file"),
        ([], "is empty"),
        (["../../escape"], "leads out of the archive"),
        (["/absolute/x", "../y"], "leads out of the archive"),
    ],
)
def test_unpacking_a_channel(lab: Lab, names: list[str], words: str | None) -> None:
    source = lab.store.add_bytes("src", tarball(*names))
    drv = lab.derivation(
        "",
        builder="builtin:unpack-channel",
        sources=[source],
        channelName="nixpkgs",
        src=lab.store.show(source),
    )
    if words is not None:
        with pytest.raises(BuildFailed, match=words):
            lab.build(drv)
        return
    (result,) = lab.build(drv)
    assert (lab.real(result) / "nixpkgs" / "default.nix").read_text() == "data"
