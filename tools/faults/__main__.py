"""Accidents by the hundred: `python -m tools.faults --rounds 500 kill`; without names all kinds, 100 rounds each.

    kill          kill -9 at random moments of build, add, copy, substitute, upload, collect, optimise
    full-disk     a file system that has room for a random part of it
    failing-disk  from a random moment on, I/O errors
    limits        files that may not grow, or not be opened
    crowd         two to eight processes at once, some of which are killed
    cache         a server that stalls, cuts, lies, redirects, fails
    damage        flipped bytes in the database, in archives, narinfos and store objects

After each: the store is whole and verifies with contents, nothing that was valid is lost, and the work can be done to
its end. Prints a line for each kind, and what was wrong; ends with status 1 where anything was. The same `--seed` makes
the same choices (the moments depend on the machine).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from .run import KINDS, Tally, run


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--rounds", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--folder", type=Path, help="where the scratch stores are made")
    options = parser.parse_args()
    unknown = set(options.kinds) - set(KINDS)
    if unknown:
        parser.error(f"there is no kind '{min(unknown)}'")
    total = Tally()
    for kind in options.kinds or KINDS:
        with tempfile.TemporaryDirectory(prefix="frazil-faults-", dir=options.folder) as folder:
            tally = run(kind, options.rounds, options.seed, Path(folder))
        print(tally.line(kind), flush=True)
        for text in tally.problems:
            print(f"    {text}", flush=True)
        total.problems += tally.problems
    return 1 if total.problems else 0


if __name__ == "__main__":
    sys.exit(main())
