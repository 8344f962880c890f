"""The builder's environment, also as C++ Nix makes it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from frazil.build.errors import BuildFailed
from frazil.build.shell import find_shell
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

from .support import Lab

EXPRESSION = """
let
  d = a: derivation ({ system = builtins.currentSystem; builder = "/bin/sh"; } // a);
  sh = s: [ "-c" s ];
  dep = d { name = "dep"; args = sh "mkdir $out; echo data > $out/f; ln -s f $out/l; echo > $out/x; chmod +x $out/x"; };
in [
  (d { name = "multi"; outputs = [ "out" "dev" "lib" ];
       args = sh "mkdir $out $dev; echo $dev ${dep} > $out/x; echo lib > $lib; echo $lib > $dev/y"; })
  (d { name = "paf"; passAsFile = [ "text" ]; text = "h\\n'q'";
       args = sh "cat $textPath > $out; echo $textPath >> $out"; })
  (d { name = "graph"; exportReferencesGraph = [ "g" dep ]; args = sh "cat g > $out"; })
  (d { name = "environment"; impureEnvVars = "HOME";
       args = sh ("env | sort > $out; id >> $out; pwd >> $out; umask >> $out; ls -a / /build /etc >> $out;"
         + "cat /etc/passwd >> $out"); })
]
"""


def test_the_same_bytes_as_nix(lab: Lab, tmp_path: Path) -> None:
    if not shutil.which("nix-instantiate"):
        pytest.skip("C++ Nix is not installed")
    if os.geteuid() != 0:
        pytest.skip("C++ Nix is asked as root only")
    options = ["--option", "build-users-group", "", "--option", "substituters", "", "--option", "sandbox", "true"]
    shell = dict(find_shell())["/bin/sh"]
    options += ["--option", "sandbox-paths", f"/bin/sh={shell}"]
    theirs = f"local?root={tmp_path}/theirs"

    def nix(*command: str) -> list[str]:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        return done.stdout.split()

    derivations = nix("nix-instantiate", "--store", f"local?root={lab.root}", "-E", EXPRESSION)
    nix("nix-instantiate", "--store", theirs, "-E", EXPRESSION)
    try:
        nix("nix-store", "--store", theirs, "-r", *derivations)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"C++ Nix cannot build here: {error.stderr}")
    from frazil.build.scheduler import realise

    targets = [DerivedPath(lab.store.parse(text.split("!")[0]), ALL_OUTPUTS) for text in derivations]
    for result in realise(lab.store, targets, lab.settings(), lab.events):
        for path in result.outputs.values():
            info = lab.store.query_info(path)
            text = lab.store.show(path)
            assert nix("nix-store", "--store", theirs, "-q", "--hash", text) == [str(info.nar_hash)], text
            wanted = sorted(nix("nix-store", "--store", theirs, "-q", "--references", text))
            assert wanted == [lab.store.show(other) for other in sorted(info.references)]


def test_variables_that_nix_sets(lab: Lab) -> None:
    text = lab.build_text("env > $out", keep="x y")
    variables = dict(line.split("=", 1) for line in text.splitlines())
    assert variables["PATH"] == "/path-not-set"
    assert variables["HOME"] == "/homeless-shelter"
    assert variables["NIX_BUILD_TOP"] == variables["TMPDIR"] == variables["PWD"] == "/build"
    assert variables["NIX_STORE"] == "/nix/store"
    assert int(variables["NIX_BUILD_CORES"]) >= 1
    assert variables["NIX_LOG_FD"] == "2"
    assert variables["keep"] == "x y"
    assert "NIX_OUTPUT_CHECKED" not in variables


def test_exported_graphs_must_be_inputs(lab: Lab) -> None:
    stranger = lab.store.add_text("stranger", b"")
    drv = lab.derivation("echo > $out", exportReferencesGraph=f"graph {lab.store.show(stranger)}")
    with pytest.raises(BuildFailed, match="because it is not in the input closure of the derivation"):
        lab.build(drv)


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("allowedReferences", "is not allowed to refer to the following paths"),
        ("allowedRequisites", "is not allowed to refer to the following paths"),
    ],
)
def test_references_that_are_not_allowed(lab: Lab, attribute: str, words: str) -> None:
    dep = lab.derivation("echo > $out", name="dep")
    with pytest.raises(BuildFailed, match=words):
        lab.build(lab.derivation("echo @dep@ > $out", needs=[dep], **{attribute: ""}))
    lab.build(lab.derivation("echo > $out", name="fine", needs=[dep], **{attribute: ""}))
    path = lab.store.query_derivation_outputs(dep)["out"]
    assert path is not None
    lab.build(lab.derivation("echo @dep@ > $out", name="listed", needs=[dep], **{attribute: lab.store.show(path)}))


def test_references_that_are_forbidden(lab: Lab) -> None:
    dep = lab.derivation("echo > $out", name="dep")
    path = lab.store.query_derivation_outputs(dep)["out"]
    assert path is not None
    drv = lab.derivation("echo @dep@ > $out", needs=[dep], disallowedReferences=lab.store.show(path))
    with pytest.raises(BuildFailed, match="is not allowed to refer to"):
        lab.build(drv)


def test_sizes_and_discarded_references(lab: Lab) -> None:
    import json

    def structured(name: str, script: str, **attributes: object) -> object:
        text = json.dumps({"name": name, **attributes})
        return lab.build(
            lab.derivation(
                f'out=$(sed -n \'s/.*"out":"\\([^"]*\\)".*/\\1/p\' .attrs.json); {script}', name=name, __json=text
            )
        )

    with pytest.raises(BuildFailed, match=r"is too large at .* bytes; limit is 10 bytes"):
        structured("large", "echo > $out", outputChecks={"out": {"maxSize": 10}})
    with pytest.raises(BuildFailed, match=r"closure of path .* is too large"):
        structured("closure", "echo > $out", outputChecks={"out": {"maxClosureSize": 10}})
    structured(
        "self",
        "echo $out > $out",
        unsafeDiscardReferences={"out": True},
        outputChecks={"out": {"allowedReferences": []}},
    )
