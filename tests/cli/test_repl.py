"""`repl`: lines through a pipe, the scope, every command, completion, what a terminal shows."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import frazil
from frazil.cli.context import Context
from frazil.cli.options import Arguments
from frazil.cli.repl import Incomplete, Repl, commands
from frazil.cli.repl_completion import complete
from frazil.cli.repl_documentation import render
from frazil.cli.repl_terminal import highlight, is_complete

from .conftest import Result, Run

Talk = Callable[..., Result]


@pytest.fixture
def talk(run: Run, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """`talk("1 + 1", "x = 2", …)`: what the lines give."""

    def call(*lines: str, arguments: tuple[str, ...] = (), program: str = "nix") -> Result:
        class Input:
            buffer = io.BytesIO("".join(line + "\n" for line in lines).encode())

            def isatty(self) -> bool:
                return False

        monkeypatch.setattr(sys, "stdin", Input())
        return run(program, "repl", *arguments)

    return call


@pytest.fixture
def repl(run: Run) -> Repl:
    context = Context("frazil", legacy=False)
    context.apply_globals(Arguments("frazil"))
    return Repl(context, Arguments("frazil"))


def test_values_and_definitions(talk: Talk) -> None:
    result = talk("1 + 1", "x = 5", "x * 2", "a = 1; b.c = 2", "b", "inherit (b) c;", "c")
    assert result.out == "2\n\n\n10\n\n\n{ c = 2; }\n\n\n2\n\n\n"
    assert result.err == "Nix 2.36.0\nType :? for help.\n"


def test_lines_are_repeated_where_asked(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_NIX_TEST_REPL_ECHO", "1")
    assert talk("1 +", "2").out == "nix-repl> 1 +\n        > 2\n3\n\n\n"


def test_an_expression_goes_over_lines(talk: Talk) -> None:
    assert "{ a = 1; }" in talk("{", "a = 1;", "}").out
    assert '"foo\\nbar"' in talk('x = "foo', 'bar"', "x").out
    assert "3" in talk(":p 1 +", "2").out


def test_a_mistake_keeps_the_session(talk: Talk) -> None:
    result = talk("x = 1", 'throw "no"', "nope", "}", ":zz", ":l absent.nix", "x + 1")
    assert result.status == 0 and "\n2\n" in result.out
    for part in ("error: no", "undefined variable 'nope'", "unexpected '}'", "unknown command ':zz'", "does not exist"):
        assert part in result.err


def test_too_little_memory_keeps_the_session(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(repl: Repl, text: str) -> object:
        if text == "huge":
            raise MemoryError
        return 7

    monkeypatch.setattr(Repl, "evaluate", evaluate)
    result = talk("huge", "small")
    assert result.status == 0 and result.out == "\n7\n\n\n"
    assert "error: out of memory" in result.err


def test_printing(talk: Talk) -> None:
    assert talk("{ a.b.c = 1; d = [ 1 ]; }").out.startswith("{\n  a = { ... };\n  d = [ ... ];\n}\n")
    assert "c = 1;" in talk(":p { a.b.c = 1; }").out
    assert talk(':p "a\\nb"').out == "a\nb\n\n\n"
    assert "«error: no»" in talk('[ (throw "no") 1 ]').out


def test_colours(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    assert talk("1").out == "\x1b[36;1m1\x1b[0m\n\n\n"


def test_types(talk: Talk) -> None:
    result = talk(":t 1", ":t x: x", ":t builtins.add", ":t builtins.add 1", ":t { }", ":t null")
    assert [line for line in result.out.split("\n") if line] == [
        "an integer",
        "a function",
        "the built-in function 'add'",
        "the partially applied built-in function 'add'",
        "a set",
        "null",
    ]


def test_loading(talk: Talk, tmp_path: Path) -> None:
    (tmp_path / "f.nix").write_text('{ n ? 1 }: { inherit n; "b c" = 2; }')
    result = talk(":ll", ":l f.nix", "n", ":ll", ":a { z = 3; }", "z", ":r", "z")
    assert 'Added 2 variables.\n"b c", n\n' in result.err and "nothing has been loaded yet" in result.err
    assert 'Loading "f.nix"...' in result.err and "undefined variable 'z'" in result.err
    assert (
        "... and 5 more; view with :ll"
        in talk(":a builtins.listToAttrs (builtins.genList (i: { name = toString i; value = i; }) 25)").err
    )
    assert "expected a set but found an integer: 1" in talk(":a 1").err


def test_reloading_sees_changes(talk: Talk, tmp_path: Path) -> None:
    (tmp_path / "f.nix").write_text("{ n = 1; }")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "{ n = 2; }" > "$1"\n')
    editor.chmod(0o755)
    os.environ["EDITOR"] = str(editor)
    result = talk(":l f.nix", "n", ":e ./f.nix", "n")
    del os.environ["EDITOR"]
    assert [line for line in result.out.split("\n") if line] == ["1", "2"]


def test_editing_what_is_in_no_file(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "cp --force --target-directory=. --no-preserve=all")
    talk(":e derivation", ":e <nix/fetchurl.nix>")
    texts = [path.read_text() for path in Path(".").glob("*.nix")]
    assert any("derivationStrict" in text for text in texts) and any("builtin:fetchurl" in text for text in texts)
    assert "cannot be shown in an editor" in talk(":e x: x").err


def test_installables(talk: Talk, tmp_path: Path) -> None:
    (tmp_path / "flake.nix").write_text("{ outputs = { self }: { x = 4; y.z = 5; }; }")
    assert "Added 2 variables.\nx, y" in talk(arguments=(f"path:{tmp_path}",)).err
    result = talk("z", arguments=(f"path:{tmp_path}#y",))
    assert result.out == "5\n\n\n" and "Loading installable" in result.err
    assert talk("a", arguments=("--expr", "{ a = 7; }")).out == "7\n\n\n"
    (tmp_path / "g.nix").write_text("{ n }: { inherit n; }")
    assert talk("n", arguments=("--file", "g.nix", "--arg", "n", "8")).out == "8\n\n\n"
    assert talk(":lf .", "x", arguments=()).out == "\n4\n\n\n"
    assert talk(arguments=("--file", "absent.nix")).status == 1


def test_traces(talk: Talk) -> None:
    result = talk(":te", ":te false", ":te maybe")
    assert "not showing error traces" in result.out and "unexpected argument 'maybe' to :te" in result.err


def test_documentation(talk: Talk, tmp_path: Path) -> None:
    (tmp_path / "d.nix").write_text("{ /** Twice\n      as much. */ double = x: x * 2; /** Half. */ half = 1; }")
    result = talk(":doc builtins.map", ":l d.nix", ":doc double", ":doc (import ./d.nix).half", ":doc 1", ":doc x: x")
    assert "Synopsis: builtins.map" in result.out
    assert "Function double\n  … defined at" in result.out and "Twice as much." in result.out
    assert "Attribute half" in result.out and "Half." in result.out
    assert "Function defined at «string»:1:1" in result.out
    assert "value does not have documentation" in result.err


def test_documentation_of_what_is_not_there(talk: Talk) -> None:
    """The error shows the line as it was written."""
    result = talk("lib = { a = { }; }", ":doc lib.missing.attr", ":doc lib.a.b", ":doc (1).x", ":doc lib.a.b or 1")
    assert "1| lib.missing.attr\n" in result.err and "attribute 'missing' missing" in result.err
    assert "1| lib.a.b\n" in result.err and "attribute 'b' missing" in result.err
    assert "while evaluating an attribute set to look for documentation" in result.err
    assert "value does not have documentation" in result.err


def test_documentation_as_markdown(talk: Talk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_NIX_TEST_RAW_MARKDOWN", "1")
    (tmp_path / "c.nix").write_text(
        "{ /** Two **arguments**. */ f = a: b: 1; g = { __functor = self: self.h; h = x: 2; }; }"
    )
    result = talk(":l c.nix", ":doc f 1", ":doc g", ":doc builtins.add")
    assert f"Function `f`\\\n  … defined at {tmp_path}/c.nix:1:36\n\nTwo **arguments**." in result.out
    assert "Function `h`" in result.out and "**Synopsis:** `builtins.add` *" in result.out
    looping = talk(":a { f = { __functor = self: self.__functor self; }; }", ":doc f", "1 + 1")
    assert "max-call-depth exceeded" in looping.err and "\n2\n" in looping.out


def test_rendering() -> None:
    assert render("One\ntwo `three`.\n\n```nix\na: b\n```\n") == "One two three.\n\n  │ a: b"
    assert max(map(len, render("word " * 100).split("\n"))) <= 60


def test_derivations(talk: Talk) -> None:
    for word in (":b", ":bl", ":log", ":i", ":sh"):
        assert "expression does not evaluate to a derivation" in talk(f"{word} 1").err
    text = 'derivation { name = "x"; system = "x86_64-linux"; builder = "/bin/sh"; }'
    assert "build log of '/nix/store/" in talk(f":log {text}").err
    assert "«derivation /nix/store/" in talk(text).out


def test_quitting_and_help(talk: Talk) -> None:
    assert talk(":q", "1").out == ""
    assert "Enable, disable or toggle" in talk(":?").out
    assert {":b", ":doc", ":edit", ":lf", ":sh", ":u"} <= set(commands())


def test_completion(repl: Repl, tmp_path: Path) -> None:
    (tmp_path / "some-file").write_text("")
    repl.process('abc = { define = 1; defer = throw ""; other = 2; }')
    assert complete(repl, "1 + ab") == [("abc", 2), ("abort", 2)]
    assert complete(repl, "abc.def") == [("abc.defer", 7), ("abc.define", 7)]
    assert complete(repl, "(builtins.conv") == [("builtins.convertHash", 13)]
    assert complete(repl, "./so") == [("./some-file", 4)]
    assert complete(repl, ":lo") == [(":load", 3), (":load-flake", 3), (":log", 3)]
    for wrong in ("nope.x", "1.x", '(throw "").x', "abc.defer.x", "{.x"):
        assert complete(repl, wrong) == []


def test_completing_files_and_flakes(repl: Repl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flake").mkdir()
    (tmp_path / "file.nix").write_text("{ }")
    assert complete(repl, ":l f") == [("file.nix", 1), ("flake", 1)]
    assert ("flake", 1) in complete(repl, ":lf f")
    assert ("file.nix", 1) not in complete(repl, ":lf f")
    assert complete(repl, ":lf ./f") == [("./flake", 3)]


def test_completion_does_not_wait_for_ever(repl: Repl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frazil.cli.repl_completion.LONGEST_EVALUATION", 0.2)
    repl.define(f"slow = {ENDLESS}")
    begin = time.monotonic()
    assert complete(repl, "slow.a") == []
    assert time.monotonic() - begin < 10
    repl.define("quick = { abc = 1; }")
    assert complete(repl, "quick.a") == [("quick.abc", 7)]


def test_commands_that_are_none(talk: Talk) -> None:
    lines = (":laod x", ":st", ":b", ":lsat-loaded")
    assert "hint" not in talk(*lines).err
    result = talk(*lines, program="frazil")
    assert "unknown command ':laod'" in result.err
    assert "did you mean one of :add, :load" in result.err
    assert "start with --debugger" in result.err
    assert "the command ':b' needs an expression" in result.err


def test_when_enter_ends_the_input(repl: Repl) -> None:
    for text in ("1", "x = 1", "}", ":q", ":l ./x", "a b c", "nope"):
        assert is_complete(repl, text), text
    for text in ("1 +", "{", "x = {", "x =", "''a", ":p [", "let a = 1; in"):
        assert not is_complete(repl, text), text


def test_an_incomplete_text_is_told_apart(repl: Repl) -> None:
    with pytest.raises(Incomplete):
        repl.process("(1")


def test_highlighting_keeps_the_text() -> None:
    text = 'let a = "x\ny"; # c\nin { b = ./f; c = 12; d = <n>; }'
    lines = highlight(text)
    assert "\n".join("".join(part[1] for part in line) for line in lines) == text
    assert ("class:keyword", "let") in lines[0] and ("class:string", 'y"') in lines[1]


# -- in a terminal -------------------------------------------------------------------------------------------------


class Terminal:
    """A session behind a pseudo-terminal."""

    def __init__(self, environment: dict[str, str], *words: str) -> None:
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            argv = ["nix", *(words or ("repl",))]
            script = f"import sys; from frazil.cli import main; sys.argv = {argv!r}; sys.exit(main())"
            place = {"PYTHONPATH": str(Path(frazil.__file__).parent.parent)}
            os.execve(sys.executable, [sys.executable, "-c", script], {**os.environ, **place, **environment})
        self.seen = b""

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def wait_for(self, text: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            assert time.monotonic() < end, self.seen[-2000:]
            if select.select([self.descriptor], [], [], 0.1)[0]:
                data = os.read(self.descriptor, 65536)
                if b"\x1b[6n" in data:  # where is the cursor?
                    os.write(self.descriptor, b"\x1b[1;1R")
                self.seen += data
        self.seen = b""

    def close(self) -> int:
        """The exit status."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found, status = os.waitpid(self.process, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            if select.select([self.descriptor], [], [], 0.05)[0]:
                try:
                    os.read(self.descriptor, 65536)
                except OSError:
                    pass
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        return -1


