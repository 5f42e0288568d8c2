"""Everything at once for a long time: no leak, no wrong output, nobody left behind.

Mixed requests (programs, priorities, seeds, constraints, forced text, streams) with random cancellations and deadlines,
from several threads, on a pool of a tenth of what those under way and in the queue need. What each gives alone is
computed by another engine, one by one and without a cache. That nobody starves is what the timeouts check here; the
bounds on waiting are counted in test_waiting.
"""

from __future__ import annotations

import gc
import random
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lmprog.grammars import Vocabulary, compile, regex
from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import DeadlineExceeded, QueueFull
from lmprog.runtime.handle import Handle
from lmprog.runtime.request import Request
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.speculation.copying import Copying
from lmprog.runtime.speculation.forced import Forced
from lmprog.runtime.speculation.ngrams import Ngrams
from lmprog.runtime.table import TableRunner

from .drafting import Parrot, drafting

VOCAB = Vocabulary([bytes((b,)) for b in b"abcdefghijklmno"] + [None], {15})
CONSTRAINTS = [None, None, *[compile(regex(p), VOCAB) for p in ("[a-h]{3,20}", "(abc|abd|b)[a-z]{0,9}ooo", "a*b|c{9}")]]
SHARED = np.random.default_rng(0).integers(0, 15, (4, 40)).tolist()
THREADS, RUNNING, QUEUE = 4, 24, 40


def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
    """Cheap, and different for every prefix."""
    h = hash(prefix)
    return np.array([(h >> 3 * i) % 61 for i in range(16)], np.float64) / 20


def runner() -> TableRunner:
    return TableRunner(logits, VOCAB.size)


def some_request(chance: random.Random) -> Request:
    """Prompts begin with one of a few long texts; some requests cannot be cached at all."""
    head = chance.choice(SHARED)[: chance.randrange(41)]
    ids = [*head, *[chance.randrange(15) for _ in range(chance.randrange(1, 12))]]
    seed = chance.choice([None, chance.randrange(1 << 60)])
    return Request(
        ids,
        chance.randrange(12, 40),
        chance.choice(CONSTRAINTS),
        sampling=Sampling() if seed is None else Sampling(chance.choice([0.7, 1.5]), top_p=0.95, seed=seed),
        logprobs=chance.random() < 0.2,
        priority=chance.choice([0, 0, 0, 1, -1]),
        group=chance.choice(["a", "a", "a", "a", "b", "c"]),
        timeout=chance.choice([None] * 6 + [60.0, chance.random() * 0.05]),
    )


@dataclass
class Outcome:
    """What one request got. `kind`: its finish, or the name of the error."""

    request: Request
    kind: str
    ids: list[int]
    streamed: list[int] | None


def client(engine: Engine, requests: list[Request], seed: int, out: list[Outcome]) -> None:
    """Submits requests, cancels and streams some of them, keeps a few dozen under way."""
    chance = random.Random(seed)
    flying: list[tuple[Request, Handle]] = []
    for request in requests:
        try:
            flying.append((request, engine.submit(request)))
        except QueueFull:  # until its time was over
            assert request.timeout is not None
            out.append(Outcome(request, "deadline", [], None))
            continue
        if chance.random() < 0.1:
            chance.choice(flying)[1].cancel()
        while len(flying) > 40:
            out.append(land(*flying.pop(chance.randrange(len(flying))), chance.random() < 0.3))
    out += [land(request, handle, False) for request, handle in flying]


def land(request: Request, handle: Handle, stream: bool) -> Outcome:
    streamed: list[int] | None = [] if stream else None
    try:
        if streamed is not None:
            for token in handle:
                streamed.append(token)  # kept when it raises
        result = handle.result(60)
    except DeadlineExceeded as error:
        result = error.result
    return Outcome(request, result.finish, result.ids, streamed)


