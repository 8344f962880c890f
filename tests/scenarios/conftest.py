"""The program as people start it: a process of its own, with a store and a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NOBODY = 65534
START = "import sys\nfrom frazil.cli import main\nsys.exit(main())\n"


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    out: str
    error: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True, slots=True)
class World:
    """`programs` holds `frazil` and links to it under Nix's names. `user`: who runs it, None for who runs the tests."""

    folder: Path
    programs: Path
    environment: dict[str, str]
    user: int | None = None
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def start(self, program: str, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.programs / program, *arguments],
            cwd=cwd or self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user is not None else None,
            start_new_session=True,
        )

    def run(self, program: str, *arguments: str, cwd: Path | None = None, limit: float = 900, **variables: str) -> Done:
        with self.start(program, *arguments, cwd=cwd, **variables) as process:
            try:
                out, error = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert "Traceback" not in error, error
        return Done(process.returncode, out, error)

    def frazil(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Done:
        return self.run("frazil", *arguments, cwd=cwd, **variables)

    def ok(self, *arguments: str, cwd: Path | None = None, **variables: str) -> str:
        """Runs frazil, which must succeed; its standard output."""
        done = self.frazil(*arguments, cwd=cwd, **variables)
        assert done.status == 0, done.error
        return done.out

    def whole(self) -> None:
        """The store is as it should be."""
        done = self.frazil("store", "verify", "--check-contents")
        assert done.status == 0, done.error
        assert "disappeared" not in done.error, done.error
        done = self.frazil("store", "verify", "--all", "--no-trust")
        assert done.status == 0, done.error


def git(folder: Path, *arguments: str, user: int | None = None) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *identity, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True, user=user, group=user
    )
    return done.stdout.strip()


def make_flake(folder: Path, text: str, *, user: int | None = None, **files: str) -> Path:
    """A committed flake; `files` maps names (`__` for `.`) to contents."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, contents in {"flake.nix": text, **{n.replace("__", "."): c for n, c in files.items()}}.items():
        (folder / name).write_text(contents)
    if user is not None:
        for path in [folder, *folder.iterdir()]:
            os.chown(path, user, user)
    git(folder, "init", "--quiet", user=user)
    git(folder, "add", "--all", user=user)
    git(folder, "commit", "--quiet", "--message", "first", user=user)
    return folder


def make_world(
    folder: Path, *, user: int | None = None, store: str | None = None, interpreter: str = sys.executable
) -> World:
    import sysconfig

    import frazil

    programs = folder / "programs"
    programs.mkdir(parents=True)
    program = programs / "frazil"
    # Whichever interpreter it is, it finds frazil and what that needs where these tests found them.
    places = f"sys.path.insert(0, {str(Path(frazil.__file__).parent.parent)!r})\n"
    places += f"sys.path.append({sysconfig.get_paths()['platlib']!r})\n"
    program.write_text(f"#!{interpreter}\nimport sys\n{places}{START}")
    program.chmod(0o755)
    for name in ("nix", "nix-build", "nix-instantiate", "nix-store", "nix-hash", "nix-collect-garbage", "nix-shell"):
        (programs / name).symlink_to(program)
    home = folder / "home"
    home.mkdir()
    environment = {
        "HOME": str(home),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "NIX_CONF_DIR": str(folder / "no-configuration"),
        "NO_COLOR": "1",
        "TMPDIR": str(folder / "tmp"),
        "LC_ALL": "C.UTF-8",
    }
    if store is not None:
        environment["NIX_REMOTE"] = store
    (folder / "tmp").mkdir()
    if user is not None:
        for path in (folder, home, folder / "tmp"):
            os.chown(path, user, user)
    return World(folder, programs, environment, user)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world", store=f"local?root={tmp_path}/world/root")


def interpreter_for_everybody() -> str | None:
    """This interpreter, or another of its version, that every user may run."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        if Path(candidate).exists() and reachable(Path(candidate).resolve()):
            command = [candidate, "-c", "import sys; print(sys.version_info[:2] == " + str(sys.version_info[:2]) + ")"]
            if subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "True":
                return candidate
    return None


def reachable(path: Path) -> bool:
    """Whether everybody may read `path`."""
    return all(p.stat().st_mode & 0o5 == 0o5 for p in [path, *path.parents])


@pytest.fixture
def user_world() -> World:
    return make_user_world()


def make_user_world() -> World:
    """Somebody without any rights, on a machine without a store that they could write."""
    import tempfile

    import frazil

    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    interpreter = interpreter_for_everybody()
    if interpreter is None or not reachable(Path(frazil.__file__).parent):
        pytest.skip("the checkout or its interpreter is not readable by other users")
    # Not pytest's own folder: nobody else may enter that.
    folder = Path(tempfile.mkdtemp(prefix="frazil-user-", dir="/var/tmp"))
    folder.chmod(0o755)
    return make_world(folder / "world", user=NOBODY, interpreter=interpreter)
