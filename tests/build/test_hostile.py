"""Builders that try to get out, or to harm who comes after them, with system calls that no shell makes."""

from __future__ import annotations

import ctypes
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from frazil.build.errors import BuildFailed, FrazilError
from frazil.build.sandbox import identity
from frazil.digest import Hash
from frazil.store.content_address import ContentAddress
from frazil.store.path import StorePath

from .support import Lab

HELLO = ContentAddress("flat", Hash.of("sha256", b"hello"))

_PRELUDE = """
import ctypes, errno, fcntl, mmap, os, socket, stat, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
out = os.environ["out"]
def call(*arguments):
    result = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return result if result >= 0 else -ctypes.get_errno()
def say(*words):
    print(*words, flush=True)
def attempt(what, function):
    try:
        say(what, "did", function())
    except OSError as error:
        say(what, errno.errorcode[error.errno])
def done(text="x"):
    with open(out, "w") as file:
        file.write(text)
"""


def _python_paths() -> tuple[str, ...]:
    folders = ["/lib", "/lib64", "/usr", os.path.realpath(sys.base_prefix)]
    return tuple(f"{folder}={os.path.realpath(folder)}?" for folder in folders)


def _program() -> str:
    return os.path.realpath(sys.executable)


def attack(lab: Lab, script: str, *, name: str = "attack", keep: bool = False, **options: object) -> dict[str, str]:
    """What the builder said: first word → the others. Its build may fail."""
    drv = hostile(lab, script, name=name, **options)
    lab.events.lines.clear()
    lab.build(drv, sandbox_paths=_python_paths(), keep_failed=keep)
    return dict(line.partition(" ")[::2] for line in lab.events.lines)


def hostile(lab: Lab, script: str, *, name: str = "attack", **options: object) -> StorePath:
    place = lab.store.show(lab.store.add_text("attack.py", (_PRELUDE + script).encode()))
    source = lab.store.directory.split(place)[0]
    sources = [source, *options.pop("sources", [])]  # type: ignore[misc]
    command = f"{_program()} -IS {place}"
    return lab.derivation(command, name=name, sources=sources, **options)  # type: ignore[arg-type]


def test_a_python_builder_runs(lab: Lab) -> None:
    assert attack(lab, "say('ids', os.getuid(), os.getgid()); done()") == {"ids": "1000 100"}


def test_special_bits_by_other_calls(lab: Lab) -> None:
    """openat2 and io_uring pass modes in memory, where no filter sees them: bits go when the output is taken over."""
    script = """
os.mkdir(out)
def opened(mode):
    how = struct.pack("QQQ", os.O_CREAT | os.O_WRONLY, mode, 0)
    return call(437, -100, (out + "/a%o" % mode).encode(), ctypes.c_char_p(how), len(how))
say("openat2", opened(0o4755) >= 0, opened(0o2755) >= 0)
fd = os.open(out + "/b", os.O_CREAT | os.O_WRONLY, 0o6755)
say("fchmodat2", call(452, -100, (out + "/b").encode(), 0o4755, 0), call(452, fd, b"", 0o4755, 0x1000))
say("fchmodat", call(268, fd, (out + "/b").encode(), 0o4755))
attempt("mknod", lambda: os.mknod(out + "/c", 0o6755 | stat.S_IFREG))
"""
    said = attack(lab, script)
    assert said["openat2"] in ("True True", "False False")
    assert said["fchmodat2"] in ("-1 -1", "-38 -38")
    assert said["fchmodat"] == "-1"
    (result,) = lab.build(hostile(lab, script), sandbox_paths=_python_paths())
    modes = {stat.S_IMODE(path.stat().st_mode) for path in lab.real(result).iterdir()}
    assert modes <= {0o555, 0o444}
    assert lab.store.verify(check_contents=True)


def test_special_bits_in_what_a_failure_leaves(lab: Lab) -> None:
    script = """
how = struct.pack("QQQ", os.O_CREAT | os.O_WRONLY, 0o6755, 0)
for folder in ("/build/kept", out):
    os.mkdir(folder)
    os.mkdir(folder + "/in")
    call(437, -100, (folder + "/in/a").encode(), ctypes.c_char_p(how), len(how))
    os.open(folder + "/in/b", os.O_CREAT | os.O_WRONLY, 0o6755)
    os.chmod(folder + "/in", 0o311)
sys.exit(3)
"""
    drv = hostile(lab, script)
    with pytest.raises(BuildFailed):
        lab.build(drv, sandbox_paths=_python_paths(), keep_failed=True)
    (kept,) = [text.split('"')[1] for _, text in lab.events.messages if "keeping build directory" in text]
    path = lab.store.read_derivation(drv).output_paths(lab.store.directory)["out"]
    assert path is not None
    for folder in (Path(kept) / "kept/in", Path(lab.store.real_path(path)) / "in"):
        entries = list(folder.iterdir())
        assert entries
        assert all(not entry.stat().st_mode & 0o6000 for entry in entries)


