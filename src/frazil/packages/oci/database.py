"""The store's database inside an image, for programs of Nix's kind that run there.

Nix's schema 10, times at zero, rows in the closure's order: the same bytes for the same closure. Source of truth:
`schema.sql` of Nix's libstore.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from .errors import OciError

SCHEMA = """
create table if not exists ValidPaths (
    id integer primary key autoincrement not null, path text unique not null, hash text not null,
    registrationTime integer not null, deriver text, narSize integer, ultimate integer, sigs text, ca text
);
create table if not exists Refs (
    referrer integer not null, reference integer not null, primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
create index if not exists IndexReferrer on Refs(referrer);
create index if not exists IndexReference on Refs(reference);
create trigger if not exists DeleteSelfRefs before delete on ValidPaths
    begin delete from Refs where referrer = old.id and reference = old.id; end;
create table if not exists DerivationOutputs (
    drv integer not null, id text not null, path text not null, primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
);
create index if not exists IndexDerivationOutputs on DerivationOutputs(path);
"""


def _base16(text: str) -> str:
    """`sha256:` and base 16, as the database has it, of what `exportReferencesGraph` says."""
    algorithm, _, value = text.partition(":")
    if algorithm != "sha256":
        raise OciError(f"the hash '{text}' of a store path is not SHA-256")
    if len(value) == 64:
        return text
    digits = "0123456789abcdfghijklmnpqrsvwxyz"
    number = 0
    for digit in value:  # base 32: the first digit is the highest, the bytes stand in reverse
        number = number * 32 + digits.index(digit)
    return "sha256:" + number.to_bytes(32, "little").hex()


def write_database(records: Iterable[Mapping[str, Any]], folder: str, store: str) -> None:
    """`folder`/nix/var/nix with a database of these paths, and a root for each."""
    ordered = sorted(records, key=lambda record: str(record["path"]))
    state = os.path.join(folder, *os.path.dirname(store).strip("/").split("/"), "var/nix")
    for name in ("db", "gcroots/docker", "profiles", "temproots", "userpool"):
        os.makedirs(os.path.join(state, name), exist_ok=True)
    with open(os.path.join(state, "db/schema"), "w", encoding="ascii") as file:
        file.write("10")
    database = sqlite3.connect(os.path.join(state, "db/db.sqlite"))
    try:
        database.executescript(SCHEMA)
        ids = {record["path"]: number for number, record in enumerate(ordered, start=1)}
        database.executemany(
            "insert into ValidPaths (id, path, hash, registrationTime, narSize) values (?, ?, ?, 0, ?)",
            [
                (ids[record["path"]], record["path"], _base16(record["narHash"]), record["narSize"])
                for record in ordered
            ],
        )
        database.executemany(
            "insert into Refs (referrer, reference) values (?, ?)",
            [
                (ids[record["path"]], ids[reference])
                for record in ordered
                for reference in sorted(record["references"])
                if reference in ids
            ],
        )
        database.commit()
        database.execute("vacuum")
    finally:
        database.close()
    for record in ordered:
        name = os.path.basename(record["path"])
        os.symlink(record["path"], os.path.join(state, "gcroots/docker", name))
