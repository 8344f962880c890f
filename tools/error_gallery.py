"""Writes docs/errors.md: common mistakes, what frazil says and what C++ Nix says.

    python tools/error_gallery.py [--nix PROGRAM]

Each mistake is a small project in a folder of its own. Both programs really run; without C++ Nix its column is taken
over from the page as it is. `frazil` is the one that runs this script.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/errors.md"
START = "import sys; from frazil.cli import main; sys.exit(main())"
LIB = '(import (builtins.getEnv "GALLERY_LIB"))'
FEATURES = "nix-command flakes"


class Mistake(NamedTuple):
    """`files`: the project; `command`: words after the program's name; `git`: whether it is a repository, and of
    which files."""

    title: str
    files: dict[str, str]
    command: list[str]
    git: list[str] | None = None


def expression(title: str, text: str, *more: str) -> Mistake:
    return Mistake(title, {"example.nix": text}, ["eval", "--file", "example.nix", *more])


def flake(title: str, text: str, command: list[str], **files: str) -> Mistake:
    return Mistake(title, {"flake.nix": text, **files}, command, ["flake.nix"])


def module(title: str, *bodies: str) -> Mistake:
    files = {f"part{number}.nix": body for number, body in enumerate(bodies, 1)}
    names = " ".join(f"./{name}" for name in files)
    text = f"let lib = {LIB};\nin (lib.evalModules {{ modules = [ {names} ]; }}).config\n"
    return Mistake(title, {"example.nix": text, **files}, ["eval", "--json", "--file", "example.nix", "web"])


OPTIONS = """{ lib, ... }: {
  options.web.port = lib.mkOption { type = lib.types.port; };
  options.web.name = lib.mkOption { type = lib.types.str; };
}
"""
DERIVATION = """{{ outputs = {{ self }}: {{
  packages.x86_64-linux.default = derivation {{
    name = "app"; system = "{system}"; builder = "/bin/sh";
    args = [ "-c" "{script}" ]; {more}
  }};
}}; }}
"""
DEPENDING = """{ config, lib, ... }: {
  imports = lib.optional (config.web.port == 80) ./part1.nix;
}
"""
CALL_PACKAGE = f"""let
  lib = {LIB};
  packages = {{ hello = 1; openssl = 2; inherit callPackage; }};
  callPackage = lib.callPackageWith packages;
in
callPackage ./package.nix {{ }}
"""
OVERLAY = """let
  base = final: { hello = { version = "1"; }; };
  overlay = final: prev: {
    hello = final.hello // { version = "2"; };
  };
  fix = f: let x = f x; in x;