def soak(count: int, seed: int, *drafters: Any) -> None:
    chance = random.Random(seed)
    requests = [some_request(chance) for _ in range(count)]
    need = sum(sorted(len(r.ids) + r.max_tokens for r in requests)[-RUNNING * 4 :])
    threads = threading.active_count()
    settings: dict[str, Any] = {"slots": need // 10, "max_running": RUNNING, "max_batch_tokens": 64}
    settings |= {"max_queue": QUEUE}
    make = drafting(runner(), VOCAB, *drafters, **settings) if drafters else Engine(runner(), VOCAB, **settings)
    with make as engine:
        outcomes = run(engine, requests, seed)
        stats = engine.stats
        engine.check()

        assert 0 == stats.faults == stats.running == stats.waiting
        assert stats.slots == stats.free + stats.held == stats.free + engine._scheduler.tree.evictable
        assert all(not node.refs for node in engine._scheduler.tree.nodes())
        assert {} == engine._handles == engine._loop.live == engine._scheduler.waiting.groups
        assert {} == engine._places._taken == engine._places._tickets
    assert bool(drafters) == (stats.accepted > 0) == (stats.drafted > stats.accepted)
    assert threads == threading.active_count()
    check_outcomes(outcomes, count)
    assert stats.preempted > 0
    assert stats.evicted > 0


def run(engine: Engine, requests: list[Request], seed: int) -> list[Outcome]:
    """In several threads, with someone looking on."""
    outcomes: list[Outcome] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.1):
            engine.check()
            engine.metrics()
            engine.show()

    shares = [requests[i::THREADS] for i in range(THREADS)]
    clients = [threading.Thread(target=client, args=(engine, s, seed + i, outcomes)) for i, s in enumerate(shares)]
    looker = threading.Thread(target=look)
    for thread in (*clients, looker):
        thread.start()
    for thread in clients:
        thread.join()
    done.set()
    looker.join()
    return outcomes


def check_outcomes(outcomes: list[Outcome], count: int) -> None:
    assert len(outcomes) == count
    with Engine(runner(), VOCAB, max_running=1, reuse=False) as engine:
        alone = engine.generate([replace(o.request, timeout=None, priority=0, group=None) for o in outcomes])
    for got, expected in zip(outcomes, alone, strict=True):
        whole = got.kind not in ("cancelled", "deadline")
        assert (expected.ids if whole else expected.ids[: len(got.ids)]) == got.ids
        assert not whole or expected.finish == got.kind
        assert got.streamed in (None, got.ids)
    kinds = Counter(o.kind for o in outcomes)
    assert {"stop", "complete", "length", "cancelled", "deadline"} == kinds.keys()
    assert kinds["cancelled"] + kinds["deadline"] < count / 3


DRAFTERS: dict[str, Callable[[], list[Any]]] = {
    "plain": list,
    "drafts": lambda: [Forced(VOCAB), Copying(), Ngrams(), Parrot(VOCAB.size, 1)],
}


@pytest.mark.parametrize("drafters", DRAFTERS.values(), ids=DRAFTERS)
def test_a_short_soak(drafters: Callable[[], list[Any]]) -> None:
    soak(600, 1, *drafters())


@pytest.mark.slow
@pytest.mark.parametrize(("count", "drafters"), [(10_000, "plain"), (5_000, "drafts")])
def test_a_long_soak(count: int, drafters: str) -> None:
    soak(count, 2, *DRAFTERS[drafters]())


def test_memory_does_not_grow() -> None:
    """The same work again and again leaves no more behind than the first time."""
    chance = random.Random(3)
    requests = [replace(some_request(chance), timeout=chance.choice([None, 3600.0])) for _ in range(80)]
    with Engine(runner(), VOCAB, slots=500, max_running=RUNNING) as engine:
        tracemalloc.start()
        try:
            sizes = []
            for _ in range(7):
                handles = engine.submit_many(requests)
                for handle in handles[::7]:
                    handle.cancel()
                for handle in handles:
                    handle.result(60)
                del handle, handles
                gc.collect()
                time.sleep(0.01)
                sizes.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()

    assert sizes[6] - sizes[2] < 50_000, sizes  # deadlines of ended requests are dropped in every second round
