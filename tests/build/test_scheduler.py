"""Builds from end to end: what gets built, what a failure means, what a kill leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from frazil.activity import ActivityType, Field, ResultType, Verbosity
from frazil.build.errors import BuildError, BuildFailed
from frazil.build.log import read_log
from frazil.build.result import Status
from frazil.build.scheduler import realise, realise_derivation
from frazil.digest import Hash
from frazil.errors import UsageError
from frazil.store.content_address import ContentAddress
from frazil.store.derivation import Floating
from frazil.store.derived_path import DerivedPath, OutputsSpec
from frazil.store.path import StorePath, placeholder, unknown_output_placeholder

from .support import Lab

HELLO = ContentAddress("flat", Hash.of("sha256", b"hello"))


def failure(lab: Lab, *derivations: StorePath, mode: str = "normal", **settings: object) -> BuildFailed:
    with pytest.raises(BuildFailed) as caught:
        lab.build(*derivations, mode=mode, **settings)
    return caught.value


def test_a_chain_is_built_in_order_and_registered(lab: Lab) -> None:
    first = lab.derivation("echo one; mkdir $out; echo data > $out/f", name="first")
    second = lab.derivation("read x < @first@/f; echo $x @first@ $out > $out", name="second", needs=[first])
    (result,) = lab.build(second)
    assert result.status is Status.BUILT
    info = lab.store.query_info(result.outputs["out"])
    assert {path.name for path in info.references} == {"first", "second"}
    assert info.deriver == second
    assert info.ultimate
    assert lab.events.lines == ["one"]
    assert lab.left_over() == []
    assert lab.store.verify(check_contents=True)
    assert lab.build(second)[0].status is Status.ALREADY_VALID


def test_outputs_refer_to_each_other_and_cycles_are_refused(lab: Lab) -> None:
    good = lab.derivation("mkdir $out; echo $lib > $out/x; echo lib > $lib", name="good", outputs=["out", "lib"])
    (result,) = lab.build(good)
    assert lab.store.query_info(result.outputs["out"]).references == {result.outputs["lib"]}
    bad = lab.derivation("echo $lib > $out; echo $out > $lib", name="bad", outputs=["out", "lib"])
    assert "cycle detected in build of" in failure(lab, bad).message


def test_one_wanted_output_is_enough(lab: Lab) -> None:
    drv = lab.derivation("echo a > $out; echo b > $dev", outputs=["out", "dev"])
    from frazil.build.scheduler import realise

    (result,) = realise(lab.store, [DerivedPath(drv, OutputsSpec(frozenset({"dev"})))], lab.settings(), lab.events)
    assert list(result.outputs) == ["dev"]
    with pytest.raises(BuildError, match="does not have wanted outputs 'nope'"):
        realise(lab.store, [DerivedPath(drv, OutputsSpec(frozenset({"nope"})))], lab.settings(), lab.events)


def test_a_failed_builder_shows_its_last_lines(lab: Lab) -> None:
    drv = lab.derivation("for i in 1 2 3 4; do echo line $i; done; exit 3")
    error = failure(lab, drv, log_lines=2)
    assert error.exit_status == 100
    assert error.message == textwrap.dedent(f"""\
        Cannot build '{lab.store.show(drv)}'.
        Reason: builder failed with exit code 3.
        Output paths:
          {lab.store.show(lab.store.query_derivation_outputs(drv)["out"] or drv)}
        Last 2 log lines:
        > line 3
        > line 4
        For full logs, run:
          frazil log {lab.store.show(drv)}""")
    assert lab.left_over() == []
    log = read_log(lab.store.config.log_dir, drv.base)
    assert log == b"line 1\nline 2\nline 3\nline 4\n"


@pytest.mark.parametrize(
    ("script", "settings", "status", "words"),
    [
        ("exit 0", {}, 1, "failed to produce output path for output 'out'"),
        ("kill -9 $$; sleep 5; exit 1", {"timeout": 1}, 101, "timed out after 1 seconds"),
        ("sleep 20", {"max_silent_time": 1}, 101, "timed out after 1 seconds"),
        ("while :; do echo aaaa; done", {"max_build_log_size": 100}, 1, "killed after writing more than 100 bytes"),
        ("exec >&- 2>&-; sleep 20", {}, 100, "builder failed due to signal 9"),
        ("mkfifo $out", {}, 1, "has an unsupported type"),
        ("echo > $out; chmod 666 $out", {}, 1, "suspicious ownership or permission"),
    ],
)
def test_ways_to_fail(lab: Lab, script: str, settings: dict[str, object], status: int, words: str) -> None:
    error = failure(lab, lab.derivation(script), **settings)
    assert (error.exit_status, words in error.message) == (status, True), error.message
    assert lab.left_over() == []


def test_a_builder_that_is_not_there(lab: Lab) -> None:
    error = failure(lab, lab.derivation("", builder="/nonexistent/program"))
    assert error.exit_status == 100
    assert "> error: executing '/nonexistent/program': No such file or directory" in error.message


def test_foreign_platforms_and_features_are_refused(lab: Lab) -> None:
    error = failure(lab, lab.derivation("", platform="mips-linux"))
    assert "Required system: 'mips-linux'" in error.message
    error = failure(lab, lab.derivation("", requiredSystemFeatures="quantum"))
    assert "Required features: {quantum}" in error.message
    assert "local builds are disabled" in failure(lab, lab.derivation("echo > $out"), max_jobs=0).message


def test_a_failed_dependency_is_logged_and_named(lab: Lab) -> None:
    broken = lab.derivation("exit 1", name="broken")
    top = lab.derivation("echo > $out", name="top", needs=[broken])
    error = failure(lab, top)
    assert error.exit_status == 100
    assert error.message.startswith(f"Cannot build '{lab.store.show(top)}'.\nReason: 1 dependency failed.")
    (logged,) = [text for level, text in lab.events.messages if level == Verbosity.ERROR]
    assert logged.startswith(f"error: Cannot build '{lab.store.show(broken)}'.")


def test_keep_going_builds_what_it_can(lab: Lab) -> None:
    bad = [lab.derivation(f"echo {i}; exit 1", name=f"bad{i}") for i in range(2)]
    good = lab.derivation("echo fine > $out", name="good")
    top = lab.derivation("echo > $out", name="top", needs=[*bad, good])
    assert "Reason: 1 dependency failed." in failure(lab, top).message
    error = failure(lab, top, keep_going=True)
    assert "Reason: 2 dependencies failed." in error.message
    path = lab.store.query_derivation_outputs(good)["out"]
    assert path is not None
    assert lab.store.is_valid(path)
    error = failure(lab, *bad, keep_going=True)
    assert error.message == f"build of '{lab.store.show(bad[0])}', '{lab.store.show(bad[1])}' failed" or (
        error.message == f"build of '{lab.store.show(bad[1])}', '{lab.store.show(bad[0])}' failed"
    )


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 2), (8, 3)])
def test_as_many_run_at_once_as_allowed(lab: Lab, jobs: int, most: int) -> None:
    lab.build(*[lab.derivation(f"sleep 0.5; echo {i} > $out", name=f"p{i}") for i in range(3)], max_jobs=jobs)
    assert lab.events.most_at_once == most


def test_the_first_failure_ends_the_others(lab: Lab) -> None:
    slow = lab.derivation("sleep 30; echo > $out", name="slow")
    fast = lab.derivation("exit 1", name="fast")
    start = time.monotonic()
    error = failure(lab, slow, fast, max_jobs=2)
    assert time.monotonic() - start < 5
    assert "fast.drv" in error.message
    assert lab.left_over() == []


def test_what_was_given_up_is_named_where_that_is_wanted(lab: Lab) -> None:
    bad = lab.derivation("exit 1", name="bad")
    after = lab.derivation("sleep 60", name="slow")
    targets = [DerivedPath(path, OutputsSpec(frozenset({"out"}))) for path in (bad, after)]
    settings = lab.settings(max_jobs=2)
    with pytest.raises(BuildFailed) as caught:
        realise(lab.store, targets, settings, lab.events, names_cut_off=True)
    both = ", ".join(sorted(f"'{lab.store.show(path)}'" for path in (bad, after)))
    assert caught.value.message == f"build of {both} failed"
    assert caught.value.exit_status == 100
    with pytest.raises(BuildFailed, match="builder failed with exit code 1"):
        realise(lab.store, targets, settings, lab.events)


def test_fixed_outputs(lab: Lab) -> None:
    right = lab.derivation("printf hello > $out", fixed=HELLO)
    (result,) = lab.build(right)
    assert lab.store.query_info(result.outputs["out"]).content_address == HELLO
    wrong = lab.derivation("printf other > $out", name="wrong", fixed=HELLO)
    error = failure(lab, wrong)
    got = Hash.of("sha256", b"other").sri
    assert error.message == (
        f"hash mismatch in fixed-output derivation '{lab.store.show(wrong)}':\n"
        f"  specified: {HELLO.hash.sri}\n     got:    {got}"
    )
    assert error.exit_status == 102
    executable = lab.derivation("printf hello > $out; chmod +x $out", name="exe", fixed=HELLO)
    assert "should be a non-executable regular file" in failure(lab, executable).message


def test_two_derivations_with_the_same_output(lab: Lab) -> None:
    pair = [lab.derivation(f": {i}; printf hello > $out", fixed=HELLO) for i in range(2)]
    results = lab.build(*pair, max_jobs=2)
    assert results[0].outputs == results[1].outputs


def test_a_wrong_hash_waits_for_nobody(lab: Lab) -> None:
    """What the wrong one made belongs where a running build is about to put its own."""
    other = ContentAddress("flat", Hash.of("sha256", b"other"))
    slow = lab.derivation("sleep 30; printf hello > $out", name="same", fixed=HELLO)
    wrong = lab.derivation("sleep 0.3; printf hello > $out", name="same", fixed=other)
    start = time.monotonic()
    error = failure(lab, slow, wrong, max_jobs=2)
    assert "hash mismatch in fixed-output derivation" in error.message
    assert time.monotonic() - start < 10
    assert lab.left_over() == []


def test_checking_finds_differences(lab: Lab) -> None:
    steady = lab.derivation("echo $out > $out", name="steady")
    with pytest.raises(BuildError, match="not valid, so checking is not possible"):
        lab.build(steady, mode="check")
    lab.build(steady)
    assert lab.build(steady, mode="check")[0].succeeded
    random = lab.derivation("cat /proc/sys/kernel/random/uuid > $out", name="random")
    (result,) = lab.build(random)
    error = failure(lab, random, mode="check")
    assert error.exit_status == 104
    assert "may not be deterministic: output" in error.message
    kept = Path(f"{lab.real(result)}.check")
    assert not kept.exists()
    failure(lab, random, mode="check", keep_failed=True)
    assert kept.read_text() != lab.real(result).read_text()
    assert lab.store.verify(check_contents=True)


def test_repairing_mends_what_was_damaged(lab: Lab) -> None:
    drv = lab.derivation("echo right > $out")
    (result,) = lab.build(drv)
    path = lab.real(result)
    path.chmod(0o644)
    path.write_text("wrong")
    lab.build(drv)
    assert path.read_text() == "wrong"
    lab.build(drv, mode="repair")
    assert path.read_text() == "right\n"


def test_repairing_a_path_looks_at_what_it_needs(lab: Lab) -> None:
    below = lab.derivation("echo right > $out", name="below")
    top = lab.derivation("echo @below@ > $out", name="top", needs=[below])
    built, needed = lab.build(top, below)
    lab.real(needed).chmod(0o644)
    lab.real(needed).write_text("wrong")
    lab.events.messages.clear()
    realise(lab.store, [DerivedPath(built.outputs["out"])], lab.settings(), lab.events, mode="repair")
    assert lab.real(needed).read_text() == "right\n"
    bad, good = (lab.store.show(result.outputs["out"]) for result in (needed, built))
    said = [text for _, text in lab.events.messages if "check" in text or "missing" in text]
    assert said == [
        f"checking path '{good}'...",
        f"checking path '{bad}'...",
        f"path '{bad}' is corrupted or missing!",
        f"found corrupted or missing path '{bad}' in the output closure of '{lab.store.show(top)}'",
    ]


def test_repairing_without_a_sandbox(plain_lab: Lab) -> None:
    drv = plain_lab.derivation("echo right $out > $out")
    (result,) = plain_lab.build(drv, sandbox="false")
    path = plain_lab.real(result)
    right = path.read_text()
    path.chmod(0o644)
    path.write_text("wrong")
    plain_lab.build(drv, mode="repair", sandbox="false")
    assert path.read_text() == right
    assert plain_lab.store.verify(check_contents=True)


def test_kept_build_directories(lab: Lab) -> None:
    failure(lab, lab.derivation("echo evidence > file; exit 1"), keep_failed=True)
    (note,) = [text for _, text in lab.events.messages if text.startswith("note: keeping")]
    folder = Path(note.split('"')[1])
    assert (folder / "file").read_text() == "evidence\n"
    lab.build(lab.derivation("echo > $out"))  # does not take it for a left-over
    assert folder.exists()


def test_floating_outputs_need_their_feature(lab: Lab) -> None:
    drv = lab.derivation("echo > $out", outputs={"out": Floating("nar", "sha256")}, out=placeholder("out"))
    with pytest.raises(UsageError, match="experimental Nix feature 'ca-derivations' is disabled"):
        lab.build(drv)


def test_floating_outputs_are_found_by_their_contents(lab: Lab) -> None:
    features = {"experimental_features": frozenset({"ca-derivations"}), "max_jobs": 1}

    def floating(script: str) -> StorePath:
        return lab.derivation(script, outputs={"out": Floating("nar", "sha256")}, out=placeholder("out"))

    pair = [floating(f": {i}; mkdir $out; echo $out > $out/self") for i in range(2)]
    first, second = lab.build(*pair, **features)
    assert first.outputs == second.outputs
    path = first.outputs["out"]
    assert (lab.real(first) / "self").read_text().strip() == lab.store.show(path)
    info = lab.store.query_info(path)
    assert info.references == {path}
    assert info.is_content_addressed(lab.store.directory)
    tops = [
        lab.derivation(
            f"read x < {unknown_output_placeholder(drv, 'out')}/self; echo $x > $out", name="top", needs=[drv]
        )
        for drv in pair
    ]
    results = lab.build(*tops, **features)
    assert results[0].outputs == results[1].outputs
    assert lab.real(results[0]).read_text().strip() == lab.store.show(path)
    assert lab.build(tops[0], **features)[0].status is Status.ALREADY_VALID
    assert lab.store.verify(check_contents=True)


def test_missing_inputs(lab: Lab) -> None:
    absent = StorePath("0" * 32, "absent")
    from frazil.build.scheduler import realise

    with pytest.raises(BuildFailed, match="is required, but there is no substituter that can build it"):
        realise(lab.store, [DerivedPath(absent)], lab.settings(), lab.events)


def test_phases_and_messages_in_the_log(lab: Lab) -> None:
    script = """
        echo '@nix {"action":"setPhase","phase":"buildPhase"}'
        echo '@nix {"action":"msg","level":1,"msg":"careful"}'
        echo '@nix {broken'
        printf 'progress 1\\rprogress 2\\n'
        printf 'no end'; echo > $out"""
    lab.build(lab.derivation(script))
    assert lab.events.phases == ["buildPhase"]
    assert (Verbosity.WARN, "careful") in lab.events.messages
    assert lab.events.lines == ["@nix {broken", "progress 2", "no end"]


RUNNER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from build.support import Lab
from frazil.store.path import StorePath, placeholder, unknown_output_placeholder
lab = Lab(Path({root!r}))
print("ready", flush=True)
lab.build(StorePath.from_base({base!r}))
lab.store.close()
"""


