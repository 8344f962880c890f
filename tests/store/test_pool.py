"""Threads for transfers: how many there are."""

from __future__ import annotations

import threading

from frazil.store.pool import Pool

_LONG = 60.0


def test_sparing_pool_has_all_its_threads_where_they_wait() -> None:
    together = threading.Barrier(7)
    with Pool(6, "try", sparing=True) as pool:
        futures = [pool.submit(together.wait, _LONG) for _ in range(6)]
        together.wait(_LONG)  # only all of them at once get past it
        assert {future.result(_LONG) for future in futures} <= set(range(7))


def test_sparing_pool_begins_with_few_threads() -> None:
    go_on = threading.Event()
    with Pool(64, "begin", sparing=True) as pool:
        pool._watched = True  # nobody looks after them
        futures = [pool.submit(go_on.wait, _LONG) for _ in range(20)]
        assert sum(thread.name.startswith("begin-") for thread in threading.enumerate()) == 2
        go_on.set()
        assert all(future.result(_LONG) for future in futures)


def test_sparing_pool_ends_with_its_watcher() -> None:
    go_on = threading.Event()
    pool = Pool(1 << 10, "end", sparing=True)
    futures = [pool.submit(go_on.wait, _LONG) for _ in range(8)]
    watchers = [thread for thread in threading.enumerate() if thread.name == "end-watch"]
    pool.close()
    go_on.set()
    for thread in watchers:
        thread.join(_LONG)
    assert watchers and not any(thread.is_alive() for thread in watchers)
    assert all(future.cancelled() or future.result(_LONG) for future in futures)


def test_small_pools_and_others_have_their_size() -> None:
    for size, sparing in ((1, True), (2, True), (3, False)):
        together = threading.Barrier(size + 1)
        with Pool(size, "all", sparing=sparing) as pool:
            for _ in range(size):
                pool.submit(together.wait, _LONG)
            together.wait(_LONG)
