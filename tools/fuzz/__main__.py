"""Fuzzing for as long as wished: `python -m tools.fuzz --seconds 60 parse fromTOML`; without names everything.

Each target runs in a process of its own, whose memory is limited. Without `--guided` seeds are mutated and the compiled
modules run; with it atheris follows the coverage of the uncompiled ones. What fails is left as a file in `--folder`;
`--replay FILE` runs it again. Ends with status 1 where anything failed.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from random import Random

MEMORY = 3 << 30
COLLECTED_AFTER = 500
SLOW = 3.0
"""Processor seconds for an input of at most `mutation.MAXIMUM` bytes."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=20, help="for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--guided", action="store_true", help="with atheris")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--replay", type=Path, help="one input, for one target")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def fault(target: str, data: bytes) -> str | None:
    """What is wrong with how the input is answered."""
    from tools.fuzz.targets import TARGETS, refused

    target_run = TARGETS[target]().run if target not in _RUNS else _RUNS[target]
    _RUNS[target] = target_run
    start = time.process_time()
    try:
        target_run(data)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if not refused(error):
            return traceback.format_exc()
    spent = time.process_time() - start
    return f"took {spent:.1f} seconds" if spent > SLOW else None


_RUNS: dict[str, object] = {}


def save(folder: Path, target: str, data: bytes, what: str) -> None:
    import hashlib

    file = folder / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}"
    file.write_bytes(data)
    print(f"{target}: {what.strip()}\n{target}: the input is in {file}", flush=True)


def work(target: str, options: argparse.Namespace) -> int:
    """In the process of one target."""
    from tools.fuzz.mutation import mutate
    from tools.fuzz.targets import TARGETS

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    described = TARGETS[target]()
    chance = Random(f"{options.seed} {target}")
    corpus = list(described.seeds)
    current = options.folder / f"{target}-current"
    count = faults = 0
    end = time.monotonic() + options.seconds
    while time.monotonic() < end and faults < 20:
        data = mutate(chance, corpus, described.words) if count >= len(corpus) else corpus[count]
        current.write_bytes(data)  # where this process dies, the input is there
        what = fault(target, data)
        count += 1
        if what is not None:
            faults += 1
            save(options.folder, target, data, what)
    current.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{target}: {count} inputs, {faults} faults, at most {peak} MB", flush=True)
    return 1 if faults else 0


def work_guided(target: str, options: argparse.Namespace) -> int:
    import atheris  # type: ignore[import-not-found]

    import frazil.lang  # installs the finder of uncompiled modules, which atheris then has to come before

    with atheris.instrument_imports(include=["frazil"]):
        import frazil.lang.evaluator  # noqa: I001
        import frazil.lang.printer
        import frazil.lang.regex
        import frazil.lang.toml_reader  # noqa: F401
        from tools.fuzz.targets import TARGETS

        described = TARGETS[target]()
        for seed in described.seeds:
            fault(target, seed)  # imports what is imported late
    corpus = options.folder / f"{target}-corpus"
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(described.seeds):
        (corpus / f"seed{number}").write_bytes(seed)
    words = options.folder / f"{target}-words"
    words.write_text("".join('"' + "".join(f"\\x{b:02x}" for b in word) + '"\n' for word in described.words))

    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        if count % COLLECTED_AFTER == 0:
            # Evaluation freezes what it made, which a process of millions of evaluations would keep.
            gc.unfreeze()
            gc.collect()
        try:
            described.run(data)
        except Exception as error:
            from tools.fuzz.targets import refused

            if not refused(error):
                save(options.folder, target, data, "fault")
                raise

    flags = [f"-max_total_time={int(options.seconds)}", f"-seed={options.seed}", "-max_len=2048", "-timeout=60"]
    flags += [f"-dict={words}"] if described.words else []
    flags += [f"-artifact_prefix={options.folder}/{target}-", "-rss_limit_mb=3000", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *flags, "-print_final_stats=1", str(corpus)], one)
    atheris.Fuzz()
    return 0


def start(target: str, options: argparse.Namespace) -> int:
    """One target in its process -> its exit status."""
    command = [sys.executable, "-X", "faulthandler", "-m", "tools.fuzz", "--worker", target]
    command += ["--seconds", str(options.seconds), "--seed", str(options.seed), "--folder", str(options.folder)]
    environment = dict(os.environ)
    if options.guided:
        command.append("--guided")
        environment["FRAZIL_PURE"] = "1"
    status = subprocess.run(command, env=environment, check=False).returncode
    if status < 0:
        name = signal.Signals(-status).name
        print(f"{target}: ended by {name}; the input is in {options.folder}/{target}-current", flush=True)
    return status


def main() -> int:
    from tools.fuzz.targets import TARGETS

    options = arguments()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        print(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.replay is not None:
        what = fault(options.targets[0], options.replay.read_bytes())
        print(what or "no fault")
        return 1 if what else 0
    if options.worker:
        return (work_guided if options.guided else work)(options.targets[0], options)
    statuses = [start(target, options) for target in options.targets or TARGETS]
    return 1 if any(statuses) else 0


if __name__ == "__main__":
    sys.exit(main())
