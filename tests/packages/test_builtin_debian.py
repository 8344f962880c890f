"""`builtin:debian` on small packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.packages.debs import Item, deb_of

from frazil.build.builtin_debian import isolate_loader, make_prefix, wrapper_text
from frazil.build.deb_archive import BadArchive
from frazil.build.debian_plan import BadPlan, Plan, Substitution, Wrapper
from frazil.build.elf import read_elf
from frazil.build.elf_patch import PatchFailed

TRIPLET = "x86_64-linux-gnu"
Make = Callable[..., Path]


class Store:
    """Logical `/nix/store` below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[str] = []

    def real(self, path: str) -> str:
        return f"{self.folder}{path}"

    def deb(self, name: str, items: list[Item]) -> str:
        path = Path(self.real(f"/nix/store/{name}.deb"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(deb_of(items))
        return f"/nix/store/{name}.deb"

    def make(self, name: str, packages: list[str], **plan: object) -> Path:
        output = f"/nix/store/{name}"
        full = Plan(packages=tuple(packages), triplet=TRIPLET, **plan)  # type: ignore[arg-type]
        make_prefix(full, output, self.real(output), self.real, self.log.append)
        return Path(self.real(output))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def test_folders_are_folded(store: Store) -> None:
    deb = store.deb(
        "a",
        [
            ("./usr/games/play", b"#!/bin/sh\n", 0o755),
            ("./sbin/serve", b"x", 0o755),
            (f"./usr/lib/{TRIPLET}/libx.so.1", b"x", 0o644),
            (f"./lib/{TRIPLET}/liby.so", "libx.so.1", 0o1),
            ("./usr/share/doc/a/changelog", b"long", 0o644),
            ("./usr/share/doc/a/copyright", b"MIT", 0o644),
            ("./var/lib/a/state", b"x", 0o644),
            (f"./usr/include/{TRIPLET}/x.h", b"", 0o644),
            ("./usr/include/y.h", b"", 0o644),
        ],
    )
    out = store.make("out", [deb])
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*") if not path.is_dir())
    assert "bin/play" in found and "bin/serve" in found and "share/doc/a/copyright" in found
    assert "share/doc/a/changelog" not in found and not any(name.startswith("var") for name in found)
    assert os.readlink(out / "lib/liby.so") == "libx.so.1"
    assert os.readlink(out / f"lib/{TRIPLET}") == "."
    assert (out / "include/x.h").exists() and os.readlink(out / "sbin") == "bin"


def test_links_lead_to_dependencies_or_are_left_out(store: Store) -> None:
    library = store.deb("lib", [(f"./usr/lib/{TRIPLET}/libz.so.1", b"x", 0o644)])
    store.make("zlib", [library])
    deb = store.deb(
        "dev",
        [
            (f"./usr/lib/{TRIPLET}/libz.so", f"/lib/{TRIPLET}/libz.so.1", 0o1),
            ("./usr/share/x", "/etc/alternatives/x", 0o1),
            ("./usr/share/null", "/dev/null", 0o1),
        ],
    )
    out = store.make("dev", [deb], depends=("/nix/store/zlib",))
    assert os.readlink(out / "lib/libz.so") == "/nix/store/zlib/lib/libz.so.1"
    assert not os.path.lexists(out / "share/x")
    assert os.readlink(out / "share/null") == "/dev/null"
    assert any("share/x -> /etc/alternatives/x" in line for line in store.log)


def test_python_cannot_write_beside_its_modules(store: Store) -> None:
    dist = "usr/lib/python3/dist-packages"
    modules = [
        "usr/lib/python3.13/os.py",
        "usr/lib/python3.13/json/tool.py",
        f"{dist}/pack/__init__.py",
        f"{dist}/one.py",
    ]
    out = store.make("out", [store.deb("py", [(f"./{name}", b"x = 1\n", 0o644) for name in modules])])
    sealed = sorted(str(path.relative_to(out).parent) for path in out.rglob("__pycache__"))
    assert sealed == ["lib/python3.13", "lib/python3.13/json", "lib/python3/dist-packages/pack"]
    done = subprocess.run(
        [sys.executable, "-S", "-W", "error", "-c", "import pack; assert pack.x == 1"],
        env={"PYTHONPATH": f"{out}/lib/python3/dist-packages"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert all(path.is_file() for path in out.rglob("__pycache__"))


def test_nothing_is_written_through_links(store: Store, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    deb = store.deb("evil", [("./usr/share/d", str(outside), 0o1), ("./usr/share/d/file", b"x", 0o644)])
    with pytest.raises(BadArchive):
        store.make("out", [deb])
    assert list(outside.iterdir()) == []


def test_a_link_then_a_file_of_the_same_name(store: Store, tmp_path: Path) -> None:
    target = tmp_path / "victim"
    target.write_text("before")
    deb = store.deb("evil", [("./usr/share/f", str(target), 0o1), ("./usr/share/f", b"after", 0o644)])
    out = store.make("out", [deb])
    assert target.read_text() == "before"
    assert (out / "share/f").read_bytes() == b"after"


def test_hard_links(store: Store) -> None:
    deb = store.deb("a", [("./usr/bin/a", b"x", 0o755), ("./usr/bin/b", "./usr/bin/a", 0o2)])
    assert (store.make("out", [deb]) / "bin/b").read_bytes() == b"x"
    bad = store.deb("b", [("./usr/bin/b", "./etc/passwd", 0o2)])
    with pytest.raises(BadArchive, match="hard link"):
        store.make("out2", [bad])


def test_interpreters_of_scripts(store: Store) -> None:
    shell = store.deb("shell", [("./bin/bash", b"x", 0o755)])
    store.make("bash", [shell], links={"bin/sh": "bash"})
    deb = store.deb(
        "a",
        [
            ("./usr/bin/own", b"x", 0o755),
            ("./usr/bin/a", b"#! /bin/sh -e\ntext\n", 0o755),
            ("./usr/bin/b", b"#!/usr/bin/env own\n", 0o755),
            ("./usr/bin/c", b"#!/usr/bin/env unknown\n", 0o755),
            ("./usr/bin/d", b"#!/usr/bin/env -S own -x\n", 0o755),
        ],
    )
    out = store.make("out", [deb], shell="/nix/store/bash")
    assert (out / "bin/a").read_bytes() == b"#!/nix/store/bash/bin/sh -e\ntext\n"
    assert (out / "bin/b").read_bytes() == b"#!/nix/store/out/bin/own\n"
    assert (out / "bin/c").read_bytes() == b"#!/usr/bin/env unknown\n"
    assert (out / "bin/d").read_bytes() == b"#!/nix/store/out/bin/own -x\n"


def test_linker_scripts_and_pkg_config(store: Store) -> None:
    deb = store.deb(
        "a",
        [
            (f"./usr/lib/{TRIPLET}/libc.so.6", b"x", 0o644),
            (f"./usr/lib/{TRIPLET}/libc.so", f"GROUP ( /lib/{TRIPLET}/libc.so.6 /lib/none.a )".encode(), 0o644),
            (f"./usr/lib/{TRIPLET}/pkgconfig/a.pc", b"prefix=/usr\nlibdir=${prefix}/lib\nX=/usr/share\n", 0o644),
        ],
    )
    out = store.make("out", [deb])
    assert (out / "lib/libc.so").read_bytes() == b"GROUP ( /nix/store/out/lib/libc.so.6 /lib/none.a )"
    text = (out / "lib/pkgconfig/a.pc").read_bytes()
    assert text == b"prefix=/nix/store/out\nlibdir=${prefix}/lib\nX=/nix/store/out/share\n"


def test_substitutions_must_match(store: Store) -> None:
    deb = store.deb("a", [("./usr/bin/a", b"path /usr/share/a", 0o755)])
    item = Substitution(("bin/*",), "/usr/share/a", "@out@/share/a")
    out = store.make("out", [deb], substitutions=(item,))
    assert (out / "bin/a").read_bytes() == b"path /nix/store/out/share/a"
    with pytest.raises(BadPlan, match="matches in no file"):
        store.make("out2", [deb], substitutions=(Substitution(("bin/*",), "absent", "x"),))


def test_wrapped_programs_run(store: Store) -> None:
    text = wrapper_text("/bin/bash", Wrapper(set={"A": "it's"}, default={"B": "b c"}, suffix={"C": "/x"}), "/bin/echo")
    assert text.startswith("#! /bin/bash -e\nexport A='it'\\''s'\n")
    script = text.replace("exec -a", 'set -- "$A|$B|$C"; exec -a')
    run = subprocess.run(["bash", "-c", script, "name"], env={"C": "/y"}, capture_output=True, text=True, check=True)
    assert run.stdout == "it's|b c|/y:/x\n"


def test_the_loader_keeps_to_runpaths() -> None:
    data = b"\x01/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0\0/etc/ld.so.cache\0"
    changed = isolate_loader(data, TRIPLET)
    assert len(changed) == len(data)
    assert b"/lib/" not in changed and b"/etc" not in changed


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "a.c").write_text("int answer(void) { return 42; }")
    (folder / "m.c").write_text(
        'int answer(void); const char *place = "/usr/share/a"; int main(void) { return answer() - 42; }'
    )
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-Wl,-soname,liba.so.1", "-o", "liba.so.1", "a.c"], cwd=folder, check=True
    )
    subprocess.run(["cc", "-o", "main", "m.c", "./liba.so.1"], cwd=folder, check=True)
    return folder


def test_elf_files_get_tight_runpaths(store: Store, compiled: Path) -> None:
    elf = read_elf(str(compiled / "main"))
    if elf is None or elf.machine != "x86_64":
        pytest.skip("the packages here are for x86-64")
    library = store.deb("a", [(f"./usr/lib/{TRIPLET}/liba.so.1", (compiled / "liba.so.1").read_bytes(), 0o644)])
    other = store.deb("b", [(f"./usr/lib/{TRIPLET}/libb.so.1", b"", 0o644)])
    missing = ("libc.so.6",)
    store.make("a", [library], missing_libraries=missing)
    store.make("b", [other])
    program = store.deb("m", [("./usr/bin/main", (compiled / "main").read_bytes(), 0o755)])
    depends = ("/nix/store/b", "/nix/store/a")
    out = store.make("out", [program], depends=depends, interpreter="/nix/store/libc/ld.so", missing_libraries=missing)
    patched = read_elf(str(out / "bin/main"))
    assert patched is not None
    assert patched.interpreter == "/nix/store/libc/ld.so"
    assert patched.runpath == ("/nix/store/a/lib",)
    again = store.make(
        "out2", [program], depends=depends, interpreter="/nix/store/libc/ld.so", missing_libraries=missing
    )
    assert (again / "bin/main").read_bytes() == (out / "bin/main").read_bytes()
    with pytest.raises(PatchFailed, match=r"liba\.so\.1"):
        store.make("out3", [program], missing_libraries=missing)


def test_bundles(store: Store) -> None:
    deb = store.deb("a", [("./usr/share/c/b.crt", b"B", 0o644), ("./usr/share/c/a.crt", b"A", 0o644)])
    out = store.make("out", [deb], bundles={"etc/all.crt": "share/c/*.crt"})
    assert (out / "etc/all.crt").read_bytes() == b"A\nB\n"
    with pytest.raises(BadPlan, match="no file matches"):
        store.make("out2", [deb], bundles={"x": "absent/*"})
