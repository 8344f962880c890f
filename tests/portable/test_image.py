"""What is read from images, and the commands that show and copy them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.conftest import Run, run  # noqa: F401
from tests.portable.sample import IMAGE, NUMBERS, OS_RELEASE, PROGRAM, UNIT
from tests.scenarios.conftest import World, world  # noqa: F401

from frazil.portable.errors import BadImage
from frazil.portable.image import belongs, image_name, parse_os_release, read_image


def test_an_image(tmp_path: Path) -> None:
    path = tmp_path / "web_1.0.raw"
    path.write_bytes(IMAGE)
    image = read_image(str(path))
    assert (image.name, image.service, image.version) == ("web_1.0", "web", "1.0")
    assert image.os_release == OS_RELEASE
    assert [(unit.name, unit.text) for unit in image.units] == [("other.service", UNIT), ("web.service", UNIT)]
    assert [unit.name for unit in image.matching] == ["web.service"]
    assert [(held.path, held.size, held.files) for held in image.held] == [(PROGRAM, len(NUMBERS), 2)]
    assert (image.compression, image.block_size, image.missing) == ("gzip", 4096, ())


@pytest.mark.parametrize("name", ["web", "web_1.0", ".raw", "-x_1.raw", "a b_1.raw", "web\n.raw", "w" * 300 + ".raw"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(BadImage, match="cannot be the image of a portable service"):
        image_name(f"/somewhere/{name}")


def test_units_of_a_service() -> None:
    names = ["web.service", "web-worker.service", "web@.service", "webmail.service", "web_x.service", "other.service"]
    assert [name for name in names if belongs(name, "web")] == names[:3]


def test_a_hostile_name_of_the_service(tmp_path: Path) -> None:
    """It would become an argument of portablectl."""
    path = tmp_path / "web_1.0.raw"
    path.write_bytes(IMAGE)
    from dataclasses import replace

    image = replace(read_image(str(path)), os_release={"PORTABLE_ID": "--now"})
    assert image.service == "web"


def test_terminals_are_not_steered() -> None:
    from frazil.cli.display import plain_text

    assert plain_text("a\tb \x1b[31mü\x9b") == "a\tb \ufffd[31mü\ufffd"


def test_os_release() -> None:
    text = '# comment\n\nA=plain\n B=\'in quotes $x\'\nC="say \\"hi\\" \\$5 \\\\"\nno assignment\n1=x\nD=\nE="open\n'
    assert parse_os_release(text) == {
        "A": "plain",
        "B": "in quotes $x",
        "C": 'say "hi" $5 \\',
        "D": "",
        "E": '"open',
    }


@given(st.text())
def test_any_text_is_some_os_release(text: str) -> None:
    parse_os_release(text)


# -- commands ----------------------------------------------------------------------------------------------------------


def failure(run: Run, *words: str) -> str:  # noqa: F811
    done = run("frazil", "portable", *words)
    assert done.status == 1 and "Traceback" not in done.err
    return done.err


def add(run: Run, folder: Path, **files: bytes) -> str:  # noqa: F811
    folder.mkdir()
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    done = run("nix-store", "--add", str(folder))
    assert done.status == 0, done.err
    return done.out.strip()


def test_inspect(run: Run, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "web_1.0.raw").write_bytes(IMAGE)
    shown = json.loads(run("frazil", "portable", "inspect", "--json", "web_1.0.raw").out)
    assert shown["osRelease"] == OS_RELEASE
    assert shown["units"][0] == {"name": "other.service", "text": UNIT, "attached": False}
    assert shown["closure"] == [{"path": PROGRAM, "size": len(NUMBERS), "files": 2}]
    assert (shown["service"], shown["version"], shown["fileSize"]) == ("web", "1.0", len(IMAGE))
    text = run("frazil", "portable", "inspect", "web_1.0.raw").out
    assert text.startswith("web_1.0  5.9 kB, squashfs with gzip\n")
    assert '  PORTABLE_PRETTY_NAME: A "web" server\n' in text
    assert "unit other.service  (not a unit of 'web': never attached)\n" in text
    assert f"    13.9 kB  {PROGRAM}\n" in text


def test_build(run: Run, tmp_path: Path) -> None:  # noqa: F811
    path = add(run, tmp_path / "web-img-1.0", web_1__raw=IMAGE)
    done = run("frazil", "portable", "build", path)
    assert (done.status, done.out) == (0, f"{path}/web_1.raw\n")
    assert (tmp_path / "result").readlink() == Path(path)
    (tmp_path / "there").mkdir()
    assert run("frazil", "portable", "build", path, "--to", "there").out == "there/web_1.raw\n"
    assert run("frazil", "portable", "build", path, "--to", "copy.raw").out == "copy.raw\n"
    assert (tmp_path / "there/web_1.raw").read_bytes() == (tmp_path / "copy.raw").read_bytes() == IMAGE
    assert json.loads(run("frazil", "portable", "inspect", "--json", path).out)["name"] == "web_1"


def test_what_can_be_wrong(run: Run, tmp_path: Path) -> None:  # noqa: F811
    two = add(run, tmp_path / "two", a_1__raw=IMAGE, b_1__raw=IMAGE)
    assert "gives 2 images of a portable service" in failure(run, "build", two)
    none = add(run, tmp_path / "none", a=b"")
    assert "hint: make one with pkgs.portableService" in failure(run, "build", none)
    good = add(run, tmp_path / "good", web_1__raw=IMAGE)
    assert "'nowhere/x.raw' cannot be written: No such file" in failure(run, "build", good, "--to", "nowhere/x.raw")
    assert "'/dev/full' is there and is no file" in failure(run, "build", good, "--to", "/dev/full")
    (tmp_path / "short_1.raw").write_bytes(IMAGE[:3000])
    assert f"'short_1.raw' is cut off: 3000 of {len(IMAGE)} bytes" in failure(run, "inspect", "short_1.raw")
    (tmp_path / "text_1.raw").write_bytes(b"hello")
    assert "'text_1.raw' is no squashfs image" in failure(run, "inspect", "text_1.raw")
    assert "'gone_1.raw' cannot be read: No such file" in failure(run, "inspect", "gone_1.raw")
    assert "cannot be the image of" in failure(run, "inspect", ".raw")
    assert "is a number of seconds" in failure(run, "attach", "text_1.raw", "--watch", "soon")
    assert "is no profile" in failure(run, "attach", "text_1.raw", "--profile", "../x")


def test_a_full_disk(world: World) -> None:  # noqa: F811
    """Nothing of the copy stays."""
    folder = world.folder / "web-img-1"
    folder.mkdir()
    (folder / "web_1.raw").write_bytes(IMAGE + bytes(1 << 20))
    path = world.run("nix-store", "--add", str(folder)).out.strip()
    place = world.folder / "small"
    place.mkdir()
    script = (
        f"mount -t tmpfs -o size=64k none {place} || exit 77; frazil portable build {path} --to {place}; ls -A {place}"
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        env=world.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in (77, 1) and "frazil" not in done.stderr and "error:" not in done.stderr:
        pytest.skip(f"no small disk here: {done.stderr.strip()}")
    assert "web_1.raw' cannot be written: No space left on device" in done.stderr
    assert "hint: is the disk full?" in done.stderr
    assert done.stdout == ""


def test_machines_that_cannot_be_reached(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    (tmp_path / "web_1.raw").write_bytes(IMAGE)
    (tmp_path / "programs").mkdir()
    ssh = tmp_path / "programs/ssh"
    monkeypatch.setenv("PATH", f"{tmp_path}/programs:/usr/bin:/bin")
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host nowhere.example: Connection refused' >&2\nexit 255\n")
    ssh.chmod(0o755)
    said = failure(run, "attach", "web_1.raw", "--host", "ssh://root@nowhere.example")
    assert "'nowhere.example' cannot be reached" in said and "hint: does `ssh nowhere.example` work" in said
    # A shell there that is no machine of systemd's, then one without portablectl, then one where we are not root.
    for answers, message in (
        (("0", "/bin/portablectl", "", "systemd 252"), "systemd does not run on nowhere.example"),
        (("0", "", "running", "systemd 252"), "there is no portablectl on nowhere.example (systemd 252)"),
        (
            ("1000", "/bin/portablectl", "running", "systemd 252"),
            "needs root on nowhere.example, and this is user",
        ),
        ((), "nowhere.example does not run commands for us"),
    ):
        lines = "".join(f"echo '{line}'\n" for line in answers)
        ssh.write_text(f"#!/bin/sh\ncase $* in *' -M '*) echo started; cat ;; *) true\n{lines};; esac\n")
        said = failure(run, "attach", "web_1.raw", "--host", "ssh://nowhere.example")
        assert message in said
    assert "is no address of a machine" in failure(run, "attach", "web_1.raw", "--host", "http://nowhere.example")
