"""Threads, as who reports what goes on has to tell them apart."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import frazil


def test_main_thread_is_known_whoever_imports_threading_first() -> None:
    code = """
import _thread
from frazil.activity import is_main_thread
done = _thread.allocate_lock()
done.acquire()
def run():
    import threading
    print(is_main_thread(), threading.current_thread() is threading.main_thread())
    done.release()
_thread.start_new_thread(run, ())
done.acquire()
import threading
print(is_main_thread())
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(frazil.__file__).parent.parent)}
    run = subprocess.run([sys.executable, "-S", "-c", code], env=environment, capture_output=True, text=True)
    assert run.stdout.split() == ["False", "True", "True"], run.stderr
