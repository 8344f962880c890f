"""What a builder can see and do, tried by hostile ones."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from frazil.activity import Verbosity
from frazil.build import local_build
from frazil.build.errors import BuildError, BuildFailed, SandboxError, SandboxUnavailable, sandbox_error
from frazil.build.sandbox import Mount, check_target, identity
from frazil.digest import Hash
from frazil.store.content_address import ContentAddress

from .support import Lab

HELLO = ContentAddress("flat", Hash.of("sha256", b"hello"))


def test_only_declared_inputs_are_there(lab: Lab) -> None:
    secret = lab.store.add_text("secret", b"treasure")
    known = lab.store.add_text("known", b"allowed")
    script = f"ls /nix/store > $out; cat {lab.store.show(known)} >> $out; cat {lab.store.show(secret)} 2>&1 >> $out"
    (result,) = lab.build(lab.derivation(script + "; true", sources=[known]))
    text = lab.real(result).read_text()
    assert "allowed" in text
    assert "treasure" not in text
    assert secret.base not in text
    assert "No such file or directory" in lab.events.lines[0]


def test_the_host_is_out_of_sight(lab: Lab) -> None:
    text = lab.build_text("ls -a / /etc /dev /tmp /build > $out; echo $$ >> $out; ls /proc | grep -c '^[0-9]' >> $out")
    shown = text.split()
    for name in ("home", "root", "usr", "sys", "var", "shadow", ".old-root"):
        assert name not in shown
    assert {"passwd", "group", "hosts", "null", "urandom", "ptmx", "shm", "fd"} <= set(shown)
    lines = text.splitlines()
    assert lines[-2] == "1"
    assert int(lines[-1]) <= 3


def test_who_the_builder_is(lab: Lab) -> None:
    text = lab.build_text(
        "id -u > $out; id -g >> $out; hostname >> $out; umask >> $out; pwd >> $out; ulimit -c >> $out"
    )
    assert text.split() == ["1000", "100", "localhost", "0022", "/build", "0"]
    text = lab.build_text("grep -i 'cap[pe]\\|NoNewPrivs\\|Seccomp:' /proc/self/status > $out", name="caps")
    values = dict(line.split(":\t") for line in text.splitlines())
    assert values == {
        "CapPrm": "0" * 16,
        "CapEff": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


def test_restrictions_can_be_lifted(lab: Lab) -> None:
    script = "grep NoNewPrivs /proc/self/status > $out; chmod u+s /build && echo set >> $out"
    drv = lab.derivation(script)
    (result,) = lab.build(drv, allow_new_privileges=True, filter_syscalls=False)
    assert lab.real(result).read_text() == "NoNewPrivs:\t0\nset\n"
    drv = lab.derivation(script + "; true", name="filtered")
    (result,) = lab.build(drv, allow_new_privileges=True)
    assert lab.real(result).read_text() == "NoNewPrivs:\t0\n"


def test_inputs_cannot_be_changed(lab: Lab) -> None:
    first = lab.derivation("mkdir $out; echo pure > $out/f", name="first")
    second = lab.derivation(
        "chmod -R u+w @first@; echo evil > @first@/f; echo evil > @first@/g; rm -rf @first@; echo done > $out",
        name="second",
        needs=[first],
    )
    lab.build(second)
    assert any("Read-only file system" in line for line in lab.events.lines)
    assert lab.store.verify(check_contents=True)


def test_inputs_that_are_files_cannot_be_changed(lab: Lab) -> None:
    files = [lab.store.add_text(f"file-{number}", b"pure") for number in range(5)]
    script = "".join(
        f"for f in {lab.store.show(path)}; do chmod u+w $f; echo evil > $f; rm -f $f; mv $f /build/x; ln $f /build/y; "
        "touch -d @5 $f; cat $f >> $out; done;"
        for path in files
    )
    (result,) = lab.build(lab.derivation(script + " true", sources=files))
    assert lab.real(result).read_text() == "pure" * 5
    assert all(os.stat(lab.store.real_path(path)).st_nlink == 1 for path in files)
    assert lab.store.verify(check_contents=True)
    assert not lab.left_over()


def test_no_new_file_for_each_input_that_is_one(lab: Lab) -> None:
    """Root's builders see hard links, whom nobody lets write; others see mounts on the names of one empty file."""
    files = [lab.store.add_text(f"file-{number}", b"pure") for number in range(5)]
    shown = " ".join(lab.store.show(path) for path in files)
    mounts = f"grep -c ' {lab.store.directory.path}/.*-file-' /proc/self/mountinfo >> $out"
    text = lab.build_text(f"stat -c %h {shown} > $out; {mounts}; true", sources=files)
    assert text.split() == ["2"] * 5 + ["0"] if identity().host is not None else ["1"] * 5 + ["5"]
    drv = lab.derivation(f"stat -c %h {shown} > $out; {mounts}; true", name="lifted", sources=files)
    (result,) = lab.build(drv, allow_new_privileges=True)
    assert lab.real(result).read_text().split() == ["1"] * 5 + ["5"]