@pytest.fixture(params=["xterm", "dumb"])
def terminal(request: pytest.FixtureRequest, tmp_path: Path, run: Run) -> Iterator[Terminal]:
    session = Terminal({"TERM": request.param, "XDG_DATA_HOME": str(tmp_path / "data")})
    yield session
    os.close(session.descriptor)


ENDLESS = (
    "let f = n: if n == 0 then 0 else f (n - 1); "
    "in builtins.foldl' (a: b: a + f 9000) 0 (builtins.genList (x: x) 99999)"
)


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_a_debugger_in_a_terminal(tmp_path: Path, run: Run, kind: str) -> None:
    """It talks where evaluation runs, which is not the thread that signals come to."""
    (tmp_path / "x.nix").write_text("let f = x: let y = x * 2; in builtins.break (y + 1); in f 20 + 1\n")
    place = str(tmp_path / "x.nix")
    session = Terminal({"TERM": kind, "XDG_DATA_HOME": str(tmp_path)}, "eval", "--debugger", "--file", place)
    session.wait_for("repl>")
    session.type("y + 700\r")
    session.wait_for("740")
    session.type(f'builtins.trace "star${{"ted"}}" ({ENDLESS})\r')
    session.wait_for("trace: started")
    session.type("\x03")
    session.wait_for("interrupted by the user")
    session.type(":c\r")
    session.wait_for("42")
    assert session.close() == 0
    os.close(session.descriptor)


