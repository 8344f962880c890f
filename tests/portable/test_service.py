"""Attaching, exchanging and detaching, with stand-ins for portablectl and systemctl, on a folder of this machine."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.portable.sample import IMAGE

from frazil.activity import SilentReporter
from frazil.errors import UsageError
from frazil.portable.delivery import RECEIVE
from frazil.portable.errors import PortableError
from frazil.portable.host import Host
from frazil.portable.image import PortableImage, read_image
from frazil.portable.service import Options, Places, Services

PORTABLECTL = r"""#!/bin/sh
echo "$*" >>"$PLACE/log"
verb=$1
shift
runtime=
for word in "$@"; do
  case $word in
    --runtime) runtime=yes ;;
    --profile=*) profile=${word#--profile=} ;;
    -*) ;;
    *) [ -n "$image" ] || image=$word ;;
  esac
done
units=$PLACE/etc
[ -n "$runtime" ] && units=$PLACE/run
case $verb in
  attach | reattach)
    if [ -e "$PLACE/refuse" ]; then
      read -r refused <"$PLACE/refuse"
      case $image in *"$refused"*) echo "AttachImage failed: no" >&2; exit 1 ;; esac
    fi
    [ -f "$image" ] || { echo "no such image" >&2; exit 1; }
    mkdir -p "$units/web.service.d"
    echo "RootImage=$image" >"$units/web.service.d/20-portable.conf"
    ln -sf "/profile/${profile:-default}/service.conf" "$units/web.service.d/10-profile.conf"
    ;;
  detach)
    [ -e "$PLACE/busy" ] && { echo "Unit file 'web.service' is active, can't detach." >&2; exit 1; }
    for folder in "$PLACE/etc" "$PLACE/run"; do
      if [ "$(cat "$folder/web.service.d/20-portable.conf" 2>/dev/null)" = "RootImage=$image" ]; then
        rm -r "$folder/web.service.d"
        exit 0
      fi
    done
    echo "not attached" >&2
    exit 1
    ;;
