"""Memory that is filled ahead of its use: everything is there whatever the system allows, and whoever asks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from frazil.lang import values

pytestmark = pytest.mark.skipif(values.__file__.endswith(".py"), reason="the evaluator is not compiled")

ALLOCATE = """
import os, resource, sys, threading
sys.path[:0] = {path!r}
from frazil.lang import values

def work(count):
    kept = [[number] * 9 for number in range(count)]
    assert all(part == [number] * 9 for number, part in enumerate(kept))
    return kept
"""

CASES = {
    "two processors or more": "work(400_000)",
    "one processor": "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); work(400_000)",
    "little address space": """
resource.setrlimit(resource.RLIMIT_AS, (96 << 20, 96 << 20))
try:
    work(10_000_000)
except MemoryError:
    work(1000)
else:
    raise SystemExit("that much cannot be there")
""",
    "no more threads": """
import errno
os.setgid(65534), os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
work(400_000)
""",
    "processes that split": """
kept = work(100_000)
for _ in range(20):
    kept.append(work(5_000))
    child = os.fork()
    if not child:
        work(60_000)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
""",
    "threads": """
threads = [threading.Thread(target=work, args=(60_000,)) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
""",
    "freed and used again": "\nfor _ in range(6): work(150_000)",
}


@pytest.mark.parametrize("case", CASES)
def test_memory_is_there(case: str) -> None:
    import os

    if "setuid" in CASES[case] and os.getuid() != 0:
        pytest.skip("only root can become a user without processes")
    program = ALLOCATE.format(path=sys.path) + CASES[case]
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
