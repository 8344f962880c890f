"""`python3 FOLDER COMMAND …`: this folder as a package, whatever the folder is called (in a store: HASH-oci)."""

from __future__ import annotations

import importlib.util
import os
import sys


def main() -> int:
    folder = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        "oci", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["oci"] = package
    spec.loader.exec_module(package)
    from importlib import import_module

    return int(import_module("oci.builder").main(sys.argv[1:]))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
