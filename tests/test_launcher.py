"""The program of C that starts Python: which interpreter, which folder, which name; and what `site` does later."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("setuptools")

from setuptools.errors import CCompilerError
from tools.native.launcher import compile_launcher

import frazil

ROOT = Path(__file__).resolve().parents[1]
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
REPORT = """
import sys
import frazil
def main():
    print(sys.argv[0])
    print(sys.argv[1:])
    print(sys.flags.no_site, "site" in sys.modules)
    print(frazil.__file__)
    print(open("/proc/self/comm").read().strip())
    return 7
"""


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux":
        pytest.skip("only Linux has it")
    try:
        return compile_launcher(tmp_path_factory.mktemp("launcher"), "0.1.0")
    except CCompilerError as error:
        pytest.skip(f"there is no C compiler: {error}")


@pytest.fixture
def base(tmp_path: Path, launcher: Path) -> Path:
    """An installation without the package."""
    base = tmp_path / "a base"
    (base / "bin").mkdir(parents=True)
    shutil.copy(launcher, base / "bin/frazil")
    lines = (ROOT / "bin/frazil").read_text().partition("\n")[2]
    python = base / "bin/python"
    python.symlink_to(sys.executable)
    interpreter = tmp_path / "python"
    interpreter.symlink_to(sys.executable)
    (base / "bin/frazil-python").write_text(f"#!{interpreter}\n{lines}")
    (base / "bin/frazil-python").chmod(0o755)
    return base


def package(folder: Path, main: str = REPORT) -> Path:
    """A package of our name that tells how it was started."""
    (folder / "frazil").mkdir(parents=True)
    (folder / "frazil/__init__.py").write_text(Path(frazil.__file__).read_text())
    (folder / "frazil/cli.py").write_text(main)
    return folder


def run(program: Path | str, *words: str, **environment: str) -> tuple[int, list[str], str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run([program, *words], env={**kept, **environment}, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout.splitlines(), ran.stderr


def test_package_beside_it(base: Path) -> None:
    folder = package(base / "lib" / VERSION / "site-packages")
    status, lines, _ = run(base / "bin/frazil", "eval", "--expr", "", "ü b")
    assert status == 7
    assert lines == [
        str(base / "bin/frazil"),
        "['eval', '--expr', '', 'ü b']",
        "1 False",
        str(folder / "frazil/__init__.py"),
        "frazil",
    ]


@pytest.mark.parametrize("place", [f"lib64/{VERSION}/site-packages", f"lib/{VERSION}/dist-packages"])
def test_other_places(base: Path, place: str) -> None:
    folder = package(base / place)
    assert run(base / "bin/frazil")[1][2:4] == ["1 False", str(folder / "frazil/__init__.py")]


def test_links_keep_their_names(base: Path, tmp_path: Path) -> None:
    package(base / "lib" / VERSION / "site-packages")
    link = tmp_path / "links/nix-build"
    link.parent.mkdir()
    link.symlink_to(base / "bin/frazil")
    second = tmp_path / "nix-store"
    second.symlink_to("links/nix-build")
    for name in (link, second):
        lines = run(name)[1]
        assert (lines[0], lines[4]) == (str(name), name.name)
    lines = run("nix-build", PATH=f"{link.parent}:{os.environ['PATH']}")[1]
    assert lines[0] == str(link)


def test_editable_installation(base: Path, tmp_path: Path) -> None:
    folder = base / "lib" / VERSION / "site-packages"
    folder.mkdir(parents=True)
    sources = package(tmp_path / "sources/src")
    (folder / "__editable__.frazil-0.1.0.pth").write_text(f"{sources}\n")
    assert run(base / "bin/frazil")[1][2:4] == ["1 False", str(sources / "frazil/__init__.py")]


def test_what_is_not_found_is_pythons_affair(base: Path, tmp_path: Path) -> None:
    """As the script alone: with `site`, under the same name."""
    folder = base / "lib" / VERSION / "site-packages"
    folder.mkdir(parents=True)
    (folder / "__editable__.frazil-0.1.0.pth").write_text("import frazil_finder\n")
    sources = package(tmp_path / "elsewhere")
    status, lines, _ = run(base / "bin/frazil", "x", PYTHONPATH=str(sources))
    assert status == 7
    assert lines == [
        str(base / "bin/frazil"),
        "['x']",
        "0 True",
        str(sources / "frazil/__init__.py"),
        "frazil",
    ]


def test_python_path_comes_first(base: Path, tmp_path: Path) -> None:
    package(base / "lib" / VERSION / "site-packages")
    sources = package(tmp_path / "elsewhere")
    assert run(base / "bin/frazil", PYTHONPATH=str(sources))[1][3] == str(sources / "frazil/__init__.py")


def test_moved_away(base: Path, tmp_path: Path) -> None:
    package(base / "lib" / VERSION / "site-packages")
    moved = tmp_path / "moved"
    base.rename(moved)
    assert run(moved / "bin/frazil")[1][3] == str(moved / "lib" / VERSION / "site-packages/frazil/__init__.py")


def test_what_site_does_happens_when_it_is_needed(base: Path, tmp_path: Path) -> None:
    """In a virtual environment: other packages, `.pth` files, `sitecustomize`, `sys.prefix`."""
    folder = package(
        base / "lib" / VERSION / "site-packages",
        """
