"""The library: nixpkgs' names and results."""

from __future__ import annotations

import pytest
from tests.packages.conftest import Evaluate

CASES = [
    ("lib.concatMapStringsSep \",\" toString [ 1 2 ]", "1,2"),
    ("lib.splitString \".\" \"a.b.\"", ["a", "b", ""]),
    ("lib.replicate 2 \"x\"", ["x", "x"]),
    ("lib.strings.replicate 2 \"x\"", "xx"),
    ("lib.escapeShellArgs [ \"a b\" \"it's\" \"c\" ]", "'a b' 'it'\\''s' c"),
    ("lib.recursiveUpdate { a.b = 1; a.c = 2; } { a.b = 3; }", {"a": {"b": 3, "c": 2}}),
    ("lib.mapAttrs' (n: v: lib.nameValuePair (n + \"x\") (v + 1)) { a = 1; }", {"ax": 2}),
    ("lib.filterAttrs (n: v: v > 1) { a = 1; b = 2; }", {"b": 2}),
    ("lib.foldr (a: b: a - b) 0 [ 5 3 ]", 2),
    ("lib.unique [ 1 2 1 ]", [1, 2]),
    ("(lib.toposort (a: b: a < b) [ 3 1 2 ]).result", [1, 2, 3]),
    ("lib.naturalSort [ \"a10\" \"a9\" ]", ["a9", "a10"]),
    ("lib.versions.majorMinor \"1.2.3\"", "1.2"),
    ("lib.versionAtLeast \"1.10\" \"1.9\"", True),
    ("lib.toInt \" -7 \"", -7),
    ("lib.toHexString 250", "FA"),
    ("lib.makeBinPath [ \"/a\" \"/b\" ]", "/a/bin:/b/bin"),
    ("lib.generators.toINI { } { a.b = 1; a.c = true; }", "[a]\nb=1\nc=true\n"),
    ("lib.generators.toKeyValue { } { x = \"y\"; }", "x=y\n"),
    ("lib.generators.toPretty { multiline = false; } { a = [ 1 null ]; }", "{ a = [ 1 null ]; }"),
    ("lib.cli.toGNUCommandLine { } { v = true; name = [ \"a\" \"b\" ]; }", ["--name", "a", "--name", "b", "-v"]),
    ("(lib.systems.elaborate \"aarch64-linux\").config", "aarch64-unknown-linux-gnu"),
    ("lib.licenses.mit.spdxId", "MIT"),
    ("(lib.makeOverridable ({ a }: { r = a + 1; }) { a = 1; }).override { a = 5; }", None),
    ("((lib.makeExtensible (self: { a = 1; b = self.a + 1; })).extend (f: p: { a = p.a + 10; })).b", 12),
    ("lib.getExe { type = \"derivation\"; name = \"x-1\"; outPath = \"/p\"; meta.mainProgram = \"m\"; }", "/p/bin/m"),
    ("lib.hasInfix \"b.c\" \"ab.cd\"", True),
    ("lib.attrByPath [ \"a\" \"b\" ] 0 { a.b = 4; }", 4),
    ("lib.sanitizeDerivationName or (lib.strings.sanitizeDerivationName \"..a b/c\")", "a-b-c"),
    ("(lib.callPackageWith { a = 1; b = 2; } ({ a, b ? 3 }: { s = a + b; }) { }).s", 3),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text[:40] for text, _ in CASES])
def test_results(evaluate: Evaluate, text: str, expected: object) -> None:
    if expected is None:
        assert evaluate(f"({text}).r") == 6
    else:
        assert evaluate(text) == expected


def test_systems(evaluate: Evaluate) -> None:
    configs = (
        'map (s: (lib.systems.elaborate s).config) [ "aarch64-darwin" "armv7l-linux" "x86_64-windows" "wasm32-wasi" ]'
    )
    assert evaluate(configs) == [
        "arm64-apple-darwin",
        "armv7l-unknown-linux-gnueabihf",
        "x86_64-pc-windows-msvc",
        "wasm32-unknown-wasi",
    ]
    triples = '[ "x86_64-w64-mingw32" "aarch64-none-elf" "x86_64-unknown-linux-musl" "arm64-apple-darwin20.3.0" ]'
    assert evaluate(f"map (config: (lib.systems.elaborate {{ inherit config; }}).system) {triples}") == [
        "x86_64-windows",
        "aarch64-none",
        "x86_64-linux",
        "aarch64-darwin",
    ]
    pair = 'map lib.systems.elaborate [ "x86_64-linux" "i686-linux" ]'
    text = f"let p = {pair}; a = builtins.head p; b = lib.last p; in [ (a.canExecute b) (b.canExecute a) ]"
    assert evaluate(text) == [True, False]
    assert evaluate('(lib.systems.elaborate { system = "x86_64-linux"; gcc.arch = "haswell"; }).avx2Support') is True
    assert evaluate("builtins.length lib.platforms.all > 70 && lib.platforms.windows != [ ]") is True
    matches = 'lib.meta.platformMatch (lib.systems.elaborate "x86_64-linux")'
    assert evaluate(f"map ({matches}) (with lib.systems.inspect.patterns; [ isLinux isDarwin ])") == [True, False]