_RING = """
def ring_setup():
    params = ctypes.create_string_buffer(120)
    fd = call(425, 4, params)
    if fd < 0:
        return None
    p = params.raw
    sq = struct.unpack_from("10I", p, 40)
    cq = struct.unpack_from("10I", p, 80)
    entries, cq_entries = struct.unpack_from("2I", p, 0)
    ring = mmap.mmap(fd, max(sq[6] + entries * 4, cq[5] + cq_entries * 16), offset=0)
    sqes = mmap.mmap(fd, entries * 64, offset=0x10000000)
    return fd, sq, cq, ring, sqes
def submit(made, entry):
    fd, sq, cq, ring, sqes = made
    tail = struct.unpack_from("I", ring, sq[1])[0]
    index = tail & struct.unpack_from("I", ring, sq[2])[0]
    sqes[index * 64 : index * 64 + 64] = entry.ljust(64, b"\\0")
    struct.pack_into("I", ring, sq[6] + 4 * index, index)
    struct.pack_into("I", ring, sq[1], tail + 1)
    call(426, fd, 1, 1, 1, None, 0)
    head = struct.unpack_from("I", ring, cq[0])[0]
    at = cq[5] + (head & struct.unpack_from("I", ring, cq[2])[0]) * 16
    struct.pack_into("I", ring, cq[0], head + 1)
    return struct.unpack_from("i", ring, at + 8)[0]
"""


def test_attributes_by_io_uring(lab: Lab) -> None:
    script = (
        _RING
        + """
os.mkdir(out)
file = os.open(out + "/f", os.O_CREAT | os.O_RDWR, 0o644)
name, value = ctypes.create_string_buffer(b"user.evil"), ctypes.create_string_buffer(b"v")
attempt("plain", lambda: os.setxattr(out + "/f", "user.evil", b"v"))
made = ring_setup()
if made is None:
    say("ring", "none")
else:
    entry = struct.pack("<BBHiQQII", 41, 0, 0, file, ctypes.addressof(value), ctypes.addressof(name), 1, 0)
    say("ring", submit(made, entry))
os.chmod(out + "/f", 0o444)
"""
    )
    said = attack(lab, script)
    assert said["plain"] == "ENOTSUP"
    (result,) = lab.build(hostile(lab, script), sandbox_paths=_python_paths())
    assert os.listxattr(lab.real(result) / "f") == []
    assert stat.S_IMODE((lab.real(result) / "f").stat().st_mode) == 0o444


def test_keys_of_who_runs_this_are_out_of_reach(lab: Lab) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    if os.uname().machine != "x86_64" or libc.syscall(250, 1, None) < 0:
        pytest.skip("no session keyring can be had here")
    key = libc.syscall(248, b"user", b"frazil-test", b"treasure", ctypes.c_long(8), ctypes.c_int(-3))
    assert key > 0
    script = f"""
buffer = ctypes.create_string_buffer(99)
say("read", call(250, 11, {key}, buffer, 99))
say("search", call(250, 10, -3, b"user", b"frazil-test", 0))
done()
"""
    said = attack(lab, script)
    assert said["read"] in ("-13", "-126", "-1", "-38")
    assert said["search"] in ("-126", "-1", "-38")
    assert libc.syscall(250, 11, ctypes.c_long(key), ctypes.create_string_buffer(9), ctypes.c_long(9)) == 8


def test_other_processes_are_out_of_reach(lab: Lab) -> None:
    script = f"""
attempt("kill", lambda: os.kill({os.getpid()}, 0))
say("attach", call(101, 16, {os.getpid()}, 0, 0))
say("readv", call(310, {os.getpid()}, None, 0, None, 0, 0))
say("pidfd", call(434, {os.getpid()}, 0))
say("processes", len([name for name in os.listdir("/proc") if name.isdigit()]))
attempt("root", lambda: sorted(os.listdir("/proc/1/root/../..")) == sorted(os.listdir("/")))
handle = b"\\x08\\0\\0\\0\\1\\0\\0\\0" + bytes(8)
say("handle", os.strerror(-call(304, os.open("/build", os.O_RDONLY), handle, 0)))
say("descriptors", sorted(os.listdir("/proc/self/fd"), key=int)[:3])
done()
"""
    said = attack(lab, script)
    assert said["kill"] == "ESRCH"
    assert said["attach"] in ("-3", "-1")
    assert said["readv"] in ("-3", "0")
    assert said["pidfd"] == "-3"
    assert int(said["processes"]) <= 3
    assert said["root"] == "did True"
    assert said["handle"] == "Operation not permitted"


