"""`flake show`, `check`, `metadata`, `init`, `registry`, and installables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Run

Make = Callable[[str, str], Path]
DRV = 'drv = name: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; };'


def flake(body: str) -> str:
    return '{ description = "D"; outputs = { self }: let ' + DRV + " in { " + body + " }; }"


FULL = flake(
    'packages.x86_64-linux = { default = drv "a-1.0"; "c.d" = drv "cd"; hello = drv "hello" '
    '// { meta.description = "Hi"; }; }; packages.aarch64-linux.default = drv "arm"; '
    'apps.x86_64-linux.default = { type = "app"; program = "${drv "a"}/bin/x"; }; '
    'legacyPackages.x86_64-linux.old = drv "old"; devShells = { }; lib.f = 1; overlays.default = final: prev: { };'
)
SYSTEM = ("--option", "system", "x86_64-linux")


def test_show_draws_a_tree(run: Run, make: Make) -> None:
    lines = run("flake", "show", *SYSTEM, cwd=make("full", FULL)).out.splitlines()
    assert lines[0].startswith("path:")
    assert "\n".join(lines[1:]) == (
        "├───apps\n"
        "│   └───x86_64-linux\n"
        "│       └───default: app: no description\n"
        "├───legacyPackages\n"
        "│   └───x86_64-linux omitted (use '--legacy' to show)\n"
        "├───lib: unknown\n"
        "├───overlays\n"
        "│   └───default: Nixpkgs overlay\n"
        "└───packages\n"
        "    ├───aarch64-linux\n"
        "    │   └───default omitted (use '--all-systems' to show)\n"
        "    └───x86_64-linux\n"
        "        ├───\"c.d\": package 'cd'\n"
        "        ├───default: package 'a-1.0'\n"
        "        └───hello: package 'hello'"
    )


def test_show_gives_json(run: Run, make: Make) -> None:
    text = run("flake", "show", "--json", "--all-systems", "--legacy", *SYSTEM, cwd=make("full", FULL)).out
    found = json.loads(text)
    assert found["packages"]["x86_64-linux"]["hello"] == {"type": "derivation", "name": "hello", "description": "Hi"}
    assert found["packages"]["aarch64-linux"]["default"]["name"] == "arm"
    assert found["apps"]["x86_64-linux"]["default"] == {"type": "app"}
    assert found["legacyPackages"]["x86_64-linux"]["old"]["name"] == "old"
    assert found["lib"] == {"type": "unknown"}


def test_metadata(run: Run, make: Make) -> None:
    folder = make("full", FULL)
    found = json.loads(run("flake", "metadata", "--json", cwd=folder).out)
    assert found["description"] == "D"
    assert found["original"] == {"type": "path", "path": str(folder)}
    assert found["path"].startswith("/nix/store/")
    assert found["locks"] == {"nodes": {"root": {}}, "root": "root", "version": 7}
    assert f"Resolved URL:  path:{folder}" in run("flake", "metadata", cwd=folder).out


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("packages.x86_64-linux.a = 1;", "flake attribute 'packages.x86_64-linux.a' is not a derivation"),
        ("packages.foo.a = 1;", "'foo' is not a valid system type"),
        ('apps.x86_64-linux.a = { type = "app"; };', "app 'apps.x86_64-linux.a' lacks attribute 'program'"),
        ('apps.x86_64-linux.a = { type = "app"; program = "x"; z = 1; };', "has unsupported attribute 'z'"),
        ("overlays.a = 1;", "overlay is not a function, but an integer instead"),
        ("overlays.a = x: y: { };", "overlay does not take an argument named 'final'"),
        ("templates.a = { path = ./.; };", "template 'templates.a' lacks attribute 'description'"),
        ('templates.a = { path = ./nope; description = "x"; };', "refers to a non-existent path"),
        ("bundlers.x86_64-linux.a = 1;", "bundler must be a function"),
        ('hydraJobs = drv "x";', "jobset should not be a derivation at top-level"),
        ("nixosConfigurations.a.config.system.build.toplevel = 1;", "is not a derivation"),
        ('checks.x86_64-linux.a = throw "oops";', "oops"),
    ],
)
def test_check_finds(run: Run, make: Make, body: str, message: str) -> None:
    said = run("flake", "check", "--no-build", *SYSTEM, cwd=make("bad", flake(body)), status=1).err
    assert message in said
    assert "while checking flake output" in said


def test_check_goes_on_after_errors(run: Run, make: Make) -> None:
    folder = make("bad", flake("packages.x86_64-linux.a = 1; packages.x86_64-linux.b = 2;"))
    said = run("flake", "check", "--no-build", "--keep-going", *SYSTEM, cwd=folder, status=1).err
    assert "packages.x86_64-linux.a" in said
    assert "'packages.x86_64-linux.b' is not a derivation" in said
    assert "some errors were encountered during the evaluation" in said


def test_check_names_what_it_left_out(run: Run, make: Make) -> None:
    said = run("flake", "check", "--no-build", *SYSTEM, cwd=make("full", FULL)).err
    assert "all checks passed!" in said
    assert "The check omitted these incompatible systems: aarch64-linux" in said


def test_attribute_paths(run: Run, make: Make) -> None:
    folder = make("full", FULL)
    for fragment in ("", "default", "packages.x86_64-linux.default", ".packages.x86_64-linux.default"):
        assert run("eval", "--raw", f".#{fragment}", "--apply", "x: x.name", *SYSTEM, cwd=folder).out == "a-1.0"
    assert run("eval", "--raw", ".#old.name", *SYSTEM, cwd=folder).out == "old"
    assert run("eval", "--raw", '.#"c.d".name', *SYSTEM, cwd=folder).out == "cd"
    said = run("eval", ".#helo", *SYSTEM, cwd=folder, status=1).err
    assert (
        "does not provide attribute 'packages.x86_64-linux.helo', 'legacyPackages.x86_64-linux.helo' or 'helo'" in said
    )
    assert "Did you mean hello?" in said


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("build", ".#hello.missing"), "`packages.x86_64-linux.hello` has no `missing`; it has: all, builder,"),
        (("eval", ".#lib.g"), "`lib` has no `g`; it has: f"),
        (("build", ".#lib.text"), "this is text and no package, there is nothing to build: 'eval' shows it"),
        (("build", "./hello"), "an attribute of the flake in that folder is written with #, as in .#hello"),
        (("run", ".#broken"), "the package has no programs: there is no folder 'bin' in it"),
        (("run", ".#odd"), "there is no 'odd', but: even."),
    ],
)
def test_what_to_ask_for_instead(run: Run, make: Make, words: tuple[str, ...], hint: str) -> None:
    body = (
        'packages.x86_64-linux = { hello = drv "hello"; broken = built "broken" "echo > $out"; odd = '
        'built "odd" "mkdir -p $out/bin; > $out/bin/even"; };'
        'lib = { f = 1; text = "some"; };'
    )
    text = flake(body).replace(
        DRV,
        DRV + 'built = name: text: drv name // derivation { inherit name; system = "x86_64-linux"; '
        'builder = "/bin/sh"; args = [ "-c" "PATH=/bin:/usr/bin; ${text}" ]; };',
    )
    done = run("--option", "sandbox", "false", *words, *SYSTEM, cwd=make("instead", text), status=1)
    assert hint in " ".join(done.err.split())


def test_answers_are_remembered_until_the_tree_changes(run: Run, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("full", FULL)
    first = run("build", "--dry-run", ".#hello", *SYSTEM, cwd=folder)
    monkeypatch.setenv("NIX_ALLOW_EVAL", "0")
    assert run("build", "--dry-run", ".#hello", *SYSTEM, cwd=folder) == first
    refused = "not everything is cached, but evaluation is not allowed"
    assert refused in run("build", "--dry-run", ".#default", *SYSTEM, cwd=folder, status=1).err
    make("full", FULL + "\n# changed")
    assert refused in run("build", "--dry-run", ".#hello", *SYSTEM, cwd=folder, status=1).err


def test_init_overwrites_nothing(run: Run, make: Make, tmp_path: Path) -> None:
    source = make(
        "source", '{ outputs = _: { templates.t = { path = ./t; description = "x"; welcomeText = "Hi"; }; }; }'
    )
    (source / "t" / "sub").mkdir(parents=True)
    (source / "t" / "sub" / "file").write_text("new")
    (source / "t" / "link").symlink_to("sub/file")
    target = tmp_path / "target"
    said = run("flake", "new", "-t", f"path:{source}#t", str(target)).err
    assert (target / "sub" / "file").read_text() == "new"
    assert (target / "link").is_symlink()
    assert "Hi" in said
    assert "skipping identical file" in run("flake", "init", "-t", f"path:{source}#t", cwd=target).err
    (target / "sub" / "file").write_text("mine")
    said = run("flake", "init", "-t", f"path:{source}#t", cwd=target, status=1).err
    assert "\nrefusing to overwrite existing file" in said
    assert "encountered 1 conflicts" in said
    assert (target / "sub" / "file").read_text() == "mine"


def test_registry(run: Run, make: Make) -> None:
    folder = make("leaf", "{ outputs = _: { v = 5; }; }")
    run("registry", "add", "mine", f"path:{folder}")
    assert run("registry", "list").out.split() == ["user", "flake:mine", f"path:{folder}"]
    assert run("registry", "resolve", "mine").out.strip() == f"path:{folder}"
    assert run("eval", "mine#v").out.strip() == "5"
    run("registry", "pin", "mine")
    assert "narHash=" in run("registry", "list").out
    run("registry", "remove", "mine")
    assert run("registry", "list").out == ""


def test_prefetch_and_archive(run: Run, make: Make) -> None:
    make("leaf", "{ outputs = _: { }; }")
    top = make("top", '{ inputs.leaf.url = "path:ROOT/leaf"; outputs = _: { }; }')
    found = json.loads(run("flake", "prefetch", "--json", f"path:{top}").out)
    assert found["hash"].startswith("sha256-")
    record = json.loads(run("flake", "archive", "--json", cwd=top).out)
    assert set(record["inputs"]) == {"leaf"}
    assert record["inputs"]["leaf"]["path"].startswith("/nix/store/")


def test_inputs_are_fetched_each_for_itself(run: Run, make: Make) -> None:
    leaf = make("leaf", "{ OUTPUTS }")
    make("middle", '{ inputs.leaf.url = "path:ROOT/leaf"; OUTPUTS }')
    top = make("top", '{ inputs.middle.url = "path:ROOT/middle"; inputs.leaf.follows = "middle/leaf"; OUTPUTS }')
    run("flake", "lock", cwd=top)
    (leaf / "changed").write_text("")
    said = run("--store", f"{top.parent}/other", "flake", "prefetch-inputs", cwd=top, status=1).err
    assert said.count("fetching 'path:") == 2
    assert "NAR hash mismatch" in said
    assert run("flake", "prefetch-inputs", cwd=top).err.count("fetching 'path:") == 2  # both are in the store


def test_builtins(run: Run, make: Make) -> None:
    folder = make("leaf", "{ outputs = { self }: { v = 5; }; }")
    expression = f'(builtins.getFlake "path:{folder}").v'
    assert run("eval", "--impure", "--expr", expression).out.strip() == "5"
    assert "cannot call 'getFlake' on unlocked flake reference" in run("eval", "--expr", expression, status=1).err
    parsed = run("eval", "--json", "--expr", 'builtins.parseFlakeRef "github:a/b/c?dir=d"').out
    assert json.loads(parsed) == {"type": "github", "owner": "a", "repo": "b", "ref": "c", "dir": "d"}
    text = 'builtins.flakeRefToString { type = "github"; owner = "a"; repo = "b"; }'
    assert run("eval", "--raw", "--expr", text).out == "github:a/b"


def test_prefetch_names_the_tree_as_nix_does(run: Run, make: Make) -> None:
    folder = make("p", "{ OUTPUTS }")
    record = json.loads(run("flake", "prefetch", "--json", f"path:{folder}").out)
    assert set(record["locked"]) == {"lastModified", "path", "type"}
    pinned = f"path:{folder}?narHash={record['hash'].replace('+', '%2B')}"
    assert json.loads(run("flake", "prefetch", "--json", pinned).out)["locked"]["narHash"] == record["hash"]


def test_inputs_of_another_flake_as_they_are_locked(run: Run, make: Make) -> None:
    leaf = make("leaf", "{ OUTPUTS }")
    top = make("top", '{ inputs.leaf.url = "path:ROOT/leaf"; OUTPUTS }')
    run("flake", "lock", cwd=top)
    before = json.loads(run("flake", "metadata", "--json", "--inputs-from", ".", "leaf", cwd=top).out)
    assert before["resolved"]["__final"] is True
    (leaf / "data").write_text("changed")
    after = json.loads(run("flake", "metadata", "--json", "--inputs-from", ".", "leaf", cwd=top).out)
    assert after["path"] == before["path"]
