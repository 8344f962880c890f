"""Programs in the place of the build hook, good and bad ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.conftest import RecordingReporter

from frazil.activity import Activity, ActivityType, Verbosity
from frazil.build.errors import BuildError
from frazil.build.goals import Child, EndOfFile, Output
from frazil.build.hook import ACCEPT, DECLINE, POSTPONE, Hook, Hooks, Messages, log_text
from frazil.build.settings import BuildSettings


def hooks(tmp_path: Path, code: str) -> tuple[Hooks, RecordingReporter]:
    script = tmp_path / "hook.py"
    script.write_text("import os, sys\nread = lambda: os.read(0, 1 << 16)\nsay = lambda t: os.write(2, t)\n" + code)
    reporter = RecordingReporter()
    settings = BuildSettings(build_hook_kill_timeout=100, configuration=lambda: "cores = 3\nlist = a b\n")
    parent = Activity(reporter, ActivityType.REALISE, "")
    return Hooks(settings, reporter, [sys.executable, str(script)], parent, "local"), reporter


def drive(steps: Iterator[object]) -> object:
    """Runs a generator as the loop does."""
    import os

    event = None
    while True:
        try:
            wait = steps.send(event)  # type: ignore[attr-defined]
        except StopIteration as stop:
            return stop.value
        assert isinstance(wait, Child)
        data = os.read(wait.descriptor, 65536)
        event = Output(data, wait.descriptor) if data else EndOfFile(wait.descriptor)


def ask(found: Hooks) -> tuple[str, Hook | None]:
    return drive(found.ask(willing=True, platform="x", derivation="/nix/store/d.drv", features=["kvm"]))  # type: ignore[arg-type,return-value]


def test_acceptance(tmp_path: Path) -> None:
    found, _ = hooks(tmp_path, "read(); say(b'# accept\\nssh://host\\n'); os.write(4, b'log'); read()\n")
    reply, hook = ask(found)
    assert reply == ACCEPT and hook is not None
    assert drive(hook.machine()) == "ssh://host"
    hook.accept(["/nix/store/i"], ["out"])
    assert hook.wait(5) == 0
    hook.close()


def test_what_is_declined_or_postponed_is_asked_again(tmp_path: Path) -> None:
    found, _ = hooks(tmp_path, "read(); say(b'# decline\\n'); read(); say(b'# postpone\\n'); read()\n")
    assert ask(found) == (DECLINE, None)
    assert ask(found) == (POSTPONE, None)
    found.close()


def test_declined_for_good(tmp_path: Path) -> None:
    found, _ = hooks(tmp_path, "read(); say(b'# decline-permanently\\n')\n")
    assert ask(found) == (DECLINE, None)
    assert found.declined
    assert ask(found) == (DECLINE, None)


def test_a_hook_that_dies_declines(tmp_path: Path) -> None:
    found, reporter = hooks(tmp_path, "say(b'oh no\\n'); sys.exit(1)\n")
    assert ask(found) == (DECLINE, None)
    assert [text for _, text in reporter.lines][-1] == "build hook died unexpectedly"


def test_nonsense_is_an_error(tmp_path: Path) -> None:
    found, _ = hooks(tmp_path, "read(); say(b'# perhaps\\n'); read()\n")
    with pytest.raises(BuildError, match="bad hook reply 'perhaps'"):
        ask(found)


def test_the_hook_gets_settings_and_the_request(tmp_path: Path) -> None:
    words = "(b'cores', b'kvm', b'try', b'a b', b'store')"
    code = f"data = read()\nassert all(w in data for w in {words})\nsay(b'# decline\\n'); read()\n"
    found, reporter = hooks(tmp_path, code)
    assert ask(found)[0] == DECLINE
    found.close()
    assert not reporter.errors


def test_a_hook_that_does_not_end_is_killed(tmp_path: Path) -> None:
    ignore = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    found, _ = hooks(tmp_path, ignore + "read(); say(b'# accept\\n'); time.sleep(60)\n")
    _, hook = ask(found)
    assert hook is not None
    hook.close(0.1)
    assert hook.process.returncode == -9


def test_messages_become_events() -> None:
    reporter = RecordingReporter()
    messages = Messages(reporter, Activity(reporter, ActivityType.REALISE, ""))
    assert messages.handle(b"plain") is None
    assert messages.handle(b'@nix {"action":"msg","level":1,"msg":"\\u001b[35;1mwarning:\\u001b[0m careful"}')
    assert messages.handle(b'@nix {"action":"msg","level":1,"msg":"no machine"}')
    assert reporter.lines == [(Verbosity.WARN, "careful"), (Verbosity.NOTICE, "no machine")]
    start = b'@nix {"action":"start","id":7,"level":3,"type":105,"text":"t","fields":["a",1],"parent":0}'
    result = b'@nix {"action":"result","id":7,"type":101,"fields":["a line"]}'
    assert messages.handle(start)
    found = messages.handle(result)
    assert found is not None and log_text(found) == b"a line\n"
    assert messages.handle(b'@nix {"action":"stop","id":7}')
    for bad in (b"@nix {", b"@nix []", b'@nix {"action":"start"}', b'@nix {"action":"msg","level":"x","msg":1}'):
        assert messages.handle(bad) is None
    messages.close()


def test_phases_go_into_the_log() -> None:
    assert log_text({"action": "result", "type": 104, "fields": ["buildPhase"]}) == (
        b'@nix {"action":"setPhase","phase":"buildPhase"}\n'
    )
    assert log_text({"action": "result", "type": 105, "fields": [1]}) is None
    assert log_text({"action": "msg"}) is None