def test_a_file_that_others_could_write_is_mounted(lab: Lab) -> None:
    path = lab.store.add_text("open", b"pure")
    os.chmod(lab.store.real_path(path), 0o666)
    script = f"echo evil > {lab.store.show(path)}; cat {lab.store.show(path)} > $out"
    assert lab.build_text(script, sources=[path]) == "pure"


def test_what_lies_in_the_background_dies(lab: Lab) -> None:
    mark = f"79.{os.getpid()}"
    start = time.monotonic()
    lab.build(lab.derivation(f"(setsid sleep {mark} &) ; sleep {mark} & echo > $out"))
    assert time.monotonic() - start < 5
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            assert f"sleep\0{mark}".encode() not in Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            continue


def test_special_bits_and_attributes_are_refused(lab: Lab) -> None:
    script = "echo > $out; chmod u+s $out || echo no > $out; chmod g+s /build || echo no >> $out; chmod 755 $out"
    (result,) = lab.build(lab.derivation(script))
    assert lab.real(result).read_text() == "no\nno\n"
    mode = lab.real(result).stat().st_mode
    assert stat.S_IMODE(mode) == 0o555
    assert lab.real(result).stat().st_mtime == 1
    assert lab.real(result).stat().st_uid == os.geteuid()


def test_kernel_settings_cannot_be_written(lab: Lab) -> None:
    lab.build(lab.derivation("echo x > /proc/sys/kernel/core_pattern; echo x > /etc/test; echo > /x; echo > $out"))
    assert len(lab.events.lines) == 3
    assert "/etc/test: Permission denied" in lab.events.lines[1]


def test_the_network_is_for_fixed_outputs(lab: Lab) -> None:
    assert lab.build_text("ls /sys/class/net 2>/dev/null; grep -c : /proc/net/dev > $out") == "1\n"
    fixed = lab.derivation("test -e /etc/nsswitch.conf && printf hello > $out", fixed=HELLO, name="fixed")
    assert lab.build(fixed)[0].succeeded


def test_outputs_that_are_links(lab: Lab) -> None:
    outside = lab.derivation("ln -s /etc/passwd $out", name="outside")
    (result,) = lab.build(outside)
    assert os.readlink(lab.real(result)) == "/etc/passwd"
    assert lab.store.verify(check_contents=True)


def test_hard_links_inside_are_fine(lab: Lab) -> None:
    lab.build(lab.derivation("mkdir $out; echo x > $out/a; ln $out/a $out/b"))
    assert lab.store.verify(check_contents=True)


def test_the_terminal(lab: Lab) -> None:
    lab.build(lab.derivation("test -t 1 && test -t 2 && ! test -t 0 && echo yes; echo > $out"))
    assert lab.events.lines == ["yes"]


def test_secrets_of_this_process_stay_here(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "treasure")
    text = lab.build_text("env > $out; ls /proc/self/fd >> $out")
    assert "treasure" not in text
    impure = lab.derivation(
        "test $SECRET = treasure && printf hello > $out", fixed=HELLO, impureEnvVars="SECRET", name="impure"
    )
    assert lab.build(impure)[0].succeeded


