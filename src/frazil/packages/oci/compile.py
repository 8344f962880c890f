"""Run once, with `-X pycache_prefix=FOLDER`: compiles this folder and all that it imports, for every later start."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys

LATER = (
    *("bz2", "concurrent.futures.thread", "filecmp", "lzma", "runpy", "shutil", "sqlite3", "subprocess", "tempfile"),
    *("http.server", "secrets", "signal", "zlib"),
)
"""What is imported where it is needed."""


def main() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("oci", f"{folder}/__init__.py", submodule_search_locations=[folder])
    assert spec is not None
    sys.modules["oci"] = module_from_spec(spec)
    own = sorted(name for name in os.listdir(folder) if name.endswith(".py"))
    for name in own:
        if not name.startswith("__") and name != "compile.py":
            importlib.import_module(f"oci.{name[:-3]}")
    for name in LATER:
        importlib.import_module(name)
    files = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
    files |= {f"{folder}/{name}" for name in own}
    for file in sorted(file for file in files if file and file.endswith(".py")):
        py_compile.compile(file, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main()
