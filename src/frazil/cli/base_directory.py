"""What relative names on the command line are relative to: the current folder, or that of the script that is run.

Source: the manual's "Shebang interpreter" and the setting `nix-shell-shebang-arguments-relative-to-script`.
"""

from __future__ import annotations

import os

_chosen: list[str] = []


def set_base_directory(path: str | None) -> None:
    """For the rest of the invocation; None: the current folder."""
    _chosen[:] = [] if path is None else [os.path.abspath(path)]


def base_directory() -> str:
    """Raises OSError where the current folder is gone."""
    return _chosen[0] if _chosen else os.getcwd()
