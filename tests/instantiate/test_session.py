"""Effectful builtins, end to end on a scratch store."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from frazil.activity import SilentReporter, Verbosity
from frazil.build.settings import BuildSettings
from frazil.errors import FrazilError
from frazil.fetch.settings import FetchSettings
from frazil.instantiate.session import Session
from frazil.lang.errors import EvalError, RestrictedPath
from frazil.lang.printer import print_ambiguous
from frazil.lang.settings import EvalSettings
from frazil.store.config import StoreConfig
from frazil.store.local import LocalStore

DRV = 'derivation ({ name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; } // %s)'


class Scratch:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = StoreConfig.from_uri(f"local?root={root}", {})
        self.store = LocalStore(self.config)
        self.build_settings = BuildSettings()

    def session(self, *, read_only: bool = False, **settings: Any) -> Session:
        return Session(
            self.config,
            lambda: self.store,
            EvalSettings(**{"experimental_features": frozenset({"flakes", "ca-derivations"}), **settings}),
            build_settings=lambda: self.build_settings,
            fetch_settings=FetchSettings,
            reporter=SilentReporter(),
            read_only=read_only,
        )

    def eval(self, text: str, **settings: Any) -> Any:
        with self.session(**settings) as session:
            value = session.evaluator.eval_string(text.encode(), str(self.root))
            session.evaluator.force_deep(value)
            return getattr(value, "text", value)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    made = Scratch(tmp_path)
    yield made
    made.store.close()


def test_a_failed_evaluation_leaves_the_store_as_it_was(scratch: Scratch) -> None:
    (scratch.root / "tree").mkdir()
    (scratch.root / "tree/a").write_text("a")
    drv = DRV % "{ a = ./tree; }"
    with pytest.raises(EvalError, match="enough"):
        scratch.eval(f'let drv = {drv}; in builtins.seq drv.drvPath (throw "enough")')
    assert not scratch.store.query_all_valid()
    names = os.listdir(scratch.store.config.real_store_dir)
    assert [name for name in names if name.startswith("tmp-")]  # something was on its way
    assert not [name for name in names if name.endswith((".drv", "-tree"))]
    scratch.store.close()
    assert not [name for name in os.listdir(scratch.store.config.real_store_dir) if name.startswith("tmp-")]


def test_a_forked_process_writes_what_its_parent_made(scratch: Scratch) -> None:
    (scratch.root / "tree").mkdir()
    (scratch.root / "tree/a").write_text("a")
    drv = DRV % "{ a = ./tree; }"
    with scratch.session() as session:
        path = session.evaluator.eval_string(f"({drv}).drvPath".encode(), str(scratch.root))
        session.evaluator.force_deep(path)
        child = os.fork()
        if not child:
            status = 1
            try:
                own = LocalStore(scratch.config)
                session.enter_fork(lambda: own, SilentReporter())
                session.flush()
                status = 0 if own.is_valid(own.parse(path.text)) else 2
                own.close()
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert scratch.store.is_valid(scratch.store.parse(path.text))
    assert scratch.store.verify(check_contents=True)


def test_derivations_are_written_at_the_end(scratch: Scratch) -> None:
    path = scratch.eval(f"({DRV % '{ a = 1; }'}).drvPath")
    assert scratch.store.is_valid(scratch.store.parse(path))
    assert scratch.store.read_derivation(scratch.store.parse(path)).environment["a"] == "1"


def test_nothing_is_written_when_evaluation_fails(scratch: Scratch) -> None:
    with pytest.raises(EvalError):
        scratch.eval(f'builtins.seq ({DRV % "{ }"}).drvPath (throw "no")')
    assert scratch.store.query_all_valid() == set()


def test_read_only_evaluation_writes_nothing_and_reads_what_it_copied(scratch: Scratch) -> None:
    (scratch.root / "f").write_text("text")
    assert scratch.eval('builtins.readFile "${./f}"', read_only=True) == "text"
    assert scratch.eval('builtins.readFile (builtins.toFile "a" "b")', read_only=True) == "b"
    assert not (scratch.root / "nix").exists()


def test_paths(scratch: Scratch) -> None:
    (scratch.root / "d").mkdir()
    (scratch.root / "d" / "keep").write_text("k")
    (scratch.root / "d" / "drop").write_text("d")
    text = 'builtins.path { path = ./d; name = "n"; filter = p: t: baseNameOf p == "keep"; }'
    path = scratch.eval(text)
    real = Path(scratch.store.real_path(scratch.store.parse(path)))
    assert path.endswith("-n") and [p.name for p in real.iterdir()] == ["keep"]
    assert scratch.eval('builtins.filterSource (p: t: baseNameOf p == "keep") ./d').endswith("-d")
    with pytest.raises(EvalError, match="unsupported argument 'frob'"):
        scratch.eval("builtins.path { path = ./d; frob = 1; }")
    with pytest.raises(EvalError, match="store path mismatch"):
        scratch.eval(f'builtins.path {{ path = ./d; sha256 = "{"0" * 52}"; }}')


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ('{ builder = ""; }', "required attribute 'builder' missing"),
        ('{ system = ""; }', "required attribute 'system' missing"),
        ('{ name = "a/b"; }', "invalid derivation name"),
        ('{ name = "x.drv"; }', "derivation names are allowed to end in '.drv' only if"),
        ('{ outputs = [ "a" "a" ]; }', "duplicate derivation output 'a'"),
        ('{ outputs = [ "drvPath" ]; }', "invalid derivation output name 'drvPath'"),
        ("{ outputHash = sha; }", "undefined variable"),
        ('{ outputHash = "abc"; outputHashAlgo = "sha256"; }', "wrong length"),
        ('{ outputHashMode = "frob"; }', "invalid value 'frob' for 'outputHashMode' attribute"),
        ("{ __impure = true; }", "experimental Nix feature 'impure-derivations' is disabled"),
        (
            '{ outputs = [ "a" "b" ]; outputHash = ""; outputHashAlgo = "sha256"; }',
            "multiple outputs are not supported in fixed-output derivations",
        ),
    ],
)
def test_bad_derivations(scratch: Scratch, attributes: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        scratch.eval(f"({DRV % attributes}).drvPath")


REFERENCE = shutil.which("nix-instantiate")
CASES = [
    "{ }",
    '{ outputs = [ "out" "dev" ]; args = [ "-c" 1 true null ./f ]; x = [ 1 [ 2 ] ]; y = null; z = 1.5; }',
    '{ outputHash = "%s"; outputHashAlgo = "sha256"; }' % ("0" * 64),
    '{ outputHash = "sha256-%s="; outputHashMode = "recursive"; }' % ("A" * 43),
    '{ outputHash = "%s"; outputHashAlgo = "sha1"; outputHashMode = "flat"; }' % ("1" * 40),
    "{ __structuredAttrs = true; a.b = [ 1 null true ]; c = ./f; d = 1.5; }",
    "{ __ignoreNulls = true; a = null; }",
    '{ passAsFile = [ "a" ]; a = "text"; allowedReferences = [ ]; exportReferencesGraph = [ "g" ./f ]; }',
    '{ a = builtins.toFile "t" "text"; b = "é\\n\\t\\"\\\\"; }',
    '{ a = derivation { name = "in"; system = "s"; builder = "b"; outputs = [ "o1" "o2" ]; }; }',
    '{ a = (derivation { name = "in"; system = "s"; builder = "b"; }).drvPath; }',
    '{ a = import <nix/fetchurl.nix> { url = "http://e/x"; sha256 = "%s"; }; }' % ("0" * 52),
    '{ a = import <nix/fetchurl.nix> { url = "http://e/x"; hash = "sha256-%s="; unpack = true; }; }' % ("A" * 43),
    '{ a = import <nix/fetchurl.nix> { url = "http://e/x"; sha1 = "%s"; executable = true; }; }' % ("0" * 40),
]


@pytest.mark.skipif(REFERENCE is None, reason="the reference implementation (nix-bin) is not installed")
@pytest.mark.parametrize("attributes", CASES)
def test_the_reference_makes_the_same_derivation(scratch: Scratch, attributes: str) -> None:
    (scratch.root / "f").write_text("contents")
    text = f"({DRV % attributes}).drvPath"
    ours = scratch.eval(text)
    assert REFERENCE is not None
    theirs = subprocess.run(
        [REFERENCE, "--eval", "--read-write-mode", "--store", str(scratch.root / "ref"), "-E", text],
        capture_output=True,
        text=True,
        cwd=scratch.root,
        check=False,
    )
    assert theirs.returncode == 0, theirs.stderr
    assert theirs.stdout.strip().strip('"') == ours


def test_pure_and_restricted_evaluation(scratch: Scratch) -> None:
    (scratch.root / "f").write_text("text")
    with pytest.raises(RestrictedPath, match="forbidden in pure evaluation mode"):
        scratch.eval("builtins.readFile ./f", pure=True)
    with pytest.raises(RestrictedPath, match="forbidden in restricted mode"):
        scratch.eval("builtins.readFile ./f", restricted=True)
    allowed = (("src", str(scratch.root)),)
    assert scratch.eval("builtins.readFile <src/f>", restricted=True, search_path=allowed) == "text"
    with pytest.raises(EvalError, match="not allowed in pure evaluation mode"):
        scratch.eval('builtins.storePath "/nix/store/x"', pure=True)
    with pytest.raises(EvalError, match=r"access to URI .* is forbidden"):
        scratch.eval('fetchTarball "https://example.org/x.tar.gz"', restricted=True)


def test_importing_a_derivation(scratch: Scratch) -> None:
    text = f'let d = {DRV % "{ }"}; i = import d.drvPath; in i.outPath == d.outPath && i.name == "x"'
    assert scratch.eval(text) is True


def test_import_from_derivation_can_be_off(scratch: Scratch) -> None:
    with pytest.raises(Exception, match="allow-import-from-derivation"):
        scratch.eval(f'builtins.readFile "${{{DRV % "{ }"}}}"', allow_import_from_derivation=False)


def test_floating_outputs_have_placeholders(scratch: Scratch) -> None:
    path = scratch.eval(f"({DRV % '{ __contentAddressed = true; }'}).outPath")
    assert path.startswith("/") and not path.startswith("/nix/store/")


def test_files_made_by_evaluation_may_not_reference_derivations(scratch: Scratch) -> None:
    with pytest.raises(EvalError, match="may not reference derivations"):
        scratch.eval(f'builtins.toFile "x" "${{{DRV % "{ }"}}}"')


def test_output_of_wants_the_text_that_stands_for_its_context(scratch: Scratch) -> None:
    drv = 'derivation { name = "x"; system = "s"; builder = "b"; }'
    features = frozenset({"dynamic-derivations"})
    text = scratch.eval(f'let d = {drv}; in builtins.outputOf d.outPath "dev"', experimental_features=features)
    assert text.startswith("/")
    for text, message in (
        ("d.drvPath", "complete source and binary closure"),
        ('(d.outPath + "x")', "is not the right placeholder"),
        ('"x"', "has 0 entries in its context"),
    ):
        with pytest.raises(EvalError, match=message):
            scratch.eval(f'let d = {drv}; in builtins.outputOf {text} "out"', experimental_features=features)


def test_programs_run_only_where_that_is_allowed(scratch: Scratch) -> None:
    assert scratch.eval("builtins ? exec") is False
    allowed = {"allow_unsafe_native_code_during_evaluation": True}
    assert scratch.eval('builtins.exec [ "sh" "-c" "echo 1 + $0" "2" ]', **allowed) == 3
    with pytest.raises(EvalError, match='program "sh" failed with exit code 3'):
        scratch.eval('builtins.exec [ "sh" "-c" "exit 3" ]', **allowed)
    with pytest.raises(EvalError, match="at least one argument"):
        scratch.eval("builtins.exec [ ]", **allowed)


def test_bad_names_are_shown_with_the_hash_they_would_have_had(scratch: Scratch) -> None:
    (scratch.root / "f").write_text("text")
    for text in ('builtins.toFile "a b" "c"', 'builtins.path { path = ./f; name = "a b"; }'):
        with pytest.raises(EvalError, match=r"path '[a-z0-9]{32}-a b' is not a valid store path: name 'a b' contains"):
            scratch.eval(text)


def test_an_error_of_fetching_is_inside_the_call(scratch: Scratch) -> None:
    features = frozenset({"flakes", "fetch-tree"})
    with pytest.raises(EvalError) as caught:
        scratch.eval('builtins.fetchTree { type = "path"; path = "/nowhere/at/all"; }', experimental_features=features)
    assert [frame.text.partition(" '")[0] for frame in caught.value.trace] == [
        "while calling the",
        "while fetching the input",
    ]


@pytest.mark.parametrize(
    ("expression", "operation"),
    [
        ('builtins.toFile "a" "b"', "addToStoreFromDump"),
        ('"${./f}"', "addToStoreFromDump"),
        (f"({DRV % '{ }'}).drvPath", "writeDerivation"),
    ],
)
def test_a_dummy_store_takes_nothing_in_unless_told(tmp_path: Path, expression: str, operation: str) -> None:
    (tmp_path / "f").write_text("")

    def evaluate(address: str, read_only: bool = False) -> object:
        scratch = Scratch(tmp_path)
        scratch.config = StoreConfig.from_uri(address, {})
        scratch.store = LocalStore(scratch.config)
        return (
            scratch.eval(expression)
            if not read_only
            else scratch.session(read_only=True).evaluator.eval_string(expression, str(tmp_path))
        )

    with pytest.raises(FrazilError, match=f"operation '{operation}' is not supported by store 'dummy://'"):
        evaluate("dummy://")
    assert str(evaluate("dummy://?read-only=false")).startswith("/nix/store/")
    assert str(getattr(evaluate("dummy://", read_only=True), "text", "")).startswith("/nix/store/")


def test_errors_of_the_store_say_where_evaluation_was(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    scratch.config = StoreConfig.from_uri("dummy://", {})
    scratch.store = LocalStore(scratch.config)
    evaluator = scratch.session().evaluator
    with pytest.raises(FrazilError, match="not supported by store") as caught:
        evaluator.force_deep(evaluator.eval_string('[ (builtins.toFile "a" "b") ]', "/"))
    steps = [(frame.text, frame.position and frame.position.column) for frame in caught.value.trace]
    assert ("while calling the 'toFile' builtin", 4) in steps


def test_internal_files_have_a_name_of_their_own(scratch: Scratch) -> None:
    found = scratch.session().evaluator
    value = found.eval_string("<nix/fetchurl.nix>", "/")
    assert print_ambiguous(found, value) == "<nix/fetchurl.nix>"
    assert scratch.eval("builtins.attrNames (builtins.readDir (dirOf <nix/fetchurl.nix>))") == ["fetchurl.nix"]
    with pytest.raises(EvalError) as caught:
        scratch.eval("import <nix/fetchurl.nix> { }")
    assert caught.value.position is not None and caught.value.position.file == "<nix/fetchurl.nix>"


FLOATING = """let c = derivation {
  name = "c"; system = "s"; builder = "/b";
  __contentAddressed = true; outputHashAlgo = "sha256"; outputHashMode = "recursive";
}; q = y: derivation { name = "q"; system = "s"; builder = "/b"; inherit y; }; in %s"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("c.drvPath", "/nix/store/nz2ayszm1azhlc8sipqirfbkij57izwi-c.drv"),
        ("(q c.drvPath).drvPath", "/nix/store/z12fd7qzdnqplqfnbll1lijvln8781v6-q.drv"),
        ('(q "${c}").drvPath', "/nix/store/ky9b21y0qllyq5skivaxrhz4dfq7dap0-q.drv"),
        ('(q "${c}").outPath', "/1yd9nisljm1smid70darhkfn00bn5p5mssjky2hniyd4z9jhcmxj"),
    ],
)
def test_what_rests_on_outputs_not_known_yet(scratch: Scratch, text: str, expected: str) -> None:
    """Its own outputs' variables are there, and empty."""
    assert scratch.eval(FLOATING % text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # Paths first, then derivations with their closures, then outputs; each by path.
        ('builtins.toFile (d.drvPath + "${d}" + builtins.toFile "f" "") ""', r"such as '/nix/store/[a-z0-9]{32}-f'"),
        ('builtins.toFile (d.outPath + d.drvPath) ""', r"-n.drv \(deep\)'"),
        ('builtins.toFile "z" "${d.dev}${d}"', r"references !dev![a-z0-9]{32}-n.drv"),
        ('builtins.toFile "z" (toString d + d.drvPath)', r"references =[a-z0-9]{32}-n.drv"),
        ('builtins.getContext (builtins.outputOf "${c}" "out")', r"output 'out' of the unbuilt derivation '.*-c.drv'"),
        ('builtins.outputOf (builtins.toFile "g" "") "out"', "store path '[a-z0-9]{32}-g' is not a valid derivation"),
    ],
)
def test_which_reference_is_named(scratch: Scratch, text: str, message: str) -> None:
    d = 'let d = derivation { name = "n"; system = "s"; builder = "/b"; outputs = [ "out" "dev" ]; }; in '
    features = frozenset({"dynamic-derivations", "ca-derivations"})
    with pytest.raises(EvalError, match=message):
        scratch.eval(d + FLOATING % text, experimental_features=features)


