"""A store that only hands on: what is evaluated for a binary cache is built elsewhere and ends in the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .support import need_namespaces

EXPRESSION = """
let one = derivation {
  name = "one"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ ./builder.sh ];
};
in derivation {
  name = "two"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo ${one} > $out" ];
}
"""


def test_built_elsewhere_for_a_cache(tmp_path: Path) -> None:
    need_namespaces()
    (tmp_path / "builder.sh").write_text("echo one > $out")
    (tmp_path / "default.nix").write_text(EXPRESSION)
    cache = f"file://{tmp_path}/cache"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NIX_", "XDG_"))}
    environment |= {
        "HOME": f"{tmp_path}/home",
        "NIX_STORE_DIR": f"{tmp_path}/store",
        "NIX_STATE_DIR": f"{tmp_path}/state",
        "NIX_CONFIG": "substituters =\nsandbox = false\n",
        "NIX_CONF_DIR": f"{tmp_path}/etc",
    }

    def nix_build(*words: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; sys.argv[0] = 'nix-build'; from frazil.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "--store", cache, *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    assert nix_build().returncode != 0
    done = nix_build("--builders", "auto - - 1 1", "-j0")
    assert done.returncode == 0, done.stderr
    hash_part = os.path.basename(done.stdout.strip())[:32]
    assert (tmp_path / f"cache/{hash_part}.narinfo").exists()
    assert not (tmp_path / "result").is_symlink()
    assert (tmp_path / "state/current-load/main-lock").exists()
    again = nix_build("-j0")
    assert (again.returncode, again.stdout) == (0, done.stdout), again.stderr