in
fix (final: let prev = base final; in prev // overlay final prev)
"""
FIXED = 'outputHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="; outputHashMode = "flat";'
MISTAKES = [
    expression("A forgotten semicolon", '{\n  name = "app"\n  version = "1";\n}\n'),
    expression("A bracket that is never closed", "{\n  list = [ 1 2 3;\n}\n"),
    expression("A string that is never closed", '{ a = "text; }\n'),
    expression("The same attribute twice", '{\n  port = 80;\n  name = "x";\n  port = 81;\n}\n'),
    expression("A colon instead of an equals sign", '{ name: "app"; }\n'),
    expression("A comma in a list", "{\n  ports = [ 80, 443 ];\n}\n"),
    expression("A comma in a set", "{ a = 1, b = 2 }\n"),
    expression("An `if` without `else`", '{ debug }: {\n  flags = if debug then [ "-g" ];\n}\n'),
    expression("A `let` without `in`", 'let\n  version = "1";\n\n{ name = "app-${version}"; }\n'),
    expression("A quote from a word processor", "{ name = “app”; }\n"),
    expression("A comment as in other languages", "{\n  // the port\n  port = 80;\n}\n"),
    expression("A shell variable in a script", "''\n  echo ${HOME}\n''\n"),
    expression("A version without quotes", "{ version = 1.2.3; }\n", "version"),
    expression("A set whose names see each other", '{\n  version = "1.2";\n  name = "app-${version}";\n}\n', "name"),
    expression("`inherit` without parentheses", "let lib = { a = 1; b = 2; }; in { inherit lib a b; }\n"),
    expression("A misspelt variable", 'let version = "1"; in { name = "app-${verison}"; }\n'),
    expression("A misspelt name from `with`", "with { alpha = 1; beta = 2; }; { total = alhpa + beta; }\n", "total"),
    expression("A misspelt attribute", 'let package = { version = "1"; pname = "app"; };\nin package.verison\n'),
    expression("A number joined to a string", 'let port = 80; in "localhost:" + port\n'),
    expression("A set put into a string", 'let user = { name = "a"; }; in "hello ${user}"\n'),
    expression("A list in place of a string", "builtins.stringLength [ 1 2 ]\n"),
    expression("Something that is no function", "let twice = x: x * 2; in (twice 2) 3\n"),
    expression(
        "A missing argument", 'let build = { name, version, debug ? false }: name;\nin build { name = "app"; }\n'
    ),
    expression(
        "An argument nobody expects",
        'let build = { name, version ? "1" }: name;\nin build { name = "a"; verison = "2"; }\n',
    ),
    expression("A list where a set is wanted", "builtins.attrNames [ { a = 1; } ]\n"),
    expression("An element that is not there", "builtins.elemAt [ 1 2 3 ] 3\n"),
    expression("The head of nothing", "builtins.head (builtins.filter (x: x > 9) [ 1 2 3 ])\n"),
    expression("A value that needs itself", 'let name = "app-${name}"; in name\n'),
    expression(
        "Values that need each other",
        "rec {\n  width = height * 2;\n  height = depth + 1;\n  depth = width;\n}.width\n",
    ),
    expression("A function that never ends", "let count = n: 1 + count (n + 1);\nin count 0\n"),
    expression("A failed assertion", 'let version = "1.0"; in\nassert version == "2.0"; version\n'),
    expression(
        "`throw` from deep inside",
        'let\n  check = x: if x > 2 then throw "too large: ${toString x}" else x;\n'
        'in builtins.deepSeq (map check [ 1 2 3 ]) "fine"\n',
    ),
    expression(
        "Division by zero",
        "let average = list: builtins.foldl' (a: b: a + b) 0 list / builtins.length list;\nin average [ ]\n",
    ),
    expression("A number too large", "9223372036854775807 + 1\n"),
    expression("A file that is not there", "import ./missing.nix\n"),
    Mistake(
        "A misspelt file",
        {"example.nix": "{\n  module = import ./modlue.nix;\n}\n", "module.nix": "{ }\n"},
        ["eval", "--file", "example.nix", "module"],
    ),
    Mistake(
        "A folder without default.nix",
        {"example.nix": "import ./app\n", "app/package.nix": "{ }: 1\n"},
        ["eval", "--file", "example.nix"],
    ),
    Mistake(
        "JSON that is none",
        {
            "example.nix": "builtins.fromJSON (builtins.readFile ./data.json)\n",
            "data.json": '{\n  "a": 1,\n  "b": [1, 2,],\n  "c": 3\n}\n',
        },
        ["eval", "--file", "example.nix"],
    ),
    expression("An operator that is switched off", "[ 3 1 2 ] |> builtins.length\n"),
    expression("A name that is not on the search path", "import <nopkgs> { }\n"),
    module("An option of the wrong type", OPTIONS, '{ config, ... }: {\n  web.port = "80";\n  web.name = "x";\n}\n'),
    module("An option set twice", OPTIONS, '{\n  web.port = 80;\n  web.name = "a";\n}\n', '{\n  web.name = "b";\n}\n'),
    module("An option nobody declares", OPTIONS, '{\n  web.port = 80;\n  web.name = "a";\n  web.prot = 81;\n}\n'),
    module("An option without a value", OPTIONS, "{\n  web.port = 80;\n}\n"),
    module("`imports` that depend on `config`", OPTIONS, DEPENDING),
    module("A module argument that nobody gives", OPTIONS, "{ pkgs, ... }: {\n  web.name = pkgs.hello.name;\n}\n"),
    module(
        "Settings beside `options`",
        OPTIONS,
        '{ lib, ... }: {\n  options.debug = lib.mkEnableOption "it";\n  web.port = 80;\n}\n',
    ),
    module("A file among `imports` that is not there", OPTIONS, "{\n  imports = [ ./more.nix ];\n}\n"),
    Mistake(
        "`callPackage` with an argument that is no package",
        {"example.nix": CALL_PACKAGE, "package.nix": "{ hello, openssll }:\nhello\n"},
        ["eval", "--file", "example.nix"],
    ),
    expression("An overlay that asks for itself", OVERLAY, "hello"),
    flake(
        "A file git does not know",
        "{ outputs = { self }: { answer = import ./answer.nix; }; }\n",
        ["eval", ".#answer"],
        **{"answer.nix": "42\n"},
    ),
    flake(
        "An output that is not there",
        "{ outputs = { self }: { packages.x86_64-linux.hello = 1; }; }\n",
        ["build", ".#helo"],
    ),
    flake(
        "A package for other machines only",
        "{ outputs = { self }: { packages.aarch64-darwin.default = 1; }; }\n",
        ["build"],
    ),
    flake("Packages without a system", "{ outputs = { self }: { packages.default = 1; }; }\n", ["build"]),
    flake(
        "The machine's system in a flake",
        "{\n  outputs = { self }: {\n    packages.${system}.default = 1;\n  };\n}\n",
        ["build"],
    ),
    flake(
        "builtins.currentSystem in a flake",
        "{ outputs = { self }: { a = builtins.currentSystem; }; }\n",
        ["eval", ".#a"],
    ),
    flake("<nixpkgs> in a flake", "{ outputs = { self }: { a = import <nixpkgs> { }; }; }\n", ["eval", ".#a"]),
    flake(
        "A `let` around a flake",
        'let version = "1"; in {\n  outputs = { self }: { inherit version; };\n}\n',
        ["eval", ".#version"],
    ),
    flake("A path that leaves the flake", "{ outputs = { self }: { a = import ../other.nix; }; }\n", ["eval", ".#a"]),
    flake(
        "A set where a package is wanted",
        '{ outputs = { self }: {\n  packages.x86_64-linux.default = { name = "app"; };\n}; }\n',
        ["build"],
    ),
    flake(
        "An input that is not there",
        '{\n  inputs.dep.url = "path:./dep";\n  outputs = { self, dep }: { a = dep.a; };\n}\n',
        ["eval", ".#a"],
    ),
    flake(
        "A misspelt attribute of a flake",
        '{\n  descripton = "x";\n  outputs = { self }: { a = 1; };\n}\n',
        ["eval", ".#a"],
    ),
    Mistake("A folder without a flake", {"README": "nothing\n"}, ["build"]),
    flake(
        "A lock file that is damaged",
        "{ outputs = { self }: { a = 1; }; }\n",
        ["eval", ".#a"],
        **{"flake.lock": '{\n  "nodes": {\n'},
    ),
    flake(
        "A builder that fails",
        DERIVATION.format(system="x86_64-linux", script="echo compiling; echo no rule to make target; exit 2", more=""),
        ["build", "--no-link"],
    ),
    flake(
        "A hash that does not match",
        DERIVATION.format(system="x86_64-linux", script="echo data > $out", more=FIXED),
        ["build", "--no-link"],
    ),
    flake(
        "A package for another kind of machine",
        DERIVATION.format(system="riscv64-linux", script="true", more=""),
        ["build", "--no-link"],
    ),
    Mistake("A misspelt option of the command line", {}, ["build", "--no-lnik"]),
    Mistake("A misspelt command", {}, ["biuld"]),
]


def make_project(mistake: Mistake, folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, text in mistake.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    if mistake.git is not None:
        tracked = [name for name in mistake.files if name in mistake.git or name == "flake.lock"]
        for words in (["init", "--quiet"], ["add", *tracked], ["commit", "--quiet", "--message", "first"]):
            identity = ["-c", "user.name=A", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"]
            subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def run(program: list[str], mistake: Mistake, folder: Path, scratch: Path) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch / "home"),
        "NIX_CONFIG": f"experimental-features = {FEATURES}\nsubstituters =\nsandbox = false\nbuild-users-group =\n",
        "NIX_REMOTE": f"local?root={scratch}/root",
        "GALLERY_LIB": str(scratch.parent / "frazilpkgs/lib"),
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT / "src"),
    }
    done = subprocess.run(
        [*program, *mistake.command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
    )
    text = done.stderr.replace(str(folder), "/project").replace(str(scratch.parent), "")
    text = re.sub(r"warning: Git tree '[^']*' is dirty\n", "", text)
    return text.replace("python -c", "frazil").strip() + f"\n(exit status {done.returncode})"


def known_column(page: str) -> dict[str, str]:
    """What the page holds of C++ Nix, by title."""
    found = {}
    for section in page.split("\n## ")[1:]:
        title = section.partition("\n")[0].partition(". ")[2]
        parts = re.findall(r"```text\n(.*?)\n```", section, re.S)
        if len(parts) == 3:
            found[title] = parts[2]
    return found


def write_page(nix: list[str] | None, version: str) -> str:
    known = known_column(PAGE.read_text()) if PAGE.exists() else {}
    out = [
        "# Errors, side by side",
        "",
        f"{len(MISTAKES)} common mistakes: what frazil says, and what C++ Nix{version} says. Both really ran;",
        "`tools/error_gallery.py` writes this page. `--show-trace` gives every step in Nix's own layout.",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copytree(ROOT / "src/frazil/packages/lib", Path(scratch) / "frazilpkgs/lib")
        for number, mistake in enumerate(MISTAKES, 1):
            folder = Path(scratch) / f"p{number}" / "project"
            make_project(mistake, folder)
            ours = run([sys.executable, "-c", START], mistake, folder, Path(scratch) / "ours")
            theirs = known.get(mistake.title, "")
            if nix is not None:
                theirs = run(nix, mistake, folder, Path(scratch) / "theirs")
            shown = "\n".join(f"# {name}\n{text.rstrip()}" for name, text in mistake.files.items() if text)
            command = " ".join(["frazil", *mistake.command])
            out += ["", f"## {number}. {mistake.title}", "", "```text", f"{shown}\n$ {command}".strip(), "```"]
            out += ["", "```text", ours, "```"]
            if theirs:
                out += ["", "<details><summary>C++ Nix</summary>", "", "```text", theirs, "```", "", "</details>"]
    return "\n".join(out) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write docs/errors.md.")
    parser.add_argument("--nix", help="a program that runs C++ Nix")
    options = parser.parse_args()
    version = ""
    if options.nix:
        said = subprocess.run([*options.nix.split(), "--version"], capture_output=True, text=True, check=True).stdout
        version = " " + said.split()[-1]
    elif PAGE.exists():
        found = re.search(r"C\+\+ Nix( [0-9.]+) says", PAGE.read_text())
        version = found[1] if found else ""
    PAGE.write_text(write_page(options.nix.split() if options.nix else None, version))


if __name__ == "__main__":
    main()