def test_attributes_that_structured_ones_disable_are_warned_of(scratch: Scratch) -> None:
    said: list[str] = []

    class Listening(SilentReporter):
        def log(self, level: Verbosity, text: str) -> None:
            said.append(text)

    session = scratch.session(read_only=True)
    session.effects.reporter = Listening()
    text = DRV % "{ __structuredAttrs = true; allowedReferences = [ ]; }"
    session.evaluator.eval_string(f"({text}).drvPath", "/")
    assert "'structuredAttrs' disables the effect" in "".join(said)
    text = DRV % '{ __json = "{}"; }'
    session.evaluator.eval_string(f"({text}).drvPath", "/")
    assert "via '__json' is deprecated" in "".join(said)


def test_each_derivation_is_told_where_that_is_wanted(scratch: Scratch) -> None:
    said: list[str] = []

    class Talkative(SilentReporter):
        verbosity = Verbosity.CHATTY

        def log(self, level: Verbosity, text: str) -> None:
            said.append(text)

    session = scratch.session(read_only=True)
    session.effects.reporter = Talkative()
    for name in ("one", "two"):
        text = f"({DRV % '{ }'}).drvPath".replace('"x"', f'"{name}"')
        session.evaluator.eval_string(text, "/")
    assert [text.split("'")[1] for text in said] == ["one", "two"]


def test_derivations_of_several_outputs(scratch: Scratch) -> None:
    """Their inputs are joined, whichever output is mentioned first."""
    several = DRV % '{ outputs = [ "out" "dev" "lib" ]; }'
    text = f"let a = {several}; in ({DRV % '{ inputs = [ a.lib a.out a.dev a.lib ]; }'}).drvPath"
    session = scratch.session(read_only=True)
    path = getattr(session.evaluator.eval_string(text, "/"), "text", "")
    assert b'["dev","lib","out"]' in session.effects.instantiator.made[path][0]
