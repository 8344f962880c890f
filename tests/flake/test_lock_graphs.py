"""Graphs of flakes and what C++ Nix 2.34.8 locked for them, command after command.

`locks/graphs.json` holds flakes (`ROOT` stands for their folder), commands, edits, and the lock files afterwards, with
labels in place of hashes and revisions, and without times: these follow from the folder that a test runs in.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run

GRAPHS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "locks/graphs.json").read_text())


class Flakes:
    """The folders of one graph."""

    def __init__(self, root: Path, graph: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.kinds = root, graph["kinds"]
        for name, value in (("NAME", "a"), ("EMAIL", "a@example.org")):
            monkeypatch.setenv(f"GIT_AUTHOR_{name}", value)
            monkeypatch.setenv(f"GIT_COMMITTER_{name}", value)
        for name, text in graph["flakes"].items():
            self.write(name, text)
        entries = [{"from": {"type": "indirect", "id": name}, "to": to} for name, to in graph["registry"].items()]
        self.registry = root / "registry.json"
        self.registry.write_text(json.dumps({"version": 2, "flakes": entries}).replace("ROOT", str(root)))
        (root / "plain.txt").write_text("plain\n")
        for name, kind in reversed(self.kinds.items()):
            if kind == "git":
                self.git(name, "init", "-q", "-b", "master")
                self.commit(name)
                self.git(name, "tag", "t")
            if kind == "tar":
                self.pack(name)

    def write(self, name: str, text: str) -> None:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "flake.nix").write_text(text.replace("ROOT", str(self.root)))
        with (folder / "data").open("a") as file:
            file.write(f"data {name}\n")

    def edit(self, name: str, text: str) -> None:
        self.write(name, text)
        if self.kinds[name] == "git":
            self.commit(name)
        if self.kinds[name] == "tar":
            self.pack(name)

    def git(self, name: str, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.root / name, check=True, capture_output=True)

    def commit(self, name: str) -> None:
        self.git(name, "add", "-A")
        self.git(name, "commit", "-q", "--allow-empty", "-m", "m")

    def pack(self, name: str) -> None:
        subprocess.run(["tar", "-C", self.root, "-czf", self.root / f"{name}.tar.gz", name], check=True)

    def lock(self, name: str) -> Any:
        """A lock file as the golden ones are, None where there is none."""
        try:
            text = (self.root / name).read_text().replace(str(self.root), "ROOT")
        except FileNotFoundError:
            return None
        labels: dict[tuple[str, str], str] = {}
        for kind in ("narHash", "rev"):

            def label(found: re.Match[str], kind: str = kind) -> str:
                return f'"{kind}": "{labels.setdefault((kind, found[1]), f"{kind}-{len(labels)}")}"'

            text = re.sub(rf'"{kind}": "([^"]*)"', label, text)
        return json.loads(re.sub(r'"lastModified": \d+', '"lastModified": 0', text))


@pytest.mark.parametrize("graph", GRAPHS, ids=[str(graph["seed"]) for graph in GRAPHS])
def test_graph(graph: dict[str, Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path.resolve() / "graph"
    root.mkdir()
    flakes = Flakes(root, graph, monkeypatch)
    for step in graph["steps"]:
        if "write" in step:
            flakes.edit(step["write"], step["text"])
            continue
        arguments = [argument.replace("ROOT", str(root)) for argument in step["run"]]
        registry = ("--option", "flake-registry", str(flakes.registry))
        run(*arguments, *registry, cwd=root / "f0", status=step["status"])
        for name in ("f0/flake.lock", "out.lock"):
            assert flakes.lock(name) == step["locks"].get(name), (step["run"], name)
