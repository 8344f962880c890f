"""Control groups of builders: real ones where the machine lets us make some, and a hierarchy of plain folders."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from frazil.activity import ActivityType
from frazil.build import cgroups
from frazil.build.build_users import BuildUser, acquire_build_user, kill_processes
from frazil.build.elsewhere import result_of
from frazil.build.errors import BuildError, BuildFailed
from frazil.build.scheduler import realise_each
from frazil.build.settings import BuildSettings
from frazil.daemon.results import outcome_of
from frazil.errors import UsageError
from frazil.store.derived_path import ALL_OUTPUTS, DerivedPath

from .support import Lab

FEATURES = frozenset({"cgroups", "auto-allocate-uids"})


def _why_not() -> str | None:
    if os.geteuid():
        return "control groups of builds and user ids for them need root"
    try:
        place = f"{cgroups.root()}/frazil-try-{os.getpid()}"
        os.mkdir(place)
        os.rmdir(place)
    except (BuildError, OSError) as error:
        return f"no control groups can be made here: {error}"
    return None


@pytest.fixture
def groups() -> None:
    reason = _why_not()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Plain folders in place of the kernel's: files of a group have to be put there by hand."""
    top = tmp_path / "cgroup"
    top.mkdir()
    monkeypatch.setattr(cgroups, "_root", str(top))
    monkeypatch.setattr(cgroups, "hierarchy", lambda: str(top))
    return top


def test_where_the_hierarchy_is(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\ncgroup /sys/c1 cgroup rw 0 0\ncg2 /sys/a\\040b cgroup2 rw 0 0\n")
    assert cgroups.hierarchy(str(mounts)) == "/sys/a b"
    mounts.write_text("proc /proc proc rw 0 0\n")
    with pytest.raises(BuildError, match="cannot determine the cgroups file system") as found:
        cgroups.hierarchy(str(mounts))
    assert "Delegate=yes" in (found.value.hint or "")


def test_which_group_is_ours(tmp_path: Path) -> None:
    membership = tmp_path / "cgroup"
    membership.write_text("4:memory:/x\n0::/user.slice/a b\n")
    assert cgroups.own_group(str(membership)) == "/user.slice/a b"
    membership.write_text("4:memory:/x\n")
    with pytest.raises(BuildError, match="cannot determine cgroup name"):
        cgroups.own_group(str(membership))


def test_what_was_used(hierarchy: Path) -> None:
    (hierarchy / "cpu.stat").write_text("usage_usec 30\nuser_usec 20\nsystem_usec 10\n")
    assert cgroups.usage_of(str(hierarchy)) == cgroups.Usage(20, 10)
    (hierarchy / "cpu.stat").write_text("user_usec many\n")
    assert cgroups.usage_of(str(hierarchy)) == cgroups.Usage()
    assert cgroups.usage_of(str(hierarchy / "none")) == cgroups.Usage()


def test_a_hierarchy_that_cannot_be_written(hierarchy: Path) -> None:
    """A folder made in a plain one has none of a group's files."""
    with pytest.raises(BuildError, match=r'creating cgroup ".*nix-build-pid-.*": No such file') as found:
        cgroups.Cgroup(str(hierarchy), None, None, None)
    assert "use-cgroups" in (found.value.hint or "")
    assert list(hierarchy.iterdir()) == []


def test_what_is_no_group_is_left_alone(hierarchy: Path) -> None:
    (hierarchy / "folder").mkdir()
    with pytest.raises(BuildError, match="is not a cgroup"):
        cgroups.destroy(str(hierarchy / "folder"))
    assert cgroups.destroy(str(hierarchy / "absent")) == cgroups.Usage()


def test_a_name_from_elsewhere_is_not_followed(hierarchy: Path, tmp_path: Path) -> None:
    """What is written down of the last build may be anything: only groups are removed."""
    state = tmp_path / "state"
    (state / "cgroups").mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "cgroup.procs").write_text("")
    (state / "cgroups/7").write_text(str(victim))
    with pytest.raises(BuildError, match="creating cgroup"):
        cgroups.Cgroup(str(state), 7, 7, None)
    assert victim.is_dir()
    assert (state / "cgroups/7").read_text() == str(hierarchy / "nix-build-uid-7")


def test_feature(hierarchy: Path) -> None:
    with pytest.raises(UsageError, match="experimental Nix feature 'cgroups' is disabled"):
        cgroups.check_feature(BuildSettings())
    cgroups.check_feature(BuildSettings(experimental_features=FEATURES))


