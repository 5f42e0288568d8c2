"""What fails in the middle of speculation fails as it would without, or is done without."""

from __future__ import annotations

import logging
from collections.abc import Sequence as Items
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import SamplingError
from lmprog.runtime.handle import Handle
from lmprog.runtime.request import Request
from lmprog.runtime.runner import Batch
from lmprog.runtime.sequence import Sequence
from lmprog.runtime.speculation.copying import Copying
from lmprog.runtime.speculation.tree import Tree
from lmprog.runtime.table import TableRunner

from .drafting import FreeRows, Oracle, Parrot, drafting
from .test_choice import Broken
from .toys import TOY, Gate, prompts, toy_greedy, toy_logits

PROMPTS = prompts(3, 8)
KNOWN = {tuple(p): toy_greedy(p, 12) for p in PROMPTS}
REQUESTS = [Request(p, 12) for p in PROMPTS]


def toy(runner: type[TableRunner] = TableRunner) -> TableRunner:
    return runner(toy_logits, TOY.size)


class NoDrafts(TableRunner):
    """Fails in every step that has two rows at one position of a sequence, or more rows than a prompt has."""

    failed = 0

    def forward(self, batch: Batch) -> list[NDArray[np.floating]]:
        if len(batch.rows) > len({span.row for span in batch.spans}):
            self.failed += 1
            raise RuntimeError("drafts are too much for this model")
        return super().forward(batch)


class Small(TableRunner):
    """Has no memory for more than six tokens."""

    failed = 0

    def forward(self, batch: Batch) -> list[NDArray[np.floating]]:
        if len(batch.ids) > 6:
            self.failed += 1
            raise MemoryError
        return super().forward(batch)


@pytest.mark.parametrize("kind", [NoDrafts, Small])
def test_steps_that_fail_with_drafts_are_done_without(kind: Any) -> None:
    runner = kind(toy_logits, TOY.size)
    with drafting(runner, TOY, Oracle(KNOWN, TOY.size, 1)) as engine:
        results = [engine.generate([request])[0] for request in REQUESTS] + engine.generate(REQUESTS)
        engine.check()

    assert [KNOWN[tuple(p)] for p in PROMPTS] * 2 == [r.ids for r in results]
    assert 0 < runner.failed < 20


class Failing:
    """Fails when it is asked, or when a sequence ends."""

    name = "failing"
    chances: tuple[float, ...] = (0.5,)

    def __init__(self, when: str) -> None:
        self.when = when

    def propose(self, seqs: Items[Sequence], limits: Items[int]) -> list[Tree]:
        if self.when == "propose":
            raise ValueError("no idea")
        return [Tree() for _ in seqs]

    def ended(self, seq: Sequence) -> None:
        if self.when == "ended":
            raise ValueError("not yet")


@pytest.mark.parametrize("when", ["propose", "ended"])
def test_a_drafter_that_fails_is_not_asked_again(when: str, caplog: pytest.LogCaptureFixture) -> None:
    with Engine(toy(), TOY, drafters=[Failing(when), Copying()]) as engine, caplog.at_level(logging.ERROR):
        results = engine.generate(REQUESTS)

        assert engine.stats.faults == 0
    assert [KNOWN[tuple(p)] for p in PROMPTS] == [r.ids for r in results]
    assert ["the drafter 'failing' failed and is not asked again"] == [r.message for r in caplog.records]


def test_a_constraint_that_fails_ends_its_own_request() -> None:
    with drafting(toy(), TOY, Parrot(TOY.size, 1)) as engine:
        handles = engine.submit_many([Request([1], 5, constraint=Broken(), state=2), *REQUESTS])
        with pytest.raises(SamplingError, match="leads nowhere"):
            handles[0].result(30)
        results = [handle.result(30) for handle in handles[1:]]
        engine.check()

    assert [KNOWN[tuple(p)] for p in PROMPTS] == [r.ids for r in results]


class Hole(TableRunner):
    """Has no logits after a 7."""

    def __init__(self, *_: Any) -> None:
        super().__init__(lambda ids: np.full(TOY.size, np.nan) if ids[-1] == 7 else toy_logits(ids), TOY.size)


def test_rows_of_nan_count_only_where_they_are_reached() -> None:
    """Those of rejected nodes are never looked at."""
    with drafting(toy(Hole), TOY, Parrot(TOY.size, 1, nodes=20)) as engine:
        for prompt in PROMPTS:
            (handle,) = engine.submit_many([Request(prompt, 12)])
            before = KNOWN[tuple(prompt)]
            if 7 in [prompt[-1], *before[:-1]]:
                with pytest.raises(SamplingError):
                    handle.result(30)
            else:
                assert before == handle.result(30).ids
        engine.check()


def test_cancelling_from_a_callback_among_accepted_tokens() -> None:
    told: list[list[int]] = []
    handles: list[Handle] = []
    prompt = next(p for p in PROMPTS if len(KNOWN[tuple(p)]) == 12)
    runner = Gate()
    with drafting(runner, TOY, Oracle(KNOWN, TOY.size, 3)) as engine:

        def on_tokens(tokens: list[int]) -> None:
            told.append(tokens)
            handles[0].cancel()

        handles.append(engine.submit(Request(prompt, 12, on_tokens=on_tokens)))
        runner.permits.release(9)
        result = handles[0].result(30)
        engine.check()

    assert len(told) == 1
    assert result.finish == "cancelled"
    assert KNOWN[tuple(prompt)][: len(result.ids)] == result.ids == told[0]


def test_nothing_is_asked_for_long_where_nothing_is_drafted() -> None:
    """Where rows are as dear as steps, and asking takes long."""

    class Dear(FreeRows):
        def step(self, tokens: int, wide: int) -> float:
            return 1e-9 * (1 + tokens)

    asked = Parrot(TOY.size, 1)
    calls: list[int] = []
    propose = asked.propose
    asked.propose = lambda seqs, limits: calls.append(1) or propose(seqs, limits)  # type: ignore[method-assign,func-returns-value]
    with Engine(toy(), TOY, drafters=[asked]) as engine:
        assert engine._loop.speculator is not None
        engine._loop.speculator.costs = Dear()
        engine.generate([Request([1, 2, 3], 200, ignore_eos=True)])

        assert engine.stats.drafted < 20
    assert len(calls) < 100