def test_sockets_and_shared_memory_of_the_host(lab: Lab, tmp_path: Path) -> None:
    import socket

    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0frazil-test-{os.getpid()}")
    abstract.listen()
    named = socket.socket(socket.AF_UNIX)
    place = tmp_path / "s"
    named.bind(str(place))
    named.listen()
    libc = ctypes.CDLL(None, use_errno=True)
    number = os.getpid() & 0xFFFF
    segment = libc.shmget(number, 4096, 0o1666)
    try:
        script = f"""
def connect(name):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(name)
attempt("abstract", lambda: connect("\\0frazil-test-{os.getpid()}"))
attempt("named", lambda: connect({str(place)!r}))
attempt("root", lambda: connect("/proc/1/root/{place}"))
say("segment", libc.shmget({number}, 4096, 0))
with open(out, "w") as file:
    file.write("hello")
"""
        said = attack(lab, script)
        assert said == {"abstract": "ECONNREFUSED", "named": "ENOENT", "root": "ENOENT", "segment": "-1"}
        said = attack(lab, script, fixed=HELLO, name="fixed")  # this one sees the host's network
        assert said["named"] == said["root"] == "ENOENT"
        assert said["segment"] == "-1"
        assert said["abstract"] == "EPERM" or _landlock_scopes() < 6
    finally:
        libc.shmctl(segment, 0, None)
        abstract.close()
        named.close()


def _landlock_scopes() -> int:
    return int(ctypes.CDLL(None).syscall(444, None, 0, 1))


def test_mounts_in_namespaces_of_its_own(lab: Lab) -> None:
    """A builder may become root of namespaces further in: what it does there stays there."""
    known = lab.store.add_text("known", b"pure")
    script = f"""
known = {lab.store.show(known)!r}.encode()
say("unshare", libc.unshare(0x10000000 | 0x00020000))
say("remount", libc.mount(b"none", known, None, 0x1000 | 0x20, None))
say("store", libc.mount(b"none", b"/nix/store", None, 0x1000 | 0x20, None))
say("unmount", libc.umount2(known, 2), libc.umount2(b"/proc", 2), libc.umount2(b"/build", 2))
say("cover", libc.mount(b"none", b"/etc", b"tmpfs", 0, None))
attempt("write", lambda: open(known, "w").close())
attempt("chmod", lambda: os.chmod(known, 0o777))
attempt("remove", lambda: os.unlink(known))
attempt("kernel", lambda: open("/proc/sys/kernel/core_pattern", "w").close())
attempt("device", lambda: os.mknod("/build/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3)))
done()
"""
    said = attack(lab, script, sources=[known])
    assert said["unmount"] == "-1 -1 -1"
    for what in ("write", "chmod", "remove", "kernel", "device"):
        assert said[what] in ("EROFS", "EPERM", "EACCES", "EBUSY"), what
    assert Path(lab.store.real_path(known)).read_bytes() == b"pure"
    assert lab.store.verify(check_contents=True)


def test_hard_links_of_inputs(lab: Lab) -> None:
    files = [lab.store.add_text(f"known-{number}", b"pure") for number in range(2)]
    names = [lab.store.show(path) for path in files]
    script = f"""
os.mkdir(out)
for number, name in enumerate({names!r}):
    attempt("link%d" % number, lambda: os.link(name, out + "/%d" % number))
    attempt("beside%d" % number, lambda: os.link(name, name + "x"))
    attempt("move%d" % number, lambda: os.rename(name, out + "/m%d" % number))
    attempt("swap%d" % number, lambda: os.strerror(-call(316, -100, name.encode(), -100, out.encode(), 2)))
"""
    said = attack(lab, script, sources=files)
    assert all(word in ("EPERM", "EXDEV", "EROFS", "EBUSY", "EACCES") or "did" in word for word in said.values())
    assert not any(word.startswith("did None") for word in said.values())
    assert all(os.stat(lab.store.real_path(path)).st_nlink == 1 for path in files)
    assert lab.store.verify(check_contents=True)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("os.mkfifo(out)", "unsupported type"),
        ("socket.socket(socket.AF_UNIX).bind(out)", "unsupported type"),
        ("os.mkdir(out); os.mkfifo(out + '/deep')", "unsupported type"),
        ("attempt('c', lambda: os.mknod(out, 0o666 | stat.S_IFCHR, os.makedev(1, 3)))", "failed to produce output"),
        ("attempt('b', lambda: os.mknod(out, 0o666 | stat.S_IFBLK, os.makedev(254, 0)))", "failed to produce output"),
    ],
)
def test_outputs_of_other_kinds(lab: Lab, what: str, says: str) -> None:
    drv = hostile(lab, what + "\n")
    with pytest.raises(FrazilError, match=says):
        lab.build(drv, sandbox_paths=_python_paths())
    assert lab.left_over() == []
    assert lab.store.verify(check_contents=True)


