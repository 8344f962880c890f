"""Death in the middle of writing what was instantiated: what is registered is whole, and the next run completes it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from frazil.store.config import StoreConfig, StoreSettings
from frazil.store.local import LocalStore
from frazil.store.metadata import delete_tree

PROGRAM = "import sys; sys.argv[0] = 'nix-instantiate'; from frazil.cli import main; sys.exit(main())"
EXPRESSION = """
let
  drv = n: derivation {
    name = "d${toString n}";
    system = "x86_64-linux";
    builder = "/bin/sh";
    inherit n;
    source = ./tree;
    script = ./tree/a;
    before = if n == 0 then builtins.toFile "start" "SEED" else drv (n - 1);
  };
in drv 150
"""


def start(root: Path, expression: Path) -> subprocess.Popen[bytes]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NIX_")}
    environment |= {
        "NIX_REMOTE": f"local?root={root}",
        "NIX_CONFIG": "eval-cache = false",
        "HOME": str(root),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-c", PROGRAM, str(expression)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def check(root: Path) -> int:
    with LocalStore(StoreConfig.from_uri(f"local?root={root}", {}), StoreSettings(reserved_space=4096)) as store:
        valid = store.query_all_valid()
        for path in valid:
            assert os.path.lexists(store.real_path(path)), path
            assert store.query_references(path) <= valid
        assert store.verify(check_contents=True)
        return len(valid)


def write_expression(folder: Path, seed: str) -> Path:
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    for name in "abc":
        (tree / name).write_text(f"{name} {seed}")
    expression = folder / "default.nix"
    expression.write_text(EXPRESSION.replace("SEED", seed))
    return expression


def test_kill_while_instantiating(tmp_path: Path) -> None:
    chance = random.Random(3)
    root = tmp_path / "root"
    root.mkdir()
    try:
        expression = write_expression(tmp_path, "first")
        begun = time.monotonic()
        whole = start(root, expression)
        _, errors = whole.communicate(timeout=120)
        assert whole.returncode == 0, errors.decode()
        took = time.monotonic() - begun
        assert check(root) == 154
        for seed in range(6):
            child = start(root, write_expression(tmp_path, str(seed)))
            time.sleep(took * (0.5 + chance.random() * 0.5))
            child.send_signal(signal.SIGKILL)
            child.communicate()
            check(root)
    finally:
        delete_tree(str(root))


def test_two_at_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    try:
        expression = write_expression(tmp_path, "same")
        children = [start(root, expression) for _ in range(2)]
        answers = set()
        for child in children:
            output, errors = child.communicate(timeout=120)
            assert child.returncode == 0, errors.decode()
            answers.add(output)
        assert len(answers) == 1
        assert check(root) == 154
    finally:
        delete_tree(str(root))