@pytest.mark.usefixtures("groups")
def test_usage_of_a_build(lab: Lab) -> None:
    script = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; grep ^0: /proc/self/cgroup > $out"
    (result,) = lab.build(lab.derivation(script), use_cgroups=True, experimental_features=FEATURES)
    assert lab.real(result).read_text() == "0::/\n"
    assert result.cpu_user is not None
    assert result.cpu_system is not None
    assert result.cpu_user + result.cpu_system > 0
    assert not [name for name in os.listdir(cgroups.root()) if name.startswith(f"nix-build-pid-{os.getpid()}")]
    (plain,) = lab.build(lab.derivation("echo > $out", name="plain"))
    assert plain.cpu_user is None


@pytest.mark.usefixtures("groups")
def test_usage_of_a_failed_build(lab: Lab) -> None:
    """Also what is told to the client of a daemon."""
    drv = lab.derivation("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; exit 3")
    settings = lab.settings(use_cgroups=True, experimental_features=FEATURES)
    (result,) = realise_each(lab.store, [DerivedPath(drv, ALL_OUTPUTS)], settings, lab.events)
    assert result.failure is not None
    outcome = outcome_of(result)
    for found in (result, result.failure, outcome):
        assert found.cpu_user is not None and found.cpu_system is not None
        assert found.cpu_user + found.cpu_system > 0
        assert 0 < found.start_time <= found.stop_time
    again = result_of(result.path, outcome)
    assert (again.cpu_user, again.stop_time) == (result.cpu_user, result.stop_time)
    plain = lab.derivation("exit 3", name="plain")
    (result,) = realise_each(lab.store, [DerivedPath(plain, ALL_OUTPUTS)], lab.settings(), lab.events)
    assert result.start_time > 0 and result.cpu_user is None


@pytest.mark.usefixtures("groups")
def test_a_failure_leaves_no_group(lab: Lab) -> None:
    before = set(os.listdir(cgroups.root()))
    with pytest.raises(BuildFailed):
        lab.build(lab.derivation("sleep 100 & exit 3"), use_cgroups=True, experimental_features=FEATURES)
    assert set(os.listdir(cgroups.root())) <= before


@pytest.mark.usefixtures("groups")
def test_members_of_inner_groups_are_killed() -> None:
    group = cgroups.Cgroup("/nowhere", None, None, None)
    inner = Path(group.path, "a", "b")
    inner.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as process:
        (inner / "cgroup.procs").write_text(str(process.pid))
        group.end()
        assert process.wait(30) == -9
    assert not os.path.exists(group.path)


@pytest.mark.usefixtures("groups")
def test_a_range_of_ids(lab: Lab) -> None:
    """The builder is root of its sandbox, may be anybody there, and divide its control group; files end as root's."""
    script = (
        "id -u > /build/who; cat /proc/self/uid_map >> /build/who; mkdir -p $out/mine /run; cp /build/who $out;"
        "chown 77:88 $out/mine; echo x > /etc/made; [ -d /sys/class ]; mkdir /tmp/c; mount -t cgroup2 none /tmp/c;"
        "mkdir /tmp/c/inner; touch $out/all-done"
    )
    drv = lab.derivation(f"set -e; {script}", requiredSystemFeatures="uid-range")
    with pytest.raises(BuildError, match="requires the setting 'auto-allocate-uids'"):
        lab.build(drv, experimental_features=FEATURES)
    before = set(os.listdir(cgroups.root()))
    (result,) = lab.build(drv, experimental_features=FEATURES, auto_allocate_uids=True)
    assert set(os.listdir(cgroups.root())) <= before
    assert (lab.real(result) / "who").read_text().split() == ["0", "0", "872415232", "65536"]
    assert (lab.real(result) / "mine").stat().st_uid == 0
    assert (lab.real(result) / "all-done").exists()
    assert result.cpu_user is not None


@pytest.mark.usefixtures("groups")
def test_a_range_is_not_the_hosts(lab: Lab) -> None:
    """Its root reads nothing that others may not, and makes no device."""
    secret = lab.root / "secret"
    secret.write_text("treasure")
    secret.chmod(0o600)
    script = "cat /secret > $out; mknod /build/disk b 8 0 2>> $out; echo made $? >> $out; chmod u+s $out 2>> $out"
    drv = lab.derivation(script + "; true", requiredSystemFeatures="uid-range")
    (result,) = lab.build(
        drv,
        experimental_features=FEATURES,
        auto_allocate_uids=True,
        sandbox_paths=(f"/secret={secret}",),
    )
    text = lab.real(result).read_text()
    assert "treasure" not in text
    assert "made 1" in text
    assert lab.real(result).stat().st_mode & 0o7777 == 0o444


