"""Programs that build for other systems."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from frazil.build.errors import BuildFailed
from frazil.build.external import parse_external_builders
from frazil.errors import UsageError

from .support import Lab

HELPER = """#!/bin/sh
[ "$1" = quiet ] || exit 9
cp "$2" "{folder}/document"
printf '\\2\\n' > /dev/stderr
echo building > /dev/stderr
printf foo > {out}
printf '%s' "$PWD" > {folder}/directory
"""


@pytest.fixture
def plain_lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "lab", diverted=False)


def setting(program: Path) -> str:
    return json.dumps([{"systems": ["x68_46-xunil"], "program": str(program), "args": ["quiet"]}])


def test_an_external_builder_builds(plain_lab: Lab, tmp_path: Path) -> None:
    lab = plain_lab
    source = lab.store.add_text("source", b"text")
    drv = lab.derivation("ignored", platform="x68_46-xunil", sources=[source], flavour="sweet")
    out = lab.store.show(lab.store.read_derivation(drv).output_paths(lab.store.directory)["out"])
    program = tmp_path / "helper"
    program.write_text(HELPER.format(folder=tmp_path, out=out))
    program.chmod(0o755)
    features = frozenset({"external-builders"})
    (result,) = lab.build(drv, external_builders=setting(program), experimental_features=features)
    assert lab.real(result).read_text() == "foo"
    assert lab.events.lines == ["building"]
    written = (tmp_path / "document").read_text()
    document = json.loads(written)
    assert written == json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert document["system"] == "x68_46-xunil" and document["builder"] == "/bin/sh"
    assert document["env"]["flavour"] == "sweet" and document["env"]["NIX_BUILD_TOP"] == "/build"
    assert document["inputPaths"] == [lab.store.show(source)]
    assert document["outputs"] == {"out": out}
    assert (tmp_path / "directory").read_text() == document["tmpDir"]
    assert lab.left_over() == []
    assert lab.store.verify(check_contents=True)


def test_its_failure_is_the_build_s(plain_lab: Lab, tmp_path: Path) -> None:
    drv = plain_lab.derivation("ignored", platform="x68_46-xunil")
    features = frozenset({"external-builders"})
    for program in ("/bin/false", f"{tmp_path}/nowhere"):
        with pytest.raises(BuildFailed):
            plain_lab.build(drv, external_builders=setting(Path(program)), experimental_features=features)
    assert plain_lab.left_over() == []


def test_the_feature_must_be_on(plain_lab: Lab) -> None:
    drv = plain_lab.derivation("ignored", platform="x68_46-xunil")
    with pytest.raises(UsageError, match="'external-builders' is disabled"):
        plain_lab.build(drv, external_builders=setting(Path("/bin/true")))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        "[1]",
        '[{"systems": ["a"]}]',
        '[{"systems": "a", "program": "/x", "args": []}]',
        '[{"systems": [1], "program": "/x", "args": []}]',
        '[{"systems": [], "program": "x", "args": []}]',
        '[{"systems": [], "program": "/x", "args": [], "more": 1}]',
        "[" * 100000,
    ],
)
def test_nonsense(text: str) -> None:
    with pytest.raises(UsageError, match="external-builders"):
        parse_external_builders(text)