def test_licences(evaluate: Evaluate) -> None:
    names = "[ unfreeRedistributable.redistributable unfree.redistributable gpl2.deprecated agpl3Plus.free sspl.free ]"
    assert evaluate(f"with lib.licenses; {names}") == [True, False, True, True, False]


def test_network(evaluate: Evaluate) -> None:
    expected = {"address": "2001:db8:0:0:0:0:0:ffff", "prefixLength": 32}
    assert evaluate('lib.network.ipv6.fromString "2001:DB8::ffff/32"') == expected
    for bad in ("1:2", "1::2::3", "::/129", "g::", "1:2:3:4:5:6:7:8:9", "::1/1/1"):
        assert evaluate(f'(builtins.tryEval (lib.network.ipv6.fromString "{bad}").address).success') is False
    assert evaluate('lib.mkEUI64Suffix "66:75:63:6B:20:75"') == "6475:63ff:fe6b:2075"


def test_gvariant(evaluate: Evaluate) -> None:
    assert evaluate('with lib.gvariant; toString (mkTuple [ (mkUint32 5) "a\'b" ])') == "@(us) (@u 5,'a\\'b')"
    text = 'lib.generators.toDconfINI { "org/x" = { a = [ "x" ]; b = true; }; }'
    assert evaluate(text) == "[org/x]\na=@as ['x']\nb=true\n"


def test_names_of_sources(evaluate: Evaluate) -> None:
    assert evaluate('lib.sources.repoRevToName "full" "git@x:a/b.git" "v1.2" null') == "b-1.2-source"
    accepts = '(lib.sources.sourceByGlobs /x [ "*.c" "a/**" ]).filter'
    assert evaluate(f'map (p: {accepts} p "regular") [ "/x/a/b/c" "/x/b/c.c" "/x/c.c" ]') == [
        True,
        False,
        True,
    ]


def test_later_definitions_stand_first(evaluate: Evaluate) -> None:
    declared = "{ options.a = lib.mkOption { type = lib.types.lines; }; }"
    assert (
        evaluate(f'(lib.evalModules {{ modules = [ {declared} {{ a = "x"; }} {{ a = "y"; }} ]; }}).config.a') == "y\nx"
    )


def test_type_names(evaluate: Evaluate) -> None:
    assert evaluate("map (t: t.name) (with lib.types.ints; [ u8 s16 ])") == ["unsignedInt8", "signedInt16"]
    described = "(lib.types.submodule { freeformType = lib.types.attrsOf lib.types.int; }).description"
    assert evaluate(described) == "open submodule of attribute set of signed integer"


MODULES = """
let
  eval = modules: lib.evalModules { inherit modules; };
  base = { lib, config, ... }: {
    options.enable = lib.mkEnableOption "it";
    options.names = lib.mkOption { type = lib.types.listOf lib.types.str; default = [ ]; };
    options.sub = lib.mkOption { type = lib.types.attrsOf (lib.types.submodule ({ name, ... }: {
      options.title = lib.mkOption { type = lib.types.str; default = "t-${name}"; };
      options.port = lib.mkOption { type = lib.types.port; };
    })); default = { }; };
    options.out = lib.mkOption { type = lib.types.lines; };
    config.out = lib.mkIf config.enable "on";
  };
in
"""


def test_modules(evaluate: Evaluate) -> None:
    text = """
      (eval [ base
        { enable = true; names = lib.mkAfter [ "z" ]; sub.a.port = 80; }
        { names = [ "a" ]; out = lib.mkBefore "first"; sub.a.title = lib.mkDefault "dd"; sub.b.port = lib.mkForce 1; }
        { sub.b.port = 2; }
      ]).config
    """
    assert evaluate(MODULES + text) == {
        "enable": True,
        "names": ["a", "z"],
        "sub": {"a": {"title": "dd", "port": 80}, "b": {"title": "t-b", "port": 1}},
        "out": "first\non",
    }


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("{ enable = 1; }", "is not of type `boolean'"),
        ("{ enabled = true; }", "does not exist"),
        ("{ sub.a.port = 70000; }", "16 bit unsigned integer"),
        ("{ sub.a = { }; }", "has no value defined"),
        ('{ options.enable = lib.mkEnableOption "x"; }', "already declared"),
    ],
)
def test_wrong_modules(evaluate: Evaluate, module: str, message: str) -> None:
    from frazil.errors import FrazilError

    with pytest.raises(FrazilError, match=message):
        evaluate(f'{MODULES} (eval [ base {module} {{ out = ""; }} ]).config')


def test_file_sets(evaluate: Evaluate, tmp_path: object) -> None:
    from pathlib import Path

    folder = Path(str(tmp_path))
    for name in ("a.c", "b.h", "sub/c.c", "sub/d.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    text = f"""
      let fs = lib.fileset; in map (x: lib.removePrefix "{folder}/" (toString x)) (fs.toList
        (fs.difference
          (fs.union {folder}/a.c (fs.fileFilter (f: f.hasExt "c" || f.hasExt "txt") {folder}/sub))
          {folder}/sub/d.txt))
    """
    assert evaluate(text) == ["a.c", "sub/c.c"]
