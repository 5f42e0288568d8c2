"""The whole engine on a model that is a table."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lmprog.runtime.engine import Engine
from lmprog.runtime.errors import ContextOverflow, EngineClosed, OutOfSlots, RequestError, SamplingError
from lmprog.runtime.request import Request
from lmprog.runtime.sampling import Sampling
from lmprog.runtime.table import TableRunner

from .toys import TOY, Gate, Ids, edges, prompts, toy_engine, toy_greedy, toy_logits, unrelated

SETTINGS: list[dict[str, Any]] = [
    {},
    {"reuse": False},
    {"slots": 30},
    {"max_batch_tokens": 1},
    {"max_batch_tokens": 5, "slots": 30},
    {"max_running": 2},
    {"slots": 30, "reuse": False, "max_batch_tokens": 3},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_greedy_is_the_plain_loop(settings: dict[str, Any]) -> None:
    todo = prompts(1, 24)
    with toy_engine(**settings) as engine:
        results = engine.generate([Request(p, 8) for p in todo])

    assert [toy_greedy(p, 8) for p in todo] == [r.ids for r in results]
    assert all(("length" if len(r.ids) == 8 else "stop") == r.finish for r in results)


@pytest.mark.parametrize("chunk", [1, 7, 2048])
def test_prompt_tokens_computed_are_the_edges_of_the_tree(chunk: int) -> None:
    todo = unrelated(prompts(2, 30))
    with toy_engine(max_batch_tokens=chunk) as engine:
        results = engine.generate([Request(p, 3) for p in todo])

        assert edges(todo) == engine.stats.prompt_tokens_computed == sum(r.prompt_tokens_computed for r in results)
        assert sum(map(len, todo)) == engine.stats.prompt_tokens


def test_repeats_together_compute_nothing_twice_and_later_ones_a_single_token() -> None:
    prompt = [1, 2, 3, 4, 5]
    with toy_engine() as engine:
        together = engine.generate([Request(prompt, 2)] * 4)
        later = engine.generate([Request(prompt, 2)])

    assert sum(r.prompt_tokens_computed for r in together) == 5
    assert later[0].prompt_tokens_computed == 1
    assert together[0].ids == later[0].ids


def test_the_next_hole_of_a_program_is_a_prefix_hit() -> None:
    with toy_engine() as engine:
        (first,) = engine.generate([Request([1, 2, 3], 6)])
        (second,) = engine.generate([Request([1, 2, 3, *first.ids, 4, 5], 2)])

    assert second.prompt_tokens_computed == 2 + 1  # the last token of a result has not been through the model


def test_submitting_from_many_threads() -> None:
    todo = prompts(3, 60)
    with toy_engine(slots=100) as engine, ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda p: engine.submit(Request(p, 6)).result(30), todo))

    assert [toy_greedy(p, 6) for p in todo] == [r.ids for r in results]


def test_end_ids() -> None:
    def up(prefix: tuple[int, ...]) -> NDArray[np.float64]:
        return -np.abs(np.arange(12.0) - prefix[-1] - 1)

    requests = [
        Request([1], 20),
        Request([1], 20, stop_ids=frozenset({5})),
        Request([1], 3),
        Request([8], 5, ignore_eos=True),
    ]
    with Engine(TableRunner(up, 12), TOY) as engine:
        results = engine.generate(requests)

    assert [r.ids for r in results] == [[2, 3, 4, 5, 6, 7, 8, 9, 10], [2, 3, 4], [2, 3, 4], [9, 10, 11, 11, 11]]
    assert [r.finish for r in results] == ["stop", "stop", "length", "length"]


def test_log_probabilities() -> None:
    with toy_engine() as engine:
        told, untold = engine.generate([Request([1, 2], 5, logprobs=True), Request([1, 2], 5)])
    expected, ids = [], [1, 2]
    for token in told.ids:
        logits = toy_logits(tuple(ids))
        expected.append(logits[token] - np.log(np.exp(logits).sum()))
        ids.append(token)

    assert pytest.approx(expected, abs=1e-12) == told.logprobs
    assert np.isnan(untold.logprobs).all()
    assert len(untold.ids) == len(untold.logprobs)


def test_rows_wider_than_the_vocabulary_are_cut() -> None:
    with Engine(TableRunner(lambda prefix: np.arange(9.0), 9), Ids(5, frozenset())) as engine:
        (result,) = engine.generate([Request([0], 3)])

    assert result.ids == [4, 4, 4]


def test_a_vocabulary_wider_than_the_model_is_refused() -> None:
    with pytest.raises(ValueError, match="12 tokens, but the model gives 5 logits"):
        Engine(TableRunner(lambda prefix: np.zeros(5), 5), TOY)


# -- errors ------------------------------------------------------------------------------------------------------


def failing(start: tuple[int, ...]) -> TableRunner:
    def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
        if prefix[: len(start)] == start:
            raise RuntimeError("this prefix breaks the model")
        return toy_logits(prefix)

    return TableRunner(logits, TOY.size)


@pytest.mark.parametrize("chunk", [2, 2048])
def test_a_failing_forward_ends_the_request_at_fault_only(chunk: int) -> None:
    good = [[1, 2, 3], [1, 2, 4], [5]]
    with Engine(failing((1, 2, 9)), TOY, max_batch_tokens=chunk) as engine:
        handles = engine.submit_many([Request(p, 4) for p in [*good, [1, 2, 9], [1, 2, 9]]])
        results = [h.result(30) for h in handles[:3]]
        for handle in handles[3:]:
            with pytest.raises(RuntimeError, match="breaks the model"):
                handle.result(30)

        again = engine.generate([Request(p, 4) for p in good])

    assert [toy_greedy(p, 4) for p in good] == [r.ids for r in results] == [r.ids for r in again]


def test_nan_logits_end_their_request_only() -> None:
    def logits(prefix: tuple[int, ...]) -> NDArray[np.float64]:
        return np.full(12, np.nan) if prefix[0] == 7 else toy_logits(prefix)

    with Engine(TableRunner(logits, 12), TOY) as engine:
        good, greedy, drawn = engine.submit_many(
            [Request([1, 2], 4), Request([7], 4), Request([7], 4, sampling=Sampling(temperature=1.0))]
        )
        assert toy_greedy([1, 2], 4) == good.result(30).ids
        for handle in (greedy, drawn):
            with pytest.raises(SamplingError, match="NaN"):
                handle.result(30)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"presence_penalty": float("inf")}, "presence_penalty"),
        ({"frequency_penalty": float("nan")}, "frequency_penalty"),
        ({"logit_bias": {-1: 0.0}}, "token ids"),
        ({"logit_bias": {1: float("inf")}}, "logit_bias"),
        ({"arithmetic": (2, 2), "seed": 1, "temperature": 1.0}, "0 <= i < n"),
        ({"arithmetic": (0, 2), "temperature": 1.0}, "needs a seed"),
        ({"arithmetic": (0, 2), "seed": 1}, "temperature"),
        ({"min_p": 1.0}, "min_p"),
        ({"seed": -1}, "seed"),
    ],
)
def test_sampling_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SamplingError, match=message):
        Sampling(**settings)


def test_what_cannot_run_is_refused_at_once() -> None:
    with toy_engine(context=20, slots=15) as engine:
        with pytest.raises(ContextOverflow, match=r"18 prompt tokens and max_tokens=3 make 21, but .* is 20"):
            engine.submit(Request([1] * 18, 3))
        with pytest.raises(OutOfSlots, match="need 16 KV slots, the engine has 15"):
            engine.submit(Request([1] * 12, 4))
        with pytest.raises(RequestError, match="at least one prompt token"):
            engine.submit(Request([], 4))
        with pytest.raises(RequestError, match="max_tokens of 1"):
            engine.submit(Request([1], 0))
        with pytest.raises(RequestError, match=r"lie in \[0, 12\)"):
            engine.submit(Request([1, 12], 4))
        assert engine.generate([Request([1] * 11, 4)])[0].prompt_tokens == 11


def test_one_bad_request_stops_the_batch_it_came_in() -> None:
    with toy_engine(context=10) as engine:
        with pytest.raises(ContextOverflow):
            engine.submit_many([Request([1], 2), Request([1], 20)])

        assert engine.stats.requests == 0


# -- cancelling and closing --------------------------------------------------------------------------------------


def test_cancelling() -> None:
    runner = Gate()
    with Engine(runner, TOY, max_running=1) as engine:
        running, queued = engine.submit_many([Request([1, 2], 9, ignore_eos=True), Request([3], 4)])
        runner.permits.release(2)
        while engine.stats.steps < 2:
            time.sleep(0.001)
        running.cancel()
        queued.cancel()
        runner.permits.release(100)
        stopped, never = running.result(30), queued.result(30)
        queued.cancel()  # too late, and no harm

        assert "cancelled" == stopped.finish == never.finish
        assert 0 < len(stopped.ids) < 9
        assert never.ids == []
        assert toy_greedy([3], 4) == engine.generate([Request([3], 4)])[0].ids


def test_closing_fails_what_is_under_way() -> None:
    runner = Gate()
    engine = Engine(runner, TOY)
    handle = engine.submit(Request([1, 2], 9, ignore_eos=True))
    assert runner.waiting.wait(30)
    threading.Timer(0.05, runner.permits.release, (100,)).start()
    engine.close()
    engine.close()

    with pytest.raises(EngineClosed, match="closed"):
        handle.result(1)
    with pytest.raises(EngineClosed):
        engine.submit(Request([1], 1))


def test_the_thread_ends_when_idle_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmprog.runtime.engine.LINGER", 0.01)
    with toy_engine() as engine:
        engine.generate([Request([1], 2)])
        deadline = time.monotonic() + 30
        while engine._thread is not None and time.monotonic() < deadline:
            time.sleep(0.01)

        assert engine._thread is None
        assert toy_greedy([2], 3) == engine.generate([Request([2], 3)])[0].ids
