"""Times the start of a sandbox beside C++ Nix: from the call that makes the process to the builder's first instruction.

    python bench/sandbox.py [--builds 30] [--nix FOLDER] [--scratch FOLDER]

Both programs build as many trivial derivations, one after the other, under `strace`, which stops them at nothing but
the creation of processes and the execution of programs, and gives the times. The second line is for a user who is not
root (`unshare --user`). `busybox` is the builder's only program. Medians, and the least, in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_CALLED_AS = "import sys; sys.argv[0] = {!r}; from frazil.cli import main; sys.exit(main())"
_EXPRESSION = """
builtins.genList (n: derivation {{
  name = "one-${{toString n}}"; system = builtins.currentSystem; builder = "/bin/sh";
  args = [ "-c" "echo ${{toString n}} > $out" ];
}}) {count}
"""
_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)")
_CHILD = re.compile(r"(?:clone3?|v?fork)\b.*= (\d+)$")


def starts(trace: str) -> Iterator[float]:
    """Seconds from each process's creation, by the program itself, to the end of its change into a builder."""
    parents: dict[str, tuple[str, float]] = {}
    threads: set[str] = set()
    begun: dict[str, tuple[float, str]] = {}
    for line in trace.splitlines():
        if not (found := _LINE.match(line)):
            continue
        pid, when, call = found[1], float(found[2]), found[3]
        threads = threads or {pid}
        if call.endswith("<unfinished ...>"):
            begun[pid] = (when, call.removesuffix("<unfinished ...>"))
            continue
        if call.startswith("<... ") and pid in begun:
            when, before = begun.pop(pid)
            ended = float(found[2])
            call = before + call.partition("resumed>")[2]
        else:
            ended = when
        if child := _CHILD.match(call):
            if "CLONE_THREAD" in call:
                threads.add(child[1])
            parents[child[1]] = (pid, when)
        elif call.startswith('execve("/bin/sh"') and call.endswith("= 0"):
            first, begin = pid, ended
            while first not in threads and first in parents:
                first, begin = parents[first]
            yield ended - begin


def measure(program: str, folder: Path, binaries: Path | None, count: int, unprivileged: bool) -> list[float]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NIX_")}
    environment |= {f"NIX_{name}_DIR": str(folder / name.lower()) for name in ("STORE", "STATE", "LOG", "CONF")}
    environment["HOME"] = str(folder)
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment["NIX_CONFIG"] = (
        "sandbox = true\nsandbox-fallback = false\nsubstituters =\nbuild-users-group =\n"
        f"sandbox-paths = /bin/sh={shutil.which('busybox')}\nexperimental-features = nix-command"
    )
    folder.mkdir()
    trace = folder / "trace"
    command = ["strace", "-f", "--seccomp-bpf", "-ttt", "-e", "trace=clone,clone3,fork,vfork,execve", "-o", str(trace)]
    if binaries is None:
        command += [sys.executable, "-c", _CALLED_AS.format(program)]
    else:
        command += [str(binaries / program)]
    command += ["--no-out-link", "-j1", "-E", _EXPRESSION.format(count=count)]
    if unprivileged:
        command = ["unshare", "--user", "--map-user=1000", "--map-group=100", *command]
    result = subprocess.run(command, env=environment, cwd=folder, capture_output=True, check=False)
    if result.returncode:
        raise SystemExit(f"{command} failed: {result.stderr[-2000:].decode(errors='replace')}")
    times = list(starts(trace.read_text()))
    if len(times) != count:
        raise SystemExit(f"{len(times)} builders started in place of {count}")
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builds", type=int, default=30)
    parser.add_argument("--scratch", type=Path)
    found = shutil.which("nix-store")
    parser.add_argument("--nix", type=Path, default=Path(found).parent if found else None)
    options = parser.parse_args()
    for needed in ("strace", "busybox", "unshare"):
        if not shutil.which(needed):
            raise SystemExit(f"'{needed}' is needed and not in PATH")
    with tempfile.TemporaryDirectory(prefix="frazil-bench-", dir=options.scratch) as name:
        for who in ("root", "a user") if os.geteuid() == 0 else ("a user",):
            line = f"start of a sandbox by {who:7}"
            for title, binaries in (("frazil", None), *((("nix", options.nix),) if options.nix else ())):
                folder = Path(name) / f"{title}-{who}"
                times = measure("nix-build", folder, binaries, options.builds, os.geteuid() == 0 and who != "root")
                line += f"{title:>8} {statistics.median(times) * 1000:6.2f} ({min(times) * 1000:5.2f}) ms"
            print(line, flush=True)


if __name__ == "__main__":
    main()