@pytest.mark.usefixtures("groups")
def test_builders_have_ids_of_their_own(lab: Lab) -> None:
    script = "cat /proc/self/uid_map > $out; sleep 1"
    drvs = [lab.derivation(script, name=f"n{number}") for number in range(2)]
    results = lab.build(*drvs, max_jobs=2, experimental_features=FEATURES, auto_allocate_uids=True)
    hosts = {lab.real(result).read_text().split()[-2] for result in results}
    assert hosts == {"872415232", "872480768"}


@pytest.mark.usefixtures("groups")
def test_waiting_for_an_id(lab: Lab) -> None:
    """One slot for two builds: the second waits, and says so."""
    drvs = [lab.derivation("sleep 1; echo > $out", name=f"n{number}") for number in range(2)]
    lab.build(*drvs, max_jobs=2, experimental_features=FEATURES, auto_allocate_uids=True, id_count=65536)
    texts = [text for kind, text in lab.events.started if kind is ActivityType.BUILD_WAITING]
    assert any(text.startswith("waiting for a free build user ID for '") for text in texts)


def test_bad_ranges(tmp_path: Path) -> None:
    for changes in ({"start_id": 0}, {"id_count": 100}, {"id_count": 0}, {"start_id": (1 << 32) - 65536}):
        settings = BuildSettings(auto_allocate_uids=True, **changes)
        with pytest.raises(BuildError, match="make no user ids for builds"):
            acquire_build_user(str(tmp_path), settings, "")


def test_groups_of_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import grp
    import pwd

    members = ["one", "two"]
    group = grp.struct_group(("makers", "x", 555, members))
    monkeypatch.setattr(grp, "getgrnam", lambda name: group if name == "makers" else grp.getgrgid(-2))
    monkeypatch.setattr(
        pwd,
        "getpwnam",
        lambda name: pwd.struct_passwd((name, "x", 7000 + len(name) + (name == "two"), 555, "", "/", "")),
    )
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, 556])
    first = acquire_build_user(str(tmp_path), BuildSettings(), "makers")
    second = acquire_build_user(str(tmp_path), BuildSettings(), "makers")
    assert first is not None
    assert second is not None
    assert (first.uid, first.gid, first.groups, second.uid) == (7003, 555, (556,), 7004)
    assert acquire_build_user(str(tmp_path), BuildSettings(), "makers") is None
    first.release()
    again = acquire_build_user(str(tmp_path), BuildSettings(), "makers")
    assert isinstance(again, BuildUser)
    assert again.uid == 7003
    again.release()
    second.release()
    members.clear()
    with pytest.raises(BuildError, match="has no members"):
        acquire_build_user(str(tmp_path), BuildSettings(), "makers")


def test_no_such_group(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="the group 'none-such' specified in 'build-users-group' does not exist"):
        acquire_build_user(str(tmp_path), BuildSettings(), "none-such")


def test_processes_of_a_user_are_killed() -> None:
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    process = subprocess.Popen(["sleep", "1000"], user=872415999, cwd="/")
    try:
        for _ in range(1000):
            if os.stat(f"/proc/{process.pid}").st_uid == 872415999:
                break
            time.sleep(0.01)
        kill_processes(872415999)
        assert process.wait(30) == -9
    finally:
        process.kill()
        process.wait()


def test_a_builder_without_a_sandbox_is_another_user(plain_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It owns its folder and what it makes there; what it leaves running ends."""
    if os.geteuid():
        pytest.skip("becoming another user needs root")
    import shutil
    import tempfile

    from frazil.build import build_goal
    from frazil.build.build_users import uses_build_users

    top = tempfile.mkdtemp(prefix="frazil-", dir="/tmp")
    try:
        os.chmod(top, 0o755)
        lab = Lab(Path(top), diverted=False)
        assert uses_build_users(BuildSettings(auto_allocate_uids=True), "")
        monkeypatch.setattr(
            build_goal, "acquire_build_user", lambda *_, **__: BuildUser(872415998, 872415998, 1, (872415997,))
        )
        script = "exec 2>&1; id -u > $out; id -G >> $out; stat -c %u . >> $out; setsid sleep 1000 & sleep 0.3"
        path = f"export PATH={os.environ['PATH']}; "
        drv = lab.derivation(path + script)
        os.chmod(lab.store.config.real_store_dir, 0o1777)
        (result,) = lab.build(drv, sandbox="false", auto_allocate_uids=True, experimental_features=FEATURES)
        assert lab.real(result).read_text().split() == ["872415998", "872415998", "872415997", "872415998"]
        assert lab.real(result).stat().st_uid == 0
        assert lab.left_over() == []
        kill_processes(872415998)
        lab.store.close()
    finally:
        shutil.rmtree(top)
