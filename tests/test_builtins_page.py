"""docs/reference/builtins.md is what its generator makes of the tables now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "tools/builtins_reference.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (ROOT / "docs/reference/builtins.md").read_text(), (
        "run: python tools/builtins_reference.py > docs/reference/builtins.md"
    )