def test_outputs_without_any_mode(lab: Lab) -> None:
    script = """
os.makedirs(out + "/a/b")
for name in ("/f", "/a/g", "/a/b/h"):
    with open(out + name, "w") as file:
        file.write("hello")
    os.chmod(out + name, 0)
os.mkdir("/build/locked"); os.mkdir("/build/locked/in"); os.chmod("/build/locked/in", 0); os.chmod("/build/locked", 0)
for name in ("/a/b", "/a", ""):
    os.chmod(out + name, 0)
os.chmod("/build", 0)
"""
    (result,) = lab.build(hostile(lab, script), sandbox_paths=_python_paths())
    for path in lab.real(result).rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o555 if path.is_dir() else 0o444)
    assert (lab.real(result) / "a/b/h").read_text() == "hello"
    assert lab.left_over() == []
    assert lab.store.verify(check_contents=True)


def test_folders_deeper_than_any_path(lab: Lab) -> None:
    """Such an output is refused, and everything goes."""
    script = """
def dig(top):
    os.mkdir(top)
    os.chdir(top)
    for _ in range(3000):
        os.mkdir("deep")
        os.chdir("deep")
dig("/build/x"); os.chdir("/"); dig(out)
"""
    drv = hostile(lab, script)
    with pytest.raises(FrazilError):
        lab.build(drv, sandbox_paths=_python_paths())
    assert lab.left_over() == []
    assert lab.store.verify(check_contents=True)


def test_other_names_beside_the_output(lab: Lab) -> None:
    other = "0" * 32 + "-evil"
    script = f"""
for name in ("{other}", ".links", "db"):
    os.mkdir("/nix/store/" + name)
os.symlink("/etc/shadow", "/nix/store/" + "1" * 32 + "-link")
done()
"""
    attack(lab, script)
    names = os.listdir(lab.store.config.real_store_dir)
    assert other not in names
    assert "db" not in names
    assert "1" * 32 + "-link" not in names
    assert lab.left_over() == []


def test_an_output_that_was_swapped_for_a_link(lab: Lab, tmp_path: Path) -> None:
    """What runs on to swap it is dead before anybody looks at it."""
    (tmp_path / "secret").write_text("treasure")
    script = f"""
done("mine")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            os.symlink("{tmp_path}/secret", "/nix/store/s"); os.rename("/nix/store/s", out)
            with open("/nix/store/f", "w") as file:
                file.write("mine")
            os.rename("/nix/store/f", out)
    os._exit(0)
time.sleep(0.05)
"""
    (result,) = lab.build(hostile(lab, script), sandbox_paths=_python_paths())
    real = lab.real(result)
    assert real.is_symlink() or real.read_text() in ("mine", "")
    before = os.lstat(real)
    assert lab.store.verify(check_contents=True)
    assert os.lstat(real) == before


_AS_KERNEL_OWNER = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from tests.build.support import Lab
lab = Lab(Path({root!r}))
script = '''
for f in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger /proc/irq/default_smp_affinity; do
  test -e $f && (: >> $f) && echo wrote $f
done 2>/dev/null
chmod 666 /dev/null 2>/dev/null && echo changed
unshare -Ur sh -c 'umount /proc/sys; mount -o remount,rw,bind /proc/sys; (: >> /proc/sys/vm/drop_caches) && echo wrote'
head -c 1 /proc/vmallocinfo; echo > /dev/null && echo fine; echo > /proc/self/comm && echo fine
echo > $out'''
with lab.store:
    lab.build(lab.derivation(script), require_drop_supplementary_groups=False)
print([line for line in lab.events.lines if line.startswith(("wrote", "changed", "fine"))])
"""


def test_who_is_root_for_the_kernel_without_being_it(lab: Lab, tmp_path: Path) -> None:
    """Where root made a namespace with one id, builders are the owner of `/proc/sys`, in all but capabilities."""
    if os.geteuid() != 0 or identity().host is None:
        pytest.skip("only the machine's root can make such a namespace")
    folder = tmp_path / "inner"
    folder.mkdir()
    script = _AS_KERNEL_OWNER.format(path=[str(Path(__file__).parents[2]), *sys.path], root=str(folder))
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == "['fine', 'fine']", result.stderr
