"""What evaluation knows of the licences of packages in an image: `meta.license` of the installable and of its flake's
packages, and the lists of the embedded package set."""

from __future__ import annotations

import os

from frazil.cli.context import Context
from frazil.cli.options import Arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from frazil.flake.cursor import Cursor
    from frazil.image.inventory import Package

_OF_PACKAGE = """
identifiers: package:
if package.type or null == "derivation" && package ? meta.license then
  {
    paths = builtins.map (name: builtins.unsafeDiscardStringContext package.${name}.outPath) (
      package.outputs or [ "out" ]
    );
    licence = identifiers package.meta.license;
  }
else
  { paths = [ ]; licence = [ ]; }
"""


def licences_of(context: Context, arguments: Arguments, text: str | None, packages: list[Package]) -> dict[str, str]:
    """SPDX expressions by store path. `text`: the installable, None where there is nothing to evaluate."""
    from frazil.cli.evaluation import with_deep_stack
    from frazil.image.licences import of_packages

    said: dict[str, list[str]] = {}
    if text is not None:
        with_deep_stack(lambda: _said(context, arguments, text, said))
    table = with_deep_stack(_table)
    real = {package.path: context.store.to_real(package.path) for package in packages}
    return of_packages(packages, real, said, table)


def _said(context: Context, arguments: Arguments, text: str, said: dict[str, list[str]]) -> None:
    from frazil.cli.installables import Opened
    from frazil.flake.installable import FlakeInstallable, ValueInstallable

    opened = Opened(context, arguments)
    (installable,) = opened.parse([text])
    if not isinstance(installable, ValueInstallable):
        return
    evaluator = opened.session.evaluator
    _note(evaluator, installable.cursor(), said)
    if not isinstance(installable, FlakeInstallable):
        return
    root = installable.trees.outputs(installable.locked_flake())
    system = context.settings.system
    listed = root.find(("packages", system), set())
    for name in listed.names() if listed is not None else ():
        child = listed.find((name,), set()) if listed is not None else None
        if child is not None:
            _note(evaluator, child, said)


def _note(evaluator: Any, cursor: Cursor, said: dict[str, list[str]]) -> None:
    """One that cannot be evaluated says nothing: it is not in the image, or its licence is not known."""
    import json

    from frazil.errors import FrazilError
    from frazil.image.licences import IDENTIFIERS
    from frazil.lang.json_writer import to_json_text

    try:
        identifiers = evaluator.eval_string(IDENTIFIERS.encode(), "/")
        function = evaluator.eval_string(_OF_PACKAGE.encode(), "/")
        found = evaluator.call(function, identifiers, cursor.force())
        value = json.loads(to_json_text(evaluator, found, set(), copy_to_store=False))
    except FrazilError:
        return
    for path in value["paths"]:
        said[path] = value["licence"]


def _table() -> dict[str, list[str]]:
    import frazil
    from frazil.image.licences import IDENTIFIERS, TABLE, read_table
    from frazil.instantiate.builtins import BUILTINS
    from frazil.lang.effects import FileSystemEffects
    from frazil.lang.evaluator import Evaluator
    from frazil.lang.json_writer import to_json_text

    folder = os.path.join(os.path.dirname(os.path.abspath(frazil.__file__)), "packages")
    evaluator = Evaluator(FileSystemEffects(), extra_builtins=BUILTINS)
    function = evaluator.eval_string(TABLE.replace("IDENTIFIERS", IDENTIFIERS).encode(), "/")
    value = evaluator.call(function, evaluator.eval_string(b"/. + " + json_string(folder), "/"))
    return read_table(to_json_text(evaluator, value, set(), copy_to_store=False))


def json_string(text: str) -> bytes:
    """As a string of the language."""
    return b'"' + os.fsencode(text).replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"${", b"\\${") + b'"'