def test_a_long_list_can_be_interrupted(terminal: Terminal) -> None:
    terminal.wait_for("repl>")
    terminal.type('builtins.trace "star${"ted"}" (builtins.length (builtins.genList (x: x) 100000000))\r')
    terminal.wait_for("trace: started")
    terminal.type("\x03")
    terminal.wait_for("interrupted by the user")
    terminal.type("20 + 22\r")
    terminal.wait_for("42")
    terminal.type(":q\r")
    assert terminal.close() == 0


def test_an_interruption_keeps_the_session(terminal: Terminal) -> None:
    terminal.wait_for("repl>")
    terminal.type("kept = 20 + 1\r")
    terminal.wait_for("repl>")
    terminal.type(f'builtins.trace "star${{"ted"}}" ({ENDLESS})\r')
    terminal.wait_for("trace: started")
    terminal.type("\x03")
    terminal.wait_for("interrupted by the user")
    terminal.type("kept * 2\r")
    terminal.wait_for("42")
    terminal.type(":q\r")
    assert terminal.close() == 0


@pytest.mark.parametrize("terminal", ["xterm"], indirect=True)
def test_completion_and_history_in_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    terminal.wait_for("repl>")
    terminal.type("abcdef = 17\r")
    terminal.wait_for("= 17")
    terminal.wait_for("repl>")
    terminal.type("1 + abcd\t")
    terminal.wait_for("ef")
    terminal.type("\r")
    terminal.wait_for("18")
    terminal.type("{ x =\r1; }\r")
    terminal.wait_for("{ x = 1; }")
    terminal.wait_for("repl>")
    terminal.type("\x04")
    assert terminal.close() == 0
    history = (tmp_path / "data" / "frazil" / "repl-history").read_text()
    assert "+1 + abcdef\n" in history and "+{ x =\n" in history
    assert (tmp_path / "data" / "frazil" / "repl-history").stat().st_mode & 0o777 == 0o600
