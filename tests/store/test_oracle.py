"""C++ Nix beside us on the same stores. Skipped where it is not installed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from frazil.store import exports, garbage, graph, nar
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree
from frazil.store.path import StorePath

from .conftest import open_store
from .test_local import derivation

pytestmark = pytest.mark.skipif(shutil.which("nix-store") is None, reason="C++ Nix is not installed")


def nix(root: Path, *arguments: str, data: bytes | None = None) -> bytes:
    program, *rest = arguments
    environment = {
        **os.environ,
        "NIX_CONFIG": "experimental-features = nix-command\nsubstituters =\nbuild-users-group =",
        "HOME": str(root.parent),
        "NIX_REMOTE": f"local?root={root}",
    }
    done = subprocess.run([program, *rest], input=data, capture_output=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture
def paths(store: LocalStore, tree: Path) -> list[StorePath]:
    with store.deferred_registration():
        source = store.add_path("tree", str(tree))
        text = store.add_text("text", store.show(source).encode(), [source])
        first = store.write_derivation(derivation(store, "first"))
        second = store.write_derivation(derivation(store, "second", {first: frozenset(["out"])}))
    return [source, text, first, second]


def lines(store: LocalStore, found: list[StorePath]) -> bytes:
    return "".join(store.show(path) + "\n" for path in found).encode()


def test_our_store_in_its_hands(store: LocalStore, paths: list[StorePath], root: Path) -> None:
    _source, text, _first, second = paths
    nix(root, "nix-store", "--verify", "--check-contents")
    closure = store.topological(store.closure([second, text]))
    assert nix(root, "nix-store", "-qR", store.show(second), store.show(text)) == lines(store, closure)
    assert nix(root, "nix-store", "--dump-db").decode() == exports.dump_database(store)
    assert nix(root, "nix-store", "-q", "--tree", store.show(second)).decode() == "".join(
        f"{line}\n" for line in graph.tree(store, second)
    )
    assert nix(root, "nix-store", "-q", "--graph", store.show(second)).decode() == "".join(
        f"{line}\n" for line in graph.dot(store, [second])
    )
    out = io.BytesIO()
    store.export_paths(closure, out.write)
    assert nix(root, "nix-store", "--export", *map(store.show, closure)) == out.getvalue()
    infos = json.loads(nix(root, "nix", "path-info", "--all", "--json"))
    if isinstance(infos, list):
        infos = {info["path"]: info for info in infos}
    for path in paths:
        ours, theirs = store.query_info(path).to_json(store.directory), infos[store.show(path)]
        assert ours["narHash"] == theirs["narHash"] and ours["narSize"] == theirs["narSize"]
        assert sorted(ours["references"]) == sorted(theirs["references"])  # type: ignore[call-overload]


def test_its_store_in_our_hands(tmp_path: Path, tree: Path) -> None:
    root = tmp_path / "theirs"
    try:
        expression = f'derivation {{ name = "a"; system = "s"; builder = {tree}/bin/run; args = [ {tree} ]; }}'
        drv = nix(root, "nix-instantiate", "-E", expression).decode().strip()
        added = nix(root, "nix-store", "--add", str(tree)).decode().strip()
        with open_store(root) as store:
            path = store.parse(drv)
            assert store.verify(check_contents=True)
            assert store.add_path("tree", str(tree)) == store.parse(added)
            assert store.read_derivation(path).unparse(store.directory) == Path(store.real_path(path)).read_bytes()
            assert store.query_info(path).is_content_addressed(store.directory)
        with open_store(root) as store:
            dead = store.collect_garbage(garbage.Options("dead")).paths
        assert dead == sorted(nix(root, "nix-store", "--gc", "--print-dead").decode().split())
    finally:
        delete_tree(str(root))


def test_it_imports_what_we_export(store: LocalStore, paths: list[StorePath], tmp_path: Path) -> None:
    out = io.BytesIO()
    store.export_paths(paths, out.write)
    root = tmp_path / "theirs"
    try:
        imported = nix(root, "nix-store", "--import", data=out.getvalue()).decode().split()
        assert sorted(imported) == sorted(map(store.show, paths))
        nix(root, "nix-store", "--verify", "--check-contents")
    finally:
        delete_tree(str(root))


def test_archives(tree: Path, tmp_path: Path) -> None:
    out = io.BytesIO()
    nar.dump_path(str(tree), out.write)
    assert subprocess.run(["nix-store", "--dump", tree], capture_output=True, check=True).stdout == out.getvalue()
    subprocess.run(["nix-store", "--restore", tmp_path / "x"], input=out.getvalue(), check=True)
    assert nar.hash_path(str(tmp_path / "x")) == nar.hash_path(str(tree))


def test_its_collector_spares_what_we_use(root: Path) -> None:
    """Temporary roots mean the same to both; an old one may take our working folder, and we go on all the same."""
    with open_store(root) as store:
        path = store.add_text("used", b"1")
        nix(root, "nix-store", "--gc")
        assert store.is_registered(path) and os.path.exists(store.real_path(path))
        assert store.is_registered(store.add_text("more", b"2"))
    nix(root, "nix-store", "--gc")
    assert set(os.listdir(root / "nix" / "store")) <= {".links"}