def test_more_paths_on_request(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("shown")
    (tmp_path / "data").chmod(0o644)
    tmp_path.chmod(0o755)
    paths = (f"/here/data={tmp_path}/data", "/nowhere/at/all?")
    (result,) = lab.build(lab.derivation("cat /here/data > $out"), sandbox_paths=paths)
    assert lab.real(result).read_text() == "shown"
    with pytest.raises(SandboxError, match="getting attributes of path /nowhere/at/all: No such file"):
        lab.build(lab.derivation("echo > $out", name="other"), sandbox_paths=("/nowhere/at/all",))
    assert lab.left_over() == []


def test_paths_around_the_store(lab: Lab, tmp_path: Path) -> None:
    """The store stays to be seen where a folder is shown in which it is."""
    around, _, name = lab.store.directory.path.rpartition("/")
    shown = tmp_path / "around"
    shown.mkdir(mode=0o755)
    (shown / "data").write_text("shown")
    tmp_path.chmod(0o755)
    paths = (f"{around}={shown}",)
    other = lab.derivation("printf ' too' > $out", name="other")
    derivation = lab.derivation(f"cat {around}/data @other@ > $out", needs=[other])
    with pytest.raises(SandboxError, match=f"would hide the store .* no folder '{shown}/{name}'"):
        lab.build(derivation, sandbox_paths=paths)
    (shown / name).mkdir()
    (result,) = lab.build(derivation, sandbox_paths=paths)
    assert lab.real(result).read_text() == "shown too"
    assert not list((shown / name).iterdir()) and lab.left_over() == []


@pytest.mark.parametrize("target", ["/foo/..", "/foo/.", "/..", "/.", "/"])
def test_targets_with_a_bad_last_name(target: str) -> None:
    with pytest.raises(SandboxError, match="invalid filename"):
        check_target(target, "/etc/passwd")


@pytest.mark.parametrize("target", ["/../escape", "/foo/../../escape", "//foo///.//../../escape", "/a/b/../../../x"])
def test_targets_that_leave_the_root(target: str) -> None:
    with pytest.raises(SandboxError, match="escapes the chroot"):
        check_target(target, "/etc/passwd")


def test_targets_with_a_slash_at_the_end(tmp_path: Path) -> None:
    assert check_target("//a/./b/", str(tmp_path)) == "/a/b"
    with pytest.raises(SandboxError, match=r"creating regular file.*: No such file or directory"):
        check_target("/a/", "/etc/passwd")
    with pytest.raises(SandboxError, match="escapes the chroot"):
        check_target("/foo/../", str(tmp_path))


def test_refusals_of_the_whole_sandbox(plain_lab: Lab) -> None:
    drv = plain_lab.derivation("echo > $out", __noChroot="1")
    with pytest.raises(BuildError, match="has '__noChroot' set, but that's not allowed"):
        plain_lab.build(drv)
    assert plain_lab.build(drv, sandbox="relaxed")[0].succeeded
    impure = plain_lab.derivation("echo > $out", name="impure", __impureHostDeps="/etc/hostname")
    with pytest.raises(BuildError, match="requested impure path '/etc/hostname'"):
        plain_lab.build(impure)


def test_without_a_sandbox(plain_lab: Lab) -> None:
    mark = f"80.{os.getpid()}"
    script = (
        f"/bin/sleep {mark} & echo $out $NIX_BUILD_TOP > $out; echo $HOME; "
        "read x < /proc/sys/kernel/random/uuid; echo $x >> $out"
    )
    (result,) = plain_lab.build(plain_lab.derivation(script), sandbox="false")
    text = plain_lab.real(result).read_text()
    assert plain_lab.store.show(result.outputs["out"]) in text
    assert plain_lab.store.config.state_dir + "/builds/" in text
    assert plain_lab.events.lines == ["/homeless-shelter"]
    assert plain_lab.left_over() == []
    drv = plain_lab.store.query_info(result.outputs["out"]).deriver
    assert drv is not None
    with pytest.raises(BuildFailed, match="may not be deterministic"):
        plain_lab.build(drv, sandbox="false", mode="check")
    assert plain_lab.store.verify(check_contents=True)
    entries = os.listdir(plain_lab.store.config.real_store_dir)
    objects = {entry for entry in entries if not entry.endswith(".lock") and not entry.startswith("tmp-")}
    assert objects == {".links", drv.base, result.outputs["out"].base}


def test_a_home_directory_that_exists(plain_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who made it is said when it appears; who comes after is told what to do."""
    home = tmp_path / "home"
    monkeypatch.setattr(local_build, "_HOME", str(home))
    plain_lab.build(plain_lab.derivation("echo > $out", name="quiet"), sandbox="false")
    assert not [text for level, text in plain_lab.events.messages if level <= Verbosity.WARN]
    plain_lab.build(plain_lab.derivation(f": > {home}; echo > $out", name="careless"), sandbox="false")
    (text,) = [text for level, text in plain_lab.events.messages if level <= Verbosity.WARN]
    assert f"'{home}' appeared while" in text and "careless.drv' was built without a sandbox" in text
    with pytest.raises(BuildError, match="please remove it to assure purity") as caught:
        plain_lab.build(plain_lab.derivation("echo > $out", name="next"), sandbox="false")
    assert f"rm -rf {home}" in (caught.value.hint or "")
    assert "sandbox true" in (caught.value.hint or "")


def test_a_machine_without_namespaces_is_refused_clearly() -> None:
    error = sandbox_error(OSError(28, "creating namespaces"))
    assert isinstance(error, SandboxUnavailable)
    assert "creating namespaces: No space left on device" in error.message
    assert "sandbox-fallback" in (error.hint or "")


def test_an_unavailable_sandbox_falls_back_only_when_asked(plain_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from frazil.build import _sandbox as native
    from frazil.build import sandbox

    real = native.spawn

    def spawn(**arguments: object) -> int:
        if arguments["namespaces"]:
            raise native.SetupError(1, "creating namespaces")
        return real(**arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sandbox.native, "spawn", spawn)
    with pytest.raises(SandboxUnavailable):
        plain_lab.build(plain_lab.derivation("echo > $out"))
    script = (
        "echo $(echo inside) > $out; read x < $out; echo $x; read y < /etc/hostname || echo hidden; echo > /tmp/x; true"
    )
    assert plain_lab.build(plain_lab.derivation(script), sandbox_fallback=True)[0].succeeded
    assert plain_lab.events.lines[0] == "inside"
    if sandbox.landlock_ruleset([], [], network=False) >= 0:
        assert "hidden" in plain_lab.events.lines
        assert any("/tmp/x" in line for line in plain_lab.events.lines)
    assert any("auto-disabling sandboxing" in text for _, text in plain_lab.events.messages)


def test_root_lends_builders_another_identity() -> None:
    who = identity()
    if os.geteuid() == 0 and who.host is not None:
        assert who.host not in (0, 1000)
        assert who.uid == 1000
    else:
        assert who.uid == -1


def test_mounts_are_values() -> None:
    assert Mount("/a", "/b") == Mount("/a", "/b", optional=False, read_only=False)
