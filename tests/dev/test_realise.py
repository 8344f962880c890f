from __future__ import annotations

import json
from pathlib import Path

import pytest

from frazil.dev.environment import DevelopmentError
from frazil.dev.realise import environment_derivation, realise_environment
from frazil.store.config import StoreConfig
from frazil.store.derivation import Deferred, Derivation
from frazil.store.derived_path import DerivedPath
from frazil.store.local import LocalStore


def make_store(tmp_path: Path) -> LocalStore:
    return LocalStore(StoreConfig.from_uri(f"local?root={tmp_path}/root", {}))


def derivation(builder: str = "/bin/bash", **environment: str) -> Derivation:
    base = {"name": "thing", "out": "", "allowedReferences": ""}
    return Derivation(
        "thing", {"out": Deferred()}, {}, frozenset(), "x86_64-linux", builder, (), {**base, **environment}
    )


def test_only_bash_can_be_asked(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        script = store.add_text("get-env.sh", b"")
        with pytest.raises(DevelopmentError, match="use 'bash' as their builder"):
            environment_derivation(derivation("/bin/dash"), script, store.show(script))


def test_the_variant_has_the_script_as_argument_and_no_checks(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        script = store.add_text("get-env.sh", b"")
        variant = environment_derivation(derivation(), script, store.show(script))
        assert (variant.name, variant.arguments) == ("thing-env", (store.show(script),))
        assert "allowedReferences" not in variant.environment
        assert script in variant.input_sources


def test_structured_attributes_lose_their_checks(tmp_path: Path) -> None:
    with make_store(tmp_path) as store:
        script = store.add_text("get-env.sh", b"")
        attributes = json.dumps({"name": "thing", "outputChecks": {"out": {}}, "é": 1})
        variant = environment_derivation(
            derivation(__json=attributes.encode().decode("latin-1")), script, store.show(script)
        )
        assert json.loads(variant.environment["__json"].encode("latin-1")) == {"name": "thing-env", "é": 1}


def test_an_environment_that_was_not_written_is_an_error(tmp_path: Path) -> None:
    asked: list[DerivedPath] = []
    with make_store(tmp_path) as store:
        drv = derivation()
        from frazil.store.derivation import fill_in_output_paths

        path = store.write_derivation(fill_in_output_paths(drv, store.directory, store.modulo))

        def realise(targets: list[DerivedPath]) -> None:
            asked.extend(targets)
            for target in targets:
                for output in store.read_derivation(target.base).output_paths(store.directory).values():
                    assert output is not None
                    Path(store.real_path(output)).write_bytes(b"")

        with pytest.raises(DevelopmentError, match="failed to produce an environment"):
            realise_environment(store, path, realise)
    assert [target.base.name for target in asked] == ["thing-env.drv"]
