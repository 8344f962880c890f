"""From a store derivation to its build environment, realised in the store.

The variant of a derivation that only writes its environment down has the same inputs and variables, `get-env.sh` as the
builder's argument and `-env` behind its name; so it is built, cached and protected like anything else in the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from frazil.dev.environment import BuildEnvironment, DevelopmentError
from frazil.store.derivation import Deferred, Derivation, DerivationOutput, Fixed, InputAddressed
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath
from frazil.store.path import StorePath

if TYPE_CHECKING:
    from frazil.store.local import LocalStore

Realise = Callable[[list[DerivedPath]], object]
"""Builds; raises where it cannot."""

CHECKS = ("allowedReferences", "allowedRequisites", "disallowedReferences", "disallowedRequisites")


def get_env_script() -> bytes:
    with open(os.path.join(os.path.dirname(__file__), "get-env.sh"), "rb") as file:
        return file.read()


def environment_derivation(drv: Derivation, script: StorePath, script_text: str) -> Derivation:
    """`drv`, made to write its environment; its output paths are still to be filled in.

    Raises DevelopmentError where the builder is not bash: only bash can be asked for variables and functions.
    """
    if os.path.basename(drv.builder) != "bash":
        raise DevelopmentError(
            "'nix develop' only works on derivations that use 'bash' as their builder",
            hint=f"the builder of '{drv.name}' is '{drv.builder}'",
        )
    name = f"{drv.name}-env"
    environment = {key: value for key, value in drv.environment.items() if key not in CHECKS}
    environment["name"] = name
    if "__json" in environment:
        del environment["name"]
        environment["__json"] = _structured(environment["__json"], name)
    outputs: dict[str, DerivationOutput] = {}
    for output_name, output in drv.outputs.items():
        if isinstance(output, (InputAddressed, Fixed)):
            outputs[output_name] = Deferred()
            environment[output_name] = ""
        else:
            outputs[output_name] = output
    return drv.with_(
        name=name,
        outputs=outputs,
        arguments=(script_text,),
        environment=environment,
        input_sources=drv.input_sources | {script},
    )


def _structured(text: str, name: str) -> str:
    import json

    attributes = json.loads(text.encode("latin-1"))
    attributes.pop("outputChecks", None)
    for check in CHECKS:
        attributes.pop(check, None)
    attributes["name"] = name
    return json.dumps(attributes, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode().decode("latin-1")


def realise_environment(store: LocalStore, drv_path: StorePath, realise: Realise) -> StorePath:
    """The store object that holds the environment; `read_environment` reads it."""
    from frazil.store.derivation import fill_in_output_paths

    script = store.add_text("get-env.sh", get_env_script(), frozenset())
    drv = environment_derivation(store.read_derivation(drv_path), script, store.show(script))
    drv = fill_in_output_paths(drv, store.directory, store.modulo)
    shell_path = store.write_derivation(drv)
    realise([DerivedPath(shell_path, ALL_OUTPUTS)])
    for path in store.query_derivation_outputs(shell_path).values():
        if path is not None and os.path.getsize(store.real_path(path)):
            return path
    raise DevelopmentError("get-env.sh failed to produce an environment")


def read_environment(store: LocalStore, path: StorePath) -> BuildEnvironment:
    return BuildEnvironment.read(store.real_path(path))
