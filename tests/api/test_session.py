"""Sessions: settings, files, flakes, builds, threads, interrupts."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.scenarios.conftest import make_flake

import frazil

ENDLESS = (
    "let f = n: if n == 0 then 0 else f (n - 1); in builtins.foldl' (a: b: f 100) 0 (builtins.genList (i: i) 5000000)"
)
BUILDER = """derivation {{
  name = "{name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "{script}" ];
  outputs = [ "out" "dev" ];
}}"""


def test_importing_costs_next_to_nothing() -> None:
    code = "import sys, frazil; print([m for m in sys.modules if m.startswith('frazil.')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
    assert set(frazil.__all__) <= set(dir(frazil))
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(frazil, "nonsense")  # noqa: B009


def test_every_name_leads_somewhere() -> None:
    assert all(getattr(frazil, name) is not None for name in frazil.__all__)


def test_settings_and_search_path(place: Path) -> None:
    (place / "here").mkdir()
    (place / "here/default.nix").write_text("5")
    options = {"system": "riscv64-linux", "experimental-features": ["flakes", "pipe-operators"]}
    with frazil.Session(search_path={"five": place / "here"}, settings=options) as session:
        assert session.evaluate("import <five> |> (x: x + 1)") == 6
        assert session.evaluate("builtins.currentSystem") == "riscv64-linux"
    with frazil.Session(pure=True) as session:
        assert session.evaluate('builtins.getEnv "HOME"') == ""
    with pytest.raises(frazil.FrazilError, match="max-call-depth"):
        frazil.Session(settings={"max-call-depth": "many"})


def test_files(session: frazil.Session, place: Path) -> None:
    (place / "default.nix").write_text("{ n ? 1 }: { a.b = n; f = { m }: m; }")
    assert session.evaluate_file(".", "a.b") == 1
    assert session.evaluate_file("default.nix", "a.b", arguments={"n": 2}) == 2
    assert session.evaluate_file(place, "f", arguments={"m": [3]}) == [3]
    assert session.evaluate("import ./default.nix { }", directory=place).a.b == 1


def test_flakes_with_overrides(session: frazil.Session, place: Path) -> None:
    inner = make_flake(place / "inner", "{ outputs = { self }: { n = 20; }; }")
    other = make_flake(place / "other", "{ outputs = { self }: { n = 40; }; }")
    text = f'{{ inputs.dep.url = "git+file://{inner}"; outputs = {{ self, dep }}: {{ n = dep.n + 1; }}; }}'
    outer = make_flake(place / "outer", text)
    assert session.get_flake(outer).n == 21
    assert session.get_flake(outer, overrides={"dep": f"git+file://{other}"}).n == 41
    assert not (outer / "flake.lock").exists()
    assert session.get_flake(f"path:{outer}", write_lock_file=True).n == 21
    assert (outer / "flake.lock").exists()


def test_errors_carry_place_and_trace(session: frazil.Session) -> None:
    with pytest.raises(frazil.UndefinedVariable) as caught:
        session.evaluate("let\n  a = 1;\nin b")
    assert str(caught.value) == "undefined variable 'b'"
    (note,) = caught.value.__notes__
    assert "«string»:3:4" in note
    with pytest.raises(frazil.ParseError):
        session.evaluate("1 +")


def test_notes_are_text_that_can_be_printed(session: frazil.Session, place: Path) -> None:
    """Whatever bytes the source has: notebooks encode what they show."""
    (place / "bytes.nix").write_bytes(b'{ a = throw "_\xff_"; b = 1 + "\xff"; c = { a = 1; }."\xff"; }')
    values = session.evaluate_file(place / "bytes.nix")
    for name in "abc":
        with pytest.raises(frazil.EvalError) as caught:
            values[name]
        (note,) = caught.value.__notes__
        for text in (note, str(caught.value), str(caught.value.hint)):
            text.encode()
        assert "\ufffd" in note


def test_builds(session: frazil.Session) -> None:
    good = session.evaluate(BUILDER.format(name="good", script="echo one > $out; echo two > $dev"))
    bad = session.evaluate(BUILDER.format(name="bad", script="echo told; exit 3"))
    assert isinstance(good, frazil.Derivation)
    first, again = session.realise(good, good)
    assert first == again
    assert first["dev"].real.read_text() == "two\n"
    assert first["out"].path == good.out_path
    assert good == good.dev
    assert hash(good) == hash(good.dev)
    assert len({good, good.dev, bad}) == 2
    assert good.show()["outputs"].keys() == {"out", "dev"}
    assert "good" in good._repr_html_()
    with pytest.raises(frazil.BuildFailed, match="exit code 3"):
        bad.build()


def test_import_from_derivation(session: frazil.Session) -> None:
    text = BUILDER.format(name="n.nix", script="echo 1 + 2 > $out; echo > $dev")
    assert session.evaluate(f"import ({text})") == 3


def test_threads_take_turns(session: frazil.Session) -> None:
    value = session.evaluate(
        "builtins.genList (n: builtins.foldl' (a: b: a + b) 0 (builtins.genList (i: i) (n * 10))) 200"
    )
    with ThreadPoolExecutor(8) as pool:
        sums = list(pool.map(lambda n: value[n % 200], range(2000)))
    assert sums == [sum(range(n % 200 * 10)) for n in range(2000)]


def test_an_interrupt_leaves_the_session_usable(session: frazil.Session) -> None:
    timer = threading.Timer(0.3, session.interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt, match="evaluation was interrupted") as caught:
        session.evaluate(ENDLESS)
    timer.join()
    shown = caught.value._render_traceback_()  # as notebooks ask
    assert shown == ["KeyboardInterrupt: evaluation was interrupted"]
    assert session.evaluate("1 + 1") == 2


def test_a_session_says_what_it_is(place: Path) -> None:
    with frazil.Session(store="dummy://", pure=True) as session:
        assert repr(session) == "<Session of store 'dummy://', pure>"


def test_deep_recursion_is_an_error(place: Path) -> None:
    with frazil.Session(settings={"max-call-depth": 60_000}) as session:
        with pytest.raises(frazil.FrazilError, match="stack overflow"):
            session.evaluate("let f = n: 1 + f (n + 1); in f 0")
        assert session.evaluate("let f = n: if n == 0 then 0 else 1 + f (n - 1); in f 50000") == 50000


def test_a_closed_session_says_so(place: Path) -> None:
    session = frazil.Session()
    value = session.evaluate("{ a = 1; }")
    session.close()
    session.close()
    with pytest.raises(frazil.FrazilError, match="closed"):
        value["a"]