esac
"""
SYSTEMCTL = r"""#!/bin/sh
case $1 in
  is-active) echo active ;;
  show)
    state=active
    if [ -e "$PLACE/failing" ]; then
      read -r failing <"$PLACE/failing"
      case $(cat "$PLACE"/*/web.service.d/20-portable.conf) in *"$failing"*) state=failed ;; esac
    fi
    case $2 in *ActiveState) echo $state ;; *) echo 0 ;; esac
    ;;
  *) echo "systemctl $*" >>"$PLACE/log" ;;
esac
"""


@dataclass
class Here:
    """A machine that is a folder."""

    place: Path
    services: Services
    notes: list[str]

    def image(self, version: str, more: bytes = b"") -> PortableImage:
        path = self.place.parent / f"web_{version}.raw"
        path.write_bytes(IMAGE + more)
        return read_image(str(path))

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.place / "images").iterdir())

    @property
    def log(self) -> str:
        place = self.place / "log"
        return place.read_text() if place.exists() else ""


def write_program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def here(tmp_path: Path) -> Here:
    place = tmp_path / "machine"
    programs = tmp_path / "programs"
    place.mkdir()
    write_program(programs, "portablectl", PORTABLECTL)
    write_program(programs, "systemctl", SYSTEMCTL)
    write_program(programs, "journalctl", "#!/bin/sh\necho it fell over\n")
    write_program(programs, "sleep", "#!/bin/sh\n")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "PLACE": str(place)}
    places = Places(
        str(place / "images"), str(place / "volatile"), str(place / "lock"), (str(place / "etc"), str(place / "run"))
    )
    notes: list[str] = []
    return Here(place, Services(Host(None, environment), SilentReporter(), notes.append, places), notes)


def test_attach_exchange_detach(here: Here) -> None:
    done = here.services.attach(here.image("1"), Options(now=True, profile="strict"))
    assert (done.name, done.state, done.units, done.profile) == ("web_1", "running", ("web.service",), "strict")
    assert here.files == [".web_1.raw.frazil", "web_1.raw"]
    with pytest.raises(PortableError, match="'web_1' is attached to this machine already"):
        here.services.attach(here.image("2"), Options())
    (here.place / "etc/multi-user.target.wants").mkdir()
    (here.place / "etc/multi-user.target.wants/web.service").symlink_to("../web.service")
    done = here.services.reattach(here.image("2", b"2"), Options(now=True))
    assert (done.name, done.profile, done.enabled) == ("web_2", "strict", True)
    assert f"reattach --now --enable --profile=strict {here.place}/images/web_2.raw\n" in here.log
    assert (here.place / "images/web_2.raw").read_bytes() == IMAGE + b"2"
    # The one before stays, those before that go; what is not ours stays.
    (here.place / "images/web_0.raw").write_bytes(b"somebody's")
    here.services.reattach(here.image("3", b"3"), Options())
    images = [name for name in here.files if not name.startswith(".")]
    assert images == ["web_0.raw", "web_2.raw", "web_3.raw"]
    assert here.services.detach("web", now=True) == ["web_3"]
    assert here.files == ["web_0.raw"]
    assert [path.name for path in (here.place / "etc").iterdir()] == ["multi-user.target.wants"]
    with pytest.raises(PortableError, match="nothing of the name 'web' is attached") as caught:
        here.services.detach("web")
    assert caught.value.hint == "attached are: no images"


def test_runtime(here: Here) -> None:
    done = here.services.attach(here.image("1"), Options(runtime=True))
    assert done.state == "running-runtime"
    assert done.path == f"{here.place}/volatile/web_1.raw"
    here.services.reattach(here.image("2"), Options())
    assert f"reattach --runtime --profile=default {here.place}/volatile/web_2.raw\n" in here.log
    assert here.services.detach("web_2") == ["web_2"]
    assert list((here.place / "volatile").iterdir()) == []


def test_other_services_are_not_ours(here: Here) -> None:
    """`web` is neither `web-other` nor `web_site`."""
    for unit, image in (("web-other.service", "web-other_1.raw"), ("web_site.service", "web_site_1.raw")):
        folder = here.place / "etc" / f"{unit}.d"
        folder.mkdir(parents=True)
        (folder / "20-portable.conf").write_text(f"RootImage=/images/{image}\n")
    with pytest.raises(PortableError, match="nothing of the name 'web'"):
        here.services.detach("web")
    here.services.attach(here.image("1"), Options())
    assert [one.name for one in here.services.all_attached()] == ["web-other_1", "web_1", "web_site_1"]


def test_refused(here: Here) -> None:
    (here.place / "refuse").write_text("web_1\n")
    with pytest.raises(PortableError, match="portablectl on this machine refuses 'web_1': AttachImage failed: no"):
        here.services.attach(here.image("1"), Options())
    assert here.files == []


def test_back_to_the_last_good_one(here: Here) -> None:
    here.services.attach(here.image("1"), Options(now=True))
    (here.place / "failing").write_text("web_2\n")
    with pytest.raises(PortableError) as caught:
        here.services.reattach(here.image("2"), Options(now=True))
    assert caught.value.message == (
        "'web.service' of 'web_2' fails on this machine:\nit fell over\n'web_1' is attached again"
    )
    assert [one.name for one in here.services.all_attached()] == ["web_1"]
    assert here.files == [".web_1.raw.frazil", "web_1.raw"]


def test_back_to_the_last_good_one_of_the_same_name(here: Here) -> None:
    here.services.attach(here.image("1", b"good"), Options(now=True))
    (here.place / "failing").write_text("web_1\n")
    with pytest.raises(PortableError, match="'web_1' is attached again"):
        here.services.reattach(here.image("1", b"bad"), Options(now=True))
    assert (here.place / "images/web_1.raw").read_bytes() == IMAGE + b"good"
    assert here.files == [".web_1.raw.frazil", "web_1.raw"]
    (here.place / "failing").unlink()
    here.services.reattach(here.image("1", b"better"), Options(now=True))
    assert (here.place / "images/web_1.raw").read_bytes() == IMAGE + b"better"
    assert here.files == [".web_1.raw.frazil", "web_1.raw"]


@pytest.mark.parametrize("version", ["1", "2"])
def test_refused_while_another_is_attached(here: Here, version: str) -> None:
    here.services.attach(here.image("1", b"good"), Options())
    (here.place / "refuse").write_text(f"web_{version}\n")
    with pytest.raises(PortableError) as caught:
        here.services.reattach(here.image(version, b"new"), Options())
    assert caught.value.message == (
        f"portablectl on this machine refuses 'web_{version}': AttachImage failed: no\n'web_1' is still attached"
    )
    assert (here.place / "images/web_1.raw").read_bytes() == IMAGE + b"good"
    assert here.files == [".web_1.raw.frazil", "web_1.raw"]


def test_for_good_or_not(here: Here) -> None:
    here.services.attach(here.image("1"), Options())
    with pytest.raises(PortableError, match="'web_1' is attached to this machine for good"):
        here.services.reattach(here.image("2"), Options(runtime=True))


def test_neither_goes(here: Here) -> None:
    here.services.attach(here.image("1"), Options())
    (here.place / "failing").write_text("web_2\n")
    (here.place / "refuse").write_text("web_1\n")
    with pytest.raises(PortableError, match="'web_1' could not be attached again: AttachImage failed: no") as caught:
        here.services.reattach(here.image("2"), Options(now=True))
    assert caught.value.hint == f"on this machine: portablectl attach {here.place}/images/web_1.raw"
    assert "web_1.raw" in here.files


def test_busy_units(here: Here) -> None:
    here.services.attach(here.image("1"), Options())
    (here.place / "busy").touch()
    with pytest.raises(PortableError, match="is active, can't detach") as caught:
        here.services.detach("web")
    assert caught.value.hint == "--now stops its units first"
    assert "web_1.raw" in here.files


def test_clean(here: Here) -> None:
    here.services.attach(here.image("1"), Options())
    here.services.detach("web", clean=True, keep_image=True)
    assert "systemctl stop -- web.service\n" in here.log
    assert "systemctl clean --what=state" in here.log
    assert "detach --enable --now" in here.log
    assert "web_1.raw" in here.files


def test_no_units(here: Here) -> None:
    image = here.image("1")
    path = Path(image.path).rename(here.place.parent / "site_1.raw")
    site = read_image(str(path))
    assert site.service == "web"
    from dataclasses import replace

    lonely = replace(site, os_release={"ID": "x"})
    with pytest.raises(PortableError, match=r"no units of the service 'site' \(its units: other.service, web"):
        here.services.attach(lonely, Options())
    # The name of the service is not that of the image: portablectl is told.
    here.services.attach(site, Options())
    assert f"attach {here.place}/images/site_1.raw web\n" in here.log


# -- copying -----------------------------------------------------------------------------------------------------------


def part_of(here: Here, image: PortableImage) -> Path:
    from frazil.portable.delivery import digest_of

    folder = here.place / "images"
    folder.mkdir(exist_ok=True)
    return folder / f".{image.name}.raw.{digest_of(image.path)}.part"


def test_copying_goes_on(here: Here) -> None:
    image = here.image("1")
    part_of(here, image).write_bytes(IMAGE[:1000])
    (here.place / "images" / ".web_1.raw.other.part").write_bytes(b"of an older one")
    here.services.attach(image, Options())
    assert here.files == [".web_1.raw.frazil", "web_1.raw"]
    assert here.notes == [f"copied 'web_1' to this machine, {len(IMAGE) - 1000} bytes"]


@pytest.mark.parametrize("start", [b"x" * 1000, IMAGE + b"more"], ids=["other bytes", "too many"])
def test_a_damaged_part(here: Here, start: bytes) -> None:
    image = here.image("1")
    part_of(here, image).write_bytes(start)
    if len(start) < len(IMAGE):
        with pytest.raises(PortableError, match="arrived damaged"):
            here.services.attach(image, Options())
        assert here.files == []
    here.services.attach(image, Options())
    assert (here.place / "images/web_1.raw").read_bytes() == IMAGE


def test_what_is_there_is_not_copied(here: Here) -> None:
    (here.place / "images").mkdir()
    (here.place / "images/web_1.raw").write_bytes(IMAGE)
    here.services.attach(here.image("1"), Options())
    assert here.notes == []
    # It was not ours, so it stays.
    here.services.detach("web")
    assert here.files == ["web_1.raw"]


def test_no_room(here: Here) -> None:
    write_program(here.place.parent / "programs", "df", "#!/bin/sh\nprintf 'Filesystem\\n/dev/x 100 98 2 98%% /\\n'\n")
    with pytest.raises(PortableError, match=r"no room for 'web_1.raw'.*2 kB are free"):
        here.services.attach(here.image("1"), Options())
    assert here.files == []


def test_the_disk_is_full_all_the_same(here: Here) -> None:
    text = (
        '#!/bin/sh\n[ $# -gt 0 ] && exec /bin/cat "$@"\necho "cat: write error: No space left on device" >&2\nexit 1\n'
    )
    write_program(here.place.parent / "programs", "cat", text)
    with pytest.raises(PortableError, match=r"cannot be written to .*No space left") as caught:
        here.services.attach(here.image("1"), Options())
    assert caught.value.hint == "is the disk full?"
    assert here.files == []


def test_a_place_that_cannot_be(here: Here) -> None:
    (here.place / "images").write_text("a file")
    with pytest.raises(PortableError, match="cannot be written to"):
        here.services.attach(here.image("1"), Options())


def test_one_at_a_time(here: Here) -> None:
    image = here.image("1")
    lock = here.place / "lock"
    with subprocess.Popen(["flock", str(lock), "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.write(b"held\n")
        holder.stdin.flush()
        holder.stdout.readline()
        with pytest.raises(PortableError, match="somebody else copies"):
            here.services.attach(image, Options())
        holder.stdin.close()


def test_a_copy_that_is_cut_off_is_kept(tmp_path: Path) -> None:
    """What a lost connection leaves is where the next copy goes on."""
    from frazil.portable.delivery import digest_of

    image = tmp_path / "web_1.raw"
    image.write_bytes(IMAGE)
    folder = tmp_path / "images"
    words = [str(folder), "web_1.raw", digest_of(str(image)), str(len(IMAGE)), str(tmp_path / "lock"), "web"]
    done = subprocess.run(["sh", "-c", RECEIVE, "sh", *words], input=IMAGE[:2000], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"send 0\ncut 2000\n")
    done = subprocess.run(["sh", "-c", RECEIVE, "sh", *words], input=IMAGE[2000:], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"send 2000\nnew\n")
    assert (folder / "web_1.raw").read_bytes() == IMAGE


# -- machines that are none --------------------------------------------------------------------------------------------


def host(folder: Path, **programs: str) -> Host:
    """A machine that answers as it is told: `id`, `systemctl`, …"""
    for name, text in programs.items():
        write_program(folder, name, f"#!/bin/sh\n{text}\n")
    return Host(None, {"PATH": f"{folder}:/usr/bin:/bin"})


def test_no_systemd(tmp_path: Path) -> None:
    if os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd runs here")
    with pytest.raises(PortableError, match="systemd does not run on this machine"):
        host(tmp_path / "programs").check()


def test_unreachable(tmp_path: Path) -> None:
    write_program(tmp_path / "programs", "ssh", "#!/bin/sh\nexit 255\n")
    environment = {"PATH": f"{tmp_path}/programs:/usr/bin:/bin"}
    with Host("ssh://root@machine.example", environment) as there:
        assert there.name == "machine.example"


def test_sudo(tmp_path: Path) -> None:
    write_program(tmp_path / "programs", "sudo", '#!/bin/sh\necho "$*"\n')
    environment = {"PATH": f"{tmp_path}/programs:/usr/bin:/bin"}
    # The child's own PATH is where it is looked for.
    with Host(None, environment, sudo=True) as there:
        assert there.run("portablectl", "list").out == "-n -- portablectl list\n"


@pytest.mark.parametrize("address", ["http://x", "ssh://", "ssh://-oProxyCommand=x", "ssh://a@-b"])
def test_no_address(address: str) -> None:
    with pytest.raises(UsageError):
        Host(address, {})
