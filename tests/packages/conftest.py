"""An evaluator for the package set, and a small package index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import frazil
from frazil.instantiate.builtins import BUILTINS
from frazil.lang.effects import FileSystemEffects
from frazil.lang.evaluator import Evaluator, run_with_deep_stack
from frazil.lang.json_writer import to_json_text

PACKAGES = Path(frazil.__file__).parent / "packages"

Evaluate = Callable[[str], object]


@pytest.fixture
def evaluate() -> Evaluate:
    """An expression's value as JSON values; `lib` and `packages` (a folder) are in scope."""

    def run(text: str) -> object:
        evaluator = Evaluator(FileSystemEffects(), extra_builtins=BUILTINS)
        full = f"let packages = {PACKAGES}; lib = import {PACKAGES}/lib; in {text}"
        context: set[str] = set()
        return json.loads(
            run_with_deep_stack(
                lambda: to_json_text(evaluator, evaluator.eval_string(full, "/", "test"), context, copy_to_store=False)
            )
        )

    return run


def write_index(folder: Path, packages: dict[str, dict[str, object]], architecture: str = "amd64") -> Path:
    """A tree of the input type `debian` (docs/design/debian.md)."""
    shards: dict[str, dict[str, dict[str, object]]] = {}
    for name, more in packages.items():
        record = {
            "version": "1.0-1",
            "architecture": architecture,
            "filename": f"pool/main/{name}_1.0-1_{architecture}.deb",
            "size": 1,
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
            "depends": [],
            "source": name,
            **more,
        }
        shard = shards.setdefault(hashlib.sha256(name.encode()).hexdigest()[:3], {"packages": {}, "virtual": {}})
        shard["packages"][name] = record
        for virtual in record.get("provides", ()):  # type: ignore[attr-defined]
            other = shards.setdefault(hashlib.sha256(virtual.encode()).hexdigest()[:3], {"packages": {}, "virtual": {}})
            other["virtual"].setdefault(virtual, []).append(name)  # type: ignore[attr-defined]
    place = folder / architecture
    place.mkdir(parents=True)
    for number in range(4096):
        prefix = f"{number:03x}"
        content = shards.get(prefix, {"packages": {}, "virtual": {}})
        (place / f"{prefix}.json").write_text(json.dumps(content, sort_keys=True))
    (folder / "info.json").write_text(json.dumps({"format": 1, "suite": "test"}))
    return folder
