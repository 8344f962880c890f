"""Remembered answers of binary caches."""

from __future__ import annotations

from pathlib import Path

from frazil.digest import Hash
from frazil.store.config import LookupSettings
from frazil.store.info_cache import InfoCache
from frazil.store.narinfo import NarInfo
from frazil.store.path import StorePath
from frazil.store.path_info import PathInfo


def narinfo(number: int, url: str) -> NarInfo:
    path = StorePath(f"{number:032d}", "x")
    return NarInfo(PathInfo(path, Hash.of("sha256", b"%d" % number), 8), url, "xz")


def test_what_no_database_can_hold_is_not_remembered(tmp_path: Path) -> None:
    cache = InfoCache(LookupSettings(directory=str(tmp_path)), {})
    facts = cache.note_facts("http://cache", "/nix/store", True, 40)
    assert facts is not None
    sound, damaged = narinfo(1, "nar/1.nar.xz"), narinfo(2, "nar/\udce0.nar.xz")
    for found in (damaged, sound):
        cache.note_info(facts.identifier, found.info.path.hash_part, found)
    cache.close()
    again = InfoCache(LookupSettings(directory=str(tmp_path)), {})
    parts = [found.info.path.hash_part for found in (sound, damaged)]
    assert again.infos(facts.identifier, parts) == {parts[0]: sound}
    again.close()
