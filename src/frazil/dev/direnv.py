"""direnv: the `use flake` of an `.envrc`, answered by frazil.

`LIBRARY` goes to direnv's library folder (`$XDG_CONFIG_HOME/direnv/lib/`), where its functions override direnv's own.
Source: direnv-stdlib(1).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from frazil.errors import FrazilError

LIBRARY = """\
# Written by `frazil direnv install`: `use flake` in an .envrc enters the flake's development shell.
# The environment is kept as a profile in direnv's layout folder, which is a garbage-collection root.
use_flake() {
  local reference=${1:-.}
  # A flake in this file system is watched; direnv then loads again when it changes.
  if [[ -d ${reference%%#*} ]]; then
    watch_file "${reference%%#*}/flake.nix" "${reference%%#*}/flake.lock"
  elif [[ $reference == "#"* ]]; then
    watch_file flake.nix flake.lock
  fi
  mkdir -p "$(direnv_layout_dir)"
  local frazil_environment
  frazil_environment=$(@FRAZIL@ print-dev-env --profile "$(direnv_layout_dir)/flake-profile" "$@") || return 1
  eval "$frazil_environment"
}
"""


def library(program: str) -> str:
    """`program`: the absolute path of frazil, so that it is found whatever the path is then."""
    from frazil.dev.shell import quote

    return LIBRARY.replace("@FRAZIL@", quote(program))


def library_path(environment: Mapping[str, str]) -> str:
    base = environment.get("XDG_CONFIG_HOME") or os.path.join(environment.get("HOME", "/"), ".config")
    return os.path.join(base, "direnv", "lib", "frazil.sh")


def install(program: str, environment: Mapping[str, str]) -> str:
    """Writes the library (atomically) and gives its path. Raises FrazilError where the folder is not ours to write."""
    path = library_path(environment)
    temporary = f"{path}.tmp-{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(library(program))
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise FrazilError(f"cannot write '{path}': {error.strerror}") from error
    return path