import sys
import frazil
def main():
    import json  # of Python
    print("site" in sys.modules, sys.path)
    import neighbour
    # Some distributions have a `sitecustomize` of their own, which comes before ours.
    print(neighbour.value, sys.path, sys.prefix, "sitecustomize" in sys.modules, sys.modules["through_pth"].__name__)
    import frazil.cli
    try:
        import nowhere_at_all
    except ModuleNotFoundError as error:
        print(error.name)
    return 0
""",
    )
    (folder / "neighbour.py").write_text("value = 23")
    (folder / "sitecustomize.py").write_text("")
    other = tmp_path / "other"
    other.mkdir()
    (other / "through_pth.py").write_text("")
    (folder / "others.pth").write_text(f"{other}\nimport through_pth\n")
    (base / "pyvenv.cfg").write_text(f"home = {Path(os.path.realpath(sys.executable)).parent}\n")
    script = base / "bin/frazil-python"
    script.write_text(script.read_text().replace(str(tmp_path / "python"), str(tmp_path / "env/bin/python"), 1))
    (tmp_path / "env").symlink_to(base)
    status, lines, errors = run(base / "bin/frazil")
    assert status == 0, errors
    before, after, missing = lines
    assert before.startswith("False") and str(folder) not in before
    assert after.startswith("23 ") and str(other) in after and "True through_pth" in after
    # By the interpreter's name, as ever.
    env = tmp_path / "env"
    assert f" {env} True" in after and str(env / "lib" / VERSION / "site-packages") in after
    assert missing == "nowhere_at_all"


def test_folder_of_another_python(base: Path) -> None:
    package(base / "lib" / VERSION / "site-packages")
    words = ["-S", "-P", base / "bin/frazil-python", "--launched-for-3.1", "", str(base / "lib"), "nix"]
    status, _, errors = run(sys.executable, *map(str, words), PYTHONPATH=str(base / "lib" / VERSION / "site-packages"))
    assert status == 7, errors


@pytest.mark.parametrize("text", ["", "no line", "text\n", "#!/nowhere/python\n"])
def test_damaged_installation(base: Path, text: str) -> None:
    script = base / "bin/frazil-python"
    script.write_text(text)
    status, _, errors = run(base / "bin/frazil")
    assert status == 127 and errors.startswith("frazil: cannot ") and errors.count("\n") == 1
    script.unlink()
    assert run(base / "bin/frazil")[0] == 127


def test_script_alone(base: Path, tmp_path: Path) -> None:
    """Where nothing was compiled."""
    sources = package(tmp_path / "elsewhere")
    status, lines, _ = run(base / "bin/frazil-python", "x", PYTHONPATH=str(sources))
    assert status == 7 and lines[:3] == [str(base / "bin/frazil-python"), "['x']", "0 True"]


def test_interrupts_while_python_starts(base: Path) -> None:
    """One that comes before the script's first line waits for it, and ends the program without a word."""
    package(base / "lib" / VERSION / "site-packages", "def main():\n    while True:\n        pass\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for _ in range(20):
        with subprocess.Popen(
            [base / "bin/frazil"], env=environment, stderr=subprocess.PIPE, preexec_fn=restore_interrupts
        ) as process:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (-signal.SIGINT, b"")


def restore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("blocked", [False, True])
def test_interrupts_blocked_by_others_stay_blocked(base: Path, blocked: bool) -> None:
    report = (
        "def main():\n    import signal\n    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
    )
    package(base / "lib" / VERSION / "site-packages", report)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT] if blocked else [])
    try:
        assert run(base / "bin/frazil")[1] == [str(blocked)]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
