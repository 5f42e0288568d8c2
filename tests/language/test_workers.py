from __future__ import annotations

import gc
import threading
import time
import weakref
from typing import Any

import pytest

from lmprog.workers import Workers


class Kept:
    pass


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("rounds", [1, 2])  # the first work of a thread, and another one that it gets while idle
def test_idle_threads_keep_nothing_of_what_they_did(waits: bool, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmprog.workers.LINGER", 60)
    workers, alive = Workers(most=1), []

    def work(kept: Any, done: threading.Event) -> Any:
        def works() -> None:
            assert kept is not None
            done.set()

        return works

    for _ in range(rounds):
        kept, done = Kept(), threading.Event()
        alive.append(weakref.ref(kept))
        workers.submit(work(kept, done), waits=waits)
        del kept
        assert done.wait(30)

    for _ in range(1000):
        gc.collect()
        if not any(ref() for ref in alive):
            break
        time.sleep(0.01)
    assert [None] * rounds == [ref() for ref in alive]