def start_process(lab: Lab, drv: StorePath) -> subprocess.Popen[str]:
    code = RUNNER.format(tests=str(Path(__file__).parent.parent), root=str(lab.root), base=drv.base)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()
    return process


def wait_for(condition: object, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def processes_with(mark: str) -> list[str]:
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            continue
        if mark.encode() in command and b"python" not in command:
            found.append(number)
    return found


def test_a_kill_takes_the_builder_along_and_leaves_a_whole_store(lab: Lab) -> None:
    mark = f"77.{os.getpid()}"
    drv = lab.derivation(f"sleep {mark} & mkdir $out; sleep {mark}")
    process = start_process(lab, drv)
    wait_for(lambda: len(processes_with(f"sleep\0{mark}")) >= 2 or len(processes_with(mark)) >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not processes_with(mark))
    assert lab.left_over()
    lab.build(lab.derivation("echo > $out", name="other"))
    assert [name for name in lab.left_over() if not name.endswith(".chroot")] == []
    assert lab.store.verify(check_contents=True)
    path = lab.store.query_derivation_outputs(drv)["out"]
    assert path is not None
    assert not lab.store.is_registered(path)


def test_an_interrupt_cleans_up(lab: Lab) -> None:
    mark = f"78.{os.getpid()}"
    drv = lab.derivation(f"sleep {mark}")
    process = start_process(lab, drv)
    wait_for(lambda: processes_with(mark))
    process.send_signal(signal.SIGINT)
    process.wait()
    wait_for(lambda: not processes_with(mark))
    assert lab.left_over() == []


def test_two_processes_build_one_path_once(lab: Lab) -> None:
    counter = lab.root / "counter"
    counter.mkdir()
    counter.chmod(0o777)
    drv = lab.derivation("echo built; sleep 0.5; echo > $out; cat /proc/sys/kernel/random/uuid >> $out")
    processes = [start_process(lab, drv) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    (result,) = lab.build(drv)
    assert result.status is Status.ALREADY_VALID
    assert lab.store.verify(check_contents=True)
    assert not [name for name in os.listdir(lab.store.config.real_store_dir) if name.endswith(".lock")]


FULL = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from build.support import Lab
from frazil.build.errors import BuildFailed
from frazil.store.errors import DiskFull, StoreError
lab = Lab(Path({root!r}))
lab.build(lab.derivation("echo > $out", name="before"))
try:
    lab.build(lab.derivation("dd if=/dev/zero of=$out bs=1M count=30; true", name="large"))
except (BuildFailed, DiskFull) as error:
    print("full" if "disk" in error.message + str(error.hint) else error.message)
print(lab.left_over(), lab.store.verify(check_contents=True))
lab.build(lab.derivation("echo > $out", name="after"))
print("after")
lab.store.close()
"""


def test_a_full_disk(lab: Lab) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    (lab.root / "disk").mkdir()
    code = FULL.format(tests=str(Path(__file__).parent.parent), root=str(lab.root / "disk" / "store"))
    script = 'mount -t tmpfs -o size=20m none "$1" && exec "$2" -c "$3"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(lab.root / "disk"), sys.executable, code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr}")
    assert done.stdout.split("\n") == ["full", "[] True", "after", ""], done.stderr


def test_a_failure_is_told_of_once_and_indented(lab: Lab) -> None:
    bad = lab.derivation("exit 3", name="bad", outputs=["out", "dev"])
    tops = [lab.derivation("echo > $out", name=f"top{i}", needs=[bad]) for i in range(3)]
    one = lab.derivation("echo > $out", name="all", needs=tops)
    failure(lab, one, keep_going=True)
    texts = [text for level, text in lab.events.messages if level is Verbosity.ERROR]
    assert sum("builder failed" in text for text in texts) == 1
    assert all(line.startswith("       ") for text in texts for line in text.split("\n")[1:] if line)


HOOK = """\
#!/bin/sh
echo "told of $DRV_PATH $OUT_PATHS"
echo "$NIX_CONFIG"
case $DRV_PATH in *-first.drv) while [ ! -e @ROOT@/second.drv ]; do sleep 0.05; done ;; esac
: > @ROOT@/${DRV_PATH##*-}
printf unended
exit @STATUS@
"""


def post_build_hook(lab: Lab, status: int = 0) -> str:
    hook = lab.root / "hook"
    hook.write_text(HOOK.replace("@ROOT@", str(lab.root)).replace("@STATUS@", str(status)))
    hook.chmod(0o755)
    return str(hook)


def test_builds_go_on_while_the_hook_runs(lab: Lab) -> None:
    first, second = lab.derivation("echo > $out", name="first"), lab.derivation("echo > $out", name="second")
    hook = post_build_hook(lab)
    results = lab.build(first, second, post_build_hook=hook, configuration=lambda: "cores = 3\n")
    assert [result.status for result in results] == [Status.BUILT, Status.BUILT]
    path = lab.store.show(results[0].outputs["out"])
    assert {f"told of {lab.store.show(first)} {path}", "cores = 3", "unended"} <= set(lab.events.hook_lines)


def test_a_failing_hook_ends_everything(lab: Lab) -> None:
    drv = lab.derivation("echo > $out", name="other")
    with pytest.raises(BuildError, match=r'program ".*/hook" failed with exit code 4'):
        lab.build(drv, post_build_hook=post_build_hook(lab, 4))
    assert lab.store.is_registered(lab.store.query_derivation_outputs(drv)["out"] or drv)
    with pytest.raises(BuildError, match="cannot run the post-build hook '/nonexistent'"):
        lab.build(lab.derivation("echo > $out", name="another"), post_build_hook="/nonexistent")


def test_an_interrupted_build_is_kept_where_failures_are(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a build that timed out is; the user is told of it, and of what was finished."""
    first = lab.derivation("echo > $out", name="first")
    second = lab.derivation("echo > /build/left; echo started; sleep 1000 # @first@", name="second", needs=[first])
    show = lab.events.result

    def interrupt(identifier: int, kind: ResultType, fields: Sequence[Field]) -> None:
        show(identifier, kind, fields)
        if kind is ResultType.BUILD_LOG_LINE:
            raise KeyboardInterrupt

    monkeypatch.setattr(lab.events, "result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        lab.build(second, keep_failed=True)
    texts = [text for _, text in lab.events.messages]
    (kept,) = [text.split('"')[1] for text in texts if text.startswith("note: keeping build directory")]
    assert Path(kept, "left").exists()
    assert "note: 1 derivation was built and stays in the store" in texts


def test_activities_of_a_worker(lab: Lab) -> None:
    """What programs that read records count on: the three that stand for all come first, whatever is done."""
    lab.build(lab.derivation("echo > $out"))
    kinds = [kind for kind, _ in lab.events.started]
    assert kinds == [ActivityType.REALISE, ActivityType.BUILDS, ActivityType.COPY_PATHS, ActivityType.BUILD]
    assert lab.events.running == set()


def _program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_diff_hook_is_shown_both(lab: Lab, tmp_path: Path) -> None:
    drv = lab.derivation("read x < /proc/uptime; echo $x > $out; cat /proc/sys/kernel/random/uuid >> $out")
    (result,) = lab.build(drv)
    hook = _program(tmp_path / "hook", 'echo "$#" "$(cmp -s "$1" "$2" || echo differs)" "$(basename "$3")" $(pwd)')
    with pytest.raises(BuildFailed) as found:
        lab.build(drv, mode="check", run_diff_hook=True, diff_hook=hook)
    assert found.value.exit_status == 104
    assert f"4 differs {drv.base} /" in [text for _, text in lab.events.messages]
    assert os.path.exists(f"{lab.real(result)}.check")
    lab.events.messages.clear()
    for wrong, words in ((_program(tmp_path / "bad", "exit 3"), "ended with 3"), ("/nonexistent", "No such file")):
        with pytest.raises(BuildFailed, match="may not be deterministic"):
            lab.build(drv, mode="check", run_diff_hook=True, diff_hook=wrong)
        assert any(text.startswith("diff hook execution failed") and words in text for _, text in lab.events.messages)
    with pytest.raises(BuildFailed):
        lab.build(drv, mode="check", diff_hook=hook)  # nobody asked to run it
    assert sum("differs" in text and "4 " in text for _, text in lab.events.messages) == 0


def test_the_pre_build_hook_adds_paths(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given/file").write_text("seen")
    lines = f"echo extra-sandbox-paths; echo /given={tmp_path}/given; echo /also={tmp_path}/given; echo"
    hook = _program(tmp_path / "hook", lines)
    script = "cat /given/file /also/file > $out"
    (result,) = lab.build(lab.derivation(script), pre_build_hook=hook)
    assert lab.real(result).read_text() == "seenseen"
    other = lab.derivation("echo > $out", name="other")
    for text, words in (("echo nonsense", "unknown pre-build hook command 'nonsense'"), ("exit 3", "exit code 3")):
        with pytest.raises(BuildError, match=words):
            lab.build(other, pre_build_hook=_program(tmp_path / "bad", text))
    with pytest.raises(BuildError, match="No such file"):
        lab.build(other, pre_build_hook="/nonexistent")
    assert lab.left_over() == []


def test_a_build_may_be_the_first_thing_in_a_store(lab: Lab, tmp_path: Path) -> None:
    """On a machine that only lends itself the derivation is not in the store."""
    path = lab.derivation("echo made > $out")
    other = Lab(tmp_path / "other")
    with other.store:
        result = realise_derivation(other.store, path, lab.store.read_derivation(path), other.settings(), other.events)
        assert other.real(result).read_text() == "made\n"
